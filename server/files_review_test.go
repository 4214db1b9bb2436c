package server_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/server"
	"cloakroom/server/config"
)

// manned is a server with an app of files, an app of files behind a sign-in, one of a development server, and a native app.
// Redis and provider are down.
func manned(t *testing.T, upstream, dev string, o server.Options) (*server.Server, *lines) {
	t.Helper()
	dir := keyed(t)
	for name, text := range map[string]string{
		"open/index.html": "index", "open/api.html": "file", "open/a/b.txt": "b", "open/bff/login": "SECRET", "open/.env": "SECRET",
		"open/.well-known/security.txt": "Contact: x", "open/.well-known/.x": "SECRET", "open/.well-known/jwks.json": "SECRET", "shut/.well-known/x": "SECRET", "open/mobile/token": "SECRET", "open/healthz": "SECRET", "outside.txt": "SECRET",
		"open/long.txt":   strings.Repeat("long", 100_000),
		"shut/index.html": "SECRET", "shut/index.html.br": "SECRET", "shut/app.js": "SECRET", "shut/app.js.gz": "SECRET", "shut/404.html": "SECRET",
		"shut/folder/index.html": "SECRET",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	yaml := fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  open: {kind: spa, origin: "https://open.example.com", provider: main, client_id: c1, client_secret: a-secret-of-some-length-for-app-1, static: {dir: open, csp: "default-src 'self'; img-src https://pictures.example.com"}}
  shut: {kind: web, origin: "https://shut.example.com", provider: main, client_id: c2, client_secret: a-secret-of-some-length-for-app-2, static: {dir: shut, protected: true}}
  dev: {kind: spa, origin: "https://dev.example.com", provider: main, client_id: c3, client_secret: a-secret-of-some-length-for-app-3, static: {url: %q}}
  phone: {kind: mobile, provider: main, client_id: c4, client_secret: a-secret-of-some-length-for-app-4, redirect_uris: ["com.example.app:/signed-in"]}
routes:
  - {path: /api/, upstream: %q, methods: [GET, POST], token: none, apps: [open]}
  - {path: /files/, upstream: %q, methods: [GET, POST], apps: [phone]}
`, dev, upstream, upstream)
	cfg, err := config.Parse(filepath.Join(dir, "cloakroom.yaml"), []byte(yaml), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(lines)
	o.Log = slog.New(slog.NewJSONHandler(log, nil))
	s, err := server.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, log
}

func newMannedFront(t *testing.T, dev string, o server.Options) *front {
	t.Helper()
	s, log := manned(t, echoing(t), dev, o)
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return &front{t: t, addr: srv.Listener.Addr().String(), log: log}
}

// nowhereURL is an address of this machine where nothing listens.
const nowhereURL = "http://127.0.0.1:1"

// What lies beside a folder, begins with a dot, or stands where the gateway speaks itself, is nobody's to read.
//
// shows PRX-PATH (static files)
func TestTargetsThatAttackAFolder(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	for _, target := range []string{
		"/../outside.txt", "/a/../../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt", "/%2e%2e%2foutside.txt", "/..%5coutside.txt",
		`/..\outside.txt`, "/a/..;/../outside.txt", "/a/%2e%2e;/outside.txt", "//outside.txt", "/a//b.txt", "/a/b.txt%00", "/%00", "/a/b.txt%00.html",
		"/.env", "/%2eenv", "/.well-known/.x", "/%2ewell-known/jwks.json", "/.well-known/jwks.json;x", "/.well-known;x/JWKS.json", "/.well-known/jwks.json/", "/bff/login%00", "/BFF/login", "/bff;x/login", "/%62ff/../bff/login",
		"/mobile/token", "/MOBILE/token", "/healthz/", "/HEALTHZ", "/%68ealthz;x", "https://open.example.com/../outside.txt",
		"https://open.example.com/.env", "/" + strings.Repeat("a", 5000), "/" + strings.Repeat("a/", 3000), "/a/b.txt::$DATA", "/a/b.txt.", "/%ff",
		"/%252e%252e/outside.txt", "/a%2fb.txt",
	} {
		for _, mode := range []string{"", "\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"} {
			res, body := f.ask("GET " + target + " HTTP/1.1\nHost: open.example.com" + mode)
			if strings.Contains(body, "SECRET") || res.StatusCode != 200 && res.StatusCode != 400 && res.StatusCode != 404 || res.StatusCode == 200 && body != "index" {
				t.Errorf("%.60s: %d %s", target, res.StatusCode, body)
			}
		}
	}
}

// The policy of a folder's documents is the configuration's, where it names one.
func TestThePolicyOfDocumentsIsConfigured(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	res, _ := f.ask("GET / HTTP/1.1\nHost: open.example.com")
	if got := res.Header.Get("Content-Security-Policy"); got != "default-src 'self'; img-src https://pictures.example.com" {
		t.Errorf("policy %q", got)
	}
}

// Where a route ends, files begin; what each of them takes is said by it alone.
func TestWhereRoutesEnd(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	for _, row := range []struct {
		head, body, allow string
		status            int
	}{
		{"GET /api", "upstream /api", "", 200},
		{"GET /api/x", "upstream /api/x", "", 200},
		{"PUT /api/x", "", "GET, POST", 405},
		{"GET /api.html", "file", "", 200},
		{"GET /API/x", "", "", 404},
		{"GET /api;x/y", "", "", 400},
		{"POST /api.html", "", "GET, HEAD", 405},
		{"OPTIONS /api.html", "", "GET, HEAD", 405},
		{"PROPFIND /api.html", "", "GET, HEAD", 405},
		{"DELETE /nothing", "", "GET, HEAD", 405},
		{"POST /bff/nothing", "", "", 404},
		{"GET https://open.example.com/api.html", "file", "", 200},
		{"GET https://open.example.com", "index", "", 200},
		{"GET https://open.example.com?a=b", "index", "", 200},
	} {
		res, body := f.ask(row.head + " HTTP/1.1\nHost: open.example.com")
		if res.StatusCode != row.status || row.body != "" && body != row.body || res.Header.Get("Allow") != row.allow {
			t.Errorf("%s: %d %q, allowed %q", row.head, res.StatusCode, body, res.Header.Get("Allow"))
		}
	}
}

// A page opens and reloads at each of its own addresses, but none stands for an API that is not there, nor for anything below
// the gateway's own paths.
func TestNoPageStandsForAnAPI(t *testing.T) {
	dir := keyed(t)
	if err := os.MkdirAll(filepath.Join(dir, "dist", "api"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"index.html": "index", "api/about.html": "about"} {
		if err := os.WriteFile(filepath.Join(dir, "dist", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse(filepath.Join(dir, "cloakroom.yaml"), fmt.Appendf(nil, `
public: {listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  shop: {kind: spa, origin: "https://shop.example.com", provider: main, client_id: c1, client_secret: a-secret-of-some-length-for-app-1, static: {dir: dist}}
  book: {kind: spa, origin: "https://book.example.com", provider: main, client_id: c2, client_secret: a-secret-of-some-length-for-app-2, static: {dir: dist}}
routes:
  - {path: /api/orders/, upstream: %q, methods: [GET], token: none, apps: [shop]}
  - {path: /api/site/, upstream: %[1]q, methods: [GET], token: none, kind: site, apps: [book]}
`, echoing(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	f := &front{t: t, addr: srv.Listener.Addr().String()}
	for _, row := range []struct {
		host, path, body string
		status           int
	}{
		{"shop", "/orders/7", "index", 200},
		{"shop", "/api", "index", 200}, // a page about them, perhaps
		{"shop", "/api/orders/7", "upstream /api/orders/7", 200},
		{"shop", "/api/ordres/7", "", 404},
		{"shop", "/api/", "", 404},
		{"shop", "/api/about", "about", 200}, // which is there
		{"shop", "/bff/sesion", "", 404},
		{"shop", "/bff/", "", 404},
		{"shop", "/bff", "", 404},
		{"shop", "/BFF/session/x", "", 404},
		{"book", "/api/ordres", "index", 200}, // it has no API there
	} {
		res, body := f.ask("GET " + row.path + " HTTP/1.1\nHost: " + row.host + ".example.com\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nAccept: text/html")
		if res.StatusCode != row.status || row.body != "" && body != row.body {
			t.Errorf("%s%s: %d %.60q", row.host, row.path, res.StatusCode, body)
		}
	}
}

// Not a byte of a site behind a sign-in, nor whether a name is there, is told to who has no session.
//
// shows ERR-CLOSED, HDR-CACHE (protected pages)
func TestABareRequestOfAProtectedSite(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	tag := `"` + base64.RawURLEncoding.EncodeToString(make([]byte, 16)) + `"`
	for _, fields := range []string{
		"", "\nRange: bytes=0-1", "\nIf-None-Match: *", "\nIf-None-Match: " + tag, "\nIf-Match: *", "\nAccept-Encoding: br, gzip", "\nService-Worker: script",
		"\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document", "\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nRange: bytes=0-1\nIf-Range: " + tag,
		"\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nSec-Fetch-Site: same-origin\nCookie: __Host-Http-open=" + strings.Repeat("A", 43),
		"\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: iframe", "\nUpgrade: websocket\nConnection: Upgrade\nOrigin: https://shut.example.com",
		"\nSec-Purpose: prefetch\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			var first string
			for _, path := range []string{"/app.js", "/nothing.js", "/app.js.gz", "/index.html.br", "/404.html", "/folder", "/", "/../x"} {
				res, body := f.ask(method + " " + path + " HTTP/1.1\nHost: shut.example.com" + fields)
				if strings.Contains(body, "SECRET") || res.StatusCode < 300 || res.StatusCode == 304 || res.StatusCode == 308 || res.StatusCode == 412 {
					t.Errorf("%s %s %q: %d %s", method, path, fields, res.StatusCode, body)
				}
				if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Etag") != "" || res.Header.Get("Last-Modified") != "" {
					t.Errorf("%s %s %q: %v", method, path, fields, res.Header)
				}
				if first == "" {
					first = res.Status
				}
				if res.Status != first && path != "/../x" { // what is no path at all is refused before
					t.Errorf("%s %s %q: %s, where another name gives %s", method, path, fields, res.Status, first)
				}
			}
		}
	}
}

// A body that a file or a form waits for holds no connection: neither where nobody reads it, nor where somebody does.
//
// shows PRX-LIMIT
func TestABodyThatComesTooSlowly(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{FormTime: 300 * time.Millisecond})
	form := "Content-Type: application/x-www-form-urlencoded\nContent-Length: 100\n\ngrant_type=refr"
	chunked := "Content-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked\n\n4\nabcd\n"
	for what, head := range map[string]string{
		"a file":             "GET /a/b.txt HTTP/1.1\nHost: open.example.com\nContent-Length: 100\n\n",
		"a long file":        "GET /long.txt HTTP/1.1\nHost: open.example.com\nContent-Length: 100\n\n",
		"a page":             "GET / HTTP/1.1\nHost: open.example.com\nSec-Fetch-Mode: navigate\nTransfer-Encoding: chunked\n\n",
		"a protected page":   "GET / HTTP/1.1\nHost: shut.example.com\nSec-Fetch-Mode: navigate\nContent-Length: 100\n\n",
		"a token request":    "POST /mobile/token HTTP/1.1\nHost: gw.example.com\n" + form,
		"a chunked one":      "POST /mobile/token HTTP/1.1\nHost: gw.example.com\n" + chunked,
		"a revocation":       "POST /mobile/revoke HTTP/1.1\nHost: gw.example.com\n" + form,
		"a sign-out":         "POST /mobile/logout HTTP/1.1\nHost: gw.example.com\n" + form,
		"a confirmation":     "POST /mobile/callback/phone HTTP/1.1\nHost: gw.example.com\nOrigin: https://gw.example.com\n" + form,
		"a read with a form": "GET /mobile/session HTTP/1.1\nHost: gw.example.com\n" + form,
		"a route":            "POST /files/x HTTP/1.1\nHost: gw.example.com\n" + form,
	} {
		t.Run("a connection with "+what, func(t *testing.T) {
			t.Parallel()
			c := f.open(head)
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // far more than all limits together
			if all, err := io.ReadAll(c); isTimeout(err) {
				t.Errorf("still open after %q", all)
			}
		})
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// shows PRX-LIMIT
func TestAFormThatComesTooSlowlyOverHTTP2(t *testing.T) {
	s, _ := manned(t, echoing(t), nowhereURL, server.Options{FormTime: 200 * time.Millisecond})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	body, never := io.Pipe()
	t.Cleanup(func() { _ = never.Close() })
	req, err := http.NewRequest("POST", srv.URL+"/mobile/token", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "gw.example.com"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	over := make(chan error, 1)
	go func() {
		res, err := srv.Client().Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		over <- err
	}()
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("the stream is still open")
	}
}

// The limit is of the form alone: what is done with it may take longer, and a body that is no form as long as it likes.
func TestAnAnswerThatTakesLongerThanAForm(t *testing.T) {
	s, _ := wired(t, "/api/", nowhereURL, server.Options{})
	const within = 500 * time.Millisecond
	srv := httptest.NewServer(s.Observed(func(w http.ResponseWriter, r *http.Request) error {
		lift := server.FormInTime(w, r, within)
		if r.URL.Path == "/upload" {
			lift()
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			return err
		}
		select {
		case <-r.Context().Done():
			return r.Context().Err()
		case <-time.After(2 * within):
		}
		_, err := io.WriteString(w, "done")
		return err
	}))
	t.Cleanup(srv.Close)
	f := &front{t: t, addr: srv.Listener.Addr().String()}
	// Nothing follows the form: what the server reads next is the end of its patience, should it still be set.
	c := f.open("POST /form HTTP/1.1\nHost: app.example.com\nContent-Length: 2\n\nab")
	form, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("a form: %v", err)
	}
	text, err := io.ReadAll(form.Body)
	_ = form.Body.Close()
	if err != nil || form.StatusCode != 200 || string(text) != "done" {
		t.Errorf("a form: %d %q %v", form.StatusCode, text, err)
	}
	c = f.open("POST /upload HTTP/1.1\nHost: app.example.com\nContent-Length: 4\n\nab")
	<-time.After(2 * within)
	_, _ = io.WriteString(c, "cd")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("an upload: %v %v", res, err)
	}
	_ = res.Body.Close()
}

// A development server is told no cookie of the gateway: of no app, and not of the native surface, whose sign-ins on
// their way stand beside it where both are at one host.
//
// shows PRX-COOKIE (development server)
func TestNoCookieOfOursAtADevelopmentServer(t *testing.T) {
	came := make(chan string, 4)
	vite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- r.Header.Get("Cookie")
		for _, name := range []string{"__Host-Http-.tx.1-a", "__Host-Http-phone.ok.b", "__Host-Http-open", "theme"} {
			w.Header().Add("Set-Cookie", name+"=evil; Path=/; Secure")
		}
	}))
	t.Cleanup(vite.Close)
	f := newMannedFront(t, vite.URL, server.Options{})
	res, _ := f.ask("GET / HTTP/1.1\nHost: dev.example.com\nCookie: __Host-Http-.tx.1-a=x; theme=dark; __Host-Http-phone.so=x; __Host-Http-phone.ok.b=x; __Host-Http-shut=x; __Host-Http-dev=x")
	if got := <-came; got != "theme=dark" {
		t.Errorf("it is told %q", got)
	}
	if got := strings.Join(res.Header.Values("Set-Cookie"), "|"); got != "theme=evil; Path=/; Secure" {
		t.Errorf("it sets %q", got)
	}
}

// The log tells whose request it was, where only the surface knows.
//
// shows LOG-2
func TestTheLogTellsWhoCame(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	form := "grant_type=refresh_token&refresh_token=x&client_id=phone"
	if res, body := f.ask(fmt.Sprintf("POST /mobile/token HTTP/1.1\nHost: gw.example.com\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d\n\n%s",
		len(form), form)); res.StatusCode != 400 || !strings.Contains(body, "invalid_grant") {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(f.log.String(), `"route":"/mobile/token","app":"phone"`); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell: %s", f.log)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// A development server that is not there is asked about by its address: only where nobody needs to sign in to see that.
func TestADevelopmentServerThatIsNotThere(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	res, body := f.ask("GET / HTTP/1.1\nHost: dev.example.com\nSec-Fetch-Mode: navigate")
	if res.StatusCode != 502 || !strings.Contains(body, nowhereURL) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// A development server may name a module by a path of a file, and only there is a slash let through under an escape.
//
// shows PRX-PATH (development server)
func TestEscapedSlashesAreForADevelopmentServerAlone(t *testing.T) {
	nuxt := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) }))
	t.Cleanup(nuxt.Close)
	f := newMannedFront(t, nuxt.URL, server.Options{})
	for target, want := range map[string]int{
		"/_nuxt/@id/virtual:nuxt:%2Fhome%2Fada%2F.nuxt%2Fcss.mjs?v=%2F": 200,
		"/api%2Fx": 400, "/api/x%2fy": 400, "/%61pi%2fx": 400, "/files%2Fx": 400, // which could be a route's, if another app's
		"/bff%2Flogin": 400, "/bff%2Fsession": 400, "/%2Fbff%2Flogin": 400, "/healthz%2Fx": 400, "https:dev.example.com%2Fx": 400,
		"/@id/..%2F..%2Fsecret": 400, "/@id/%2e%2e%2Fsecret": 400, "/@id/a%2F%2Fb": 400, "/@id/a%5Cb": 400, "/@id/a%252Fb": 400, "/@id/%2F%00": 400,
	} {
		res, body := f.ask("GET " + target + " HTTP/1.1\nHost: dev.example.com")
		if res.StatusCode != want || want == 200 && body != target {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
		if res, body := f.ask("GET " + target + " HTTP/1.1\nHost: open.example.com"); res.StatusCode != 400 {
			t.Errorf("%s at a folder: %d %s", target, res.StatusCode, body)
		}
	}
}

// Over HTTP/2 the same paths lead nowhere.
//
// shows PRX-PATH (static files)
func TestTargetsThatAttackAFolderOverHTTP2(t *testing.T) {
	s, _ := manned(t, echoing(t), nowhereURL, server.Options{})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	for _, path := range []string{"/../outside.txt", "/a/..%2f..%2foutside.txt", "/%2e%2e/outside.txt", "/.env", "/bff;x/login", "/bff/../.env"} {
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		u.Path, u.RawPath = "", ""
		u.Opaque = path
		res, err := srv.Client().Do(&http.Request{Method: "GET", URL: u, Host: "open.example.com", Header: http.Header{}})
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode < 400 || strings.Contains(string(body), "SECRET") {
			t.Errorf("%s: HTTP/%d %d %s", path, res.ProtoMajor, res.StatusCode, body)
		}
	}
}
