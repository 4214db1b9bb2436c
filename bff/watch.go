package bff

import (
	"context"
	"errors"
	"sync"
	"time"
)

// hub spreads events within the process: to those who wait for a refresh, and to watched sessions. Events are hints,
// so every wait also polls and every watch is also read again.
type hub struct {
	mu      sync.Mutex
	watches map[Lookup]map[*watch]struct{}
}

// watch is one interest in the events of one session. notify must not block.
type watch struct{ notify func(Event) }

// add registers an interest until the returned function is called.
func (h *hub) add(lookup Lookup, notify func(Event)) (remove func()) {
	w := &watch{notify: notify}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watches[lookup] == nil {
		h.watches[lookup] = make(map[*watch]struct{})
	}
	h.watches[lookup][w] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watches[lookup], w)
		if len(h.watches[lookup]) == 0 {
			delete(h.watches, lookup)
		}
	}
}

// deliver passes an event to whom it concerns: after a gap in the subscription, to all.
func (h *hub) deliver(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ev.Kind != EventResubscribed {
		for w := range h.watches[ev.Lookup] {
			w.notify(ev)
		}
		return
	}
	for _, ws := range h.watches {
		for w := range ws {
			w.notify(ev)
		}
	}
}

// SessionEndedCause is the cause with which Watch cancels a context.
type SessionEndedCause struct{ Reason Reason }

// Error names the reason.
func (c *SessionEndedCause) Error() string { return "session ended: " + string(c.Reason) }

// watchAfter is how long a request may run before it is watched: most are over by then, and a watch that begins looks at
// once. It bounds how long an answer that just began may outlive its session.
const watchAfter = time.Second

// Watch returns a context that is cancelled, with a *SessionEndedCause, when the session ends: at once on an event,
// within Limits.Recheck whatever was lost, and by that also at its own ends. Every stream hangs on one. Call stop when
// the stream is over.
func (e *Engine) Watch(ctx context.Context, app *App, s *Session) (watched context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	begin := time.AfterFunc(watchAfter, func() { e.watch(ctx, cancel, app, s) })
	return ctx, func() { begin.Stop(); cancel(context.Canceled) }
}

// watch cancels when a look at the record, made on every hint and every Limits.Recheck, finds it gone or over. An outage
// is not an end.
func (e *Engine) watch(ctx context.Context, cancel context.CancelCauseFunc, app *App, s *Session) {
	look := make(chan struct{}, 1)
	look <- struct{}{} // what happened before now
	remove := e.hub.add(s.Lookup, func(ev Event) {
		if ev.Kind == EventEnded {
			cancel(&SessionEndedCause{Reason: ev.Reason})
			return
		}
		select {
		case look <- struct{}{}:
		default: // a look is due already
		}
	})
	defer remove()
	ticker := time.NewTicker(e.limits.Recheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look:
		case <-ticker.C:
		}
		_, err := e.Session(ctx, app, s.Root)
		if reason, over := endOf(err); over {
			cancel(&SessionEndedCause{Reason: reason})
			return
		}
	}
}

// endOf reads from the answer to a session whether it is over. An outage is not an end.
func endOf(err error) (Reason, bool) {
	switch CodeOf(err) {
	case CodeSessionEnded, CodeSessionExpired:
		ended, _ := errors.AsType[*Error](err)
		return Reason(ended.Reason), true
	case CodeSessionRequired:
		return ReasonSignedOut, true
	default:
		return "", false
	}
}
