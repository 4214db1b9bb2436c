package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/store"
)

// mine is the target of all sessions of the user of these tests.
var mine = bff.Target{Scope: bff.ScopeSubject, Provider: provider, Value: subject}

// on stores a session on a device.
func (w *world) on(device string, change ...func(*bff.Session)) *bff.Session {
	w.t.Helper()
	s := w.session()
	s.Device = device
	for _, c := range change {
		c(s)
	}
	if err := w.Create(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// found is what a store lists of a target, by the text of the device.
func (w *world) found(st *store.Store, t bff.Target) []bff.Device {
	w.t.Helper()
	all, err := st.Devices(w.t.Context(), t)
	if err != nil {
		w.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b bff.Device) int { return strings.Compare(a.Text, b.Text) })
	return all
}

// shows SESS-LIST (what is kept)
func TestWhatTheListOfDevicesTells(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		phone := w.on("Safari on iPhone", func(s *bff.Session) { s.App, s.Groups, s.Platform = "other", []string{"sid another"}, "iOS 19.1" })
		w.clock.Move(time.Minute)
		desk, silent := w.on("Firefox on Linux"), w.on("")
		w.on("of another user", func(s *bff.Session) { s.Subject = "somebody else" })
		w.on("at another provider", func(s *bff.Session) { s.Provider = "another" })
		gone := w.on("gone")
		if err := w.raw.Del(t.Context(), w.record(gone.Lookup)).Err(); err != nil { // its index entry stays
			t.Fatal(err)
		}
		w.clock.Move(time.Minute)
		want(t, "touch", w.Touch(t.Context(), phone, w.clock.Now()), nil)

		device := func(s *bff.Session, active time.Time) bff.Device {
			return bff.Device{
				Member: bff.Member{Lookup: s.Lookup, App: s.App, Groups: s.Groups, CreatedAt: s.CreatedAt, End: s.AbsoluteEnd},
				Text:   s.Device, Platform: s.Platform, LastActive: active, Idle: s.Idle,
			}
		}
		all := []bff.Device{device(silent, silent.LastActive), device(desk, desk.LastActive), device(phone, w.clock.Now())}
		if diff := cmp.Diff(all, w.found(w.Store, mine)); diff != "" {
			t.Errorf("devices (-want +got):\n%s", diff)
		}
		if all := w.found(w.Store, bff.Target{Scope: bff.ScopeSubject, Provider: provider, Value: "nobody"}); len(all) != 0 {
			t.Errorf("nobody has %v", all)
		}
		if _, err := w.Devices(t.Context(), bff.Target{Scope: bff.ScopeApp, Provider: provider, Value: app}); err == nil {
			t.Error("there is no index by app, and yet it was read")
		}
	})
}

// What a device is said to be stands in a field of its own, sealed: an instance that does not know it reads, saves, slides
// and ends the session as ever, and an index entry says what it always said.
//
// shows SESS-LIST (upgrades)
func TestTheTextOfADeviceIsNothingToOlderInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		with, without := w.on("Firefox on Linux", func(s *bff.Session) { s.Platform = "Haiku R1" }), w.on("")
		fields := w.FieldsOf(t, with.Root)
		if bare := w.FieldsOf(t, without.Root); len(fields) != len(bare) {
			t.Errorf("a read asks for %d fields, without a text for %d", len(fields), len(bare))
		}
		// The fields of a read are those of before: none of them tells of the text, opened or not.
		read, err := w.OpenFields(fields, with.Root)
		if err != nil || read.Device+read.Platform != "" {
			t.Errorf("read as %q, %q, %v", read.Device, read.Platform, err)
		}
		raw := w.raw.HGetAll(t.Context(), w.record(with.Lookup)).Val()
		for field, value := range raw {
			if strings.Contains(value, "Firefox") || strings.Contains(value, "Haiku") {
				t.Errorf("field %s tells it in clear", field)
			}
		}
		if _, err := w.Claim(t.Context(), with.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		want(t, "save", w.Save(t.Context(), with, "a1", next(2)), nil)
		if all := w.found(w.Store, mine); len(all) != 2 || all[1].Text != "Firefox on Linux" || all[1].Platform != "Haiku R1" || all[0].Platform != "" {
			t.Errorf("after a refresh: %+v", all)
		}
	})
}

// A text that somebody moved to another record or into the other's field, or garbled, is no text; and a record whose
// numbers are none is no device.
//
// shows SESS-LIST (what is altered)
func TestAlteredDevices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a, b := w.on("a"), w.on("b")
		text := w.raw.HGet(t.Context(), w.record(a.Lookup), "dev").Val()
		w.raw.HSet(t.Context(), w.record(b.Lookup), "dev", text, "plat", text)
		w.raw.HSet(t.Context(), w.record(a.Lookup), "dev", "garbled", "plat", text)
		for _, d := range w.found(w.Store, mine) {
			if d.Text+d.Platform != "" {
				t.Errorf("%s is told as %q, %q", d.Lookup, d.Text, d.Platform)
			}
		}
		w.raw.HSet(t.Context(), w.record(b.Lookup), "act", "soon")
		if all := w.found(w.Store, mine); len(all) != 1 || all[0].Lookup != a.Lookup {
			t.Errorf("with a garbled record: %+v", all)
		}
		w.raw.Del(t.Context(), w.record(b.Lookup))
		w.raw.Set(t.Context(), w.record(b.Lookup), "no hash", time.Minute)
		if all := w.found(w.Store, mine); len(all) != 1 || all[0].Lookup != a.Lookup {
			t.Errorf("with something else under the name: %+v", all)
		}
	})
}

// While the ring rolls, an instance that does not have the new key yet lists what began under it, without the text.
//
// shows SESS-LIST, KEY-ROTATE (the list)
func TestDevicesUnderAKeyToCome(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ahead := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k2", "k1"}, nil, []string{"i2", "i1"}) })
		s := w.session()
		s.KeyID, s.Device, s.Platform = "k2", "new", "newer"
		want(t, "create", ahead.Create(t.Context(), s), nil)
		all := w.found(w.Store, mine)
		if len(all) != 1 || all[0].Lookup != s.Lookup || all[0].App != app || all[0].Text+all[0].Platform != "" || !all[0].CreatedAt.Equal(s.CreatedAt) {
			t.Errorf("listed where the key is not known: %+v", all)
		}
		if all := w.found(ahead, mine); len(all) != 1 || all[0].Text+all[0].Platform != "newnewer" || len(all[0].Groups) != 1 {
			t.Errorf("listed where it is: %+v", all)
		}
	})
}

// Of two sessions that line up at once, exactly one finds the other.
//
// shows SESS-LIST (the limit)
func TestLiningUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rolled := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k1"}, nil, []string{"i2", "i1"}) })
		stores := []*store.Store{w.Store, w.open(nil)}
		sessions := make([]*bff.Session, 12)
		lines := make([][]bff.Lookup, len(sessions))
		var all sync.WaitGroup
		for i := range sessions {
			sessions[i] = w.session()
			all.Go(func() {
				line, err := stores[i%2].LineUp(context.Background(), sessions[i])
				if err != nil {
					t.Error(err)
				}
				lines[i] = line
			})
		}
		all.Wait()
		slices.SortFunc(lines, func(a, b []bff.Lookup) int { return len(a) - len(b) })
		for i, line := range lines {
			if len(line) != i || i > 0 && !slices.Equal(line[:i-1], lines[i-1]) {
				t.Fatalf("line %d: %v", i, line)
			}
		}
		// A repetition stands behind, once. Another user's line and another app's are others.
		line, err := w.LineUp(t.Context(), sessions[0])
		if err != nil || len(line) != len(sessions)-1 || slices.Contains(line, sessions[0].Lookup) {
			t.Errorf("again: %v %v", line, err)
		}
		for _, change := range []func(*bff.Session){
			func(s *bff.Session) { s.Subject = "another" }, func(s *bff.Session) { s.App = "another" }, func(s *bff.Session) { s.Provider = "another" },
		} {
			s := w.session()
			change(s)
			if line, err := w.LineUp(t.Context(), s); err != nil || len(line) != 0 {
				t.Errorf("a line of its own: %v %v", line, err)
			}
		}
		// While index keys change, the old line still counts.
		if line, err := rolled.LineUp(t.Context(), w.session()); err != nil || len(line) != len(sessions) {
			t.Errorf("under a further index key: %d %v", len(line), err)
		}
		for _, key := range w.keys() {
			if strings.Contains(key, subject) || strings.Contains(fmt.Sprint(w.raw.Type(t.Context(), key).Val()), "none") {
				t.Errorf("key %s", key)
			}
		}
	})
}

// A line forgets whoever stands far ahead, so that a program that signs in without end fills nothing.
//
// shows SESS-LIST (the limit)
func TestALineIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.session()
		if _, err := w.LineUp(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		var key string
		for _, k := range w.keys() {
			if strings.Contains(k, "ix:line:") {
				key = k
			}
		}
		pipe := w.raw.Pipeline()
		for i := range 1000 {
			pipe.RPush(t.Context(), key, fmt.Sprint("lookup ", i))
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.LineUp(t.Context(), w.session()); err != nil {
			t.Fatal(err)
		}
		if n := w.raw.LLen(t.Context(), key).Val(); n != 1000 {
			t.Errorf("the line is %d long", n)
		}
	})
}
