//go:build integration

package store_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
	"cloakroom/test/redisproc"
)

// onCluster runs a test on the Cluster alone.
func onCluster(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	onReal(t, func(t *testing.T, w *world) {
		if w.server.cluster {
			test(t, w)
		}
	})
}

// loss loses the answer to the next request that holds text: Redis has done its work then, and the connection is gone.
type loss struct {
	mu   sync.Mutex
	text string
	lost int
}

func (l *loss) of(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = text
}

func (l *loss) meets(b []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" || !strings.Contains(string(b), l.text) {
		return false
	}
	l.text = ""
	l.lost++
	return true
}

func (l *loss) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

func (l *loss) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	return &lossyConn{Conn: c, loss: l}, err
}

type lossyConn struct {
	net.Conn
	loss  *loss
	armed bool // a connection is used by one request at a time
}

func (c *lossyConn) Write(b []byte) (int, error) {
	if c.loss.meets(b) {
		c.armed = true
	}
	return c.Conn.Write(b)
}

func (c *lossyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.armed {
		return 0, io.EOF
	}
	return n, err
}

// The client of a Cluster sends a command again whose answer is missing, whatever is said of retries. So every script is the
// same when it comes twice.
func TestAClustersClientMayRepeatAnyWrite(t *testing.T) {
	onCluster(t, func(t *testing.T, w *world) {
		var l loss
		lossy := w.open(func(o *store.Options) {
			o.Dialer, o.Revocable = l.dial, func(string) bool { return true }
		})
		ctx, s := t.Context(), w.session()
		s.Turn = bff.Turn{N: 1, Moved: s.CreatedAt, Issued: s.CreatedAt}
		rec, m := w.prefix+"s:{", bff.Marker{ID: "m", At: w.clock.Now()}
		for _, c := range []struct {
			doing string
			text  string // in the request whose answer is lost
			call  func() error
		}{
			{"create: the record", rec, func() error { return lossy.Create(ctx, s) }},
			{"touch", rec, func() error { return lossy.Touch(ctx, s, w.clock.Now()) }},
			{"claim", rec, func() error {
				claim, err := lossy.Claim(ctx, s.Lookup, "a1", time.Minute)
				if err == nil && (!claim.Granted || claim.Fence != 1) {
					t.Errorf("claim: %+v, want one", claim)
				}
				return err
			}},
			{"renew", rec, func() error { return lossy.Renew(ctx, s.Lookup, "a1", time.Minute) }},
			{"mark as sent", rec, func() error { return lossy.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()) }},
			{"save", rec, func() error { return lossy.Save(ctx, s, "a1", next(2)) }},
			{"release", rec, func() error { return lossy.Release(ctx, s.Lookup, "a1", bff.SettleGood) }},
			{"rotate", rec, func() error {
				turn, err := lossy.Rotate(ctx, s, 1, grace)
				if err == nil && turn.N != 2 {
					t.Errorf("turn %+v, want the second", turn)
				}
				return err
			}},
			{"seen", rec, func() error { return lossy.TurnSeen(ctx, s, 2) }},
			{"mark", w.prefix + "end:", func() error { return lossy.Mark(ctx, targets(group), m) }},
			{"use", w.prefix + "tx:", func() error { return lossy.Use(ctx, "tx", "state", "a1", time.Minute) }},
			{"put", w.prefix + "out:", func() error { return lossy.Put(ctx, "out", "n", []byte("v"), time.Minute) }},
			{"keep", w.prefix + "code:", func() error { return lossy.Keep(ctx, s.Root, w.waiting(), time.Minute) }},
			{"redeem", "redeemer", func() error { _, err := lossy.Redeem(ctx, s.Root, "redeemer"); return err }},
			{"delete", rec, func() error {
				ended, err := lossy.Delete(ctx, s.Lookup, &m, bff.ReasonSignedOut)
				if err == nil && (ended == nil || ended.Refresh.Reveal() != "refresh-token-2") {
					t.Errorf("ended %+v, want it with its refresh token", ended)
				}
				return err
			}},
		} {
			before := l.count()
			l.of(c.text)
			want(t, c.doing, c.call(), nil)
			if l.count() != before+1 {
				t.Errorf("%s: no answer was lost", c.doing)
			}
		}
		if w.server.cluster && w.keys() == nil {
			t.Error("nothing was written")
		}
	})
}

// A slot moves to another node, key by key, while its session is in use: by a user with the documented rights.
func TestASessionIsUsedWhileItsSlotMoves(t *testing.T) {
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
	w := newWorld(t, server{name: "moving", addrs: c.Addrs(), cluster: true})
	commands := w.documented()
	allowed := w.limited(commands, nil)
	w.Store = allowed
	s := w.created()
	slot := c.Slot(w.record(s.Lookup))
	to := c.Nodes[0]
	if c.Master(slot) == to {
		to = c.Nodes[1]
	}
	ctx := t.Context()
	use := func(when string) {
		t.Helper()
		if _, err := allowed.Read(ctx, s.Root); err != nil {
			t.Errorf("read %s: %v", when, err)
		}
	}
	move := c.Move(slot, to)
	use("before")
	move.Begin()
	use("as the move begins")
	if move.Keys(10) == 0 {
		t.Fatal("no key moved")
	}
	use("when it has left")
	withoutAsking := w.limited(slices.DeleteFunc(slices.Clone(commands), func(c string) bool { return c == "+asking" }), nil)
	if _, err := withoutAsking.Read(ctx, s.Root); !errors.Is(err, bff.ErrStore) {
		t.Errorf("read without the right to ask: %v", err)
	}
	w.limited(commands, nil)
	move.Finish()
	use("afterwards")
	want(t, "touch", allowed.Touch(ctx, s, w.clock.Now()), nil)
	if claim, err := allowed.Claim(ctx, s.Lookup, "a1", time.Minute); err != nil || !claim.Granted {
		t.Errorf("claim: %+v, %v", claim, err)
	}
	want(t, "save", allowed.Save(ctx, s, "a1", next(2)), nil)
}

// An orderly change of the primary leaves connections open to a server that is a replica now, and refuses writes: they are
// let go of, and nothing is lost.
func TestConnectionsToAFormerPrimaryAreLetGoOf(t *testing.T) {
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{})
	w := newWorld(t, server{name: "failover", addrs: set.Addrs(), master: set.MasterName(), primary: func() string { return set.Primary().Addr() }})
	// The replica has the session before it is promoted.
	waits := w.open(func(o *store.Options) { o.WaitReplicas, o.WaitTimeout = 1, 2*time.Second })
	s := w.session()
	want(t, "create", waits.Create(t.Context(), s), nil)
	var busy sync.WaitGroup
	for range 8 { // connections to spare
		busy.Go(func() { _, _ = w.Read(t.Context(), s.Root) })
	}
	busy.Wait()
	set.Failover()
	began := time.Now()
	eventually(t, "a write to the new primary", func() bool {
		err := w.Touch(t.Context(), s, w.clock.Now())
		if err != nil && !errors.Is(err, bff.ErrStore) {
			t.Fatalf("touch: %v", err)
		}
		return err == nil
	})
	t.Logf("writes went on after %v", time.Since(began))
	for range 20 { // whichever connection it takes
		want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil)
		if _, err := w.Read(t.Context(), s.Root); err != nil {
			t.Errorf("read: %v", err)
		}
	}
}
