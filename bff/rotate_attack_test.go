package bff_test

import (
	"context"
	"testing"
	"time"

	"cloakroom/bff"
)

// A thief who rotates on and on must not keep the refusals of the app in the grace of its own moves: the app would lose
// the session without a word, and the thief would keep it.
//
// shows NAT-ROT
func TestAThiefWhoRotatesOnAndOnIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		thief func(w *world, a *instance, stolen pair) pair
	}{
		"three times at once": {func(w *world, a *instance, p pair) pair {
			return w.mustRotate(a, w.mustRotate(a, w.mustRotate(a, p.refresh).refresh).refresh)
		}},
		"within each grace": {func(w *world, a *instance, p pair) pair {
			for range 4 {
				p = w.mustRotate(a, p.refresh)
				w.clock.move(29 * time.Second)
			}
			return p
		}},
		"twice, the second time a moment ago": {func(w *world, a *instance, p pair) pair {
			p = w.mustRotate(a, p.refresh)
			w.clock.move(31 * time.Second)
			return w.mustRotate(a, p.refresh)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			s := w.nativeLogin(a)
			mine := w.pair(a, s)
			theirs := c.thief(w, a, mine)
			_, err := w.rotate(b, mine.refresh)
			wantCode(t, "the app's own handle", err, bff.CodeGrantRejected)
			_, err = w.rotate(a, theirs.refresh)
			wantCode(t, "the thief's handle", err, bff.CodeGrantRejected)
			b.endedFor(t, bff.ReasonHandleReused)
			if !w.revocations(b, "refresh-1") {
				t.Error("the refresh token lives on")
			}
		})
	}
}

// hangingUp is a caller who is gone as soon as the store has found a reuse.
type hangingUp struct {
	bff.Turns
	hangUp context.CancelFunc
}

func (h hangingUp) Rotate(ctx context.Context, s *bff.Session, presented int64, grace time.Duration) (bff.Turn, error) {
	t, err := h.Turns.Rotate(ctx, s, presented, grace)
	h.hangUp()
	return t, err
}

// A thief who hangs up at once does not keep the session by that.
//
// shows NAT-ROT
func TestAReuseIsCarriedOutThoughItsCallerHangsUp(t *testing.T) {
	w := newNativeWorld(t)
	gone, hangUp := context.WithCancel(context.Background())
	a, b := w.instance(), w.instance(func(p *bff.Ports) { p.Turns = hangingUp{p.Turns, hangUp} })
	first := w.pair(a, w.nativeLogin(a))
	live := w.mustRotate(a, w.mustRotate(a, first.refresh).refresh)
	w.clock.move(time.Minute)
	_, err := b.RotateHandles(gone, w.app, w.parse(first.refresh))
	wantCode(t, "the stolen handle", err, bff.CodeGrantRejected)
	_, err = w.call(a, live.access)
	wantCode(t, "the live handle", err, bff.CodeSessionEnded)
}

// leaving is a caller who is gone when the store is asked to move a turn.
type leaving struct {
	bff.Turns
	leave context.CancelFunc
}

func (l leaving) Rotate(ctx context.Context, s *bff.Session, presented int64, grace time.Duration) (bff.Turn, error) {
	l.leave()
	return l.Turns.Rotate(ctx, s, presented, grace)
}

// An app that is gone before its answer is no outage of the store.
func TestARotationThatItsAppGaveUpIsNoOutage(t *testing.T) {
	w := newNativeWorld(t)
	gone, leave := context.WithCancel(context.Background())
	a, b := w.instance(), w.instance(func(p *bff.Ports) { p.Turns = leaving{p.Turns, leave} })
	first := w.pair(a, w.nativeLogin(a))
	_, err := b.RotateHandles(gone, w.app, w.parse(first.refresh))
	wantCode(t, "rotating", err, bff.CodeClientGone)
	w.mustRotate(a, first.refresh)
}
