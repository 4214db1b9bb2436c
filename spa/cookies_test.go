package spa_test

import (
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows COOKIE-2, COOKIE-3, COOKIE-6 (attributes and form)
//
// shows SCALEKIT-K1
func TestTheSessionCookie(t *testing.T) {
	for _, row := range []struct {
		with   string
		change []func(*bff.App, *surface.LoginPolicy)
		site   string
	}{
		{"the default", nil, "Strict"},
		{"the explicit setting", []func(*bff.App, *surface.LoginPolicy){lax}, "Lax"},
	} {
		w := newWorld(t, row.change...)
		b := w.browser()
		state := b.begin("")
		w.advance(time.Minute)
		a := b.come("code=c&state=" + state)
		want := sessionCookie + "=" + b.value(sessionCookie) + "; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=" + row.site
		if got := a.header.Values("Set-Cookie"); len(got) != 2 || got[1] != want {
			t.Errorf("with %s: %q, want %q", row.with, got, want)
		}
		if len(b.value(sessionCookie)) != 43 {
			t.Errorf("a root of %d characters", len(b.value(sessionCookie)))
		}
	}
}

// shows COOKIE-5, COOKIE-6 (format)
func TestCookieHeaders(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	good := b.value(sessionCookie)
	other := bff.NewRoot().Reveal()
	for _, row := range []struct {
		with   string // a Cookie header with …
		header string
		status int
		event  string
		asks   bool // the store
	}{
		{"the cookie alone", sessionCookie + "=" + good, 200, "", true},
		{"others around it", "a=b; " + sessionCookie + "=" + good + "; c", 200, "", true},
		{"no space after a semicolon", "a=b;" + sessionCookie + "=" + good, 200, "", true},
		{"a tossed one first", sessionCookie + "=" + other + "; " + sessionCookie + "=" + good, 401, "credential: two session cookies", false},
		{"a tossed one last", sessionCookie + "=" + good + "; " + sessionCookie + "=" + other, 401, "credential: two session cookies", false},
		{"the good one twice", sessionCookie + "=" + good + "; " + sessionCookie + "=" + good, 401, "credential: two session cookies", false},
		{"a tossed one beside in another line", sessionCookie + "=" + good + "\r\nCookie: " + sessionCookie + "=x", 401, "credential: two session cookies", false},
		{"a space of another kind before the name", "\u2000" + sessionCookie + "=" + good, 401, "", false},
		{"two spaces before the name", "a=b;  " + sessionCookie + "=" + good, 401, "", false},
		{"a space behind the name", sessionCookie + " =" + good, 401, "", false},
		{"an escaped name", "__Host%2DHttp-web=" + good, 401, "", false},
		{"a name in other letters", "__host-http-web=" + good, 401, "", false},
		{"a quoted value", sessionCookie + `="` + good + `"`, 401, "credential: malformed session cookie", false},
		{"a space behind the value", sessionCookie + "=" + good + " ; a=b", 401, "credential: malformed session cookie", false},
		{"a padded value", sessionCookie + "=" + good + "=", 401, "credential: malformed session cookie", false},
		{"a value that is too short", sessionCookie + "=" + good[1:], 401, "credential: malformed session cookie", false},
		{"bits beyond the root", sessionCookie + "=" + good[:42] + "_", 401, "credential: malformed session cookie", false},
		{"no value", sessionCookie + "=", 401, "credential: malformed session cookie", false},
		{"another app's name", "__Host-Http-docs=" + good, 401, "", false},
	} {
		w.mu.Lock()
		w.events = nil
		w.mu.Unlock()
		before := w.store.calls()
		a := w.raw("GET /api?sid=" + good + " HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nX-CSRF: 1\r\nCookie: " + row.header + "\r\nConnection: close\r\n\r\n")
		a.is(t, "with "+row.with, row.status)
		if row.event != "" && !w.noted(row.event) {
			t.Errorf("with %s: events %q, want %q", row.with, w.events, row.event)
		}
		if asked := w.store.calls() > before; asked != row.asks {
			t.Errorf("with %s: the store was asked: %v", row.with, asked)
		}
		if row.event == "credential: two session cookies" && len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("with %s: %q", row.with, a.header.Values("Set-Cookie"))
		}
	}
}

// shows COOKIE-4, SCALEKIT-A2
func TestACookieOfAnotherApp(t *testing.T) {
	w := newWorld(t)
	root := bff.NewRoot()
	foreign := bff.Session{
		Root: root, Lookup: root.Lookup(), App: "docs", Provider: "main", Identity: bff.Identity{Subject: "ann"},
		Began: start, CreatedAt: start, LastActive: start, AbsoluteEnd: start.Add(time.Hour), Idle: time.Hour,
	}
	if err := w.store.Create(t.Context(), &foreign); err != nil {
		t.Fatal(err)
	}
	w.advance(30 * time.Minute)
	b := w.browser()
	b.cookies = []cookie{{name: sessionCookie, value: root.Reveal()}}
	b.fetch("GET", "/api").is(t, "another app's value under this app's name", 401)
	kept, err := w.store.Read(t.Context(), root)
	if err != nil || !kept.LastActive.Equal(start) {
		t.Errorf("the other app's record was touched: %v %v", kept, err)
	}
}

func TestReservedNames(t *testing.T) {
	for name, want := range map[string]bool{
		"__Host-Http-web": true, "__Host-Http-web.tx.abc-def": true, "__Host-Http-web.so": true, "__Host-Http-web.out": true,
		"__Host-Http-web.anything": true, "__Host-Http-web2": false, "__Host-Http-we": false, "web": false, "session": false, "": false,
	} {
		if surface.ReservedCookie("web", name) != want {
			t.Errorf("%q is reserved: %v, want %v", name, !want, want)
		}
	}
}

// FuzzCookieHeader looks for a header that gets a session without holding exactly its cookie.
func FuzzCookieHeader(f *testing.F) {
	for _, seed := range []string{"", "=", ";", "a=b; " + sessionCookie + "=x", sessionCookie + `="x"`, "; ;= =;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if strings.ContainsAny(header, "\r\n\x00") {
			return // no HTTP server passes these
		}
		w := newWorld(t)
		b := w.browser()
		b.signIn()
		if strings.Contains(header, b.value(sessionCookie)) {
			return
		}
		stranger := w.browser()
		a := stranger.send("GET", "/optional", append(fetched(), "Cookie", strings.ToValidUTF8(printable(header), ""))...)
		if a.status != 200 || a.body != `"nobody"` {
			t.Errorf("%q: %d %s", header, a.status, a.body)
		}
	})
}

// printable drops what Go's client refuses to send in a field.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return -1
		}
		return r
	}, s)
}
