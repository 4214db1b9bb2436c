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
// hashed. A use whose answer was lost is repeated once, by the same attempt: who comes again by themselves, with another,
// would be taken for a replay.
func (s *Store) Use(ctx context.Context, kind, name, attempt string, ttl time.Duration) error {
	c := call{s.scripts.use, []string{s.onceKey(kind, name)}, []any{attempt, atLeastOne(ttl)}}
	first, err := s.script(ctx, c).Int64()
	if unanswered(ctx, err) {
		first, err = s.script(ctx, c).Int64()
	}
	if err != nil {
		return unavailable("using a name once", err)
	}
	if first == 0 {
		return bff.ErrUsed
	}
	return nil
}

// Used reports whether a name was used: bff.Replays.
func (s *Store) Used(ctx context.Context, kind, name string) (used bool, err error) {
	err = s.reading(ctx, "reading whether a name was used", func() error {
		n, err := s.rdb.Exists(ctx, s.onceKey(kind, name)).Result()
		used = n > 0
		return err
	})
	return used, err
}

// Put keeps a value for one Take: bff.OneTime. It is sealed under the ring, for this kind and name alone.
func (s *Store) Put(ctx context.Context, kind, name string, value []byte, ttl time.Duration) error {
	sealed := s.ring.Seal(bff.PurposeTicket, value, kind, name)
	life := time.Duration(atLeastOne(ttl)) * time.Millisecond // never 0, which Redis would keep for ever
	return unavailable("keeping a one-time value", s.rdb.Set(ctx, s.onceKey(kind, name), sealed, life).Err())
}

// Take returns the value and forgets it: bff.OneTime. An answer that is lost on the way is lost for good: at most one
// Take ever returns the value. It is opened before it is taken: what is sealed under a key that is not known here (yet) is
// not used up, for another instance can open it. What opens nowhere is as good as used.
func (s *Store) Take(ctx context.Context, kind, name string) ([]byte, error) {
	key := s.onceKey(kind, name)
	var sealed []byte
	err := s.reading(ctx, "reading a one-time value", func() (err error) {
		sealed, err = s.rdb.Get(ctx, key).Bytes()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, bff.ErrUsed
	}
	if err != nil {
		return nil, err
	}
	value, err := s.ring.Open(bff.PurposeTicket, sealed, kind, name)
	if errors.Is(err, bff.ErrKeyUnknown) {
		return nil, err
	}
	switch gone := s.rdb.GetDel(ctx, key).Err(); { // whoever is first to remove it has it, whoever looked first
	case errors.Is(gone, redis.Nil):
		return nil, bff.ErrUsed
	case gone != nil:
		return nil, unavailable("taking a one-time value", gone)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", bff.ErrUsed, err)
	}
	return value, nil
}
