//go:build integration

package nginx_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// authorize opens the system browser as the phone does, and returns what comes back to it.
func (b *beside) authorize(t *testing.T) (verifier string, back *url.URL) {
	t.Helper()
	verifier = oauth2.GenerateVerifier()
	ask := url.Values{
		"client_id": {"phone"}, "redirect_uri": {phoneURI}, "response_type": {"code"}, "state": {"a-state-of-the-phone"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
	system := b.Browser()
	system.HoldAt(func(u *url.URL) bool { return u.Host == "app.example.com" })
	page, err := system.Navigate(gatewayURL + "/mobile/authorize?" + ask.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if page = b.OP.SignIn(t, system, page); !page.Unsent {
		t.Fatalf("not back at the app: %d %s %s", page.Status, page.URL, page.Text())
	}
	if back, err = url.Parse(page.URL); err != nil {
		t.Fatal(err)
	}
	return verifier, back
}

// tokenRequest trades the code through nginx.
func (b *beside) tokenRequest(code, verifier string) (*http.Response, error) {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "client_id": {"phone"}, "redirect_uri": {phoneURI},
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+b.nginx.Addr+"/mobile/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Host = "gw.localhost"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return http.DefaultClient.Do(r)
}
