package server_test

import (
	"strings"
	"testing"
	"time"
)

// onClocks runs a test where all clocks agree, and where none does. What users see is the same.
func onClocks(t *testing.T, test func(t *testing.T, w *clockWorld)) {
	for name, off := range map[string]clocks{"one clock": {}, "four clocks that differ": apart} {
		t.Run("with "+name, func(t *testing.T) {
			t.Parallel()
			test(t, newClocks(t, off, true))
		})
	}
}

// shows SESS-LIFE, SCALEKIT-A8, SCALEKIT-K11
func TestASessionIdlesOutByTheSharedClock(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		v := w.visitor().signIn(0)
		for at := range 4 { // each use moves the end
			w.pass(clockIdle - time.Second)
			w.moved(func() { v.lives(at%2, "a second before the idle end") })
		}
		w.pass(clockIdle + time.Second)
		v.over(1, "a second after the idle end", "session_expired")
		w.visitor().signIn(1).lives(0, "after signing in again")
	})
}

// shows SESS-LIFE
func TestASessionInUseEndsAbsolutely(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		v := w.visitor().signIn(0)
		const step = clockIdle / 2 // an access token ends within each, and is renewed
		for i := range int(clockEnd/step) - 1 {
			w.pass(step)
			w.moved(func() { v.lives(i%2, "while it is used") })
		}
		if got := w.issuer.GrantCount("refresh_token"); got < 5 {
			t.Errorf("%d refreshes, want some: none of them moves the end", got)
		}
		w.pass(step - time.Second)
		v.lives(0, "a second before the absolute end")
		w.pass(2 * time.Second)
		v.over(1, "a second after the absolute end", "session_expired")
	})
}

// What a page does by itself is no activity of the user; a call is.
//
// shows SESS-IDLE
func TestPollingDoesNotKeepASessionAlive(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		v := w.visitor().signIn(0)
		poll := func(until time.Duration) {
			for at, passed := 0, time.Duration(0); passed < until; at, passed = 1-at, passed+30*time.Second {
				w.pass(30 * time.Second)
				if r := v.fetch(at, "GET", "/bff/session"); !strings.Contains(r.body, `"authenticated":true`) {
					t.Fatalf("after %v: %d %s", passed, r.StatusCode, r.body)
				}
				if r := v.fetch(at, "GET", "/api/x", "X-Background", "1"); r.StatusCode != 200 {
					t.Fatalf("after %v: %d %s", passed, r.StatusCode, r.body)
				}
			}
		}
		poll(clockIdle / 2)
		w.moved(func() { v.lives(0, "half-way") }) // one call of the user's
		poll(clockIdle - time.Minute)
		w.pass(time.Minute + time.Second)
		cookie := v.cookies[clockCookie]
		if r := v.fetch(1, "GET", "/bff/session"); r.StatusCode != 200 || !strings.Contains(r.body, `"authenticated":false`) {
			t.Errorf("polled past the idle end: %d %s", r.StatusCode, r.body)
		}
		v.cookies[clockCookie] = cookie
		if r := v.fetch(0, "GET", "/api/x"); r.StatusCode != 401 {
			t.Errorf("after polling past the idle end: %d %s", r.StatusCode, r.body)
		}
	})
}

// A token is used for as long as its provider meant it to be, whatever clock the instance has that uses it.
func TestATokenIsRenewedWhenItIsDue(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		w.step(func(o *clocks) { o.provider = o.redis }) // for the token says its end by the provider's clock too
		v := w.visitor().signIn(0)
		const margin = 30 * time.Second // the longest; three quarters of it at least
		w.pass(clockToken - margin - time.Second)
		for at := range 2 {
			v.lives(at, "before it is due")
		}
		if got := w.issuer.GrantCount("refresh_token"); got != 0 {
			t.Errorf("%d refreshes of a token that is not due", got)
		}
		w.pass(margin/4 + 2*time.Second)
		v.lives(1, "in the soft window")
		until(t, "the token is renewed beside", func() bool { return w.generation() == "2" })
		w.pass(clockToken + time.Second)
		v.lives(0, "after its end")
		if got := w.issuer.GrantCount("refresh_token"); got != 2 {
			t.Errorf("%d refreshes, want 2", got)
		}
	})
}

// A sign-out at one instance against sign-ins at the other.
func TestASignOutEndsWhatBeganBeforeIt(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		v, late, other := w.visitor().signIn(0), w.visitor(), w.visitor()
		late.atProvider, other.atProvider = v.atProvider, v.atProvider // one SSO session
		w.pass(time.Second)
		before := late.begin(1)
		w.pass(time.Second)
		if r := v.fetch(0, "POST", "/bff/logout"); r.StatusCode != 200 {
			t.Fatalf("signing out: %d %s", r.StatusCode, r.body)
		}
		if r := late.finish(1, before); late.cookies[clockCookie] != "" {
			t.Errorf("a sign-in that began a second before the sign-out came through: %d", r.StatusCode)
		}
		v.signIn(1).lives(0, "of the browser that signed out, at once")
		if r := v.fetch(1, "POST", "/bff/logout"); r.StatusCode != 200 {
			t.Fatalf("signing out: %d %s", r.StatusCode, r.body)
		}
		w.pass(3 * time.Second) // more than the slack of markers
		other.signIn(0).lives(1, "of another browser, three seconds later")
		w.pass(time.Second)
		if r := other.fetch(1, "POST", "/bff/logout"); r.StatusCode != 200 {
			t.Fatalf("signing out: %d %s", r.StatusCode, r.body)
		}
		if r := other.fetch(0, "GET", "/api/x"); r.StatusCode != 401 {
			t.Errorf("after the last sign-out: %d", r.StatusCode)
		}
	})
}

func TestASignInMayTakeTenMinutes(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		for from := range 2 {
			slow, late := w.visitor(), w.visitor()
			first, second := slow.begin(from), late.begin(from)
			w.pass(10*time.Minute - time.Second)
			if r := slow.finish(1-from, first); strings.Contains(r.body, "took too long") {
				t.Errorf("after a second less than ten minutes: %d", r.StatusCode)
			}
			w.pass(2 * time.Second)
			if r := late.finish(1-from, second); !strings.Contains(r.body, "took too long") {
				t.Errorf("after a second more: %d %.600s", r.StatusCode, r.body)
			}
		}
	})
}

func TestAnExchangeCodeLivesAMinute(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		form := w.code(0)
		w.pass(59 * time.Second)
		h, err := w.token(1, form)
		if err != nil || w.calls(0, h) != 200 {
			t.Errorf("after 59 seconds: %v", err)
		}
		form = w.code(1)
		w.pass(61 * time.Second)
		if _, err := w.token(0, form); err == nil {
			t.Error("redeemed after 61 seconds")
		}
	})
}

// Turns, the grace of handles that were rotated away, and their lives.
//
// shows NAT-ROT, SCALEKIT-A8
func TestHandlesByTheSharedClock(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		h := w.phone(0)
		w.pass(clockAccess - time.Second)
		if got := w.calls(1, h); got != 200 {
			t.Errorf("a second before the end of the access handle: %d", got)
		}
		w.pass(2 * time.Second)
		if got := w.calls(1, h); got != 401 {
			t.Errorf("a second after it: %d", got)
		}
		next := w.turns(t, 1, h)
		w.pass(time.Minute)
		after := w.turns(t, 0, next)
		w.pass(clockGrace - time.Second)
		if got := w.calls(1, next); got != 200 {
			t.Errorf("the access handle of the turn before, within the grace: %d", got)
		}
		if again, err := w.token(1, turn(next.Refresh)); err != nil || again.Access != after.Access {
			t.Errorf("the refresh handle of the turn before, within the grace: %v", err)
		}
		w.pass(2 * time.Second)
		if got := w.calls(1, next); got != 401 {
			t.Errorf("after the grace: %d", got)
		}
		if got := w.calls(0, after); got != 200 {
			t.Errorf("the current one: %d", got)
		}
		if _, err := w.token(1, turn(next.Refresh)); err == nil { // reuse
			t.Error("the refresh handle of the turn before was taken after the grace")
		}
		if got := w.calls(0, after); got != 401 {
			t.Errorf("after a reuse: %d", got)
		}
	})
}

// turns rotates at one server and uses what came of it at the other, until the use is noted.
func (w *clockWorld) turns(t *testing.T, at int, h pair) pair {
	t.Helper()
	next, err := w.token(at, turn(h.Refresh))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.calls(1-at, next); got != 200 {
		t.Errorf("a new access handle: %d", got)
	}
	until(t, "the use is noted", func() bool {
		fields := strings.Fields(w.field("turn"))
		return len(fields) == 5 && fields[3] != "0"
	})
	return next
}

// A provider whose clock is off by less than clock_skew signs users in, at whichever instance; by more, nobody.
func TestAProvidersClockMayBeOffByTheSkew(t *testing.T) {
	onClocks(t, func(t *testing.T, w *clockWorld) {
		for _, c := range []struct {
			off  time.Duration
			good bool
		}{{50 * time.Second, true}, {-50 * time.Second, true}, {70 * time.Second, false}} {
			w.step(func(o *clocks) { o.provider = o.redis + c.off })
			for at := range 2 {
				v := w.visitor()
				r := v.finish(at, v.begin(at))
				if got := v.cookies[clockCookie] != ""; got != c.good {
					t.Errorf("with the provider %v ahead: signed in %v, want %v (%d)", c.off, got, c.good, r.StatusCode)
				}
			}
		}
	})
}
