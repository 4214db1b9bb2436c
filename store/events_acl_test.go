//go:build integration

package store_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/redis/go-redis/v9"
)

// A channel that Redis refuses is told of, once, by log and check, and heard as soon as Redis lets it be heard. The same
// where the right is taken away under a subscription, which Redis then cuts.
//
// shows PRX-LIVE, KEY-REDIS
func TestAChannelThatIsRefusedIsToldOf(t *testing.T) {
	t.Parallel()
	onReal(t, func(t *testing.T, w *world) {
		channel := w.prefix + "events"
		right := func(rules ...string) {
			w.user("deaf", append([]string{"on", ">pass", "~*", "+@all", "resetchannels"}, rules...)...)
		}
		right()
		var log logged
		s := w.open(func(o *store.Options) {
			o.Username, o.Password, o.ReadTimeout = "deaf", bff.NewSecret("pass"), 100*time.Millisecond // tried again each 0.6 s
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
		})
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan bff.Event, 100)
		var running sync.WaitGroup
		running.Go(func() { s.Subscribe(ctx, func(e bff.Event) { events <- e }) })
		defer running.Wait()
		defer cancel()
		warned := func() bool {
			found, err := s.CheckServer(ctx)
			return err == nil && strings.Contains(strings.Join(found, "; "), "the channel of events is not heard")
		}
		eventually(t, "the warning", warned)
		for times := range 2 {
			right("&" + channel)
			w.subscribed(channel, 1)
			eventually(t, "the warning is taken back", func() bool { return !warned() })
			right()
			eventually(t, "the warning is back", warned)
			eventually(t, "the log tells of it once", func() bool {
				return w.deaf(channel) >= int64(3*times+6) && strings.Count(log.String(), "Redis refuses the channel of events") == times+2 &&
					strings.Count(log.String(), "NOPERM") == times+2
			})
		}
		if e := receive(t, events); e.Kind != bff.EventResubscribed {
			t.Errorf("after the gap: %+v", e)
		}
		if n := strings.Count(log.String(), "again"); n != 2 {
			t.Errorf("it is well again %d times", n)
		}
	})
}

// deaf returns how often the user was denied the channel, within the minute that Redis counts together.
func (w *world) deaf(channel string) (times int64) {
	w.t.Helper()
	var mu sync.Mutex
	w.perServer(func(ctx context.Context, c *redis.Client) error {
		entries, err := c.ACLLog(ctx, 100).Result()
		mu.Lock()
		defer mu.Unlock()
		for _, e := range entries {
			if e.Username == "deaf" && e.Object == channel {
				times = max(times, e.Count)
			}
		}
		return err
	})
	return times
}
