//go:build integration

package faults_test

import (
	"net/http"
	"testing"
	"time"
)

// tooLittle is less memory than a redis-server has in use when it is empty: nothing new fits.
const tooLittle = "100kb"

// A Redis that has reached maxmemory refuses what makes it grow. Who is signed in goes on: requests, refreshes and
// sign-outs. Only sign-ins are 503, and leave nothing half-done; with memory given again they work.
func TestLoadThroughARedisThatIsFull(t *testing.T) {
	alongside(t)
	w := newWorld(t, loadOptions(tokenLife()))
	l := newLoad(t, w, 2, "CLOAKROOM_REDIS__TIMEOUTS__READ=10s") // a busy machine is no full Redis
	sessions := len(records(w))
	d := l.openLeaving(leavers, doorsOpen)
	before := w.Dev.GrantCount("refresh_token")
	l.begin(perSecond())
	w.Redis.Do("CONFIG", "SET", "maxmemory", tooLittle)
	for i := range leavers {
		if m, status, err := l.signIn(20_000 + i); m != nil || status != http.StatusServiceUnavailable || err != nil {
			t.Errorf("a sign-in at a full Redis: %v %d %v, want 503", m, status, err)
		}
	}
	pause(tokenLife() + warm) // every token runs out once
	d.close()
	if refreshed := w.Dev.GrantCount("refresh_token") - before; refreshed < len(l.members) {
		t.Errorf("%d refreshes of %d sessions while Redis was full", refreshed, len(l.members))
	}
	if got := len(records(w)); got != sessions-len(d.gone) {
		t.Errorf("%d records of %d, after %d sign-outs: a refused sign-in left something", got, sessions, len(d.gone))
	}
	w.Redis.Do("CONFIG", "SET", "maxmemory", "0")
	again := time.Now()
	m, status, err := l.signIn(30_000)
	if m == nil {
		t.Fatalf("with memory again nobody can sign in: %d %v", status, err)
	}
	pause(warm)
	answers := l.end()
	l.onlyOutage(answers)
	l.well(answers, again)
	l.members = append(l.members, m)
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
}
