package bff

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// attempt is one instance's try to refresh one session: claim, look, mark, send, save. What makes it safe:
//
//   - The lease decides who may call: one attempt over all instances, renewed while it runs.
//   - The sent mark, written under the lease before sending, outlives its sender. Whoever claims over somebody else's
//     mark waits, looks again, and only then makes the one later attempt: a token is sent twice only if the first
//     sender died or its answer was lost.
//   - The generation decides who may save, and a save acts on an existing record only: a sign-out always wins.
//   - A new refresh token exists nowhere else, so saving it is tried until it is saved, or the record is gone.
//
// What it goes through, and what holds meanwhile:
//
//	it is                 sent  call  the mark in the record        what comes next
//	waiting (claim)       no    no    anybody's, or none            a lease: looking; another's save: over, or waiting again
//	looking (look)        no    no    none, or another's: later     what it is for is there: over; else marking
//	marking (underLease)  no    no    its own                       marked: calling; the lease or the generation lost: waiting, or over
//	calling (send)        yes   yes   its own                       tokens: saving; an error: failing; it never left: waiting, or over
//	saving (save)         yes   no    its own, till it saved        over
//	failing (failed)      yes   no    its own, till it is settled   over; the token was rotated by another attempt: waiting
//
// The lease is held from looking on, and heard and lapsed are about it: heard is renewed with it; lapsed is set where it ran out
// during the call, and forbids that the token leaves under it, though it be taken again.
type attempt struct {
	engine  *Engine
	app     *App
	session *Session // as the request read it; then as it was read last, under the lease or while it was waited for
	errand  errand   // what it is for
	asked   int64    // errand.generation of the session as the request read it
	id      string
	flight  *flight
	life    context.Context // of the flight: what is told is told on it
	wake    chan struct{}   // an event of the session
	later   bool            // a mark of somebody else stood in the record: this is the later attempt
	sent    bool            // the refresh token may have left this process under this attempt
	call    outstanding
	heard   atomic.Pointer[time.Time] // when the lease was last known to be ours
	lapsed  atomic.Bool               // it was lost since, and may have been taken again
}

// notify wakes a sleeping attempt. It is called by the hub and must not block.
func (a *attempt) notify(Event) {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run tries until this attempt or another one has an outcome, and lands the flight.
func (a *attempt) run(ctx context.Context) {
	l := a.engine.limits
	// The longest wait of use: for another's whole call, for its lease to lapse, and for the suspicion after.
	claiming, cancel := context.WithTimeout(ctx, l.CallDeadline+l.Lease+2*l.Suspicion)
	defer cancel()
	for {
		t, generation, err := a.once(ctx, claiming)
		if errors.Is(err, ErrClaimLost) || errors.Is(err, errUnserved) {
			continue // before anything was sent, or after what was sent had been rotated by another attempt
		}
		why := err
		if end, _ := claiming.Deadline(); errors.Is(err, ErrStore) && !time.Now().Before(end) && !a.sent {
			why = context.DeadlineExceeded // the wait was over in the middle of a command: that is no outage of the store
		}
		a.flight.land(t, generation, a.told(why))
		if errors.Is(err, ErrStore) && !a.sent {
			// The claim or the mark may have been written although the answer was lost. Nobody is to wait for a lease that
			// serves nobody, nor over a mark under which nothing was sent.
			a.release(ctx, a.untouched())
		}
		return
	}
}

// untouched settles the mark of an attempt that leaves the token as it found it. Where it took the place of somebody
// else's mark, that doubt stays. A mark that is still on its way to the store finds the lease gone and is not written.
func (a *attempt) untouched() Settlement {
	if a.later {
		return SettleDoubt
	}
	return SettleGood
}

// told turns what a port said into what waiting requests are told.
func (a *attempt) told(err error) error {
	if err == nil {
		return nil
	}
	if _, typed := errors.AsType[*Error](err); typed {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrStore) {
		return &Error{
			Code: CodeIDPUnavailable, Message: "Your sign-in could not be renewed in time. Try again in a moment.",
			RetryAfter: a.engine.limits.Suspicion, Err: err,
		}
	}
	a.report(OutcomeStore, err)
	return a.engine.refused(a.engine.life, a.app, a.session.Lookup, err)
}

// once claims; under the lease it sends and saves, otherwise it takes over what another attempt saved.
func (a *attempt) once(ctx, claiming context.Context) (TokenSet, int64, error) {
	// Only who holds the lease comes near the token: with rotation a second sender ends the grant (RFC 9700 section 4.14.2).
	began := time.Now()
	won, err := a.claim(claiming)
	a.claimed(won, time.Since(began), err)
	switch {
	case err != nil:
		return TokenSet{}, 0, err
	case !won:
		return a.adopt(claiming)
	}
	stop := a.holdLease(ctx)
	defer stop()
	return a.underLease(ctx, claiming)
}

// claimed tells what came of a claim.
func (a *attempt) claimed(won bool, took time.Duration, err error) {
	result := ClaimAdopted
	switch {
	case err != nil:
		result = ClaimFailed
	case won:
		result = ClaimGranted
	}
	call(a.life, a.engine.trace.RefreshClaimed, ClaimEvent{
		App: a.app.ID, Provider: a.session.Provider, Result: result, Took: took,
	})
}

// claim returns true with the lease held, false once another attempt has saved. Until then it waits.
func (a *attempt) claim(ctx context.Context) (won bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, err // the wait was too long: that is no outage of the store
		}
		asked := time.Now()
		c, err := a.engine.ports.Leases.Claim(ctx, a.session.Lookup, a.id, a.engine.limits.Lease)
		switch {
		case err != nil:
			return false, err
		case c.Granted:
			a.heard.Store(&asked)
			a.lapsed.Store(false)
			return true, nil
		case c.Generation > a.session.Generation:
			return false, nil
		}
		if err := a.sleep(ctx, min(a.engine.limits.Poll, max(c.Remaining, time.Millisecond))); err != nil {
			return false, err
		}
	}
}

// sleep waits for an event of the session, at most d.
func (a *attempt) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-a.wake:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// errUnserved says that the record has moved on, by an attempt for something else than this one is for.
var errUnserved = errors.New("what was saved is for another resource")

// adopt returns what another attempt saved. errUnserved where that is not what this one is for: then the session is the one
// that was read, whose refresh token is the newest.
func (a *attempt) adopt(ctx context.Context) (TokenSet, int64, error) {
	s, err := a.engine.ports.Records.Read(ctx, a.session.Root)
	if err != nil {
		return TokenSet{}, 0, err
	}
	t, served, err := a.served(ctx, s)
	switch {
	case err != nil:
		return TokenSet{}, 0, err
	case !served:
		a.session = s
		return TokenSet{}, 0, errUnserved
	default:
		return t, a.errand.generation(s), nil
	}
}

// underLease reads again what it is about to send, marks it as sent, sends it, and saves the answer.
func (a *attempt) underLease(ctx, claiming context.Context) (TokenSet, int64, error) {
	s, t, served, err := a.look(claiming)
	if err != nil {
		a.release(ctx, SettleNothing)
		return TokenSet{}, 0, err
	}
	if served {
		a.release(ctx, SettleNothing)
		return t, a.errand.generation(s), nil // the refresh was done already
	}
	// From here on the session is the one that was read under the lease: its refresh token is the one to send, never that
	// of the request, which may have been rotated since (RFC 9700 section 4.14.2: a second use looks like theft).
	a.session = s
	// The mark must be there before the token is on the wire: written after it, a crash in between would hide the sending.
	err = a.engine.ports.Leases.MarkSent(claiming, s.Lookup, a.id, s.Generation, a.engine.now())
	switch {
	// The record is a generation further: somebody saved between our look and the mark. What is there is newer than ours.
	case errors.Is(err, ErrConflict):
		a.release(ctx, SettleNothing)
		return a.adopt(claiming)
	case errors.Is(err, ErrClaimLost):
		a.release(ctx, a.untouched()) // the mark, should it stand: the lease is somebody else's
		return TokenSet{}, 0, err
	case err != nil:
		return TokenSet{}, 0, err
	}
	return a.send(ctx)
}

// look reads the record under the lease, and what this attempt is for, if that is there by now. Over the mark of a sender
// that may still be alive, or on its way, it waits from its own first sight of it, so that no clock of another instance
// matters. A record of a newer generation has no mark that was seen before.
func (a *attempt) look(ctx context.Context) (s *Session, t TokenSet, served bool, err error) {
	until := time.Now().Add(a.engine.limits.Suspicion)
	for {
		if s, err = a.engine.ports.Records.Read(ctx, a.session.Root); err != nil {
			return nil, TokenSet{}, false, err
		}
		if t, served, err = a.served(ctx, s); served || err != nil {
			return s, t, served, err
		}
		if s.Generation > a.session.Generation {
			a.session, until = s, time.Now().Add(a.engine.limits.Suspicion)
		}
		left := time.Until(until)
		if !a.suspects(s) || left <= 0 {
			return s, TokenSet{}, false, nil
		}
		if err := a.sleep(ctx, left); err != nil {
			return nil, TokenSet{}, false, err
		}
	}
}

// suspects reports whether the mark in a record is that of a sender who may still be at it, and notes whether this would
// be the later attempt. A mark of its own says nothing new: an earlier round wrote it, over whatever was there before.
func (a *attempt) suspects(s *Session) bool {
	mark := s.Sent
	switch {
	case mark == nil || mark.Generation != s.Generation:
		a.later = false
		return false
	case mark.Attempt == a.id:
		return false
	default:
		a.later = true
		return !mark.Doubt
	}
}

// send makes the one call (RFC 6749 section 6). It is not on the time of whoever waits: a call that was sent runs to its
// own end, for its answer may hold the only good refresh token from then on (RFC 9700 section 4.14.2: rotation).
func (a *attempt) send(ctx context.Context) (TokenSet, int64, error) {
	began := time.Now()
	a.sent = true
	a.call.set(true)
	calling, cancel := context.WithTimeout(ctx, a.engine.limits.CallDeadline)
	defer cancel()
	g, err := a.engine.ports.Providers(a.app.ID).Refresh(a.withSending(calling), a.session, a.errand.resource)
	a.call.set(false)
	switch {
	case errors.Is(err, ErrClaimLost), errors.Is(err, ErrStore): // from Sending: the token did not leave
		a.sent = false
		a.release(ctx, a.untouched())
		return TokenSet{}, 0, err
	case err != nil:
		return a.failed(ctx, err, time.Since(began))
	}
	// Tokens that come with a doubt (keys out of reach, an ID token that does not hold) are kept: no others exist, and the old
	// refresh token is used up.
	if g.Alarm != nil {
		a.engine.trace.alarm(ctx, "refreshed tokens", g.Alarm)
	}
	t, generation, err := a.save(ctx, a.errand.grant(a.session, g))
	if err == nil {
		a.done(OutcomeRefreshed, generation, time.Since(began), nil)
	}
	return t, generation, err
}

// failed judges a refresh that brought no tokens. Before a refused token is believed to be spent (RFC 6749 section 5.2:
// invalid_grant), the record is read once more: a sender that was thought dead may have saved. An error that says nothing
// of its outcome is unknown: the token may be used up.
func (a *attempt) failed(ctx context.Context, err error, took time.Duration) (TokenSet, int64, error) {
	r, ok := errors.AsType[*RefreshError](err)
	if !ok {
		r = &RefreshError{Outcome: OutcomeUnknown, Err: err}
	}
	// So is it after any other failure: this process may have stood still while another one refreshed.
	refused := a.session
	t, generation, gone := a.adopt(ctx)
	switch {
	case gone == nil:
		a.release(ctx, SettleNothing)
		return t, generation, nil
	case errors.Is(gone, errUnserved) && a.session.Generation > refused.Generation:
		// What was refused had been rotated, for something else: the token that took its place has its turn.
		a.sent = false
		a.release(ctx, SettleNothing)
		return TokenSet{}, 0, gone
	case errors.Is(gone, errUnserved):
		// Nobody saved: the answer is about the token that is there.
	case errors.Is(gone, ErrNoSession), gone != nil && r.Outcome == OutcomeSpent:
		// Gone already, for its own reason; or not to be read, which is no proof of anything.
		a.release(ctx, a.untouched())
		return TokenSet{}, 0, gone
	}
	// The lease goes back whatever the outcome, and the mark is settled by it: see Settlement.
	settle, told := a.engine.failure(ctx, a.session, r, a.later)
	a.release(ctx, settle)
	a.done(r.Outcome, a.session.Generation, took, r)
	return TokenSet{}, 0, told
}

// release gives the lease back. Where that fails it lapses by itself, and a mark that stays only makes others careful.
func (a *attempt) release(ctx context.Context, settle Settlement) {
	_ = a.engine.ports.Leases.Release(ctx, a.session.Lookup, a.id, settle)
}

// done tells what became of the call.
func (a *attempt) done(o Outcome, generation int64, took time.Duration, err error) {
	call(a.life, a.engine.trace.RefreshDone, RefreshEvent{
		App: a.app.ID, Provider: a.session.Provider, SessionID: a.session.ID(),
		Outcome: o, Generation: generation, Later: a.later, Took: took, Err: err,
	})
}

// report tells of a refresh that never came to a call.
func (a *attempt) report(o Outcome, err error) {
	if !errors.Is(err, ErrNoSession) {
		a.done(o, a.session.Generation, 0, err)
	}
}
