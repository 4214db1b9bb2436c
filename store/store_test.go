package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
)

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	good := func() store.Options {
		return store.Options{
			Addrs: []string{"127.0.0.1:6379"}, Ring: ring(t, []string{"k1"}, nil, []string{"i1"}), MarkerLife: time.Hour,
		}
	}
	for _, c := range []struct {
		name   string
		change func(*store.Options)
		ok     bool
	}{
		{"an address, a ring and a marker life", func(*store.Options) {}, true},
		{"Sentinels", func(o *store.Options) { o.Addrs, o.MasterName = []string{"a:1", "b:1"}, "main" }, true},
		{"Cluster nodes", func(o *store.Options) { o.Addrs, o.Cluster = []string{"a:1", "b:1"}, true }, true},
		{"pipelined reads", func(o *store.Options) { o.Pipeline = true }, true},
		{"no address", func(o *store.Options) { o.Addrs = nil }, false},
		{"two addresses of nothing", func(o *store.Options) { o.Addrs = []string{"a:1", "b:1"} }, false},
		{"both Sentinel and Cluster", func(o *store.Options) { o.MasterName, o.Cluster = "main", true }, false},
		{"a prefix that moves the hash tag", func(o *store.Options) { o.KeyPrefix = "{cr}:" }, false},
		{"no ring", func(o *store.Options) { o.Ring = nil }, false},
		{"no marker life", func(o *store.Options) { o.MarkerLife = 0 }, false},
		{"a wait that outlasts the read", func(o *store.Options) { o.WaitReplicas, o.WaitTimeout = 1, time.Minute }, false},
	} {
		t.Run("options with "+c.name, func(t *testing.T) {
			o := good()
			c.change(&o)
			s, err := store.New(o)
			if (err == nil) != c.ok {
				t.Fatalf("%v, want ok %v", err, c.ok)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
}

func TestTheClockIsThatOfRedis(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		behind := w.open(func(o *store.Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } })
		if behind.Drift() != 0 {
			t.Error("a drift before it was measured")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { behind.Run(ctx) })
		eventually(t, "the measurement", func() bool { return behind.Drift() != 0 })
		cancel()
		running.Wait()
		if off := time.Until(behind.Now()).Abs(); off > time.Minute {
			t.Errorf("the shared clock is %v off Redis's", off)
		}
	})
}

// shows KEY-TTL
func TestAServerThatEvictsIsReported(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		found, err := w.CheckServer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if w.server.name == "miniredis" { // tells neither version nor policy
			if len(found) != 2 || !strings.HasPrefix(found[0], "note:") || !strings.HasPrefix(found[1], "note:") {
				t.Errorf("found %q, want two notes", found)
			}
			return
		}
		if len(found) != 0 {
			t.Errorf("found %q of a good server", found)
		}
		w.raw.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru")
		defer w.raw.ConfigSet(context.WithoutCancel(t.Context()), "maxmemory-policy", "noeviction")
		found, err = w.CheckServer(t.Context())
		if err != nil || len(found) != 1 || !strings.Contains(found[0], "allkeys-lru") {
			t.Errorf("found %q, %v", found, err)
		}
	})
}

// logged is a log that tests may read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// There is no replica here, so every confirmation is one too few: it is told, and nothing fails.
func TestASaveWithoutReplicasIsUnconfirmed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var log logged
		waits := w.open(func(o *store.Options) {
			o.WaitReplicas, o.WaitTimeout = 1, 10*time.Millisecond
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		s := w.created()
		want(t, "save", waits.Save(t.Context(), s, "a1", next(2)), nil)
		if n := strings.Count(log.String(), "unconfirmed"); n != 1 {
			t.Errorf("told %d times after the save: %s", n, log.String())
		}
		if w.generation(s) != 2 {
			t.Error("not saved")
		}
		want(t, "a late save", waits.Save(t.Context(), s, "a2", next(2)), bff.ErrConflict)
		ended, err := waits.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if ended == nil || err != nil {
			t.Errorf("delete: %+v, %v", ended, err)
		}
		if n := strings.Count(log.String(), "unconfirmed"); n != 3 {
			t.Errorf("told %d times after save, late save and delete", n)
		}
	})
}

// A restarted Redis knows no script: each is sent again, and works at once.
func TestAServerThatForgotTheScriptsIsTaughtAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		waits := w.open(func(o *store.Options) { o.WaitReplicas, o.WaitTimeout = 1, 10*time.Millisecond })
		for _, c := range []struct {
			name string
			call func() error
		}{
			{"a create", func() error { return w.Create(t.Context(), w.session()) }},
			{"a touch", func() error { return w.Touch(t.Context(), s, w.clock.Now()) }},
			{"a save", func() error { return w.Save(t.Context(), s, "a1", next(2)) }},
			{"a confirmed save", func() error { return waits.Save(t.Context(), s, "a1", next(2)) }},
			{"a mark", func() error {
				return w.Mark(t.Context(), targets(group), bff.Marker{ID: "m", At: w.clock.Now()})
			}},
			{"a confirmed delete", func() error {
				_, err := waits.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
				return err
			}},
		} {
			w.raw.ScriptFlush(t.Context())
			want(t, c.name+" after a flush", c.call(), nil)
		}
	})
}
