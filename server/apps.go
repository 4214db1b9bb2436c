package server

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/idp"
	mobileapi "cloakroom/mobile-api"
	"cloakroom/server/config"
	"cloakroom/spa"
	"cloakroom/spa/static"
	"cloakroom/surface"
)

// wireApps makes a site of each browser app, and one of all native apps together.
func (s *Server) wireApps() error {
	native := make(map[string]*bff.App)
	policies := make(map[string]surface.LoginPolicy)
	all := make(map[string]*bff.App) // complete before the first request
	s.apps = func(id string) *bff.App { return all[id] }
	for id, a := range s.cfg.Apps {
		app := s.app(id, a)
		all[id] = app
		p := s.idps[a.Provider]
		keys, err := clientKeys(a, s.cfg.Providers[a.Provider])
		if err != nil {
			return fmt.Errorf("apps.%s: %w", id, err)
		}
		p.clients[id] = p.issuer.Client(idp.ClientSettings{
			ClientID: a.ClientID, Secret: secret(a.ClientSecret), Keys: keys, RedirectURI: app.RedirectURI,
			Scopes: a.Scopes, Authorize: a.Authorize, StoredClaims: app.StoredClaims, Resources: resources(id, s.cfg.Routes),
		})
		policies[id] = loginPolicy(a, s.cfg.Providers[a.Provider])
		s.allowRequired(id, policies)
		if a.Native() {
			native[id] = app
			continue
		}
		if err := s.addBrowser(app, a.Static, policies[id]); err != nil {
			return fmt.Errorf("apps.%s: %w", id, err)
		}
	}
	if len(native) > 0 {
		return s.addNative(native, policies)
	}
	return nil
}

// addBrowser makes the site of a browser app.
func (s *Server) addBrowser(app *bff.App, files config.Static, policy surface.LoginPolicy) error {
	st, err := s.addSite(app.Origin)
	if err != nil {
		return err
	}
	if err := checkReturns(app); err != nil {
		return err
	}
	front := spa.New(spa.Options{
		App: app, Engine: s.engine, Trace: s.trace, Login: policy, Limit: s.limit,
		Initiate: s.cfg.Apps[app.ID].Login.Initiate, Apps: s.apps,
	})
	st.app, st.face = app, browser{front, app, s.formTime()}
	if len(app.AllowedOrigins) > 0 {
		st.share = front.Share
	}
	st.more = []surface.Endpoint{s.publishOf(app)}
	if files.Dir == "" && files.URL == "" {
		return nil
	}
	served, err := static.New(static.Options{
		Dir: files.Dir, URL: files.URL, Policy: files.CSP, HashInline: files.HashInline(), Protected: files.Protected, Public: files.Public,
		APIs: s.hasAPIs(app.ID), Origin: app.Origin, ReservedCookie: s.reservedCookie, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("static: %w", err)
	}
	st.static, st.devs = served.Serve, files.URL != ""
	if files.Protected {
		st.static = behindSignIn(served, front)
	}
	return nil
}

// hasAPIs reports whether an app may take a route below /api/, where by custom nothing but APIs is.
func (s *Server) hasAPIs(app string) bool {
	return slices.ContainsFunc(s.cfg.Routes, func(rt *config.Route) bool {
		return strings.HasPrefix(rt.Path, "/api/") && proxy.Kind(rt.Kind) != proxy.KindSite &&
			(len(rt.Apps) == 0 || slices.Contains(rt.Apps, app))
	})
}

// behindSignIn shows a site to whoever is signed in, and what of it is public to everybody, whose cookie is not looked at.
func behindSignIn(files *static.Site, front *spa.Surface) surface.Handler {
	protected := front.Protect(files.Serve)
	return func(w http.ResponseWriter, r *http.Request) error {
		if files.Public(r) {
			return files.Serve(w, r)
		}
		return protected(w, r)
	}
}

// addNative makes the site of the native apps: the gateway's own origin.
func (s *Server) addNative(apps map[string]*bff.App, policies map[string]surface.LoginPolicy) error {
	base := s.publicURL()
	st, err := s.addSite(base)
	if err != nil {
		return fmt.Errorf("public.url: %w", err)
	}
	description, err := s.describe()
	if err != nil {
		return err
	}
	st.more = []surface.Endpoint{s.publishNative(), description}
	st.face = native{
		Surface: mobileapi.New(mobileapi.Options{
			PublicURL: base, Apps: apps, Login: policies, Engine: s.engine, Trace: s.trace, Limit: s.limit,
			SessionCookie: s.sessionCookie, AllApps: s.apps, Links: s.appLinks(),
		}),
		ids:      slices.Sorted(maps.Keys(apps)),
		formTime: s.formTime(),
	}
	return nil
}

// checkReturns judges where sign-ins and sign-outs of a browser app come to by the rule for what a request asks for, and
// keeps them as it writes them.
func checkReturns(app *bff.App) (err error) {
	if app.DefaultReturn, err = spa.ReturnTarget(app, app.DefaultReturn); err != nil {
		return fmt.Errorf("login.default_return: %w", err)
	}
	if app.PostLogoutReturn == "" {
		return nil
	}
	if app.PostLogoutReturn, err = spa.ReturnTarget(app, app.PostLogoutReturn); err != nil {
		return fmt.Errorf("post_logout: %w", err)
	}
	return nil
}

// addSite makes room for a surface at an origin.
func (s *Server) addSite(origin string) (*site, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, err
	}
	st := &site{origin: origin, host: canonicalHost(u.Host)}
	s.sites[st.host] = st
	return st, nil
}

// publicURL is the gateway's own origin.
func (s *Server) publicURL() string { return strings.TrimSuffix(s.cfg.Public.URL, "/") }

func (s *Server) app(id string, a *config.App) *bff.App {
	at := s.cfg.Registration(id)
	app := &bff.App{
		ID: id, Name: cmp.Or(a.Name, id), Kind: bff.Kind(a.Kind), Origin: a.Origin, AllowedOrigins: a.AllowedOrigins,
		Provider: s.idps[a.Provider].policy, ClientID: a.ClientID,
		RedirectURI: at.RedirectURI, PostLogoutURI: at.PostLogoutURI,
		ClientScopes: a.ClientScopes,
		Claims:       a.Claims, StoredClaims: storedClaims(id, a, s.cfg.Routes),
		Idle: a.Session.Idle, Absolute: a.Session.Absolute, Recent: a.Session.Recent, Most: a.Session.Most,
		LaxCookie:     a.Session.SameSite == "lax",
		DefaultReturn: a.Login.DefaultReturn, PostLogoutReturn: a.PostLogout,
	}
	if a.Native() {
		app.RedirectURIs, app.AccessLife, app.Grace = a.RedirectURIs, a.Handle.AccessLife, a.Handle.Grace
		app.Binding, app.Nonces = bff.Binding(a.Handle.DPoP), a.Handle.DPoPNonce
	}
	return app
}

// reservedCookie reports whether a cookie is the gateway's own: of any app, a native one too, or of the native surface
// itself, whose sign-ins on their way belong to no app.
func (s *Server) reservedCookie(name string) bool {
	if surface.ReservedCookie("", name) {
		return true
	}
	for id := range s.cfg.Apps {
		if surface.ReservedCookie(id, name) {
			return true
		}
	}
	return false
}

// sessionCookie reports whether a cookie is the session of a browser app.
func (s *Server) sessionCookie(name string) bool {
	for id, a := range s.cfg.Apps {
		if !a.Native() && name == surface.CookieName(id, "") {
			return true
		}
	}
	return false
}

// storedClaims are those the frontend is shown and those that a route of the app asks for: nothing else is kept. Of a path to
// a claim inside an object that is the whole object, sealed with the record, beside a claim that is called as the path.
func storedClaims(id string, a *config.App, routes []*config.Route) []string {
	names := slices.Clone(a.Claims)
	for _, rt := range routes {
		if len(rt.Apps) > 0 && !slices.Contains(rt.Apps, id) {
			continue
		}
		names = slices.AppendSeq(names, maps.Keys(rt.Require.Claims))
		names = slices.AppendSeq(names, maps.Values(rt.IdentityHeaders))
		names = append(names, placeholderClaims(rt.Upstream)...)
	}
	for _, name := range names {
		if name == "org" { // of an identity header: what proxy.Options.OrgClaims has it stand for
			names = append(names, orgClaims[:]...)
		}
		if path := bff.ClaimPath(name); path != nil {
			names = append(names, path[0])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// resources are those of the app's routes, each once: a sign-in asks for all of them (RFC 8707 section 2.1).
func resources(id string, routes []*config.Route) (names []string) {
	for _, rt := range routes {
		if rt.Resource != "" && (len(rt.Apps) == 0 || slices.Contains(rt.Apps, id)) {
			names = append(names, rt.Resource)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// orgClaims are what {org} stands for in an upstream: the first that the provider gives.
var orgClaims = [...]string{"org_id", "oid"}

// placeholder finds the claims that an upstream's path asks for.
var placeholder = regexp.MustCompile(`\{(?:(org)|claim:([^}]+))\}`)

func placeholderClaims(upstream string) (names []string) {
	for _, m := range placeholder.FindAllStringSubmatch(upstream, -1) {
		if m[1] != "" {
			names = append(names, orgClaims[:]...)
		} else {
			names = append(names, m[2])
		}
	}
	return names
}

// loginPolicy is what a sign-in of the app may be asked to do, where its provider knows it too.
func loginPolicy(a *config.App, p *config.Provider) surface.LoginPolicy {
	knows := func(param string, allowed bool) bool { return allowed && slices.Contains(p.LoginParams, param) }
	l := a.Login.Params
	policy := surface.LoginPolicy{
		Prompts: l.Prompt, ACRValues: l.ACRValues, MaxAge: knows("max_age", l.MaxAge),
		LoginHint: knows("login_hint", l.LoginHint), UILocales: knows("ui_locales", l.UILocales),
		StartOrigins: a.Login.StartOrigins, Extra: make(map[string]surface.Param),
	}
	for param, allowed := range map[string]bool{
		"organization_id": l.OrganizationID, "connection_id": l.ConnectionID,
		"social_provider": l.SocialProvider, "domain_hint": l.DomainHint,
	} {
		if knows(param, allowed) {
			policy.Extra[param] = surface.Param{Pattern: selector}
		}
	}
	if _, knows := policy.Extra["social_provider"]; knows && p.Preset == "scalekit" {
		policy.Extra["social_provider"] = surface.Param{Values: scalekitSocial()}
	}
	return policy
}

// allowRequired lets an app ask for what its own routes require of a sign-in, whatever else it may ask for: it could have
// the gateway ask for it by calling one of them (RFC 9470 section 4).
func (s *Server) allowRequired(id string, policies map[string]surface.LoginPolicy) {
	policy := policies[id]
	policy.ACRValues = slices.Clone(policy.ACRValues)
	for _, rt := range s.cfg.Routes {
		if len(rt.Apps) > 0 && !slices.Contains(rt.Apps, id) {
			continue
		}
		policy.ACRValues = append(policy.ACRValues, rt.Require.ACR...)
		if rt.Require.MaxAge > 0 {
			policy.MaxAges = append(policy.MaxAges, int(rt.Require.MaxAge/time.Second))
		}
	}
	policies[id] = policy
}

// scalekitSocial are the social providers that Scalekit knows: of any other it would show an error page of its own.
func scalekitSocial() []string {
	return []string{"google", "microsoft", "github", "gitlab", "linkedin", "salesforce"}
}

// selector is what an organization, connection, social provider or domain may look like: a name, never a URL.
var selector = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)
