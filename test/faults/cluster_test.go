//go:build integration

package faults_test

import (
	"strings"
	"testing"

	"cloakroom/test/redisproc"
)

// byCluster leads instances to a Cluster.
func byCluster(c *redisproc.Cluster) []string {
	return []string{"CLOAKROOM_REDIS__ADDRS=" + strings.Join(c.Addrs(), ","), "CLOAKROOM_REDIS__CLUSTER=true"}
}

// aSession is the slot of some session's record.
func aSession(t *testing.T, c *redisproc.Cluster) int {
	t.Helper()
	for _, key := range c.Keys() {
		if strings.HasPrefix(key, "cr:s:{") {
			return c.Slot(key)
		}
	}
	t.Fatal("no session is kept")
	return 0
}

// A slot moves to another master key by key, under load; then many do. Nobody notices: neither ASK nor MOVED is an outage.
func TestLoadWhileSlotsMove(t *testing.T) {
	alongside(t)
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
	l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, byCluster(c)...)
	var moved int
	d, answers := l.through(func() {
		for range sized(8, 64) {
			slot := aSession(t, c)
			from := c.Master(slot)
			to := c.Nodes[0]
			if from == to {
				to = c.Nodes[1]
			}
			m := c.Move(slot, to)
			m.Begin()
			moved += m.Keys(1)
			pause(warm / 10) // requests meet the slot half-way
			m.Finish()
		}
	})
	l.onlyOutage(answers)
	l.nobodyLost(t, d)
	refreshedOnce(t, l)
	if moved == 0 {
		t.Error("no key moved under load")
	}
}

// shows SESS-503
func TestLoadThroughAClusterThatLosesAMaster(t *testing.T) {
	alongside(t)
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{Replicas: true})
	l := newLoad(t, newWorld(t, loadOptions(tokenLife())), 2, append(byCluster(c), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")...)
	d, answers, recovered := l.around(func() {
		slot := aSession(t, c)
		old := c.Master(slot)
		old.Kill()
		c.AwaitPromotion(old, slot)
	})
	// What the replica had not confirmed in time, on a busy machine, may be lost with its master, and no more than that.
	lost := l.onlyUnconfirmedLost(d, recovered)
	answers = without(answers, lost)
	l.onlyOutage(answers, "store_unavailable")
	l.well(answers, recovered)
	doubtful := len(unconfirmed(t, l.instances, recovered))
	if twice := usedTwice(l.w); len(twice) > doubtful {
		t.Errorf("%d refresh tokens were sent twice, and writes to %d sessions were unconfirmed", len(twice), doubtful)
	}
	t.Logf("%d sessions lost, of %d with unconfirmed writes", len(lost), doubtful)
	if l.w.Dev.GrantCount("refresh_token") == 0 {
		t.Error("nothing was refreshed")
	}
}
