//go:build integration

package faults_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// quick makes the gateway wait for the provider as long as a test does.
func quick() []string {
	return []string{"CLOAKROOM_PROVIDERS__MAIN__HTTP_TIMEOUT=1s", "CLOAKROOM_PROVIDERS__MAIN__REFRESH_TIMEOUT=2s"}
}

// open opens an address from the app's page, as a link does.
func open(t *testing.T, b *browser.Browser, path string) *browser.Page {
	t.Helper()
	p, err := b.Click(browser.At(world.Origin+"/"), path)
	if err != nil {
		t.Fatalf("opening %s: %v", path, err)
	}
	return p
}

// unavailablePage fails unless p is a page that says that the sign-in service is down, with a way on.
func unavailablePage(t *testing.T, p *browser.Page) {
	t.Helper()
	unavailable(t, p, "idp_unavailable")
	if !strings.Contains(p.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a navigation was answered with %s", p.Header.Get("Content-Type"))
	}
	if _, err := p.Link("again"); err != nil {
		t.Errorf("the page has no way on: %v\n%s", err, p.Text())
	}
}

// shows REF-SOFT, DISC-4.3, SCALEKIT-K10
func TestProviderThatIsDownSignsNobodyOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{})
	w.Start(1)
	due, live := w.Browser(), w.Browser()
	w.SignIn(due, "/")
	w.Dev.Set(longLived)
	w.SignIn(live, "/")
	w.Want(w.Fetch(live, "GET", "/api/orders", ""), 200) // the API has the keys by now
	w.Dev.Stop()
	ended(w)
	for range 3 {
		w.Want(w.Fetch(live, "GET", "/api/orders", ""), 200)
		signedIn(t, w, live, true)
		unavailable(t, w.Fetch(due, "GET", "/api/orders", ""), `"code":"idp_unavailable"`)
		signedIn(t, w, due, true)
	}
	if _, ok := due.Cookie(world.Origin, cookieName); !ok {
		t.Fatal("the cookie was cleared")
	}
	// An instance that starts now knows nothing of the provider.
	late := w.Start(1)[1]
	w.At(late)
	w.Want(w.Fetch(live, "GET", "/api/orders", ""), 200)
	newcomer := w.Browser()
	unavailablePage(t, open(t, newcomer, "/bff/login"))
	if err := w.Dev.Resume(); err != nil {
		t.Fatal(err)
	}
	heals(t, w, due)
	w.At(w.All[0])
	heals(t, w, due)
	w.At(late)
	await(t, "one can sign in", healTime, func() bool { return open(t, newcomer, "/bff/login").Status == 200 })
	w.SignIn(newcomer, "/")
}

// A provider that accepts and says nothing costs each request a bounded time, and nobody a session.
//
// shows REF-SOFT
func TestProviderThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = time.Minute }})
	w.Start(1, quick()...)
	b := w.Browser()
	w.SignIn(b, "/")
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, Times: provider.Always})
	ended(w)
	began := time.Now()
	unavailable(t, w.Fetch(b, "GET", "/api/orders", ""), `"code":"idp_unavailable"`)
	if took := time.Since(began); took < 2*time.Second || took > 15*time.Second { // the setting, and a busy machine
		t.Errorf("a provider that hangs was waited for %v, want about 2s", took)
	}
	signedIn(t, w, b, true)
	w.Dev.ClearFaults()
	gate.Release()
	heals(t, w, b)

	hung := provider.NewGate()
	w.Dev.Fault(provider.Discovery, provider.Fault{Gate: hung, Times: provider.Always})
	w.At(w.Start(1, quick()...)[1])
	began = time.Now()
	newcomer := w.Browser()
	unavailablePage(t, open(t, newcomer, "/bff/login"))
	if took := time.Since(began); took > 15*time.Second { // a busy machine
		t.Errorf("the start of a login took %v, want about 1s", took)
	}
	w.Dev.ClearFaults()
	hung.Release()
	await(t, "one can sign in", healTime, func() bool { return open(t, newcomer, "/bff/login").Status == 200 })
	w.SignIn(newcomer, "/")
}

// The tokens were rotated and the answer lost. A provider with a grace gives them again; one without has no way back,
// and the user is told so instead of being taken for a thief's victim.
//
// shows REF-RACE, SCALEKIT-K4
func TestRefreshWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	lose := func(t *testing.T, grace time.Duration) (*world.World, *browser.Browser) {
		t.Parallel()
		w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = grace }})
		w.Start(1)
		b := w.Browser()
		w.SignIn(b, "/")
		refreshFault(w, provider.Fault{AfterWork: true, Drop: true})
		ended(w)
		unavailable(t, w.Fetch(b, "GET", "/api/orders", ""), `"code":"idp_unavailable"`)
		signedIn(t, w, b, true)
		return w, b
	}
	t.Run("a provider with a grace", func(t *testing.T) {
		w, b := lose(t, time.Minute)
		heals(t, w, b)
		if got := w.Dev.GrantCount("refresh_token"); got != 2 {
			t.Errorf("the provider saw %d refreshes, want the lost one and one more", got)
		}
	})
	t.Run("a provider without a grace", func(t *testing.T) {
		w, b := lose(t, 0)
		var p *browser.Page
		await(t, "the loss is told", healTime, func() bool {
			p = w.Fetch(b, "GET", "/api/orders", "")
			return p.Status != 503 // the failure is the answer for a moment, so that the provider is not hammered
		})
		w.Want(p, 401)
		for _, want := range []string{`"code":"session_ended"`, `"reason":"refresh_lost"`, `"login_url":"/bff/login"`} {
			if !bytes.Contains(p.Body, []byte(want)) {
				t.Errorf("no %s in %s", want, p.Body)
			}
		}
		if _, ok := b.Cookie(world.Origin, cookieName); ok {
			t.Error("the cookie was not cleared")
		}
		if got := w.Dev.GrantCount("refresh_token"); got != 2 {
			t.Errorf("the provider saw %d refreshes, want the lost one and one more", got)
		}
		w.SignIn(b, "/")
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	})
}

// shows JWKS-ROT, SCALEKIT-K8
func TestKeysOfTheProviderRotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	w.Start(1)
	first := w.Browser()
	w.SignIn(first, "/")
	w.Want(w.Fetch(first, "GET", "/api/orders", ""), 200) // the API has the keys by now
	// The key set is out of reach: what is known still verifies.
	w.Dev.Fault(provider.Keys, provider.Fault{Status: 500, Times: provider.Always})
	second := w.Browser()
	w.SignIn(second, "/")
	w.Want(w.Fetch(second, "GET", "/api/orders", ""), 200)
	w.Dev.ClearFaults()
	// A new key, the old one gone: found without a restart.
	if _, err := w.Dev.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	w.Dev.RetireKeys()
	third := w.Browser()
	w.SignIn(third, "/")
	// The API looks for new keys once a second; then it refuses the old token, and gets a new one in its place.
	for name, b := range map[string]*browser.Browser{"the new session": third, "the old session": first} {
		await(t, name+" is served", healTime, func() bool { return w.Fetch(b, "GET", "/api/orders", "").Status == 200 })
		signedIn(t, w, b, true)
	}
	if got := w.Dev.Count(provider.Keys); got > 8 {
		t.Errorf("the key set was asked for %d times", got)
	}
}

// shows RPL-LOCAL
func TestSignOutWithTheProviderDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	w.Start(1)
	known, unknown := w.Browser(), w.Browser()
	w.SignIn(known, "/")
	w.SignIn(unknown, "/")
	w.Dev.Stop()
	w.Start(1) // this instance never saw the provider
	for i, b := range []*browser.Browser{known, unknown} {
		w.At(w.All[i])
		old := request(t, w, b)
		p := w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
		for _, in := range w.All {
			if got := send(in, old); got != 401 {
				t.Errorf("after the sign-out the old cookie gets %d, want 401", got)
			}
		}
		_, rest, _ := strings.Cut(string(p.Body), `"redirect_to":"`)
		next, _, _ := strings.Cut(rest, `"`)
		b.HoldAt(func(u *url.URL) bool { return u.Host != "web.localhost" })
		page := open(t, b, next)
		switch { // whoever knows where the provider is sends the browser there; the other one says why not
		case i == 0 && !page.Unsent:
			t.Errorf("the browser was not sent on: %d %s", page.Status, page.Text())
		case i == 1 && (page.Status != 200 || !strings.Contains(page.Text(), "could not be reached")):
			t.Errorf("the page does not say that the provider was not reached: %d %s", page.Status, page.Text())
		}
		w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200) // again is no error
		signedIn(t, w, b, false)
	}
}
