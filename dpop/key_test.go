package dpop_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"cloakroom/test/prover"
)

// with is a key with some members set otherwise; nil drops one.
func with(jwk map[string]any, set map[string]any) prover.Option {
	jwk = maps.Clone(jwk)
	for name, v := range set {
		if jwk[name] = v; v == nil {
			delete(jwk, name)
		}
	}
	return prover.Header("jwk", jwk)
}

type set = map[string]any

// shows DPOP-4.3-6
func TestKeyWith(t *testing.T) {
	const secret = "jwk with a secret"
	p := at(prover.New("ES256"))
	jwk := p.JWK()
	x, y := jwk["x"].(string), jwk["y"].(string)
	run(t, p, []bent{
		{"no jwk", prover.NoHeader("jwk"), "jwk"},
		{"a name alone", with(set{"kid": "k1"}, nil), "jwk"},
		{"a jwk that is null", prover.Header("jwk", nil), "jwk"},
		{"a jwk that is a text", prover.Header("jwk", string(must(json.Marshal(jwk)))), "jwk"},
		{"a jwk that is a list", prover.Header("jwk", []any{jwk}), "jwk"},
		{"a set of keys", prover.Header("jwk", set{"keys": []any{jwk}}), "jwk"},
		{"the private key", prover.Header("jwk", p.PrivateJWK()), secret},
		{"an empty d", with(jwk, set{"d": ""}), secret},
		{"a d that is a number", with(jwk, set{"d": 1}), secret},
		{"the private part of another kind", with(jwk, set{"dp": "AQ"}), secret},
		{"the private part of another kind, and no text", with(jwk, set{"oth": []any{}}), secret},
		{"a symmetric key", prover.Header("jwk", set{"kty": "oct", "k": "c2VjcmV0"}), secret},
		{"a symmetric key that is empty", prover.Header("jwk", set{"kty": "oct"}), "jwk"},
		{"no kty", with(jwk, set{"kty": nil}), "jwk"},
		{"another kty", with(jwk, set{"kty": "RSA"}), "jwk"},
		{"a kty in another case", with(jwk, set{"kty": "ec"}), "jwk"},
		{"no crv", with(jwk, set{"crv": nil}), "jwk"},
		{"another crv", with(jwk, set{"crv": "P-384"}), "jwk"},
		{"no y", with(jwk, set{"y": nil}), "jwk"},
		{"a y that is x", with(jwk, set{"y": x}), "jwk"},
		{"a point off the curve", with(jwk, set{"y": encode(strings.Repeat("y", 32))}), "jwk"},
		{"the point at infinity", with(jwk, set{"x": zeros(32), "y": zeros(32)}), "jwk"},
		{"a coordinate with a zero before it", with(jwk, set{"x": padded(x)}), "jwk"},
		{"a byte of one coordinate moved to the other", with(jwk, moved(x, y)), "jwk"},
		{"a coordinate in the other alphabet", with(jwk, set{"x": "+" + x[1:]}), "jwk"},
		{"a coordinate with padding", with(jwk, set{"y": y + "="}), "jwk"},
		{"a coordinate with a line break", with(jwk, set{"y": y[:9] + "\n" + y[9:]}), "jwk"},
		{"a coordinate that is a number", with(jwk, set{"x": 7}), "jwk"},
		{"the key of another", prover.Header("jwk", prover.New("ES256").JWK()), "signature"},
		{"its algorithm named", with(jwk, set{"alg": "ES256"}), ""},
		{"another algorithm named", with(jwk, set{"alg": "ES384"}), "jwk"},
		{"its use named", with(jwk, set{"use": "sig"}), ""},
		{"another use named", with(jwk, set{"use": "enc"}), "jwk"},
		{"what scripts leave standing", with(jwk, set{"key_ops": []string{"sign"}, "ext": true}), ""},
		{"members that nobody knows", with(jwk, set{"kid": "k1", "more": []any{1}}), ""},
	})
}

// shows DPOP-4.3-6
func TestRSAKeyWith(t *testing.T) {
	p := at(prover.New("PS256"))
	jwk := p.JWK()
	n := jwk["n"].(string)
	odd := func(bits int) string { // of that length, and no key
		raw := make([]byte, (bits+7)/8)
		raw[0], raw[len(raw)-1] = 1<<((bits-1)%8), 1
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	run(t, p, []bent{
		{"nothing odd", with(jwk, nil), ""},
		{"one bit less than may be", with(jwk, set{"n": odd(2047)}), "jwk"},
		{"the least that may be, and no key", with(jwk, set{"n": odd(2048)}), "signature"},
		{"the most that may be, and no key", with(jwk, set{"n": odd(4096)}), "signature"},
		{"one bit more than may be", with(jwk, set{"n": odd(4097)}), "jwk"},
		{"a modulus with a zero before it", with(jwk, set{"n": padded(n)}), "jwk"},
		{"no modulus", with(jwk, set{"n": nil}), "jwk"},
		{"no exponent", with(jwk, set{"e": nil}), "jwk"},
		{"the exponent one", with(jwk, set{"e": "AQ"}), "jwk"},
		{"the exponent three", with(jwk, set{"e": "Aw"}), "jwk"},
		{"an even exponent", with(jwk, set{"e": "AQAC"}), "jwk"},
		{"an exponent with a zero before it", with(jwk, set{"e": "AAEAAQ"}), "jwk"},
		{"an exponent beyond all", with(jwk, set{"e": "_____w"}), "jwk"},
		{"an exponent beyond what a word holds", with(jwk, set{"e": "AQAAAAAAAAAAAAAAAQ"}), "jwk"},
		{"an exponent that wraps around to its own", with(jwk, set{"e": "AQAAAAAAAAAAAQAB"}), "jwk"},
		{"an algorithm of the same key", prover.Header("alg", "RS256"), "signature"},
		{"a prime of it", with(jwk, set{"p": "Aw"}), "jwk with a secret"},
		{"the private key", prover.Header("jwk", p.PrivateJWK()), "jwk with a secret"},
	})
	weak := at(prover.Of("RS256", must(rsa.GenerateKey(rand.Reader, 1024))))
	mustBreak(t, "jwk", request(), weak.Proof("GET", address, handle))
}

// shows DPOP-4.3-6
func TestSignatureWith(t *testing.T) {
	p := at(prover.New("ES256"))
	bend := func(f func([]byte) []byte) prover.Option {
		return prover.Signature(func(_ string, s []byte) []byte { return f(s) })
	}
	run(t, p, []bent{
		{"another key", prover.SignedBy(prover.New("ES256")), "signature"},
		{"another kind of key", prover.SignedBy(prover.New("Ed25519")), "signature"},
		{"one bit turned", bend(func(s []byte) []byte { s[40] ^= 1; return s }), "signature"},
		{"a byte less", bend(func(s []byte) []byte { return s[:63] }), "signature"},
		{"a byte more", bend(func(s []byte) []byte { return append(s, 0) }), "signature"},
		{"zeros", bend(func([]byte) []byte { return make([]byte, 64) }), "signature"},
		{"the curve's order twice", bend(func([]byte) []byte {
			n := elliptic.P256().Params().N.Bytes()
			return append(n, n...)
		}), "signature"},
		{"the form that X.509 uses", bend(func(s []byte) []byte {
			return must(asn1Form(s))
		}), "signature"},
	})
	// Whoever sees two proofs may put one together of both.
	first, second := strings.Split(p.Proof("GET", address, handle), "."), strings.Split(p.Proof("GET", address, handle), ".")
	mustBreak(t, "signature", request(), first[0]+"."+first[1]+"."+second[2])
	mustBreak(t, "signature", request(), first[0]+"."+second[1]+"."+first[2])
}

// asn1Form writes a signature as crypto/ecdsa and most of the world do.
func asn1Form(s []byte) ([]byte, error) {
	r, t := new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:])
	out := []byte{2, byte(len(r.Bytes()))}
	out = append(append(out, r.Bytes()...), 2, byte(len(t.Bytes())))
	out = append(out, t.Bytes()...)
	return append([]byte{0x30, byte(len(out))}, out...), nil
}

// A proof by ES256 on the wrong curves: the algorithm says which curve.
//
// shows DPOP-4.3-6
func TestCurveOfAnotherAlgorithm(t *testing.T) {
	large := at(prover.Of("ES256", must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))))
	mustBreak(t, "jwk", request(), large.Proof("GET", address, handle))
	other := at(prover.Of("ES256", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))))
	mustBreak(t, "jwk", request(), other.Proof("GET", address, handle))
}

// For a point of small order a signature is made without any key: the neutral element and zero, once the text's hash is a
// multiple of the order. crypto/ed25519 takes it, so that a handle bound to such a key were bound to nobody.
//
// shows DPOP-4.3-6
func TestSignatureWithoutAKey(t *testing.T) {
	signature := make([]byte, ed25519.SignatureSize)
	signature[0] = 1
	forge := func(string, []byte) []byte { return signature }
	forged := 0
	for _, text := range weakKeys(t) {
		jwk := set{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(text)}
		for range 200 {
			proof := fixed().Proof("GET", address, handle, prover.Header("jwk", jwk), prover.Signature(forge))
			if signed := proof[:strings.LastIndexByte(proof, '.')]; ed25519.Verify(text, []byte(signed), signature) {
				forged++
				mustBreak(t, "jwk", request(), proof)
				break
			}
		}
	}
	if forged < 8 { // at least the eight points of small order, each in one spelling
		t.Errorf("%d forgeries were possible: the test tries none", forged)
	}
}

// weakKeys are the points of small order with both signs, and what means one of them and is written otherwise.
func weakKeys(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000001",
		"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec", // p - 1
		"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", // p
		"7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffee", // p + 1
		"7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd83d3d706a17c7",
		"05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c228fc9526",
	} {
		n, ok := new(big.Int).SetString(y, 16)
		if !ok {
			t.Fatal(y)
		}
		raw := n.FillBytes(make([]byte, 32))
		slices.Reverse(raw)
		mirror := slices.Clone(raw)
		mirror[31] |= 0x80
		all = append(all, raw, mirror)
	}
	return all
}

func zeros(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }

// moved is the same point with the border between its coordinates elsewhere: another thumbprint of one key.
func moved(x, y string) set {
	xs, ys := must(base64.RawURLEncoding.DecodeString(x)), must(base64.RawURLEncoding.DecodeString(y))
	return set{
		"x": base64.RawURLEncoding.EncodeToString(xs[:31]),
		"y": base64.RawURLEncoding.EncodeToString(append(xs[31:32:32], ys...)),
	}
}

// padded writes a number with a zero byte before it.
func padded(text string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{0}, must(base64.RawURLEncoding.DecodeString(text))...))
}
