// Package prover makes DPoP proofs (RFC 9449) for tests, as an app does that holds a key, and as an attacker does who bends
// one. It is written with the standard library alone, so that it shares no mistake with the package that checks proofs.
//
// A proof that nothing was asked of is good: it is made now, for the method and address it is given, with an identifier of its
// own. An Option bends one thing in it; what is bent is signed like all the rest, unless it is the signature.
package prover

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384, of ES384
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Prover holds a key. It is safe for concurrent use, but for Now, which is set before the first proof.
type Prover struct {
	// Algorithm is what it signs by.
	Algorithm string
	// Now is its clock; nil is the computer's.
	Now func() time.Time

	signer crypto.Signer
}

// New makes a key for ES256, ES384, EdDSA, Ed25519 (the same by its newer name), RS256 or PS256 (both with 2048 bits). It
// panics for any other algorithm: that is a mistake in the test.
func New(algorithm string) *Prover {
	switch algorithm {
	case "ES256":
		return Of(algorithm, made(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	case "ES384":
		return Of(algorithm, made(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)))
	case "EdDSA", "Ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return Of(algorithm, made(private, err))
	case "RS256", "PS256":
		return Of(algorithm, made(rsa.GenerateKey(rand.Reader, 2048)))
	default:
		panic("no such algorithm: " + algorithm)
	}
}

// Of is a prover with a key that is there, whether or not it fits the algorithm's rules: it has to be of the algorithm's kind.
func Of(algorithm string, key crypto.Signer) *Prover {
	return &Prover{Algorithm: algorithm, signer: key}
}

// made panics where the operating system has no randomness.
func made[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Key is the key itself, for whoever signs otherwise.
func (p *Prover) Key() crypto.Signer { return p.signer }

// JWK is the public key as a proof's header shows it: RFC 7517.
func (p *Prover) JWK() map[string]any {
	switch k := p.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point := made(k.Bytes()) // 4, x, y
		half := len(point) / 2
		name := k.Curve.Params().Name
		return map[string]any{"kty": "EC", "crv": name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(k)}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	default:
		panic(fmt.Sprintf("no JWK for %T", k))
	}
}

// PrivateJWK is the key with its secret, as it must never be sent.
func (p *Prover) PrivateJWK() map[string]any {
	jwk := p.JWK()
	switch k := p.signer.(type) {
	case *ecdsa.PrivateKey:
		jwk["d"] = b64(made(k.Bytes()))
	case ed25519.PrivateKey:
		jwk["d"] = b64(k.Seed())
	case *rsa.PrivateKey:
		jwk["d"] = b64(k.D.Bytes())
	}
	return jwk
}

// Thumbprint is RFC 7638 of the key with SHA-256, base64url: what dpop_jkt names.
func (p *Prover) Thumbprint() string {
	// Marshal writes a map in the order of its names, without spaces: just what RFC 7638 section 3 asks for.
	return Hash(string(made(json.Marshal(p.JWK()))))
}

// Hash is SHA-256 in base64url: ath of a handle.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

// Proof makes a proof for one request. The handle is what the request presents beside it; "" presents none. The address is
// claimed as it is given, but for its query and fragment (RFC 9449 section 4.2).
func (p *Prover) Proof(method, address, handle string, bend ...Option) string {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	htu, _, _ := strings.Cut(address, "#")
	htu, _, _ = strings.Cut(htu, "?")
	d := &draft{signer: p}
	d.header = parts{{"typ", "dpop+jwt"}, {"alg", p.Algorithm}, {"jwk", p.JWK()}}
	d.payload = parts{{"jti", rand.Text()}, {"htm", method}, {"htu", htu}, {"iat", now().Unix()}}
	if handle != "" {
		d.payload = append(d.payload, part{"ath", Hash(handle)})
	}
	for _, b := range bend {
		b(d)
	}
	return d.text()
}

// Present makes a request present a bound handle: Authorization with the scheme DPoP, and a proof for the request's method and
// address. Where the gateway is reached by another address than its public one, bend the proof with URL.
func (p *Prover) Present(r *http.Request, handle string, bend ...Option) {
	r.Header.Set("Authorization", "DPoP "+handle)
	r.Header.Set("DPoP", p.Proof(r.Method, r.URL.String(), handle, bend...))
}

// Announce makes a request carry a proof without a handle, as one to the token endpoint or with a pushed request does.
func (p *Prover) Announce(r *http.Request, bend ...Option) {
	r.Header.Set("DPoP", p.Proof(r.Method, r.URL.String(), "", bend...))
}

// sign signs as RFC 7518 section 3 and RFC 8037 section 3.1 say, with the key's own kind deciding how.
func (p *Prover) sign(text string) []byte {
	switch k := p.signer.(type) {
	case *ecdsa.PrivateKey:
		hash := crypto.SHA256
		if p.Algorithm == "ES384" {
			hash = crypto.SHA384
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, digest(hash, text))
		size := (k.Curve.Params().BitSize + 7) / 8
		out := made(make([]byte, 2*size), err)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if p.Algorithm == "PS256" {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		return made(k.Sign(rand.Reader, digest(crypto.SHA256, text), opts))
	default: // Ed25519 signs the text, not its hash
		return made(k.Sign(rand.Reader, []byte(text), crypto.Hash(0)))
	}
}

func digest(h crypto.Hash, text string) []byte {
	w := h.New()
	w.Write([]byte(text))
	return w.Sum(nil)
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
