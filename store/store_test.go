package store_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/redis/go-redis/v9"
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
		policy := func(policy string) {
			w.perServer(func(ctx context.Context, c *redis.Client) error {
				return c.ConfigSet(ctx, "maxmemory-policy", policy).Err()
			})
		}
		policy("allkeys-lru")
		defer policy("noeviction")
		found, err = w.CheckServer(t.Context())
		if err != nil || len(found) == 0 || !strings.Contains(found[0], "allkeys-lru") {
			t.Errorf("found %q, %v", found, err)
		}
	})
}

// shows KEY-REDIS
func TestAWayToRedisThatAnybodyCouldUseIsReported(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		const clear, user = "not encrypted", "default user"
		for _, c := range []struct {
			name, addr, user string
			tls              bool
			want             []string
		}{
			{"another machine, as nobody", "redis.example:6379", "", false, []string{clear, user}},
			{"another machine, as the default user", "192.0.2.1:6379", "default", false, []string{clear, user}},
			{"another machine, with a user", "192.0.2.1:6379", "cloakroom", false, []string{clear}},
			{"another machine, by TLS", "192.0.2.1:6379", "", true, []string{user}},
			{"another machine, by TLS, with a user", "redis.example:6379", "cloakroom", true, nil},
			{"this machine", "127.0.0.9:6379", "", false, nil},
			{"this machine by IPv6", "[::1]:6379", "", false, nil},
			{"this machine by name", "localhost:6379", "", false, nil},
		} {
			through := w.open(func(o *store.Options) {
				o.Addrs, o.Username = []string{c.addr}, c.user
				if c.tls {
					o.TLS = &tls.Config{}
				}
				o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
			})
			found, err := through.CheckServer(t.Context())
			want(t, c.name, err, bff.ErrStore)
			if len(found) != len(c.want) {
				t.Errorf("%s: %q", c.name, found)
				continue
			}
			for i, text := range c.want {
				if !strings.Contains(found[i], text) {
					t.Errorf("%s: %q, want it to tell: %s", c.name, found, text)
				}
			}
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

// Only the primary behind Sentinels has a replica here. Where there is none every confirmation is one too few: it is told,
// and nothing fails.
func TestASaveWithoutReplicasIsUnconfirmed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var log logged
		waits := w.open(func(o *store.Options) {
			o.WaitReplicas, o.WaitTimeout = 1, 10*time.Millisecond
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		unconfirmed := func(n int) int { return n }
		if w.server.master != "" {
			waits = w.open(func(o *store.Options) {
				o.WaitReplicas, o.WaitTimeout = 1, 2*time.Second // a loaded machine
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			unconfirmed = func(int) int { return 0 }
		}
		s := w.session()
		want(t, "create", waits.Create(t.Context(), s), nil)
		want(t, "save", waits.Save(t.Context(), s, "a1", next(2)), nil)
		if n := strings.Count(log.String(), "unconfirmed"); n != unconfirmed(2) {
			t.Errorf("told %d times after a login and a save: %s", n, log.String())
		}
		if w.generation(s) != 2 {
			t.Error("not saved")
		}
		want(t, "a late save", waits.Save(t.Context(), s, "a2", next(2)), bff.ErrConflict)
		ended, err := waits.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if ended == nil || err != nil {
			t.Errorf("delete: %+v, %v", ended, err)
		}
		if n := strings.Count(log.String(), "unconfirmed"); n != unconfirmed(4) {
			t.Errorf("told %d times after login, save, late save and delete", n)
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
			w.forgetScripts()
			want(t, c.name+" after a flush", c.call(), nil)
		}
	})
}
