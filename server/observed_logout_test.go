package server_test

import (
	"net/url"

	"cloakroom/dev/provider"
)

// providerLogout has the provider end its session: an app's session goes with it.
func (o *observed) providerLogout() {
	o.t.Helper()
	h := o.signIn("phone", "ada@example.com")
	for name, value := range map[string]string{"access handle": h.Access, "refresh handle": h.Refresh, "public name": h.Session.ID} {
		o.scan.Secret(name, value)
	}
	all := o.issuer.Sessions()
	token, err := o.issuer.MakeLogoutToken(provider.LogoutToken{Client: "phone", SID: all[len(all)-1].SID})
	if err != nil {
		o.t.Fatal(err)
	}
	res, text := o.call("POST", "/mobile/backchannel-logout", url.Values{"logout_token": {token}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if res.StatusCode != 200 {
		o.t.Fatalf("a logout token: %d %s", res.StatusCode, text)
	}
	if n := o.now("bff_provider_logout_sessions_total", `channel="back",provider="main"`); n != 1 {
		o.t.Errorf("%v sessions ended by a logout token, want 1", n)
	}
}
