package spa_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// on signs somebody in with a browser that says what it is, in a session of the provider.
func (w *world) on(agent, subject, sid string) *browser {
	w.t.Helper()
	w.provider.signsIn(subject, sid)
	b := w.browser()
	state := b.begin("")
	b.send("GET", "/bff/callback?code=c1&state="+state, append(nav("cross-site"), "User-Agent", agent)...).is(w.t, "signing in", 200)
	return b
}

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	safari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

func listOf(t *testing.T, b *browser) surface.DeviceList {
	t.Helper()
	a := b.fetch("GET", "/bff/sessions").is(t, "the list", 200)
	var list surface.DeviceList
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if c := a.header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("the list may be kept: %q", c)
	}
	root, err := bff.ParseRoot(b.value(sessionCookie))
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{
		"cookie": root.Reveal(), "lookup": string(root.Lookup()), "subject": `"ann"`, "sid": "ses_", "User-Agent": "Mozilla", "logout token": root.LogoutToken(),
	} {
		if strings.Contains(a.body, secret) {
			t.Errorf("the list holds the %s: %s", what, a.body)
		}
	}
	return list
}

// shows SESS-LIST
func TestTheListOfSessions(t *testing.T) {
	w := newWorld(t)
	phone := w.on(safari, "ann", "ses_1")
	w.advance(time.Minute)
	desk := w.on(firefox, "ann", "ses_2")
	w.on(firefox, "bob", "ses_3")
	asked := func(b *browser) string { return sessionOf(t, b).Session["id"].(string) }
	row := func(b *browser, device, at string, current bool) surface.ListedDevice {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		return surface.ListedDevice{ID: asked(b), App: "web", Kind: bff.KindSPA, Device: device, CreatedAt: when, LastActiveAt: when, Current: current}
	}
	w.advance(25 * time.Minute)
	for range 3 { // asking is no activity
		want := surface.DeviceList{Sessions: []surface.ListedDevice{
			row(phone, "Safari on iPhone", "2026-05-01T12:00:00Z", true), row(desk, "Firefox on Linux", "2026-05-01T12:01:00Z", false),
		}}
		if diff := cmp.Diff(want, listOf(t, phone)); diff != "" {
			t.Errorf("the list (-want +got):\n%s", diff)
		}
	}
	w.advance(4*time.Minute + 30*time.Second) // the phone has idled out meanwhile
	if list := listOf(t, desk); len(list.Sessions) != 1 || !list.Sessions[0].Current {
		t.Errorf("after the idle end: %+v", list)
	}
	phone.fetch("GET", "/bff/sessions").is(t, "the list, asked for too late", 401)
}

// shows SESS-LIST, SESS-KILL
func TestEndingSessions(t *testing.T) {
	w := newWorld(t)
	phone, desk, tablet := w.on(safari, "ann", "ses_1"), w.on(firefox, "ann", "ses_2"), w.on("", "ann", "ses_3")
	stranger := w.on(firefox, "bob", "ses_4")
	id := func(b *browser) string { return sessionOf(t, b).Session["id"].(string) }
	foreign := id(stranger)

	a := desk.fetch("DELETE", "/bff/sessions/"+id(phone)).is(t, "ending the phone", 204)
	if a.body != "" || a.header.Get("Cache-Control") != "no-store" || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("ending the phone: %v %q", a.header, a.body)
	}
	phone.fetch("GET", "/api").is(t, "the phone", 401)
	tablet.fetch("GET", "/api").is(t, "the tablet", 200)

	known := map[string]bool{}
	for what, path := range map[string]string{
		"another user's": foreign, "nobody's": bff.NewRoot().Lookup().ID(), "one that is over": listOf(t, desk).Sessions[0].ID + "A", "encoded": "%2e%2e%00",
	} {
		a := desk.fetch("DELETE", "/bff/sessions/"+path).is(t, what, 404)
		known[a.body] = true
	}
	if len(known) != 1 {
		t.Errorf("the answers differ: %v", known)
	}
	stranger.fetch("GET", "/api").is(t, "another user", 200)

	desk.fetch("DELETE", "/bff/sessions").is(t, "ending the others", 204)
	tablet.fetch("GET", "/api").is(t, "the tablet", 401)
	desk.fetch("GET", "/api").is(t, "the one that asked", 200)
	stranger.fetch("GET", "/api").is(t, "another user", 200)

	// One's own is a sign-out like any other: on to the provider, and the next sign-in works at once.
	a = desk.fetch("DELETE", "/bff/sessions/"+id(desk)).is(t, "ending itself", 200)
	var left struct {
		RedirectTo string `json:"redirect_to"`
	}
	if err := json.Unmarshal([]byte(a.body), &left); err != nil || !strings.HasPrefix(left.RedirectTo, w.app.Origin+"/bff/logout/") {
		t.Errorf("ending itself: %s %v", a.body, err)
	}
	if desk.value(sessionCookie) != "" || desk.value(sessionCookie+".so") == "" {
		t.Errorf("cookies after ending itself: %v", desk.cookies)
	}
	desk.signIn()
}

// shows SESS-LIST, CSRF-1: what ends sessions, or tells of them, is guarded like all that changes something.
func TestGuardsOfTheList(t *testing.T) {
	w := newWorld(t)
	b := w.on(firefox, "ann", "ses_1")
	other := w.on(safari, "ann", "ses_2")
	id := sessionOf(t, other).Session["id"].(string)
	for _, at := range [][2]string{{"GET", "/bff/sessions"}, {"DELETE", "/bff/sessions"}, {"DELETE", "/bff/sessions/" + id}} {
		for what, fields := range map[string][]string{
			"no header":             {"Sec-Fetch-Site", "same-origin"},
			"a sibling's page":      {"Sec-Fetch-Site", "same-site", "X-CSRF", "1"},
			"a foreign page":        {"Origin", "https://evil.example", "X-CSRF", "1"},
			"a hidden page":         {"Origin", "null", "X-CSRF", "1"},
			"the header in a query": {"Sec-Fetch-Site", "same-origin", "X-CSRF", "0"},
		} {
			if a := b.send(at[0], at[1], fields...).is(t, at[0]+" "+at[1]+" by "+what, 403); !strings.Contains(a.body, "csrf_failed") {
				t.Errorf("%v by %s: %s", at, what, a.body)
			}
		}
		w.browser().fetch(at[0], at[1]).is(t, "a stranger", 401)
		b.send(at[0], at[1], append(fetched(), "Authorization", "Bearer clk_x")...).is(t, "a handle beside the cookie", 400)
	}
	for _, at := range [][2]string{{"POST", "/bff/sessions"}, {"HEAD", "/bff/sessions"}, {"GET", "/bff/sessions/" + id}, {"POST", "/bff/sessions/" + id}} {
		b.fetch(at[0], at[1]).is(t, strings.Join(at[:], " "), 405)
	}
	if list := listOf(t, b); len(list.Sessions) != 2 {
		t.Errorf("after all this: %+v", list)
	}
}

// shows SESS-LIST: "after recent authentication", and how one comes to have one.
func TestEndingSessionsLongAfterTheSignIn(t *testing.T) {
	for _, row := range []struct {
		with   string
		policy func(*surface.LoginPolicy)
		url    string
	}{
		{"max_age", func(*surface.LoginPolicy) {}, "/bff/login?max_age=600"},
		{"a prompt alone", func(p *surface.LoginPolicy) { p.MaxAge = false }, "/bff/login?prompt=login"},
		{"neither", func(p *surface.LoginPolicy) { p.MaxAge, p.Prompts = false, nil }, "/bff/login"},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t, func(_ *bff.App, p *surface.LoginPolicy) { row.policy(p) })
			b, other := w.on(firefox, "ann", "ses_1"), w.on(safari, "ann", "ses_2")
			id := sessionOf(t, other).Session["id"].(string)
			w.advance(10 * time.Minute)
			for _, path := range []string{"/bff/sessions", "/bff/sessions/" + id, "/bff/sessions/unknown"} {
				a := b.fetch("DELETE", path).is(t, path, http.StatusForbidden)
				var p struct {
					Code     string
					MaxAge   int    `json:"max_age"`
					LoginURL string `json:"login_url"`
				}
				if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Code != "recent_sign_in_required" || p.MaxAge != 600 || p.LoginURL != row.url {
					t.Errorf("%s: %s %v", path, a.body, err)
				}
			}
			b.fetch("GET", "/bff/sessions").is(t, "the list needs none", 200)
			other.fetch("GET", "/api").is(t, "the other", 200)
			w.provider.authenticates("ann", "ses_1", start.Add(10*time.Minute))
			query := strings.TrimPrefix(row.url, "/bff/login") // with its question mark
			b.come("code=c1&state="+b.begin(query)).is(t, "signing in again", 200)
			b.fetch("DELETE", "/bff/sessions/"+id).is(t, "after signing in again", 204)
			other.fetch("GET", "/api").is(t, "the other", 401)
		})
	}
}

// shows SESS-LIST, SESS-503
func TestTheListWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.on(firefox, "ann", "ses_1")
	w.store.setDown(true)
	for _, at := range [][2]string{{"GET", "/bff/sessions"}, {"DELETE", "/bff/sessions"}, {"DELETE", "/bff/sessions/x"}} {
		if a := b.fetch(at[0], at[1]).is(t, strings.Join(at[:], " "), 503); len(a.header.Values("Set-Cookie")) > 0 || a.header.Get("Retry-After") == "" {
			t.Errorf("%v: %v", at, a.header)
		}
	}
	w.store.setDown(false)
	b.fetch("GET", "/bff/sessions").is(t, "afterwards", 200)
}
