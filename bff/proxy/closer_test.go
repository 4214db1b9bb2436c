package proxy_test

import (
	"net/http"
	"testing"

	"cloakroom/bff/proxy"
	"cloakroom/test/websocket"
)

// A WebSocket is ended by who says goodbye first, whichever connection goes first: after the goodbyes the server closes it
// (RFC 6455 section 7.1.1), and so the upstream would have ended them all.
//
// shows PRX-LIVE
func TestWebSocketIsEndedByWhoSaysGoodbye(t *testing.T) {
	goodbye := websocket.ClosePayload(1000, "")
	for _, row := range []struct {
		with     string
		upstream func(*websocket.Conn)
		frontend func(*websocket.Conn)
		want     string
	}{
		{
			"a goodbye of the frontend, answered", func(c *websocket.Conn) { _, _, _ = c.Read(); c.Send(websocket.Close, goodbye) },
			func(c *websocket.Conn) { c.Send(websocket.Close, goodbye) }, proxy.EndFrontend,
		},
		{
			"a goodbye of the frontend, not answered", func(c *websocket.Conn) { _, _, _ = c.Read() },
			func(c *websocket.Conn) { c.Send(websocket.Close, goodbye) }, proxy.EndFrontend,
		},
		{
			"a goodbye of the upstream, answered", func(c *websocket.Conn) { c.Send(websocket.Close, goodbye); _, _, _ = c.Read() },
			func(c *websocket.Conn) { _, _, _ = c.Read(); c.Send(websocket.Close, goodbye) }, proxy.EndUpstream,
		},
		{
			"a frontend that goes without a word", func(c *websocket.Conn) { _, _, _ = c.Read() },
			func(c *websocket.Conn) { _ = c.Close() }, proxy.EndFrontend,
		},
	} {
		t.Run("a WebSocket with "+row.with, func(t *testing.T) {
			a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
				c.Switch(r)
				row.upstream(c)
			})
			g := newEnds(t, setting{}, route(a, "/api/", opts))
			row.frontend(g.opened(t))
			g.endedBy(t, row.want)
		})
	}
}
