package spa

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

const (
	// partInitiate counts, in this browser, the sign-ins that the provider has begun in a row.
	partInitiate = ".in"
	// bouncesLife is how long they count: a browser that goes round in circles comes back within seconds, a user who types a
	// password does not come back four times.
	bouncesLife = 2 * time.Minute
	// maxBounces is how many sign-ins in a row may come back unfinished: an invitation, a password reset and a verified
	// address each send the browser here once.
	maxBounces = 4
)

// initiation is what an address of /bff/initiate asks for.
type initiation struct {
	req     bff.LoginRequest
	shown   url.Values // what passed, as a query
	signed  bool       // the provider has signed whom to sign in
	stepped bool       // it comes from the page in between
	meant   bool       // and the person has said there that it is meant
	plain   bool       // it asks for a sign-in, and for nothing about it
}

// initiate starts a sign-in that began elsewhere (OpenID Connect Core section 4), with a transaction of its own: nothing
// that comes along is state, nonce or verifier. The provider sends browsers here from its own pages (a bookmarked one, a
// verified address, an invitation, a tile of a customer's portal), and anybody else may try to.
//
// It takes two steps. The first leaves a cookie and answers with a page that moves on to the same address: by itself where
// the provider or the user sends the browser, by a click where somebody else does. Section 4 wants users not to be "logged
// in by third party sites without their knowledge", and this is what FAPI 2.0 section 5.3.3.1 asks of every start. The
// second step comes from this origin: so it sees the session, whose Strict cookie the first was not sent with; and whether
// cookies are kept at all, without which the provider would send the browser here again for ever.
func (s *Surface) initiate(w http.ResponseWriter, r *http.Request) error {
	if !s.initiates {
		return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing here."}
	}
	if err := s.limit.Ask(r, surface.RuleLogin); err != nil {
		return err
	}
	in, err := s.readInitiation(r)
	if err != nil {
		return &surface.Offer{Err: err, Actions: []surface.Action{
			{Label: "Sign in", URL: pathLogin}, {Label: "Back to the app", URL: s.app.DefaultReturn},
		}}
	}
	j := surface.ReadJar(r)
	if in.stepped && fromHere(r) {
		return s.initiateHere(w, r, j, in)
	}
	surface.SetCookie(w, s.cookieName(partInitiate), strconv.Itoa(max(0, s.bounces(j))), http.SameSiteLaxMode, bouncesLife)
	next := withStep(withQuery(pathInitiate, in.shown), stepAgain)
	if in.signed || s.mayStart(r) || s.fromProvider(r) {
		return surface.WritePage(w, r, passingPage(next))
	}
	return surface.WritePage(w, r, surface.ConfirmLoginPage(next, s.app.DefaultReturn))
}

// initiateHere is the second step.
func (s *Surface) initiateHere(w http.ResponseWriter, r *http.Request, j surface.Jar, in *initiation) error {
	again := withQuery(pathInitiate, in.shown)
	bounces := s.bounces(j)
	switch {
	case bounces < 0:
		return &surface.Offer{
			Err:      &bff.Error{Code: surface.CodeCookiesBlocked, Message: "The browser did not keep the cookie of a sign-in."},
			LoginURL: again,
		}
	case in.plain && s.isSignedIn(r):
		// Whoever opens the provider's sign-in page by a bookmark is not signed in once more.
		s.clearBounces(w, j)
		surface.Redirect(w, s.safeReturn(in.req.ReturnTo))
		return nil
	case in.signed && !in.meant && s.isSignedIn(r):
		// Anybody in the same environment can have such a word signed, an administrator of another customer too, and send it
		// on to a victim, who would go on working in the sender's account (login CSRF, RFC 9700 section 4.7).
		return surface.WritePage(w, r, surface.SignInAnewPage(withStep(again, stepMeant), s.app.DefaultReturn))
	case bounces >= maxBounces:
		s.clearBounces(w, j)
		return &surface.Offer{
			Err:     &bff.Error{Code: bff.CodeLoopDetected, Message: "The sign-in came back to where it started, again and again."},
			Actions: []surface.Action{{Label: "Sign in", URL: again}, {Label: "Back to the app", URL: s.app.DefaultReturn}},
		}
	}
	surface.SetCookie(w, s.cookieName(partInitiate), strconv.Itoa(bounces+1), http.SameSiteLaxMode, bouncesLife)
	return s.begin(w, r, j, in.req)
}

// readInitiation reads what the address asks for. What a third party asks passes by the app's policy, as at /bff/login;
// what the provider has signed passes by its signature, and then nothing else of the address chooses whom or where.
func (s *Surface) readInitiation(r *http.Request) (*initiation, error) {
	query, err := surface.ReadOnce(r.URL.RawQuery)
	if err != nil {
		return nil, surface.BadParameter("query", err)
	}
	// Section 4 requires iss; Scalekit leaves it out. One that is there must be the provider's.
	if query.Has("iss") && !s.app.Provider.IsIssuer(query.Get("iss")) {
		return nil, surface.BadParameter("iss", errors.New("another issuer"))
	}
	step := query.Get(stepParam)
	in := &initiation{stepped: step == stepAgain || step == stepMeant, meant: step == stepMeant}
	if raw := query.Get("idp_initiated_login"); raw != "" {
		in.takeSigned(s.engine.OpenInitiation(r.Context(), s.app, bff.NewSecret(raw)), raw)
	}
	if !in.signed {
		if in.shown, err = s.policy.Read(thirdParty(query), &in.req); err != nil {
			return nil, err
		}
		in.plain = len(in.req.Extra) == 0
	}
	s.tellSentBack(r, query.Get("error_description"))
	return in, s.readTarget(in, query.Get("target_link_uri"))
}

// takeSigned takes what the provider has signed, nil if it did not hold.
func (in *initiation) takeSigned(signed *bff.Initiation, raw string) {
	if signed == nil {
		return
	}
	in.signed = true
	in.req.Extra, in.req.ReturnTo = signed.Extra, signed.ReturnTo
	in.shown = url.Values{"idp_initiated_login": {raw}}
}

// thirdParty is the part of a query that a third party may ask of a sign-in: whom, where, and whether to make an account.
// The provider's own name for a social provider is taken as ours.
func thirdParty(query url.Values) url.Values {
	asked := url.Values{}
	for _, name := range []string{"organization_id", "connection_id", "login_hint", "domain_hint", "social_provider", "prompt"} {
		if value := query.Get(name); value != "" {
			asked.Set(name, value)
		}
	}
	if value := query.Get("provider"); value != "" {
		asked.Set("social_provider", value)
	}
	return asked
}

// readTarget finds where the user wants to go. The provider's signed wish is a customer's text, and one that is no page of
// the app is passed over; target_link_uri must be one (section 4: the client must verify it, to prevent its being used as
// an open redirector).
func (s *Surface) readTarget(in *initiation, link string) error {
	if target, err := s.linkTarget(in.req.ReturnTo); err == nil && in.signed {
		in.req.ReturnTo = target
		return nil // carried on by the signed text itself
	}
	in.req.ReturnTo = ""
	if link == "" {
		return nil
	}
	target, err := s.linkTarget(link)
	if err != nil {
		return surface.BadParameter("target_link_uri", err)
	}
	in.req.ReturnTo = target
	in.shown.Set("target_link_uri", target)
	return nil
}

// linkTarget is the return target of an address: whole, below this very origin or one that is listed, or a path.
func (s *Surface) linkTarget(raw string) (string, error) {
	if path, own := bff.PathAt(s.app.Origin, raw); own {
		raw = path
	}
	return s.returnTarget(raw)
}

// tellSentBack puts into the log why the provider says that it sends the browser here. It may be anybody's text.
func (s *Surface) tellSentBack(r *http.Request, description string) {
	if description == "" || s.trace.LoginFailed == nil {
		return
	}
	s.trace.LoginFailed(r.Context(), bff.LoginEvent{
		App: s.app.ID, Provider: s.app.Provider.Name, ClientID: s.app.ClientID, Code: string(bff.CodeLoginRefused),
		Err: fmt.Errorf("the browser was sent to begin anew: %.256q", description),
	})
}

// fromProvider reports whether a page of the provider's own sends the browser.
func (s *Surface) fromProvider(r *http.Request) bool {
	from := originOf(surface.Field(r, "Referer"))
	return from != "" && (from == originOf(s.app.Provider.Issuer) || s.app.Provider.IsIssuer(from))
}

// bounces is how many sign-ins in a row have come back; -1 where this browser has no such cookie, or has had it tampered
// with.
func (s *Surface) bounces(j surface.Jar) int {
	n, err := strconv.Atoi(j.Only(s.cookieName(partInitiate)))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// clearBounces forgets them: a sign-in arrived.
func (s *Surface) clearBounces(w http.ResponseWriter, j surface.Jar) {
	if j.Has(s.cookieName(partInitiate)) {
		surface.ClearCookie(w, s.cookieName(partInitiate), http.SameSiteLaxMode)
	}
}
