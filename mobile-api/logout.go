package mobileapi

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

// signedOut is the answer to a sign-out.
type signedOut struct {
	// Ended says whether a session was ended by this very request.
	Ended bool `json:"ended"`
	// LogoutURL is to be opened in the system's browser: it ends the provider's own session there.
	LogoutURL string `json:"logout_url,omitempty"`
}

// logout ends the SSO session of a handle, on every instance, before it answers. No token and no hint is in the answer: a
// one-time address stands for them (RP-Initiated Logout section 2). A handle whose own life is over ends its session all the
// same: whoever signs out after a pause means it. One that opens nothing is success, as anywhere in OAuth where something
// is to be gone (RFC 7009 section 2.2).
func (s *Surface) logout(w http.ResponseWriter, r *http.Request) error {
	app, session, err := s.judge(w, r, s.engine.LeavingSession)
	switch {
	case errors.Is(err, errNothing):
		return s.nothing(r)
	case errors.Is(err, bff.ErrBound), errors.Is(err, bff.ErrUnbound): // presented in a way that proves nothing: it lives
		return err
	case surface.IsOver(err):
		return surface.WriteJSON(w, r, http.StatusOK, signedOut{})
	case err != nil: // of an outage nothing is known: the session may well live
		return err
	}
	left, err := s.engine.SignOut(r.Context(), app, session)
	if err != nil {
		return err
	}
	return s.tellLeft(w, r, left)
}

// tellLeft answers an app that signed out.
func (s *Surface) tellLeft(w http.ResponseWriter, r *http.Request, left *bff.SignedOut) error {
	answer := signedOut{Ended: true}
	// Without a ticket (it could not be stored) the provider is not visited: the sign-out here stands.
	if left.Ticket != "" {
		answer.LogoutURL = s.origin + pathLogout + "/" + url.PathEscape(left.Ticket)
	}
	return surface.WriteJSON(w, r, http.StatusOK, answer)
}

// leavePage is what the one-time address shows to a GET: a form that posts to it. A scanner of links looks and goes, and
// the ticket is still good. A browser that the app itself opened moves on at once; one that another site sent here waits
// for a click, for whose sign-out it is the ticket says, not this browser.
func (s *Surface) leavePage(w http.ResponseWriter, r *http.Request) error {
	site := surface.Field(r, "Sec-Fetch-Site")
	return surface.WritePage(w, r, surface.LeavePage(site != "" && site != "none"))
}

// leave redeems the one-time address: the browser goes on to the provider, in a top-level navigation of its own, which
// alone may carry the ID token. The sign-out here is done already, so nothing that fails now undoes it.
func (s *Surface) leave(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit.Ask(r, surface.RuleTicket); err != nil { // a made-up one costs a question to the store (ASVS 2.4.1)
		return err
	}
	state := rand.Text() // 128 random bits at least: this browser's half of the way back
	t, err := s.engine.RedeemNativeTicket(r.Context(), s.app, r.PathValue("ticket"), state)
	if err != nil { // used up; or good in a moment
		return err
	}
	surface.SeenOf(r.Context()).Note(t.App, nil)
	s.forget(w, r)
	// By it this browser may sign in again at once.
	surface.SetCookie(w, surface.CookieName(t.App.ID, surface.PartNotice), t.Notice, http.SameSiteLaxMode, bff.NoticeLife)
	if t.Err != nil {
		surface.Alarm(r.Context(), s.trace, "provider's sign-out not reached", t.Err)
		page := surface.ProviderUnreachablePage("", "")
		page.Actions = nil // the app is no page
		return surface.WritePage(w, r, page)
	}
	// Lax: the provider's way back is a foreign navigation, which a Strict cookie would not be sent with.
	surface.SetCookie(w, surface.CookieName(t.App.ID, surface.PartLeaving), state, http.SameSiteLaxMode, surface.LeavingLife)
	if t.To == nil {
		return surface.WritePage(w, r, surface.MoveOnPage(pathLoggedOut+"?state="+url.QueryEscape(state)))
	}
	// A page, and a form on it: a redirect would have to be among what the page before may lead to (CSP Level 3, form-action).
	return surface.WritePage(w, r, surface.LogoutPage(t.To, t.App.PostLogoutReturn))
}

// forget clears the sign-ins on their way in this browser: an old tab's answer, or click, must not sign in again.
func (s *Surface) forget(w http.ResponseWriter, r *http.Request) {
	j := surface.ReadJar(r)
	for _, f := range j.Flows(flowOwner) {
		f.Clear(w)
	}
	for _, c := range j {
		for _, app := range s.apps {
			if strings.HasPrefix(c.Name, surface.CookieName(app.ID, partConfirm)) {
				surface.ClearCookie(w, c.Name, http.SameSiteStrictMode)
			}
		}
	}
}

// loggedOut is where the provider sends the browser after its sign-out. A state that equals the cookie of this browser's
// own sign-out leads on to the app, once (RP-Initiated Logout section 3); everything else shows that one is signed out.
func (s *Surface) loggedOut(w http.ResponseWriter, r *http.Request) error {
	app := s.left(r)
	if app == nil {
		return surface.WritePage(w, r, surface.BackToAppPage())
	}
	surface.ClearCookie(w, surface.CookieName(app.ID, surface.PartLeaving), http.SameSiteLaxMode)
	if app.PostLogoutReturn == "" {
		return surface.WritePage(w, r, surface.BackToAppPage())
	}
	surface.Redirect(w, app.PostLogoutReturn) // the configuration's to say, never the request's (RFC 9700 section 4.11.1)
	return nil
}

// left returns the app whose sign-out this browser was on; nil if the state is of none.
func (s *Surface) left(r *http.Request) *bff.App {
	states := r.URL.Query()["state"]
	if len(states) != 1 || states[0] == "" {
		return nil
	}
	j := surface.ReadJar(r)
	for _, app := range s.apps {
		kept := j.Only(surface.CookieName(app.ID, surface.PartLeaving))
		if subtle.ConstantTimeCompare([]byte(kept), []byte(states[0])) == 1 {
			return app
		}
	}
	return nil
}
