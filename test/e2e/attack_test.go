//go:build integration

package e2e_test

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// secondApp is another app at the same gateway and provider, for YAML that stands behind the first.
const secondApp = `
  docs:
    kind: spa
    origin: http://docs.localhost
    provider: main
    client_id: webc_2
    client_secret: another-client-secret-of-its-own
`

// A credential that is not exactly this app's cookie, once, opens nothing.
//
// shows COOKIE-4, COOKIE-5, COOKIE-6 (the form), ERR-NAV
func TestCookiesThatOpenNothing(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{App: secondApp})
	random := base64.RawURLEncoding.EncodeToString(randomBytes(32))
	lookup := ""
	for _, key := range p.Redis.Keys() {
		if _, after, ok := strings.Cut(key, "cr:s:{"); ok {
			lookup, _, _ = strings.Cut(after, "}")
		}
	}
	var told struct{ Session struct{ ID string } }
	if err := json.Unmarshal(p.Fetch(p.user, "GET", "/bff/session", "").Body, &told); err != nil || told.Session.ID == "" || lookup == "" {
		t.Fatalf("no session id or lookup: %v", err)
	}
	own := sessionCookie + "=" + p.cookie
	for _, row := range []struct {
		with  string
		lines []string
		rule  string // that the log names; "" if nothing was offered under the name
	}{
		{with: "no cookie"},
		{"a short cookie", []string{"Cookie: " + sessionCookie + "=x"}, "malformed session cookie"},
		{"an empty cookie", []string{"Cookie: " + sessionCookie + "="}, "malformed session cookie"},
		{"one character too few", []string{"Cookie: " + own[:len(own)-1]}, "malformed session cookie"},
		{"one character too many", []string{"Cookie: " + own + "A"}, "malformed session cookie"},
		{"padding", []string{"Cookie: " + own + "="}, "malformed session cookie"},
		{"quotes", []string{"Cookie: " + sessionCookie + `="` + p.cookie + `"`}, "malformed session cookie"},
		{"a space before the value", []string{"Cookie: " + sessionCookie + "= " + p.cookie}, "malformed session cookie"},
		{"10 KiB of it", []string{"Cookie: " + own + strings.Repeat("A", 10<<10)}, "malformed session cookie"},
		{"a random one of the right form", []string{"Cookie: " + sessionCookie + "=" + random}, ""},
		{"the name of the record in the store", []string{"Cookie: " + sessionCookie + "=" + lookup}, ""},
		{"the public id of the session", []string{"Cookie: " + sessionCookie + "=" + told.Session.ID}, ""},
		{"an evil one before the good", []string{"Cookie: " + sessionCookie + "=evil; " + own}, "two session cookies"},
		{"an evil one behind the good", []string{"Cookie: " + own + "; " + sessionCookie + "=evil"}, "two session cookies"},
		{"a random one before the good", []string{"Cookie: " + sessionCookie + "=" + random + "; " + own}, "two session cookies"},
		{"the good one twice", []string{"Cookie: " + own + "; " + own}, "two session cookies"},
		{"two Cookie lines", []string{"Cookie: " + own, "Cookie: " + sessionCookie + "=evil"}, "two session cookies"},
		{"U+2000 before the name", []string{"Cookie: \u2000" + own}, ""},
		{"a tab before the name", []string{"Cookie: a=b;\t" + own}, ""},
		{"a space behind the name", []string{"Cookie: " + sessionCookie + " =" + p.cookie}, ""},
		{"the name in lower case", []string{"Cookie: " + strings.ToLower(own)}, ""},
		{"the name escaped", []string{"Cookie: __Host%2DHttp-web=" + p.cookie}, ""},
		{"the name of another app", []string{"Cookie: __Host-Http-docs=" + p.cookie}, ""},
		{"a bearer token of it", []string{"Authorization: Bearer " + p.cookie}, ""},
		{"a header of its name", []string{sessionCookie + ": " + p.cookie, "X-Session: " + p.cookie}, ""},
	} {
		t.Run("a fetch with "+row.with, func(t *testing.T) {
			p.refused(t, func() {
				before := strings.Count(p.in.Log(), row.rule)
				got := p.send(t, "GET", "/api/orders", with(fetched, row.lines...)...)
				got.is(t, 401, "session_required")
				if !strings.Contains(got.Body, `"login_url":"/bff/login"`) || got.Header.Get("Location") != "" {
					t.Errorf("no way to sign in, or a redirect: %v %s", got.Header, got.Body)
				}
				if row.rule != "" {
					p.awaitLogged(t, row.rule, before+1)
				}
				cleared := strings.Join(got.Header.Values("Set-Cookie"), "\n")
				if strings.HasPrefix(row.rule, "malformed") != strings.Contains(cleared, "Max-Age=0") && row.rule != "" {
					t.Errorf("cleared by %q", cleared)
				}
			})
		})
	}
	for _, q := range []string{"sid", "session", url.QueryEscape(sessionCookie), "access_token"} {
		t.Run("a fetch with the cookie as "+q+" in the query", func(t *testing.T) {
			p.refused(t, func() {
				if got := p.send(t, "GET", "/api/orders?"+q+"="+p.cookie, fetched...); got.Status != 401 && got.Status != 400 {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		})
	}
	t.Run("a fetch with U+2000 before the name of a tossed cookie, beside the good one", func(t *testing.T) {
		p.send(t, "GET", "/api/orders", with(fetched, "Cookie: \u2000"+sessionCookie+"=evil; "+own)...).is(t, 200, "")
	})
	for _, name := range []string{"__Host-Http-docs", sessionCookie} {
		t.Run("a fetch at another app's host with this app's value as "+name, func(t *testing.T) {
			p.refused(t, func() {
				p.sendTo(t, p.in, "GET", "/api/orders", "", with(fetched, "Host: docs.localhost", "Cookie: "+name+"="+p.cookie)...).
					is(t, 401, "session_required")
			})
		})
	}
	p.Leaks()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// What comes with the cookie must show that the app itself sent it.
//
// shows CSRF-1, CSRF-2, CSRF-3, CSRF-4
func TestRequestsThatTheAppDidNotSend(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	const csrf = "X-CSRF: 1"
	for _, row := range []struct {
		with  string
		lines []string
		body  string
		only  string // method; "" = GET and POST
	}{
		{with: "the bare cookie"},
		{with: "no X-CSRF", lines: bare},
		{with: "X-CSRF of another value", lines: with(bare, "X-CSRF: 0")},
		{with: "X-CSRF twice", lines: with(bare, csrf, csrf)},
		{with: "X-CSRF from a cross-site page", lines: []string{csrf, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}},
		{with: "X-CSRF from a sibling of the same site", lines: []string{csrf, "Sec-Fetch-Site: same-site", "Origin: http://evil.localhost"}},
		{with: "X-CSRF from nowhere", lines: []string{csrf, "Sec-Fetch-Site: none"}},
		{with: "metadata that contradicts itself", lines: []string{csrf, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}},
		{with: "a foreign Origin", lines: []string{csrf, "Origin: https://evil.example"}},
		{with: "Origin null", lines: []string{csrf, "Origin: null"}},
		{with: "an Origin that begins alike", lines: []string{csrf, "Origin: http://web.localhost.evil.example"}},
		{with: "the https twin's Origin", lines: []string{csrf, "Origin: https://web.localhost"}},
		{with: "another port's Origin", lines: []string{csrf, "Origin: http://web.localhost:8080"}},
		{with: "X-CSRF and nothing else on an unsafe method", lines: []string{csrf}, only: "POST"},
		{with: "a script tag", lines: []string{csrf, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}},
		{with: "a frame", lines: []string{csrf, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}},
		{with: "a service worker's script", lines: with(fetched, "Service-Worker: script"), only: "GET"},
		{with: "a form", lines: with(arriving, "Origin: https://evil.example", "Content-Type: application/x-www-form-urlencoded"), body: "item=tea", only: "POST"},
		{with: "a form of the app's own", lines: with(navigated("same-origin"), "Origin: "+world.Origin, "Content-Type: application/x-www-form-urlencoded"), body: "item=tea", only: "POST"},
		{with: "a multipart form", lines: with(arriving, "Content-Type: multipart/form-data; boundary=b"), body: "--b--\r\n", only: "POST"},
		{with: "text/plain", lines: with(bare, "Content-Type: text/plain"), body: `{"item":"tea","quantity":1}`, only: "POST"},
		{with: "a beacon", lines: []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty", "Origin: https://evil.example", "Content-Type: text/plain;charset=UTF-8"}, body: "x", only: "POST"},
	} {
		for method, paths := range map[string][]string{
			"GET":  {"/api/orders", "/api/orders?X-CSRF=1&x-csrf=1", "/bff/session"},
			"POST": {"/api/orders", "/api/orders?X-CSRF=1", "/bff/session/extend"},
		} {
			if row.only != "" && row.only != method {
				continue
			}
			t.Run("a "+method+" with "+row.with, func(t *testing.T) {
				p.refused(t, func() {
					for _, path := range paths {
						lines := with(p.withCookie(row.lines), "Host: "+appHost)
						got := p.sendTo(t, p.in, method, path, row.body, lines...)
						got.is(t, 403, "csrf_failed")
						if got.Header.Get("Set-Cookie") != "" {
							t.Errorf("%s: a forged request changed cookies: %v", path, got.Header)
						}
					}
				})
			})
		}
	}
	t.Run("a fetch with method overrides", func(t *testing.T) {
		overrides := []string{"X-HTTP-Method-Override: DELETE", "X-Http-Method: DELETE", "X-Method-Override: DELETE"}
		p.send(t, "GET", "/api/whoami", p.withCookie(fetched, overrides...)...).is(t, 200, "")
		hits := p.API.Recorded()
		last := hits[len(hits)-1]
		if last.Method != "GET" {
			t.Errorf("the API was asked by %s", last.Method)
		}
		for name := range last.Header {
			if strings.Contains(strings.ToLower(name), "method") {
				t.Errorf("%s was forwarded", name)
			}
		}
	})
	t.Run("a fetch with a method override in the query", func(t *testing.T) {
		p.refused(t, func() {
			p.send(t, "GET", "/api/whoami?_method=DELETE", p.withCookie(fetched)...).is(t, 400, "bad_request")
		})
	})
	p.Leaks()
}

// Nobody else's page signs the user out.
//
// shows RPL-CSRF, PREFETCH-1 (sign-out)
//
// shows SCALEKIT-O7
func TestSignOutsThatTheUserDidNotAskFor(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	other := p.Browser()
	p.SignIn(other, "/")
	evil, logout := browser.At("https://evil.example/"), world.Origin+"/bff/logout"
	form := browser.Form{Action: logout, Method: "post", Fields: url.Values{"x": {"y"}}}
	foreign := logoutURL(t, p, other)
	for with, attack := range map[string]func() (*browser.Page, error){
		"a link of another site": func() (*browser.Page, error) { return p.user.Click(evil, logout) },
		"a form of another site": func() (*browser.Page, error) { return p.user.SubmitForm(evil, form, nil) },
		"a form of a sibling": func() (*browser.Page, error) {
			return p.user.SubmitForm(browser.At("http://evil.localhost/"), form, nil)
		},
		"a link typed without token":  func() (*browser.Page, error) { return p.user.Navigate(logout) },
		"the link of another session": func() (*browser.Page, error) { return p.user.Navigate(world.Origin + foreign) },
		"the token twice": func() (*browser.Page, error) {
			return p.user.Navigate(world.Origin + logoutURL(t, p, p.user) + "&token=x")
		},
		"the right link in a frame":  func() (*browser.Page, error) { return embedded(p, logoutURL(t, p, p.user), "iframe") },
		"the right link as an image": func() (*browser.Page, error) { return embedded(p, logoutURL(t, p, p.user), "image") },
		"a same-origin GET by a script": func() (*browser.Page, error) {
			return p.user.Fetch(browser.At(world.Origin+"/"), browser.Request{URL: logout})
		},
	} {
		t.Run("a sign-out by "+with, func(t *testing.T) {
			p.refused(t, func() {
				got, err := attack()
				if err != nil {
					t.Fatal(err)
				}
				replyOf(got).is(t, 403, "csrf_failed")
			})
		})
	}
	for with, ask := range map[string]func(link string) reply{
		"HEAD": func(link string) reply { return p.send(t, "HEAD", link, p.withCookie(opened)...) },
		"a prefetch": func(link string) reply {
			return p.send(t, "GET", link, p.withCookie(opened, "Sec-Purpose: prefetch")...)
		},
	} {
		t.Run("a sign-out by the right link and "+with, func(t *testing.T) {
			p.refused(t, func() {
				if got := ask(logoutURL(t, p, p.user)); got.Status != 405 && got.Status != 403 || len(got.Header.Values("Set-Cookie")) > 0 {
					t.Errorf("%d %v", got.Status, got.Header)
				}
			})
		})
	}
	if got := p.Fetch(other, "GET", "/api/orders", ""); got.Status != 200 {
		t.Errorf("the other session: %d", got.Status)
	}
	p.Leaks()
}

// embedded loads an address as a part of the app's own page.
func embedded(p *probe, path, dest string) (*browser.Page, error) {
	return p.user.Fetch(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + path, Mode: "no-cors", Dest: dest})
}

func logoutURL(t *testing.T, p *probe, b *browser.Browser) string {
	t.Helper()
	var told struct {
		LogoutURL string `json:"logout_url"`
	}
	if err := json.Unmarshal(p.Fetch(b, "GET", "/bff/session", "").Body, &told); err != nil || told.LogoutURL == "" {
		t.Fatalf("no logout_url: %v", err)
	}
	return told.LogoutURL
}

// A path is what it looks like, or it is refused: byte for byte, over a socket that no client tidied up.
//
// shows PRX-PATH, PRX-ALLOW
func TestPathsThatPretend(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	for _, path := range []string{
		"/api/..%2fadmin", "/api/..%2Fadmin", "/api/../admin", "/api/./orders", "/api/%2e%2e/admin", "/api/%2E%2E/admin", "/api/.%2e/admin",
		"/api/..;/admin", "/api/..;x=1/admin", "/api/%2e%2e;/admin", "/api/%252e%252e/admin", "/api/%252fadmin", "/api/..%255cadmin",
		`/api/..\admin`, "/api/..%5cadmin", `/api\orders`, "/api/%00", "/api/orders%00.css", "/api//orders", "//api/orders", "/api/orders//",
		"//evil.example/api/orders", "/api/http://evil.example/", "/api/%ff", "/api/%c0%ae%c0%ae/admin", "/api/\xff\xfe", "/api/%0d%0aX:y",
		"/api/%zz", "/api/" + strings.Repeat("a", 3<<10), "/open/../api/orders", "/open/%2e%2e/api/orders", "/bff/../api/orders",
	} {
		t.Run(fmt.Sprintf("a request for %.60q", path), func(t *testing.T) {
			p.refused(t, func() {
				if got := p.send(t, "GET", path, p.withCookie(fetched)...); got.Status != 400 || got.code() != "bad_request" && got.code() != "" {
					t.Errorf("%d %s", got.Status, got.Body)
				}
			})
		})
	}
	for path, status := range map[string]int{"/apix": 404, "/api.evil.example/": 404, "/API/orders": 404, "/": 404, "/bffx": 404} {
		t.Run("a request for "+path, func(t *testing.T) {
			p.refused(t, func() { p.send(t, "GET", path, p.withCookie(fetched)...).is(t, status, "not_found") })
		})
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND"} {
		t.Run("a request by "+method, func(t *testing.T) {
			p.refused(t, func() {
				got := p.send(t, method, "/api/orders", p.withCookie(fetched)...)
				if got.is(t, 405, "method_not_allowed"); got.Header.Get("Allow") != "GET, HEAD, POST" {
					t.Errorf("Allow: %q", got.Header.Get("Allow"))
				}
			})
		})
	}
	t.Run("a request by CONNECT", func(t *testing.T) {
		p.refused(t, func() {
			if got := p.send(t, "CONNECT", "evil.example:443", p.withCookie(fetched)...); got.Status < 400 || got.Status >= 500 {
				t.Errorf("%d", got.Status)
			}
		})
	})
	api := strings.TrimPrefix(p.APIAt, "http://")
	for sent, want := range map[string]string{
		"/api/@evil.example":           "/api/@evil.example",
		"/api/caf%C3%A9%20cr%C3%A8me":  "/api/café crème",
		"/api/evil.example:80":         "/api/evil.example:80",
		"/api/a+b;c=d,e":               "/api/a+b;c=d,e",
		"http://" + appHost + "/api/x": "/api/x",
	} {
		t.Run("a request for "+sent, func(t *testing.T) {
			before := p.API.Hits()
			p.send(t, "GET", sent, p.withCookie(fetched)...)
			hits := p.API.Recorded()
			if last := hits[len(hits)-1]; p.API.Hits() != before+1 || last.Path != want || last.Host != api {
				t.Errorf("the API got %s at %s", last.Path, last.Host)
			}
		})
	}
}

// Who is asked is decided by configuration, and the gateway answers for its own names alone.
//
// shows PRX-HOST, REDIR-1, SCALEKIT-O4
func TestHostsThatPretend(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	mine := p.withCookie(fetched)
	for _, row := range []struct {
		with, target string
		lines        []string
		status       int
		code         string // "": net/http itself refuses
	}{
		{"a foreign Host", "/api/orders", []string{"Host: evil.example"}, 421, "misdirected"},
		{"a Host that begins alike", "/api/orders", []string{"Host: web.localhost.evil.example"}, 421, "misdirected"},
		{"another port", "/api/orders", []string{"Host: web.localhost:8081"}, 421, "misdirected"},
		{"credentials in the Host", "/api/orders", []string{"Host: web.localhost@evil.example"}, 400, ""},
		{"the address of the listener", "/api/orders", []string{"Host: " + p.in.Addr}, 421, "misdirected"},
		{"an absolute address of another host", "http://evil.example/api/orders", []string{"Host: " + appHost}, 421, "misdirected"},
		{"the API's own address", p.APIAt + "/api/orders", []string{"Host: " + appHost}, 421, "misdirected"},
		{"no Host", "/api/orders", nil, 400, ""},
		{"an empty Host", "/api/orders", []string{"Host: "}, 400, "bad_request"},
		{"two Hosts", "/api/orders", []string{"Host: " + appHost, "Host: evil.example"}, 400, ""},
		{"two Hosts alike", "/api/orders", []string{"Host: " + appHost, "Host: " + appHost}, 400, ""},
		{"a foreign Host at the login", "/bff/login", []string{"Host: evil.example"}, 421, "misdirected"},
	} {
		t.Run("a request with "+row.with, func(t *testing.T) {
			p.refused(t, func() {
				p.sendTo(t, p.in, "GET", row.target, "", with(row.lines, mine...)...).is(t, row.status, row.code)
			})
		})
	}
	for _, line := range []string{
		"X-Forwarded-Host: evil.example", "Forwarded: host=evil.example;proto=https", "X-Forwarded-Proto: https", "X-Host: evil.example",
		"X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-Port: 8443",
	} {
		t.Run("a login with "+line, func(t *testing.T) {
			got := p.send(t, "GET", "/bff/login", with(opened, line)...)
			to, err := url.Parse(got.Header.Get("Location"))
			if err != nil || got.Status != 303 || to.Query().Get("redirect_uri") != world.Origin+"/bff/callback" || strings.Contains(to.String(), "evil") {
				t.Errorf("%d to %s", got.Status, to)
			}
		})
	}
	p.Leaks()
}

// recorder is an upstream that keeps every byte it gets and counts the requests in them.
type recorder struct {
	net.Listener
	mu    sync.Mutex
	bytes strings.Builder
	hits  int
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go rec.serve(conn)
		}
	}()
	return rec
}

func (rec *recorder) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(io.TeeReader(conn, rec))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		rec.mu.Lock()
		rec.hits++
		rec.mu.Unlock()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	}
}

// Write keeps bytes.
func (rec *recorder) Write(b []byte) (int, error) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.bytes.Write(b)
}

// take returns what came since the last time.
func (rec *recorder) take() (bytes string, hits int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	bytes, hits = rec.bytes.String(), rec.hits
	rec.bytes.Reset()
	rec.hits = 0
	return bytes, hits
}

// No framing that two servers could read differently gets through: what comes behind it is never a request.
//
// shows PRX-SMUG
func TestRequestsHiddenInRequests(t *testing.T) {
	t.Parallel()
	rec := newRecorder(t)
	p := newProbe(t, world.Options{Routes: fmt.Sprintf("  - {path: /raw/, upstream: %q, methods: [GET, POST], token: none}", "http://"+rec.Addr().String())})
	const (
		line   = "POST /raw/x HTTP/1.1\r\nHost: " + appHost + "\r\n"
		old    = "POST /raw/x HTTP/1.0\r\nHost: " + appHost + "\r\nConnection: keep-alive\r\n"
		hidden = "GET /raw/evil HTTP/1.1\r\nHost: " + appHost + "\r\n\r\n"
	)
	for _, row := range []struct {
		with, bytes string
		status      []int // of all answers; behind them the connection is closed
		hits        int
	}{
		{"chunks and a length", line + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden, []int{200}, 1},
		{"chunks, a length and a request in the body", line + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{200}, 1},
		{"chunks and a length of all", line + fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n", 5+len(hidden)) + hidden, []int{200}, 1},
		{"chunks, then another request", line + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden, []int{200}, 1},
		{"chunks to an unknown path, then another request", "POST /none HTTP/1.1\r\nHost: " + appHost + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{404}, 0},
		{"chunks to another host, then another request", "POST /raw/x HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{421}, 0},
		{"chunks with a length to the login, then another request", "POST /bff/login HTTP/1.1\r\nHost: " + appHost + "\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, []int{405}, 0},
		{"chunks in HTTP/1.0", old + "Transfer-Encoding: chunked\r\n\r\n" + hidden, []int{200}, 1},
		{"chunks and a length in HTTP/1.0", old + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello" + hidden, []int{200}, 1},
		{"a folded field", "GET /raw/x HTTP/1.1\r\nHost: " + appHost + "\r\nX-A: 1\r\n  Host: evil\r\nConnection: close\r\n\r\n", []int{200}, 1},
		{"a folded transfer encoding and a length", line + "Content-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden, []int{200}, 1},
		{"trailers", line + "Transfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n5\r\nhello\r\n0\r\nX-User: root\r\nX-Sneaked: root\r\n\r\n" + hidden, []int{200}, 1},
		{"two lengths", line + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + hidden, []int{400}, 0},
		{"two lengths in one line", line + "Content-Length: 5, 6\r\n\r\nhello" + hidden, []int{400}, 0},
		{"a length with a sign", line + "Content-Length: +5\r\n\r\nhello" + hidden, []int{400}, 0},
		{"a negative length", line + "Content-Length: -5\r\n\r\nhello" + hidden, []int{400}, 0},
		{"an unknown transfer encoding", line + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, []int{501}, 0},
		{"two transfer encodings", line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden, []int{501}, 0},
		{"chunks that are not last", line + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden, []int{501}, 0},
		{"a vertical tab in the transfer encoding", line + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + hidden, []int{400}, 0},
		{"a space before a colon", line + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden, []int{400}, 0},
		{"a space before a length's colon", line + "Content-Length : 5\r\n\r\nhello" + hidden, []int{400}, 0},
		{"NUL in a field", line + "X-A: \x00\r\n\r\n" + hidden, []int{400}, 0},
		{"a lone CR in a field", line + "X-A: a\rX-B: b\r\n\r\n" + hidden, []int{400}, 0},
		{"a chunk size that is none", line + "Transfer-Encoding: chunked\r\n\r\n5;\x00\r\nhello\r\nzz\r\n\r\n" + hidden, []int{400}, -1},
	} {
		t.Run("bytes with "+row.with, func(t *testing.T) {
			rec.take()
			p.refused(t, func() {
				var status []int
				for _, answer := range raw(t, p.in.Addr, row.bytes) {
					status = append(status, answer.Status)
				}
				if fmt.Sprint(status) != fmt.Sprint(row.status) {
					t.Errorf("answers %v, want %v", status, row.status)
				}
			})
			got, hits := rec.take()
			if row.hits >= 0 && hits != row.hits {
				t.Errorf("the upstream got %d requests, want %d:\n%s", hits, row.hits, got)
			}
			for _, never := range []string{"/raw/evil", "X-User", "X-Sneaked", "\nHost: evil"} {
				if strings.Contains(got, never) {
					t.Errorf("the upstream got %q:\n%s", never, got)
				}
			}
			if strings.Contains(got, "Content-Length:") && strings.Contains(got, "Transfer-Encoding:") {
				t.Errorf("the upstream got two framings:\n%s", got)
			}
		})
	}
}

// Only the app's own pages and the user's own hand start a login, and only back into the app.
//
// shows RET-1, LOGIN-CSRF, PARAM-1
func TestLoginsThatDoNotStart(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{App: "    login: {start_origins: [https://portal.example]}"})
	none := func(t *testing.T, got reply) {
		t.Helper()
		if got.Header.Get("Location") != "" || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("a login was started: %v", got.Header)
		}
	}
	for _, to := range []string{
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "/%09/evil.example", "/%0a/evil.example", "/%5cevil.example", "/%2f/evil.example", "%2f%2fevil.example",
		"https:evil.example", "https://evil.example", "http://web.localhost", "https://web.localhost@evil.example", "https://web.localhost.evil.example",
		"javascript:x", "data:text/html,x", "orders", "%20/orders", "/%0d%0aSet-Cookie:x=y", "/x%0d%0aLocation:%20https://evil.example", "/%00", "/%c2%85", "/%ff",
		"/%252fevil.example", "/%255cevil.example", "/bff/logout", "/bff/login", "/x/..%2fbff/login", "/" + strings.Repeat("a", 3<<10), "/" + strings.Repeat("a", 5<<10),
	} {
		t.Run(fmt.Sprintf("a login that returns to %.50q", to), func(t *testing.T) {
			p.refused(t, func() {
				got := p.send(t, "GET", "/bff/login?return_to="+to, opened...)
				got.is(t, 400, "bad_request")
				none(t, got)
				if !strings.Contains(got.Body, `href="/bff/login"`) || strings.Contains(got.Body, "evil.example") {
					t.Errorf("no way on, or the refused target on the page: %s", got.Body)
				}
			})
		})
	}
	for _, to := range []string{"/orders?x=1", "/orders?x=http://y.example/", "/caf%C3%A9", "/"} {
		t.Run("a login that returns to "+to, func(t *testing.T) {
			if got := p.send(t, "GET", "/bff/login?return_to="+url.QueryEscape(to), opened...); got.Status != 303 || !strings.HasPrefix(got.Header.Get("Location"), p.OP.Issuer) {
				t.Errorf("%d %s", got.Status, got.Header.Get("Location"))
			}
		})
	}
	for _, row := range []struct {
		with   string
		lines  []string
		method string
		status int
		code   string
	}{
		{"a frame", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: text/html"}, "GET", 403, "csrf_failed"},
		{"an image", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, "GET", 403, "csrf_failed"},
		{"a fetch", fetched, "GET", 403, "csrf_failed"},
		{"a prefetch", with(opened, "Sec-Purpose: prefetch"), "GET", 403, "forbidden"},
		{"a prerender", with(opened, "Sec-Purpose: prefetch;prerender"), "GET", 403, "forbidden"},
		{"an old prefetch", with(opened, "Purpose: prefetch"), "GET", 403, "forbidden"},
		{"HEAD", opened, "HEAD", 405, ""},
		{"POST", opened, "POST", 405, "method_not_allowed"},
		{"a link of another site", navigated("cross-site"), "GET", 200, ""},
		{"a link of a sibling", navigated("same-site"), "GET", 200, ""},
	} {
		t.Run("a login by "+row.with, func(t *testing.T) {
			p.refused(t, func() {
				got := p.send(t, row.method, "/bff/login?return_to=/x", row.lines...)
				got.is(t, row.status, row.code)
				none(t, got)
				if row.status == 200 && !strings.Contains(got.Body, `href="/bff/login?return_to=%2Fx"`) {
					t.Errorf("no click-through page: %s", got.Body)
				}
			})
		})
	}
	for from, starts := range map[string]bool{
		"https://portal.example/": true, "https://portal.example.evil.example/": false, "http://portal.example/": false, "https://x.portal.example/": false,
	} {
		t.Run("a login by a link on "+from, func(t *testing.T) {
			page, err := p.Browser().Click(browser.At(from), world.Origin+"/bff/login")
			if err != nil || strings.HasPrefix(page.URL, p.OP.Issuer) != starts {
				t.Errorf("%v: at %s, want started: %v", err, page.URL, starts)
			}
		})
	}
	for _, to := range []string{"//evil.example", "/%5cevil.example", "https://evil.example", "/bff/logout", "/x%0d%0aSet-Cookie:x=y"} {
		t.Run(fmt.Sprintf("a landing that leads to %q", to), func(t *testing.T) {
			got := p.send(t, "GET", "/bff/landed?return_to="+to, p.withCookie(navigated("same-origin"))...)
			if at, _, _ := strings.Cut(got.Header.Get("Location"), "#"); got.Status != 303 || at != "/" || len(got.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%d %v", got.Status, got.Header)
			}
		})
	}
	t.Run("a login by a click on the page in between", func(t *testing.T) {
		b := p.Browser()
		page, err := b.Click(browser.At("https://evil.example/"), world.Origin+"/bff/login?return_to=/x")
		if err != nil {
			t.Fatal(err)
		}
		link, err := page.Link("Sign in")
		if err != nil {
			t.Fatal(err)
		}
		if page, err = b.Click(page, link); err != nil || !strings.HasPrefix(page.URL, p.OP.Issuer) {
			t.Errorf("%v %s", err, page.URL)
		}
	})
	t.Run("a login with parameters of its own", func(t *testing.T) {
		got := p.send(t, "GET", "/bff/login?scope=admin&redirect_uri=https://evil.example&request_uri=urn:x&request=x&response_mode=fragment"+
			"&response_type=token&client_id=evil&state=evil&nonce=evil&code_challenge_method=plain&iss=evil", opened...)
		to, err := url.Parse(got.Header.Get("Location"))
		if err != nil || got.Status != 303 {
			t.Fatalf("%d %v", got.Status, err)
		}
		q := to.Query()
		for name, want := range map[string]string{
			"redirect_uri": world.Origin + "/bff/callback", "client_id": "webc_1", "response_type": "code", "code_challenge_method": "S256",
			"scope": "openid profile email offline_access",
		} {
			if len(q[name]) != 1 || q.Get(name) != want {
				t.Errorf("%s is %q", name, q[name])
			}
		}
		if q.Has("request_uri") || q.Has("request") || strings.Contains(to.RawQuery, "evil") || strings.Contains(to.RawQuery, "fragment") {
			t.Errorf("passed on: %s", to.RawQuery)
		}
	})
	for _, query := range []string{"prompt=none+login", "prompt=evil", "acr_values=evil", "return_to=/a&return_to=/b", "organization_id=https://evil.example", "%zz"} {
		t.Run("a login with "+query, func(t *testing.T) {
			got := p.send(t, "GET", "/bff/login?"+query, opened...)
			got.is(t, 400, "bad_request")
			none(t, got)
		})
	}
	p.Leaks()
}

// Starting logins fills nothing, and is limited.
//
// shows PREFETCH-1 (starts, limited)
func TestAFloodOfLogins(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	keys, size := len(p.Redis.Keys()), len(p.Redis.Dump())
	client := p.in.Client()
	limited := 0
	for range 300 { // more than the burst of 200 and what comes back while they are sent
		req, err := http.NewRequest("GET", world.Origin+"/bff/login", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case resp.StatusCode == 303:
		case resp.StatusCode == 429:
			limited++
			if resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `"code":"rate_limited"`) || resp.Header.Get("Set-Cookie") != "" {
				t.Fatalf("429 with %v %s", resp.Header, body)
			}
		default:
			t.Fatalf("%d %s", resp.StatusCode, body)
		}
	}
	if limited == 0 {
		t.Error("300 starts from one address were all let through")
	}
	if more := len(p.Redis.Keys()) - keys; more > 1 { // the limit's own
		t.Errorf("%d keys more in Redis", more)
	}
	if more := len(p.Redis.Dump()) - size; more > 2<<10 { // one key is some hundred bytes
		t.Errorf("%d bytes more in Redis", more)
	}
	p.alive(t)
}

// Twenty tabs that never came back: the newest five work, the others say what to do.
//
// shows TXN-2, SCALEKIT-L2
func TestTwentyHalfDoneLogins(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	const starts, kept = 20, 5
	var tabs []*browser.Page
	long := strings.Repeat("x", 900) // near the longest that is taken
	for i := range starts {
		tabs = append(tabs, atCallback(t, b, "ada@example.com", fmt.Sprintf("/tab/%d/%s", i, long)))
		if n := flowsOf(b); n > kept {
			t.Fatalf("%d transaction cookies after %d starts", n, i+1)
		}
		if n := len(cookieHeader(b)); n >= 8<<10 {
			t.Fatalf("a Cookie header of %d bytes after %d starts", n, i+1)
		}
	}
	for i, tab := range tabs {
		page := goOn(t, b, tab)
		if i >= starts-kept {
			if want := fmt.Sprintf("%s/tab/%d/", world.Origin, i); !strings.HasPrefix(page.URL, want) {
				t.Errorf("tab %d ended at %.80s: %d", i, page.URL, page.Status)
			}
			p.Want(p.Fetch(b, "GET", "/api/orders", ""), 200)
			continue
		}
		replyOf(page).is(t, 400, "login_unknown")
		if _, err := page.Link("Sign in"); err != nil || !strings.Contains(page.Text(), "Start again") {
			t.Errorf("tab %d says no way on: %s", i, page.Text())
		}
	}
	p.alive(t)
	p.Leaks()
}

// A header beyond the limit is refused before anything of it is looked at.
func TestCookieHeaderBeyondTheLimit(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	p.refused(t, func() {
		got := p.send(t, "GET", "/api/orders", p.withCookie(fetched, "Cookie: a="+strings.Repeat("b", 64<<10))...)
		if got.Status != 431 {
			t.Errorf("%d", got.Status)
		}
	})
}

// held waits for a request at a gate of the provider.
func held(t *testing.T, g *provider.Gate) {
	t.Helper()
	select {
	case <-g.Arrived():
	case <-time.After(patience):
		t.Fatal("nothing came to the gate")
	}
}
