//go:build integration

package store_test

import (
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
	"cloakroom/test/redisproc"
)

// slotMoves has the slot of the only record of w move while do writes to it, so many of its keys having gone ahead.
func slotMoves(t *testing.T, c *redisproc.Cluster, w *world, ahead int, do func() error) error {
	t.Helper()
	slot := recordSlot(t, c, w.prefix)
	to := c.Nodes[0]
	if c.Master(slot) == to {
		to = c.Nodes[1]
	}
	m := c.Move(slot, to)
	m.Begin()
	if got := m.Keys(ahead); got != ahead {
		t.Fatalf("%d keys went ahead, want %d", got, ahead)
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	<-time.After(200 * time.Millisecond) // longer than the client's own patience with a divided slot
	m.Finish()
	return <-done
}

// A call with a bound handle is a write too: its proof is nowhere yet.
//
// shows DPOP-11.1
func TestProofsOfASessionWhoseSlotMoves(t *testing.T) {
	t.Parallel()
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
	for name, pipeline := range map[string]bool{"alone": false, "in pipelines": true} {
		for _, ahead := range []int{0, 1} {
			w := newWorld(t, server{name: "cluster", addrs: c.Addrs(), cluster: true})
			s, st := w.bound(), w.open(func(o *store.Options) { o.Pipeline = pipeline })
			read := func(proof string) error {
				_, err := st.ReadProven(t.Context(), s.Root, w.proven(ownKey, proof))
				return err
			}
			want(t, "reading, before", read("teaches the script"), nil)
			w.raw.Del(t.Context(), w.proofKey(s, "teaches the script")) // the record is alone
			if err := slotMoves(t, c, w, ahead, func() error { return read("one") }); err != nil {
				t.Errorf("reading %s, %d keys gone ahead: %v", name, ahead, err)
			}
			want(t, "the same proof afterwards", read("one"), bff.ErrUsed)
		}
	}
}

// While a slot moves, Redis refuses scripts whose keys are divided between two nodes (TRYAGAIN), or sends on what has gone
// already (ASK). Both are a moment's delay, not an outage.
func TestWritesToASlotThatMoves(t *testing.T) {
	t.Parallel()
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
	for name, row := range map[string]struct {
		leave int // keys that have gone when the write comes
		wait  int
	}{
		"all keys still here":                          {0, 0},
		"the record gone ahead":                        {1, 0},
		"all keys still here, and a wait for replicas": {0, 1},
		"the record gone ahead, and a wait":            {1, 1},
	} {
		t.Run("a slot with "+name, func(t *testing.T) {
			w := newWorld(t, server{name: "cluster", addrs: c.Addrs(), cluster: true})
			s := w.created()
			waits := w.open(func(o *store.Options) { o.WaitReplicas, o.WaitTimeout = row.wait, 10*time.Millisecond })
			err := slotMoves(t, c, w, row.leave, func() error {
				_, err := waits.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
				return err
			})
			if err != nil {
				t.Errorf("a sign-out meanwhile: %v", err)
			}
			if _, err := waits.Read(t.Context(), s.Root); err == nil {
				t.Error("the session is still there")
			}
		})
	}
}

// recordSlot is where the only record under a prefix is.
func recordSlot(t *testing.T, c *redisproc.Cluster, prefix string) int {
	t.Helper()
	for _, key := range c.Keys() {
		if strings.HasPrefix(key, prefix+"s:{") {
			return c.Slot(key)
		}
	}
	t.Fatal("there is no record")
	return 0
}
