package idp_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

// shows CB-TOKEN-1
func TestAnswersToACode(t *testing.T) {
	good := func(p *provider, change map[string]any) string { return encode(p.tokens(change)) }
	for _, tc := range []struct {
		with   string
		status int
		media  string
		body   func(p *provider) string
		want   bff.Code
	}{
		{"everything", 200, "application/json", func(p *provider) string { return good(p, nil) }, ""},
		{"no token type", 200, "application/json", func(p *provider) string { return good(p, map[string]any{"token_type": nil}) }, ""},
		{"no id_token", 200, "application/json", func(p *provider) string { return good(p, map[string]any{"id_token": nil}) }, idp.CodeTokenRejected},
		{"token type mac", 200, "application/json", func(p *provider) string { return good(p, map[string]any{"token_type": "mac"}) }, idp.CodeTokenRejected},
		{"invalid_grant", 400, "application/json", func(*provider) string { return `{"error":"invalid_grant"}` }, idp.CodeCodeRejected},
		{"invalid_client", 401, "application/json", func(*provider) string { return `{"error":"invalid_client"}` }, idp.CodeMisconfigured},
		{"invalid_request", 400, "application/json", func(*provider) string { return `{"error":"invalid_request"}` }, idp.CodeMisconfigured},
		{"a page", 200, "text/html", func(p *provider) string { return good(p, nil) }, bff.CodeIDPUnavailable},
		{"a 500", 500, "", func(*provider) string { return "" }, bff.CodeIDPUnavailable},
		{"a 429", 429, "", func(*provider) string { return "" }, bff.CodeIDPUnavailable},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tc.status, tc.media, tc.body(p))
			if _, err := exchange(t, p.client(nil)); bff.CodeOf(err) != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if n := p.count("/token"); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
			if alarmed := p.alarmed("provider refuses the client"); alarmed != (tc.want == idp.CodeMisconfigured) {
				t.Errorf("alarm: %v", alarmed)
			}
		})
	}
}

// What an operator reads of a refused client names the way its secret was sent, which is as often wrong as the secret is,
// and never the secret.
//
// shows SCALEKIT-A1
func TestARefusedClientIsToldWithTheWayItsSecretWasSent(t *testing.T) {
	for _, tc := range []struct{ with, auth, oauth, want string }{
		{"invalid_client to Basic", "client_secret_basic", "invalid_client", "by client_secret_basic"},
		{"invalid_client to a form field", "client_secret_post", "invalid_client", "by client_secret_post"},
		{"another error", "client_secret_post", "unauthorized_client", "client " + clientID + ": answer with status 401 and error unauthorized_client"},
	} {
		t.Run("a refusal with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", 401, "application/json", `{"error":"`+tc.oauth+`"}`)
			_, err := exchange(t, p.client(func(s *idp.Settings) { s.TokenAuth = tc.auth }))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
}

// shows CB-TOKEN-1
func TestACodeFollowsNoRedirect(t *testing.T) {
	p := newProvider(t)
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	if _, err := exchange(t, p.client(nil)); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("got %v", err)
	}
	if p.count("/elsewhere") != 0 {
		t.Error("the code went elsewhere")
	}
}

// shows CB-TOKEN-1
func TestLivesOfAccessTokens(t *testing.T) {
	for _, tc := range []struct {
		with string
		in   any
		want time.Duration
	}{
		{"300", 300, 5 * time.Minute},
		{"300 as a string", "300", 5 * time.Minute},
		{"nothing", nil, time.Minute},
		{"0", 0, time.Minute},
		{"a negative number", -5, time.Minute},
		{"an absurd number", 1e30, 24 * time.Hour},
		{"a word", "never", time.Minute},
	} {
		p := newProvider(t)
		p.givesTokens(map[string]any{"expires_in": tc.in})
		grant, err := exchange(t, p.client(nil))
		if err != nil || grant.Tokens.ExpiresAt.Sub(epoch) != tc.want {
			t.Errorf("expires_in with %s: %v, %v", tc.with, grant, err)
		}
	}
}

// shows CA-2.3.1
func TestClientAuthentication(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID)+":"+url.QueryEscape(secret)))
	for _, tc := range []struct {
		with, setting string
		supported     any
		header        string
		form          string
	}{
		{"both methods in the metadata", "", []string{"client_secret_post", "client_secret_basic"}, basic, ""},
		{"post alone in the metadata", "", []string{"client_secret_post"}, "", secret},
		{"nothing in the metadata", "", nil, basic, ""},
		{"a setting", "client_secret_post", []string{"client_secret_basic"}, "", secret},
		{"a setting for none", "none", nil, "", ""},
	} {
		t.Run("a provider with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.meta["token_endpoint_auth_methods_supported"] = tc.supported
			p.replies("/token", 401, "application/json", `{"error":"invalid_client"}`)
			c := p.client(func(s *idp.Settings) { s.TokenAuth = tc.setting })
			for range 2 {
				_, _ = exchange(t, c)
			}
			sent := p.requests("/token")
			if len(sent) != 2 {
				t.Fatalf("%d requests for two logins: another method was tried", len(sent))
			}
			for _, r := range sent {
				if r.header.Get("Authorization") != tc.header || r.form.Get("client_secret") != tc.form || r.form.Has("client_id") == (tc.header != "") {
					t.Errorf("authenticated by %q and %v", r.header.Get("Authorization"), r.form)
				}
			}
		})
	}
}

// shows RPL-REVOKE
func TestWhatARevocationMeets(t *testing.T) {
	tokens := bff.TokenSet{Access: bff.NewSecret("at-secret-1"), Refresh: bff.NewSecret("rt-secret-2")}
	no := false
	for _, tc := range []struct {
		with   string
		change func(p *provider, s *idp.Settings)
		want   int
		good   bool
	}{
		{"a 200", func(*provider, *idp.Settings) {}, 2, true},
		{"unsupported_token_type", func(p *provider, _ *idp.Settings) {
			p.replies("/revoke", 400, "application/json", `{"error":"unsupported_token_type"}`)
		}, 2, true},
		{"a 503 that does not end", func(p *provider, _ *idp.Settings) { p.replies("/revoke", 503, "", "") }, 6, false},
		{"invalid_client", func(p *provider, _ *idp.Settings) {
			p.replies("/revoke", 401, "application/json", `{"error":"invalid_client"}`)
		}, 2, false},
		{"no endpoint", func(p *provider, _ *idp.Settings) { delete(p.meta, "revocation_endpoint") }, 0, true},
		{"an endpoint that is not to be used", func(_ *provider, s *idp.Settings) { s.RevocationSupported = &no }, 0, true},
	} {
		t.Run("a provider with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(func(s *idp.Settings) { tc.change(p, s) })
			if err := c.Revoke(t.Context(), tokens); (err == nil) != tc.good {
				t.Errorf("got %v", err)
			}
			if n := p.count("/revoke"); n != tc.want {
				t.Errorf("%d requests, want %d", n, tc.want)
			}
		})
	}
}

// TestNothingSecretIsTold looks through errors, alarms and logs of failures of every kind.
//
// shows SCALEKIT-L3
func TestNothingSecretIsTold(t *testing.T) {
	p := newProvider(t)
	bad := p.idToken(map[string]any{"nonce": "x"})
	c := p.client(nil)
	var told strings.Builder
	for _, h := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) {
			p.answer(w, 200, p.tokens(map[string]any{"id_token": bad}))
		},
		func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 400, map[string]any{"error": "rt-secret-1"}) },
		hangUp,
	} {
		p.handle("/token", h)
		_, err := exchange(t, c)
		told.WriteString(err.Error())
		if _, err = c.Refresh(t.Context(), p.session(), ""); err != nil {
			told.WriteString(err.Error())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	told.WriteString(p.logged.String())
	for _, s := range []string{"-secret", bad, secret, url.QueryEscape(secret)} {
		if strings.Contains(told.String(), s) {
			t.Errorf("%q was told", s)
		}
	}
}
