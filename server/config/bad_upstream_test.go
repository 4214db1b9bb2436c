package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// upstreams writes an entry before the routes of base; it stands on line 25.
func upstreams(entry string) string {
	return "upstreams:\n  - {" + entry + "}\nroutes:"
}

func TestBadUpstreams(t *testing.T) {
	const ok = "origin: https://orders.internal, "
	runBad(t, []bad{
		{"no origin", "routes:", upstreams("targets: ['a:1']"), []string{
			"cloakroom.yaml:25: upstreams[0].origin: missing; write the origin of a route's upstream, as https://orders.internal",
		}},
		{"an origin with a path", "routes:", upstreams("origin: https://orders.internal/v1"), []string{
			"cloakroom.yaml:25: upstreams[0].origin: more than an origin; write scheme, host and port alone, without a slash after them",
		}},
		{"an origin of no route", "routes:", upstreams("origin: https://other.internal"), []string{
			"cloakroom.yaml:25: upstreams[0].origin: no route forwards there; correct it, or delete the entry",
		}},
		{"an origin twice, in another spelling", "routes:", "upstreams:\n  - {origin: https://orders.internal}\n  - {origin: 'https://ORDERS.internal:443'}\nroutes:", []string{
			"cloakroom.yaml:26: upstreams[1].origin: listed twice; join the two",
		}},
		{"targets that cannot be dialled", "routes:", upstreams(ok + "targets: [a, 'b:0', 'c:1', 'c:1']"), []string{
			"cloakroom.yaml:25: upstreams[0].targets[0]: no host:port; write it as 10.0.0.1:8443",
			"cloakroom.yaml:25: upstreams[0].targets[1]: a port that does not exist; ports go from 1 to 65535",
			"cloakroom.yaml:25: upstreams[0].targets[3]: listed twice; delete one of them",
		}},
		{"an unknown protocol", "routes:", upstreams(ok + "protocol: h3"), []string{
			"cloakroom.yaml:25: upstreams[0].protocol: not one of the values known here; write one of auto, http1, http2, h2c",
		}},
		{"h2c over TLS", "routes:", upstreams(ok + "protocol: h2c"), []string{
			"cloakroom.yaml:25: upstreams[0].protocol: h2c is HTTP/2 in the clear, and the origin is https; write http2",
		}},
		{"numbers out of bounds", "routes:", upstreams(ok + "attempts: 0, connections: -1, idle_connections: 0, breaker: {failures: 0, open: 0s}"), []string{
			"cloakroom.yaml:25: upstreams[0].attempts: out of bounds; write something from 1 to 10",
			"cloakroom.yaml:25: upstreams[0].breaker.failures: out of bounds; write something from 1 to 1000",
			"cloakroom.yaml:25: upstreams[0].breaker.open: out of bounds; write something from 10ms to 1h",
			"cloakroom.yaml:25: upstreams[0].connections: out of bounds; write something from 0 to 1048576",
			"cloakroom.yaml:25: upstreams[0].idle_connections: out of bounds; write something from 1 to 1048576",
		}},
		{"times out of bounds", "routes:", upstreams(ok + "timeouts: {connect: 0s, stall: 2h}, health: {path: healthz, every: 1ms}"), []string{
			"cloakroom.yaml:25: upstreams[0].health.every: out of bounds; write something from 100ms to 1h",
			"cloakroom.yaml:25: upstreams[0].health.path: no path; write it as /healthz",
			"cloakroom.yaml:25: upstreams[0].timeouts.connect: out of bounds; write something from 10ms to 1h",
			"cloakroom.yaml:25: upstreams[0].timeouts.stall: out of bounds; write something from 10ms to 1h",
		}},
	})
}

// What only shows beside a route: tokens and certificates in the clear.
func TestBadUpstreamsOfRoutes(t *testing.T) {
	runBad(t, []bad{
		{
			"a target elsewhere under a loopback name", "    upstream: https://orders.internal\n    methods: [GET, POST]\n",
			"    upstream: http://orders.localhost\n    methods: [GET, POST]\nupstreams:\n  - {origin: 'http://orders.localhost', targets: ['127.0.0.1:1', '10.0.0.1:1']}\n",
			[]string{
				"cloakroom.yaml:29: upstreams[0].targets[1]: would get tokens in the clear; write an https origin, or insecure_http: true on its routes where the network itself is protected",
			},
		},
		{
			"certificates in the clear", "    upstream: https://orders.internal\n    methods: [GET, POST]\n",
			"    upstream: http://orders.localhost\n    methods: [GET, POST]\nupstreams:\n  - {origin: 'http://orders.localhost', server_name: a, protocol: http2}\n",
			[]string{
				"cloakroom.yaml:29: upstreams[0].protocol: http2 is over TLS; write h2c for HTTP/2 in the clear",
				"cloakroom.yaml:29: upstreams[0].server_name: for an origin of plain http; write it as https, or delete the line",
			},
		},
	})
}

func TestBadUpstreamCertificates(t *testing.T) {
	cert, _ := certificate(t)
	dir := folder(t, map[string]string{"cert.pem": cert})
	text := edit(t, base, "    upstream: https://orders.internal\n    methods: [GET, POST]\n", `    upstream: https://orders.internal
    methods: [GET, POST]
    ca_file: cert.pem
upstreams:
  - {origin: 'https://orders.internal', ca_file: cert.pem, cert_file: cert.pem}
`)
	want := []string{
		"cloakroom.yaml:28: routes[0].ca_file: upstreams says as well who signs this origin's certificates; delete one of the two",
		"cloakroom.yaml:30: upstreams[0].key_file: missing; cert_file needs its private key",
	}
	if diff := cmp.Diff(want, problems(t, dir, text)); diff != "" {
		t.Error(diff)
	}
}
