package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

const (
	// endedAtMost bounds how long the reason of an end is kept: a tab that comes back a day later is told to sign in.
	endedAtMost = 24 * time.Hour
	// endedAtLeast is for a session that was about to end anyhow: tabs and repeated writes under way find the reason.
	endedAtLeast = time.Minute
	// leftFor is how long the sealed refresh token of an ended session waits for the repetition of its deletion, which comes
	// after a time-out of Redis at the latest.
	leftFor = 10 * time.Second
	// expiredFor is how long a record outlives its session, which is judged by its own times: so long whoever comes back is
	// told that the session has expired, as from a session that was in use, rather than that there never was one. It covers
	// pages left open over a pause, and the clocks of Redis's servers, by which keys end.
	expiredFor = 5 * time.Minute
)

// errTaken says that another login's record stands under the name: impossible by chance.
var errTaken = errors.New("the record's name is taken")

// Create writes the index entries, then the record: bff.Records. A record that ended meanwhile stays ended: then the
// error is a *bff.EndedError. A write whose answer was lost is repeated once, for its repetition is the same success: a
// user who has just signed in is not to begin anew for one lost packet.
func (s *Store) Create(ctx context.Context, n *bff.Session) error {
	fields, err := s.newFields(n)
	if err != nil {
		return err
	}
	// Index before record: a sign-out that reads the index from here on finds the session, and one that read it earlier
	// wrote its marker before that, which the login finds when it checks after this.
	err = s.runAll(ctx, s.indexCalls(n))
	if unanswered(ctx, err) {
		err = s.runAll(ctx, s.indexCalls(n))
	}
	if err != nil {
		s.forgetRefused(ctx, n, err)
		return unavailable("writing the indexes", err)
	}
	rec := s.record(n.Root.Lookup())
	life := min(n.LastActive.Add(n.Idle).Sub(s.Now()), n.AbsoluteEnd.Sub(s.Now())) + expiredFor
	got, err := s.runSurely(ctx, n.Root.Lookup(), call{
		s.scripts.create,
		[]string{rec, endedOf(rec)},
		append([]any{atLeastOne(life)}, fields...),
	})
	switch {
	case err != nil:
		s.forgetRefused(ctx, n, err)
		return unavailable("writing the record", err)
	case got.text(0) == "ended":
		s.forgetLate(ctx, n)
		return gone(got.text(1))
	case got.text(0) == "taken":
		return errTaken
	default:
		return nil
	}
}

// forgetRefused takes back what a login wrote to its indexes, where Redis said that the rest of it was not written. In doubt
// it stays: a record that nobody finds is worse than a name that points to nothing and passes by itself.
func (s *Store) forgetRefused(ctx context.Context, n *bff.Session, err error) {
	var said redis.Error
	if errors.As(err, &said) {
		s.forgetLate(ctx, n)
	}
}

// atLeastOne is a life in ms that Redis takes: one that is over ends at once.
func atLeastOne(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// newFields returns all fields of a new record, names and values in turn.
func (s *Store) newFields(n *bff.Session) ([]any, error) {
	key := n.KeyID
	if key == "" {
		key = s.ring.Front()
	}
	box, err := s.ring.Record(key, n.Root, lookupOf(n), n.App)
	if err != nil {
		return nil, err
	}
	sealed, err := sealedBody(box, n, n.Claims)
	if err != nil {
		return nil, err
	}
	generation := max(n.Generation, 1)
	tok, err := sealedTokens(box, &n.Tokens, generation, 0)
	if err != nil {
		return nil, err
	}
	fields := []any{
		"v", schema, "app", n.App, "kid", key,
		"began", millis(n.Began), "created", millis(n.CreatedAt), "act", millis(n.LastActive),
		"abs", millis(n.AbsoluteEnd), "idle", n.Idle.Milliseconds(),
		"gen", generation, "wid", "created", "fence", 0, "turn", turnText(n.Turn),
		"body", sealed, "tok", tok,
	}
	if n.Seen != "" {
		fields = append(fields, "seen", n.Seen)
	}
	if n.Key != "" {
		fields = append(fields, "jkt", n.Key)
	}
	return slices.Concat(fields, s.sharedFields(n, n.Tokens.Refresh), s.deviceFields(n)), nil
}

// sharedFields are written at the login and again at each save, so that they follow the ring: the record's index names,
// the names of its groups and, where the provider's sessions are revocable, the refresh token under the ring alone.
func (s *Store) sharedFields(n *bff.Session, refresh bff.Secret) []any {
	var groups []string
	for _, g := range n.Groups {
		groups = append(groups, s.groupNames(g)...)
	}
	fields := []any{
		"ix", strings.Join(s.indexNames(n.Provider, &n.Identity, n.Groups), " "),
		"grp", strings.Join(groups, " "),
	}
	if s.revocable(n.Provider) && !refresh.IsZero() {
		sealed := s.ring.Seal(bff.PurposeRevocation, []byte(refresh.Reveal()), n.App, string(lookupOf(n)))
		fields = append(fields, "rev", sealed)
	}
	return fields
}

// lookupOf returns a session's lookup, also of one that was not read from here.
func lookupOf(n *bff.Session) bff.Lookup {
	if n.Root.IsZero() {
		return n.Lookup
	}
	return n.Root.Lookup()
}

// Read opens the record of root: bff.Records. A record that is there costs one command, and no other key is asked.
func (s *Store) Read(ctx context.Context, root bff.Root) (*bff.Session, error) {
	lookup := root.Lookup()
	fields, err := s.fields(ctx, s.record(lookup))
	if err != nil {
		return nil, err
	}
	if absent(fields) {
		return nil, s.absence(ctx, lookup)
	}
	return s.open(fields, root, lookup)
}

func (s *Store) fields(ctx context.Context, record string) (fields []string, err error) {
	args := readCommand(record)
	err = s.reading(ctx, "reading the record", func() error {
		cmd := redis.NewStringSliceCmd(ctx, args...)
		err := s.hot.Process(ctx, cmd)
		fields = cmd.Val()
		return err
	})
	return wholeRecord(fields, err)
}

// wholeRecord returns the fields of a record as they were read, if they are all there.
func wholeRecord(fields []string, err error) ([]string, error) {
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return nil, fmt.Errorf("%w: not a record", bff.ErrTampered)
	case err != nil:
		return nil, err
	case len(fields) != fieldCount:
		return nil, fmt.Errorf("%w: reading the record: %d fields", bff.ErrStore, len(fields))
	default:
		return fields, nil
	}
}

// absence tells why a record is not there.
func (s *Store) absence(ctx context.Context, lookup bff.Lookup) error {
	var ended string
	err := s.reading(ctx, "reading the end", func() (err error) {
		ended, err = s.rdb.Get(ctx, endedOf(s.record(lookup))).Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return gone(ended)
}

// Touch moves the last activity: bff.Records.
func (s *Store) Touch(ctx context.Context, n *bff.Session, at time.Time) error {
	if err := s.runAll(ctx, s.indexCalls(n)); err != nil {
		return unavailable("writing the indexes", err)
	}
	lookup := lookupOf(n)
	rec := s.record(lookup)
	got, err := s.run(ctx, call{s.scripts.touch, []string{rec, endedOf(rec)}, []any{
		millis(at), n.Idle.Milliseconds(), millis(n.AbsoluteEnd), millis(s.Now()),
		s.channel, eventText(bff.Event{Kind: bff.EventExtended, Lookup: lookup}), expiredFor.Milliseconds(),
	}})
	if err != nil {
		return unavailable("moving the idle end", err)
	}
	if got.text(0) == "gone" {
		s.forgetLate(ctx, n)
		return gone(got.text(1))
	}
	return nil
}

// Delete ends a session if the marker applies to it: bff.Records. The index entries are forgotten afterwards; what of
// them stays when that fails points to nothing and passes by itself. A write whose answer was lost is repeated once, by
// the same attempt: the answer is the last place where a refresh token stands that is to be revoked.
func (s *Store) Delete(ctx context.Context, lookup bff.Lookup, m *bff.Marker, reason bff.Reason) (*bff.Ended, error) {
	got, err := s.runSurely(ctx, lookup, s.deletion(lookup, m, reason))
	if err != nil {
		return nil, unavailable("deleting the record", err)
	}
	if got.text(0) != "ended" {
		return nil, nil
	}
	s.forget(ctx, lookup, strings.Fields(got.text(3)))
	ended := &bff.Ended{Lookup: lookup, App: got.text(1)}
	ended.Refresh = s.revocation(ctx, got.text(2), ended)
	return ended, nil
}

// deletion makes the one call that ends a session, with an attempt id of its own. A login that is undone, or whose code
// came a second time, leaves its end ahead of a record that may still be on its way.
func (s *Store) deletion(lookup bff.Lookup, m *bff.Marker, reason bff.Reason) call {
	rec, now, ahead := s.record(lookup), s.Now(), ""
	if reason == bff.ReasonLoginUndone || reason == bff.ReasonCodeReplayed {
		ahead = "ahead"
	}
	return call{
		s.scripts.remove,
		[]string{rec, claimOf(rec), tokOf(rec), endedOf(rec), leftOf(rec)},
		append([]any{
			endedText(reason, now), rand.Text(), millis(now), s.channel, eventText(endEvent(lookup, reason)),
			endedAtMost.Milliseconds(), endedAtLeast.Milliseconds(), leftFor.Milliseconds(), ahead,
		}, s.condition(m)...),
	}
}

// runSurely carries out one script of a session's record, and repeats it once where its answer was lost. It is for those
// whose repetition is the same success.
func (s *Store) runSurely(ctx context.Context, of bff.Lookup, c call) (answer, error) {
	got, err := s.runConfirmed(ctx, of, c)
	if unanswered(ctx, err) {
		got, err = s.runConfirmed(ctx, of, c)
	}
	return got, err
}

// unanswered reports whether a write failed in such a way that it may have happened: Redis said nothing, and the caller is
// still there to be told.
func unanswered(ctx context.Context, err error) bool {
	var said redis.Error
	return err != nil && ctx.Err() == nil && !errors.As(err, &said) && !errors.Is(err, redis.ErrPoolTimeout)
}

// endEvent is the hint that goes out with an end.
func endEvent(lookup bff.Lookup, reason bff.Reason) bff.Event {
	kind := bff.EventEnded
	if reason == bff.ReasonReplaced {
		kind = bff.EventReplaced
	}
	return bff.Event{Kind: kind, Lookup: lookup, Reason: reason}
}

// revocation opens the refresh token that was sealed under the ring alone; zero if there is none.
func (s *Store) revocation(ctx context.Context, sealed string, ended *bff.Ended) bff.Secret {
	if sealed == "" {
		return bff.Secret{}
	}
	plain, err := s.ring.Open(bff.PurposeRevocation, []byte(sealed), ended.App, string(ended.Lookup))
	if err != nil {
		s.log.WarnContext(ctx, "refresh token of an ended session not opened", "session", ended.Lookup.ID(), "err", err)
		return bff.Secret{}
	}
	return bff.NewSecret(string(plain))
}
