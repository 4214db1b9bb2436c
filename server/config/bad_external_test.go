package config_test

import "testing"

func TestBadExternalAuthorization(t *testing.T) {
	const token = "0123456789abcdef0123456789abcdef"
	with := func(lines string) string { return lines + "\nredis: {" }
	route := "upstream: https://orders.internal"
	runBad(t, []bad{
		{"a listener without a token", "redis: {", with(`external_auth: {listen: "127.0.0.1:9092"}`), []string{
			"cloakroom.yaml:2: external_auth.token: missing; give the listener a token_file that the asking proxy has too",
		}},
		{"a token without a listener", "redis: {", with("external_auth: {token: " + token + "}"), []string{
			"cloakroom.yaml:2: external_auth.listen: missing; write the address that the other proxy asks at, as 127.0.0.1:9092",
		}},
		{"a short token, at the operator's address", "redis: {", with(`external_auth: {listen: "127.0.0.1:9090", token: abc}`), []string{
			"cloakroom.yaml:2: external_auth.listen: the address of another listener; give it one of its own",
			"cloakroom.yaml:2: external_auth.token: too short; draw one of 32 characters or more at random",
		}},
		{"the public address", "redis: {", with(`external_auth: {listen: ":8080", token: ` + token + "}"), []string{
			"cloakroom.yaml:2: external_auth.listen: the address of another listener; give it one of its own",
		}},
		{"the administrator's address and token", "redis: {", with(`admin: {listen: "127.0.0.1:9091", token: ` + token + "}\n" +
			`external_auth: {listen: "127.0.0.1:9091", token: ` + token + "}"), []string{
			"cloakroom.yaml:3: external_auth.listen: the address of another listener; give it one of its own",
			"cloakroom.yaml:3: external_auth.token: admin.token as well; the asking proxy is no administrator, draw another",
		}},
		{"a token of several words", "redis: {", with(`external_auth: {listen: "127.0.0.1:9092", token: "correct horse battery staple and 123"}`), []string{
			"cloakroom.yaml:2: external_auth.token: more than printable ASCII without spaces, which no header field carries as it is; draw one in base64url",
		}},
		{"a route that nobody can ask for", route, "external: true", []string{
			"cloakroom.yaml:26: routes[0].external: nobody can ask for it; write external_auth with listen and token_file",
		}},
	})
}

// What is done on the way to an upstream is not done where there is none.
func TestExternalRoutesHaveNoUpstream(t *testing.T) {
	runBad(t, []bad{{
		"an external route with an upstream's settings", base[len("public: {url: https://gw.example.com}"):], `
external_auth: {listen: "127.0.0.1:9092", token: 0123456789abcdef0123456789abcdef}
redis: {addrs: [redis:6379]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: https://id.example.com/}}
apps: {web: {kind: spa, origin: https://app.example.com, provider: main, client_id: c, client_secret_file: web}}
routes:
  - path: /api/
    methods: [GET]
    external: true
    upstream: https://orders.internal
    strip_prefix: true
    insecure_http: true
    stream_timeout: 1m
    set_cookies: [a]
    timeout: 5s
    body_bytes: 1MiB
    concurrent: 3
    trailers: true
`, []string{
			"cloakroom.yaml:12: routes[0].upstream: not with external: true; the other proxy knows where it forwards to",
			"cloakroom.yaml:13: routes[0].strip_prefix: not with external: true; have the other proxy do it",
			"cloakroom.yaml:14: routes[0].insecure_http: not with external: true; the other proxy knows where it forwards to",
			"cloakroom.yaml:15: routes[0].stream_timeout: not with external: true; have the other proxy do it",
			"cloakroom.yaml:16: routes[0].set_cookies: not with external: true; answers do not come through here",
			"cloakroom.yaml:17: routes[0].timeout: not with external: true; have the other proxy do it",
			"cloakroom.yaml:18: routes[0].body_bytes: not with external: true; have the other proxy do it",
			"cloakroom.yaml:19: routes[0].concurrent: not with external: true; have the other proxy do it",
			"cloakroom.yaml:20: routes[0].trailers: not with external: true; have the other proxy do it",
		},
	}, {
		"an external route of an app whose tokens are bound", base[len("public: {url: https://gw.example.com}"):], `
external_auth: {listen: "127.0.0.1:9092", token: 0123456789abcdef0123456789abcdef}
redis: {addrs: [redis:6379]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: https://id.example.com/, dpop: required}}
apps: {web: {kind: spa, origin: https://app.example.com, provider: main, client_id: c, client_secret_file: web}}
routes:
  - {path: /api/, methods: [GET], external: true}
  - {path: /open/, methods: [GET], external: true, token: none}
`, []string{
			"cloakroom.yaml:9: routes[0].external: the provider of web has dpop: required, and a proof is for an address that only the other proxy knows; have the gateway forward it, or leave that app out of apps",
		},
	}})
}
