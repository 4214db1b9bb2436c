package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (r *report) validateApps(c *Config) {
	if len(c.Apps) == 0 {
		r.add("apps", "missing; write at least one")
	}
	names := regexp.MustCompile(namePattern)
	for _, id := range slices.Sorted(maps.Keys(c.Apps)) {
		path := join("apps", id)
		if !names.MatchString(id) {
			r.add(path, "no usable name; %s", nameHint)
		}
		r.validateApp(path, c.Apps[id], c)
	}
	r.validateCredentials(c)
	r.validateSecrets(c)
	r.validateClients(c)
}

func (r *report) validateApp(path string, a *App, c *Config) {
	if r.need(join(path, "kind"), a.Kind, "write spa, web, mobile or desktop") {
		r.oneOf(join(path, "kind"), a.Kind, "spa", "web", "mobile", "desktop")
	}
	r.validateClient(path, a, c)
	r.validateSession(path, a)
	r.validateLogin(path, a, c)
	r.unique(join(path, "claims"), a.Claims)
	r.clientScopes(join(path, "client_scopes"), a.ClientScopes)
	if len(a.Claims) == 0 {
		r.add(join(path, "claims"), "empty; name at least sub")
	}
	for i, name := range a.Claims {
		if wrong := claimName(name); wrong != "" {
			r.add(at(join(path, "claims"), i), "%s", wrong)
		}
	}
	switch a.Kind {
	case "spa", "web":
		r.otherKind(path, "belongs to mobile and desktop apps; delete it", "redirect_uris", "app_links", "handle")
		r.validateBrowser(path, a)
	case "mobile", "desktop":
		r.otherKind(path, "belongs to spa and web apps; delete it", "origin", "allowed_origins", "static",
			"session.same_site", "login.start_origins", "login.initiate", "login.default_return")
		r.validateNative(path, a)
		r.validateAppLinks(join(path, "app_links"), a, c)
	}
}

// otherKind refuses keys that would do nothing: whoever wrote them believes that
// they do something.
func (r *report) otherKind(path, why string, keys ...string) {
	for _, key := range keys {
		if here := join(path, key); r.written(here) {
			r.add(here, "%s", why)
		}
	}
}

// validateClient checks what makes the app a confidential client of its own
// (browser-based apps draft section 6.1.3.1).
func (r *report) validateClient(path string, a *App, c *Config) {
	named := r.need(join(path, "provider"), a.Provider, "name one of providers")
	if named && c.Providers[a.Provider] == nil && len(c.Providers) > 0 {
		r.add(join(path, "provider"), "no such provider; name one of %s",
			strings.Join(slices.Sorted(maps.Keys(c.Providers)), ", "))
	}
	r.need(join(path, "client_id"), a.ClientID, "write the id that the provider gave this app")
	if c.Providers[a.Provider] != nil {
		r.scopes(join(path, "scopes"), a.Scopes)
		r.authorize(join(path, "authorize"), a.Authorize)
	}
}

func (r *report) validateSession(path string, a *App) {
	s, here := a.Session, join(path, "session")
	r.within(join(here, "idle"), s.Idle, time.Second, longSpan)
	r.within(join(here, "absolute"), s.Absolute, time.Second, longSpan)
	r.within(join(here, "recent"), s.Recent, time.Second, longSpan)
	if s.Most < 0 || s.Most > 100 { // of more, nobody would miss one
		r.add(join(here, "most"), "out of bounds; write something from 0 to 100")
	}
	if s.Idle > s.Absolute {
		r.add(join(here, "idle"), "longer than absolute (%s), so it would never end a session; shorten it", durationText(s.Absolute))
	}
	switch sameSite := s.SameSite; {
	case a.Kind != "spa" && a.Kind != "web":
	case strings.EqualFold(sameSite, "none"):
		// Browser-based apps draft section 6.1.3.3.1: the cookie must not travel
		// with requests that other sites start.
		r.add(join(here, "same_site"), "none would send the session with other sites' requests; write strict or lax")
	default:
		r.oneOf(join(here, "same_site"), sameSite, "strict", "lax")
	}
}

func (r *report) validateLogin(path string, a *App, c *Config) {
	here := join(path, "login.params")
	if p := c.Providers[a.Provider]; p != nil {
		for i, prompt := range a.Login.Params.Prompt {
			if !slices.Contains(p.Prompts, prompt) {
				r.add(at(join(here, "prompt"), i), "not among the prompts of provider %s; delete it or add it there", a.Provider)
			}
		}
	}
	r.unique(join(here, "prompt"), a.Login.Params.Prompt)
	r.unique(join(here, "acr_values"), a.Login.Params.ACRValues)
}

func (r *report) validateBrowser(path string, a *App) {
	if r.need(join(path, "origin"), a.Origin, "write where the app lives, as https://app.example.com") {
		r.origin(join(path, "origin"), a.Origin)
	}
	r.origins(join(path, "allowed_origins"), a.AllowedOrigins, a.Origin)
	r.siblings(join(path, "allowed_origins"), a.AllowedOrigins, a.Origin)
	r.origins(join(path, "login.start_origins"), a.Login.StartOrigins, a.Origin)
	r.returnTarget(join(path, "login.default_return"), a.Login.DefaultReturn, a)
	r.returnTarget(join(path, "post_logout"), a.PostLogout, a)
	if a.Static.Dir != "" && a.Static.URL != "" {
		r.add(join(path, "static.url"), "beside dir; serve a folder or another server, not both")
	}
	if a.Static.CSP != "" && a.Static.Dir == "" {
		r.add(join(path, "static.csp"), "for the documents of a folder; name one with dir, or delete it")
	}
	r.inline(join(path, "static.inline"), a.Static)
	if strings.ContainsFunc(a.Static.CSP, func(c rune) bool { return c < ' ' || c > '~' || c == ',' }) {
		// CSP Level 3 section 2.2.1: a comma begins another policy.
		r.add(join(path, "static.csp"), "holds a comma, a line break or a character that a header field cannot have; write one policy on "+
			"one line")
	}
	if a.Static.Protected && a.Static.Dir == "" && a.Static.URL == "" {
		r.add(join(path, "static.protected"), "nothing to protect; name a folder with dir")
	}
	r.public(join(path, "static.public"), a.Static)
	if a.Static.URL != "" {
		r.staticURL(join(path, "static.url"), a.Static.URL)
	}
}

func (r *report) origin(path, text string) {
	if _, wrong := origin(text); wrong != "" {
		r.add(path, "%s", wrong)
	}
}

func (r *report) origins(path string, list []string, own string) {
	for i, text := range list {
		r.origin(at(path, i), text)
		if text == own {
			r.add(at(path, i), "the app's own origin, which needs no permission; delete it")
		}
	}
	r.unique(path, list)
}

// siblings refuses what is of another site than the app: its pages come without the session's cookie, which no other site
// sends.
func (r *report) siblings(path string, list []string, own string) {
	here, wrong := origin(own)
	if wrong != "" {
		return // told already
	}
	for i, text := range list {
		switch u, wrong := origin(text); {
		case wrong != "":
		case u.Scheme != here.Scheme:
			r.add(at(path, i), "%s beside the app's %s: they are two sites to a browser; use the same for both", u.Scheme, here.Scheme)
		case registrable(u.Hostname()) != registrable(here.Hostname()):
			r.add(at(path, i), "another site than the app's origin, so that the session's cookie does not come along; let both stand under "+
				"one domain, as www.example.com and app.example.com")
		}
	}
}

// staticURL is for development servers: on loopback, and the whole of them.
func (r *report) staticURL(path, text string) {
	u, wrong := webURL(text, true)
	switch {
	case wrong != "":
		r.add(path, "%s", wrong)
	case !loopback(u.Hostname()):
		r.add(path, "not on loopback; serve a folder with dir, or make it a route")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		r.add(path, "more than scheme, host and port; remove what follows")
	}
}

func (r *report) validateNative(path string, a *App) {
	h := join(path, "handle")
	r.oneOf(join(h, "dpop"), a.Handle.DPoP, "off", "allowed", "required")
	if a.Handle.DPoPNonce && a.Handle.DPoP == "off" {
		r.add(join(h, "dpop_nonce"), "proofs are refused where dpop is off; write dpop: allowed or required, or delete it")
	}
	r.within(join(h, "grace"), a.Handle.Grace, 0, 10*time.Minute) // longer, and a stolen handle lives beside its successor
	r.within(join(h, "access_life"), a.Handle.AccessLife, time.Second, 24*time.Hour)
	here := join(path, "redirect_uris")
	if len(a.RedirectURIs) == 0 {
		r.add(here, "missing; list where the app is answered, as com.example.app:/signed-in")
	}
	for i, uri := range a.RedirectURIs {
		if wrong := redirectURI(uri); wrong != "" {
			r.add(at(here, i), "%s", wrong)
		}
	}
	r.unique(here, a.RedirectURIs)
	if wrong := redirectURI(a.PostLogout); a.PostLogout != "" && wrong != "" {
		r.add(join(path, "post_logout"), "%s", wrong)
	}
}
