package idp_test

import (
	"encoding/json"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"

	"github.com/google/go-cmp/cmp"
)

// Roles and permissions stand in access tokens and follow changes at each refresh; ID tokens do not have them. What an access
// token says of itself is no claim of the user's.
//
// shows SCALEKIT-M3
func TestWhatAnAccessTokenSaysOfTheUser(t *testing.T) {
	access := func(p *provider, more map[string]any) string {
		claims := map[string]any{
			"iss": p.URL, "aud": clientID, "sub": subject, "sid": "another sid", "scope": "all",
			"iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
		}
		for name, v := range more {
			claims[name] = v
		}
		return signRS256(header("RS256", "r1"), encode(claims))
	}
	for _, tc := range []struct {
		with             string
		jwt              bool
		login, refreshed map[string]any
		first, then      string // stored claims; then is "" where nothing changes
	}{
		{"roles that stay", true, map[string]any{"roles": []string{"admin"}}, map[string]any{"roles": []string{"admin"}}, `{"name":"Ada","roles":["admin"]}`, ""},
		{"a role taken away", true, map[string]any{"roles": []string{"admin", "x"}}, map[string]any{"roles": []string{"x"}}, `{"name":"Ada","roles":["admin","x"]}`, `{"name":"Ada","roles":["x"]}`},
		{"all roles taken away", true, map[string]any{"roles": []string{"admin"}}, nil, `{"name":"Ada","roles":["admin"]}`, `{"name":"Ada"}`},
		{"a role given", true, nil, map[string]any{"roles": []string{"admin"}}, `{"name":"Ada"}`, `{"name":"Ada","roles":["admin"]}`},
		{"claims that nobody asked for", true, map[string]any{"secret": "x"}, map[string]any{"secret": "y"}, `{"name":"Ada"}`, ""},
		{"access tokens that are not the client's to read", false, map[string]any{"roles": []string{"admin"}}, map[string]any{"roles": []string{"x"}}, `{"name":"Ada"}`, ""},
	} {
		t.Run("access tokens with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			c := p.issuer(func(s *idp.Settings) { s.AccessTokenJWT = tc.jwt }).Client(idp.ClientSettings{
				ClientID: clientID, Secret: bff.NewSecret(secret), RedirectURI: redirect, Scopes: []string{"openid"},
				StoredClaims: []string{"name", "roles", "sid", "scope"},
			})
			raw := access(p, tc.login)
			p.replies("/token", 200, "application/json", encode(p.tokens(map[string]any{"access_token": raw, "id_token": p.idToken(map[string]any{"at_hash": atHash(raw), "sid": nil})})))
			grant, err := exchange(t, c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.first, string(grant.Identity.Claims)); diff != "" {
				t.Errorf("at the login (-want +got):\n%s", diff)
			}
			s := &bff.Session{Identity: *grant.Identity, Tokens: grant.Tokens}
			s.Tokens.Refresh = bff.NewSecret("rt-1")
			p.replies("/token", 200, "application/json", encode(map[string]any{"access_token": access(p, tc.refreshed), "expires_in": 300, "refresh_token": "rt-2"}))
			renewed, err := c.Refresh(t.Context(), s, "")
			if err != nil {
				t.Fatal(err)
			}
			var then json.RawMessage
			if renewed.Identity != nil {
				then = renewed.Identity.Claims
				if renewed.Identity.Subject != subject || !renewed.Identity.AuthTime.Equal(grant.Identity.AuthTime) {
					t.Errorf("the identity became %+v", renewed.Identity)
				}
			}
			if diff := cmp.Diff(tc.then, string(then)); diff != "" {
				t.Errorf("after a refresh (-want +got):\n%s", diff)
			}
		})
	}
}
