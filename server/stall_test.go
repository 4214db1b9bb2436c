package server_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"cloakroom/server"
)

// endless answers without end, and tells when it is let go of.
func endless(t *testing.T) (url string, gone <-chan struct{}) {
	t.Helper()
	done := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(done)
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(api.Close)
	return api.URL, done
}

// Who takes nothing of what it is sent is let go of: its connection, its goroutine and its upstream's are somebody else's.
//
// shows PRX-LIMIT
func TestAFrontendThatStopsReading(t *testing.T) {
	api, gone := endless(t)
	f := running(t, api, 200*time.Millisecond)
	f.open("GET /api/x HTTP/1.1\nHost: app.example.com\n\n")
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the API still sends to a frontend that reads nothing")
	}
}

// An HTTP/2 stream stops without its connection: by a window that stays shut.
//
// shows PRX-LIMIT
func TestAStreamWhoseWindowStaysShut(t *testing.T) {
	api, gone := endless(t)
	s, _ := wired(t, "/api/", api, server.Options{Stall: 200 * time.Millisecond})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	var block bytes.Buffer
	fields := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "app.example.com"}, {":path", "/api/x"}} {
		_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	_, _ = io.WriteString(c, http2.ClientPreface)
	frames := http2.NewFramer(c, c)
	_ = frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	_ = frames.WriteSettingsAck()
	if err := frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // the connection is read, the stream is not
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the API still sends into a shut window")
	}
}

// A quiet stream is no stalled one: its events may be far apart.
func TestAQuietStreamOverHTTP2(t *testing.T) {
	const stall = 400 * time.Millisecond
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 2 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select { // longer than a write may take
			case <-time.After(2 * stall):
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(api.Close)
	s, _ := wired(t, "/api/", api.URL, server.Options{Stall: stall})
	srv := httptest.NewUnstartedServer(s.Handler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	req, err := http.NewRequest("GET", srv.URL+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "app.example.com"
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "data: x\n\ndata: x\n\n" || res.ProtoMajor != 2 {
		t.Errorf("HTTP/%d %q %v", res.ProtoMajor, body, err)
	}
}
