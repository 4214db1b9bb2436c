package provider_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
)

const (
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
	ordersAPI  = "https://orders.example.com"
	billsAPI   = "https://bills.example.com"
)

func (w *world) trade(subject string, pairs ...string) page {
	w.t.Helper()
	return w.post("/oauth/token", with(url.Values{
		"grant_type": {provider.GrantExchange}, "client_id": {"webc_1"}, "client_secret": {web().Secret},
		"subject_token": {subject}, "subject_token_type": {typeAccess}, "audience": {"orders"}, "scope": {"orders:read"},
	}, pairs...))
}

func TestAnExchangedTokenIsForItsAudience(t *testing.T) {
	w := start(t)
	subject := str(w.tokens(browser(t)), "access_token")
	out := w.trade(subject, "resource", ordersAPI).json(t)
	if out["issued_token_type"] != typeAccess || out["token_type"] != "Bearer" || out["scope"] != "orders:read" || out["refresh_token"] != nil {
		t.Errorf("answer %v", out)
	}
	claims := part(t, str(out, "access_token"), 1)
	if diff := cmp.Diff([]any{"orders", ordersAPI}, claims["aud"]); diff != "" || claims["sub"] != "usr_1001" || claims["scope"] != "orders:read" {
		t.Errorf("claims %v: aud (-want +got):\n%s", claims, diff)
	}
	if w.trade(subject).status != 200 {
		t.Error("the subject token is good once only")
	}
}

func TestExchangeRefused(t *testing.T) {
	w := start(t)
	client := web()
	client.Audiences, client.Resources, client.Scopes = []string{"orders"}, []string{ordersAPI}, []string{"openid", "profile", "email", "offline_access", "orders:read"}
	w.Register(client)
	w.Register(provider.Client{ID: "webc_2", Secret: "other"})
	subject := str(w.tokens(browser(t)), "access_token")
	for name, row := range map[string]struct {
		pairs  []string
		status int
		want   string
	}{
		"no subject token":       {[]string{"subject_token", ""}, 400, "invalid_request"},
		"another subject token":  {[]string{"subject_token", "guess"}, 400, "invalid_request"},
		"another type of it":     {[]string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, 400, "invalid_request"},
		"an actor":               {[]string{"actor_token", subject}, 400, "invalid_request"},
		"a wish for SAML":        {[]string{"requested_token_type", "urn:ietf:params:oauth:token-type:saml2"}, 400, "invalid_request"},
		"no target":              {[]string{"audience", ""}, 400, "invalid_target"},
		"another audience":       {[]string{"audience", "bills"}, 400, "invalid_target"},
		"another resource":       {[]string{"resource", billsAPI}, 400, "invalid_target"},
		"a resource's fragment":  {[]string{"resource", ordersAPI + "#x"}, 400, "invalid_target"},
		"a relative resource":    {[]string{"resource", "/orders"}, 400, "invalid_target"},
		"more scope":             {[]string{"scope", "orders:write"}, 400, "invalid_scope"},
		"another client":         {[]string{"client_id", "webc_2", "client_secret", "other"}, 400, "invalid_request"},
		"a wrong client's proof": {[]string{"client_secret", "guess"}, 401, "invalid_client"},
	} {
		t.Run("an exchange with "+name, func(t *testing.T) { wantError(t, w.trade(subject, row.pairs...), row.status, row.want) })
	}
	w.clock.Move(6 * time.Minute)
	wantError(t, w.trade(subject), 400, "invalid_request")
}

func TestExchangeAnswersAreBentOnRequest(t *testing.T) {
	w := start(t)
	client := web()
	client.RefreshOnExchange = true
	w.Register(client)
	w.Set(func(b *provider.Behaviour) {
		b.ExchangeAnswer = map[string]any{"issued_token_type": nil, "token_type": "N_A", "scope": "less"}
	})
	all := w.tokens(browser(t))
	out := w.trade(str(all, "access_token")).json(t)
	if out["issued_token_type"] != nil || out["token_type"] != "N_A" || out["scope"] != "less" || out["refresh_token"] == nil {
		t.Errorf("answer %v", out)
	}
	if again := w.refresh(str(all, "refresh_token")).json(t); again["token_type"] != "Bearer" {
		t.Errorf("a refresh is bent too: %v", again)
	}
	w.Fault(provider.Token, provider.ExchangeFails(500, ""))
	if pg := w.trade(str(all, "access_token")); pg.status != 500 {
		t.Errorf("a failing exchange: %d", pg.status)
	}
	if pg := w.exchange("guess"); pg.status != 400 {
		t.Errorf("the fault takes more than exchanges: %d", pg.status)
	}
}

// One refresh token gives a token for each resource that was asked for at the sign-in, and for no other (RFC 8707).
func TestOneRefreshTokenForSeveralResources(t *testing.T) {
	w := start(t)
	b := browser(t)
	form := authParams()
	form["resource"] = []string{ordersAPI, billsAPI}
	res, err := b.Get(w.URL("/oauth/authorize") + "?" + form.Encode())
	out := w.exchange(read(t, res, err).location.Get("code")).json(t)
	if aud := part(t, str(out, "access_token"), 1)["aud"]; !cmp.Equal(aud, any([]any{"webc_1"})) {
		t.Errorf("the first token is for %v", aud)
	}
	wantError(t, w.refresh(str(out, "refresh_token"), "resource", "https://other.example.com"), 400, "invalid_target")
	for _, api := range []string{ordersAPI, billsAPI, ""} {
		out = w.refresh(str(out, "refresh_token"), "resource", api).json(t)
		want := any([]any{api})
		if api == "" {
			want = []any{"webc_1"}
		}
		if aud := part(t, str(out, "access_token"), 1)["aud"]; !cmp.Equal(aud, want) {
			t.Errorf("asked for %q the token is for %v", api, aud)
		}
	}
	both := refreshForm(str(out, "refresh_token"))
	both["resource"] = []string{ordersAPI, billsAPI}
	wantError(t, w.post("/oauth/token", both), 400, "invalid_target")
	if w.refresh(str(out, "refresh_token")).status != 200 {
		t.Error("a refused target used the refresh token up")
	}
	for _, bad := range []string{"orders", ordersAPI + "#x"} {
		if got := w.authorize(b, "resource", bad).location.Get("error"); got != "invalid_target" {
			t.Errorf("resource %s at the sign-in: %q", bad, got)
		}
	}
}
