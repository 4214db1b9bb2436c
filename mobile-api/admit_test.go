package mobileapi_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// The challenges, to the letter.
const (
	bare    = `Bearer realm="cloakroom"`
	badOne  = bare + `, error="invalid_token", error_description="The handle is unknown, expired or revoked."`
	unclear = bare + `, error="invalid_request", error_description="One handle, in one Authorization header field, and no other credential."`
)

// shows NAT-6750, NAT-TYPE
func TestWhatACallMayPresent(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	root := bff.NewRoot().Reveal()
	typo := "x"
	if h.Access[20] == 'x' {
		typo = "y"
	}
	form := "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
	for _, row := range []struct {
		with      string // a call with …
		line      string // METHOD target
		header    string
		body      string
		status    int
		challenge string
		code      string // of the problem
		optional  int    // the status where anybody may call
	}{
		{"its handle", "GET /", "Authorization: Bearer " + h.Access, "", 200, "", "", 200},
		{"the scheme in other letters", "GET /", "Authorization: bEARER " + h.Access, "", 200, "", "", 200},
		{"two spaces", "GET /", "Authorization: Bearer  " + h.Access, "", 200, "", "", 200},
		{"the gateway's own origin", "GET /", "Origin: " + gateway + "\r\nAuthorization: Bearer " + h.Access, "", 200, "", "", 200},
		{"other cookies", "GET /", "Cookie: a=b; __Host-Http-.tx.1-x=y\r\nAuthorization: Bearer " + h.Access, "", 200, "", "", 200},

		{"nothing", "GET /", "X: y", "", 401, bare, "session_required", 200},
		{"another scheme", "GET /", "Authorization: Basic YTpi", "", 401, bare, "session_required", 200},
		{"the handle in a cookie", "GET /", "Cookie: __Host-Http-phone=" + h.Access + "; handle=" + h.Access, "", 401, bare, "session_required", 200},
		{"a browser session's cookie alone", "GET /", "Cookie: __Host-Http-web=" + root, "", 401, bare, "session_required", 200},

		{"the root of a cookie as handle", "GET /", "Authorization: Bearer " + root, "", 401, badOne, "session_required", 401},
		{"a refresh handle", "GET /", "Authorization: Bearer " + h.Refresh, "", 401, badOne, "session_required", 401},
		{"a handle with a typing error", "GET /", "Authorization: Bearer " + h.Access[:20] + typo + h.Access[21:], "", 401, badOne, "session_required", 401},
		{"a handle that goes on", "GET /", "Authorization: Bearer " + h.Access + "=", "", 401, badOne, "session_required", 401},
		{"the scheme of a proof", "GET /", "Authorization: DPoP " + h.Access, "", 401, badOne, "session_required", 401},

		{"no credential behind the scheme", "GET /", "Authorization: Bearer", "", 400, unclear, "bad_request", 400},
		{"two handles in a line", "GET /", "Authorization: Bearer " + h.Access + " " + h.Access, "", 400, unclear, "bad_request", 400},
		{"a list", "GET /", "Authorization: Bearer " + h.Access + ", Bearer x", "", 400, unclear, "bad_request", 400},
		{"characters that no token has", "GET /", "Authorization: Bearer \"" + h.Access + "\"", "", 400, unclear, "bad_request", 400},
		{"two Authorization lines", "GET /", "Authorization: Bearer " + h.Access + "\r\nAuthorization: Bearer " + h.Access, "", 400, unclear, "bad_request", 400},
		{"a second line of another scheme", "GET /", "Authorization: Basic YTpi\r\nAuthorization: Bearer " + h.Access, "", 400, unclear, "bad_request", 400},
		{"a handle in the query", "GET ?access_token=" + h.Access, "X: y", "", 400, unclear, "bad_request", 400},
		{"a handle in the query too", "GET ?a=b&access_token=", "Authorization: Bearer " + h.Access, "", 400, unclear, "bad_request", 400},
		{"an escaped name in the query", "GET ?access%5Ftoken=x&%zz", "Authorization: Bearer " + h.Access, "", 400, unclear, "bad_request", 400},
		{"a handle in a form", "POST /", form, "a=b&access_token=" + h.Access, 400, unclear, "bad_request", 200},
		{"an escaped name in a form", "POST /", form, "access%5Ftoken=" + h.Access, 400, unclear, "bad_request", 200},
		{"another form", "POST /", form, "a=access_token", 401, bare, "session_required", 200},
		{"a browser session's cookie", "GET /", "Cookie: __Host-Http-web=" + root + "\r\nAuthorization: Bearer " + h.Access, "", 400, unclear, "bad_request", 400},

		{"a page's origin", "GET /", "Origin: https://evil.example\r\nAuthorization: Bearer " + h.Access, "", 403, "", "csrf_failed", 403},
		{"a hidden origin", "GET /", "Origin: null\r\nAuthorization: Bearer " + h.Access, "", 403, "", "csrf_failed", 403},
		{"an empty origin", "GET /", "Origin: \r\nAuthorization: Bearer " + h.Access, "", 403, "", "csrf_failed", 403},
		{"two origins", "GET /", "Origin: " + gateway + "\r\nOrigin: " + gateway + "\r\nAuthorization: Bearer " + h.Access, "", 403, "", "csrf_failed", 403},
		{"a service worker's script", "GET /", "Service-Worker: script\r\nAuthorization: Bearer " + h.Access, "", 403, "", "csrf_failed", 403},
	} {
		method, target, _ := strings.Cut(row.line, " ")
		header := row.header
		if row.body != "" {
			header += itoa(len(row.body))
		}
		for path, status := range map[string]int{"/api": row.status, "/optional": row.optional} {
			a := w.raw(method + " " + path + strings.TrimPrefix(target, "/") + " HTTP/1.1\r\nHost: gw.example\r\n" + header + "\r\nConnection: close\r\n\r\n" + row.body)
			a.is(t, path+" with "+row.with, status)
			if status != row.status {
				if a.body != `"nobody"` {
					t.Errorf("%s with %s: %s", path, row.with, a.body)
				}
				continue
			}
			var p struct{ Code string }
			if err := json.Unmarshal([]byte(a.body), &p); status != 200 && (err != nil || p.Code != row.code) {
				t.Errorf("%s with %s: %s", path, row.with, a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); got != row.challenge {
				t.Errorf("%s with %s: challenge %q, want %q", path, row.with, got, row.challenge)
			}
			if strings.Contains(a.body, h.Access) || len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s with %s: %v %s", path, row.with, a.header, a.body)
			}
		}
	}
	w.call("GET", "/api", h.Access).is(t, "the handle after all that", 200)
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// shows NAT-TYPE (a handle of one app is that app's alone)
func TestTheAppOfAHandle(t *testing.T) {
	w := newWorld(t)
	cli := w.redeem("cli", listened, w.browser().code("cli", listened)).handles(t)
	if a := w.call("GET", "/api", cli.Access).is(t, "a call", 200); a.body != `"ann in cli"` {
		t.Error(a.body)
	}
	delete(w.apps, "cli") // an app that is not configured any more
	w.call("GET", "/api", cli.Access).is(t, "a call of no app", 401)
}

// What must be bound to a key is neither given out nor taken unbound.
func TestAnAppThatNeedsDPoP(t *testing.T) {
	w := newWorld(t)
	h, code := w.signedIn(), w.code()
	w.apps["phone"].Binding = bff.BindingRequired
	if a := w.call("GET", "/api", h.Access).is(t, "a call", 401); a.header.Get("WWW-Authenticate") != badOne {
		t.Error(a.header)
	}
	w.call("POST", "/mobile/logout", h.Access).is(t, "a sign-out, which would be told as done", 401)
	w.redeem("phone", claimed, code).refused(t, "a code", 400, "invalid_dpop_proof")
	w.rotate("phone", h.Refresh).refused(t, "a refresh handle, from which none leads to what is bound", 400, "invalid_grant")
	w.apps["phone"].Binding = bff.BindingOff
	w.redeem("phone", claimed, code).handles(t) // it was not looked at
}

func TestTheSessionAnswer(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	a := w.call("GET", "/mobile/session", h.Access).is(t, "the session", 200)
	var got struct {
		Authenticated bool
		User          map[string]string
		Session       map[string]any
		LogoutURL     *string `json:"logout_url"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || !got.Authenticated || got.User["email"] != "ann@example.com" || got.User["internal_role"] != "" ||
		got.Session["id"] != h.Session["id"] || got.Session["idle_expires_in"] != 1209600.0 || got.LogoutURL != nil {
		t.Errorf("%v: %s", err, a.body)
	}
	w.advance(14 * time.Minute)
	a = w.call("GET", "/mobile/session", h.Access)
	if a.is(t, "later", 200); !strings.Contains(a.body, `"idle_expires_in":1208760`) {
		t.Errorf("asking who is signed in moved the idle end: %s", a.body)
	}
	w.advance(time.Minute)
	if a := w.call("GET", "/mobile/session", h.Access).is(t, "after the handle's life", 401); a.header.Get("WWW-Authenticate") != badOne {
		t.Error(a.header)
	}
	w.send("GET", "/mobile/session", "").is(t, "nobody", 401)
	w.redis.SetError("LOADING")
	a = w.call("GET", "/mobile/session", h.Access).is(t, "without a store", 503)
	w.redis.SetError("")
	if a.header.Get("WWW-Authenticate") != "" || a.header.Get("Retry-After") == "" {
		t.Errorf("an outage is no bad handle: %v", a.header)
	}
}

// A call moves the idle end, unless the app makes it on its own.
func TestActivity(t *testing.T) {
	w := newWorld(t, func(w *world) { w.apps["phone"].AccessLife, w.apps["phone"].Idle = 24*time.Hour, time.Hour })
	h := w.signedIn()
	idle := func() int {
		var got struct {
			Session struct {
				Left int `json:"idle_expires_in"`
			}
		}
		if err := json.Unmarshal([]byte(w.call("GET", "/mobile/session", h.Access).body), &got); err != nil {
			t.Fatal(err)
		}
		return got.Session.Left
	}
	w.advance(30 * time.Minute)
	w.send("GET", "/api", "", "Authorization", "Bearer "+h.Access, "X-Background", "1").is(t, "on its own", 200)
	w.send("GET", "/api", "", "X-Background", "1").is(t, "nobody", 401)
	if got := idle(); got != 1800 {
		t.Errorf("%d seconds are left", got)
	}
	w.advance(time.Minute) // so that a touch by the call above would show in the end
	w.call("GET", "/optional", h.Access).is(t, "a call", 200)
	within(t, "the touch", w.touched)
	if got := idle(); got != 3600 || len(w.touched) != 0 {
		t.Errorf("%d seconds are left", got)
	}
}

// Ended gives what is over its challenge, and nothing else.
func TestEnded(t *testing.T) {
	w := newWorld(t)
	for code, want := range map[bff.Code]bool{
		bff.CodeSessionEnded: true, bff.CodeSessionExpired: true, bff.CodeSessionRequired: true,
		bff.CodeStoreUnavailable: false, bff.CodeUpstreamRefused: false, bff.CodeIDPUnavailable: false,
	} {
		err := w.surface.Ended(httptest.NewRequest("GET", "/", nil), &bff.Error{Code: code})
		_, plain := err.(*bff.Error)
		if bff.CodeOf(err) != code || plain == want {
			t.Errorf("%s: %T", code, err)
		}
	}
	if w.surface.Ended(httptest.NewRequest("GET", "/", nil), nil) != nil {
		t.Error("nothing became an error")
	}
}

// shows NAT-8.12, CSRF-1 (the list is fixed)
func TestEndpoints(t *testing.T) {
	w := newWorld(t)
	var got []string
	for _, e := range w.surface.Endpoints() {
		got = append(got, e.Method+" "+e.Path)
		if safe := e.Method == "GET"; !safe && e.Defence == "" {
			t.Errorf("%s %s has no defence", e.Method, e.Path)
		}
	}
	want := strings.Fields(strings.ReplaceAll(`
		GET_/mobile/authorize GET_/mobile/callback/{app} GET_/mobile/logout/{ticket} GET_/mobile/logged-out
		POST_/mobile/callback/{app} POST_/mobile/logout/{ticket}
		GET_/.well-known/oauth-authorization-server/mobile GET_/mobile/.well-known/openid-configuration GET_/mobile/jwks
		GET_/mobile/session GET_/mobile/sessions GET_/mobile/events DELETE_/mobile/sessions DELETE_/mobile/sessions/{id} POST_/mobile/par POST_/mobile/token POST_/mobile/revoke POST_/mobile/logout
		POST_/mobile/backchannel-logout GET_/mobile/frontchannel-logout GET_/open/phone`, "\t", " "))
	if strings.Join(got, "\n") != strings.ReplaceAll(strings.Join(want, "\n"), "_", " ") {
		t.Errorf("endpoints:\n%s", strings.Join(got, "\n"))
	}
	// None of them takes a password, or the provider's own code from an app.
	for _, form := range []url.Values{
		{"grant_type": {"password"}, "client_id": {"phone"}, "username": {"ann"}, "password": {"x"}},
		{"grant_type": {"authorization_code"}, "client_id": {"phone"}, "code": {providerCode}, "code_verifier": {verifier}, "redirect_uri": {w.apps["phone"].RedirectURI}},
	} {
		w.post("/mobile/token", form).is(t, form.Get("grant_type"), 400)
	}
	w.post("/mobile/callback/phone", url.Values{"code": {providerCode}, "state": {"s"}}).is(t, "the provider's code by an app", 403)
}
