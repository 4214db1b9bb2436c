//go:build integration

package nginx_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cloakroom/bff/proxy"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// paths are what a script on the app's origin can reach, and ways that should not be any.
var paths = []string{
	"/", "/index.html", "/beside/orders", "/beside/guest/x", "/beside/pages/a", "/beside/accel", "/beside/roles/x", "/beside/live/x",
	"/_cloakroom", "/_cloakroom/", "/_cloakroom?x=1", "//_cloakroom", "/%5fcloakroom", "/./_cloakroom", "/beside/../_cloakroom",
	"/_cloakroom/../_cloakroom", "/@cloakroom_refused", "/_CLOAKROOM", "/_cloakroom;x", "/_cloakroom%00", "/_cloakroom%2f",
	"/nginx", "/traefik", "/envoy/beside/orders", "/bff/nginx", "/bff/envoy/beside/orders", "/bff/_cloakroom", "/api/orders", "/open/orders",
	"/bff/session", "/bff/session/extend", "/bff/sessions", "/bff/login", "/bff/callback", "/bff/landed", "/bff/logout/none", "/bff/logged-out",
	"/bff/signed-in", "/bff/initiate", "/bff/backchannel-logout", "/bff/frontchannel-logout", "/bff/client-keys", "/mobile/token",
	"/mobile/session", "/mobile/authorize", "/.well-known/oauth-authorization-server/mobile", "/.well-known/jwks.json", "/healthz", "/readyz",
	"/metrics", "/admin/sessions", "/debug/pprof", "/openapi.yaml",
}

// fields are what a script can set: what the asking proxy says of a request, what it is given, and what people try.
var fields = []http.Header{
	{},
	{"X-Csrf": {"1"}},
	{"Cloakroom-Credential": {credential}, "X-Csrf": {"1"}}, // as if it knew
	{"Cloakroom-Credential": {"x"}, "X-Original-Method": {"GET"}, "X-Original-Url": {world.Origin + "/beside/orders"}},
	{"X-Original-Uri": {"/beside/guest/x"}, "X-Original-Method": {"GET"}, "X-Csrf": {"1"}},
	{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"web.localhost"}, "X-Forwarded-Uri": {"/beside/guest/x"}},
	{"X-Rewrite-Url": {"/_cloakroom"}, "X-Accel-Redirect": {"/_cloakroom"}, "X-Http-Method-Override": {"GET"}, "X-Csrf": {"1"}},
	{"Authorization": {"Bearer x"}, "X-Csrf": {"1"}},
	{"X-Forwarded-User": {"usr_1002"}, "X_forwarded_user": {"usr_1002"}, "Forwarded": {"for=10.0.0.1"}, "X-Csrf": {"1"}},
	{"Sec-Fetch-Site": {"none"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Upgrade": {"websocket"}}, // which no page could
}

// A script on the app's own origin, signed in, calls every path that it can reach, with every field that it can set and some
// that it cannot: it never gets a token, or the credential, in whatever part of whatever answer. What it says of itself in the
// asking proxy's words changes nothing.
//
// shows PRX-AUTHZ, PRX-COOKIE, PRX-FWD
func TestScriptNeverGetsAToken(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	w.SignIn(b, "/")
	cookie, _ := b.Cookie(world.Origin, "__Host-Http-web")
	home, answers := browser.At(world.Origin+"/"), map[int]int{}
	for _, path := range paths {
		for i, h := range fields {
			for _, method := range []string{"GET", "POST", "OPTIONS", "HEAD"} {
				b.StoreCookie(world.Origin, "__Host-Http-web="+cookie.Value+"; Path=/; Secure; HttpOnly; SameSite=Strict")
				p, err := b.Fetch(home, browser.Request{Method: method, URL: world.Origin + path, Header: h.Clone(), Redirect: "manual"})
				if err != nil {
					t.Fatalf("%s %s with %v: %v", method, path, h, err)
				}
				answers[p.Status]++
				for _, name := range []string{"Authorization", "Cookie", "X-Forwarded-User", "Cloakroom-Credential", "Cloakroom-Status", "Cloakroom-Problem"} {
					if p.Header.Get(name) != "" {
						t.Errorf("%s %s with fields %d: answered with %s", method, path, i, name)
					}
				}
				if path == "/beside/accel" && method != "HEAD" && p.Status < 400 && string(p.Body) != `{"ok":true}` {
					t.Errorf("%s %s: nginx went where the API told it to: %d %.100s", method, path, p.Status, p.Body)
				}
				if path == "/_cloakroom" && p.Status != 404 { // nginx's own: the gateway is not even asked
					t.Errorf("%s %s with fields %d: %d", method, path, i, p.Status)
				}
				if strings.Contains(path, "_cloakroom") && p.Status < 400 {
					t.Errorf("%s %s with fields %d: %d", method, path, i, p.Status)
				}
			}
		}
	}
	w.wantHonest(t)
	t.Logf("%d paths, %d sets of fields, 4 methods; answers by status: %v", len(paths), len(fields), answers)
	w.Scan.Observe("log", "nginx", []byte(w.nginx.Log()))
	w.Leaks()
}

// wantHonest fails unless all that the API got was a user's or nobody's, as the gateway says and not as the frontend does.
func (b *beside) wantHonest(t *testing.T) {
	t.Helper()
	b.api.mu.Lock()
	defer b.api.mu.Unlock()
	if len(b.api.got) == 0 {
		t.Error("the API was never asked: nothing was tried")
	}
	for _, s := range b.api.got {
		if a := s.Header.Get("Authorization"); a != "" && !b.isToken(a) {
			t.Errorf("%s %s: the API got Authorization %q", s.Method, s.URI, a)
		}
		if u := s.Header.Get("X-Forwarded-User"); u != "" && u != "usr_1001" {
			t.Errorf("%s %s: the API got the user %q", s.Method, s.URI, u)
		}
		for name := range s.Header {
			if slices.Contains([]string{
				"Cookie", "Cloakroom-Credential", "X-Original-Url", "X-Original-Uri", "X-Original-Method", "Forwarded", "X-Csrf",
				"X_forwarded_user", "X-Http-Method-Override", "X-Rewrite-Url",
			}, name) {
				t.Errorf("%s %s: the API got %s", s.Method, s.URI, name)
			}
		}
	}
}

// targets are odd addresses, as bytes on the wire. %s is the route's path.
var targets = []string{
	"/beside/orders", "/beside/a%20b", "/beside/%41", "/beside/a;x=1", "/beside/%C3%A9", "/beside/?a=%2f", "/beside/x?y=?z",
	"/beside/a%2fb", "/beside%2forders", "/beside/%2e%2e/open/x", "/beside/../beside/orders", "/x/../beside/orders", "/beside/./orders",
	"/beside//orders", "//beside/orders", "/beside/orders//", "/beside/%252e", "/beside/%25", "/beside/%00", "/beside/a%0d%0ab", "/beside/a%5cb",
	"/beside/a\\b", "/beside/..;/open/x", "/beside/;/orders", "/beside/guest;x/orders", "/beside/guest/..%2forders", "/beside/guest/../orders",
	"/beside/a#b", "/beside/guest/x#/../../orders", "/beside/x?a#b", "/beside/\xc3\xa9", "/beside/%ff", "/beside/a%3fb", "/beside/a%23b",
	"/BESIDE/orders", "/beside", "/beside.", "/beside/%2E", "/besides", "/beside/guest%2f..%2forders", "/beside/guest/%2e%2e/orders",
	"http://web.localhost/beside/orders", "http://gw.localhost/beside/orders", "http://web.localhost/beside/guest/../orders",
}

// Whatever an address looks like, what the gateway judged is what the API gets, byte for byte; whatever nginx would read as
// another path is refused. So no spelling leads past the rule of the longer path, guest's or any other.
//
// shows PRX-PATH, PRX-HOST
func TestNoTwoReadingsOfAPath(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	w.SignIn(b, "/")
	cookie, _ := b.Cookie(world.Origin, "__Host-Http-web")
	passed := 0
	for _, target := range targets {
		for _, who := range []string{"", "Cookie: __Host-Http-web=" + cookie.Value + "\r\n"} {
			_, before := w.api.last()
			status := w.raw(t, "GET "+target+" HTTP/1.1\r\nHost: web.localhost\r\nX-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n"+who+"Connection: close\r\n\r\n")
			got, after := w.api.last()
			if after == before {
				continue
			}
			passed++
			path := strings.TrimPrefix(strings.TrimPrefix(target, "http://web.localhost"), "http://gw.localhost")
			asked, _, _ := strings.Cut(path, "?")
			clean, err := proxy.CleanPath(asked)
			switch {
			case got.URI != path || err != nil || clean != asked:
				t.Errorf("%q: the API got %q", target, got.URI)
			case who == "" && !strings.HasPrefix(path, "/beside/guest/"):
				t.Errorf("%q: passed without a session, %d", target, status)
			case who != "" && !w.isToken(got.Header.Get("Authorization")):
				t.Errorf("%q: passed with %q", target, got.Header.Get("Authorization"))
			}
		}
	}
	if passed < 7 {
		t.Errorf("%d of the addresses passed: those that are sound should", passed)
	}
	w.Scan.Secret("session-cookie", cookie.Value)
	w.Leaks()
}

// raw sends bytes to nginx and returns the answer's status; 0 where there is none.
func (b *beside) raw(t *testing.T, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", b.nginx.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	place := fmt.Sprintf("raw %.60q", request)
	b.Scan.Observe(place, "body", body)
	for name, values := range res.Header {
		b.Scan.Observe(place, "header "+name, []byte(strings.Join(values, "\n")))
	}
	return res.StatusCode
}
