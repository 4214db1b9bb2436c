package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// markerSlack is that of bff.Marker.Applies: how much later than a marker a session may have begun and be ended by it.
const markerSlack = 2 * time.Second

// Mark writes the marker for each target: bff.Markers. After an error, any of them may stand.
func (s *Store) Mark(ctx context.Context, targets []bff.Target, m bff.Marker) error {
	at := millisUp(m.At)
	field, spared := "*", []string(nil)
	if m.Except != "" {
		spared = s.groupNames(m.Except)
		field = spared[0]
	}
	value := strings.Join(append([]string{strconv.FormatInt(at, 10), m.ID}, spared...), " ")
	var calls []call
	for _, t := range targets {
		for _, key := range s.markerKeys(t) {
			calls = append(calls, call{s.scripts.marker, []string{key}, []any{
				field, value, at, millis(s.Now()), s.markerLife.Milliseconds(),
			}})
		}
	}
	return unavailable("writing the end marker", s.runAll(ctx, calls))
}

// Marked returns the markers of these targets that exist: bff.Markers. A group that a marker spares is kept as a MAC; it
// comes back by name where it is one of the targets, and otherwise as something that is no group's name.
func (s *Store) Marked(ctx context.Context, targets []bff.Target) ([]bff.Marker, error) {
	var keys []string
	groups := make(map[string]string) // the group by its names
	for _, t := range targets {
		keys = append(keys, s.markerKeys(t)...)
		if t.Scope == bff.ScopeSSO {
			for _, name := range s.groupNames(t.Value) {
				groups[name] = t.Value
			}
		}
	}
	var found []bff.Marker
	err := s.reading(ctx, "reading end markers", func() (err error) {
		found, err = s.markersAt(ctx, keys, groups)
		return err
	})
	return found, err
}

func (s *Store) markersAt(ctx context.Context, keys []string, groups map[string]string) ([]bff.Marker, error) {
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.StringSliceCmd, len(keys))
	for i, key := range keys {
		cmds[i] = pipe.HVals(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var found []bff.Marker
	for _, cmd := range cmds {
		for _, value := range cmd.Val() {
			if m := markerOf(value, groups); !slices.Contains(found, m) {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

// markerOf reads "<ms> <id> <names of the spared group>". Of a garbled one the far future is believed: it ends what it
// was about rather than letting it pass.
func markerOf(value string, groups map[string]string) bff.Marker {
	parts := strings.Split(value, " ")
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || len(parts) < 2 {
		return bff.Marker{ID: "garbled", At: time.UnixMilli(1 << 52)} // beyond any session's beginning
	}
	m := bff.Marker{ID: parts[1], At: time.UnixMilli(ms)}
	for _, name := range parts[2:] {
		m.Except = name
		if group, known := groups[name]; known {
			m.Except = group
			break
		}
	}
	return m
}

// condition makes of a marker the arguments by which the delete script judges a record as bff.Marker.Applies would.
func (s *Store) condition(m *bff.Marker) []any {
	if m == nil {
		return []any{"always", "", 0}
	}
	args := []any{"marker", m.ID, millisUp(m.At) + markerSlack.Milliseconds()}
	if m.Except != "" {
		for _, name := range s.groupNames(m.Except) {
			args = append(args, name)
		}
	}
	return args
}
