package provider_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
)

// receiver is a client's back-channel endpoint.
func receiver(t *testing.T) (string, <-chan string) {
	t.Helper()
	got := make(chan string, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.PostFormValue("logout_token")
		w.Header().Set("Cache-Control", "no-store")
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func (w *world) endSession(b *http.Client, method, path string, form url.Values) page {
	w.t.Helper()
	req, err := http.NewRequest(method, w.URL(path)+"?"+form.Encode(), nil)
	if method == http.MethodPost {
		req, err = http.NewRequest(method, w.URL(path), strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := b.Do(req)
	return read(w.t, res, err)
}

func logoutForm(idToken string, pairs ...string) url.Values {
	return with(url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {landing}, "state": {"bye"}}, pairs...)
}

func TestEndSession(t *testing.T) {
	for _, row := range []struct{ method, path string }{
		{"GET", "/oidc/logout"}, {"POST", "/oidc/logout"}, {"GET", "/end_session"}, {"POST", "/end_session"},
	} {
		t.Run("a sign-out by "+row.method+" "+row.path, func(t *testing.T) {
			w := start(t)
			address, got := receiver(t)
			client := web()
			client.BackchannelLogoutURI = address
			w.Register(client)
			b := browser(t)
			out := w.tokens(b)
			w.clock.Move(time.Hour) // the hint has expired by now
			pg := w.endSession(b, row.method, row.path, logoutForm(str(out, "id_token")))
			if !strings.HasPrefix(pg.header.Get("Location"), landing) || pg.location.Get("state") != "bye" {
				t.Fatalf("got %d to %q", pg.status, pg.header.Get("Location"))
			}
			sid := part(t, str(out, "id_token"), 1)["sid"]
			select { // told before the redirect
			case token := <-got:
				if claims := part(t, token, 1); claims["sid"] != sid || claims["sub"] != "usr_1001" {
					t.Errorf("logout token %v", claims)
				}
			default:
				t.Error("the client was not told before the redirect")
			}
			wantError(t, w.refresh(str(out, "refresh_token")), 400, "invalid_grant")
			if got := w.authorize(b, "prompt", "none").location.Get("error"); got != "login_required" {
				t.Errorf("after sign-out: %q", got)
			}
		})
	}
}

func TestHintAloneDoesNotEndTheSession(t *testing.T) {
	w := start(t)
	b := browser(t)
	out := w.tokens(b)
	pg := w.endSession(browser(t), "GET", "/oidc/logout", logoutForm(str(out, "id_token")))
	if !strings.HasPrefix(pg.header.Get("Location"), landing) {
		t.Errorf("got %d to %q", pg.status, pg.header.Get("Location"))
	}
	if pg := w.refresh(str(out, "refresh_token")); pg.status != 200 {
		t.Errorf("the session has ended: %d %s", pg.status, pg.body)
	}
	w.Set(func(b *provider.Behaviour) { b.HintAloneSignsOut = true })
	w.endSession(browser(t), "GET", "/oidc/logout", logoutForm(str(out, "id_token")))
	if !w.Sessions()[0].Ended {
		t.Error("the switch has no effect")
	}
}

func TestHintOfAnotherUserEndsNothing(t *testing.T) {
	w := start(t)
	b := browser(t)
	w.tokens(b)
	other := w.tokens(browser(t), "login_hint", "usr_1002")
	w.endSession(b, "GET", "/oidc/logout", logoutForm(str(other, "id_token")))
	for _, s := range w.Sessions() {
		if s.Ended {
			t.Errorf("session of %s has ended", s.Sub)
		}
	}
}

func TestEndSessionRefuses(t *testing.T) {
	w := start(t)
	b := browser(t)
	out := w.tokens(b)
	token := str(out, "id_token")
	foreign := str(start(t, ownKey).tokens(browser(t)), "id_token")
	sameKey := str(start(t).tokens(browser(t)), "id_token")
	other := web()
	other.ID = "webc_2"
	w.Register(other)
	for name, form := range map[string]url.Values{
		"an unregistered target":          logoutForm(token, "post_logout_redirect_uri", "http://evil.example/"),
		"a target with a query":           logoutForm(token, "post_logout_redirect_uri", landing+"?x=1"),
		"a hint that is no token":         logoutForm("x.y.z"),
		"a hint tampered with":            logoutForm(token[:len(token)-8] + "AAAAAAAA"),
		"another provider's hint":         logoutForm(foreign),
		"another issuer's hint, same key": logoutForm(sameKey),
		"a client that is not azp":        logoutForm(token, "client_id", "webc_2"),
		"an unknown client, target":       with(url.Values{"client_id": {"webc_x"}}, "post_logout_redirect_uri", landing),
	} {
		t.Run("a sign-out with "+name, func(t *testing.T) {
			pg := w.endSession(b, "GET", "/oidc/logout", form)
			if pg.status != 400 || pg.header.Get("Location") != "" || w.Sessions()[0].Ended {
				t.Errorf("got %d to %q, ended %v", pg.status, pg.header.Get("Location"), w.Sessions()[0].Ended)
			}
		})
	}
}

func TestCrossSitePostIsResumedAsNavigation(t *testing.T) {
	w := start(t)
	b := browser(t)
	out := w.tokens(b)
	// A browser withholds a Lax cookie from a form posted by another site: so the form comes from a jar without it.
	req, err := http.NewRequest(http.MethodPost, w.URL("/oidc/logout"), strings.NewReader(logoutForm(str(out, "id_token")).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	res, err := browser(t).Do(req)
	pg := read(t, res, err)
	if pg.status != http.StatusSeeOther || strings.Contains(pg.header.Get("Location"), "hint") {
		t.Fatalf("got %d to %q", pg.status, pg.header.Get("Location"))
	}
	res, err = b.Get(pg.header.Get("Location"))
	if final := read(t, res, err); !strings.HasPrefix(final.header.Get("Location"), landing) || !w.Sessions()[0].Ended {
		t.Errorf("got %d to %q", final.status, final.header.Get("Location"))
	}
}

func TestOfflineTokensMaySurviveSignOut(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.OfflineSurvives = true })
	b := browser(t)
	out := w.tokens(b)
	w.endSession(b, "GET", "/oidc/logout", logoutForm(str(out, "id_token")))
	if pg := w.refresh(str(out, "refresh_token")); pg.status != 200 {
		t.Errorf("got %d %s", pg.status, pg.body)
	}
}

func TestRevokeSessionTellsEveryClientInIt(t *testing.T) {
	w := start(t)
	var channels []<-chan string
	b := browser(t)
	var sid string
	for _, id := range []string{"webc_1", "webc_2"} {
		address, got := receiver(t)
		channels = append(channels, got)
		c := web()
		c.ID, c.BackchannelLogoutURI = id, address
		w.Register(c)
		code := w.authorize(b, "client_id", id).location.Get("code")
		sid = str(part(t, str(w.exchange(code, "client_id", id).json(t), "access_token"), 1), "sid")
	}
	deliveries := w.RevokeSession(t.Context(), sid)
	if len(deliveries) != 2 {
		t.Fatalf("%d deliveries", len(deliveries))
	}
	for i, d := range deliveries {
		token := <-channels[i]
		header, claims := part(t, token, 0), part(t, token, 1)
		want := map[string]any{
			"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			"aud":    []any{d.Client}, "sid": sid, "iss": w.Issuer(), "sub": "usr_1001",
		}
		got := map[string]any{}
		for name := range want {
			got[name] = claims[name]
		}
		if diff := cmp.Diff(want, got); diff != "" || header["typ"] != "logout+jwt" || claims["nonce"] != nil || claims["jti"] == nil {
			t.Errorf("header %v, claims %v: %s", header, claims, diff)
		}
		if err := w.verifies(token); err != nil || d.Status != 200 || d.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("delivery %+v: %v", d, err)
		}
	}
	if again := w.RevokeSession(t.Context(), sid); len(again) != 0 {
		t.Errorf("an ended session told %d clients", len(again))
	}
}

func TestNamesBelowLocalhostAreReached(t *testing.T) {
	w := start(t)
	address, got := receiver(t)
	address = strings.Replace(address, "127.0.0.1", "docs.localhost", 1)
	if d, err := w.PostLogoutToken(t.Context(), address, "x"); err != nil || d.Status != 200 || <-got != "x" {
		t.Errorf("got %+v: %v", d, err)
	}
}

func TestSkippedBackchannelTellsNobody(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.SkipBackchannel = true })
	address, got := receiver(t)
	c := web()
	c.BackchannelLogoutURI = address
	w.Register(c)
	out := w.tokens(browser(t))
	w.RevokeSession(t.Context(), w.Sessions()[0].SID)
	if len(got) != 0 {
		t.Error("told")
	}
	wantError(t, w.refresh(str(out, "refresh_token")), 400, "invalid_grant")
}

func TestLogoutTokensOnPurpose(t *testing.T) {
	w := start(t)
	address, got := receiver(t)
	c := web()
	c.BackchannelLogoutURI = address
	w.Register(c)
	d, err := w.SendLogoutToken(t.Context(), provider.LogoutToken{
		Client: "webc_1", SID: "ses_1", Signing: provider.Signing{Mode: provider.SignNone},
		Edit: func(header, claims map[string]any) {
			header["typ"] = "at+jwt"
			claims["nonce"] = nil
			delete(claims, "exp")
		},
	})
	if err != nil || d.Status != 200 {
		t.Fatalf("delivery %+v: %v", d, err)
	}
	token := <-got
	header, claims := part(t, token, 0), part(t, token, 1)
	_, nonce := claims["nonce"]
	if header["typ"] != "at+jwt" || header["alg"] != "none" || !nonce || claims["exp"] != nil || claims["sub"] != nil {
		t.Errorf("header %v, claims %v", header, claims)
	}
	if replay, err := w.PostLogoutToken(t.Context(), address, token); err != nil || replay.Status != 200 || <-got != token {
		t.Errorf("replay: %+v, %v", replay, err)
	}
	if _, err := w.SendLogoutToken(t.Context(), provider.LogoutToken{Client: "webc_x"}); !errors.Is(err, provider.ErrNoBackchannel) {
		t.Errorf("an unknown client: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.PostLogoutToken(cancelled, address, token); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled post: %v", err)
	}
}

func TestRevocationReach(t *testing.T) {
	for name, row := range map[string]struct {
		reach provider.Reach
		lives [3]bool // another family of the client, another client of the session, another browser
		sso   bool
	}{
		"its family":  {provider.ReachFamily, [3]bool{true, true, true}, true},
		"the grant":   {provider.ReachGrant, [3]bool{false, true, false}, true},
		"the session": {provider.ReachSession, [3]bool{false, false, true}, false},
	} {
		t.Run("a revocation that takes "+name, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { c.Behaviour.Revocation = row.reach })
			other := web()
			other.ID = "webc_2"
			w.Register(other)
			b := browser(t)
			victim := str(w.tokens(b), "refresh_token")
			family := str(w.tokens(b), "refresh_token")
			code := w.authorize(b, "client_id", "webc_2").location.Get("code")
			client := str(w.exchange(code, "client_id", "webc_2").json(t), "refresh_token")
			elsewhere := str(w.tokens(browser(t)), "refresh_token")
			pg := w.post("/revoke", url.Values{"token": {victim}, "client_id": {"webc_1"}, "client_secret": {web().Secret}})
			if pg.status != 200 {
				t.Fatalf("revoke: %d %s", pg.status, pg.body)
			}
			wantError(t, w.refresh(victim), 400, "invalid_grant")
			got := [3]bool{
				w.refresh(family).status == 200, w.refresh(client, "client_id", "webc_2").status == 200,
				w.refresh(elsewhere).status == 200,
			}
			if got != row.lives {
				t.Errorf("what lives is %v, want %v", got, row.lives)
			}
			if sso := w.authorize(b, "prompt", "none").location.Has("code"); sso != row.sso {
				t.Errorf("browser session lives: %v, want %v", sso, row.sso)
			}
		})
	}
}

func TestRevocationRefuses(t *testing.T) {
	w := start(t)
	w.Register(provider.Client{ID: "webc_2", Secret: "other"})
	rt := str(w.tokens(browser(t)), "refresh_token")
	if pg := w.post("/revoke", url.Values{"token": {rt}, "client_id": {"webc_2"}, "client_secret": {"other"}}); pg.status != 200 {
		t.Errorf("another client: %d", pg.status)
	}
	wantError(t, w.post("/revoke", url.Values{"token": {rt}, "client_id": {"webc_1"}, "client_secret": {"guess"}}), 401, "invalid_client")
	if pg := w.refresh(rt); pg.status != 200 {
		t.Errorf("the token was revoked by a stranger: %d", pg.status)
	}
}

func TestRevokeTokensTellsNobody(t *testing.T) {
	w := start(t)
	b := browser(t)
	rt := str(w.tokens(b), "refresh_token")
	w.RevokeTokens("usr_1001", "")
	wantError(t, w.refresh(rt), 400, "invalid_grant")
	if !w.authorize(b, "prompt", "none").location.Has("code") {
		t.Error("the browser session has ended with the tokens")
	}
}
