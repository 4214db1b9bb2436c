package mobileapi

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"cloakroom/bff"
	"cloakroom/surface"
)

// partConfirm begins the part of a confirm page's cookie: the ticket, Strict, as long as the ticket is good. Pages that are
// open side by side have a cookie each.
const partConfirm = ".ok."

// checkOf derives the value of the page's form from the ticket: a page of another origin can neither read nor make it,
// and it does not open the ticket.
func checkOf(ticket string) string {
	sum := sha256.Sum256([]byte("cloakroom confirm v1" + ticket))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// confirmCookie names the cookie of a page by its form's value; 64 bits of it are enough to tell pages apart.
func confirmCookie(app *bff.App, check string) string {
	return surface.CookieName(app.ID, partConfirm+check[:min(len(check), 11)])
}

// askPerson answers with the page on which a person lets the app in, who sees which app, as whom, and where the answer
// goes: any program may have claimed the scheme or listen on the port, and the provider's session alone would finish
// without a word (RFC 8252 section 8.6). There is no code yet, and none in the page.
func (s *Surface) askPerson(w http.ResponseWriter, r *http.Request, app *bff.App, login *bff.NativeLogin) error {
	ticket := login.Ticket.Reveal()
	check := checkOf(ticket)
	surface.SetCookie(w, confirmCookie(app, check), ticket, http.SameSiteStrictMode, bff.ConfirmLife)
	return surface.WritePage(w, r, surface.ConfirmAppPage(app, surface.AppQuestion{
		Who: who(&login.Identity), RedirectURI: login.Request.RedirectURI, At: pathCallback + app.ID, Check: check,
		Again: startURL(app, login.Request),
	}))
}

// who is the user as the user knows it: the name with the address, as far as there is either, else the subject.
func who(id *bff.Identity) string {
	var claims struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
	if err := json.Unmarshal(id.Claims, &claims); err != nil {
		return id.Subject // nothing kept, or claims of other types
	}
	if claims.Name != "" && claims.Email != "" {
		return claims.Name + " (" + claims.Email + ")"
	}
	return cmp.Or(claims.Name, claims.Email, id.Subject)
}

// confirm takes the person's answer. That it comes from our own page is shown three times: by its origin, by a Strict
// cookie, and by a value that only that page was given.
func (s *Surface) confirm(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit.Ask(r, surface.RuleCallback); err != nil {
		return err
	}
	app := s.app(r.PathValue("app"))
	if app == nil {
		return notFound()
	}
	surface.SeenOf(r.Context()).Note(app, nil)
	form, err := surface.ReadForm(w, r)
	if err != nil {
		return err
	}
	said, err := s.readDecision(r, app, form)
	if err != nil {
		return err
	}
	return s.decide(w, r, app, said)
}

// decision is what a person said on the page.
type decision struct {
	ticket    bff.Root
	cookie    string // that held the ticket
	cancelled bool
}

// readDecision ties the form to the cookie of its page.
func (s *Surface) readDecision(r *http.Request, app *bff.App, form url.Values) (decision, error) {
	check := form.Get("confirm")
	cookie := confirmCookie(app, check)
	ticket := surface.ReadJar(r).Only(cookie)
	if subtle.ConstantTimeCompare([]byte(checkOf(ticket)), []byte(check)) != 1 {
		return decision{}, s.guardRefused(r.Context(), "confirmation without its cookie")
	}
	root, err := bff.ParseRoot(ticket)
	if err != nil {
		return decision{}, s.guardRefused(r.Context(), "confirmation with a malformed cookie")
	}
	return decision{ticket: root, cookie: cookie, cancelled: form.Get("cancel") != ""}, nil
}

// decide lets the app in, or tells it that the person did not.
func (s *Surface) decide(w http.ResponseWriter, r *http.Request, app *bff.App, said decision) error {
	finish := s.engine.ConfirmNativeLogin
	if said.cancelled {
		finish = s.engine.CancelNativeLogin
	}
	login, err := finish(r.Context(), app, said.ticket)
	_, taken := nativeRequest(err) // whoever knows the request has taken the ticket
	again := surface.MayRepeat(err) && !taken
	if !again {
		surface.ClearCookie(w, said.cookie, http.SameSiteStrictMode)
	}
	switch {
	case again: // the ticket may be good in a moment: the person can go back to the page
		return err
	case err != nil:
		return s.loginFailed(w, r, app, err, true)
	case said.cancelled:
		s.tellApp(w, login.Request, surface.OAuthAccessDenied, "The person at the browser did not let the app in.")
	default:
		s.sendCode(w, login)
	}
	return nil
}
