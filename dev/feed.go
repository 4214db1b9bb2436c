package dev

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"golang.org/x/net/websocket"
)

const (
	packedAfter  = 5 * time.Second        // how fast the demo's warehouse is: slow enough to be watched,
	shippedAfter = 10 * time.Second       // and fast enough to be waited for
	looksEvery   = 250 * time.Millisecond // how often it looks at its orders; it handles one at a time

	feedBacklog  = 64               // events that a listener may be behind; one that is slower is sent away, and reads the list anew
	feedPatience = 10 * time.Second // for one that takes nothing at all: its machine sleeps, or nobody reads there
)

// feedEvent is what /api/orders/feed says.
type feedEvent struct {
	Event string `json:"event"` // hello, or what the order has just become: its status
	Order *Order `json:"order,omitempty"`
}

// feed is one listener.
type feed struct {
	events chan feedEvent // closed when the listener was too slow
}

// listen begins a feed of a subject's orders; leave ends it, and may be called again.
func (b *orderBook) listen(sub string) (f *feed, leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f = &feed{events: make(chan feedEvent, feedBacklog)}
	if b.feeds[sub] == nil {
		b.feeds[sub] = map[*feed]bool{}
	}
	b.feeds[sub][f] = true
	return f, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.drop(sub, f)
	}
}

// drop forgets a listener. The caller holds mu.
func (b *orderBook) drop(sub string, f *feed) {
	delete(b.feeds[sub], f)
	if len(b.feeds[sub]) == 0 {
		delete(b.feeds, sub)
	}
}

// tell says to all of a subject's listeners what an order has become. It waits for nobody. The caller holds mu.
func (b *orderBook) tell(sub string, o Order) {
	for f := range b.feeds[sub] {
		select {
		case f.events <- feedEvent{Event: o.Status, Order: &o}:
		default:
			b.drop(sub, f)
			close(f.events)
		}
	}
}

// work packs or ships the subject's order that waits for longest, if one is due. It is called while somebody listens: to an
// empty house nothing happens.
func (b *orderBook) work(sub string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.bySubject[sub]
	due := func(o Order) bool {
		age := now.Sub(o.PlacedAt)
		return o.Status == statusPlaced && age >= packedAfter || o.Status == statusPacked && age >= shippedAfter
	}
	i := slices.IndexFunc(all, due)
	if i < 0 {
		return
	}
	if all[i].Status == statusPlaced {
		all[i].Status = statusPacked
	} else {
		all[i].Status = statusShipped
	}
	b.tell(sub, all[i])
}

// orderFeed is a WebSocket that says what happens to its user's orders, from whichever tab or device. It begins with hello:
// whoever reads the list after that misses nothing. It takes no message, and looks at no Origin: what comes with a bearer token
// was sent by no page.
func (a *API) orderFeed(w http.ResponseWriter, r *http.Request, c claims) {
	websocket.Server{Handler: func(ws *websocket.Conn) {
		f, leave := a.orders.listen(c.Sub)
		defer leave()
		ctx, gone := context.WithCancel(context.Background()) // the request's does not end with a connection that was taken over
		defer gone()
		go func() {
			defer gone()
			ws.MaxPayloadBytes = 1 // nothing is expected: this hears the end
			for text := ""; websocket.Message.Receive(ws, &text) == nil; {
			}
		}()
		if say(ws, feedEvent{Event: "hello"}) == nil {
			a.relate(ctx, c.Sub, f, func(e feedEvent) error { return say(ws, e) })
		}
	}}.ServeHTTP(w, r)
}

// relate passes events on until ctx ends or the listener is gone or too slow, and lets the warehouse work meanwhile.
func (a *API) relate(ctx context.Context, sub string, f *feed, say func(feedEvent) error) {
	look := time.NewTicker(looksEvery)
	defer look.Stop()
	for {
		select {
		case e, ok := <-f.events:
			if !ok || say(e) != nil {
				return
			}
		case <-look.C:
			a.orders.work(sub, a.now())
		case <-ctx.Done():
			return
		}
	}
}

func say(ws *websocket.Conn, e feedEvent) error {
	text, _ := json.Marshal(e) // texts and numbers are always JSON
	if err := ws.SetWriteDeadline(time.Now().Add(feedPatience)); err != nil {
		return err
	}
	return websocket.Message.Send(ws, string(text))
}
