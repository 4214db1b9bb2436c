package bff

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// work counts what outlives its request. A sync.WaitGroup will not do: requests that outlast the time to drain go on
// beginning work while Drain waits, and what begins after the wait must know that nobody waits for it.
type work struct {
	mu     sync.Mutex
	count  int
	idle   chan struct{} // made by the first wait; closed when nothing runs any more
	closed bool          // what begins from here on is not waited for
}

// begin counts one more and reports whether it will be waited for.
func (w *work) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	return !w.closed
}

// end counts one less.
func (w *work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	w.close()
}

// wait returns a channel that is closed once nothing runs.
func (w *work) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	w.close()
	return w.idle
}

// close ends the wait if somebody waits and nothing runs. It is called under the lock.
func (w *work) close() {
	if w.idle != nil && w.count == 0 && !w.closed {
		w.closed = true
		close(w.idle)
	}
}

// Drain waits until all work that outlives its request (refreshes, saves, revocations) is done. When ctx ends first, the
// rest is given up and an error returned. What begins afterwards finds its life over.
func (e *Engine) Drain(ctx context.Context) error {
	defer e.die()
	select {
	case <-e.running.wait():
		return nil
	case <-ctx.Done():
		return errors.New("work was still running when the time to drain was over")
	}
}

// beside runs work that must not be lost with the request that caused it: a closed tab must not lose a rotated token.
// It ends with the process's life, or at its own deadline (0: none).
func (e *Engine) beside(deadline time.Duration, do func(context.Context)) {
	awaited := e.running.begin()
	go func() {
		defer e.running.end()
		defer e.survive()
		ctx, cancel := context.WithCancel(e.life)
		defer cancel()
		if !awaited {
			cancel() // it would be cut off at any moment, perhaps between a token sent and its successor saved
		}
		if deadline > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, deadline)
			defer stop()
		}
		do(ctx)
	}()
}

// survive turns a panic beside requests into an alarm: it must not take the process, and every other session's unsaved
// tokens, along.
func (e *Engine) survive() {
	if p := recover(); p != nil {
		e.trace.alarm(e.life, "panic beside a request", fmt.Errorf("%v\n%s", p, debug.Stack()))
	}
}
