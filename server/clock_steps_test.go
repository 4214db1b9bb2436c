package server_test

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// inUse is one user at the cookie app and at the native app, in use for a while over both servers.
type inUse struct {
	v *visitor
	h pair
}

func (w *clockWorld) inUse() *inUse {
	w.t.Helper()
	u := &inUse{v: w.visitor().signIn(0), h: w.phone(1)}
	w.pass(clockIdle / 2)
	u.v.lives(1, "in use")
	next, err := w.token(0, turn(u.h.Refresh))
	if err != nil {
		w.t.Fatal(err)
	}
	u.h = next
	u.goesOn(w, "in use")
	until(w.t, "the idle end has moved", func() bool {
		for _, key := range w.records() {
			if w.redis.HGet(key, "act") == w.redis.HGet(key, "created") {
				return false
			}
		}
		return true
	})
	return u
}

// goesOn fails unless both servers serve both credentials.
func (u *inUse) goesOn(w *clockWorld, when string) {
	w.t.Helper()
	for at := range 2 {
		u.v.lives(at, when)
		if got := w.calls(at, u.h); got != 200 {
			w.t.Errorf("%s: the access handle at server %d: %d", when, at, got)
		}
	}
}

// rotates moves the handles on, at each server, and uses what came of it.
func (u *inUse) rotates(w *clockWorld, when string) {
	w.t.Helper()
	for at := range 2 {
		next, err := w.token(at, turn(u.h.Refresh))
		if err != nil {
			w.t.Errorf("%s: rotating at server %d: %v", when, at, err)
			return
		}
		u.h = next
		u.goesOn(w, when)
	}
}

// leaves signs out at one server and fails unless that holds at the other.
func (u *inUse) leaves(w *clockWorld, at int, when string) {
	w.t.Helper()
	if r := u.v.fetch(at, "POST", "/bff/logout"); r.StatusCode != 200 {
		w.t.Errorf("%s: signing out: %d %s", when, r.StatusCode, r.body)
	}
	if r := u.v.fetch(1-at, "GET", "/api/x"); r.StatusCode != 401 {
		w.t.Errorf("%s: after a sign-out: %d", when, r.StatusCode)
	}
}

// Redis's clock goes back, as after a failover to a server whose clock is behind. One server knows of it, the other does not
// yet; then both.
//
// shows SESS-LIFE
func TestRedisClockThatIsSetBackSignsNobodyOut(t *testing.T) {
	t.Parallel()
	w := newClocks(t, apart, true)
	u := w.inUse()
	slow := w.visitor()
	waiting, form := slow.begin(0), w.code(0)
	const back = 5 * time.Minute
	w.step(func(c *clocks) { c.redis -= back; c.provider = c.redis + 10*time.Second })
	w.measureAt(1)
	u.goesOn(w, "with one server set back")
	u.rotates(w, "with one server set back")
	if slow.finish(1, waiting); slow.cookies[clockCookie] == "" {
		t.Error("a sign-in that was on its way did not come through")
	}
	if _, err := w.token(1, form); err != nil {
		t.Errorf("a code that was on its way: %v", err)
	}
	tab := w.visitor()
	tab.atProvider = u.v.atProvider
	tab.signIn(0) // by the clock of before: it began in the future of the other server
	w.measureAt(0)
	u.goesOn(w, "with both servers set back")
	u.rotates(w, "with both servers set back")
	u.leaves(w, 1, "with the clock set back")
	if r := tab.fetch(0, "GET", "/api/x"); r.StatusCode != 401 {
		t.Errorf("another session of that SSO session, begun before the clock was set back: %d", r.StatusCode)
	}
	u.v.signIn(0).lives(1, "signing in again")
	w.pass(clockIdle + 2*time.Second) // it began after the step
	slow.over(1, "long unused", "session_expired")
}

// A step ahead by less than the idle time costs nobody a session who has just used it.
func TestRedisClockThatIsSetAhead(t *testing.T) {
	t.Parallel()
	w := newClocks(t, apart, true)
	u := w.inUse()
	w.step(func(c *clocks) { c.redis += clockAccess - 30*time.Second; c.provider = c.redis })
	w.measureAt(1)
	u.v.lives(0, "with one server set ahead")
	u.v.lives(1, "with one server set ahead")
	u.rotates(w, "with one server set ahead")
	w.measureAt(0)
	u.goesOn(w, "with both servers set ahead")
	u.leaves(w, 0, "with the clock set ahead")
}

// Two servers that start while Redis is down know nothing of its clock, nor of each other's, until it is there and for a
// moment longer.
func TestServersThatHaveNotReadTheClockYet(t *testing.T) {
	t.Parallel()
	w := newClocks(t, apart, false)
	w.redis.Close()
	if r := w.visitor().fetch(0, "GET", "/bff/session", "Cookie", clockCookie+"=x"); r.StatusCode == 500 {
		t.Errorf("with Redis down: %d", r.StatusCode)
	}
	if err := w.redis.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, "Redis is asked again", func() bool {
		return w.visitor().fetch(0, "GET", "/bff/session").StatusCode == 200 && w.visitor().fetch(1, "GET", "/bff/session").StatusCode == 200
	})
	u := w.inUse()
	u.rotates(w, "before the clock is read")
	behind, ahead := w.visitor().signIn(0), w.visitor().signIn(1)
	w.measure()
	u.goesOn(w, "when the clock is read")
	u.rotates(w, "when the clock is read")
	behind.lives(1, "begun by a clock that was behind")
	ahead.lives(0, "begun by a clock that was ahead")
	u.leaves(w, 0, "when the clock is read")
}

// walled sets the wall clock in t ahead, and leaves what Go counts beside it, as whoever sets a machine's clock does. It
// knows how package time keeps both in one word: bit 63 says so, and seconds stand from bit 30 on.
func walled(tb testing.TB, t time.Time, ahead time.Duration) time.Time {
	set := t
	word := (*uint64)(unsafe.Pointer(&set))
	*word += uint64(int64(ahead/time.Second)) << 30
	if set.Sub(t) != 0 || set.Round(0).Sub(t.Round(0)) != ahead {
		tb.Error("package time keeps its times in another way than this test knows")
	}
	return set
}

// Somebody sets the clock of one machine an hour ahead, and back again. Until Redis's clock is read once more nobody is
// signed out by it, and a sign-out ends as much as ever.
func TestAMachineWhoseClockIsSetSignsNobodyOut(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	set := newTicking(t, func(now time.Time) time.Time { return walled(t, now, time.Duration(ahead.Load())) })
	v, h := set.visitor().signIn(0), set.phone(0)
	for _, to := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
		ahead.Store(int64(to))
		u := &inUse{v, h}
		u.goesOn(set, "with a clock that was set to "+to.String())
		u.rotates(set, "with a clock that was set to "+to.String())
		h = u.h
		other := set.visitor().signIn(1)
		tab := set.visitor()
		tab.atProvider = other.atProvider
		tab.signIn(0)
		(&inUse{v: other}).leaves(set, 0, "with a clock that was set to "+to.String())
		if r := tab.fetch(1, "GET", "/api/x"); r.StatusCode != 401 {
			t.Errorf("with a clock that was set to %v: the other session of a signed out user answers %d", to, r.StatusCode)
		}
	}
}
