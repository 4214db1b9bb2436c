package idp

import (
	"context"
	"sync"
	"time"
)

// Times by which remote documents are kept.
const (
	keysMostOld = 24 * time.Hour  // that keys are believed while they cannot be fetched: see Issuer.keys
	freshFor    = time.Hour       // metadata and keys change over days; an hour bounds how long a withdrawn key is believed
	negativeFor = 3 * time.Second // after a failure nothing is asked for so long: a provider that is down is not hammered
)

// cached is one remote document. The last good copy is kept while no newer one comes.
type cached[T any] struct {
	most    time.Duration // that a copy is kept; 0 for as long as none replaces it
	mu      sync.Mutex
	value   T
	have    bool
	at      time.Time // of the last good fetch
	failed  time.Time // of the last failure; zero after a success
	err     error
	running *fetch[T]
}

// fetch is one flight that any number of callers wait for.
type fetch[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// get returns the document: from memory while it is fresh; the old copy, with a fetch beside, when it is not; after a
// fetch when there is none. wait is how long asking again is not worth it, with an error.
func (c *cached[T]) get(ctx context.Context, now time.Time, load func(context.Context) (T, error)) (v T, wait time.Duration, err error) {
	c.mu.Lock()
	if c.have && (c.most == 0 || now.Sub(c.at) < c.most) {
		defer c.mu.Unlock()
		if now.Sub(c.at) >= freshFor && now.Sub(c.failed) >= negativeFor {
			c.start(ctx, now, load)
		}
		return c.value, 0, nil
	}
	if left := negativeFor - now.Sub(c.failed); c.err != nil && left > 0 {
		defer c.mu.Unlock()
		return v, left, c.err
	}
	f := c.start(ctx, now, load)
	c.mu.Unlock()
	v, err = f.wait(ctx)
	return v, negativeFor, err
}

// renew returns a newer copy than the caller may have seen: that of the fetch which is running, or of a new one if may
// says so (asked), or else the copy there is now.
func (c *cached[T]) renew(ctx context.Context, now time.Time, load func(context.Context) (T, error), may func(time.Time) bool,
) (v T, asked bool, err error) {
	c.mu.Lock()
	if c.running == nil && !may(now) {
		defer c.mu.Unlock()
		return c.value, false, nil
	}
	f := c.start(ctx, now, load)
	c.mu.Unlock()
	v, err = f.wait(ctx)
	return v, true, err
}

// start begins a fetch, or joins the one that is running. It outlives the caller who began it: others wait for it too.
func (c *cached[T]) start(ctx context.Context, now time.Time, load func(context.Context) (T, error)) *fetch[T] {
	if c.running != nil {
		return c.running
	}
	f := &fetch[T]{done: make(chan struct{})}
	c.running = f
	go func() {
		f.value, f.err = load(context.WithoutCancel(ctx)) // load has its own time limit
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running = nil
		if f.err != nil {
			c.failed, c.err = now, f.err
		} else {
			c.value, c.have, c.at, c.failed, c.err = f.value, true, now, time.Time{}, nil
		}
		close(f.done)
	}()
	return f
}

func (f *fetch[T]) wait(ctx context.Context) (v T, err error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}

// interval lets something happen once in a while.
type interval struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
}

// take reports whether it may happen now, and counts it.
func (i *interval) take(now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.last.IsZero() && now.Sub(i.last) < i.every {
		return false
	}
	i.last = now
	return true
}
