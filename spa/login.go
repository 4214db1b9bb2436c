package spa

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

const (
	maxAgeDigits = 9   // seconds for thirty years: nobody asks for more, and it fits 32 bits
	maxHint      = 256 // bytes of login_hint: an address has at most 254
)

// locales is what ui_locales may be: BCP 47 tags, space-separated.
var locales = regexp.MustCompile(`^[A-Za-z0-9-]{1,35}( [A-Za-z0-9-]{1,35}){0,9}$`)

// login starts a sign-in: it leaves a transaction cookie and sends the browser to the provider. Who may start one is
// the question (FAPI 2.0 section 5.3.3.1, login CSRF): the app's own pages, the user by typing, a listed origin. Any
// other site's link shows a page whose own link starts it.
func (s *Surface) login(w http.ResponseWriter, r *http.Request) error {
	// Before anything is read: who is not signed in can ask for this without end (ASVS 2.4.1).
	if err := s.limit(r.Context(), "login", r); err != nil {
		return err
	}
	req, shown, err := s.loginRequest(r.URL.RawQuery)
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
	j := readJar(r)
	// The session that this login takes the place of is here only now: at the callback its Strict cookie is withheld.
	req.Replaces = s.replaced(j)
	// By this the new session is spared by the sign-out that this very browser made a moment ago.
	req.SignedOut = j.only(s.cookieName(partNotice))
	start, err := s.engine.BeginLogin(r.Context(), s.app, req)
	if err != nil {
		return s.loginNotBegun(w, req, err)
	}
	// The other half of state, in this browser alone (RFC 9700 section 4.7.1).
	s.setFlow(w, j, start)
	surface.Redirect(w, start.RedirectTo)
	return nil
}

// mayStart reports whether a navigation may start a login without a click in between. Without metadata it may: browsers
// so old cannot be told apart, and state still ties the answer to this browser.
func (s *Surface) mayStart(r *http.Request) bool {
	switch field(r, "Sec-Fetch-Site") {
	// none: typed, a bookmark, or a link from outside the browser (Fetch Metadata section 2.3).
	case "", "same-origin", "none":
		return true
	default: // a sibling host too: the same site is not the same owner
		return isOneOf(r, s.policy.StartOrigins)
	}
}

// replaced returns the root of the session cookie, if there is one good one.
func (s *Surface) replaced(j jar) bff.Root {
	root, err := bff.ParseRoot(j.only(s.cookieName("")))
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

// loginRequest reads what a frontend asks of a login. Every parameter may stand once (RFC 6749 section 3.1). Those that
// the app does not allow are dropped, so that no scope, redirect URI or response mode gets to the provider from a link;
// a value that is not allowed is refused. shown is what passed, as a query.
func (s *Surface) loginRequest(rawQuery string) (req bff.LoginRequest, shown url.Values, err error) {
	// The whole query, strictly: url.Values of a request drops what does not parse, and with it the proof that a parameter
	// stood twice.
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return req, nil, badParameter("query", errors.New("does not parse"))
	}
	for name, values := range query {
		if len(values) > 1 {
			return req, nil, badParameter("a parameter", fmt.Errorf("%.32q stands %d times", name, len(values)))
		}
	}
	req.Extra, shown = url.Values{}, url.Values{}
	for _, read := range []func(url.Values, *bff.LoginRequest) (name string, err error){
		readReturnTo, s.readPrompt, s.readACR, s.readMaxAge, s.readHint, s.readLocales,
	} {
		name, err := read(query, &req)
		switch {
		case err != nil:
			return req, nil, badParameter(name, err)
		case name != "":
			shown.Set(name, query.Get(name))
		}
	}
	// What nobody read above is dropped here, without a word: scope, redirect_uri, response_mode and the like (ASVS 10.2.3).
	return req, shown, s.readExtra(query, &req, shown)
}

// badParameter is the refusal of one parameter, by a name that is ours.
func badParameter(name string, err error) error {
	return &bff.Error{
		Code: bff.CodeBadRequest, Message: "The sign-in was asked for in a way that is not allowed: " + name + ".", Err: err,
	}
}

// readReturnTo takes the target only if it is a path of this app (RFC 9700 section 4.11.1).
func readReturnTo(query url.Values, req *bff.LoginRequest) (name string, err error) {
	raw := query.Get("return_to")
	if raw == "" {
		return "", nil
	}
	req.ReturnTo, err = returnTarget(raw)
	return "return_to", err
}

// readPrompt takes the values that the app lists. Asking for none beside another contradicts itself.
func (s *Surface) readPrompt(query url.Values, req *bff.LoginRequest) (name string, err error) {
	prompts := strings.Fields(query.Get("prompt"))
	if len(prompts) == 0 {
		return "", nil
	}
	req.Silent = slices.Contains(prompts, "none")
	if req.Silent && len(prompts) > 1 { // OpenID Connect Core section 3.1.2.1
		return "prompt", errors.New("none beside another value")
	}
	// To none a provider answers login_required or its kin instead of showing anything (OpenID Connect Core section 3.1.2.6):
	// loginFailed tells the app.
	req.Extra.Set("prompt", strings.Join(prompts, " "))
	return "prompt", allOf(prompts, s.policy.Prompts)
}

// readACR takes no free text: a step-up asks for what the app is known to need (RFC 9470 section 4).
func (s *Surface) readACR(query url.Values, req *bff.LoginRequest) (name string, err error) {
	values := strings.Fields(query.Get("acr_values"))
	if len(values) == 0 {
		return "", nil
	}
	// Kept as well, sealed: the ID token must hold one of them (OpenID Connect Core section 3.1.3.7, step 12).
	req.ACR = strings.Join(values, " ")
	req.Extra.Set("acr_values", req.ACR)
	return "acr_values", allOf(values, s.policy.ACRValues)
}

// readMaxAge takes digits alone; the engine holds the answer's auth_time against it (OpenID Connect Core section 3.1.2.1).
func (s *Surface) readMaxAge(query url.Values, req *bff.LoginRequest) (name string, err error) {
	raw := query.Get("max_age")
	if raw == "" || !s.policy.MaxAge {
		return "", nil
	}
	// 0 is a number too: it asks for a sign-in now, whatever session the provider has.
	if len(raw) > maxAgeDigits || strings.Trim(raw, "0123456789") != "" {
		return "max_age", errors.New("not a number of seconds")
	}
	seconds, err := strconv.Atoi(raw)
	req.MaxAge = &seconds
	return "max_age", err
}

// readHint passes a login_hint on as it is: what it means is the provider's business.
func (s *Surface) readHint(query url.Values, req *bff.LoginRequest) (name string, err error) {
	hint := query.Get("login_hint")
	if hint == "" || !s.policy.LoginHint {
		return "", nil
	}
	if len(hint) > maxHint || strings.ContainsFunc(hint, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return "login_hint", errors.New("too long, or with control characters")
	}
	req.Extra.Set("login_hint", hint)
	return "login_hint", nil
}

// readLocales takes language tags, and nothing that is none.
func (s *Surface) readLocales(query url.Values, req *bff.LoginRequest) (name string, err error) {
	tags := query.Get("ui_locales")
	if tags == "" || !s.policy.UILocales {
		return "", nil
	}
	if !locales.MatchString(tags) {
		return "ui_locales", errors.New("no language tags")
	}
	req.Extra.Set("ui_locales", tags)
	return "ui_locales", nil
}

// readExtra takes the further parameters of the app, under the provider's names for them.
func (s *Surface) readExtra(query url.Values, req *bff.LoginRequest, shown url.Values) error {
	for name, param := range s.policy.Extra {
		value := query.Get(name)
		if value == "" {
			continue
		}
		// An organisation or a connection decides where a user signs in: a link must not choose freely (RFC 9700 section 2.3).
		if !slices.Contains(param.Values, value) && (param.Pattern == nil || !param.Pattern.MatchString(value)) {
			return badParameter(name, errors.New("value not allowed"))
		}
		// Asked for by one name, sent under another: the frontend need not know the product behind.
		at := name
		if param.Name != "" {
			at = param.Name
		}
		req.Extra.Set(at, value)
		shown.Set(name, value)
	}
	return nil
}

// allOf is an error if one of the values is not allowed.
func allOf(values, allowed []string) error {
	for _, v := range values {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%.64q is not allowed", v)
		}
	}
	return nil
}

// withQuery joins a path and its query.
func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
