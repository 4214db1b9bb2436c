package bff

import (
	"context"
	"sync"
	"time"
)

// State is what a record says in clear of its session's life.
type State struct {
	Gone       bool      // there is no record
	Reason     Reason    // of the end, if it is remembered; as the store has it
	Ended      time.Time // when, with Reason
	LastActive time.Time // unless Gone
	Err        error     // ErrStore: nothing is known
}

// States looks at many sessions at once.
type States interface {
	// States returns the state of each lookup, in their order. It opens nothing, judges no end and changes nothing. What
	// cannot be asked of one part of the store does not keep the answer of another.
	States(ctx context.Context, lookups []Lookup) []State
}

const (
	// sweepMost bounds one look: a pipeline that Redis answers in about a millisecond, and no request behind it notices.
	sweepMost = 256
	// sweepsAtOnce is how many looks may wait at the same time: one node of a Cluster that answers nothing does not keep the
	// looks at the others waiting.
	sweepsAtOnce = 8
	// lapseDeadline bounds the deletion of sessions whose time is over: it may well be done by the next who asks for them.
	lapseDeadline = 10 * time.Second
)

// lapsed is a session whose time is over, and who has to be told.
type lapsed struct {
	lookup Lookup
	reason Reason
	tell   []*follower
}

// Watched is the number of sessions that streams of this process hang on.
func (e *Engine) Watched() int { return e.watches.len() }

// sweep looks at all watched sessions every Limits.Recheck, spread evenly over it, until ctx ends: the one who finds an end
// whose event was lost.
func (e *Engine) sweep(ctx context.Context) {
	var looking sync.WaitGroup
	defer looking.Wait()
	places := make(chan struct{}, sweepsAtOnce)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case places <- struct{}{}: // before anything is taken: what waits here is not taken
		}
		due, over, wait := e.watches.take(sweepMost)
		e.endLapsed(over)
		if len(due) > 0 {
			looking.Go(func() {
				defer func() { <-places }()
				e.look(ctx, due)
			})
			continue
		}
		<-places
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-e.watches.wake:
		case <-timer.C:
		}
	}
}

// look reads the state of these sessions, ends those that are over, and has the others looked at again.
func (e *Engine) look(ctx context.Context, due []*watched) {
	defer e.survive()
	defer e.watches.back(due) // also after a panic: no watch may be lost
	lookups := make([]Lookup, len(due))
	for i, w := range due {
		lookups[i] = w.lookup
	}
	ctx, cancel := context.WithTimeout(ctx, e.limits.Recheck) // what takes longer is made again
	defer cancel()
	began := time.Now()
	sweep := SweepEvent{Looked: len(due)}
	var over []lapsed
	for i, state := range e.ports.States.States(ctx, lookups) {
		switch is, end := e.watches.judge(due[i], state); {
		case state.Err != nil: // an outage is no end
			sweep.Unknown++
		case is && state.Gone:
			sweep.Ended++
			tellEnd(end.tell, end.reason)
		case is:
			sweep.Ended++
			over = append(over, end)
		}
	}
	e.endLapsed(over)
	sweep.Took = time.Since(began)
	call(ctx, e.trace.WatchSwept, sweep)
}

// judge compares a watched session with what its record says, by the rules of Session, and releases it if it is over.
func (l *watchlist) judge(w *watched, state State) (is bool, end lapsed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state.Err != nil || !l.follows(w) {
		return false, lapsed{}
	}
	if reason := w.over(state, l.now()); reason != "" {
		return true, lapsed{w.lookup, reason, l.release(w)}
	}
	if !state.LastActive.Equal(w.active) {
		w.active = state.LastActive
		w.tellMoved()
	}
	return false, lapsed{}
}

// over returns why a session is over; "" while it lives.
func (w *watched) over(state State, now time.Time) Reason {
	active := state.LastActive
	if state.Gone {
		active = w.active
	}
	switch {
	case state.Gone && state.Reason != "":
		return state.Reason.known()
	case !now.Before(w.absolute):
		return ReasonAbsolute
	case !now.Before(active.Add(w.idle + idleSettle)):
		return ReasonIdle
	case state.Gone:
		return ReasonSignedOut
	default:
		return ""
	}
}

// tellMoved tells the new idle end to those who want to know. What they have not taken is out of date: they are told under
// the lock, so nobody else fills the place that was made.
func (w *watched) tellMoved() {
	for _, f := range w.followers {
		if f.moved == nil {
			continue
		}
		select {
		case <-f.moved:
		default:
		}
		f.moved <- Ends{Idle: w.active.Add(w.idle), Last: f.last}
	}
}

// endLapsed tells those who follow sessions whose time is over, and deletes these beside, so that everybody is told the
// same reason.
func (e *Engine) endLapsed(over []lapsed) {
	if len(over) == 0 {
		return
	}
	for _, o := range over {
		tellEnd(o.tell, o.reason)
	}
	e.beside(lapseDeadline, func(ctx context.Context) {
		for _, o := range over {
			_ = e.lapse(ctx, &Session{Lookup: o.lookup}, o.reason) // its error is for a caller who asked
		}
	})
}
