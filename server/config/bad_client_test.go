package config_test

import "testing"

// clientRoute is a second route, with the app's own token, behind the one of base.
const clientRoute = `    methods: [GET, POST]
  - path: /mgmt/{user}
    upstream: https://api.example.com/v1/{org}/users/{path:user}
    methods: [GET]
    token: client
    apps: [web]
`

// shows SCALEKIT-M3
func TestBadClientRoutes(t *testing.T) {
	at := func(old, new string) string { return edit(t, clientRoute, old, new) }
	const methods = "    methods: [GET, POST]\n"
	runBad(t, []bad{
		{"a tree", methods, at("/mgmt/{user}\n", "/mgmt/{user}/\n"), []string{
			"cloakroom.yaml:28: routes[1].path: ends in a slash, which matches all below; the app's own token is for exact paths, so list each with {name} for what varies",
		}},
		{"a base address", methods, at("{path:user}\n", "{path:user}/\n"), []string{
			"cloakroom.yaml:29: routes[1].upstream: ends in a slash; with token: client it is the whole address, to which no path is added",
		}},
		{"no apps", methods, at("    apps: [web]\n", ""), []string{
			"cloakroom.yaml:28: routes[1].apps: missing; a route with token: client names the apps whose token it may use",
		}},
		{"what is for other routes", methods, at("[web]\n", "[web]\n    strip_prefix: true\n    kind: site\n    guard: origin\n    websocket: true\n    set_cookies: [x]\n"), []string{
			"cloakroom.yaml:29: routes[1].upstream: has a path, while the links in a site's pages name the paths that it has itself; write scheme and host alone, and the same path on both sides",
			"cloakroom.yaml:33: routes[1].strip_prefix: nothing to strip with token: client, whose upstream is the whole address; delete it",
			"cloakroom.yaml:34: routes[1].kind: a site with the app's own token would act for everybody; write kind: api",
			"cloakroom.yaml:35: routes[1].guard: with token: client every call shows that a script of the app makes it; write guard: header",
			"cloakroom.yaml:36: routes[1].websocket: not with token: client; delete it",
			"cloakroom.yaml:37: routes[1].set_cookies: not with token: client; delete it",
		}},
		{"plain http", methods, edit(t, at("[web]\n", "[web]\n    insecure_http: true\n"), "https://api", "http://api"), []string{
			"cloakroom.yaml:33: routes[1].insecure_http: the app's own token never travels in the clear; use https, or a loopback name",
		}},
		{"a change that asks for nothing", methods, at("[GET]", "[GET, DELETE]"), []string{
			"cloakroom.yaml:28: routes[1].require: missing; a method that changes something with token: client needs a claim or scope that the user must have",
		}},
		{"parameters that cannot pass", methods, at("[web]\n", "[web]\n    query: [page_size, access_token, page_size]\n"), []string{
			"cloakroom.yaml:33: routes[1].query[1]: no parameter that may pass; name one, as page_size",
			"cloakroom.yaml:33: routes[1].query[2]: listed twice; delete one of them",
		}},
		{"half a segment", methods, at("/mgmt/{user}\n", "/mgmt/u-{user}\n"), []string{
			"cloakroom.yaml:28: routes[1].path: more than a path; remove queries, patterns and backslashes (a slash at the end matches all below)",
			"cloakroom.yaml:29: routes[1].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"a name in capitals", methods, at("/mgmt/{user}\n", "/mgmt/{User}\n"), []string{
			"cloakroom.yaml:28: routes[1].path: braces within a segment; a whole segment may be {name}, of small letters, digits and underscores",
			"cloakroom.yaml:29: routes[1].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"a name twice", methods, at("/mgmt/{user}\n", "/mgmt/{user}/{user}\n"), []string{
			"cloakroom.yaml:28: routes[1].path: {user} twice; give each place a name of its own",
		}},
		{"a name that goes nowhere", methods, at("{path:user}", "{sub}"), []string{
			"cloakroom.yaml:28: routes[1].path: {user} is used nowhere; write {path:user} in upstream, or the words that are meant",
		}},
		{"a name that is not there", methods, at("users/{path:user}", "users/{path:user}/{path:role}"), []string{
			"cloakroom.yaml:29: routes[1].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"a path of the gateway", methods, at("/mgmt/{user}\n", "/bff/{user}\n"), []string{
			"cloakroom.yaml:28: routes[1].path: belongs to the gateway; /bff, /mobile, /healthz and /.well-known cannot be forwarded",
		}},
		{"the same places under another name", methods, clientRoute + "  - {path: '/mgmt/{who}', upstream: 'https://a/{path:who}', methods: [GET], token: client, apps: [web]}\n", []string{
			"cloakroom.yaml:33: routes[2].path: the path of routes[1] too, for the same app and method; join the two or split them",
		}},
		{"places that cross", methods, clientRoute + "  - {path: '/mgmt/{who}/x', upstream: 'https://a/{path:who}', methods: [GET], token: client, apps: [web]}\n" +
			"  - {path: '/mgmt/me/{what}', upstream: 'https://a/{path:what}', methods: [GET], token: client, apps: [phone]}\n", []string{
			"cloakroom.yaml:34: routes[3].path: crosses the path of routes[2]: both match some paths, and neither is the more literal; make one of them so",
		}},
		{"names, for the user's token", methods, at("    token: client\n", ""), []string{
			"cloakroom.yaml:28: routes[1].path: more than a path; remove queries, patterns and backslashes (a slash at the end matches all below)",
			"cloakroom.yaml:29: routes[1].upstream: an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}",
		}},
		{"parameters, for the user's token", methods, methods + "    query: [page_size]\n", []string{
			"cloakroom.yaml:28: routes[0].query: belongs to routes with token: client; everywhere else the whole query passes",
		}},
		{"scopes that are none", "    client_id: webc_1\n", "    client_id: webc_1\n    client_scopes: [\"a b\", x, x]\n", []string{
			"cloakroom.yaml:17: apps.web.client_scopes[0]: no scope; list each one by itself, without spaces",
			"cloakroom.yaml:17: apps.web.client_scopes[2]: listed twice; delete one of them",
		}},
	})
}

// shows SCALEKIT-M2
func TestGoodClientRoutes(t *testing.T) {
	dir := folder(t, nil)
	for name, more := range map[string]string{
		"a path with a name":               "",
		"a literal in the place of a name": "  - {path: /mgmt/me, upstream: 'https://a/{sub}', methods: [GET], token: client, apps: [web]}\n",
		"a tree around":                    "  - {path: /mgmt/, upstream: 'https://a', methods: [GET]}\n",
		"changes, for who may": "  - {path: '/mgmt/{user}/roles/{role}', upstream: 'https://a/{org}/{path:user}/{path:role}', " +
			"methods: [POST, DELETE], token: client, apps: [web, phone], require: {claims: {roles: [admin]}}, query: [page_size]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			good(t, dir, edit(t, base, "    methods: [GET, POST]\n", clientRoute+more))
		})
	}
}
