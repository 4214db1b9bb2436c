package mobileapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// maxState is the longest state of an app, in bytes: it travels in a cookie. Ours to choose (RFC 6749 appendix A.5 has no
// bound); libraries send some 40.
const maxState = 512

// challenge is what BASE64URL(SHA256(verifier)) looks like (RFC 7636 section 4.2).
var challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// authorize starts the sign-in of a native app, in the system's browser. Anybody may send a browser here: what comes of it
// goes to the app's own redirect URI alone, is worth nothing without the app's verifier, and where the redirect proves
// nothing, a person is asked first (RFC 8252 section 8.6).
//
// scope and nonce are taken and not looked at: what is asked of the provider stands in the configuration.
func (s *Surface) authorize(w http.ResponseWriter, r *http.Request) error {
	// Before anything is read: who is not signed in can ask for this without end (ASVS 2.4.1).
	if err := s.limit.Ask(r, surface.RuleLogin); err != nil {
		return err
	}
	query, err := surface.ReadOnce(r.URL.RawQuery)
	if err != nil {
		return surface.BadParameter("query", err)
	}
	if query, err = s.unpushed(r, query); err != nil {
		return err
	}
	app, asked, err := s.readRequest(query)
	if err != nil {
		return err
	}
	surface.SeenOf(r.Context()).Note(app, nil)
	// From here on it is the app who is told (RFC 6749 section 4.1.2.1).
	req := bff.LoginRequest{Native: asked}
	if code, why := s.refuse(r.Context(), app, query, &req); code != "" {
		s.tellApp(w, *asked, code, why)
		return nil
	}
	return s.begin(w, r, app, req)
}

// begin leaves the transaction in this browser and sends it on to the provider.
func (s *Surface) begin(w http.ResponseWriter, r *http.Request, app *bff.App, req bff.LoginRequest) error {
	j := surface.ReadJar(r)
	// By this the new session is spared by the sign-out that this very browser made a moment ago.
	req.SignedOut = j.Only(surface.CookieName(app.ID, surface.PartNotice))
	start, err := s.engine.BeginLogin(r.Context(), app, req)
	if err != nil {
		s.tellApp(w, *req.Native, errorCode(err), describeError(err))
		return nil
	}
	// The other half of the state towards the provider, in this browser alone (RFC 9700 section 4.7).
	j.SetFlow(w, flowOwner, start, s.engine.Now())
	surface.Redirect(w, start.RedirectTo)
	return nil
}

// flowOwner has all native apps share the transaction cookies of this origin, so that they make room for each other.
const flowOwner = ""

// readRequest reads what decides where an answer may go, and what binds it to the app. Whatever is wrong here is told to
// the person and goes to no redirect URI: RFC 6749 section 4.1.2.1 for client and redirect URI; the rest because an app
// that gets it wrong was never seen to work.
func (s *Surface) readRequest(query url.Values) (*bff.App, *bff.NativeRequest, error) {
	app := s.app(query.Get("client_id"))
	if app == nil {
		return nil, nil, surface.BadParameter("client_id", errors.New("no app of this id"))
	}
	asked := &bff.NativeRequest{
		RedirectURI: query.Get("redirect_uri"), Challenge: query.Get("code_challenge"), State: query.Get("state"),
		Key: query.Get("dpop_jkt"),
	}
	switch {
	case !isRegistered(app, asked.RedirectURI):
		return nil, nil, surface.BadParameter("redirect_uri", errors.New("not one of the app's"))
	case len(asked.State) > maxState:
		return nil, nil, surface.BadParameter("state", errors.New("too long"))
	// RFC 7636 section 4.4.1: without a challenge, whoever catches the redirect could redeem the code. A method that is
	// absent means plain (section 4.3), which shows the verifier to whoever sees the request.
	case !challenge.MatchString(asked.Challenge):
		return nil, nil, surface.BadParameter("code_challenge", errors.New("absent, or none of S256"))
	case query.Get("code_challenge_method") != "S256":
		return nil, nil, surface.BadParameter("code_challenge_method", errors.New("not S256"))
	}
	return app, asked, nil
}

// refuse reads all the rest into req, and says what of it cannot be done; "" if all can.
func (s *Surface) refuse(ctx context.Context, app *bff.App, query url.Values, req *bff.LoginRequest) (code, why string) {
	switch kind := query.Get("response_type"); {
	case kind == "":
		return surface.OAuthInvalidRequest, "response_type is missing."
	case kind != "code":
		return surface.OAuthUnsupportedResponseType, "response_type must be code."
	case query.Get("response_mode") != "" && query.Get("response_mode") != "query":
		return surface.OAuthInvalidRequest, "response_mode must be query."
	case query.Get("request") != "": // OpenID Connect Core section 6.1
		return "request_not_supported", "The parameter request is not supported."
	case query.Get("request_uri") != "":
		return "request_uri_not_supported", "The parameter request_uri is not supported."
	}
	if why := badKey(app, query.Get("dpop_jkt")); why != "" {
		return surface.OAuthInvalidRequest, why
	}
	if _, err := s.login[app.ID].Read(query, req); err != nil {
		return surface.OAuthInvalidRequest, describeError(err)
	}
	if err := surface.ReadStepUp(ctx, s.engine, app, query, req); err != nil {
		return surface.OAuthCode(bff.CodeOf(err)), describeError(err)
	}
	// Nothing may be shown then (OpenID Connect Core section 3.1.2.1), and here something must be.
	if req.Silent && !req.Native.ProvesReceiver() {
		return "interaction_required", "A person must let this app in."
	}
	return "", ""
}

// tellApp sends the browser back to the app with an error.
func (s *Surface) tellApp(w http.ResponseWriter, to bff.NativeRequest, code, why string) {
	answer := url.Values{"error": {code}}
	if why != "" {
		answer.Set("error_description", why)
	}
	surface.Redirect(w, s.answerURL(to, answer))
}
