package proxy_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// A call that streams both ways is broken off when its session ends, also while it waits for what its frontend says next.
func TestSessionEndClosesACallThatStreamsBothWays(t *testing.T) {
	// shows PRX-LIVE
	for _, http2 := range []bool{false, true} {
		over, heard := make(chan struct{}), make(chan struct{})
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_ = http.NewResponseController(w).Flush()
			_, _ = io.ReadFull(r.Body, make([]byte, 5))
			heard <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			close(over)
		}))
		up.EnableHTTP2 = http2
		up.StartTLS()
		t.Cleanup(func() { up.CloseClientConnections(); up.Close() })
		end := make(chan context.CancelCauseFunc, 1)
		g := newGateway(t, setting{http2: true, watch: func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			end <- cancel
			return ctx
		}}, proxy.Route{
			Path: "/api/", Methods: []string{"POST"}, Upstream: up.URL, Trailers: true,
			RootCAs: up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		})
		in, out := io.Pipe()
		req, err := http.NewRequest("POST", g.URL+"/api/talk", in)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Te", "trailers")
		res, err := g.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(out, "hello")
		<-heard // from here on nothing is said
		(<-end)(&bff.SessionEndedCause{Reason: bff.ReasonSignedOut})
		broken := make(chan error, 1)
		go func() { _, err := io.ReadAll(res.Body); broken <- err }()
		select {
		case err := <-broken:
			if err == nil {
				t.Errorf("HTTP/2 %v: the frontend saw a whole answer", http2)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("HTTP/2 %v: the call goes on", http2)
		}
		_ = out.Close()
		_ = res.Body.Close()
		<-over
	}
}

// An answer that comes before the body is waited for no longer than it takes: over HTTP/2 the frontend's writer is gone with
// the handler, and whoever still read the body then would write to it.
func TestEarlyAnswerOverHTTP2LeavesNobodyReading(t *testing.T) {
	// shows PRX-LIMIT
	for _, http2 := range []bool{false, true} {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 1 {
				w.Header().Set("Connection", "close") // or net/http would read the body first
			}
			w.WriteHeader(409)
		}))
		up.EnableHTTP2 = http2
		up.StartTLS()
		t.Cleanup(up.Close)
		var reading atomic.Int64
		g := newGateway(t, setting{http2: true, tell: true, call: func(r *http.Request) proxy.Call {
			r.Body = &readers{r.Body, &reading}
			return signedIn()
		}}, proxy.Route{
			Path: "/api/", Methods: []string{"POST"}, Upstream: up.URL,
			RootCAs: up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs,
		})
		for range 20 {
			in, out := io.Pipe()
			res, err := g.Client().Post(g.URL+"/api/x", "text/plain", in)
			if err != nil {
				t.Fatal(err)
			}
			<-g.done
			if n := reading.Load(); res.StatusCode != 409 || n != 0 {
				t.Errorf("HTTP/2 %v: %d, and %d Reads go on when the request is over", http2, res.StatusCode, n)
			}
			_ = res.Body.Close()
			_ = out.Close()
		}
	}
}

// readers counts who reads.
type readers struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read counts in and out.
func (r *readers) Read(p []byte) (int, error) {
	r.n.Add(1)
	defer r.n.Add(-1)
	return r.ReadCloser.Read(p)
}
