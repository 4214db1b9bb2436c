package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// listen subscribes until the test ends and returns once events arrive.
func (w *world) listen(s *store.Store) <-chan bff.Event {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	events := make(chan bff.Event, 100)
	var running sync.WaitGroup
	running.Go(func() { s.Subscribe(ctx, func(e bff.Event) { events <- e }) })
	w.t.Cleanup(func() { cancel(); running.Wait() })
	channel := w.prefix + "events"
	eventually(w.t, "the subscription", func() bool {
		var subscribed atomic.Int64
		w.perServer(func(ctx context.Context, c *redis.Client) error {
			found, err := c.PubSubNumSub(ctx, channel).Result()
			subscribed.Add(found[channel])
			return err
		})
		return subscribed.Load() == 1
	})
	// Redis has the subscription; with the first event the subscriber knows it too.
	w.raw.Publish(w.t.Context(), channel, "extended warm ")
	receive(w.t, events)
	return events
}

// receive returns the next event.
func receive(t *testing.T, events <-chan bff.Event) bff.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second): // only a broken program takes so long
		t.Fatal("no event")
		return bff.Event{}
	}
}

func TestWhatHappensToASessionIsToldToAllInstances(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *world, s *bff.Session) error
		want bff.Event
	}{
		{"a touch", func(w *world, s *bff.Session) error {
			return w.Touch(w.t.Context(), s, w.clock.Now())
		}, bff.Event{Kind: bff.EventExtended}},
		{"a save", func(w *world, s *bff.Session) error {
			return w.Save(w.t.Context(), s, "a1", next(2))
		}, bff.Event{Kind: bff.EventRefreshed}},
		{"a release", func(w *world, s *bff.Session) error {
			if _, err := w.Claim(w.t.Context(), s.Lookup, "a1", time.Minute); err != nil {
				return err
			}
			return w.Release(w.t.Context(), s.Lookup, "a1", bff.SettleNothing)
		}, bff.Event{Kind: bff.EventRefreshed}},
		{"an end", func(w *world, s *bff.Session) error {
			_, err := w.Delete(w.t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
			return err
		}, bff.Event{Kind: bff.EventEnded, Reason: bff.ReasonSignedOut}},
		{"a replacement", func(w *world, s *bff.Session) error {
			_, err := w.Delete(w.t.Context(), s.Lookup, nil, bff.ReasonReplaced)
			return err
		}, bff.Event{Kind: bff.EventReplaced, Reason: bff.ReasonReplaced}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				events := w.listen(w.open(nil))
				s := w.created()
				// What is no event of ours is passed over.
				w.raw.Publish(t.Context(), w.prefix+"events", "resubscribed x y")
				w.raw.Publish(t.Context(), w.prefix+"events", "garbage")
				want(t, c.name, c.do(w, s), nil)
				c.want.Lookup = s.Lookup
				if diff := cmp.Diff(c.want, receive(t, events)); diff != "" {
					t.Errorf("event (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAGapInTheSubscriptionIsTold(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		events := w.listen(w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} }))
		for range 2 {
			p.cut()
			if e := receive(t, events); e.Kind != bff.EventResubscribed || e.Lookup != "" {
				t.Errorf("after the gap: %+v", e)
			}
		}
		s := w.created()
		want(t, "touch", w.Touch(t.Context(), s, w.clock.Now()), nil)
		if e := receive(t, events); e.Kind != bff.EventExtended {
			t.Errorf("then: %+v", e)
		}
	})
}
