package config

import "strings"

// exchange checks what a session's token is exchanged for (RFC 8693 section 2.1).
// Without audience and resource the provider would have to guess it.
func (r *report) exchange(path string, route *Route) {
	x := route.Exchange
	switch none := x.Audience == "" && x.Resource == ""; {
	case route.Token != "exchange" && (!none || len(x.Scopes) > 0):
		r.add(path, "belongs to token: exchange; write that, or delete it")
	case route.Token == "exchange" && none:
		r.add(path, "missing; say for what the user's token is exchanged, as {audience: orders} or {resource: https://orders.example.com}")
	}
	if strings.ContainsFunc(x.Audience, func(c rune) bool { return c <= ' ' || c > '~' }) {
		r.add(join(path, "audience"), "no name; write it as the provider has it registered, as orders")
	}
	if x.Resource != "" {
		if wrong := noResource(x.Resource); wrong != "" {
			r.add(join(path, "resource"), "%s", wrong)
		}
	}
	for i, scope := range x.Scopes {
		if !scopeToken(scope) {
			r.add(at(join(path, "scopes"), i), "no scope; list each one by itself, without spaces")
		}
	}
	r.unique(join(path, "scopes"), x.Scopes)
}
