package bff

import (
	"context"
	"sync"
	"time"
)

// Limits are the times the engine works by. Zero values take the defaults.
type Limits struct {
	// Lease is how long a refresh claim lasts unless renewed, which happens every third of it: an instance that dies or
	// freezes keeps the others waiting that long. Default 6 s.
	Lease time.Duration
	// CallDeadline bounds one call for a refresh at the provider, from claim to answer. Default 30 s.
	CallDeadline time.Duration
	// Suspicion is how long a sent mark of somebody else is watched before the one later attempt: long enough that a
	// frozen sender that wakes up or a slow answer is not overtaken. Default 4 s.
	Suspicion time.Duration
	// Poll is how often a waiter looks by itself, should the event that wakes it be lost. Default 500 ms.
	Poll time.Duration
	// Recheck is how often a watched session is read again, should the event of its end be lost. Default 3 s.
	Recheck time.Duration
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{
		{&l.Lease, 6 * time.Second},
		{&l.CallDeadline, 30 * time.Second},
		{&l.Suspicion, 4 * time.Second},
		{&l.Poll, 500 * time.Millisecond},
		{&l.Recheck, 3 * time.Second},
	} {
		if *d.at <= 0 {
			*d.at = d.def
		}
	}
	return l
}

// Engine carries out what the domain knows, through the ports. One serves all apps of a process.
type Engine struct {
	ports  Ports
	ring   *Keyring
	now    func() time.Time
	trace  *Trace
	limits Limits

	flights flights
	fit     fit
	hub     hub
	watches watchlist

	clientTokens clientTokens
	exchanges    exchanges

	// life ends when the process gives up the work that outlives requests; running counts that work.
	life    context.Context
	die     context.CancelFunc
	running work
}

// NewEngine makes an engine. now is the clock that all instances share as well as they can: local time plus the offset to
// the store's. Run must be called for events to arrive.
func NewEngine(ports Ports, ring *Keyring, now func() time.Time, trace *Trace, limits Limits) *Engine {
	life, die := context.WithCancel(context.Background())
	e := &Engine{
		ports: ports, ring: ring, now: now, trace: trace, limits: limits.withDefaults(),
		life: life, die: die,
	}
	e.flights.byKey = make(map[flightKey]*flight)
	e.exchanges.flights, e.exchanges.resting = make(map[exchangeKey]*flight), make(map[exchangeKey]struct{})
	e.hub.interests = make(map[Lookup]map[*interest]struct{})
	e.watches.now, e.watches.began, e.watches.every = now, time.Now(), e.limits.Recheck
	e.watches.wake, e.watches.byLookup = make(chan struct{}, 1), make(map[Lookup]*watched)
	return e
}

// Now returns the time by the clock that all instances share.
func (e *Engine) Now() time.Time { return e.now() }

// Run takes events from the store, and looks after the sessions that are watched, until ctx ends.
func (e *Engine) Run(ctx context.Context) {
	var sweeping sync.WaitGroup
	sweeping.Go(func() { e.sweep(ctx) })
	defer sweeping.Wait()
	e.ports.Events.Subscribe(ctx, e.deliver)
}
