//go:build integration

package scalekit_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

// authorization is what each authorization request says.
func authorization() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"webc_1"}, "redirect_uri": {world.Origin + "/bff/callback"},
		"scope": {"openid profile email offline_access"}, "state": {"…"}, "nonce": {"…"},
		"code_challenge": {"…"}, "code_challenge_method": {"S256"},
	}
}

// Every parameter of a sign-in's start, by its name at Scalekit; and nothing that a link chose freely.
//
// shows SCALEKIT-L1, SCALEKIT-S5, SCALEKIT-S6, SCALEKIT-F1
func TestAuthorizationRequestsKeepToTheContract(t *testing.T) {
	t.Parallel()
	w := begin(t, "")
	for _, row := range []struct {
		with string // a sign-in with …
		ask  string
		more []string // what is sent beside
	}{
		{"nothing asked", "", nil},
		{"an account to be made", "prompt=create", []string{"prompt", "create"}},
		{"a password to be typed again", "prompt=login", []string{"prompt", "login"}},
		{"an account to be chosen", "prompt=select_account", []string{"prompt", "select_account"}},
		{"nothing to be shown", "prompt=none", []string{"prompt", "none"}},
		{"an organization to switch to", "prompt=select_account&organization_id=org_2", []string{"prompt", "select_account", "organization_id", "org_2"}},
		{"an organization and a hint", "organization_id=org_1&login_hint=a%40b.c", []string{"organization_id", "org_1", "login_hint", "a@b.c"}},
		{"a connection", "connection_id=conn_1", []string{"connection_id", "conn_1"}},
		{"a domain, under both of its names", "domain_hint=acme.example", []string{"domain_hint", "acme.example", "domain", "acme.example"}},
		{"a social provider, under Scalekit's name", "social_provider=salesforce", []string{"provider", "salesforce"}},
		{
			"what is the gateway's alone",
			"redirect_uri=https%3A%2F%2Fevil.example&scope=admin&client_id=x&state=s&nonce=n&code_challenge=c&code_challenge_method=plain" +
				"&response_type=token&response_mode=fragment&request=r&request_uri=u&max_age=0&ui_locales=de&provider=google&domain=x&resource=r",
			nil,
		},
	} {
		t.Run(row.with, func(t *testing.T) {
			b := w.Browser()
			navigate(t, b, world.Origin+"/bff/login?"+row.ask)
			r := last(t, w, provider.Authorize)
			keeps(t, row.with, r.Form, with(authorization(), row.more...))
			if r.Method != http.MethodGet {
				t.Errorf("by %s", r.Method)
			}
		})
	}
	before := w.Dev.Count(provider.Authorize)
	for _, bad := range []string{"prompt=consent", "prompt=none%20login", "acr_values=x", "social_provider=evil", "organization_id=a%20b", "connection_id=https%3A%2F%2Fx"} {
		if p := navigate(t, w.Browser(), world.Origin+"/bff/login?"+bad); p.Status != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, p.Status)
		}
	}
	if n := w.Dev.Count(provider.Authorize); n != before {
		t.Errorf("%d requests for what is refused", n-before)
	}
}

// The secrets of a start are as long as they must be, and never the same.
//
// shows SCALEKIT-L2 (256 bits)
func TestSecretsOfAStart(t *testing.T) {
	t.Parallel()
	w := begin(t, "")
	seen := map[string]bool{}
	for range 20 {
		navigate(t, w.Browser(), world.Origin+"/bff/login")
		form := last(t, w, provider.Authorize).Form
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := form.Get(name)
			raw, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(raw) < 32 || seen[value] { // docs ask for 256 bits of entropy
				t.Errorf("%s %q: %d bytes, %v, seen before: %v", name, value, len(raw), err, seen[value])
			}
			seen[value] = true
		}
	}
}

// One sign-in, one refresh and one sign-out: each call once, the secret in the body, and no word that Scalekit does not know.
//
// shows SCALEKIT-A6, SCALEKIT-T1, SCALEKIT-L6, SCALEKIT-K5, SCALEKIT-K6, SCALEKIT-O1
func TestCallsKeepToTheContract(t *testing.T) {
	t.Parallel()
	w := begin(t, "")
	b := w.Browser()
	w.SignIn(b, "/")
	code := last(t, w, provider.Token)
	keeps(t, "code", code.Form, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"webc_1"}, "client_secret": {world.ClientSecret},
		"code": {"…"}, "redirect_uri": {world.Origin + "/bff/callback"}, "code_verifier": {"…"},
	})
	sentAsForm(t, code)
	for deadline := time.Now().Add(20 * time.Second); w.Dev.GrantCount("refresh_token") == 0; {
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
		if time.Now().After(deadline) {
			t.Fatal("never refreshed")
		}
	}
	refresh := last(t, w, provider.Token)
	keeps(t, "refresh", refresh.Form, url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"webc_1"}, "client_secret": {world.ClientSecret}, "refresh_token": {"…"},
	})
	sentAsForm(t, refresh)
	if n := w.Dev.GrantCount("authorization_code"); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	end := logout(t, b)
	out := last(t, w, provider.Logout)
	keeps(t, "logout", out.Form, url.Values{
		"id_token_hint": {"…"}, "post_logout_redirect_uri": {world.Origin + "/bff/logged-out"}, "state": {"…"}, "client_id": {"webc_1"},
	})
	// A refresh brings no ID token at Scalekit: the hint is the sign-in's.
	if !issued(w, provider.KindID, out.Form.Get("id_token_hint")) || out.Method != http.MethodGet || out.Path != "/oidc/logout" {
		t.Errorf("%s %s with a hint that is none of the ID tokens", out.Method, out.Path)
	}
	if !strings.HasPrefix(end.URL, world.Origin+"/") || !w.Dev.Sessions()[0].Ended {
		t.Errorf("ended at %s, the provider's session over: %v", end.URL, w.Dev.Sessions()[0].Ended)
	}
	w.Leaks()
}

// sentAsForm checks how a client proves itself: client_secret_post, and in no other way beside.
func sentAsForm(t *testing.T, r provider.Request) {
	t.Helper()
	if got := r.Header.Get("Authorization"); got != "" {
		t.Error("an Authorization field beside the secret in the body")
	}
	if got := r.Header.Get("Content-Type"); r.Method != http.MethodPost || got != "application/x-www-form-urlencoded" {
		t.Errorf("%s, %s", r.Method, got)
	}
}

func issued(w *world.World, kind provider.Kind, value string) bool {
	return slices.ContainsFunc(w.Dev.Issued(), func(s provider.Secret) bool { return s.Kind == kind && s.Value == value })
}
