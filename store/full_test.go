//go:build integration

package store_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
	"cloakroom/test/redisproc"

	"github.com/google/go-cmp/cmp"
)

// full is a world on a Redis of its own, and what fills that up: from then on it refuses whatever may need room.
func full(t *testing.T) (w *world, fill func()) {
	t.Helper()
	s := redisproc.Start(t, redisproc.Options{Args: []string{"--maxmemory-policy", "noeviction"}})
	w = newWorld(t, server{name: "full", addrs: []string{s.Addr()}})
	return w, func() {
		if err := w.raw.ConfigSet(context.WithoutCancel(t.Context()), "maxmemory", "1").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever is signed in goes on, and signs out.
//
// shows SESS-503
func TestARedisThatIsFullServesThoseWhoAreSignedIn(t *testing.T) {
	w, fill := full(t)
	ctx := t.Context()
	again := w.open(func(o *store.Options) { o.Revocable = func(string) bool { return true } })
	s, native, bound, other := w.created(), w.native(), w.bound(), w.session()
	if err := again.Create(ctx, other); err != nil {
		t.Fatal(err)
	}
	want(t, "put", w.Put(ctx, "out", "ticket", []byte("way out"), time.Minute), nil)
	fill()
	w.forgetScripts()
	must := func(doing string, do func() error) { t.Helper(); want(t, doing, do(), nil) }
	must("read", func() error { _, err := w.Read(ctx, s.Root); return err })
	w.clock.Move(10 * time.Minute)
	must("touch", func() error { return w.Touch(ctx, s, w.clock.Now()) })
	must("claim", func() error { _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); return err })
	must("claim again", func() error { _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); return err })
	must("renew", func() error { return w.Renew(ctx, s.Lookup, "a1", time.Minute) })
	must("mark as sent", func() error { return w.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()) })
	must("release in doubt", func() error { return w.Release(ctx, s.Lookup, "a1", bff.SettleDoubt) })
	if got, err := w.Read(ctx, s.Root); err != nil || got.Sent == nil || !got.Sent.Doubt {
		t.Errorf("read %+v, %v after a release in doubt", got, err)
	}
	must("release in doubt, not holding the lease", func() error { return w.Release(ctx, s.Lookup, "a1", bff.SettleDoubt) })
	must("claim next", func() error { _, err := w.Claim(ctx, s.Lookup, "a2", time.Minute); return err })
	must("save", func() error { return w.Save(ctx, s, "a2", next(2)) })
	must("rotate", func() error { _, err := w.Rotate(ctx, native, 1, grace); return err })
	must("seen", func() error { return w.TurnSeen(ctx, native, 2) })
	must("rotate again", func() error { _, err := w.Rotate(ctx, native, 2, grace); return err })
	must("rotate for a lost answer", func() error { _, err := w.Rotate(ctx, native, 2, grace); return err })
	must("read with a proof", func() error { _, err := w.ReadProven(ctx, bound.Root, w.proven(ownKey, "one")); return err })
	_, err := w.ReadProven(ctx, bound.Root, w.proven(ownKey, "one"))
	want(t, "read with the same proof", err, bff.ErrUsed)
	for _, key := range w.keys() { // an index that was lost is made anew
		if len(key) > len(w.prefix)+3 && key[len(w.prefix):len(w.prefix)+3] == "ix:" {
			w.raw.Del(ctx, key)
		}
	}
	must("touch without an index", func() error { return w.Touch(ctx, s, w.clock.Now()) })
	if found, err := w.Members(ctx, ssoTarget); err != nil || len(found) != 1 {
		t.Errorf("members %v, %v after a touch", found, err)
	}
	m := bff.Marker{ID: "m", At: w.clock.Now()}
	must("mark", func() error { return w.Mark(ctx, targets(group), m) })
	m.At = m.At.Add(time.Second)
	must("mark again", func() error { return w.Mark(ctx, targets(group), m) })
	for _, l := range []bff.Lookup{s.Lookup, other.Lookup} {
		if ended, err := again.Delete(ctx, l, &m, bff.ReasonSignedOut); err != nil || ended == nil {
			t.Errorf("delete: %+v, %v", ended, err)
		}
	}
	must("undoing a login", func() error { _, err := w.Delete(ctx, w.session().Lookup, nil, bff.ReasonLoginUndone); return err })
	must("take", func() error { _, err := w.Take(ctx, "out", "ticket"); return err })
	_, err = w.Read(ctx, s.Root)
	wantEnded(t, "read after the sign-out", err, bff.ReasonSignedOut)
	w.everyKeyEnds()
}

// A Redis that takes no writes, for its disk fails or its replicas are away, still tells who is signed in. What was used
// before it could not tell afterwards: a bound handle is refused as by an outage, never read without its proof.
//
// shows DPOP-11.1, SESS-503
func TestABoundHandleIsNotReadWhereNothingIsWritten(t *testing.T) {
	s := redisproc.Start(t, redisproc.Options{})
	w := newWorld(t, server{name: "read-only", addrs: []string{s.Addr()}})
	unbound, bound := w.native(), w.bound()
	_, err := w.ReadProven(t.Context(), bound.Root, w.proven(ownKey, "teaches the script"))
	want(t, "read", err, nil)
	want(t, "lonely", w.raw.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(), nil)
	_, err = w.Read(t.Context(), unbound.Root)
	want(t, "an unbound handle", err, nil)
	for name, st := range map[string]*store.Store{"alone": w.Store, "in pipelines": w.open(func(o *store.Options) { o.Pipeline = true })} {
		_, err = st.ReadProven(t.Context(), bound.Root, w.proven(ownKey, "one"))
		want(t, "a bound one, "+name, err, bff.ErrStore)
	}
	want(t, "no longer lonely", w.raw.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err(), nil)
	_, err = w.ReadProven(t.Context(), bound.Root, w.proven(ownKey, "one"))
	want(t, "the same proof afterwards", err, nil)
}

// Only what begins is refused, and leaves nothing behind.
//
// shows SESS-503
func TestARedisThatIsFullRefusesWhatBegins(t *testing.T) {
	w, fill := full(t)
	ctx := t.Context()
	code := bff.NewRoot()
	want(t, "keep", w.Keep(ctx, code, &bff.Pending{App: app, Provider: provider, Began: w.clock.Now()}, time.Minute), nil)
	fill()
	before := w.keys()
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"create", func() error { return w.Create(ctx, w.session()) }},
		{"use", func() error { return w.Use(ctx, "tx", "state", "a1", time.Minute) }},
		{"put", func() error { return w.Put(ctx, "out", "ticket", []byte("way out"), time.Minute) }},
		{"keep", func() error { return w.Keep(ctx, bff.NewRoot(), &bff.Pending{App: app}, time.Minute) }},
		{"redeem", func() error { _, err := w.Redeem(ctx, code, w.session().Lookup); return err }},
		{"a rate limit", func() error {
			_, _, err := w.Allow(ctx, "sign-in", "192.0.2.1", store.Rate{Count: 1, Per: time.Second, Burst: 1})
			return err
		}},
	} {
		want(t, c.name, c.call(), bff.ErrStore)
		if diff := cmp.Diff(before, w.keys(), sorted()); diff != "" {
			t.Errorf("%s left something behind:\n%s", c.name, diff)
		}
	}
	want(t, "room again", w.raw.ConfigSet(ctx, "maxmemory", "0").Err(), nil)
	if _, err := w.Redeem(ctx, code, w.session().Lookup); err != nil {
		t.Errorf("redeem, with room again: %v", err)
	}
}

// sorted compares lists of keys whatever their order.
func sorted() cmp.Option {
	return cmp.Transformer("sorted", func(keys []string) []string { return slices.Sorted(slices.Values(keys)) })
}

// The last room went to the index entries: they go with the login that is refused.
func TestALoginThatFillsRedisLeavesNothing(t *testing.T) {
	w, fill := full(t)
	w.created()
	before := w.keys()
	var once sync.Once
	last := w.open(func(o *store.Options) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return hookedConn{c, w.prefix + "s:{", &once, fill}, err
		}
	})
	s := w.session()
	s.Subject, s.SID, s.Groups = "somebody else", "another", []string{"sid another"}
	want(t, "create", last.Create(t.Context(), s), bff.ErrStore)
	if diff := cmp.Diff(before, w.keys(), sorted()); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}
