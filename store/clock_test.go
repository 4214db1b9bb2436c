package store_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/store"
)

// clocked runs a test with a store whose Redis tells what time the test has it tell, where minutes pass in no time.
func clocked(t *testing.T, test func(s *store.Store, redis *miniredis.Miniredis)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		redis := miniredis.NewMiniRedis()
		defer redis.Close()
		s, err := store.New(store.Options{
			Addrs: []string{"in memory"}, Ring: ring(t, []string{"k1"}, nil, []string{"i1"}), MarkerLife: time.Hour,
			Dialer: func(context.Context, string, string) (net.Conn, error) { return redis.Dial() },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		defer running.Wait()
		defer cancel()
		synctest.Wait()
		test(s, redis)
	})
}

// wantAhead fails unless the shared clock is so far ahead of the local one.
func wantAhead(t *testing.T, when string, s *store.Store, want time.Duration) {
	t.Helper()
	if got := time.Until(s.Now()); (got - want).Abs() > 10*time.Millisecond {
		t.Errorf("%s the shared clock is %v ahead, want %v", when, got, want)
	}
}

// pass moves the bubble on, and lets what happens then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestOneStrangeAnswerMovesNoClock(t *testing.T) {
	clocked(t, func(s *store.Store, redis *miniredis.Miniredis) {
		wantAhead(t, "at first", s, 0)
		pass(29 * time.Second)
		redis.SetTime(time.Now().Add(time.Hour))
		pass(time.Second + time.Millisecond)
		wantAhead(t, "after an answer an hour ahead", s, 0)
		redis.SetTime(time.Time{}) // the right time again
		pass(time.Second)
		wantAhead(t, "after the next answer", s, 0)
	})
}

func TestAClockThatWasSetIsFollowed(t *testing.T) {
	clocked(t, func(s *store.Store, redis *miniredis.Miniredis) {
		for _, ahead := range []time.Duration{-5 * time.Minute, time.Hour} {
			pass(29 * time.Second)
			redis.SetTime(time.Now().Add(ahead + time.Second))
			pass(time.Second + time.Millisecond)
			redis.SetTime(time.Now().Add(ahead + time.Second - time.Millisecond))
			pass(time.Second)
			wantAhead(t, "confirmed by a second answer", s, ahead)
			if drift := s.Drift(); (drift - ahead).Abs() > 10*time.Millisecond {
				t.Errorf("drift %v, want %v", drift, ahead)
			}
		}
	})
}

// A little is followed at once: clocks are never quite alike.
func TestASmallCorrectionIsFollowedAtOnce(t *testing.T) {
	clocked(t, func(s *store.Store, redis *miniredis.Miniredis) {
		pass(29 * time.Second)
		redis.SetTime(time.Now().Add(time.Second + 300*time.Millisecond))
		pass(time.Second)
		wantAhead(t, "after a small correction", s, 300*time.Millisecond)
	})
}

// setClock is a local clock that can be set, as a time server does soon after a start.
type setClock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *setClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	// The wall clock alone: its seconds stand from bit 30 on in the first word of a Time, and what is counted beside it in
	// the second.
	*(*uint64)(unsafe.Pointer(&now)) += uint64(c.by/time.Second) << 30
	return now
}

func (c *setClock) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by = by
}

// The shared clock stays, and is asked for at once.
func TestSettingTheLocalClockMovesNoSharedOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var local setClock
		s := w.open(func(o *store.Options) { o.Now = local.Now })
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		defer running.Wait()
		defer cancel()
		eventually(t, "the first measurement", func() bool { return s.Drift() != 0 })
		for _, by := range []time.Duration{time.Hour, -time.Hour} {
			local.set(by)
			if off := time.Until(s.Now()).Abs(); off > time.Minute {
				t.Errorf("the shared clock is %v off", off)
			}
			eventually(t, "another measurement", func() bool { return (s.Drift() + by).Abs() < time.Minute })
			if off := time.Until(s.Now()).Abs(); off > time.Minute {
				t.Errorf("the shared clock is %v off, measured again", off)
			}
		}
	})
}

// Redis was down when the gateway started. Until its clock is read, times are written by the local one: that must not take
// as long as a clock that is known may drift.
func TestTheClockIsReadSoonAfterRedisComesUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var once sync.Once
		late := w.open(func(o *store.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				down := false
				once.Do(func() { down = true })
				if down {
					return nil, net.ErrClosed
				}
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { late.Run(ctx) })
		defer running.Wait()
		defer cancel()
		eventually(t, "reading the clock", func() bool { return late.Drift() > time.Hour || late.Drift() < -time.Hour })
	})
}
