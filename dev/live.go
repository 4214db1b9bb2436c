package dev

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"golang.org/x/net/websocket"
)

// liveLimit is the longest message that /api/live takes, in bytes.
const liveLimit = 4 << 20

// liveEvent is what /api/live says unasked.
type liveEvent struct {
	Event string `json:"event"` // hello, tick
	N     int    `json:"n,omitempty"`
	Sub   string `json:"sub"`
}

// live is a WebSocket that greets its user, sends every text back, and a tick each ?ms= milliseconds; without it, none. It
// looks at no Origin: what comes with a bearer token was sent by no page.
func (a *API) live(w http.ResponseWriter, r *http.Request, c claims) {
	every, ok := milliseconds(r, 0)
	if !ok {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_ms"})
		return
	}
	websocket.Server{Handler: func(ws *websocket.Conn) {
		ws.MaxPayloadBytes = liveLimit
		ctx, leave := context.WithCancel(context.Background()) // the request's does not end with a connection that was taken over
		defer leave()
		say := func(event string, n int) error {
			text, _ := json.Marshal(liveEvent{Event: event, N: n, Sub: c.Sub})
			return websocket.Message.Send(ws, string(text))
		}
		if say("hello", 0) != nil {
			return
		}
		if every > 0 {
			go tick(ctx, every, func(n int) error { return say("tick", n) })
		}
		for {
			var text string
			if websocket.Message.Receive(ws, &text) != nil || websocket.Message.Send(ws, text) != nil {
				return
			}
		}
	}}.ServeHTTP(w, r)
}

// tick counts until ctx ends or nobody listens.
func tick(ctx context.Context, every time.Duration, say func(n int) error) {
	for n := 1; pause(ctx, every); n++ {
		if say(n) != nil {
			return
		}
	}
}
