package server_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/server"
)

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
