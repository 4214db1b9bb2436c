package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/test/websocket"
)

// soon bounds what has to happen at once: it finds what hangs.
const soon = 10 * time.Second

// ends is a gateway whose WebSockets' session can be ended, and which tells what ended each.
type ends struct {
	*gateway
	end chan context.CancelCauseFunc // one for each request
	by  chan string
}

func newEnds(t *testing.T, s setting, routes ...proxy.Route) *ends {
	e := &ends{end: make(chan context.CancelCauseFunc, 8), by: make(chan string, 8)}
	s.watch = func(ctx context.Context) context.Context {
		ctx, cancel := context.WithCancelCause(ctx)
		e.end <- cancel
		return ctx
	}
	s.options.Opened = func(string) func(string) { return func(by string) { e.by <- by } }
	e.gateway = newGateway(t, s, routes...)
	return e
}

// signOut ends the session of the request that came first.
func (e *ends) signOut() { (<-e.end)(&bff.SessionEndedCause{Reason: bff.ReasonSignedOut}) }

// endedBy fails unless the next WebSocket to end was ended by this.
func (e *ends) endedBy(t *testing.T, want string) {
	t.Helper()
	select {
	case by := <-e.by:
		if by != want {
			t.Errorf("ended by %s, want %s", by, want)
		}
	case <-time.After(soon):
		t.Fatalf("the WebSocket never ended, want it ended by %s", want)
	}
}

// upstreamEnd answers a handshake, does what is asked, and tells how the connection ended for the upstream.
func upstreamEnd(t *testing.T, do func(*websocket.Conn)) (*api, <-chan websocket.Ended) {
	over := make(chan websocket.Ended, 8)
	return socketAPI(t, func(c *websocket.Conn, r *http.Request) {
		c.Switch(r)
		do(c)
		end, err := c.End()
		if err != nil {
			t.Errorf("the upstream waits in vain: %v", err)
		}
		over <- end
	}), over
}

func await[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(soon):
		t.Fatalf("in vain: %s", what)
		panic("unreachable")
	}
}

func TestSessionEndClosesWebSockets(t *testing.T) {
	// shows PRX-LIVE
	half := "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" // the head of a message of 64 KiB, of which more never comes
	for _, row := range []struct {
		with, said string
		want       websocket.Ended
	}{
		{"nothing said", "", websocket.Ended{Code: 1008, Text: "session ended"}},
		{"a message said", websocket.Frame(websocket.Text, "hello", false), websocket.Ended{Code: 1008, Text: "session ended"}},
		{"a message in parts", "\x01\x02he", websocket.Ended{Code: 1008, Text: "session ended"}}, // RFC 6455 section 5.4
		{"half a message said", half + "part", websocket.Ended{}},
		{"half a head said", half[:5], websocket.Ended{}},
		{"a goodbye said", websocket.Frame(websocket.Close, websocket.ClosePayload(4000, "bye"), false), websocket.Ended{Code: 4000, Text: "bye"}},
	} {
		t.Run("a WebSocket with "+row.with, func(t *testing.T) {
			a, over := upstreamEnd(t, func(c *websocket.Conn) { c.Raw(row.said) })
			g := newEnds(t, setting{}, route(a, "/api/", opts))
			c := g.opened(t)
			if _, err := c.Reader.Peek(len(row.said)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			g.signOut()
			var rest []byte
			if row.want.Code == 0 { // nobody can read frames here any more
				rest, _ = io.ReadAll(c.Reader)
				if string(rest) != row.said {
					t.Errorf("in the middle of a frame came %q", rest)
				}
			} else if end, err := c.End(); err != nil || end != row.want {
				t.Errorf("ended with %v, %v, want %v", end, err, row.want)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("it took %v", took)
			}
			// An upstream that said goodbye may get the answer to that.
			if end := await(t, "the upstream is told", over); end.Code != 1001 && end.Code != row.want.Code || end.Code == 1008 {
				t.Errorf("the upstream was told %v, want 1001", end)
			}
			g.endedBy(t, proxy.EndSession)
		})
	}
}

// A session's end waits for nobody: not for a frontend that does not read, nor for an upstream that does not.
func TestSessionEndWaitsForNobody(t *testing.T) {
	// shows PRX-LIVE
	flood := bytes.Repeat([]byte(websocket.Frame(websocket.Binary, string(make([]byte, 60_000)), false)), 400)
	stuck := make(chan struct{})
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
		c.Switch(r)
		_, _ = c.Write(flood) // stands still until the end, which takes it or breaks it off
		close(stuck)
	})
	g := newEnds(t, setting{}, route(a, "/api/", opts))
	c := g.opened(t)
	go func() {
		for range 400 { // until the connection breaks: the upstream reads none of it
			c.Send(websocket.Binary, string(make([]byte, 60_000)))
		}
	}()
	if _, err := c.Reader.Peek(10); err != nil {
		t.Fatal(err)
	}
	g.signOut()
	g.endedBy(t, proxy.EndSession)
	await(t, "the upstream is let go of", stuck)
}

func TestDrainClosesWebSockets(t *testing.T) {
	// shows PRX-LIVE
	a, over := upstreamEnd(t, func(*websocket.Conn) {})
	g := newEnds(t, setting{}, route(a, "/api/", opts))
	c, gone := g.opened(t), g.opened(t)
	_ = gone // never reads: nobody waits for it for long
	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		drained <- g.table.Drain(ctx)
	}()
	if end, err := c.End(); err != nil || end != (websocket.Ended{Code: 1001, Text: "going away"}) {
		t.Errorf("ended with %v, %v", end, err)
	}
	if err := await(t, "the table is drained", drained); err != nil {
		t.Error(err)
	}
	for range 2 {
		g.endedBy(t, proxy.EndDrain)
		if end := await(t, "the upstream is told", over); end.Code != 1001 {
			t.Errorf("the upstream was told %v", end)
		}
	}
	if _, resp := g.socket(t); resp.StatusCode == 101 || len(a.requests()) != 2 {
		t.Errorf("after the drain: %s", resp.Status)
	}
	if code := bff.CodeOf(g.errors()[0]); code != bff.CodeDraining {
		t.Errorf("after the drain: %s", code)
	}
}

func TestDrainDoesNotWaitForever(t *testing.T) {
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	if err := g.table.Drain(t.Context()); err != nil {
		t.Errorf("with none open: %v", err)
	}
}

func TestUpstreamThatIsGone(t *testing.T) {
	// shows PRX-LIVE
	for _, row := range []struct {
		with string
		do   func(*websocket.Conn)
		want websocket.Ended
	}{
		{"a connection closed", func(*websocket.Conn) {}, websocket.Ended{Code: 1011, Text: "upstream gone"}},
		{"a connection reset", func(c *websocket.Conn) { _ = c.Conn.(*net.TCPConn).SetLinger(0) }, websocket.Ended{Code: 1011, Text: "upstream gone"}},
		{"a goodbye", func(c *websocket.Conn) { c.Send(websocket.Close, websocket.ClosePayload(4002, "x")) }, websocket.Ended{Code: 4002, Text: "x"}},
		{"half a frame", func(c *websocket.Conn) { c.Raw("\x81\x05he") }, websocket.Ended{}},
	} {
		t.Run("an upstream with "+row.with, func(t *testing.T) {
			a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
				c.Switch(r)
				c.Send(websocket.Text, "last words")
				_, _, _ = c.Read()
				row.do(c)
			})
			g := newEnds(t, setting{}, route(a, "/api/", opts))
			c := g.opened(t)
			if got := c.Message(t); got != "last words" {
				t.Errorf("got %q", got)
			}
			c.Send(websocket.Text, "go")
			if end, err := c.End(); err != nil || end != row.want {
				t.Errorf("ended with %v, %v, want %v", end, err, row.want)
			}
			g.endedBy(t, proxy.EndUpstream)
		})
	}
}

func TestFrontendThatIsGone(t *testing.T) {
	// shows PRX-LIVE
	for _, row := range []struct {
		with string
		do   func(*websocket.Conn)
		want websocket.Ended // what the upstream sees
	}{
		{"a connection closed", func(*websocket.Conn) {}, websocket.Ended{}},
		{"a connection reset", func(c *websocket.Conn) { _ = c.Conn.(*net.TCPConn).SetLinger(0) }, websocket.Ended{}},
		{"a goodbye", func(c *websocket.Conn) { c.Send(websocket.Close, websocket.ClosePayload(4003, "x")) }, websocket.Ended{Code: 4003, Text: "x"}},
		{"half a frame", func(c *websocket.Conn) { c.Raw("\x81\x85he") }, websocket.Ended{}},
	} {
		t.Run("a frontend with "+row.with, func(t *testing.T) {
			heard := make(chan string, 1)
			a, over := upstreamEnd(t, func(c *websocket.Conn) {
				_, payload, _ := c.Read()
				heard <- payload
			})
			g := newEnds(t, setting{}, route(a, "/api/", opts))
			c := g.opened(t)
			c.Send(websocket.Text, "last words")
			if got := await(t, "the upstream hears", heard); got != "last words" {
				t.Errorf("the upstream heard %q", got)
			}
			row.do(c)
			_ = c.Close()
			if end := await(t, "the upstream's connection ends", over); end != row.want {
				t.Errorf("the upstream saw %v, want %v", end, row.want)
			}
			<-g.by
		})
	}
}

// A frontend that says something and goes is heard, also by an upstream that speaks at that moment.
func TestLastWordsAreHeard(t *testing.T) {
	// shows PRX-LIVE
	for range 20 {
		heard := make(chan string, 1)
		a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
			c.Switch(r)
			for range 200 {
				c.Send(websocket.Text, "tick")
			}
			_, payload, _ := c.Read()
			heard <- payload
		})
		g := newGateway(t, setting{}, route(a, "/api/", opts))
		c := g.opened(t)
		c.Send(websocket.Text, "last words")
		_ = c.Close()
		if got := await(t, "the upstream hears", heard); got != "last words" {
			t.Fatalf("the upstream heard %q", got)
		}
	}
}

func TestTimesOfAWebSocket(t *testing.T) {
	// shows PRX-LIVE, PRX-LIMIT
	a := socketAPI(t, echoes())
	brief := func(r *proxy.Route) { r.Timeout = 50 * time.Millisecond }
	ending := func(r *proxy.Route) { r.StreamTimeout = 300 * time.Millisecond }
	g := newEnds(t, setting{}, route(a, "/api/", opts, brief, ending))
	c := g.opened(t)
	began := time.Now()
	if end, err := c.End(); err != nil || end != (websocket.Ended{Code: 1001, Text: "time is up"}) {
		t.Errorf("ended with %v, %v", end, err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("it ended after %v, by the time for the head", took)
	}
	g.endedBy(t, proxy.EndTimeout)
}

// Whoever does not read slows down whoever sends, and the gateway keeps no more than its buffers.
func TestSlowReaderOfAWebSocket(t *testing.T) {
	// shows PRX-LIMIT
	const pieces, size = 300, 100_000 // more than the buffers of all sockets between them
	piece := websocket.Frame(websocket.Binary, string(make([]byte, size)), false)
	var sent atomic.Int64
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
		c.Switch(r)
		for range pieces {
			c.Raw(piece)
			sent.Add(int64(len(piece)))
		}
		_, _, _ = c.Read()
	})
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	c := g.opened(t)
	before := int64(-1)
	for deadline := time.Now().Add(soon); sent.Load() != before; { // until the sender stands still
		if time.Now().After(deadline) {
			t.Fatal("the sender never stands still")
		}
		before = sent.Load()
		<-time.After(100 * time.Millisecond)
	}
	if before >= pieces*int64(len(piece)) {
		t.Fatalf("%d bytes were taken that nobody reads", before)
	}
	for range pieces {
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(c.Reader, got); err != nil || string(got) != piece {
			t.Fatalf("a message that is not what was sent; %v", err)
		}
	}
}

// An upstream that takes nothing for too long is let go of.
func TestUpstreamThatTakesNothing(t *testing.T) {
	// shows PRX-LIMIT
	release := make(chan struct{})
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) { c.Switch(r); <-release })
	defer close(release)
	g := newEnds(t, setting{options: proxy.Options{BodyStall: 100 * time.Millisecond}}, route(a, "/api/", opts))
	c := g.opened(t)
	var sending sync.WaitGroup
	sending.Go(func() {
		for range 400 {
			c.Send(websocket.Binary, string(make([]byte, 60_000)))
		}
	})
	if end, err := c.End(); err != nil || end.Code != 1011 {
		t.Errorf("ended with %v, %v", end, err)
	}
	g.endedBy(t, proxy.EndUpstream)
	_ = c.Close()
	sending.Wait()
}

func TestActivityOfAWebSocket(t *testing.T) {
	// shows SESS-IDLE
	var active atomic.Int32
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
		c.Switch(r)
		c.Send(websocket.Text, "unasked")
		for {
			op, payload, err := c.Read()
			if err != nil {
				return
			}
			c.Send(op, payload)
		}
	})
	g := newGateway(t, setting{call: func(*http.Request) proxy.Call {
		c := signedIn()
		c.Active = func() { active.Add(1) }
		return c
	}}, route(a, "/api/", opts))
	c := g.opened(t)
	if c.Message(t); active.Load() != 0 {
		t.Error("what the upstream says is taken for the user's activity")
	}
	c.Send(websocket.Ping, "beat")
	if _, _, err := c.Read(); err != nil || active.Load() != 0 {
		t.Errorf("a ping is taken for the user's activity; %v", err)
	}
	c.Send(websocket.Text, "typing")
	if c.Message(t); active.Load() == 0 {
		t.Error("a message is not taken for activity")
	}
}
