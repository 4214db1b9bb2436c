package idp_test

import (
	"crypto"
	"errors"
	"testing"

	"cloakroom/bff"
	"cloakroom/idp"
)

// A key that is none makes no signature good, and takes no process down: crypto/ed25519 panics at a key of another length.
//
// shows JWKS-SEL
func TestKeysThatAreNone(t *testing.T) {
	ed := func(n int) map[string]any {
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "bad", "use": "sig", "x": b64(make([]byte, n))}
	}
	ec := func(x, y []byte) map[string]any {
		return map[string]any{"kty": "EC", "crv": "P-256", "kid": "bad", "use": "sig", "x": b64(x), "y": b64(y)}
	}
	long, one := make([]byte, 40), []byte{1}
	long[0] = 0xff
	modulus := rsaOne().PublicKey.N.Bytes()
	rsaKey := func(e []byte) map[string]any {
		return map[string]any{"kty": "RSA", "kid": "bad", "use": "sig", "n": b64(modulus), "e": b64(e)}
	}
	for what, tc := range map[string]struct {
		alg string
		key map[string]any
	}{
		"no bytes":              {"EdDSA", ed(0)},
		"31 bytes":              {"EdDSA", ed(31)},
		"33 bytes":              {"EdDSA", ed(33)},
		"a point at infinity":   {"ES256", ec([]byte{0}, []byte{0})},
		"a point off its curve": {"ES256", ec(one, one)},
		"coordinates too long":  {"ES256", ec(long, long)},
		"an exponent of zero":   {"RS256", rsaKey([]byte{0})},
		"an exponent of one":    {"RS256", rsaKey(one)},
		"an exponent too long":  {"RS256", rsaKey(long)},
	} {
		t.Run("a published key with "+what, func(t *testing.T) {
			p := newProvider(t)
			p.setKeys(tc.key, jwkOf("r1", &rsaOne().PublicKey))
			forged := sign(header(tc.alg, "bad"), encode(p.claims(nil)), func([]byte) []byte { return make([]byte, 64) })
			p.givesID(forged)
			if _, err := exchange(t, p.client(nil)); err == nil {
				t.Error("a token signed by nothing is accepted")
			}
		})
	}
}

// A provider that rotates its keys signs by the new one at once; its published set may lag behind some cache. Whoever is
// renewed just then stays signed in, and nothing of theirs is revoked. A login is refused: nobody is
// signed in by a token that was not verified.
//
// shows JWKS-ROT
func TestARenewalDuringARotation(t *testing.T) {
	newKey := func(p *provider, sub string) string {
		return sign(header("RS256", "r2"), encode(p.claims(map[string]any{"sub": sub})), byRSA(rsaTwo(), crypto.SHA256))
	}
	for _, tc := range []struct {
		with  string
		token func(p *provider) string
		good  bool
	}{
		{"a key that is not published yet", func(p *provider) string { return newKey(p, subject) }, true},
		{"such a key and another subject", func(p *provider) string { return newKey(p, "usr_2") }, false},
		{"a known key's name and a bad signature", func(p *provider) string {
			return sign(header("RS256", "r1"), encode(p.claims(nil)), byRSA(rsaTwo(), crypto.SHA256))
		}, false},
	} {
		t.Run("an access token with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			is := p.issuer(func(s *idp.Settings) { s.AccessTokenJWT = true })
			c := register(is)
			p.givesTokens(map[string]any{"access_token": tc.token(p), "id_token": nil})
			grant, err := c.Refresh(t.Context(), p.session(), "")
			drain(t, is)
			if !tc.good {
				if outcomeOf(t, err).Outcome != bff.OutcomeSpent {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || p.count("/revoke") != 0 {
				t.Fatalf("the session ends: %v, with %d revocations", err, p.count("/revoke"))
			}
			if grant.Alarm == nil || grant.Tokens.Refresh.Reveal() != "rt-secret-2" {
				t.Errorf("got %+v", grant)
			}
		})
	}
	p := newProvider(t)
	p.givesTokens(map[string]any{"id_token": newKey(p, subject)})
	if _, err := exchange(t, p.client(nil)); err == nil {
		t.Error("a login by an unknown key is accepted")
	} else if rule, ok := errors.AsType[*idp.RuleError](err); !ok || rule.Rule != idp.RuleSignature {
		t.Errorf("a login by an unknown key: %v", err)
	}
}
