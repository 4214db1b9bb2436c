package bff

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

// watchlist is all sessions that streams of this process hang on, each once, in the order in which they are to be looked
// at again. A watch costs no goroutine and no timer.
type watchlist struct {
	now   func() time.Time // the clock that ends are judged by
	began time.Time        // what due is measured from: the clock may be set, intervals must not
	every time.Duration    // Limits.Recheck
	wake  chan struct{}    // the first due session may be another now

	mu       sync.Mutex
	byLookup map[Lookup]*watched
	due      dueHeap
	asleep   time.Duration // until when the sweep sleeps, after began: what is due later does not wake it
}

// watched is one session that is followed.
type watched struct {
	lookup   Lookup
	absolute time.Time
	idle     time.Duration
	active   time.Time // as last seen in the record

	followers []*follower
	listeners int // followers that are told when the idle end moves

	look  time.Duration // when to look at the record, after watchlist.began
	due   time.Duration // the same, or an end of its own that comes before
	at    int           // in the heap; -1: it is being looked at
	again bool          // meanwhile a hint came: the look may have been too early
}

// follower is one stream that hangs on a session. end must not block.
type follower struct {
	end   func(cause error)
	moved chan Ends // one place; nil: it does not want to know
	last  time.Time // Ends.Last

	of *watched // nil: removed, or ended
	at int      // in of.followers
}

const (
	// steps into which the interval of looks is divided: sessions of one step are read together, and steps follow each other
	// evenly.
	steps = 20
	// idleSettle is how long after an idle end its session is given up: a use of the last moment is still being written.
	idleSettle = 500 * time.Millisecond
)

// add has a session followed, and looked at within the time given. false: it has as many listeners as it may have.
func (l *watchlist) add(s *Session, f *follower, within time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.byLookup[s.Lookup]
	switch {
	case w == nil:
		w = &watched{lookup: s.Lookup, absolute: s.AbsoluteEnd, idle: s.Idle, active: s.LastActive, at: -1}
		l.byLookup[s.Lookup] = w
		l.push(w, within)
	case f.moved != nil && w.listeners >= mostListeners:
		return false
	default:
		l.sooner(w, within)
	}
	if f.moved != nil {
		w.listeners++
	}
	f.of, f.at = w, len(w.followers)
	w.followers = append(w.followers, f)
	return true
}

// remove forgets a follower, and with the last one its session. Doing it twice is safe.
func (l *watchlist) remove(f *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := f.of
	if w == nil {
		return
	}
	last := w.followers[len(w.followers)-1]
	w.followers[f.at], last.at = last, f.at
	w.followers = w.followers[:len(w.followers)-1]
	f.of = nil
	if f.moved != nil {
		w.listeners--
	}
	if len(w.followers) == 0 {
		l.forget(w)
	}
}

// forget takes a session off the list. It is called under the lock.
func (l *watchlist) forget(w *watched) {
	delete(l.byLookup, w.lookup)
	if w.at >= 0 {
		heap.Remove(&l.due, w.at)
	}
}

// follows reports whether the session is still this one's to follow: it may have been forgotten, and another entry may
// stand in its place. It is called under the lock.
func (l *watchlist) follows(w *watched) bool { return l.byLookup[w.lookup] == w }

// end tells all who follow a session that it is over. Nobody needs to follow it.
func (l *watchlist) end(lookup Lookup, reason Reason) {
	l.mu.Lock()
	w := l.byLookup[lookup]
	var over []*follower
	if w != nil {
		over = l.release(w)
	}
	l.mu.Unlock()
	tellEnd(over, reason)
}

// release takes a session off the list with its followers, and returns them. It is called under the lock.
func (l *watchlist) release(w *watched) []*follower {
	over := w.followers
	w.followers = nil
	for _, f := range over {
		f.of = nil
	}
	l.forget(w)
	return over
}

// tellEnd is called without the lock: a cancelled context may run what hangs on it.
func tellEnd(over []*follower, reason Reason) {
	for _, f := range over {
		f.end(&SessionEndedCause{Reason: reason})
	}
}

// extended has a session looked at whose idle end moved, if anybody wants to know.
func (l *watchlist) extended(lookup Lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.byLookup[lookup]; w != nil && w.listeners > 0 {
		l.sooner(w, 0)
	}
}

// lookAtAll has all sessions looked at: anything may have been missed.
func (l *watchlist) lookAtAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.byLookup {
		l.sooner(w, 0)
	}
}

// push puts a session into the order, to be looked at within the time given. It is called under the lock.
func (l *watchlist) push(w *watched, within time.Duration) {
	l.plan(w, within)
	heap.Push(&l.due, w)
	l.stir(w)
}

// sooner has a session looked at within the time given, if it is not to be anyhow. It is called under the lock.
func (l *watchlist) sooner(w *watched, within time.Duration) {
	if w.at < 0 { // the look that is under way may have been too early
		w.again = true
		return
	}
	if l.step(time.Since(l.began), within) < w.look {
		l.plan(w, within)
		heap.Fix(&l.due, w.at)
		l.stir(w)
	}
}

// stir wakes the sweep where it would sleep too long for this session. Requests that come and go do not: the sweep sleeps
// until the first of a moment ago would have been due.
func (l *watchlist) stir(w *watched) {
	if w.due >= l.asleep {
		return
	}
	l.asleep = w.due
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// step is the moment of a look within the time given: looks of one step are made together. The very next is meant by 0.
func (l *watchlist) step(now, within time.Duration) time.Duration {
	size := max(l.every/steps, time.Millisecond)
	at := (now + within) / size * size
	if at <= now {
		at += size
	}
	return at
}

// plan sets when a session is due: for its look, or for an end of its own that comes before and is still ahead.
func (l *watchlist) plan(w *watched, within time.Duration) {
	at, now := time.Since(l.began), l.now()
	w.look = l.step(at, within)
	w.due = w.look
	for _, end := range [...]time.Time{w.absolute, w.active.Add(w.idle + idleSettle)} {
		if left := end.Sub(now); left > 0 {
			w.due = min(w.due, at+left)
		}
	}
}

// take removes from the order, at most of them, the sessions that are due: those past their absolute end, of which nothing
// needs to be asked, are released, the others are to be looked at and put back. With nothing due it tells how long there
// will be nothing.
func (l *watchlist) take(most int) (look []*watched, over []lapsed, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, at := l.now(), time.Since(l.began)
	for len(l.due) > 0 && l.due[0].due <= at && len(look) < most {
		w := l.due[0]
		if !now.Before(w.absolute) {
			over = append(over, lapsed{w.lookup, ReasonAbsolute, l.release(w)})
			continue
		}
		heap.Pop(&l.due)
		look = append(look, w)
	}
	l.asleep = at + time.Hour // until somebody comes
	if len(l.due) > 0 {
		l.asleep = l.due[0].due
	}
	return look, over, l.asleep - at
}

// back puts those that were looked at, and are still followed, into the order again.
func (l *watchlist) back(looked []*watched) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range looked {
		if !l.follows(w) || w.at >= 0 {
			continue
		}
		within := l.every - rand.N(l.every/4+1) // so that those that came together do not stay together
		if w.again {
			w.again, within = false, 0
		}
		l.push(w, within)
	}
}

// len is the number of sessions that are followed.
func (l *watchlist) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byLookup)
}

// dueHeap is container/heap's: the first is due first.
type dueHeap []*watched

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }

// Push is called by container/heap.
func (h *dueHeap) Push(x any) {
	w, _ := x.(*watched)
	w.at = len(*h)
	*h = append(*h, w)
}

// Pop is called by container/heap.
func (h *dueHeap) Pop() any {
	w := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	w.at = -1
	return w
}
