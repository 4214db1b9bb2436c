package server_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/server"
	"cloakroom/server/config"
)

// patience bounds what a test waits for that should come at once.
const patience = 20 * time.Second

// front is the public handler of one https app on a real socket. Redis and provider are down: nothing here needs them.
type front struct {
	t    *testing.T
	addr string
	log  *lines
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// keyed is a folder with the two keys of a configuration in it.
func keyed(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"k1", "i1"} {
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(base64.RawURLEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wired makes a server of one app and one anonymous route, at path, to an upstream.
func wired(t *testing.T, path, upstream string, o server.Options) (*server.Server, *lines) {
	t.Helper()
	dir := keyed(t)
	yaml := fmt.Sprintf(`
public: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  web: {kind: spa, origin: "https://app.example.com", provider: main, client_id: c, client_secret: a-secret-of-some-length-for-the-app, login: {default_return: /home}}
routes:
  - {path: %s, upstream: %q, methods: [GET, POST, OPTIONS], token: none}
`, path, upstream)
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

func newFront(t *testing.T, path, upstream string) *front {
	t.Helper()
	s, log := wired(t, path, upstream, server.Options{})
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return &front{t: t, addr: srv.Listener.Addr().String(), log: log}
}

// open sends bytes on a connection of their own, which it leaves open.
func (f *front) open(request string) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// ask sends a request head and reads one answer.
func (f *front) ask(head string) (*http.Response, string) {
	f.t.Helper()
	c := f.open(head + "\n\n")
	method, _, _ := strings.Cut(head, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		f.t.Fatalf("%s: %v", head, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatalf("%s: %v", head, err)
	}
	return res, string(body)
}

// echoing answers with what it was asked for.
func echoing(t *testing.T) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=0")
		_, _ = io.WriteString(w, "upstream "+r.RequestURI)
	}))
	t.Cleanup(api.Close)
	return api.URL
}

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
