package config

import (
	"net/url"
	"strings"
)

// resource: RFC 8707 section 2: an absolute URI without a fragment. It is a name, and sent as it is written.
func (r *report) resource(path string, route *Route) {
	if route.Resource == "" {
		return
	}
	switch wrong := noResource(route.Resource); {
	case wrong != "":
		r.add(path, "%s", wrong)
	case route.Token != "user" && route.Token != "user-or-none":
		r.add(path, "is for a user's token; write token: user, or delete it")
	}
}

// noResource tells what is wrong with a resource; "" if nothing is.
func noResource(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "no URI; write it as the provider has it registered, as https://orders.example.com"
	case strings.Contains(text, "#"):
		return "has a fragment, which RFC 8707 section 2 forbids; delete it from the # on"
	case !u.IsAbs() || u.Host == "" && u.Opaque == "":
		return "not an absolute URI; write it with its scheme, as https://orders.example.com"
	case u.User != nil:
		return "holds a user or password; a resource is named to the browser as well, delete them"
	default:
		return ""
	}
}
