package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"cloakroom/bff"
)

var _ bff.SessionProvider = (*Client)(nil)

// errNoSessionAPI says that the settings name no session API.
var errNoSessionAPI = errors.New("the provider has no session API")

// errSIDNoSegment says that a sid cannot stand in an address.
var errSIDNoSegment = errors.New("a sid that is a dot segment")

// notFound is gRPC's code for what is not there: Scalekit's API answers with it beside the status.
const notFound = 5

// RevokeSession ends the provider's session by Scalekit's session API (POST …/sessions/{sid}/revoke), as a server of the
// app's: no browser is needed, and no ID token. A session that is unknown there, or over, is success. It is safe to do
// twice, so it is tried again a few times while the provider has a bad moment, within ctx. bff.ErrClientToken says that the
// token was not taken.
func (c *Client) RevokeSession(ctx context.Context, sid string, token bff.Secret) error {
	if c.is.set.SessionAPI == "" {
		return errNoSessionAPI
	}
	// Escaped as one segment: a sid is the provider's own text, and still no path. Dots are not escaped by that, and would be
	// a way up for whoever follows RFC 3986 section 5.2.4 with the app's own token.
	if sid == "." || sid == ".." {
		return errSIDNoSegment
	}
	at := c.is.set.SessionAPI + "/sessions/" + url.PathEscape(sid) + "/revoke"
	return insist(ctx, func() (bool, time.Duration, error) { return c.revokeSessionOnce(ctx, at, token) })
}

// revokeSessionOnce reports whether trying again is worth it, and when.
func (c *Client) revokeSessionOnce(ctx context.Context, at string, token bff.Secret) (again bool, wait time.Duration, err error) {
	call, cancel := context.WithTimeout(asking(ctx, "session_api"), c.is.set.HTTPTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(call, http.MethodPost, at, http.NoBody)
	if err != nil {
		return false, 0, ErrEndpoint
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+token.Reveal()) // RFC 6750 section 2.1
	a, err := send(c.is.plain, req)
	if err != nil {
		return true, 0, err
	}
	switch {
	case a.isJSON() && (a.status == http.StatusOK || a.status == http.StatusNotFound && grpcCode(a) == notFound):
		return false, 0, nil // a page that says 404 is somebody else's: only the API knows of no such session
	case a.status == http.StatusNoContent:
		return false, 0, nil
	case a.status == http.StatusUnauthorized:
		return false, 0, fmt.Errorf("%w: status %d", bff.ErrClientToken, a.status)
	case a.status >= 500, a.status == http.StatusTooManyRequests:
		return true, retryAfter(a.header, c.is.now()), fmt.Errorf("session API: status %d", a.status)
	default: // 403: the application may not use the Management API, which its registration says
		return false, 0, fmt.Errorf("session API: status %d", a.status)
	}
}

// grpcCode is the code that an error of the API carries; 0 for none.
func grpcCode(a *answer) (code int) {
	var body struct {
		Code int `json:"code"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return 0
	}
	return body.Code
}
