package mobileapi_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cloakroom/surface"
)

// Whose request it was is told to whoever writes the log, by names: no handle and no code is among them.
//
// shows LOG-2
func TestWhatTheSurfaceTellsTheLog(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	for _, row := range []struct {
		what, method, path string
		form               url.Values
		app, session       bool
	}{
		{"a sign-in that starts", "GET", "/mobile/authorize?" + asked("phone", claimed).Encode(), nil, true, false},
		{"a bad answer of a provider", "GET", "/mobile/callback/phone?state=x&code=y", nil, true, false},
		{"an answer for no app", "GET", "/mobile/callback/nobody?state=x&code=y", nil, false, false},
		{"a bad code", "POST", "/mobile/token", redemption("phone", claimed, "x"), true, false},
		{"an unknown app", "POST", "/mobile/token", redemption("nobody", claimed, "x"), false, false},
		{"a rotation", "POST", "/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {h.Refresh}}, true, true},
		{"an asked session", "GET", "/mobile/session", nil, true, true},
		{"a call", "GET", "/api", nil, true, true},
	} {
		r := httptest.NewRequest(row.method, row.path, strings.NewReader(row.form.Encode()))
		if row.form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		} else {
			r.Header.Set("Authorization", "Bearer "+h.Access)
		}
		ctx, seen := surface.WithSeen(r.Context())
		w.routes().ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
		if (seen.App == "phone") != row.app || (seen.Session != "") != row.session {
			t.Errorf("%s: %+v", row.what, seen)
		}
		if strings.Contains(h.Access+h.Refresh, seen.Session) && seen.Session != "" {
			t.Errorf("%s: a piece of a handle: %+v", row.what, seen)
		}
	}
}
