//go:build integration

package faults_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

// liveRoutes are what a world with WebSockets has besides: the demo API's on a route that opts in, and the same on one that
// anybody may use.
func liveRoutes(api string) string {
	return fmt.Sprintf(`
  - {path: /live, upstream: %[1]q, methods: [GET], websocket: true, token: user}
  - {path: /hello, upstream: %[1]q, methods: [GET], websocket: true, token: user-or-none}
  - {path: /public, upstream: %[1]q, methods: [GET], websocket: true, token: none}
`, api)
}

// liveAPI is an API that speaks to whoever comes: it echoes, and tells how each connection ended.
type liveAPI struct {
	*httptest.Server
	asked chan http.Header
	over  chan websocket.Ended
	do    func(*websocket.Conn) // before it waits for the end; nil: it echoes
}

func newLiveAPI(t *testing.T) *liveAPI {
	a := &liveAPI{asked: make(chan http.Header, 1000), over: make(chan websocket.Ended, 1000)}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked <- r.Header
		c := websocket.Take(w)
		defer c.Close()
		c.Switch(r)
		if a.do != nil {
			a.do(c)
		}
		for {
			op, payload, err := c.Read()
			switch {
			case err != nil:
				a.over <- websocket.Ended{}
				return
			case op == websocket.Close:
				a.over <- websocket.Ended{Code: uint16(payload[0])<<8 | uint16(payload[1]), Text: payload[2:]}
				return
			}
			c.Send(op, payload)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// untouched fails if the API was asked.
func (a *liveAPI) untouched(t *testing.T) {
	t.Helper()
	select {
	case h := <-a.asked:
		t.Errorf("the API was asked: %v", h)
	default:
	}
}

// live is a world of two instances, whose user is signed in.
type live struct {
	*world.World
	api  *liveAPI
	ins  []*gateway.Instance
	user *browser.Browser
}

func newLive(t *testing.T) *live {
	api := newLiveAPI(t)
	l := &live{World: newWorld(t, world.Options{
		Behave: longLived, Routes: liveRoutes(api.URL),
		Apps: fmt.Sprintf("  other: {kind: spa, origin: %q, provider: main, client_id: webc_2, client_secret: other-secret-of-some-length}",
			"http://other.localhost"),
	}), api: api}
	l.ins, l.user = l.Start(2), l.Browser()
	l.SignIn(l.user, "/")
	return l
}

// handshake is what the app's own page sends, with fields changed.
func (l *live) handshake(path string, fields ...string) string {
	l.T.Helper()
	h, err := l.user.RequestHeader(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + path, Mode: "websocket", Dest: "websocket"})
	if err != nil {
		l.T.Fatal(err)
	}
	var all []string
	for name, values := range h {
		all = append(all, name+": "+strings.Join(values, ", "))
	}
	return websocket.Handshake("web.localhost", path, append(all, fields...)...)
}

// open opens the user's WebSocket at an instance.
func (l *live) open(in *gateway.Instance, path string, fields ...string) *websocket.Conn {
	l.T.Helper()
	c, resp := websocket.Open(l.T, in.Addr, l.handshake(path, fields...))
	if resp.StatusCode != 101 {
		l.T.Fatalf("%s: %s", path, resp.Status)
	}
	return c
}

func TestWebSocketsThatAreRefused(t *testing.T) {
	// shows WS-1
	t.Parallel()
	l := newLive(t)
	ended := l.Browser()
	l.SignIn(ended, "/")
	cookie := func(b *browser.Browser) string {
		c, _ := b.Cookie(world.Origin, cookieName)
		return "Cookie: " + cookieName + "=" + c.Value
	}
	dead := cookie(ended)
	l.Want(l.Fetch(ended, "POST", "/bff/logout", ""), 200)
	mine := strings.TrimPrefix(cookie(l.user), "Cookie: "+cookieName+"=")
	for _, row := range []struct {
		with, path string
		fields     []string
		want       int
	}{
		{"the Origin of another site", "/live", []string{"Origin: https://evil.example"}, 403},
		{"the Origin of another app here", "/live", []string{"Origin: http://other.localhost"}, 403},
		{"the https twin of the Origin", "/live", []string{"Origin: https://web.localhost"}, 403},
		{"no Origin", "/live", []string{"Origin:"}, 403},
		{"the Origin null", "/live", []string{"Origin: null"}, 403},
		{"metadata of another site", "/live", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"metadata of a sibling", "/live", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"no cookie", "/live", []string{"Cookie:"}, 401},
		{"a dead session", "/live", []string{dead}, 401},
		{"another app's cookie", "/live", []string{"Cookie: __Host-Http-other=" + mine}, 401},
		{"this cookie at another app", "/live", []string{
			"Host: other.localhost", "Origin: http://other.localhost",
			"Cookie: __Host-Http-other=" + mine,
		}, 401},
		{"a cookie and a handle", "/live", []string{"Authorization: Bearer clk_" + strings.Repeat("a", 64)}, 400},
		{"another site's Origin, for nobody", "/hello", []string{"Origin: https://evil.example", "Cookie:"}, 403},
		{"another site's Origin, for anybody", "/public", []string{"Origin: https://evil.example"}, 403},
		{"a route that does not opt in", "/api/live", nil, 403},
		{"a route that does not opt in, by script", "/api/live", []string{"X-CSRF: 1", "Sec-Fetch-Dest: empty"}, 400},
		{"another upgrade beside it", "/live", []string{"Upgrade: websocket, h2c"}, 400},
		{"a body", "/live", []string{"Content-Length: 3"}, 400},
		{"one of the gateway's own addresses", "/bff/events", []string{"Sec-Fetch-Site: cross-site"}, 403},
	} {
		t.Run("a handshake with "+row.with, func(t *testing.T) {
			_, resp := websocket.Open(t, l.ins[0].Addr, l.handshake(row.path, row.fields...))
			if resp.StatusCode != row.want {
				t.Errorf("got %s", resp.Status)
			}
			l.api.untouched(t)
		})
	}
	if n := l.API.Hits(); n != 0 {
		t.Errorf("the API behind the plain route was asked %d times", n)
	}
	signedIn(t, l.World, l.user, true)
}

func TestWebSocketSpeaksBothWays(t *testing.T) {
	// shows WS-1, PRX-LIVE
	t.Parallel()
	l := newLive(t)
	c := l.open(l.ins[0], "/live")
	h := <-l.api.asked
	if !strings.HasPrefix(h.Get("Authorization"), "Bearer ") || h["Cookie"] != nil || h["Origin"] != nil {
		t.Errorf("the API got %v", h)
	}
	if h.Get("Authorization") != "Bearer "+newest(l.World, "access_token") {
		t.Error("the API did not get the user's access token")
	}
	big, messages := strings.Repeat("x", 1<<20), 500
	if soak() {
		messages = 20_000
	}
	for _, message := range []string{"hello", big} {
		c.Send(websocket.Text, message)
		if got := c.Message(t); got != message {
			t.Fatalf("%d bytes came back as %d", len(message), len(got))
		}
	}
	go func() {
		for i := range messages {
			c.Send(websocket.Text, fmt.Sprint(i))
		}
	}()
	for i := range messages {
		if got := c.Message(t); got != fmt.Sprint(i) {
			t.Fatalf("message %d: %q", i, got)
		}
	}
	if _, body := ask(t, l.ins[0], "/metrics"); !strings.Contains(body, `bff_open_websockets{route="/live"} 1`) {
		t.Error("the metrics do not count it")
	}
	c.Send(websocket.Close, websocket.ClosePayload(4000, "bye"))
	if end, err := c.End(); err != nil {
		t.Errorf("ended with %v, %v", end, err)
	}
	if end := <-l.api.over; end.Code != 4000 {
		t.Errorf("the API heard %v", end)
	}
	await(t, "the WebSocket is counted out", healTime, func() bool {
		_, body := ask(t, l.ins[0], "/metrics")
		return strings.Contains(body, `bff_open_websockets{route="/live"} 0`)
	})
	anonymous := l.open(l.ins[0], "/public")
	if h := <-l.api.asked; h["Authorization"] != nil || h["Cookie"] != nil {
		t.Errorf("on a route for nobody the API got %v", h)
	}
	anonymous.Send(websocket.Text, "who am I?")
	anonymous.Message(t)
}

// The handshake asks Redis one thing, and what follows nothing.
func TestWebSocketIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	l.open(l.ins[0], "/live") // warm
	l.Redis.ResetCalls()
	c := l.open(l.ins[0], "/live")
	for range 20 {
		c.Send(websocket.Text, "hello")
		c.Message(t)
	}
	asked := 0
	for name, n := range l.Redis.Calls() {
		if !beside(name) {
			asked += n
		}
	}
	if asked != 1 {
		t.Errorf("a handshake and 20 messages cost %d commands: %v", asked, l.Redis.Calls())
	}
}

func TestWebSocketEndsWithASignOutAtAnotherInstance(t *testing.T) {
	// shows PRX-LIVE, WS-1
	t.Parallel()
	l := newLive(t)
	watched := []*websocket.Conn{l.open(l.ins[0], "/live"), l.open(l.ins[1], "/hello")}
	stranger := &live{World: l.World, api: l.api, ins: l.ins, user: l.Browser()} // another session of the same user
	l.SignIn(stranger.user, "/")
	other, public := stranger.open(l.ins[0], "/live"), l.open(l.ins[0], "/public")
	<-time.After(1500 * time.Millisecond) // a request may be watched from its first second on
	l.At(l.ins[1])
	began := time.Now()
	l.Want(l.Fetch(l.user, "POST", "/bff/logout", ""), 200)
	for i, c := range watched {
		end, err := c.End()
		took := time.Since(began)
		if err != nil || end.Code != 1008 || end.Text != "session ended" {
			t.Errorf("WebSocket %d ended with %v, %v", i, end, err)
		}
		if t.Logf("WebSocket %d ended after %v", i, took); took > streamEnds {
			t.Errorf("WebSocket %d ended only after %v", i, took)
		}
		if end := <-l.api.over; end.Code != 1001 {
			t.Errorf("the API heard %v", end)
		}
	}
	for _, c := range []*websocket.Conn{other, public} {
		c.Send(websocket.Text, "still here")
		if got := c.Message(t); got != "still here" {
			t.Errorf("got %q", got)
		}
	}
	if _, resp := websocket.Open(t, l.ins[0].Addr, l.handshake("/live")); resp.StatusCode != 401 {
		t.Errorf("after the sign-out: %s", resp.Status)
	}
}

func TestStopClosesWebSockets(t *testing.T) {
	// shows PRX-LIVE
	t.Parallel()
	l := newLive(t)
	open := []*websocket.Conn{l.open(l.ins[0], "/live"), l.open(l.ins[0], "/public")}
	elsewhere := l.open(l.ins[1], "/live")
	stopped := make(chan error, 1)
	go func() { stopped <- l.ins[0].Stop() }()
	for i, c := range open {
		if end, err := c.End(); err != nil || end.Code != 1001 {
			t.Errorf("WebSocket %d ended with %v, %v", i, end, err)
		}
		if end := <-l.api.over; end.Code != 1001 {
			t.Errorf("the API heard %v", end)
		}
	}
	if err := <-stopped; err != nil { // exit code 0
		t.Errorf("stopping: %v", err)
	}
	elsewhere.Send(websocket.Text, "hello")
	elsewhere.Message(t)
	l.open(l.ins[1], "/live")
}

func TestEndsOfAWebSocketThatAreGone(t *testing.T) {
	// shows PRX-LIVE
	t.Parallel()
	l := newLive(t)
	c := l.open(l.ins[0], "/live")
	_ = c.Conn.(*net.TCPConn).SetLinger(0) // as a phone that is out of reach, to whom something is sent
	_ = c.Close()
	if end := <-l.api.over; end.Code != 0 {
		t.Errorf("of a frontend that is gone the API heard %v", end)
	}
	l.api.do = func(c *websocket.Conn) { _, _, _ = c.Read(); _ = c.Close() }
	c = l.open(l.ins[0], "/live")
	c.Send(websocket.Text, "go")
	if end, err := c.End(); err != nil || end.Code != 1011 {
		t.Errorf("of an API that is gone the frontend heard %v, %v", end, err)
	}
}

// A chat outlives the idle end of its session for as long as its user types, and not when only the API does.
func TestTypingKeepsASessionAlive(t *testing.T) {
	// shows SESS-IDLE
	t.Parallel()
	api := newLiveAPI(t)
	l := &live{World: newWorld(t, world.Options{
		Behave: longLived, Routes: liveRoutes(api.URL), App: "    session: {idle: 4s, absolute: 1h}",
	}), api: api}
	l.ins, l.user = l.Start(1), l.Browser()
	l.SignIn(l.user, "/")
	c := l.open(l.ins[0], "/live")
	for range 14 { // seven seconds of a life of four
		<-time.After(500 * time.Millisecond)
		c.Send(websocket.Text, "typing")
		c.Message(t)
	}
	go func() {
		for range 100 { // beats are nothing a user does
			c.Send(websocket.Ping, "")
			<-time.After(100 * time.Millisecond)
		}
	}()
	if end, err := c.End(); err != nil || end.Code != 1008 {
		t.Errorf("of a user who is idle: %v, %v", end, err)
	}
}

// A native app's handshake carries its handle, and no Origin or that of the address: some libraries send it.
func TestNativeWebSocket(t *testing.T) {
	// shows WS-1, PRX-LIVE
	t.Parallel()
	api := newLiveAPI(t)
	n := newNative(t, world.Options{Routes: liveRoutes(api.URL)})
	handle := granted(t, n.token(0, n.code(t, n.phone()))).Access
	host := strings.TrimPrefix(publicURL, "http://")
	open := func(in *gateway.Instance, fields ...string) (*websocket.Conn, int) {
		c, resp := websocket.Open(t, in.Addr, websocket.Handshake(host, "/live", fields...))
		return c, resp.StatusCode
	}
	for with, fields := range map[string][]string{
		"no handle":                 nil,
		"a handle that is none":     {"Authorization: Bearer clk_no"},
		"a handle in the query":     {"X: y"},
		"a handle as a subprotocol": {"Sec-WebSocket-Protocol: " + handle},
	} {
		if _, status := open(n.All[0], fields...); status != 401 && status != 400 {
			t.Errorf("a handshake with %s: %d", with, status)
		}
	}
	api.untouched(t)
	if _, status := open(n.All[0], "Authorization: Bearer "+handle, "Origin: https://evil.example"); status != 403 {
		t.Errorf("from a page: %d", status)
	}
	api.untouched(t)
	for _, origin := range []string{"Origin:", "Origin: " + publicURL} {
		c, status := open(n.All[0], "Authorization: Bearer "+handle, origin)
		if status != 101 {
			t.Fatalf("with %q: %d", origin, status)
		}
		if h := <-api.asked; h["Origin"] != nil || strings.Contains(fmt.Sprint(h), handle) {
			t.Errorf("the API got %v", h)
		}
		c.Send(websocket.Text, "hello")
		c.Message(t)
	}
	c, _ := open(n.All[0], "Authorization: Bearer "+handle)
	<-time.After(1500 * time.Millisecond) // a request may be watched from its first second on
	n.want(t, 1, "POST", "/mobile/logout", handle, 200)
	if end, err := c.End(); err != nil || end.Code != 1008 {
		t.Errorf("after the sign-out at the other instance: %v, %v", end, err)
	}
}
