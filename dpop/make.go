package dpop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// KeyBytes is how many raw bytes a key is made of.
const KeyBytes = 32

// ErrKey says that what a key was to be made of is not KeyBytes long.
var ErrKey = errors.New("a key for proofs is made of 32 bytes")

// Key makes proofs, by ES256. Its private half is behind a function: no print and no encoder finds it. It is safe for
// concurrent use.
type Key struct {
	head       string // of every proof, encoded: the public key stands in it (RFC 9449 section 4.2)
	thumbprint string
	sign       func(digest []byte) (r, s *big.Int, err error)
}

// NewKey makes a key of P-256 of KeyBytes raw bytes: the same key of the same bytes, whenever and wherever. The bytes must be
// such that nobody can guess them. The error is ErrKey.
func NewKey(raw []byte) (*Key, error) {
	if len(raw) != KeyBytes {
		return nil, ErrKey
	}
	private := privateOf(raw)
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding a key for proofs: %w", err)
	}
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:]) // behind SEC 1's 4
	public := &key{members: `{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`}
	// RFC 9449 section 4.2: the typ, an asymmetric algorithm, and the public key; the members of a thumbprint are a whole JWK.
	head := `{"typ":"dpop+jwt","alg":"ES256","jwk":` + public.members + `}`
	return &Key{
		head: base64.RawURLEncoding.EncodeToString([]byte(head)), thumbprint: public.thumbprint(),
		sign: func(digest []byte) (*big.Int, *big.Int, error) { return ecdsa.Sign(rand.Reader, private, digest) },
	}, nil
}

// privateOf makes a scalar of bytes. One text of 32 bytes in four thousand million is none, for the group is a little smaller
// than what they can say (FIPS 186-5 appendix A.3): that one's hash is taken instead, so that no sign-in ever fails by it.
func privateOf(raw []byte) *ecdsa.PrivateKey {
	for {
		if private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err == nil {
			return private
		}
		next := sha256.Sum256(raw)
		raw = next[:]
	}
}

// Thumbprint names the key: RFC 7638 with SHA-256, base64url, 43 characters. It is what dpop_jkt announces (RFC 9449 section
// 10) and what a token's cnf.jkt holds (section 6.1).
func (k *Key) Thumbprint() string { return k.thumbprint }

// payload is what a proof claims: RFC 9449 section 4.2.
type payload struct {
	ID     string `json:"jti"`
	Method string `json:"htm"`
	URL    string `json:"htu"`
	Issued int64  `json:"iat"`
	Hash   string `json:"ath,omitempty"`   // of the token that it goes with
	Nonce  string `json:"nonce,omitempty"` // the server's last one
}

// Proof makes a proof for one request, each with an identifier of its own. r.URL may have a query and a fragment: they are not
// part of what is proved. nonce is what the server of this request gave last; "" if it gave none.
func (k *Key) Proof(r Request, nonce string) (string, error) {
	var id [16]byte // 128 bits: RFC 9449 section 4.2 asks for 96 at least, so that no two are ever the same
	_, _ = rand.Read(id[:])
	p := payload{
		ID: base64.RawURLEncoding.EncodeToString(id[:]), Method: r.Method, URL: withoutQuery(r.URL), Issued: r.Now.Unix(), Nonce: nonce,
	}
	if r.Handle != "" {
		p.Hash = hash(r.Handle)
	}
	body, err := json.Marshal(&p)
	if err != nil {
		return "", fmt.Errorf("encoding a proof: %w", err)
	}
	signed := k.head + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(signed))
	x, y, err := k.sign(digest[:])
	if err != nil {
		return "", fmt.Errorf("signing a proof: %w", err)
	}
	var signature [64]byte // RFC 7518 section 3.4: both numbers in full length, one behind the other
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}

// withoutQuery is the form that htu has: RFC 9449 section 4.2.
func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "#")
	address, _, _ = strings.Cut(address, "?")
	return address
}
