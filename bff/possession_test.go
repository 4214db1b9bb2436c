package bff_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// Thumbprints of two keys, one of them another app's, or a thief's.
var ownKey, otherKey = strings.Repeat("k", 43), strings.Repeat("o", 43)

// proven is a possession of key by a proof of this name, as it is good at this moment.
func (w *world) proven(key, proof string) *bff.Possession {
	return &bff.Possession{Key: key, Proof: proof, Until: w.clock.now().Add(time.Minute)}
}

// redeemed signs in and redeems with a proof by key; "" = none.
func (w *world) redeemed(in *instance, key string) *bff.Session {
	w.t.Helper()
	r := redemption(w.returned(in, claimed).Code, claimed)
	r.Key = key
	s, err := in.Redeem(context.Background(), w.app, r)
	if err != nil {
		w.t.Fatalf("redeeming: %v", err)
	}
	return s
}

// prove presents an access handle with a proof; nil = with none.
func (w *world) prove(in *instance, access string, p *bff.Possession) (*bff.Session, error) {
	w.t.Helper()
	_, s, err := in.HandleSession(context.Background(), w.apps, w.parse(access), p)
	return s, err
}

// remembered counts the proofs that the store keeps.
func (w *world) remembered() (n int) {
	for _, key := range w.redis.Keys() {
		if strings.Contains(key, ":j:") {
			n++
		}
	}
	return n
}

// Every way to present a handle at every app; the app may have been another when the handle was given out.
//
// shows DPOP-7.2, DPOP-4.3-12, NAT-ROT
func TestAHandleComesAsItsSessionIsBound(t *testing.T) {
	type refusal struct {
		code  bff.Code
		rule  string
		bound bool // errors.Is ErrBound
	}
	var (
		fine       = refusal{}
		downgraded = refusal{bff.CodeSessionRequired, "bound handle without proof", true}
		foreign    = refusal{bff.CodeProofRejected, "proof by another key", false}
		pretended  = refusal{bff.CodeSessionRequired, "proof with an unbound handle", false}
		unbound    = refusal{bff.CodeSessionRequired, "unbound handle of an app that binds", false}
	)
	for _, c := range []struct {
		bound, proof           string // a key; "" = none
		off, allowed, required refusal
	}{
		{"", "", fine, fine, unbound},
		{"", ownKey, pretended, pretended, pretended},
		{ownKey, "", downgraded, downgraded, downgraded},
		{ownKey, otherKey, foreign, foreign, foreign},
		{ownKey, ownKey, fine, fine, fine}, // also where nothing is bound any more: what is bound stays it
	} {
		for binding, want := range map[bff.Binding]refusal{
			bff.BindingOff: c.off, bff.BindingAllowed: c.allowed, bff.BindingRequired: c.required,
		} {
			t.Run(fmt.Sprintf("a handle bound to %.1q with a proof by %.1q at an app with %s", c.bound, c.proof, binding), func(t *testing.T) {
				w := newNativeWorld(t)
				w.app.Binding = bff.BindingAllowed
				a, b := w.instance(), w.instance()
				access := w.pair(a, w.redeemed(a, c.bound)).access
				w.app.Binding = binding
				var call, leave *bff.Possession
				if c.proof != "" {
					call, leave = w.proven(c.proof, "of a call"), w.proven(c.proof, "of a sign-out")
				}
				judge := func(doing string, err error) {
					t.Helper()
					wantCode(t, doing, err, want.code)
					if errors.Is(err, bff.ErrBound) != want.bound {
						t.Errorf("%s: %v, bound handle: want %v", doing, err, want.bound)
					}
				}
				_, err := w.prove(b, access, call)
				judge("a call", err)
				_, _, err = b.LeavingSession(context.Background(), w.apps, w.parse(access), leave)
				judge("a sign-out", err)
				if got, all := b.refusals(), "phone: "+want.rule+"; phone: "+want.rule; want.rule != "" && got != all {
					t.Errorf("traced %q, want %q", got, all)
				}
				if kept := w.remembered(); kept != 0 && (want != fine || c.bound == "") {
					t.Errorf("%d proofs are remembered of what was refused", kept)
				}
			})
		}
	}
}

// shows DPOP-11.1
func TestAProofIsGoodOnceOverAllInstances(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingRequired
	a, b := w.instance(), w.instance()
	s := w.redeemed(a, ownKey)
	access := w.pair(a, s).access
	got, err := w.prove(a, access, w.proven(ownKey, "one"))
	if err != nil || got.Key != ownKey || got.ID() != s.ID() {
		t.Fatalf("first use: %+v, %v", got, err)
	}
	for name, again := range map[string]*instance{"here": a, "at another instance": b} {
		_, err = w.prove(again, access, w.proven(ownKey, "one"))
		wantCode(t, "a second use "+name, err, bff.CodeProofRejected)
		_, _, err = again.LeavingSession(context.Background(), w.apps, w.parse(access), w.proven(ownKey, "one"))
		wantCode(t, "a sign-out by it "+name, err, bff.CodeProofRejected)
		if got := again.refusals(); got != ": proof used twice; : proof used twice" {
			t.Errorf("traced %q", got)
		}
	}
	if _, err = w.prove(b, access, w.proven(ownKey, "two")); err != nil {
		t.Errorf("another proof, after all: %v", err)
	}
}

// A proof that lacks its nonce is good for nothing: it is used up like any, for the next try is another proof.
//
// shows DPOP-4.3-10, DPOP-11.1
func TestAProofWithoutAGoodNonceIsRefused(t *testing.T) {
	fresh := func(p *bff.Possession) *bff.Possession { p.Fresh = true; return p }
	w := newNativeWorld(t)
	w.app.Binding, w.app.Nonces = bff.BindingAllowed, true
	a, b := w.instance(), w.instance()
	access, unbound := w.pair(a, w.redeemed(a, ownKey)).access, w.pair(a, w.redeemed(a, "")).access
	for _, c := range []struct {
		doing  string
		handle string
		proof  *bff.Possession
		want   bff.Code
		kept   int
	}{
		{"without a nonce, by another key", access, w.proven(otherKey, "one"), bff.CodeProofRejected, 0},
		{"without a nonce, for an unbound handle", unbound, w.proven(ownKey, "one"), bff.CodeSessionRequired, 0},
		{"without a nonce", access, w.proven(ownKey, "one"), bff.CodeNonceRequired, 1},
		{"without a nonce again", access, w.proven(ownKey, "one"), bff.CodeProofRejected, 1},
		{"of the same name with a nonce", access, fresh(w.proven(ownKey, "one")), bff.CodeProofRejected, 1},
		{"with a nonce", access, fresh(w.proven(ownKey, "two")), "", 2},
		{"with a nonce again", access, fresh(w.proven(ownKey, "two")), bff.CodeProofRejected, 2},
	} {
		_, err := w.prove(b, c.handle, c.proof)
		wantCode(t, "a proof "+c.doing, err, c.want)
		if kept := w.remembered(); kept != c.kept {
			t.Errorf("after a proof %s %d are remembered, want %d", c.doing, kept, c.kept)
		}
	}
	w.app.Nonces = false
	if _, err := w.prove(b, access, w.proven(ownKey, "four")); err != nil {
		t.Errorf("a proof without a nonce, at an app that wants none: %v", err)
	}
}

// A store that cannot remember is asked for nothing else: what may have been used before is not taken.
//
// shows DPOP-11.1, SESS-503
func TestAProofThatCannotBeRememberedIsAnOutage(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingAllowed
	a := w.instance()
	access := w.pair(a, w.redeemed(a, ownKey)).access
	deaf := w.instance(func(p *bff.Ports) { p.Proofs = unremembering{} })
	_, err := w.prove(deaf, access, w.proven(ownKey, "one"))
	wantCode(t, "a call where records can be read and proofs not be kept", err, bff.CodeStoreUnavailable)
	w.redis.SetError("ERR down")
	_, err = w.prove(a, access, w.proven(ownKey, "two"))
	wantCode(t, "a call while the store is down", err, bff.CodeStoreUnavailable)
	w.redis.SetError("")
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	_, _, err = a.HandleSession(gone, w.apps, w.parse(access), w.proven(ownKey, "three"))
	wantCode(t, "a call of somebody who went away", err, bff.CodeClientGone)
	if _, err = w.prove(a, access, w.proven(ownKey, "four")); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// unremembering are proofs of which none can be remembered.
type unremembering struct{}

func (unremembering) ReadProven(context.Context, bff.Root, *bff.Possession) (*bff.Session, error) {
	return nil, fmt.Errorf("%w: MISCONF", bff.ErrStore)
}

// A handle that is bound is worthless without its key, so it is not turned: it is one for as long as its session.
//
// shows NAT-ROT, DPOP-10
func TestABoundHandleLivesAsLongAsItsSession(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingRequired
	w.app.Absolute = 30 * 24 * time.Hour
	a, b := w.instance(), w.instance()
	s := w.redeemed(a, ownKey)
	h, err := a.Handles(w.app, s)
	if err != nil || !h.Refresh.IsZero() || h.ExpiresIn != w.app.Absolute || h.Access.IsZero() {
		t.Fatalf("handles %+v, %v: want one, to the absolute end", h, err)
	}
	access := h.Access.Reveal()
	for day := 10; day < 30; day += 10 {
		w.clock.move(10 * 24 * time.Hour)
		got, err := w.prove(b, access, w.proven(ownKey, fmt.Sprint(day)))
		if err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		if again := w.pair(b, got); again.access != access || again.refresh != "" || got.Turn.N != 1 || !got.Turn.Seen.IsZero() {
			t.Errorf("day %d: turn %+v: it moved, or was noted", day, got.Turn)
		}
		if err := b.store.Touch(t.Context(), got, w.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.move(10*24*time.Hour - time.Second)
	if _, err = w.prove(b, access, w.proven(ownKey, "the last")); err != nil {
		t.Errorf("in the last second: %v", err)
	}
	w.clock.move(time.Second)
	_, err = w.prove(b, access, w.proven(ownKey, "late"))
	wantCode(t, "at the absolute end", err, bff.CodeSessionExpired)
	b.endedFor(t, bff.ReasonAbsolute)
}

// shows NAT-ROT
func TestABoundHandleEndsWithTheIdleTime(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingAllowed
	a := w.instance()
	access := w.pair(a, w.redeemed(a, ownKey)).access
	w.clock.move(w.app.Idle)
	_, err := w.prove(a, access, w.proven(ownKey, "one"))
	wantCode(t, "a call at the idle end", err, bff.CodeSessionExpired)
	a.endedFor(t, bff.ReasonIdle)
}

// The provider's tokens are renewed as for any session, and the key of the handle stays.
//
// shows DPOP-10
func TestABoundSessionKeepsItsKeyWhenItsTokensAreRenewed(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingRequired
	a, b := w.instance(), w.instance()
	access := w.pair(a, w.redeemed(a, ownKey)).access
	w.expire()
	s, err := w.prove(a, access, w.proven(ownKey, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if tokens, err := a.FreshTokens(t.Context(), w.app, s); err != nil || tokens.Access.Reveal() != "access-2" {
		t.Fatalf("renewing: %+v, %v", tokens, err)
	}
	s, err = w.prove(b, access, w.proven(ownKey, "two"))
	if err != nil || s.Key != ownKey || s.Generation != 2 {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
	_, err = w.prove(b, access, w.proven(otherKey, "three"))
	wantCode(t, "by another key", err, bff.CodeProofRejected)
	_, err = w.prove(b, access, nil)
	wantCode(t, "by none", err, bff.CodeSessionRequired)
}

// None was given out: whoever has one has the ring, or found a way that should not be.
//
// shows NAT-ROT, DPOP-10
func TestARefreshHandleOfABoundSessionIsRefused(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingAllowed
	a := w.instance()
	s := w.redeemed(a, ownKey)
	access := w.pair(a, s).access
	unbound := *s
	unbound.Key = ""
	_, err := w.rotate(a, w.pair(a, &unbound).refresh)
	wantCode(t, "a rotation", err, bff.CodeGrantRejected)
	if got := a.refusals(); got != "phone: refresh handle of a bound session" {
		t.Errorf("traced %q", got)
	}
	if got, err := w.prove(a, access, w.proven(ownKey, "one")); err != nil || got.Turn.N != 1 {
		t.Errorf("the session, after it: %+v, %v", got, err)
	}
}

// An app that begins to require a key takes nothing unbound any more: whoever is signed in without signs in anew, or out.
//
// shows NAT-ROT
func TestAnAppThatBeginsToBindTakesNothingUnbound(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	p := w.pair(a, w.nativeLogin(a))
	w.app.Binding = bff.BindingRequired
	_, err := w.rotate(a, p.refresh)
	wantCode(t, "a rotation", err, bff.CodeGrantRejected)
	_, err = w.call(a, p.access)
	wantCode(t, "a call", err, bff.CodeSessionRequired)
	if err := a.RevokeHandle(t.Context(), w.app, w.parse(p.refresh)); err != nil {
		t.Errorf("revoking: %v", err)
	}
	a.endedFor(t, bff.ReasonSignedOut)
}

// shows DPOP-7.2
func TestAHandleOfAnotherAppIsNoneWithAProofEither(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingRequired
	a := w.instance()
	s := w.redeemed(a, ownKey)
	for name, c := range map[string]struct {
		handle string
		apps   func(string) *bff.App
		rule   string
	}{
		"of no app here":                 {w.pair(a, s).access, func(string) *bff.App { return nil }, ": foreign app"},
		"whose own proof is of nothing":  {written("clk_", s.Root.Bytes(), 1, make([]byte, 16)), w.apps, "phone: handle without proof"},
		"of a root that never was":       {written("clk_", bff.NewRoot().Bytes(), 1, make([]byte, 16)), w.apps, ""},
		"of the name in a dump of Redis": {written("clk_", lookupBytes(s), 1, make([]byte, 16)), w.apps, ""},
	} {
		b := w.instance()
		_, _, err := b.HandleSession(t.Context(), c.apps, w.parse(c.handle), w.proven(ownKey, name))
		wantCode(t, "a handle "+name, err, bff.CodeSessionRequired)
		if got := b.refusals(); got != c.rule {
			t.Errorf("a handle %s: traced %q, want %q", name, got, c.rule)
		}
	}
}

// Who finds a lost handle can end it and do nothing else (RFC 7009); a sign-out tells more, and takes the proof.
//
// shows NAT-ROT, DPOP-7.2
func TestABoundHandleIsRevokedWithoutAProof(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingRequired
	a, b := w.instance(), w.instance()
	s := w.redeemed(a, ownKey)
	access := w.pair(a, s).access
	forged := written("clk_", s.Root.Bytes(), 1, make([]byte, 16))
	if err := b.RevokeHandle(t.Context(), w.app, w.parse(forged)); err != nil {
		t.Errorf("revoking a forged handle: %v", err)
	}
	if _, _, err := b.LeavingSession(t.Context(), w.apps, w.parse(access), w.proven(ownKey, "one")); err != nil {
		t.Errorf("leaving with a proof, after that: %v", err)
	}
	if err := b.RevokeHandle(t.Context(), w.app, w.parse(access)); err != nil {
		t.Errorf("revoking: %v", err)
	}
	_, err := w.prove(a, access, w.proven(ownKey, "two"))
	wantCode(t, "a call afterwards", err, bff.CodeSessionEnded)
	if !w.revocations(b, "refresh-1") {
		t.Error("its tokens live on")
	}
}
