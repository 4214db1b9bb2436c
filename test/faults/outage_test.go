//go:build integration

package faults_test

import (
	"net/http"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/redisproc"
)

// tokenLife is how long access tokens of a load live: every session is refreshed some times while it lasts.
func tokenLife() time.Duration { return sized(3*time.Second, 10*time.Second) }

// outageTime is how long what the gateway needs is away.
func outageTime() time.Duration { return sized(4*time.Second, 30*time.Second) }

// perSecond is the rate of requests.
func perSecond() int { return sized(60, 200) }

const (
	// warm is how long a load runs before and after an outage.
	warm = 1500 * time.Millisecond
	// leavers is how many sign out meanwhile, and as many sign in.
	leavers   = 10
	doorsOpen = 300 * time.Millisecond // from one to the next
)

// The provider answers 503 to every refresh until long after the tokens have run out: whoever has none is told to come
// back, nobody is signed out, and afterwards all go on.
//
// shows REF-SOFT
func TestLoadThroughAProviderThatRefusesRefreshes(t *testing.T) {
	alongside(t)
	w := newWorld(t, loadOptions(tokenLife()))
	l := newLoad(t, w, 2)
	l.begin(perSecond())
	pause(warm)
	fault := w.Dev.Fault(provider.Token, provider.Fault{
		Match: isRefresh, Times: provider.Always, Status: http.StatusServiceUnavailable, Body: "maintenance",
	})
	pause(outageTime())
	fault.Remove()
	recovered := time.Now()
	l.settle(recovered)
	answers := l.end()
	l.onlyOutage(answers, "idp_unavailable")
	l.well(answers, recovered)
	l.nobodyLost(t, nil)
	t.Logf("%d refreshes met the outage", fault.Hits())
	if fault.Hits() == 0 {
		t.Error("no refresh met the outage")
	}
	if w.Dev.GrantCount("refresh_token") < len(l.members) { // a token that was answered 503 is good, and sent again
		t.Error("not every session was refreshed")
	}
}

// shows SESS-503
func TestLoadThroughARedisThatIsKilledAndComesBack(t *testing.T) {
	alongside(t)
	o := loadOptions(tokenLife())
	o.Redis = redisproc.Options{AppendOnly: true}
	w := newWorld(t, o)
	l := newLoad(t, w, 2)
	d, answers := l.through(func() {
		w.Redis.Kill()
		pause(outageTime() / 2)
		w.Redis.Restart()
	})
	l.onlyOutage(answers, "store_unavailable")
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
}

// refreshedOnce fails if a refresh token was sent twice, or if none was: then the load showed nothing about them.
func refreshedOnce(t *testing.T, l *load) {
	t.Helper()
	if twice := usedTwice(l.w); len(twice) > 0 {
		t.Errorf("%d refresh tokens were sent twice", len(twice))
	}
	n := l.w.Dev.GrantCount("refresh_token")
	if n == 0 {
		t.Error("nothing was refreshed")
	}
	t.Logf("%d refreshes", n)
}

// Nobody hears from a Redis that hangs (SIGSTOP). Everybody is told so within the time-outs, and as soon as it goes on, so
// does everything: connections that were given up are replaced, and what it had been sent does no harm.
//
// shows SESS-503
func TestLoadThroughARedisThatHangs(t *testing.T) {
	alongside(t)
	w := newWorld(t, loadOptions(tokenLife()))
	l := newLoad(t, w, 2)
	d, answers := l.through(func() {
		w.Redis.Freeze()
		pause(outageTime() / 2)
		w.Redis.Thaw()
	})
	l.onlyWithin(answers, longestHung, "store_unavailable")
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
}

// Each answer of Redis comes 300 ms late, three fifths of the read time-out: that is slow, and no outage. A request waits
// one round trip for its session; who has to refresh waits for some more.
func TestLoadOverASlowRedis(t *testing.T) {
	alongside(t)
	w, p := wired(t, loadOptions(tokenLife()))
	// What docs/sessions.md says of a Redis this slow. The default of half a second leaves a busy machine little room.
	// And tokens of seconds have everybody refresh all the time, a dozen round trips each: that takes many connections.
	l := newLoad(t, w, 2, "CLOAKROOM_REDIS__TIMEOUTS__READ="+sized(3*time.Second, time.Second).String(), "CLOAKROOM_REDIS__POOL_SIZE=256")
	p.Delay(300 * time.Millisecond)
	d := l.openDoors(leavers/2, doorsOpen)
	l.begin(sized(30, 100))
	pause(sized(4*time.Second, outageTime()))
	d.close()
	answers := l.end()
	l.onlyWithin(answers, longest+longest) // a refresh is a dozen answers of Redis, one after the other
	t.Log(tally(answers))
	p.Pass()
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
}

// Redis that lost its memory under load is a sign-out for everybody: 401 once it is there, no 503 that stays, no loop, and
// signing in works at once.
func TestLoadThroughARedisThatComesBackEmpty(t *testing.T) {
	alongside(t)
	w := newWorld(t, loadOptions(tokenLife()))
	l := newLoad(t, w, 2)
	before := w.Dev.GrantCount("refresh_token")
	l.begin(perSecond())
	pause(warm)
	w.Redis.Kill()
	w.Redis.Restart()
	back := time.Now()
	pause(warm)
	for _, a := range l.end() {
		known := a.status == http.StatusOK || a.status == http.StatusServiceUnavailable
		if out := a.status == http.StatusUnauthorized && a.code == "session_required"; !known && !out {
			t.Errorf("session %d was answered %d %q", a.member, a.status, a.code)
		}
		if a.at.After(back.Add(time.Second)) && a.status != http.StatusUnauthorized {
			t.Errorf("session %d was answered %d %q, %v after its memory was lost", a.member, a.status, a.code, a.at.Sub(back))
		}
	}
	if lost := l.alive(); len(lost) != len(l.members) {
		t.Errorf("%d of %d sessions are out", len(lost), len(l.members))
	}
	l.signInAll(leavers)
	if lost := l.alive(); len(lost) > 0 {
		t.Errorf("%d who signed in anew are not signed in", len(lost))
	}
	t.Logf("%d refreshes", w.Dev.GrantCount("refresh_token")-before)
}
