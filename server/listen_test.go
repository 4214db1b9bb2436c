package server_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
