package dev_test

import (
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/websocket"
)

func TestLive(t *testing.T) {
	w := start(t)
	addr := strings.TrimPrefix(w.url, "http://")
	if _, resp := websocket.Open(t, addr, websocket.Handshake("x", "/api/live")); resp.StatusCode != 401 {
		t.Errorf("a WebSocket without a token: %s", resp.Status)
	}
	bearer := "Authorization: Bearer " + w.token(provider.Signing{}, nil)
	if _, resp := websocket.Open(t, addr, websocket.Handshake("x", "/api/live?ms=soon", bearer)); resp.StatusCode != 400 {
		t.Errorf("a WebSocket with a pace that is none: %s", resp.Status)
	}
	c, resp := websocket.Open(t, addr, websocket.Handshake("x", "/api/live?ms=20", bearer))
	if resp.StatusCode != 101 {
		t.Fatalf("a WebSocket with a token: %s", resp.Status)
	}
	if hello := c.Message(t); !strings.Contains(hello, `"event":"hello"`) {
		t.Errorf("it begins with %s", hello)
	}
	if tick := c.Message(t); !strings.Contains(tick, `"event":"tick","n":1`) {
		t.Errorf("it goes on with %s", tick)
	}
	c.Send(websocket.Text, "anybody?")
	for got := ""; got != "anybody?"; {
		if got = c.Message(t); got != "anybody?" && !strings.Contains(got, "tick") {
			t.Fatalf("instead of an echo: %s", got)
		}
	}
}
