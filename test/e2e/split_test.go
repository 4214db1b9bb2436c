//go:build integration

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

// wwwOrigin is where the pages of an app stand whose gateway is at world.Origin; siblingOrigin is a host of the same site where
// another app lives.
const (
	wwwOrigin     = "http://www.web.localhost"
	siblingOrigin = "http://docs.web.localhost"
)

// lavish is an API that would open itself to everybody.
type lavish struct {
	mu  sync.Mutex
	got []string // method and path of each request
}

func (a *lavish) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	a.got = append(a.got, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Credentials", "false")
	h.Set("Access-Control-Allow-Methods", "TRACE")
	h.Set("Access-Control-Expose-Headers", "*")
	h.Set("Vary", "Accept-Language")
	switch {
	case r.Header.Get("Upgrade") != "":
		websocket.Take(w).Switch(r)
	case strings.HasSuffix(r.URL.Path, "/none"):
		http.Error(w, "no such order", http.StatusNotFound)
	default:
		_, _ = io.WriteString(w, "read")
	}
}

func (a *lavish) hits() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.got) }

// newSplit is an app whose pages stand at www, with routes of every kind to a lavish API.
func newSplit(t *testing.T) (*probe, *lavish) {
	t.Helper()
	api := &lavish{}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	files := t.TempDir()
	if err := os.WriteFile(filepath.Join(files, "index.html"), []byte("<title>at the gateway</title>"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &probe{World: world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.AccessLife = 10 * time.Minute }, // no refresh gets between an attack and what it shows
		App: fmt.Sprintf("    allowed_origins: [%q]\n    static: {dir: %q}\n    login: {default_return: %q}\n    post_logout: %q",
			wwwOrigin, files, wwwOrigin+"/home", wwwOrigin+"/bye"),
		Apps: fmt.Sprintf("  docs: {kind: spa, origin: %q, provider: main, client_id: webc_2, client_secret: the-secret-of-docs}\n"+
			"  cli: {kind: desktop, provider: main, client_id: nativec_1, client_secret: the-secret-of-cli, redirect_uris: [\"http://127.0.0.1/cb\"]}", siblingOrigin),
		Routes: fmt.Sprintf(`  - {path: /lavish/, upstream: %[1]q, methods: [GET, PUT, POST], token: user, body_bytes: 10}
  - {path: /free/, upstream: %[1]q, methods: [GET], token: none}
  - {path: /files/, upstream: %[1]q, methods: [GET], token: user, guard: origin}
  - {path: /live, upstream: %[1]q, methods: [GET], token: user, websocket: true}
  - {path: /page/, upstream: %[1]q, methods: [GET, POST], token: user, kind: site, apps: [web]}
  - {path: /theirs/, upstream: %[1]q, methods: [GET], token: user, apps: [docs]}
  - {path: /few/, upstream: %[1]q, methods: [GET], token: none, limits: [{by: address, count: 1, per: 24h}]}
  - {path: /beside/, methods: [GET], token: user, external: true}
  - {path: /both/, upstream: %[1]q, methods: [GET], token: none}
  - {path: /both/, upstream: %[1]q, methods: [PUT], token: user}
  - {path: /dead/, upstream: "http://127.0.0.1:1", methods: [GET], token: user}`, srv.URL),
		More: "external_auth: {listen: \"127.0.0.1:0\", token: " + askerCredential + "}",
	})}
	p.in = p.Start(1, "CLOAKROOM_PUBLIC__URL="+publicOrigin)[0]
	p.user = p.Browser()
	p.SignIn(p.user, "/")
	c, _ := p.user.Cookie(world.Origin, sessionCookie)
	p.cookie = c.Value
	return p, api
}

// calling are the lines of a call by a script of a page at an origin.
func calling(origin string) []string {
	return []string{"Origin: " + origin, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "X-CSRF: 1"}
}

// A person signs in from pages at another origin, which then call, listen and sign out, as a browser lets them.
//
// shows CORS-1, CORS-2, CSRF-3, WS-1, RET-1 (a listed origin)
func TestAnAppWhosePagesStandElsewhere(t *testing.T) {
	t.Parallel()
	p, api := newSplit(t)
	b := p.Browser()
	b.HoldAt(func(u *url.URL) bool { return u.Host == "www.web.localhost" }) // nobody serves it here
	www := browser.At(wwwOrigin + "/")
	call := func(method, path string, header http.Header) (*browser.Page, error) {
		if header == nil {
			header = http.Header{"X-Csrf": {"1"}}
		}
		return b.Fetch(www, browser.Request{Method: method, URL: world.Origin + path, Header: header, Credentials: "include"})
	}
	want := func(method, path string, status int, holds string) *browser.Page {
		t.Helper()
		got, err := call(method, path, nil)
		if err != nil || got.Status != status || !strings.Contains(string(got.Body), holds) {
			t.Fatalf("%s %s: %v, %+v", method, path, err, got)
		}
		return got
	}
	want("GET", "/bff/session", 200, `"authenticated":false`)
	want("GET", "/lavish/a", 401, "session_required")
	page, err := b.Click(www, world.Origin+"/bff/login?return_to="+url.QueryEscape(wwwOrigin+"/orders?x=1"))
	if err != nil {
		t.Fatal(err)
	}
	page = p.OP.SignIn(t, b, page)
	if !page.Unsent || page.URL != wwwOrigin+"/orders?x=1" {
		t.Fatalf("signed in, and came to %s: %d\n%s", page.URL, page.Status, page.Text())
	}
	want("GET", "/bff/session", 200, `"authenticated":true`)
	want("POST", "/bff/session/extend", 200, `"authenticated":true`)
	want("GET", "/bff/sessions", 200, `"current":true`)
	want("GET", "/lavish/a", 200, "read")
	want("PUT", "/lavish/a", 200, "read")
	want("GET", "/files/a", 200, "read")
	want("GET", "/free/a", 200, "read")
	want("GET", "/lavish/none", 404, "no such order")
	want("GET", "/dead/a", 502, "upstream_unavailable")
	for path, q := range map[string]browser.Request{
		"a method that is not the route's":  {Method: "DELETE", URL: world.Origin + "/lavish/a", Header: http.Header{"X-Csrf": {"1"}}},
		"a picture":                         {URL: world.Origin + "/files/a", Mode: "no-cors", Dest: "image"},
		"a file of the gateway's":           {URL: world.Origin + "/"},
		"a page of a server-rendered app's": {URL: world.Origin + "/page/a"},
		"another app's route":               {URL: world.Origin + "/theirs/a", Header: http.Header{"X-Csrf": {"1"}}},
		"another app":                       {URL: siblingOrigin + "/bff/session", Header: http.Header{"X-Csrf": {"1"}}},
		"the start of a sign-in":            {URL: world.Origin + "/bff/login"},
	} {
		q.Credentials = "include"
		if got, err := b.Fetch(www, q); err == nil && got.Status != 403 {
			t.Errorf("%s is read: %d %s", path, got.Status, got.Body)
		}
	}
	for _, from := range []string{siblingOrigin, "http://web.localhost:8080", "http://evil.localhost"} {
		q := browser.Request{URL: world.Origin + "/lavish/a", Header: http.Header{"X-Csrf": {"1"}}, Credentials: "include"}
		if got, err := b.Fetch(browser.At(from+"/"), q); err == nil {
			t.Errorf("a page at %s reads %d %s", from, got.Status, got.Body)
		}
	}
	p.splitStreams(t, b, www)
	left := want("POST", "/bff/logout", 200, `"redirect_to":"`+world.Origin+`/bff/logout/`)
	ticket := strings.TrimSuffix(strings.TrimPrefix(string(left.Body), `{"redirect_to":"`), "\"}")
	if page, err = b.Click(www, ticket); err != nil {
		t.Fatal(err)
	}
	if !page.Unsent || page.URL != wwwOrigin+"/bye" {
		t.Errorf("signed out, and came to %s: %d\n%s", page.URL, page.Status, page.Text())
	}
	want("GET", "/lavish/a", 401, "session_required")
	for _, asked := range api.got {
		if strings.HasPrefix(asked, "OPTIONS") {
			t.Errorf("the API was asked %s", asked)
		}
	}
	p.Leaks()
}

// splitStreams opens the live connections of a page at another origin.
func (p *probe) splitStreams(t *testing.T, b *browser.Browser, www *browser.Page) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	events, err := b.Open(ctx, www, browser.Request{URL: world.Origin + "/bff/events", Credentials: "include", Header: http.Header{"Accept": {"text/event-stream"}}})
	if err != nil || events.StatusCode != 200 {
		t.Fatalf("events: %v, %+v", err, events)
	}
	_ = events.Body.Close()
	for from, status := range map[string]int{wwwOrigin: 101, world.Origin: 101, siblingOrigin: 403, "null": 403, wwwOrigin + ".evil": 403} {
		h, err := b.RequestHeader(browser.At(wwwOrigin+"/"), browser.Request{URL: world.Origin + "/live", Mode: "websocket", Dest: "websocket", Credentials: "include"})
		if err != nil {
			t.Fatal(err)
		}
		site := "Sec-Fetch-Site: same-site"
		if from == world.Origin {
			site = "Sec-Fetch-Site: same-origin"
		}
		conn, resp := websocket.Open(t, p.in.Addr, websocket.Handshake(appHost, "/live", "Origin: "+from, site, "Cookie: "+h.Get("Cookie")))
		if _ = conn.Close(); resp.StatusCode != status {
			t.Errorf("a handshake of %s: %d, want %d", from, resp.StatusCode, status)
		}
	}
}

// Every address tells listed origins what it takes, tells the others nothing, and lets refusals be read.
//
// shows CORS-1, CORS-2 (a listed origin)
func TestWhatAnotherOriginMayRead(t *testing.T) {
	t.Parallel()
	p, api := newSplit(t)
	p.send(t, "GET", "/few/a") // what is left of the limit
	before := api.hits()
	const none = ""
	for _, row := range []struct {
		method, path string
		status       int
		code         string
		methods      string // what a preflight is told; none: it is refused
	}{
		{"GET", "/bff/session", 200, "", "GET"},
		{"GET", "/bff/sessions", 200, "", "GET, DELETE"},
		{"DELETE", "/bff/sessions/nobody", 404, "not_found", "DELETE"},
		{"PATCH", "/bff/session", 405, "method_not_allowed", "GET"},
		{"POST", "/bff/session/extend", 200, "", "POST"},
		{"GET", "/lavish/none", 404, "", "GET, PUT, POST"},
		{"PUT", "/both/a", 200, "", "PUT"},
		{"DELETE", "/lavish/a", 405, "method_not_allowed", "GET, PUT, POST"},
		{"GET", "/dead/a", 502, "upstream_unavailable", "GET"},
		{"GET", "/few/a", 429, "rate_limited", "GET"},

		{"GET", "/bff/login", 403, "csrf_failed", none},
		{"GET", "/bff/callback", 403, "csrf_failed", none},
		{"GET", "/bff/landed", 403, "csrf_failed", none},
		{"GET", "/bff/logged-out", 403, "csrf_failed", none},
		{"GET", "/bff/logout", 403, "csrf_failed", "POST"},
		{"GET", "/bff/logout/ticket", 403, "csrf_failed", none},
		{"POST", "/bff/backchannel-logout", 400, "", none},
		{"GET", "/bff/nothing", 404, "not_found", none},
		{"GET", "/healthz", 200, "", none},
		{"GET", "/page/a", 403, "csrf_failed", none},
		{"GET", "/theirs/a", 403, "app_not_allowed", none},
		{"GET", "/beside/a", 404, "not_found", none},
		{"GET", "/", 200, "", none},
		{"GET", "/assets/app.js", 404, "not_found", none},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			opened := row.methods == none || row.path == "/bff/logout"
			for _, cookie := range []bool{true, false} {
				lines := calling(wwwOrigin)
				if cookie {
					lines = p.withCookie(lines)
				}
				got := p.send(t, row.method, row.path, lines...)
				if cookie && (got.Status != row.status || row.code != "" && got.code() != row.code) {
					t.Errorf("%d %q, want %d %q: %s", got.Status, got.code(), row.status, row.code, got.Body)
				}
				readBy(t, got, map[bool]string{false: wwwOrigin}[opened])
			}
			ask := []string{"Access-Control-Request-Method: " + row.method, "Access-Control-Request-Headers: x-csrf", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-site"}
			got := p.send(t, "OPTIONS", row.path, with(ask, "Origin: "+wwwOrigin)...)
			if told := got.Header.Get("Access-Control-Allow-Methods"); told != row.methods || (got.Status == 204) != (told != none) || got.Status == 204 && got.Body != "" {
				t.Errorf("a preflight: %d %q %v", got.Status, told, got.Header)
			}
			readBy(t, got, map[bool]string{true: wwwOrigin}[row.methods != none])
			for _, from := range []string{siblingOrigin, "null", "*", wwwOrigin + ".evil", wwwOrigin + ":80", wwwOrigin + "/", wwwOrigin + ".", "https://www.web.localhost", "http://WWW.web.localhost", "http://u@www.web.localhost", "http://web.localhost:81"} {
				got := p.send(t, "OPTIONS", row.path, with(ask, "Origin: "+from)...)
				if readBy(t, got, ""); got.Status/100 == 2 || row.methods != none && got.Status != 403 {
					t.Errorf("a preflight of %s: %d", from, got.Status)
				}
				readBy(t, p.send(t, row.method, row.path, p.withCookie(calling(from))...), "")
			}
			readBy(t, p.send(t, row.method, row.path, p.withCookie(calling(wwwOrigin), "Origin: "+wwwOrigin)...), "")
		})
	}
	if n := api.hits() - before; n != 2 { // by the two calls that were let through
		t.Errorf("the API was asked %d times: %q", n, api.got[before:])
	}
	for _, path := range []string{"/mobile/session", "/mobile/token", "/.well-known/oauth-authorization-server/mobile", "/lavish/a", "/free/a"} {
		for _, method := range []string{"OPTIONS", "GET", "POST"} { // the native surface is nobody's page
			lines := with(calling(wwwOrigin), "Host: gw.localhost", "Access-Control-Request-Method: POST")
			readBy(t, p.sendTo(t, p.in, method, path, "", lines...), "")
		}
	}
	large := p.sendTo(t, p.in, "POST", "/lavish/a", strings.Repeat("x", 11), append(p.withCookie(calling(wwwOrigin)), "Host: "+appHost)...)
	if large.is(t, 413, "too_large"); large.Header.Get("Access-Control-Allow-Origin") != wwwOrigin {
		t.Errorf("413: %v", large.Header)
	}
	p.splitOutage(t)
}

// readBy fails unless an answer may be read by scripts of one origin alone, "" nobody's, and nothing of the API's own says else.
func readBy(t *testing.T, got reply, origin string) {
	t.Helper()
	if all := got.Header.Values("Access-Control-Allow-Origin"); len(all) > 1 || got.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("may be read by %q, want %q", all, origin)
	}
	if told := strings.Join(slices.Concat(got.Header["Access-Control-Allow-Methods"], got.Header["Access-Control-Expose-Headers"]), ","); strings.ContainsAny(told, "*") || strings.Contains(told, "TRACE") {
		t.Errorf("of the API's own: %q", told)
	}
	if credentials := got.Header.Get("Access-Control-Allow-Credentials"); (credentials == "true") != (origin != "") || credentials == "false" {
		t.Errorf("credentials %q", credentials)
	}
	if origin != "" && !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("Vary %q", got.Header.Values("Vary"))
	}
}

// splitOutage: an outage is told to the app's pages as one, and varies by origin where nobody says one.
func (p *probe) splitOutage(t *testing.T) {
	t.Helper()
	free := p.send(t, "GET", "/free/a")
	if readBy(t, free, ""); !strings.Contains(strings.Join(free.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("an open route: Vary %q", free.Header.Values("Vary"))
	}
	plain := p.send(t, "GET", "/")
	if strings.Contains(strings.Join(plain.Header.Values("Vary"), ","), "Origin") {
		t.Errorf("a file: Vary %q", plain.Header.Values("Vary"))
	}
	p.Redis.Kill()
	down := p.send(t, "GET", "/bff/session", p.withCookie(calling(wwwOrigin))...)
	down.is(t, 503, "store_unavailable")
	readBy(t, down, wwwOrigin)
}
