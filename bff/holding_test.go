package bff_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

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
