package mobileapi_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/prover"
)

// signOut signs an app out and returns the path of the one-time address.
func (w *world) signOut(access string) (path string) {
	w.t.Helper()
	a := w.call("POST", "/mobile/logout", access).is(w.t, "signing out", 200)
	var got struct {
		Ended     bool
		LogoutURL string `json:"logout_url"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || !got.Ended || !strings.HasPrefix(got.LogoutURL, gateway+"/mobile/logout/") {
		w.t.Fatalf("%v: %s", err, a.body)
	}
	if strings.Count(got.LogoutURL, ".") != 1 { // the host's: no JWT has fewer than two
		w.t.Errorf("%s", got.LogoutURL)
	}
	return strings.TrimPrefix(got.LogoutURL, gateway)
}

// shows RPL-NATIVE
func TestSigningOut(t *testing.T) {
	for _, row := range []struct {
		with    string
		returns string // the app's own URI
		byGet   bool
		policy  string // of the page that leads to the provider
	}{
		{"no return", "", false, "form-action 'self' https://idp.example"},
		{"a registered scheme", "com.example.app:/signed-out", false, "form-action 'self' https://idp.example com.example.app:"},
		{"a provider that takes no form", "com.example.app:/signed-out", true, "form-action 'self' https://idp.example com.example.app:"},
	} {
		w := newWorld(t, func(w *world) { w.apps["phone"].PostLogoutReturn, w.provider.byGet = row.returns, row.byGet })
		h := w.signedIn()
		path := w.signOut(h.Access)
		w.call("GET", "/api", h.Access).is(t, "the handle at once", 401)
		w.rotate("phone", h.Refresh).refused(t, "the refresh handle at once", 400, "invalid_grant")
		b := w.browser()
		a := b.open(path, "none").is(t, "a look", 200)
		if b.open(path, "none").is(t, "a second look", 200); !strings.Contains(a.body, "form.submit();") || strings.Contains(a.body, "action=") || len(b.cookies) != 0 {
			t.Errorf("the page: %s", a.body)
		}
		a = b.submit(path, nil).is(t, "its form", 200)
		if csp := a.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, row.policy) {
			t.Errorf("with %s: %s", row.with, csp)
		}
		form := `<form method="post" action="https://idp.example/end?tenant=1">`
		if row.byGet {
			form = `<form method="get" action="https://idp.example/end">`
		}
		if !strings.Contains(a.body, form) || !strings.Contains(a.body, `name="id_token_hint" value="`+idToken+`"`) || row.byGet != strings.Contains(a.body, `name="tenant" value="1"`) {
			t.Errorf("with %s: %s", row.with, a.body)
		}
		b.submit(path, nil).is(t, "its form again", 410)
		_, state, _ := strings.Cut(a.body, `name="state" value="`)
		state, _, _ = strings.Cut(state, `"`)
		cameBack(t, b, row.returns, state)
	}
}

// cameBack checks the way back from the provider.
func cameBack(t *testing.T, b *browser, returns, state string) {
	t.Helper()
	if a := b.open("/mobile/logged-out?state=another", "cross-site").is(t, "another state", 200); !strings.Contains(a.body, "You are signed out") || b.count(".out") != 1 {
		t.Errorf("another state: %v %s", b.cookies, a.body)
	}
	b.open("/mobile/logged-out?state="+state+"&state="+state, "cross-site").is(t, "the state twice", 200)
	b.w.browser().open("/mobile/logged-out?state="+state, "cross-site").is(t, "another browser", 200)
	a := b.open("/mobile/logged-out?state="+state, "cross-site")
	if a.location() != returns || (a.status == 303) != (returns != "") || b.count(".out") != 0 {
		t.Errorf("back at %d %q, want %q", a.status, a.location(), returns)
	}
	b.open("/mobile/logged-out?state="+state, "cross-site").is(t, "the state again", 200)
	b.open("/mobile/logged-out", "none").is(t, "no state", 200)
}

// shows RPL-NATIVE (an unknown handle)
func TestSigningOutWithoutASession(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.signOut(h.Access)
	for what, handle := range map[string]string{"a dead handle": h.Access, "a refresh handle": h.Refresh, "what is none": "x"} {
		if a := w.call("POST", "/mobile/logout", handle).is(t, what, 200); a.body != `{"ended":false}` {
			t.Errorf("%s: %s", what, a.body)
		}
	}
	if a := w.send("POST", "/mobile/logout", "").is(t, "nothing", 401); a.header.Get("WWW-Authenticate") != bare {
		t.Error(a.header)
	}
	w.advance(5 * time.Second) // a sign-out ends what began before it, with two seconds for clocks
	h = w.signedIn()
	w.send("POST", "/mobile/logout", "", "Authorization", "Bearer "+h.Access, "Origin", "https://evil.example").is(t, "a page", 403)
	w.redis.SetError("LOADING")
	w.call("POST", "/mobile/logout", h.Access).is(t, "without a store", 503)
	w.redis.SetError("")
	w.call("GET", "/api", h.Access).is(t, "which ended nothing", 200)
}

// An app that was away holds a handle that is too old, or whose successor never arrived: signing out is what it is good for.
//
// shows RPL-NATIVE
func TestSigningOutAfterAPause(t *testing.T) {
	for _, row := range []struct {
		with  string
		old   func(w *world, h handles) (next handles)
		ended bool
	}{
		{"past its life", func(w *world, h handles) handles { w.advance(time.Hour); return h }, true},
		{"of the turn before, whose successor was lost", func(w *world, h handles) handles {
			next := w.rotate("phone", h.Refresh).handles(w.t)
			w.advance(time.Hour)
			return next
		}, true},
		{"two turns back", func(w *world, h handles) handles {
			return w.rotate("phone", w.rotate("phone", h.Refresh).handles(w.t).Refresh).handles(w.t)
		}, false},
	} {
		w := newWorld(t)
		h := w.signedIn()
		next := row.old(w, h)
		if !row.ended {
			if a := w.call("POST", "/mobile/logout", h.Access).is(t, row.with, 200); a.body != `{"ended":false}` {
				t.Errorf("signing out with a handle %s: %s", row.with, a.body)
			}
			w.call("GET", "/api", next.Access).is(t, "which ended nothing", 200)
			continue
		}
		w.call("GET", "/api", h.Access).is(t, "a call with a handle "+row.with, 401)
		w.browser().submit(w.signOut(h.Access), nil).is(t, "on to the provider", 200)
		w.rotate("phone", next.Refresh).refused(t, "the refresh handle after that", 400, "invalid_grant")
	}
}

// One sign-out ends the SSO session, in all apps.
func TestSigningOutOfAllApps(t *testing.T) {
	w := newWorld(t)
	phone := w.signedIn()
	cli := w.redeem("cli", listened, w.browser().code("cli", listened)).handles(t)
	w.signOut(phone.Access)
	w.call("GET", "/api", cli.Access).is(t, "the other app", 401)
}

// A foreign page must not end a provider's session that is not its own.
func TestWhoMayUseTheOneTimeAddress(t *testing.T) {
	w := newWorld(t)
	path := w.signOut(w.signedIn().Access)
	b := w.browser()
	for _, site := range []string{"cross-site", "same-site", "same-origin"} {
		a := b.open(path, site).is(t, "opened from "+site, 200)
		if strings.Contains(a.body, "<script") || !strings.Contains(a.body, "<button") || strings.Contains(a.header.Get("Content-Security-Policy"), "script-src") {
			t.Errorf("opened from %s: %s", site, a.body)
		}
	}
	for what, fields := range map[string][]string{
		"a form of another site": append(nav("cross-site"), "Origin", "https://evil.example"), "an old browser's form of another site": {"Origin", "https://evil.example"},
		"no origin": nil, "a hidden origin": {"Origin", "null"}, "a frame": {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "iframe"},
	} {
		b.do("POST", path, "", fields...).is(t, what, 403)
	}
	b.do("HEAD", path, "").is(t, "HEAD", 405)
	b.submit(path, nil).is(t, "its own form", 200)
}

// shows RPL-PENDING (what waits in the browser)
func TestASignOutForgetsWhatIsOnItsWay(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin(asked("cli", listened))
	check := b.returned("phone", scheme).check(t)
	b.submit(w.signOut(w.signedIn().Access), nil).is(t, "signing out", 200)
	if b.count(".tx.") != 0 || b.count(".ok.") != 0 {
		t.Errorf("left: %v", b.cookies)
	}
	b.come("cli", "code=c&state="+state).is(t, "the old tab's answer", 400)
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the old page's click", 403)
}

// Who has just signed out may sign in again at once.
func TestSigningInAgainAtOnce(t *testing.T) {
	w := newWorld(t)
	path := w.signOut(w.signedIn().Access)
	b := w.browser()
	b.submit(path, nil).is(t, "on to the provider", 200)
	if b.count(".so") != 1 {
		t.Fatalf("cookies %v", b.cookies)
	}
	w.redeem("phone", claimed, b.code("phone", claimed)).handles(t)
	if b.count(".so") != 0 {
		t.Error("the notice is left")
	}
}

func TestAProviderThatCannotBeAskedToSignOut(t *testing.T) {
	w := newWorld(t, func(w *world) { w.apps["phone"].PostLogoutReturn = "com.example.app:/signed-out" })
	path := w.signOut(w.signedIn().Access)
	w.provider.set(func(p *provider) { p.down = true })
	b := w.browser()
	a := b.submit(path, nil).is(t, "a provider that is down", 200)
	if !strings.Contains(a.body, "may still be signed in there") || strings.Contains(a.body, "<a ") || !w.noted("alarm: provider's sign-out not reached") {
		t.Errorf("%q %s", w.events, a.body)
	}
	w.provider.set(func(p *provider) { p.down, p.noEnd = false, true })
	w.advance(5 * time.Second)
	path = w.signOut(w.signedIn().Access)
	w.redis.SetError("LOADING")
	b.submit(path, nil).is(t, "without a store", 503)
	w.redis.SetError("")
	a = b.submit(path, nil).is(t, "a provider without an end", 200)
	_, next, _ := strings.Cut(a.body, `content="0;url=`)
	next, _, _ = strings.Cut(next, `"`)
	if to := b.open(next, "same-origin").location(); to != "com.example.app:/signed-out" {
		t.Errorf("%q led to %q", next, to)
	}
}

func TestASignOutWhoseTicketIsLost(t *testing.T) {
	w := newWorld(t)
	w.browser().submit("/mobile/logout/"+bff.NewRoot().Reveal(), nil).is(t, "an unknown ticket", 410)
	path := w.signOut(w.signedIn().Access)
	w.advance(6 * time.Minute)
	w.browser().submit(path, url.Values{}).is(t, "a ticket that is too old", 410)
}

// Signing out here is done, whatever the provider says: also what it leaves in, and takes from, this browser.
//
// shows RPL-PENDING (what waits in the browser)
func TestASignOutForgetsWhatIsOnItsWayThoughTheProviderIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.begin(asked("cli", listened))
	b.returned("phone", scheme).check(t)
	path := w.signOut(w.signedIn().Access)
	w.provider.set(func(p *provider) { p.down = true })
	b.submit(path, nil).is(t, "a provider that is down", 200)
	if b.count(".tx.") != 0 || b.count(".ok.") != 0 || b.count(".out") != 0 {
		t.Errorf("left: %v", b.cookies)
	}
	w.provider.set(func(p *provider) { p.down = false })
	w.redeem("phone", claimed, b.code("phone", claimed)).handles(t) // at once: this browser knows of the sign-out
}

// A sign-out by a handle that came as it is not taken here has ended nothing, and so is not told as done: also where no app
// binds any more, and nobody is told of proofs.
func TestSigningOutWhereNobodyBinds(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	bound, free := w.bound(p), w.signedIn()
	later := w.beside()
	for with, h := range map[string]handles{"a bound handle": bound, "an unbound one": free} {
		later.prove(p, "POST", "/mobile/logout", h.Access, prover.Method("GET")).challenged(t, with+" and a bad proof", 401, "session_required", badOne)
	}
	used := prover.ID("once")
	later.prove(p, "GET", "/mobile/session", bound.Access, used).is(t, "which ended nothing", 200)
	later.prove(p, "POST", "/mobile/logout", bound.Access, used).challenged(t, "a used proof", 401, "session_required", badOne)
	later.call("GET", "/mobile/session", free.Access).is(t, "which ended nothing", 200)
	if a := later.prove(p, "POST", "/mobile/logout", bound.Access).is(t, "a good proof", 200); !strings.Contains(a.body, `"ended":true`) {
		t.Error(a.body)
	}
}

// A state that is empty, or that two cookies claim, is the state of no sign-out: a link cannot lead on to an app.
//
// shows RPL-NATIVE (the way back)
func TestWaysBackThatAreNobodys(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.apps["phone"].PostLogoutReturn, w.apps["cli"].PostLogoutReturn = "com.example.app:/signed-out", "http://127.0.0.1/signed-out"
	})
	const out = "__Host-Http-phone.out="
	for _, row := range []struct{ with, query, cookies string }{
		{"an empty state, and no cookie", "?state=", ""},
		{"an empty state, and an empty cookie", "?state=", out},
		{"no state, and an empty cookie", "", out},
		{"no cookie", "?state=s", "a=b"},
		{"the state in two cookies", "?state=s", out + "s; " + out + "s"},
		{"a tossed cookie behind the own", "?state=s", out + "s; " + out + "t"},
		{"a tossed cookie before the own", "?state=s", out + "t; " + out + "s"},
		{"the state of a cookie of another name", "?state=s", "__Host-Http-tablet.out=s"},
	} {
		a := w.send("GET", "/mobile/logged-out"+row.query, "", append(nav("cross-site"), "Cookie", row.cookies)...).is(t, row.with, 200)
		if a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 || !strings.Contains(a.body, "You are signed out") {
			t.Errorf("a way back with %s: %v", row.with, a.header)
		}
	}
	if a := w.send("GET", "/mobile/logged-out?state=s", "", append(nav("cross-site"), "Cookie", out+"s")...); a.location() != "com.example.app:/signed-out" {
		t.Errorf("the own way back: %d %s", a.status, a.location())
	}
}

// A browser that says nothing of where it comes from is one that the app opened: it needs no click.
//
// shows RPL-NATIVE (the one-time address)
func TestTheOneTimeAddressInAnOldBrowser(t *testing.T) {
	w := newWorld(t)
	a := w.send("GET", w.signOut(w.signedIn().Access), "", "Accept", "text/html").is(t, "an old browser", 200)
	if !strings.Contains(a.body, "<script>") {
		t.Errorf("it waits: %s", a.body)
	}
}
