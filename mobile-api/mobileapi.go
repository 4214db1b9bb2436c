// Package mobileapi is the native surface: to apps on phones and desktops the gateway looks like a small OAuth 2.0
// authorization server of public clients with PKCE, so that any library for such apps works with it. What the apps get are
// handles, opaque and ours; the provider's tokens stay where they are. The package knows HTTP, OAuth's front and packages
// bff and dpop. It does not know the store, the provider or how requests are routed.
//
// The journey through it: an app finds the endpoints by their metadata (metadata.go) and opens /mobile/authorize in the
// system's browser, never in a window of its own. The app's redirect URI is matched exactly (redirect.go), the request is
// sealed into a transaction cookie, and the browser goes on to the provider (authorize.go). An app may push its request
// first, and then the browser carries a sealed word alone (par.go). /mobile/callback/{app} has the
// engine redeem the provider's answer (callback.go). Where the app's redirect proves nothing of who receives it, a page
// asks the person first (confirm.go); then the browser goes to the app with a code of ours, the app's own state and our
// issuer. Which addresses of this origin belong to which app the systems of phones are told by two files; a browser that
// does not find the app there gets a page (applinks.go).
//
// At /mobile/token the app trades code and verifier for an access handle and a refresh handle, and later each refresh
// handle for the next two (token.go, client.go). Each call then carries the access handle in its Authorization header,
// which Admit judges (admit.go). An app that binds gets one handle alone, which lasts as long as the session, and proves with
// each call that it holds the key of it (proof.go; what a proof is, package dpop knows). /mobile/events tells what becomes
// of its session (events.go), /mobile/sessions where else its user is signed in, and ends what they name (devices.go). Last
// the sign-out: /mobile/revoke ends one session, /mobile/logout the SSO session, and hands out a one-time address for the
// system's browser, which ends the provider's own (logout.go). Where it is the provider that ends its session, it says so at
// /mobile/backchannel-logout, for all native apps, or has a browser open /mobile/frontchannel-logout.
//
// No endpoint here takes a password or a code of the provider from an app (RFC 8252 section 8.12), and no cookie but those
// of a sign-in or sign-out on its way is looked at. No handler writes an error: the server's one error writer tells it by
// surface.WriteError.
package mobileapi

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"cloakroom/bff"
	"cloakroom/surface"
)

// The paths of the surface.
const (
	pathIssuer    = "/mobile"
	pathMetadata  = "/.well-known/oauth-authorization-server" + pathIssuer // RFC 8414 section 3.1
	pathDiscovery = pathIssuer + "/.well-known/openid-configuration"
	pathKeys      = pathIssuer + "/jwks"
	pathAuthorize = pathIssuer + "/authorize"
	pathCallback  = pathIssuer + "/callback/"
	pathPush      = pathIssuer + "/par"
	pathToken     = pathIssuer + "/token"
	pathRevoke    = pathIssuer + "/revoke"
	pathSession   = pathIssuer + "/session"
	pathDevices   = pathIssuer + "/sessions"
	pathEvents    = pathIssuer + "/events"
	pathLogout    = pathIssuer + "/logout"
	pathLoggedOut = pathIssuer + "/logged-out"
	pathBack      = pathIssuer + "/backchannel-logout"
	pathFront     = pathIssuer + "/frontchannel-logout"
)

// Options is what the surface is made of.
type Options struct {
	PublicURL string                         // the gateway's own origin, without a slash at its end
	Apps      map[string]*bff.App            // the native apps, by id
	Login     map[string]surface.LoginPolicy // what each may ask of a login; an app without one may ask nothing
	Links     map[string]AppLinks            // the addresses here that each claims; an app without claims none
	Engine    *bff.Engine
	Trace     *bff.Trace // nil: nobody listens
	Limit     surface.Limit
	// SessionCookie reports whether a cookie name is that of a browser app's session: such a cookie beside a handle is
	// refused. nil: there are no browser apps.
	SessionCookie func(name string) bool
	// AllApps finds any app of the gateway by its id, browser apps too, for the list of a user's sessions; nil if there is
	// none. Default: Apps.
	AllApps func(id string) *bff.App
}

// Surface is the native surface of all native apps.
type Surface struct {
	origin        string
	issuer        string
	apps          map[string]*bff.App
	login         map[string]surface.LoginPolicy
	links         map[string]AppLinks
	engine        *bff.Engine
	trace         *bff.Trace
	limit         surface.Limit
	sessionCookie func(name string) bool
	allApps       func(id string) *bff.App
	policy        keyPolicy
}

// New makes the surface.
func New(o Options) *Surface {
	s := &Surface{
		origin: o.PublicURL, issuer: o.PublicURL + pathIssuer, apps: o.Apps, login: o.Login, links: o.Links, engine: o.Engine,
		trace: o.Trace, limit: o.Limit, sessionCookie: o.SessionCookie, allApps: o.AllApps,
		policy: keyPolicyOf(o.Apps),
	}
	if s.allApps == nil {
		s.allApps = s.app
	}
	if s.trace == nil {
		s.trace = &bff.Trace{}
	}
	if s.sessionCookie == nil {
		s.sessionCookie = func(string) bool { return false }
	}
	return s
}

// Endpoints lists what the surface answers. Every other method at one of these paths, HEAD included, is refused.
func (s *Surface) Endpoints() []surface.Endpoint {
	endpoints := []surface.Endpoint{
		s.page(pathAuthorize, s.authorize, "state and PKCE of the app; a person confirms where the redirect proves nothing"),
		s.page(pathCallback+"{app}", s.callback, "state, bound to a cookie of this browser, used once"),
		s.page(pathLogout+"/{ticket}", s.leavePage, "changes nothing: its form does"),
		s.page(pathLoggedOut, s.loggedOut, "changes no session; state, bound to a cookie of this browser"),
		s.form(pathCallback+"{app}", s.confirm, "same-origin, else exact Origin; a value of the form that belongs to a Strict cookie"),
		s.form(pathLogout+"/{ticket}", s.leave, "same-origin, else exact Origin; a one-time ticket of 256 bits"),
		get(pathMetadata, s.metadata), get(pathDiscovery, s.discovery), get(pathKeys, s.keys),
		get(pathSession, s.session), get(pathDevices, s.devices),
		{Method: http.MethodGet, Path: pathEvents, Handle: surface.Only(http.MethodGet, s.events), Stream: true},
		del(pathDevices, s.endOtherDevices), del(pathDevices+"/{id}", s.endDevice),
		post(pathPush, s.oauth(s.push), "changes nothing and stores nothing; no cookie is looked at"),
		post(pathToken, s.oauth(s.token), "code and verifier, or refresh handle: no cookie is looked at"),
		post(pathRevoke, s.oauth(s.revoke), "the handle itself: no cookie is looked at"),
		post(pathLogout, s.logout, "the handle, in a header that no form can set"),
		post(pathBack, s.backchannel().Take, "the token's signature: no cookie is looked at"),
		s.framed(pathFront, s.frontchannel().Take, "iss and sid of a stored session: no cookie is looked at"),
	}
	return slices.Concat(endpoints, s.appLinks(), s.missedLinks())
}

func get(at string, h surface.Handler) surface.Endpoint {
	return surface.Endpoint{Method: http.MethodGet, Path: at, Handle: surface.Only(http.MethodGet, h)}
}

func post(at string, h surface.Handler, defence string) surface.Endpoint {
	return surface.Endpoint{Method: http.MethodPost, Path: at, Handle: surface.Only(http.MethodPost, h), Defence: defence}
}

// del is an endpoint that ends sessions. Its method and its handle are both what no form can send.
func del(at string, h surface.Handler) surface.Endpoint {
	return surface.Endpoint{
		Method: http.MethodDelete, Path: at, Handle: surface.Only(http.MethodDelete, h), Defence: "the handle, in a header that no form can set",
	}
}

// page is an endpoint that a browser opens.
func (s *Surface) page(at string, h surface.Handler, defence string) surface.Endpoint {
	e := get(at, surface.TopLevel(s.guardRefused, h))
	e.Defence = defence
	return e
}

// form is an endpoint that a form of a page of ours posts to.
func (s *Surface) form(at string, h surface.Handler, defence string) surface.Endpoint {
	return post(at, surface.TopLevel(s.guardRefused, func(w http.ResponseWriter, r *http.Request) error {
		if !surface.FromOrigin(r, s.origin) {
			return s.guardRefused(r.Context(), "form of another origin")
		}
		return h(w, r)
	}), defence)
}

// framed is an endpoint that a page of a provider embeds.
func (s *Surface) framed(at string, h surface.Handler, defence string) surface.Endpoint {
	e := get(at, h)
	e.Defence = defence
	return e
}

// backchannel takes logout tokens for all native apps: they share the address, and a token's aud says which it is for.
func (s *Surface) backchannel() surface.Backchannel {
	b := surface.Backchannel{Engine: s.engine, Limit: s.limit}
	for _, id := range slices.Sorted(maps.Keys(s.apps)) {
		b.Apps = append(b.Apps, s.apps[id])
	}
	return b
}

// frontchannel is what the providers of native apps may embed whose settings say so.
func (s *Surface) frontchannel() surface.Frontchannel {
	f := surface.Frontchannel{Engine: s.engine, Limit: s.limit}
	for _, app := range s.backchannel().Apps {
		if p := app.Provider; p.Frontchannel && !slices.Contains(f.Providers, p) {
			f.Providers = append(f.Providers, p)
		}
	}
	return f
}

// app finds a native app by its id, which is its client_id too; nil if there is none.
func (s *Surface) app(id string) *bff.App { return s.apps[id] }

// guardRefused is the one refusal of all guards. Which app is meant is not known, or not proven.
func (s *Surface) guardRefused(ctx context.Context, rule string) error {
	return surface.GuardRefused(ctx, s.trace, "", rule)
}

// notFound is the answer where no app is.
func notFound() error {
	return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing at this address."}
}
