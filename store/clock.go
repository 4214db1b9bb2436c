package store

import (
	"context"
	"slices"
	"time"
)

// sampleEvery is how often the offset to Redis is measured: a clock that is a percent off, far worse than any, drifts by
// 0.3 s meanwhile, well within the slack that markers have for clocks.
const sampleEvery = 30 * time.Second

// Now returns the time by the clock that all instances share: the local one plus the offset to Redis, as last sampled.
func (s *Store) Now() time.Time { return s.local().Add(s.Drift()) }

// Drift returns how far Redis is ahead of the local clock; 0 until Run measured it.
func (s *Store) Drift() time.Duration { return time.Duration(s.offset.Load()) }

// firstSampleEvery is how often it is tried until it is known at all: what is written meanwhile carries the local time,
// and where that is wrong, other instances take a session for idle, or for one whose activity somebody forged.
const firstSampleEvery = time.Second

// Run samples the offset to Redis's clock, at once and then every 30 s, until ctx ends. While Redis is down, the last
// offset stays; until there is one, it is asked for every second.
func (s *Store) Run(ctx context.Context) {
	ticker := time.NewTicker(firstSampleEvery)
	defer ticker.Stop()
	for known := false; ; {
		if offset, err := s.sample(ctx); err == nil {
			s.offset.Store(int64(offset))
			if !known {
				known = true
				ticker.Reset(sampleEvery)
			}
		} else {
			s.log.DebugContext(ctx, "clock of Redis not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sample measures the offset three times and takes the median, so that one slow answer does not count.
func (s *Store) sample(ctx context.Context) (time.Duration, error) {
	offsets := make([]time.Duration, 3)
	for i := range offsets {
		sent := s.local()
		at, err := s.rdb.Time(ctx).Result()
		if err != nil {
			return 0, unavailable("reading the clock", err)
		}
		// Redis told the time about half-way between question and answer.
		offsets[i] = at.Sub(sent.Add(s.local().Sub(sent) / 2))
	}
	slices.Sort(offsets)
	return offsets[1], nil
}
