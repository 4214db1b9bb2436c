package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Limits of a key set.
const (
	rsaLeast = 2048 // bits; RFC 7518 section 3.3
	rsaMost  = 8192 // bits: larger ones only cost time at each check
	keysMost = 64   // keys of one set that are looked at
)

// errKeys says that the issuer's keys could not be asked, so that nothing is known of a signature.
var errKeys = errors.New("keys of the provider cannot be asked")

// errKeyUnasked says that a token names a key which the issuer did not have a moment ago, so that it was not asked again.
var errKeyUnasked = errors.New("unknown kid, and they were fetched a moment ago")

// errKeyMissing says that the issuer's keys were asked and lack the one a token names: a forgery, or the moment in which
// a provider signs by a new key while its published set, behind some cache, is still the old one.
var errKeyMissing = errors.New("key of the token is not among the published")

// key is a public signing key of the issuer.
type key struct {
	id   string
	algs []string // it may be used with
	raw  any      // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

func (is *Issuer) loadKeys(ctx context.Context) ([]key, error) {
	m, err := is.discover(ctx)
	if err != nil {
		return nil, err
	}
	body, err := is.get(asking(ctx, "keys"), m.JWKS)
	if err != nil {
		is.log.WarnContext(ctx, "signing keys not fetched", "error", err)
		return nil, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		is.alarm(ctx, "signing keys refused", err)
	}
	return keys, err
}

// parseKeys takes the keys that may be used from a JWK set. The others are passed over one by one: a provider may publish
// kinds of keys that are not known here. A set that leaves none is an error, so that the last good copy stays.
func parseKeys(body []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", errJSON)
	}
	var keys []key
	for _, raw := range set.Keys[:min(len(set.Keys), keysMost)] {
		parsed, err := jwk.ParseKey(raw)
		if err != nil {
			continue
		}
		if k, ok := usable(parsed); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("key set without a usable signing key")
	}
	return keys, nil
}

// usable keeps public asymmetric signing keys of sufficient size (RFC 8725 sections 3.1 and 3.5). A symmetric key in a
// published set would let everyone sign; a private one is everybody's too.
func usable(k jwk.Key) (key, bool) {
	if k.KeyUsage() != "" && k.KeyUsage() != string(jwk.ForSignature) {
		return key{}, false
	}
	if ops := k.KeyOps(); len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) {
		return key{}, false
	}
	var raw any
	if k.Raw(&raw) != nil {
		return key{}, false
	}
	algs := algsFor(raw)
	if named := k.Algorithm(); named != nil && named.String() != "" {
		algs = slices.DeleteFunc(algs, func(a string) bool { return a != named.String() })
	}
	return key{id: k.KeyID(), algs: algs, raw: raw}, len(algs) > 0
}

// algsFor returns the algorithms that a raw key can be used with; none for a key that may not be used at all.
func algsFor(raw any) []string {
	switch k := raw.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < rsaLeast || bits > rsaMost {
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		// RFC 7518 section 3.4: each of these algorithms belongs to one curve.
		alg, ok := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Curve.Params().Name]
		if !ok {
			return nil
		}
		return []string{alg}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil // crypto/ed25519 panics at such a key, and a renewal has nobody to catch it
		}
		return []string{"EdDSA"}
	default:
		return nil
	}
}

// candidates returns the keys a token with this header may be signed by. Without a kid it must be clear which.
func candidates(keys []key, kid, alg string) []key {
	fit := slices.DeleteFunc(slices.Clone(keys), func(k key) bool {
		return !slices.Contains(k.algs, alg) || kid != "" && k.id != kid
	})
	if kid == "" && len(fit) > 1 {
		return nil
	}
	return fit
}

// verifySignature checks the signature by the issuer's keys and by nothing that the token names itself: no jku, x5u, jwk
// or x5c (RFC 7515 sections 4.1.2 to 4.1.6 leave their use to us, RFC 8725 section 3.10 warns of it). When none of the
// known keys makes it good they are fetched again, at most once per interval and in one flight: keys rotate, and some
// providers give a new key an old name.
func (is *Issuer) verifySignature(ctx context.Context, t *token) error {
	keys, _, err := is.keys.get(ctx, is.now(), is.loadKeys)
	if err != nil {
		return fmt.Errorf("%w: %w", errKeys, err)
	}
	if signedByOne(keys, t) {
		return nil
	}
	known := len(candidates(keys, t.kid, t.alg)) > 0
	keys, asked, err := is.keys.renew(ctx, is.now(), is.loadKeys, is.keyAsk.take)
	switch {
	case err == nil && signedByOne(keys, t):
		return nil
	case err != nil && !known:
		return fmt.Errorf("%w: %w", errKeys, err)
	case !asked && !known:
		return fmt.Errorf("%w: %w", errKeys, errKeyUnasked)
	case !known && len(candidates(keys, t.kid, t.alg)) == 0 && t.kid != "":
		return fmt.Errorf("%w: %w", errKeyMissing, broken(RuleSignature, "unknown kid"))
	default:
		return broken(RuleSignature, "not signed by a key of the issuer")
	}
}

func signedByOne(keys []key, t *token) bool {
	return slices.ContainsFunc(candidates(keys, t.kid, t.alg), func(k key) bool { return signedBy(k, t) })
}

// signedBy checks exactly the bytes that were parsed, not a second reading of them.
func signedBy(k key, t *token) bool {
	v, err := jws.NewVerifier(jwa.SignatureAlgorithm(t.alg))
	if err != nil {
		return false
	}
	return v.Verify([]byte(t.signed), t.signature, k.raw) == nil
}

// asymmetric reports whether an algorithm is one whose verification key is no secret. It stands before the allow-list, so
// that a setting cannot let HS256 or none in (RFC 8725 sections 3.1 and 3.2).
func asymmetric(alg string) bool {
	return len(alg) == 5 && strings.Contains("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA", alg) && !strings.Contains(alg, " ")
}
