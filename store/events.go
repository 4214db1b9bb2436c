package store

import (
	"context"
	"strings"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// waiting is how many events may wait for deliver: deliver does not block, so they only do while the process is starved.
const waiting = 1024

// Subscribe calls deliver for each event until ctx ends: bff.Events. One plain channel serves all topologies: a Cluster
// spreads it to every node. The connection is asked for a sign of life whenever it is quiet, and made anew by itself.
func (s *Store) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	sub := s.rdb.Subscribe(ctx, s.channel)
	defer func() { _ = sub.Close() }() // nothing is left to tell
	messages := sub.ChannelWithSubscriptions(redis.WithChannelSize(waiting))
	subscribed := false
	for {
		select {
		case <-ctx.Done():
			return
		case m, open := <-messages:
			if !open {
				return
			}
			subscribed = hand(m, subscribed, deliver)
		}
	}
}

// hand passes one message on and returns whether there was a subscription by now: each after the first follows a gap.
func hand(message any, subscribed bool, deliver func(bff.Event)) bool {
	switch m := message.(type) {
	case *redis.Subscription:
		if subscribed {
			deliver(bff.Event{Kind: bff.EventResubscribed})
		}
		return true
	case *redis.Message:
		if ev, ok := parseEvent(m.Payload); ok {
			deliver(ev)
		}
	}
	return subscribed
}

// eventText writes an event as "<kind> <lookup> <reason>".
func eventText(e bff.Event) string {
	return string(e.Kind) + " " + string(e.Lookup) + " " + string(e.Reason)
}

// parseEvent reads an event. Anybody who can write to Redis can publish, so only the kinds that come from there pass;
// whoever gets an event that matters looks at the record.
func parseEvent(payload string) (bff.Event, bool) {
	parts := strings.Split(payload, " ")
	if len(parts) != 3 || parts[1] == "" {
		return bff.Event{}, false
	}
	ev := bff.Event{Kind: bff.EventKind(parts[0]), Lookup: bff.Lookup(parts[1]), Reason: bff.Reason(parts[2])}
	switch ev.Kind {
	case bff.EventEnded, bff.EventExtended, bff.EventRefreshed, bff.EventReplaced:
		return ev, true
	default:
		return bff.Event{}, false
	}
}
