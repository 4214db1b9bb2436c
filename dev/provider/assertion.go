package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// bearerAssertion is the one kind of assertion that is taken (RFC 7523 section 2.2).
const bearerAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of an assertion.
const (
	assertionMost = time.Minute     // from now to exp, and from iat to exp: nobody needs longer
	clockMost     = 5 * time.Second // by which iat may lie ahead
	keySetMost    = 1 << 20
)

// assertionClaims are those of RFC 7523 section 3.
type assertionClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	ID       string          `json:"jti"`
	Issued   int64           `json:"iat"`
	Expires  int64           `json:"exp"`
}

// keySetOf remembers the keys that a client published, as providers do: it is fetched anew only for a kid that is not in it.
type keySetOf struct {
	keys    jwk.Set
	fetched int
}

// clientOfAssertion reads who an assertion claims to be from, before anything of it is believed.
func clientOfAssertion(raw string) string {
	m, err := jws.ParseString(raw)
	if err != nil {
		return ""
	}
	var claims assertionClaims
	if json.Unmarshal(m.Payload(), &claims) != nil {
		return ""
	}
	return claims.Subject
}

// checkAssertion is strict on purpose: what passes here passes at any provider that keeps to the text.
func (p *Provider) checkAssertion(client Client, raw string) error {
	m, err := jws.ParseString(raw)
	if err != nil || len(m.Signatures()) != 1 {
		return errors.New("assertion is not one compact JWS")
	}
	if err := p.checkAssertionSignature(client, raw, m.Signatures()[0].ProtectedHeaders()); err != nil {
		return err
	}
	var claims assertionClaims
	if err := json.Unmarshal(m.Payload(), &claims); err != nil {
		return fmt.Errorf("claims of the assertion: %w", err)
	}
	return p.checkAssertionClaims(client, claims)
}

func (p *Provider) checkAssertionSignature(client Client, raw string, header jws.Headers) error {
	alg := header.Algorithm()
	if !slices.Contains([]jwa.SignatureAlgorithm{jwa.ES256, jwa.PS256, jwa.RS256, jwa.EdDSA}, alg) {
		return fmt.Errorf("assertion by algorithm %s", alg)
	}
	if typ := orElse(p.behaviour.AssertionTyp, "client-authentication+jwt"); header.Type() != typ {
		return fmt.Errorf("assertion of type %s, want %s", header.Type(), typ)
	}
	key, err := p.clientKey(client, header.KeyID())
	if err != nil {
		return err
	}
	if named := key.Algorithm().String(); named != "" && named != alg.String() {
		return fmt.Errorf("assertion by %s under a key for %s", alg, named)
	}
	if _, err := jws.Verify([]byte(raw), jws.WithKey(alg, key)); err != nil {
		return fmt.Errorf("signature of the assertion: %w", err)
	}
	return nil
}

func (p *Provider) checkAssertionClaims(client Client, claims assertionClaims) error {
	now := p.now()
	var audience string // an array is refused (draft-ietf-oauth-rfc7523bis section 3)
	want := orElse(p.behaviour.AssertionAudience, p.issuer)
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("iss and sub of the assertion are not the client")
	case json.Unmarshal(claims.Audience, &audience) != nil || audience != want:
		return fmt.Errorf("aud of the assertion is %s, want the string %q", claims.Audience, want)
	case claims.Expires <= now.Unix() || claims.Expires > now.Add(assertionMost+clockMost).Unix():
		return errors.New("exp of the assertion is past or too far off")
	case claims.Issued == 0 || claims.Issued > now.Add(clockMost).Unix() || claims.Expires-claims.Issued > int64(assertionMost/time.Second):
		return errors.New("iat of the assertion does not fit")
	case len(claims.ID) < 22: // 128 bits in base64url
		return errors.New("jti of the assertion can be guessed")
	case p.assertions[claims.ID]:
		return errors.New("jti of the assertion was used before")
	}
	p.assertions[claims.ID] = true
	return nil
}

// clientKey finds a key of the client by its name, in the registered set or the one at its jwks_uri.
func (p *Provider) clientKey(client Client, kid string) (jwk.Key, error) {
	known := p.clientKeys[client.ID]
	if known == nil {
		known = &keySetOf{keys: jwk.NewSet()}
		p.clientKeys[client.ID] = known
	}
	if key, ok := known.keys.LookupKeyID(kid); ok && kid != "" {
		return key, nil
	}
	text := client.JWKS
	if client.JWKSURI != "" {
		var err error
		if text, err = p.fetchKeys(client.JWKSURI); err != nil {
			return nil, fmt.Errorf("keys of the client: %w", err)
		}
		known.fetched++
	}
	set, err := jwk.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("keys of the client: %w", err)
	}
	known.keys = set
	key, ok := set.LookupKeyID(kid)
	if !ok || kid == "" {
		return nil, fmt.Errorf("key %q is not among those of the client", kid)
	}
	if private, err := jwk.IsPrivateKey(key); private || err != nil {
		return nil, errors.New("a private key is published") // RFC 7517 section 9.2: it is everybody's
	}
	return key, nil
}

func (p *Provider) fetchKeys(uri string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.life, 5*time.Second) // all other work waits for it
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer with status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, keySetMost))
}

// KeyFetches is how often a client's published keys were fetched.
func (p *Provider) KeyFetches(clientID string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.clientKeys[clientID]; known != nil {
		return known.fetched
	}
	return 0
}
