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
	// Methods are the ones let through, in capitals; required. HEAD goes with GET,
	// unless a route of the same path lists it. TRACE and CONNECT never are.
	Methods []string `yaml:"methods"`
	// Token is what is attached: none, user (the default), user-or-none, client: the
	// app's own token by client credentials, under rules of its own, or exchange: one
	// that the user's is exchanged for (RFC 8693).
	Token string `yaml:"token"`
	// Exchange says what for; required with token: exchange.
	Exchange Exchange `yaml:"exchange"`
	// Resource is the URI under which the provider knows the API (RFC 8707): the
	// route takes a token of the user that is good there and nowhere else. With
	// token: user or user-or-none.
	Resource string `yaml:"resource"`
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
	// HeaderBytes is the most a request's header may take on this route, written as
	// in HTTP/1.1; beyond it is 431. Default, and most: public.limits.header_bytes.
	HeaderBytes Bytes `yaml:"header_bytes"`
	// Concurrent is the most requests under way at once on this route, at each
	// instance, streams and WebSockets among them; beyond it is 503. 0, the default,
	// is no limit.
	Concurrent int `yaml:"concurrent"`
	// Trailers lets the trailers of answers pass to frontends that ask for them, as
	// gRPC does over HTTP/2: all but those that would act as header fields. Default
	// false.
	Trailers bool `yaml:"trailers"`
	// Cookies are the names of the browser's cookies that are forwarded. Default
	// none.
	Cookies []string `yaml:"cookies"`
	// SetCookies are the names of cookies the upstream may set. Default none.
	SetCookies []string `yaml:"set_cookies"`
	// Guard is what a browser's request must show: header, the default, or
	// origin, for GET and HEAD that a page cannot add a header to.
	Guard string `yaml:"guard"`
	// WebSocket lets handshakes of WebSockets through, beside plain requests: GET
	// must be among the methods, and token any but client. A browser's
	// must come from the app's own origin, whatever the guard. Default false.
	WebSocket bool `yaml:"websocket"`
	// External says that another proxy forwards what passes, and asks at
	// external_auth.listen first: such a route has no upstream, and the public
	// listener has nothing at its path. Default false.
	External bool `yaml:"external"`
	// Require is what the session must have beside being there.
	Require Require `yaml:"require"`
	// IdentityHeaders are header names and the claim each carries, by its name or
	// the path to it, as realm_access.roles. Default none.
	IdentityHeaders map[string]string `yaml:"identity_headers"`
	// Limits are how often the route may be taken; beyond them is 429. Default none.
	Limits []*RouteLimit `yaml:"limits"`
	// InsecureHTTP accepts an http upstream that is not on loopback.
	InsecureHTTP bool `yaml:"insecure_http"`
	// CAFile is who signs the upstream's certificate; empty for the system's.
	CAFile string `yaml:"ca_file" path:"ca"`
}

// Exchange is the token that a route's API takes in place of the user's: audience,
// resource, or both.
type Exchange struct {
	// Audience is the API's name at the provider.
	Audience string `yaml:"audience"`
	// Resource is the URI under which the provider knows the API (RFC 8707).
	Resource string `yaml:"resource"`
	// Scopes are asked for, and all must be granted. Default none: what the provider
	// gives.
	Scopes []string `yaml:"scopes"`
}

// Require is what a session must have for a route; an empty field asks nothing.
type Require struct {
	// Scopes must all have been granted.
	Scopes []string `yaml:"scopes"`
	// Claims must each have one of the values. Each is a name, or the path to a
	// claim inside objects, as realm_access.roles.
	Claims map[string][]string `yaml:"claims"`
	// ACR are classes of authentication, as the provider names them in acr: the
	// user must have signed in by one of these. Who did not is told how to (a
	// step-up, RFC 9470), before the upstream is asked.
	ACR []string `yaml:"acr"`
	// MaxAge is how long ago the user may have signed in at the provider, whose
	// auth_time tells; 0, the default, is any time. Who did so before that is told
	// to sign in again.
	MaxAge time.Duration `yaml:"max_age"`
}

// Empty reports whether nothing is required.
func (r Require) Empty() bool {
	return len(r.Scopes)+len(r.Claims)+len(r.ACR) == 0 && r.MaxAge == 0
}
