//go:build integration

package faults_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

// With Redis out of reach nothing is told but that, and everything is as good as before when it is back.
//
// shows SESS-503
func TestRedisOutageCostsNoHandle(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"killed", "frozen"} {
		o := outages()[name]
		t.Run("a Redis that is "+name, func(t *testing.T) {
			t.Parallel()
			n := newNative(t, world.Options{Redis: redisproc.Options{AppendOnly: true}}, defaultWaits...)
			h := n.signIn(t, n.phone())
			n.lives(t, h, 200)
			waiting := n.code(t, n.phone())
			o.begin(n.World, nil)
			n.duringOutage(t, h, waiting)
			o.end(n.World, nil)
			await(t, "the handle is good", healTime, func() bool {
				status, body := n.call(0, "GET", "/api/orders", h.Access)
				if status != 200 && status != 503 {
					t.Fatalf("after the outage: %d %s", status, body)
				}
				return status == 200
			})
			n.lives(t, h, 200)
			next := granted(t, n.token(0, rotation(h.Refresh)))
			n.lives(t, next, 200)
			n.lives(t, granted(t, n.token(0, waiting)), 200) // the code was not used up
		})
	}
}

func (n *nativeWorld) duringOutage(t *testing.T, h handles, waiting url.Values) {
	t.Helper()
	hits := n.API.Hits()
	outOfReach(t, "a rotation", n.token(0, rotation(h.Refresh)))
	outOfReach(t, "a redemption", n.token(0, waiting))
	for _, q := range []struct{ method, path string }{
		{"GET", "/mobile/session"}, {"GET", "/api/orders"}, {"POST", "/api/orders"}, {"POST", "/mobile/logout"},
	} {
		if body := n.want(t, 0, q.method, q.path, h.Access, 503); !strings.Contains(body, `"code":"store_unavailable"`) {
			t.Errorf("%s %s: %s", q.method, q.path, body)
		}
	}
	resp, err := n.clients[0].PostForm(publicURL+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Refresh}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 { // RFC 7009 section 2.2.1: the app asks again
		t.Errorf("a revocation: %d, want 503", resp.StatusCode)
	}
	if got := n.API.Hits(); got != hits {
		t.Errorf("the API was reached %d times without a session", got-hits)
	}
}

// Redis that forgot everything is a sign-out and nothing worse.
func TestHandlesAfterRedisForgotEverything(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	h := n.signIn(t, n.phone())
	waiting := n.code(t, n.phone())
	n.Redis.Restart()
	for at := range 2 {
		await(t, "the loss is told", healTime, func() bool {
			status, body := n.call(at, "GET", "/api/orders", h.Access)
			if status != 401 && status != 503 {
				t.Fatalf("after the loss: %d %s", status, body)
			}
			return status == 401
		})
	}
	n.want(t, 0, "GET", "/mobile/session", h.Access, 401)
	rejected(t, "a rotation", n.token(0, rotation(h.Refresh)))
	rejected(t, "a redemption", n.token(0, waiting))
	if body := n.want(t, 1, "POST", "/mobile/logout", h.Access, 200); !strings.Contains(body, `"ended":false`) {
		t.Errorf("a sign-out of what is not there: %s", body)
	}
	h = n.signIn(t, n.phone()) // the scripts are sent again
	n.lives(t, h, 200)
	n.lives(t, granted(t, n.token(1, rotation(h.Refresh))), 200)
}

// stream opens the API's event stream with a handle and waits for its first event.
func (n *nativeWorld) stream(t *testing.T, at int, access string) *stream {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", publicURL+"/api/stream?ms=50", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := n.clients[at].Do(req)
	if err != nil {
		leave()
		t.Fatal(err)
	}
	return follow(t, resp, leave)
}

// A browser app and a native app in one SSO session end together, on both instances, whichever is signed out; and streams
// that hang on either end within seconds.
//
// shows PRX-LIVE, RPL-GROUP
func TestStreamsEndWithASignOutOnTheOtherSurface(t *testing.T) {
	t.Parallel()
	for name, signOut := range map[string]func(*testing.T, *nativeWorld, *browser.Browser, handles){
		"the native app": func(t *testing.T, n *nativeWorld, _ *browser.Browser, h handles) {
			n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
		},
		"the browser app": func(_ *testing.T, n *nativeWorld, b *browser.Browser, _ handles) {
			n.At(n.All[1])
			n.Want(n.Fetch(b, "POST", "/bff/logout", ""), 200)
		},
		"a replayed refresh handle": nil,
	} {
		t.Run("a sign-out of "+name, func(t *testing.T) {
			t.Parallel()
			n := newNative(t, world.Options{})
			b := n.phone()
			n.SignIn(b, "/")
			h := granted(t, n.token(0, n.code(t, b)))
			stranger := n.signIn(t, n.phone()) // another session of the same user, which goes on
			browsers, native, other := openStream(t, b, 50), n.stream(t, 0, h.Access), n.stream(t, 0, stranger.Access)
			<-time.After(1500 * time.Millisecond) // a request is watched from its first second on
			late := n.stream(t, 0, h.Access)      // this one has just begun
			if signOut == nil {
				n.reuse(t, h)
			} else {
				signOut(t, n, b, h)
			}
			if took := native.ends(t); took > hinted {
				t.Errorf("a watched stream ended only after %v", took)
			}
			late.ends(t)
			n.lives(t, h, 401)
			if signOut == nil { // a session of its own ends, not the SSO session
				signedIn(t, n.World, b, true)
				browsers.next(t)
			} else {
				browsers.ends(t)
				signedIn(t, n.World, b, false)
				n.Want(n.Fetch(b, "GET", "/api/orders", ""), 401)
			}
			for range 20 { // a second's worth and more
				other.next(t)
			}
			n.lives(t, stranger, 200)
		})
	}
}

// reuse rotates twice, uses what came of it, and presents the first refresh handle again when the grace is over.
func (n *nativeWorld) reuse(t *testing.T, h handles) {
	t.Helper()
	next := granted(t, n.token(0, rotation(h.Refresh)))
	n.lives(t, next, 200)
	<-time.After(graceOfPhone + 300*time.Millisecond)
	rejected(t, "a reuse", n.token(1, rotation(h.Refresh)))
}
