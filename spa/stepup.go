package spa

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

const (
	// partRaised remembers the page for which this browser was last sent to a stronger or newer sign-in by itself.
	partRaised = ".up"
	// raisedLife is how long it does: as long as the sign-in may take. Whoever is asked for one more meanwhile decides by a
	// click, so that no page and no provider sends anybody round in circles (RFC 9470 section 5).
	raisedLife = 10 * time.Minute
)

// StepUp tells a page's own code that the session's sign-in is too old or too weak for what it asked: err says for what it
// is, ticket remembers it, and login_url leads to a sign-in that will do. The code adds return_to, for it knows where the
// user is; the sign-in of a navigation comes back to its address.
func (s *Surface) StepUp(r *http.Request, ticket string, err error) error {
	return &surface.Offer{Err: err, LoginURL: withTicket(s.LoginURL(r), ticket)}
}

// StepUpCall is StepUp where the address is one that no navigation passes the guard of: a sign-in does not come back to it.
func (s *Surface) StepUpCall(ticket string, err error) error {
	return &surface.Offer{Err: err, LoginURL: withTicket(pathLogin, ticket)}
}

// StepUpPage is StepUp for a route to a server-rendered app. The visit of a page goes to the sign-in by itself, once, and
// comes back; a form of which nothing was read yet is kept in a page, from which it can be sent again. nil: it has answered.
func (s *Surface) StepUpPage(w http.ResponseWriter, r *http.Request, ticket string, unread bool, err error) error {
	switch {
	case surface.IsVisit(r):
		return s.raiseVisit(w, r, ticket, err)
	case isSubmission(r) && unread:
		return s.keepForm(w, r, surface.Resubmission{SignInURL: withTicket(loginURL(pathSignedIn), ticket), Newer: true})
	case isSubmission(r):
		return &surface.Offer{
			Err: err, LoginURL: withTicket(pathLogin, ticket),
			Text: "The form was not taken. Sign in again, then go back to it and send it once more.",
		}
	default:
		return &surface.Offer{Err: err, LoginURL: withTicket(pathLogin, ticket)}
	}
}

// raiseVisit sends the visit of a page to the sign-in, or leaves it to the person where that was done a moment ago for the
// same page, or was refused.
func (s *Surface) raiseVisit(w http.ResponseWriter, r *http.Request, ticket string, err error) error {
	at, j, name := visitedAt(r), surface.ReadJar(r), s.cookieName(partRaised)
	login := withTicket(s.loginFor(at), ticket)
	if at.refused || j.Only(name) == pageMark(at) {
		if j.Has(name) {
			surface.ClearCookie(w, name, http.SameSiteLaxMode)
		}
		return &surface.Offer{Err: err, LoginURL: login}
	}
	surface.SetCookie(w, name, pageMark(at), http.SameSiteLaxMode, raisedLife)
	if !fromHere(r) { // from another site a sign-in starts by a click alone: so a page of this one sends on
		return surface.WritePage(w, r, passingPage(login))
	}
	surface.Redirect(w, login)
	return nil
}

// pageMark names a page in a cookie, without telling it.
func pageMark(at visit) string {
	sum := sha256.Sum256([]byte(at.page))
	return base64.RawURLEncoding.EncodeToString(sum[:12]) // 96 bits: two pages of a site never share one
}

// withTicket adds a step-up's ticket to the start of a login.
func withTicket(login, ticket string) string {
	glue := "?"
	if strings.Contains(login, "?") {
		glue = "&"
	}
	return login + glue + surface.ParamStepUp + "=" + url.QueryEscape(ticket)
}

// readStepUp takes a step-up's ticket into a login.
func (s *Surface) readStepUp(r *http.Request, query url.Values, req *bff.LoginRequest, shown url.Values) error {
	if err := surface.ReadStepUp(r.Context(), s.engine, s.app, query, req); err != nil {
		return err
	}
	if ticket := query.Get(surface.ParamStepUp); ticket != "" {
		shown.Set(surface.ParamStepUp, ticket)
	}
	return nil
}
