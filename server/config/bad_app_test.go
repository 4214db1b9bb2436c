package config_test

import "testing"

// Each row is named after what is refused.
//
// shows BBA-6.1.3.1, CA-2.5, COOKIE-2, COOKIE-3
func TestBadApps(t *testing.T) {
	runBad(t, []bad{
		{"no kind", "    kind: spa\n", "", []string{
			"cloakroom.yaml:12: apps.web.kind: missing; write spa, web, mobile or desktop",
		}},
		{"an unknown kind", "kind: spa", "kind: pwa", []string{
			"cloakroom.yaml:13: apps.web.kind: not one of the values known here; write one of spa, web, mobile, desktop",
		}},
		{"an id in capitals", "  web:\n", "  Web:\n", []string{
			"cloakroom.yaml:12: apps.Web: no usable name; a name is up to 31 of a-z, 0-9 and hyphen, the first a letter",
		}},
		{"no provider", "    provider: main\n    client_id: webc_1\n", "    client_id: webc_1\n", []string{
			"cloakroom.yaml:12: apps.web.provider: missing; name one of providers",
		}},
		{"a provider that does not exist", "provider: main\n    client_id: webc_1", "provider: mian\n    client_id: webc_1", []string{
			"cloakroom.yaml:15: apps.web.provider: no such provider; name one of main",
		}},
		{"no client id", "    client_id: webc_1\n", "", []string{
			"cloakroom.yaml:12: apps.web.client_id: missing; write the id that the provider gave this app",
		}},
		{"no client secret", "    client_secret_file: web\n", "", []string{
			"cloakroom.yaml:12: apps.web.client_secret: missing; every app is a confidential client, so name its client_secret_file or list client_keys",
		}},
		{"a secret file that is not there", "client_secret_file: web", "client_secret_file: nope", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: reading nope: no such file or directory; name a file that this process may read",
		}},
		{"a secret given twice", "client_secret_file: web", "client_secret_file: web\n    client_secret: another-secret-1", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: given twice, also as client_secret; delete one of them",
		}},
		{"an example for a secret", "client_secret_file: web", "client_secret_file: example", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: an example, not a secret; write the one the provider gave this app",
		}},
		{"an example for a secret, dressed up", "client_secret_file: web", "client_secret: <Your-Client_Secret>", []string{
			"cloakroom.yaml:17: apps.web.client_secret: an example, not a secret; write the one the provider gave this app",
		}},
		{"a secret of seven characters", "client_secret_file: web", "client_secret: abc4567", []string{
			"cloakroom.yaml:17: apps.web.client_secret: too short for a secret; let the provider make one of 8 characters or more",
		}},
		{"the secret of another app", "client_secret_file: web", "client_secret_file: phone", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: the secret of app phone too; each app is a client of its own",
		}},
		{"the client of another app", "webc_1", "webc_2", []string{
			"cloakroom.yaml:16: apps.web.client_id: the client of app phone too; register each app by itself",
		}},
		{"another response type", "kind: spa", "kind: spa\n    response_type: token", []string{
			"cloakroom.yaml:14: apps.web.response_type: there is no choice: only the authorization code grant with PKCE is used; delete the key",
		}},
		{"the password grant", "kind: spa", "kind: spa\n    grant_type: password", []string{
			"cloakroom.yaml:14: apps.web.grant_type: there is no choice: only the authorization code grant with PKCE is used; delete the key",
		}},
		{"a cookie with a domain and a path", "kind: spa", "kind: spa\n    cookie:\n      domain: example.com\n      path: /app", []string{
			"cloakroom.yaml:15: apps.web.cookie.domain: there is no choice: the cookie is __Host-Http-<app> with Path=/ and no Domain; delete the key",
			"cloakroom.yaml:16: apps.web.cookie.path: there is no choice: the cookie is __Host-Http-<app> with Path=/ and no Domain; delete the key",
		}},
		{"a cookie without Secure", "kind: spa", "kind: spa\n    session: {secure: false}", []string{
			"cloakroom.yaml:14: apps.web.session.secure: there is no choice: cookies are always Secure and HttpOnly; delete the key",
		}},
		{"a cookie for all sites", "kind: spa", "kind: spa\n    session: {same_site: none}", []string{
			"cloakroom.yaml:14: apps.web.session.same_site: none would send the session with other sites' requests; write strict or lax",
		}},
		{"a cookie for all sites, in capitals", "kind: spa", "kind: spa\n    session: {same_site: None}", []string{
			"cloakroom.yaml:14: apps.web.session.same_site: none would send the session with other sites' requests; write strict or lax",
		}},
		{"scopes without openid", "kind: spa", "kind: spa\n    scopes: [email, \"a b\"]", []string{
			"cloakroom.yaml:14: apps.web.scopes: openid is missing; without it there is no ID token to sign in with",
			"cloakroom.yaml:14: apps.web.scopes[1]: no scope; list each one by itself, without spaces",
		}},
		{"claims that cannot be found", "kind: spa", "kind: spa\n    claims: [sub, \"\", a.b.c.d.e.f.g.h.i]", []string{
			"cloakroom.yaml:14: apps.web.claims[1]: no claim; name the one to send, as sub",
			"cloakroom.yaml:14: apps.web.claims[2]: deeper inside objects than is looked; write eight names at most, or have the provider send it as a claim of its own",
		}},
		{"no claims", "kind: spa", "kind: spa\n    claims: []", []string{
			"cloakroom.yaml:14: apps.web.claims: empty; name at least sub",
		}},
		{"an idle time beyond the absolute one", "kind: spa", "kind: spa\n    session: {idle: 2h, absolute: 1h}", []string{
			"cloakroom.yaml:14: apps.web.session.idle: longer than absolute (1h), so it would never end a session; shorten it",
		}},
		{"a session of no length", "kind: spa", "kind: spa\n    session: {idle: 0s}", []string{
			"cloakroom.yaml:14: apps.web.session.idle: out of bounds; write something from 1s to 87600h",
		}},
		{"more sessions than anybody has", "kind: spa", "kind: spa\n    session: {recent: 0s, most: 101}", []string{
			"cloakroom.yaml:14: apps.web.session.most: out of bounds; write something from 0 to 100",
			"cloakroom.yaml:14: apps.web.session.recent: out of bounds; write something from 1s to 87600h",
		}},
		{"fewer sessions than none", "kind: spa", "kind: spa\n    session: {most: -1}", []string{
			"cloakroom.yaml:14: apps.web.session.most: out of bounds; write something from 0 to 100",
		}},
		{"no origin", "    origin: https://app.example.com\n", "", []string{
			"cloakroom.yaml:12: apps.web.origin: missing; write where the app lives, as https://app.example.com",
		}},
		{"an origin with a slash", "https://app.example.com", "https://app.example.com/", []string{
			"cloakroom.yaml:14: apps.web.origin: more than an origin; write scheme, host and port alone, without a slash after them",
		}},
		{"an origin on plain http", "https://app.example.com", "http://app.example.com", []string{
			"cloakroom.yaml:14: apps.web.origin: plain http is for loopback names only; use https",
		}},
		{"an origin in capitals", "https://app.example.com", "https://App.example.com", []string{
			"cloakroom.yaml:14: apps.web.origin: capitals; browsers send an origin in lower case, so write it so",
		}},
		{"an origin in umlauts", "https://app.example.com", "https://bücher.example", []string{
			"cloakroom.yaml:14: apps.web.origin: letters beyond ASCII; write the host as browsers send it, with xn--",
		}},
		{"an origin with a port that does not exist", "https://app.example.com", "https://app.example.com:65536", []string{
			"cloakroom.yaml:14: apps.web.origin: a port that does not exist; ports go from 1 to 65535",
		}},
		{"an origin with an empty port", "https://app.example.com", "\"https://app.example.com:\"", []string{
			"cloakroom.yaml:14: apps.web.origin: a port that does not exist; ports go from 1 to 65535",
		}},
		{"an origin with a user", "https://app.example.com", "https://me@app.example.com", []string{
			"cloakroom.yaml:14: apps.web.origin: holds a user name or password; remove them",
		}},
		{"a secret of two lines", "client_secret_file: web", "client_secret_file: two", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: more than one line, or control characters; write the secret alone",
		}},
		{"a file name that is a list", "client_secret_file: web", "client_secret_file: [web]", []string{
			"cloakroom.yaml:17: apps.web.client_secret_file: not a single value; write one value and no list or group",
		}},
		{"a development server with a path", "kind: spa", "kind: spa\n    static: {url: \"http://127.0.0.1:5173/a\"}", []string{
			"cloakroom.yaml:14: apps.web.static.url: more than scheme, host and port; remove what follows",
		}},
		{"an origin with its default port", "https://app.example.com", "https://app.example.com:443", []string{
			"cloakroom.yaml:14: apps.web.origin: the default port; browsers leave it out of an origin, so leave it out",
		}},
		{"the gateway's own origin", "https://app.example.com", "https://gw.example.com", []string{
			"cloakroom.yaml:14: apps.web.origin: the host of public.url too; give each its own",
		}},
		{"an origin of two apps", "  phone:\n", "  docs:\n    kind: web\n    origin: https://app.example.com\n    provider: main\n    client_id: webc_3\n    client_secret: a-third-secret\n  phone:\n", []string{
			"cloakroom.yaml:14: apps.web.origin: the host of apps.docs too; give each its own",
		}},
		{"redirect URIs of a native app", "kind: spa", "kind: spa\n    redirect_uris: [\"com.example.app:/cb\"]\n    handle: {dpop: off}", []string{
			"cloakroom.yaml:14: apps.web.redirect_uris: belongs to mobile and desktop apps; delete it",
			"cloakroom.yaml:15: apps.web.handle: belongs to mobile and desktop apps; delete it",
		}},
		{"an allowed origin that is its own", "kind: spa", "kind: spa\n    allowed_origins: [https://app.example.com, \"https://*.example.com\"]", []string{
			"cloakroom.yaml:14: apps.web.allowed_origins[0]: the app's own origin, which needs no permission; delete it",
			"cloakroom.yaml:14: apps.web.allowed_origins[1]: a wildcard is no origin; list each one",
		}},
		{"allowed origins of other sites", "kind: spa", "kind: spa\n    allowed_origins: [https://www.example.org, \"http://www.localhost\", https://example.com.evil, \"https://192.0.2.1\", \"https://www.example.com/\", \"https://www.example.com:443\", \"https://WWW.example.com\", \"https://user@www.example.com\", https://www.example.com., \"null\"]", []string{
			"cloakroom.yaml:14: apps.web.allowed_origins[0]: another site than the app's origin, so that the session's cookie does not come along; let both stand under one domain, as www.example.com and app.example.com",
			"cloakroom.yaml:14: apps.web.allowed_origins[1]: http beside the app's https: they are two sites to a browser; use the same for both",
			"cloakroom.yaml:14: apps.web.allowed_origins[2]: another site than the app's origin, so that the session's cookie does not come along; let both stand under one domain, as www.example.com and app.example.com",
			"cloakroom.yaml:14: apps.web.allowed_origins[3]: another site than the app's origin, so that the session's cookie does not come along; let both stand under one domain, as www.example.com and app.example.com",
			"cloakroom.yaml:14: apps.web.allowed_origins[4]: more than an origin; write scheme, host and port alone, without a slash after them",
			"cloakroom.yaml:14: apps.web.allowed_origins[5]: the default port; browsers leave it out of an origin, so leave it out",
			"cloakroom.yaml:14: apps.web.allowed_origins[6]: capitals; browsers send an origin in lower case, so write it so",
			"cloakroom.yaml:14: apps.web.allowed_origins[7]: holds a user name or password; remove them",
			"cloakroom.yaml:14: apps.web.allowed_origins[8]: another site than the app's origin, so that the session's cookie does not come along; let both stand under one domain, as www.example.com and app.example.com",
			"cloakroom.yaml:14: apps.web.allowed_origins[9]: no absolute http or https URL; write it in full, as https://host/path",
		}},
		{"allowed origins that are not written as browsers send them", "kind: spa", "kind: spa\n    allowed_origins: [\"https://www.example.com?x\", \"https://www.example.com?\", \"https://www.example.com:80\", \"https://www.example.com:80\"]", []string{
			"cloakroom.yaml:14: apps.web.allowed_origins[0]: more than an origin; write scheme, host and port alone, without a slash after them",
			"cloakroom.yaml:14: apps.web.allowed_origins[1]: more than an origin; write scheme, host and port alone, without a slash after them",
			"cloakroom.yaml:14: apps.web.allowed_origins[3]: listed twice; delete one of them",
		}},
		{"the default port of plain http", "origin: https://app.example.com", "origin: http://localhost:80\n    allowed_origins: [\"http://localhost:443\"]", []string{
			"cloakroom.yaml:14: apps.web.origin: the default port; browsers leave it out of an origin, so leave it out",
		}},
		{"returns to origins that are not listed", "kind: spa", "kind: spa\n    allowed_origins: [https://www.example.com]\n    post_logout: https://www.example.com.evil/\n    login: {default_return: \"https://www.example.com//evil\"}", []string{
			"cloakroom.yaml:15: apps.web.post_logout: no page of the app; write a path, as /welcome, or an address of an origin that allowed_origins lists",
			"cloakroom.yaml:16: apps.web.login.default_return: no path within the app; write one that starts with a single slash, as /welcome",
		}},
		{"paths of the gateway's own", "kind: spa", "kind: spa\n    post_logout: /bff/login\n    login: {default_return: /%62ff/logout}", []string{
			"cloakroom.yaml:14: apps.web.post_logout: a path of the gateway's own, where sign-ins and sign-outs go in circles; write one of the app, as /welcome",
			"cloakroom.yaml:15: apps.web.login.default_return: a path of the gateway's own, where sign-ins and sign-outs go in circles; write one of the app, as /welcome",
		}},
		{"paths that browsers read as others", "kind: spa", "kind: spa\n    post_logout: /..//evil.example\n    login: {default_return: /a/%2e%2E/b}", []string{
			"cloakroom.yaml:14: apps.web.post_logout: no path within the app; write one that starts with a single slash, as /welcome",
			"cloakroom.yaml:15: apps.web.login.default_return: no path within the app; write one that starts with a single slash, as /welcome",
		}},
		{"paths that lead to other sites", "kind: spa", "kind: spa\n    post_logout: //evil.example\n    login: {default_return: \"/%5Cevil.example\"}", []string{
			"cloakroom.yaml:14: apps.web.post_logout: no path within the app; write one that starts with a single slash, as /welcome",
			"cloakroom.yaml:15: apps.web.login.default_return: no path within the app; write one that starts with a single slash, as /welcome",
		}},
		{"a start origin with a path", "kind: spa", "kind: spa\n    login: {start_origins: [https://www.example.com/a]}", []string{
			"cloakroom.yaml:14: apps.web.login.start_origins[0]: more than an origin; write scheme, host and port alone, without a slash after them",
		}},
		{"a prompt that the provider does not know", "kind: spa", "kind: spa\n    login: {params: {prompt: [consent]}}", []string{
			"cloakroom.yaml:14: apps.web.login.params.prompt[0]: not among the prompts of provider main; delete it or add it there",
		}},
		{"a folder and a server", "kind: spa", "kind: spa\n    static: {dir: ., url: \"http://127.0.0.1:5173\"}", []string{
			"cloakroom.yaml:14: apps.web.static.url: beside dir; serve a folder or another server, not both",
		}},
		{"a policy for a development server", "kind: spa", "kind: spa\n    static: {url: \"http://127.0.0.1:5173\", csp: \"img-src *\"}", []string{
			"cloakroom.yaml:14: apps.web.static.csp: for the documents of a folder; name one with dir, or delete it",
		}},
		{"two policies in one", "kind: spa", "kind: spa\n    static: {dir: ., csp: \"img-src *, img-src a\"}", []string{
			"cloakroom.yaml:14: apps.web.static.csp: holds a comma, a line break or a character that a header field cannot have; write one policy on one line",
		}},
		{"hashes for a development server", "kind: spa", "kind: spa\n    static: {url: \"http://127.0.0.1:5173\", inline: hashed}", []string{
			"cloakroom.yaml:14: apps.web.static.inline: for the pages of a folder; name one with dir, or delete it",
		}},
		{"an unknown way with inline scripts", "kind: spa", "kind: spa\n    static: {dir: ., inline: allowed}", []string{
			"cloakroom.yaml:14: apps.web.static.inline: not one of the values known here; write one of refused, hashed",
		}},
		{"nothing to protect", "kind: spa", "kind: spa\n    static: {protected: true}", []string{
			"cloakroom.yaml:14: apps.web.static.protected: nothing to protect; name a folder with dir",
		}},
		{"a folder that is not there", "kind: spa", "kind: spa\n    static: {dir: dist}", []string{
			"cloakroom.yaml:14: apps.web.static.dir: dist is no folder; name one that exists",
		}},
		{"a development server elsewhere", "kind: spa", "kind: spa\n    static: {url: \"http://10.0.0.1:5173\"}", []string{
			"cloakroom.yaml:14: apps.web.static.url: not on loopback; serve a folder with dir, or make it a route",
		}},
	})
}
