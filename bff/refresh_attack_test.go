package bff_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// frozenLeases are those of a process that can be made to stand still: no renewal gets through.
type frozenLeases struct {
	bff.Leases
	frozen atomic.Bool
	down   atomic.Bool // the store is away
}

func (f *frozenLeases) Renew(ctx context.Context, lookup bff.Lookup, attempt string, ttl time.Duration) error {
	if f.down.Load() {
		return fmt.Errorf("%w: down", bff.ErrStore)
	}
	for f.frozen.Load() {
		<-time.After(time.Millisecond) // it goes on when the process does
	}
	return f.Leases.Renew(ctx, lookup, attempt, ttl)
}

// waiting is a refresh at the first of two instances that has set its mark and waits for a place at the token endpoint.
type waiting struct {
	*world
	leases   *frozenLeases
	a, b     *instance
	root     bff.Root
	claim    string
	place    chan struct{}
	answered chan result
}

func newWaiting(t *testing.T) *waiting {
	t.Helper()
	w := &waiting{world: newWorld(t), leases: &frozenLeases{}, place: make(chan struct{})}
	w.a = w.instance(func(p *bff.Ports) { w.leases.Leases = p.Leases; p.Leases = w.leases })
	w.b = w.instance()
	w.root = w.login(w.a)
	w.claim = "cr:s:{" + string(w.root.Lookup()) + "}:claim"
	w.expire()
	w.idp.set(func(p *fakeProvider) { p.queue = w.place })
	w.answered = w.need(w.root, 1, w.a)
	<-w.idp.queued
	w.idp.set(func(p *fakeProvider) { p.queue = nil })
	return w
}

// A process stands still while its call waits for a place, for longer than its lease, and another one refreshes. Its own
// token must not leave any more: it was rotated, and a second use looks like theft.
//
// shows REF-ONE, REF-RACE
func TestTokenThatWaitedForAPlaceTooLongDoesNotLeave(t *testing.T) {
	w := newWaiting(t)
	w.leases.frozen.Store(true)
	w.redis.FastForward(w.limit.Lease)
	if r := <-w.need(w.root, 1, w.b); r.err != nil || r.access != "access-2" {
		t.Fatalf("the other instance: %q, %v", r.access, r.err)
	}
	<-time.After(w.limit.Lease/2 + 10*time.Millisecond) // by its own clock the lease was not heard of for a while
	w.leases.frozen.Store(false)
	close(w.place)
	if r := <-w.answered; r.err != nil || r.access != "access-2" {
		t.Errorf("the one that stood still: %q, %v; want what the other one got", r.access, r.err)
	}
	if got := w.idp.overused(1); got != nil || w.idp.count() != 1 {
		t.Errorf("sent twice: %v, in %d calls", got, w.idp.count())
	}
}

// The same, but the other one was so fast that the lease is free again: to take it again is no leave to send.
//
// shows REF-ONE
func TestLeaseTakenAgainIsNoLeaveToSend(t *testing.T) {
	w := newWaiting(t)
	w.leases.frozen.Store(true)
	<-time.After(w.limit.Lease / 2) // a renewal is on its way, and comes when all is over
	w.redis.Del(w.claim)
	if r := <-w.need(w.root, 1, w.b); r.err != nil || r.access != "access-2" {
		t.Fatalf("the other instance: %q, %v", r.access, r.err)
	}
	w.leases.frozen.Store(false)
	for deadline := time.Now().Add(5 * time.Second); !w.redis.Exists(w.claim); {
		if time.Now().After(deadline) {
			close(w.place)
			t.Fatal("nobody takes the lease again, so nothing is shown here")
		}
		<-time.After(5 * time.Millisecond)
	}
	close(w.place)
	if r := <-w.answered; r.err != nil || r.access != "access-2" {
		t.Errorf("the first one: %q, %v; want what the other one got", r.access, r.err)
	}
	if got := w.idp.overused(1); got != nil || w.idp.count() != 1 {
		t.Errorf("sent twice: %v, in %d calls", got, w.idp.count())
	}
}

// What cannot be saved is not sent.
func TestTokenDoesNotLeaveWhileTheStoreIsAway(t *testing.T) {
	w := newWaiting(t)
	w.leases.down.Store(true)
	<-time.After(w.limit.Lease/2 + 10*time.Millisecond)
	close(w.place)
	if r := <-w.answered; bff.CodeOf(r.err) != bff.CodeStoreUnavailable {
		t.Errorf("got %v, want store_unavailable", r.err)
	}
	if got := w.idp.count(); got != 0 {
		t.Errorf("%d tokens left", got)
	}
	// Nothing was sent, so nobody suspects anything: the other instance refreshes at once.
	if r := <-w.need(w.root, 1, w.b); r.err != nil || r.access != "access-2" {
		t.Errorf("the other instance: %q, %v", r.access, r.err)
	}
	w.b.seen.until(t, "a refresh that is no later one", func(s *seen) bool { return len(s.refreshes) == 1 && !s.refreshes[0].Later })
}

// A failover that lost lease and mark: the sender takes the lease again, and says again that the token is sent.
//
// shows REF-RACE
func TestMarkThatAFailoverLostIsWrittenAgain(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	record := "cr:s:{" + string(root.Lookup()) + "}"
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()
	answered := w.need(root, 1, a)
	<-w.idp.arrived
	w.redis.Del(record + ":claim")
	w.redis.HDel(record, "sent")
	for deadline := time.Now().Add(5 * time.Second); w.redis.HGet(record, "sent") == ""; {
		if time.Now().After(deadline) {
			close(gate)
			t.Fatal("nobody would know that the token is on its way")
		}
		<-time.After(5 * time.Millisecond)
	}
	close(gate)
	if r := <-answered; r.err != nil || r.access != "access-2" {
		t.Errorf("got %q, %v", r.access, r.err)
	}
	if s := w.session(b, root); s.Sent != nil || s.Generation != 2 {
		t.Errorf("afterwards: generation %d, mark %v", s.Generation, s.Sent)
	}
}

// A failover undid the refresh before, while this one is at the provider: its answer holds the only tokens that work, and
// the record's own are used up. They are saved over what came back.
//
// shows REF-DETACH, REF-RACE
func TestRefreshOverAFailoverThatUndidTheOneBefore(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	record := "cr:s:{" + string(root.Lookup()) + "}"
	before := map[string]string{}
	for _, f := range []string{"gen", "wid", "tok"} {
		before[f] = w.redis.HGet(record, f)
	}
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.hold = hold })
	w.clock.move(4 * time.Minute)
	for len(w.idp.arrived) > 0 {
		<-w.idp.arrived
	}
	answered := w.need(root, 1, a)
	<-w.idp.arrived
	<-w.idp.arrived // worked off
	for f, v := range before {
		w.redis.HSet(record, f, v)
	}
	w.redis.HDel(record, "sent")
	close(hold)
	w.idp.set(func(p *fakeProvider) { p.hold = nil })
	if r := <-answered; r.err != nil || r.access != "access-3" {
		t.Errorf("got %q, %v; want the newest token", r.access, r.err)
	}
	if s := w.session(b, root); s.Generation != 3 || s.Tokens.Refresh.Reveal() != "refresh-3" {
		t.Errorf("kept: generation %d with %s, want the newest", s.Generation, s.Tokens.Refresh.Reveal())
	}
}

// A clock that was ahead when a token came, and was put right since, must not keep a token that the API refuses.
func TestTokenFromAClockThatWasAheadIsRenewed(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	s := w.session(a, root)
	s.Tokens.ReceivedAt = a.Now().Add(time.Hour)
	if got, err := a.RenewTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-3" {
		t.Errorf("got %q, %v; want a new token", got.Access.Reveal(), err)
	}
}

// A provider that says when to come back is not asked before; a breaker that says so costs nobody anything to ask.
//
// shows REF-SOFT
func TestRetryAfterIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		fail  bff.RefreshError
		calls int
	}{
		"a provider that asks for five seconds": {bff.RefreshError{RetryAfter: 5 * time.Second}, 1},
		"a breaker that is open for five":       {bff.RefreshError{RetryAfter: 5 * time.Second, Unasked: true}, 2},
		"a provider that asks for nothing":      {bff.RefreshError{}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.instance()
			root := w.login(a)
			tc.fail.Outcome, tc.fail.Err = bff.OutcomeTransient, errors.New("busy")
			w.idp.set(func(p *fakeProvider) { p.fail = &tc.fail })
			w.expire()
			s := w.session(a, root)
			began := time.Now()
			for time.Since(began) < 1500*time.Millisecond { // one rest and a half
				if _, err := a.FreshTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeIDPUnavailable {
					t.Fatalf("got %v", err)
				}
				<-time.After(20 * time.Millisecond)
			}
			if got := w.idp.count(); got != tc.calls {
				t.Errorf("asked %d times, want %d", got, tc.calls)
			}
		})
	}
}

// The session's own end comes while the provider takes its time: new tokens make no new life.
//
// shows REF-FRESH, SESS-LIFE
func TestSessionThatEndsDuringItsRefreshStaysEnded(t *testing.T) {
	for name, tc := range map[string]struct {
		idle, absolute time.Duration
		reason         bff.Reason
	}{
		"its idle end":     {2 * time.Minute, time.Hour, bff.ReasonIdle},
		"its absolute end": {time.Hour, 2 * time.Minute, bff.ReasonAbsolute},
	} {
		t.Run("a session that reaches "+name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Idle, w.app.Absolute = tc.idle, tc.absolute
			a, b := w.instance(), w.instance()
			root := w.login(a)
			hold := make(chan struct{})
			w.idp.set(func(p *fakeProvider) { p.hold = hold })
			w.expire()
			answered := w.need(root, 1, a)
			<-w.idp.arrived
			<-w.idp.arrived
			w.clock.move(61 * time.Second) // Redis keeps the record: only its own times tell
			close(hold)
			r := <-answered
			e, _ := errors.AsType[*bff.Error](r.err)
			if e == nil || e.Code != bff.CodeSessionExpired || e.Reason != string(tc.reason) {
				t.Errorf("got %v, want session_expired by %s", r.err, tc.reason)
			}
			a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
			w.idp.set(func(p *fakeProvider) {
				if !p.revoked["refresh-2"] {
					t.Errorf("revoked: %v, want the refreshed token among them", p.revoked)
				}
			})
			w.dead(b, root)
		})
	}
}

// slowSave is a store whose first answer to a save comes when all is over.
type slowSave struct {
	bff.Leases
	saved, gate chan struct{}
	once        atomic.Bool
}

func (l *slowSave) Save(ctx context.Context, s *bff.Session, attempt string, g *bff.Grant) error {
	err := l.Leases.Save(ctx, s, attempt, g)
	if l.once.CompareAndSwap(false, true) {
		close(l.saved)
		<-l.gate
	}
	return err
}

// A process stood still after its save, for longer than the new token lived: that token is no answer any more.
func TestTokenThatEndedWhileItWasWaitedForIsRenewed(t *testing.T) {
	w := newWorld(t)
	slow := &slowSave{saved: make(chan struct{}), gate: make(chan struct{})}
	a := w.instance(func(p *bff.Ports) { slow.Leases = p.Leases; p.Leases = slow })
	root := w.login(a)
	w.expire()
	answered := w.need(root, 1, a)
	<-slow.saved
	w.clock.move(5 * time.Minute)
	close(slow.gate)
	if r := <-answered; r.err != nil || r.access != "access-3" {
		t.Errorf("got %q, %v; want a token that lives", r.access, r.err)
	}
}

// The provider ends the session while a refresh of it is under way, at each place: it stays ended, nothing comes back.
//
// shows SESS-CAS
func TestEndByTheProviderDuringARefreshStays(t *testing.T) {
	for name, tc := range map[string]struct {
		stop  func(p *fakeProvider, gate chan struct{})
		there func(p *fakeProvider)
	}{
		"waits for a place":   {func(p *fakeProvider, g chan struct{}) { p.queue = g }, func(p *fakeProvider) { <-p.queued }},
		"is at the provider":  {func(p *fakeProvider, g chan struct{}) { p.gate = g }, func(p *fakeProvider) { <-p.arrived }},
		"has been worked off": {func(p *fakeProvider, g chan struct{}) { p.hold = g }, func(p *fakeProvider) { <-p.arrived; <-p.arrived }},
	} {
		t.Run("a refresh that "+name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.instance(), w.instance()
			root := w.login(a)
			gate := make(chan struct{})
			w.idp.set(func(p *fakeProvider) { tc.stop(p, gate) })
			w.expire()
			answered := w.need(root, 1, a)
			tc.there(w.idp)
			if _, err := b.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: w.app.Provider.Name, Value: "ses_1"}); err != nil {
				t.Fatal(err)
			}
			close(gate)
			if r := <-answered; bff.CodeOf(r.err) != bff.CodeSessionEnded {
				t.Errorf("the request that waited: %q, %v; want session_ended", r.access, r.err)
			}
			a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
			w.dead(a, root)
			w.dead(b, root)
		})
	}
}
