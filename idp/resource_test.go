package idp_test

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"cloakroom/bff"
	"cloakroom/idp"

	"github.com/google/go-cmp/cmp"
)

const theOrders = "https://orders.example.com"

// A sign-in names every resource, whatever else stands in the request; nothing a frontend passes adds one.
//
// shows RES-2
func TestASignInNamesEveryResource(t *testing.T) {
	p := newProvider(t)
	c := p.issuer(nil).Client(idp.ClientSettings{
		ClientID: clientID, Secret: bff.NewSecret(secret), RedirectURI: redirect, Scopes: []string{"openid"},
		Resources: []string{theOrders, "urn:example:stock&scope=admin"},
	})
	raw, err := c.AuthorizationURL(t.Context(), bff.AuthorizationRequest{
		State: "st", Nonce: nonce, Verifier: "v", Extra: url.Values{"resource": {"https://evil.example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{theOrders, "urn:example:stock&scope=admin"}, u.Query()["resource"]); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if got := u.Query()["scope"]; len(got) != 1 || got[0] != "openid" {
		t.Errorf("scope: %q", got)
	}
	if _, err := c.Exchange(t.Context(), bff.CodeExchange{Code: bff.NewSecret("code"), Nonce: nonce}); err != nil {
		t.Fatal(err)
	}
	if form := p.requests("/token")[0].form; form.Has("resource") {
		t.Errorf("the code was traded for %q", form["resource"]) // the session's own tokens are for none
	}
}

// shows RES-2
func TestARefreshForAResource(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(s *idp.Settings) { s.UserInfo, s.AccessTokenJWT = true, true })
	s := p.session()
	for _, tc := range []struct {
		with    string
		answer  map[string]any
		refresh string
		ends    bool
	}{
		{"all that there may be", nil, "rt-secret-2", false},
		{"no new refresh token", map[string]any{"refresh_token": nil}, "rt-secret-1", false},
		{"an access token that only the API can read", map[string]any{"access_token": "opaque"}, "rt-secret-2", false},
		{"no ID token", map[string]any{"id_token": nil}, "rt-secret-2", false},
		{"an ID token that says nothing", map[string]any{"id_token": "a.b.c"}, "rt-secret-2", false},
		{"an ID token about somebody else", map[string]any{"id_token": p.idToken(map[string]any{"sub": "usr_2"})}, "", true},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p.givesTokens(tc.answer)
			before := p.count("/token")
			grant, err := c.Refresh(t.Context(), s, theOrders)
			if form := p.requests("/token")[before].form; form.Get("resource") != theOrders || form.Get("refresh_token") != "rt-secret-1" || form.Has("scope") {
				t.Errorf("asked with %v", form)
			}
			if tc.ends {
				if e := outcomeOf(t, err); e.Outcome != bff.OutcomeSpent || !errors.Is(err, bff.ErrIdentityChanged) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || grant.Identity != nil || grant.Tokens.Refresh.Reveal() != tc.refresh || grant.Alarm != nil {
				t.Fatalf("got %+v, %v", grant, err)
			}
			if p.count("/userinfo") != 0 {
				t.Error("UserInfo was shown another API's token") // RFC 9700 section 2.3
			}
		})
	}
}

// What is refused with a resource may be the resource: only invalid_grant says that the refresh token is spent, and nothing is
// tried without the resource.
//
// shows RES-2
func TestAnswersToARefreshForAResource(t *testing.T) {
	all := func(s *idp.Settings) {
		s.SpentShapes = []string{idp.ShapeInvalidRequest, idp.ShapeInteraction, idp.ShapeEmpty400}
	}
	for code, want := range map[string]struct {
		outcome bff.Outcome
		target  bool
	}{
		"invalid_target":       {bff.OutcomeClient, true},
		"invalid_scope":        {bff.OutcomeClient, true},
		"access_denied":        {bff.OutcomeClient, true},
		"invalid_request":      {bff.OutcomeClient, true},
		"interaction_required": {bff.OutcomeClient, true},
		"invalid_client":       {bff.OutcomeClient, false},
		"unauthorized_client":  {bff.OutcomeClient, false},
		"invalid_grant":        {bff.OutcomeSpent, false},
		"server_error":         {bff.OutcomeTransient, false},
	} {
		t.Run("an answer with "+code, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", 400, "application/json", fmt.Sprintf(`{"error":%q}`, code))
			_, err := p.client(all).Refresh(t.Context(), p.session(), theOrders)
			if e := outcomeOf(t, err); e.Outcome != want.outcome || e.Target != want.target {
				t.Errorf("got %v, target %v", err, e.Target)
			}
			if n := p.count("/token"); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// A provider that does not know the parameter gives one token for everything: the operator is told.
func TestAResourceThatTheProviderIgnores(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	access := func(aud ...string) string { return p.idToken(map[string]any{"aud": aud}) }
	s := p.session()
	s.Tokens.Access = bff.NewSecret(access("everything"))
	for _, tc := range []struct {
		with  string
		token string
		told  bool
	}{
		{"the audience of the session's own", access("everything"), true},
		{"another audience, by which the provider knows the resource", access("orders"), false},
		{"the resource as its audience", access(theOrders), false},
		{"nothing that can be read", "opaque", false},
	} {
		t.Run("a token with "+tc.with, func(t *testing.T) {
			p.givesTokens(map[string]any{"access_token": tc.token, "id_token": nil})
			grant, err := c.Refresh(t.Context(), s, theOrders)
			if err != nil || (grant.Alarm != nil) != tc.told {
				t.Errorf("got %+v, %v", grant, err)
			}
		})
	}
}
