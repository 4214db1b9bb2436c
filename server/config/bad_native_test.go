package config_test

import "testing"

// noDomain is what is told of a claimed address that no system hands to one app alone.
const noDomain = "no domain name, so no system hands it to one app alone; write a host that your app claims, or a private scheme"

// Redirects that another app could receive stop the start, and so does a secret that an app would ship.
//
// shows NAT-7.1, NAT-8.12
// shows SCALEKIT-T5
func TestBadNativeApps(t *testing.T) {
	runBad(t, []bad{
		{"no redirect URIs", "    redirect_uris: [\"com.example.app:/signed-in\"]\n", "", []string{
			"cloakroom.yaml:18: apps.phone.redirect_uris: missing; list where the app is answered, as com.example.app:/signed-in",
		}},
		{"a private scheme without a dot", "com.example.app:/signed-in", "myapp:/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: a private scheme has to be a domain of yours in reverse, as com.example.app:/signed-in (RFC 8252 section 7.1)",
		}},
		{"a script for a redirect", "com.example.app:/signed-in", "javascript:alert(1)", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: a private scheme has to be a domain of yours in reverse, as com.example.app:/signed-in (RFC 8252 section 7.1)",
		}},
		{"localhost", "com.example.app:/signed-in", "http://localhost/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: localhost may resolve elsewhere; write http://127.0.0.1 or http://[::1] (RFC 8252 section 8.3)",
		}},
		{"a host that begins like loopback", "com.example.app:/signed-in", "http://127.0.0.1.evil.com/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: plain http beyond this machine; write https, 127.0.0.1 or a private scheme",
		}},
		{"plain http", "com.example.app:/signed-in", "http://10.0.0.1/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: plain http beyond this machine; write https, 127.0.0.1 or a private scheme",
		}},
		{"https without a host", "com.example.app:/signed-in", "https:///cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: no host; a claimed https address has one",
		}},
		{"https on this machine", "com.example.app:/signed-in", "https://127.0.0.1/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: " + noDomain,
		}},
		{"https on this machine by name", "com.example.app:/signed-in", "https://app.localhost:8443/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: " + noDomain,
		}},
		{"https at an address", "com.example.app:/signed-in", "https://[2001:db8::1]/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: " + noDomain,
		}},
		{"a loopback port that does not exist", "com.example.app:/signed-in", "http://127.0.0.1:99999/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: a port that does not exist; leave it out, any port matches",
		}},
		{"a fragment", "com.example.app:/signed-in", "com.example.app:/cb#here", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: holds a user name or a fragment; remove it (RFC 6749 section 3.1.2)",
		}},
		{"a wildcard", "com.example.app:/signed-in", "https://*.example.com/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: no URI; write it in full and without wildcards, as com.example.app:/signed-in",
		}},
		{"no path", "com.example.app:/signed-in", "com.example.app:cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: no path; write one slash and a path after the scheme, as com.example.app:/signed-in",
		}},
		{"capitals in the scheme", "com.example.app:/signed-in", "com.Example.app:/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: capitals in the scheme; write it in lower case",
		}},
		{"capitals in https", "com.example.app:/signed-in", "HTTPS://app.example.com/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: capitals in the scheme; write it in lower case",
		}},
		{"a parameter of the answer", "com.example.app:/signed-in", "com.example.app:/cb?state=1", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: its query holds a parameter of the answer (code, state, iss, error); remove it",
		}},
		{"no scheme", "com.example.app:/signed-in", "/cb", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[0]: no scheme; write it in full, as com.example.app:/signed-in",
		}},
		{"the same one twice", "[\"com.example.app:/signed-in\"]", "[\"com.example.app:/a\", \"com.example.app:/a\"]", []string{
			"cloakroom.yaml:23: apps.phone.redirect_uris[1]: listed twice; delete one of them",
		}},
		{"keys of a browser app", "kind: mobile", "kind: mobile\n    origin: https://phone.example.com\n    post_logout: /\n    static: {dir: .}\n    allowed_origins: []\n    session: {same_site: lax}\n    login: {initiate: true}", []string{
			"cloakroom.yaml:20: apps.phone.origin: belongs to spa and web apps; delete it",
			"cloakroom.yaml:21: apps.phone.post_logout: no scheme; write it in full, as com.example.app:/signed-in",
			"cloakroom.yaml:22: apps.phone.static: belongs to spa and web apps; delete it",
			"cloakroom.yaml:23: apps.phone.allowed_origins: belongs to spa and web apps; delete it",
			"cloakroom.yaml:24: apps.phone.session.same_site: belongs to spa and web apps; delete it",
			"cloakroom.yaml:25: apps.phone.login.initiate: belongs to spa and web apps; delete it",
		}},
		{"a secret that ships in the app", "kind: mobile", "kind: mobile\n    app_secret: 8fJq2Lw0Zx7V", []string{
			"cloakroom.yaml:20: apps.phone.app_secret: there is no such thing: what is shipped in an app proves nothing, and a native app names itself by its id alone; the gateway's own at the provider is client_secret",
		}},
		{"a handle out of bounds", "kind: mobile", "kind: mobile\n    handle: {dpop: maybe, grace: 1h, access_life: 0s}", []string{
			"cloakroom.yaml:20: apps.phone.handle.access_life: out of bounds; write something from 1s to 24h",
			"cloakroom.yaml:20: apps.phone.handle.dpop: not one of the values known here; write one of off, allowed, required",
			"cloakroom.yaml:20: apps.phone.handle.grace: out of bounds; write something from 0s to 10m",
		}},
		{"nonces for proofs that are refused", "kind: mobile", "kind: mobile\n    handle: {dpop_nonce: true}", []string{
			"cloakroom.yaml:20: apps.phone.handle.dpop_nonce: proofs are refused where dpop is off; write dpop: allowed or required, or delete it",
		}},
	})
}
