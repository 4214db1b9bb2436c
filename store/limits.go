package store

import (
	"context"
	"fmt"
	"time"
)

// Rate is how often something may happen: Count times in each Per on average, and Burst times at once after a pause.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

// Allow counts one event of subject (an address, an app: anything; only its MAC is kept) under a rule, over all
// instances. When it is one too many, ok is false and nothing is counted; retryAfter is then how long until one would
// pass. The error is bff.ErrStore; whether an event then passes is for the caller to say.
func (s *Store) Allow(ctx context.Context, rule, subject string, r Rate) (ok bool, retryAfter time.Duration, err error) {
	if r.Count <= 0 || r.Per <= 0 || r.Burst <= 0 {
		return false, 0, fmt.Errorf("rate limit %s: count, period and burst must be positive", rule)
	}
	// The names under the other index keys do not matter: while keys change, a limit starts anew once.
	key := s.prefix + "rl:" + s.ring.Names("limit", rule, subject)[0]
	room := float64(r.Per.Microseconds()) / float64(r.Count) / 1000 // ms that one event takes
	wait, err := s.script(ctx, call{
		s.scripts.limit, []string{key}, []any{millis(s.Now()), fmt.Sprintf("%.6f", room), r.Burst},
	}).Int64()
	if err != nil {
		return false, 0, unavailable("asking a rate limit", err)
	}
	return wait == 0, time.Duration(wait) * time.Millisecond, nil
}
