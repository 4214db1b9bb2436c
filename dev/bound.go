package dev

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwt"

	"cloakroom/dev/provider"
)

var (
	errBadProof  = errors.New("DPoP proof not acceptable")
	errWantNonce = errors.New("DPoP proof without a nonce of ours")
)

// proofMemory is how long a proof is remembered: no proof is taken that is older.
const proofMemory = time.Minute

// proofs is what an API keeps of DPoP proofs: those it has taken, and the nonce that it wants.
type proofs struct {
	mu    sync.Mutex
	used  map[string]time.Time
	nonce string // "" wants none
}

// keyOf is the key that a token is bound to (RFC 9449 section 6.1); "" for none.
func keyOf(token jwt.Token) string {
	cnf, _ := token.Get("cnf")
	members, _ := cnf.(map[string]any)
	jkt, _ := members["jkt"].(string)
	return jkt
}

// judge wants a bound token to come by the scheme DPoP, with a proof of its key for this very request, and any other by Bearer:
// RFC 9449 sections 7.1 and 7.2.
func (p *proofs) judge(r *http.Request, scheme, token, jkt string, now time.Time) error {
	switch {
	case jkt == "" && scheme == "bearer":
		return nil
	case jkt == "" || scheme != "dpop":
		return fmt.Errorf("%w: bound tokens come by DPoP, and no others do", errBadToken)
	}
	// These APIs are asked in the clear, under the name that stands in Host.
	proof, err := provider.ReadProof(r.Header, r.Method, "http://"+r.Host+r.URL.EscapedPath(), token, now)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errBadProof, err)
	case proof.Thumbprint != jkt:
		return fmt.Errorf("%w: of another key", errBadProof)
	}
	return p.take(proof, now)
}

// take refuses a proof that came before (section 11.1), and one without the nonce that is wanted (section 9).
func (p *proofs) take(proof provider.Proof, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonce != "" && proof.Nonce != p.nonce {
		return errWantNonce
	}
	maps.DeleteFunc(p.used, func(_ string, at time.Time) bool { return now.Sub(at) > proofMemory+time.Minute }) // and a clock's difference
	name := proof.Thumbprint + " " + proof.ID
	if _, again := p.used[name]; again {
		return fmt.Errorf("%w: used before", errBadProof)
	}
	if p.used == nil {
		p.used = make(map[string]time.Time)
	}
	p.used[name] = now
	return nil
}

// WantNonce has the API want this nonce in every proof from now on (RFC 9449 section 9); "" wants none.
func (a *API) WantNonce(nonce string) {
	p := &a.bearer.proofs
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nonce = nonce
}

// challenge says why a request was refused: RFC 6750 section 3, RFC 9449 section 7.1. An error is named only to who sent a token.
func (b *bearer) challenge(h http.Header, err error) {
	switch {
	case errors.Is(err, errNoToken):
		h.Set("WWW-Authenticate", "Bearer")
	case errors.Is(err, errWantNonce):
		b.proofs.mu.Lock()
		defer b.proofs.mu.Unlock()
		h.Set("DPoP-Nonce", b.proofs.nonce)
		h.Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
	case errors.Is(err, errBadProof):
		h.Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof", algs="ES256"`)
	default:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
}
