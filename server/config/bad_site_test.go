package config_test

import "testing"

func TestBadSites(t *testing.T) {
	const methods = "methods: [GET, POST]"
	runBad(t, []bad{
		{"a site for all apps", methods, methods + "\n    kind: site", []string{
			"cloakroom.yaml:25: routes[0].apps: missing, so that mobile and desktop apps may take it too, which show no pages of a site; list the spa and web apps",
		}},
		{"a site for a native app", methods, methods + "\n    kind: site\n    apps: [web, phone]", []string{
			"cloakroom.yaml:29: routes[0].apps[1]: a mobile or desktop app shows no pages of a site; delete it",
		}},
		{"a site below another path", "https://orders.internal", "https://orders.internal/shop\n    kind: site\n    apps: [web]\n    strip_prefix: true", []string{
			"cloakroom.yaml:26: routes[0].upstream: has a path, while the links in a site's pages name the paths that it has itself; write scheme and host alone, and the same path on both sides",
			"cloakroom.yaml:29: routes[0].strip_prefix: the links in a site's pages name the paths that it has itself; serve it there below the same path, and delete this",
		}},
		{"a site with what it has anyway", methods, "methods: [GET]\n    kind: site\n    apps: [web]\n    cookies: [a]\n    set_cookies: [a]\n    guard: origin", []string{
			"cloakroom.yaml:30: routes[0].cookies: all of a site's own cookies pass already; delete it",
			"cloakroom.yaml:31: routes[0].set_cookies: all of a site's own cookies pass already; delete it",
			"cloakroom.yaml:32: routes[0].guard: a site has a guard of its own: pages are visited from anywhere, all else comes from them; delete it",
		}},
	})
}

func TestBadPublicPaths(t *testing.T) {
	const secret = "    client_secret_file: web\n"
	files := func(rest string) string { return secret + "    static: {dir: ., " + rest + "}\n" }
	runBad(t, []bad{
		{"public paths of what is open", secret, files("public: [/a/]"), []string{
			"cloakroom.yaml:18: apps.web.static.public: says what of a protected folder everybody may see; write dir and protected: true beside it, or delete it",
		}},
		{"public paths of a development server", secret, secret + "    static: {url: http://127.0.0.1:5173, protected: true, public: [/a/]}\n", []string{
			"cloakroom.yaml:18: apps.web.static.public: says what of a protected folder everybody may see; write dir and protected: true beside it, or delete it",
		}},
		{"public paths that are none", secret, files("protected: true, public: [/, a/, /../b, //c, '/d*', /e%2ff, /.git/, /g;h, /bff/, /ok/, /ok/]"), []string{
			"cloakroom.yaml:18: apps.web.static.public[0]: is all there is; delete protected to show it to everybody, or name what is public",
			"cloakroom.yaml:18: apps.web.static.public[10]: listed twice; delete one of them",
			"cloakroom.yaml:18: apps.web.static.public[1]: does not start with a slash; write it as /api/orders/",
			"cloakroom.yaml:18: apps.web.static.public[2]: no name of a file or folder that is served; write it as it is called, without escapes and leading dots",
			"cloakroom.yaml:18: apps.web.static.public[3]: empty or dot segments; write the path they lead to",
			"cloakroom.yaml:18: apps.web.static.public[4]: more than a path; remove queries, patterns and backslashes (a slash at the end matches all below)",
			"cloakroom.yaml:18: apps.web.static.public[5]: no name of a file or folder that is served; write it as it is called, without escapes and leading dots",
			"cloakroom.yaml:18: apps.web.static.public[6]: no name of a file or folder that is served; write it as it is called, without escapes and leading dots",
			"cloakroom.yaml:18: apps.web.static.public[7]: no name of a file or folder that is served; write it as it is called, without escapes and leading dots",
			"cloakroom.yaml:18: apps.web.static.public[8]: belongs to the gateway; /bff, /mobile, /healthz and /.well-known cannot be forwarded",
		}},
	})
}
