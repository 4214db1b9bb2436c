package config

import (
	"maps"
	"slices"
)

// leastExternalToken is as text: 128 bits even if it is hexadecimal.
const leastExternalToken = 32

// validateExternalAuth keeps the listener that hands tokens out apart from all
// others, and behind a credential that nobody guesses.
func (r *report) validateExternalAuth(c *Config) {
	e := c.ExternalAuth
	if e.Listen == "" && !e.Token.IsSet() {
		return
	}
	switch {
	case !e.Token.IsSet():
		r.add("external_auth.token", "missing; give the listener a token_file that the asking proxy has too")
	case len(e.Token.Reveal()) < leastExternalToken:
		r.add("external_auth.token", "too short; draw one of 32 characters or more at random")
	case !fieldValue(e.Token.Reveal()):
		r.add("external_auth.token", "more than printable ASCII without spaces, which no header field carries as it is; draw one in base64url")
	case c.Admin.Token.IsSet() && c.Admin.Token.Reveal() == e.Token.Reveal():
		r.add("external_auth.token", "admin.token as well; the asking proxy is no administrator, draw another")
	}
	if !r.need("external_auth.listen", e.Listen, "write the address that the other proxy asks at, as 127.0.0.1:9092") {
		return
	}
	r.listen("external_auth.listen", e.Listen)
	r.pair("external_auth.tls", e.TLS.CertFile, e.TLS.KeyFile)
	for _, other := range []string{c.Public.Listen, c.Ops.Listen, c.Admin.Listen} {
		if sameListener(e.Listen, other) {
			r.add("external_auth.listen", "the address of another listener; give it one of its own")
		}
	}
}

// fieldValue reports whether a text is a field value that no hop changes: visible
// ASCII (RFC 9110 section 5.5).
func fieldValue(text string) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// external is what a route cannot have that another proxy forwards: all that is
// done on the way to an upstream.
func (r *report) external(path string, route *Route, c *Config) {
	wrong := func(is bool, name, text string) {
		if is {
			r.add(join(path, name), "%s", text)
		}
	}
	wrong(c.ExternalAuth.Listen == "", "external", "nobody can ask for it; write external_auth with listen and token_file")
	wrong(route.Upstream != "", "upstream", "not with external: true; the other proxy knows where it forwards to")
	wrong(route.Token == "client", "token", "not with external: true, as client composes the address itself; write token: user, "+
		"user-or-none or none")
	wrong(route.StripPrefix, "strip_prefix", "not with external: true; have the other proxy do it")
	for _, name := range []string{"timeout", "stream_timeout", "body_bytes", "concurrent", "trailers"} {
		// What is not in force must not stand there.
		wrong(r.written(join(path, name)), name, "not with external: true; have the other proxy do it")
	}
	wrong(len(route.SetCookies) > 0, "set_cookies", "not with external: true; answers do not come through here")
	wrong(route.CAFile != "", "ca_file", "not with external: true; the other proxy knows where it forwards to")
	wrong(route.InsecureHTTP, "insecure_http", "not with external: true; the other proxy knows where it forwards to")
	if route.Token != "none" {
		r.externalProofs(path, route, c)
	}
}

// externalProofs keeps routes that another proxy forwards from apps whose tokens
// are bound to a key: a proof names the address that the API is asked under (RFC
// 9449 section 4.2), which only the other proxy knows.
func (r *report) externalProofs(path string, route *Route, c *Config) {
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		if len(route.Apps) > 0 && !slices.Contains(route.Apps, id) {
			continue
		}
		if p := c.Providers[c.Apps[id].Provider]; p != nil && p.DPoP == "required" {
			r.add(join(path, "external"), "the provider of %s has dpop: required, and a proof is for an address that only the other proxy "+
				"knows; have the gateway forward it, or leave that app out of apps", id)
		}
	}
}
