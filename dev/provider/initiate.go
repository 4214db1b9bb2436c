package provider

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

// ErrNoInitiate is returned for a client that is unknown or has no initiate-login URL.
var ErrNoInitiate = errors.New("client has no initiate-login URL")

// Initiation describes the JWT that Scalekit adds to a sign-in that began at a customer's identity provider. The zero value of each
// field is right or left out; Signing and Edit can make anything of it.
type Initiation struct {
	Organization string // organization_id
	Connection   string // connection_id
	LoginHint    string
	RelayState   string
	Life         time.Duration // default 5 min, as Scalekit
	Signing      Signing
	Edit         Edit
}

// MakeInitiation makes such a JWT and sends nobody anywhere. It names no audience, for all applications of an environment take it.
func (p *Provider) MakeInitiation(i Initiation) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	claims := map[string]any{
		"iss": p.issuer, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(orElse(i.Life, 5*time.Minute)).Unix(),
	}
	for name, value := range map[string]string{
		"organization_id": i.Organization, "connection_id": i.Connection, "login_hint": i.LoginHint, "relay_state": i.RelayState,
	} {
		if value != "" {
			claims[name] = value
		}
	}
	return p.sign(KindInitiation, "", nil, claims, i.Signing, i.Edit)
}

// InitiateLink is the address that a browser is sent to when a sign-in begins here: the client's initiate-login URL, with what is
// signed about it.
func (p *Provider) InitiateLink(clientID string, i Initiation) (string, error) {
	token, err := p.MakeInitiation(i)
	if err != nil {
		return "", err
	}
	at := p.initiateURL(clientID)
	if at == "" {
		return "", ErrNoInitiate
	}
	return withQuery(at, url.Values{"idp_initiated_login": {token}}), nil
}

func (p *Provider) initiateURL(clientID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clients[clientID].InitiateLoginURI
}

// sendBack answers an authorization request by the client's initiate-login URL, as Scalekit does to a browser that keeps no cookie:
// the client begins anew, and so on.
func (p *Provider) sendBack(r *http.Request, req authRequest) reply {
	if req.client.InitiateLoginURI == "" {
		return errorPage("Cookies are needed here.")
	}
	return redirectReply(r, withQuery(req.client.InitiateLoginURI, url.Values{"error_description": {"cookies are disabled"}}))
}
