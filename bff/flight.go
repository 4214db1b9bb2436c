package bff

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// restAfterFailure is how long a failed refresh is the answer for further requests of its session: a provider in trouble
	// is asked once a second per session, not once per request. (Its breaker bounds it over all sessions.)
	restAfterFailure = time.Second
	// restMost bounds how long a provider can have its Retry-After (RFC 9110 section 10.2.3) kept: a user waits as long.
	restMost = time.Minute
)

// rest is how long the failure err of a refresh is the answer. A provider that answered is not asked before the time it
// gave; one that was not asked is tried again as soon as may be.
func rest(err error) time.Duration {
	if CodeOf(err) == CodeTokenRefused {
		return refusalRest
	}
	r, ok := errors.AsType[*RefreshError](err)
	if !ok || r.Unasked {
		return restAfterFailure
	}
	return max(restAfterFailure, min(r.RetryAfter, restMost))
}

// flight is one refresh of one session in this process. All requests that need it wait on done; then tokens and
// generation, or err, are set. It stays in flight until its tokens are saved, answering from memory meanwhile.
type flight struct {
	done       chan struct{}
	landed     sync.Once
	tokens     TokenSet
	generation int64
	err        error
}

// land sets the result, once, and wakes those who wait.
func (f *flight) land(t TokenSet, generation int64, err error) {
	f.landed.Do(func() {
		f.tokens, f.generation, f.err = t, generation, err
		close(f.done)
	})
}

// result returns the outcome if there is one yet.
func (f *flight) result() (t TokenSet, generation int64, err error, landed bool) {
	select {
	case <-f.done:
		return f.tokens, f.generation, f.err, true
	default:
		return TokenSet{}, 0, nil, false
	}
}

// wait waits until the flight has landed. A caller that goes away leaves it flying.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return &Error{Code: CodeClientGone, Err: context.Cause(ctx)}
	}
}

// flights holds the refreshes of this process. Those of one session, for its own tokens and for resources, take the lease in
// turn, as those of several instances do.
type flights struct {
	mu    sync.Mutex
	byKey map[flightKey]*flight
}

// flightKey names what a flight is for: the tokens of a session that are good at a resource; "": its own.
type flightKey struct {
	lookup   Lookup
	resource string
}

// latest returns the newest tokens of a session this process knows: those of the record, or those of a refresh whose save
// still runs.
func (fs *flights) latest(s *Session) TokenSet {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.byKey[flightKey{lookup: s.Lookup}]; f != nil {
		if t, generation, err, landed := f.result(); landed && err == nil && generation > s.OwnGeneration() {
			return t
		}
	}
	return s.Tokens
}

// find returns the flight that serves s on this errand, if there is one: it runs, or failed a moment ago, or brought newer
// tokens.
func (fs *flights) find(s *Session, e errand) *flight {
	f := fs.byKey[flightKey{s.Lookup, e.resource}]
	if f == nil {
		return nil
	}
	if _, generation, err, landed := f.result(); landed && err == nil && generation <= e.generation(s) {
		return nil // an older one that is about to go
	}
	return f
}

// Unsaved returns of how many sessions this process holds newer tokens than the store does: their saves still run, and
// they are lost with the process.
func (e *Engine) Unsaved() (n int) {
	e.flights.mu.Lock()
	defer e.flights.mu.Unlock()
	for _, f := range e.flights.byKey {
		if _, _, err, landed := f.result(); landed && err == nil {
			n++
		}
	}
	return n
}

// remove takes f out, unless another flight stands in its place by now.
func (fs *flights) remove(key flightKey, f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.byKey[key] == f {
		delete(fs.byKey, key)
	}
}

// join returns the refresh of s on this errand that runs in this process, and begins it, for the request of ctx, if there
// is none.
func (e *Engine) join(ctx context.Context, app *App, s *Session, why errand) *flight {
	e.flights.mu.Lock()
	defer e.flights.mu.Unlock()
	if f := e.flights.find(s, why); f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	e.flights.byKey[flightKey{s.Lookup, why.resource}] = f
	e.beside(0, func(life context.Context) { // its steps have deadlines of their own; the save has none but the process's life
		running, end := e.trace.refreshBegins(ctx, life, app, s)
		defer end()
		e.fly(running, app, s, why, f)
	})
	return f
}

// fly carries the refresh out and clears it away, also after a panic: no request may wait for ever.
func (e *Engine) fly(ctx context.Context, app *App, s *Session, why errand, f *flight) {
	a := &attempt{
		engine: e, app: app, session: s, errand: why, asked: why.generation(s), id: newID(), flight: f, life: ctx,
		wake: make(chan struct{}, 1),
	}
	remove := e.hub.add(s.Lookup, a.notify)
	defer e.clear(flightKey{s.Lookup, why.resource}, f)
	defer f.land(TokenSet{}, 0, &Error{Code: CodeInternal, Err: errNeverLanded}) // nothing, unless a panic came before
	defer remove()
	a.run(ctx)
}

// errNeverLanded is the cause of a refresh that broke off by a panic.
var errNeverLanded = errors.New("the refresh broke off")

// clear takes a landed flight out: one that failed for the provider's sake after a rest.
func (e *Engine) clear(key flightKey, f *flight) {
	_, _, err, _ := f.result()
	if code := CodeOf(err); err != nil && (code == CodeIDPUnavailable || code == CodeTokenRefused) {
		time.AfterFunc(rest(err), func() { e.flights.remove(key, f) })
		return
	}
	e.flights.remove(key, f)
}

// outstanding is whether a call to the provider runs, as another goroutine must know it.
type outstanding struct {
	mu sync.Mutex
	is bool
}

// set notes that the call begins or has ended. It waits for whoever is inside during.
func (o *outstanding) set(is bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.is = is
}

// during runs do while the call is kept from ending, and reports what it says; false if no call runs.
func (o *outstanding) during(do func() bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.is && do()
}
