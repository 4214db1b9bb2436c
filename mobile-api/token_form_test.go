package mobileapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// What reads one of two Content-Type fields, and what reads the other, see two different requests.
func TestAFormOfTwoTypes(t *testing.T) {
	w := newWorld(t)
	form := redemption("phone", claimed, w.code()).Encode()
	kind := "application/x-www-form-urlencoded"
	w.send("POST", "/mobile/token", form, "Content-Type", kind, "Content-Type", "text/plain").refused(t, "two types", 400, "invalid_request")
	w.send("POST", "/mobile/token", form, "Content-Type", kind).handles(t) // and nothing was used up by it
}

// What claims to prove a client is refused, each part of it alone.
//
// shows NAT-8.12 (a secret shipped in an app proves nothing)
func TestProofsOfAClient(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/mobile/token", "/mobile/revoke"} {
		for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
			form := redemption("phone", claimed, "x")
			form.Set("token", "x")
			form.Set(name, "a.b.c")
			w.post(path, form).refused(t, path+" with "+name, 401, "invalid_client")
		}
	}
}

// A body that breaks off is nobody's request, whatever it says so far: the code is as good as before.
func TestBodiesThatBreakOff(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	form := redemption("phone", claimed, code).Encode()
	r := httptest.NewRequest("POST", "/mobile/token", io.MultiReader(strings.NewReader(form), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code == http.StatusOK || strings.Contains(rec.Body.String(), "access_token") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.redeem("phone", claimed, code).handles(t)
}

// What cannot be read as one thing is not read as another.
func TestFieldsOfTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	form := redemption("phone", claimed, w.code()).Encode()
	const kind = "application/x-www-form-urlencoded"
	for what, fields := range map[string][]string{
		"a media type that does not parse": {"Content-Type", kind + "; charset"},
		"an empty DPoP proof":              {"Content-Type", kind, "DPoP", ""},
	} {
		w.send("POST", "/mobile/token", form, fields...).refused(t, what, 400, "invalid_request")
	}
	w.send("POST", "/mobile/token", form, "Content-Type", kind).handles(t) // and nothing was used up by it
}

// Who sends no handle is refused anyway: no more of the body is read than a form has.
func TestBodiesWithoutAHandle(t *testing.T) {
	w := newWorld(t)
	body := strings.NewReader("a=" + strings.Repeat("a", 64<<10) + "&access_token=x")
	r := httptest.NewRequest("POST", "/api", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusUnauthorized || rec.Header().Get("WWW-Authenticate") != bare || body.Len() < 40<<10 {
		t.Errorf("%d %v, %d bytes are left", rec.Code, rec.Header(), body.Len())
	}
}
