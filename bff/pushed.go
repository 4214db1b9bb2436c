package bff

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/url"
	"strings"
	"time"
)

// PushedLife is how long a pushed request may be started from (RFC 9126 section 2.2 suggests 5 to 600 seconds): an app opens
// the browser at once, and a slow phone takes some seconds for it.
const PushedLife = 90 * time.Second

const (
	// pushedPrefix begins every request_uri of a pushed request (RFC 9126 section 2.2).
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	// maxPushed is what a request_uri may be long: it travels in an address, and 4 KiB of that pass everywhere.
	maxPushed = 4096
)

// IsPushed reports whether a request_uri has the form of one that PushRequest made. It says nothing of whether it is good.
func IsPushed(requestURI string) bool { return strings.HasPrefix(requestURI, pushedPrefix) }

// errStale says that a pushed request is too old.
var errStale = errors.New("pushed request too old")

// PushRequest makes the request_uri of a request that an app pushed (RFC 9126): the request itself, sealed for that app.
// Nothing is stored, so nothing can be filled up, and any instance takes it. CodeBadRequest for one that is too long.
func (e *Engine) PushRequest(app *App, request url.Values) (requestURI string, err error) {
	plain := binary.BigEndian.AppendUint64(nil, uint64(e.now().Add(PushedLife).UnixMilli()))
	sealed := e.ring.Seal(purposePushed, append(plain, request.Encode()...), app.ID)
	requestURI = pushedPrefix + base64.RawURLEncoding.EncodeToString(sealed)
	if len(requestURI) > maxPushed {
		return "", &Error{Code: CodeBadRequest, Message: "The request is too long."}
	}
	return requestURI, nil
}

// PushedRequest returns the request behind a request_uri of app. CodeBadRequest for one that is none, too old, or of another
// app; CodeKeyUnknown where another instance may open it.
func (e *Engine) PushedRequest(ctx context.Context, app *App, requestURI string) (url.Values, error) {
	refuse := func(err error) (url.Values, error) {
		return nil, &Error{
			Code: CodeBadRequest, Message: "This sign-in request is too old, or not this app's. Start again from the app.", Err: err,
		}
	}
	text, ours := strings.CutPrefix(requestURI, pushedPrefix)
	if !ours || len(requestURI) > maxPushed {
		return refuse(ErrTampered)
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return refuse(err)
	}
	plain, err := e.ring.Open(purposePushed, sealed, app.ID)
	switch {
	case errors.Is(err, ErrKeyUnknown):
		return nil, e.refused(ctx, app, "", err)
	case err != nil:
		return refuse(err)
	case len(plain) < 8:
		return refuse(ErrTampered)
	case !e.now().Before(time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))):
		return refuse(errStale)
	}
	request, err := url.ParseQuery(string(plain[8:]))
	if err != nil {
		return refuse(err)
	}
	return request, nil
}
