package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom/bff"
)

// Defaults of a Route.
const (
	DefaultTimeout   = 30 * time.Second // what people wait for a page at the very most
	DefaultBodyBytes = 10 << 20         // ten megabytes: a photograph, not a film
)

// Token says which token a route attaches.
type Token string

// The tokens of routes.
const (
	TokenNone       Token = "none"         // anonymous: no session is looked at
	TokenUser       Token = "user"         // the session's access token; no session, no call
	TokenUserOrNone Token = "user-or-none" // the session's access token if there is a session
	TokenClient     Token = "client"       // the app's own token, by client credentials; no session, no call
	TokenExchange   Token = "exchange"     // one that the session's is exchanged for (RFC 8693); no session, no call
)

// Kind says what is behind a route.
type Kind string

// The kinds of routes.
const (
	KindAPI  Kind = "api"  // answers to scripts: no cookies either way, stored nowhere, nothing that runs in the app's origin
	KindSite Kind = "site" // a server-rendered app: its own cookies, HTML, policies and caching pass
)

// Guard says what a browser's request on a route must show. Only CheckDestination reads it here; the guard itself is
// the browser surface's.
type Guard string

// The guards of routes.
const (
	GuardHeader Guard = "header" // calls by script
	GuardOrigin Guard = "origin" // GET and HEAD by elements too, which cannot add a header
)

// Route is a path that is forwarded, and what a request needs to take it.
type Route struct {
	Name     string   // for metrics and logs; "" is Path
	Place    int      // among all routes as configured, from 0: by it whoever made the table finds what it knows of the route itself
	Path     string   // matched exactly; with a slash at its end, itself without that slash and all below; see Query
	Methods  []string // the ones let through, HEAD with GET; TRACE and CONNECT never are
	Upstream string   // base URL; whole segments of its path may be {sub}, {org} or {claim:name}
	Strip    bool     // forwards the path without Path
	Token    Token    // "" is TokenUser
	Apps     []string // ids that may take the route; none: all
	Guard    Guard    // "" is GuardHeader
	Kind     Kind     // "" is KindAPI
	// External says that another proxy forwards what passes, and asks Table.Authorize before: such a route has no Upstream,
	// and Forward has nothing there.
	External bool
	// WebSocket lets handshakes of WebSockets through (RFC 6455), as GETs: no other upgrade ever is.
	WebSocket bool
	// Trailers lets the trailers of answers pass to frontends that ask for them by TE (RFC 9110 section 6.5), as calls of gRPC
	// do: all but those that would act as header fields. A request's trailers never pass.
	Trailers bool

	RequireClaims map[string][]string // each claim must have one of the values
	RequireScopes []string            // all must have been granted
	RequireACR    []string            // the sign-in must be of one of these classes (OpenID Connect Core section 2); none: of any
	RequireMaxAge time.Duration       // how long ago it may be; whole seconds; 0: any time
	// IdentityHeaders are field names and the claim each carries: sub, sid, acr, org or one in Session.Claims, by its name
	// or the path to it (bff.ClaimAt). A claim that is missing or empty sends no field. These names are dropped from every
	// request, on every route.
	IdentityHeaders map[string]string

	// Query are the parameters of the frontend's that pass on a route with TokenClient; all others are dropped there. Such a
	// route's Path is exact, and may have whole segments {name}; its Upstream is the whole address, with {path:name} for them.
	Query []string

	RequestCookies  []string // names of the frontend's cookies that are forwarded
	ResponseCookies []string // names of cookies the API may set
	StaticSuffixes  []string // ".png": static-looking suffixes this route serves; GuardOrigin serves all

	Timeout       time.Duration // until the head of the answer; 0 is DefaultTimeout
	StreamTimeout time.Duration // for the whole exchange; 0: none
	BodyBytes     int64         // most a request's body may take; 0 is DefaultBodyBytes
	HeaderBytes   int64         // most a request's header may take, written as in HTTP/1.1; 0: what the server lets through
	Concurrent    int           // most requests under way at once in this process, streams and WebSockets too; 0: no limit

	RootCAs      *x509.CertPool // who may sign the upstream's certificate; nil: the system's
	InsecureHTTP bool           // accepts an http upstream that is not on loopback
}

// compiled is a route that was checked, with all that can be worked out beforehand.
type compiled struct {
	Route
	stem     string   // Path without the slash at its end
	template []string // the segments of a Path with words; nil: it has none
	shape    string   // see shapeOf
	tree     bool     // Path ended in one
	segments int      // in stem
	target   target
	proxy    *httputil.ReverseProxy
	identity []identityField
	nonce    *nonce // of the target's origin, for proofs
	// plainHTTP1 says that nothing but HTTP/1.1 is ever spoken with the upstream.
	plainHTTP1 bool
	underway   atomic.Int64 // requests, where Concurrent bounds them
}

// compile checks a route. All problems are reported at once, each with the route's name.
func (t *Table) compile(r Route, o Options) (*compiled, error) {
	r = r.withDefaults()
	c := &compiled{Route: r, stem: strings.TrimSuffix(r.Path, "/"), tree: strings.HasSuffix(r.Path, "/")}
	c.segments = strings.Count(c.stem, "/")
	c.identity = identityFieldsOf(r.IdentityHeaders)
	problems := append(t.check(r), checkOwn(r)...)
	c.template, _ = templateOf(r) // checkOwn tells what is wrong with it
	c.shape = shapeOf(c.stem, c.template, c.tree)
	tgt, err := parseTarget(r)
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("route %s: %w", r.Name, err)
	}
	if r.External {
		return c, nil // it is forwarded to nowhere
	}
	c.target, c.nonce = tgt, t.nonceOf(tgt)
	way, err := t.transport(c, o)
	if err != nil {
		return nil, fmt.Errorf("route %s: %w", r.Name, err)
	}
	c.proxy = &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      retry{t.through(r.Name, way)},
		ModifyResponse: cleanResponse,
		ErrorHandler:   fail,
		ErrorLog:       slog.NewLogLogger(t.log.With("route", r.Name).Handler(), slog.LevelWarn),
		BufferPool:     t.buffers,
	}
	return c, nil
}

func (r Route) withDefaults() Route {
	if r.Name == "" {
		r.Name = r.Path
	}
	if r.Token == "" {
		r.Token = TokenUser
	}
	if r.Guard == "" {
		r.Guard = GuardHeader
	}
	if r.Kind == "" {
		r.Kind = KindAPI
	}
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	if r.BodyBytes == 0 {
		r.BodyBytes = DefaultBodyBytes
	}
	return r
}

// check returns what is wrong with the values of a route, but for its upstream.
func (t *Table) check(r Route) []error {
	var problems []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	clean, err := CleanPath(r.literal())
	wrong(err != nil || clean != r.literal() || strings.ContainsAny(r.Path, "%;"), "path %q is not a plain path", r.Path)
	wrong(len(r.Methods) == 0, "no methods")
	for _, m := range r.Methods {
		// RFC 9110 section 9.3.8: TRACE would hand the request, its token included, back to a script.
		wrong(m == http.MethodTrace || m == http.MethodConnect, "method %s is never forwarded", m)
		wrong(!isToken(m) || m != strings.ToUpper(m), "method %q is not a method in capitals", m)
	}
	wrong(!slices.Contains([]Token{TokenNone, TokenUser, TokenUserOrNone, TokenClient, TokenExchange}, r.Token),
		"token %q is unknown", r.Token)
	wrong(r.Kind != KindAPI && r.Kind != KindSite, "kind %q is unknown", r.Kind)
	wrong(r.Kind == KindSite && !r.fitsSite(), "a site has the same paths on both sides, one guard, and a user's token or none")
	wrong(r.Guard != GuardHeader && r.Guard != GuardOrigin, "guard %q is unknown", r.Guard)
	wrong(r.Token == TokenNone && r.needsSession(), "an anonymous route cannot ask for claims, scopes or identity")
	wrong(r.WebSocket && (!slices.Contains(r.Methods, http.MethodGet) || r.Token == TokenClient),
		"a WebSocket begins with GET, and for a user or for nobody")
	wrong(r.RequireMaxAge < 0, "a sign-in cannot be younger than none")
	wrong(r.Timeout < 0 || r.StreamTimeout < 0 || r.BodyBytes < 0 || r.HeaderBytes < 0 || r.Concurrent < 0, "a limit below zero")
	for _, name := range slices.Concat(r.RequestCookies, r.ResponseCookies) {
		wrong(!isToken(name), "cookie %q is not a name", name)
		wrong(t.reserved(name), "cookie %q is the gateway's own", name)
	}
	for name := range r.IdentityHeaders {
		wrong(!isToken(name) || isOwnField(name), "identity header %q is not a name of its own", name)
	}
	return problems
}

// needsSession reports whether only a session can satisfy the route.
func (r Route) needsSession() bool {
	return len(r.RequireClaims)+len(r.RequireScopes)+len(r.IdentityHeaders)+len(r.RequireACR) > 0 || r.RequireMaxAge > 0 ||
		strings.Contains(r.Upstream, "{")
}

// fitsSite reports whether nothing is asked of a site that its pages could not bear: links and cookies in them name the
// upstream's own paths, all of its cookies pass already, and whoever looks at them is a user.
func (r Route) fitsSite() bool {
	_, rest, _ := strings.Cut(r.Upstream, "://")
	_, base, _ := strings.Cut(rest, "/")
	return !r.Strip && base == "" && r.Guard == GuardHeader && r.Token != TokenClient && len(r.RequestCookies)+len(r.ResponseCookies) == 0
}

// refuse reports what about a request forbids this route, before anything of the session is looked at.
func (c *compiled) refuse(r *http.Request, pseudonym string) error {
	// A site's own pages load styles, pictures, frames and workers of it: whose they are is the surface's guard to judge.
	if c.Kind != KindSite {
		if err := CheckDestination(r, c.Guard); err != nil {
			return err
		}
	}
	if err := c.headerTooLarge(r); err != nil {
		return err
	}
	if err := checkVia(r.Header["Via"], pseudonym); err != nil {
		return err
	}
	if err := c.checkUpgrade(r); err != nil {
		return err
	}
	if err := checkQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if r.ContentLength > c.BodyBytes {
		return tooLarge()
	}
	return nil
}

// deadline bounds the whole exchange where the route does.
func (c *compiled) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.StreamTimeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.StreamTimeout)
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// tooLarge is the refusal of a body beyond the route's limit.
func tooLarge() *bff.Error {
	return &bff.Error{Code: bff.CodeTooLarge, Message: "The request is too large."}
}

// badRequest is the refusal of a malformed or contradictory request; what is for the log.
func badRequest(what string) *bff.Error {
	return &bff.Error{Code: bff.CodeBadRequest, Message: "The request is malformed.", Err: errors.New(what)}
}
