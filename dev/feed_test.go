package dev_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom/test/websocket"
)

// one is a listener with one connection.
type one struct {
	conn chan net.Conn
	end  chan struct{}
}

func (l one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}
func (l one) Close() error   { return nil }
func (l one) Addr() net.Addr { return &net.TCPAddr{} }

// A listener that reads nothing keeps no goroutine for longer than it takes to be sure.
//
// shows PRX-LIMIT (the demo's feed)
func TestAFeedThatNobodyReadsIsLetGo(t *testing.T) {
	w := start(t)
	ada := w.as("usr_1001", 0)
	if res, _ := w.do("GET", "/api/orders", ada, ""); res.StatusCode != 200 { // the provider's keys are read, outside the bubble
		t.Fatalf("the orders: %s", res.Status)
	}
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		l := one{make(chan net.Conn, 1), make(chan struct{})}
		server := &http.Server{Handler: w.api}
		go func() { _ = server.Serve(l) }()
		defer close(l.end)
		defer here.Close()
		l.conn <- there
		if _, err := io.WriteString(here, websocket.Handshake("x", "/api/orders/feed", "Authorization: "+ada)); err != nil {
			t.Fatal(err)
		}
		read := bufio.NewReader(here)
		if res, err := http.ReadResponse(read, nil); err != nil || res.StatusCode != 101 {
			t.Fatalf("a feed: %v %v", err, res)
		}
		hello := make([]byte, 2+len(`{"event":"hello"}`))
		if _, err := io.ReadFull(read, hello); err != nil || string(hello[2:]) != `{"event":"hello"}` {
			t.Fatalf("a feed begins with %q, %v", hello, err)
		}
		placing := httptest.NewRequest("POST", "/api/orders", strings.NewReader(`{"item":"coat","quantity":1}`))
		placing.Header.Set("Authorization", ada)
		placed := httptest.NewRecorder()
		if w.api.ServeHTTP(placed, placing); placed.Code != 201 {
			t.Fatalf("an order: %d %s", placed.Code, placed.Body)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if text, err := io.ReadAll(read); err != nil || len(text) > 0 {
			t.Errorf("read at last: %q, %v", text, err)
		}
	})
}
