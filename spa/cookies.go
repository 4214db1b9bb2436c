package spa

import (
	"net/http"

	"cloakroom/bff"
	"cloakroom/surface"
)

// The cookies of an app (how they are written and read is package surface's business):
//
//	__Host-Http-<app>              the session: its root, Strict (Lax by setting)
//	__Host-Http-<app>.tx.<t>-<f>   one login in flight: Lax, ten minutes; t is its start, f names the flow
//	__Host-Http-<app>.so           what a sign-out leaves for the next login: Lax, a minute
//	__Host-Http-<app>.in           how many sign-ins in a row came back to /bff/initiate: Lax, two minutes
//	__Host-Http-<app>.up           the page for which this browser was last sent to a newer sign-in by itself: Lax, ten minutes
//	__Host-Http-<app>.out          the state of a sign-out at the provider: Lax, used once

func (s *Surface) cookieName(part string) string { return surface.CookieName(s.app.ID, part) }

// sessionSite is Strict but by explicit setting (draft-ietf-oauth-browser-based-apps section 6.1.3.2).
func (s *Surface) sessionSite() http.SameSite {
	if s.app.LaxCookie {
		return http.SameSiteLaxMode
	}
	return http.SameSiteStrictMode
}

// setSession hands the session to the browser, to be kept until the session's absolute end, also over a restart of the
// browser: how long a session lives is decided by its record alone, and a browser that restores its tabs would restore
// a cookie without Max-Age as well.
func (s *Surface) setSession(w http.ResponseWriter, session *bff.Session) {
	surface.SetCookie(w, s.cookieName(""), session.Root.Reveal(), s.sessionSite(), session.AbsoluteEnd.Sub(s.engine.Now()))
}

func (s *Surface) clearSession(w http.ResponseWriter) {
	surface.ClearCookie(w, s.cookieName(""), s.sessionSite())
}
