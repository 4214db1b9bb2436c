package provider

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// SignMode is how a token is signed.
type SignMode int

// The ways to sign; all but the first are attacks.
const (
	SignProperly         SignMode = iota // with the signing key, or with Signing.Key
	SignNone                             // alg none, empty signature (RFC 8725 section 2.1)
	SignWithClientSecret                 // HS256 keyed with the client's secret
	SignWithPublicPEM                    // HS256 keyed with our public key as PEM (RFC 8725 section 2.1)
	SignWithUnknownKey                   // RS256 by a key that is not published, under its own kid
	SignWithStolenKID                    // RS256 by a key that is not published, under the signing key's kid
	SignTampered                         // properly, then one character of the payload changed
)

// Signing says how tokens are signed. The zero value is right.
type Signing struct {
	Mode SignMode
	Key  *Key // for SignProperly; nil means the provider's signing key
}

// Sign makes a compact JWS from any header and claims: alg, kid and typ JWT are set unless the header has them, nothing else is
// checked. clientID says whose secret SignWithClientSecret uses. The token is in the issue log as kind.
func (p *Provider) Sign(kind Kind, clientID string, header, claims map[string]any, how Signing) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sign(kind, clientID, header, claims, how, nil)
}

// signer is a key with what the header says of it.
type signer struct {
	alg jwa.SignatureAlgorithm
	kid string
	key any
}

func (p *Provider) sign(kind Kind, clientID string, header, claims map[string]any, how Signing, edit Edit) (string, error) {
	s, err := p.signer(clientID, how)
	if err != nil {
		return "", err
	}
	full := map[string]any{"alg": s.alg.String(), "typ": "JWT"} // typ JWT on access tokens too, as observed at Scalekit
	if s.kid != "" {
		full["kid"] = s.kid
	}
	overlay(full, header)
	if edit != nil {
		edit(full, claims)
	}
	token, err := assemble(full, claims, s)
	if how.Mode == SignTampered && err == nil {
		token, err = tamper(full, claims, token)
	}
	p.log.issue(kind, clientID, token, p.now())
	return token, err
}

func (p *Provider) signer(clientID string, how Signing) (signer, error) {
	own := p.keys.signing
	switch how.Mode {
	case SignNone:
		return signer{alg: jwa.NoSignature}, nil
	case SignWithClientSecret:
		return signer{jwa.HS256, own.kid, []byte(orElse(p.clients[clientID].Secret, "none"))}, nil
	case SignWithPublicPEM:
		key, err := publicPEM(own)
		return signer{jwa.HS256, own.kid, key}, err
	case SignWithUnknownKey, SignWithStolenKID:
		return p.strangerSigner(how.Mode)
	}
	k := orElse(how.Key, own)
	return signer{k.alg, k.kid, k.private}, nil
}

func (p *Provider) strangerSigner(mode SignMode) (signer, error) {
	if p.keys.stranger == nil {
		k, err := NewKey(KeySpec{})
		if err != nil {
			return signer{}, err
		}
		p.keys.stranger = k
	}
	k := p.keys.stranger
	if mode == SignWithStolenKID {
		return signer{k.alg, p.keys.signing.kid, k.private}, nil
	}
	return signer{k.alg, k.kid, k.private}, nil
}

func publicPEM(k *Key) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(&k.private.(*rsa.PrivateKey).PublicKey)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

// assemble joins the three parts by hand, because the header may be one that no JOSE library would agree to write.
func assemble(header, claims map[string]any, s signer) (string, error) {
	input, err := signingInput(header, claims)
	if err != nil || s.key == nil {
		return input + ".", err
	}
	alg := s.alg
	if named, ok := header["alg"].(string); ok && sameFamily(alg, named) {
		alg = jwa.SignatureAlgorithm(named) // a hook that names RS512 gets a true RS512 signature
	}
	with, err := jws.NewSigner(alg)
	if err != nil {
		return "", fmt.Errorf("signing as %s: %w", alg, err)
	}
	sig, err := with.Sign([]byte(input), s.key)
	if err != nil {
		return "", fmt.Errorf("signing as %s: %w", alg, err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// sameFamily tells whether one RSA or HMAC key can also sign by the algorithm named.
func sameFamily(alg jwa.SignatureAlgorithm, named string) bool {
	switch jwa.SignatureAlgorithm(named) {
	case jwa.RS256, jwa.RS384, jwa.RS512, jwa.PS256, jwa.PS384, jwa.PS512:
		return alg == jwa.RS256
	case jwa.HS256, jwa.HS384, jwa.HS512:
		return alg == jwa.HS256
	}
	return false
}

func signingInput(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("encoding header: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c), nil
}

// tamper keeps the signature and changes what it is meant to protect, to other well-formed claims.
func tamper(header, claims map[string]any, token string) (string, error) {
	claims["tampered"] = true
	input, err := signingInput(header, claims)
	signature := token[len(token)-signatureLength(token):]
	return input + "." + signature, err
}

func signatureLength(token string) int {
	n := 0
	for n < len(token) && token[len(token)-1-n] != '.' {
		n++
	}
	return n
}

// halfHash is at_hash and c_hash: OpenID Connect Core section 3.1.3.6, the left half of the hash, here of RS256's SHA-256.
func halfHash(value string) string {
	sum := sha256Sum(value)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
