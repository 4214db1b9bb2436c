package idp_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"

	"github.com/google/go-cmp/cmp"
)

// own asks for the app's own token.
func own(t *testing.T, c *idp.Client, scope string) (bff.TokenSet, error) {
	return c.ClientToken(t.Context(), scope)
}

// shows SCALEKIT-M5, SCALEKIT-M7
func TestTheRequestForAnAppsOwnToken(t *testing.T) {
	for _, tc := range []struct {
		with, scope, auth string
		want              url.Values
	}{
		{"scopes", "org:read user:read", "client_secret_post", url.Values{
			"grant_type": {"client_credentials"}, "scope": {"org:read user:read"}, "client_id": {clientID}, "client_secret": {secret},
		}},
		{"no scopes", "", "client_secret_post", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret},
		}},
		{"its secret in the header", "", "client_secret_basic", url.Values{"grant_type": {"client_credentials"}}},
	} {
		t.Run("a request with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", 200, "application/json", `{"access_token":"cc-1","token_type":"Bearer","expires_in":86399,"refresh_token":"rt-unasked","id_token":"unasked"}`)
			got, err := own(t, p.client(func(s *idp.Settings) { s.TokenAuth = tc.auth }), tc.scope)
			if err != nil {
				t.Fatal(err)
			}
			if got.Access.Reveal() != "cc-1" || !got.Refresh.IsZero() || !got.ID.IsZero() || got.Scope != tc.scope {
				t.Errorf("got %+v", got)
			}
			if life := got.ExpiresAt.Sub(got.ReceivedAt); life != 86399*time.Second || !got.RefreshAt.Before(got.ExpiresAt) {
				t.Errorf("it lives %s, to be renewed %s before", life, got.ExpiresAt.Sub(got.RefreshAt))
			}
			sent := p.requests("/token")[0]
			if diff := cmp.Diff(tc.want, sent.form); diff != "" || (tc.auth == "client_secret_basic") != strings.HasPrefix(sent.header.Get("Authorization"), "Basic ") {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

// shows SCALEKIT-M4
func TestAnswersToTheRequestForAnAppsOwnToken(t *testing.T) {
	for _, tc := range []struct {
		with   string
		status int
		media  string
		body   string
		want   bff.Code
	}{
		{"invalid_client", 401, "application/json", `{"error":"invalid_client"}`, bff.CodeManagementDisabled},
		{"unauthorized_client", 400, "application/json", `{"error":"unauthorized_client"}`, bff.CodeManagementDisabled},
		{"invalid_scope", 400, "application/json", `{"error":"invalid_scope"}`, bff.CodeManagementDisabled},
		{"access_denied", 400, "application/json", `{"error":"access_denied"}`, bff.CodeManagementDisabled},
		{"invalid_grant", 400, "application/json", `{"error":"invalid_grant"}`, bff.CodeManagementDisabled},
		{"a 403 page of a firewall", 403, "text/html", "<p>no", bff.CodeIDPUnavailable},
		{"a 500", 500, "", "", bff.CodeIDPUnavailable},
		{"a 429", 429, "", "", bff.CodeIDPUnavailable},
		{"a page", 200, "text/html", "<p>hello", bff.CodeIDPUnavailable},
		{"no token", 200, "application/json", `{"token_type":"Bearer"}`, bff.CodeIDPUnavailable},
		{"another type of token", 200, "application/json", `{"access_token":"x","token_type":"mac"}`, bff.CodeIDPUnavailable},
		{"a token with a line break", 200, "application/json", `{"access_token":"x\r\nX-Role: admin"}`, bff.CodeIDPUnavailable},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tc.status, tc.media, tc.body)
			if _, err := own(t, p.client(nil), ""); bff.CodeOf(err) != tc.want || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if n := p.count("/token"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// The end that a JWT names goes before expires_in, and never makes its life longer.
func TestTheEndOfAnAppsOwnToken(t *testing.T) {
	for exp, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, 2 * time.Hour: time.Hour} {
		p := newProvider(t)
		jwt := signRS256(header("RS256", "r1"), encode(map[string]any{"exp": epoch.Add(exp).Unix()}))
		p.replies("/token", 200, "application/json", `{"access_token":"`+jwt+`","expires_in":3600}`)
		got, err := own(t, p.client(nil), "")
		if err != nil {
			t.Fatal(err)
		}
		if life := got.ExpiresAt.Sub(got.ReceivedAt); life != want {
			t.Errorf("exp after %s: it lives %s, want %s", exp, life, want)
		}
	}
}

// RFC 6749 section 4.4: the grant is for confidential clients. A public one is not even asked for.
func TestAPublicClientHasNoTokenOfItsOwn(t *testing.T) {
	p := newProvider(t)
	_, err := own(t, p.issuer(nil).Client(idp.ClientSettings{ClientID: clientID}), "")
	if bff.CodeOf(err) != bff.CodeManagementDisabled || p.count("/token") != 0 {
		t.Errorf("got %v after %d requests", err, p.count("/token"))
	}
}
