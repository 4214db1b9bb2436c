package bff_test

import (
	"context"
	"testing"
	"time"

	"cloakroom/bff"
)

// shows NAT-ROT
func TestReuseAfterTheGraceEndsTheSession(t *testing.T) {
	for name, c := range map[string]struct {
		steal func(w *world, a *instance, first pair) (stolen, live pair)
		wait  time.Duration
	}{
		"the turn before, once its successor was seen": {func(w *world, a *instance, first pair) (pair, pair) {
			live := w.mustRotate(a, first.refresh)
			w.use(a, live.access)
			return first, live
		}, 31 * time.Second},
		"two turns back": {func(w *world, a *instance, first pair) (pair, pair) {
			return first, w.mustRotate(a, w.mustRotate(a, first.refresh).refresh)
		}, 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			s := w.nativeLogin(a)
			stolen, live := c.steal(w, a, w.pair(a, s))
			w.clock.move(c.wait)
			_, err := w.rotate(b, stolen.refresh)
			wantCode(t, "the stolen handle", err, bff.CodeGrantRejected)
			_, err = w.call(a, live.access)
			wantCode(t, "the live access handle", err, bff.CodeSessionEnded)
			_, err = w.rotate(a, live.refresh)
			wantCode(t, "the live refresh handle", err, bff.CodeGrantRejected)
			b.endedFor(t, bff.ReasonHandleReused)
			if got := b.refusals(); got != "phone: refresh handle reused" {
				t.Errorf("traced %q", got)
			}
			if !w.revocations(b, s.Tokens.Refresh.Reveal()) {
				t.Error("the refresh token lives on")
			}
		})
	}
}

// shows NAT-ROT
func TestWhoLostTheAnswerGetsTheSameSuccessor(t *testing.T) {
	w := newNativeWorld(t)
	a, b := w.instance(), w.instance()
	first := w.pair(a, w.nativeLogin(a))
	next := w.mustRotate(a, first.refresh)
	w.clock.move(time.Hour) // a phone in a tunnel: nobody has seen the successor, so nobody else has it
	if again := w.mustRotate(b, first.refresh); again != next {
		t.Errorf("got %v, want %v byte for byte", again, next)
	}
	w.use(b, next.access) // good again: its life counts from the last time it was given out
	w.clock.move(29 * time.Second)
	if again := w.mustRotate(a, first.refresh); again != next {
		t.Errorf("within the grace: got %v, want %v", again, next)
	}
	last := w.mustRotate(a, next.refresh)
	_, err := w.rotate(a, first.refresh)
	wantCode(t, "a late duplicate", err, bff.CodeGrantRejected)
	if _, err := w.call(a, last.access); err != nil {
		t.Errorf("a late duplicate has ended the session: %v", err)
	}
}

// What is refused changes nothing, and says one thing only.
//
// shows NAT-ROT, NAT-TYPE
func TestARefreshHandleThatIsNotThisAppsChangesNothing(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	s := w.nativeLogin(a)
	p := w.pair(a, s)
	other, browser := *w.app, *w.app
	other.ID, browser.Kind = "tablet", bff.KindSPA
	unknown := written("clr_", bff.NewRoot().Bytes(), 1, make([]byte, 16))
	ahead := written("clr_", s.Root.Bytes(), 9, make([]byte, 16))
	record := "cr:s:{" + string(s.Lookup) + "}"
	before := w.redis.HGet(record, "turn")
	for name, c := range map[string]struct {
		app    *bff.App
		handle string
		rule   string
	}{
		"another app's":              {&other, p.refresh, "tablet: foreign app"},
		"one of an app by cookie":    {&browser, p.refresh, "phone: foreign app"},
		"an access handle":           {w.app, p.access, "phone: access handle as refresh handle"},
		"an access handle in secret": {w.app, checked("clr_" + p.access[4:79]), "phone: handle without proof"},
		"one that nobody gave out":   {w.app, unknown, ""},
		"one of a turn made up":      {w.app, ahead, "phone: handle without proof"},
	} {
		b := w.instance()
		_, err := b.RotateHandles(context.Background(), c.app, w.parse(c.handle))
		wantCode(t, name, err, bff.CodeGrantRejected)
		if got := b.refusals(); got != c.rule {
			t.Errorf("%s: traced %q, want %q", name, got, c.rule)
		}
		if got := w.redis.HGet(record, "turn"); got != before {
			t.Fatalf("%s: turn %q became %q", name, before, got)
		}
	}
	if _, err := w.rotate(a, p.refresh); err != nil {
		t.Errorf("the handle itself, after all: %v", err)
	}
}

// shows NAT-ROT
func TestARefreshHandleEndsWithItsSession(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(w *world, a *instance, s *bff.Session)
		want   bff.Code
		reason bff.Reason
	}{
		"idle for too long":   {func(w *world, _ *instance, _ *bff.Session) { w.clock.move(14 * 24 * time.Hour) }, bff.CodeGrantRejected, bff.ReasonIdle},
		"older than it lives": {func(w *world, _ *instance, _ *bff.Session) { w.clock.move(90 * 24 * time.Hour) }, bff.CodeGrantRejected, bff.ReasonAbsolute},
		"signed out": {func(w *world, a *instance, s *bff.Session) {
			if _, err := a.SignOut(context.Background(), w.app, s); err != nil {
				w.t.Fatal(err)
			}
		}, bff.CodeGrantRejected, bff.ReasonSignedOut},
		"in a store that is down": {func(w *world, _ *instance, _ *bff.Session) { w.redis.SetError("ERR down") }, bff.CodeStoreUnavailable, ""},
	} {
		t.Run("a session "+name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			s := w.nativeLogin(a)
			p := w.pair(a, s)
			c.end(w, a, s)
			_, err := w.rotate(a, p.refresh)
			wantCode(t, "rotating", err, c.want)
			w.redis.SetError("")
			if c.reason == "" {
				_ = w.mustRotate(a, p.refresh)
				return
			}
			a.endedFor(t, c.reason)
		})
	}
}

// A thief who is caught while the store is down is caught when it is back.
//
// shows NAT-ROT
func TestReuseThatCannotBeCarriedOutIsFoundAgain(t *testing.T) {
	w := newNativeWorld(t)
	records := &faultyRecords{}
	a := w.instance(func(p *bff.Ports) { records.Records = p.Records; p.Records = records })
	first := w.pair(a, w.nativeLogin(a))
	live := w.mustRotate(a, w.mustRotate(a, first.refresh).refresh)
	w.clock.move(time.Minute)
	records.set(nil, func() bool { return true })
	_, err := w.rotate(a, first.refresh)
	wantCode(t, "the stolen handle, store down", err, bff.CodeStoreUnavailable)
	records.set(nil, nil)
	_, err = w.rotate(a, first.refresh)
	wantCode(t, "the stolen handle", err, bff.CodeGrantRejected)
	_, err = w.call(a, live.access)
	wantCode(t, "the live handle", err, bff.CodeSessionEnded)
}

// A rotation keeps a session from idling out.
//
// shows NAT-ROT
func TestARotationIsActivity(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	s := w.nativeLogin(a)
	p := w.pair(a, s)
	w.clock.move(13 * 24 * time.Hour)
	p = w.mustRotate(a, p.refresh)
	eventuallyTouched(w, a, s)
	w.clock.move(13 * 24 * time.Hour)
	w.mustRotate(a, p.refresh)
}

func eventuallyTouched(w *world, in *instance, s *bff.Session) {
	w.t.Helper()
	deadline := time.After(10 * time.Second)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		if now := w.session(in, s.Root); now.LastActive.After(s.LastActive.Add(time.Hour)) {
			return
		}
		select {
		case <-deadline:
			w.t.Fatal("the activity was never noted")
		case <-poll.C:
		}
	}
}

// shows RPL-NATIVE
func TestARevokedHandleEndsItsSessionAlone(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(w *world, a *instance, first pair) string
		app    func(*bff.App)
		ends   bool
	}{
		"the refresh handle":                      {func(_ *world, _ *instance, p pair) string { return p.refresh }, nil, true},
		"the access handle":                       {func(_ *world, _ *instance, p pair) string { return p.access }, nil, true},
		"an access handle whose own time is over": {func(w *world, _ *instance, p pair) string { w.clock.move(time.Hour); return p.access }, nil, true},
		"a handle whose successor was lost": {func(w *world, a *instance, p pair) string {
			w.mustRotate(a, p.refresh)
			return p.refresh
		}, nil, true},
		"a handle whose successor is in use": {func(w *world, a *instance, p pair) string {
			w.use(a, w.mustRotate(a, p.refresh).access)
			w.clock.move(31 * time.Second)
			return p.refresh
		}, nil, false},
		"a handle two turns back": {func(w *world, a *instance, p pair) string {
			w.mustRotate(a, w.mustRotate(a, p.refresh).refresh)
			return p.access
		}, nil, false},
		"a handle presented by another app": {func(_ *world, _ *instance, p pair) string { return p.refresh }, func(a *bff.App) { a.ID = "tablet" }, false},
		"a handle without proof": {func(w *world, a *instance, p pair) string {
			return checked("clr_" + p.access[4:79])
		}, nil, false},
		"a handle of nothing": {func(*world, *instance, pair) string {
			return written("clr_", bff.NewRoot().Bytes(), 1, make([]byte, 16))
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			s, other := w.nativeLogin(a), w.nativeLogin(a)
			handle, app := c.handle(w, a, w.pair(a, s)), *w.app
			if c.app != nil {
				c.app(&app)
			}
			if err := a.RevokeHandle(context.Background(), &app, w.parse(handle)); err != nil {
				t.Fatal(err)
			}
			if c.ends {
				w.dead(a, s.Root)
				a.endedFor(t, bff.ReasonSignedOut)
			} else {
				w.session(a, s.Root)
			}
			w.session(a, other.Root) // of the same SSO session: a revocation is no sign-out
			if revoked := w.revocations(a, s.Tokens.Refresh.Reveal()); revoked != c.ends {
				t.Errorf("its refresh token revoked: %v, want %v", revoked, c.ends)
			}
			if err := a.RevokeHandle(context.Background(), &app, w.parse(handle)); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestARevocationThatCannotBeCarriedOutSaysSo(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	p := w.pair(a, w.nativeLogin(a))
	w.redis.SetError("ERR down")
	err := a.RevokeHandle(context.Background(), w.app, w.parse(p.refresh))
	wantCode(t, "store down", err, bff.CodeStoreUnavailable)
	w.redis.SetError("")
	if _, err := w.call(a, p.access); err != nil {
		t.Errorf("the session: %v", err)
	}
}
