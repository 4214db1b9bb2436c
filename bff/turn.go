package bff

import (
	"context"
	"errors"
	"time"
)

// ErrReused: a refresh handle was presented whose successor has been in use for longer than the grace: two hold the
// credential of one (RFC 9700 section 4.14.2).
var ErrReused = errors.New("refresh handle reused")

// Turn is where a native session stands: each rotation of its handles moves N by one, in the same record.
type Turn struct {
	N      int64     // counts from 1; 0 for a session whose credential is a cookie
	Moved  time.Time // when N became the current turn
	Issued time.Time // when the handles of N were handed out last: the access handle's life counts from here
	Seen   time.Time // when a credential of N was first presented; zero: not yet
	Before time.Time // Issued of the turn before; zero for the first
}

// Turns moves the turn of a native session. The same rules as for Records hold: existing records only, deletion wins, and
// ErrStore tells that nothing is known.
type Turns interface {
	// Rotate takes the refresh handle of turn presented and returns the turn to hand out. The current turn moves on by one.
	// The turn before gets the same successor again, as long as no credential of that was seen (its answer was lost) or
	// the first was seen no longer than grace ago. The one before that is ErrUsed, a duplicate that comes late, no longer
	// than grace after its successor was handed out. Anything older, or later, is ErrReused; either way nothing moves. One
	// ahead of the record was handed out by us and lost by a failover of the store: it counts as current. Doing it twice is
	// safe.
	Rotate(ctx context.Context, s *Session, presented int64, grace time.Duration) (Turn, error)
	// TurnSeen notes that a credential of turn n was presented, if n is the current turn and none was before.
	TurnSeen(ctx context.Context, s *Session, n int64) error
}

// misused tells what is wrong with a handle that is presented for a record of app (nil: of no native app): nothing is read
// into a record, nor written to it, before this is "".
func (e *Engine) misused(app *App, s *Session, h Handle) (rule string) {
	switch {
	case app == nil || !app.Native() || !s.isOf(app):
		return "foreign app"
	case !e.proven(s, h):
		return "handle without proof"
	default:
		return ""
	}
}

// HandleSession returns the live session of an access handle, and the app that it is of. apps finds a native app by id;
// nil for all others. p is the proof that it came with, nil for none: how it came must be how its session is bound. An access
// handle of an older turn, or one that is too old, is CodeSessionRequired, and so is, with ErrBound, one without the proof
// it needs, and with ErrUnbound one that is bound to no key where it should be. A proof that was used, or is by another key,
// is CodeProofRejected, and one that lacks a nonce CodeNonceRequired.
func (e *Engine) HandleSession(
	ctx context.Context, apps func(id string) *App, h Handle, p *Possession,
) (*App, *Session, error) {
	app, s, err := e.openHandle(ctx, apps, h, p)
	if err != nil {
		return nil, nil, err
	}
	if !s.admits(h.turn, app, e.now()) {
		return nil, nil, errNoSession(nil) // stale: the app fetches the next one. Nothing has ended
	}
	e.noteSeen(s, h)
	return app, s, nil
}

// LeavingSession is HandleSession for a sign-out and nothing else: the access handle's own life does not matter, for
// whoever signs out after a pause means it. What RevokeHandle takes for worthless is CodeSessionRequired here too.
func (e *Engine) LeavingSession(
	ctx context.Context, apps func(id string) *App, h Handle, p *Possession,
) (*App, *Session, error) {
	app, s, err := e.openHandle(ctx, apps, h, p)
	if err != nil {
		return nil, nil, err
	}
	if !s.Turn.leaves(h.turn, app, e.now()) {
		return nil, nil, errNoSession(nil)
	}
	return app, s, nil
}

// openHandle returns the live session of an access handle, whatever its turn, and the app that it is of.
func (e *Engine) openHandle(
	ctx context.Context, apps func(id string) *App, h Handle, p *Possession,
) (*App, *Session, error) {
	if h.kind != HandleAccess {
		e.trace.refusedCredential(ctx, nil, "refresh handle as access handle")
		return nil, nil, errNoSession(nil)
	}
	s, err := e.readPresented(ctx, h.root, p)
	if err != nil {
		return nil, nil, err
	}
	app := apps(s.App)
	if rule := e.misused(app, s, h); rule != "" {
		e.trace.refusedCredential(ctx, app, rule)
		return nil, nil, errNoSession(nil)
	}
	if err := e.unheld(ctx, app, s, p); err != nil {
		return nil, nil, err
	}
	if err := e.overdue(ctx, s); err != nil {
		return nil, nil, err
	}
	return app, s, nil
}

// admits reports whether an access handle of turn n is good at now. One that is bound to a key is good for as long as the
// session: it is worthless to whoever has it without the key, so it needs no turning (RFC 9700 section 2.2.2).
func (s *Session) admits(n int64, app *App, now time.Time) bool {
	return s.Key != "" && n == s.Turn.N || s.Key == "" && s.Turn.admits(n, app, now)
}

// admits reports whether an unbound access handle of turn n is good at now: one of the current turn for its life, one of the
// turn before for the grace, in which calls that were under way arrive, and no longer than its own life.
func (t Turn) admits(n int64, app *App, now time.Time) bool {
	switch n {
	case t.N:
		return now.Before(t.Issued.Add(app.AccessLife))
	case t.N - 1:
		return now.Before(t.Moved.Add(app.Grace)) && now.Before(t.Before.Add(app.AccessLife))
	default:
		return false
	}
}

// leaves reports whether a handle of turn n still ends the session, whatever its own life. The app of the turn before may
// not have got its successor: what it holds is all it can sign out with. Anything older a rotation has made worthless.
func (t Turn) leaves(n int64, app *App, now time.Time) bool {
	lost := n == t.N-1 && (t.Seen.IsZero() || !now.After(t.Seen.Add(app.Grace)))
	return n >= t.N || lost
}

// noteSeen notes, beside the request, that the app has the answer to its last rotation. A note that is lost is written by
// the next request: until then the turn before gets the same successor a little longer.
func (e *Engine) noteSeen(s *Session, h Handle) {
	if s.Key != "" || h.turn != s.Turn.N || !s.Turn.Seen.IsZero() {
		return
	}
	e.beside(5*time.Second, func(ctx context.Context) { // a store that is slower than this is down
		if err := e.ports.Turns.TurnSeen(ctx, s, h.turn); err != nil && !errors.Is(err, ErrNoSession) {
			e.trace.alarm(ctx, "noting that a handle was seen", err)
		}
	})
}
