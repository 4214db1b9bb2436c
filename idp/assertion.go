package idp

import (
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// What an assertion says beside its claims.
const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	assertionTyp  = "client-authentication+jwt"                              // draft-ietf-oauth-rfc7523bis section 4: for nothing else
	assertionLife = time.Minute                                              // it is used at once; the rest is for clocks that are off
	assertionID   = 32                                                       // bytes of jti: nobody guesses one, no two are the same
)

// Audiences of an assertion.
const (
	// AudienceIssuer names the issuer, as one string: then an assertion is worth nothing at another provider, whatever the
	// metadata says of its endpoints (draft-ietf-oauth-rfc7523bis section 3).
	AudienceIssuer = "issuer"
	// AudienceTokenEndpoint names the token endpoint of the metadata, as RFC 7523 section 3 had it, for providers that know
	// nothing else. Whoever can change that metadata can have an assertion made for another provider's endpoint.
	AudienceTokenEndpoint = "token_endpoint"
)

// ErrClientKey says that a key is none that a client may authenticate by.
var ErrClientKey = errors.New("no key of a client: RSA of 2048 bits or more, P-256 or Ed25519")

// ClientKey is a key that an app authenticates by (private_key_jwt, OpenID Connect Core section 9). Its private half is
// behind a function: no print and no encoder finds it.
type ClientKey struct {
	id, alg string
	public  json.RawMessage // a JWK (RFC 7517 section 4)
	sign    func([]byte) ([]byte, error)
}

// NewClientKey takes a private key. It signs by ES256, EdDSA or PS256, as its kind is; rs256 has RSA keys sign by RS256,
// for providers that know no other. The error is ErrClientKey.
func NewClientKey(id string, private crypto.Signer, rs256 bool) (*ClientKey, error) {
	alg := algOf(private, rs256)
	if alg == "" {
		return nil, ErrClientKey
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClientKey, err)
	}
	public, err := publicJWK(id, alg, private.Public())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClientKey, err)
	}
	sign := func(b []byte) ([]byte, error) { return signer.Sign(b, private) }
	return &ClientKey{id: id, alg: alg, public: public, sign: sign}, nil
}

// algOf returns what a private key signs by; "" for a kind or size that may not be used (RFC 7518 section 3.5, FAPI 2.0
// Security Profile section 5.4).
func algOf(private crypto.Signer, rs256 bool) string {
	if private == nil {
		return ""
	}
	algs := algsFor(private.Public())
	switch {
	case len(algs) == 0:
		return ""
	case algs[0] == "ES256", algs[0] == "EdDSA":
		return algs[0]
	case algs[0] == "RS256" && rs256:
		return "RS256"
	case algs[0] == "RS256": // the first of an RSA key's
		return "PS256"
	default: // other curves
		return ""
	}
}

// publicJWK is made of the public half alone: there is no private member to forget.
func publicJWK(id, alg string, public crypto.PublicKey) (json.RawMessage, error) {
	k, err := jwk.FromRaw(public)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{jwk.KeyIDKey: id, jwk.AlgorithmKey: alg, jwk.KeyUsageKey: "sig"} {
		if err := k.Set(name, value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(k)
}

// PublicKeys returns the app's keys as members of a JWK set (RFC 7517 section 5): all of them, so that one can be published
// before it signs and after it has signed for the last time (OpenID Connect Core section 10.1.1). Never nil.
func (c *Client) PublicKeys() []json.RawMessage {
	keys := make([]json.RawMessage, 0, len(c.set.Keys))
	for _, k := range c.set.Keys {
		keys = append(keys, k.public)
	}
	return keys
}

// assertion makes a client assertion, new for each request (RFC 7523 section 3: jti is used once).
func (c *Client) assertion(m *metadata) (string, error) {
	if len(c.set.Keys) == 0 {
		return "", ErrClientKey
	}
	key, now := c.set.Keys[0], c.is.now()
	header, err := json.Marshal(map[string]string{"alg": key.alg, "kid": key.id, "typ": c.is.set.AssertionTyp})
	if err != nil {
		return "", err
	}
	var id [assertionID]byte
	_, _ = rand.Read(id[:]) // never fails: the runtime stops the process instead
	claims, err := json.Marshal(map[string]any{
		"iss": c.set.ClientID, "sub": c.set.ClientID, // RFC 7523 section 3, items 1 and 2
		"aud": c.audience(m), // item 3: one string, for an array would say that others may take it too
		"jti": base64.RawURLEncoding.EncodeToString(id[:]),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := key.sign([]byte(signed))
	if err != nil {
		return "", fmt.Errorf("signing by client key %s: %w", key.id, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// audience is who may take an assertion, at every endpoint of this provider and at none of another.
func (c *Client) audience(m *metadata) string {
	if c.is.set.AssertionAudience == AudienceTokenEndpoint {
		return m.Token
	}
	return c.is.set.Issuer
}
