package provider

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// AuthMethod is how a client proves itself at the token, revocation and introspection endpoints. It is fixed per client.
type AuthMethod string

// The methods of OpenID Connect Core section 9 that the provider knows.
const (
	SecretPost  AuthMethod = "client_secret_post"  // the default of a client with a secret
	SecretBasic AuthMethod = "client_secret_basic" // RFC 6749 section 2.3.1, form-encoded inside Basic
	PrivateKey  AuthMethod = "private_key_jwt"     // an assertion (RFC 7523), by a key of Client.JWKS or at Client.JWKSURI
	NoAuth      AuthMethod = "none"                // the default of a client without a secret: public, by PKCE alone
)

// Client is one registered client.
type Client struct {
	ID                     string // webc_…
	Secret                 string // empty for a public client
	Auth                   AuthMethod
	JWKS                   []byte   // its public keys as a JWK set; for PrivateKey
	JWKSURI                string   // where they are fetched instead
	RedirectURIs           []string // compared as strings, whole
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string        // "" gets no logout tokens
	InitiateLoginURI       string        // where a sign-in that begins here is sent
	DisallowManagement     bool          // its own token opens no /api/v1
	Grants                 []string      // allowed grant types; nil means all
	Scopes                 []string      // allowed scopes; nil means all
	Audience               []string      // aud of its access tokens; nil means the client ID, as at Scalekit
	Resources              []string      // allowed resources (RFC 8707); nil means all
	Audiences              []string      // allowed audiences of exchanged tokens (RFC 8693); nil means all
	RefreshOnExchange      bool          // an exchange gives it a refresh token too
	AccessLife             time.Duration // of its access tokens; 0 means the provider's

	proved string // thumbprint of the key that the request at hand proved; "" for none
}

// Register adds a client or replaces the one with its ID.
func (p *Provider) Register(c Client) {
	if c.Auth == "" && c.Secret == "" {
		c.Auth = NoAuth
	}
	c.Auth = orElse(c.Auth, SecretPost)
	p.log.issue(KindClientSecret, c.ID, c.Secret, p.now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients[c.ID] = c
	delete(p.clientKeys, c.ID)
}

func (c Client) mayUse(grant string) bool { return c.Grants == nil || slices.Contains(c.Grants, grant) }

func (c Client) mayAsk(scopes []string) bool {
	return c.Scopes == nil || !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// credentials are what a request presents as a client, and by which method.
type credentials struct {
	id, secret string
	method     AuthMethod
}

// authenticate finds the client that sent a form and checks its proof against the one method it is registered for.
func (p *Provider) authenticate(r *http.Request) (Client, error) {
	cred, err := readCredentials(r)
	if err != nil {
		return Client{}, err
	}
	client, known := p.clients[cred.id]
	if !known || cred.method != client.Auth {
		return Client{}, invalidClient(cred.method)
	}
	if cred.method == PrivateKey {
		p.log.issue(KindAssertion, client.ID, cred.secret, p.now())
		if err := p.checkAssertion(client, cred.secret); err != nil {
			return Client{}, refusal{status: http.StatusUnauthorized, code: "invalid_client", description: err.Error()}
		}
		return client, nil
	}
	if subtle.ConstantTimeCompare([]byte(cred.secret), []byte(client.Secret)) != 1 {
		return Client{}, invalidClient(cred.method)
	}
	return client, nil
}

// readCredentials refuses two methods in one request: RFC 6749 section 2.3, "the client MUST NOT use more than one".
func readCredentials(r *http.Request) (credentials, error) {
	form := r.PostForm
	id, secret, basic := r.BasicAuth()
	asserted := form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case basic && form.Has("client_secret"), asserted && (basic || form.Has("client_secret")):
		return credentials{}, badRequest("more than one client authentication method")
	case basic:
		return decodeBasic(id, secret, form)
	case asserted:
		return readAssertion(form)
	case form.Has("client_secret"):
		return credentials{form.Get("client_id"), form.Get("client_secret"), SecretPost}, nil
	}
	return credentials{form.Get("client_id"), "", NoAuth}, nil
}

// readAssertion finds whom an assertion is from: RFC 7521 section 4.2, "client_id is optional, but MUST identify the same client".
func readAssertion(form url.Values) (credentials, error) {
	raw := form.Get("client_assertion")
	id := clientOfAssertion(raw)
	switch {
	case form.Get("client_assertion_type") != bearerAssertion:
		return credentials{}, badRequest("client_assertion_type unknown")
	case form.Has("client_id") && form.Get("client_id") != id:
		return credentials{}, badRequest("client_id differs from the assertion's")
	}
	return credentials{id, raw, PrivateKey}, nil
}

// decodeBasic undoes the form encoding of both halves: RFC 6749 section 2.3.1 and appendix B.
func decodeBasic(rawID, rawSecret string, form url.Values) (credentials, error) {
	id, err := url.QueryUnescape(rawID)
	if err != nil {
		return credentials{}, invalidClient(SecretBasic)
	}
	secret, err := url.QueryUnescape(rawSecret)
	if err != nil {
		return credentials{}, invalidClient(SecretBasic)
	}
	if form.Has("client_id") && form.Get("client_id") != id {
		return credentials{}, badRequest("client_id differs from the authenticated client")
	}
	return credentials{id, secret, SecretBasic}, nil
}
