package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// The names of RFC 8693.
const (
	GrantExchange = "urn:ietf:params:oauth:grant-type:token-exchange" // section 2.1: the grant type
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"   // section 3
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
)

// exchangeToken is the grant of RFC 8693: the access token of a user, of this very client, for one that is made for another API.
func (p *Provider) exchangeToken(client Client, form url.Values) reply {
	rec, err := p.exchangeable(client, form)
	if err != nil {
		return errorReply(err)
	}
	is := issuance{grant: rec.grant, scope: form.Get("scope"), audience: slices.Concat(form["audience"], form[resource])}
	if client.RefreshOnExchange { // section 2.2.1: possible, and typically not done
		is.refresh = p.newRefresh(rec.grant)
	}
	is.exchanged = true
	return p.answerTokens(client, is)
}

// exchangeable finds the access token that is to be exchanged, and judges what for (RFC 8693 sections 2.1 and 2.2.2).
func (p *Provider) exchangeable(client Client, form url.Values) (*accessToken, error) {
	wanted := form.Get("requested_token_type")
	switch {
	case client.Auth == NoAuth:
		return nil, refuse("unauthorized_client", "a public client exchanges nothing here")
	case form.Get("subject_token") == "":
		return nil, badRequest("subject_token missing")
	case form.Get("subject_token_type") != typeAccess:
		return nil, badRequest("subject_token_type not supported")
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return nil, badRequest("actor_token not supported")
	case wanted != "" && wanted != typeAccess && wanted != typeJWT:
		return nil, badRequest("requested_token_type not supported")
	case len(form["audience"])+len(form[resource]) == 0:
		return nil, badTarget("neither audience nor resource")
	case !client.mayAsk(strings.Fields(form.Get("scope"))):
		return nil, refuse("invalid_scope", "the client may not ask for this scope")
	}
	rec, ok := p.usable(form.Get("subject_token"))
	if !ok || rec.grant.client != client.ID || rec.grant.session == nil {
		return nil, badRequest("subject_token not acceptable") // section 2.2.2: invalid_request
	}
	for _, audience := range form["audience"] {
		if client.Audiences != nil && !slices.Contains(client.Audiences, audience) {
			return nil, badTarget("the client may not have this audience")
		}
	}
	return rec, client.checkResources(form[resource])
}

// tellExchange adds what the answer to an exchange says beside the token (RFC 8693 section 2.2.1), right or as told.
func (p *Provider) tellExchange(out map[string]any) {
	out["issued_token_type"] = typeAccess
	overlay(out, p.behaviour.ExchangeAnswer)
}

// ExchangeFails is a fault for exchanges alone: they are answered with this status and body, and nothing else is.
func ExchangeFails(status int, body string) Fault {
	return Fault{
		Match: IsExchange, Times: Always, Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// IsExchange tells a token request that exchanges a token from every other, for faults.
func IsExchange(_ *http.Request, form url.Values) bool {
	return form.Get("grant_type") == GrantExchange
}
