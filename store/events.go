package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"cloakroom/bff"

	"github.com/redis/go-redis/v9"
)

// quietTimes a ReadTimeout is how long a subscription may be silent before it is asked for a sign of life, and how long that
// may take: by default three seconds each, as often as the watch looks at records.
const quietTimes = 6

// againAfter is how long after a break the next attempt is made: the client has just made one by itself.
const againAfter = 100 * time.Millisecond

// errSilent is why a subscription is made anew that gives no sign of life.
var errSilent = errors.New("the connection gives no sign of life")

// Subscribe calls deliver for each event until ctx ends: bff.Events. One plain channel serves all topologies: a Cluster
// spreads it to every node. The connection is asked for a sign of life whenever it is quiet, and made anew where it breaks,
// gives none, or is refused the channel. CheckServer tells of a channel that is not heard.
func (s *Store) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	e := &ear{store: s, deliver: deliver, quiet: quietTimes * s.readTimeout}
	defer s.deaf.Store(nil) // nobody listens, and nobody misses anything
	for ctx.Err() == nil {
		if err := e.hear(ctx); ctx.Err() == nil {
			e.lost(err)
			pause(ctx, e.quiet)
		}
	}
}

// ear hears the channel.
type ear struct {
	store   *Store
	deliver func(bff.Event)
	quiet   time.Duration
	once    bool // there was a subscription by now: each after the first follows a gap
	refused bool // the log says that Redis refuses the channel
}

// hear takes what comes until Redis refuses the channel, the connection is silent, or ctx ends. A connection that breaks
// is replaced by the client.
func (e *ear) hear(ctx context.Context) error {
	sub := e.store.rdb.Subscribe(ctx, e.store.channel)
	alive := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	silent := make(chan bool, 1)
	go func() { silent <- e.beat(ctx, sub, alive) }()
	for {
		message, err := sub.Receive(ctx)
		var answer redis.Error
		switch {
		case err == nil:
			offer(alive)
			e.take(message)
		case ctx.Err() != nil || errors.Is(err, redis.ErrClosed) || errors.As(err, &answer):
			cancel()
			if <-silent {
				err = errSilent
			}
			return err
		default:
			e.lost(err)
			pause(ctx, againAfter)
		}
	}
}

// beat asks for a sign of life whenever there was none for a while, until ctx ends or the question finds none: true. The
// client would not notice: what is written into a dead connection is taken by the kernel for a quarter of an hour. It closes
// the subscription, which ends a Receive.
func (e *ear) beat(ctx context.Context, sub *redis.PubSub, alive <-chan struct{}) (silent bool) {
	defer func() { _ = sub.Close() }() // nothing is left to tell
	timer := time.NewTimer(e.quiet)
	defer timer.Stop()
	for asked := false; ; timer.Reset(e.quiet) {
		select {
		case <-ctx.Done():
			return false
		case <-alive:
			asked = false
			continue
		case <-timer.C:
		}
		if asked {
			return true
		}
		asked = true
		_ = sub.Ping(ctx) // that it cannot be sent shows at the Receive
	}
}

func offer(alive chan<- struct{}) {
	select {
	case alive <- struct{}{}:
	default:
	}
}

// take passes one message on.
func (e *ear) take(message any) {
	switch m := message.(type) {
	case *redis.Subscription:
		e.store.deaf.Store(nil)
		if e.refused {
			e.refused = false
			e.store.log.Warn("Redis lets us hear the channel of events again")
		}
		if e.once {
			e.deliver(bff.Event{Kind: bff.EventResubscribed})
		}
		e.once = true
	case *redis.Message:
		if ev, ok := parseEvent(m.Payload); ok {
			e.deliver(ev)
		}
	}
}

// lost notes why nothing is heard. What Redis answers is a fault of settings that nobody else tells of: it is logged, once.
func (e *ear) lost(err error) {
	e.store.deaf.Store(&err)
	if answer := redis.Error(nil); !errors.As(err, &answer) || e.refused {
		return
	}
	e.refused = true
	e.store.log.Warn("Redis refuses the channel of events: until it does not, open streams learn of a sign-out by the looks at their "+
		"records alone", "channel", e.store.channel, "error", untold(err).Error())
}

// unheard warns where the channel of events is not heard.
func (s *Store) unheard() []string {
	if err := s.deaf.Load(); err != nil {
		return []string{"the channel of events is not heard (" + untold(*err).Error() + "): open streams learn of a sign-out " +
			"within seconds, not at once"}
	}
	return nil
}

// eventText writes an event as "<kind> <lookup> <reason>".
func eventText(e bff.Event) string {
	return string(e.Kind) + " " + string(e.Lookup) + " " + string(e.Reason)
}

// parseEvent reads an event. Anybody who can write to Redis can publish, so only the kinds that come from there pass;
// whoever gets an event that matters looks at the record.
func parseEvent(payload string) (bff.Event, bool) {
	parts := strings.SplitN(payload, " ", 4) // a payload may have 512 MB, all of it blanks
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
