package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
)

func (w *world) userInfo(token string) page {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.URL("/userinfo"), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := browser(w.t).Do(req)
	return read(w.t, res, err)
}

func TestUserInfo(t *testing.T) {
	w := start(t)
	token := str(w.tokens(browser(t)), "access_token")
	if got := w.userInfo(token).json(t); got["sub"] != "usr_1001" || got["email"] != "ada@example.com" {
		t.Errorf("got %v", got)
	}
	w.Set(func(b *provider.Behaviour) { b.UserInfoClaims = map[string]any{"sub": "usr_evil"} })
	if got := w.userInfo(token).json(t); got["sub"] != "usr_evil" {
		t.Errorf("got %v", got)
	}
	w.Set(func(b *provider.Behaviour) { b.UserInfoForm, b.UserInfoClaims = provider.AsJWT, nil })
	pg := w.userInfo(token)
	if claims := part(t, pg.body, 1); pg.header.Get("Content-Type") != "application/jwt" || claims["aud"] != "webc_1" || w.verifies(pg.body) != nil {
		t.Errorf("got %v", claims)
	}
	w.Set(func(b *provider.Behaviour) { b.UserInfoForm = provider.AsHTML })
	if pg := w.userInfo(token); !strings.HasPrefix(pg.header.Get("Content-Type"), "text/html") {
		t.Errorf("got %v", pg.header)
	}
}

func TestUserInfoRefuses(t *testing.T) {
	w := start(t)
	b := browser(t)
	out := w.tokens(b)
	for name, token := range map[string]string{"a guess": "guess", "no": "", "an ID": str(out, "id_token"), "a refresh": str(out, "refresh_token")} {
		t.Run("a request with "+name+" token", func(t *testing.T) {
			if pg := w.userInfo(token); pg.status != 401 || !strings.Contains(pg.header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("got %d %v", pg.status, pg.header)
			}
		})
	}
	w.clock.Move(6 * time.Minute)
	if pg := w.userInfo(str(out, "access_token")); pg.status != 401 {
		t.Errorf("an expired token: %d", pg.status)
	}
}

func TestIntrospection(t *testing.T) {
	w := start(t)
	w.Register(provider.Client{ID: "pub"})
	out := w.tokens(browser(t))
	active := func(token string) bool {
		got := w.post("/oauth/introspect", url.Values{"token": {token}, "client_id": {"webc_1"}, "client_secret": {web().Secret}}).json(t)
		if got["active"] == true && got["sub"] != "usr_1001" || got["active"] != true && len(got) != 1 {
			t.Errorf("got %v", got)
		}
		return got["active"] == true
	}
	access, rt := str(out, "access_token"), str(out, "refresh_token")
	if !active(access) || !active(rt) || active("guess") {
		t.Error("wrong before the revocation")
	}
	w.post("/revoke", url.Values{"token": {access}, "client_id": {"webc_1"}, "client_secret": {web().Secret}})
	if active(access) || !active(rt) {
		t.Error("revoking the access token ended more or less than it")
	}
	w.RevokeSession(t.Context(), w.Sessions()[0].SID)
	if active(rt) {
		t.Error("a refresh token of an ended session is active")
	}
	wantError(t, w.post("/oauth/introspect", url.Values{"token": {rt}, "client_id": {"pub"}}), 401, "invalid_client")
}
