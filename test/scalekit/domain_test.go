//go:build integration

package scalekit_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/leak"
	"cloakroom/test/world"
)

// Behind a custom domain tokens may name either: the configured names pass on every token and answer, a third on none.
//
// shows SCALEKIT-S4, SCALEKIT-K7
func TestTokensOfACustomDomain(t *testing.T) {
	t.Parallel()
	w := begin(t, fmt.Sprintf(", issuers: [%q]", customDomain))
	naming := func(id, access, answer string) func(*provider.Behaviour) {
		return func(b *provider.Behaviour) {
			b.IDClaims, b.AccessClaims, b.AnswerIss = map[string]any{"iss": id}, map[string]any{"iss": access}, answer
		}
	}
	const third = "https://auth.acme.example.evil.example"
	for _, row := range []struct {
		with               string // tokens with …
		id, access, answer string
		good               bool
	}{
		{"the custom domain in all", customDomain, customDomain, customDomain, true},
		{"the environment's name in the ID token", w.OP.Issuer, customDomain, w.OP.Issuer, true},
		{"the environment's name in the access token", customDomain, w.OP.Issuer, w.OP.Issuer, true},
		{"a third issuer in the ID token", third, w.OP.Issuer, w.OP.Issuer, false},
		{"a third issuer in the access token", w.OP.Issuer, third, w.OP.Issuer, false},
		{"a third issuer in the answer", w.OP.Issuer, w.OP.Issuer, third, false},
	} {
		t.Run(row.with, func(t *testing.T) {
			w.Dev.Set(naming(row.id, row.access, row.answer))
			b := w.Browser()
			p := signIn(t, w, b, "?login_hint=ada%40example.com")
			if signed := has(w, b); signed != row.good || row.good == (p.Status == http.StatusBadRequest) {
				t.Errorf("signed in: %v, page %d\n%.300s", signed, p.Status, p.Text())
			}
		})
	}
}

// An access token that is not for this client is refused when it comes: at a sign-in there is no session, at a refresh the
// token goes nowhere.
//
// shows SCALEKIT-K7, SCALEKIT-L9
func TestAccessTokensAreVerifiedOnReceipt(t *testing.T) {
	t.Parallel()
	w := begin(t, "")
	for _, row := range []struct {
		with  string // an access token with …
		wrong func(*provider.Behaviour)
	}{
		{"another audience", func(b *provider.Behaviour) { b.AccessClaims = map[string]any{"aud": []string{"webc_9"}} }},
		{"another issuer", func(b *provider.Behaviour) { b.AccessClaims = map[string]any{"iss": "https://evil.example"} }},
		{"another subject", func(b *provider.Behaviour) { b.AccessClaims = map[string]any{"sub": "usr_9"} }},
		{"a key that is not published", func(b *provider.Behaviour) { b.AccessSigning = provider.Signing{Mode: provider.SignWithUnknownKey} }},
		{"a stolen kid", func(b *provider.Behaviour) { b.AccessSigning = provider.Signing{Mode: provider.SignWithStolenKID} }},
		{"no signature", func(b *provider.Behaviour) { b.AccessSigning = provider.Signing{Mode: provider.SignNone} }},
	} {
		t.Run(row.with, func(t *testing.T) {
			right := func(b *provider.Behaviour) { b.AccessClaims, b.AccessSigning = nil, provider.Signing{} }
			w.Dev.Set(row.wrong)
			b := w.Browser()
			if signIn(t, w, b, "?login_hint=ada%40example.com"); has(w, b) {
				t.Error("a session at the sign-in")
			}
			w.Dev.Set(right)
			signIn(t, w, b, "?login_hint=ada%40example.com")
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), http.StatusOK)
			w.Dev.Set(row.wrong)
			defer w.Dev.Set(right)
			refused(t, w, b)
		})
	}
}

// refused calls until the token has ended, and wants no call answered by the API with the new one.
func refused(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	before := w.Dev.GrantCount("refresh_token")
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if p := w.Fetch(b, "GET", "/api/orders", ""); p.Status != http.StatusOK {
			if n := w.Dev.GrantCount("refresh_token"); n == before {
				t.Errorf("refused without a refresh: %d %s", p.Status, p.Text())
			}
			return
		}
	}
	t.Error("still answered by the API")
}

// signIn starts a sign-in by hand and follows it to its end, whatever that is.
func signIn(t *testing.T, w *world.World, b *browser.Browser, query string) *browser.Page {
	t.Helper()
	return w.OP.SignIn(t, b, navigate(t, b, world.Origin+"/bff/login"+query))
}

// has reports whether a browser has a live session.
func has(w *world.World, b *browser.Browser) bool {
	p := w.Fetch(b, "GET", "/bff/session", "")
	return strings.Contains(string(p.Body), `"authenticated":true`)
}

// The provider sends a browser with its word: one click or none, a fresh sign-in at the connection it names, and the app.
// A word of somebody else is an ordinary sign-in. A browser that is sent back and back comes to an end.
//
// shows SCALEKIT-S3, SCALEKIT-S4
func TestASignInThatBeginsAtTheProvider(t *testing.T) {
	t.Parallel()
	w := begin(t, fmt.Sprintf(", issuers: [%q]", customDomain))
	word := provider.Initiation{Organization: "org_2001", Connection: "conn_1", LoginHint: "ada@example.com", RelayState: "/orders"}
	renamed := word
	renamed.Edit = func(_, claims map[string]any) { claims["iss"] = customDomain }
	forged := word
	forged.Signing = provider.Signing{Mode: provider.SignWithStolenKID}
	old := word
	old.Edit = func(_, claims map[string]any) { claims["iat"], claims["exp"] = 1, 2 }
	for _, row := range []struct {
		with string // a link with …
		word provider.Initiation
		want url.Values
	}{
		{"the provider's word", word, with(authorization(), "organization_id", "org_2001", "connection_id", "conn_1", "login_hint", "ada@example.com")},
		{"the word of its custom domain", renamed, with(authorization(), "organization_id", "org_2001", "connection_id", "conn_1", "login_hint", "ada@example.com")},
		{"a forged word", forged, authorization()},
		{"an old word", old, authorization()},
	} {
		t.Run(row.with, func(t *testing.T) {
			link, err := w.Dev.InitiateLink("webc_1", row.word)
			if err != nil {
				t.Fatal(err)
			}
			b := w.Browser()
			p := navigate(t, b, link)
			form := last(t, w, provider.Authorize).Form
			keeps(t, row.with, form, row.want)
			if token, _ := url.Parse(link); strings.Contains(token.Query().Get("idp_initiated_login"), form.Get("state")) {
				t.Error("the state came with the link")
			}
			if p = w.OP.SignIn(t, b, p); !has(w, b) {
				t.Errorf("not signed in: %d %s", p.Status, p.URL)
			}
			if good := row.want.Has("connection_id"); good != strings.HasSuffix(p.URL, "/orders") {
				t.Errorf("ended at %s", p.URL)
			}
		})
	}
	for _, rule := range []string{"signature", "exp"} { // what was refused stands in the log
		w.All[0].AwaitLog("sign-in begun at the provider: rule " + rule)
	}
	// The page in between leads to the address that the browser is at, query and all.
	w.Scan.Allow(leak.Rule{Kinds: []string{"idp_initiated_login"}, Place: "GET /bff/initiate", Field: "body"})
	w.Leaks()
}

// What a provider that does not know why does to a browser: it comes back to the page that asks for a click, and after four
// clicks to one that says so.
//
// shows SCALEKIT-S3
func TestAProviderThatSendsBackAndBack(t *testing.T) {
	t.Parallel()
	w := begin(t, "")
	w.Dev.Set(func(b *provider.Behaviour) { b.SendsBack = true })
	b := w.Browser()
	p := navigate(t, b, world.Origin+"/bff/login")
	clicks := 0
	for ; p.Status == http.StatusOK && clicks < 10; clicks++ {
		href := regexp.MustCompile(`href="(/bff/initiate[^"]*)"`).FindSubmatch(p.Body)
		if href == nil {
			t.Fatalf("no way on: %s\n%s", p.URL, p.Text())
		}
		var err error
		if p, err = b.Click(p, html.UnescapeString(string(href[1]))); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.Dev.Count(provider.Authorize); p.Status != http.StatusLoopDetected || clicks != 4 || n != 5 {
		t.Errorf("%d at %s after %d clicks and %d requests", p.Status, p.URL, clicks, n)
	}
}
