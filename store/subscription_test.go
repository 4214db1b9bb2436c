package store_test

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"cloakroom/bff"
	"cloakroom/store"
)

// Whoever can write to Redis can publish: what is no event of ours costs nothing, whatever it looks like, and what comes
// after it is heard.
//
// shows PRX-LIVE
func TestForgedEventsKeepNoOther(t *testing.T) {
	flood := 5_000
	if os.Getenv("SOAK") == "1" {
		flood = 500_000
	}
	each(t, func(t *testing.T, w *world) {
		heard := make(map[bff.EventKind]int)
		last := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			w.open(nil).Subscribe(ctx, func(e bff.Event) {
				if heard[e.Kind]++; e.Reason == "last" {
					close(last)
				}
			})
		})
		defer running.Wait()
		defer cancel()
		channel := w.prefix + "events"
		w.subscribed(channel, 1)
		forged := []string{
			"", " ", "  ", "ended", "ended ", "ended x", "ended x y z", "ENDED x y", "resubscribed x y", "ended\x00 x y", "\xff\xfe \xff \xff",
			strings.Repeat(" ", 1<<20), "ended " + strings.Repeat("x", 1<<20), strings.Repeat("refreshed ", 1<<16),
		}
		for _, payload := range forged {
			want(t, "publishing", w.raw.Publish(ctx, channel, payload).Err(), nil)
		}
		pipe := w.raw.Pipeline()
		for range flood / 1000 {
			for range 1000 {
				pipe.Publish(ctx, channel, "extended nobody ")
			}
			_, err := pipe.Exec(ctx)
			want(t, "publishing", err, nil)
		}
		w.raw.Publish(ctx, channel, "ended nobody last")
		select {
		case <-last:
		case <-time.After(20 * time.Second):
			t.Fatal("the last event never came")
		}
		cancel()
		running.Wait()
		all := heard[bff.EventExtended] == flood || w.server.cluster // its nodes tell each other, in no order
		if !all || heard[bff.EventEnded] != 1 || heard[bff.EventReplaced]+heard[bff.EventRefreshed] != 0 {
			t.Errorf("heard %v", heard)
		}
	})
}

// subscribed waits until so many listen to a channel.
func (w *world) subscribed(channel string, want int64) {
	w.t.Helper()
	eventually(w.t, "the subscription", func() bool {
		var n atomic.Int64
		w.perServer(func(ctx context.Context, c *redis.Client) error {
			found, err := c.PubSubNumSub(ctx, channel).Result()
			n.Add(found[channel])
			return err
		})
		return n.Load() == want
	})
}

// faint is a way to a server whose connections can be made to carry nothing more, and to say nothing of it either. New ones
// are well.
type faint struct {
	net.Listener
	age atomic.Int64 // connections of an earlier one are dead
}

func (w *world) faint() *faint {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	f := &faint{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", w.server.addr())
			if err != nil {
				_ = client.Close()
				continue
			}
			born := f.age.Load()
			running.Go(func() { f.carry(client, server, born) })
			running.Go(func() { f.carry(server, client, born) })
		}
	})
	w.t.Cleanup(func() { _ = l.Close(); running.Wait() }) // the stores are closed by then
	return f
}

func (f *faint) carry(from, to net.Conn, born int64) {
	defer func() { _ = to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err == nil && f.age.Load() == born {
			_, err = to.Write(buf[:n])
		}
		if err != nil && err != io.EOF || n == 0 {
			return
		}
	}
}

// A connection that is dead without a word, as behind a firewall that forgot it, is found out and replaced.
//
// shows PRX-LIVE
func TestASubscriptionThatFallsSilentIsMadeAnew(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		way := w.faint()
		s := w.open(func(o *store.Options) {
			o.Addrs, o.ReadTimeout = []string{way.Addr().String()}, 50*time.Millisecond // what it takes for silent
		})
		events := w.listen(s)
		way.age.Add(1)
		if e := receive(t, events); e.Kind != bff.EventResubscribed {
			t.Errorf("after the silence: %+v", e)
		}
		w.raw.Publish(t.Context(), w.prefix+"events", "extended anew ")
		if e := receive(t, events); e.Lookup != "anew" {
			t.Errorf("then: %+v", e)
		}
	})
}

// A channel that is quiet, and answers, is left alone.
func TestAQuietSubscriptionIsKept(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		events := w.listen(w.open(func(o *store.Options) {
			o.Addrs, o.ReadTimeout = []string{p.listener.Addr().String()}, 150*time.Millisecond
		}))
		select {
		case e := <-events:
			t.Errorf("in silence: %+v", e)
		case <-time.After(2700 * time.Millisecond): // three times as long as it may be quiet
		}
	})
}
