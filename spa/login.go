package spa

import (
	"net/http"
	"net/url"

	"cloakroom/bff"
	"cloakroom/surface"
)

// login starts a sign-in: it leaves a transaction cookie and sends the browser to the provider. Who may start one is
// the question (FAPI 2.0 section 5.3.3.1, login CSRF): the app's own pages, the user by typing, a listed origin. Any
// other site's link shows a page whose own link starts it.
func (s *Surface) login(w http.ResponseWriter, r *http.Request) error {
	// Before anything is read: who is not signed in can ask for this without end (ASVS 2.4.1).
	if err := s.limit.Ask(r, surface.RuleLogin); err != nil {
		return err
	}
	req, shown, err := s.loginRequest(r)
	if err != nil {
		// The way on repeats nothing of what was refused: a link cannot choose what its error page offers.
		return &surface.Offer{Err: err, Actions: []surface.Action{
			{Label: "Sign in", URL: pathLogin}, {Label: "Back to the app", URL: s.app.DefaultReturn},
		}}
	}
	// After the parameters: a page that asks the user to confirm must not lead to a refusal.
	if !s.mayStart(r) {
		return surface.WritePage(w, r, surface.ConfirmLoginPage(withQuery(pathLogin, shown), s.app.DefaultReturn))
	}
	return s.begin(w, r, surface.ReadJar(r), req)
}

// begin starts a login that may start: a transaction cookie, and the way to the provider.
func (s *Surface) begin(w http.ResponseWriter, r *http.Request, j surface.Jar, req bff.LoginRequest) error {
	// The session that this login takes the place of is here only now: at the callback its Strict cookie is withheld.
	req.Replaces = s.replaced(j)
	// By this the new session is spared by the sign-out that this very browser made a moment ago.
	req.SignedOut = j.Only(s.cookieName(surface.PartNotice))
	start, err := s.engine.BeginLogin(r.Context(), s.app, req)
	if err != nil {
		return s.loginNotBegun(w, req, err)
	}
	// The other half of state, in this browser alone (RFC 9700 section 4.7.1).
	j.SetFlow(w, s.app.ID, start, s.engine.Now())
	surface.Redirect(w, start.RedirectTo)
	return nil
}

// mayStart reports whether a navigation may start a login without a click in between. Without metadata it may: state
// still ties the answer to this browser.
func (s *Surface) mayStart(r *http.Request) bool {
	return s.fromApp(r) || isOneOf(r, s.policy.StartOrigins)
}

// replaced returns the root of the session cookie, if there is one good one.
func (s *Surface) replaced(j surface.Jar) bff.Root {
	root, err := bff.ParseRoot(j.Only(s.cookieName("")))
	if err != nil {
		return bff.Root{} // no session to replace; one of a bad form is refused wherever it is used
	}
	return root
}

// loginNotBegun tells a login that could not start: a silent one tells the app, like every failure of a silent login.
func (s *Surface) loginNotBegun(w http.ResponseWriter, req bff.LoginRequest, err error) error {
	if req.Silent {
		s.returnWithError(w, req.ReturnTo, string(bff.CodeOf(err)))
		return nil
	}
	return err
}

// loginRequest reads what a frontend asks of a login: where to return to, what the app's policy allows, and
// what a step-up's ticket remembers. Every parameter may stand once (RFC 6749 section 3.1). shown is what passed, as a query.
func (s *Surface) loginRequest(r *http.Request) (req bff.LoginRequest, shown url.Values, err error) {
	query, err := surface.ReadOnce(r.URL.RawQuery)
	if err != nil {
		return req, nil, surface.BadParameter("query", err)
	}
	if shown, err = s.policy.Read(query, &req); err != nil {
		return req, nil, err
	}
	if err = s.readStepUp(r, query, &req, shown); err != nil {
		return req, nil, err
	}
	// The target is taken only if it is a page of this app (RFC 9700 section 4.11.1).
	if raw := query.Get("return_to"); raw != "" {
		if req.ReturnTo, err = s.returnTarget(raw); err != nil {
			return req, nil, surface.BadParameter("return_to", err)
		}
		shown.Set("return_to", raw)
	}
	return req, shown, nil
}

// withQuery joins a path and its query.
func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
