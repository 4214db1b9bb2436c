package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// Use reports nil for the first use of a name: bff.OneTime. kind is part of the key, a short lower-case word; the name is
// hashed.
func (s *Store) Use(ctx context.Context, kind, name, attempt string, ttl time.Duration) error {
	first, err := s.script(ctx, call{
		s.scripts.use, []string{s.onceKey(kind, name)}, []any{attempt, atLeastOne(ttl)},
	}).Int64()
	if err != nil {
		return unavailable("using a name once", err)
	}
	if first == 0 {
		return bff.ErrUsed
	}
	return nil
}

// Put keeps a value for one Take: bff.OneTime. It is sealed under the ring, for this kind and name alone.
func (s *Store) Put(ctx context.Context, kind, name string, value []byte, ttl time.Duration) error {
	sealed := s.ring.Seal(bff.PurposeTicket, value, kind, name)
	life := time.Duration(atLeastOne(ttl)) * time.Millisecond // never 0, which Redis would keep for ever
	return unavailable("keeping a one-time value", s.rdb.Set(ctx, s.onceKey(kind, name), sealed, life).Err())
}

// Take returns the value and forgets it: bff.OneTime. An answer that is lost on the way is lost for good: at most one
// Take ever returns the value. One that does not open is as good as used.
func (s *Store) Take(ctx context.Context, kind, name string) ([]byte, error) {
	sealed, err := s.rdb.GetDel(ctx, s.onceKey(kind, name)).Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, bff.ErrUsed
	case err != nil:
		return nil, unavailable("taking a one-time value", err)
	}
	value, err := s.ring.Open(bff.PurposeTicket, sealed, kind, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", bff.ErrUsed, err)
	}
	return value, nil
}
