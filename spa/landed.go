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
	switch field(r, "Sec-Fetch-Site") {
	case "", "same-origin", "none": // none: the user reloads
	default:
		return s.guardRefused(r.Context(), "landing from elsewhere")
	}
	target, err := returnTarget(r.URL.Query().Get("return_to"))
	if err != nil {
		target = s.app.DefaultReturn
	}
	j := readJar(r)
	if len(j.values(s.cookieName(""))) == 0 {
		return &surface.Offer{
			Err:      &bff.Error{Code: surface.CodeCookiesBlocked, Message: "The browser did not keep the session cookie."},
			LoginURL: loginURL(target),
		}
	}
	if _, err := s.current(w, r, j); err != nil {
		return &surface.Offer{Err: err, LoginURL: loginURL(target)}
	}
	surface.Redirect(w, target) // no fragment to be kept away: this page was not reached from the provider
	return nil
}
