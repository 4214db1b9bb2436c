package spa

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

// errorParam tells a frontend, in the query of the return target, that a sign-in did not happen.
const errorParam = "login_error"

// callback redeems the provider's answer. What it says is believed only together with the transaction cookie that this
// browser was given for this very state (RFC 9700 section 4.7.1): a state alone, signed or stored, would let anybody
// finish somebody else's login here. All the rest is the engine's: use once, issuer, code, verifier, nonce.
func (s *Surface) callback(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit.Ask(r, surface.RuleCallback); err != nil {
		return err
	}
	// A parameter that stands twice is refused before anything is looked up (RFC 6749 section 3.1).
	answer, err := surface.ReadCallback(r.URL.RawQuery)
	if err != nil {
		return &surface.Offer{Err: err, LoginURL: pathLogin, Actions: []surface.Action{{Label: "Sign in", URL: pathLogin}}}
	}
	j := surface.ReadJar(r)
	flows := j.Flows(s.app.ID)
	// Not found is not the end here: the engine refuses an answer without its transaction, and reports it as the failed
	// login it is (RFC 6749 section 10.12).
	mine, found := flows.Of(answer.State)
	answer.Sealed, answer.Device = mine.Value, surface.DeviceOf(r)
	login, err := s.engine.CompleteLogin(r.Context(), s.app, answer)
	// Used once, also when it failed (RFC 9700 section 4.2.4): an error answer uses it up like a code does.
	if found && !surface.MayRepeat(err) {
		mine.Clear(w)
	}
	if err != nil {
		return s.loginFailed(w, r, err, len(flows) > 0)
	}
	// A new root at every login, in place of whatever this browser held: no value a client offers is ever adopted (session
	// fixation, ASVS 7.2.4).
	s.setSession(w, login.Session)
	surface.SeenOf(r.Context()).Note(s.app, login.Session)
	if j.Has(s.cookieName(surface.PartNotice)) {
		surface.ClearCookie(w, s.cookieName(surface.PartNotice), http.SameSiteLaxMode) // it has done its work: the login passed
	}
	s.clearBounces(w, j)
	return s.land(w, r, login.ReturnTo)
}

// land sends the browser on after a login, to an address without code and state (RFC 9700 section 4.3.1). A Lax cookie
// goes with a redirect; a Strict one only with a navigation that a page of this origin starts.
func (s *Surface) land(w http.ResponseWriter, r *http.Request, returnTo string) error {
	returnTo = withoutError(returnTo)
	// Both ways check the target again and leave the callback's address, code and all, out of history and Referer.
	if s.app.LaxCookie {
		surface.Redirect(w, s.safeReturn(returnTo))
		return nil
	}
	return surface.WritePage(w, r, surface.BouncePage(landedURL(returnTo)))
}

// landedURL is where the bounce page leads.
func landedURL(returnTo string) string { return pathLanded + "?return_to=" + url.QueryEscape(returnTo) }

// loginFailed tells a failed login: to the app by a parameter of its return target where it can act on it, otherwise to
// the user by a page with a way to start anew.
func (s *Surface) loginFailed(w http.ResponseWriter, r *http.Request, err error, anyFlow bool) error {
	le, _ := errors.AsType[*bff.LoginError](err)
	if le != nil && le.SignedOut != "" { // the next try is not taken for one that the sign-out meant
		surface.SetCookie(w, s.cookieName(surface.PartNotice), le.SignedOut, http.SameSiteLaxMode, bff.NoticeLife)
	}
	if code := surface.LoginFailure(err); code != "" {
		s.returnWithError(w, le.ReturnTo, code)
		return nil
	}
	// From here on it is the user who is told. The provider's words stay in the log: RFC 6749
	// section 4.1.2.1 makes error_description a text for developers.
	offer := &surface.Offer{Err: surface.ExplainRefusal(err), LoginURL: pathLogin, Spent: !surface.MayRepeat(err)}
	if bff.CodeOf(offer.Err) == surface.CodeLoginMisconfigured {
		surface.Alarm(r.Context(), s.trace, "provider refuses the app's sign-in request", err)
	}
	target := s.app.DefaultReturn
	if le != nil {
		target = le.ReturnTo
		offer.LoginURL = loginURL(target)
	}
	switch bff.CodeOf(err) {
	case bff.CodeLoginUnknown:
		if !anyFlow {
			offer.Text = surface.NoFlowHint(s.app.Origin)
		}
		if s.isSignedIn(r) {
			offer.Actions = append(offer.Actions, surface.Action{Label: "Continue", URL: target})
		}
	case bff.CodeLoginReplayed:
		// Whether the first use signed this browser in shows only same-origin: a Strict cookie is withheld here.
		offer.Actions = append(offer.Actions, surface.Action{Label: "Continue", URL: landedURL(target)})
	}
	return offer
}

// isSignedIn reports whether the request carries a live session, touching nothing.
func (s *Surface) isSignedIn(r *http.Request) bool {
	root, err := s.root(r.Context(), surface.ReadJar(r))
	if err != nil { // or withheld, as a Strict cookie is here: then nothing is offered that might not be true
		return false
	}
	_, err = s.engine.Session(r.Context(), s.app, root)
	return err == nil
}

// returnWithError sends the browser back to the app with a code of ours or one that is mapped: no text of a provider
// gets into an address (RFC 6749 section 4.1.2.1, ASVS 1.2.1).
func (s *Surface) returnWithError(w http.ResponseWriter, returnTo, code string) {
	if returnTo == "" {
		returnTo = s.app.DefaultReturn
	}
	// Checked again, for it goes into a Location (RFC 9700 section 4.11.1); the parameter stands before the fragment.
	target, fragment, _ := strings.Cut(s.safeReturn(returnTo), "#")
	// The "#" is written even before nothing: a Location without one would inherit the fragment of the address that the
	// provider redirected to (RFC 9110 section 10.2.2).
	path, query, _ := strings.Cut(target, "?")
	surface.Redirect(w, path+"?"+replaceError(query, code)+"#"+fragment)
}

// replaceError sets the error parameter, in place of one that an earlier try left, and keeps the rest as it is written.
func replaceError(query, code string) string {
	return strings.Join(append(errorless(query), errorParam+"="+code), "&")
}

// withoutError takes out of a return target what an earlier try left there, with the empty fragment that came with it: a user who
// was refused once and is signed in now is told nothing of that, by a reload or a bookmark neither.
func withoutError(target string) string {
	address, fragment, _ := strings.Cut(target, "#")
	path, query, _ := strings.Cut(address, "?")
	if !slices.ContainsFunc(strings.Split(query, "&"), isError) {
		return target
	}
	if fragment != "" {
		fragment = "#" + fragment
	}
	return join(path, errorless(query)) + fragment
}

// errorless are the parameters of a query, as they are written, but for the error of an earlier try.
func errorless(query string) []string {
	return slices.DeleteFunc(strings.Split(query, "&"), func(part string) bool { return part == "" || isError(part) })
}

// isError reports whether a part of a query is the error parameter.
func isError(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	return name == errorParam
}
