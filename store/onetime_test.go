package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
)

func TestANameIsUsedOnceOverAllInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		instances := []*store.Store{w.Store, w.open(nil)}
		var first atomic.Int64
		var users sync.WaitGroup
		for i := range 20 {
			users.Go(func() {
				switch err := instances[i%2].Use(t.Context(), "tx", "state", fmt.Sprint("attempt ", i), time.Minute); {
				case err == nil:
					first.Add(1)
				case !errors.Is(err, bff.ErrUsed):
					t.Errorf("use: %v", err)
				}
			})
		}
		users.Wait()
		if first.Load() != 1 {
			t.Errorf("%d first uses", first.Load())
		}
		want(t, "another kind", w.Use(t.Context(), "jti", "state", "attempt", time.Minute), nil)
		want(t, "another name", w.Use(t.Context(), "tx", "state 2", "attempt", time.Minute), nil)
	})
}

func TestAValueIsTakenOnceOverAllInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		instances := []*store.Store{w.Store, w.open(nil)}
		want(t, "put", w.Put(t.Context(), "out", "ticket", []byte("value"), time.Minute), nil)
		var taken atomic.Int64
		var takers sync.WaitGroup
		for i := range 20 {
			takers.Go(func() {
				switch value, err := instances[i%2].Take(t.Context(), "out", "ticket"); {
				case err == nil && string(value) == "value":
					taken.Add(1)
				case !errors.Is(err, bff.ErrUsed):
					t.Errorf("take: %q, %v", value, err)
				}
			})
		}
		takers.Wait()
		if taken.Load() != 1 {
			t.Errorf("taken %d times", taken.Load())
		}
	})
}

// shows KEY-AAD
func TestAValueUnderAnotherNameDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want(t, "put", w.Put(t.Context(), "out", "mine", []byte("value"), time.Minute), nil)
		sealed := w.raw.Get(t.Context(), w.keys()[0]).Val()
		want(t, "put", w.Put(t.Context(), "out", "yours", []byte("value"), time.Minute), nil)
		for _, k := range w.keys() {
			w.raw.Set(t.Context(), k, sealed, time.Minute)
		}
		_, err := w.Take(t.Context(), "out", "yours")
		want(t, "take", err, bff.ErrUsed)
		want(t, "take", err, bff.ErrTampered)
	})
}

func TestARateIsHeldOverAllInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		instances := []*store.Store{w.Store, w.open(nil)}
		rate := store.Rate{Count: 6, Per: time.Minute, Burst: 3} // one every 10 s, three at once
		allow := func(subject string) (bool, time.Duration) {
			t.Helper()
			instances[0], instances[1] = instances[1], instances[0]
			ok, after, err := instances[0].Allow(t.Context(), "login", subject, rate)
			if err != nil {
				t.Fatal(err)
			}
			return ok, after
		}
		for i := range 3 {
			if ok, _ := allow("a"); !ok {
				t.Errorf("event %d of the burst refused", i+1)
			}
		}
		for range 2 { // a refused one takes no room
			if ok, after := allow("a"); ok || after != 10*time.Second {
				t.Errorf("after the burst: %v, retry after %v", ok, after)
			}
		}
		if ok, _ := allow("b"); !ok {
			t.Error("another subject refused")
		}
		w.clock.Move(10 * time.Second)
		if ok, _ := allow("a"); !ok {
			t.Error("refused after the wait")
		}
		if ok, _ := allow("a"); ok {
			t.Error("a second one passed after the wait for one")
		}
		if _, _, err := w.Allow(t.Context(), "login", "a", store.Rate{}); err == nil {
			t.Error("a rate of nothing was taken")
		}
	})
}

// shows CB-STATE-1
func TestAUseWhoseAnswerWasLostIsNoReplay(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		far := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		want(t, "a use that teaches the server the script", far.Use(t.Context(), "tx", "first", "a", time.Minute), nil)
		p.loseReplyTo("evalsha")
		want(t, "a use whose answer is lost", far.Use(t.Context(), "tx", "second", "a", time.Minute), nil)
		if p.losses() != 1 {
			t.Errorf("%d answers were lost", p.losses())
		}
		want(t, "the same name by another attempt", far.Use(t.Context(), "tx", "second", "b", time.Minute), bff.ErrUsed)
	})
}
