package model_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// fate is what becomes of a call that waits at the gate.
type fate string

const (
	passes     fate = "passes"               // carried out and answered
	doubled    fate = "is delivered twice"   // carried out twice; the second answer counts
	dropped    fate = "is lost"              // never carried out, the connection is cut
	unanswered fate = "loses its answer"     // carried out, the connection is cut
	belated    fate = "is given up, to come" // the connection is cut; carried out when the test says, or never
	slow       fate = "is answered slowly"   // carried out; the answer comes after slowness
	refused    fate = "is answered with 503" // of a provider call: in place of the work, or of its answer
)

// call is one command to Redis (or one pipeline), one call of the provider, or one answer of it, that waits for leave.
type call struct {
	of   *instance // nil: of nobody who can crash
	what string
	kind kind
	late bool // whoever sent it has given it up
	turn chan fate
}

// kind tells what may become of a call.
type kind int

const (
	toRedis kind = iota
	toProvider
	fromProvider
	byBrowser // a person on the way: nothing happens to them
)

// gate is where all calls wait.
type gate struct {
	mu     sync.Mutex
	parked []*call
	closed bool
	down   bool   // Redis cannot be reached
	ajar   filter // these pass without waiting; nil: none do
}

// park waits until the call may go on. Whoever is dead loses what they send.
func (g *gate) park(ctx context.Context, c *call) fate {
	if f, now := g.enter(c); now {
		return f
	}
	select {
	case f := <-c.turn:
		return f
	case <-ctx.Done():
	}
	if g.leave(c) {
		return belated
	}
	return <-c.turn // it was let through at this very moment
}

// enter has a call wait, unless its fate is known at once.
func (g *gate) enter(c *call) (f fate, now bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !c.late && c.of != nil && c.of.isDead() || g.down && c.kind == toRedis && !c.late {
		return dropped, true
	}
	if g.ajar != nil && !c.late && g.ajar(c) {
		return passes, true
	}
	c.turn = make(chan fate, 1)
	g.parked = append(g.parked, c)
	return "", false
}

// leave takes a call out; false if it is not there any more.
func (g *gate) leave(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.parked, c)
	if i < 0 {
		return false
	}
	g.parked = slices.Delete(g.parked, i, i+1)
	return true
}

// waiting returns the calls that wait and that ok accepts, in an order that does not depend on which goroutine was faster.
func (g *gate) waiting(ok func(*call) bool) []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	slices.SortStableFunc(g.parked, func(a, b *call) int { return cmp.Compare(a.order(), b.order()) })
	var found []*call
	for _, c := range g.parked {
		if ok(c) {
			found = append(found, c)
		}
	}
	return found
}

func (c *call) order() string {
	by := ""
	if c.of != nil {
		by = c.of.name
	}
	return by + " " + c.what
}

func (c *call) String() string {
	s := c.what
	if c.of != nil {
		s = c.of.name + ": " + s
	}
	if c.late {
		s += " (long given up)"
	}
	return s
}

// grant decides about a call. What it sets off has happened when the test's next wait returns.
func (g *gate) grant(c *call, f fate) {
	if g.leave(c) {
		c.turn <- f
	}
}

// sweep decides about all calls that ok accepts.
func (g *gate) sweep(f fate, ok func(*call) bool) {
	for _, c := range g.waiting(ok) {
		g.grant(c, f)
	}
}

// close lets nothing wait any more.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.sweep(dropped, func(*call) bool { return true })
}

func (g *gate) setDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

// leaveAjar lets those pass that ok accepts, in whatever order they come; nil: nobody.
func (g *gate) leaveAjar(ok filter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ajar = ok
}

func (g *gate) isDown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down
}
