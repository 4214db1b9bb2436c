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

// A listener that breaks ends the process, but not what the other one is in the middle of: a request, a refresh.
func TestAListenerThatFailsDrainsTheOther(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write([]byte("done"))
	}))
	t.Cleanup(upstream.Close)
	s, _ := wired(t, "/api/", upstream.URL, server.Options{})
	public, ops := listen(t), listen(t)
	over := make(chan error, 1)
	go func() { over <- s.Serve(t.Context(), public, ops) }()

	f := &front{t: t, addr: public.Addr().String()}
	c := f.open("GET /api/x HTTP/1.1\nHost: app.example.com\nConnection: close\n\n")
	<-arrived
	_ = ops.Close()
	for { // the drain has begun once nobody new gets in
		c, err := net.Dial("tcp", public.Addr().String())
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(release)
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "done") {
		t.Errorf("the request in the middle: %q, %v", got, err)
	}
	if err := <-over; err == nil {
		t.Error("a broken listener is no error")
	}
}

// An event stream whose head comes only after the drain began is not waited for: its frontend comes again elsewhere.
func TestAnEventStreamThatBeginsDuringTheDrain(t *testing.T) {
	arrived, release, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = w.Write([]byte(": hello\n\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	t.Cleanup(upstream.Close)
	s, _ := wired(t, "/api/", upstream.URL, server.Options{})
	public, ops := listen(t), listen(t)
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Serve(ctx, public, ops) }()
	f := &front{t: t, addr: public.Addr().String()}
	f.open("GET /api/x HTTP/1.1\nHost: app.example.com\n\n")
	<-arrived
	stop()
	<-s.Serving()
	close(release)
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second): // the drain would wait for 25
		t.Fatal("the drain waits for the stream")
	}
	<-gone
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
