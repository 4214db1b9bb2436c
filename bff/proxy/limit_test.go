package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// A header is measured as HTTP/1.1 writes it: the route's limit is exact, over either version.
func TestHeaderBytes(t *testing.T) {
	// shows PRX-LIMIT
	a := newAPI(t, nil)
	const most = 1024
	g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) { r.HeaderBytes = most }), route(a, "/wide/"))
	for _, c := range []struct {
		path  string
		bytes int
		want  int
	}{{"/api/x", most, 200}, {"/api/x", most + 1, 431}, {"/wide/x", 8 * most, 200}} {
		// The empty line after a header is not counted.
		head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Padding: ", c.path)
		text := head + strings.Repeat("x", c.bytes-len(head)-2) + "\r\n\r\n"
		if out := g.raw(t, text); !strings.HasPrefix(out, fmt.Sprintf("HTTP/1.1 %d ", c.want)) {
			t.Errorf("%d bytes at %s: want %d, got\n%s", c.bytes, c.path, c.want, out)
		}
	}
	if got := bff.CodeOf(g.errors()[0]); got != bff.CodeHeaderTooLarge {
		t.Errorf("got %s", got)
	}
	if n := len(a.requests()); n != 2 {
		t.Errorf("the API was asked %d times", n)
	}
	h2 := newGateway(t, setting{http2: true}, route(a, "/api/", func(r *proxy.Route) { r.HeaderBytes = most }))
	if got := h2.do(t, "GET", "/api/x", http.Header{"X-Padding": {strings.Repeat("x", most)}}, nil).Status; got != 431 {
		t.Errorf("HTTP/2: got %d", got)
	}
}

// As many requests are under way as the route lets: those that stream count until they end, those beyond are refused at
// once and can come again.
func TestConcurrent(t *testing.T) {
	// shows PRX-LIMIT
	asked, gate := make(chan struct{}), make(chan struct{})
	a := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/stream" {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
		}
		if r.URL.Path != "/other/x" {
			asked <- struct{}{}
			<-gate
		}
	})
	g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) { r.Concurrent = 2 }), route(a, "/other/"))
	answers := make([]*bufio.Reader, 2)
	for i, path := range []string{"/api/x", "/api/stream"} {
		conn := g.dial(t)
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		answers[i] = bufio.NewReader(conn)
		<-asked
	}
	if got := status(t, answers[1]); got != 200 { // its head is there, and it goes on
		t.Fatalf("the stream: %d", got)
	}
	if got := g.do(t, "GET", "/api/third", nil, nil); got.Status != 503 || got.Header.Get("X-Code") != string(bff.CodeUpstreamBusy) {
		t.Errorf("a third: %d %s", got.Status, got.Header.Get("X-Code"))
	}
	if e, ok := g.errors()[0].(*bff.Error); !ok || e.RetryAfter != time.Second {
		t.Errorf("got %+v", g.errors()[0])
	}
	if got := g.do(t, "GET", "/other/x", nil, nil).Status; got != 200 {
		t.Errorf("another route: %d", got)
	}
	close(gate)
	for deadline := time.Now().Add(10 * time.Second); ; {
		go func() { <-asked }() // the API hears of it, or of nothing any more
		if got := g.do(t, "GET", "/api/again", nil, nil).Status; got == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody is let in when the first have left")
		}
	}
}
