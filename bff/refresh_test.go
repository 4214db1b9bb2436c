package bff_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// need asks for tokens for n requests at once at each instance, each of which read the session before, and returns what
// they got once all have it.
func (w *world) need(root bff.Root, n int, instances ...*instance) (results chan result) {
	results = make(chan result, n*len(instances))
	for _, in := range instances {
		s := w.session(in, root)
		for range n {
			go func() {
				t, err := in.FreshTokens(context.Background(), w.app, s)
				results <- result{t.Access.Reveal(), err}
			}()
		}
	}
	return results
}

type result struct {
	access string
	err    error
}

// shows REF-ONE
func TestRequestsOverTwoInstancesOnOneEndedTokenRefreshOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()

	const n = 25
	results := w.need(root, n, a, b)
	for _, in := range []*instance{a, b} {
		in.seen.until(t, "all requests waiting", func(s *seen) bool { return s.waits == n })
	}
	close(gate)
	for range 2 * n {
		if r := <-results; r.err != nil || r.access != "access-2" {
			t.Fatalf("got %q, %v; want the one refreshed token", r.access, r.err)
		}
	}
	if got := w.idp.count(); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", got)
	}
	if s := w.session(b, root); s.Generation != 2 || s.Sent != nil {
		t.Errorf("record: generation %d, mark %v; want 2 and none", s.Generation, s.Sent)
	}
}

// shows REF-DETACH
func TestRefreshGoesOnWhenItsRequestIsGone(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()
	ctx, hangUp := context.WithCancel(context.Background())
	failed := make(chan error)
	s := w.session(a, root)
	go func() { _, err := a.FreshTokens(ctx, w.app, s); failed <- err }()
	<-w.idp.arrived
	hangUp()
	if err := <-failed; bff.CodeOf(err) != bff.CodeClientGone {
		t.Fatalf("request that hung up: %v", err)
	}
	close(gate)
	a.seen.until(t, "the refresh saved", func(s *seen) bool { return len(s.refreshes) == 1 })
	if s := w.session(a, root); s.Tokens.Access.Reveal() != "access-2" {
		t.Errorf("stored token: %s", s.Tokens.Access.Reveal())
	}
}

// shows REF-EARLY
func TestTokenInItsSoftWindowIsUsedWhileARefreshRunsBeside(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.clock.move(52 * time.Second) // past RefreshAt, before ExpiresAt
	got, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	if err != nil || got.Access.Reveal() != "access-1" {
		t.Fatalf("in the soft window: %v, %v; want the old token at once", got.Access.Reveal(), err)
	}
	<-w.idp.arrived
	close(gate)
	a.seen.until(t, "the refresh saved", func(s *seen) bool { return len(s.refreshes) == 1 })
}

// shows REF-SOFT
func TestFailureThatLeavesTheTokenGoodEndsNoSession(t *testing.T) {
	for _, o := range []bff.Outcome{bff.OutcomeTransient, bff.OutcomeClient, bff.OutcomeUnknown} {
		t.Run("a refresh with the outcome "+string(o), func(t *testing.T) {
			w := newWorld(t)
			a := w.instance()
			root := w.login(a)
			w.idp.set(func(p *fakeProvider) { p.fail = &bff.RefreshError{Outcome: o, Err: errors.New("trouble")} })
			w.expire()
			_, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
			if bff.CodeOf(err) != bff.CodeIDPUnavailable {
				t.Fatalf("got %v, want idp_unavailable", err)
			}
			w.session(a, root)
			w.idp.set(func(p *fakeProvider) { p.fail = nil })
			w.healed(a, root)
		})
	}
}

// healed asks until the provider's trouble is forgotten.
func (w *world) healed(in *instance, root bff.Root) {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		got, err := in.FreshTokens(context.Background(), w.app, w.session(in, root))
		if err == nil {
			if got.Access.Reveal() != "access-2" {
				w.t.Fatalf("healed with %s", got.Access.Reveal())
			}
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("never healed: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// shows REF-END
func TestSpentTokenEndsItsSessionOnEveryInstance(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.live = "somebody used it" })
	w.expire()
	_, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	e, _ := errors.AsType[*bff.Error](err)
	if e == nil || e.Code != bff.CodeSessionEnded || e.Reason != string(bff.ReasonRefreshRejected) {
		t.Fatalf("got %v, want session_ended by refresh_rejected", err)
	}
	w.dead(b, root)
}

// shows REF-RACE
func TestLostAnswerIsFollowedByOneLaterAttemptAndThenTold(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.lose = 1 })
	w.expire()
	_, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	if bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Fatalf("lost answer: %v", err)
	}
	if s := w.session(b, root); s.Sent == nil {
		t.Fatal("no mark after an answer that was lost")
	}
	began := time.Now()
	_, err = b.FreshTokens(context.Background(), w.app, w.session(b, root))
	e, _ := errors.AsType[*bff.Error](err)
	if e == nil || e.Reason != string(bff.ReasonRefreshLost) {
		t.Fatalf("later attempt refused: %v, want refresh_lost", err)
	}
	if waited := time.Since(began); waited < w.limit.Suspicion {
		t.Errorf("the later attempt came after %v, before the suspicion of %v was over", waited, w.limit.Suspicion)
	}
	if over := w.idp.overused(2); over != nil {
		t.Errorf("sent more than twice: %v", over)
	}
}

// A frozen sender: its lease lapses, another instance waits over its mark, and the frozen one wakes up and saves. The
// other must not have sent the token.
func TestSenderThatWakesUpWithinTheSuspicionIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	w.limit.Suspicion = 3 * time.Second
	frozen := w.instance(func(p *bff.Ports) { p.Leases = lapsing{p.Leases} })
	b := w.instance()
	root := w.login(frozen)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()
	first := w.need(root, 1, frozen)
	<-w.idp.arrived // sent, and now the lease lapses: renewals do not get through
	second := w.need(root, 1, b)
	w.redis.FastForward(w.limit.Lease)
	for w.redis.TTL("cr:s:{"+string(root.Lookup())+"}:claim") < w.limit.Lease/2 {
		<-time.After(10 * time.Millisecond) // until b holds the lease
	}
	close(gate)
	for _, ch := range []chan result{first, second} {
		if r := <-ch; r.err != nil || r.access != "access-2" {
			t.Errorf("got %q, %v; want the one refreshed token", r.access, r.err)
		}
	}
	if got := w.idp.count(); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1: the sender was alive", got)
	}
}

// lapsing loses every renewal, as a frozen process does.
type lapsing struct{ bff.Leases }

func (lapsing) Renew(context.Context, bff.Lookup, string, time.Duration) error {
	return fmt.Errorf("%w: frozen", bff.ErrStore)
}

// shows SESS-CAS
func TestSignOutDuringARefreshWins(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.hold = gate })
	w.expire()
	results := w.need(root, 1, a)
	<-w.idp.arrived // at the provider
	<-w.idp.arrived // worked off, the answer on its way
	if _, err := b.SignOut(context.Background(), w.app, w.session(b, root)); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if r := <-results; bff.CodeOf(r.err) != bff.CodeSessionEnded {
		t.Fatalf("request mid-refresh: %v, want session_ended", r.err)
	}
	w.dead(a, root)
	a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
	if !w.idp.revoked["refresh-2"] {
		t.Errorf("revoked: %v, want the refreshed token among them", w.idp.revoked)
	}
}

// shows SESS-503
func TestRefreshedTokensAreKeptInMemoryUntilTheStoreTakesThem(t *testing.T) {
	w := newWorld(t)
	failing := &failingSave{on: true}
	a := w.instance(func(p *bff.Ports) { failing.Leases = p.Leases; p.Leases = failing })
	root := w.login(a)
	w.expire()
	s := w.session(a, root)
	for range 3 { // the first waits for the refresh, the others are answered from memory
		got, err := a.FreshTokens(context.Background(), w.app, s)
		if err != nil || got.Access.Reveal() != "access-2" {
			t.Fatalf("while saving fails: %v, %v", got.Access.Reveal(), err)
		}
	}
	failing.set(false)
	a.seen.until(t, "the save", func(s *seen) bool { return len(s.refreshes) == 1 })
	if s := w.session(a, root); s.Tokens.Access.Reveal() != "access-2" || w.idp.count() != 1 {
		t.Errorf("stored %s after %d calls", s.Tokens.Access.Reveal(), w.idp.count())
	}
}

// failingSave is a store that answers reads and loses saves.
type failingSave struct {
	bff.Leases
	mu sync.Mutex
	on bool
}

func (f *failingSave) set(on bool) { f.mu.Lock(); f.on = on; f.mu.Unlock() }

func (f *failingSave) Save(ctx context.Context, s *bff.Session, attempt string, g *bff.Grant) error {
	f.mu.Lock()
	on := f.on
	f.mu.Unlock()
	if on {
		return fmt.Errorf("%w: READONLY", bff.ErrStore)
	}
	return f.Leases.Save(ctx, s, attempt, g)
}

func TestSessionWithoutRefreshTokenLastsAsLongAsItsAccessToken(t *testing.T) {
	w := newWorld(t)
	w.idp.noRT = true
	a := w.instance()
	root := w.login(a)
	w.clock.move(52 * time.Second)
	if got, err := a.FreshTokens(context.Background(), w.app, w.session(a, root)); err != nil || got.Access.Reveal() != "access-1" {
		t.Fatalf("before its end: %v", err)
	}
	w.expire()
	_, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	e, _ := errors.AsType[*bff.Error](err)
	if e == nil || e.Reason != string(bff.ReasonNoRefreshToken) {
		t.Fatalf("after its end: %v, want no_refresh_token", err)
	}
	w.dead(a, root)
}

// An instance that dies after sending: the claim lapses, the next one makes the one later attempt.
func TestDeadSenderIsFollowedOnce(t *testing.T) {
	w := newWorld(t)
	w.limit.CallDeadline = time.Minute
	dying := w.instance(func(p *bff.Ports) { p.Leases = lapsing{p.Leases} })
	b := w.instance()
	root := w.login(dying)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()
	_ = w.need(root, 1, dying) // its answer never comes while b acts
	<-w.idp.arrived
	w.idp.set(func(p *fakeProvider) { p.gate = nil }) // b is answered at once
	w.redis.FastForward(w.limit.Lease)
	got, err := b.FreshTokens(context.Background(), w.app, w.session(b, root))
	if err != nil || got.Access.Reveal() != "access-2" {
		t.Fatalf("following a dead sender: %v, %v", got.Access.Reveal(), err)
	}
	b.seen.until(t, "a later attempt", func(s *seen) bool { return len(s.refreshes) == 1 && s.refreshes[0].Later })
	close(gate)
}

// shows REF-FRESH
func TestRefreshMakesNothingFresherThanTheLogin(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	before := w.session(a, root)
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, before); err != nil {
		t.Fatal(err)
	}
	after := w.session(a, root)
	if after.Generation != 2 {
		t.Fatal("nothing was refreshed")
	}
	if !after.AbsoluteEnd.Equal(before.AbsoluteEnd) || !after.AuthTime.Equal(before.AuthTime) || !after.LastActive.Equal(before.LastActive) {
		t.Errorf("moved by a refresh: end %v, auth_time %v, last active %v",
			after.AbsoluteEnd.Sub(before.AbsoluteEnd), after.AuthTime.Sub(before.AuthTime), after.LastActive.Sub(before.LastActive))
	}
	w.clock.move(12*time.Hour - 61*time.Second)
	if _, err := a.Session(context.Background(), w.app, root); bff.CodeOf(err) != bff.CodeSessionExpired {
		t.Errorf("at the absolute end of the login: %v", err)
	}
}
