//go:build integration

package store_test

import (
	"slices"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/redisproc"
)

// missing are those of the lookups that a scan did not find.
func missing(all, got []bff.Lookup) (lookups []bff.Lookup) {
	for _, l := range all {
		if _, found := slices.BinarySearch(got, l); !found {
			lookups = append(lookups, l)
		}
	}
	return lookups
}

// byAddress are the nodes of a Cluster in the order in which they are scanned.
func byAddress(c *redisproc.Cluster) []*redisproc.Server {
	return slices.SortedFunc(slices.Values(c.Nodes), func(a, b *redisproc.Server) int {
		if a.Addr() < b.Addr() {
			return -1
		}
		return 1
	})
}

// A slot moves from the node that is scanned last to the one that was scanned first, while the scan is between them: its
// sessions are in neither's names, and are found nonetheless.
func TestAScanFindsWhatMovesBehindIt(t *testing.T) {
	t.Parallel()
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
	for name, finish := range map[string]bool{"a slot that has moved": true, "a slot that is still moving": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, server{name: "moving", addrs: c.Addrs(), cluster: true})
			all := w.many(60)
			nodes := byAddress(c)
			first, last := nodes[0], nodes[len(nodes)-1]
			var moves []*redisproc.Migration
			for _, l := range all {
				slot := c.Slot(w.record(l))
				if len(moves) < 3 && c.Master(slot) == last {
					moves = append(moves, c.Move(slot, first))
				}
			}
			finished, waited := false, 0
			got, steps := w.scanned(w.Store, func(step int) {
				if step == 3 { // begun, and the first node and the second have answered
					for _, m := range moves {
						m.Begin()
						for m.Keys(100) > 0 {
							continue
						}
						if finish {
							m.Finish()
						}
					}
				}
				if waited++; !finish && !finished && waited > 8 { // a pass later
					finished = true
					for _, m := range moves {
						m.Finish()
					}
				}
			})
			if lost := missing(all, got); len(lost) > 0 {
				t.Errorf("%d of %d sessions were not found", len(lost), len(all))
			}
			if last := steps[len(steps)-1]; last.Pass < 2 {
				t.Errorf("%d passes, want another after the slots moved", last.Pass)
			}
		})
	}
}

// A cursor means something to the process that gave it. Its replica, promoted in the middle of the scan, is gone over from
// the beginning; so is a server that was started again.
func TestAScanBeginsAgainAtAnotherProcess(t *testing.T) {
	t.Parallel()
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{})
	alone := redisproc.Start(t, redisproc.Options{AppendOnly: true})
	for _, tc := range []struct {
		with   string
		server server
		change func()
	}{
		{"a failover", server{
			name: "failover", addrs: set.Addrs(), master: set.MasterName(), primary: func() string { return set.Primary().Addr() },
		}, func() { set.Failover() }},
		{"a restart", server{name: "restart", addrs: []string{alone.Addr()}}, func() { alone.Stop(); alone.Restart() }},
	} {
		t.Run("a scan with "+tc.with, func(t *testing.T) {
			w := newWorld(t, tc.server)
			all := w.many(1500)
			var got []bff.Lookup
			from, pass := "", 0
			deadline := time.Now().Add(30 * time.Second)
			for n := 1; ; n++ {
				step, err := w.Scan(t.Context(), from)
				if err != nil { // while it changes over
					if time.Now().After(deadline) {
						t.Fatal(err)
					}
					<-time.After(10 * time.Millisecond)
					continue
				}
				got, from, pass = append(got, step.Lookups...), step.Next, step.Pass
				if n == 3 {
					got = nil // what another process gives is all that counts
					tc.change()
				}
				if from == "" {
					break
				}
			}
			slices.Sort(got)
			if lost := missing(all, got); len(lost) > 0 || pass < 2 {
				t.Errorf("after the change %d of %d sessions were not found, in %d passes", len(lost), len(all), pass)
			}
		})
	}
}
