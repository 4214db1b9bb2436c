package spa_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

const time13h = 13 * time.Hour

func form(site string) []string {
	return append(nav(site), "Content-Type", "application/x-www-form-urlencoded")
}

// leaves checks what every sign-out leaves behind. shows RPL-CLEAR
func leaves(t *testing.T, what string, b *browser, a *answer) {
	t.Helper()
	if got := a.header.Get("Clear-Site-Data"); got != `"cache", "storage"` {
		t.Errorf("%s: Clear-Site-Data %s", what, got)
	}
	if b.value(sessionCookie) != "" || b.flows() != 0 || b.w.store.count() != 0 {
		t.Errorf("%s: %v are left, and %d sessions", what, b.cookies, b.w.store.count())
	}
}

// shows RPL-LOCAL, RPL-CLEAR, RPL-3, RPL-2 (at this surface), RPL-PENDING (this browser)
func TestSigningOutByForm(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	inFlight := b.begin("")
	stale := &browser{w: w, cookies: append([]cookie(nil), b.cookies...)}
	a := b.send("POST", "/bff/logout", form("same-origin")...)
	a.is(t, "the form", http.StatusSeeOther)
	leaves(t, "the form", b, a)
	if !strings.HasPrefix(a.location(), "/bff/logout/") {
		t.Fatalf("goes to %q", a.location())
	}
	stale.fetch("GET", "/api").is(t, "the old cookie", 401) // before the provider was ever reached
	b.come("code=c&state="+inFlight).is(t, "an old tab's callback", 400)

	ticket := a.location()
	a = b.open(ticket, "same-origin")
	a.is(t, "the way to the provider", http.StatusSeeOther)
	for name, want := range map[string]string{"id_token_hint": idToken, "post_logout_redirect_uri": origin + "/bff/logged-out", "tenant": "1"} {
		if got := w.param(a.location(), name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a.body != "" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the way to the provider: %v %q", a.header, a.body)
	}
	state := w.param(a.location(), "state")
	b.open(ticket, "same-origin").is(t, "the one-time URL again", http.StatusGone)

	for _, wrong := range []string{"", "?state=", "?state=wrong", "?state=" + state + "&state=" + state} {
		a = b.open("/bff/logged-out"+wrong, "cross-site")
		if a.is(t, "state "+wrong, 200); !strings.Contains(a.body, "You are signed out.") {
			t.Errorf("state %q: %s", wrong, a.body)
		}
	}
	back := "/bff/logged-out?post_logout_redirect_uri=https://evil&return_to=//evil&state=" + state
	a = b.open(back, "cross-site")
	if a.is(t, "the way back", http.StatusSeeOther); a.location() != "/goodbye#" {
		t.Errorf("back to %q", a.location())
	}
	b.open(back, "cross-site").is(t, "the way back again", 200)
}

// shows RPL-3: the return ends no session, whatever it is given, and a foreign target is none.
func TestTheReturnAfterASignOut(t *testing.T) {
	w := newWorld(t)
	w.app.PostLogoutReturn = "//evil"
	b := w.browser()
	b.signIn()
	b.cookies = append(b.cookies, cookie{name: sessionCookie + ".out", value: "s"})
	b.open("/bff/logged-out?state=s", "cross-site").is(t, "a foreign target", 200)
	b.open("/bff/logged-out?state=x", "cross-site").is(t, "a wrong state", 200)
	w.app.PostLogoutReturn = "/goodbye"
	w.browser().open("/bff/logged-out?state=", "cross-site").is(t, "an empty state in a browser that asked for none", 200)
	b.fetch("GET", "/api").is(t, "the session", 200)
}

// shows RPL-HINT, SCALEKIT-O2
func TestSigningOutByFetch(t *testing.T) {
	w := newWorld(t)
	w.provider.endPost = true
	b := w.browser()
	b.signIn()
	a := b.fetch("POST", "/bff/logout")
	a.is(t, "the fetch", 200)
	leaves(t, "the fetch", b, a)
	var to struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := json.Unmarshal([]byte(a.body), &to); err != nil || !strings.HasPrefix(to.RedirectTo, origin+"/bff/logout/") || strings.Contains(a.body, idToken) {
		t.Fatalf("%s: %v", a.body, err)
	}
	path := strings.TrimPrefix(to.RedirectTo, origin)
	b.fetch("GET", path).is(t, "the one-time URL fetched", 403)
	b.send("GET", path, append(typed(), "Sec-Purpose", "prefetch")...).is(t, "the one-time URL prefetched", 403)
	a = b.open(path, "same-origin")
	a.is(t, "the one-time URL opened", 200)
	for _, part := range []string{
		`<form method="post" action="https://idp.example/end?tenant=1">`, `name="id_token_hint" value="` + idToken + `"`, "<button",
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("the page lacks %s: %s", part, a.body)
		}
	}
	// shows HDR-CSP: the form may post to the provider, and nothing else may happen.
	if csp := a.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' https://idp.example") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %s", csp)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Error("the page may be stored")
	}
}

// shows RPL-CSRF
func TestWhoMayNotSignOut(t *testing.T) {
	other := newWorld(t)
	stranger := other.browser()
	stranger.signIn()
	foreignToken := sessionOf(t, stranger).LogoutURL
	for _, row := range []struct {
		what         string
		method, path string
		fields       []string
	}{
		{"a foreign form", "POST", "/bff/logout", form("cross-site")},
		{"a sibling's form", "POST", "/bff/logout", form("same-site")},
		{"a form without metadata or Origin", "POST", "/bff/logout", []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{"a form with a foreign Origin", "POST", "/bff/logout", []string{"Content-Type", "multipart/form-data; boundary=x", "Origin", "https://evil.example"}},
		{"a form in a frame", "POST", "/bff/logout", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}},
		{"a fetch without the header", "POST", "/bff/logout", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}},
		{"a beacon", "POST", "/bff/logout", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Content-Type", "text/plain"}},
		{"a link without a token", "GET", "/bff/logout", nav("same-origin")},
		{"a foreign link without a token", "GET", "/bff/logout", nav("cross-site")},
		{"a link with another session's token", "GET", foreignToken, nav("same-origin")},
		{"an image", "GET", "/bff/logout", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}},
	} {
		w := newWorld(t, lax) // so that the cookie comes along
		b := w.browser()
		b.signIn()
		a := b.send(row.method, row.path, row.fields...)
		a.is(t, row.what, http.StatusForbidden)
		if w.store.count() != 1 || b.value(sessionCookie) == "" || a.header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s signs out", row.what)
		}
	}
}

// shows RPL-CSRF: a Strict cookie is withheld from a foreign request, which must not clear it either.
func TestForeignSignOutsOfAStrictSession(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	path := sessionOf(t, b).LogoutURL
	for what, a := range map[string]*answer{
		"a form":                b.send("POST", "/bff/logout", form("cross-site")...),
		"a link":                b.open("/bff/logout", "cross-site"),
		"a link with the token": b.open(path, "cross-site"),
	} {
		a.is(t, what, http.StatusForbidden)
		if len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s clears: %v", what, a.header)
		}
	}
	b.fetch("GET", "/api").is(t, "the session", 200)
}

// shows RPL-CSRF (the token), RPL-LOCAL (twice)
func TestSigningOutByLink(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	link := sessionOf(t, b).LogoutURL
	b.send("GET", link, fetched()...).is(t, "the link fetched", 403)
	a := b.open(link, "same-origin")
	a.is(t, "the link", http.StatusSeeOther)
	leaves(t, "the link", b, a)
	if !strings.HasPrefix(a.location(), "/bff/logout/") {
		t.Errorf("goes to %q", a.location())
	}
	if a := b.open(link, "same-origin"); a.status != 303 || a.location() != "/bff/logged-out" {
		t.Errorf("the link again: %d to %q", a.status, a.location())
	}
}

// shows RPL-LOCAL: without a session a sign-out is still a clean success.
func TestSigningOutWithoutASession(t *testing.T) {
	w := newWorld(t)
	for what, value := range map[string]string{
		"no cookie": "", "a malformed cookie": "x", "an unknown cookie": bff.NewRoot().Reveal(),
	} {
		b := w.browser()
		if value != "" {
			b.cookies = []cookie{{name: sessionCookie, value: value}}
		}
		a := b.send("POST", "/bff/logout", form("same-origin")...)
		if a.is(t, what, 303); a.location() != "/bff/logged-out" {
			t.Errorf("%s: goes to %q", what, a.location())
		}
		leaves(t, what, b, a)
		if a := b.fetch("POST", "/bff/logout"); a.status != 200 || a.body != `{"redirect_to":"https://app.example/bff/logged-out"}` {
			t.Errorf("%s, by fetch: %d %s", what, a.status, a.body)
		}
	}
}

// shows RPL-LOCAL: the provider cannot be reached, or has no end_session endpoint.
func TestSigningOutWithoutTheProvider(t *testing.T) {
	for _, row := range []struct {
		what   string
		set    func(*provider)
		status int
		says   string
	}{
		{"a provider that is down", func(p *provider) { p.down = true }, 200, "could not be reached"},
		{"a provider that has no sign-out", func(p *provider) { p.noEnd = true }, 303, ""},
	} {
		w := newWorld(t)
		b := w.browser()
		b.signIn()
		row.set(w.provider)
		a := b.send("POST", "/bff/logout", form("same-origin")...)
		a.is(t, row.what, 303)
		leaves(t, row.what, b, a)
		a = b.open(a.location(), "same-origin")
		a.is(t, row.what+", on the way", row.status)
		if !strings.Contains(a.body, row.says) || a.status == 303 && a.location() != "/bff/logged-out" {
			t.Errorf("%s: to %q, %s", row.what, a.location(), a.body)
		}
	}
}

// shows SESS-503: a sign-out that could not be done is not told as done.
func TestSigningOutWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	link := sessionOf(t, b).LogoutURL
	w.store.setDown(true)
	for what, a := range map[string]*answer{
		"the form":  b.send("POST", "/bff/logout", form("same-origin")...),
		"the fetch": b.fetch("POST", "/bff/logout"), "the link": b.open(link, "same-origin"),
	} {
		a.is(t, what, http.StatusServiceUnavailable)
		if b.value(sessionCookie) == "" || a.header.Get("Clear-Site-Data") != "" {
			t.Errorf("%s: the cookie is gone", what)
		}
	}
	w.store.setDown(false)
	b.fetch("GET", "/api").is(t, "the session", 200)
}

// A ticket that the store could not be asked for may be good in a moment.
func TestTheWayToTheProviderWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	ticket := b.send("POST", "/bff/logout", form("same-origin")...).location()
	w.store.setDown(true)
	b.open(ticket, "same-origin").is(t, "the one-time URL", http.StatusServiceUnavailable)
	w.store.setDown(false)
	b.open(ticket, "same-origin").is(t, "the one-time URL in a moment", http.StatusSeeOther)
}

// Signing in again right after signing out works, though the sign-out's marker is a moment old.
func TestSigningInAgainAtOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	a := b.send("POST", "/bff/logout", form("same-origin")...)
	if line := strings.Join(a.header.Values("Set-Cookie"), "\n"); !strings.Contains(line, sessionCookie+".so=") || !strings.Contains(line, "Max-Age=60; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("no notice: %s", line)
	}
	stranger := w.browser() // of the same SSO session, without the notice
	a = stranger.come("code=c&state=" + stranger.begin("?return_to=/a"))
	a.is(t, "a login that has not seen the sign-out", 403)
	if stranger.value(sessionCookie) != "" || !strings.Contains(a.body, "One click starts a new sign-in") || !strings.Contains(a.body, `href="/bff/login?return_to=%2Fa"`) {
		t.Errorf("a login that has not seen the sign-out: %s", a.body)
	}
	b.signIn()
	b.fetch("GET", "/api").is(t, "the new session", 200)
	if b.value(sessionCookie+".so") != "" {
		t.Error("the notice is still there")
	}
}

// A one-time sign-out URL holds whose session ends at the provider, and anybody can get one for a session of their own.
// Sent to somebody else's browser it would end the provider's session there: only a click from this origin goes on.
//
// shows RPL-CSRF
func TestATicketOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	attacker.signIn()
	ticket := attacker.send("POST", "/bff/logout", form("same-origin")...).location()
	for _, site := range []string{"cross-site", "same-site"} {
		a := victim.open(ticket, site)
		a.is(t, "the ticket from "+site, http.StatusOK)
		if a.location() != "" || strings.Contains(a.body, idToken) || a.header.Get("Set-Cookie") != "" || !strings.Contains(a.body, `href=""`) {
			t.Errorf("from %s it goes on by itself: %v %s", site, a.header, a.body)
		}
	}
	// The click on that page is the origin's own, and the ticket is as good as before.
	if a := attacker.open(ticket, "same-origin"); a.status != http.StatusSeeOther || w.param(a.location(), "id_token_hint") != idToken {
		t.Errorf("the ticket was used up: %d %s", a.status, a.body)
	}
}
