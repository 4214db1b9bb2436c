package config

import "time"

// Route is a path that is forwarded, and what a request needs to take it.
type Route struct {
	// Path is matched exactly, or as a prefix if it ends in a slash. With token:
	// client whole segments may be {name}.
	Path string `yaml:"path"`
	// Upstream is the base URL forwarded to. Whole segments of its path may be
	// {sub}, {org} or {claim:name}. https, or http for loopback names. With token:
	// client it is the whole address, and {path:name} is what the path has at {name}.
	Upstream string `yaml:"upstream"`
	// Query are the names of the frontend's parameters that pass with token: client;
	// all others are dropped there. Default none.
	Query []string `yaml:"query"`
	// Methods are the ones let through, in capitals; required. TRACE and CONNECT
	// never are.
	Methods []string `yaml:"methods"`
	// Token is what is attached: none, user (the default), user-or-none, or client:
	// the app's own token by client credentials, under rules of its own. The name
	// exchange is kept for a later release.
	Token string `yaml:"token"`
	// Kind is api, the default, or site: a server-rendered app, whose own cookies,
	// pages and policies pass, and whose visits go to the sign-in.
	Kind string `yaml:"kind"`
	// Apps are the ids that may take the route; empty means all.
	Apps []string `yaml:"apps"`
	// StripPrefix removes the match from the path forwarded. Default false.
	StripPrefix bool `yaml:"strip_prefix"`
	// Timeout is for the upstream's header to arrive. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// StreamTimeout bounds the whole exchange; 0, the default, does not.
	StreamTimeout time.Duration `yaml:"stream_timeout"`
	// BodyBytes is the most a request's body may take. Default:
	// public.limits.body_bytes.
	BodyBytes Bytes `yaml:"body_bytes"`
	// Cookies are the names of the browser's cookies that are forwarded. Default
	// none.
	Cookies []string `yaml:"cookies"`
	// SetCookies are the names of cookies the upstream may set. Default none.
	SetCookies []string `yaml:"set_cookies"`
	// Guard is what a browser's request must show: header, the default, or
	// origin, for GET and HEAD that a page cannot add a header to.
	Guard string `yaml:"guard"`
	// WebSocket lets handshakes of WebSockets through, beside plain requests: GET
	// must be among the methods, and token none, user or user-or-none. A browser's
	// must come from the app's own origin, whatever the guard. Default false.
	WebSocket bool `yaml:"websocket"`
	// Require is what the session must have beside being there.
	Require Require `yaml:"require"`
	// IdentityHeaders are header names and the claim each carries. Default none.
	IdentityHeaders map[string]string `yaml:"identity_headers"`
	// InsecureHTTP accepts an http upstream that is not on loopback.
	InsecureHTTP bool `yaml:"insecure_http"`
	// CAFile is who signs the upstream's certificate; empty for the system's.
	CAFile string `yaml:"ca_file" path:"ca"`
}

// Require is what a session must have for a route; an empty field asks nothing.
type Require struct {
	// Scopes must all have been granted.
	Scopes []string `yaml:"scopes"`
	// Claims must each have one of the values.
	Claims map[string][]string `yaml:"claims"`
	// ACR is met by any one of them. Kept for a later release.
	ACR []string `yaml:"acr"`
	// MaxAge is how long ago the user may have signed in. Kept for a later release.
	MaxAge time.Duration `yaml:"max_age"`
}

// Empty reports whether nothing is required.
func (r Require) Empty() bool {
	return len(r.Scopes)+len(r.Claims)+len(r.ACR) == 0 && r.MaxAge == 0
}
