package provider_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
)

// asClient asks for a client's own token.
func asClient(t *testing.T, p *provider.Provider, id, secret string) string {
	t.Helper()
	res, err := http.PostForm(p.URL("/oauth/token"), url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	return answer.Token
}

// manage asks the Management API, and returns status and code or session status of the answer.
func manage(t *testing.T, p *provider.Provider, method, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, p.URL(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status  string
		Message string
	}
	_ = json.Unmarshal(body, &answer)
	return res.StatusCode, answer.Status + answer.Message
}

func TestTheSessionAPI(t *testing.T) {
	back, told := receiver(t)
	p := managed(t, back)
	open := asClient(t, p, "webc_m", "secret-of-m")
	shut := asClient(t, p, "webc_n", "secret-of-n")
	sid := p.Sessions()[0].SID
	at := "/api/v1/sessions/" + sid
	for _, row := range []struct {
		with, method, path, token string // a request with …
		status                    int
		says                      string
	}{
		{"no token", "GET", at, "", 401, "Token empty"},
		{"a token of nobody's", "GET", at, "x", 401, "Token invalid"},
		{"the token of a client that may not", "POST", at + "/revoke", shut, 403, "API access is not allowed for this application"},
		{"a session that is not there", "POST", "/api/v1/sessions/ses_0/revoke", open, 404, "session not found"},
		{"a good token", "GET", at, open, 200, "active"},
		{"a good token, to end it", "POST", at + "/revoke", open, 200, "revoked"},
		{"a good token, to end it again", "POST", at + "/revoke", open, 200, "revoked"},
		{"a good token, afterwards", "GET", at, open, 200, "revoked"},
	} {
		status, says := manage(t, p, row.method, row.path, row.token)
		if status != row.status || says != row.says {
			t.Errorf("%s: %d %q, want %d %q", row.with, status, says, row.status, row.says)
		}
	}
	if len(told) != 1 || !p.Sessions()[0].Ended {
		t.Errorf("%d logout tokens, session over: %v", len(told), p.Sessions()[0].Ended)
	}
}

// managed is a provider with a session of a client that is told of its end, and one that may not manage.
func managed(t *testing.T, back string) *provider.Provider {
	t.Helper()
	p, err := provider.New(provider.Config{Clients: []provider.Client{
		{ID: "webc_m", Secret: "secret-of-m", RedirectURIs: []string{"http://127.0.0.1:1/cb"}, BackchannelLogoutURI: back, InitiateLoginURI: "http://127.0.0.1:1/in?x=1"},
		{ID: "webc_n", Secret: "secret-of-n", DisallowManagement: true},
	}, Behaviour: provider.Behaviour{IgnorePKCE: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(p.URL("/oauth/authorize?") + url.Values{
		"response_type": {"code"}, "client_id": {"webc_m"}, "redirect_uri": {"http://127.0.0.1:1/cb"}, "scope": {"openid"}, "login_hint": {"usr_1001"},
	}.Encode())
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close()
	return p
}

func TestLinksOfSignInsThatBeginHere(t *testing.T) {
	p := managed(t, "")
	link, err := p.InitiateLink("webc_m", provider.Initiation{Organization: "org_1", Connection: "conn_1", RelayState: "/x"})
	if err != nil || !strings.HasPrefix(link, "http://127.0.0.1:1/in?x=1&idp_initiated_login=") {
		t.Fatalf("%s, %v", link, err)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	claims := part(t, u.Query().Get("idp_initiated_login"), 1)
	if exp, iat := claims["exp"].(float64), claims["iat"].(float64); exp-iat != 300 {
		t.Errorf("lives %v s", exp-iat)
	}
	for _, moment := range []string{"exp", "iat", "nbf"} {
		delete(claims, moment)
	}
	want := map[string]any{"iss": p.Issuer(), "organization_id": "org_1", "connection_id": "conn_1", "relay_state": "/x"}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := p.InitiateLink("webc_n", provider.Initiation{}); err == nil {
		t.Error("a link to a client without an address")
	}
}
