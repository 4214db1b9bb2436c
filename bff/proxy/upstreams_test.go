package proxy_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	ways "cloakroom/bff/proxy/upstream"
)

// An API is asked under its own name, whichever of its targets answers.
func TestTargetsOfAnUpstream(t *testing.T) {
	a, b := newAPI(t, nil), newAPI(t, nil)
	targets := []string{a.Listener.Addr().String(), b.Listener.Addr().String()}
	g := newGateway(t, setting{options: proxy.Options{Upstreams: []ways.Settings{{Origin: "http://Orders.localhost:80", Targets: targets}}}},
		proxy.Route{Path: "/api/", Methods: []string{"GET", "POST"}, Upstream: "http://orders.localhost/base"})
	for i := 0; len(a.requests()) == 0 || len(b.requests()) == 0; i++ {
		if got := g.do(t, "POST", "/api/x", nil, strings.NewReader("body")); got.Status != 200 || i > 100 {
			t.Fatalf("got %d after %d", got.Status, i)
		}
	}
	for _, s := range slices.Concat(a.requests(), b.requests()) {
		if s.Host != "orders.localhost" || s.Target != "/base/api/x" || s.Body != "body" {
			t.Errorf("a target was asked %+v", s)
		}
	}
}

// A target that answers nothing is 504, one that cannot be had is 502, and one that is left alone is 502 with a time to come
// back: a frontend that left is 499 (TestClientGone).
func TestUpstreamFaces(t *testing.T) {
	// shows PRX-LIMIT
	refused := errors.New("connection refused")
	dial := func(string) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: refused} }
	timeout := func(string) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: timeoutError{}} }
	for _, c := range []struct {
		with  string
		dial  func(string) (net.Conn, error)
		asked int // before the one that counts
		want  bff.Code
		retry bool
	}{
		{"targets that refuse", dial, 0, bff.CodeUpstreamUnavailable, false},
		{"targets that do not answer to a dial", timeout, 0, bff.CodeUpstreamTimeout, false},
		{"targets that are left alone", dial, 2, bff.CodeUpstreamUnavailable, true},
	} {
		t.Run("an upstream with "+c.with, func(t *testing.T) {
			var moved []string
			var mu sync.Mutex
			o := proxy.Options{
				DialContext: dialed(c.dial),
				Upstreams:   []ways.Settings{{Origin: "https://api.internal", Targets: []string{"10.0.0.1:1", "10.0.0.2:1"}, Failures: 2, Open: time.Hour}},
				UpstreamTold: ways.Told{Moved: func(origin, target string, in bool, why string, cause error) {
					mu.Lock()
					defer mu.Unlock()
					if !in {
						if cause == nil {
							t.Error("out for no cause")
						}
						moved = append(moved, origin+" "+target+" "+why)
					}
				}},
			}
			g := newGateway(t, setting{options: o}, proxy.Route{Path: "/api/", Methods: []string{"GET"}, Upstream: "https://api.internal"})
			for range c.asked {
				g.do(t, "GET", "/api/x", nil, nil)
			}
			got := g.do(t, "GET", "/api/x", nil, nil)
			last := g.errors()[c.asked]
			known, _ := errors.AsType[*bff.Error](last)
			if got.Header.Get("X-Code") != string(c.want) || (known.RetryAfter >= time.Minute) != c.retry {
				t.Errorf("got %d %v, %+v", got.Status, got.Header, known)
			}
			if down := g.table.Down(); (len(down) == 1 && down[0] == "https://api.internal") != c.retry {
				t.Errorf("down: %q", down)
			}
			mu.Lock()
			defer mu.Unlock()
			want := []string{"https://api.internal 10.0.0.1:1 failures", "https://api.internal 10.0.0.2:1 failures"}
			if slices.Sort(moved); c.retry != slices.Equal(moved, want) {
				t.Errorf("told %q", moved)
			}
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "took too long" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func dialed(dial func(string) (net.Conn, error)) proxy.DialFunc {
	return func(_ context.Context, _, address string) (net.Conn, error) { return dial(address) }
}

// An answer that stalls is seen as broken by its frontend.
func TestStalledAnswer(t *testing.T) {
	// shows PRX-LIMIT
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	g := newGateway(t, setting{options: proxy.Options{Upstreams: []ways.Settings{
		{Origin: a.URL, Timeouts: ways.Timeouts{Stall: 50 * time.Millisecond}},
	}}}, route(a, "/api/"))
	res, err := g.Client().Get(g.URL + "/api/x")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil {
		t.Error("a whole answer came")
	}
}

// A proof is for one request: one that is sent to another target has a proof of its own.
func TestAnotherTargetGetsAnotherProof(t *testing.T) {
	// shows DPOP-OUT-RS
	var mu sync.Mutex
	proofs := make(map[string]int)
	note := func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		proofs[r.Header.Get("Dpop")]++
	}
	dying := newAPI(t, func(_ http.ResponseWriter, r *http.Request) { note(r); panic(http.ErrAbortHandler) })
	good := newAPI(t, func(_ http.ResponseWriter, r *http.Request) { note(r) })
	o := proxy.Options{Prove: proves, Upstreams: []ways.Settings{{
		Origin: "http://orders.localhost", Targets: []string{dying.Listener.Addr().String(), good.Listener.Addr().String()}, Failures: 1 << 20,
	}}}
	g := newGateway(t, setting{options: o, call: func(*http.Request) proxy.Call { return boundCall() }},
		proxy.Route{Path: "/api/", Methods: []string{"GET"}, Upstream: "http://orders.localhost"})
	for i := 0; len(dying.requests()) < 3; i++ {
		if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 200 || i > 100 {
			t.Fatalf("got %d after %d", got.Status, i)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for proof, times := range proofs {
		if times != 1 || proof == "" {
			t.Errorf("the proof %.20q… was sent %d times", proof, times)
		}
	}
}

func TestUpstreamSettingsThatContradict(t *testing.T) {
	// shows PRX-AUD
	const near, far = "127.0.0.1:1", "10.0.0.1:1"
	for _, c := range []struct {
		with   string
		set    []ways.Settings
		change func(*proxy.Route)
		good   bool
	}{
		{"two authorities", []ways.Settings{{Origin: "https://a.internal", RootCAs: x509.NewCertPool()}}, func(r *proxy.Route) { r.RootCAs = x509.NewCertPool() }, false},
		{"one authority", []ways.Settings{{Origin: "https://a.internal"}}, func(r *proxy.Route) { r.RootCAs = x509.NewCertPool() }, true},
		{"an origin twice", []ways.Settings{{Origin: "https://a.internal"}, {Origin: "https://A.internal:443"}}, nil, false},
		{"settings that are wrong", []ways.Settings{{Origin: "https://a.internal", Protocol: "h3"}}, nil, false},
		{"a target elsewhere in the clear", []ways.Settings{{Origin: "http://a.localhost", Targets: []string{near, far}}}, func(r *proxy.Route) { r.Upstream = "http://a.localhost" }, false},
		{"a target here in the clear", []ways.Settings{{Origin: "http://a.localhost", Targets: []string{near}}}, func(r *proxy.Route) { r.Upstream = "http://a.localhost" }, true},
		{"a target elsewhere in the clear by setting", []ways.Settings{{Origin: "http://a.localhost", Targets: []string{far}}}, func(r *proxy.Route) { r.Upstream, r.InsecureHTTP = "http://a.localhost", true }, true},
	} {
		r := proxy.Route{Path: "/api/", Methods: []string{"GET"}, Upstream: "https://a.internal"}
		if c.change != nil {
			c.change(&r)
		}
		if _, err := proxy.NewTable([]proxy.Route{r}, proxy.Options{Upstreams: c.set}); (err == nil) != c.good {
			t.Errorf("a table with %s: %v", c.with, err)
		}
	}
}
