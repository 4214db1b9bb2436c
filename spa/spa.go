// Package spa is the browser surface of one app: a session is a cookie that no script can read, everything that comes
// with that cookie is guarded against coming from elsewhere, and the paths under /bff sign the user in and out. It knows
// HTTP, browsers and package bff. It does not know the store, the provider, other apps or how requests are routed.
//
// The journey through it, first a login: /bff/login judges who sends the browser there (guard.go), takes the few
// parameters the app allows and leaves a transaction cookie of ten minutes (login.go); where the provider asks for one,
// /bff/initiate does the same in two steps (initiate.go). /bff/callback finds the transaction by the state, has the engine
// redeem the answer and sets the session cookie (callback.go, cookies.go). That cookie is
// SameSite=Strict, so the page moves on by itself to /bff/landed, same-origin, which sends on to where the user wanted to go
// (landed.go).
//
// Then a request: Admit guards it, reads the cookie byte by byte and asks the engine for the session. /bff/session tells
// who is signed in (session.go), /bff/events what becomes of that while a page is open (events.go), and /bff/sessions where
// else its user is, and ends what they name (devices.go). Where the app's pages stand at another origin, cors.go tells what
// they may ask and read. Pages that only who is signed in may see are put behind Protect,
// which starts a sign-in by itself and never goes in circles (protect.go); those of a server-rendered app behind AdmitPage,
// which also keeps a form whose session has ended (resubmit.go). Last the sign-out: /bff/logout ends the SSO session here
// and hands out a one-time URL that ends the provider's own, whence the browser comes back to /bff/logged-out (logout.go).
// Where it is the provider that ends its session, it says so at /bff/backchannel-logout itself, or has a browser open
// /bff/frontchannel-logout.
//
// No handler here writes an error: it returns one, and the server's one error writer tells it by surface.WriteError.
package spa

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

// The paths of the surface, all under one prefix.
const (
	prefix        = "/bff/"
	pathLogin     = prefix + "login"
	pathInitiate  = prefix + "initiate"
	pathCallback  = prefix + "callback"
	pathSession   = prefix + "session"
	pathExtend    = prefix + "session/extend"
	pathDevices   = prefix + "sessions"
	pathEvents    = prefix + "events"
	pathLogout    = prefix + "logout"
	pathLanded    = prefix + "landed"
	pathSignedIn  = prefix + "signed-in"
	pathLoggedOut = prefix + "logged-out"
	pathBack      = prefix + "backchannel-logout"
	pathFront     = prefix + "frontchannel-logout"
)

// Options is what a surface is made of.
type Options struct {
	App    *bff.App
	Engine *bff.Engine
	Trace  *bff.Trace // nil: nobody listens
	Login  surface.LoginPolicy
	Limit  surface.Limit
	// Initiate serves /bff/initiate, where sign-ins begin that the provider or somebody else asks for.
	Initiate bool
	// Apps finds any app of the gateway by its id, for the list of a user's sessions; nil if there is none. Default: App alone.
	Apps func(id string) *bff.App
}

// Surface is the browser surface of one app.
type Surface struct {
	app    *bff.App
	engine *bff.Engine
	trace  *bff.Trace
	policy surface.LoginPolicy
	limit  surface.Limit

	initiates bool // /bff/initiate is served

	apps func(id string) *bff.App
}

// New makes the surface of one browser app.
func New(o Options) *Surface {
	s := &Surface{app: o.App, engine: o.Engine, trace: o.Trace, policy: o.Login, limit: o.Limit, initiates: o.Initiate, apps: o.Apps}
	if s.apps == nil {
		s.apps = knownApp(o.App)
	}
	if s.trace == nil {
		s.trace = &bff.Trace{}
	}
	return s
}

// Endpoints lists what the surface answers. Every other method at one of these paths, HEAD included, is refused.
func (s *Surface) Endpoints() []surface.Endpoint {
	get, post, del := http.MethodGet, http.MethodPost, http.MethodDelete
	page := func(at string, h surface.Handler, defence string) surface.Endpoint {
		return surface.Endpoint{Method: get, Path: at, Handle: surface.Only(get, surface.TopLevel(s.guardRefused, h)), Defence: defence}
	}
	return []surface.Endpoint{
		page(pathLogin, s.login, "a click, where another site sends the browser"),
		page(pathInitiate, s.initiate, "a click, where neither the provider nor the user sends the browser"),
		page(pathCallback, s.callback, "state, bound to a cookie of this browser, used once"),
		page(pathLanded, s.landed, "same-origin navigations only"),
		page(pathSignedIn, s.signedIn, "changes nothing, and shows nothing of anybody"),
		page(pathLogout, s.logoutByLink, "the session's own logout token"),
		page(pathLogout+"/{ticket}", s.leave, "a one-time ticket of 256 bits"),
		page(pathLoggedOut, s.loggedOut, "changes no session; state, bound to a cookie of this browser"),
		{
			Method: post, Path: pathBack, Handle: surface.Only(post, s.backchannel().Take),
			Defence: "the token's signature: no cookie is looked at",
		},
		{
			Method: get, Path: pathFront, Handle: surface.Only(get, s.frontchannel().Take),
			Defence: "iss and sid of a stored session: no cookie is looked at",
		},
		{Method: get, Path: pathSession, Handle: surface.Only(get, s.session), Shared: true},
		{Method: post, Path: pathExtend, Handle: surface.Only(post, s.extend), Shared: true},
		{Method: get, Path: pathDevices, Handle: surface.Only(get, s.devices), Shared: true},
		{
			Method: get, Path: pathEvents, Handle: surface.Only(get, s.events), Shared: true, Stream: true,
			Defence: "GET alone; same-origin, else exact Origin or Referer",
		},
		{Method: del, Path: pathDevices, Handle: surface.Only(del, s.endOtherDevices), Shared: true},
		{Method: del, Path: pathDevices + "/{id}", Handle: surface.Only(del, s.endDevice), Shared: true},
		{
			Method: post, Path: pathLogout, Handle: surface.Only(post, s.logout), Shared: true,
			Defence: "by form: same-origin, else exact Origin; by fetch: the header guard",
		},
	}
}

// backchannel takes logout tokens for this app.
func (s *Surface) backchannel() surface.Backchannel {
	return surface.Backchannel{Engine: s.engine, Apps: []*bff.App{s.app}, Limit: s.limit}
}

// frontchannel is what this app's provider may embed, where its setting says so.
func (s *Surface) frontchannel() surface.Frontchannel {
	f := surface.Frontchannel{Engine: s.engine, Limit: s.limit}
	if s.app.Provider.Frontchannel {
		f.Providers = []*bff.ProviderPolicy{s.app.Provider}
	}
	return f
}

// StartURL is where a sign-in starts that comes back to the app's default return target.
func (s *Surface) StartURL() string { return pathLogin }

// LoginURL is where a sign-in starts after an error at r: a navigation comes back to where it was, a fetch decides
// itself where its page is.
func (s *Surface) LoginURL(r *http.Request) string {
	if r.Method != http.MethodGet || !surface.WantsPage(r) {
		return pathLogin
	}
	target, err := returnTarget(r.URL.RequestURI())
	if err != nil {
		return pathLogin
	}
	return loginURL(target)
}

// loginURL is the start of a login that returns to a checked target.
func loginURL(returnTo string) string {
	return pathLogin + "?return_to=" + url.QueryEscape(returnTo)
}

// ReturnTarget checks a return target by the rules of the domain, and that it is a page of the app, here or at one of its
// other origins: one of our own paths would sign in or out in circles. It is the rule for what a request asks for, and for
// what the configuration says. An error is bff.ErrReturnTo.
func ReturnTarget(app *bff.App, raw string) (string, error) {
	target, err := bff.ReturnTarget(raw, app.AllowedOrigins...)
	if err != nil {
		return "", err
	}
	return pageOf(target)
}

// returnTarget checks a path of the very origin that was asked.
func returnTarget(raw string) (string, error) {
	target, err := bff.ReturnTarget(raw)
	if err != nil {
		return "", err
	}
	return pageOf(target)
}

// pageOf refuses a checked target that is none of the app's pages.
func pageOf(target string) (string, error) {
	at, _, _ := strings.Cut(target, "#")
	at, _, _ = strings.Cut(at, "?")
	if _, rest, elsewhere := strings.Cut(at, "://"); elsewhere && at[0] != '/' {
		at = rest[strings.IndexByte(rest, '/'):]
	}
	plain, err := url.PathUnescape(at)
	if at == pathSignedIn { // it leads nowhere by itself
		return target, nil
	}
	if err != nil || strings.HasPrefix(path.Clean(plain)+"/", prefix) {
		return "", bff.ErrReturnTo
	}
	return target, nil
}

// returnTarget checks a return target of this app.
func (s *Surface) returnTarget(raw string) (string, error) {
	return ReturnTarget(s.app, raw)
}

// safeReturn checks a target again right before a redirect (RFC 9700 section 4.11.1), as a Location that carries a
// fragment of its own: with none, a browser would take over the fragment of the address it comes from.
func (s *Surface) safeReturn(raw string) string {
	target, err := s.returnTarget(raw)
	if err != nil {
		target = s.app.DefaultReturn
	}
	if !strings.Contains(target, "#") {
		target += "#"
	}
	return target
}
