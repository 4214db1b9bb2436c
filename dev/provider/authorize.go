package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authRequest is an authorization request whose client and redirect URI are known to be good.
type authRequest struct {
	client    Client
	redirect  string
	state     string
	nonce     string
	scope     string
	challenge string
	prompt    string
	hint      string
	acr       string // the first of acr_values
	org       string
	resources []string      // RFC 8707
	jkt       string        // dpop_jkt (RFC 9449 section 10)
	maxAge    time.Duration // -1: not asked
	made      time.Time
}

// grant is what a user allowed a client at one sign-in. All tokens that come from one code share it: it is the family.
type grant struct {
	client    string
	sub       string
	session   *session // nil for client_credentials
	sid       string   // as told to this client
	scope     string
	nonce     string
	acr       string
	org       string
	resources []string // that its tokens may be for (RFC 8707)
	authTime  time.Time
	revoked   bool
}

// code is an authorization code, kept after its use: a second use must be noticed.
type code struct {
	grant     *grant
	redirect  string
	challenge string
	jkt       string // of the key that redeems it; "" for any
	ends      time.Time
	used      bool
}

// authorize answers /oauth/authorize: with a page, or with a redirect back to the client.
func (p *Provider) authorize(r *http.Request) reply {
	client, redirect, problem := p.destination(r.Form)
	if problem != "" {
		// RFC 6749 section 4.1.2.1: with a bad client or redirect URI the user is told, and must not be redirected.
		return errorPage(problem)
	}
	req, err := p.readAuthRequest(r.Form)
	req.client, req.redirect = client, redirect
	if err != nil {
		return p.deny(r, req, err)
	}
	if b := p.behaviour; b.AuthorizeError != "" {
		return p.deny(r, req, refuse(b.AuthorizeError, b.ErrorDescription))
	}
	if p.behaviour.SendsBack {
		return p.sendBack(r, req)
	}
	return p.decide(r, req)
}

// destination finds the client and compares the redirect URI as a string: RFC 9700 section 4.1.3.
func (p *Provider) destination(form url.Values) (Client, string, string) {
	client, known := p.clients[form.Get("client_id")]
	redirect := form.Get("redirect_uri")
	switch {
	case !known || len(form["client_id"]) > 1:
		return client, "", "The application is not registered here."
	case !slices.Contains(client.RedirectURIs, redirect) || len(form["redirect_uri"]) > 1:
		return client, "", "The redirect address is not registered for this application."
	}
	return client, redirect, ""
}

func (p *Provider) readAuthRequest(form url.Values) (authRequest, error) {
	acr, _, _ := strings.Cut(form.Get("acr_values"), " ")
	req := authRequest{
		state: form.Get("state"), nonce: form.Get("nonce"), scope: form.Get("scope"), prompt: form.Get("prompt"),
		challenge: form.Get("code_challenge"), hint: form.Get("login_hint"), acr: acr, org: form.Get("organization_id"),
		resources: form[resource], jkt: form.Get("dpop_jkt"), maxAge: -1, made: p.now(),
	}
	for name, values := range form {
		if len(values) > 1 && !repeatable(name) { // RFC 6749 section 3.1: parameters must not be repeated
			return req, badRequest("repeated parameter " + name)
		}
	}
	if err := p.checkAuthRequest(form); err != nil {
		return req, err
	}
	return req, req.readMaxAge(form.Get("max_age"))
}

func (p *Provider) checkAuthRequest(form url.Values) error {
	client := p.clients[form.Get("client_id")]
	switch {
	case form.Has("request"):
		return refuse("request_not_supported", "request objects are not supported")
	case form.Has("request_uri"):
		return refuse("request_uri_not_supported", "request_uri is not supported")
	case form.Get("response_type") != "code":
		return refuse("unsupported_response_type", "only code is supported")
	case form.Has("response_mode") && form.Get("response_mode") != "query":
		return badRequest("only response_mode query is supported")
	case !client.mayUse("authorization_code"):
		return refuse("unauthorized_client", "the client may not use authorization_code")
	case !client.mayAsk(strings.Fields(form.Get("scope"))):
		return refuse("invalid_scope", "the client may not ask for this scope")
	}
	if err := client.checkResources(form[resource]); err != nil {
		return err
	}
	return p.checkChallenge(form)
}

// checkChallenge wants PKCE of every client, S256 only: RFC 9700 section 2.1.1, RFC 7636 section 4.4.1.
func (p *Provider) checkChallenge(form url.Values) error {
	switch {
	case p.behaviour.IgnorePKCE:
		return nil
	case form.Get("code_challenge") == "":
		return badRequest("PKCE required")
	case form.Get("code_challenge_method") != "S256":
		return badRequest("code_challenge_method must be S256")
	case len(form.Get("code_challenge")) != 43: // a SHA-256 in base64url
		return badRequest("code_challenge is not an S256 challenge")
	}
	return nil
}

// readMaxAge reads max_age and, beside it, refuses prompts that contradict themselves (OpenID Connect Core section 3.1.2.1).
func (req *authRequest) readMaxAge(text string) error {
	if slices.Contains(strings.Fields(req.prompt), "none") && req.prompt != "none" {
		return badRequest("prompt none stands alone")
	}
	if text == "" {
		return nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return badRequest("max_age is not a number of seconds")
	}
	req.maxAge = time.Duration(seconds) * time.Second
	return nil
}

// decide signs in by the session there is, by the hint, or by asking.
func (p *Provider) decide(r *http.Request, req authRequest) reply {
	s := p.current(r)
	hinted, known := p.findUser(req.hint)
	fresh := s != nil && p.suffices(s, req) && (!known || hinted.Sub == s.sub)
	switch {
	case fresh:
		return p.grantCode(r, req, s)
	case req.prompt == "none":
		return p.deny(r, req, refuse("login_required", "the user is not signed in, or not as asked"))
	case known:
		return p.grantCode(r, req, p.open(s, hinted, req.acr))
	}
	return p.ask(req)
}

// suffices tells whether a session needs no new sign-in for this request.
func (p *Provider) suffices(s *session, req authRequest) bool {
	for _, again := range []string{"login", "create", "select_account"} {
		if slices.Contains(strings.Fields(req.prompt), again) && !p.behaviour.IgnorePrompt {
			return false
		}
	}
	// OpenID Connect Core section 3.1.2.1: older than max_age must be signed in anew; max_age=0 is prompt=login.
	if req.maxAge == 0 || req.maxAge > 0 && p.now().Sub(s.authTime) > req.maxAge {
		return false
	}
	return req.acr == "" || req.acr == s.acr
}

// ask keeps the request and shows the page of users.
func (p *Provider) ask(req authRequest) reply {
	for id, flow := range p.flows {
		if p.now().Sub(flow.made) > 10*time.Minute { // as long as a code lives: nobody chooses for longer
			delete(p.flows, id)
		}
	}
	id := secret()
	p.flows[id] = req
	return usersPage(signInPage{
		Action: p.url("/sign-in"), Flow: id, Client: req.client.ID, Users: p.users,
		Create: req.prompt == "create", Hint: req.hint,
	})
}

// signIn takes what was chosen on the page.
func (p *Provider) signIn(r *http.Request) reply {
	id := r.PostForm.Get("flow")
	req, known := p.flows[id]
	if !known {
		return errorPage("This sign-in has been used or is too old. Go back to the application and start again.")
	}
	delete(p.flows, id)
	if r.PostForm.Has("deny") {
		return p.deny(r, req, refuse("access_denied", "the user refused"))
	}
	u, ok := p.chosen(r.PostForm)
	if !ok {
		return p.ask(req)
	}
	return p.grantCode(r, req, p.open(p.current(r), u, req.acr))
}

// chosen is the user of the button pressed, or a new one from the form for new accounts.
func (p *Provider) chosen(form url.Values) (User, bool) {
	email := strings.TrimSpace(form.Get("email"))
	if email == "" {
		return p.findUser(form.Get("user"))
	}
	if u, known := p.findUser(email); known {
		return u, true
	}
	u := User{Sub: "usr_" + digits(), Email: email, Name: orElse(strings.TrimSpace(form.Get("name")), email), OrgID: "org_" + digits()}
	p.putUser(u)
	return u, true
}

// grantCode answers with a code and the session's cookie.
func (p *Provider) grantCode(r *http.Request, req authRequest, s *session) reply {
	g := &grant{
		client: req.client.ID, sub: s.sub, session: s, sid: s.tell(req.client.ID, p.behaviour.SIDs), scope: req.scope,
		nonce: req.nonce, acr: s.acr, org: req.org, resources: req.resources, authTime: s.authTime,
	}
	p.grants = append(p.grants, g)
	value := secret()
	p.log.issue(KindCode, req.client.ID, value, p.now())
	p.codes[value] = &code{
		grant: g, redirect: req.redirect, challenge: req.challenge, jkt: req.jkt,
		ends: p.now().Add(orElse(p.behaviour.CodeLife, 10*time.Minute)),
	}
	re := p.goBack(r, req, url.Values{"code": {value}})
	re.header.Add("Set-Cookie", p.ssoCookie(s.cookie).String())
	return re
}

func (p *Provider) deny(r *http.Request, req authRequest, err error) reply {
	e, _ := err.(refusal) // readAuthRequest and its like return nothing else
	answer := url.Values{"error": {e.code}}
	if e.description != "" {
		answer.Set("error_description", e.description)
	}
	return p.goBack(r, req, answer)
}

// goBack redirects to the client with the answer, the state, and who answers: RFC 9207 section 2, also with errors.
func (p *Provider) goBack(r *http.Request, req authRequest, answer url.Values) reply {
	if req.state != "" {
		answer.Set("state", req.state)
	}
	if !p.behaviour.OmitIss {
		answer.Set("iss", orElse(p.behaviour.AnswerIss, p.issuer))
	}
	if edit := p.behaviour.EditAnswer; edit != nil {
		edit(answer)
	}
	return redirectReply(r, withQuery(req.redirect, answer))
}

// withQuery adds parameters to a URI that may have some, and a fragment.
func withQuery(uri string, more url.Values) string {
	uri, fragment, hasFragment := strings.Cut(uri, "#")
	glue := "?"
	if strings.Contains(uri, "?") {
		glue = "&"
	}
	uri += glue + more.Encode()
	if hasFragment {
		uri += "#" + fragment
	}
	return uri
}
