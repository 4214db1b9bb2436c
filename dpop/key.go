package dpop

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Algorithms are what a proof may be signed by, as RFC 9449 section 5.1 lists them in a server's metadata. EdDSA and Ed25519
// are two names of one: the first is deprecated by RFC 9864 and what older libraries write. ES384 and ES512 are not among
// them: each proof would cost eight times as much to check, and who has no handle can ask for that too.
func Algorithms() []string { return []string{"ES256", "Ed25519", "EdDSA", "PS256", "RS256"} }

// IsThumbprint reports whether s has the form of a thumbprint, as dpop_jkt must have (RFC 9449 section 10).
func IsThumbprint(s string) bool {
	raw, ok := plain(s)
	return ok && len(raw) == sha256.Size
}

// key is a public key that a proof brought along, with the algorithm that its header names.
type key struct {
	algorithm jwa.SignatureAlgorithm
	public    any    // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
	members   string // RFC 7638 section 3.2: the required members of its kind, and no others, as JSON in the order of their names
}

// thumbprint is RFC 7638 with SHA-256. There is one for each key, because each number of a key is read in one spelling only.
func (k *key) thumbprint() string {
	sum := sha256.Sum256([]byte(k.members))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// verifies reports whether the key made the signature.
func (k *key) verifies(signed, signature []byte) bool {
	v, err := jws.NewVerifier(k.algorithm)
	return err == nil && v.Verify(signed, signature, k.public) == nil
}

// key reads the key by the algorithm: RFC 9449 section 4.3, items 5 and 7. The algorithm decides what kind of key there must
// be, never the other way (RFC 8725 section 3.1); none, the HMACs and what is not listed decide nothing.
func (f *form) key() (*key, error) {
	alg, _ := f.header.text("alg")
	if !slices.Contains(Algorithms(), alg) {
		return nil, refuse("alg")
	}
	// The key of a proof stands in it, whole: kid, x5c and jku name keys somewhere else and are not looked at.
	o, ok := f.header["jwk"].(object)
	if !ok {
		return nil, refuse("jwk")
	}
	if o.secret() {
		return nil, refuse("jwk with a secret")
	}
	k, ok := o.public(alg)
	if !ok || !o.meantFor(alg) {
		return nil, refuse("jwk")
	}
	return k, nil
}

// secret reports whether a key holds what must never leave its owner: a private key that was sent is everybody's, and a
// symmetric one proves nothing. The names are those of RFC 7518 section 6.
func (o object) secret() bool {
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, there := o[name]; there {
			return true
		}
	}
	return false
}

// meantFor reports whether what the key says of its use fits (RFC 7517 sections 4.2 and 4.4). What key_ops says is not looked
// at: scripts that take a private key and drop its secret leave "sign" standing there.
func (o object) meantFor(alg string) bool {
	use, ok := o.optional("use")
	if !ok || use != "" && use != "sig" {
		return false
	}
	only, ok := o.optional("alg")
	return ok && (only == "" || family(only) == family(alg))
}

// family makes one of the two names of one algorithm.
func family(alg string) string {
	if alg == "Ed25519" {
		return "EdDSA"
	}
	return alg
}

// public reads the key that an algorithm needs.
func (o object) public(alg string) (*key, bool) {
	switch alg {
	case "ES256":
		return o.point()
	case "EdDSA", "Ed25519":
		return o.edwards()
	case "PS256":
		return o.rsa(jwa.PS256)
	case "RS256":
		return o.rsa(jwa.RS256)
	default:
		return nil, false
	}
}

// is reports whether the key is of a kind, and on a curve; "" if its kind has none.
func (o object) is(kind, curve string) bool {
	kty, _ := o.text("kty")
	crv, _ := o.text("crv")
	return kty == kind && (curve == "" || crv == curve)
}

// number returns a member that is bytes in base64url, as text and as bytes.
func (o object) number(name string) (string, []byte) {
	s, _ := o.text(name)
	raw, _ := plain(s)
	return s, raw
}

// point reads a point of P-256: RFC 7518 section 6.2.1. Both coordinates have full length, or one key had many thumbprints,
// and the point lies on the curve (RFC 8725 section 3.4), which has no points of small order.
func (o object) point() (*key, bool) {
	const size = 32 // bytes of a coordinate
	x, xs := o.number("x")
	y, ys := o.number("y")
	if !o.is("EC", "P-256") || len(xs) != size || len(ys) != size {
		return nil, false
	}
	point := append(append([]byte{4}, xs...), ys...) // SEC 1 section 2.3.3: 4 says that both coordinates follow
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, false
	}
	return &key{jwa.ES256, public, `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`}, true
}

// edwards reads a point of edwards25519: RFC 8037 section 2.
func (o object) edwards() (*key, bool) {
	x, raw := o.number("x")
	if !o.is("OKP", "Ed25519") || len(raw) != ed25519.PublicKeySize || weakPoint([32]byte(raw)) {
		return nil, false
	}
	return &key{jwa.EdDSA, ed25519.PublicKey(raw), `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`}, true
}

const (
	minModulus  = 2048    // bits: RFC 7518 sections 3.3 and 3.5
	maxModulus  = 4096    // bits: what a verification costs grows with the square, and whoever sends it chooses the key
	minExponent = 1 << 16 // FIPS 186-5 section 5.1: greater than this
	maxExponent = 1 << 31 // what crypto/rsa takes is below
)

// rsa reads an RSA key: RFC 7518 section 6.3.1.
func (o object) rsa(alg jwa.SignatureAlgorithm) (*key, bool) {
	n, ns := o.number("n")
	e, es := o.number("e")
	// RFC 7518 section 2, Base64urlUInt: no leading zero, or one key had many thumbprints.
	if !o.is("RSA", "") || len(ns) == 0 || ns[0] == 0 || len(es) == 0 || es[0] == 0 || len(es) > 4 {
		return nil, false
	}
	modulus, exponent := new(big.Int).SetBytes(ns), new(big.Int).SetBytes(es).Int64()
	bits := modulus.BitLen()
	if bits < minModulus || bits > maxModulus || exponent <= minExponent || exponent >= maxExponent || exponent%2 == 0 {
		return nil, false
	}
	public := &rsa.PublicKey{N: modulus, E: int(exponent)}
	return &key{alg, public, `{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`}, true
}
