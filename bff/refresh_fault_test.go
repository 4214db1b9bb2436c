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
