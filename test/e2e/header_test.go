//go:build integration

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// walk asks every own endpoint and every way to an error that a request alone can take, and names what it asked.
func (p *probe) walk(t *testing.T, tell func(name string, got reply)) {
	t.Helper()
	ask := func(name, method, path string, lines ...string) {
		tell(name, p.sendTo(t, p.in, method, path, "", with(lines, "Host: "+appHost)...))
	}
	bearer := "Authorization: Bearer x"
	ask("login", "GET", "/bff/login", opened...)
	ask("login from elsewhere", "GET", "/bff/login", arriving...)
	ask("login refused", "GET", "/bff/login?return_to=//evil.example", opened...)
	ask("login refused to a script", "GET", "/bff/login", fetched...)
	ask("login by HEAD", "HEAD", "/bff/login", opened...)
	ask("callback without anything", "GET", "/bff/callback", arriving...)
	ask("callback unreadable", "GET", "/bff/callback?code=a&code=b", arriving...)
	ask("callback by POST", "POST", "/bff/callback", arriving...)
	ask("landed without a cookie", "GET", "/bff/landed", navigated("same-origin")...)
	ask("landed", "GET", "/bff/landed", p.withCookie(navigated("same-origin"))...)
	ask("landed from elsewhere", "GET", "/bff/landed", p.withCookie(arriving)...)
	ask("session of nobody", "GET", "/bff/session", fetched...)
	ask("session", "GET", "/bff/session", p.withCookie(fetched)...)
	ask("session unguarded", "GET", "/bff/session", p.withCookie(nil)...)
	ask("session by a navigation", "GET", "/bff/session", p.withCookie(opened)...)
	ask("session by POST", "POST", "/bff/session", p.withCookie(fetched)...)
	ask("extend", "POST", "/bff/session/extend", p.withCookie(fetched)...)
	ask("extend by nobody", "POST", "/bff/session/extend", fetched...)
	ask("logout unguarded", "POST", "/bff/logout", p.withCookie(nil)...)
	ask("logout of nobody", "POST", "/bff/logout", fetched...)
	ask("logout of nobody by a form", "POST", "/bff/logout", navigated("same-origin")...)
	ask("logout by a link without token", "GET", "/bff/logout", p.withCookie(opened)...)
	ask("one-time address that is none", "GET", "/bff/logout/none", opened...)
	ask("logged out", "GET", "/bff/logged-out", arriving...)
	ask("unknown own path", "GET", "/bff/unknown", fetched...)
	ask("unknown path", "GET", "/unknown", fetched...)
	ask("unknown path by a navigation", "GET", "/unknown", opened...)
	ask("malformed path", "GET", "/api/%2e%2e/x", p.withCookie(fetched)...)
	ask("malformed path by a navigation", "GET", "/api/%2e%2e/x", p.withCookie(opened)...)
	ask("unlisted method", "DELETE", "/api/orders", p.withCookie(fetched)...)
	ask("route by nobody", "GET", "/api/orders", fetched...)
	ask("route by nobody, navigating", "GET", "/api/orders", opened...)
	ask("route unguarded", "GET", "/api/orders", p.withCookie(nil)...)
	ask("route with a dead cookie", "GET", "/api/orders", cookied(fetched, strings.Repeat("A", 43))...)
	ask("route with a token in the query", "GET", "/api/orders?access_token=x", p.withCookie(fetched, bearer)...)
	ask("loop", "GET", "/api/orders", p.withCookie(fetched, "Via: 1.1 cloakroom")...)
	ask("WebSocket on a route without", "GET", "/api/orders", p.withCookie(fetched, "Connection: Upgrade", "Upgrade: websocket")...)
	ask("upstream that is down", "GET", "/down/x", p.withCookie(fetched)...)
	ask("upstream that is down, navigating", "GET", "/down/x", p.withCookie(opened)...)
	ask("answer of the API", "GET", "/api/orders", p.withCookie(fetched)...)
	ask("error of the API", "GET", "/api/status/500", p.withCookie(fetched)...)
	tell("unknown host", p.sendTo(t, p.in, "GET", "/api/orders", "", with(fetched, "Host: evil.example")...))
	tell("unknown host, navigating", p.sendTo(t, p.in, "GET", "/", "", with(opened, "Host: evil.example")...))
}

// downRoute leads to a port that nothing listens on.
const downRoute = `  - {path: /down/, upstream: "http://127.0.0.1:1", methods: [GET], token: none}`

// Every answer of the gateway's own says how it is to be kept, framed and read.
//
// shows HDR-CACHE, HDR-CSP, HDR-SEC (over http: all but HSTS)
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{Routes: downRoute})
	p.walk(t, func(name string, got reply) {
		t.Run("the answer to: "+name, func(t *testing.T) {
			h := got.Header
			for field, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if h.Get(field) != want || len(h.Values(field)) != 1 {
					t.Errorf("%d: %s is %q, want %q", got.Status, field, h.Values(field), want)
				}
			}
			if h.Get("X-Request-Id") == "" {
				t.Error("no X-Request-Id")
			}
			for _, field := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Www-Authenticate"} {
				if h.Get(field) != "" {
					t.Errorf("%s: %q", field, h.Get(field))
				}
			}
			byAPI := strings.Contains(name, "of the API")
			if !byAPI && h.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("Referrer-Policy: %q", h.Get("Referrer-Policy"))
			}
			if !byAPI && !strings.Contains(h.Get("Vary"), "Cookie") {
				t.Errorf("Vary: %q", h.Get("Vary"))
			}
			checkContent(t, got)
		})
	})
	p.alive(t)
	p.Leaks()
}

// checkContent holds a body against its type: pages load and frame nothing, and what has a body says what it is.
func checkContent(t *testing.T, got reply) {
	t.Helper()
	kind, csp := got.Header.Get("Content-Type"), got.Header.Get("Content-Security-Policy")
	if got.Body != "" && kind == "" {
		t.Error("a body without a type")
	}
	if !strings.HasPrefix(kind, "text/html") {
		return
	}
	for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
		if !strings.Contains(csp, directive) {
			t.Errorf("the policy lacks %q: %s", directive, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("the policy is open: %s", csp)
	}
	if got.Header.Get("X-Frame-Options") != "DENY" || got.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" || !strings.Contains(kind, "charset=utf-8") {
		t.Errorf("page: %v", got.Header)
	}
	if m := foreignContent.FindString(got.Body); m != "" {
		t.Errorf("content from elsewhere on the page: %s", m)
	}
}

// foreignContent finds what a page would load, or run from an attribute.
var foreignContent = regexp.MustCompile(`(?i)<(img|iframe|link|object|embed|base)\b|\ssrc=|\son[a-z]+=`)

// A problem has the same shape everywhere, and no words but ours.
//
// shows ERR-9457
func TestProblemsOfEveryError(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{Routes: downRoute})
	codes := map[string]bool{}
	p.walk(t, func(name string, got reply) {
		if got.Status < 400 || strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") || strings.Contains(name, "of the API") || got.Body == "" {
			return
		}
		t.Run("the problem of: "+name, func(t *testing.T) {
			var problem struct {
				Type, Title, Detail, Instance, Code string
				Status                              int
				RequestID                           string `json:"request_id"`
			}
			if kind := got.Header.Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("type %q", kind)
			}
			if err := json.Unmarshal([]byte(got.Body), &problem); err != nil {
				t.Fatalf("%v: %s", err, got.Body)
			}
			id := got.Header.Get("X-Request-Id")
			if problem.Status != got.Status || problem.Code == "" || problem.Title == "" || problem.RequestID != id ||
				!strings.HasSuffix(problem.Type, ":"+problem.Code) || !strings.HasSuffix(problem.Instance, id) {
				t.Errorf("%d %s", got.Status, got.Body)
			}
			for _, internal := range []string{"127.0.0.1", "redis", "dial", "goroutine", ".go:", "evil", p.cookie} {
				if strings.Contains(strings.ToLower(got.Body), strings.ToLower(internal)) {
					t.Errorf("it tells %q: %s", internal, got.Body)
				}
			}
			codes[problem.Code] = true
		})
	})
	for _, code := range []string{"session_required", "csrf_failed", "bad_request", "not_found", "method_not_allowed", "misdirected", "upstream_unavailable", "loop_detected"} {
		if !codes[code] {
			t.Errorf("the walk met no %s", code)
		}
	}
}

// A script gets a problem, a person a page with a way on; neither is sent to the provider.
//
// shows ERR-NAV
func TestPageOrProblem(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	const html, star = "Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Accept: */*"
	for _, row := range []struct {
		with   string
		method string
		lines  []string
		page   bool
	}{
		{"a navigation", "GET", []string{"Sec-Fetch-Mode: navigate", html}, true},
		{"a navigation that accepts anything", "GET", []string{"Sec-Fetch-Mode: navigate", star}, true},
		{"a fetch", "GET", []string{"Sec-Fetch-Mode: cors", star}, false},
		{"a fetch that accepts HTML", "GET", []string{"Sec-Fetch-Mode: cors", html}, false},
		{"a same-origin fetch", "GET", []string{"Sec-Fetch-Mode: same-origin", html}, false},
		{"an image", "GET", []string{"Sec-Fetch-Mode: no-cors", "Accept: image/*"}, false},
		{"an old browser's navigation", "GET", []string{html}, true},
		{"an old browser's script", "GET", []string{star}, false},
		{"an old browser's JSON", "GET", []string{"Accept: application/json"}, false},
		{"nothing said", "GET", nil, false},
		{"an old browser's form", "POST", []string{html}, true},
		{"a form", "POST", []string{"Sec-Fetch-Mode: navigate", html}, true},
		{"a fetched POST", "POST", []string{"Sec-Fetch-Mode: cors", html}, false},
		{"contradicting modes", "GET", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors", html}, false},
	} {
		for who, cookie := range map[string][]string{
			"nobody": nil, "an unknown session": {"Cookie: " + sessionCookie + "=" + strings.Repeat("A", 43)}, "a malformed one": {"Cookie: " + sessionCookie + "=x"},
		} {
			t.Run(row.with+" by "+who, func(t *testing.T) {
				lines := with(row.lines, "Sec-Fetch-Site: same-origin", "X-CSRF: 1", "Host: "+appHost)
				got := p.sendTo(t, p.in, row.method, "/api/orders?a=b", "", with(lines, cookie...)...)
				got.is(t, 401, "session_required")
				if page := strings.HasPrefix(got.Header.Get("Content-Type"), "text/html"); page != row.page {
					t.Errorf("a page: %v, want %v", page, row.page)
				}
				way := `"login_url":"/bff/login"`
				if row.page {
					way = `href="/bff/login`
				}
				if !strings.Contains(got.Body, way) || got.Header.Get("Location") != "" {
					t.Errorf("no way to sign in, or a redirect: %v %s", got.Header, got.Body)
				}
			})
		}
	}
	p.alive(t)
}

// Every cookie of a whole journey, with its refusals and repetitions, is for this host alone and for no script.
//
// shows COOKIE-1, COOKIE-2 (by default), COOKIE-3, COOKIE-6 (lives and deletions), CB-REDIR-1
func TestCookiesOfAJourney(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	var lines []string
	keep := func(hops []browser.Hop) {
		for _, h := range hops {
			if !strings.HasPrefix(h.URL, world.Origin) {
				continue
			}
			lines = append(lines, h.Header.Values("Set-Cookie")...)
			if to := h.Header.Get("Location"); strings.Contains(to, "code=") || h.Status == 307 || h.Status == 308 || h.Status == 302 {
				t.Errorf("%s: %d to %s", h.URL, h.Status, to)
			}
			if strings.Contains(h.URL, "/bff/callback") && (h.Header.Get("Cache-Control") != "no-store" || h.Header.Get("Referrer-Policy") != "no-referrer") {
				t.Errorf("callback: %v", h.Header)
			}
		}
	}
	b := p.Browser()
	callback := atCallback(t, b, ada, "/x")
	keep(callback.Hops)
	keep(goOn(t, b, callback).Hops)
	keep(navigate(t, b, callback.URL).Hops)
	b.StoreCookie(world.Origin, sessionCookie+"=x; Path=/; Secure; HttpOnly; SameSite=Strict")
	keep(p.Fetch(b, "GET", "/api/orders", "").Hops)
	keep(goOn(t, b, atCallback(t, b, ada, "/x")).Hops)
	page, err := b.SubmitForm(browser.At(world.Origin+"/"), browser.Form{Action: world.Origin + "/bff/logout", Method: "post", Fields: url.Values{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keep(page.Hops)
	names := map[string]bool{}
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		site := http.SameSiteLaxMode
		if c.Name == sessionCookie {
			site = http.SameSiteStrictMode
		}
		if !strings.HasPrefix(c.Name, sessionCookie) || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != site || len(c.Name)+len(c.Value) >= 4096 {
			t.Errorf("cookie: %s", line)
		}
		if c.MaxAge == 0 || c.MaxAge > 12*3600 || strings.HasPrefix(c.Name, flowCookie) && c.MaxAge > 600 {
			t.Errorf("life: %s", line)
		}
		if c.MaxAge < 0 && !strings.Contains(line, "Max-Age=0") {
			t.Errorf("deletion: %s", line)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(c.Name, sessionCookie+"."), ".")
		names[kind] = true
	}
	for _, kind := range []string{sessionCookie, "tx", "so", "out"} {
		if !names[kind] {
			t.Errorf("the journey met no cookie %q among %v", kind, names)
		}
	}
	p.Leaks()
}

// The operator's addresses are on the operator's listener alone.
func TestOperatorsAddressesInPublic(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/admin/sessions", "/.git/config", "/bff/metrics"} {
		t.Run("a request for "+path, func(t *testing.T) {
			p.refused(t, func() {
				p.send(t, "GET", path, fetched...).is(t, 404, "not_found")
				p.sendTo(t, p.in, "GET", path, "", with(fetched, "Host: "+p.in.Addr)...).is(t, 421, "misdirected")
			})
		})
	}
	if got := p.sendTo(t, p.in, "GET", "/healthz", "", "Host: anything.example"); got.Status != 200 || strings.Contains(got.Body, "redis") {
		t.Errorf("healthz: %d %s", got.Status, got.Body)
	}
}

// No other origin may read anything here, whatever it is called.
//
// shows CORS-1 (no other origin is listed)
func TestOtherOriginsReadNothing(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	for _, origin := range []string{
		"https://evil.example", "null", "http://web.localhost.evil.example", "http://evilweb.localhost", "https://web.localhost",
		"http://web.localhost:8080", "http://sub.web.localhost", "http://docs.localhost", "http://WEB.localhost", "*",
	} {
		t.Run("a request of "+origin, func(t *testing.T) {
			line := "Origin: " + origin
			p.refused(t, func() {
				for _, path := range []string{"/api/orders", "/bff/session", "/bff/session/extend", "/bff/logout", "/bff/login", "/open/public", "/unknown"} {
					asks := []reply{
						p.send(t, "OPTIONS", path, line, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-csrf,content-type", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"),
					}
					if path != "/open/public" { // anybody may ask the open route, and no other origin reads it: below
						asks = append(asks, p.send(t, "GET", path, p.withCookie([]string{"X-CSRF: 1"}, line)...))
					}
					for i, got := range asks {
						if i == 0 && got.Status/100 == 2 {
							t.Errorf("%s: the preflight passes: %d", path, got.Status)
						}
						noCORS(t, path, got)
					}
				}
			})
			noCORS(t, "/open/public", p.send(t, "GET", "/open/public", line))
		})
	}
	from := browser.At("https://evil.example/")
	for _, q := range []browser.Request{
		{URL: world.Origin + "/api/orders", Header: http.Header{"X-Csrf": {"1"}}, Credentials: "include"},
		{URL: world.Origin + "/bff/session", Credentials: "include"},
		{URL: world.Origin + "/open/public"},
	} {
		if page, err := p.user.Fetch(from, q); err == nil {
			t.Errorf("%s is read from elsewhere: %d", q.URL, page.Status)
		}
	}
	p.alive(t)
}

func noCORS(t *testing.T, path string, got reply) {
	t.Helper()
	for name := range got.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s: %s", path, name, got.Header.Get(name))
		}
	}
	if !strings.Contains(strings.Join(got.Header.Values("Vary"), ","), "Origin") && path != "/open/public" {
		t.Errorf("%s: Vary: %q", path, got.Header.Values("Vary"))
	}
}
