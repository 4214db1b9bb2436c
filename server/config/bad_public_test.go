package config_test

import "testing"

func TestBadPublic(t *testing.T) {
	runBad(t, []bad{
		{"a public url with a path", "https://gw.example.com", "https://gw.example.com/", []string{
			"cloakroom.yaml:1: public.url: more than an origin; write scheme, host and port alone, without a slash after them",
		}},
		{"a public url on plain http", "https://gw.example.com", "http://gw.example.com", []string{
			"cloakroom.yaml:1: public.url: plain http is for loopback names only; use https",
		}},
		{"no public url beside a native app", "public: {url: https://gw.example.com}", "public: {}", []string{
			"cloakroom.yaml:1: public.url: missing; the native surface of apps.phone lives there",
		}},
		{"a listener without a port", "{url: https://gw.example.com}", "{url: https://gw.example.com, listen: localhost}", []string{
			"cloakroom.yaml:1: public.listen: no host:port; write it as 127.0.0.1:9090 or :8080",
		}},
		{"a listener on port 0", "{url: https://gw.example.com}", "{url: https://gw.example.com, listen: \":0\"}", []string{
			"cloakroom.yaml:1: public.listen: a port that does not exist; ports go from 1 to 65535",
		}},
		{"ops on the public listener", "redis: {", "ops: {listen: \":8080\"}\nredis: {", []string{
			"cloakroom.yaml:2: ops.listen: the same as public.listen; metrics and probes need a listener of their own",
		}},
		{"a trusted proxy that is an address", "{url: https://gw.example.com}", "{url: https://gw.example.com, trusted_proxies: [10.0.0.5, 10.0.0.5/8, 0.0.0.0/0]}", []string{
			"cloakroom.yaml:1: public.trusted_proxies[0]: no network; write it as 10.0.0.0/8, a single address as 10.0.0.5/32",
			"cloakroom.yaml:1: public.trusted_proxies[1]: an address within a network; the network itself is 10.0.0.0/8",
			"cloakroom.yaml:1: public.trusted_proxies[2]: trusts everybody, so that anybody could forge an address; name the networks of your proxies",
		}},
		{"a certificate without its key", "{url: https://gw.example.com}", "{url: https://gw.example.com, tls: {cert_file: pem}}", []string{
			"cloakroom.yaml:1: public.tls.key_file: missing; cert_file needs its private key",
		}},
		{"a certificate that is none", "{url: https://gw.example.com}", "{url: https://gw.example.com, tls: {cert_file: pem, key_file: pem}}", []string{
			"cloakroom.yaml:1: public.tls.cert_file: no certificate in PEM that belongs to key_file; check both files",
		}},
		{"limits and timeouts out of bounds", "{url: https://gw.example.com}", "{url: https://gw.example.com, limits: {header_bytes: 1KiB, connections: -1}, timeouts: {idle: 1ms}}", []string{
			"cloakroom.yaml:1: public.limits.connections: negative; write 0 for no limit",
			"cloakroom.yaml:1: public.limits.header_bytes: too small for the gateway's own cookies; write 8KiB or more",
			"cloakroom.yaml:1: public.timeouts.idle: out of bounds; write something from 1s to 87600h",
		}},
		{"a log level of another logger", "redis: {", "log: {level: trace}\nredis: {", []string{
			"cloakroom.yaml:2: log.level: not one of the values known here; write one of debug, info, warn, error",
		}},
		{"an admin token without a listener", "redis: {", "admin: {token: 0123456789abcdef0123456789abcdef}\nredis: {", []string{
			"cloakroom.yaml:2: admin.listen: missing; write the address of the admin listener, as 127.0.0.1:9091",
		}},
		{"a key without its certificate", "{url: https://gw.example.com}", "{url: https://gw.example.com, tls: {key_file: pem}}", []string{
			"cloakroom.yaml:1: public.tls.cert_file: missing; key_file needs its certificate",
		}},
		{"an admin listener without a token", "redis: {", "admin: {listen: \"127.0.0.1:9091\"}\nredis: {", []string{
			"cloakroom.yaml:2: admin.token: missing; give the admin listener a token_file of its own",
		}},
		{"an admin listener on the ops address with a short token", "redis: {", "admin: {listen: \"127.0.0.1:9090\", token: abc}\nredis: {", []string{
			"cloakroom.yaml:2: admin.listen: the address of another listener; give it one of its own",
			"cloakroom.yaml:2: admin.token: too short; draw one of 32 characters or more at random",
		}},
	})
}
