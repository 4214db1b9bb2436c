package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloakroom/bff"

	"github.com/fxamacker/cbor/v2"
	"github.com/redis/go-redis/v9"
)

// clientTokenKeys are the keys of an app's own token, under each index key.
func (s *Store) clientTokenKeys(k bff.ClientTokenKey) []string {
	keys := s.ring.Names("cc", k.Provider, k.App, k.ClientID, k.Scope)
	for i, mac := range keys {
		keys[i] = s.prefix + "cc:" + mac
	}
	return keys
}

// askedOf names the claim of who asks for a client token. It is of the first index key alone: instances that differ in it
// may both ask, which costs one call.
func askedOf(key string) string { return key + ":asked" }

// ReadClientToken returns an app's own token: bff.ClientTokens. What does not open here (under a key that is not known yet,
// or altered) is as good as not there: the provider gives another.
func (s *Store) ReadClientToken(ctx context.Context, k bff.ClientTokenKey) (bff.TokenSet, error) {
	for _, key := range s.clientTokenKeys(k) {
		var sealed []byte
		err := s.reading(ctx, "reading an app's own token", func() (err error) {
			sealed, err = s.rdb.Get(ctx, key).Bytes()
			return err
		})
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return bff.TokenSet{}, err
		}
		if t, ok := s.openClientToken(k, sealed); ok {
			return t, nil
		}
	}
	return bff.TokenSet{}, nil
}

// openClientToken opens what was sealed for this very app, client and scopes: whoever can write to Redis cannot give one
// app the token of another.
func (s *Store) openClientToken(k bff.ClientTokenKey, sealed []byte) (bff.TokenSet, bool) {
	plain, err := s.ring.Open(bff.PurposeClientToken, sealed, k.Provider, k.App, k.ClientID, k.Scope)
	var t tokens
	if err != nil || decode(plain, &t) != nil || t.Schema != schema {
		return bff.TokenSet{}, false
	}
	return sessionOf(&inClear{}, &body{}, &t).Tokens, true
}

// SaveClientToken keeps an app's own token until it ends: bff.ClientTokens.
func (s *Store) SaveClientToken(ctx context.Context, k bff.ClientTokenKey, t bff.TokenSet) error {
	life := t.ExpiresAt.Sub(s.Now()).Truncate(time.Millisecond)
	if life <= 0 { // 0 would be kept for ever
		return nil
	}
	plain, err := cbor.Marshal(tokensOf(&t, 0))
	if err != nil {
		return fmt.Errorf("encoding an app's own token: %w", err)
	}
	sealed := s.ring.Seal(bff.PurposeClientToken, plain, k.Provider, k.App, k.ClientID, k.Scope)
	for _, key := range s.clientTokenKeys(k) {
		if err := s.rdb.Set(ctx, key, sealed, life).Err(); err != nil {
			return unavailable("keeping an app's own token", err)
		}
	}
	return nil
}

// ClaimClientToken decides which instance asks the provider: bff.ClientTokens.
func (s *Store) ClaimClientToken(ctx context.Context, k bff.ClientTokenKey, attempt string, ttl time.Duration) (bool, error) {
	first, err := s.script(ctx, call{
		s.scripts.use, []string{askedOf(s.clientTokenKeys(k)[0])}, []any{attempt, atLeastOne(ttl)},
	}).Int64()
	return first == 1, unavailable("claiming an app's own token", err)
}

// ReleaseClientToken lets another instance ask: bff.ClientTokens. A claim that had lapsed may be another's by now: then two
// ask, which costs one call.
func (s *Store) ReleaseClientToken(ctx context.Context, k bff.ClientTokenKey) error {
	return unavailable("releasing an app's own token", s.rdb.Del(ctx, askedOf(s.clientTokenKeys(k)[0])).Err())
}
