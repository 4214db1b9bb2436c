package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// ssoTarget is the SSO session of the tests' user.
var ssoTarget = bff.Target{Scope: bff.ScopeSSO, Provider: provider, Value: group}

// targets is all by which a session of the tests' user can be ended.
func targets(groups ...string) []bff.Target {
	out := []bff.Target{
		{Scope: bff.ScopeSubject, Provider: provider, Value: subject},
		{Scope: bff.ScopeApp, Provider: provider, Value: app},
		{Scope: bff.ScopeSID, Provider: provider, Value: sid},
	}
	for _, g := range groups {
		out = append(out, bff.Target{Scope: bff.ScopeSSO, Provider: provider, Value: g})
	}
	return out
}

// The delete script and bff.Marker.Applies judge alike, each row by both.
func TestAMarkerJudgesAlikeInScriptAndDomain(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		marker  bff.Marker
		began   time.Time
		groups  []string
		seen    string
		applies bool
	}{
		{"a session that began long before", bff.Marker{ID: "m"}, at.Add(-time.Hour), []string{"g1"}, "", true},
		{"a session that began at the marker's time", bff.Marker{ID: "m"}, at, []string{"g1"}, "", true},
		{"a session that began just within the slack", bff.Marker{ID: "m"}, at.Add(1999 * time.Millisecond), []string{"g1"}, "", true},
		{"a session that began at the end of the slack", bff.Marker{ID: "m"}, at.Add(2 * time.Second), []string{"g1"}, "", false},
		{"a session that began later", bff.Marker{ID: "m"}, at.Add(time.Minute), []string{"g1"}, "", false},
		{"a session that has seen the marker", bff.Marker{ID: "m"}, at.Add(-time.Hour), []string{"g1"}, "m", false},
		{"a session that has seen another marker", bff.Marker{ID: "m"}, at.Add(-time.Hour), []string{"g1"}, "n", true},
		{"a session of the spared group", bff.Marker{ID: "m", Except: "g1"}, at.Add(-time.Hour), []string{"g1"}, "", false},
		{"a session also of the spared group", bff.Marker{ID: "m", Except: "g2"}, at.Add(-time.Hour), []string{"g1", "g2"}, "", false},
		{"a session of another group", bff.Marker{ID: "m", Except: "g2"}, at.Add(-time.Hour), []string{"g1"}, "", true},
		{"a session of no group", bff.Marker{ID: "m", Except: "g2"}, at.Add(-time.Hour), nil, "", true},
		{"a session of a group whose name begins alike", bff.Marker{ID: "m", Except: "g1"}, at.Add(-time.Hour), []string{"g11"}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.marker.At = at
			if got := c.marker.Applies(c.began, c.groups, c.seen); got != c.applies {
				t.Errorf("domain: applies %v, want %v", got, c.applies)
			}
			each(t, func(t *testing.T, w *world) {
				s := w.session()
				s.Began, s.Groups, s.Seen = c.began, c.groups, c.seen
				want(t, "create", w.Create(t.Context(), s), nil)
				w.clock.Move(time.Hour) // all of them began before now
				ended, err := w.Delete(t.Context(), s.Lookup, &c.marker, bff.ReasonSignedOut)
				if err != nil || (ended != nil) != c.applies {
					t.Errorf("script: ended %v, %v, want %v", ended != nil, err, c.applies)
				}
				want(t, "mark", w.Mark(t.Context(), targets("g1"), c.marker), nil)
				found, err := w.Marked(t.Context(), targets(c.groups...))
				if err != nil || len(found) == 0 {
					t.Fatalf("marked: %v, %v", found, err)
				}
				for _, m := range found {
					if got := m.Applies(c.began, c.groups, c.seen); got != c.applies {
						t.Errorf("marker as read %+v: applies %v, want %v", m, got, c.applies)
					}
				}
			})
		})
	}
}

func TestTheLatestMarkerStays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		now := w.clock.Now()
		for _, m := range []bff.Marker{
			{ID: "m2", At: now.Add(2 * time.Second)},
			{ID: "m1", At: now.Add(time.Second)},
			{ID: "spares g1", At: now.Add(3 * time.Second), Except: "g1"},
			{ID: "spares g2", At: now.Add(4 * time.Second), Except: "g2"},
		} {
			m.ID = strings.ReplaceAll(m.ID, " ", "-")
			want(t, "mark", w.Mark(t.Context(), []bff.Target{ssoTarget}, m), nil)
		}
		found, err := w.Marked(t.Context(), []bff.Target{ssoTarget})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range found {
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
		// One that spares somebody must not undo one that spares nobody, or somebody else.
		if diff := cmp.Diff([]string{"m2", "spares-g1", "spares-g2"}, ids); diff != "" {
			t.Errorf("markers (-want +got):\n%s", diff)
		}
		if left := w.raw.PTTL(t.Context(), w.keys()[0]).Val(); left < 12*time.Hour {
			t.Errorf("marker lives %v, want the longest session", left)
		}
	})
}

func TestAMarkerOlderThanAnySessionGoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		old := bff.Marker{ID: "old", At: w.clock.Now(), Except: "g1"}
		want(t, "mark", w.Mark(t.Context(), []bff.Target{ssoTarget}, old), nil)
		w.clock.Move(14 * time.Hour)
		want(t, "mark", w.Mark(t.Context(), []bff.Target{ssoTarget}, bff.Marker{ID: "new", At: w.clock.Now()}), nil)
		found, err := w.Marked(t.Context(), []bff.Target{ssoTarget})
		if err != nil || len(found) != 1 || found[0].ID != "new" {
			t.Errorf("marked %+v, %v", found, err)
		}
	})
}

func TestAGarbledMarkerEndsRatherThanSpares(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want(t, "mark", w.Mark(t.Context(), []bff.Target{ssoTarget}, bff.Marker{ID: "m", At: w.clock.Now()}), nil)
		w.raw.HSet(t.Context(), w.keys()[0], "*", "garbage")
		found, err := w.Marked(t.Context(), []bff.Target{ssoTarget})
		if err != nil || len(found) != 1 || !found[0].Applies(w.clock.Now().Add(time.Hour), []string{group}, "") {
			t.Errorf("marked %+v, %v", found, err)
		}
	})
}

func TestASessionIsFoundByEachOfItsNames(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		s.Groups = []string{group, "sid older"}
		want(t, "create", w.Create(t.Context(), s), nil)
		for _, target := range targets(s.Groups...) {
			found, err := w.Members(t.Context(), target)
			if target.Scope == bff.ScopeApp {
				if err == nil {
					t.Error("an app has no index: want an error, not nobody")
				}
				continue
			}
			member := bff.Member{Lookup: s.Lookup, App: app, Groups: s.Groups, CreatedAt: s.CreatedAt, End: s.AbsoluteEnd}
			if diff := cmp.Diff([]bff.Member{member}, found); diff != "" || err != nil {
				t.Errorf("members of %s: %v\n%s", target.Scope, err, diff)
			}
		}
		if _, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
		if found, err := w.Members(t.Context(), ssoTarget); len(found) != 0 || err != nil {
			t.Errorf("after the end: %+v, %v", found, err)
		}
	})
}

func TestAMemberThatDoesNotOpenIsStillAMember(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		foreign := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k9"}, nil, []string{"i1"}) })
		found, err := foreign.Members(t.Context(), ssoTarget)
		if diff := cmp.Diff([]bff.Member{{Lookup: s.Lookup}}, found); diff != "" || err != nil {
			t.Errorf("members: %v\n%s", err, diff)
		}
	})
}

func TestAnIndexDropsWhatHasPassed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		old := w.created()
		w.clock.Move(13 * time.Hour)
		s := w.created()
		found, err := w.Members(t.Context(), ssoTarget)
		if err != nil || len(found) != 1 || found[0].Lookup != s.Lookup {
			t.Errorf("members %+v, %v: want the new one, not %s", found, err, old.Lookup)
		}
	})
}

// A slide and a save add the index entries again, should a failover have lost them.
func TestALostIndexEntryComesBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		for _, c := range []struct {
			name string
			call func() error
		}{
			{"a touch", func() error { return w.Touch(t.Context(), s, w.clock.Now()) }},
			{"a save", func() error { return w.Save(t.Context(), s, "a1", next(2)) }},
		} {
			for _, k := range w.raw.Keys(t.Context(), w.prefix+"ix:*").Val() {
				w.raw.Del(t.Context(), k)
			}
			want(t, c.name, c.call(), nil)
			if found, err := w.Members(t.Context(), ssoTarget); err != nil || len(found) != 1 {
				t.Errorf("after %s: %+v, %v", c.name, found, err)
			}
		}
	})
}

// While the index keys change, an instance with the old list and one with the new find each other's sessions and
// markers, the spared group included.
//
// shows KEY-RING
func TestIndexKeysRotate(t *testing.T) {
	for _, c := range []struct{ writes, reads []string }{
		{[]string{"i1"}, []string{"i1", "i2"}},
		{[]string{"i1", "i2"}, []string{"i1"}},
		{[]string{"i1", "i2"}, []string{"i2", "i1"}},
		{[]string{"i2", "i1"}, []string{"i2"}},
		{[]string{"i2"}, []string{"i2", "i1"}},
	} {
		t.Run(fmt.Sprintf("written under %v, read under %v", c.writes, c.reads), func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				writer := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k1"}, nil, c.writes) })
				reader := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k1"}, nil, c.reads) })
				s := w.session()
				want(t, "create", writer.Create(t.Context(), s), nil)
				if found, err := reader.Members(t.Context(), ssoTarget); err != nil || len(found) != 1 || found[0].App != app {
					t.Errorf("members %+v, %v", found, err)
				}
				spares := bff.Marker{ID: "m", At: w.clock.Now(), Except: group}
				want(t, "mark", writer.Mark(t.Context(), []bff.Target{ssoTarget}, spares), nil)
				found, err := reader.Marked(t.Context(), []bff.Target{ssoTarget})
				if err != nil || len(found) != 1 || found[0].Except != group {
					t.Errorf("marked %+v, %v", found, err)
				}
				if ended, err := reader.Delete(t.Context(), s.Lookup, &spares, bff.ReasonSignedOut); ended != nil || err != nil {
					t.Errorf("the spared session ended: %+v, %v", ended, err)
				}
				ended, err := reader.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
				if ended == nil || err != nil {
					t.Errorf("delete: %+v, %v", ended, err)
				}
			})
		})
	}
}

// orders returns every order in which the steps of two sequences can happen.
func orders(a, b []string) [][]string {
	if len(a) == 0 || len(b) == 0 {
		return [][]string{slices.Concat(a, b)}
	}
	var out [][]string
	for _, rest := range orders(a[1:], b) {
		out = append(out, append([]string{a[0]}, rest...))
	}
	for _, rest := range orders(a, b[1:]) {
		out = append(out, append([]string{b[0]}, rest...))
	}
	return out
}

// A sign-out against a login and against a refresh, in every order of their steps. Afterwards nothing lives, and nothing
// was handed out.
//
// shows BCL-RACE, SESS-CAS
func TestASignOutAtEveryMomentEndsTheSession(t *testing.T) {
	signOut := []string{"mark", "members", "delete"}
	for _, c := range []struct {
		name  string
		other []string
		lives bool // before anything happens
	}{
		{"a login", []string{"index", "record", "check"}, false},
		{"a refresh", []string{"save", "check"}, true},
		{"a refresh and a slide", []string{"touch", "save", "check"}, true},
	} {
		for _, order := range orders(signOut, c.other) {
			t.Run(c.name+" with "+strings.Join(order, " "), func(t *testing.T) {
				each(t, func(t *testing.T, w *world) {
					r := &race{world: w, s: w.session(), marker: bff.Marker{ID: "m", At: w.clock.Now()}}
					if c.lives {
						stored(w, r.s)
					}
					for _, step := range order {
						r.do(step)
					}
					if _, err := w.Read(t.Context(), r.s.Root); err == nil {
						t.Error("the session lives")
					}
					if r.handedOut && !slices.Contains(order[slices.Index(order, "check"):], "mark") {
						t.Error("handed out after the marker was written")
					}
				})
			})
		}
	}
}

// race drives a sign-out and a login or refresh step by step, as the engine would.
type race struct {
	*world
	s         *bff.Session
	marker    bff.Marker
	members   []bff.Member
	handedOut bool
}

func (r *race) do(step string) {
	r.t.Helper()
	ctx := r.t.Context()
	var err error
	switch step {
	case "mark":
		err = r.Mark(ctx, []bff.Target{ssoTarget}, r.marker)
	case "members":
		r.members, err = r.Members(ctx, ssoTarget)
	case "delete":
		for _, m := range r.members {
			if _, err := r.Delete(ctx, m.Lookup, &r.marker, bff.ReasonSignedOut); err != nil {
				r.t.Fatal(err)
			}
		}
	case "index":
		r.indexAlone()
	case "record":
		err = r.gone(r.Create(ctx, r.s)) // its index entries again, then the record
	case "touch":
		err = r.gone(r.Touch(ctx, r.s, r.clock.Now()))
	case "save":
		err = r.gone(r.Save(ctx, r.s, "a1", next(2)))
	case "check":
		r.check()
	}
	if err != nil {
		r.t.Fatalf("%s: %v", step, err)
	}
}

// gone takes a refusal for what it is here: the sign-out was first.
func (r *race) gone(err error) error {
	if _, ended := err.(*bff.EndedError); ended {
		return nil
	}
	return err
}

// indexAlone leaves the state between the index writes and the record's.
func (r *race) indexAlone() {
	want(r.t, "create", r.Create(r.t.Context(), r.s), nil)
	r.raw.Del(r.t.Context(), r.record(r.s.Lookup))
}

// check is the last step before a credential or token is handed out.
func (r *race) check() {
	r.t.Helper()
	found, err := r.Marked(r.t.Context(), targets(r.s.Groups...))
	if err != nil {
		r.t.Fatal(err)
	}
	if slices.ContainsFunc(found, func(m bff.Marker) bool { return m.Applies(r.s.Began, r.s.Groups, r.s.Seen) }) {
		if _, err := r.Delete(r.t.Context(), r.s.Lookup, nil, bff.ReasonLoginUndone); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	r.handedOut = true
}
