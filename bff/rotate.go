package bff

import (
	"context"
	"errors"
)

// RotateHandles trades a refresh handle for the next turn of both. Reuse ends the session (RFC 9700 section 4.14.2). All
// refusals are CodeGrantRejected, for nobody is to learn which it was; only an outage is told as one.
func (e *Engine) RotateHandles(ctx context.Context, app *App, h Handle) (*Session, error) {
	s, err := e.grantOf(ctx, app, h)
	if err != nil {
		return nil, asGrant(err)
	}
	t, err := e.ports.Turns.Rotate(ctx, s, h.turn, app.Grace)
	switch {
	case errors.Is(err, ErrReused):
		return nil, e.reused(ctx, app, s)
	case errors.Is(err, ErrUsed):
		return nil, grantRejected(err) // a late duplicate: refused, and no proof of theft
	case err != nil && errors.Is(context.Cause(ctx), context.Canceled):
		return nil, &Error{Code: CodeClientGone, Err: err} // whether it moved or not, the next try gets the same answer
	case err != nil:
		return nil, asGrant(e.refused(ctx, app, s.Lookup, err))
	}
	s.Turn = t
	e.Touch(s) // a rotation is the user's activity
	return s, nil
}

// grantOf returns the live session of a refresh handle of app.
func (e *Engine) grantOf(ctx context.Context, app *App, h Handle) (*Session, error) {
	if h.kind != HandleRefresh {
		e.trace.refusedCredential(ctx, app, "access handle as refresh handle")
		return nil, grantRejected(nil)
	}
	s, err := e.read(ctx, app, h.root)
	if err != nil {
		return nil, err
	}
	if rule := e.misused(app, s, h); rule != "" {
		e.trace.refusedCredential(ctx, app, rule)
		return nil, grantRejected(nil)
	}
	if s.Key != "" { // none was given out: whoever has one has it from elsewhere
		e.trace.refusedCredential(ctx, app, "refresh handle of a bound session")
		return nil, grantRejected(nil)
	}
	if err := e.unheld(ctx, app, s, nil); err != nil {
		return nil, err
	}
	if err := e.overdue(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// reused ends a session whose refresh handle two hold: which of them is the thief cannot be told (RFC 9700 section
// 4.14.2). It is not on the time of whoever presented it, who may hang up at once.
func (e *Engine) reused(ctx context.Context, app *App, s *Session) error {
	e.trace.refusedCredential(ctx, app, "refresh handle reused")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	if err := e.endOne(ctx, s, ReasonHandleReused); err != nil {
		return err
	}
	return grantRejected(ErrReused)
}
