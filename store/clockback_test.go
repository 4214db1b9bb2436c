package store_test

import (
	"fmt"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// Redis's clock is set back, or a failover leads to a server whose clock is behind: all instances go back with it.
//
// shows SESS-LIFE
func TestAClockThatIsSetBackCostsNobodyTheirSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.native()
		w.clock.Move(20 * time.Minute)
		want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil)
		if _, err := w.Rotate(t.Context(), s, 1, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		want(t, "seen", w.TurnSeen(t.Context(), s, 2), nil)
		w.clock.Move(-29 * time.Minute) // behind the session's beginning, and less than its idle time
		got, err := w.Read(t.Context(), s.Root)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		want(t, "touch", w.Touch(t.Context(), got, w.clock.Now()), nil)
		for _, c := range []struct {
			presented, next int64
		}{{1, 2}, {2, 3}, {3, 4}} { // the successor again, then the next ones
			turn, err := w.Rotate(t.Context(), got, c.presented, 30*time.Second)
			if err != nil || turn.N != c.next {
				t.Errorf("rotating turn %d: %+v, %v", c.presented, turn, err)
			}
			want(t, "seen", w.TurnSeen(t.Context(), got, c.next), nil)
			if got, err = w.Read(t.Context(), s.Root); err != nil {
				t.Fatalf("read after turn %d: %v", c.presented, err)
			}
		}
		if claim, err := w.Claim(t.Context(), s.Lookup, "a1", time.Minute); err != nil || !claim.Granted {
			t.Errorf("claim: %+v, %v", claim, err)
		}
		want(t, "save", w.Save(t.Context(), got, "a1", next(2)), nil)
		if left := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val(); left < 50*time.Minute {
			t.Errorf("the key lives %v, its session 59 minutes", left)
		}
	})
}

func TestALimitStartsAnewWhenTheClockIsSetBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		few := store.Rate{Count: 1, Per: time.Second, Burst: 3}
		allow := func() bool {
			ok, _, err := w.Allow(t.Context(), "sign-in", "192.0.2.1", few)
			want(t, "allow", err, nil)
			return ok
		}
		four := func() (passed []bool) {
			for range 4 {
				passed = append(passed, allow())
			}
			return passed
		}
		threeOfFour := []bool{true, true, true, false}
		if diff := cmp.Diff(threeOfFour, four()); diff != "" {
			t.Error(diff)
		}
		w.clock.Move(-20 * time.Minute)
		if diff := cmp.Diff(threeOfFour, four()); diff != "" {
			t.Errorf("after the clock was set back: %s", diff)
		}
	})
}

// Nobody may be out of a sign-out's reach because the clock was set back after their sign-in.
//
// shows SESS-KILL
func TestASignOutAfterTheClockIsSetBackEndsAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		w.clock.Move(-20 * time.Minute)
		m := bff.Marker{ID: "m", At: w.clock.Now()}
		want(t, "mark", w.Mark(t.Context(), targets(group), m), nil)
		ended, err := w.Delete(t.Context(), s.Lookup, &m, bff.ReasonSignedOut)
		if ended == nil || err != nil {
			t.Fatalf("delete: %+v, %v", ended, err)
		}
		_, err = w.Read(t.Context(), s.Root)
		wantEnded(t, "read", err, bff.ReasonSignedOut)
	})
}

// What lies further ahead than any clock that is set back explains, somebody wrote.
//
// shows SESS-LIFE
func TestAForgedTimeGainsNoMoreThanOneIdleTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, c := range []struct {
			name  string
			field string
			value func(ms int64) string
		}{
			{"activity", "act", func(ms int64) string { return fmt.Sprint(ms) }},
			{"move of a turn", "turn", func(ms int64) string { return fmt.Sprintf("2 %d 1 1 1", ms) }},
			{"issue of a turn", "turn", func(ms int64) string { return fmt.Sprintf("2 1 %d 1 1", ms) }},
			{"use of a turn", "turn", func(ms int64) string { return fmt.Sprintf("2 1 1 %d 1", ms) }},
			{"turn before", "turn", func(ms int64) string { return fmt.Sprintf("2 1 1 1 %d", ms) }},
		} {
			s := w.created()
			for _, at := range []struct {
				ahead time.Duration
				want  error
			}{{30 * time.Minute, nil}, {30*time.Minute + time.Millisecond, bff.ErrTampered}} {
				value := c.value(w.clock.Now().Add(at.ahead).UnixMilli())
				want(t, "forging", w.raw.HSet(t.Context(), w.record(s.Lookup), c.field, value).Err(), nil)
				_, err := w.Read(t.Context(), s.Root)
				want(t, fmt.Sprintf("a record with a %s %v ahead", c.name, at.ahead), err, at.want)
			}
		}
		brief := w.session() // clocks that are not known yet are a minute off at most, however short the idle time
		brief.Idle = 10 * time.Second
		want(t, "create", w.Create(t.Context(), brief), nil)
		w.clock.Move(-time.Minute)
		_, err := w.Read(t.Context(), brief.Root)
		want(t, "a session of ten seconds, a minute earlier", err, nil)
		w.clock.Move(-time.Millisecond)
		_, err = w.Read(t.Context(), brief.Root)
		want(t, "the same, earlier than a minute", err, bff.ErrTampered)
	})
}
