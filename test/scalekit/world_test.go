//go:build integration

// Package scalekit_test compares what the gateway says to Scalekit, by the preset and the stand-in of dev/provider, with
// what Scalekit's documentation says it takes: parameter by parameter, and each way of signing in and out.
package scalekit_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// customDomain is a further name of the provider for itself.
const customDomain = "https://auth.acme.example"

// begin makes a world of one instance whose provider has further settings, and whose app takes sign-ins that begin there.
func begin(t *testing.T, settings string) *world.World {
	t.Helper()
	w := world.New(t, func(t *testing.T, w *world.World, o world.Options) {
		t.Helper()
		world.DevProvider(t, w, o)
		w.OP.YAML = strings.TrimSuffix(w.OP.YAML, "}") + settings + "}"
	}, world.Options{App: "    login: {initiate: true}"})
	w.Dev.Register(client(nil))
	w.Start(1)
	return w
}

// client is the app's registration, changed by change.
func client(change func(*provider.Client)) provider.Client {
	c := provider.Client{
		ID: "webc_1", Secret: world.ClientSecret,
		RedirectURIs: []string{world.Origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{world.Origin + "/bff/logged-out"},
		InitiateLoginURI: world.Origin + "/bff/initiate",
	}
	if change != nil {
		change(&c)
	}
	return c
}

// navigate opens an address as a person who types it.
func navigate(t *testing.T, b *browser.Browser, at string) *browser.Page {
	t.Helper()
	p, err := b.Navigate(at)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// last is the latest request to an endpoint.
func last(t *testing.T, w *world.World, e provider.Endpoint) provider.Request {
	t.Helper()
	all := w.Dev.RequestsTo(e)
	if len(all) == 0 {
		t.Fatalf("no request to %s", e)
	}
	return all[len(all)-1]
}

// secretParams are those whose values no test can know; what they must look like is a test of its own.
var secretParams = []string{
	"state", "nonce", "code_challenge", "code", "code_verifier", "refresh_token", "id_token_hint",
}

// keeps compares a request with the contract: these parameters with these values ("…" for one that is a secret), once each,
// and no other.
func keeps(t *testing.T, what string, form, want url.Values) {
	t.Helper()
	have := maps.Clone(form)
	for _, name := range secretParams {
		if v := have[name]; len(v) == 1 && v[0] != "" {
			have[name] = []string{"…"}
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s (-contract +sent):\n%s", what, diff)
	}
}

// with is a set of parameters and more.
func with(base url.Values, more ...string) url.Values {
	all := maps.Clone(base)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = []string{more[i+1]}
	}
	return all
}

// logout signs out by the form that the app's own page posts.
func logout(t *testing.T, b *browser.Browser) *browser.Page {
	t.Helper()
	p, err := b.SubmitForm(browser.At(world.Origin+"/"), browser.Form{Action: "/bff/logout", Method: http.MethodPost}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if next, err := p.Form(""); err == nil && strings.HasPrefix(next.Action, "http") { // a page that posts on to the provider
		if p, err = b.SubmitForm(p, next, next.Fields); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// noHint fails if an ID token stood in any address that the browser was sent to.
func noHint(t *testing.T, w *world.World, p *browser.Page) {
	t.Helper()
	ids := slices.DeleteFunc(w.Dev.Issued(), func(s provider.Secret) bool { return s.Kind != provider.KindID })
	for _, hop := range p.Hops {
		for _, id := range ids {
			if strings.Contains(hop.URL+hop.Header.Get("Location")+string(hop.Body), id.Value) {
				t.Errorf("an ID token on the way through %s", hop.URL)
			}
		}
	}
}
