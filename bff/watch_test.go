package bff_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom/bff"
)

// recheck is Limits.Recheck of these tests: the default.
const recheck = 3 * time.Second

// shelf is records and the channel of events, as far as a watch asks for them.
type shelf struct {
	bff.Records // nothing of it but Delete is called
	mu          sync.Mutex
	states      map[bff.Lookup]bff.State
	down        bool
	looks       []look
	hold        chan struct{} // looks wait for it before they read
	panics      bool
	deleted     map[bff.Lookup]bff.Reason
	deliver     func(bff.Event)
	subscribed  chan struct{}
}

// look is one call of States.
type look struct {
	at time.Time
	of []bff.Lookup
}

func (s *shelf) States(ctx context.Context, lookups []bff.Lookup) []bff.State {
	s.mu.Lock()
	s.looks = append(s.looks, look{time.Now(), lookups})
	hold, panics := s.hold, s.panics
	s.mu.Unlock()
	if panics {
		panic("a defect")
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]bff.State, len(lookups))
	for i, l := range lookups {
		switch st, ok := s.states[l]; {
		case s.down || ctx.Err() != nil:
			out[i] = bff.State{Err: bff.ErrStore}
		case !ok:
			out[i] = bff.State{Gone: true}
		default:
			out[i] = st
		}
	}
	return out
}

func (s *shelf) Delete(_ context.Context, l bff.Lookup, _ *bff.Marker, reason bff.Reason) (*bff.Ended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted[l] = reason
	s.states[l] = bff.State{Gone: true, Reason: reason}
	return &bff.Ended{Lookup: l}, nil
}

func (s *shelf) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	s.deliver = deliver
	close(s.subscribed)
	<-ctx.Done()
}

// set changes what is stored.
func (s *shelf) set(f func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// looked returns how many looks there were, and of how many records.
func (s *shelf) looked() (looks, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.looks {
		records += len(l.of)
	}
	return len(s.looks), records
}

// watching runs a test in a bubble, with an engine that looks at the shelf.
func watching(t *testing.T, test func(t *testing.T, e *bff.Engine, s *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{
			states: map[bff.Lookup]bff.State{}, deleted: map[bff.Lookup]bff.Reason{}, subscribed: make(chan struct{}),
		}
		e := bff.NewEngine(bff.Ports{Records: s, Events: s, States: s}, nil, time.Now, &bff.Trace{}, bff.Limits{Recheck: recheck})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { e.Run(ctx) })
		<-s.subscribed
		defer running.Wait()
		defer cancel()
		test(t, e, s)
		if err := e.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// put stores a session that was used just now.
func (s *shelf) put(name string) *bff.Session {
	now := time.Now()
	n := &bff.Session{
		Lookup: bff.Lookup(name), LastActive: now, Idle: 10 * time.Minute, AbsoluteEnd: now.Add(time.Hour),
	}
	n.Tokens.Refresh = bff.NewSecret("refresh")
	s.set(func(s *shelf) { s.states[n.Lookup] = bff.State{LastActive: now} })
	return n
}

// endIn asserts that a context ends for a reason, not before a time and soon after it.
func endIn(t *testing.T, ctx context.Context, reason bff.Reason, least, most time.Duration) {
	t.Helper()
	began := time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Hour):
		t.Fatal("the watch goes on")
	}
	if took := time.Since(began); took < least || took > most {
		t.Errorf("it ended after %v, want %v to %v", took, least, most)
	}
	if got, ok := bff.EndOf(ctx); !ok || got != reason {
		t.Errorf("it ended for %q (%v), want %q", got, ok, reason)
	}
}

// shows PRX-LIVE
func TestAWatchEndsWithItsSession(t *testing.T) {
	gone := func(reason bff.Reason) func(*shelf) {
		return func(s *shelf) { s.states["a"] = bff.State{Gone: true, Reason: reason} }
	}
	for _, c := range []struct {
		name        string
		happens     func(e *bff.Engine, s *shelf)
		reason      bff.Reason
		least, most time.Duration
	}{
		{"an event", func(_ *bff.Engine, s *shelf) {
			s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "a", Reason: bff.ReasonAdmin})
		}, bff.ReasonAdmin, 0, 0},
		{"an event of a reason that nobody knows", func(_ *bff.Engine, s *shelf) {
			s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "a", Reason: "<script>"})
		}, bff.ReasonSignedOut, 0, 0},
		{"an event that it was replaced", func(_ *bff.Engine, s *shelf) {
			s.deliver(bff.Event{Kind: bff.EventReplaced, Lookup: "a", Reason: "whatever"})
		}, bff.ReasonReplaced, 0, 0},
		{"an end whose event was lost", func(_ *bff.Engine, s *shelf) {
			s.set(gone(bff.ReasonProvider))
		}, bff.ReasonProvider, 0, recheck},
		{"an end that left a reason nobody knows", func(_ *bff.Engine, s *shelf) {
			s.set(gone("own words"))
		}, bff.ReasonSignedOut, 0, recheck},
		{"a record that is gone without a word", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { delete(s.states, "a") })
		}, bff.ReasonSignedOut, 0, recheck},
		{"an end during a gap in the subscription", func(_ *bff.Engine, s *shelf) {
			s.set(gone(bff.ReasonProvider))
			s.deliver(bff.Event{Kind: bff.EventResubscribed})
		}, bff.ReasonProvider, 0, recheck / 20},
		{"an end while the store was away", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { s.down = true })
			s.set(gone(bff.ReasonSignedOut))
			time.Sleep(5 * time.Minute)
			s.set(func(s *shelf) { s.down = false })
		}, bff.ReasonSignedOut, 0, recheck},
		{"an idle end", func(*bff.Engine, *shelf) {}, bff.ReasonIdle, 10*time.Minute - 10*time.Second, 10*time.Minute + time.Second},
		{"an idle end that moved, and nobody was told", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: time.Now().Add(9 * time.Minute)} })
		}, bff.ReasonIdle, 19*time.Minute - 10*time.Second, 19*time.Minute + time.Second},
		{"an absolute end", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: time.Now().Add(55 * time.Minute)} })
		}, bff.ReasonAbsolute, time.Hour - 10*time.Second, time.Hour},
		{"an absolute end while the store is away", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { s.down = true })
		}, bff.ReasonAbsolute, time.Hour - 10*time.Second, time.Hour},
		{"an absolute end while the store answers nothing", func(_ *bff.Engine, s *shelf) {
			s.set(func(s *shelf) { s.hold = make(chan struct{}) })
		}, bff.ReasonAbsolute, time.Hour - 10*time.Second, time.Hour + recheck},
	} {
		t.Run(c.name, func(t *testing.T) {
			watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
				ctx, stop := e.Watch(t.Context(), s.put("a"))
				defer stop()
				time.Sleep(5 * time.Second) // it is no longer new
				c.happens(e, s)
				endIn(t, ctx, c.reason, c.least, c.most)
			})
		})
	}
}

// An answer that begins with a session that ended a moment before does not outlive it by more than a second.
//
// shows PRX-LIVE
func TestAWatchThatBeginsTooLateLearnsItWithinASecond(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		s.set(func(s *shelf) { s.states["a"] = bff.State{Gone: true, Reason: bff.ReasonSignedOut} })
		s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "a", Reason: bff.ReasonSignedOut})
		ctx, stop := e.Watch(t.Context(), a)
		defer stop()
		endIn(t, ctx, bff.ReasonSignedOut, 0, time.Second)
	})
}

// Whoever listens is to know at once what it missed.
func TestAListenerThatBeginsTooLateLearnsItAtOnce(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		s.set(func(s *shelf) { s.states["a"] = bff.State{Gone: true, Reason: bff.ReasonSignedOut} })
		ctx, l, err := e.Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		endIn(t, ctx, bff.ReasonSignedOut, 0, recheck/20)
	})
}

// A hint that comes while its session is being looked at is not lost: that look may have read before the end.
func TestAHintDuringALookIsLookedAtAgain(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		hold := make(chan struct{})
		s.set(func(s *shelf) { s.hold = hold })
		ctx, stop := e.Watch(t.Context(), s.put("a"))
		defer stop()
		time.Sleep(time.Second) // the first look is under way
		if looks, _ := s.looked(); looks != 1 {
			t.Fatalf("%d looks", looks)
		}
		s.deliver(bff.Event{Kind: bff.EventResubscribed})
		s.set(func(s *shelf) { s.hold = nil })
		close(hold)
		synctest.Wait()
		s.set(func(s *shelf) { s.states["a"] = bff.State{Gone: true, Reason: bff.ReasonAdmin} })
		endIn(t, ctx, bff.ReasonAdmin, 0, recheck/20)
	})
}

// What lapses is ended for everybody, with the reason; what was ended by somebody is not ended again.
func TestASessionThatLapsesUnderAWatchIsEnded(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a, b := s.put("a"), s.put("b")
		first, stopFirst := e.Watch(t.Context(), a)
		defer stopFirst()
		second, stopSecond := e.Watch(t.Context(), b)
		defer stopSecond()
		s.set(func(s *shelf) { s.states["b"] = bff.State{Gone: true, Reason: bff.ReasonLimit} })
		endIn(t, second, bff.ReasonLimit, 0, recheck)
		endIn(t, first, bff.ReasonIdle, 0, time.Hour)
		synctest.Wait()
		s.set(func(s *shelf) {
			if want := map[bff.Lookup]bff.Reason{"a": bff.ReasonIdle}; !maps.Equal(s.deleted, want) {
				t.Errorf("deleted %v, want %v", s.deleted, want)
			}
		})
	})
}

// A use of the last moment is written beside its request, and may come a little after the idle end.
func TestAUseInTheLastMomentKeepsTheSession(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		ctx, stop := e.Watch(t.Context(), a)
		defer stop()
		time.Sleep(time.Until(a.IdleEnd()) + 300*time.Millisecond)
		s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: a.IdleEnd().Add(-time.Millisecond)} })
		time.Sleep(5 * time.Minute)
		if err := context.Cause(ctx); err != nil {
			t.Errorf("it ended: %v", err)
		}
	})
}

// shows PRX-LIVE
func TestManyWatchesCostFewLooks(t *testing.T) {
	const sessions, streams, minute = 1000, 10, time.Minute
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		before := runtime.NumGoroutine()
		for i := range sessions {
			n := s.put(strconv.Itoa(i))
			for range streams {
				_, stop := e.Watch(t.Context(), n)
				defer stop()
			}
		}
		if now := runtime.NumGoroutine(); now > before+5 {
			t.Errorf("%d goroutines more for %d streams", now-before, sessions*streams)
		}
		time.Sleep(10 * time.Second) // until the looks are spread
		s.set(func(s *shelf) { s.looks = nil })
		time.Sleep(minute)
		looks, records := s.looked()
		// A session is looked at every three quarters to all of the interval, less one step of a twentieth.
		if least, most := sessions*20, sessions*20*5/3; records < least || records > most {
			t.Errorf("%d records were read in a minute, want %d to %d", records, least, most)
		}
		if most := 20 * 20 * 2; looks > most {
			t.Errorf("%d looks in a minute, want at most %d", looks, most)
		}
		s.set(func(s *shelf) { evenly(t, s.looks, sessions) })
		if e.Watched() != sessions {
			t.Errorf("%d sessions are watched", e.Watched())
		}
	})
}

// evenly asserts that looks are small, and that every session is looked at in time.
func evenly(t *testing.T, looks []look, sessions int) {
	t.Helper()
	last := map[bff.Lookup]time.Time{}
	for _, l := range looks {
		if len(l.of) > min(256, sessions/4) {
			t.Errorf("%d records in one look", len(l.of))
		}
		for _, of := range l.of {
			if at, ok := last[of]; ok && l.at.Sub(at) > recheck+recheck/20 {
				t.Errorf("%q was not looked at for %v", of, l.at.Sub(at))
			}
			last[of] = l.at
		}
	}
	if len(last) != sessions {
		t.Errorf("%d of %d sessions were looked at", len(last), sessions)
	}
}

func TestAShortRequestCostsNoLook(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		for range 100 {
			ctx, stop := e.Watch(t.Context(), a)
			time.Sleep(500 * time.Millisecond)
			stop()
			if _, ended := bff.EndOf(ctx); ended {
				t.Fatal("stopping it is told as its session's end")
			}
		}
		time.Sleep(time.Minute)
		if looks, _ := s.looked(); looks != 0 || e.Watched() != 0 {
			t.Errorf("%d looks, %d sessions still watched", looks, e.Watched())
		}
	})
}

// The looks at one part of the store that hangs keep none of the others waiting for longer than they take.
func TestALookThatHangsKeepsNoOtherWaiting(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		hold := make(chan struct{})
		defer close(hold)
		s.set(func(s *shelf) { s.hold = hold })
		_, stop := e.Watch(t.Context(), s.put("slow"))
		defer stop()
		time.Sleep(time.Second)
		s.set(func(s *shelf) { s.hold = nil })
		ctx, stopFast := e.Watch(t.Context(), s.put("fast"))
		defer stopFast()
		s.set(func(s *shelf) { s.states["fast"] = bff.State{Gone: true, Reason: bff.ReasonAdmin} })
		endIn(t, ctx, bff.ReasonAdmin, 0, time.Second)
	})
}

func TestALookThatPanicsLosesNoWatch(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		s.set(func(s *shelf) { s.panics = true })
		ctx, stop := e.Watch(t.Context(), s.put("a"))
		defer stop()
		time.Sleep(time.Minute)
		s.set(func(s *shelf) { s.panics = false; s.states["a"] = bff.State{Gone: true, Reason: bff.ReasonAdmin} })
		endIn(t, ctx, bff.ReasonAdmin, 0, recheck)
	})
}

func TestAListenerHasTheLatestEnds(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		_, l, err := e.Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, stop := e.Watch(t.Context(), a) // who does not want to know is not told
		defer stop()
		for range 3 {
			time.Sleep(time.Minute)
			s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: time.Now()} })
			s.deliver(bff.Event{Kind: bff.EventExtended, Lookup: "a"})
		}
		time.Sleep(time.Second)
		want := bff.Ends{Idle: a.IdleEnd().Add(3 * time.Minute), Last: a.AbsoluteEnd}
		select {
		case got := <-l.Moved():
			if !got.Idle.Equal(want.Idle) || !got.Last.Equal(want.Last) {
				t.Errorf("it is told %v, want %v", got, want)
			}
		default:
			t.Error("it is told nothing")
		}
		select {
		case got := <-l.Moved():
			t.Errorf("it is told twice: %v", got)
		default:
		}
	})
}

func TestAnExtensionIsToldAtOnce(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		_, l, err := e.Listen(t.Context(), s.put("a"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		time.Sleep(time.Minute)
		s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: time.Now()} })
		s.deliver(bff.Event{Kind: bff.EventExtended, Lookup: "a"})
		select {
		case <-l.Moved():
		case <-time.After(recheck / 10):
			t.Error("it is not told")
		}
	})
}

func TestASessionHasAtMostTwentyListeners(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		var all []*bff.Listener
		for range 20 {
			_, l, err := e.Listen(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		_, _, err := e.Listen(t.Context(), a)
		if told, ok := errors.AsType[*bff.Error](err); !ok || told.Code != bff.CodeRateLimited || told.RetryAfter <= 0 {
			t.Fatalf("one more: %v", err)
		}
		_, stop := e.Watch(t.Context(), a) // other streams have their own bounds
		stop()
		all[7].Close()
		all[7].Close() // twice is once
		_, l, err := e.Listen(t.Context(), a)
		if err != nil {
			t.Fatalf("after one was closed: %v", err)
		}
		if _, _, err := e.Listen(t.Context(), a); bff.CodeOf(err) != bff.CodeRateLimited {
			t.Errorf("closing one twice makes two places: %v", err)
		}
		for _, l := range append(all, l) {
			l.Close()
		}
		if e.Watched() != 0 {
			t.Errorf("%d sessions still watched", e.Watched())
		}
	})
}

// Streams come and go while events do and looks are made: nothing is lost, and nothing stays.
func TestWatchesOfManyAtOnce(t *testing.T) {
	s := &shelf{states: map[bff.Lookup]bff.State{}, deleted: map[bff.Lookup]bff.Reason{}, subscribed: make(chan struct{})}
	e := bff.NewEngine(bff.Ports{Records: s, Events: s, States: s}, nil, time.Now, &bff.Trace{}, bff.Limits{Recheck: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var running, streams sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	<-s.subscribed
	for i := range 8 {
		n := s.put(fmt.Sprint(i % 4))
		streams.Go(func() {
			for j := range 300 {
				_, stop := e.Watch(ctx, n)
				if _, l, err := e.Listen(ctx, n); err == nil {
					defer l.Close()
				}
				s.deliver(bff.Event{Kind: [...]bff.EventKind{
					bff.EventExtended, bff.EventResubscribed, bff.EventEnded, bff.EventReplaced, bff.EventRefreshed,
				}[j%5], Lookup: n.Lookup})
				if j%7 == 0 {
					time.Sleep(time.Millisecond) // lets looks come in between
				}
				stop()
			}
		})
	}
	streams.Wait()
	if e.Watched() != 0 {
		t.Errorf("%d sessions still watched", e.Watched())
	}
	cancel()
	running.Wait()
}

// Every reason there is passes a watch as it is: a new one that is not listed there would be told as a sign-out.
func TestEveryReasonIsTold(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, _ := n.(*ast.ValueSpec)
		if spec == nil {
			return true
		}
		if typ, _ := spec.Type.(*ast.Ident); typ != nil && typ.Name == "Reason" {
			found++
			value, _ := spec.Values[0].(*ast.BasicLit)
			reason, _ := strconv.Unquote(value.Value)
			toldAs(t, bff.Reason(reason))
		}
		return false
	})
	if found < 15 {
		t.Errorf("%d reasons found", found)
	}
}

// toldAs asserts that an event's reason is told as it is.
func toldAs(t *testing.T, reason bff.Reason) {
	t.Helper()
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		ctx, stop := e.Watch(t.Context(), s.put("a"))
		defer stop()
		s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "a", Reason: reason})
		endIn(t, ctx, reason, 0, 0)
	})
}
