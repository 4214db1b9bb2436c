//go:build integration

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

// ticker is an API whose answer is an event stream that goes on until it is let go of.
func ticker(t *testing.T) string {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			_, _ = io.WriteString(w, "data: tick\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(api.Close)
	return api.URL
}

// ticks opens the event stream of an API through an instance, and returns when it ends.
func (l *live) ticks(in *gateway.Instance) (over <-chan time.Time) {
	l.T.Helper()
	h, err := l.user.RequestHeader(browser.At(world.Origin+"/"), browser.Request{
		URL: world.Origin + "/ticks", Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		l.T.Fatal(err)
	}
	var text strings.Builder
	for name, values := range h {
		fmt.Fprintf(&text, "%s: %s\r\n", name, strings.Join(values, ", "))
	}
	c, resp := websocket.Open(l.T, in.Addr, "GET /ticks HTTP/1.1\r\nHost: web.localhost\r\n"+text.String()+"\r\n")
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "data: tick\n" {
		l.T.Fatalf("the stream begins with %q, %v: %s", line, err, resp.Status)
	}
	ended := make(chan time.Time, 1)
	go func() { _, _ = io.Copy(io.Discard, c.Reader); ended <- time.Now() }()
	return ended
}

// Where the channel of events is not heard, WebSockets and streams of APIs end by the looks at their records; and where
// nothing can be heard, that is told.
//
// shows PRX-LIVE, WS-1
func TestConnectionsThatHearOfNoEvent(t *testing.T) {
	alongside(t)
	api := newLiveAPI(t)
	l := &live{World: newWorld(t, world.Options{
		Behave: longLived, Routes: liveRoutes(api.URL) + fmt.Sprintf("\n  - {path: /ticks, upstream: %q, methods: [GET], token: user}", ticker(t)),
	}), api: api}
	l.Redis.Do("ACL", "SETUSER", "deaf", "on", ">pass", "~*", "+@all", "resetchannels")
	l.ins, l.user = l.Start(1), l.Browser()
	deaf := l.Setup.Start(t, "CLOAKROOM_REDIS__USERNAME=deaf", "CLOAKROOM_REDIS__PASSWORD=pass")
	l.SignIn(l.user, "/")
	await(t, "the log tells that the channel is refused", healTime, func() bool {
		_, body := ask(t, deaf, "/readyz")
		return strings.Contains(deaf.Log(), "Redis refuses the channel of events") && strings.Contains(body, "the channel of events is not heard")
	})
	c, ticks := l.open(deaf, "/live"), l.ticks(deaf)
	deaf.AwaitMetric(`bff_watch_looks_total{result="alive"}`, 1)
	began := time.Now()
	l.Want(l.Fetch(l.user, "POST", "/bff/logout", ""), 200)
	for what, end := range map[string]func() time.Time{
		"the WebSocket": func() time.Time {
			if end, err := c.End(); err != nil || end.Code != 1008 {
				t.Errorf("it ended with %v, %v", end, err)
			}
			return time.Now()
		},
		"the API's stream": func() time.Time { return <-ticks },
	} {
		if took := end().Sub(began); took > lateAt {
			t.Errorf("%s ended only after %v", what, took)
		} else {
			t.Logf("%s ended after %v", what, took.Round(time.Millisecond))
		}
	}
}

// Tabs and WebSockets that come and go leave nothing behind: no goroutine, no entry in the watch, no place that is taken.
//
// shows PRX-LIVE, PRX-LIMIT
func TestTabsThatComeAndGo(t *testing.T) {
	alongside(t)
	l := newLive(t)
	in, rounds := l.ins[0], 10
	if soak() {
		rounds = 200
	}
	gauge := func(name string) int {
		_, body := ask(t, in, "/metrics")
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)`).FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("no metric %s", name)
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	tab(t, in, l.user).Close()
	_ = l.open(in, "/live").Close()
	await(t, "what was opened first is over", healTime, func() bool { return gauge(`bff_event_streams{surface="browser"}`) == 0 })
	before := gauge("go_goroutines")
	for range rounds {
		var many sync.WaitGroup
		for range 5 {
			tab, chat := tab(t, in, l.user), l.open(in, "/live")
			many.Go(tab.Close)
			many.Go(func() { _ = chat.Close() })
		}
		many.Wait()
		await(t, "the places are free", healTime, func() bool { return gauge(`bff_event_streams{surface="browser"}`) == 0 })
	}
	await(t, "all is as it was", healTime, func() bool {
		return gauge(`bff_open_websockets{route="/live"}`) == 0 && gauge("go_goroutines") <= before+4 // idle connections
	})
	t.Logf("%d goroutines before, %d after %d tabs and WebSockets", before, gauge("go_goroutines"), 10*rounds)
	signedIn(t, l.World, l.user, true)
}
