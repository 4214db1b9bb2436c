//go:build integration

// Package nginx_test shows the gateway beside a real nginx, on the configuration that deploy/nginx documents.
package nginx_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// The main job through nginx: sign in, call the API with the session's token, which is refreshed on the way, at whichever
// gateway nginx asks; sign out, and the cookie is nothing from that moment on. Nowhere a secret, in nginx's log neither.
//
// shows PRX-AUTHZ, RPL-LOCAL, REF-6, LOG-1
func TestOneSignInWhereNginxAsks(t *testing.T) {
	t.Parallel()
	w := newBeside(t, nil) // access tokens of three seconds
	b := w.Browser()
	w.refused(w.Fetch(b, "GET", "/beside/orders", ""), 401, "session_required")
	if told := w.refused(w.Fetch(b, "GET", "/beside/orders", ""), 401, "session_required"); told.LoginURL != "/bff/login" {
		t.Errorf("login_url %q", told.LoginURL)
	}
	if _, n := w.api.last(); n != 0 {
		t.Fatalf("the API was asked %d times for a stranger", n)
	}
	if page := w.SignIn(b, "/orders?x=1"); page.URL != world.Origin+"/orders?x=1" {
		t.Fatalf("signed in and at %s: %d %s", page.URL, page.Status, page.Text())
	}
	first, tokens := "", map[string]bool{}
	for deadline := time.Now().Add(30 * time.Second); len(tokens) < 2; {
		w.Want(w.Fetch(b, "GET", "/beside/orders?page=2", ""), 200)
		got, _ := w.api.last()
		first = cmp.Or(first, got.Header.Get("Authorization"))
		tokens[got.Header.Get("Authorization")] = true
		if !w.isToken(got.Header.Get("Authorization")) || got.Header.Get("X-Forwarded-User") != "usr_1001" || got.URI != "/beside/orders?page=2" {
			t.Fatalf("the API got %s with %v", got.URI, got.Header)
		}
		if time.Now().After(deadline) {
			t.Fatal("the token was never refreshed")
		}
		<-time.After(200 * time.Millisecond)
	}
	if w.OP.Grants("refresh_token") == 0 {
		t.Error("another token came by no refresh")
	}
	w.Want(w.Fetch(b, "POST", "/beside/orders", `{"item":"tea"}`), 200)
	got, _ := w.api.last()
	if token := got.Header.Get("Authorization"); token == first || !w.isToken(token) || got.Method != "POST" || got.Header.Get("Cookie") != "" || got.Header.Get("X-Csrf") != "" {
		t.Errorf("after the refresh the API got %s with %v", got.Method, got.Header)
	}
	old, _ := b.Cookie(world.Origin, "__Host-Http-web")
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	_, n := w.api.last()
	for range 4 { // both gateways are asked
		b.StoreCookie(world.Origin, "__Host-Http-web="+old.Value+"; Path=/; Secure; HttpOnly; SameSite=Strict")
		w.refused(w.Fetch(b, "GET", "/beside/orders", ""), 401, "session_ended")
	}
	if _, after := w.api.last(); after != n {
		t.Error("the API was asked after the sign-out")
	}
	w.Scan.Observe("log", "nginx", []byte(w.nginx.Log()))
	w.Leaks()
}

// longLived keeps one token for the whole of a test.
func longLived(b *provider.Behaviour) { b.AccessLife = time.Hour }

// What a refusal becomes: the gateway's status and problem, for a page's script as at the gateway itself; for a navigation
// the sign-in, which comes back to the page. A write from elsewhere passes no guard.
//
// shows CSRF-1, CSRF-3
func TestWhatNginxMakesOfARefusal(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	page, err := b.Navigate(world.Origin + "/beside/pages/a?x=1")
	if err != nil {
		t.Fatal(err)
	}
	if first := page.Hops[0]; first.Status != 303 || first.Header.Get("Location") != "/bff/login?return_to=%2Fbeside%2Fpages%2Fa%3Fx%3D1" {
		t.Errorf("a navigation was answered by %d %v", first.Status, first.Header)
	}
	if page = w.OP.SignIn(t, b, page); page.Status != 200 || page.URL != world.Origin+"/beside/pages/a?x=1" {
		t.Fatalf("a navigation came to %d %s", page.Status, page.URL)
	}
	home, elsewhere := browser.At(world.Origin+"/"), browser.At("http://evil.localhost/")
	ask := func(from *browser.Page, q browser.Request) *browser.Page {
		t.Helper()
		p, err := b.Fetch(from, q)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	_, n := w.api.last()
	w.refused(ask(home, browser.Request{URL: world.Origin + "/beside/orders"}), 403, "csrf_failed")
	w.refused(ask(elsewhere, browser.Request{Method: "POST", URL: world.Origin + "/beside/pages/a", Mode: "no-cors", Credentials: "include"}), 401, "session_required")
	b.StoreCookie(world.Origin, "__Host-Http-web=x; Path=/; Secure; HttpOnly; SameSite=None") // as if SameSite were no help
	w.refused(ask(elsewhere, browser.Request{Method: "POST", URL: world.Origin + "/beside/pages/a", Mode: "no-cors", Credentials: "include"}), 403, "csrf_failed")
	if _, err := b.Fetch(elsewhere, browser.Request{URL: world.Origin + "/beside/orders", Header: http.Header{"X-Csrf": {"1"}}}); err == nil {
		t.Error("a page of another origin passed its preflight")
	}
	if _, after := w.api.last(); after != n {
		t.Error("the API heard of a refused request")
	}
}

// Signed in, each kind of refusal has its own status and code; who need not be signed in is let through without a token.
func TestWhatNginxMakesOfEachKindOfRoute(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	w.Want(w.Fetch(b, "GET", "/beside/guest/x", ""), 200)
	if got, _ := w.api.last(); got.Header.Get("Authorization") != "" {
		t.Errorf("a guest got %q", got.Header.Get("Authorization"))
	}
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/beside/guest/x", ""), 200)
	if got, _ := w.api.last(); !w.isToken(got.Header.Get("Authorization")) {
		t.Errorf("a user got %q", got.Header.Get("Authorization"))
	}
	w.refused(w.Fetch(b, "GET", "/beside/roles/x", ""), 403, "claim_required")
	if p := w.Fetch(b, "PATCH", "/beside/orders", ""); p.Header.Get("Allow") == "" {
		t.Errorf("405 without Allow: %v", p.Header)
	} else {
		w.refused(p, 405, "method_not_allowed")
	}
	var last *browser.Page
	for range 6 { // two gateways, and a burst of two at each
		if last = w.Fetch(b, "GET", "/beside/few/x", ""); last.Status != 200 {
			break
		}
	}
	w.refused(last, 429, "rate_limited")
	if last.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	p := w.Fetch(b, "GET", "/beside/orders", "")
	if h := p.Header; h.Get("Cache-Control") != "no-store" || h.Get("Set-Cookie") != "" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("an API's answer has %v", h)
	}
	w.Leaks()
}

// Without one gateway the other is asked; without any nothing passes, whatever is sent.
func TestGatewayGone(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	w.SignIn(b, "/")
	w.All[0].Kill()
	for range 4 {
		w.Want(w.Fetch(b, "GET", "/beside/orders", ""), 200)
	}
	w.Redis.Stop()
	p := w.Fetch(b, "GET", "/beside/orders", "")
	w.refused(p, 503, "store_unavailable")
	w.All[1].Kill()
	_, n := w.api.last()
	for _, path := range []string{"/beside/orders", "/beside/guest/x", "/beside/pages/a"} {
		w.Want(w.Fetch(b, "GET", path, ""), 503)
	}
	if _, after := w.api.last(); after != n {
		t.Error("the API was asked although nobody could say whether it may be")
	}
}

// A native app's handle through nginx: the API gets the token in its place, and a handle that is none gets its challenge.
func TestNativeHandle(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	handle := w.phone(t)
	if res := w.call(t, "/beside/orders", "Authorization: Bearer "+handle); res.StatusCode != 200 {
		t.Fatalf("with a handle: %s", res.Status)
	}
	if got, _ := w.api.last(); !w.isToken(got.Header.Get("Authorization")) {
		t.Errorf("the API got %q", got.Header.Get("Authorization"))
	}
	_, n := w.api.last()
	res := w.call(t, "/beside/orders", "Authorization: Bearer "+handle[:len(handle)-2]+"xx")
	if got := res.Header.Values("Www-Authenticate"); res.StatusCode != 401 || len(got) != 1 || !strings.Contains(got[0], "invalid_token") {
		t.Errorf("a forged handle: %s, %q", res.Status, got)
	}
	if res := w.call(t, "/beside/orders", "Authorization: Bearer "+handle, "Origin: http://evil.localhost"); res.StatusCode != 403 {
		t.Errorf("a page with a handle: %s", res.Status)
	}
	if _, after := w.api.last(); after != n {
		t.Error("the API heard of a refused handle")
	}
	w.Leaks()
}

// call sends a GET of no browser's to the native surface's host.
func (b *beside) call(t *testing.T, path string, fields ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+b.nginx.Addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "gw.localhost"
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// phone signs in as a native app and returns its handle.
func (b *beside) phone(t *testing.T) string {
	t.Helper()
	verifier, page := b.authorize(t)
	code := page.Query().Get("code")
	if code == "" {
		t.Fatalf("no code in %s", page)
	}
	res, err := b.tokenRequest(code, verifier)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.AccessToken == "" {
		t.Fatalf("no handle: %s %v", res.Status, err)
	}
	b.Scan.Secret("handle", got.AccessToken)
	return got.AccessToken
}
