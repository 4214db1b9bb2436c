package spa_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// States is as the store's, but it is not counted: looks at watched sessions are no request's.
func (m *memory) States(_ context.Context, lookups []bff.Lookup) []bff.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make([]bff.State, len(lookups))
	for i, l := range lookups {
		s, ok := m.sessions[l]
		switch {
		case m.down:
			states[i].Err = bff.ErrStore
		case !ok:
			states[i] = bff.State{Gone: true, Reason: m.ended[l]}
		default:
			states[i].LastActive = s.LastActive
		}
	}
	return states
}

// Subscribe delivers nothing: every event of these tests is lost.
func (m *memory) Subscribe(ctx context.Context, _ func(bff.Event)) { <-ctx.Done() }

// source is what a browser's EventSource sends: no header of the page's choice.
func source(site string) []string {
	return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "text/event-stream"}
}

// listen opens an event stream and returns its events, as "name data", until it ends.
func (b *browser) listen(fields ...string) (events chan string) {
	b.w.t.Helper()
	ctx, cancel := context.WithCancel(b.w.t.Context())
	b.w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", b.w.server.URL+"/bff/events", nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	req.Header.Set("Cookie", b.header(false))
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		b.w.t.Fatalf("opening a stream: %s", res.Status)
	}
	events = make(chan string, 16)
	go func() {
		defer close(events)
		defer res.Body.Close()
		name := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = n
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- name + " " + data
			}
		}
	}()
	if hello := within(b.w.t, "the first event", events); !strings.HasPrefix(hello, `session {"authenticated":true,`) {
		b.w.t.Fatalf("first comes %s", hello)
	}
	return events
}

// shows CSRF-1, PRX-LIVE
func TestWhoMayListen(t *testing.T) {
	ours := []string{"Origin", origin}
	for _, c := range []struct {
		with   string
		method string
		fields []string
		status int
	}{
		{"metadata of the app's own page", "GET", source("same-origin"), 200},
		{"metadata and the header, by fetch", "GET", fetched(), 200},
		{"metadata of a sibling", "GET", source("same-site"), 403},
		{"metadata of a foreign page", "GET", source("cross-site"), 403},
		{"a foreign page's metadata, and the header", "GET", append(source("cross-site"), "X-CSRF", "1"), 403},
		{"the header with a wrong value", "GET", append(source("same-origin"), "X-CSRF", "2"), 403},
		{"the address typed", "GET", nav("none"), 403},
		{"no metadata and its Origin", "GET", ours, 200},
		{"no metadata and a page of its own", "GET", []string{"Referer", origin + "/page"}, 200},
		{"no metadata and a foreign Origin", "GET", []string{"Origin", "https://evil.example"}, 403},
		{"no metadata and no origin", "GET", nil, 403},
		{"no metadata and the header", "GET", []string{"X-CSRF", "1"}, 200},
		{"another method", "POST", append(source("same-origin"), ours...), 405},
		{"HEAD", "HEAD", source("same-origin"), 405},
	} {
		t.Run(c.with, func(t *testing.T) {
			w := newWorld(t, lax)
			b := w.browser()
			b.signIn()
			if c.status == 200 {
				b.listen(c.fields...)
				return
			}
			a := b.send(c.method, "/bff/events", c.fields...).is(t, c.with, c.status)
			if a.header.Get("Content-Type") == "text/event-stream" || b.value(sessionCookie) == "" {
				t.Errorf("%s: %s", c.with, a.body)
			}
		})
	}
}

// shows PRX-LIVE
func TestWhoHasNoSessionHearsNothing(t *testing.T) {
	w := newWorld(t)
	w.browser().send("GET", "/bff/events", source("same-origin")...).is(t, "nobody", 401)
	b := w.browser()
	b.signIn()
	w.store.setDown(true)
	b.send("GET", "/bff/events", source("same-origin")...).is(t, "while the store is down", 503)
	if b.value(sessionCookie) == "" {
		t.Error("an outage cleared the cookie")
	}
	w.store.setDown(false)
	w.advance(31 * time.Minute)
	a := b.send("GET", "/bff/events", source("same-origin")...).is(t, "too late", 401)
	if !strings.Contains(a.body, `"reason":"idle"`) || b.value(sessionCookie) != "" {
		t.Errorf("too late: %s, cookie %q", a.body, b.value(sessionCookie))
	}
}

// shows SESS-IDLE, PRX-LIVE
func TestListeningIsNoActivity(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	events := b.listen(source("same-origin")...)
	for range 5 {
		w.advance(5 * time.Minute)
		b.listen(source("same-origin")...)
	}
	w.advance(5*time.Minute + time.Second)
	if got := within(t, "the idle end", events); got != `session-ended {"reason":"idle"}` {
		t.Errorf("it is told %s", got)
	}
	if _, more := <-events; more {
		t.Error("the stream goes on")
	}
}

func TestAListenerIsToldWhatTheUserDoes(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	events := b.listen(source("same-origin")...)
	w.advance(10 * time.Minute)
	b.fetch("POST", "/bff/session/extend").is(t, "extending", 200)
	if got := within(t, "the extension", events); got != `session-extended {"expires_in":42600,"idle_expires_in":1800}` {
		t.Errorf("it is told %s", got)
	}
	b.fetch("POST", "/bff/logout").is(t, "signing out", 200)
	if got := within(t, "the sign-out", events); got != `session-ended {"reason":"signed_out"}` {
		t.Errorf("it is told %s", got)
	}
}

// A session that another sign-in of the browser replaced is told apart: its page asks again, and goes on.
func TestAListenerIsToldOfANewSignIn(t *testing.T) {
	w := newWorld(t, lax)
	b := w.browser()
	b.signIn()
	events := b.listen(source("same-origin")...)
	b.signIn()
	if got := within(t, "the new sign-in", events); got != `session-replaced {"reason":"replaced"}` {
		t.Errorf("it is told %s", got)
	}
	b.listen(source("same-origin")...)
}

// A listener that keeps its connection through an outage is not told that it is signed out.
func TestAnOutageIsNoEndForAListener(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	events := b.listen(source("same-origin")...)
	w.store.setDown(true)
	w.advance(31 * time.Minute) // past its idle end, as far as is known here
	select {
	case got := <-events:
		t.Errorf("it is told %s", got)
	case <-time.After(500 * time.Millisecond): // five looks
	}
	w.store.setDown(false)
	if got := within(t, "the end", events); got != `session-ended {"reason":"idle"}` {
		t.Errorf("then it is told %s", got)
	}
}
