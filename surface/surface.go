// Package surface is what the browser surface and the native surface answer with: problems and pages for errors, the
// session answer, the list of a user's devices, the small pages of sign-in and sign-out, and what both do with a sign-in on
// its way: how its start and the provider's answer are read, and how the browser is given its half of the state in a
// cookie. So is what knows neither credential: the stream of events about a session (events.go), and a provider's word that
// one is over (backchannel.go, frontchannel.go). It knows package bff and HTTP, and how an OAuth client is told an error or
// challenged for a handle (oauth.go). It does not know session cookies, handles, which guard a request must pass, the store or
// any provider.
//
// The journey through it: a handler of a surface answers by WriteJSON, Redirect or WritePage, or returns an error. The
// one place that writes errors (in the server) hands that to WriteError, which chooses: a navigation gets a page with a
// way on, an OAuth client the JSON of RFC 6749, everything else problem+json. All read one table, so that a code has the
// same status and title wherever it shows.
package surface

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"cloakroom/bff"
)

// Handler answers a request, or returns an error and has not written anything but header fields (a cookie that must be
// cleared with the error). It never writes an error itself.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Endpoint is one method at one path of a surface.
type Endpoint struct {
	Method string
	// Path is as http.ServeMux writes it: a segment {name} is read by r.PathValue, and whoever routes must set it.
	Path   string
	Handle Handler
	// Stream says that a good answer goes on for as long as its session lives: the context of its request must end when the
	// instance stops.
	Stream bool
	// Shared says that scripts of the app's other origins may call it, too.
	Shared bool
	// Defence says what an endpoint that the header guard does not cover has instead; "" for all others. The list of
	// such endpoints is fixed (draft-ietf-oauth-browser-based-apps section 6.1.3.3).
	Defence string
}

// Only makes a handler refuse every method but one, HEAD included: http.ServeMux, as many a router, sends HEAD to
// whatever answers GET, and a login must do nothing on it (RFC 9110 section 9.2.1).
func Only(method string, h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != method {
			w.Header().Set("Allow", method) // RFC 9110 section 15.5.6
			return &bff.Error{Code: bff.CodeMethodNotAllowed, Message: "This address does not answer " + known(r.Method) + "."}
		}
		return h(w, r)
	}
}

// known keeps a client's own words out of an answer.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "this method"
	}
}

// Private sets the header fields that every answer of the gateway's own carries: stored nowhere (RFC 9111 section
// 5.2.2.5), never sniffed, embedded by nobody, with no referrer for whatever it leads to; and it varies on all that may
// select it.
func Private(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Vary", "Cookie, Authorization, Origin, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode, Sec-Fetch-Site")
}

// WriteJSON answers with v, not to be stored. An error means that v has no JSON form, and nothing was written.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	Private(w.Header())
	write(w, r, status, "application/json; charset=utf-8", body)
	return nil
}

// WritePublicJSON answers with v, which is the same for everybody and may be stored for a while. An error means that v
// has no JSON form, and nothing was written.
func WritePublicJSON(w http.ResponseWriter, r *http.Request, life time.Duration, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	WritePublicText(w, r, life, body)
	return nil
}

// WritePublicText is WritePublicJSON of a body that is JSON already.
func WritePublicText(w http.ResponseWriter, r *http.Request, life time.Duration, body []byte) {
	Private(w.Header())
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(life/time.Second)))
	w.Header().Del("Vary")
	write(w, r, http.StatusOK, "application/json; charset=utf-8", body)
}

// WriteNothing answers 204: it is done, and there is no more to say.
func WriteNothing(w http.ResponseWriter) {
	Private(w.Header())
	w.WriteHeader(http.StatusNoContent)
}

// Redirect answers 303: the next request is a GET, whatever this one was, and carries no body (RFC 9700 section 4.12).
// It writes no body, for the target may hold what no page may. The target is the caller's to have checked.
func Redirect(w http.ResponseWriter, to string) {
	Private(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// write sends a whole answer; to HEAD the header fields alone (RFC 9110 section 9.3.2).
func write(w http.ResponseWriter, r *http.Request, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = bytes.NewReader(body).WriteTo(w) // a client that is gone reads no error either
	}
}
