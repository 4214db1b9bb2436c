package ratelimit_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/server/ratelimit"
)

// clock is a clock that a test moves.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

// passes counts how many of n events of a key pass.
func passes(l *ratelimit.Limiter, key string, n int) (passed int) {
	for range n {
		if l.Allow(key) == 0 {
			passed++
		}
	}
	return passed
}

func TestABurstThenTheRate(t *testing.T) {
	for _, row := range []struct {
		what  string
		rate  ratelimit.Rate
		first time.Duration // the wait of the first that is refused
	}{
		{"a rate with a burst", ratelimit.Rate{Count: 5, Per: time.Second, Burst: 200}, 200 * time.Millisecond},
		{"a rate with one at a time", ratelimit.Rate{Count: 1, Per: time.Minute, Burst: 1}, time.Minute},
		{"a rate with more than one each millisecond", ratelimit.Rate{Count: 10_000, Per: time.Second, Burst: 30}, 100 * time.Microsecond},
		{"a rate with a burst smaller than its count", ratelimit.Rate{Count: 60, Per: time.Minute, Burst: 3}, time.Second},
		{"a rate with a day between two", ratelimit.Rate{Count: 1, Per: 24 * time.Hour, Burst: 2}, 24 * time.Hour},
	} {
		c := newClock()
		l := ratelimit.New(row.rate, 10, c.now)
		if got := passes(l, "a", row.rate.Burst+50); got != row.rate.Burst {
			t.Errorf("%s: %d at once, want %d", row.what, got, row.rate.Burst)
		}
		wait := l.Allow("a")
		if wait != row.first {
			t.Errorf("%s: the first wait is %v, want %v", row.what, wait, row.first)
		}
		c.pass(wait - 1)
		if l.Allow("a") == 0 {
			t.Errorf("%s: one passes before the wait is over", row.what)
		}
		c.pass(1)
		if got := passes(l, "a", 3); got != 1 {
			t.Errorf("%s: after the wait %d pass, want 1", row.what, got)
		}
		if got := passes(l, "b", row.rate.Burst+1); got != row.rate.Burst {
			t.Errorf("%s: of another key %d pass", row.what, got)
		}
		c.pass(time.Duration(row.rate.Burst) * row.rate.Per)
		if got := passes(l, "a", row.rate.Burst+1); got != row.rate.Burst {
			t.Errorf("%s: after a pause %d at once", row.what, got)
		}
	}
}

// Over any stretch of time no more pass than the burst and what the rate gives, and never fewer than what was asked for
// and the rate gives; a wait that is told is true.
func TestNoMoreThanTheRate(t *testing.T) {
	rate := ratelimit.Rate{Count: 7, Per: time.Second, Burst: 20}
	for seed := range uint64(50) {
		c, r := newClock(), rand.New(rand.NewPCG(seed, 7))
		l := ratelimit.New(rate, 4, c.now)
		var passed []time.Time
		for range 400 {
			c.pass(time.Duration(r.Int64N(int64(300 * time.Millisecond))))
			wait := l.Allow("a")
			if wait == 0 {
				passed = append(passed, c.at)
				continue
			}
			if r.IntN(4) == 0 {
				c.pass(wait)
				if l.Allow("a") != 0 {
					t.Fatalf("seed %d: refused after the wait that was told", seed)
				}
				passed = append(passed, c.at)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				most := float64(rate.Burst) + passed[j].Sub(passed[i]).Seconds()*float64(rate.Count)
				if got := j - i + 1; float64(got) > most+1e-6 {
					t.Fatalf("seed %d: %d passed in %v", seed, got, passed[j].Sub(passed[i]))
				}
			}
		}
	}
}

func TestHold(t *testing.T) {
	c := newClock()
	l := ratelimit.New(ratelimit.Rate{Count: 5, Per: time.Second, Burst: 10}, 4, c.now)
	l.Allow("a")
	l.Hold("a", 700*time.Millisecond)
	if wait := l.Allow("a"); wait != 700*time.Millisecond {
		t.Errorf("a held key waits %v", wait)
	}
	l.Hold("a", 100*time.Millisecond) // which is no pardon
	c.pass(700*time.Millisecond - 1)
	if l.Allow("a") == 0 {
		t.Error("a held key passes before its time")
	}
	c.pass(1)
	if got := passes(l, "a", 5); got != 1 {
		t.Errorf("of a key that was held %d pass, want 1", got)
	}
	l.Hold("b", 50*time.Millisecond) // of which nothing was known
	if wait := l.Allow("b"); wait != 50*time.Millisecond {
		t.Errorf("a new key that is held waits %v", wait)
	}
	if got := passes(l, "c", 11); got != 10 {
		t.Errorf("of another key %d pass", got)
	}
}

// A million addresses (in the short run a fifth of it) take as much memory as there are places. Whoever had used up its burst before stays refused, and each
// of the million has its own.
func TestAMillionAddresses(t *testing.T) {
	const most = 1 << 16
	addresses := 200_000
	if os.Getenv("SOAK") == "1" {
		addresses = 1_000_000
	}
	c := newClock()
	l := ratelimit.New(ratelimit.Rate{Count: 5, Per: time.Second, Burst: 200}, most, c.now)
	for _, used := range []string{"attacker", "another"} {
		passes(l, used, 200)
	}
	before := heap()
	for i := range uint32(addresses) {
		if l.Allow(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()) != 0 {
			t.Fatalf("address %d is refused because of others", i)
		}
	}
	took := heap() - before
	t.Logf("%d addresses: %d are remembered, %.1f MiB, %.0f bytes each", addresses, l.Len(), float64(took)/(1<<20), float64(took)/float64(l.Len()))
	if l.Len() != most || took > 8<<20 { // twice what it takes here: a map grows by doubling
		t.Errorf("%d keys, %d bytes", l.Len(), took)
	}
	for _, used := range []string{"attacker", "another"} {
		if wait := l.Allow(used); wait != 200*time.Millisecond {
			t.Errorf("%s freed itself by other addresses: it waits %v", used, wait)
		}
	}
	if got := passes(l, "a neighbour", 201); got != 200 {
		t.Errorf("of a new address %d pass", got)
	}
	runtime.KeepAlive(l)
}

// Where each place is taken by a key that has used up its burst, a new key is served nonetheless, and the one that is
// forgotten for it had the least left to wait.
func TestFullOfKeysThatAreRefused(t *testing.T) {
	c := newClock()
	l := ratelimit.New(ratelimit.Rate{Count: 1, Per: time.Second, Burst: 10}, 100, c.now)
	for i := range 100 {
		passes(l, fmt.Sprint(i), 10)
		c.pass(time.Millisecond) // the first is free again the soonest
	}
	if got := passes(l, "new", 11); got != 10 || l.Len() != 100 {
		t.Errorf("of a new key %d pass, %d keys", got, l.Len())
	}
	for i := 1; i < 100; i++ {
		if l.Allow(fmt.Sprint(i)) == 0 {
			t.Errorf("key %d was forgotten", i)
		}
	}
}

// What is free again is not kept: after a flood the memory is there for the next.
func TestKeysThatAreFreeGo(t *testing.T) {
	c := newClock()
	l := ratelimit.New(ratelimit.Rate{Count: 5, Per: time.Second, Burst: 10}, 1000, c.now)
	for i := range 1000 {
		l.Allow(fmt.Sprint(i))
	}
	c.pass(time.Minute)
	for i := range 500 {
		l.Allow(fmt.Sprint("late ", i))
	}
	if got := l.Len(); got != 500 {
		t.Errorf("%d keys, of which 500 are in use", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	c := newClock()
	l := ratelimit.New(ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 100}, 50, c.now)
	var passed atomic.Int64
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				if l.Allow("all") == 0 {
					passed.Add(1)
				}
				l.Allow(fmt.Sprint(g, i))
			}
		})
	}
	all.Wait()
	if got := passed.Load(); got != 100 {
		t.Errorf("%d passed at once, want 100", got)
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkAllow(b *testing.B) {
	l := ratelimit.New(ratelimit.Rate{Count: 5, Per: time.Second, Burst: 200}, 1<<16, time.Now)
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprint("2001:db8::", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Allow(keys[i%len(keys)])
	}
}
