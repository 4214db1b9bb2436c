package world

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"cloakroom/test/gateway"
)

// Relay stands where a balancer does for the provider: it passes what is posted to it on to an instance, under the app's own
// host name. A provider wants to know its address before there is an instance.
type Relay struct {
	base string

	mu     sync.Mutex
	target *gateway.Instance
	passed map[int]int // answers by status
}

// NewRelay makes a relay that answers 503 until To is called.
func NewRelay(t *testing.T) *Relay {
	r := &Relay{passed: map[int]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			// The first segment of the path is the host name; it cannot be the address's own, for none of them resolves.
			host, path, _ := strings.Cut(strings.TrimPrefix(p.In.URL.Path, "/"), "/")
			p.Out.URL = &url.URL{Scheme: "http", Host: r.to().Addr, Path: "/" + path}
			p.Out.Host = host
		},
		ModifyResponse: func(resp *http.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.passed[resp.StatusCode]++
			return nil
		},
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.to() == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(srv.Close)
	r.base = srv.URL
	return r
}

func (r *Relay) to() *gateway.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.target
}

// To names the instance that is asked from now on.
func (r *Relay) To(in *gateway.Instance) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = in
}

// URL is the address under which a server reaches what is at origin + path.
func (r *Relay) URL(origin, path string) string {
	return r.base + "/" + strings.TrimPrefix(origin, "http://") + path
}

// Passed returns how often a status was answered.
func (r *Relay) Passed(status int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.passed[status]
}
