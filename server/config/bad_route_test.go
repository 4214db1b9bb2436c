package config_test

import "testing"

func TestBadRoutes(t *testing.T) {
	runBad(t, []bad{
		{"no path", "path: /api/orders/", "strip_prefix: true", []string{
			"cloakroom.yaml:25: routes[0].path: missing; write what is matched, as /api/orders/",
		}},
		{"a path without a slash", "path: /api/orders/", "path: api/orders/", []string{
			"cloakroom.yaml:25: routes[0].path: does not start with a slash; write it as /api/orders/",
		}},
		{"a path with a pattern", "path: /api/orders/", "path: /api/*", []string{
			"cloakroom.yaml:25: routes[0].path: more than a path; remove queries, patterns and backslashes (a slash at the end matches all below)",
		}},
		{"a path with an encoded slash", "path: /api/orders/", "path: /api%2Forders/", []string{
			"cloakroom.yaml:25: routes[0].path: an encoded slash, backslash or control character; such requests are refused, so nothing would match",
		}},
		{"a path with an encoded line feed", "path: /api/orders/", "path: /api/%0Aorders/", []string{
			"cloakroom.yaml:25: routes[0].path: an encoded slash, backslash or control character; such requests are refused, so nothing would match",
		}},
		{"a path with dot segments", "path: /api/orders/", "path: /api/../orders/", []string{
			"cloakroom.yaml:25: routes[0].path: empty or dot segments; write the path they lead to",
		}},
		{"a path with encoded dot segments", "path: /api/orders/", "path: /api/%2e%2e/orders/", []string{
			"cloakroom.yaml:25: routes[0].path: empty or dot segments; write the path they lead to",
		}},
		{"a path of the gateway", "path: /api/orders/", "path: /BFF/session", []string{
			"cloakroom.yaml:25: routes[0].path: belongs to the gateway; /bff, /mobile, /healthz and /.well-known cannot be forwarded",
		}},
		{"a path of the gateway's metadata", "path: /api/orders/", "path: /.well-known/", []string{
			"cloakroom.yaml:25: routes[0].path: belongs to the gateway; /bff, /mobile, /healthz and /.well-known cannot be forwarded",
		}},
		{"a WebSocket without GET", "    methods: [GET, POST]", "    methods: [POST]\n    websocket: true", []string{
			"cloakroom.yaml:28: routes[0].websocket: a WebSocket begins with a GET (RFC 6455 section 4.1); add GET to methods",
		}},
		{"a header limit that no browser keeps", "    methods: [GET, POST]", "    methods: [GET, POST]\n    header_bytes: 64\n    concurrent: -1", []string{
			"cloakroom.yaml:28: routes[0].header_bytes: less than a browser sends; write 1KiB or more",
			"cloakroom.yaml:29: routes[0].concurrent: negative; write 0 for no limit",
		}},
		{"a header limit beyond the server's", "    methods: [GET, POST]", "    methods: [GET, POST]\n    header_bytes: 33KiB", []string{
			"cloakroom.yaml:28: routes[0].header_bytes: more than public.limits.header_bytes, which is refused before a route is known; raise that one, or write at most 32KiB",
		}},
		{"a resource with a fragment", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: https://orders.example.com/#v1", []string{
			"cloakroom.yaml:28: routes[0].resource: has a fragment, which RFC 8707 section 2 forbids; delete it from the # on",
		}}, // shows RES-2
		{"a resource with an empty fragment", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: https://orders.example.com/#", []string{
			"cloakroom.yaml:28: routes[0].resource: has a fragment, which RFC 8707 section 2 forbids; delete it from the # on",
		}},
		{"a resource that is a path", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: /orders", []string{
			"cloakroom.yaml:28: routes[0].resource: not an absolute URI; write it with its scheme, as https://orders.example.com",
		}},
		{"a resource with a space", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: \"https://orders.example.com/a b\"", []string{
			"cloakroom.yaml:28: routes[0].resource: no URI; write it as the provider has it registered, as https://orders.example.com",
		}},
		{"a resource for an exchanged token", "    methods: [GET, POST]", "    methods: [GET, POST]\n    token: exchange\n    exchange: {audience: orders}\n    resource: https://orders.example.com", []string{
			"cloakroom.yaml:30: routes[0].resource: is for a user's token; write token: user, or delete it",
		}},
		{"a resource for the app's own token", "    methods: [GET, POST]", "    methods: [GET, POST]\n    token: none\n    resource: urn:example:orders", []string{
			"cloakroom.yaml:29: routes[0].resource: is for a user's token; write token: user, or delete it",
		}},
		{"a sign-in of less than a second ago", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require: {max_age: 500ms}", []string{
			"cloakroom.yaml:28: routes[0].require.max_age: out of bounds; write something from 1s to 8760h",
		}},
		{"a sign-in of years ago", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require: {max_age: 20000h}", []string{
			"cloakroom.yaml:28: routes[0].require.max_age: out of bounds; write something from 1s to 8760h",
		}},
		{"a sign-in to come", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require: {max_age: -10m}", []string{
			"cloakroom.yaml:28: routes[0].require.max_age: a negative duration; write 0s or more",
		}},
		{"an age that is a number", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require: {max_age: 600}", []string{
			"cloakroom.yaml:28: routes[0].require.max_age: no duration; write a number with its unit, as 30s, 15m or 12h",
		}},
		{"values of acr that are none", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require:\n      acr: [\"gold silver\", \"\", 'a\"b', gold, gold]", []string{
			"cloakroom.yaml:29: routes[0].require.acr[0]: no value of acr; write each by itself, as the provider's documentation names it",
			"cloakroom.yaml:29: routes[0].require.acr[1]: no value of acr; write each by itself, as the provider's documentation names it",
			"cloakroom.yaml:29: routes[0].require.acr[2]: no value of acr; write each by itself, as the provider's documentation names it",
			"cloakroom.yaml:29: routes[0].require.acr[4]: listed twice; delete one of them",
		}},
		{"more values of acr than are asked for", "    methods: [GET, POST]", "    methods: [GET, POST]\n    require: {acr: [a, b, c, d, e, f, g, h, i]}", []string{
			"cloakroom.yaml:28: routes[0].require.acr: more than a sign-in is asked for; list 8 at most, 255 bytes together",
		}},
		{"a sign-in of nobody", "    methods: [GET, POST]", "    methods: [GET, POST]\n    token: user-or-none\n    require: {max_age: 10m, acr: [gold]}", []string{
			"cloakroom.yaml:29: routes[0].require: asks something of a user who need not be there; write token: user",
		}},
		{"a resource with a password", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: https://me:hunter2@orders.example.com", []string{
			"cloakroom.yaml:28: routes[0].resource: holds a user or password; a resource is named to the browser as well, delete them",
		}},
		{"two resources", "    methods: [GET, POST]", "    methods: [GET, POST]\n    resource: https://a.example.com https://b.example.com", []string{
			"cloakroom.yaml:28: routes[0].resource: no URI; write it as the provider has it registered, as https://orders.example.com",
		}},
		{"no upstream", "    upstream: https://orders.internal\n", "", []string{
			"cloakroom.yaml:25: routes[0].upstream: missing; write where it is forwarded, as https://orders.internal",
		}},
		{"an upstream on plain http", "https://orders.internal", "http://orders.internal", []string{
			"cloakroom.yaml:26: routes[0].upstream: plain http is for loopback names only; use https, or insecure_http: true where the network itself is protected",
		}},
		{"an upstream with a query", "https://orders.internal", "https://orders.internal/?a=b", []string{
			"cloakroom.yaml:26: routes[0].upstream: has a query; an upstream is a base to which path and query are added",
		}},
		{"an upstream with a password", "https://orders.internal", "https://me:hunter2@orders.internal", []string{
			"cloakroom.yaml:26: routes[0].upstream: holds a user name or password; remove them",
		}},
		{"an upstream that is a path", "https://orders.internal", "/orders", []string{
			"cloakroom.yaml:26: routes[0].upstream: no absolute http or https URL; write it in full, as https://host/path",
		}},
		{"an upstream with an unknown placeholder", "https://orders.internal", "https://orders.internal/{user}/", []string{
			"cloakroom.yaml:26: routes[0].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"an upstream with half a segment", "https://orders.internal", "https://orders.internal/u-{sub}/", []string{
			"cloakroom.yaml:26: routes[0].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"a placeholder without a user", "https://orders.internal", "https://orders.internal/{sub}/\n    token: none", []string{
			"cloakroom.yaml:26: routes[0].upstream: a placeholder, yet token: none knows no user; write token: user",
		}},
		{"a placeholder in the host", "https://orders.internal", "https://{org}.internal/", []string{
			"cloakroom.yaml:26: routes[0].upstream: no URL; write it in full, as https://host/path",
		}},
		{"no methods", "    methods: [GET, POST]\n", "", []string{
			"cloakroom.yaml:25: routes[0].methods: missing; list what is let through, as [GET, POST]",
		}},
		{"methods that are never forwarded", "[GET, POST]", "[TRACE, connect, get, GET, GET]", []string{
			"cloakroom.yaml:27: routes[0].methods[0]: is never forwarded; delete it",
			"cloakroom.yaml:27: routes[0].methods[1]: is never forwarded; delete it",
			"cloakroom.yaml:27: routes[0].methods[2]: not one of the values known here; write one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
			"cloakroom.yaml:27: routes[0].methods[4]: listed twice; delete one of them",
		}},
		{"the origin guard on POST", "methods: [GET, POST]", "methods: [GET, POST]\n    guard: origin", []string{
			"cloakroom.yaml:27: routes[0].methods[1]: guard: origin is for GET and HEAD, which change nothing; write guard: header",
		}},
		{"an exchange for nothing", "methods: [GET, POST]", "methods: [GET, POST]\n    token: exchange", []string{
			"cloakroom.yaml:25: routes[0].exchange: missing; say for what the user's token is exchanged, as {audience: orders} or {resource: https://orders.example.com}",
		}},
		{"an exchange beside another token", "methods: [GET, POST]", "methods: [GET, POST]\n    exchange: {audience: orders}", []string{
			"cloakroom.yaml:28: routes[0].exchange: belongs to token: exchange; write that, or delete it",
		}},
		{"an exchange for what has no name", "methods: [GET, POST]", "methods: [GET, POST]\n    token: exchange\n    exchange:\n      audience: the orders\n      resource: https://orders.example.com#all\n      scopes: [a b, c, c]", []string{
			"cloakroom.yaml:30: routes[0].exchange.audience: no name; write it as the provider has it registered, as orders",
			"cloakroom.yaml:31: routes[0].exchange.resource: has a fragment, which RFC 8707 section 2 forbids; delete it from the # on",
			"cloakroom.yaml:32: routes[0].exchange.scopes[0]: no scope; list each one by itself, without spaces",
			"cloakroom.yaml:32: routes[0].exchange.scopes[2]: listed twice; delete one of them",
		}},
		{"unknown words", "methods: [GET, POST]", "methods: [GET, POST]\n    token: admin\n    kind: page\n    guard: off", []string{
			"cloakroom.yaml:28: routes[0].token: not one of the values known here; write one of none, user, user-or-none, client, exchange",
			"cloakroom.yaml:29: routes[0].kind: not one of the values known here; write one of api, site",
			"cloakroom.yaml:30: routes[0].guard: not one of the values known here; write one of header, origin",
		}},
		{"an app that does not exist", "methods: [GET, POST]", "methods: [GET, POST]\n    apps: [web, wbe]", []string{
			"cloakroom.yaml:28: routes[0].apps[1]: no such app; name some of phone, web",
		}},
		{"the gateway's cookies", "methods: [GET, POST]", "methods: [GET, POST]\n    cookies: [__Host-Http-web]\n    set_cookies: [__host-http-web, \"a=b\"]", []string{
			"cloakroom.yaml:28: routes[0].cookies[0]: a name of the gateway's own cookies, which never pass; delete it",
			"cloakroom.yaml:29: routes[0].set_cookies[0]: a name of the gateway's own cookies, which never pass; delete it",
			"cloakroom.yaml:29: routes[0].set_cookies[1]: no cookie name; list each by itself, without its value",
		}},
		{"demands without a user", "methods: [GET, POST]", "methods: [GET, POST]\n    token: none\n    require: {scopes: [admin]}\n    identity_headers: {X-User: sub}", []string{
			"cloakroom.yaml:29: routes[0].require: asks something of a user who need not be there; write token: user",
			"cloakroom.yaml:30: routes[0].identity_headers.X-User: there is no user to tell of with token: none; delete it or write token: user",
		}},
		{"a claim that no value meets", "methods: [GET, POST]", "methods: [GET, POST]\n    require: {claims: {role: []}}", []string{
			"cloakroom.yaml:28: routes[0].require.claims.role: no values, so nobody could pass; list those that may",
		}},
		{"claims too deep inside objects", "methods: [GET, POST]", "methods: [GET, POST]\n    require: {claims: {a.b.c.d.e.f.g.h.i: [x], \"\": [x]}}\n    identity_headers: {X-Deep: a.b.c.d.e.f.g.h.i}", []string{
			"cloakroom.yaml:28: routes[0].require.claims.: no claim; name the one to send, as sub",
			"cloakroom.yaml:28: routes[0].require.claims.a.b.c.d.e.f.g.h.i: deeper inside objects than is looked; write eight names at most, or have the provider send it as a claim of its own",
			"cloakroom.yaml:29: routes[0].identity_headers.X-Deep: deeper inside objects than is looked; write eight names at most, or have the provider send it as a claim of its own",
		}},
		{"a placeholder too deep inside objects", "https://orders.internal", "https://orders.internal/{claim:a.b.c.d.e.f.g.h.i}", []string{
			"cloakroom.yaml:26: routes[0].upstream: a claim deeper inside objects than is looked; write eight names at most",
		}},
		{"claims in headers that mean something else", "methods: [GET, POST]", "methods: [GET, POST]\n    identity_headers: {authorization: sub, X User: sub, X-User: sub, x-user: email, X-Org: \"\"}", []string{
			"cloakroom.yaml:28: routes[0].identity_headers.X User: no header name",
			"cloakroom.yaml:28: routes[0].identity_headers.X-Org: no claim; name the one to send, as sub",
			"cloakroom.yaml:28: routes[0].identity_headers.authorization: a header that the gateway or the protocol sets; choose another, as X-Forwarded-User",
			"cloakroom.yaml:28: routes[0].identity_headers.x-user: written twice in different case; delete one of them",
		}},
		{"a route that is there already", "    methods: [GET, POST]\n", "    methods: [GET, POST]\n  - {path: /api/orders/, upstream: https://b.internal, methods: [POST], apps: [web]}\n", []string{
			"cloakroom.yaml:28: routes[1].path: the path of routes[0] too, for the same app and method; join the two or split them",
		}},
		{"timeouts out of bounds", "methods: [GET, POST]", "methods: [GET, POST]\n    timeout: 0s", []string{
			"cloakroom.yaml:28: routes[0].timeout: out of bounds; write something from 10ms to 1h",
		}},
	})
}
