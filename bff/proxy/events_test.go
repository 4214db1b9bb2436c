package proxy_test

import (
	"io"
	"net/http"
	"testing"

	"cloakroom/bff/proxy"
)

// An event stream of an API arrives event by event, heartbeats too, over either version of HTTP, and where the frontend
// comes back it says where it was.
func TestEventStreamsOfAnAPI(t *testing.T) {
	// shows PRX-LIVE
	for _, http2 := range []bool{false, true} {
		next := make(chan string)
		a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.Header().Set("X-Accel-Buffering", "no")
			for event := range next {
				_, _ = io.WriteString(w, event)
				_ = http.NewResponseController(w).Flush()
			}
		})
		g := newGateway(t, setting{http2: http2}, route(a, "/api/", func(r *proxy.Route) { r.Guard = proxy.GuardOrigin }))
		req, err := http.NewRequest("GET", g.URL+"/api/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", "41")
		req.Header.Set("Accept", "text/event-stream")
		go func() { next <- ": open\n\n" }()
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		for i, event := range []string{": open\n\n", "id: 42\ndata: first\n\n", ": beat\n\n", "id: 43\ndata: second\n\n"} {
			if i > 0 {
				next <- event // and the next is made only when this one has arrived
			}
			got := make([]byte, len(event))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
				t.Fatalf("HTTP/2 %v: got %q, %v, want %q", http2, got, err, event)
			}
		}
		close(next)
		_ = res.Body.Close()
		h := a.only(t).Header
		if h.Get("Last-Event-ID") != "41" || h.Get("Accept") != "text/event-stream" {
			t.Errorf("HTTP/2 %v: the API got %v", http2, h)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("HTTP/2 %v: the frontend got %v", http2, res.Header)
		}
	}
}
