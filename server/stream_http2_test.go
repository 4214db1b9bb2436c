package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"cloakroom/bff"
	"cloakroom/server"
	"cloakroom/surface"
	"cloakroom/test/browser"
)

// raw2 is an HTTP/2 connection of which every frame is said by hand.
type raw2 struct {
	*http2.Framer
	net.Conn
}

// newRaw2 begins one, at a server of its own for a handler.
func newRaw2(t *testing.T, h http.Handler, settings ...http2.Setting) raw2 {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	c, err := tls.Dial("tcp", srv.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, http2.ClientPreface)
	r := raw2{http2.NewFramer(c, c), c}
	_ = r.WriteSettings(settings...)
	_ = r.WriteSettingsAck()
	return r
}

// ask sends the head of a request.
func (r raw2) ask(t *testing.T, stream uint32, end bool, fields ...[2]string) {
	t.Helper()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err := r.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: end, EndHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
}

// one is the ports of an engine around one session that lives, and whose events are delivered by hand.
type one struct {
	bff.Records
	deliver chan func(bff.Event)
}

func (o one) States(_ context.Context, lookups []bff.Lookup) []bff.State {
	states := make([]bff.State, len(lookups))
	for i := range states {
		states[i].LastActive = time.Now()
	}
	return states
}

func (o one) Subscribe(ctx context.Context, deliver func(bff.Event)) {
	o.deliver <- deliver
	<-ctx.Done()
}

// An event stream whose window stays shut is cut like any other answer, leaves nothing behind, and keeps no event waiting.
//
// shows PRX-LIVE, PRX-LIMIT
func TestAnEventStreamWhoseWindowStaysShut(t *testing.T) {
	s, _ := wired(t, "/api/", "http://127.0.0.1:1", server.Options{Stall: 200 * time.Millisecond})
	o := one{deliver: make(chan func(bff.Event), 1)}
	e := bff.NewEngine(bff.Ports{Records: o, Events: o, States: o}, nil, time.Now, &bff.Trace{}, bff.Limits{Recheck: 100 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	defer running.Wait()
	defer cancel()
	deliver := <-o.deliver
	session := &bff.Session{Lookup: "a", LastActive: time.Now(), Idle: time.Hour, AbsoluteEnd: time.Now().Add(time.Hour)}
	over := make(chan struct{})
	r := newRaw2(t, s.Observed(func(w http.ResponseWriter, r *http.Request) error {
		defer close(over)
		return surface.EventStream{App: &bff.App{ID: "web"}, Session: session, Engine: e, Trace: &bff.Trace{}}.Serve(w, r)
	}), http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	r.ask(t, 1, true, [2]string{":method", "GET"}, [2]string{":scheme", "https"}, [2]string{":authority", "app.example.com"}, [2]string{":path", "/bff/events"})
	go func() { _, _ = io.Copy(io.Discard, r.Conn) }() // the connection is read, the stream is not
	until(t, "it is watched", func() bool { return e.Watched() == 1 })
	began := time.Now()
	for range 10_000 {
		deliver(bff.Event{Kind: bff.EventExtended, Lookup: "a"})
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("events waited %v for a reader that takes nothing", took)
	}
	select {
	case <-over:
	case <-time.After(patience):
		t.Fatal("it is still open")
	}
	if n := e.Watched(); n != 0 {
		t.Errorf("%d sessions are watched for nobody", n)
	}
}

// A WebSocket over an HTTP/2 stream (RFC 8441) is neither offered nor opened: the browser makes a connection of its own.
//
// shows WS-1
func TestAWebSocketOverHTTP2(t *testing.T) {
	api, gone := endless(t)
	s, _ := wired(t, "/api/", api, server.Options{})
	r := newRaw2(t, s.Handler())
	r.ask(t, 1, false, [2]string{":method", "CONNECT"}, [2]string{":protocol", "websocket"}, [2]string{":scheme", "https"},
		[2]string{":authority", "app.example.com"}, [2]string{":path", "/api/x"}, [2]string{"origin", "https://app.example.com"},
		[2]string{"sec-websocket-version", "13"})
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		frame, err := r.ReadFrame()
		if err != nil {
			t.Fatal("it is not answered:", err)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if v, told := f.Value(http2.SettingEnableConnectProtocol); told && v != 0 {
				t.Error("it is offered")
			}
		case *http2.MetaHeadersFrame:
			if f.PseudoValue("status")[0] != '4' {
				t.Errorf("it is answered with %s", f.PseudoValue("status"))
			}
			return
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			select {
			case <-gone:
				t.Error("the API was asked")
			default:
			}
			return
		}
	}
}

// An answer to a body takes its time by the app's own token as by a user's: the limit on bodies that nobody reads is none on it.
//
// shows PRX-LIMIT
func TestAnAnswerToABodyTakesItsTime(t *testing.T) {
	o := newObserved(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := io.ReadAll(r.Body)
		_, _ = w.Write(got)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(800 * time.Millisecond): // longer than such a body is waited for
			_, _ = io.WriteString(w, " and more")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(api.Close)
	o.run(t, fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %s}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %q, token_auth: client_secret_post}
apps:
  web: {kind: spa, origin: %q, provider: main, client_id: web, client_secret: secret-of-web-at-the-provider}
routes:
  - {path: /management/notes, upstream: "%[5]s/notes/{sub}", methods: [POST], token: client, apps: [web], require: {claims: {email: ["ada@example.com"]}}}
  - {path: /api/notes, upstream: %[5]q, methods: [POST], token: user}
`, adminToken, o.redis.Addr(), o.issuer.Issuer(), webOrigin, api.URL))
	b := o.signInBrowser()
	for _, path := range []string{"/management/notes", "/api/notes"} {
		p, err := b.Fetch(browser.At(webOrigin+"/"), browser.Request{
			Method: "POST", URL: webOrigin + path, Header: http.Header{"X-Csrf": {"1"}, "Content-Type": {"text/plain"}}, Body: []byte("a note"),
		})
		if err != nil || p.Status != 200 || string(p.Body) != "a note and more" {
			t.Errorf("%s: %+v, %v", path, p, err)
		}
	}
}
