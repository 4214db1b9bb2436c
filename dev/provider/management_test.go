package provider_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloakroom/dev/provider"
)

// grantOwn gets a client's own token.
func grantOwn(t *testing.T, p *provider.Provider, id, secret string) string {
	t.Helper()
	res, err := http.PostForm(p.URL("/oauth/token"), url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var got struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Access == "" {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	return got.Access
}

func TestManagementAPI(t *testing.T) {
	p, err := provider.New(provider.Config{Clients: []provider.Client{
		{ID: "webc_1", Secret: "s-1"}, {ID: "webc_2", Secret: "s-2", DisallowManagement: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	own, refused := grantOwn(t, p, "webc_1", "s-1"), grantOwn(t, p, "webc_2", "s-2")
	roles := "/api/v1/organizations/org_2001/users/usr_1001/roles"
	for _, c := range []struct {
		with, method, path, token, body string
		status                          int
		want                            string
	}{
		{"no token", "GET", "/api/v1/users/usr_1001", "", "", 401, `"code":16`},
		{"a token that is none", "GET", "/api/v1/users/usr_1001", "x", "", 401, `"code":16`},
		{"an app that may not", "GET", "/api/v1/users/usr_1001", refused, "", 403, `"code":7`},
		{"a user", "GET", "/api/v1/users/usr_1001", own, "", 200, `"organization_id":"org_2001"`},
		{"no such user", "GET", "/api/v1/users/usr_9", own, "", 404, `"code":5`},
		{"an address for an id", "GET", "/api/v1/users/ada@example.com", own, "", 404, `"code":5`},
		{"a user's sessions", "GET", "/api/v1/users/usr_1001/sessions?page_size=1", own, "", 200, `"total_size":0`},
		{"a page of no size", "GET", "/api/v1/users/usr_1001/sessions?page_size=0", own, "", 400, `"code":3`},
		{"an organization", "GET", "/api/v1/organizations/org_2001", own, "", 200, `"id":"org_2001"`},
		{"no such organization", "GET", "/api/v1/organizations/org_9", own, "", 404, `"code":5`},
		{"roles", "GET", roles, own, "", 200, `"name":"admin"`},
		{"roles in another organization", "GET", strings.Replace(roles, "org_2001", "org_2002", 1), own, "", 404, `"code":5`},
		{"a role to give", "POST", roles, own, `{"role_name":"editor"}`, 200, `"name":"editor"`},
		{"no role to give", "POST", roles, own, `{}`, 400, `"code":3`},
		{"a role to take", "DELETE", roles + "/editor", own, "", 200, `"name":"admin"`},
		{"a role that is not there", "DELETE", roles + "/editor", own, "", 404, `"code":5`},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			req, err := http.NewRequest(c.method, p.URL(c.path), strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				req.Header.Set("Authorization", "Bearer "+c.token)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
				t.Errorf("got %d %s, %v; want %d with %s", res.StatusCode, body, err, c.status, c.want)
			}
		})
	}
	if n := p.Count(provider.Management); n != 16 {
		t.Errorf("%d requests are told of", n)
	}
}
