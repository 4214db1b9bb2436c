//go:build integration

// Package native_test holds the journeys and attacks of native apps through the whole: real gateways on a real Redis, the
// certified npm provider, the example app as a process of its own, and a client that treats cookies as the system browser.
package native_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/oidcprovider"
	"cloakroom/test/world"
)

const (
	loopback = "http://127.0.0.1:9/callback" // RFC 863's port: nobody listens, and no request is sent
	private  = "com.example.other:/signed-in"
	claimed  = "https://app.example.com/signed-in"
	goodbye  = "com.example.other:/signed-out"

	// pastGrace is a moment longer than the grace of the app cli (4s), which is long enough for what a test does within it.
	pastGrace = 4300 * time.Millisecond

	cliSecret   = "the-cli-client-secret-at-the-provider"
	otherSecret = "the-other-client-secret-at-the-provider"
)

// nativeWorld is a world with native apps, over two instances behind one front.
type nativeWorld struct {
	*world.World
	op      *oidcprovider.Provider
	front   *front
	clients map[*gateway.Instance]*http.Client
	people  int
	bound   []boundApp // apps besides, each its own client at the provider
}

// newWorld starts it all. The app cli has a loopback redirect, other has one of each further kind; bound are
// further apps.
func newWorld(t *testing.T, bound ...boundApp) *nativeWorld {
	t.Helper()
	n := &nativeWorld{clients: map[*gateway.Instance]*http.Client{}, bound: bound}
	n.World = world.New(t, n.makeOP, world.Options{Apps: fmt.Sprintf(`
  cli:
    kind: desktop
    provider: main
    client_id: nativec_1
    client_secret: %s
    claims: [sub, name, email]
    redirect_uris: ["http://127.0.0.1/callback"]
    handle: {grace: 4s}
  other:
    kind: mobile
    provider: main
    client_id: nativec_2
    client_secret: %s
    redirect_uris: [%q, %q, "http://127.0.0.1/callback"]
    post_logout: %s
`, cliSecret, otherSecret, private, claimed, goodbye) + boundYAML(bound), Routes: fmt.Sprintf(`
  - {path: /others/, upstream: "%[1]s/api", strip_prefix: true, methods: [GET], token: user, apps: [other]}
  - {path: /fresh/, upstream: %[1]q, methods: [GET], require: {max_age: 3s}}
`, "http://127.0.0.1:9")})
	n.Scan.Secret("client_secret", cliSecret)
	n.Scan.Secret("client_secret", otherSecret)
	for _, a := range bound {
		n.Scan.Secret("client_secret", a.secret())
	}
	n.front.to = n.Start(2, "CLOAKROOM_PUBLIC__URL="+n.front.URL)
	for _, in := range n.All {
		n.clients[in] = in.Client()
	}
	n.front.allow()
	return n
}

// makeOP starts the provider, which has to know the gateway's address before there is a gateway.
func (n *nativeWorld) makeOP(t *testing.T, w *world.World, _ world.Options) {
	n.front = newFront(t, w.Scan)
	client := func(id, secret, base, suffix string) oidcprovider.Client {
		return oidcprovider.Client{
			ID: id, Secret: secret,
			RedirectURIs: []string{base + "/callback" + suffix}, PostLogoutRedirectURIs: []string{base + "/logged-out"},
		}
	}
	clients := []oidcprovider.Client{
		client("webc_1", world.ClientSecret, world.Origin+"/bff", ""),
		client("nativec_1", cliSecret, n.front.URL+"/mobile", "/cli"),
		client("nativec_2", otherSecret, n.front.URL+"/mobile", "/other"),
	}
	for _, a := range n.bound {
		clients = append(clients, client("boundc_"+a.name, a.secret(), n.front.URL+"/mobile", "/"+a.name))
	}
	var people []oidcprovider.Account
	for i := range 100 { // a person for every test, so that no sign-out reaches another one's
		people = append(people, oidcprovider.Account{ID: person(i), Claims: map[string]any{"name": "Ada " + fmt.Sprint(i), "email": person(i) + "@example.com"}})
	}
	n.op = oidcprovider.Start(t, oidcprovider.Config{
		API: "https://api.example.com", APIScopes: []string{"api:read"}, AccessTokenSeconds: 60, Accounts: people, Clients: clients,
		DPoP: "nonces", // of whoever sends a proof
	})
	w.OP = &world.OP{
		Name: "oidc-provider", Issuer: n.op.Issuer, JWKS: n.op.Issuer + "/jwks",
		YAML: fmt.Sprintf("{preset: oidc-provider, issuer: %q}", n.op.Issuer),
		SignIn: func(t *testing.T, b *browser.Browser, p *browser.Page) *browser.Page {
			return n.atProvider(t, b, p, n.someone())
		},
		Secrets: func() (all []provider.Secret) {
			for _, s := range n.op.Issued() {
				all = append(all, provider.Secret{Kind: provider.Kind(s.Kind), Client: s.Client, Value: s.Value})
			}
			return all
		},
		Grants: func(string) int { return len(n.op.Grants()) },
	}
}

// with is the form with some fields replaced.
func with(form url.Values, pairs ...string) url.Values {
	changed := url.Values{}
	for name, values := range form {
		changed[name] = values
	}
	for i := 0; i < len(pairs); i += 2 {
		changed.Set(pairs[i], pairs[i+1])
	}
	return changed
}

// tokens is an answer of the token endpoint.
type tokens struct {
	Status  int
	Access  string         `json:"access_token"`
	Refresh string         `json:"refresh_token"`
	Type    string         `json:"token_type"`
	Expires int            `json:"expires_in"`
	Session map[string]any `json:"session"`
	User    map[string]any `json:"user"`
	Error   string         `json:"error"`
	Logout  string         `json:"logout_url"`
	Header  http.Header    `json:"-"`
}

// token asks the token endpoint of one instance.
func (n *nativeWorld) token(t *testing.T, in *gateway.Instance, form url.Values) tokens {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, n.front.URL+"/mobile/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return n.read(t, in, req)
}

// redeem trades a grant that must be good.
func (n *nativeWorld) redeem(t *testing.T, g grant) tokens {
	t.Helper()
	return n.good(t, n.token(t, n.All[0], g.form()))
}

func refreshing(app, handle string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {app}, "refresh_token": {handle}}
}

// good checks a token answer that must be good.
func (n *nativeWorld) good(t *testing.T, got tokens) tokens {
	t.Helper()
	if got.Status != http.StatusOK || !strings.HasPrefix(got.Access, "clk_") || !strings.HasPrefix(got.Refresh, "clr_") ||
		got.Type != "Bearer" || got.Expires <= 0 || got.User["sub"] == nil || got.Session["id"] == nil {
		t.Fatalf("token answer: %d %+v", got.Status, got)
	}
	if c := got.Header.Get("Cache-Control"); !strings.Contains(c, "no-store") {
		t.Errorf("a token answer may be kept: %q", c)
	}
	return got
}

// refused checks an answer of the token endpoint that must give nothing.
func refused(t *testing.T, got tokens, want string) {
	t.Helper()
	if got.Status != http.StatusBadRequest || got.Error != want || got.Access+got.Refresh != "" {
		t.Errorf("%d %+v, want 400 %s", got.Status, got, want)
	}
}

func (n *nativeWorld) read(t *testing.T, in *gateway.Instance, req *http.Request) tokens {
	t.Helper()
	resp, body := n.do(t, in, req)
	got := tokens{}
	_ = json.Unmarshal(body, &got) // a page or a problem leaves it empty, and the status tells
	got.Status, got.Header = resp.StatusCode, resp.Header
	return got
}

// do sends a request to one instance and shows the answer to the scanner.
func (n *nativeWorld) do(t *testing.T, in *gateway.Instance, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := n.clients[in].Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	n.front.saw(resp, body)
	return resp, body
}

// call asks for a path with header fields (name, value, …) and returns the answer.
func (n *nativeWorld) call(t *testing.T, in *gateway.Instance, method, path string, fields ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, n.front.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, _ := n.do(t, in, req)
	return resp
}

// alive tells, for each instance, how it answers a call of the API with a handle.
func (n *nativeWorld) alive(t *testing.T, handle string) (status []int) {
	t.Helper()
	for _, in := range n.All {
		status = append(status, n.call(t, in, http.MethodGet, "/api/orders", "Authorization", "Bearer "+handle).StatusCode)
	}
	return status
}

// wantAlive fails unless every instance answers a handle with a status.
func (n *nativeWorld) wantAlive(t *testing.T, handle string, want int) {
	t.Helper()
	for i, got := range n.alive(t, handle) {
		if got != want {
			t.Errorf("instance %d answers the handle with %d, want %d", i, got, want)
		}
	}
}
