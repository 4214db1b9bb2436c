//go:build integration

package faults_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// perClient is the provider of a native world that gives each client its own sid, and the gateway is told so.
func perClient(t *testing.T, w *world.World, o world.Options) {
	nativeProvider(t, w, o)
	w.Dev.Set(func(b *provider.Behaviour) { b.SIDs = provider.SIDPerClient })
	w.OP.YAML = strings.Replace(w.OP.YAML, "{", "{sso_by: sub+auth_time, ", 1)
}

// aside ends what is going on by a logout token at the second instance that does not name it: the word is about another
// client's session, or about the subject.
type aside struct {
	name  string
	rest  time.Duration // after which another sign-in is none that the token meant
	token func(n *nativeWorld, other string) provider.LogoutToken
}

func asides() []aside {
	return []aside{
		// The moment of authentication counts seconds: a second later is another SSO session.
		{"the sid of another client", time.Second, func(n *nativeWorld, other string) provider.LogoutToken {
			all := n.Dev.Sessions()
			return provider.LogoutToken{Client: other, SID: all[len(all)-1].Told[other]}
		}},
		// Clocks may differ by two seconds.
		{"the subject alone", 2 * time.Second, func(_ *nativeWorld, other string) provider.LogoutToken {
			return provider.LogoutToken{Client: other, Sub: "usr_1001"}
		}},
	}
}

// end posts it to the second instance, at the address of the client that it is for.
func (a aside) end(t *testing.T, n *nativeWorld, other string) {
	t.Helper()
	address := webTold
	if other != "webc_1" {
		address = phoneTold
	}
	l := a.token(n, other)
	if l.SID+l.Sub == "" {
		t.Fatalf("%s has no part in the session", other)
	}
	n.told(t, 1, address, n.logoutToken(t, l), 200)
}

// A sign-in, a redemption, a rotation and a refresh at one process, each held in the middle, while a logout token at the
// other ends what they belong to without naming it. Nothing is alive afterwards.
//
// shows BCL-RACE, BCL-2.7-1
func TestALogoutTokenThatNamesAnotherDuringEverything(t *testing.T) {
	t.Parallel()
	for _, a := range asides() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			n := newNativeAt(t, perClient, world.Options{})
			n.rehearse(t)
			for _, during := range []func(*testing.T, *nativeWorld, aside){duringTrade, duringCreate, duringRedeem, duringRotation, duringRefresh, duringSave} {
				<-time.After(a.rest + 100*time.Millisecond)
				during(t, n, a)
			}
			n.Leaks()
		})
	}
}

func duringTrade(t *testing.T, n *nativeWorld, a aside) {
	gate := provider.NewGate()
	sibling, b := siblingApp(t, n)
	n.Dev.Fault(provider.Token, provider.Fault{Gate: gate, AfterWork: true})
	caughtSigningIn(t, n, a, "a sign-in whose code is traded", b, sibling, gate.Arrived(), gate.Release)
}

func duringCreate(t *testing.T, n *nativeWorld, a aside) {
	sibling, b := siblingApp(t, n)
	held, release := n.wires[0].HoldReply(script(t, "create"))
	caughtSigningIn(t, n, a, "a sign-in whose record is written", b, sibling, held, release)
}

// siblingApp is a native app that is signed in, and the browser that did it.
func siblingApp(t *testing.T, n *nativeWorld) (handles, *browser.Browser) {
	t.Helper()
	b := n.phone()
	h := n.signIn(t, b)
	n.lives(t, h, 200)
	return h, b
}

// caughtSigningIn signs in at the browser app and ends the session of the native one while that is held.
func caughtSigningIn(t *testing.T, n *nativeWorld, a aside, what string, b *browser.Browser, sibling handles, held <-chan struct{}, release func()) {
	t.Helper()
	done := make(chan *browser.Page, 1)
	go func() {
		p, _ := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/") // the provider knows the user
		done <- p
	}()
	met(t, held)
	a.end(t, n, "nativec_1")
	release()
	if p := <-done; p == nil || p.Status != 403 || !strings.Contains(p.Text(), "login_signed_out") {
		t.Errorf("%s ended on %+v", what, p)
	}
	if _, ok := b.Cookie(world.Origin, cookieName); ok {
		t.Errorf("%s handed out a session cookie", what)
	}
	n.gone(t, what, sibling)
}

// siblingPage is a browser app that is signed in: its browser, and a request of it.
func siblingPage(t *testing.T, n *nativeWorld) (*browser.Browser, *http.Request) {
	t.Helper()
	b := n.phone()
	n.SignIn(b, "/")
	return b, request(t, n.World, b)
}

func duringRedeem(t *testing.T, n *nativeWorld, a aside) {
	b, page := siblingPage(t, n)
	form := n.code(t, b)
	held, release := n.wires[0].HoldReply(script(t, "create"))
	answer := n.asking(0, form)
	met(t, held)
	a.end(t, n, "webc_1")
	release()
	rejected(t, "a redemption whose record is written", <-answer)
	n.out(t, 0, page)
	n.gone(t, "a redemption")
}

func duringRotation(t *testing.T, n *nativeWorld, a aside) {
	b, page := siblingPage(t, n)
	h := n.signIn(t, b)
	held, release := n.wires[0].HoldReply(script(t, "turn"))
	answer := n.asking(0, rotation(h.Refresh))
	met(t, held)
	a.end(t, n, "webc_1")
	release()
	n.out(t, 0, page)
	n.gone(t, "a rotation", h, <-answer)
}

func duringRefresh(t *testing.T, n *nativeWorld, a aside) {
	gate := provider.NewGate()
	caughtRefreshing(t, n, a, "a refresh that the provider has answered", func() (<-chan struct{}, func()) {
		refreshFault(n.World, provider.Fault{Gate: gate, AfterWork: true})
		return gate.Arrived(), gate.Release
	})
}

// duringSave comes after duringRefresh: Redis knows the script by its hash only when it has run.
func duringSave(t *testing.T, n *nativeWorld, a aside) {
	caughtRefreshing(t, n, a, "a refresh that is saved", func() (<-chan struct{}, func()) {
		return n.wires[0].HoldReply(script(t, "save"))
	})
}

// caughtRefreshing ends the session of the browser app while a refresh of the native one is held. That sign-out cannot see
// the new refresh token, so the one who refreshed has to give it back.
func caughtRefreshing(t *testing.T, n *nativeWorld, a aside, what string, hold func() (<-chan struct{}, func())) {
	t.Helper()
	n.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = accessLife })
	b, page := siblingPage(t, n)
	h := n.signIn(t, b)
	ended(n.World)
	held, release := hold()
	answered := make(chan int, 1)
	go func() {
		status, _ := n.call(0, "GET", "/api/orders", h.Access)
		answered <- status
	}()
	met(t, held)
	a.end(t, n, "webc_1")
	release()
	if got := <-answered; got != 401 {
		t.Errorf("%s: the request that refreshed: %d, want 401", what, got)
	}
	n.out(t, 0, page)
	n.gone(t, what, h)
	n.revoked(t, what)
}
