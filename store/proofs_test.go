package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// Thumbprints of two keys, one of them another app's, or a thief's.
var ownKey, otherKey = strings.Repeat("k", 43), strings.Repeat("o", 43)

// bound is a stored session of a native app whose handle is bound to ownKey.
func (w *world) bound() *bff.Session {
	w.t.Helper()
	s := w.session()
	s.Turn, s.Key = bff.Turn{N: 1, Moved: s.CreatedAt, Issued: s.CreatedAt}, ownKey
	want(w.t, "create", w.Create(w.t.Context(), s), nil)
	return s
}

// proven is a possession of key by a proof of this name, good for a minute.
func (w *world) proven(key, proof string) *bff.Possession {
	return &bff.Possession{Key: key, Proof: proof, Until: w.clock.Now().Add(time.Minute)}
}

// proofKey names the key under which a proof for a session is remembered.
func (w *world) proofKey(s *bff.Session, proof string) string {
	return w.record(s.Lookup) + ":j:" + proof
}

// proofs counts the proofs that are remembered.
func (w *world) proofs() (n int) {
	for _, k := range w.keys() {
		if strings.Contains(k, ":j:") {
			n++
		}
	}
	return n
}

// shows DPOP-11.1
func TestAProofIsTakenOnceOverAllInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, ctx := w.bound(), t.Context()
		instances := []*store.Store{w.Store, w.open(nil), w.open(func(o *store.Options) { o.Pipeline = true })}
		got, err := w.ReadProven(ctx, s.Root, w.proven(ownKey, "one"))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := w.Read(ctx, s.Root)
		want(t, "read", err, nil)
		if diff := cmp.Diff(plain, got, sessions()); diff != "" || got.Key != ownKey {
			t.Errorf("not what a read gives (-read +proven):\n%s", diff)
		}
		for i, in := range instances {
			_, err := in.ReadProven(ctx, s.Root, w.proven(ownKey, "one"))
			want(t, fmt.Sprint("the same proof at instance ", i), err, bff.ErrUsed)
			_, err = in.ReadProven(ctx, s.Root, w.proven(ownKey, fmt.Sprint("another ", i)))
			want(t, fmt.Sprint("another proof at instance ", i), err, nil)
		}
		other := w.bound()
		_, err = w.ReadProven(ctx, other.Root, w.proven(ownKey, "one"))
		want(t, "a proof of the same name at another session", err, nil)
	})
}

// shows DPOP-11.1
func TestManyPresentOneProofAtOnceAndOneIsServed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.bound()
		instances := []*store.Store{w.Store, w.open(nil), w.open(func(o *store.Options) { o.Pipeline = true })}
		var served atomic.Int64
		var asking sync.WaitGroup
		for i := range 30 {
			asking.Go(func() {
				_, err := instances[i%3].ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
				if err == nil {
					served.Add(1)
				} else if !errors.Is(err, bff.ErrUsed) {
					t.Errorf("reading: %v", err)
				}
			})
		}
		asking.Wait()
		if served.Load() != 1 {
			t.Errorf("served %d times", served.Load())
		}
	})
}

// Nobody but the holder of the key has Redis keep a byte, however often he asks.
//
// shows DPOP-11.1
func TestAProofOfNoUseIsNotRemembered(t *testing.T) {
	for name, c := range map[string]struct {
		of  func(w *world) *bff.Session
		key string
		err error
	}{
		"by another key":                       {(*world).bound, otherKey, nil},
		"by the beginning of the key":          {(*world).bound, ownKey[:42], nil},
		"for a handle that is not bound":       {(*world).native, ownKey, nil},
		"for a cookie's session":               {(*world).created, ownKey, nil},
		"for a session that never was":         {(*world).session, ownKey, bff.ErrNoSession},
		"by no key, for one that is not bound": {(*world).native, "", bff.ErrTampered},
	} {
		t.Run("a proof "+name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				s := c.of(w)
				before := slices.Sorted(slices.Values(w.keys()))
				for i := range 20 {
					got, err := w.ReadProven(t.Context(), s.Root, w.proven(c.key, fmt.Sprint(i%10)))
					want(t, "reading", err, c.err)
					if c.err == nil && (got == nil || got.Key != s.Key) {
						t.Fatalf("read %+v: want the session as it is, bound to %q", got, s.Key)
					}
				}
				if diff := cmp.Diff(before, slices.Sorted(slices.Values(w.keys()))); diff != "" {
					t.Errorf("Redis keeps more or less:\n%s", diff)
				}
			})
		})
	}
}

// Whoever guesses handles, or has only heard of sessions that are over, costs Redis no memory: ten thousand in a soak.
//
// shows DPOP-11.1
func TestProofsForHandlesThatDoNotExistLeaveRedisFlat(t *testing.T) {
	guesses := 200
	if os.Getenv("SOAK") == "1" {
		guesses = 10_000
	}
	each(t, func(t *testing.T, w *world) {
		w.bound()
		before := w.keys()
		var guessing sync.WaitGroup
		for range 4 {
			guessing.Go(func() {
				for i := range guesses / 4 {
					_, err := w.ReadProven(t.Context(), bff.NewRoot(), w.proven(ownKey, fmt.Sprint(i)))
					want(t, "reading what is not there", err, bff.ErrNoSession)
				}
			})
		}
		guessing.Wait()
		if after := w.keys(); len(after) != len(before) {
			t.Errorf("%d keys became %d", len(before), len(after))
		}
	})
}

// A proof is remembered for as long as it could be presented, and five seconds for clocks; not longer.
//
// shows DPOP-11.1, KEY-TTL
func TestAProofIsRememberedWhileItCouldBePresented(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.bound()
		for name, left := range map[string]time.Duration{
			"fresh": 70 * time.Second, "old": time.Second, "at its end": 0, "long over": -time.Hour,
		} {
			p := w.proven(ownKey, name)
			p.Until = w.clock.Now().Add(left)
			_, err := w.ReadProven(t.Context(), s.Root, p)
			want(t, "a proof "+name, err, nil)
			life := max(left+5*time.Second, time.Millisecond) // Redis takes no less
			got := w.raw.PTTL(t.Context(), w.proofKey(s, name)).Val()
			if got > life || got < life-3*time.Second {
				t.Errorf("a proof %s is remembered for %v, want %v", name, got, life)
			}
		}
		other := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val()
		if other < 30*time.Minute {
			t.Errorf("the record's own life is %v", other)
		}
	})
}

// Who asks knows nothing of the first attempt's success: its repetition is the same success, and no replay. The proof is
// used up all the same.
//
// shows DPOP-11.1
func TestAReadWithAProofWhoseAnswerWasLostIsRepeated(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		s, p := w.bound(), w.proxy()
		far := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		_, err := far.ReadProven(t.Context(), s.Root, w.proven(ownKey, "teaches the server the script"))
		want(t, "read", err, nil)
		p.loseReplyTo("evalsha")
		got, err := far.ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
		if err != nil || got.Key != ownKey || p.losses() != 1 {
			t.Fatalf("read %+v, %v, %d answers lost", got, err, p.losses())
		}
		_, err = w.ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
		want(t, "the proof again, elsewhere", err, bff.ErrUsed)
		_, err = far.ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
		want(t, "the proof again, at the same instance", err, bff.ErrUsed)
	})
}

// shows SESS-CAS, DPOP-11.1
func TestAProofBringsNoSessionBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 10 {
			s := w.bound()
			var racing sync.WaitGroup
			racing.Go(func() {
				_, err := w.ReadProven(t.Context(), s.Root, w.proven(ownKey, fmt.Sprint(i)))
				if err != nil && !errors.Is(err, bff.ErrNoSession) {
					t.Errorf("reading: %v", err)
				}
			})
			racing.Go(func() {
				if _, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
			racing.Wait()
			before := w.proofs()
			_, err := w.ReadProven(t.Context(), s.Root, w.proven(ownKey, "late"))
			wantEnded(t, "reading", err, bff.ReasonSignedOut)
			if n := w.raw.Exists(t.Context(), w.record(s.Lookup)).Val(); n != 0 || w.proofs() != before {
				t.Error("the record is back, or the proof remembered")
			}
		}
	})
}

func TestAKeyOfAnotherKindIsNoBoundRecord(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		w.raw.Set(t.Context(), w.record(s.Lookup), "garbage", time.Minute)
		_, err := w.ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
		if err == nil || w.server.name != "miniredis" && !errors.Is(err, bff.ErrTampered) { // miniredis words a script's error as its own
			t.Errorf("reading a text: %v, want %v", err, bff.ErrTampered)
		}
		b := w.bound()
		w.raw.LPush(t.Context(), w.proofKey(b, "two"), "garbage")
		w.raw.PExpire(t.Context(), w.proofKey(b, "two"), time.Minute)
		if _, err = w.ReadProven(t.Context(), b.Root, w.proven(ownKey, "two")); err == nil {
			t.Error("a proof that cannot be looked up is taken")
		}
	})
}

// The hot path of a bound handle is one command, alone or in a pipeline, and again after a restart of Redis; nothing but
// the script is sent, and to the one key's slot.
func TestAReadWithAProofIsOneCommand(t *testing.T) {
	for name, pipeline := range map[string]bool{"alone": false, "in pipelines": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				var d told
				s, st := w.bound(), w.open(func(o *store.Options) { o.Done, o.Pipeline = d.done, pipeline })
				read := func(proof string) map[string]int {
					t.Helper()
					if _, err := st.ReadProven(t.Context(), s.Root, w.proven(ownKey, proof)); err != nil {
						t.Fatal(err)
					}
					counts, errs := d.since()
					if len(errs) != 0 {
						t.Errorf("told of %v", errs)
					}
					return counts
				}
				read("the first, which may teach the script")
				w.forgetScripts()
				if counts := read("after a restart"); counts["eval"] != 1 {
					t.Errorf("sent %v to a server that knows no script: want it whole, once", counts)
				}
				one := map[string]int{"evalsha": 1}
				if counts := read("as ever"); pipeline && counts["pipeline"] == 1 && len(counts) == 1 {
					return // a pipeline of one
				} else if diff := cmp.Diff(one, counts); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAReadWithAProofIsOneRequestOnTheWire(t *testing.T) {
	for _, pipeline := range []bool{false, true} {
		single(t, func(t *testing.T, w *world) {
			var mu sync.Mutex
			var sent strings.Builder
			tapped := w.open(func(o *store.Options) {
				o.Pipeline = pipeline
				o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return lockedTap{c, &mu, &sent}, err
				}
			})
			s := w.bound()
			_, err := tapped.ReadProven(t.Context(), s.Root, w.proven(ownKey, "makes the connection"))
			want(t, "read", err, nil)
			mu.Lock()
			sent.Reset()
			mu.Unlock()
			_, err = tapped.ReadProven(t.Context(), s.Root, w.proven(ownKey, "one"))
			want(t, "read", err, nil)
			mu.Lock()
			defer mu.Unlock()
			if got := sent.String(); strings.Count(got, "\r\n*")+1 != 1 || !strings.HasPrefix(got, "*") || !strings.Contains(got, "evalsha") {
				t.Errorf("pipelines %v: a read with a proof sends %q, want one evalsha", pipeline, got)
			}
		})
	}
}

// lockedTap notes what goes out on a connection that others write to.
type lockedTap struct {
	net.Conn
	mu   *sync.Mutex
	sent *strings.Builder
}

func (c lockedTap) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.sent.Write(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}
