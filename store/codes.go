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

const (
	// redeemedFor is how long a code's redeemer is remembered: a replay that comes later finds nothing to end by. RFC 6749
	// section 4.1.2 gives a code ten minutes at most; ours is good for less.
	redeemedFor = 10 * time.Minute
	// redeemAgain is how long a redeemed login stays for the repetition of a redemption whose answer was lost, which comes
	// after a time-out of Redis at the latest.
	redeemAgain = 10 * time.Second
	// partPending is what a login that waits is sealed as.
	partPending = "pending"
)

// pending is a login that waits under a code. Keys are never used again for something else.
type pending struct {
	Schema    int    `cbor:"1,keyasint"`
	App       string `cbor:"2,keyasint"`
	Confirm   bool   `cbor:"3,keyasint,omitempty"`
	Redirect  string `cbor:"4,keyasint,omitempty"`
	Challenge string `cbor:"5,keyasint,omitempty"`
	State     string `cbor:"6,keyasint,omitempty"`
	Body      body   `cbor:"7,keyasint"`
	Tokens    tokens `cbor:"8,keyasint"`
	Key       string `cbor:"9,keyasint,omitempty"`
	Replaces  string `cbor:"10,keyasint,omitempty"`
}

// Keep stores a login under a code: bff.Codes. The key id stands in front of what is sealed, and is bound to it.
func (s *Store) Keep(ctx context.Context, code bff.Root, p *bff.Pending, life time.Duration) error {
	key := p.KeyID
	if key == "" {
		key = s.ring.Front()
	}
	box, err := s.ring.Pending(key, code)
	if err != nil {
		return err
	}
	of := bff.Session{Identity: p.Identity, Provider: p.Provider, Began: p.Began, Seen: p.Seen}
	plain, err := cbor.Marshal(&pending{
		Schema: schema, App: p.App, Confirm: p.Confirm, Redirect: p.Request.RedirectURI, Challenge: p.Request.Challenge,
		State: p.Request.State, Key: p.Request.Key, Replaces: string(p.Request.Replaces), Body: *bodyOf(&of, p.Claims),
		Tokens: *tokensOf(&p.Tokens, 1),
	})
	if err != nil {
		return fmt.Errorf("encoding a login: %w", err)
	}
	value := append(append([]byte{byte(len(key))}, key...), box.Seal(partPending, plain)...)
	return unavailable("keeping a login",
		s.rdb.Set(ctx, s.codeKey(code), value, time.Duration(atLeastOne(life))*time.Millisecond).Err())
}

// Redeem takes the login of a code for whoever is named by: bff.Codes. It is opened before it is taken: what cannot be
// opened here is not used up, for another instance may be able to. A redemption whose answer was lost is repeated once.
func (s *Store) Redeem(ctx context.Context, code bff.Root, by bff.Lookup) (*bff.Pending, error) {
	p, err := s.waiting(ctx, code)
	if err != nil {
		return nil, err
	}
	key := s.codeKey(code)
	c := call{s.scripts.redeem, []string{key, redeemedOf(key)}, []any{
		string(by), redeemedFor.Milliseconds(), redeemAgain.Milliseconds(),
	}}
	got, err := s.run(ctx, c)
	if unanswered(ctx, err) {
		got, err = s.run(ctx, c)
	}
	switch {
	case err != nil:
		return nil, unavailable("redeeming a code", err)
	case got.text(0) == "ok" && p != nil:
		return p, nil
	case got.text(0) == "redeemed":
		return nil, &bff.RedeemedError{By: bff.Lookup(got.text(1))}
	default:
		return nil, bff.ErrUsed
	}
}

// waiting opens the login that waits under a code; nil if there is none.
func (s *Store) waiting(ctx context.Context, code bff.Root) (*bff.Pending, error) {
	var value []byte
	err := s.reading(ctx, "reading a login", func() (err error) {
		value, err = s.rdb.Get(ctx, s.codeKey(code)).Bytes()
		return err
	})
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	}
	p, err := s.openPending(value, code)
	if err != nil && !errors.Is(err, bff.ErrKeyUnknown) && !errors.Is(err, bff.ErrNewerSchema) {
		return nil, fmt.Errorf("%w: %w", bff.ErrUsed, err) // it opens nowhere
	}
	return p, err
}

func (s *Store) openPending(value []byte, code bff.Root) (*bff.Pending, error) {
	if len(value) == 0 || len(value) < 1+int(value[0]) {
		return nil, fmt.Errorf("%w: no key id", bff.ErrTampered)
	}
	key := string(value[1 : 1+int(value[0])])
	box, err := s.ring.Pending(key, code)
	if err != nil {
		return nil, err
	}
	var p pending
	if err := unseal(box, partPending, string(value[1+len(key):]), &p); err != nil {
		return nil, err
	}
	if p.Schema > schema || p.Body.Schema > schema || p.Tokens.Schema > schema {
		return nil, bff.ErrNewerSchema
	}
	of := sessionOf(&inClear{}, &p.Body, &p.Tokens)
	return &bff.Pending{
		App: p.App, KeyID: key, Confirm: p.Confirm,
		Request: bff.NativeRequest{
			RedirectURI: p.Redirect, Challenge: p.Challenge, State: p.State, Key: p.Key, Replaces: bff.Lookup(p.Replaces),
		},
		Identity: of.Identity, Provider: of.Provider, Began: of.Began, Seen: of.Seen, Tokens: of.Tokens,
	}, nil
}
