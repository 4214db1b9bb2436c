package provider

import (
	"context"
	"sync"
)

// arrivalsKept bounds how many arrivals a gate remembers that nobody has received: above the largest crowd a test sends.
const arrivalsKept = 1 << 14

// Gate holds requests: a handler that reaches it signals its arrival and waits until it is let through. A client that gives up
// meanwhile changes nothing: the request is inside, and is worked on once released, as at a real provider.
type Gate struct {
	arrived chan struct{}
	one     chan struct{}
	open    chan struct{}
	once    sync.Once
}

// NewGate makes a closed gate.
func NewGate() *Gate {
	return &Gate{arrived: make(chan struct{}, arrivalsKept), one: make(chan struct{}, arrivalsKept), open: make(chan struct{})}
}

// Arrived delivers one value per request that has reached the gate.
func (g *Gate) Arrived() <-chan struct{} { return g.arrived }

// Release opens the gate for good; it may be called twice.
func (g *Gate) Release() { g.once.Do(func() { close(g.open) }) }

// ReleaseOne lets one request through, the next one if none waits.
func (g *Gate) ReleaseOne() { g.one <- struct{}{} }

// wait returns when released, or when the provider closes.
func (g *Gate) wait(life context.Context) {
	select {
	case g.arrived <- struct{}{}:
	default:
	}
	select {
	case <-g.open:
	case <-g.one:
	case <-life.Done():
	}
}
