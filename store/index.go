package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"

	"github.com/fxamacker/cbor/v2"
	"github.com/redis/go-redis/v9"
)

// indexSlack is how much longer than its session an index member is kept: clocks, and the login that is under way.
const indexSlack = time.Minute

// purposeMember is what the sealed part of an index member is sealed for, bound to its lookup.
const purposeMember = "index member"

// member is the sealed part of an index member. Groups hold the provider's names: they never stand in the clear.
type member struct {
	App     string   `cbor:"1,keyasint"`
	Created int64    `cbor:"2,keyasint"` // ms
	Groups  []string `cbor:"3,keyasint,omitempty"`
}

// indexCalls returns one script call for each index the session belongs to. The end that a member carries is the
// absolute one, so that no lost slide lets the member of a living session pass.
func (s *Store) indexCalls(n *bff.Session) []call {
	lookup := string(lookupOf(n))
	sealed, err := cbor.Marshal(&member{App: n.App, Created: millis(n.CreatedAt), Groups: n.Groups})
	if err != nil {
		panic(err) // texts and a number
	}
	end := millis(n.AbsoluteEnd)
	value := strconv.FormatInt(end, 10) + "|" + string(s.ring.Seal(purposeMember, sealed, lookup))
	names := s.indexNames(n.Provider, &n.Identity, n.Groups)
	calls := make([]call, len(names))
	for i, name := range names {
		calls[i] = call{s.scripts.index, []string{s.indexKey(name)}, []any{
			lookup, value, end, millis(s.Now()), indexSlack.Milliseconds(),
		}}
	}
	return calls
}

// errNoIndex says that a target has no index: the sessions of an app are found by a scan.
var errNoIndex = errors.New("there is no index by app")

// Members returns what is indexed under a target: bff.Markers.
func (s *Store) Members(ctx context.Context, t bff.Target) ([]bff.Member, error) {
	if t.Scope == bff.ScopeApp {
		return nil, errNoIndex
	}
	var found map[string]string
	err := s.reading(ctx, "reading an index", func() (err error) {
		found, err = s.indexed(ctx, s.namesOf(t))
		return err
	})
	if err != nil {
		return nil, err
	}
	members := make([]bff.Member, 0, len(found))
	for _, lookup := range slices.Sorted(maps.Keys(found)) {
		members = append(members, s.memberOf(lookup, found[lookup]))
	}
	return members, nil
}

// indexed reads several indexes as one.
func (s *Store) indexed(ctx context.Context, names []string) (map[string]string, error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(names))
	for i, name := range names {
		cmds[i] = pipe.HGetAll(ctx, s.indexKey(name))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	found := make(map[string]string)
	for _, cmd := range cmds {
		maps.Copy(found, cmd.Val()) // the same session says the same under each
	}
	return found, nil
}

// memberOf opens one member. What does not open is a member all the same, for its session can be ended.
func (s *Store) memberOf(lookup, value string) bff.Member {
	out := bff.Member{Lookup: bff.Lookup(lookup)}
	end, sealed, _ := strings.Cut(value, "|")
	ms, err := strconv.ParseInt(end, 10, 64)
	if err != nil {
		return out
	}
	plain, err := s.ring.Open(purposeMember, []byte(sealed), lookup)
	if err != nil {
		return out
	}
	var m member
	if err := decode(plain, &m); err != nil {
		return out
	}
	out.App, out.Groups, out.CreatedAt, out.End = m.App, m.Groups, fromMillis(m.Created), fromMillis(ms)
	return out
}

// forgetLate removes what a late update of a session that is gone has just added to its indexes.
func (s *Store) forgetLate(ctx context.Context, n *bff.Session) {
	s.forget(ctx, lookupOf(n), s.indexNames(n.Provider, &n.Identity, n.Groups))
}

// forget removes an ended session from its indexes, best effort: what stays points to nothing and passes by itself.
func (s *Store) forget(ctx context.Context, lookup bff.Lookup, names []string) {
	if len(names) == 0 {
		return
	}
	pipe := s.rdb.Pipeline()
	for _, name := range names {
		pipe.HDel(ctx, s.indexKey(name), string(lookup))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		s.log.WarnContext(ctx, "index entries of an ended session left behind", "session", lookup.ID(), "err", err)
	}
}
