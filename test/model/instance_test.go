package model_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
)

const (
	prefix     = "cr:"
	channel    = prefix + "events"
	markerLife = 5 * time.Hour // longer than the longest session
)

// instance is one process of the gateway, from its start to its end. After a crash another one takes its place.
type instance struct {
	name string
	*bff.Engine
	store *store.Store
	stage int // of the keyring it was started with

	crashed bool // in the run, not at its end

	mu      sync.Mutex
	dead    bool
	deaf    bool // hints do not reach it
	deliver func(bff.Event)
	links   []*link
	trouble time.Time // when something last went wrong between it and Redis
	stop    context.CancelFunc
	running sync.WaitGroup
}

func (in *instance) isDead() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dead
}

// hold remembers a connection that ends with the instance.
func (in *instance) hold(l *link) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.links = append(in.links, l)
}

// ring is the keyring at a stage of its rotation: the new key is appended on every instance, then moved to the front.
func ring(stage int) *bff.Keyring {
	sealing := [][]string{{"k1"}, {"k1", "k2"}, {"k2", "k1"}}[stage]
	key := func(id string) bff.Key {
		return bff.Key{ID: id, Bytes: bff.NewSecret(strings.Repeat(id, bff.KeyBytes)[:bff.KeyBytes])}
	}
	var keys []bff.Key
	for _, id := range sealing {
		keys = append(keys, key(id))
	}
	r, err := bff.NewKeyring(keys, nil, []bff.Key{key("i1")})
	if err != nil {
		panic(err) // fixed texts
	}
	return r
}

// opens reports whether it knows the key by which another one seals: one that was started two stages ago does not.
func (in *instance) opens(sealed *instance) bool { return in.stage > 0 || sealed.stage < lastStage }

// lastStage is that of a rotation that is done.
const lastStage = 2

// launch starts an instance under a name.
func (w *world) launch(name string, stage int) *instance {
	in := &instance{name: name, stage: stage}
	keys := ring(stage)
	st, err := store.New(store.Options{
		Addrs: []string{"redis:6379"}, KeyPrefix: prefix, Ring: keys, MarkerLife: markerLife, Instance: name,
		ReadTimeout: patience, WriteTimeout: patience,
		PoolSize: 100, // nobody ever waits for a connection: the client keeps timers for that which outlive a bubble
		Dialer:   func(context.Context, string, string) (net.Conn, error) { return w.dial(in) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	in.store = st
	in.Engine = bff.NewEngine(bff.Ports{
		Records: st, Leases: st, Markers: st, OneTime: st, Turns: st, Proofs: st, Codes: st, Events: in, Replays: st, States: st, Devices: st,
		Providers: func(string) bff.Provider { return client{w.provider, in} },
	}, keys, time.Now, w.trace(in), bff.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	in.stop = cancel
	in.running.Go(func() { in.Run(ctx) })
	return in
}

// Subscribe takes hints from the world's ear: bff.Events. They may be lost.
func (in *instance) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	in.mu.Lock()
	in.deliver = deliver
	in.mu.Unlock()
	<-ctx.Done()
	in.mu.Lock()
	in.deliver = nil
	in.mu.Unlock()
}

// hear passes a hint on.
func (in *instance) hear(ev bff.Event) {
	in.mu.Lock()
	deliver := in.deliver
	if in.deaf || in.dead {
		deliver = nil
	}
	in.mu.Unlock()
	if deliver != nil {
		deliver(ev)
	}
}

// setDeaf loses all hints to it from now on, or none. Who hears again is told that something may have been missed.
func (in *instance) setDeaf(deaf bool) {
	in.mu.Lock()
	was := in.deaf
	in.deaf = deaf
	in.mu.Unlock()
	if was && !deaf {
		in.hear(bff.Event{Kind: bff.EventResubscribed})
	}
}

// hear gives a published hint to all instances. Redis may stand still until it returns: it waits for nothing.
func (w *world) hear(payload string) {
	parts := strings.Split(payload, " ")
	if len(parts) != 3 {
		return // no event of ours
	}
	w.ears.Lock()
	all := slices.Clone(w.instances)
	w.ears.Unlock()
	for _, in := range all {
		in.hear(bff.Event{Kind: bff.EventKind(parts[0]), Lookup: bff.Lookup(parts[1]), Reason: bff.Reason(parts[2])})
	}
}

// kill ends the process as kill -9 does: nothing that it does from here on reaches anybody. What was on its way to Redis or to the
// provider may still arrive, at some time, or never.
func (w *world) kill(in *instance, arrives bool) {
	in.mu.Lock()
	in.dead = true
	links := in.links
	in.mu.Unlock()
	w.provider.died(in)
	f := dropped
	if arrives {
		f = belated
	}
	w.gate.sweep(f, func(c *call) bool { return c.of == in && !c.late && c.kind <= toProvider })
	w.gate.sweep(dropped, func(c *call) bool { return c.of == in && !c.late })
	for _, l := range links {
		l.hangUp()
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = in.Drain(over) // gives up what runs beside requests: there is no process any more
	in.stop()
	wait()
}

// bury frees what the test's own process holds of a dead instance.
func (in *instance) bury() {
	in.running.Wait()
	_ = in.store.Close()
}

// trace tells the model what an instance told.
func (w *world) trace(in *instance) *bff.Trace {
	return &bff.Trace{
		RefreshDone: func(_ context.Context, e bff.RefreshEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.Outcome == bff.OutcomeRefreshed {
				w.told[e.SessionID] = append(w.told[e.SessionID], e.Generation)
			}
		},
		Alarm: func(_ context.Context, e bff.AlarmEvent) {
			if e.What == "panic beside a request" {
				w.broken("a panic: %v", e.Err)
			}
		},
	}
}
