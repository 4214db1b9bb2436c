package dev_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom/dev"
	"cloakroom/test/browser"
	"cloakroom/test/websocket"
)

// What the page of the shop does without a header of its own: the stream of an export, the link to its file, and the WebSocket
// of the feed, all through the gateway; and none of them from elsewhere.
//
// shows WS-1
func TestTheShopThroughTheGateway(t *testing.T) {
	w := launch(t, dev.WorldConfig{})
	b := w.browser()
	w.signIn(b, w.demo())

	stream, err := b.Open(t.Context(), browser.At(w.demo()+"/"), browser.Request{URL: w.demo() + "/api/orders/export?ms=0"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(stream.Body)
	_ = stream.Body.Close()
	_, data, ready := strings.Cut(string(text), "event: ready\ndata: ")
	var file struct{ Href string }
	if err != nil || !ready || json.Unmarshal([]byte(data), &file) != nil {
		t.Fatalf("an export: %v\n%s", err, text)
	}
	here, err := b.Open(t.Context(), browser.At(w.demo()+"/"), browser.Request{URL: w.demo() + file.Href})
	if err != nil {
		t.Fatal(err)
	}
	csv, _ := io.ReadAll(here.Body)
	_ = here.Body.Close()
	if here.StatusCode != 200 || !strings.HasPrefix(here.Header.Get("Content-Disposition"), "attachment") || !strings.Contains(string(csv), "Felt hat") {
		t.Errorf("the file: %s %v\n%s", here.Status, here.Header, csv)
	}
	elsewhere, err := b.Open(t.Context(), browser.At(w.docs()+"/"), browser.Request{URL: w.demo() + file.Href})
	if err == nil {
		_ = elsewhere.Body.Close()
		if elsewhere.StatusCode != 403 {
			t.Errorf("the file, asked for by another app's page: %s", elsewhere.Status)
		}
	}

	// A refund soon after a sign-in is made at once.
	if p := w.fetch(b, w.demo(), "POST", "/api/orders/ord_0001/refund", ""); p.Status != 200 || !strings.Contains(string(p.Body), `"refunded"`) {
		t.Errorf("a refund: %d %s", p.Status, p.Body)
	}

	ticket, ok := b.Cookie(w.demo(), "__Host-Http-demo")
	if !ok {
		t.Fatal("signed in without a cookie")
	}
	host := strings.TrimPrefix(w.demo(), "http://")
	cookie := (&http.Cookie{Name: ticket.Name, Value: ticket.Value}).String()
	addr := "127.0.0.1:" + strings.TrimPrefix(host, "localhost:")
	for origin, want := range map[string]int{w.demo(): 101, w.docs(): 403} {
		c, resp := websocket.Open(t, addr, websocket.Handshake(host, "/api/orders/feed", "Origin: "+origin, "Cookie: "+cookie))
		if resp.StatusCode != want {
			t.Errorf("the feed for a page of %s: %s, want %d", origin, resp.Status, want)
		}
		if resp.StatusCode == 101 {
			if hello := c.Message(t); hello != `{"event":"hello"}` {
				t.Errorf("the feed begins with %s", hello)
			}
		}
	}
}
