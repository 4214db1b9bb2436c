package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloakroom/bff"
)

// Claim takes the refresh of a session: bff.Leases.
func (s *Store) Claim(ctx context.Context, lookup bff.Lookup, attempt string, ttl time.Duration) (bff.Claim, error) {
	rec := s.record(lookup)
	// One script: whether the record lives, whether the lease is free, and the taking of it are one step, or two instances
	// could both believe that they hold it (ASVS 15.4.2). An attempt that asks again finds its own lease: a lost answer
	// costs nothing.
	got, err := s.run(ctx, call{
		s.scripts.claim,
		[]string{rec, claimOf(rec), endedOf(rec)},
		[]any{attempt, atLeastOne(ttl), s.instance, millis(s.Now())},
	})
	switch {
	case err != nil:
		return bff.Claim{}, unavailable("claiming the refresh", err)
	case got.text(0) == "gone":
		return bff.Claim{}, gone(got.text(1))
	default:
		return bff.Claim{
			Granted: got.text(0) == "granted", Fence: got.number(1), Generation: got.number(2),
			Remaining: time.Duration(got.number(3)) * time.Millisecond,
		}, nil
	}
}

// Renew prolongs the lease: bff.Leases.
func (s *Store) Renew(ctx context.Context, lookup bff.Lookup, attempt string, ttl time.Duration) error {
	// By the attempt's own id only: a lease that somebody else took after ours had lapsed is not ours to prolong.
	kept, err := s.script(ctx, call{
		s.scripts.renew, []string{claimOf(s.record(lookup))}, []any{attempt, atLeastOne(ttl)},
	}).Int64()
	if err != nil {
		return unavailable("renewing the lease", err)
	}
	if kept == 0 {
		return bff.ErrClaimLost
	}
	return nil
}

// MarkSent writes the sent mark: bff.Leases. It is the last write before a refresh token leaves, and its script the last
// check that nobody else may send the same (RFC 9700 section 4.14.2: a rotated token that comes twice looks like theft).
// It waits for replicas as a save does: a failover that loses the mark hides that the token was sent.
func (s *Store) MarkSent(ctx context.Context, lookup bff.Lookup, attempt string, generation int64, at time.Time) error {
	rec := s.record(lookup)
	got, err := s.runConfirmed(ctx, lookup, call{
		s.scripts.mark,
		[]string{rec, claimOf(rec), endedOf(rec)},
		[]any{attempt, generation, s.sentText(bff.SentMark{Generation: generation, Attempt: attempt, At: at})},
	})
	if err != nil {
		return unavailable("marking the refresh as sent", err)
	}
	return verdict(got)
}

// verdict maps the answers that the scripts of a refresh share.
func verdict(got answer) error {
	switch got.text(0) {
	case "ok":
		return nil
	case "gone":
		return gone(got.text(1))
	// The lease ran out while this process or the way to Redis stood still; another attempt may hold it.
	case "lost":
		return bff.ErrClaimLost
	case "conflict":
		return bff.ErrConflict
	// Nothing is known then, so nothing may be concluded: neither that it is saved nor that the session is gone.
	default:
		return fmt.Errorf("%w: unexpected answer", bff.ErrStore)
	}
}

// Release gives the lease back and settles the mark: bff.Leases.
func (s *Store) Release(ctx context.Context, lookup bff.Lookup, attempt string, settle bff.Settlement) error {
	// A mark that stays makes the next attempt careful. So that is what an unknown settlement does as well.
	how := map[bff.Settlement]string{bff.SettleGood: "good", bff.SettleDoubt: "doubt"}[settle]
	if how == "" {
		how = "keep"
	}
	rec := s.record(lookup)
	err := s.script(ctx, call{
		s.scripts.release,
		[]string{rec, claimOf(rec)},
		[]any{attempt, how, s.channel, eventText(bff.Event{Kind: bff.EventRefreshed, Lookup: lookup})},
	}).Err()
	return unavailable("releasing the lease", err)
}

// Save writes the token set as the next generation: bff.Leases. Of a refreshed identity only the claims are taken, for a
// refresh makes no login fresher and moves no session to another subject, sid or SSO session (OpenID Connect Core
// section 12.2). The record's write comes first and alone decides: the new tokens exist nowhere else. Its index entries
// are there since the login; that adding them again failed is logged.
func (s *Store) Save(ctx context.Context, n *bff.Session, attempt string, g *bff.Grant) error {
	fields, err := s.savedFields(n, g)
	if err != nil {
		return err
	}
	kept, err := s.keptArgs(n, g.Kept)
	if err != nil {
		return err
	}
	lookup := lookupOf(n)
	rec := s.record(lookup)
	// The script compares the generation, not the lease: an answer that came late is still the only copy of its tokens.
	// It never makes a record: deletion wins, and a signed-out session does not come back (ASVS 7.4.1).
	got, err := s.runConfirmed(ctx, lookup, call{
		s.scripts.save,
		[]string{rec, claimOf(rec), endedOf(rec), tokOf(rec)},
		slices.Concat([]any{
			attempt, n.Generation, s.channel, eventText(bff.Event{Kind: bff.EventRefreshed, Lookup: lookup}),
		}, kept, fields),
	})
	if err != nil {
		return unavailable("saving the tokens", err)
	}
	if err := verdict(got); err != nil {
		return err
	}
	if err := s.runAll(ctx, s.indexCalls(n)); err != nil {
		s.log.WarnContext(ctx, "index entries not added again", "session", lookup.ID(), "err", err)
	}
	// A sign-out between the two writes has forgotten entries that were added again after it. Saved is saved: should this
	// not be found out, they pass by themselves.
	if left, err := s.rdb.Exists(ctx, rec).Result(); err == nil && left == 0 {
		s.forgetLate(ctx, n)
	}
	return nil
}

// savedFields returns the fields that a save writes, names and values in turn: the token set, sealed as the generation
// that it becomes, so that neither an older set nor one of another session can be put in its place; and the body only
// where the claims changed.
func (s *Store) savedFields(n *bff.Session, g *bff.Grant) ([]any, error) {
	// Under the birth key, also after the ring has moved on: the cookie of this session opens no other.
	box, err := s.ring.Record(n.KeyID, n.Root, lookupOf(n), n.App)
	if err != nil {
		return nil, err
	}
	own := int64(0)
	if g.Kept != nil {
		own = n.OwnGeneration()
	}
	tok, err := sealedTokens(box, &g.Tokens, n.Generation+1, own)
	if err != nil {
		return nil, err
	}
	fields := append([]any{"tok", tok}, s.sharedFields(n, g.Tokens.Refresh)...)
	if g.Identity == nil || len(g.Identity.Claims) == 0 {
		return fields, nil
	}
	sealed, err := sealedBody(box, n, g.Identity.Claims)
	if err != nil {
		return nil, err
	}
	return append(fields, "body", sealed), nil
}
