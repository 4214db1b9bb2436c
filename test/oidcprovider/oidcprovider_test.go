//go:build integration

package oidcprovider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/oidcprovider"
)

const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-section-4.1"

// relyingParty is as little of one as drives the provider: a client, its browser, and where logout tokens arrive.
type relyingParty struct {
	t       *testing.T
	op      *oidcprovider.Provider
	browser *browser.Browser
	logouts chan string
	back    string // its own origin
}

func newRelyingParty(t *testing.T, change func(*oidcprovider.Config)) *relyingParty {
	rp := &relyingParty{t: t, browser: browser.New(browser.Options{}), logouts: make(chan string, 1)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.PostFormValue("logout_token"); token != "" {
			rp.logouts <- token
		}
	}))
	t.Cleanup(s.Close)
	rp.back = s.URL
	config := oidcprovider.Config{
		Clients: []oidcprovider.Client{{
			ID: "web", Secret: "a-secret-of-the-client", RedirectURIs: []string{s.URL + "/callback"},
			PostLogoutRedirectURIs: []string{s.URL + "/bye"}, BackchannelLogoutURI: s.URL + "/backchannel",
		}},
		Accounts: []oidcprovider.Account{{ID: "ada", Claims: map[string]any{"email": "ada@example.test"}}},
		API:      "https://api.example.test", AccessTokenSeconds: 2,
	}
	change(&config)
	rp.op = oidcprovider.Start(t, config)
	t.Cleanup(rp.browser.Close)
	return rp
}

func (rp *relyingParty) page(p *browser.Page, err error) *browser.Page {
	rp.t.Helper()
	if err != nil {
		rp.t.Fatal(err)
	}
	return p
}

func (rp *relyingParty) submit(p *browser.Page, form string, values url.Values) *browser.Page {
	rp.t.Helper()
	f, err := p.Form(form)
	if err != nil {
		rp.t.Fatalf("%v in:\n%s", err, p.Body)
	}
	return rp.page(rp.browser.SubmitForm(p, f, values))
}

func (rp *relyingParty) authorize() string {
	challenge := sha256.Sum256([]byte(verifier))
	return rp.op.Issuer + "/auth?" + url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "redirect_uri": {rp.back + "/callback"}, "prompt": {"consent"},
		"scope": {"openid email offline_access api:read"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// token posts to the token endpoint and returns the answer's fields.
func (rp *relyingParty) token(form url.Values) map[string]any {
	rp.t.Helper()
	req, err := http.NewRequestWithContext(rp.t.Context(), http.MethodPost, rp.op.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		rp.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("web", "a-secret-of-the-client")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		rp.t.Fatalf("token answer %d %s", resp.StatusCode, body)
	}
	return fields
}

func (rp *relyingParty) redeem(p *browser.Page) map[string]any {
	rp.t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("iss") != rp.op.Issuer {
		rp.t.Fatalf("no code at %s: %s", p.URL, p.Text())
	}
	return rp.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")},
		"redirect_uri": {rp.back + "/callback"}, "code_verifier": {verifier},
	})
}

func claims(t *testing.T, token any) map[string]any {
	t.Helper()
	text, _ := token.(string)
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %v", token)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestWholeJourney(t *testing.T) {
	rp := newRelyingParty(t, func(*oidcprovider.Config) {})
	login := rp.page(rp.browser.Navigate(rp.authorize()))
	if wrong := rp.submit(login, "Sign in", url.Values{"login": {"nobody"}}); wrong.Status != http.StatusUnauthorized {
		t.Errorf("an unknown account was answered %d", wrong.Status)
	}
	consent := rp.submit(login, "Sign in", url.Values{"login": {"ada"}})
	tokens := rp.redeem(rp.submit(consent, "Allow", nil))

	access, id := claims(t, tokens["access_token"]), claims(t, tokens["id_token"])
	if access["aud"] != "https://api.example.test" || access["exp"].(float64)-access["iat"].(float64) != 2 || access["scope"] != "api:read" {
		t.Errorf("access token claims %v", access)
	}
	if id["email"] != "ada@example.test" || id["sub"] != "ada" || id["sid"] == nil {
		t.Errorf("ID token claims %v", id)
	}
	spent := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}
	next := rp.token(spent)
	if next["refresh_token"] == tokens["refresh_token"] || claims(t, next["access_token"])["aud"] != access["aud"] {
		t.Errorf("the refresh gave %v", next)
	}
	if again := rp.token(spent); again["error"] != "invalid_grant" {
		t.Errorf("a spent refresh token gave %v", again)
	}
	rp.signOut(tokens["id_token"].(string), id["sid"])
	rp.accountFor(tokens, next)
}

// signOut goes through RP-initiated logout; the back-channel token arrives before the browser does.
func (rp *relyingParty) signOut(hint string, sid any) {
	t := rp.t
	t.Helper()
	ask := rp.page(rp.browser.Navigate(rp.op.Issuer + "/session/end?" + url.Values{
		"id_token_hint": {hint}, "post_logout_redirect_uri": {rp.back + "/bye"}, "state": {"x"},
	}.Encode()))
	if bye := rp.submit(ask, "Sign me out", url.Values{"logout": {"yes"}}); bye.URL != rp.back+"/bye?state=x" {
		t.Errorf("the logout led to %s", bye.URL)
	}
	if got := claims(t, <-rp.logouts); got["sid"] != sid {
		t.Errorf("the logout token names sid %v, want %v", got["sid"], sid)
	}
}

// accountFor checks the issue log against what was received.
func (rp *relyingParty) accountFor(answers ...map[string]any) {
	rp.t.Helper()
	rp.op.Stop()
	issued := rp.op.Issued()
	for _, answer := range answers {
		for _, kind := range []string{"access_token", "refresh_token", "id_token"} {
			if !slices.Contains(issued, oidcprovider.Token{Kind: kind, Client: "web", Value: answer[kind].(string)}) {
				rp.t.Errorf("an %s is missing in the issue log", kind)
			}
		}
	}
	for _, kind := range []string{"code", "logout_token"} {
		if !slices.ContainsFunc(issued, func(token oidcprovider.Token) bool { return token.Kind == kind && token.Value != "" }) {
			rp.t.Errorf("no %s in the issue log", kind)
		}
	}
	want := []oidcprovider.Grant{{Type: "authorization_code", Client: "web"}, {Type: "refresh_token", Client: "web"}, {Type: "refresh_token", Client: "web", Error: "invalid_grant"}}
	if got := rp.op.Grants(); !slices.Equal(got, want) {
		rp.t.Errorf("grants %v, want %v", got, want)
	}
	if got := rp.op.Logouts(); !slices.Equal(got, []oidcprovider.Grant{{Client: "web"}}) {
		rp.t.Errorf("logouts %v", got)
	}
	if got := rp.op.Errors(); len(got) != 0 {
		rp.t.Errorf("provider errors %v", got)
	}
}

func TestConsentByItself(t *testing.T) {
	rp := newRelyingParty(t, func(c *oidcprovider.Config) { c.Consent, c.API, c.Logout = "auto", "", "auto" })
	target := strings.Replace(rp.authorize(), "prompt=consent", "prompt=login", 1)
	landed := rp.submit(rp.page(rp.browser.Navigate(target)), "Sign in", url.Values{"login": {"ada"}})
	tokens := rp.redeem(landed)
	if access, _ := tokens["access_token"].(string); access == "" || strings.Contains(access, ".") {
		t.Errorf("without an API the access token is %q, want an opaque one", access)
	}
	silent := strings.Replace(rp.authorize(), "prompt=consent", "prompt=none", 1)
	if id := claims(t, rp.redeem(rp.page(rp.browser.Navigate(silent)))["id_token"]); id["sub"] != "ada" {
		t.Errorf("the silent sign-in gave %v", id)
	}
	ask := rp.page(rp.browser.Navigate(rp.op.Issuer + "/session/end"))
	if done := rp.submit(ask, "Continue", nil); !strings.Contains(done.Text(), "Signed out") {
		t.Errorf("the automatic logout ended at %s: %s", done.URL, done.Text())
	}
}

func TestWhatTheProviderRefuses(t *testing.T) {
	rp := newRelyingParty(t, func(*oidcprovider.Config) {})
	denied := rp.submit(rp.page(rp.browser.Navigate(rp.authorize())), "Cancel", nil)
	if !strings.Contains(denied.URL, "error=access_denied") {
		t.Errorf("a cancelled login led to %s", denied.URL)
	}
	u, _ := url.Parse(rp.authorize())
	q := u.Query()
	q.Del("code_challenge")
	u.RawQuery = q.Encode()
	if p := rp.page(rp.browser.Navigate(u.String())); !strings.Contains(p.URL, "error=invalid_request") {
		t.Errorf("a request without PKCE led to %s", p.URL)
	}
}
