package proxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

func TestUpstreamFaults(t *testing.T) {
	// shows PRX-LIMIT, PRX-UPG, PRX-AUD
	for _, c := range []struct {
		with   string
		answer string // raw bytes; the connection is closed behind them
		want   bff.Code
	}{
		{"nothing", "", bff.CodeUpstreamUnavailable},
		{"garbage", "hello\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", bff.CodeUpstreamUnavailable},
		{"an endless head", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 128<<10) + "\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"a wish for proxy authentication", "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"a status below all", "HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"a status above all", "HTTP/1.1 600 X\r\nContent-Length: 0\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"interim answers without end", strings.Repeat("HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n", 200) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", bff.CodeUpstreamUnavailable},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", bff.CodeUpstreamUnavailable},
	} {
		t.Run("an upstream that answers "+c.with, func(t *testing.T) {
			a := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, c.answer)
				_ = conn.Close()
			})
			g := newGateway(t, setting{}, route(a, "/api/"))
			got := g.do(t, "POST", "/api/x", nil, strings.NewReader("{}"))
			if got.Header.Get("X-Code") != string(c.want) {
				t.Errorf("got %d %v, want %s", got.Status, got.Header, c.want)
			}
		})
	}
}

func TestUpstreamDown(t *testing.T) {
	// shows PRX-LIMIT
	var dials atomic.Int32
	refused := errors.New("connection refused")
	dial := func(context.Context, string, string) (net.Conn, error) { dials.Add(1); return nil, refused }
	g := newGateway(t, setting{options: proxy.Options{DialContext: dial}},
		proxy.Route{Path: "/api/", Methods: []string{"GET"}, Upstream: "https://api.internal"})
	for range 3 {
		if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 502 {
			t.Fatalf("got %d", got.Status)
		}
	}
	if n := dials.Load(); n != 3 {
		t.Errorf("three requests made %d connection attempts", n)
	}
	if err := g.errors()[0]; !errors.Is(err, refused) {
		t.Errorf("the log gets %v", err)
	}
}

func TestSlowUpstream(t *testing.T) {
	// shows PRX-LIMIT
	for _, c := range []struct {
		with   string
		change func(*proxy.Route)
	}{
		{"a time for the head", func(r *proxy.Route) { r.Timeout = 20 * time.Millisecond }},
		{"a time for everything", func(r *proxy.Route) { r.StreamTimeout = 20 * time.Millisecond }},
	} {
		a := upstream(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		g := newGateway(t, setting{}, route(a, "/api/", c.change))
		if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 504 {
			t.Errorf("%s: got %d", c.with, got.Status)
		}
	}
}

func TestUnverifiedUpstream(t *testing.T) {
	// shows PRX-AUD
	hits := 0
	self := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer self.Close()
	self.Config.ErrorLog = nil
	bad := proxy.Route{Path: "/bad/", Methods: []string{"GET"}, Upstream: self.URL}
	good := proxy.Route{Path: "/good/", Methods: []string{"GET"}, Upstream: self.URL}
	good.RootCAs = self.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	g := newGateway(t, setting{}, bad, good)
	if got := g.do(t, "GET", "/bad/x", nil, nil); got.Status != 502 || hits != 0 {
		t.Errorf("a certificate nobody vouches for: got %d, %d requests", got.Status, hits)
	}
	if got := g.do(t, "GET", "/good/x", nil, nil); got.Status != 200 || hits != 1 {
		t.Errorf("a certificate the route trusts: got %d, %d requests", got.Status, hits)
	}
}

func TestBodyLimit(t *testing.T) {
	// shows PRX-LIMIT
	for _, c := range []struct {
		with string
		body io.Reader
		want int
	}{
		{"a body at the limit", strings.NewReader(strings.Repeat("a", 100)), 200},
		{"a body at the limit without a length", io.MultiReader(strings.NewReader(strings.Repeat("a", 100))), 200},
		{"a body beyond the limit", strings.NewReader(strings.Repeat("a", 101)), 413},
		{"a body beyond the limit without a length", io.MultiReader(strings.NewReader(strings.Repeat("a", 101))), 413},
		{"a long body without a length", io.MultiReader(strings.NewReader(strings.Repeat("a", 1<<20))), 413},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			var whole atomic.Bool
			a := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				whole.Store(err == nil && len(b) > 0)
			})
			g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) { r.BodyBytes = 100 }))
			if got := g.do(t, "POST", "/api/x", nil, c.body); got.Status != c.want {
				t.Errorf("got %d, want %d", got.Status, c.want)
			}
			if whole.Load() != (c.want == 200) {
				t.Errorf("the API got a whole body: %v", whole.Load())
			}
		})
	}
}

func TestWebSocketOnAPlainRoute(t *testing.T) {
	// shows PRX-UPG
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/"))
	for _, upgrade := range []string{"websocket", "h2c, WebSocket"} {
		got := g.do(t, "GET", "/api/x", http.Header{"Connection": {"Upgrade"}, "Upgrade": {upgrade}, "Sec-Websocket-Version": {"13"}}, nil)
		if got.Status != 400 || len(a.requests()) != 0 {
			t.Errorf("%s: got %d, %d requests to the API", upgrade, got.Status, len(a.requests()))
		}
	}
}

func TestBrokenAnswerIsSeenAsBroken(t *testing.T) {
	// shows PRX-LIMIT
	a := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	g := newGateway(t, setting{}, route(a, "/api/"))
	res, err := g.Client().Get(g.URL + "/api/x")
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("a whole answer came")
	}
}
