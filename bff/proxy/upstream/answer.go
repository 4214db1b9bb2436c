package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errStalled is what is read of an answer that paused for too long.
var errStalled error = lateError{"the rest of the answer"}

// guard watches over an answer until its body is closed: the target has it under way for so long, one of known length must not
// stall, and how it ends says how the target is: v if it is whole. a is its attempt, if it has one.
func (t *target) guard(res *http.Response, v verdict, began time.Time, trial bool, a *attempt) {
	if res.StatusCode == http.StatusSwitchingProtocols || res.Body == nil || res.Body == http.NoBody {
		t.underway.Add(-1) // a WebSocket is bounded elsewhere
		t.judge(v, began, trial)
		if a != nil && res.StatusCode != http.StatusSwitchingProtocols {
			a.cancel(nil)
		}
		return
	}
	g := &guarded{ReadCloser: res.Body, ctx: res.Request.Context(), target: t, began: began, trial: trial, attempt: a, whole: v}
	if res.ContentLength > 0 && res.Request.Method != http.MethodHead {
		g.left, g.stall = res.ContentLength, t.set.Timeouts.Stall
	} else {
		t.judge(v, began, trial) // a stream's end says nothing of the target
		g.judged = true
	}
	res.Body = g
}

// guarded is the body of an answer.
type guarded struct {
	io.ReadCloser
	ctx     context.Context
	target  *target
	attempt *attempt
	began   time.Time
	left    int64         // that is still to come, where the length is known
	stall   time.Duration // 0: it may pause
	timer   *time.Timer
	whole   verdict // of an answer that came whole
	trial   bool
	judged  bool
	stalled atomic.Bool
	closed  atomic.Bool
}

// Read reads on, within the time that a pause may take.
func (g *guarded) Read(p []byte) (int, error) {
	if g.stall == 0 || g.left <= 0 {
		return g.ReadCloser.Read(p)
	}
	if g.timer == nil {
		g.timer = time.AfterFunc(g.stall, g.breakOff)
	} else {
		g.timer.Reset(g.stall)
	}
	n, err := g.ReadCloser.Read(p)
	g.timer.Stop()
	g.left -= int64(n)
	switch {
	case g.left <= 0:
		g.judge(g.whole)
	case g.stalled.Load():
		g.target.met(errStalled)
		g.judge(unanswered)
		return n, errStalled
	case err != nil && !g.gone():
		g.target.met(err)
		g.judge(failed)
	}
	return n, err
}

// gone reports whether it is the frontend that ended the answer.
func (g *guarded) gone() bool { return g.closed.Load() || g.ctx.Err() != nil }

func (g *guarded) breakOff() {
	g.stalled.Store(true)
	_ = g.ReadCloser.Close()
}

func (g *guarded) judge(v verdict) {
	if !g.judged {
		g.judged = true
		g.target.judge(v, g.began, g.trial)
	}
}

// Close ends the answer, and counts it out.
func (g *guarded) Close() error {
	if g.closed.Swap(true) {
		return nil
	}
	err := g.ReadCloser.Close()
	if g.attempt != nil {
		g.attempt.cancel(nil)
	}
	g.target.underway.Add(-1)
	g.judge(none)
	return err
}

// short reports whether an answer is read whole before it is passed on: one of known length to a safe request.
func short(res *http.Response) bool {
	return 0 < res.ContentLength && res.ContentLength <= keptBytes && res.Request.Method != http.MethodHead &&
		res.StatusCode != http.StatusSwitchingProtocols
}

// readWhole reads a short answer, which may pause no longer than its head might have taken, and leaves in its place what does
// not break any more.
func readWhole(res *http.Response, pause time.Duration) error {
	if g, ok := res.Body.(*guarded); ok {
		g.stall = min(g.stall, pause)
	}
	whole := make([]byte, res.ContentLength)
	_, err := io.ReadFull(res.Body, whole)
	if err == nil {
		// To the end behind the last byte: it is where a transport gives the connection back, and where trailers come.
		_, err = io.CopyN(io.Discard, res.Body, 1)
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(whole))
	return err
}
