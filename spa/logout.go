package spa

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"cloakroom/bff"
	"cloakroom/surface"
)

// unreachedParam has the page after a sign-out say that the provider's own session may live. It chooses words, and ends
// nothing.
const unreachedParam = "unreached"

// logout ends the SSO session: by a form it sends the browser on, by a fetch it answers with the one-time address to
// open. No ID token is in either (RP-Initiated Logout section 2 wants it as a hint; a script must not read it). It is
// guarded also where there is no cookie: a foreign request, whose Strict cookie is withheld, must not clear that cookie.
func (s *Surface) logout(w http.ResponseWriter, r *http.Request) error {
	byForm := isForm(r)
	guard := GuardHeader
	if byForm {
		guard = guardForm
	}
	if rule := s.check(r, guard); rule != "" {
		return s.guardRefused(r.Context(), rule)
	}
	// Not in a frame: what follows ends in a form that only a top-level window can send to the provider.
	if byForm && !surface.IsTopLevel(r) {
		return s.guardRefused(r.Context(), "not a top-level navigation")
	}
	j := surface.ReadJar(r)
	if err := s.oneCredential(r, j); err != nil {
		return err
	}
	next, err := s.signOut(w, r, j)
	if err != nil {
		return err
	}
	if byForm {
		surface.Redirect(w, next)
		return nil
	}
	return s.tellLeft(w, r, next)
}

// tellLeft answers a script that signed out with the address to open next.
func (s *Surface) tellLeft(w http.ResponseWriter, r *http.Request, next string) error {
	return surface.WriteJSON(w, r, http.StatusOK, struct {
		RedirectTo string `json:"redirect_to"`
	}{s.app.Origin + next})
}

// isForm reports whether a POST navigates: as its metadata says or, without any, by a content type that only forms send.
func isForm(r *http.Request) bool {
	if mode := surface.Field(r, "Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case "application/x-www-form-urlencoded", "multipart/form-data":
		return true
	default:
		return false
	}
}

// logoutByLink is logout by a plain link. Any site can send a browser to a link, so the link must hold the session's
// own logout token, which only its page was told (CSRF cheat sheet: a GET must not change state without one).
func (s *Surface) logoutByLink(w http.ResponseWriter, r *http.Request) error {
	j := surface.ReadJar(r)
	if !j.Has(s.cookieName("")) {
		// Nothing to end, or a Strict cookie that was withheld because the link stands on another site: then the user is
		// still signed in, and must neither be told otherwise nor lose anything.
		if site := surface.Field(r, "Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			return s.guardRefused(r.Context(), "logout link of another site")
		}
		surface.Redirect(w, pathLoggedOut)
		return nil
	}
	// The token is derived from the root, so it can be compared before the store is asked, and a cookie that is dead by
	// now can still be cleared by its own link.
	root, err := s.root(r.Context(), j)
	if err != nil || !isLogoutToken(r, root) {
		return s.guardRefused(r.Context(), "logout link without the session's token")
	}
	next, err := s.signOut(w, r, j)
	if err != nil {
		return err
	}
	surface.Redirect(w, next)
	return nil
}

// isLogoutToken compares in constant time; a token that stands twice is none.
func isLogoutToken(r *http.Request, root bff.Root) bool {
	tokens := r.URL.Query()["token"]
	return len(tokens) == 1 && subtle.ConstantTimeCompare([]byte(tokens[0]), []byte(root.LogoutToken())) == 1
}

// signOut ends the session of the cookie, if there is one, and clears what this browser holds. It returns the path to
// go on to. Signing out twice, or without a session, is success. A store that cannot be asked is not: the cookie stays,
// for the user is not signed out.
func (s *Surface) signOut(w http.ResponseWriter, r *http.Request, j surface.Jar) (next string, err error) {
	root, err := s.root(r.Context(), j)
	var session *bff.Session
	if err == nil {
		session, err = s.engine.Session(r.Context(), s.app, root)
		surface.SeenOf(r.Context()).Note(s.app, session)
	}
	// Over is fine: whoever signs out twice, or with a dead cookie, wants to be signed out and is (RP-Initiated Logout
	// section 4). An outage is not: the session may well live.
	if err != nil && !surface.IsOver(err) {
		return "", err
	}
	var left *bff.SignedOut
	if session != nil {
		// All of the SSO session is over on every instance before this returns, whatever becomes of the browser next.
		if left, err = s.engine.SignOut(r.Context(), s.app, session); err != nil {
			return "", err
		}
	}
	return s.leaveNow(w, j, left), nil
}

// leaveNow clears what this browser holds after a sign-out, nil if there was nothing to end, and returns the path to go on
// to. Without a ticket (it could not be stored, or there was no session) the provider is not visited: the sign-out here
// stands, and no ID token is put where a script could read it instead.
func (s *Surface) leaveNow(w http.ResponseWriter, j surface.Jar, left *bff.SignedOut) (next string) {
	s.forget(w, j)
	if left == nil {
		return pathLoggedOut
	}
	surface.SetCookie(w, s.cookieName(surface.PartNotice), left.Notice, http.SameSiteLaxMode, bff.NoticeLife)
	switch {
	case left.Ticket == "" && left.Unreached:
		return pathLoggedOut + "?" + unreachedParam + "=1"
	case left.Ticket == "":
		return pathLoggedOut
	}
	return pathLogout + "/" + url.PathEscape(left.Ticket)
}

// forget clears the session cookie, the logins in flight (an old tab's answer must not sign in again) and what the
// browser has cached and stored of this origin. Not its "cookies": that would take the whole registrable domain's,
// sibling apps' and the provider's perhaps among them.
func (s *Surface) forget(w http.ResponseWriter, j surface.Jar) {
	s.clearSession(w)
	for _, f := range j.Flows(s.app.ID) {
		f.Clear(w)
	}
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
}

// leave redeems the one-time address: the browser goes on to the provider, in a top-level navigation of its own, which
// alone may carry the ID token. The sign-out here is done already, so nothing that fails now undoes it.
//
// Whose sign-out it is the ticket says, not this browser: a foreign page could send anybody on to the provider with the
// ticket of a session of its own, and so end theirs there. So such a navigation shows a page whose own link goes on, and
// uses up nothing.
func (s *Surface) leave(w http.ResponseWriter, r *http.Request) error {
	if !s.fromApp(r) {
		return surface.WritePage(w, r, surface.ConfirmLogoutPage(s.app.DefaultReturn))
	}
	if err := s.limit.Ask(r, surface.RuleTicket); err != nil { // a made-up one costs a question to the store (ASVS 2.4.1)
		return err
	}
	state := rand.Text() // 128 random bits at least: this browser's half of the way back
	to, err := s.engine.RedeemTicket(r.Context(), s.app, r.PathValue("ticket"), state)
	switch {
	case bff.CodeOf(err) == bff.CodeGone:
		return &surface.Offer{Err: err, Actions: []surface.Action{{Label: "Back to the app", URL: s.app.DefaultReturn}}}
	case bff.CodeOf(err) == bff.CodeStoreUnavailable, bff.CodeOf(err) == bff.CodeKeyUnknown:
		return err // the ticket may be good in a moment, or at another instance
	case err != nil:
		surface.Alarm(r.Context(), s.trace, "provider's sign-out not reached", err)
		return surface.WritePage(w, r, surface.ProviderUnreachablePage(pathLogin, s.app.DefaultReturn))
	case to == nil:
		surface.Redirect(w, pathLoggedOut)
		return nil
	}
	return s.goTo(w, r, to, state)
}

// goTo sends the browser to the provider's end_session endpoint: by form POST where that is supported, for then the ID
// token stands in no URL, else by redirect.
func (s *Surface) goTo(w http.ResponseWriter, r *http.Request, to *bff.EndSessionRequest, state string) error {
	u, err := url.Parse(to.URL)
	if err != nil || u.Host == "" {
		return &bff.Error{Code: bff.CodeInternal, Err: errors.New("end_session endpoint is no absolute URL")}
	}
	// Lax: the provider's way back is a foreign navigation, which a Strict cookie would not be sent with.
	surface.SetCookie(w, s.cookieName(surface.PartLeaving), state, http.SameSiteLaxMode, surface.LeavingLife)
	if to.Post {
		return surface.WritePage(w, r, surface.LogoutPage(to, ""))
	}
	// The answer has no body, is stored nowhere and sends no Referer: the hint is in this one Location alone (ASVS 14.2.1).
	query := u.Query()
	for name, values := range to.Values {
		query[name] = values
	}
	u.RawQuery = query.Encode()
	surface.Redirect(w, u.String())
	return nil
}

// loggedOut is where the provider sends the browser after its sign-out. A state that equals the cookie of this
// browser's own sign-out leads on to the app, once (RP-Initiated Logout section 3); everything else shows that one is
// signed out. It ends nothing: whoever links here cannot sign anybody out.
func (s *Surface) loggedOut(w http.ResponseWriter, r *http.Request) error {
	asked := surface.ReadJar(r).Only(s.cookieName(surface.PartLeaving))
	states := r.URL.Query()["state"]
	// Where to is the configuration's to say, never the request's (RFC 9700 section 4.11.1).
	target, err := s.returnTarget(s.app.PostLogoutReturn)
	if r.URL.Query().Get(unreachedParam) != "" {
		return surface.WritePage(w, r, surface.ProviderUnreachablePage(pathLogin, s.app.DefaultReturn))
	}
	if asked == "" || len(states) != 1 || subtle.ConstantTimeCompare([]byte(asked), []byte(states[0])) != 1 || err != nil {
		return surface.WritePage(w, r, surface.SignedOutPage(pathLogin, s.app.DefaultReturn))
	}
	// Once: the same address opened again shows the page (RP-Initiated Logout section 3, state).
	surface.ClearCookie(w, s.cookieName(surface.PartLeaving), http.SameSiteLaxMode)
	surface.Redirect(w, s.safeReturn(target))
	return nil
}
