package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"cloakroom/bff"

	"github.com/fxamacker/cbor/v2"
	"github.com/redis/go-redis/v9"
)

var _ bff.KeptTokens = (*Store)(nil)

// keptField is the name of a kept token as it stands in Redis: a dump does not list the APIs that a user calls.
func keptField(name string) string {
	sum := sha256.Sum256([]byte("cloakroom kept token v1 " + name))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// keptPart is the name that a kept token is sealed under: its own and, by a hash, the access token beside which it is kept.
// So one that comes late, when the session's own was renewed meanwhile, opens for nobody; nor does one that was put in the
// place of another. Both parts are of fixed length: one reading.
func keptPart(field string, beside bff.Secret) string {
	sum := sha256.Sum256([]byte(beside.Reveal()))
	return "kept token " + field + " " + base64.RawURLEncoding.EncodeToString(sum[:])
}

// ReadToken returns a token that is kept beside the session's own: bff.KeptTokens.
func (s *Store) ReadToken(ctx context.Context, n *bff.Session, name string) (bff.TokenSet, error) {
	var sealed string
	field := keptField(name)
	err := s.reading(ctx, "reading a kept token", func() (err error) {
		sealed, err = s.rdb.HGet(ctx, tokOf(s.record(lookupOf(n))), field).Result()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "WRONGTYPE"):
		return bff.TokenSet{}, nil
	case err != nil:
		return bff.TokenSet{}, err
	}
	box, err := s.ring.Record(n.KeyID, n.Root, lookupOf(n), n.App)
	if err != nil {
		return bff.TokenSet{}, err
	}
	var t tokens
	if unseal(box, keptPart(field, n.Tokens.Access), sealed, &t) != nil || t.Schema != schema {
		return bff.TokenSet{}, nil // whoever finds none gets another
	}
	return sessionOf(&inClear{}, &body{}, &t).Tokens, nil
}

// KeepToken keeps a token beside the session's own: bff.KeptTokens.
func (s *Store) KeepToken(ctx context.Context, n *bff.Session, name string, t bff.TokenSet) error {
	life := s.keptLife(t)
	if life <= 0 { // it is over: nothing to keep
		return nil
	}
	sealed, err := s.sealedKept(n, name, t)
	if err != nil {
		return err
	}
	rec := s.record(lookupOf(n))
	got, err := s.run(ctx, call{
		s.scripts.keep, []string{rec, tokOf(rec), endedOf(rec)}, []any{keptField(name), sealed, life.Milliseconds()},
	})
	if err != nil {
		return unavailable("keeping a token", err)
	}
	return verdict(got)
}

// keptLife is how long a token is worth keeping, in whole milliseconds.
func (s *Store) keptLife(t bff.TokenSet) time.Duration {
	return t.ExpiresAt.Sub(s.Now()).Truncate(time.Millisecond)
}

// sealedKept seals the access token of t, as the one of this name beside the session's own.
func (s *Store) sealedKept(n *bff.Session, name string, t bff.TokenSet) ([]byte, error) {
	box, err := s.ring.Record(n.KeyID, n.Root, lookupOf(n), n.App)
	if err != nil {
		return nil, err
	}
	// One refresh token stands in one place: a copy here would be an old one after the next rotation.
	t.Refresh, t.ID = bff.Secret{}, bff.Secret{}
	plain, err := cbor.Marshal(tokensOf(&t, 0))
	if err != nil {
		return nil, fmt.Errorf("encoding a kept token: %w", err)
	}
	return box.Seal(keptPart(keptField(name), n.Tokens.Access), plain), nil
}

// keptArgs are what the script of a save is told of a token to keep; nil: that there is none, and the others go.
func (s *Store) keptArgs(n *bff.Session, k *bff.Kept) ([]any, error) {
	if k == nil {
		return []any{"", "", 0}, nil
	}
	// Beside the session's own, which stays: Save has it from the record that n was read from.
	sealed, err := s.sealedKept(n, k.Name, k.Tokens)
	if err != nil {
		return nil, err
	}
	return []any{keptField(k.Name), sealed, max(s.keptLife(k.Tokens), 0).Milliseconds()}, nil
}
