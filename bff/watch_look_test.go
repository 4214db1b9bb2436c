package bff_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom/bff"
)

// held has a look at a session under way, which waits for the returned function.
func held(t *testing.T, e *bff.Engine, s *shelf, a *bff.Session) (stop, release func()) {
	t.Helper()
	hold := make(chan struct{})
	s.set(func(s *shelf) { s.hold = hold })
	_, stop = e.Watch(t.Context(), a)
	time.Sleep(time.Second)
	if looks, _ := s.looked(); looks != 1 {
		t.Fatalf("%d looks", looks)
	}
	return stop, func() { s.set(func(s *shelf) { s.hold = nil }); close(hold) }
}

// A stream that is over while its session is looked at leaves nothing behind that is looked at again.
func TestAWatchThatStopsDuringALookIsForgotten(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		stop, release := held(t, e, s, s.put("a"))
		stop()
		release()
		time.Sleep(5 * recheck)
		if looks, _ := s.looked(); looks != 1 || e.Watched() != 0 {
			t.Errorf("%d looks, %d watched", looks, e.Watched())
		}
	})
}

// The answer about a stream that is over says nothing of one that has come since, of the same session.
func TestAWatchThatComesDuringALookIsKept(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		stop, release := held(t, e, s, a)
		stop()
		ctx, stopNext := e.Watch(t.Context(), a)
		defer stopNext()
		s.set(func(s *shelf) { s.states["a"] = bff.State{Gone: true, Reason: bff.ReasonAdmin} })
		release()
		synctest.Wait()
		if e.Watched() != 1 || ctx.Err() != nil {
			t.Errorf("%d watched, %v", e.Watched(), ctx.Err())
		}
		s.deliver(bff.Event{Kind: bff.EventEnded, Lookup: "a", Reason: bff.ReasonAdmin})
		endIn(t, ctx, bff.ReasonAdmin, 0, 0)
	})
}

// Whoever publishes a flood of extensions has nobody asked for more than a look a step, and nobody who does not want to know.
func TestForgedExtensionsCostFewLooks(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		flood := func() (looks int) {
			before, _ := s.looked()
			for range 700 {
				s.deliver(bff.Event{Kind: bff.EventExtended, Lookup: "a"})
				time.Sleep(time.Millisecond)
			}
			looks, _ = s.looked()
			return looks - before
		}
		a := s.put("a")
		_, stop := e.Watch(t.Context(), a)
		defer stop()
		if n := flood(); n != 0 {
			t.Errorf("%d looks for a stream that does not want to know", n)
		}
		ctx, l, err := e.Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if n := flood(); n < 1 || n > 6 {
			t.Errorf("%d looks in 0.7 s, want one each 0.15 s", n)
		}
		if ctx.Err() != nil {
			t.Error("it ended:", ctx.Err())
		}
	})
}

// A session that is used while it is listened to outlives any number of its idle times, and lapses when it is used no more.
func TestASessionThatSlidesWhileListenedTo(t *testing.T) {
	watching(t, func(t *testing.T, e *bff.Engine, s *shelf) {
		a := s.put("a")
		ctx, l, err := e.Listen(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for range 5 {
			time.Sleep(a.Idle - time.Second)
			s.set(func(s *shelf) { s.states["a"] = bff.State{LastActive: time.Now()} })
			if time.Now().Before(a.AbsoluteEnd.Add(-a.Idle)) {
				s.deliver(bff.Event{Kind: bff.EventExtended, Lookup: "a"})
			}
		}
		if ctx.Err() != nil {
			t.Fatal("it ended while it was used:", context.Cause(ctx))
		}
		endIn(t, ctx, bff.ReasonIdle, a.Idle-time.Second, a.Idle+time.Second)
	})
}
