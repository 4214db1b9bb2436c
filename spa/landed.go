package spa

import (
	"net/http"

	"cloakroom/bff"
	"cloakroom/surface"
)

// landed is the first same-origin navigation after a callback: here the Strict cookie comes along, or the browser did
// not keep it. It sends on to where the user wanted to go. Without the cookie it explains, and never signs in again by
// itself: that would go round in circles.
func (s *Surface) landed(w http.ResponseWriter, r *http.Request) error {
	// Another site has no business here: it would learn nothing, but could have the user sent about inside the app.
	if !fromHere(r) {
		return s.guardRefused(r.Context(), "landing from elsewhere")
	}
	// The target came through the address bar, so it is judged as if it had just been given (RFC 9700 section 4.11.1).
	target, err := s.returnTarget(r.URL.Query().Get("return_to"))
	if err != nil {
		target = s.app.DefaultReturn
	}
	j := surface.ReadJar(r)
	// Same-origin and still no cookie: it was not kept. Only here can that be told from a Strict one that was withheld
	// (6265bis section 5.6.7.1).
	if !j.Has(s.cookieName("")) {
		return &surface.Offer{
			Err:      &bff.Error{Code: surface.CodeCookiesBlocked, Message: "The browser did not keep the session cookie."},
			LoginURL: loginURL(target),
		}
	}
	// A cookie is not a session yet: one that opens nothing must not go round through the app and back.
	if _, err := s.current(w, r, j); err != nil {
		return &surface.Offer{Err: err, LoginURL: loginURL(target)}
	}
	surface.Redirect(w, target) // no fragment to be kept away: this page was not reached from the provider
	return nil
}
