package mobileapi_test

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// listen opens an app's event stream and returns its events, as "name data", until it ends.
func (w *world) listen(access string) (events chan string) {
	w.t.Helper()
	return w.listenWith("Bearer "+access, "")
}

// listenWith is listen with any credential, and a proof of possession for it if it needs one.
func (w *world) listenWith(credential, proof string) (events chan string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/mobile/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", credential)
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("opening a stream: %s", res.Status)
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
	if hello := w.next(events); !strings.HasPrefix(hello, `session {"authenticated":true,`) {
		w.t.Fatalf("first comes %s", hello)
	}
	return events
}

// next returns the next event; "" where the stream ended.
func (w *world) next(events <-chan string) string {
	w.t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second): // far longer than anything here takes on a busy machine
		w.t.Fatal("no event")
		return ""
	}
}

// shows PRX-LIVE
func TestAnAppIsToldOfItsEnd(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(w *world, mine handles)
		want string
	}{
		{"its own sign-out", func(w *world, mine handles) {
			w.call("POST", "/mobile/logout", mine.Access).is(t, "signing out", 200)
		}, `session-ended {"reason":"signed_out"}`},
		{"its handle's revocation", func(w *world, mine handles) {
			w.post("/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {mine.Refresh}}).is(t, "revoking", 200)
		}, `session-ended {"reason":"signed_out"}`},
		{"a reused refresh handle", func(w *world, mine handles) {
			next := w.rotate("phone", mine.Refresh).handles(t)
			w.rotate("phone", next.Refresh).handles(t)
			w.advance(time.Hour)
			w.rotate("phone", mine.Refresh).is(t, "reusing", 400)
		}, `session-ended {"reason":"handle_reused"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			mine := w.signedIn()
			events := w.listen(mine.Access)
			c.does(w, mine)
			if got := w.next(events); got != c.want {
				t.Errorf("it is told %q, want %q", got, c.want)
			}
			if got := w.next(events); got != "" {
				t.Errorf("and then %q", got)
			}
			a := w.call("GET", "/mobile/events", mine.Access).is(t, "listening again", 401)
			if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("its challenge: %q", a.header.Get("WWW-Authenticate"))
			}
		})
	}
}

// A stream goes on while its app rotates handles: the session is the same.
func TestARotationEndsNoStream(t *testing.T) {
	w := newWorld(t)
	mine := w.signedIn()
	events := w.listen(mine.Access)
	next := w.rotate("phone", mine.Refresh).handles(t)
	w.call("POST", "/mobile/logout", next.Access).is(t, "signing out", 200)
	if got := w.next(events); !strings.HasPrefix(got, "session-ended") {
		t.Errorf("it is told %q", got)
	}
}

func TestWhoMayNotListenHere(t *testing.T) {
	w := newWorld(t)
	mine := w.signedIn()
	w.send("GET", "/mobile/events", "").is(t, "nobody", 401)
	w.call("GET", "/mobile/events", mine.Refresh).is(t, "a refresh handle", 401)
	w.send("GET", "/mobile/events?access_token="+mine.Access, "").is(t, "a handle in the address", 400)
	w.send("GET", "/mobile/events", "", "Authorization", "Bearer "+mine.Access, "Origin", "https://evil.example").is(t, "a page", 403)
	w.send("GET", "/mobile/events", "", "Authorization", "Bearer "+mine.Access, "Cookie", "__Host-Http-web=x").is(t, "a cookie beside", 400)
	w.call("HEAD", "/mobile/events", mine.Access).is(t, "HEAD", 405)
}
