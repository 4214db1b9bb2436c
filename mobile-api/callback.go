package mobileapi

import (
	"errors"
	"net/http"
	"net/url"

	"cloakroom/bff"
	"cloakroom/surface"
)

// callback redeems the provider's answer. What it says is believed only together with the transaction cookie that this
// browser was given for this very state (RFC 9700 section 4.7.1): the address of the provider, passed on to another
// browser, ends here. All the rest is the engine's: use once, issuer, code, verifier, nonce.
func (s *Surface) callback(w http.ResponseWriter, r *http.Request) error {
	if err := s.limit.Ask(r, surface.RuleCallback); err != nil {
		return err
	}
	app := s.app(r.PathValue("app"))
	if app == nil {
		return notFound()
	}
	surface.SeenOf(r.Context()).Note(app, nil)
	answer, err := surface.ReadCallback(r.URL.RawQuery)
	if err != nil {
		return err
	}
	j := surface.ReadJar(r)
	flows := j.Flows(flowOwner)
	// Not found is not the end here: the engine refuses an answer without its transaction, and reports it as the failed
	// login it is (RFC 6749 section 10.12).
	mine, found := flows.Of(answer.State)
	answer.Sealed = mine.Value
	login, err := s.engine.CompleteNativeLogin(r.Context(), app, answer)
	// Used once, also when it failed (RFC 9700 section 4.2.4): but for an outage that shows a page to be opened again.
	if _, told := nativeRequest(err); found && (told || !surface.MayRepeat(err)) {
		mine.Clear(w)
	}
	if err != nil {
		return s.loginFailed(w, r, app, err, len(flows) > 0)
	}
	if name := surface.CookieName(app.ID, surface.PartNotice); j.Has(name) {
		surface.ClearCookie(w, name, http.SameSiteLaxMode) // it has done its work: the login passed
	}
	if login.Code.IsZero() {
		return s.askPerson(w, r, app, login)
	}
	s.sendCode(w, login)
	return nil
}

// sendCode sends the browser to the app with our own code, never the provider's (303: RFC 9700 section 4.12).
func (s *Surface) sendCode(w http.ResponseWriter, login *bff.NativeLogin) {
	surface.Redirect(w, s.answerURL(login.Request, url.Values{"code": {login.Code.Reveal()}}))
}

// loginFailed tells a failed login: to the app where its request is known, otherwise to the person.
func (s *Surface) loginFailed(w http.ResponseWriter, r *http.Request, app *bff.App, err error, anyFlow bool) error {
	if bff.CodeOf(surface.ExplainRefusal(err)) == surface.CodeLoginMisconfigured {
		surface.Alarm(r.Context(), s.trace, "provider refuses the app's sign-in request", err)
	}
	asked, known := nativeRequest(err)
	if le, ok := errors.AsType[*bff.LoginError](err); ok && le.SignedOut != "" { // the next try is not the one that was meant
		surface.SetCookie(w, surface.CookieName(app.ID, surface.PartNotice), le.SignedOut, http.SameSiteLaxMode, bff.NoticeLife)
	}
	switch {
	case !known:
		offer := &surface.Offer{Err: err, Text: "Go back to the app and sign in from there."}
		if !anyFlow {
			offer.Text = surface.NoFlowHint(s.origin) + " Go back to the app and try again."
		}
		return offer
	case bff.CodeOf(err) == bff.CodeLoginSignedOut && !isSilent(err):
		return &surface.Offer{Err: err, Spent: true, Actions: []surface.Action{{Label: "Sign in", URL: startURL(app, asked)}}}
	default:
		s.tellApp(w, asked, errorCode(err), describeError(err))
		return nil
	}
}

// startURL starts the same sign-in anew: the app still waits for it.
func startURL(app *bff.App, asked bff.NativeRequest) string {
	query := url.Values{
		"client_id": {app.ID}, "redirect_uri": {asked.RedirectURI}, "response_type": {"code"}, "state": {asked.State},
		"code_challenge": {asked.Challenge}, "code_challenge_method": {"S256"},
	}
	if asked.Key != "" { // what the app announced it is held to (RFC 9449 section 10)
		query.Set("dpop_jkt", asked.Key)
	}
	return pathAuthorize + "?" + query.Encode()
}

// nativeRequest returns what the app asked for, if the login's transaction was known.
func nativeRequest(err error) (bff.NativeRequest, bool) {
	le, ok := errors.AsType[*bff.LoginError](err)
	if !ok || le.Native == nil {
		return bff.NativeRequest{}, false
	}
	return *le.Native, true
}

// isSilent reports whether nothing may be shown of a login.
func isSilent(err error) bool {
	le, ok := errors.AsType[*bff.LoginError](err)
	return ok && le.Silent
}

// errorCode is what a failed login is told to the app as: no text of a provider gets into an address.
func errorCode(err error) string {
	if code := surface.ActionableCode(err); code != "" {
		return code
	}
	le, _ := errors.AsType[*bff.LoginError](err)
	switch code := bff.CodeOf(err); {
	// RFC 6749 section 4.1.2.1: whose fault it is, and that it may pass.
	case code == bff.CodeLoginRefused && le != nil && le.ProviderCode == surface.OAuthTemporarilyUnavailable:
		return surface.OAuthTemporarilyUnavailable
	case code == bff.CodeLoginSignedOut && isSilent(err):
		return "login_required"
	case code == bff.CodeStepUpUnmet:
		return surface.OAuthUnmetAuthentication
	default:
		return surface.OAuthCode(code)
	}
}

// describeError is one sentence of ours for the app's developer.
func describeError(err error) string {
	e, ok := errors.AsType[*bff.Error](err)
	if !ok || e.Code == bff.CodeInternal {
		return "Something went wrong here."
	}
	return e.Message
}
