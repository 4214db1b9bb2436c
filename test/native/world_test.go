//go:build integration

// Package native_test holds the journeys and attacks of native apps through the whole: real gateways on a real Redis, the
// certified npm provider, the example app as a process of its own, and a client that treats cookies as the system browser.
package native_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"

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

	// pastGrace is a moment longer than the grace of the app cli (2s), which is long enough for what a test does within it.
	pastGrace = 2300 * time.Millisecond

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
    handle: {grace: 2s}
  other:
    kind: mobile
    provider: main
    client_id: nativec_2
    client_secret: %s
    redirect_uris: [%q, %q, "http://127.0.0.1/callback"]
    post_logout: %s
`, cliSecret, otherSecret, private, claimed, goodbye) + boundYAML(bound), Routes: fmt.Sprintf(`
  - {path: /others/, upstream: "%s/api", strip_prefix: true, methods: [GET], token: user, apps: [other]}
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

func person(i int) string { return fmt.Sprintf("person-%02d", i) }

// someone is a person who has not signed in yet.
func (n *nativeWorld) someone() string {
	n.people++
	return person(n.people)
}

// browser makes a profile that stops before it would ask a native app's address.
func (n *nativeWorld) browser(t *testing.T) *browser.Browser {
	b := browser.New(browser.Options{})
	t.Cleanup(b.Close)
	b.HoldAt(func(u *url.URL) bool { return u.Host == "127.0.0.1:9" || u.Host == "app.example.com" })
	return b
}

// atProvider answers the provider's pages, sign-in and consent, until the browser is sent on.
func (n *nativeWorld) atProvider(t *testing.T, b *browser.Browser, p *browser.Page, who string) *browser.Page {
	t.Helper()
	for range 5 { // there are two pages
		if p.Unsent || !strings.HasPrefix(p.URL, n.op.Issuer) {
			return p
		}
		form, err := p.Form("")
		if err != nil {
			t.Fatalf("%v: %s %s", err, p.URL, p.Text())
		}
		if form.Fields.Has("login") {
			form.Fields.Set("login", who)
		}
		if p, err = b.SubmitForm(p, form, form.Fields); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the provider does not let go: %s %s", p.URL, p.Text())
	return nil
}

// press clicks the button with a caption: its form is sent with the button's own name and value.
func press(t *testing.T, b *browser.Browser, p *browser.Page, caption string) *browser.Page {
	t.Helper()
	to, err := b.SubmitForm(p, withButton(t, p, caption), nil)
	if err != nil {
		t.Fatalf("pressing %q at %s: %v", caption, p.URL, err)
	}
	return to
}

// withButton is the form around a button, with what the button adds.
func withButton(t *testing.T, p *browser.Page, caption string) browser.Form {
	t.Helper()
	form, err := p.Form(caption)
	if err != nil {
		t.Fatalf("%d %v\n%s", p.Status, err, p.Body)
	}
	root, err := html.Parse(bytes.NewReader(p.Body))
	if err != nil {
		t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type != html.ElementNode || node.Data != "button" || node.FirstChild == nil || strings.TrimSpace(node.FirstChild.Data) != caption {
			continue
		}
		set := map[string]string{}
		for _, a := range node.Attr {
			set[a.Key] = a.Val
		}
		if set["name"] != "" {
			form.Fields.Set(set["name"], set["value"])
		}
		return form
	}
	t.Fatalf("no button %q at %s\n%s", caption, p.URL, p.Body)
	return form
}

// ask is what a native app asks for at the start of a login. The zero value of each field is a good one's.
type ask struct {
	App, Redirect, State, Verifier string
	More                           url.Values // laid over it; an empty value removes the parameter
}

// address is where the system browser is sent.
func (n *nativeWorld) address(a ask) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {a.App}, "redirect_uri": {a.Redirect}, "state": {a.State},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(a.Verifier)}, "code_challenge_method": {"S256"},
	}
	for name, values := range a.More {
		q[name] = values
		if values[0] == "" {
			q.Del(name)
		}
	}
	return n.front.URL + "/mobile/authorize?" + q.Encode()
}

func (n *nativeWorld) complete(a ask) ask {
	if a.App == "" {
		a.App = "cli"
	}
	if a.Redirect == "" {
		a.Redirect = loopback
	}
	if a.State == "" {
		a.State = "the state of an app"
	}
	if a.Verifier == "" {
		a.Verifier = oauth2.GenerateVerifier()
	}
	n.Scan.Secret("verifier", a.Verifier)
	return a
}

// start opens a sign-in and answers the provider's pages.
func (n *nativeWorld) start(t *testing.T, b *browser.Browser, a ask, who string) *browser.Page {
	t.Helper()
	p, err := b.Navigate(n.address(a))
	if err != nil {
		t.Fatal(err)
	}
	return n.atProvider(t, b, p, who)
}

// grant is a code on its way to the app, with all that redeems it.
type grant struct {
	ask
	code string
}

// signIn goes the whole way of the browser, the confirm page included, as someone new.
func (n *nativeWorld) signIn(t *testing.T, b *browser.Browser, a ask) grant {
	t.Helper()
	return n.signInAs(t, b, a, n.someone())
}

func (n *nativeWorld) signInAs(t *testing.T, b *browser.Browser, a ask, who string) grant {
	t.Helper()
	a = n.complete(a)
	p := n.start(t, b, a, who)
	if !p.Unsent {
		p = press(t, b, p, "Continue")
	}
	return grant{a, answer(t, p, a).Get("code")}
}

// answer reads what the browser brings back to the app, and judges what must be in every answer.
func answer(t *testing.T, p *browser.Page, a ask) url.Values {
	t.Helper()
	if !p.Unsent || !strings.HasPrefix(p.URL, a.Redirect+"?") {
		t.Fatalf("the browser is at %s, not on its way to %s: %d %s", p.URL, a.Redirect, p.Status, p.Text())
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("state") != a.State || q.Get("iss") == "" || !strings.HasSuffix(q.Get("iss"), "/mobile") {
		t.Errorf("the answer to the app: %v", q)
	}
	if status := p.Hops[len(p.Hops)-1].Status; status != http.StatusSeeOther {
		t.Errorf("sent to the app by %d, want 303", status)
	}
	return q
}

// form is the token request that redeems a grant.
func (g grant) form() url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {g.App}, "code": {g.code},
		"redirect_uri": {g.Redirect}, "code_verifier": {g.Verifier},
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
