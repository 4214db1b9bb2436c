package spa_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

// told is the session answer as a frontend reads it.
type told struct {
	Authenticated bool
	User          map[string]any
	Session       map[string]any
	LogoutURL     string `json:"logout_url"`
}

func sessionOf(t *testing.T, b *browser) told {
	t.Helper()
	a := b.fetch("GET", "/bff/session")
	var s told
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || a.status != 200 {
		t.Fatalf("session: %d %s: %v", a.status, a.body, err)
	}
	return s
}

const signedOut = `{"authenticated":false}`

// shows SESS-INFO
func TestTheSessionAnswer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	if a := b.fetch("GET", "/bff/session"); a.status != 200 || a.body != signedOut || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("signed out: %d %q", a.status, a.body)
	}
	b.signIn()
	w.advance(10 * time.Second)
	s := sessionOf(t, b)
	if s.LogoutURL == "" || !strings.HasPrefix(s.LogoutURL, "/bff/logout?token=") || s.Session["id"] == "" {
		t.Errorf("logout_url %q, id %v", s.LogoutURL, s.Session["id"])
	}
	root, _ := bff.ParseRoot(b.value(sessionCookie))
	for what, secret := range map[string]string{"cookie": root.Reveal(), "lookup": string(root.Lookup())} {
		if a := b.fetch("GET", "/bff/session"); strings.Contains(a.body, secret) {
			t.Errorf("the answer holds the %s: %s", what, a.body)
		}
	}
	s.LogoutURL = ""
	delete(s.Session, "id")
	want := told{
		Authenticated: true, User: map[string]any{"sub": "ann", "name": "Ann"},
		Session: map[string]any{
			"created_at": "2026-05-01T12:00:00Z", "expires_in": 43190.0, "idle_expires_in": 1790.0, "acr": "silver",
			"auth_time": float64(start.Add(-time.Minute).Unix()),
		},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

// shows SESS-IDLE
func TestWhatMovesTheIdleEnd(t *testing.T) {
	for _, row := range []struct {
		what  string
		moves bool
		ask   func(b *browser) *answer
	}{
		{"session checks", false, func(b *browser) *answer { return b.fetch("GET", "/bff/session") }},
		{"prefetches", false, func(b *browser) *answer {
			return b.send("GET", "/api", append(fetched(), "Sec-Purpose", "prefetch")...)
		}},
		{"background requests", false, func(b *browser) *answer { return b.send("GET", "/api", append(fetched(), "X-Background", "1")...) }},
		{"requests of the user", true, func(b *browser) *answer { return b.fetch("GET", "/api") }},
		{"requests to extend", true, func(b *browser) *answer { return b.fetch("POST", "/bff/session/extend") }},
	} {
		t.Run(row.what, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			b.signIn()
			for range 4 {
				w.advance(10 * time.Minute)
				a := row.ask(b)
				if a.status == 200 && row.moves {
					within(t, "a touch", w.store.touched) // it is written beside the request
				}
			}
			want := map[bool]int{true: 200, false: 401}[row.moves]
			b.fetch("GET", "/api").is(t, "after forty minutes of "+row.what, want)
			if (b.value(sessionCookie) != "") != row.moves {
				t.Errorf("cookie %q", b.value(sessionCookie))
			}
		})
	}
}

// shows SESS-LIFE (at this surface)
func TestTheAbsoluteEnd(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	for range 72 { // every ten minutes of twelve hours
		w.advance(10*time.Minute - time.Second)
		if a := b.fetch("POST", "/bff/session/extend"); a.status != 200 {
			t.Fatalf("extending: %d %s", a.status, a.body)
		}
		within(t, "a touch", w.store.touched)
	}
	w.advance(72 * time.Second)
	a := b.fetch("POST", "/bff/session/extend")
	if a.is(t, "extending at the absolute end", 401); !strings.Contains(a.body, `"code":"session_expired"`) || b.value(sessionCookie) != "" {
		t.Errorf("%s, cookie %q", a.body, b.value(sessionCookie))
	}
}

// shows SESS-503
func TestTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	root := b.value(sessionCookie)
	w.store.setDown(true)
	for _, path := range []string{"/bff/session", "/api", "/optional"} {
		a := b.fetch("GET", path)
		a.is(t, path, 503)
		if a.header.Get("Retry-After") == "" || len(a.header.Values("Set-Cookie")) > 0 || a.location() != "" || !strings.Contains(a.body, `"store_unavailable"`) {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
	}
	b.fetch("POST", "/bff/session/extend").is(t, "extend", 503)
	a := b.send("GET", "/site", nav("cross-site")...) // the Strict cookie is withheld: this is a stranger
	a.is(t, "a navigation without the cookie", 401)
	b.open("/site", "same-origin").is(t, "a navigation", 503)
	w.store.setDown(false)
	if b.fetch("GET", "/api").is(t, "afterwards", 200); b.value(sessionCookie) != root {
		t.Error("the cookie changed")
	}
}

// shows ERR-NAV: the same answer for unknown, malformed, ended and foreign credentials.
func TestDeadCookies(t *testing.T) {
	w := newWorld(t)
	for what, value := range map[string]string{
		"an unknown cookie": bff.NewRoot().Reveal(), "a malformed cookie": "x", "an empty cookie": "",
	} {
		b := w.browser()
		b.cookies = []cookie{{name: sessionCookie, value: value}}
		if a := b.fetch("GET", "/bff/session"); a.status != 200 || a.body != signedOut || b.value(sessionCookie) != "" {
			t.Errorf("%s: %d %s, cookie %q", what, a.status, a.body, b.value(sessionCookie))
		}
		b.cookies = []cookie{{name: sessionCookie, value: value}}
		a := b.fetch("GET", "/api")
		a.is(t, what, 401)
		if !strings.Contains(a.body, `"code":"session_required"`) || !strings.Contains(a.body, `"login_url":"/bff/login"`) || a.location() != "" {
			t.Errorf("%s: %s", what, a.body)
		}
		if line := a.header.Get("Set-Cookie"); len(b.cookies) != 0 || !strings.Contains(line, "Max-Age=0") || !strings.Contains(line, "Path=/") ||
			!strings.Contains(line, "Secure") || !strings.Contains(line, "SameSite=Strict") {
			t.Errorf("%s: cleared by %q", what, line)
		}
	}
	b := w.browser()
	a := b.open("/site?page=2", "none")
	a.is(t, "a navigation", 401)
	if !strings.Contains(a.body, `href="/bff/login?return_to=%2Fsite%3Fpage%3D2"`) || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("a navigation gets no way on: %s", a.body)
	}
}
