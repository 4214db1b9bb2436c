package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"

	"github.com/fxamacker/cbor/v2"
)

// schema is the version of the record's layout. A version that is read must have been written by an instance at least
// as new; a newer one is left alone.
const schema = 1

// activitySlack is how far in the future a last activity or the times of a turn may lie at least: clocks of instances that
// have not yet sampled Redis's. Beyond it, and beyond the session's idle time, somebody wrote the field.
const activitySlack = time.Minute

// Parts of a record that are sealed, each under its own name.
const (
	partBody   = "body"
	partTokens = "tokens"
)

// The fields that a Read asks for, in this order. The others are written for scripts (created, wid, fence, ix, grp,
// seen, jkt and rev) and for the list of devices (created, dev and plat).
const (
	fieldVersion = iota
	fieldApp
	fieldKey
	fieldBegan
	fieldActive
	fieldEnd
	fieldIdle
	fieldGeneration
	fieldSent
	fieldTurn
	fieldBody
	fieldTokens
	fieldCount
)

// readCommand is HMGET of those fields.
func readCommand(record string) []any {
	return []any{"hmget", record, "v", "app", "kid", "began", "act", "abs", "idle", "gen", "sent", "turn", "body", "tok"}
}

// body is the sealed part that a refresh rarely changes. Times are in ms. Keys are never used again for something else.
type body struct {
	Schema   int      `cbor:"1,keyasint"`
	Subject  string   `cbor:"2,keyasint"`
	SID      string   `cbor:"3,keyasint,omitempty"`
	AuthTime int64    `cbor:"4,keyasint,omitempty"`
	ACR      string   `cbor:"5,keyasint,omitempty"`
	Claims   []byte   `cbor:"6,keyasint,omitempty"`
	Provider string   `cbor:"7,keyasint"`
	Began    int64    `cbor:"8,keyasint"`
	Created  int64    `cbor:"9,keyasint"`
	End      int64    `cbor:"10,keyasint"`
	Idle     int64    `cbor:"11,keyasint"`
	Groups   []string `cbor:"12,keyasint,omitempty"`
	Seen     string   `cbor:"13,keyasint,omitempty"`
	Key      string   `cbor:"14,keyasint,omitempty"`
}

// tokens is the sealed token set, with the generation that it is.
type tokens struct {
	Schema     int    `cbor:"1,keyasint"`
	Generation int64  `cbor:"2,keyasint"`
	Access     string `cbor:"3,keyasint,omitempty"`
	Refresh    string `cbor:"4,keyasint,omitempty"`
	ID         string `cbor:"5,keyasint,omitempty"`
	Type       string `cbor:"6,keyasint,omitempty"`
	Scope      string `cbor:"7,keyasint,omitempty"`
	Received   int64  `cbor:"8,keyasint,omitempty"`
	Expires    int64  `cbor:"9,keyasint,omitempty"`
	RefreshAt  int64  `cbor:"10,keyasint,omitempty"`
	ProofKey   []byte `cbor:"11,keyasint,omitempty"`
	Own        int64  `cbor:"12,keyasint,omitempty"` // as bff.Session.Own
}

// inClear is what a record says without being opened, and what is believed of it only if the sealed parts agree.
type inClear struct {
	app, key           string
	began, active, end int64
	idle, generation   int64
	sent               *bff.SentMark
	turn               bff.Turn
}

// strict decodes nothing but what is expected: no unknown keys, no key twice, no tags, few and shallow things. It is
// made once; what can be wrong with the options is known when the program is written.
var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 64, MaxMapPairs: 32, // a body has 14 keys, and few groups
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// open makes a session of a record's fields. What it cannot open it leaves alone, and tells why: bff.ErrNewerSchema,
// bff.ErrKeyUnknown, bff.ErrKeyRetired or bff.ErrTampered.
func (s *Store) open(fields []string, root bff.Root, lookup bff.Lookup) (*bff.Session, error) {
	c, err := parseClear(fields)
	if err != nil {
		return nil, err
	}
	box, err := s.ring.Record(c.key, root, lookup, c.app)
	if err != nil {
		return nil, err
	}
	var b body
	if err := unseal(box, partBody, fields[fieldBody], &b); err != nil {
		return nil, err
	}
	var t tokens
	if err := unseal(box, partTokens, fields[fieldTokens], &t); err != nil {
		return nil, err
	}
	if err := c.agrees(&b, &t, s.Now()); err != nil {
		return nil, err
	}
	out := sessionOf(&c, &b, &t)
	out.Root, out.Lookup = root, lookup
	return out, nil
}

// unseal opens one part and decodes it. RFC 6749 sections 10.3 and 10.4: what was altered or swapped does not open.
func unseal(box *bff.RecordBox, part, sealed string, into any) error {
	plain, err := box.Open(part, []byte(sealed))
	if err != nil {
		return err
	}
	return decode(plain, into)
}

// decode tells a newer version's keys from garbage.
func decode(plain []byte, into any) error {
	err := strict.Unmarshal(plain, into)
	var unknown *cbor.UnknownFieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %w", bff.ErrNewerSchema, err)
	default:
		return fmt.Errorf("%w: decoding: %w", bff.ErrTampered, err)
	}
}

// parseClear reads the fields in clear.
func parseClear(f []string) (c inClear, err error) {
	version, err := strconv.Atoi(f[fieldVersion])
	if err != nil || version < 1 {
		return c, fmt.Errorf("%w: version", bff.ErrTampered)
	}
	if version > schema {
		return c, bff.ErrNewerSchema
	}
	c.app, c.key = f[fieldApp], f[fieldKey]
	for _, n := range [...]struct {
		into *int64
		at   int
	}{{&c.began, fieldBegan}, {&c.active, fieldActive}, {&c.end, fieldEnd}, {&c.idle, fieldIdle}, {&c.generation, fieldGeneration}} {
		if *n.into, err = strconv.ParseInt(f[n.at], 10, 64); err != nil || *n.into < 0 {
			return c, fmt.Errorf("%w: field %d", bff.ErrTampered, n.at)
		}
	}
	c.sent = parseSent(f[fieldSent], c.generation)
	c.turn, err = parseTurn(f[fieldTurn])
	return c, err
}

// agrees compares what stands in clear with what was sealed. The last activity and the turn are in clear alone: they may
// not lie further in the future than the sealed idle time. So a clock of Redis that is set back by less, after a failover
// say, costs nobody a session; and whoever writes the fields by hand gains no more than one idle time. The times of a turn
// prolong nothing but its handles and their grace.
func (c *inClear) agrees(b *body, t *tokens, now time.Time) error {
	latestNow := now.Add(max(activitySlack, time.Duration(b.Idle)*time.Millisecond))
	switch {
	case b.Schema > schema, t.Schema > schema:
		return bff.ErrNewerSchema
	case b.Schema < 1, t.Schema < 1, b.Began != c.began, b.End != c.end, b.Idle != c.idle, t.Generation != c.generation:
		return fmt.Errorf("%w: clear and sealed fields differ", bff.ErrTampered)
	case c.active > latestNow.UnixMilli():
		return fmt.Errorf("%w: activity in the future", bff.ErrTampered)
	case latest(c.turn).After(latestNow):
		return fmt.Errorf("%w: turn in the future", bff.ErrTampered)
	default:
		return nil
	}
}

func sessionOf(c *inClear, b *body, t *tokens) *bff.Session {
	return &bff.Session{
		App: c.app, KeyID: c.key, Provider: b.Provider,
		Identity: bff.Identity{
			Subject: b.Subject, SID: b.SID, AuthTime: fromMillis(b.AuthTime), ACR: b.ACR, Claims: b.Claims,
		},
		Began: fromMillis(b.Began), CreatedAt: fromMillis(b.Created), LastActive: fromMillis(c.active),
		AbsoluteEnd: fromMillis(b.End), Idle: time.Duration(b.Idle) * time.Millisecond,
		Groups: b.Groups, Seen: b.Seen,
		Generation: t.Generation, Own: t.Own, Sent: c.sent, Turn: c.turn, Key: b.Key,
		Tokens: bff.TokenSet{
			Access: bff.NewSecret(t.Access), Refresh: bff.NewSecret(t.Refresh), ID: bff.NewSecret(t.ID),
			TokenType: t.Type, Scope: t.Scope, ProofKey: bff.NewSecret(string(t.ProofKey)), ReceivedAt: fromMillis(t.Received),
			ExpiresAt: fromMillis(t.Expires), RefreshAt: fromMillis(t.RefreshAt),
		},
	}
}

// bodyOf is what the body of a session says, with these claims.
func bodyOf(s *bff.Session, claims []byte) *body {
	return &body{
		Schema: schema, Subject: s.Subject, SID: s.SID, AuthTime: millis(s.AuthTime), ACR: s.ACR, Claims: claims,
		Provider: s.Provider, Began: millis(s.Began), Created: millis(s.CreatedAt), End: millis(s.AbsoluteEnd),
		Idle: s.Idle.Milliseconds(), Groups: s.Groups, Seen: s.Seen, Key: s.Key,
	}
}

// sealedBody seals the body of a session, with these claims.
func sealedBody(box *bff.RecordBox, s *bff.Session, claims []byte) ([]byte, error) {
	plain, err := cbor.Marshal(bodyOf(s, claims))
	if err != nil {
		return nil, fmt.Errorf("encoding the session: %w", err)
	}
	return box.Seal(partBody, plain), nil
}

// tokensOf is what the sealed part says of a token set of this generation.
func tokensOf(set *bff.TokenSet, generation int64) *tokens {
	return &tokens{
		Schema: schema, Generation: generation,
		Access: set.Access.Reveal(), Refresh: set.Refresh.Reveal(), ID: set.ID.Reveal(), Type: set.TokenType,
		Scope: set.Scope, ProofKey: []byte(set.ProofKey.Reveal()), Received: millis(set.ReceivedAt), Expires: millis(set.ExpiresAt),
		RefreshAt: millis(set.RefreshAt),
	}
}

// sealedTokens seals a token set as this generation; own is bff.Session.Own of the record that it becomes.
func sealedTokens(box *bff.RecordBox, set *bff.TokenSet, generation, own int64) ([]byte, error) {
	t := tokensOf(set, generation)
	t.Own = own
	plain, err := cbor.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding the tokens: %w", err)
	}
	return box.Seal(partTokens, plain), nil
}

// absent reports whether there is no record: none of the asked fields exists.
func absent(fields []string) bool {
	return !slices.ContainsFunc(fields, func(f string) bool { return f != "" })
}

// sentText writes a sent mark as "<generation> <doubt> <ms> <attempt> <instance>".
func (s *Store) sentText(m bff.SentMark) string {
	doubt := 0
	if m.Doubt {
		doubt = 1
	}
	return fmt.Sprintf("%d %d %d %s %s", m.Generation, doubt, millis(m.At), m.Attempt, s.instance)
}

// parseSent reads a sent mark; nil of "". One that cannot be read, for a newer version wrote it or somebody garbled it, says
// all the same that a token of this generation may be on its way: whoever refreshes is careful, and nobody is signed out.
func parseSent(text string, generation int64) *bff.SentMark {
	if text == "" {
		return nil
	}
	unread := &bff.SentMark{Generation: generation}
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		return unread
	}
	sent, err1 := strconv.ParseInt(parts[0], 10, 64)
	at, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err1 != nil || err2 != nil {
		return unread
	}
	return &bff.SentMark{Generation: sent, Doubt: parts[1] == "1", At: fromMillis(at), Attempt: parts[3]}
}
