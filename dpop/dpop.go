// Package dpop checks and makes DPoP proofs (RFC 9449): small signed texts by which who presents a handle, or a token, shows
// that it holds the key that this is bound to. Checking is for what frontends bring, making (make.go) for what the gateway
// itself presents to providers and APIs. It knows neither handles nor apps nor what was bound to what: it says whether a proof holds for
// one request and whose key it is, and whoever asked compares that key with the one it expects.
//
// A proof arrives as the one value of the header field DPoP: three parts of base64url between dots (form.go). The first is
// its header, the second its payload, both JSON, read so that no two readers could read them differently (strictjson.go). The
// header brings the key itself along (key.go); nothing vouches for that key but the proof. What the payload claims must be
// this request: its method, its address (target.go), its handle, now (claims.go). The signature is verified last, because it
// costs more than all the rest together and says the least: that somebody has some key.
//
// Three things a proof alone cannot tell, and they are left to the caller: whether it was used before (Proof.ID and
// Proof.Until are what to remember, and for how long), whether its nonce is one that was given out, and whether its key is
// the bound one. All texts of a refusal are fixed: nothing that stands in a proof reaches a log.
package dpop

import (
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// Request is what a proof has to be for.
type Request struct {
	// Method is that of the request, as it was sent.
	Method string
	// URL is absolute: the origin as it is configured, never as Host or a forwarding field tells it, and the path as it was
	// sent, its escapes untouched. A query and a fragment are not looked at.
	URL string
	// Handle is the credential that the proof comes with; "" if none does, and then no ath is asked for.
	Handle string
	// Now is the time by the clock of this instance.
	Now time.Time
}

// Proof is one that holds for its request.
type Proof struct {
	// Thumbprint names the key that signed it: RFC 7638 with SHA-256, base64url, 43 characters.
	Thumbprint string
	// ID names this proof among all proofs of all keys: 128 bits of a hash over key and jti, base64url, 22 characters. However
	// long the jti was, it is what there is to remember.
	ID string
	// Nonce is the server's nonce that the proof claims to answer; "" if it claims none. It is not judged here.
	Nonce string
	// Until is when nobody takes this proof any more, an instance with a slow clock included: so long its ID must be kept.
	Until time.Time
}

// Invalid is the refusal of a proof.
type Invalid struct {
	// Rule says what was broken, in a fixed text that holds nothing of the proof.
	Rule string
}

// Error is for the log.
func (e *Invalid) Error() string { return "checking a DPoP proof: " + e.Rule }

// refuse makes the refusal.
func refuse(rule string) error { return &Invalid{Rule: rule} }

// Check judges by RFC 9449 section 4.3 the proof that a request carries. The fields are all values of its header field DPoP.
// Every refusal is an *Invalid.
func Check(fields []string, r Request) (*Proof, error) {
	f, err := parse(fields)
	if err != nil {
		return nil, err
	}
	k, err := f.key()
	if err != nil {
		return nil, err
	}
	c, err := f.claims()
	if err != nil {
		return nil, err
	}
	if err := c.judge(r); err != nil {
		return nil, err
	}
	// RFC 9449 section 4.3, item 6: with the key that the proof brings.
	if !k.verifies(f.signed, f.signature) {
		return nil, refuse("signature")
	}
	jkt := k.thumbprint()
	return &Proof{Thumbprint: jkt, ID: name(jkt, c.id), Nonce: c.nonce, Until: c.issued.Add(back + slow)}, nil
}

// name makes a proof's ID. The thumbprint's length is fixed, so no other key and jti make the same text. Half of the hash is
// enough: who finds two texts of one name has made itself a proof that counts as used.
func name(thumbprint, jti string) string {
	sum := sha256.Sum256([]byte("cloakroom dpop proof " + thumbprint + jti))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
