//go:build integration

package e2e_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

const docs = "http://docs.localhost"

// withEvil is a world with a second app at a second provider, which is the attacker's.
func withEvil(t *testing.T) (*world.World, *provider.Provider) {
	t.Helper()
	evil, err := provider.New(provider.Config{CookieName: "evilprovider", Clients: []provider.Client{{
		ID: "webc_2", Secret: "another-secret-with-some-length",
		RedirectURIs: []string{docs + "/bff/callback", world.Origin + "/bff/callback"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := evil.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { evil.Close() })
	w := world.New(t, world.DevProvider, world.Options{
		Providers: fmt.Sprintf("  evil: {issuer: %q, token_auth: client_secret_post}", evil.Issuer()),
		Apps: `
  docs:
    kind: spa
    origin: ` + docs + `
    provider: evil
    client_id: webc_2
    client_secret: another-secret-with-some-length
`,
	})
	w.Start(1)
	return w, evil
}

// A flow begun at the honest provider, answered by the attacker's: on its own path, with its own code and issuer, on the
// path of the attacker's app with the honest code, and with metadata that reuses the honest authorization endpoint.
//
// shows CB-MIX-1
func TestAnswerOfAnotherProviderGetsNothing(t *testing.T) {
	t.Parallel()
	w, evil := withEvil(t)
	b := w.Browser()

	// The browser has a code of the attacker's provider and a transaction of the honest one.
	state := stateOf(t, b, world.Origin)
	p, err := b.Navigate(world.Origin + "/bff/callback?code=attackers&state=" + url.QueryEscape(state) + "&iss=" + url.QueryEscape(evil.Issuer()))
	if err != nil {
		t.Fatal(err)
	}
	w.Want(p, 400)

	// A transaction of the honest provider's app, answered at the attacker's app: another cookie, another origin.
	state = stateOf(t, b, world.Origin)
	if p, err = b.Navigate(docs + "/bff/callback?code=honest&state=" + url.QueryEscape(state)); err != nil {
		t.Fatal(err)
	}
	w.Want(p, 400)

	// The attacker's metadata sends the user to the honest provider, to have its code delivered to the attacker.
	evil.Set(func(b *provider.Behaviour) {
		b.EditDiscovery = func(m map[string]any) { m["authorization_endpoint"] = w.Dev.URL("/oauth/authorize") }
	})
	state = stateOf(t, b, docs)
	if p, err = b.Navigate(docs + "/bff/callback?code=honest&state=" + url.QueryEscape(state) + "&iss=" + url.QueryEscape(w.Dev.Issuer())); err != nil {
		t.Fatal(err)
	}
	w.Want(p, 400)

	if n := evil.Count(provider.Token); n != 0 {
		t.Errorf("the attacker's token endpoint saw %d requests", n)
	}
	if n := w.Dev.Count(provider.Token); n != 0 {
		t.Errorf("the honest token endpoint saw %d requests", n)
	}
}

// stateOf starts a login and returns the state that went to the provider.
func stateOf(t *testing.T, b *browser.Browser, origin string) string {
	t.Helper()
	b.HoldAt(func(u *url.URL) bool { return !strings.HasSuffix(u.Hostname(), ".localhost") })
	defer b.HoldAt(nil)
	p, err := b.Click(browser.At(origin+"/"), origin+"/bff/login")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(p.URL)
	if err != nil || !p.Unsent {
		t.Fatalf("the login did not lead to a provider: %s %v", p.URL, err)
	}
	return u.Query().Get("state")
}

// Third-party-initiated login is off: nothing answers there.
//
// shows LOGIN-3P
func TestInitiateIsNotThere(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{})
	w.Start(1)
	p, err := w.Browser().Navigate(world.Origin + "/bff/initiate?iss=" + url.QueryEscape(w.Dev.Issuer()))
	if err != nil {
		t.Fatal(err)
	}
	w.Want(p, 404)
	if n := w.Dev.Count(provider.Authorize); n != 0 {
		t.Errorf("a login was started: %d", n)
	}
}

// After the sign-out nothing of the session is kept but the memory that it ended.
//
// shows PRIV-1
func TestSignOutErasesWhatWasKept(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	var record string
	for _, k := range w.Redis.Keys() {
		if strings.HasPrefix(k, "cr:s:{") {
			record = k
		}
	}
	if record == "" {
		t.Fatal("no record")
	}
	lookup := strings.TrimSuffix(strings.TrimPrefix(record, "cr:s:{"), "}")
	signOut(t, w, b)
	for line := range strings.Lines(string(w.Redis.Dump())) {
		if strings.Contains(line, lookup) && !strings.Contains(line, ":ended") && !strings.Contains(line, "REDIS") {
			t.Errorf("still there: %.200s", line)
		}
	}
}
