package model_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cloakroom/bff"

	"pgregory.net/rapid"
)

const (
	proofLife = time.Minute     // a proof is taken for so long
	clockRoom = 5 * time.Second // and remembered for so much longer
)

// Thumbprints of the phone's key and of a thief's.
var (
	phonesKey = strings.Repeat("p", 43)
	thiefsKey = strings.Repeat("t", 43)
)

// shown is a proof of possession that was made for a session's handle, and what became of it.
type shown struct {
	bff.Possession
	of    *session
	taken int  // how often a call by it was let through, over all instances
	again bool // somebody who recorded it was perhaps faster than the app
}

// newProof makes one by this key, for a handle of s.
func (w *world) newProof(s *session, key string) *shown {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &shown{of: s, Possession: bff.Possession{
		Key: key, Proof: fmt.Sprintf("proof-%d", len(w.proofs)+1), Until: time.Now().Add(proofLife),
	}}
	w.proofs = append(w.proofs, p)
	return p
}

// possession is the proof that the app of s sends with its next call: a new one; nil where its handle is not bound.
func (w *world) possession(s *session) *shown {
	if s.key == "" {
		return nil
	}
	return w.newProof(s, s.key)
}

// given is the proof as the engine is given it.
func (p *shown) given() *bff.Possession {
	if p == nil {
		return nil
	}
	return &p.Possession
}

// judgeProof judges what became of a call, whoever still hears of it: a bound handle is served by its key alone, and by each
// proof once; and the first time.
func (w *world) judgeProof(s *session, p *shown, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case bff.CodeOf(err) == bff.CodeProofRejected && p.Key == s.key && !p.again:
		w.brokenLocked("%s of %s is refused, and nobody used it before", p.Proof, s.name)
	case err != nil, s.key == "" && p == nil:
	case s.key == "":
		w.brokenLocked("%s is not bound, and was served with a proof", s.name)
	case p == nil:
		w.brokenLocked("%s is bound, and was served without a proof", s.name)
	case p.Key != s.key:
		w.brokenLocked("%s was served with a proof by another key", s.name)
	default:
		if p.taken++; p.taken > 1 {
			w.brokenLocked("%s of %s was taken %d times", p.Proof, s.name, p.taken)
		}
	}
}

// proofAgain presents a proof that was presented before, and may be under way still: whoever recorded a request.
func (w *world) proofAgain(t *rapid.T, s *session, in *instance) {
	w.mu.Lock()
	var young []*shown
	for _, p := range w.proofs {
		if p.of == s && p.Key == s.key && time.Now().Before(p.Until) { // what is older the surface refuses
			young = append(young, p)
		}
	}
	w.mu.Unlock()
	if len(young) == 0 {
		return
	}
	p := young[len(young)-1-rapid.IntRange(0, len(young)-1).Draw(t, "proof")]
	w.mu.Lock()
	p.again = true
	w.mu.Unlock()
	w.steal(s, in, fmt.Sprintf("%s of %s again", p.Proof, s.name), p)
}

// stolen presents a bound handle without its key.
func (w *world) stolen(t *rapid.T, s *session, in *instance) {
	if rapid.Bool().Draw(t, "with a proof") {
		w.steal(s, in, "the handle of "+s.name+" by a thief's key", w.newProof(s, thiefsKey))
		return
	}
	w.steal(s, in, "the handle of "+s.name+" without a proof", nil)
}

// steal makes a call for its answer alone. What is wrong with being let through is known to judgeProof.
func (w *world) steal(s *session, in *instance, what string, p *shown) {
	access := s.pairs[s.turn].access
	w.do(in, what, func(ctx context.Context, d *deed) func() {
		_, err := w.presentWith(ctx, s, in, access, p)
		return func() { w.sayLocked("%s: %s is told %s", d.in.name, what, bff.CodeOf(err)) }
	})
}

// checkProof: what is remembered is a proof by the key that the session is bound to, and goes when it would not be taken any
// more. So nobody else has Redis keep anything.
func (w *world) checkProof(key string) {
	record, name, is := strings.Cut(key, ":j:")
	if !is {
		return
	}
	if life := w.keeper.life(key); life > proofLife+clockRoom+time.Second { // a real server's clock is not followed exactly
		w.brokenLocked("a proof is remembered for another %v", life)
	}
	for _, p := range w.proofs {
		if p.Proof == name && recordKey(p.of.lookup) == record && p.Key == p.of.key {
			return
		}
	}
	w.brokenLocked("a proof is remembered that nobody made who holds the key: %s", name)
}
