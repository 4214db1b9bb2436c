package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"cloakroom/bff/proxy/upstream"
)

// DialFunc opens a connection to an upstream, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// upstreamKey is what routes must agree in to share an upstream: its targets, connections and what is known of their health.
type upstreamKey struct {
	origin string
	roots  *x509.CertPool
}

// upstreamSettings are those of Options by origin, as routes write it.
func upstreamSettings(o Options) (map[string]upstream.Settings, error) {
	known := make(map[string]upstream.Settings, len(o.Upstreams))
	for _, s := range o.Upstreams {
		u, err := url.Parse(s.Origin)
		if err != nil {
			return nil, fmt.Errorf("upstreams: %w", err)
		}
		if s.Origin = originOf(u); known[s.Origin].Origin != "" {
			return nil, fmt.Errorf("upstreams: %s is listed twice", s.Origin)
		}
		known[s.Origin] = s
	}
	return known, nil
}

// originOf is scheme and host, in the one spelling that compares: RFC 6454 section 4.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if usual := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]; u.Port() != "" && strings.HasSuffix(host, usual) {
		host = strings.TrimSuffix(host, usual)
	}
	return u.Scheme + "://" + host
}

// transport returns the way to a route's API, made once for all routes that can share it.
func (t *Table) transport(c *compiled, o Options) (http.RoundTripper, error) {
	key := upstreamKey{originOf(&url.URL{Scheme: c.target.scheme, Host: c.target.host}), c.RootCAs}
	s := t.settings[key.origin]
	if err := fitsRoute(s, c); err != nil {
		return nil, err
	}
	c.plainHTTP1 = s.Protocol == upstream.HTTP1 || c.target.scheme == "http" && s.Protocol != upstream.H2C
	if t.upstreams[key] == nil {
		s.Origin, s.Dial, s.Told, s.Again = key.origin, o.DialContext, o.UpstreamTold, proveAgain
		if c.RootCAs != nil {
			s.RootCAs = c.RootCAs
		}
		u, err := upstream.New(s)
		if err != nil {
			return nil, err
		}
		t.upstreams[key] = u
	}
	return t.upstreams[key].Within(c.Timeout), nil
}

// proveAgain puts a new proof on a request that is sent to another target: RFC 9449 section 11.1 has the API refuse one that it
// has seen, and what became of the first attempt nobody knows.
func proveAgain(out *http.Request) error {
	if x := exchangeOf(out); x.bound != nil {
		return x.prove(out)
	}
	return nil
}

// fitsRoute reports what about a route contradicts the settings of its upstream.
func fitsRoute(s upstream.Settings, c *compiled) error {
	if c.RootCAs != nil && s.RootCAs != nil {
		return errors.New("both the route and its upstream say who may sign the certificate")
	}
	away := slices.ContainsFunc(s.Targets, func(target string) bool {
		host, _, _ := net.SplitHostPort(target)
		return !isLoopback(host)
	})
	if c.target.scheme == "http" && away && !c.InsecureHTTP {
		return fmt.Errorf("a target of upstream %q would get tokens in the clear", c.Upstream)
	}
	return nil
}

// Run asks the targets of upstreams how they are, where that is configured, until ctx ends.
func (t *Table) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, u := range t.upstreams {
		all.Go(func() { u.Run(ctx) })
	}
	all.Wait()
}

// Down are the origins that nobody can be asked at: all of their targets are out. They are sorted.
func (t *Table) Down() (origins []string) {
	for _, u := range t.upstreams {
		if u.Down() && !slices.Contains(origins, u.Origin()) {
			origins = append(origins, u.Origin())
		}
	}
	slices.Sort(origins)
	return origins
}

// CloseIdle closes the connections to upstreams that nobody uses, for a shutdown or after a change of routes.
func (t *Table) CloseIdle() {
	for _, u := range t.upstreams {
		u.CloseIdle()
	}
}

const (
	bufferBytes = 32 << 10  // what ReverseProxy copies by
	haulBytes   = 128 << 10 // what long answers are passed on by: a socket on its way holds about as much
)

// buffers lends buffers of one size.
type buffers struct {
	pool sync.Pool
	size int
}

// Get returns a buffer.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, b.size)
}

// Put takes a buffer back.
func (b *buffers) Put(buf []byte) { b.pool.Put(&buf) }
