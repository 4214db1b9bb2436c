package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server"
	"cloakroom/server/config"
)

// documented is a documentation site, some of which everybody may see, beside a server-rendered app. Redis and provider
// are down: nothing of what is public may need them.
func documented(t *testing.T, upstream string) *front {
	t.Helper()
	dir := keyed(t)
	for name, text := range map[string]string{
		"docs/index.html": "SECRET home", "docs/404.html": "SECRET missing", "docs/plan.html": "SECRET", "docs/public.html": "SECRET",
		"docs/public/index.html": "OPEN index", "docs/public/a b.html": "OPEN", "docs/public/style.css": "OPEN", "docs/publicity/x.html": "SECRET",
		"docs/public/deep/x.html": "OPEN", "docs/robots.txt": "OPEN", "docs/robots.txt.html": "SECRET", "docs/guide/index.html": "SECRET", "docs/guide/one.html": "OPEN",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
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
  docs: {kind: web, origin: "https://docs.example.com", provider: main, client_id: c1, client_secret: a-secret-of-some-length-for-app-1, static: {dir: docs, protected: true, public: [/public/, /robots.txt, /guide/one.html]}}
routes:
  - {path: /app/, kind: site, upstream: %[1]q, methods: [GET, POST]}
  - {path: /news/, kind: site, upstream: %[1]q, methods: [GET, POST], token: user-or-none}
  - {path: /open/, kind: site, upstream: %[1]q, methods: [GET, POST], token: none}
`, upstream), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return &front{t: t, addr: srv.Listener.Addr().String()}
}

const visiting = " HTTP/1.1\nHost: docs.example.com\nSec-Fetch-Site: none\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document"

// Of a documentation site everybody sees what is public, by no other spelling of its path anything else, and no page that
// stands for a missing one; all the rest goes to the sign-in.
//
// shows ERR-NAV, PRX-PATH (documentation sites)
func TestADocumentationSite(t *testing.T) {
	f := documented(t, "http://127.0.0.1:1")
	for path, want := range map[string]string{
		"/public/": "200 OPEN", "/public/index.html": "200 OPEN", "/public/a%20b.html": "200 OPEN", "/%70ublic/style.css": "200 OPEN", "/public/deep/x.html": "200 OPEN",
		"/public/style.css?x=../plan.html": "200 OPEN", "/robots.txt": "200 OPEN", "/guide/one.html": "200 OPEN",
		"/public": "308 /public/", "/public/deep/": "404", "/public/nothing": "404", "/public/nothing.css": "404",
		"/": "303", "/index.html": "303", "/404.html": "303", "/plan.html": "303", "/nothing": "303", "/public.html": "303", "/publicity/x.html": "303",
		"/robots.txt.html": "303", "/robots.txt/": "303", "/guide/": "303", "/guide": "303", "/guide/one.html/": "303", "/PUBLIC/style.css": "303", "/public;x/style.css": "303",
		"/public/../plan.html": "400", "/public/%2e%2e/plan.html": "400", "/public/..;/plan.html": "400", "/public%2f..%2fplan.html": "400", "/public/%252e%252e/plan.html": "400",
		`/public/..\plan.html`: "400", "/public//plan.html": "400", "//public/": "400", "/./public/": "400",
	} {
		res, body := f.ask("GET " + path + visiting)
		got := strings.TrimSpace(fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location")))
		if strings.Contains(body, "OPEN") {
			got += " OPEN"
		}
		if res.StatusCode == 303 && strings.HasPrefix(res.Header.Get("Location"), "/bff/login") {
			got = "303"
		}
		if got != want || strings.Contains(body, "SECRET") {
			t.Errorf("%s: %s, want %s: %.200s", path, got, want, body)
		}
		if cached := res.Header.Get("Cache-Control"); strings.HasPrefix(want, "200") != (cached == "no-cache" || cached == "public, max-age=0, must-revalidate") && want != "308 /public/" {
			t.Errorf("%s: %q", path, cached)
		}
	}
	// A dead cookie is nobody's business where all may look, even with the store down.
	if res, body := f.ask("GET /public/" + visiting + "\nCookie: __Host-Http-docs=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); res.StatusCode != 200 || len(res.Header["Set-Cookie"]) > 0 {
		t.Errorf("with a cookie: %d %s", res.StatusCode, body)
	}
	if res, _ := f.ask("GET /plan.html" + visiting + "\nCookie: __Host-Http-docs=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"); res.StatusCode != 503 {
		t.Errorf("a page behind the sign-in, without the store: %d", res.StatusCode)
	}
}

// Without a session a site's own routes send a visit to the sign-in, keep a form, and tell all else; what everybody may
// see is forwarded, without what a forged request brings along.
//
// shows ERR-NAV, CSRF-1, PRX-AUTHZ (server-rendered apps)
func TestASiteWithoutASession(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "cookie %q authorization %q", r.Header["Cookie"], r.Header["Authorization"])
	}))
	t.Cleanup(upstream.Close)
	f := documented(t, upstream.URL)
	form := func(site string) string {
		return strings.Replace(visiting, "Sec-Fetch-Site: none", "Sec-Fetch-Site: "+site, 1) + "\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 3\nCookie: theme=dark\nAuthorization: Basic eA==\n\na=1"
	}
	for _, row := range []struct {
		what, head string
		status     int
		holds      string
	}{
		{"a visit", "GET /app/x?a=%2F" + visiting, 303, ""},
		{"a form", "POST /app/x?a=1" + form("same-origin"), 401, `name="a" value="1"`},
		{"a forged form", "POST /app/x" + form("cross-site"), 403, "csrf_failed"},
		{"a fetch", "GET /app/x HTTP/1.1\nHost: docs.example.com\nSec-Fetch-Site: same-origin\nSec-Fetch-Mode: cors\nSec-Fetch-Dest: empty", 401, `"login_url":"/bff/login"`},
		{"a method that is not let through", "DELETE /app/x HTTP/1.1\nHost: docs.example.com", 405, ""},
		{"a visit of a page for everybody", "GET /news/x" + visiting, 200, "cookie [] authorization []"},
		{"a form for everybody", "POST /news/x" + form("same-origin"), 200, `cookie ["theme=dark"] authorization []`},
		{"a forged form for everybody", "POST /news/x" + form("cross-site"), 200, "cookie [] authorization []"},
		{"a form that nobody guards", "POST /open/x" + form("cross-site"), 200, `cookie ["theme=dark"] authorization []`},
	} {
		res, body := f.ask(row.head)
		if res.StatusCode != row.status || !strings.Contains(body, row.holds) || res.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: %d %v %.400s", row.what, res.StatusCode, res.Header, body)
		}
		if row.status == 303 && res.Header.Get("Location") != "/bff/login?return_to=%2Fapp%2Fx%3Fa%3D%252F%26bff_step%3Dlanded" {
			t.Errorf("%s: %s", row.what, res.Header.Get("Location"))
		}
	}
}
