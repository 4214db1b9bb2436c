package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// grace of the tests' native app.
const grace = 30 * time.Second

// native is a stored session of a native app, at turn 1.
func (w *world) native() *bff.Session {
	w.t.Helper()
	s := w.session()
	s.Turn = bff.Turn{N: 1, Moved: s.CreatedAt, Issued: s.CreatedAt}
	want(w.t, "create", w.Create(w.t.Context(), s), nil)
	return s
}

// at sets the record's turn: times in seconds before now, negative for "never".
func (w *world) at(s *bff.Session, n int64, moved, issued, seen, before int) bff.Turn {
	w.t.Helper()
	text := fmt.Sprint(n)
	for _, ago := range []int{moved, issued, seen, before} {
		ms := int64(0)
		if ago >= 0 {
			ms = w.clock.Now().Add(-time.Duration(ago) * time.Second).UnixMilli()
		}
		text += fmt.Sprint(" ", ms)
	}
	w.set(s, "turn", text)
	return w.turn(s)
}

// turn reads the record's turn.
func (w *world) turn(s *bff.Session) bff.Turn {
	w.t.Helper()
	got, err := w.Read(w.t.Context(), s.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Turn
}

// Each row is a refresh handle that is presented to a record at turn 5, which moved, was issued, was seen, and followed a
// turn that was issued, so many seconds ago.
//
// shows NAT-ROT
func TestATurnIsMovedRepeatedOrRefused(t *testing.T) {
	now := func(now time.Time, was bff.Turn) bff.Turn { was.Issued = now; return was }
	same := func(_ time.Time, was bff.Turn) bff.Turn { return was }
	movedTo := func(n int64) func(time.Time, bff.Turn) bff.Turn {
		return func(now time.Time, was bff.Turn) bff.Turn {
			return bff.Turn{N: n, Moved: now, Issued: now, Before: was.Issued}
		}
	}
	for _, c := range []struct {
		name                        string
		presented                   int64
		moved, issued, seen, before int
		want                        error
		turn                        func(now time.Time, was bff.Turn) bff.Turn
	}{
		{"the current turn", 5, 100, 100, -1, 1000, nil, movedTo(6)},
		{"the current turn that was seen", 5, 100, 100, 90, 1000, nil, movedTo(6)},
		{"the turn before whose successor was never seen", 4, 100, 100, -1, 1000, nil, now},
		{"the turn before whose successor was seen within the grace", 4, 100, 100, 30, 1000, nil, same},
		{"the turn before whose successor was seen before the grace", 4, 100, 100, 31, 1000, bff.ErrReused, same},
		{"the turn before whose successor was seen at once, moved before the grace", 4, 31, 31, 31, 1000, bff.ErrReused, same},
		{"an older turn within the grace of its successor", 3, 5, 5, -1, 30, bff.ErrUsed, same},
		{"an older turn after the grace of its successor", 3, 5, 5, -1, 31, bff.ErrReused, same},
		{"an older turn after the grace, issued again since", 3, 100, 1, -1, 1000, bff.ErrReused, same},
		{"a turn older still, moments after all moves", 2, 1, 1, -1, 1, bff.ErrReused, same},
		{"the first turn moments after the last move", 1, 5, 5, 5, 6, bff.ErrReused, same},
		{"the first turn long after", 1, 1000, 1000, 1000, 2000, bff.ErrReused, same},
		{"the next turn, whose move was lost", 6, 100, 100, 90, 1000, nil, movedTo(7)},
		{"a turn far ahead", 9, 100, 100, -1, 1000, nil, movedTo(10)},
	} {
		t.Run("a rotation with "+c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				s := w.native()
				was := w.at(s, 5, c.moved, c.issued, c.seen, c.before)
				life := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val()
				got, err := w.Rotate(t.Context(), s, c.presented, grace)
				want(t, "rotate", err, c.want)
				next := c.turn(fromClock(w), was)
				if diff := cmp.Diff(next, w.turn(s)); diff != "" {
					t.Errorf("the record's turn (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(next, got); err == nil && diff != "" {
					t.Errorf("the turn to hand out (-want +got):\n%s", diff)
				}
				if now := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val(); now > life || now < life-10*time.Second {
					t.Errorf("the record's life was %v and is %v", life, now)
				}
			})
		})
	}
}

// fromClock is the world's time as a record tells it.
func fromClock(w *world) time.Time { return time.UnixMilli(w.clock.Now().UnixMilli()) }

func TestATurnIsSeenOnce(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int64
		seen int // seconds ago
		want bool
	}{
		{"the current turn, not seen before", 5, -1, true},
		{"the current turn, seen before", 5, 60, false},
		{"the turn before", 4, -1, false},
		{"the turn ahead", 6, -1, false},
	} {
		t.Run("a note with "+c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				s := w.native()
				next := w.at(s, 5, 100, 50, c.seen, 1000)
				if c.want {
					next.Seen = fromClock(w)
				}
				want(t, "note", w.TurnSeen(t.Context(), s, c.n), nil)
				if diff := cmp.Diff(next, w.turn(s)); diff != "" {
					t.Errorf("the record's turn (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What is not a turn of a native session is moved by nobody: a cookie's record never becomes one.
//
// shows NAT-TYPE
func TestARecordWithoutTurnsHasNoneToMove(t *testing.T) {
	for _, text := range []string{"0", "1", "1 1 1 1", "x 1 1 1 1", "0 1 1 1 1", "-1 1 1 1 1", ""} {
		each(t, func(t *testing.T, w *world) {
			s := w.native()
			w.set(s, "turn", text)
			for _, presented := range []int64{1, 2, 9} {
				_, err := w.Rotate(t.Context(), s, presented, grace)
				want(t, fmt.Sprintf("rotating %q", text), err, bff.ErrTampered)
			}
			want(t, "note", w.TurnSeen(t.Context(), s, 1), nil)
			if got := w.get(s, "turn"); got != text {
				t.Errorf("turn %q became %q", text, got)
			}
		})
	}
}

func TestATurnIsReadWithinBounds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.native()
		now := w.clock.Now().UnixMilli()
		soon, later := fmt.Sprint(now+59_000), fmt.Sprint(now+3_600_000)
		for _, c := range []struct {
			text string
			want error
		}{
			{"0", nil}, // of a cookie, also as the version before wrote it
			{"1 1 1 0 0", nil},
			{"3 " + soon + " " + soon + " " + soon + " " + soon, nil}, // an instance whose clock is ahead
			{"3 " + later + " 1 1 1", bff.ErrTampered},
			{"3 1 " + later + " 1 1", bff.ErrTampered},
			{"3 1 1 " + later + " 1", bff.ErrTampered},
			{"3 1 1 1 " + later, bff.ErrTampered},
			{"9007199254740991 1 1 0 0", nil},
			{"9007199254740992 1 1 0 0", bff.ErrTampered},
			{"", bff.ErrTampered},
			{"1", bff.ErrTampered},
			{"0 0 0 0 0", bff.ErrTampered},
			{"1 1 1 0", bff.ErrTampered},
			{"1 1 1 0 0 0", bff.ErrTampered},
			{"-1 1 1 0 0", bff.ErrTampered},
			{"+1 1 1 0 0", bff.ErrTampered},
			{"1 -1 1 0 0", bff.ErrTampered},
			{"one 1 1 0 0", bff.ErrTampered},
		} {
			w.set(s, "turn", c.text)
			_, err := w.Read(t.Context(), s.Root)
			want(t, fmt.Sprintf("turn %q", c.text), err, c.want)
		}
	})
}

// Whoever lost the answer asks again, and gets what it would have got.
//
// shows NAT-ROT
func TestARotationWhoseAnswerWasLostIsRepeated(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		s, p := w.native(), w.proxy()
		far := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		_, err := far.Rotate(t.Context(), w.native(), 1, grace) // teaches the server the script
		want(t, "rotate", err, nil)
		p.loseReplyTo("evalsha")
		_, err = far.Rotate(t.Context(), s, 1, grace)
		want(t, "rotate", err, bff.ErrStore)
		if got := w.turn(s); got.N != 2 || p.losses() != 1 {
			t.Fatalf("turn %+v, %d answers lost: want a move and no answer", got, p.losses())
		}
		w.clock.Move(time.Hour / 4)
		again, err := far.Rotate(t.Context(), s, 1, grace)
		if err != nil || again.N != 2 || !again.Issued.Equal(fromClock(w)) {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}

// shows NAT-ROT
func TestManyRotateOneHandleAtOnceAndMoveItOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.native()
		instances := []*store.Store{w.Store, w.open(nil)}
		var rotating sync.WaitGroup
		for i := range 20 {
			rotating.Go(func() {
				got, err := instances[i%2].Rotate(t.Context(), s, 1, grace)
				if err != nil || got.N != 2 {
					t.Errorf("rotate: %+v, %v", got, err)
				}
			})
		}
		rotating.Wait()
		if got := w.turn(s); got.N != 2 {
			t.Errorf("turn %+v after all", got)
		}
	})
}

// A sign-out wins over a rotation, whichever comes first, and takes the grace window along.
//
// shows RPL-PENDING, SESS-CAS
func TestARotationNeverBringsASessionBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for range 10 {
			s := w.native()
			var racing sync.WaitGroup
			racing.Go(func() {
				if _, err := w.Rotate(t.Context(), s, 1, grace); err != nil && !errors.Is(err, bff.ErrNoSession) {
					t.Errorf("rotate: %v", err)
				}
			})
			racing.Go(func() {
				if _, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
			racing.Wait()
			_, err := w.Rotate(t.Context(), s, 1, grace) // within the grace of a lost answer
			wantEnded(t, "rotate", err, bff.ReasonSignedOut)
			wantEnded(t, "note", w.TurnSeen(t.Context(), s, 1), bff.ReasonSignedOut)
			if n := w.raw.Exists(t.Context(), w.record(s.Lookup)).Val(); n != 0 {
				t.Error("the record is back")
			}
		}
	})
}

// The end is ahead of the record: whoever redeemed a code first finds it when he comes to write.
//
// shows NAT-CODE
func TestAReplayedCodeBlocksARecordThatIsNotThereYet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		ended, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonCodeReplayed)
		if ended != nil || err != nil {
			t.Fatalf("delete: %+v, %v", ended, err)
		}
		wantEnded(t, "create", w.Create(t.Context(), s), bff.ReasonCodeReplayed)
		if found, err := w.Members(t.Context(), ssoTarget); len(found) != 0 || err != nil {
			t.Errorf("its indexes hold %v, %v", found, err)
		}
		if w.raw.Exists(t.Context(), w.record(s.Lookup)).Val() != 0 {
			t.Error("the record came into being")
		}
	})
}
