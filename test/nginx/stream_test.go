//go:build integration

package nginx_test

import (
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

// What nginx forwards itself it asks about once, at the handshake: a WebSocket then outlives its session. That which the
// gateway forwards ends with it, behind nginx too. And a handshake from another origin is refused by both.
//
// shows WS-1
func TestWhatEndsAWebSocket(t *testing.T) {
	t.Parallel()
	w := newBeside(t, longLived)
	b := w.Browser()
	w.SignIn(b, "/")
	asked := w.open(t, b, "/beside/live/x", world.Origin, 101)
	forwarded := w.open(t, b, "/own/x", world.Origin, 101)
	for name, c := range map[string]*websocket.Conn{"asked about": asked, "forwarded": forwarded} {
		c.Send(websocket.Text, "hello")
		if got := c.Message(t); got != "heard hello" {
			t.Fatalf("%s: %q", name, got)
		}
	}
	if got, _ := w.api.last(); !w.isToken(got.Header.Get("Authorization")) {
		t.Errorf("the handshake brought %q", got.Header.Get("Authorization"))
	}
	_, n := w.api.last()
	w.open(t, b, "/beside/live/x", "http://evil.localhost", 403)
	w.open(t, b, "/own/x", "http://evil.localhost", 403)
	if _, after := w.api.last(); after != n {
		t.Error("the API heard of a handshake from elsewhere")
	}
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	if end, err := forwarded.End(); err != nil || end.Code != 1008 {
		t.Errorf("the gateway's own ended with %+v, %v", end, err)
	}
	asked.Send(websocket.Text, "still here")
	if got := asked.Message(t); got != "heard still here" {
		t.Errorf("nginx's own: %q; if it ends by now, the documentation should say so", got)
	}
	w.open(t, b, "/beside/live/x", world.Origin, 401)
}

// open sends a browser's handshake through nginx, which must be answered by status.
func (b *beside) open(t *testing.T, from *browser.Browser, path, origin string, status int) *websocket.Conn {
	t.Helper()
	q := browser.Request{URL: world.Origin + path, Mode: "websocket", Dest: "websocket"}
	h, err := from.RequestHeader(browser.At(world.Origin+"/"), q)
	if err != nil {
		t.Fatal(err)
	}
	fields := []string{"Origin: " + origin}
	if c := h.Get("Cookie"); c != "" {
		fields = append(fields, "Cookie: "+c)
	}
	c, res := websocket.Open(t, b.nginx.Addr, websocket.Handshake("web.localhost", path, fields...))
	if res.StatusCode != status {
		t.Fatalf("%s from %s: %s, want %d", path, origin, res.Status, status)
	}
	if strings.Contains(res.Header.Get("Authorization"), "Bearer") {
		t.Error("the answer has a token")
	}
	return c
}
