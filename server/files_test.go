package server_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server"
	"cloakroom/server/config"
)

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
		{"PUT /api/x", "", "GET, HEAD, POST", 405},
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
