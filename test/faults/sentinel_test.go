//go:build integration

package faults_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/gateway"
	"cloakroom/test/redisproc"
)

// bySentinel leads instances to the primary of a set.
func bySentinel(set *redisproc.Sentinel) []string {
	return []string{
		"CLOAKROOM_REDIS__ADDRS=" + strings.Join(set.Addrs(), ","), "CLOAKROOM_REDIS__MASTER_NAME=" + set.MasterName(),
	}
}

// logged counts the lines of all instances that hold a text.
func logged(instances []*gateway.Instance, text string) (n int) {
	for _, in := range instances {
		n += strings.Count(in.Log(), text)
	}
	return n
}

// With a wait for a replica nothing that was acknowledged is lost: no session, no refresh, no sign-out.
//
// shows SESS-503
func TestLoadThroughAFailoverThatWaitsForReplicas(t *testing.T) {
	alongside(t)
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{Replicas: 2, Server: redisproc.Options{
		// A primary that nobody follows refuses writes: what it would acknowledge could not outlive it.
		Args: []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"},
	}})
	l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, append(bySentinel(set), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")...)
	d, answers := l.through(func() { killPrimary(set) })
	l.onlyOutage(answers, "store_unavailable")
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
	t.Logf("%d writes were unconfirmed", logged(l.instances, "saved, unconfirmed"))
}

// killPrimary returns when another one is primary.
func killPrimary(set *redisproc.Sentinel) {
	old := set.Primary()
	old.Kill()
	set.AwaitFailover(old)
}

// Without a wait a failover may undo what was acknowledged last: a refresh (that session ends, for its token is used), a
// sign-in, a sign-out. Nothing else is lost, and what was is counted.
func TestLoadThroughAFailoverThatWaitsForNothing(t *testing.T) {
	alongside(t)
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{Replicas: 1})
	l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, bySentinel(set)...)
	d, answers := l.through(func() { killPrimary(set) })
	lost := l.alive()
	rejected := logged(l.instances, `"event":"session_ended"`) // for the log alone: sign-outs are among them
	t.Logf("without a wait: %d of %d sessions, %d of %d sign-ins and %d of %d sign-outs were lost (%d ends told)",
		len(lost), len(l.members), len(d.missing()), len(d.come), len(d.back()), len(d.gone), rejected)
	gone := map[int]bool{}
	for _, m := range lost {
		gone[m.id] = true
	}
	l.onlyOutage(without(answers, gone), "store_unavailable")
	if len(lost) > len(l.members)/10 {
		t.Errorf("%d of %d sessions were lost: more than the last moment explains", len(lost), len(l.members))
	}
}

// without leaves the answers to some members out.
func without(answers []answered, members map[int]bool) (kept []answered) {
	for _, a := range answers {
		if !members[a.member] {
			kept = append(kept, a)
		}
	}
	return kept
}

// An ordered failover, as for maintenance: the old primary lives on as a replica, and answers reads from its connections.
// Sentinel does not stop writes meanwhile: what the old primary takes after the other was promoted is lost, and nobody
// confirms it. A primary that was told to write with its replica alone refuses it all from that moment on.
func TestLoadThroughAnOrderedFailover(t *testing.T) {
	alongside(t)
	for name, row := range map[string]struct {
		least int // replicas without which the old primary does not write
		most  int // sessions that may be lost: with the setting those whose write was on its way when the replica left
	}{
		"a primary that writes alone":               {0, sized(60, 500)},
		"a primary that writes with a replica only": {1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			alongside(t)
			set := redisproc.StartSentinel(t, redisproc.SentinelOptions{})
			l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, append(bySentinel(set), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")...)
			d, answers, recovered := l.around(func() {
				set.Primary().Do("CONFIG", "SET", "min-replicas-to-write", row.least) // of the old one alone: the new one has no replica at first
				set.Failover()
			})
			lost := l.onlyUnconfirmedLost(d, recovered)
			if len(lost) > row.most {
				t.Errorf("%d were lost, want at most %d", len(lost), row.most)
			}
			if refused := logged(l.instances, "NOREPLICAS"); (refused > 0) != (row.least > 0) {
				t.Errorf("%d writes were refused for want of a replica", refused)
			}
			answers = without(answers, lost)
			l.onlyWithin(answers, 2*longest, "store_unavailable") // a refresh that was undone half-way is suspected anew
			l.well(answers, recovered)
		})
	}
}

// onlyUnconfirmedLost fails if anything was undone that a replica had confirmed: a session, one that began meanwhile, or a
// sign-out. Until the end of the changeover, that is: later nobody confirms, for the new primary has no replica yet, and
// nothing is undone. It returns, by their numbers, the sessions of which something was undone.
func (l *load) onlyUnconfirmedLost(d *doors, changed time.Time) map[int]bool {
	l.t.Helper()
	const told = 500 * time.Millisecond // a confirmation is waited for as long as 200 ms, and then told
	lost, doubtful := map[int]bool{}, unconfirmed(l.t, l.instances, changed.Add(told))
	for what, members := range map[string][]*member{"session": l.alive(), "sign-in": d.missing(), "sign-out": d.back()} {
		for _, m := range members {
			lost[m.id] = true
			if !doubtful[m.name(l.t)] {
				l.t.Errorf("a %s was lost of which every write was confirmed", what)
			}
		}
		l.t.Logf("%ss lost: %d", what, len(members))
	}
	l.t.Logf("writes to %d sessions were unconfirmed", len(doubtful))
	return lost
}

// unconfirmed are the public names of the sessions of which a write was told as unconfirmed before a time.
func unconfirmed(t *testing.T, instances []*gateway.Instance, before time.Time) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, in := range instances {
		for line := range strings.Lines(in.Log()) {
			var told struct {
				Time         time.Time
				Msg, Session string
			}
			if json.Unmarshal([]byte(line), &told) != nil || told.Msg != "saved, unconfirmed by replicas" || told.Time.After(before) {
				continue
			}
			if told.Session == "" {
				t.Errorf("an unconfirmed write of no session: %s", line)
			}
			names[told.Session] = true
		}
	}
	return names
}

// name is the session's public name, which the gateway makes of the cookie's value.
func (m *member) name(t *testing.T) string {
	t.Helper()
	_, value, _ := strings.Cut(m.cookie, "=")
	root, err := bff.ParseRoot(value)
	if err != nil {
		t.Fatal(err)
	}
	return root.Lookup().ID()
}

// A primary that hangs keeps its connections open, and nobody is told that it is gone but by their silence.
func TestLoadThroughAPrimaryThatHangs(t *testing.T) {
	alongside(t)
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{Replicas: 2})
	l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, append(bySentinel(set), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")...)
	old := set.Primary()
	d, answers := l.through(func() {
		old.Freeze()
		set.AwaitFailover(old)
	})
	l.onlyOutage(answers, "store_unavailable")
	l.nobodyLost(t, d)
	old.Thaw() // it takes itself for the primary until a Sentinel corrects it
	set.AwaitReplicas(2)
	l.nobodyLost(t, d)
}
