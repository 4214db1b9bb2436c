package bff

import (
	"errors"
	"strings"
)

// Prover is a Provider that binds tokens to keys (RFC 9449), and makes the proofs by which they are presented.
type Prover interface {
	// Prove makes the proof for one call that presents an access token bound to key (TokenSet.ProofKey). address is absolute,
	// as the API that is called knows it; nonce is what that API gave last, "" if it gave none. Each proof is made for one call
	// and never used again.
	Prove(key Secret, method, address, nonce string, access Secret) (string, error)
}

// errNoProof is why a token that is bound to a key is not presented.
var errNoProof = errors.New("a token that is bound to a key, and no way to prove it")

// Bound reports whether the access token is presented with a proof: the scheme that it goes by is DPoP then, which is the
// provider's word (RFC 9449 section 5). A key that the provider did not bind this token to proves nothing.
func (t TokenSet) Bound() bool { return strings.EqualFold(t.TokenType, "DPoP") }

// Prove makes the proof for one call with an app's tokens. The errors are *Error with CodeInternal: without a proof such a
// token is never sent (RFC 9449 section 7.1).
func (e *Engine) Prove(app *App, t TokenSet, method, address, nonce string) (string, error) {
	p, ok := e.ports.Providers(app.ID).(Prover)
	if !ok || t.ProofKey.IsZero() || t.Access.IsZero() {
		return "", &Error{Code: CodeInternal, Err: errNoProof}
	}
	proof, err := p.Prove(t.ProofKey, method, address, nonce, t.Access)
	if err != nil {
		return "", &Error{Code: CodeInternal, Err: err}
	}
	return proof, nil
}

// nonceMost is how long a server's nonce may be: those that hold a sealed time have a hundred characters, and what is kept
// comes back in every proof.
const nonceMost = 512

// ServerNonce returns the nonce that an answer gives for the next proof (RFC 9449 section 8.2), of all values of its field
// DPoP-Nonce; "" if it gives none, more than one, or one that no proof may hold (section 8.1).
func ServerNonce(values []string) string {
	if len(values) != 1 || len(values[0]) > nonceMost {
		return ""
	}
	odd := func(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' }
	if strings.ContainsFunc(values[0], odd) {
		return ""
	}
	return values[0]
}
