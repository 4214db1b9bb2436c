package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/test/websocket"
)

// socketAPI is an API that answers a handshake as do does, on the connection itself. What it gets is kept.
func socketAPI(t *testing.T, do func(c *websocket.Conn, r *http.Request)) *api {
	return newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		c := websocket.Take(w)
		defer c.Close()
		do(c, r)
	})
}

// echoes answers the handshake and sends every message back.
func echoes(fields ...string) func(*websocket.Conn, *http.Request) {
	return func(c *websocket.Conn, r *http.Request) {
		c.Switch(r, fields...)
		for {
			op, payload, err := c.Read()
			if err != nil {
				return
			}
			c.Send(op, payload)
			if op == websocket.Close {
				return
			}
		}
	}
}

// opts lets a route take WebSockets.
func opts(r *proxy.Route) { r.WebSocket = true }

// socket opens a WebSocket through a gateway.
func (g *gateway) socket(t *testing.T, fields ...string) (*websocket.Conn, *http.Response) {
	t.Helper()
	return websocket.Open(t, g.Listener.Addr().String(), websocket.Handshake("app.example.com", "/api/live", fields...))
}

// opened is socket for one that has to open.
func (g *gateway) opened(t *testing.T, fields ...string) *websocket.Conn {
	t.Helper()
	c, resp := g.socket(t, fields...)
	if resp.StatusCode != 101 {
		t.Fatalf("the handshake was answered with %s %v, %v", resp.Status, resp.Header, g.errors())
	}
	return c
}

func TestWebSocketHandshakeReachesTheAPI(t *testing.T) {
	// shows WS-1, PRX-HOP
	a := socketAPI(t, echoes("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover",
		"Set-Cookie: a=b", "Server: inside", "Connection: X-Hop", "X-Hop: 1", "X-Own: 2", "Content-Length: 5", "Strict-Transport-Security: max-age=9"))
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	c, resp := g.socket(t, "Sec-WebSocket-Protocol: chat, other", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
		"Origin: https://app.example.com", "Cookie: __Host-Http-web=root; a=b", "X-CSRF: 1", "Authorization: Bearer mine",
		"Connection: keep-alive, Upgrade, X-Named", "X-Named: 1", "X-Forwarded-For: 6.6.6.6", "Sec-Fetch-Dest: websocket")
	if resp.StatusCode != 101 {
		t.Fatalf("got %s, %v", resp.Status, g.errors())
	}
	got := a.only(t)
	want := http.Header{
		"Authorization": {"Bearer at-1"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {websocket.Key},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"chat, other"},
		"Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"}, "Sec-Fetch-Dest": {"websocket"},
		"Via": {"1.1 cloakroom"}, "X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"app.example.com"},
		"X-Forwarded-Proto": {"https"}, "X-Request-Id": {"req-1"},
	}
	delete(got.Header, "User-Agent")
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("the API got (-want +got):\n%s", diff)
	}
	resp.Header.Del("Date")
	answered := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {websocket.Accept}, "Sec-Websocket-Protocol": {"chat"},
		"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover"}, "X-Own": {"2"}, "Cache-Control": {"no-store"},
		"X-Content-Type-Options": {"nosniff"}, "Content-Security-Policy": {"default-src 'none'; sandbox; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
	}
	if diff := cmp.Diff(answered, resp.Header); diff != "" {
		t.Errorf("the frontend got (-want +got):\n%s", diff)
	}
	c.Send(websocket.Text, "hello")
	if got := c.Message(t); got != "hello" {
		t.Errorf("came back: %q", got)
	}
}

func TestHandshakesThatAreNone(t *testing.T) {
	// shows WS-1, PRX-SMUG
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/", opts), route(a, "/plain/"))
	good := func(fields ...string) string { return websocket.Handshake("x", "/api/live", fields...) }
	rows := []struct {
		with, text string
		want       int
	}{
		{"another method", strings.Replace(good("Content-Length: 0"), "GET", "POST", 1), 400},
		{"HTTP/1.0", strings.Replace(good(), "HTTP/1.1", "HTTP/1.0", 1), 400},
		{"two upgrades", good("Upgrade: websocket, h2c"), 400},
		{"another upgrade first", good("Upgrade: h2c, websocket"), 400},
		{"two Upgrade fields", strings.Replace(good(), "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c", 1), 400},
		{"a version behind the name", good("Upgrade: websocket, websocket/13"), 400},
		{"a connection that is not upgraded", good("Connection: keep-alive"), 400},
		{"no Connection", good("Connection:"), 400},
		{"version 12", good("Sec-WebSocket-Version: 12"), 400},
		{"two versions", good("Sec-WebSocket-Version: 13, 8"), 400},
		{"no version", good("Sec-WebSocket-Version:"), 400},
		{"no key", good("Sec-WebSocket-Key:"), 400},
		{"two keys", strings.Replace(good(), "Sec-WebSocket-Key", "Sec-WebSocket-Key: "+websocket.Key+"\r\nSec-WebSocket-Key", 1), 400},
		{"a key of 15 bytes", good("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA"), 400},
		{"a key with loose bits", good("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="), 400},
		{"a body", good("Content-Length: 4") + "body", 400},
		{"a chunked body", good("Transfer-Encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n", 400},
		{"a service worker", good("Service-Worker: script"), 403},
		{"a destination that shows it", good("Sec-Fetch-Dest: image"), 403},
		{"a route that does not opt in", websocket.Handshake("x", "/plain/live"), 400},
	}
	for _, row := range rows {
		t.Run("a handshake with "+row.with, func(t *testing.T) {
			_, resp := websocket.Open(t, g.Listener.Addr().String(), row.text)
			if resp.StatusCode != row.want {
				t.Errorf("got %s", resp.Status)
			}
			if known := resp.Header.Get("Sec-WebSocket-Version"); !strings.Contains(row.text, "/plain/") && known != "13" {
				t.Errorf("the version that is known: %q", known) // RFC 6455 section 4.4
			}
		})
	}
	// No handshake at all, and no 400 either: an offer that is passed over.
	if _, resp := websocket.Open(t, g.Listener.Addr().String(), good("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")); resp.StatusCode != 200 {
		t.Errorf("h2c: got %s", resp.Status)
	}
	if got := a.only(t).Header; got["Upgrade"] != nil || got["Connection"] != nil || got["Http2-Settings"] != nil {
		t.Errorf("the API was offered h2c: %v", got)
	}
}

func TestAnswersToHandshakesThatAreNone(t *testing.T) {
	// shows WS-1, PRX-SMUG
	accept := "Sec-WebSocket-Accept: " + websocket.Accept + "\r\n"
	head := "HTTP/1.1 101 Switching Protocols\r\n"
	both := "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	for _, row := range []struct{ with, text string }{
		{"no accept", head + both},
		{"the accept of another key", head + both + "Sec-WebSocket-Accept: " + websocket.AcceptOf("AAAAAAAAAAAAAAAAAAAAAA==") + "\r\n"},
		{"two accepts", head + both + accept + accept},
		{"another protocol", head + "Upgrade: h2c\r\nConnection: Upgrade\r\n" + accept},
		{"two protocols", head + "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n" + accept},
		{"no Connection", head + "Upgrade: websocket\r\n" + accept},
		{"a subprotocol that nobody offered", head + both + accept + "Sec-WebSocket-Protocol: chat\r\n"},
		{"an extension that nobody offered", head + both + accept + "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
		{"proxy authentication", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"},
		{"frames instead of a head", websocket.Frame(websocket.Text, "hello", false)},
	} {
		t.Run("an answer with "+row.with, func(t *testing.T) {
			gone := make(chan struct{})
			a := socketAPI(t, func(c *websocket.Conn, _ *http.Request) {
				defer close(gone)
				c.Raw(row.text + "\r\n" + websocket.Frame(websocket.Text, "smuggled", false))
				_, _ = io.Copy(io.Discard, c.Reader)
			})
			g := newGateway(t, setting{}, route(a, "/api/", opts))
			_, resp := g.socket(t)
			if resp.StatusCode != 502 || resp.Header["Upgrade"] != nil || resp.Header["Sec-Websocket-Accept"] != nil {
				t.Errorf("got %s %v", resp.Status, resp.Header)
			}
			<-gone // the upstream's connection was let go of, and is in no pool
		})
	}
}

func TestUnaskedSwitch(t *testing.T) {
	// shows PRX-SMUG
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) { c.Switch(r) })
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	if got := g.do(t, "GET", "/api/live", nil, nil); got.Status != 502 {
		t.Errorf("a 101 to a plain request on a route with WebSockets: got %d", got.Status)
	}
}

func TestOtherAnswersToAHandshake(t *testing.T) {
	// shows WS-1, PRX-401
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("as") == "page":
			_, _ = io.WriteString(w, "no socket here")
		case r.URL.Query().Get("as") == "redirect":
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(302)
		case r.Header.Get("Authorization") == "Bearer at-1":
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(401)
		default:
			c := websocket.Take(w)
			defer c.Close()
			echoes()(c, r)
		}
	})
	var renewals atomic.Int32
	g := newGateway(t, setting{call: func(*http.Request) proxy.Call {
		c := signedIn()
		c.Renew = func(context.Context) (bff.TokenSet, error) {
			renewals.Add(1)
			return bff.TokenSet{Access: bff.NewSecret("at-2"), TokenType: "Bearer"}, nil
		}
		return c
	}}, route(a, "/api/", opts))
	c := g.opened(t)
	c.Send(websocket.Text, "again")
	if got := c.Message(t); got != "again" || renewals.Load() != 1 || len(a.requests()) != 2 {
		t.Errorf("after a 401: %q came back, %d renewals, %d calls", got, renewals.Load(), len(a.requests()))
	}
	for as, want := range map[string]int{"page": 200, "redirect": 302} {
		_, resp := websocket.Open(t, g.Listener.Addr().String(), websocket.Handshake("x", "/api/live?as="+as))
		if resp.StatusCode != want || resp.Header.Get("Location") != "" || resp.Header["Upgrade"] != nil {
			t.Errorf("%s: got %s %v", as, resp.Status, resp.Header)
		}
	}
}

func TestHandshakeIsJudgedBeforeTheAPIIsDialled(t *testing.T) {
	// shows WS-1
	a := newAPI(t, nil)
	dialled := atomic.Int32{}
	g := newGateway(t, setting{
		call: func(*http.Request) proxy.Call { return anonymous() },
		options: proxy.Options{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}},
	}, route(a, "/api/", opts))
	if _, resp := g.socket(t); resp.StatusCode != 401 || dialled.Load() != 0 {
		t.Errorf("without a session: %s, dialled %d times", resp.Status, dialled.Load())
	}
}

func TestBothWays(t *testing.T) {
	// shows PRX-LIVE
	a := socketAPI(t, echoes())
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	c := g.opened(t)
	big := strings.Repeat("m", 1<<20)
	for i, message := range []string{"", "x", strings.Repeat("y", 125), strings.Repeat("z", 126), strings.Repeat("w", 70_000), big, "after"} {
		c.Send(websocket.Binary, message)
		if got := c.Message(t); got != message {
			t.Fatalf("message %d of %d bytes came back with %d", i, len(message), len(got))
		}
	}
	const many = 2000
	go func() {
		for i := range many {
			c.Send(websocket.Text, fmt.Sprint(i))
		}
	}()
	for i := range many {
		if got := c.Message(t); got != fmt.Sprint(i) {
			t.Fatalf("message %d: got %s", i, got)
		}
	}
	c.Send(websocket.Ping, "still there?")
	if op, payload, err := c.Read(); op != websocket.Ping || payload != "still there?" || err != nil {
		t.Errorf("an echoed ping: %x %q %v", op, payload, err)
	}
	c.Send(websocket.Close, websocket.ClosePayload(4001, "done"))
	if end, err := c.End(); err != nil || end != (websocket.Ended{Code: 4001, Text: "done"}) {
		t.Errorf("ended with %v, %v", end, err)
	}
}

// What an upstream says right behind its 101, and a frontend right behind its handshake, is not lost.
func TestFramesThatComeWithTheHandshake(t *testing.T) {
	// shows PRX-LIVE
	a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
		c.Switch(r, "X: y")
		c.Send(websocket.Text, "first")
		_, early, _ := c.Read()
		c.Send(websocket.Text, "you said "+early)
		_, _, _ = c.Read()
	})
	g := newGateway(t, setting{}, route(a, "/api/", opts))
	c, resp := websocket.Open(t, g.Listener.Addr().String(),
		websocket.Handshake("x", "/api/live")+websocket.Frame(websocket.Text, "early", true))
	if resp.StatusCode != 101 || c.Message(t) != "first" || c.Message(t) != "you said early" {
		t.Errorf("got %s", resp.Status)
	}
}

func TestOneSessionsWebSocketsAreBounded(t *testing.T) {
	// shows PRX-LIMIT
	a := socketAPI(t, echoes())
	g := newGateway(t, setting{call: func(r *http.Request) proxy.Call {
		c := signedIn()
		c.Session.Lookup = bff.Lookup(r.Header.Get("X-Session"))
		return c
	}}, route(a, "/api/", opts))
	var open []*websocket.Conn
	for range 50 {
		open = append(open, g.opened(t, "X-Session: a"))
	}
	if _, resp := g.socket(t, "X-Session: a"); resp.StatusCode != 429 {
		t.Fatalf("the 51st: got %s", resp.Status)
	}
	g.opened(t, "X-Session: b") // another's
	if n := len(a.requests()); n != 51 {
		t.Errorf("the API was asked %d times", n)
	}
	_ = open[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, resp := g.socket(t, "X-Session: a"); resp.StatusCode == 101 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("one was closed, and none may be opened in its place")
		}
	}
}
