package config

import "slices"

// webSocket refuses a route whose WebSockets could never open, or would speak for
// nobody: the app's own token is for calls that a rule names one by one.
func (r *report) webSocket(path string, route *Route) {
	if !route.WebSocket {
		return
	}
	if len(route.Methods) > 0 && !slices.Contains(route.Methods, "GET") {
		r.add(path, "a WebSocket begins with a GET (RFC 6455 section 4.1); add GET to methods") // none at all is told already
	}
	if route.Token == "client" {
		r.add(path, "not with token: client; write token: user, user-or-none or none")
	}
}
