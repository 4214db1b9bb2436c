package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// Limiter counts events of any number of keys against one rate. It remembers a bounded number of them: some 55 bytes each.
//
// When a new key comes and there is no place, the one goes whose burst is free again the soonest: forgetting it gives away
// the least, and nothing at all if it is free already. So whoever has used up its burst cannot make itself forgotten by
// calling under other keys once each, however many; it takes as many keys as there are places, each with more events than
// its own. And nobody is refused because of other keys: a key that was forgotten, or is new, has all of its burst.
//
// All methods are safe for concurrent use.
type Limiter struct {
	rate  Rate
	most  int
	now   func() time.Time
	start time.Time
	seed  maphash.Seed

	mu   sync.Mutex
	kept soonest
}

// New makes a Limiter that remembers at most so many keys. now is the clock; one that is never set back, as time.Now is
// with its monotonic reading.
func New(rate Rate, most int, now func() time.Time) *Limiter {
	return &Limiter{
		rate: rate, most: max(1, most), now: now, start: now(), seed: maphash.MakeSeed(),
		kept: soonest{at: make(map[uint64]int32)},
	}
}

// Allow counts one event of a key, and returns 0. One that is too many is not counted: then it returns how long until one
// would pass.
func (l *Limiter) Allow(key string) (wait time.Duration) {
	name := maphash.String(l.seed, key) // nobody outside can find two keys that share it
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.moment()
	free := max(l.kept.of(name), now) + l.rate.room()
	if wait := free - l.rate.span() - now; wait > 0 {
		return time.Duration(wait)
	}
	l.keep(name, free, now)
	return 0
}

// Hold has a key wait for so long: somebody else, who counts more than this process sees, said so. Then one event passes.
// A key that has to wait longer anyway is left as it is.
func (l *Limiter) Hold(key string, wait time.Duration) {
	name := maphash.String(l.seed, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.moment()
	l.keep(name, max(l.kept.of(name), now+int64(wait)+l.rate.span()-l.rate.room()), now)
}

// Len is how many keys are remembered. Only tests ask: they show that a flood of keys is not kept.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept.heap)
}

// moment is now, in nanoseconds since the start.
func (l *Limiter) moment() int64 { return int64(l.now().Sub(l.start)) }

// keep remembers when a key's burst is free again, and makes room for it.
func (l *Limiter) keep(name uint64, free, now int64) {
	if l.kept.has(name) {
		l.kept.put(name, free)
		return
	}
	for range 2 { // one more than comes: what is free again goes little by little, and no call pays for many
		if next, any := l.kept.next(); !any || next > now {
			break
		}
		l.kept.drop()
	}
	if len(l.kept.heap) >= l.most {
		l.kept.drop()
	}
	l.kept.put(name, free)
}
