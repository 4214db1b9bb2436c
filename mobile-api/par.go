package mobileapi

import (
	"net/http"
	"net/url"
	"time"

	"cloakroom/bff"
	"cloakroom/dpop"
	"cloakroom/surface"
)

// pushed is the answer to a pushed request: RFC 9126 section 2.2.
type pushed struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int    `json:"expires_in"` // seconds
}

// push takes the request that an app would otherwise send through the browser (RFC 9126), and refuses all that
// /mobile/authorize would: the app is told at once, and the address that the browser opens can neither be read nor changed.
// Nothing is stored: the request_uri is the request, sealed.
func (s *Surface) push(w http.ResponseWriter, r *http.Request) error {
	app, form, err := s.readClient(w, r)
	if err != nil {
		return err
	}
	if form.Has("request_uri") { // RFC 9126 section 2.1
		return surface.RefuseOAuth(surface.OAuthInvalidRequest, "A pushed request has no request_uri.")
	}
	key, err := s.announced(w, r, app)
	if err != nil {
		return err
	}
	form.Set("client_id", app.ID) // which may have been named in the header
	if err := announce(form, key); err != nil {
		return err
	}
	_, asked, err := s.readRequest(form)
	if err != nil {
		return err
	}
	if code, why := s.refuse(r.Context(), app, form, &bff.LoginRequest{Native: asked}); code != "" {
		return surface.RefuseOAuth(code, why)
	}
	uri, err := s.engine.PushRequest(app, form)
	if err != nil {
		return err
	}
	return surface.WriteJSON(w, r, http.StatusCreated, pushed{uri, int(bff.PushedLife / time.Second)})
}

// announce puts the key that a pushed request's proof shows into the request (RFC 9449 section 10.1): a dpop_jkt beside it
// must name the same.
func announce(form url.Values, key string) error {
	switch jkt := form.Get("dpop_jkt"); {
	case key == "":
		return nil
	case jkt != "" && jkt != key:
		return surface.RefuseOAuth(surface.OAuthInvalidRequest, "dpop_jkt and the DPoP proof name two keys.")
	}
	form.Set("dpop_jkt", key)
	return nil
}

// unpushed returns the request that a browser brings: its query, or what was pushed before. Beside a request_uri nothing counts
// but the client_id, which must be the one that pushed (RFC 9126 section 4, RFC 9101 section 5): whoever writes into the
// address changes nothing.
func (s *Surface) unpushed(r *http.Request, query url.Values) (url.Values, error) {
	uri := query.Get("request_uri")
	if !bff.IsPushed(uri) {
		return query, nil
	}
	app := s.app(query.Get("client_id"))
	if app == nil {
		return query, nil // refused as any other
	}
	request, err := s.engine.PushedRequest(r.Context(), app, uri)
	if err != nil {
		return nil, err
	}
	return request, nil
}

// badKey says what is wrong with the key that a request announces; "" if nothing.
func badKey(app *bff.App, jkt string) (why string) {
	switch {
	case jkt == "":
		return ""
	// Never without a word less than what was asked for (RFC 9449 section 10): the app would believe its handle bound.
	case !app.Binds():
		return "This app's handles are not bound to a key: send no dpop_jkt."
	case !dpop.IsThumbprint(jkt):
		return "dpop_jkt must be a SHA-256 thumbprint of a key (RFC 7638)."
	default:
		return ""
	}
}
