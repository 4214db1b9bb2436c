package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/store"
)

// scanned goes over all names, with something to do after each step that is not the last.
func (w *world) scanned(s *store.Store, between func(step int)) (names []bff.Lookup, steps []bff.ScanStep) {
	w.t.Helper()
	for from := ""; ; {
		step, err := s.Scan(w.t.Context(), from)
		if err != nil {
			w.t.Fatal(err)
		}
		names, steps = append(names, step.Lookups...), append(steps, step)
		if from = step.Next; from == "" {
			slices.Sort(names)
			return slices.Compact(names), steps
		}
		if between != nil {
			between(len(steps))
		}
	}
}

// many stores n sessions and returns their lookups in order.
func (w *world) many(n int) (lookups []bff.Lookup) {
	w.t.Helper()
	for range n {
		lookups = append(lookups, w.created().Lookup)
	}
	slices.Sort(lookups)
	return lookups
}

func TestAScanFindsEveryRecordAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want := w.many(30)
		s := w.session() // one with every key beside its record
		if err := w.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Claim(t.Context(), s.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		gone := w.created()
		if _, err := w.Delete(t.Context(), gone.Lookup, nil, bff.ReasonAdmin); err != nil {
			t.Fatal(err)
		}
		w.raw.Set(t.Context(), w.prefix+"s:{other}:tok", "x", time.Minute)
		want = append(want, s.Lookup)
		slices.Sort(want)
		got, steps := w.scanned(w.Store, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("names (-there +scanned):\n%s", diff)
		}
		if last := steps[len(steps)-1]; last.Pass != 1 {
			t.Errorf("%d passes over servers that did not change", last.Pass)
		}
	})
}

// A key prefix may hold what a pattern of Redis gives a meaning to: it matches itself, and no neighbour's keys.
func TestAScanStaysWithinItsPrefix(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.many(1)
		odd := w.open(func(o *store.Options) { o.KeyPrefix = w.prefix + `[t]?*\` })
		s := w.session()
		if err := odd.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got, _ := w.scanned(odd, nil)
		if diff := cmp.Diff([]bff.Lookup{s.Lookup}, got); diff != "" {
			t.Errorf("names (-there +scanned):\n%s", diff)
		}
	})
}

// What is there from the first step to the last is found, while others come and go and Redis's table grows under the scan.
func TestAScanFindsWhatStaysWhileOthersComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		n := 2000
		if w.server.name == "miniredis" {
			n = 200 // it gives all names in one step
		}
		stay, leave := w.many(n*3/4), w.many(n/4)
		got, steps := w.scanned(w.Store, func(step int) {
			w.many(n / 20)
			for _, l := range leave[:min(100, len(leave))] {
				if _, err := w.Delete(t.Context(), l, nil, bff.ReasonAdmin); err != nil {
					t.Fatal(err)
				}
			}
			leave = leave[min(100, len(leave)):]
		})
		for _, l := range stay {
			if _, found := slices.BinarySearch(got, l); !found {
				t.Fatalf("%s was there all the time and was not found", l)
			}
		}
		if w.server.name == "miniredis" {
			return
		}
		if len(steps) < 5 {
			t.Errorf("%d steps over 2,000 records and their indexes", len(steps))
		}
		for _, step := range steps {
			if len(step.Lookups) > 1000 { // COUNT is 500, and a bucket of the table may hold some more
				t.Errorf("a step of %d names", len(step.Lookups))
			}
		}
	})
}

func TestAPositionThatCannotBeReadIsAnError(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if step, err := w.Scan(t.Context(), "nonsense"); err == nil {
			t.Errorf("scanned from nonsense: %+v", step)
		}
	})
}

func TestRecordsAreDescribedWithoutAnIndex(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		s.Device = "Firefox on Linux"
		if err := w.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got, err := w.Described(t.Context(), []bff.Lookup{bff.NewRoot().Lookup(), s.Lookup})
		want := []bff.Device{{
			Member: bff.Member{Lookup: s.Lookup, App: app, CreatedAt: s.CreatedAt, End: s.AbsoluteEnd},
			Text:   s.Device, LastActive: s.LastActive, Idle: s.Idle,
		}}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestASessionsEntryTellsItsSSOSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		got, err := w.Entry(t.Context(), s.Lookup)
		if err != nil || got.App != app || !slices.Equal(got.Groups, s.Groups) {
			t.Errorf("entry %+v, %v", got, err)
		}
		_, err = w.Entry(t.Context(), bff.NewRoot().Lookup())
		want(t, "the entry of no session", err, bff.ErrNoSession)
		w.ring = ring(t, []string{"k9"}, nil, []string{"i1"})
		_, err = w.open(nil).Entry(t.Context(), s.Lookup)
		want(t, "an entry under a key that is not here", err, bff.ErrKeyUnknown)
	})
}

func TestAScanOfAServerThatIsAwayIsAnOutage(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		s := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		step, err := s.Scan(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		_ = p.listener.Close()
		p.cut()
		_, err = s.Scan(t.Context(), step.Next)
		want(t, "scanning", err, bff.ErrStore)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = w.Scan(gone, "")
		want(t, "scanning for somebody who left", err, bff.ErrStore)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("for somebody who left: %v", err)
		}
	})
}

// purged carries a purge to its end.
func purged(t *testing.T, p *bff.Purge) (steps int) {
	t.Helper()
	for {
		done, err := p.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if steps++; done {
			return steps
		}
	}
}

// All sessions of one app of two end, and the other's live. How long that takes is told.
func TestAPurgeEndsAnAppsSessionsAndNoOthers(t *testing.T) {
	t.Parallel()
	n := 1000
	if os.Getenv("SOAK") == "1" {
		n = 50_000
	}
	each(t, func(t *testing.T, w *world) {
		n := n
		if w.server.name == "miniredis" {
			n = 200 // it is slow, and no measure
		}
		provider := &bff.ProviderPolicy{Name: provider, SSOBy: bff.SSOBySID}
		web, docs := &bff.App{ID: app, Provider: provider}, &bff.App{ID: "docs", Provider: provider}
		var kept []bff.Root
		for i := range n {
			for _, of := range []*bff.App{web, docs} {
				s := w.session()
				s.App, s.Identity.SID, s.Groups = of.ID, fmt.Sprint(i), []string{fmt.Sprint("sid ", i)}
				if err := w.Create(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if of == docs && i%100 == 0 {
					kept = append(kept, s.Root)
				}
			}
		}
		e := w.engine(w.Store)
		began := time.Now()
		dry, err := e.BeginPurge(t.Context(), bff.PurgeOf{App: web, DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		steps := purged(t, dry)
		t.Logf("%d records counted in %v, %d steps", 2*n, time.Since(began).Round(time.Millisecond), steps)
		if dry.Ended < n || len(w.of(app)) != n {
			t.Errorf("a dry run counted %d of %d, and left %d", dry.Ended, n, len(w.of(app)))
		}
		began = time.Now()
		p, err := e.BeginPurge(t.Context(), bff.PurgeOf{App: web})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Move(3 * time.Second)
		later := w.session() // what begins after the marker, and its slack
		later.Began = w.clock.Now()
		if err := w.Create(t.Context(), later); err != nil {
			t.Fatal(err)
		}
		steps = purged(t, p)
		t.Logf("%d of %d ended in %v, %d steps", p.Ended, 2*n, time.Since(began).Round(time.Millisecond), steps)
		if p.Ended != n || len(w.of("docs")) != n {
			t.Errorf("%d ended, %d of the other app left; want %d of each", p.Ended, len(w.of("docs")), n)
		}
		if diff := cmp.Diff([]bff.Lookup{later.Lookup}, w.of(app)); diff != "" {
			t.Errorf("left of the app (-want +got):\n%s", diff)
		}
		for _, root := range kept {
			if _, err := w.Read(t.Context(), root); err != nil {
				t.Errorf("a session of the other app: %v", err)
			}
		}
	})
}

// of are the sessions of an app that are there.
func (w *world) of(id string) (lookups []bff.Lookup) {
	w.t.Helper()
	names, _ := w.scanned(w.Store, nil)
	for part := range slices.Chunk(names, 500) {
		found, err := w.Described(w.t.Context(), part)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range found {
			if d.App == id {
				lookups = append(lookups, d.Lookup)
			}
		}
	}
	return lookups
}
