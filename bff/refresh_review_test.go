package bff_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// drained waits until everything that outlives its request is done at in.
func (w *world) drained(in *instance) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := in.Drain(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// A refresh is under way when a step-up replaces its session. Its tokens come for a session that is gone; to revoke them
// would end the whole grant at some providers, and with it the session that was just begun.
func TestRefreshThatAStepUpOvertookTakesNothingFromTheNewSession(t *testing.T) {
	for name, tc := range map[string]struct{ spares, revoked bool }{
		"a provider where revoking ends the whole grant":   {false, false},
		"a provider where revoking spares the other token": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.RevocationSparesGrant = tc.spares
			a, b := w.instance(), w.instance()
			old := w.login(a)
			gate := make(chan struct{})
			w.idp.set(func(p *fakeProvider) { p.hold = gate })
			w.expire()
			results := w.need(old, 1, a)
			<-w.idp.arrived // at the provider
			<-w.idp.arrived // worked off: refresh-2 is on its way
			l := w.loginWith(b, bff.LoginRequest{Replaces: old})
			close(gate)
			if r := <-results; bff.CodeOf(r.err) != bff.CodeSessionEnded {
				t.Errorf("request of the replaced session: %v", r.err)
			}
			w.drained(a)
			w.idp.set(func(p *fakeProvider) {
				if p.revoked["refresh-2"] != tc.revoked {
					t.Errorf("revoked: %v", p.revoked)
				}
			})
			w.session(b, l.Session.Root)
		})
	}
}

// While saving fails requests are answered from memory, but not with a token whose own time is over.
//
// shows SESS-503
func TestTokensInMemoryAreNotUsedPastTheirEnd(t *testing.T) {
	w := newWorld(t)
	failing := &failingSave{on: true}
	a := w.instance(func(p *bff.Ports) { failing.Leases = p.Leases; p.Leases = failing })
	defer failing.set(false)
	s := w.session(a, w.login(a))
	w.expire()
	if got, err := a.FreshTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-2" {
		t.Fatalf("while saving fails: %v", err)
	}
	w.clock.move(5 * time.Minute)
	if _, err := a.FreshTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Errorf("after the end of a token that is not saved: %v, want store_unavailable", err)
	}
}

// gatedMarkers holds the answer about end markers, once armed.
type gatedMarkers struct {
	bff.Markers
	armed   atomic.Bool
	arrived chan struct{}
	gate    chan struct{}
}

func (g *gatedMarkers) Marked(ctx context.Context, targets []bff.Target) ([]bff.Marker, error) {
	if g.armed.CompareAndSwap(true, false) {
		g.arrived <- struct{}{}
		<-g.gate
	}
	return g.Markers.Marked(ctx, targets)
}

// The refresh has saved but not yet landed when a request reads its result, is refused by the API with it, and asks for
// more: the very token that was refused is no answer.
func TestRenewalIsNotAnsweredWithTheTokenThatWasRefused(t *testing.T) {
	w := newWorld(t)
	g := &gatedMarkers{arrived: make(chan struct{}), gate: make(chan struct{})}
	a := w.instance(func(p *bff.Ports) { g.Markers = p.Markers; p.Markers = g })
	root := w.login(a)
	g.armed.Store(true)
	w.expire()
	first := w.need(root, 1, a)
	<-g.arrived // saved
	s := w.session(a, root)
	if s.Generation != 2 {
		t.Fatalf("generation %d, want the saved one", s.Generation)
	}
	s.Tokens.ReceivedAt = a.Now().Add(-time.Minute) // not one that came a moment ago
	second := make(chan result, 1)
	go func() {
		tokens, err := a.RenewTokens(context.Background(), w.app, s)
		second <- result{tokens.Access.Reveal(), err}
	}()
	a.seen.until(t, "both waiting", func(s *seen) bool { return s.waits == 2 })
	close(g.gate)
	if r := <-first; r.err != nil || r.access != "access-2" {
		t.Errorf("first: %q, %v", r.access, r.err)
	}
	if r := <-second; r.err != nil || r.access != "access-3" {
		t.Errorf("renewed: %q, %v; want a token that is newer than the refused one", r.access, r.err)
	}
}

// faultyRecords fails what it is told to.
type faultyRecords struct {
	bff.Records
	mu     sync.Mutex
	read   func() bool
	remove func() bool
}

func (f *faultyRecords) set(read, remove func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read, f.remove = read, remove
}

func (f *faultyRecords) fails(which *func() bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *which != nil && (*which)() {
		return fmt.Errorf("%w: reset by peer", bff.ErrStore)
	}
	return nil
}

func (f *faultyRecords) Read(ctx context.Context, root bff.Root) (*bff.Session, error) {
	if err := f.fails(&f.read); err != nil {
		return nil, err
	}
	return f.Records.Read(ctx, root)
}

func (f *faultyRecords) Delete(ctx context.Context, l bff.Lookup, m *bff.Marker, r bff.Reason) (*bff.Ended, error) {
	if err := f.fails(&f.remove); err != nil {
		return nil, err
	}
	return f.Records.Delete(ctx, l, m, r)
}

func (w *world) faulty() (*faultyRecords, *instance) {
	f := &faultyRecords{}
	return f, w.instance(func(p *bff.Ports) { f.Records = p.Records; p.Records = f })
}

// Before a refused token is believed to be spent the record is read again: a sender that was thought dead may have saved.
// A record that cannot be read is no proof that it has not.
//
// shows REF-END, SESS-503
func TestSpentTokenEndsNothingWhileTheRecordCannotBeReadAgain(t *testing.T) {
	w := newWorld(t)
	f, a := w.faulty()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.live = "somebody used it" })
	w.expire()
	s := w.session(a, root)
	f.set(func() bool { return w.idp.count() > 0 }, nil)
	if _, err := a.FreshTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Errorf("got %v, want store_unavailable", err)
	}
	f.set(nil, nil)
	w.session(a, root)
}

// shows REF-RACE
func TestLaterAttemptWhoseEndCouldNotBeWrittenIsStillOne(t *testing.T) {
	w := newWorld(t)
	f, a := w.faulty()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.lose = 1 })
	w.expire()
	_, _ = a.FreshTokens(context.Background(), w.app, w.session(a, root))
	b := w.instance()
	f2, c := w.faulty()
	f2.set(nil, func() bool { return true })
	f.set(nil, nil)
	if _, err := c.FreshTokens(context.Background(), w.app, w.session(b, root)); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("while nothing can be deleted: %v", err)
	}
	_, err := b.FreshTokens(context.Background(), w.app, w.session(b, root))
	if e, _ := errors.AsType[*bff.Error](err); e == nil || e.Reason != string(bff.ReasonRefreshLost) {
		t.Errorf("afterwards: %v, want refresh_lost: no theft, an answer that was lost", err)
	}
}

// lostMark writes the first sent mark and loses the answer.
type lostMark struct {
	bff.Leases
	done atomic.Bool
}

func (l *lostMark) MarkSent(ctx context.Context, lookup bff.Lookup, attempt string, generation int64, at time.Time) error {
	err := l.Leases.MarkSent(ctx, lookup, attempt, generation, at)
	if l.done.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: reset by peer", bff.ErrStore)
	}
	return err
}

// Nothing was sent, so nobody has to wait for the lease, nor over the mark, nor to take a refusal for a lost answer.
func TestAttemptThatNeverSentLeavesNeitherLeaseNorMark(t *testing.T) {
	w := newWorld(t)
	a := w.instance(func(p *bff.Ports) { p.Leases = &lostMark{Leases: p.Leases} })
	b := w.instance()
	root := w.login(a)
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, w.session(a, root)); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("answer about the mark lost: %v", err)
	}
	got, err := b.FreshTokens(context.Background(), w.app, w.session(b, root)) // here no lease ends by itself
	if err != nil || got.Access.Reveal() != "access-2" {
		t.Fatalf("next: %v", err)
	}
	b.seen.until(t, "the refresh", func(s *seen) bool { return len(s.refreshes) == 1 && !s.refreshes[0].Later })
}

// Requests that outlast the time to drain still begin work. That is no race, and work that Drain did not wait for finds
// its life over at once: it must not send a token whose answer nobody would save.
func TestWorkThatBeginsWhileDrainingIsWaitedForOrNotBegun(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	w.clock.move(2 * time.Minute) // a touch is due, and a refresh
	s := w.session(a, root)
	var running sync.WaitGroup
	begin := make(chan struct{})
	for range 8 {
		running.Go(func() { <-begin; a.Touch(s) })
	}
	close(begin)
	w.drained(a)
	running.Wait()
	if _, err := a.FreshTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Errorf("a refresh after the end: %v", err)
	}
	if got := w.idp.count(); got != 0 {
		t.Errorf("%d tokens were sent", got)
	}
}

// Redis was away for longer than the lease, and with it the lease went; nobody else has taken it. The sender, whose call
// still runs, takes it again: otherwise the next one waits out the suspicion and sends the same token.
//
// shows REF-ONE
func TestLeaseThatLapsedDuringAnOutageIsTakenAgain(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	w.expire()
	first := w.need(root, 1, a)
	<-w.idp.arrived
	claim := "cr:s:{" + string(root.Lookup()) + "}:claim"
	w.redis.Del(claim)
	for deadline := time.Now().Add(5 * time.Second); !w.redis.Exists(claim); {
		if time.Now().After(deadline) {
			close(gate)
			t.Fatal("nobody holds the lease, and the token is on its way")
		}
		<-time.After(10 * time.Millisecond)
	}
	second := w.need(root, 1, b)
	b.seen.until(t, "the other instance waiting", func(s *seen) bool { return s.waits == 1 })
	close(gate)
	for _, ch := range []chan result{first, second} {
		if r := <-ch; r.err != nil || r.access != "access-2" {
			t.Errorf("got %q, %v; want the one refreshed token", r.access, r.err)
		}
	}
	w.drained(a)
	w.drained(b)
	if got := w.idp.count(); got != 1 || w.redis.Exists(claim) {
		t.Errorf("%d refreshes, lease left: %v; want one and none", got, w.redis.Exists(claim))
	}
}

// lateRenewal lets no release end before a renewal has found the lease gone, and what it does about that.
type lateRenewal struct {
	bff.Leases
	released atomic.Bool
	claims   chan struct{}
}

func (l *lateRenewal) Claim(ctx context.Context, lookup bff.Lookup, attempt string, ttl time.Duration) (bff.Claim, error) {
	c, err := l.Leases.Claim(ctx, lookup, attempt, ttl)
	if l.released.Load() {
		l.claims <- struct{}{}
	}
	return c, err
}

func (l *lateRenewal) Release(ctx context.Context, lookup bff.Lookup, attempt string, settle bff.Settlement) error {
	err := l.Leases.Release(ctx, lookup, attempt, settle)
	l.released.Store(true)
	select {
	case <-l.claims:
	case <-time.After(100 * time.Millisecond): // many renewals long: nobody claims
	}
	return err
}

// An attempt whose call is over takes no lease again, however its last renewal and its release meet.
func TestLeaseIsNotTakenAgainAfterTheEnd(t *testing.T) {
	w := newWorld(t)
	w.limit.Lease = 15 * time.Millisecond // renewed every five
	a := w.instance(func(p *bff.Ports) { p.Leases = &lateRenewal{Leases: p.Leases, claims: make(chan struct{}, 100)} })
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) {
		p.fail = &bff.RefreshError{Outcome: bff.OutcomeUnknown, Err: errors.New("trouble")}
	})
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Fatal(err)
	}
	w.drained(a)
	if w.redis.Exists("cr:s:{" + string(root.Lookup()) + "}:claim") {
		t.Error("a lease that nobody holds")
	}
}

// A browser that went away is no outage: an operator who is woken by 503s is not to be woken by closed tabs.
func TestReadThatItsBrowserGaveUpIsNoOutage(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	if _, err := a.Session(gone, w.app, root); bff.CodeOf(err) != bff.CodeClientGone {
		t.Errorf("got %v, want client_gone", err)
	}
	if _, err := a.Extend(gone, w.app, w.session(a, root)); bff.CodeOf(err) != bff.CodeClientGone {
		t.Errorf("extending: got %v, want client_gone", err)
	}
}

// A panic in the provider's package, as a hostile answer may cause one, costs its own requests only.
//
// shows ERR-CLOSED
func TestPanicInARefreshIsAnErrorAndNoMore(t *testing.T) {
	w := newWorld(t)
	p := &panicking{fakeProvider: w.idp, on: true}
	a := w.instance(func(ports *bff.Ports) { ports.Providers = func(string) bff.Provider { return p } })
	root := w.login(a)
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, w.session(a, root)); bff.CodeOf(err) != bff.CodeInternal {
		t.Fatalf("got %v, want internal", err)
	}
	a.seen.until(t, "an alarm", func(s *seen) bool { return len(s.alarms) == 1 })
	p.on = false
	w.redis.FastForward(w.limit.Lease) // the lease of the attempt that broke off
	got, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	if err != nil || got.Access.Reveal() != "access-2" {
		t.Errorf("afterwards: %v, %v", got.Access.Reveal(), err)
	}
}

type panicking struct {
	*fakeProvider
	on bool
}

func (p *panicking) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	if p.on {
		panic("hostile answer")
	}
	return p.fakeProvider.Refresh(ctx, s, resource)
}

// An API that refuses every token costs one refresh, not one per request.
func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Minute) // to where the fake provider dates its second token
	s := w.session(a, root)
	s.Tokens.ReceivedAt = a.Now().Add(-9 * time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeUpstreamRefused {
		t.Errorf("the renewed token refused as well: %v, want upstream_unauthorized", err)
	}
	if got := w.idp.count(); got != 1 {
		t.Errorf("%d refreshes", got)
	}
	s.Tokens.ReceivedAt = a.Now().Add(-11 * time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); err != nil {
		t.Errorf("after a rest: %v", err)
	}
}

// A short-lived token that ended on its way to the API is refused for that: it is renewed, however new it was.
func TestTokenThatEndedOnItsWayIsRenewed(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	s := w.session(a, root)
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-4*time.Second), a.Now()
	if got, err := a.RenewTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-3" {
		t.Errorf("got %q, %v; want a new token", got.Access.Reveal(), err)
	}
	s = w.session(a, root) // one of five seconds, by our clock; the API counts whole ones and is done with it
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-4100*time.Millisecond), a.Now().Add(900*time.Millisecond)
	if got, err := a.RenewTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-4" {
		t.Errorf("got %q, %v; want a new token", got.Access.Reveal(), err)
	}
	s = w.session(a, root)
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-time.Second), a.Now().Add(4*time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeUpstreamRefused {
		t.Errorf("in the first quarter of its life: %v, want upstream_unauthorized", err)
	}
}
