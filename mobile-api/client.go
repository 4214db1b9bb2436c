package mobileapi

import (
	"net/http"
	"net/url"

	"cloakroom/bff"
	"cloakroom/surface"
)

// oauth guards an endpoint that apps post to, and gives its errors the shape that their libraries read. A browser has no
// business here: pages have the browser surface, and there is no CORS.
func (s *Surface) oauth(h surface.Handler) surface.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := s.notFromAPage(r); err != nil {
			return err
		}
		if err := s.limit.Ask(r, surface.RuleToken); err != nil {
			return surface.AsOAuth(err)
		}
		return surface.AsOAuth(h(w, r))
	}
}

// notFromAPage refuses what a page of another origin sends: only browsers send Origin, and apps are none.
func (s *Surface) notFromAPage(r *http.Request) error {
	if surface.IsServiceWorker(r) {
		return s.guardRefused(r.Context(), "service worker script")
	}
	if len(r.Header.Values("Origin")) > 0 && surface.Field(r, "Origin") != s.origin {
		return s.guardRefused(r.Context(), "origin")
	}
	return nil
}

// readClient reads form and client of a request to an OAuth endpoint.
func (s *Surface) readClient(w http.ResponseWriter, r *http.Request) (*bff.App, url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, nil, surface.RefuseOAuth(surface.OAuthInvalidRequest, "Parameters belong in the body.")
	}
	form, err := surface.ReadForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	app, err := s.client(r, form)
	surface.SeenOf(r.Context()).Note(app, nil)
	return app, form, err
}

// client finds the app that a request comes from, by its name alone: a public client has nothing to prove it by (RFC 8252
// section 8.4), and what claims to prove it is refused rather than not looked at, so that no app ships a secret and
// believes in it (section 8.5).
func (s *Surface) client(r *http.Request, form url.Values) (*bff.App, error) {
	id, basic := form.Get("client_id"), false
	refuse := func(why string) (*bff.App, error) {
		e := surface.RefuseOAuth(surface.OAuthInvalidClient, why)
		e.Basic = basic
		return nil, e
	}
	if fields := r.Header.Values("Authorization"); len(fields) > 0 {
		basic = true
		user, secret, ok := r.BasicAuth()
		// RFC 6749 section 2.3.1: both are encoded as a form's values first.
		named, err := url.QueryUnescape(user)
		switch {
		case len(fields) > 1 || !ok || err != nil:
			return refuse("A client names itself by client_id, or by Basic with an empty password.")
		case secret != "":
			return refuse("A native app has no secret here: PKCE protects its code.")
		case id != "" && id != named:
			return refuse("client_id and the Authorization header name two clients.")
		}
		id = named
	}
	for _, proof := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		if form.Get(proof) != "" {
			return refuse("A native app has no secret here: PKCE protects its code.")
		}
	}
	app := s.app(id)
	if app == nil {
		return refuse("No app of this client_id is served here.")
	}
	return app, nil
}
