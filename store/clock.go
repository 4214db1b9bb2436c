package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sampleEvery is how often Redis's clock is read: a clock that is a percent off, far worse than any, drifts by 0.3 s
	// meanwhile, well within the slack that markers have for clocks.
	sampleEvery = 30 * time.Second
	// sampleSoon is how long until it is read again while it is not known at all, or in doubt: what is written meanwhile
	// carries a time by which other instances take a session for idle, or for one whose activity somebody forged.
	sampleSoon = time.Second
	// jump is how far two readings may be apart for the second to be believed at once: half of what markers allow.
	jump = time.Second
)

// moment is what Redis's clock said when the local one said this.
type moment struct {
	local, redis time.Time
}

// at is the time by Redis when the local clock says local. Where the local times carry what Go counts beside the wall
// clock, that decides: whoever sets the local clock sets nothing here.
func (m *moment) at(local time.Time) time.Time { return m.redis.Add(local.Sub(m.local)) }

// strayed is how far the local wall clock was moved since, against what was counted beside it: it was set, or the machine
// stood still, and only Redis knows which.
func (m *moment) strayed(local time.Time) time.Duration {
	wall := local.Round(0).Sub(m.local.Round(0)) // Round(0) takes the count away
	return (wall - local.Sub(m.local)).Abs()
}

// Now returns the time by the clock that all instances share, as last sampled: Redis's. Until it was, the local one.
func (s *Store) Now() time.Time {
	local, m := s.local(), s.clock.Load()
	if m == nil {
		return local
	}
	if m.strayed(local) > jump {
		s.sampleNow()
	}
	return m.at(local)
}

// Drift returns how far Redis was ahead of the local clock when last sampled; 0 until Run measured it.
func (s *Store) Drift() time.Duration {
	if m := s.clock.Load(); m != nil {
		return m.redis.Sub(m.local.Round(0))
	}
	return 0
}

// sampleNow has Run read the clock at once.
func (s *Store) sampleNow() {
	select {
	case s.resample <- struct{}{}:
	default: // it is about to
	}
}

// Run samples Redis's clock, at once and then every 30 s, until ctx ends; every second while it is not known, and when a
// reading jumps: that is believed once the next one agrees, so that one strange answer moves no clock. While Redis is down,
// the last reading stays.
func (s *Store) Run(ctx context.Context) {
	var doubted *moment
	for {
		wait := sampleSoon
		if m, err := s.sample(ctx); err != nil {
			s.log.DebugContext(ctx, "clock of Redis not read", "err", err)
		} else if doubted = s.believe(m, doubted); doubted == nil {
			wait = sampleEvery
		}
		if !s.pauseOrSample(ctx, wait) {
			return
		}
	}
}

// believe takes a reading over, or returns it as the one to be confirmed by the next.
func (s *Store) believe(m, doubted *moment) *moment {
	known := s.clock.Load()
	if known != nil && apart(known, m) > jump && (doubted == nil || apart(doubted, m) > jump) {
		return m
	}
	s.clock.Store(m)
	return nil
}

// apart is how much later, or earlier, the clock reads than an earlier reading of it had promised.
func apart(earlier, later *moment) time.Duration {
	return later.redis.Sub(earlier.at(later.local)).Abs()
}

// pauseOrSample waits until the next sample is due, or asked for; false because ctx ended.
func (s *Store) pauseOrSample(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-s.resample:
	}
	return true
}

// sample reads the clock three times and takes the median, so that one slow answer does not count. In a Cluster one server
// is asked by all: they need not agree with each other, but the instances must.
func (s *Store) sample(ctx context.Context) (*moment, error) {
	server, err := s.primaryOf(ctx, s.channel)
	if err != nil {
		return nil, unavailable("finding the clock", err)
	}
	readings := make([]*moment, 3)
	for i := range readings {
		if readings[i], err = s.read(ctx, server); err != nil {
			return nil, unavailable("reading the clock", err)
		}
	}
	first := readings[0]
	slices.SortFunc(readings, func(a, b *moment) int {
		return cmp.Compare(a.redis.Sub(first.at(a.local)), b.redis.Sub(first.at(b.local)))
	})
	return readings[1], nil
}

// read reads the clock once. Redis told the time about half-way between question and answer.
func (s *Store) read(ctx context.Context, server *redis.Client) (*moment, error) {
	sent := s.local()
	at, err := server.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	return &moment{local: sent.Add(s.local().Sub(sent) / 2), redis: at}, nil
}
