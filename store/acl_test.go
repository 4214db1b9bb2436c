//go:build integration

package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/redis/go-redis/v9"
)

// realRedis says that this build of the tests has real servers to run on.
const realRedis = true

// onReal runs a test on the real servers: miniredis knows no users with rights of their own.
func onReal(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	each(t, func(t *testing.T, w *world) {
		if w.server.name != "miniredis" {
			test(t, w)
		}
	})
}

// An old password, or another fault that Redis answers, is no less an outage than silence.
func TestAServerThatRefusesUsIsUnavailable(t *testing.T) {
	onReal(t, func(t *testing.T, w *world) {
		w.user("limited", "on", ">pass", "~"+w.prefix+"*", "&*", "+@all", "-hmget")
		limited := w.open(func(o *store.Options) { o.Username, o.Password = "limited", bff.NewSecret("pass") })
		_, err := limited.Read(t.Context(), bff.NewRoot())
		want(t, "a read that the user may not make", err, bff.ErrStore)
		stranger := w.open(func(o *store.Options) { o.Username, o.Password = "limited", bff.NewSecret("wrong") })
		_, err = stranger.Read(t.Context(), bff.NewRoot())
		want(t, "a read with a wrong password", err, bff.ErrStore)
		if errors.Is(err, bff.ErrNoSession) {
			t.Error("it says that there is no session")
		}
	})
}

// documented returns the rules that docs/operations.md gives, without the commands: user, keys and channel of this world.
func (w *world) documented() (commands []string) {
	w.t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "ACL SETUSER cloakroom on >PASSWORD ~cr:* &cr:events ")
	list, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		w.t.Fatal("docs/operations.md gives no ACL SETUSER")
	}
	return strings.Fields(list)
}

// limited is a store whose user may carry out these commands ("+get") on the keys and the channel of this world.
func (w *world) limited(commands []string, change func(*store.Options)) *store.Store {
	w.t.Helper()
	rules := append([]string{"reset", "on", ">pass", "~" + w.prefix + "*", "&" + w.prefix + "events"}, commands...)
	w.user("least", rules...)
	return w.open(func(o *store.Options) {
		o.Username, o.Password = "least", bff.NewSecret("pass")
		if change != nil {
			change(o)
		}
	})
}

// refused tries all that the store does by these commands, and returns the first thing that does not work.
func (w *world) refused(commands []string) string {
	ctx := w.t.Context()
	w.perServer(func(ctx context.Context, c *redis.Client) error { return c.ACLLogReset(ctx).Err() })
	w.Store = w.limited(commands, nil)
	w.forgetScripts()
	for range 2 { // scripts sent whole, and by hash
		for doing, err := range w.everything(ctx, w.session()) {
			if errors.Is(err, bff.ErrStore) {
				return fmt.Sprint(doing, ": ", err)
			}
		}
	}
	if _, err := w.Claim(ctx, w.created().Lookup, "a1", time.Minute); err != nil {
		return err.Error()
	}
	if err := w.SampleClock(ctx); err != nil {
		return err.Error()
	}
	step, err := w.Scan(ctx, "")
	if err == nil {
		_, err = w.Scan(ctx, step.Next)
	}
	if err != nil {
		return err.Error()
	}
	if command := w.deniedOn(); command != "" { // the client may do without an answer, and ask in vain each time
		return "refused: " + command
	}
	found, err := w.CheckServer(ctx)
	found = slices.DeleteFunc(found, func(text string) bool { return strings.Contains(text, "maxmemory-policy") }) // optional
	if err != nil || len(found) != 0 {
		return fmt.Sprint(found, err)
	}
	var log logged
	waiting := w.limited(commands, func(o *store.Options) {
		o.WaitReplicas, o.WaitTimeout, o.Log = 1, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	})
	if err := waiting.Save(ctx, w.created(), "a1", next(2)); err != nil || strings.Contains(log.String(), "NOPERM") {
		return fmt.Sprint(err, log.String())
	}
	if !w.server.cluster {
		second := w.limited(commands, func(o *store.Options) { o.DB = 1 })
		if err := second.Ping(ctx); err != nil {
			return fmt.Sprint("another database: ", err)
		}
	}
	return w.unheard(ctx)
}

// user makes a user on every primary.
func (w *world) user(name string, rules ...string) {
	w.t.Helper()
	w.perServer(func(ctx context.Context, c *redis.Client) error { return c.ACLSetUser(ctx, name, rules...).Err() })
}

// deniedOn returns a command that a primary has denied to the user, but for the one that is optional.
func (w *world) deniedOn() (command string) {
	var mu sync.Mutex
	w.perServer(func(ctx context.Context, c *redis.Client) error {
		entries, err := c.ACLLog(ctx, 100).Result()
		mu.Lock()
		defer mu.Unlock()
		for _, e := range entries {
			if e.Username == "least" && e.Object != "config|get" {
				command = e.Object
			}
		}
		return err
	})
	return command
}

// unheard waits for an event a moment.
func (w *world) unheard(ctx context.Context) string {
	s, events := w.created(), make(chan bff.Event, 16)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { w.Subscribe(ctx, func(e bff.Event) { events <- e }) })
	defer running.Wait()
	defer cancel()
	for poll := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-events:
			return ""
		case <-ctx.Done():
			return "no event"
		case <-poll.C: // whether it is subscribed yet, nobody says
			if err := w.Touch(ctx, s, w.clock.Now()); err != nil && ctx.Err() == nil {
				return err.Error()
			}
		}
	}
}

// What the store needs of Redis, as an operator would grant it by docs/operations.md, and no more: without any one of these
// commands something does not work.
//
// shows KEY-REDIS
func TestALeastPrivilegedUserIsEnough(t *testing.T) {
	t.Parallel()
	onReal(t, func(t *testing.T, w *world) {
		commands := w.documented()
		if failed := w.refused(commands); failed != "" {
			t.Fatalf("with all that is documented: %s", failed)
		}
		if w.server.master != "" {
			return // the primary is a server like any other
		}
		clusterOnly := []string{"+cluster", "+command", "+asking"} // that +asking is needed: see topology_test.go
		for _, c := range commands {
			if !w.server.cluster && slices.Contains(clusterOnly, c) || w.server.cluster && c == "+select" || c == "+asking" {
				continue
			}
			rest := slices.DeleteFunc(slices.Clone(commands), func(other string) bool { return other == c })
			if failed := w.refused(rest); failed == "" {
				t.Errorf("all works without %s", c)
			}
		}
	})
}
