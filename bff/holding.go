package bff

import (
	"context"
	"errors"
	"time"
)

// sendingKey is where a context keeps the last question before a refresh token leaves.
type sendingKey struct{}

// Sending is to be asked by a Provider at the last moment before it writes a refresh token to the wire, with the context
// that Refresh got. An error forbids it: between the sent mark and that moment a call may wait for a place at the token
// endpoint, and a process may stand still for longer than its lease lasts; then another instance may have sent the same
// token, and a second use looks like theft (RFC 9700 section 4.14.2). It usually costs nothing: only a lease that was not
// heard of for a while is asked for. Outside a refresh it is nil.
func Sending(ctx context.Context) error {
	if ask, ok := ctx.Value(sendingKey{}).(func(context.Context) error); ok {
		return ask(ctx)
	}
	return nil
}

// withSending returns a context in which Sending asks this attempt.
func (a *attempt) withSending(ctx context.Context) context.Context {
	return context.WithValue(ctx, sendingKey{}, a.stillOurs)
}

// stillOurs makes sure that the lease is this attempt's and always was since it was claimed, unless that was heard of a
// moment ago. While the store cannot be asked nothing may be sent: the answer could not be saved either.
func (a *attempt) stillOurs(ctx context.Context) error {
	// It is renewed every third of its life: what is older was missed by a process that stood still.
	if elapsed(*a.heard.Load()) > a.engine.limits.Lease/2 {
		if err := a.renew(ctx, a.session.Lookup); err != nil {
			return err
		}
	}
	if a.lapsed.Load() {
		return ErrClaimLost // it was taken again: somebody else may have sent meanwhile
	}
	return nil
}

// holdLease renews the lease from now until it is stopped or lost. A lost lease does not stop the call: the answer may
// still be saved, for the generation decides that.
func (a *attempt) holdLease(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	lookup := a.session.Lookup
	go func() {
		defer close(done)
		defer a.engine.survive()
		tick := time.NewTicker(a.engine.limits.Lease / 3) // two renewals may be lost before the lease is
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// An outage is no loss: the lease may well stand, and the next tick asks again.
			err := a.renew(ctx, lookup)
			if errors.Is(err, ErrClaimLost) && !a.reclaim(ctx, lookup) {
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// reclaim takes a lease again that ran out while the store was away, unless somebody else was faster: a token that is on
// its way is not to be sent by the next one, who would wait no longer than the suspicion. Before the call it may not: who
// held the lease meanwhile may have left a mark that this attempt has not seen. Nor after it: the lease would outlive us.
// A failover that lost the lease may have lost the mark as well, so it is written again: should this process die now, the
// next one is to know that the token was sent.
func (a *attempt) reclaim(ctx context.Context, lookup Lookup) bool {
	return a.call.during(func() bool {
		a.lapsed.Store(true) // first: a token that waits for a place must not leave under a lease that was ours twice
		c, err := a.engine.ports.Leases.Claim(ctx, lookup, a.id, a.engine.limits.Lease)
		switch {
		case errors.Is(err, ErrStore):
			return true // an outage: the next tick asks again
		case err != nil || !c.Granted:
			return false
		}
		// Where the record is of another generation by now there is nothing left to mark.
		_ = a.engine.ports.Leases.MarkSent(ctx, lookup, a.id, a.session.Generation, a.engine.now())
		return true
	})
}

// renew prolongs the lease and notes that it was heard of, by the time of the question: for so long it surely lasts.
func (a *attempt) renew(ctx context.Context, lookup Lookup) error {
	asked := time.Now()
	err := a.engine.ports.Leases.Renew(ctx, lookup, a.id, a.engine.limits.Lease)
	if err == nil {
		a.heard.Store(&asked)
	}
	return err
}

// elapsed is how long ago a moment was, by the wall clock where that says more: the monotonic one of Linux stands still
// while a machine is suspended, and a lease in Redis does not.
func elapsed(since time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}
