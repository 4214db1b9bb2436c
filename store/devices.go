package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// What the two texts of a device are sealed for. Each stands in a field of the record of its own, which no other read asks
// for, rather than in the body or the index entry: those are decoded strictly, so an instance of an older version would
// take a session with a text for one of a newer schema, or would not find its SSO session.
const (
	purposeDevice   = "device"
	purposePlatform = "platform"
)

// longestLine bounds a line: more logins than that of one user at one app within the longest session are somebody's program.
// A session that the line has forgotten counts as older than all in it.
const longestLine = 1000

// deviceFields are the fields of a device's texts, of each that there is, with their values.
func (s *Store) deviceFields(n *bff.Session) (fields []any) {
	for _, f := range []struct{ field, purpose, text string }{
		{"dev", purposeDevice, n.Device}, {"plat", purposePlatform, n.Platform},
	} {
		if f.text != "" { // under the ring, for the list is asked for with another session's credential
			fields = append(fields, f.field, s.ring.Seal(f.purpose, []byte(f.text), n.App, string(lookupOf(n))))
		}
	}
	return fields
}

// Devices returns the members of an index whose records exist: bff.Devices.
func (s *Store) Devices(ctx context.Context, t bff.Target) ([]bff.Device, error) {
	members, err := s.Members(ctx, t)
	if err != nil {
		return nil, err
	}
	var found []bff.Device
	err = s.reading(ctx, "reading the records of an index", func() (err error) {
		found, err = s.devicesOf(ctx, members)
		return err
	})
	return found, err
}

// devicesOf reads the records of members in one pipeline, over as many slots as they are in.
func (s *Store) devicesOf(ctx context.Context, members []bff.Member) ([]bff.Device, error) {
	if len(members) == 0 {
		return nil, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.SliceCmd, len(members))
	for i, m := range members {
		cmds[i] = pipe.HMGet(ctx, s.record(m.Lookup), "app", "created", "act", "idle", "abs", "dev", "plat")
	}
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	var found []bff.Device
	for i, cmd := range cmds {
		switch err := cmd.Err(); {
		case redis.HasErrorPrefix(err, "WRONGTYPE"): // not a record: nobody's session
		case err != nil:
			return nil, err
		default:
			if d, ok := s.deviceOf(members[i], cmd.Val()); ok {
				found = append(found, d)
			}
		}
	}
	return found, nil
}

// deviceOf joins what the index says of a session with what its record says in clear. A record that is not there, or whose
// numbers are none, is no session that anybody could use.
func (s *Store) deviceOf(m bff.Member, fields []any) (bff.Device, bool) {
	text := func(i int) string { t, _ := fields[i].(string); return t }
	var n [4]int64 // created, act, idle, abs
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(text(1+i), 10, 64); err != nil {
			return bff.Device{}, false
		}
	}
	if m.App == "" { // sealed by a ring key that is not known here
		m.App, m.CreatedAt = text(0), fromMillis(n[0])
	}
	m.End = fromMillis(n[3])
	opened := func(i int, purpose string) string {
		plain, err := s.ring.Open(purpose, []byte(text(i)), text(0), string(m.Lookup))
		if err != nil {
			return "" // the list shows one text less
		}
		return string(plain)
	}
	return bff.Device{
		Member: m, LastActive: fromMillis(n[1]), Idle: time.Duration(n[2]) * time.Millisecond,
		Text: opened(5, purposeDevice), Platform: opened(6, purposePlatform),
	}, true
}

// LineUp puts a session at the end of its line: bff.Devices. While index keys change, it stands in a line under each.
func (s *Store) LineUp(ctx context.Context, n *bff.Session) ([]bff.Lookup, error) {
	life := max(n.AbsoluteEnd.Sub(s.Now()), 0) + indexSlack
	var before []bff.Lookup
	for _, name := range s.ring.Names("line", n.Provider, n.App, n.Subject) {
		got, err := s.run(ctx, call{
			s.scripts.lineUp,
			[]string{s.indexKey("line:" + name)},
			[]any{string(lookupOf(n)), life.Milliseconds(), longestLine},
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, unavailable("lining up", err)
		}
		for i := range got {
			if l := bff.Lookup(got.text(i)); !slices.Contains(before, l) {
				before = append(before, l)
			}
		}
	}
	return before, nil
}
