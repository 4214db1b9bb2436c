//go:build integration

package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

const (
	manyStreams = 200 // half over one HTTP/2 connection, half over connections of their own
	manySockets = 100 // two sessions' worth: one may have 50
	loadWorkers = 4   // that ask for something else meanwhile, without a pause
)

// broadcast is an API whose event streams are numbered from 0, each event with the time it was made, and whose WebSockets
// echo.
func broadcast(events int, pace time.Duration) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		beat := time.NewTicker(pace)
		defer beat.Stop()
		for i := range events {
			if _, err := fmt.Fprintf(w, "data: %d %d\n\n", i, time.Now().UnixNano()); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			<-beat.C
		}
	})
	mux.HandleFunc("/live", func(w http.ResponseWriter, r *http.Request) {
		c := websocket.Take(w)
		defer c.Close()
		c.Switch(r)
		for {
			op, payload, err := c.Read()
			if err != nil || op == websocket.Close {
				return
			}
			c.Send(op, payload)
		}
	})
	mux.HandleFunc("/small", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	return mux
}

// crowd is everybody who listens or speaks at once.
type crowd struct {
	*junction
	all   sync.WaitGroup
	mu    sync.Mutex
	late  []time.Duration // of events, from when they were made
	wrong atomic.Int64
}

// Event streams and WebSockets of many users beside load: nothing is lost, doubled or out of order.
func TestManyStreamsBesideLoad(t *testing.T) {
	// shows PRX-LIVE
	events, pace := 40, 50*time.Millisecond
	if soak() {
		events, pace = 600, 100*time.Millisecond
	}
	w := newJunctionOf(t, 1, broadcast(events, pace), "websocket: true", gateway.Plain(t))
	in, c := w.secure[0], &crowd{junction: w}
	over := make(chan struct{})
	asked := c.load(in, over)
	one, many := w.client(in, true), w.client(in, false)
	for i := range manyStreams {
		client := map[bool]*http.Client{true: one, false: many}[i%2 == 0]
		r := w.request("GET", "/http1/events", nil, "Accept", "text/event-stream")
		c.all.Go(func() { c.listen(client, r, events) })
	}
	other := w.Browser()
	w.SignIn(other, "/")
	for i := range manySockets {
		b := map[bool]*browser.Browser{true: w.user, false: other}[i%2 == 0]
		text := c.opening(b)
		conn := w.dial(in)
		c.all.Go(func() { c.speak(conn, text, events, pace) })
	}
	c.all.Wait()
	close(over)
	slices.Sort(c.late)
	if got := len(c.late); got != manyStreams*events || c.wrong.Load() > 0 {
		t.Fatalf("%d events of %d came in order, %d streams or WebSockets went wrong", got, manyStreams*events, c.wrong.Load())
	}
	at := func(share float64) time.Duration {
		return c.late[int(share*float64(len(c.late)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d events over %d streams, %d messages over %d WebSockets and back, beside %d requests: an event took %v (median), %v (p99), %v (the slowest)",
		len(c.late), manyStreams, manySockets*events, manySockets, asked(), at(.5), at(.99), at(1))
}

// load asks for something small again and again until over, and returns what tells how often that went well.
func (c *crowd) load(in *gateway.Instance, over chan struct{}) (asked func() int64) {
	var n atomic.Int64
	var all sync.WaitGroup
	client := c.client(in, false)
	for range loadWorkers {
		r := c.request("GET", "/http1/small", nil)
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if res, err := client.Do(r.Clone(context.Background())); err != nil || res.StatusCode != 200 {
					c.fail("a request beside: %v %v", res, err)
					return
				} else {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				n.Add(1)
			}
		})
	}
	return func() int64 { all.Wait(); return n.Load() }
}

func (c *crowd) fail(format string, args ...any) {
	c.wrong.Add(1)
	c.T.Errorf(format, args...)
}

// listen reads a stream to its end: every event once, in order.
func (c *crowd) listen(client *http.Client, r *http.Request, events int) {
	res, err := client.Do(r)
	if err != nil {
		c.fail("opening a stream: %v", err)
		return
	}
	defer res.Body.Close()
	var late []time.Duration
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		number, made, _ := strings.Cut(data, " ")
		if number != strconv.Itoa(len(late)) {
			c.fail("event %s came as number %d", number, len(late))
			return
		}
		at, _ := strconv.ParseInt(made, 10, 64)
		late = append(late, time.Since(time.Unix(0, at)))
	}
	if len(late) != events {
		c.fail("a stream brought %d events of %d: %s", len(late), events, res.Status)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = append(c.late, late...)
}

// opening is a user's handshake.
func (c *crowd) opening(b *browser.Browser) string {
	c.T.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + "/http1/live", Mode: "websocket", Dest: "websocket"})
	if err != nil {
		c.T.Fatal(err)
	}
	var fields []string
	for name, values := range h {
		fields = append(fields, name+": "+strings.Join(values, ", "))
	}
	return websocket.Handshake("web.localhost", "/http1/live", fields...)
}

// speak says one message after the other, and hears each before the next.
func (c *crowd) speak(conn net.Conn, opening string, messages int, pace time.Duration) {
	_, _ = io.WriteString(conn, opening)
	ws := &websocket.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
	if res, err := http.ReadResponse(ws.Reader, nil); err != nil || res.StatusCode != 101 {
		c.fail("opening a WebSocket: %v %v", res, err)
		return
	}
	beat := time.NewTicker(pace)
	defer beat.Stop()
	for i := range messages {
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		ws.Send(websocket.Text, strconv.Itoa(i))
		if _, payload, err := ws.Read(); err != nil || payload != strconv.Itoa(i) {
			c.fail("message %d came back as %q, %v", i, payload, err)
			return
		}
		<-beat.C
	}
	ws.Send(websocket.Close, websocket.ClosePayload(1000, ""))
}
