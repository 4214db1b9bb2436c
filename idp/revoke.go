package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"cloakroom/bff"
)

// Limits of one revocation.
const (
	revokeTries = 3
	revokePause = 500 * time.Millisecond // before the second try, twice that before the third, when the provider names none
)

// Revoke revokes the refresh token, then the access token (RFC 7009 section 2.1). Doing it twice is safe, so it is tried
// again a few times while the provider has a bad moment, within ctx. A provider without revocation is no error.
func (c *Client) Revoke(ctx context.Context, t bff.TokenSet) error {
	m, err := c.is.discover(ctx)
	if err != nil {
		return err
	}
	if no := c.is.set.RevocationSupported; m.Revocation == "" || no != nil && !*no {
		return nil
	}
	var errs []error
	for _, r := range []struct {
		token bff.Secret
		hint  string
	}{{t.Refresh, "refresh_token"}, {t.Access, "access_token"}} {
		if r.token.IsZero() {
			continue
		}
		if err := c.revokeOne(ctx, m, r.token, r.hint); err != nil {
			errs = append(errs, fmt.Errorf("revoking the %s: %w", r.hint, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Client) revokeOne(ctx context.Context, m *metadata, token bff.Secret, hint string) error {
	return insist(ctx, func() (bool, time.Duration, error) { return c.revokeOnce(ctx, m, token, hint) })
}

// insist tries what is safe to do twice a few times, within ctx, as long as once says that trying again is worth it.
func insist(ctx context.Context, once func() (again bool, wait time.Duration, err error)) error {
	for try := 1; ; try++ {
		again, wait, err := once()
		if err == nil || !again || try == revokeTries {
			return err
		}
		if wait == 0 {
			wait = revokePause << (try - 1)
		}
		if !pause(ctx, wait) {
			return err
		}
	}
}

// revokeOnce reports whether trying again is worth it, and when.
func (c *Client) revokeOnce(ctx context.Context, m *metadata, token bff.Secret, hint string) (again bool, wait time.Duration, err error) {
	call, cancel := context.WithTimeout(asking(ctx, "revocation"), c.is.set.HTTPTimeout)
	defer cancel()
	req, err := c.formRequest(call, m, m.Revocation, url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}})
	if err != nil {
		return false, 0, err
	}
	a, err := send(c.is.plain, req)
	if err != nil {
		return true, 0, err
	}
	oauth := oauthError(a)
	switch {
	case a.status == http.StatusOK, a.status == http.StatusNoContent:
		return false, 0, nil // RFC 7009 section 2.2: also for a token that is unknown or dead
	case oauth == "unsupported_token_type":
		return false, 0, nil // RFC 7009 section 2.2.1: this kind cannot be revoked there
	case a.status >= 500, a.status == http.StatusTooManyRequests:
		return true, retryAfter(a.header, c.is.now()), &AnswerError{Status: a.status, OAuth: oauth}
	default:
		return false, 0, &AnswerError{Status: a.status, OAuth: oauth}
	}
}

// pause waits, and reports whether the wait was worth beginning and was not cut short.
func pause(ctx context.Context, wait time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
