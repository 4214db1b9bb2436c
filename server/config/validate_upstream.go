package config

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// mostTargets is how many one upstream may list: beyond that a load balancer of
// their own is in order.
const mostTargets = 64

func (r *report) validateUpstreams(c *Config) {
	for i, u := range c.Upstreams {
		path := at("upstreams", i)
		if r.need(join(path, "origin"), u.Origin, "write the origin of a route's upstream, as https://orders.internal") {
			r.upstreamOrigin(join(path, "origin"), u, c, i)
		}
		r.upstreamTargets(path, u, c)
		r.upstreamProtocol(path, u)
		r.upstreamTLS(path, u, c)
		r.upstreamHealth(join(path, "health"), u.Health)
		r.upstreamNumbers(path, u)
		r.upstreamTimes(join(path, "timeouts"), u.Timeouts)
	}
}

// upstreamOrigin refuses settings that no route would ever meet.
func (r *report) upstreamOrigin(path string, u *Upstream, c *Config, i int) {
	parsed, wrong := webURL(u.Origin, true) // the routes say whether plain http is meant
	switch {
	case wrong == "" && (parsed.Path != "" || parsed.RawQuery != "" || parsed.ForceQuery):
		wrong = "more than an origin; write scheme, host and port alone, without a slash after them"
	case wrong == "" && slices.ContainsFunc(c.Upstreams[:i], func(other *Upstream) bool { return sameOrigin(other.Origin, u.Origin) }):
		wrong = "listed twice; join the two"
	case wrong == "" && len(routesTo(c, u)) == 0:
		wrong = "no route forwards there; correct it, or delete the entry"
	}
	if wrong != "" {
		r.add(path, "%s", wrong)
	}
}

// sameOrigin compares the origins of two addresses (RFC 6454 section 5).
func sameOrigin(a, b string) bool {
	x, err := url.Parse(a)
	y, err2 := url.Parse(b)
	return err == nil && err2 == nil && x.Scheme == y.Scheme && hostKey(x) == hostKey(y)
}

// routesTo are the routes that forward to an upstream, by place.
func routesTo(c *Config, u *Upstream) (places []int) {
	for i, route := range c.Routes {
		if route.Upstream != "" && sameOrigin(route.Upstream, u.Origin) {
			places = append(places, i)
		}
	}
	return places
}

func (r *report) upstreamTargets(path string, u *Upstream, c *Config) {
	list := join(path, "targets")
	if len(u.Targets) > mostTargets {
		r.add(list, "more than %d; put a load balancer before them", mostTargets)
	}
	for i, target := range u.Targets {
		if wrong := dialAddr(target); wrong != "" {
			r.add(at(list, i), "%s", strings.Replace(wrong, "redis:6379", "10.0.0.1:8443", 1))
		} else if host, _, _ := net.SplitHostPort(target); strings.HasPrefix(u.Origin, "http:") && !loopback(host) && !insecure(c, u) {
			// The origin may be a loopback name, and the target elsewhere.
			r.add(at(list, i), "would get tokens in the clear; write an https origin, or insecure_http: true on its routes where the network "+
				"itself is protected")
		}
	}
	r.unique(list, u.Targets)
}

// insecure reports whether every route of an upstream accepts plain http.
func insecure(c *Config, u *Upstream) bool {
	return !slices.ContainsFunc(routesTo(c, u), func(i int) bool { return !c.Routes[i].InsecureHTTP })
}

func (r *report) upstreamProtocol(path string, u *Upstream) {
	here := join(path, "protocol")
	r.oneOf(here, u.Protocol, "auto", "http1", "http2", "h2c")
	switch {
	case u.Protocol == "http2" && strings.HasPrefix(u.Origin, "http:"):
		r.add(here, "http2 is over TLS; write h2c for HTTP/2 in the clear")
	case u.Protocol == "h2c" && strings.HasPrefix(u.Origin, "https:"):
		r.add(here, "h2c is HTTP/2 in the clear, and the origin is https; write http2")
	}
}

func (r *report) upstreamTLS(path string, u *Upstream, c *Config) {
	r.pair(path, u.CertFile, u.KeyFile)
	for key, value := range map[string]string{"ca_file": u.CAFile, "cert_file": u.CertFile, "server_name": u.ServerName} {
		if value != "" && strings.HasPrefix(u.Origin, "http:") {
			// Fails closed: whoever names a certificate does not want plain text.
			r.add(join(path, key), "for an origin of plain http; write it as https, or delete the line")
		}
	}
	for _, i := range routesTo(c, u) {
		if u.CAFile != "" && c.Routes[i].CAFile != "" {
			r.add(join(at("routes", i), "ca_file"), "upstreams says as well who signs this origin's certificates; delete one of the two")
		}
	}
}

func (r *report) upstreamHealth(path string, h UpstreamHealth) {
	u, err := url.Parse(h.Path)
	if h.Path != "" && (err != nil || !strings.HasPrefix(h.Path, "/") || strings.HasPrefix(h.Path, "//") || u.Fragment != "") {
		r.add(join(path, "path"), "no path; write it as /healthz")
	}
	r.within(join(path, "every"), h.Every, 100*time.Millisecond, time.Hour)
	r.within(join(path, "timeout"), h.Timeout, 10*time.Millisecond, time.Minute)
}

func (r *report) upstreamNumbers(path string, u *Upstream) {
	for _, n := range []struct {
		key         string
		value       int
		least, most int
	}{
		{"attempts", u.Attempts, 1, 10}, // a request that ten targets cannot answer is not answered by the eleventh
		{"connections", u.Connections, 0, 1 << 20},
		{"idle_connections", u.IdleConnections, 1, 1 << 20},
		{"breaker.failures", u.Breaker.Failures, 1, 1000},
	} {
		if n.value < n.least || n.value > n.most {
			r.add(join(path, n.key), "out of bounds; write something from %d to %d", n.least, n.most)
		}
	}
	r.within(join(path, "breaker.open"), u.Breaker.Open, 10*time.Millisecond, time.Hour)
}

func (r *report) upstreamTimes(path string, t UpstreamTimeouts) {
	const least, most = 10 * time.Millisecond, time.Hour
	r.within(join(path, "connect"), t.Connect, least, most)
	r.within(join(path, "tls"), t.TLS, least, most)
	r.within(join(path, "stall"), t.Stall, least, most)
	r.within(join(path, "idle"), t.Idle, least, most)
}
