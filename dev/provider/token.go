package provider

import (
	"crypto/subtle"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// token answers POST /oauth/token.
func (p *Provider) token(r *http.Request) reply { return p.withNonce(p.grant(r)) }

func (p *Provider) grant(r *http.Request) reply {
	if err := checkForm(r); err != nil {
		return errorReply(err)
	}
	p.log.issue(KindVerifier, r.PostForm.Get("client_id"), r.PostForm.Get("code_verifier"), p.now())
	client, err := p.authenticate(r)
	if err != nil {
		return errorReply(err)
	}
	// RFC 9449 section 8: who is sent for a nonce has used nothing up but this proof and this client assertion.
	if client.proved, err = p.proved(r, client); err != nil {
		return errorReply(err)
	}
	switch kind := r.PostForm.Get("grant_type"); {
	case kind == "":
		return errorReply(badRequest("grant_type missing"))
	case kind != "authorization_code" && kind != "refresh_token" && kind != "client_credentials" && kind != GrantExchange:
		return errorReply(refuse("unsupported_grant_type", kind+" not supported"))
	case !client.mayUse(kind):
		return errorReply(refuse("unauthorized_client", "the client may not use "+kind))
	case kind == "authorization_code":
		return p.exchangeCode(client, r.PostForm)
	case kind == "refresh_token":
		return p.refresh(client, r.PostForm)
	case kind == GrantExchange:
		return p.exchangeToken(client, r.PostForm)
	}
	return p.clientCredentials(client, r.PostForm)
}

// checkForm wants a form in the body with nothing repeated: RFC 6749 section 3.2.
func checkForm(r *http.Request) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return badRequest("the body is not a form")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && !repeatable(name) {
			return badRequest("repeated parameter " + name)
		}
	}
	return nil
}

// exchangeCode trades a code once. RFC 6749 section 4.1.2: at a second use, what the first one gave is revoked.
func (p *Provider) exchangeCode(client Client, form url.Values) reply {
	value := form.Get("code")
	if value == "" {
		return errorReply(badRequest("code missing"))
	}
	c, known := p.codes[value]
	if !known || c.grant.client != client.ID {
		return errorReply(badGrant("invalid code"))
	}
	if c.used {
		c.grant.revoked = true
		return errorReply(badGrant("invalid code"))
	}
	c.used = true // also by a failed try: a code is not for guessing verifiers
	if err := p.checkCode(c, form); err != nil {
		return errorReply(err)
	}
	if c.jkt != "" && c.jkt != client.proved && !p.behaviour.DPoPIgnored { // RFC 9449 section 10
		return errorReply(badGrant("the code is bound to another key"))
	}
	aim, err := p.aimed(client, c.grant, form)
	if err != nil {
		return errorReply(err)
	}
	return p.answerTokens(client, issuance{
		grant: c.grant, code: value, audience: one(aim), idToken: true,
		refresh: p.firstRefresh(client, c.grant),
	})
}

func (p *Provider) checkCode(c *code, form url.Values) error {
	switch {
	case p.now().After(c.ends) || !p.alive(c.grant):
		return badGrant("invalid code")
	case form.Get("redirect_uri") != c.redirect:
		return badGrant("redirect_uri does not correspond")
	case p.behaviour.IgnorePKCE:
		return nil
	}
	return checkVerifier(c.challenge, form.Get("code_verifier"))
}

// checkVerifier is RFC 7636 section 4.6, and its inverse, RFC 9700 section 2.1.1: a verifier without a challenge is refused.
func checkVerifier(challenge, verifier string) error {
	sum := sha256Sum(verifier)
	hashed := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return badGrant("code_verifier unexpectedly provided")
	case verifier == "":
		return badRequest("code_verifier required")
	case subtle.ConstantTimeCompare([]byte(hashed), []byte(challenge)) != 1:
		return badGrant("invalid code_verifier")
	}
	return nil
}

func (p *Provider) clientCredentials(client Client, form url.Values) reply {
	scope := form.Get("scope")
	switch {
	case client.Auth == NoAuth: // RFC 6749 section 4.4: confidential clients only
		return errorReply(refuse("unauthorized_client", "a public client has no credentials"))
	case !client.mayAsk(strings.Fields(scope)):
		return errorReply(refuse("invalid_scope", "the client may not ask for this scope"))
	}
	g := &grant{client: client.ID, sub: client.ID, scope: scope, authTime: p.now()}
	p.grants = append(p.grants, g)
	return p.answerTokens(client, issuance{grant: g})
}
