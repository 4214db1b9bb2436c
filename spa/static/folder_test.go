package static_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom/spa/static"
	"cloakroom/surface"
)

const hashed = "assets/index-DiwrgT_a.js"

// aged is the time of every file, as a repeatable build leaves it.
var aged = time.Unix(1, 0)

// write makes files, by their names.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(at, aged, aged); err != nil {
			t.Fatal(err)
		}
	}
}

// app is what a build of one page leaves, and what should not lie beside it.
func app(t *testing.T) (dir string) {
	t.Helper()
	outer := t.TempDir()
	dir = filepath.Join(outer, "dist")
	write(t, dir, map[string]string{
		"index.html": "<p>index", hashed: "let a = 1", "assets/plain.css": "p{}", "assets/hero-worldwide.png": "png", "assets/icon-DarkMode.svg": "<svg/>",
		"main.3f2a9c1b.js": "x", "main-5NQ7ZJQV.js": "x", "main-deadbeef.js": "x", "logo.svg": "<svg/>", "robots.txt": "User-agent: *", "app.webmanifest": "{}",
		"guide/index.html": "<p>guide", "guide/step.html": "<p>step", "empty/x.txt": "x", "data.unknown": "bytes", "sitemap.xml": "<x/>", "old.xhtml": "<html/>", "assets/PHOTO.PNG": "png", "LICENSE": "free", "a b/ü.txt": "ü",
		".env": "SECRET=1", ".git/config": "SECRET=1", "guide/.hidden": "SECRET=1", ".well-known/.x": "SECRET=1", "guide/.well-known/x": "SECRET=1", ".well-known/security.txt": "Contact: x", "sw.js": "worker",
	})
	write(t, outer, map[string]string{"secret.txt": "SECRET=1", "beside/index.html": "SECRET=1"})
	return dir
}

// host is a site on a real socket.
type host struct {
	t   *testing.T
	url string
	log *bytes.Buffer
}

func serve(t *testing.T, o static.Options) *host {
	t.Helper()
	log := &bytes.Buffer{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	site, err := static.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := site.Serve(w, r); err != nil {
			surface.WriteError(w, r, err, surface.Info{HomeURL: "/"})
		}
	}))
	t.Cleanup(s.Close)
	return &host{t, s.URL, log}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request as it is written: no client cleans the path.
func (h *host) ask(method, target string, fields ...string) *answer {
	h.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	request := method + " " + target + " HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n"
	for i := 0; i+1 < len(fields); i += 2 {
		request += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		h.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return &answer{res.StatusCode, res.Header, string(body)}
}

var (
	navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html,*/*;q=0.8"}
	script     = []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script", "Accept", "*/*"}
	old        = []string{"Accept", "text/html"} // a browser without metadata, opening a page
)

func TestWhatAFolderAnswers(t *testing.T) {
	for _, row := range []struct {
		method, path string
		fields       []string
		status       int
		body         string // how it begins
	}{
		{"GET", "/", navigation, 200, "<p>index"},
		{"GET", "/", nil, 200, "<p>index"},
		{"GET", "/?a=b", navigation, 200, "<p>index"},
		{"GET", "/index.html", navigation, 200, "<p>index"},
		{"HEAD", "/", navigation, 200, ""},
		{"GET", "/" + hashed, script, 200, "let a"},
		{"GET", "/a%20b/%C3%BC.txt", nil, 200, "ü"},
		{"GET", "/LICENSE", navigation, 200, "free"},
		{"GET", "/guide/", navigation, 200, "<p>guide"},
		{"GET", "/guide", navigation, 308, ""},
		{"GET", "/guide", script, 308, ""},
		{"GET", "/guide/step.html", navigation, 200, "<p>step"},

		{"GET", "/orders", navigation, 200, "<p>index"},
		{"GET", "/orders/7", navigation, 200, "<p>index"},
		{"GET", "/v1.2/orders/", navigation, 200, "<p>index"},
		{"GET", "/orders", old, 200, "<p>index"},
		{"HEAD", "/orders", navigation, 200, ""},
		{"GET", "/empty", navigation, 200, "<p>index"},
		{"GET", "/empty/", navigation, 200, "<p>index"},
		{"GET", "/users/jane.doe", navigation, 200, "<p>index"},
		{"GET", "/users/jane@example.com", navigation, 200, "<p>index"},
		{"GET", "/releases/1.2.3", navigation, 200, "<p>index"},
		{"GET", "/books/urn:isbn:0451450523", navigation, 200, "<p>index"},
		{"GET", "/search/why%3F%20because.", navigation, 200, "<p>index"},
		{"GET", "/caf%C3%A9/a%20b", navigation, 200, "<p>index"},
		{"GET", "/orders/7", append([]string{"Sec-Purpose", "prefetch"}, navigation...), 200, "<p>index"},
		{"GET", "/orders/7", append([]string{"Sec-Purpose", "prefetch;prerender"}, navigation...), 200, "<p>index"},
		{"GET", "/orders/7", append([]string{"Service-Worker-Navigation-Preload", "true"}, navigation...), 200, "<p>index"},
		{"GET", "/orders/7", append([]string{"Range", "bytes=0-2"}, navigation...), 206, "<p>"},
		{"GET", "/guide/step", navigation, 200, "<p>step"}, // its extension left out
		{"HEAD", "/guide/step", navigation, 200, ""},
		{"GET", "/guide/step/", navigation, 200, "<p>index"},
		{"GET", "/orders/7", []string{"Sec-Purpose", "prefetch", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}, 404, `{"type"`},
		{"GET", "/orders/7", []string{"Accept", "*/*"}, 404, `{"type"`},
		{"GET", "/orders/7", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}, 404, `{"type"`}, // fetch, of a service worker too
		{"GET", "/orders/7", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 404, `{"type"`},
		{"HEAD", "/orders/7", []string{"Accept", "*/*"}, 404, ""},
		{"GET", "/users/jane.doe", script, 404, `{"type"`},
		{"GET", "/books/urn:isbn:0451450523", script, 404, `{"type"`},
		{"GET", "/assets/index-Bqw9_1Zz.js", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "script", "Accept", "*/*"}, 404, `{"type"`}, // import() of a build that is gone
		{"GET", "/assets/index-Bqw9_1Zz.css", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "style", "Accept", "text/css,*/*;q=0.1"}, 404, `{"type"`},
		{"GET", "/assets/index-Bqw9_1Zz.js", navigation, 404, "<!doctype html>"},
		{"GET", "/downloads/setup.EXE", navigation, 404, "<!doctype html>"},
		{"GET", "/wp-login.php", navigation, 404, "<!doctype html>"},
		{"GET", "/a%2Fb", navigation, 404, "<!doctype html>"},
		{"GET", "/orders", script, 404, `{"type"`},
		{"GET", "/orders", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 404, `{"type"`},
		{"GET", "/orders", nil, 404, `{"type"`},
		{"GET", "/empty/", script, 404, `{"type"`},
		{"GET", "/assets/gone.js", script, 404, `{"type"`},
		{"GET", "/assets/gone.js", navigation, 404, "<!doctype html>"},
		{"GET", "/assets/gone.js", old, 404, "<!doctype html>"},
		{"GET", "/index.html/x.js", script, 404, `{"type"`},

		{"POST", "/", navigation, 405, "<!doctype html>"},
		{"PUT", "/x", nil, 405, `{"type"`},
		{"DELETE", "/index.html", nil, 405, `{"type"`},
		{"OPTIONS", "/", nil, 405, `{"type"`},
	} {
		h := serve(t, static.Options{Dir: app(t)})
		a := h.ask(row.method, row.path, row.fields...)
		if a.status != row.status || !strings.HasPrefix(a.body, row.body) || row.body == "" && a.body != "" {
			t.Errorf("%s %s with %v: %d %.80q", row.method, row.path, row.fields, a.status, a.body)
		}
		if row.status == 405 && a.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow %q", row.method, row.path, a.header.Get("Allow"))
		}
		if row.status >= 400 && a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d may be kept: %q", row.method, row.path, a.status, a.header.Get("Cache-Control"))
		}
		if row.status < 400 && a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %v", row.method, row.path, a.header)
		}
		if at := map[bool]string{true: "/guide/"}[row.status == 308]; a.header.Get("Location") != at {
			t.Errorf("%s %s: Location %q", row.method, row.path, a.header.Get("Location"))
		}
	}
}

// A folder with a page of its own for what is missing is a site of many pages: no other page passes for one of them.
func TestASiteOfManyPages(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"404.html": "<p>missing"})
	h := serve(t, static.Options{Dir: dir})
	for _, row := range []struct {
		method, path string
		fields       []string
		status       int
		body         string
	}{
		{"GET", "/guide/", navigation, 200, "<p>guide"},
		{"GET", "/orders", navigation, 404, "<p>missing"},
		{"GET", "/orders", old, 404, "<p>missing"},
		{"GET", "/assets/gone.js", navigation, 404, "<p>missing"},
		{"HEAD", "/orders", navigation, 404, ""},
		{"GET", "/assets/gone.js", script, 404, `{"type"`},
		{"GET", "/404.html", navigation, 200, "<p>missing"},
	} {
		a := h.ask(row.method, row.path, row.fields...)
		if a.status != row.status || !strings.HasPrefix(a.body, row.body) {
			t.Errorf("%s %s: %d %.80q", row.method, row.path, a.status, a.body)
		}
		if row.status == 404 && row.path == "/orders" && (a.header.Get("Content-Length") != "10" || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Sec-Fetch-Mode")) {
			t.Errorf("%s %s: %v", row.method, row.path, a.header)
		}
		if row.body == "<p>missing" && (a.header.Get("Cache-Control") != "no-cache" || !strings.Contains(a.header.Get("Content-Security-Policy"), "'none'")) {
			t.Errorf("%s %s: %v", row.method, row.path, a.header)
		}
	}
}

// A folder with an empty app beside the content of its first page shows the one for what is missing, never the other.
func TestAnAppBesideItsFirstPage(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"200.html": "<p>app", "404.html": "<p>missing"})
	for _, o := range []static.Options{{Dir: dir, APIs: true}, {Dir: dir, APIs: true, Protected: true, Public: []string{"/empty/", "/404.html"}}} {
		h := serve(t, o)
		for _, row := range []struct {
			path   string
			fields []string
			status int
			body   string
		}{
			{"/", navigation, 200, "<p>index"},
			{"/orders/7", navigation, 200, "<p>app"},
			{"/orders/7", script, 404, `{"type"`},
			{"/assets/gone.js", navigation, 404, "<p>missing"},
			{"/assets/gone.js", script, 404, `{"type"`},
			{"/api/orders", navigation, 404, "<p>missing"},
			{"/empty/nothing", navigation, map[bool]int{false: 200, true: 404}[o.Protected], map[bool]string{false: "<p>app", true: "<p>missing"}[o.Protected]},
		} {
			a := h.ask("GET", row.path, row.fields...)
			if a.status != row.status || !strings.HasPrefix(a.body, row.body) {
				t.Errorf("%s of %v: %d %.80q", row.path, o.Public, a.status, a.body)
			}
		}
	}
}

// shows PRX-PATH (files): no spelling of a path leaves the folder or finds what nobody means to serve.
func TestPathsThatAttackAFolder(t *testing.T) {
	dir := app(t)
	outer := filepath.Dir(dir)
	for link, target := range map[string]string{
		"out.txt": filepath.Join(outer, "secret.txt"), "up.txt": "../secret.txt", "away": outer, "sideways": "../beside",
		"loop": "loop", "in.txt": "robots.txt",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{ // what other systems take for another name
		"index.html.": "SECRET=1", "index.html ": "SECRET=1", "index.html::$DATA": "SECRET=1", `guide\step.html`: "SECRET=1", "a\tb": "SECRET=1",
		"c\u0085d": "SECRET=1", "c\u009fd": "SECRET=1", "line\nbreak.txt": "SECRET=1", "e\x7ff": "SECRET=1", "g\xffh": "SECRET=1", // controls of another set, and no text at all
	})
	h := serve(t, static.Options{Dir: dir})
	if a := h.ask("GET", "/in.txt"); a.body != "User-agent: *" {
		t.Errorf("a link inside the folder: %d %s", a.status, a.body)
	}
	for _, path := range []string{
		"/out.txt", "/up.txt", "/away/secret.txt", "/away/", "/sideways/", "/sideways", "/sideways/index.html", "/loop", "/pipe",
		"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/guide/../../secret.txt", "/guide/..%2f..%2fsecret.txt",
		"/..%5csecret.txt", `/..\secret.txt`, "/%252e%252e/secret.txt", "/..;/secret.txt", "/./index.html", "/guide/./step.html", "/guide/../index.html",
		"/.env", "/%2eenv", "/.git/config", "/.GIT/config", "/guide/.hidden", "/.well-known/.x", "/.well-known/../.env", "/guide/.well-known/x", "/.WELL-KNOWN/security.txt", "/.well-knownx/x", "/.well-known", "/.", "/..", "/guide/..", "/guide/.",
		"/index.html%00", "/index.html%00.js", "/%00", "/index.html%0a", "/a%09b", "/index.html%7f", "/%ff%fe", "/c%c2%85d", "/c%c2%9fd", "/line%0abreak.txt", "/e%7ff", "/g%ffh",
		"/index.html.", "/index.html%20", "/index.html::$DATA", "/C:/secret.txt", "/C:%5csecret.txt", "/INDEX~1.HTM", "/con", "/nul.txt", "/aux.js", "/guide%5cstep.html",
		"/INDEX.HTML", "/Guide/", "/Index.html", "/LOGO.SVG",
		"/guide//step.html", "/guide//", "//index.html", "//", "//evil.example/", "//guide", "/%2fguide", "/guide%2fstep.html", "/guide%2Fstep.html", "/guide%2f", "/index.html/", "/robots.txt/",
		"http://app.example", "*", "/robots.txt/x", "/robots.txt/index.html", "/" + strings.Repeat("a", 5000), "/" + strings.Repeat("a/", 3000) + "a.js",
	} {
		for _, fields := range [][]string{nil, script} {
			a := h.ask("GET", path, fields...)
			if a.status != 404 && a.status != 400 || strings.Contains(a.body, "SECRET") || a.header.Get("Location") != "" {
				t.Errorf("%.60s: %d %.60s to %q", path, a.status, a.body, a.header.Get("Location"))
			}
		}
		if a := h.ask("GET", path, navigation...); strings.Contains(a.body, "SECRET") || a.header.Get("Location") != "" {
			t.Errorf("%.60s as a navigation: %d %.60s to %q", path, a.status, a.body, a.header.Get("Location"))
		}
	}
	for line := range strings.Lines(h.log.String()) {
		if !strings.Contains(line, "path escapes") && !strings.Contains(line, "loop") {
			t.Errorf("the log tells the operator of what a scanner asked for: %.200s", line)
		}
	}
	if !strings.Contains(h.log.String(), "out.txt") || strings.Contains(h.log.String(), "INDEX") {
		t.Errorf("the log names what leads out of the folder, and nothing else: %s", h.log)
	}
}

// shows HDR-CACHE (files), HDR-SEC (files), HDR-CSP (the app's documents)
func TestHowFilesAreKeptAndRun(t *testing.T) {
	const forever, asked, page = "public, max-age=31536000, immutable", "public, max-age=0, must-revalidate", "no-cache"
	open, protected := serve(t, static.Options{Dir: app(t)}), serve(t, static.Options{Dir: app(t), Protected: true})
	for path, want := range map[string]struct{ media, cache string }{
		"/":                          {"text/html; charset=utf-8", page},
		"/orders":                    {"text/html; charset=utf-8", page},
		"/guide/step.html":           {"text/html; charset=utf-8", page},
		"/logo.svg":                  {"image/svg+xml; charset=utf-8", page},
		"/assets/icon-DarkMode.svg":  {"image/svg+xml; charset=utf-8", page},
		"/" + hashed:                 {"text/javascript; charset=utf-8", forever},
		"/main.3f2a9c1b.js":          {"text/javascript; charset=utf-8", forever},
		"/main-5NQ7ZJQV.js":          {"text/javascript; charset=utf-8", forever},
		"/main-deadbeef.js":          {"text/javascript; charset=utf-8", asked},
		"/sw.js":                     {"text/javascript; charset=utf-8", asked},
		"/assets/plain.css":          {"text/css; charset=utf-8", asked},
		"/assets/hero-worldwide.png": {"image/png", asked},
		"/robots.txt":                {"text/plain; charset=utf-8", asked},
		"/app.webmanifest":           {"application/manifest+json", asked},
		"/sitemap.xml":               {"application/xml; charset=utf-8", page},
		"/old.xhtml":                 {"application/xhtml+xml; charset=utf-8", page},
		"/assets/PHOTO.PNG":          {"image/png", asked},
		"/data.unknown":              {"application/octet-stream", asked},
		"/LICENSE":                   {"application/octet-stream", asked},
	} {
		a := open.ask("GET", path, navigation...)
		if got := a.header.Get("Content-Type"); got != want.media || a.header.Get("Cache-Control") != want.cache || a.status != 200 {
			t.Errorf("%s: %d %q, %q", path, a.status, got, a.header.Get("Cache-Control"))
		}
		if strings.Contains(a.header.Get("Vary"), "Cookie") || a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" || a.header.Get("Last-Modified") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
		if (path == "/orders") != strings.Contains(a.header.Get("Vary"), "Sec-Fetch-Mode") {
			t.Errorf("%s: Vary %q", path, a.header.Get("Vary"))
		}
		document := want.cache == page
		policy := a.header.Get("Content-Security-Policy")
		held := document || strings.HasPrefix(want.media, "text/javascript") // which may be a worker's
		if held != (policy == static.DefaultPolicy) || document != (a.header.Get("Cross-Origin-Opener-Policy") == "same-origin") ||
			document != (a.header.Get("X-Frame-Options") == "DENY") || document != (a.header.Get("Referrer-Policy") != "") {
			t.Errorf("%s: %v", path, a.header)
		}
		a = protected.ask("GET", path, navigation...)
		if got := a.header.Get("Cache-Control"); document && got != "no-store" || !document && got != "private, no-cache" || !strings.Contains(a.header.Get("Vary"), "Cookie") {
			t.Errorf("%s, protected: %v", path, a.header)
		}
	}
	if a := protected.ask("GET", "/guide", navigation...); a.header.Get("Cache-Control") != "private, no-cache" || a.header.Get("Location") != "/guide/" {
		t.Errorf("a redirect of a protected site: %v", a.header)
	}
	if a := open.ask("GET", "/guide?a=%0d%0ax:y&b"); a.header.Get("Location") != "/guide/?a=%0d%0ax:y&b" || a.header.Get("X") != "" {
		t.Errorf("a redirect with a query: %v", a.header)
	}
	if strings.Contains(static.DefaultPolicy, "form-action") || strings.Contains(static.DefaultPolicy, "unsafe") {
		t.Errorf("%s", static.DefaultPolicy)
	}
	own := serve(t, static.Options{Dir: app(t), Policy: "default-src 'self'"})
	if a := own.ask("GET", "/"); a.header.Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("a policy of its own: %v", a.header)
	}
}

func TestWhichNamesChangeWithTheContent(t *testing.T) {
	names := map[string]bool{
		"assets/index-DiwrgT_a.js": true, "assets/index-BQxyz-_1.css": true, "assets/index-DiwrgT_a.js.map": true, "app/assets/x-a1B2c3D4.woff2": true,
		"static/chunks/main-0123456789abcdef.js": true, "main.3f2a9c1b.chunk.js": true, "chunk-5NQ7ZJQV.js": true,
		// As the tools name them today: Vite 8, webpack 5 (chunks; pictures and fonts), Parcel 2, esbuild, Angular 21, Next.js with
		// webpack and with Turbopack, SvelteKit, Astro.
		"assets/rolldown-runtime-BYbx6iT9.js": true, "assets/worker-CwlG3DVK.js": true, "assets/index-B-_x9kQ2.css": true, "assets/logo-BH2Kn_d1.svg.br": true,
		"418.5f0d7ad5ae0bc53d5a53.js": true, "5f0d7ad5ae0bc53d5a53.png": true, "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg": true,
		"static/js/453.8ab44547.chunk.js": true, "runtime~main.9f6c11a7.js": true, "index.8b1e2f3c.css": true, "logo.1a2b3c4d.svg": true,
		"styles-5INURTSO.css": true, "polyfills-FFHMD2TL.js": true, "media/inter-AB3D5FGH.woff2": true,
		"_next/static/css/94fdbc56eafa2039.css": true, "_next/static/chunks/app/layout-0ee73e98628876d3.js": true, "_next/static/chunks/a6dad97d9634a72d.js": true,
		"_next/static/Xy_12-abCDeFGhijklmno/_buildManifest.js": true, "_next/static/media/inter-s.p.e4af272c.woff2": true, "_next/image.js": false,
		"_app/immutable/entry/start.CmK4LdGD.js": true, "_app/immutable/nodes/0.Dd7rQ0Bz.js": true, "_app/version.json": false, "_app/env.js": false,
		"_nuxt/Cv_w-Vf8.js": true, "_nuxt/pages.61S5m0AK.css": true, "_nuxt/builds/meta/b6359c2c-c5fb-4a71-b30a-b9a8f62225e5.json": true, "_nuxt/builds/latest.json": false,
		"_astro/index.DiwrgT_a.css": true, "x/_astro.js": false, "my_next/static/a.js": false,
		"assets/page-DiwrgT_a.html": false, "facade.js": false, "feedbeef.css": false, "1234567890123456.png": false, "20240115.pdf": false,
		"assets/hero-worldwide.png": false, "assets/hero-Dashboard.png": false, "assets/icon-DarkMode.png": false, "assets/team-photo2024.png": false,
		"assets/scan-20240115.png": false, "assets/index.js": false, "x-DiwrgT_a.js": false, "main-deadbeef.js": false, "assets/DiwrgT_a.js": false,
		"chunk-FEATURES.js": false, "jquery-3.7.1.min.js": false, "assets/en-US-overview.json": false,
	}
	dir := app(t)
	for name := range names {
		write(t, dir, map[string]string{name: "x"})
	}
	h := serve(t, static.Options{Dir: dir})
	for name, want := range names {
		a := h.ask("GET", "/"+name)
		if got := strings.Contains(a.header.Get("Cache-Control"), "immutable"); got != want || a.status != 200 {
			t.Errorf("%s: %d %q", name, a.status, a.header.Get("Cache-Control"))
		}
	}
}

func TestAskingAgain(t *testing.T) {
	dir := app(t)
	h := serve(t, static.Options{Dir: dir})
	first := h.ask("GET", "/")
	tag := first.header.Get("Etag")
	if !strings.HasPrefix(tag, `"`) || len(tag) < 20 {
		t.Fatalf("tag %q", tag)
	}
	a := h.ask("GET", "/", "If-None-Match", tag)
	if a.status != 304 || a.body != "" || a.header.Get("Etag") != tag || a.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := h.ask("GET", "/", "If-None-Match", `"x", W/`+tag); a.status != 304 {
		t.Errorf("one of a list: %d", a.status)
	}
	if a := h.ask("GET", "/", "If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"); a.status != 200 {
		t.Errorf("by a time, which says nothing here: %d", a.status)
	}
	if a := h.ask("GET", "/robots.txt"); a.header.Get("Etag") == tag {
		t.Error("two files have one tag")
	}
	// A new build of the same length and time: in a new file, as builds and checkouts write them, and in a new folder.
	write(t, dir, map[string]string{"new": "<p>INDEX"})
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "index.html")); err != nil {
		t.Fatal(err)
	}
	if a := h.ask("GET", "/", "If-None-Match", tag); a.status != 200 || a.body != "<p>INDEX" {
		t.Errorf("a new file: %d %s", a.status, a.body)
	}
	// The same file, written again in its place: its time tells.
	tag = h.ask("GET", "/").header.Get("Etag")
	write(t, dir, map[string]string{"index.html": "<p>Index"})
	if err := os.Chtimes(filepath.Join(dir, "index.html"), aged.Add(time.Second), aged.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if a := h.ask("GET", "/", "If-None-Match", tag); a.status != 200 || a.body != "<p>Index" {
		t.Errorf("a file that was written again: %d %s", a.status, a.body)
	}
	// And a longer one, in its place and at its time.
	tag = h.ask("GET", "/").header.Get("Etag")
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("<p>Index!"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "index.html"), aged.Add(time.Second), aged.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if a := h.ask("GET", "/", "If-None-Match", tag); a.status != 200 || a.body != "<p>Index!" {
		t.Errorf("a file that was written longer: %d %s", a.status, a.body)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if a := h.ask("GET", "/"); a.status != 500 || strings.Contains(a.body, dir) {
		t.Errorf("no folder: %d %s", a.status, a.body)
	}
	write(t, dir, map[string]string{"index.html": "<p>third"})
	if a := h.ask("GET", "/", "If-None-Match", tag); a.status != 200 || a.body != "<p>third" {
		t.Errorf("a new folder: %d %s", a.status, a.body)
	}
}

func TestParts(t *testing.T) {
	h := serve(t, static.Options{Dir: app(t)})
	tag := h.ask("GET", "/robots.txt").header.Get("Etag")
	for _, row := range []struct {
		with   []string
		status int
		body   string
	}{
		{[]string{"Range", "bytes=0-3"}, 206, "User"},
		{[]string{"Range", "bytes=-1"}, 206, "*"},
		{[]string{"Range", "bytes=5-", "If-Range", tag}, 206, "agent: *"},
		{[]string{"Range", "bytes=0-3", "If-Range", `"other"`}, 200, "User-agent: *"},
		{[]string{"Range", "bytes=0-3", "If-Range", "Fri, 01 Jan 2100 00:00:00 GMT"}, 200, "User-agent: *"},
		{[]string{"Range", "lines=0-3"}, 200, "User-agent: *"}, // RFC 9110 section 14.2: an unknown unit is ignored
		{[]string{"Range", "bytes=0-3", "Range", "bytes=5-6"}, 200, "User-agent: *"},
		{[]string{"Range", "bytes=99-"}, 416, ""},
	} {
		a := h.ask("GET", "/robots.txt", row.with...)
		if a.status != row.status || row.body != "" && a.body != row.body {
			t.Errorf("with %v: %d %q", row.with, a.status, a.body)
		}
		if a.status == 206 && (a.header.Get("Content-Range") == "" || a.header.Get("Content-Type") != "text/plain; charset=utf-8") {
			t.Errorf("with %v: %v", row.with, a.header)
		}
	}
	a := h.ask("HEAD", "/robots.txt")
	if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "13" || a.header.Get("Etag") != tag || a.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// Nothing is compressed here: what is small was made so by the build.
func TestCompressedSiblings(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{hashed + ".br": "BROTLI", hashed + ".gz": "GZIP", hashed + ".zst": "ZSTD", "index.html.gz": "GZIPPED INDEX", "guide/index.html.br/x": "a folder"})
	h := serve(t, static.Options{Dir: dir})
	for _, row := range []struct{ path, accept, coding, body string }{
		{"/" + hashed, "gzip, deflate, br, zstd", "br", "BROTLI"},
		{"/" + hashed, "gzip", "gzip", "GZIP"},
		{"/" + hashed, "gzip, zstd", "zstd", "ZSTD"},
		{"/" + hashed, "gzip, zstd;q=0.1, br;q=0", "gzip", "GZIP"},
		{"/" + hashed, "zstd, br;q=0.9", "zstd", "ZSTD"},
		{"/" + hashed, "GZIP;q=1.0, br;q=0.5", "gzip", "GZIP"},
		{"/" + hashed, "br;q=0, gzip", "gzip", "GZIP"},
		{"/" + hashed, "br;q=0, *", "zstd", "ZSTD"},
		{"/" + hashed, "br;q=0, zstd;q=0, *", "gzip", "GZIP"},
		{"/" + hashed, "*", "br", "BROTLI"},
		{"/" + hashed, "*;q=0", "", "let a = 1"},
		{"/" + hashed, "br;q=x", "", "let a = 1"},
		{"/" + hashed, "br;q=NaN", "", "let a = 1"},
		{"/" + hashed, "br;q=-1", "", "let a = 1"},
		{"/" + hashed, "br;q=1e999", "", "let a = 1"},
		{"/" + hashed, "br;level=1, gzip;q=0.5", "gzip", "GZIP"},
		{"/" + hashed, "br;q=2, gzip;q=0.5", "gzip", "GZIP"},
		{"/" + hashed, "identity", "", "let a = 1"},
		{"/" + hashed, "", "", "let a = 1"},
		{"/", "gzip, br", "gzip", "GZIPPED INDEX"},
		{"/orders", "gzip, br", "gzip", "GZIPPED INDEX"},
		{"/guide/", "gzip, br", "", "<p>guide"},
	} {
		a := h.ask("GET", row.path, append([]string{"Accept-Encoding", row.accept}, navigation...)...)
		if a.header.Get("Content-Encoding") != row.coding || a.body != row.body || a.header.Get("Content-Length") != fmt.Sprint(len(row.body)) {
			t.Errorf("%s with %q: %q %q %v", row.path, row.accept, a.header.Get("Content-Encoding"), a.body, a.header)
		}
		if want := row.path != "/guide/"; strings.Contains(strings.Join(a.header.Values("Vary"), ", "), "Accept-Encoding") != want {
			t.Errorf("%s with %q: Vary %q", row.path, row.accept, a.header.Values("Vary"))
		}
		if media := a.header.Get("Content-Type"); row.path == "/"+hashed && media != "text/javascript; charset=utf-8" {
			t.Errorf("%s with %q: %s", row.path, row.accept, media)
		}
	}
	if a := h.ask("HEAD", "/"+hashed, "Accept-Encoding", "br"); a.header.Get("Content-Length") != "6" {
		t.Errorf("HEAD of a form: %v", a.header)
	}
	plain, small := h.ask("GET", "/"+hashed), h.ask("GET", "/"+hashed, "Accept-Encoding", "br")
	if plain.header.Get("Etag") == small.header.Get("Etag") {
		t.Error("two forms have one tag")
	}
	if a := h.ask("GET", "/"+hashed, "Accept-Encoding", "gzip", "If-None-Match", small.header.Get("Etag")); a.status != 200 {
		t.Errorf("another form's tag: %d", a.status)
	}
}

func TestFoldersThatAreNone(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"file": "x", "bare/app.js": "x", "odd/index.html/x": "x"})
	for name, want := range map[string]string{"gone": "no such file", "file": "not a directory", "bare": "has no index.html", "odd": "has no index.html"} {
		at := filepath.Join(dir, name)
		if _, err := static.New(static.Options{Dir: at}); err == nil || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []static.Options{{}, {Dir: app(t), URL: "http://127.0.0.1:1", Origin: origin, ReservedCookie: reserved}} {
		if _, err := static.New(o); err == nil {
			t.Errorf("%+v makes a site", o)
		}
	}
}
