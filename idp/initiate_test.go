package idp_test

import (
	"crypto"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/idp"
)

// initiation are the claims of a good sign-in that began at the provider, changed by change: a nil value removes one.
func (p *provider) initiation(change map[string]any) map[string]any {
	now := p.now().Unix()
	c := map[string]any{
		"iss": p.URL, "iat": now, "nbf": now, "exp": now + 300,
		"organization_id": "org_1", "connection_id": "conn_1", "login_hint": "ada@example.com", "relay_state": "/orders",
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (p *provider) initiated(change map[string]any) string {
	return signRS256(header("RS256", "r1"), encode(p.initiation(change)))
}

// A sign-in that began at the provider is believed by its signature, its issuer and its age, and only if it is of that kind.
//
// shows SCALEKIT-S3, SCALEKIT-S4
func TestSignInsThatBeganAtTheProvider(t *testing.T) {
	custom := func(s *idp.Settings) { s.Issuers = []string{"https://auth.acme.com"} }
	claims := func(change map[string]any) func(p *provider) string {
		return func(p *provider) string { return p.initiated(change) }
	}
	at := func(made, ends time.Duration) func(p *provider) string {
		return func(p *provider) string {
			iat := p.now().Add(made).Unix()
			return p.initiated(map[string]any{"iat": iat, "nbf": iat, "exp": p.now().Add(ends).Unix()})
		}
	}
	for _, row := range []struct {
		with  string // a JWT with …
		rule  string // "" holds
		token func(p *provider) string
		set   func(*idp.Settings)
	}{
		{with: "all that Scalekit gives it", token: claims(nil)},
		{with: "an organization alone", token: claims(map[string]any{"connection_id": nil, "login_hint": nil, "relay_state": nil})},
		{with: "a connection alone", token: claims(map[string]any{"organization_id": nil})},
		{with: "the client among its audiences", token: claims(map[string]any{"aud": []string{"other", clientID}})},
		{with: "five minutes and a clock that is off", token: at(-5*time.Minute-30*time.Second, time.Minute)},
		{with: "a custom domain as its issuer", set: custom, token: claims(map[string]any{"iss": "https://auth.acme.com"})},
		{with: "another issuer", rule: "iss", token: claims(map[string]any{"iss": "https://evil.example"})},
		{with: "a third issuer", rule: "iss", set: custom, token: claims(map[string]any{"iss": "https://auth.acme.org"})},
		{with: "no issuer", rule: "iss", token: claims(map[string]any{"iss": nil})},
		{with: "an end that has passed", rule: "exp", token: at(-3*time.Minute, -2*time.Minute)},
		{with: "no end", rule: "exp", token: claims(map[string]any{"exp": nil})},
		{with: "no moment of making", rule: "iat", token: claims(map[string]any{"iat": nil})},
		{with: "a moment in the future", rule: "iat", token: at(2*time.Minute, 5*time.Minute)},
		{with: "an age of seven minutes, whatever its end", rule: "iat", token: at(-7*time.Minute, time.Hour)},
		{with: "a start in the future", rule: "nbf", token: func(p *provider) string {
			return p.initiated(map[string]any{"nbf": p.now().Add(2 * time.Minute).Unix()})
		}},
		{with: "an audience that is another client", rule: "aud", token: claims(map[string]any{"aud": "web:2"})},
		{with: "neither organization nor connection", rule: "kind", token: claims(map[string]any{"organization_id": nil, "connection_id": nil})},
		{with: "an organization that is no text", rule: "form", token: claims(map[string]any{"organization_id": 7})},
		{with: "a relay state that is no text", rule: "form", token: claims(map[string]any{"relay_state": []string{"/"}})},
		{with: "a hint of a kilobyte", rule: "form", token: claims(map[string]any{"login_hint": strings.Repeat("a", 1000)})},
		{with: "a line end in a hint", rule: "form", token: claims(map[string]any{"login_hint": "a\r\nb"})},
		{with: "five kilobytes", rule: "form", token: claims(map[string]any{"more": strings.Repeat("a", 5000)})},
		{with: "a subject, as ID and access tokens have", rule: "kind", token: claims(map[string]any{"sub": subject})},
		{with: "a nonce", rule: "kind", token: claims(map[string]any{"nonce": nonce})},
		{with: "events, as logout tokens have", rule: "kind", token: claims(map[string]any{"events": map[string]any{}})},
		{with: "the claims of an ID token", rule: "kind", token: func(p *provider) string { return p.idToken(nil) }},
		{with: "no signature", rule: "alg", token: func(p *provider) string {
			return b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64([]byte(encode(p.initiation(nil)))) + ".AA"
		}},
		{with: "a signature by our own secret", rule: "alg", token: func(p *provider) string {
			return sign(header("HS256", "r1"), encode(p.initiation(nil)), byHMAC([]byte(secret)))
		}},
		{with: "a signature by another key", rule: "signature", token: func(p *provider) string {
			return sign(header("RS256", "r1"), encode(p.initiation(nil)), byRSA(rsaTwo(), crypto.SHA256))
		}},
		{with: "the typ of an access token", rule: "typ", token: func(p *provider) string {
			return signRS256(`{"alg":"RS256","kid":"r1","typ":"at+jwt"}`, encode(p.initiation(nil)))
		}},
		{with: "no form at all", rule: "form", token: func(*provider) string { return "x" }},
	} {
		t.Run(row.with, func(t *testing.T) {
			p := newProvider(t)
			i, rule := p.client(row.set).OpenInitiation(t.Context(), bff.NewSecret(row.token(p)))
			switch {
			case row.rule == "" && (rule != "" || i == nil):
				t.Errorf("refused by %q", rule)
			case row.rule != "" && (i != nil || !strings.HasPrefix(rule, "rule "+row.rule+":")):
				t.Errorf("%+v, %q, want refused by rule %s", i, rule, row.rule)
			}
		})
	}
}

func TestWhatASignInThatBeganAtTheProviderSays(t *testing.T) {
	p := newProvider(t)
	i, rule := p.client(nil).OpenInitiation(t.Context(), bff.NewSecret(p.initiated(map[string]any{"state": "mine", "scope2": "x"})))
	want := &bff.Initiation{ReturnTo: "/orders", Extra: url.Values{
		"organization_id": {"org_1"}, "connection_id": {"conn_1"}, "login_hint": {"ada@example.com"},
	}}
	if diff := cmp.Diff(want, i); diff != "" || rule != "" {
		t.Errorf("%q (-want +got):\n%s", rule, diff)
	}
}

// Whoever forges such links does not have the provider's keys fetched: what is wrong without them is refused without them,
// and an unknown kid asks once.
//
// shows SCALEKIT-K8
func TestForgedInitiationsFetchFewKeys(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for range 50 {
		stale := p.initiated(map[string]any{"exp": p.now().Add(-time.Hour).Unix(), "iat": p.now().Add(-2 * time.Hour).Unix()})
		if _, rule := c.OpenInitiation(t.Context(), bff.NewSecret(stale)); rule == "" {
			t.Fatal("a stale one holds")
		}
	}
	if n := p.count("/keys"); n != 0 {
		t.Errorf("stale ones fetched the keys %d times", n)
	}
	for range 50 {
		forged := sign(header("RS256", "kid-"+b64([]byte(time.Now().String()))), encode(p.initiation(nil)), byRSA(rsaTwo(), crypto.SHA256))
		if _, rule := c.OpenInitiation(t.Context(), bff.NewSecret(forged)); rule == "" {
			t.Fatal("a forged one holds")
		}
	}
	if n := p.count("/keys"); n > 2 { // once to have them, once for an unknown kid
		t.Errorf("forged ones fetched the keys %d times", n)
	}
	if _, rule := c.OpenInitiation(t.Context(), bff.NewSecret(p.initiated(nil))); rule != "" {
		t.Errorf("a good one meanwhile: %s", rule)
	}
}
