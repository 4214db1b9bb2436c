package bff

import (
	"context"
	"errors"
	"time"
)

// SessionEndedCause is the cause with which Watch and Listen cancel a context.
type SessionEndedCause struct{ Reason Reason }

// Error names the reason.
func (c *SessionEndedCause) Error() string { return "session ended: " + string(c.Reason) }

// EndOf returns the reason for which a context of Watch or Listen was cancelled; false if its session did not end.
func EndOf(ctx context.Context) (Reason, bool) {
	if c, ok := errors.AsType[*SessionEndedCause](context.Cause(ctx)); ok {
		return c.Reason, true
	}
	return "", false
}

const (
	// watchAfter is when a watch that began is looked after for the first time: most requests are over by then and cost no
	// look. It bounds how long an answer outlives a session that ended between the request's own look and its watch.
	watchAfter = 900 * time.Millisecond
	// mostListeners bounds the event streams of one session in one process: more tabs than anybody keeps open, and too few
	// for one session to fill a process (ASVS 15.2.2).
	mostListeners = 20
	// listenAgain is when a tab beyond that may try again: others must be closed first.
	listenAgain = 30 * time.Second
)

// Watch returns a context that is cancelled, with a *SessionEndedCause, when the session ends: at once on an event,
// within Limits.Recheck whatever was lost, and by that also at its own ends. Every stream hangs on one. Call stop when
// the stream is over.
func (e *Engine) Watch(ctx context.Context, s *Session) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &follower{end: cancel}
	e.watches.add(s, f, watchAfter)
	return ctx, func() { e.watches.remove(f); cancel(context.Canceled) }
}

// Ends is when a session ends: as long as nobody uses it, and at the latest.
type Ends struct{ Idle, Last time.Time }

// Listener hears of one session what its frontend should know.
type Listener struct {
	list *watchlist
	follower
}

// Moved yields the ends of the session whenever its idle end moved. What was not taken is replaced by what is newer, so
// that a slow reader has the latest and nobody waits for it.
func (l *Listener) Moved() <-chan Ends { return l.moved }

// Close ends the listening, and cancels its context.
func (l *Listener) Close() { l.list.remove(&l.follower); l.end(context.Canceled) }

// Listen is Watch for a stream of events about the session itself: it looks at the record right away, and its Listener is
// told when the idle end moves. Of one session at most 20 listen in one process; beyond that it is CodeRateLimited.
// Listening is no activity.
func (e *Engine) Listen(ctx context.Context, s *Session) (context.Context, *Listener, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &Listener{list: &e.watches, follower: follower{end: cancel, moved: make(chan Ends, 1), last: s.LastEnd()}}
	if e.watches.add(s, &l.follower, 0) {
		return ctx, l, nil
	}
	cancel(context.Canceled)
	return nil, nil, &Error{
		Code: CodeRateLimited, Message: "This session has as many event streams as it may have.", RetryAfter: listenAgain,
	}
}

// deliver passes an event on to whom it concerns in this process.
func (e *Engine) deliver(ev Event) {
	e.hub.deliver(ev)
	switch ev.Kind {
	case EventEnded:
		// Whoever can write to Redis can publish this. It closes streams nonetheless, for that is the safe side, and a stream
		// of a session that lives is opened again.
		e.watches.end(ev.Lookup, ev.Reason.known())
	case EventReplaced:
		e.watches.end(ev.Lookup, ReasonReplaced)
	case EventExtended:
		e.watches.extended(ev.Lookup)
	case EventResubscribed:
		e.watches.lookAtAll()
	case EventRefreshed: // not about the session's life
	}
}

// known returns the reason, or the plainest there is for one that is not of this version: it comes from the store, where
// others may write, and is told to frontends.
func (r Reason) known() Reason {
	switch r {
	case ReasonSignedOut, ReasonProvider, ReasonAdmin, ReasonReplaced, ReasonIdle, ReasonAbsolute, ReasonRefreshRejected,
		ReasonRefreshLost, ReasonNoRefreshToken, ReasonIdentityChanged, ReasonKeyRetired, ReasonLoginUndone,
		ReasonHandleReused, ReasonCodeReplayed, ReasonLimit:
		return r
	default:
		return ReasonSignedOut
	}
}
