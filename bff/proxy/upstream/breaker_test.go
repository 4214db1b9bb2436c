package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff/proxy/upstream"
)

// dialing is a dialer that looks at the address alone.
func dialing(dial func(network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, address string) (net.Conn, error) { return dial(network, address) }
}

// When nobody is there, that is found out by a few and told to the rest at once; one attempt now and then finds who is back.
func TestBreaker(t *testing.T) {
	// shows PRX-LIMIT
	for _, c := range []struct {
		with    string
		targets int
	}{{"a single target", 1}, {"two targets", 2}} {
		t.Run("an upstream with "+c.with, func(t *testing.T) {
			var back atomic.Bool
			var dials atomic.Int32
			m := newMachine(t, well)
			s := upstream.Settings{Failures: 3, Open: 50 * time.Millisecond, Dial: dialing(func(string, string) (net.Conn, error) {
				if dials.Add(1); !back.Load() {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
				}
				return net.Dial("tcp", m.addr())
			})}
			u := newUpstream(t, s, []string{"10.0.0.1:1", "10.0.0.2:1"}[:c.targets]...)
			way := u.Within(hangs)
			for !u.Down() {
				if got := ask(t, way, "POST", "", "b"); got.err == nil {
					t.Fatal("an answer came from nowhere")
				}
			}
			if n := int(dials.Load()); n != 3*c.targets {
				t.Errorf("%d attempts until all were out, want %d", n, 3*c.targets)
			}
			before := dials.Load()
			refused := 0
			for range 50 {
				if d := down(ask(t, way, "GET", "", "").err); d != nil && d.RetryAfter >= time.Second {
					refused++
				}
			}
			if tried := int(dials.Load() - before); refused < 40 || tried > 50-refused+c.targets {
				t.Errorf("%d of 50 refused at once, %d attempts", refused, tried)
			}
			back.Store(true)
			until(t, "an answer", func() bool { return ask(t, way, "GET", "", "").status == 200 })
			until(t, "a target is in", func() bool { ask(t, way, "GET", "", ""); return !u.Down() })
		})
	}
}

// While one request tries a target that was out, no other goes there.
func TestHalfOpen(t *testing.T) {
	gate, arrived := make(chan struct{}), make(chan struct{}, 9)
	var sound atomic.Bool
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if !sound.Load() {
			panic(http.ErrAbortHandler)
		}
		arrived <- struct{}{}
		<-gate
		well(w, r)
	})
	u := newUpstream(t, upstream.Settings{Failures: 1, Open: time.Millisecond}, m.addr())
	way := u.Within(hangs)
	ask(t, way, "GET", "", "")
	sound.Store(true)
	tried := make(chan reply, 1)
	go func() {
		for {
			if got := ask(t, way, "GET", "", ""); down(got.err) == nil {
				tried <- got
				return
			}
		}
	}()
	<-arrived
	for range 20 {
		if got := ask(t, way, "GET", "", ""); down(got.err) == nil {
			t.Fatalf("another one was let through: %+v", got)
		}
	}
	close(gate)
	if got := <-tried; got.status != 200 {
		t.Fatalf("the trial: %+v", got)
	}
	if got := ask(t, way, "GET", "", ""); got.status != 200 {
		t.Errorf("after the trial: %+v", got)
	}
}

// A trial whose frontend goes away says nothing, and the next one is let through.
func TestAbandonedTrial(t *testing.T) {
	var sound atomic.Bool
	arrived := make(chan struct{}, 1)
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Id") == "leaves":
			arrived <- struct{}{}
			hung(w, r)
		case !sound.Load():
			panic(http.ErrAbortHandler)
		default:
			well(w, r)
		}
	})
	u := newUpstream(t, upstream.Settings{Failures: 1, Open: time.Millisecond}, m.addr())
	ask(t, u.Within(hangs), "GET", "", "")
	sound.Store(true)
	<-time.After(2 * time.Millisecond) // Open
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, "GET", name+"/", nil)
	r.Header.Set("X-Id", "leaves")
	if got := send(u.Within(hangs), r); !errors.Is(got.err, context.Canceled) {
		t.Fatalf("got %+v", got)
	}
	if got := ask(t, u.Within(hangs), "GET", "", ""); got.status != 200 {
		t.Errorf("the next one: %+v", got)
	}
}

// One address that crashes or hangs must not put an API out that answers others.
func TestOneBadAddressIsNoOutage(t *testing.T) {
	// shows PRX-LIMIT
	gate := make(chan struct{})
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Id") == "crash" {
			<-gate // until another one was answered
			panic(http.ErrAbortHandler)
		}
		well(w, r)
	})
	u := newUpstream(t, upstream.Settings{Failures: 2, Open: time.Hour}, m.addr())
	way := u.Within(hangs)
	const many = 5 // in a row, and more than put a target out
	for range 3 {
		crashed := make(chan reply, many)
		before := m.hits()
		for range many {
			go func() { crashed <- ask(t, way, "POST", "crash", "b") }()
		}
		until(t, "they have come", func() bool { return m.hits() == before+many })
		if got := ask(t, way, "GET", "", ""); got.status != 200 {
			t.Fatalf("others: %+v", got)
		}
		for range many {
			gate <- struct{}{}
			if got := <-crashed; got.err == nil || down(got.err) != nil {
				t.Fatalf("no crash: %+v", got)
			}
		}
		if u.Down() {
			t.Fatal("the API is out for everybody")
		}
	}
}

// Frontends that leave say nothing of the target, and it is told that they have left.
func TestFrontendsThatLeave(t *testing.T) {
	left := make(chan struct{}, 16)
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Id") == "body" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		left <- struct{}{}
	})
	for _, targets := range [][]string{{m.addr()}, {m.addr(), closed(t)}} {
		u := newUpstream(t, upstream.Settings{Failures: 1, Open: time.Hour}, targets...)
		for range 4 {
			for _, id := range []string{"head", "body"} {
				ctx, cancel := context.WithCancel(t.Context())
				before := m.hits()
				done := make(chan reply, 1)
				go func() {
					r, _ := http.NewRequestWithContext(ctx, "GET", name+"/", nil)
					r.Header.Set("X-Id", id)
					done <- send(u.Within(hangs), r)
				}()
				until(t, "it has come", func() bool { return m.hits() > before })
				cancel()
				if got := <-done; got.err == nil {
					t.Fatal("an answer came")
				}
				<-left
			}
		}
		if u.Down() || m.hits() == 0 {
			t.Error("a target that answers is out")
		}
	}
}

// What a target says of itself counts beside what requests find.
func TestHealth(t *testing.T) {
	var ill atomic.Bool
	var asked sync.Map
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			asked.Store("host", r.Host)
			asked.Store("credentials", r.Header.Get("Authorization")+r.Header.Get("Cookie"))
			if ill.Load() {
				http.Error(w, "ill", http.StatusInternalServerError)
			}
			return
		}
		well(w, r)
	})
	other := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			well(w, r)
		}
	})
	moves := make(chan string, 16)
	u := newUpstream(t, upstream.Settings{
		Health: upstream.Health{Path: "/healthz", Every: 5 * time.Millisecond}, Open: time.Millisecond,
		Told: upstream.Told{Moved: func(_, target string, in bool, why string, cause error) {
			if in != (cause == nil) {
				t.Errorf("in is %v, and the cause %v", in, cause)
			}
			if target == m.addr() {
				moves <- map[bool]string{true: "in ", false: "out "}[in] + why
			}
		}},
	}, m.addr(), other.addr())
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); u.Run(ctx) }()
	defer func() { cancel(); <-over }()
	want := func(move string) {
		t.Helper()
		select {
		case got := <-moves:
			if got != move {
				t.Fatalf("got %q, want %q", got, move)
			}
		case <-time.After(hangs):
			t.Fatalf("never %q", move)
		}
	}
	want("in start")
	ill.Store(true)
	want("out health")
	for i := range 20 {
		id := "ill " + itoa(i)
		if got := ask(t, u.Within(hangs), "GET", id, ""); got.status != 200 || m.of(id) != 0 {
			t.Fatalf("got %+v, %d at the ill target", got, m.of(id))
		}
	}
	ill.Store(false)
	want("in health")
	until(t, "it is asked again", func() bool { ask(t, u.Within(hangs), "GET", "back", ""); return m.of("back") > 0 })
	host, _ := asked.Load("host")
	if c, _ := asked.Load("credentials"); host != "api.internal" || c != "" {
		t.Errorf("asked as %v, with credentials %q", host, c)
	}
}

// A target that went out by failures and says at last that it is well has not to wait for its next trial: it is due.
func TestWellAgain(t *testing.T) {
	var up atomic.Bool
	var asked atomic.Int32
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			asked.Add(1)
		}
		if !up.Load() {
			lost(w, r)
		}
		well(w, r)
	})
	health := upstream.Health{Path: "/healthz", Every: 2 * time.Millisecond}
	u := newUpstream(t, upstream.Settings{Health: health, Failures: 1, Open: time.Hour}, m.addr())
	if got := ask(t, u.Within(hangs), "POST", "", "x"); got.err == nil || !u.Down() {
		t.Fatalf("got %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); u.Run(ctx) }()
	defer func() { cancel(); <-over }()
	until(t, "it is ill by its own word too", func() bool { return asked.Load() > 4 })
	if got := ask(t, u.Within(hangs), "GET", "", ""); down(got.err) == nil {
		t.Fatalf("got %+v while it is down", got)
	}
	up.Store(true)
	until(t, "it is asked again", func() bool { return ask(t, u.Within(hangs), "POST", "", "x").status == 200 })
	if u.Down() {
		t.Error("it answered and is out")
	}
}

// Where all are ill by their own word, one request now and then is let through: the path of health may be wrong.
func TestAllIll(t *testing.T) {
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			http.NotFound(w, r)
			return
		}
		well(w, r)
	})
	u := newUpstream(t, upstream.Settings{Health: upstream.Health{Path: "/healthz", Every: time.Millisecond}, Open: 20 * time.Millisecond}, m.addr())
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); u.Run(ctx) }()
	defer func() { cancel(); <-over }()
	until(t, "it is out", u.Down)
	answered, refused := 0, 0
	until(t, "some of both", func() bool {
		switch got := ask(t, u.Within(hangs), "GET", "", ""); {
		case got.status == 200:
			answered++
		case down(got.err) != nil:
			refused++
		}
		return answered >= 3 && refused >= 3
	})
	if !u.Down() {
		t.Error("it is in, against its own word")
	}
}

// A target with requests under way gets the next one only if the other has as many.
func TestLeastLoaded(t *testing.T) {
	gate := make(chan struct{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Id") == "held" {
			<-gate
		}
		well(w, r)
	}
	m := [2]*machine{newMachine(t, handler), newMachine(t, handler)}
	way := newUpstream(t, upstream.Settings{}, m[0].addr(), m[1].addr()).Within(hangs)
	var all sync.WaitGroup
	defer all.Wait()
	defer close(gate)
	for i := range 10 {
		all.Go(func() { ask(t, way, "GET", "held", "") })
		until(t, "it has come", func() bool { return m[0].hits()+m[1].hits() == i+1 })
	}
	if a, b := m[0].hits(), m[1].hits(); a != 5 || b != 5 {
		t.Errorf("ten that stay went %d to %d", a, b)
	}
}
