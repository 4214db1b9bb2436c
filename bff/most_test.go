package bff_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

// shows SESS-LIST (the limit): the oldest go, with a reason, and nobody else's.
func TestSessionsBeyondTheLimit(t *testing.T) {
	w := newWorld(t)
	in := w.instance()
	stranger := w.signIn(in, "usr_2", "ses_0", "stranger")
	before := w.signIn(in, "usr_1", "ses_1", "before") // there was no limit yet: it stands in no line
	w.clock.move(2 * time.Minute)
	w.app.Most = 3
	var sessions []*bff.Session
	for i := range 4 {
		sessions = append(sessions, w.signIn(in, "usr_1", fmt.Sprint("ses_", i+2), fmt.Sprint("session ", i)))
		w.clock.move(time.Minute)
	}
	if diff := cmp.Diff([]string{"stranger", "session 1", "session 2", "session 3"}, w.alive([]*instance{in}, append([]*bff.Session{stranger, before}, sessions...)...)); diff != "" {
		t.Errorf("alive (-want +got):\n%s", diff)
	}
	for _, s := range []*bff.Session{before, sessions[0]} {
		_, err := in.Session(t.Context(), w.app, s.Root)
		if e, ok := err.(*bff.Error); !ok || e.Code != bff.CodeSessionEnded || e.Reason != "limit" {
			t.Errorf("%s: %v", s.Device, err)
		}
	}
	in.seen.until(t, "two ends by the limit", func(s *seen) bool {
		n := 0
		for _, e := range s.ended {
			if e.Reason == bff.ReasonLimit {
				n++
			}
		}
		return n == 2
	})
	// What idled out takes nobody's place, and neither does what a sign-in replaces.
	w.clock.move(28 * time.Minute) // sessions 1 and 2 have idled out
	again := w.loginWith(in, bff.LoginRequest{Replaces: sessions[3].Root}).Session
	again.Device = "again"
	two, three := w.signIn(in, "usr_1", "ses_8", "two"), w.signIn(in, "usr_1", "ses_9", "three")
	if diff := cmp.Diff([]string{"again", "two", "three"}, w.alive([]*instance{in}, again, two, three)); diff != "" {
		t.Errorf("alive after a pause (-want +got):\n%s", diff)
	}
}

// What a sign-in replaces takes nobody's place, and neither do sessions at another app.
//
// shows SESS-LIST (the limit)
func TestWhatTakesNobodysPlace(t *testing.T) {
	w := newWorld(t)
	in := w.instance()
	web, docs := w.app, *w.app
	docs.ID = "docs"
	web.Most = 2
	kept, old := w.signIn(in, "usr_1", "ses_1", "kept"), w.signIn(in, "usr_1", "ses_2", "old")
	w.app = &docs
	other := w.signIn(in, "usr_1", "ses_3", "other")
	w.app = web
	w.clock.move(2 * time.Minute) // what stands in no line counts as older than all from here on
	again := w.loginWith(in, bff.LoginRequest{Replaces: old.Root}).Session
	again.Device = "again"
	if diff := cmp.Diff([]string{"kept", "again"}, w.alive([]*instance{in}, kept, old, again)); diff != "" {
		t.Errorf("alive (-want +got):\n%s", diff)
	}
	w.signIn(in, "usr_1", "ses_4", "one more")
	w.app = &docs
	if got := w.alive([]*instance{in}, other); len(got) != 1 {
		t.Error("the session at another app ended")
	}
}

// port is another name, for an interface that is embedded must not hide its own method.
type port = bff.Devices

// lining holds each session before it lines up, or after it has and before it looks.
type lining struct {
	port
	before, after chan struct{} // nil: passes
	created       chan struct{} // one value per session that got there
	lined         chan struct{} // one value per session that lined up
}

func (l lining) LineUp(ctx context.Context, s *bff.Session) ([]bff.Lookup, error) {
	l.created <- struct{}{}
	if l.before != nil {
		<-l.before
	}
	line, err := l.port.LineUp(ctx, s)
	l.lined <- struct{}{}
	if l.after != nil {
		<-l.after
	}
	return line, err
}

// Whoever signs in at once, and wherever they are held up: afterwards just so many live, and no sign-in ends itself.
//
// shows SESS-LIST (the limit)
func TestTheLimitWhereManySignInAtOnce(t *testing.T) {
	logins := 9
	if os.Getenv("SOAK") == "1" {
		logins = 24 // each of them reads the records of all: more would only show how slow an embedded Redis is
	}
	for _, held := range []string{"nowhere", "before they line up", "before they look"} {
		for _, most := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d held %s", most, held), func(t *testing.T) {
				w := newWorld(t)
				w.app.Most = most
				gate := make(chan struct{})
				l := lining{created: make(chan struct{}, logins), lined: make(chan struct{}, logins)}
				arrived := l.created
				switch held {
				case "before they line up":
					l.before = gate
				case "before they look":
					l.after, arrived = gate, l.lined
				}
				wrap := func(p *bff.Ports) {
					mine := l
					mine.port = p.Devices
					p.Devices = mine
				}
				ins := []*instance{w.instance(wrap), w.instance(wrap), w.instance(wrap)}
				sessions := make([]*bff.Session, logins)
				var all sync.WaitGroup
				for i := range logins {
					all.Go(func() {
						in := ins[i%len(ins)]
						start, state := w.begin(in, bff.LoginRequest{})
						done, err := in.CompleteLogin(context.Background(), w.app, w.callback(start, state))
						if err != nil {
							t.Errorf("a sign-in: %v", err)
							return
						}
						sessions[i] = done.Session
						sessions[i].Device = fmt.Sprint("session ", i)
					})
				}
				for range logins {
					<-arrived
				}
				close(gate)
				all.Wait()
				if t.Failed() {
					return
				}
				if got := w.alive(ins, sessions...); len(got) != most {
					t.Errorf("%d live, want %d: %v", len(got), most, got)
				}
			})
		}
	}
}

// A limit that cannot be kept lets nobody in: the sign-in fails, and nothing of it stays.
//
// shows SESS-LIST (the limit), SESS-503
func TestALimitThatCannotBeKept(t *testing.T) {
	w := newWorld(t)
	w.app.Most = 1
	in := w.instance(func(p *bff.Ports) { p.Devices = outage{p.Devices} })
	start, state := w.begin(in, bff.LoginRequest{})
	_, err := in.CompleteLogin(t.Context(), w.app, w.callback(start, state))
	if bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("the sign-in: %v", err)
	}
	if err := in.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range w.redis.Keys() {
		if w.redis.Type(key) == "hash" && w.redis.HGet(key, "body") != "" {
			t.Errorf("a record is left: %s", key)
		}
	}
}

// outage is a store that cannot line anybody up.
type outage struct{ port }

func (outage) LineUp(context.Context, *bff.Session) ([]bff.Lookup, error) { return nil, bff.ErrStore }
