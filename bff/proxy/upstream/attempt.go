package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// lateError says that an attempt took too long.
type lateError struct{ phase string }

// Error names the phase.
func (e lateError) Error() string { return e.phase + " took too long" }

// Timeout is part of net.Error.
func (lateError) Timeout() bool { return true }

// Temporary is part of net.Error.
func (lateError) Temporary() bool { return true }

// attempt is one request to one target: its time, and whether a byte of it may have left.
type attempt struct {
	head, stall time.Duration
	cancel      context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	phase string // that the timer bounds
	late  error  // it has run out
	done  bool   // the head of the answer is there: no clock runs any more

	counted bool  // what is written to connections is counted
	conn    *wire // the connection that the request was given; guarded by mu
	had     bool  // it was given one
	start   int64 // what had been written to it by then
}

// send sends a request to a target and waits for the head of its answer, no longer than head.
func (u *Upstream) send(c *chosen, tr *http.Transport, out *http.Request, body *upload,
	head time.Duration,
) (*http.Response, *attempt, error) {
	a := &attempt{head: head, stall: u.set.Timeouts.Stall, phase: "the answer"}
	ctx, cancel := context.WithCancelCause(out.Context())
	a.cancel = cancel
	if c.address != "" { // else its connections are not counted
		a.counted = true
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: a.wants, GotConn: a.got})
	}
	out = out.WithContext(ctx)
	var l *leg
	if body != nil {
		l = body.leg(a)
		out.Body = l
	}
	a.timer = time.AfterFunc(head, a.runOut)
	res, err := c.over(tr, out).RoundTrip(out)
	if late := a.settle(); late != nil {
		if err == nil {
			_ = res.Body.Close()
		}
		err = late
	}
	if err == nil {
		return res, a, nil
	}
	cancel(nil)
	if l != nil {
		_ = l.Close() // whoever still writes for this attempt gets no more of the body
	}
	return nil, a, err
}

// wants and got are httptrace's hooks: a transport that finds its connection dead takes another one.
func (a *attempt) wants(string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.had = false
}

func (a *attempt) got(info httptrace.GotConnInfo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.had, a.conn = true, wireOf(info.Conn); a.conn != nil {
		a.start = a.conn.written.Load()
	}
}

// unsent reports whether surely no byte of the request has left.
func (a *attempt) unsent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.had || a.conn != nil && a.conn.written.Load() == a.start
}

// connected reports whether the request was given a connection.
func (a *attempt) connected() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.had
}

// runOut ends the attempt.
func (a *attempt) runOut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.done && a.late == nil {
		a.late = lateError{a.phase}
		a.cancel(a.late)
	}
}

// settle stops the clock for good, and returns what it has said before.
func (a *attempt) settle() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = true
	a.timer.Stop()
	return a.late
}

// pause stops the clock while the frontend is waited for.
func (a *attempt) pause() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer.Stop()
}

// sending starts the clock anew: for the target to take what was read, or, where that was all, for its answer.
func (a *attempt) sending(all bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.done || a.late != nil:
	case all:
		a.phase = "the answer"
		a.timer.Reset(a.head)
	default:
		a.phase = "taking the body"
		a.timer.Reset(a.stall)
	}
}

// verdictOf is what an error says about the target that it came from.
func verdictOf(ctx context.Context, err error, body *upload) verdict {
	var op *net.OpError
	var network net.Error
	switch {
	case ctx.Err() != nil || body.fault() != nil:
		return none
	case errors.As(err, &op) && op.Op == "dial":
		return unreached
	case errors.As(err, &network) && network.Timeout():
		return unanswered
	default:
		return failed
	}
}
