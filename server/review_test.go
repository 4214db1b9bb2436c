package server_test

import (
	"bufio"
	"bytes"
	"context"
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

// A host name has no case, and the port of its scheme goes without saying (RFC 9110 sections 4.2.3 and 7.2).
//
// shows PRX-HOST
func TestSpellingsOfAHost(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	for host, want := range map[string]int{
		"app.example.com": 200, "APP.Example.com": 200, "app.example.com:443": 200,
		"app.example.com.": 421, "app.example.com:8443": 421, "app.example.com@evil.example": 421, "[::1]": 421, "[::1]:443": 421,
		"evil.example": 421, "xapp.example.com": 421,
	} {
		res, body := f.ask("GET /api/x HTTP/1.1\nHost: " + host)
		if res.StatusCode != want && (want != 421 || res.StatusCode != 400) {
			t.Errorf("a request with host %s: %d %s, want %d", host, res.StatusCode, body, want)
		}
		if res.StatusCode != 200 && strings.Contains(body, "upstream") {
			t.Errorf("a request with host %s reached the API", host)
		}
	}
}

// Every answer of an https app says so: its own, errors, pages, and what comes from an API, whose own word is not asked.
//
// shows HDR-SEC
func TestHSTS(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	for what, head := range map[string]string{
		"an API's answer":      "GET /api/x HTTP/1.1\nHost: app.example.com",
		"an error":             "GET /nothing HTTP/1.1\nHost: app.example.com",
		"a page":               "GET /bff/logged-out HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate",
		"a redirect":           "GET /bff/logout HTTP/1.1\nHost: app.example.com",
		"a malformed path":     "GET /a/../b HTTP/1.1\nHost: app.example.com",
		"faulty framing":       "GET /api/x HTTP/1.0\nHost: app.example.com\nTransfer-Encoding: chunked",
		"a foreign app's path": "GET /bff/nothing HTTP/1.1\nHost: app.example.com",
	} {
		res, _ := f.ask(head)
		if got := res.Header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != "max-age=31536000" {
			t.Errorf("%s: %d %q", what, res.StatusCode, got)
		}
	}
	// RFC 6797 section 7.2: not over plain http, and not for a name that is not the app's.
	for what, head := range map[string]string{
		"plain http":   "GET /api/x HTTP/1.1\nHost: app.example.com\nX-Forwarded-Proto: http",
		"another host": "GET /api/x HTTP/1.1\nHost: evil.example",
	} {
		if res, _ := f.ask(head); res.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d %v", what, res.StatusCode, res.Header)
		}
	}
}

// What a route for everything takes is everything but the gateway's own: an API that answered under /bff would speak in
// the gateway's name, and be told its one-time addresses.
//
// shows PRX-PATH
func TestARouteForEverything(t *testing.T) {
	f := newFront(t, "/", echoing(t))
	for _, path := range []string{
		"/bff", "/bff/", "/bff/events/", "/bff/session/", "/bff/logout/ticket/x", "/%62ff/session", "/%62ff/logout/a-ticket", "/BFF/session",
		"/bff;x/session", "/mobile/token", "/.well-known/jwks.json/", "/.well-known/JWKS.json", "/%2ewell-known/jwks.json", "/.well-known;x/jwks.json;y", "/healthz/", "/healthz;x",
	} {
		res, body := f.ask("GET " + path + " HTTP/1.1\nHost: app.example.com")
		if res.StatusCode != 404 || strings.Contains(body, "upstream") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, path := range []string{"/", "/bffx", "/b%66", "/orders/1;v=2", "/healthzz", "/.well-known/security.txt", "/.well-known", "/.well-known/jwks.jsonx"} {
		if res, body := f.ask("GET " + path + " HTTP/1.1\nHost: app.example.com"); res.StatusCode != 200 || body != "upstream "+path {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, method := range []string{"PURGE", "TRACE", "PROPFIND", "CONNECT"} {
		for path, allow := range map[string]string{"/orders": "GET, HEAD, OPTIONS, POST", "/bff/logout": "GET, POST", "/bff/session": "GET"} {
			if res, body := f.ask(method + " " + path + " HTTP/1.1\nHost: app.example.com"); res.StatusCode != 405 || res.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, allowed %q: %s", method, path, res.StatusCode, res.Header.Get("Allow"), body)
			}
		}
	}
	if res, _ := f.ask("HEAD /bff/session HTTP/1.1\nHost: app.example.com"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: %d, allowed %s", res.StatusCode, res.Header.Get("Allow"))
	}
	if strings.Contains(f.log.String(), "a-ticket") {
		t.Error("a one-time address is in the log")
	}
}

// RFC 3986 allows "x:host/path" as a target, whose path is none: joined to an origin it names another host.
//
// shows PRX-PATH, RET-1
func TestATargetThatIsNoPath(t *testing.T) {
	f := newFront(t, "/", echoing(t))
	for _, target := range []string{"x:.evil.example/", "https:.evil.example/", "x:@evil.example/", "*"} {
		for _, more := range []string{"", "\nX-Forwarded-Proto: http\nSec-Fetch-Mode: navigate"} {
			res, body := f.ask("GET " + target + " HTTP/1.1\nHost: app.example.com" + more)
			if res.StatusCode != 400 || res.Header.Get("Location") != "" || strings.Contains(body, "upstream") {
				t.Errorf("%s: %d to %q %s", target, res.StatusCode, res.Header.Get("Location"), body)
			}
		}
	}
	res, _ := f.ask("GET /a?b=c HTTP/1.1\nHost: app.example.com\nX-Forwarded-Proto: http\nSec-Fetch-Mode: navigate")
	if res.StatusCode != 308 || res.Header.Get("Location") != "https://app.example.com/a?b=c" || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("a navigation by http: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" { // or browsers keep the redirect, and its query, for good
		t.Errorf("a navigation by http: Cache-Control %q", got)
	}
}

// An error page leads home.
func TestAnErrorPageLeadsHome(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	if _, body := f.ask("GET /nothing HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate"); !strings.Contains(body, `href="/home"`) {
		t.Errorf("no way on: %s", body)
	}
}

// Who announces a body and never sends it gets an answer, and gets rid of the connection: no goroutine and no place among
// the connections is held for nothing.
//
// shows PRX-LIMIT
func TestABodyThatNeverComes(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	for what, head := range map[string]string{
		"a sign-out":      "POST /bff/logout HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\n",
		"a missing route": "POST /nothing HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\n",
		"an unknown host": "POST /x HTTP/1.1\nHost: evil.example\nContent-Length: 100\n\n",
		"a chunked body":  "POST /bff/session/extend HTTP/1.1\nHost: app.example.com\nTransfer-Encoding: chunked\n\n",
		"a health check":  "GET /healthz HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\n",
		"an error page":   "POST /nothing HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate\nContent-Length: 100\n\n",
		"a page":          "GET /bff/logged-out HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate\nContent-Length: 100\n\n",
		"a long page":     "GET /bff/landed?return_to=/" + strings.Repeat("a", 900) + " HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate\nContent-Length: 100\n\n",
		"a long answer": "GET /bff/login?login_hint=" + strings.Repeat("a", 250) + "&return_to=/" + strings.Repeat("a", 900) +
			" HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate\nSec-Fetch-Site: cross-site\nContent-Length: 100\n\n",
		"a body begun":     "POST /bff/logout HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\nhalf",
		"a malformed path": "POST /a/../b HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\n",
	} {
		t.Run("a connection with "+what, func(t *testing.T) {
			t.Parallel()
			c := f.open(head)
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second)) // far more than the gateway lingers
			all, err := io.ReadAll(c)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatalf("still open after %q", all)
			}
			if !strings.HasPrefix(string(all), "HTTP/1.1 ") {
				t.Errorf("no answer: %q", all)
			}
		})
	}
}

// A request that broke off is never answered by 200: who half-closes is still listening.
//
// shows ERR-CLOSED
func TestARequestThatBreaksOff(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	c := f.open("POST /api/x HTTP/1.1\nHost: app.example.com\nContent-Length: 100\n\nhalf")
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, _ := io.ReadAll(c)
	if strings.Contains(string(all), " 200 ") {
		t.Errorf("answered %q", all)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(f.log.String(), `"code":"client_gone"`); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell: %s", f.log)
		}
		<-time.After(5 * time.Millisecond)
	}
	if !strings.Contains(f.log.String(), `"status":499`) {
		t.Errorf("the log tells another status: %s", f.log)
	}
}

// running is a whole server, listeners and all, with a route at /api/.
func running(t *testing.T, upstream string, stall time.Duration) *front {
	t.Helper()
	addr := make(chan net.Addr, 1)
	s, log := wired(t, "/api/", upstream, server.Options{Stall: stall, OnListen: func(name string, a net.Addr) {
		if name == "public" {
			addr <- a
		}
	}})
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-over })
	select {
	case a := <-addr:
		return &front{t: t, addr: a.String(), log: log}
	case err := <-over:
		over <- err
		t.Fatalf("not running: %v", err)
		return nil
	}
}

// An answer that net/http gives by itself is in no log and has none of our header fields.
//
// shows HDR-SEC
func TestOptionsOfTheWholeServer(t *testing.T) {
	f := running(t, echoing(t), 0)
	if res, body := f.ask("OPTIONS * HTTP/1.1\nHost: app.example.com"); res.StatusCode != 400 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
}

// The time of each write is for those who set none: crypto/tls, closing, waits for seconds and not for a minute.
func TestADeadlineOfSomebodyElses(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Close() })
	peer, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	c, err := server.Impatient(inner, time.Minute).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	for what, set := range map[string]func(time.Time) error{"write deadline": c.SetWriteDeadline, "deadline": c.SetDeadline} {
		if err := set(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("late")); err == nil {
			t.Errorf("a %s that has passed is not kept", what)
		}
		if err := set(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("in time")); err != nil {
			t.Errorf("after a %s that was taken back: %v", what, err)
		}
	}
}

// shows ERR-CLOSED
func TestAPanicInTheMiddleOfAnAnswer(t *testing.T) {
	s, log := wired(t, "/api/", "http://127.0.0.1:1", server.Options{})
	srv := httptest.NewServer(s.Observed(func(w http.ResponseWriter, r *http.Request) error {
		_, _ = io.WriteString(w, "half of it")
		_ = http.NewResponseController(w).Flush()
		panic("in the middle")
	}))
	t.Cleanup(srv.Close)
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a broken answer looks whole: %q", body)
	}
	if !strings.Contains(log.String(), `"panic":"in the middle"`) {
		t.Errorf("the log does not tell: %s", log)
	}
}

// Whoever took a connection over speaks another protocol on it: an error page in its midst would be taken for that.
func TestAnErrorAfterATakeover(t *testing.T) {
	s, _ := wired(t, "/api/", "http://127.0.0.1:1", server.Options{})
	var conn net.Conn
	gateway := s.Observed(func(w http.ResponseWriter, r *http.Request) (err error) {
		if conn, _, err = http.NewResponseController(w).Hijack(); err != nil {
			return err
		}
		_, _ = io.WriteString(conn, "another protocol")
		return io.ErrUnexpectedEOF
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gateway.ServeHTTP(w, r)
		_ = conn.Close() // whatever would be written was
	}))
	t.Cleanup(srv.Close)
	f := &front{t: t, addr: srv.Listener.Addr().String()}
	all, err := io.ReadAll(f.open("GET / HTTP/1.1\nHost: app.example.com\n\n"))
	if err != nil || string(all) != "another protocol" {
		t.Errorf("%q %v", all, err)
	}
}

// shows OPS-1
func TestWhomALimitCounts(t *testing.T) {
	for _, same := range [][2]string{
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		{"fe80::1%eth0", "fe80::2%eth1"},
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"192.0.2.1", "64:ff9b::192.0.2.1"},
	} {
		if a, b := server.AddressBlock(same[0]), server.AddressBlock(same[1]); a != b {
			t.Errorf("%s counts as %s, %s as %s", same[0], a, same[1], b)
		}
	}
	for _, other := range [][2]string{
		{"2001:db8:1:2::1", "2001:db8:1:3::1"}, {"192.0.2.1", "192.0.2.2"}, {"::ffff:192.0.2.1", "::ffff:192.0.2.2"}, {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"},
	} {
		if a, b := server.AddressBlock(other[0]), server.AddressBlock(other[1]); a == b {
			t.Errorf("%s and %s both count as %s", other[0], other[1], a)
		}
	}
}
