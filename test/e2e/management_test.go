//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// management stands before the provider's Management API and keeps what came: the recorder of that upstream.
type management struct {
	*httptest.Server
	mu  sync.Mutex
	to  *url.URL
	got []*http.Request
}

func newManagement(t *testing.T) *management {
	t.Helper()
	m := &management{}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		m.mu.Lock()
		defer m.mu.Unlock()
		r.SetURL(m.to)
	}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.got = append(m.got, r.Clone(t.Context()))
		m.mu.Unlock()
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

// requests returns those so far.
func (m *management) requests() []*http.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// managed is a world whose app may use the Management API, on two instances.
type managed struct {
	*world.World
	api *management
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	api := newManagement(t)
	w := world.New(t, world.DevProvider, world.Options{
		App:    "    client_scopes: [org:read]",
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Second },
		Routes: fmt.Sprintf(`
  - {path: /mgmt/me, upstream: "%[1]s/api/v1/users/{sub}", methods: [GET], token: client, apps: [web]}
  - {path: /mgmt/sessions, upstream: "%[1]s/api/v1/users/{sub}/sessions", methods: [GET], token: client, apps: [web], query: [page_size, page_token]}
  - {path: /mgmt/organization, upstream: "%[1]s/api/v1/organizations/{org}", methods: [GET], token: client, apps: [web]}
  - path: "/mgmt/members/{user}/roles"
    upstream: "%[1]s/api/v1/organizations/{org}/users/{path:user}/roles"
    methods: [GET, POST]
    token: client
    apps: [web]
    require: {claims: {roles: [admin]}}
  - path: "/mgmt/members/{user}/roles/{role}"
    upstream: "%[1]s/api/v1/organizations/{org}/users/{path:user}/roles/{path:role}"
    methods: [DELETE]
    token: client
    apps: [web]
    require: {claims: {roles: [admin]}}
`, api.URL),
	})
	at, err := url.Parse(w.Dev.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	api.to = at
	w.Dev.AddUser(provider.User{Sub: "usr_1003", Email: "eve@example.com", Name: "Eve", OrgID: "org_2001", Roles: []string{"member"}})
	w.Start(2)
	return &managed{w, api}
}

// signInAs signs a user in, in a browser of their own.
func (m *managed) signInAs(user string) *browser.Browser {
	m.T.Helper()
	b := m.Browser()
	p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
	if err != nil {
		m.T.Fatal(err)
	}
	form, err := p.Form("ada@example.com")
	if err != nil {
		m.T.Fatal(err)
	}
	if _, err := b.SubmitForm(p, form, url.Values{"user": {user}}); err != nil {
		m.T.Fatal(err)
	}
	return b
}

// wantCode fails unless an answer is a problem of this status and code.
func (m *managed) wantCode(p *browser.Page, status int, code string) {
	m.T.Helper()
	m.Want(p, status)
	var problem struct{ Code string }
	if err := json.Unmarshal(p.Body, &problem); err != nil || problem.Code != code {
		m.T.Errorf("%s: got %s, want %s", p.URL, p.Body, code)
	}
}

// What the three uses of a Management API are, end to end: who asks is the session's user, whatever the request says.
//
// shows SCALEKIT-M1, SCALEKIT-M2, SCALEKIT-M3, SCALEKIT-M5, SCALEKIT-M6
func TestManagementRoutes(t *testing.T) {
	m := newManaged(t)
	ada, eve := m.signInAs("usr_1001"), m.signInAs("usr_1003")
	me := m.Want(m.Fetch(ada, "GET", "/mgmt/me?id=usr_1003&sub=usr_1003", ""), 200)
	if !strings.Contains(string(me.Body), `"id":"usr_1001"`) || !strings.Contains(string(me.Body), `"organization_id":"org_2001"`) {
		t.Errorf("asked who one is: %s", me.Body)
	}
	if got := m.Want(m.Fetch(eve, "GET", "/mgmt/me", ""), 200); !strings.Contains(string(got.Body), `"id":"usr_1003"`) {
		t.Errorf("another user is %s", got.Body)
	}
	m.Want(m.Fetch(ada, "GET", "/mgmt/organization", ""), 200)
	m.Want(m.Fetch(ada, "GET", "/mgmt/sessions?page_size=1&user_id=usr_1003", ""), 200)

	m.Want(m.Fetch(ada, "POST", "/mgmt/members/usr_1003/roles", `{"role_name":"editor"}`), 200)
	if got := m.Want(m.Fetch(ada, "GET", "/mgmt/members/usr_1003/roles", ""), 200); !strings.Contains(string(got.Body), `"editor"`) {
		t.Errorf("a role that was given: %s", got.Body)
	}
	m.Want(m.Fetch(ada, "DELETE", "/mgmt/members/usr_1003/roles/editor", ""), 200)
	m.Want(m.Fetch(ada, "GET", "/mgmt/members/usr_1002/roles", ""), 404) // of another organization

	before := len(m.api.requests())
	m.wantCode(m.Fetch(eve, "POST", "/mgmt/members/usr_1003/roles", `{"role_name":"admin"}`), 403, "claim_required")
	m.wantCode(m.Fetch(ada, "GET", "/mgmt/members/usr_1003:disable/roles", ""), 400, "bad_request")
	m.wantCode(m.Fetch(m.Browser(), "GET", "/mgmt/me", ""), 401, "session_required")
	m.Want(m.Fetch(ada, "POST", "/bff/logout", ""), 200)
	m.wantCode(m.Fetch(ada, "GET", "/mgmt/me", ""), 401, "session_required")
	if n := len(m.api.requests()); n != before {
		t.Errorf("%d requests that were refused reached the API", n-before)
	}
	m.Want(m.Fetch(eve, "GET", "/api/orders", ""), 200)
	m.judge(m.ownTokens())
	m.Leaks()
}

// ownTokens are those that the provider gave the app itself: they were asked for with these parameters and no others.
func (m *managed) ownTokens() (own map[string]bool) {
	m.T.Helper()
	own = make(map[string]bool)
	for _, r := range m.api.requests() {
		own[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] = true
	}
	for _, r := range m.Dev.RequestsTo(provider.Token) {
		if r.Form.Get("grant_type") != "client_credentials" {
			continue
		}
		want := url.Values{"grant_type": {"client_credentials"}, "client_id": {"webc_1"}, "client_secret": {world.ClientSecret}, "scope": {"org:read"}}
		if r.Form.Encode() != want.Encode() {
			m.T.Errorf("the token was asked for with %v", r.Form)
		}
	}
	if n := m.Dev.GrantCount("client_credentials"); n != 1 || len(own) != 1 {
		m.T.Errorf("%d grants, and %d tokens were sent", n, len(own))
	}
	return own
}

// judge looks for each token where it does not belong: the app's own at another API, and a user's at the Management API.
func (m *managed) judge(own map[string]bool) {
	m.T.Helper()
	if len(m.API.Recorded()) == 0 {
		m.T.Error("the users' API was never asked")
	}
	for _, hit := range m.API.Recorded() {
		if own[strings.TrimPrefix(hit.Header.Get("Authorization"), "Bearer ")] {
			m.T.Errorf("%s %s got the app's own token", hit.Method, hit.Path)
		}
	}
	for _, r := range m.api.requests() {
		for _, s := range m.Dev.Issued() {
			text := fmt.Sprint(r.URL, r.Header)
			if strings.Contains(text, s.Value) && !own[s.Value] {
				m.T.Errorf("%s %s shows a %s", r.Method, r.URL, s.Kind)
			}
		}
		if r.URL.Query().Has("user_id") || r.URL.Query().Has("id") || r.Header.Get("Cookie") != "" {
			m.T.Errorf("the Management API got %s with %v", r.URL, r.Header["Cookie"])
		}
	}
}

// Two instances, a hundred requests each, and no token yet: the provider is asked once. When it no longer takes that token,
// once more. A session whose user's token has ended is not renewed for it.
//
// shows SCALEKIT-M5
func TestManagementTokenIsSharedAndRenewed(t *testing.T) {
	m := newManaged(t)
	b := m.signInAs("usr_1001")
	refreshes := m.Dev.GrantCount("refresh_token")
	for _, in := range m.All {
		m.At(in)
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() {
				if p := m.Fetch(b, "GET", "/mgmt/me", ""); p.Status != 200 {
					t.Errorf("%d %s", p.Status, p.Body)
				}
			})
		}
		calls.Wait()
	}
	if n := m.Dev.GrantCount("client_credentials"); n != 1 {
		t.Errorf("the provider gave %d tokens", n)
	}
	m.Dev.RevokeTokens("webc_1", "webc_1")
	for _, in := range m.All {
		m.At(in)
		m.Want(m.Fetch(b, "GET", "/mgmt/me", ""), 200)
	}
	if n := m.Dev.GrantCount("client_credentials"); n != 2 {
		t.Errorf("after the first was revoked the provider gave %d tokens", n)
	}
	time.Sleep(2 * time.Second) // a user's token lives for one here, by the clocks of three processes: there is nothing to ask
	m.Want(m.Fetch(b, "GET", "/mgmt/me", ""), 200)
	if n := m.Dev.GrantCount("refresh_token"); n != refreshes {
		t.Errorf("%d refreshes of the user's token", n-refreshes)
	}
	m.Leaks()
}

// The switch is off, in each of the two ways that a provider can say so: the operator's to mend, and not a user's 403.
//
// shows SCALEKIT-M4
func TestManagementIsNotAllowed(t *testing.T) {
	for with, change := range map[string]func(*provider.Client){
		"an API that refuses the app":      func(c *provider.Client) { c.DisallowManagement = true },
		"a provider that gives no token":   func(c *provider.Client) { c.Grants = []string{"authorization_code", "refresh_token"} },
		"a provider that gives no scope":   func(c *provider.Client) { c.Scopes = []string{"openid", "profile", "email", "offline_access"} },
		"a secret that is another by then": func(c *provider.Client) { c.Secret = "another-secret-with-some-length" },
	} {
		t.Run("a request with "+with, func(t *testing.T) {
			m := newManaged(t)
			b := m.signInAs("usr_1001")
			client := provider.Client{ID: "webc_1", Secret: world.ClientSecret}
			change(&client)
			m.Dev.Register(client)
			m.wantCode(m.Fetch(b, "GET", "/mgmt/me", ""), 502, "management_api_disabled")
			m.Want(m.Fetch(b, "GET", "/bff/session", ""), 200)
			m.Leaks()
		})
	}
}

// While the provider is down a good token goes on; without one it is an outage that says when to come back.
//
// shows SCALEKIT-M5
func TestManagementWhileTheProviderIsDown(t *testing.T) {
	m := newManaged(t)
	b := m.signInAs("usr_1001")
	down := m.Dev.Fault(provider.Token, provider.Fault{Times: provider.Always, Status: 503})
	p := m.Fetch(b, "GET", "/mgmt/me", "")
	m.wantCode(p, 503, "idp_unavailable")
	if p.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	down.Remove()
	deadline := time.Now().Add(10 * time.Second)
	for p.Status != 200 && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		p = m.Fetch(b, "GET", "/mgmt/me", "")
	}
	m.Want(p, 200)
	m.Dev.Fault(provider.Token, provider.Fault{Times: provider.Always, Status: 503})
	for _, in := range m.All {
		m.At(in)
		m.Want(m.Fetch(b, "GET", "/mgmt/me", ""), 200)
	}
}
