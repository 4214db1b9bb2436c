package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/store"
)

func TestStatesAreWhatTheRecordsSay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		began := w.clock.Now()
		fresh, used, ended, foreign, garbled := w.created(), w.created(), w.created(), w.session(), w.created()
		w.clock.Move(time.Minute)
		want(t, "touch", w.Touch(ctx, used, w.clock.Now()), nil)
		_, err := w.Delete(ctx, ended.Lookup, nil, bff.ReasonAdmin)
		want(t, "delete", err, nil)
		w.raw.Set(ctx, w.record(foreign.Lookup), "no record", time.Minute)
		w.raw.HSet(ctx, w.record(garbled.Lookup), "act", "soon")
		got := w.States(ctx, []bff.Lookup{
			fresh.Lookup, used.Lookup, ended.Lookup, "never-was", foreign.Lookup, garbled.Lookup, fresh.Lookup,
		})
		states := []bff.State{
			{LastActive: began},
			{LastActive: began.Add(time.Minute)},
			{Gone: true, Reason: bff.ReasonAdmin, Ended: began.Add(time.Minute)},
			{Gone: true},
			{Gone: true},
			{Gone: true},
			{LastActive: began},
		}
		if diff := cmp.Diff(states, got); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		if got := w.States(ctx, nil); len(got) != 0 {
			t.Errorf("of nothing: %v", got)
		}
	})
}

// That nothing can be asked is told of each, and of none that it is gone.
func TestStatesDuringAnOutageAreUnknown(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		behind := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		a, b := w.created(), w.created()
		lookups := []bff.Lookup{a.Lookup, "never-was", b.Lookup}
		p.cut() // what was connected is gone: that is no outage
		for i, st := range behind.States(t.Context(), lookups) {
			if st.Err != nil || st.Gone != (i == 1) {
				t.Errorf("after a cut %d: %+v", i, st)
			}
		}
		_ = p.listener.Close()
		p.cut()
		for i, st := range behind.States(t.Context(), lookups) {
			if !errors.Is(st.Err, bff.ErrStore) || st.Gone {
				t.Errorf("during the outage %d: %+v", i, st)
			}
		}
	})
}
