//go:build integration

// Package e2e holds the journeys through the whole: the real binary, a real redis-server, providers on real sockets, and
// a client that treats cookies as a browser does.
package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev"
	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/leak"
	"cloakroom/test/oidcprovider"
	"cloakroom/test/redisproc"
)

// bin is the gateway, built once with the race detector.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cloakroom-e2e")
	if err == nil {
		bin, err = gateway.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// origin is where the app lives; it resolves to whichever instance a test chooses.
const origin = "http://web.localhost"

const clientSecret = "e2e-client-secret-with-some-length"

// op is a provider under test: what differs between the certified one and our own.
type op struct {
	name    string
	issuer  string
	jwks    string
	yaml    string // its settings in the configuration
	signIn  func(t *testing.T, b *browser.Browser, p *browser.Page) *browser.Page
	secrets func() []provider.Secret
	grants  func(kind string) int
}

// world is everything of one journey.
type world struct {
	t     *testing.T
	redis *redisproc.Server
	op    *op
	dev   *provider.Provider // nil with another provider
	api   *dev.API
	apiAt string
	setup *gateway.Setup
	scan  *leak.Scanner

	mu     sync.Mutex
	target *gateway.Instance // where the app's host leads
	all    []*gateway.Instance
}

// options change a world.
type options struct {
	redisAddr func(*redisproc.Server) string // what the gateway is told; the server itself if nil
	app       string                         // further lines of the app
	routes    string                         // further routes
	more      string                         // further top-level settings
	behave    func(*provider.Behaviour)
}

// newWorld makes Redis, provider, API and configuration; no instance yet.
func newWorld(t *testing.T, makeOP func(*testing.T, *world, options), o options) *world {
	t.Helper()
	w := &world{t: t, redis: redisproc.Start(t, redisproc.Options{}), scan: leak.New()}
	makeOP(t, w, o)
	api, err := dev.NewAPI(dev.APIConfig{Issuer: w.op.issuer, JWKSURL: w.op.jwks})
	if err != nil {
		t.Fatal(err)
	}
	w.api = api
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	w.apiAt = srv.URL
	addr := w.redis.Addr()
	if o.redisAddr != nil {
		addr = o.redisAddr(w.redis)
	}
	w.setup = gateway.NewSetup(t, bin, fmt.Sprintf(`
redis: {addrs: [%q]}
providers:
  main: %s
apps:
  web:
    kind: spa
    origin: %s
    provider: main
    client_id: webc_1
    client_secret: %s
    claims: [sub, name, email]
%s
routes:
  - {path: /api/, upstream: %q, methods: [GET, POST], token: user}
  - {path: /open/, upstream: %q, strip_prefix: true, methods: [GET], token: none}
%s
%s
`, addr, w.op.yaml, origin, clientSecret, o.app, w.apiAt, w.apiAt+"/api", o.routes, o.more))
	return w
}

// start runs n instances and sends the app's host to the first.
func (w *world) start(n int, env ...string) []*gateway.Instance {
	w.t.Helper()
	for range n {
		w.all = append(w.all, w.setup.Start(w.t, env...))
	}
	w.at(w.all[0])
	return w.all
}

// at sends the app's host to an instance.
func (w *world) at(in *gateway.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = in
}

// browser makes a new profile whose every answer from the gateway is scanned.
func (w *world) browser() *browser.Browser {
	b := browser.New(browser.Options{
		Resolve: func(hostport string) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			if strings.HasPrefix(hostport, "web.localhost") {
				return w.target.Addr
			}
			return ""
		},
		OnResponse: w.observe,
	})
	w.t.Cleanup(b.Close)
	return b
}

// observe gives the scanner what the gateway answered.
func (w *world) observe(h browser.Hop) {
	path, ok := strings.CutPrefix(h.URL, origin)
	if !ok {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	place := h.Method + " " + path
	w.scan.Observe(place, "body", h.Body)
	for name, values := range h.Header {
		w.scan.Observe(place, "header "+name, []byte(strings.Join(values, "\n")))
	}
}

// signIn goes from the app's page through the provider and back, and returns the last page.
func (w *world) signIn(b *browser.Browser, returnTo string) *browser.Page {
	w.t.Helper()
	p, err := b.Click(browser.At(origin+"/"), origin+"/bff/login?return_to="+returnTo)
	if err != nil {
		w.t.Fatal(err)
	}
	p = w.op.signIn(w.t, b, p)
	if c, ok := b.Cookie(origin, "__Host-Http-web"); ok {
		w.scan.Secret("session-cookie", c.Value)
	} else {
		w.t.Fatalf("signed in without a session cookie: %d %s\n%s", p.Status, p.URL, p.Text())
	}
	return p
}

// fetch calls as the app's own script does.
func (w *world) fetch(b *browser.Browser, method, path, body string) *browser.Page {
	w.t.Helper()
	q := browser.Request{Method: method, URL: origin + path, Header: http.Header{"X-Csrf": {"1"}}}
	if body != "" {
		q.Body = []byte(body)
		q.Header.Set("Content-Type", "application/json")
	}
	p, err := b.Fetch(browser.At(origin+"/"), q)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return p
}

// want fails unless an answer has a status.
func (w *world) want(p *browser.Page, status int) *browser.Page {
	w.t.Helper()
	if p.Status != status {
		w.t.Fatalf("%s: %d, want %d\n%.600s", p.URL, p.Status, status, p.Body)
	}
	return p
}

// leaks scans everything of the run and reports what is where it must not be.
func (w *world) leaks() {
	w.t.Helper()
	for _, s := range w.op.secrets() {
		w.scan.Secret(string(s.Kind), s.Value)
	}
	w.scan.Secret("client_secret", clientSecret)
	for name, key := range w.setup.Keys {
		w.scan.Secret("key "+name, key)
	}
	w.scan.Observe("redis", "dump", w.redis.Dump())
	for i, in := range w.all {
		w.scan.Observe("log", fmt.Sprint(i), []byte(in.Log()))
	}
	w.scan.Allow(leak.Rule{Kinds: []string{"session-cookie"}, Place: "GET /bff/callback", Field: "header Set-Cookie"})
	w.scan.Allow(leak.Rule{Kinds: []string{"id_token"}, Place: "GET /bff/logout/*", Field: "body"})
	w.scan.Allow(leak.Rule{Kinds: []string{"id_token"}, Place: "GET /bff/logout/*", Field: "header Location"})
	for _, f := range w.scan.Report() {
		w.t.Errorf("leak: %v", f)
	}
}

// devProvider is our own provider under the scalekit preset.
func devProvider(t *testing.T, w *world, o options) {
	t.Helper()
	behaviour := provider.Behaviour{AccessLife: 3 * time.Second}
	if o.behave != nil {
		o.behave(&behaviour)
	}
	p, err := provider.New(provider.Config{Behaviour: behaviour, Clients: []provider.Client{{
		ID: "webc_1", Secret: clientSecret,
		RedirectURIs: []string{origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{origin + "/bff/logged-out"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	w.dev = p
	w.op = &op{
		name: "dev provider", issuer: p.Issuer(), jwks: p.URL("/keys"),
		yaml: fmt.Sprintf("{preset: scalekit, issuer: %q}", p.Issuer()),
		signIn: func(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
			t.Helper()
			if strings.HasPrefix(page.URL, origin) {
				return page // the provider knew the user
			}
			form, err := page.Form("ada@example.com")
			if err != nil {
				t.Fatalf("%v: %s %s", err, page.URL, page.Text())
			}
			if page, err = b.SubmitForm(page, form, url.Values{"user": {"usr_1001"}}); err != nil {
				t.Fatal(err)
			}
			return page
		},
		secrets: p.Issued,
		grants:  p.GrantCount,
	}
}

// certifiedProvider is npm oidc-provider.
func certifiedProvider(t *testing.T, w *world, _ options) {
	t.Helper()
	p := oidcprovider.Start(t, oidcprovider.Config{
		API: "https://api.example.com", APIScopes: []string{"api:read"}, AccessTokenSeconds: 3,
		Accounts: []oidcprovider.Account{{ID: "ada", Claims: map[string]any{"name": "Ada", "email": "ada@example.com"}}},
		Clients: []oidcprovider.Client{{
			ID: "webc_1", Secret: clientSecret,
			RedirectURIs: []string{origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{origin + "/bff/logged-out"},
		}},
	})
	w.op = &op{
		name: "oidc-provider", issuer: p.Issuer, jwks: p.Issuer + "/jwks",
		yaml: fmt.Sprintf("{preset: oidc-provider, issuer: %q}", p.Issuer),
		signIn: func(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
			t.Helper()
			if strings.HasPrefix(page.URL, origin) {
				return page
			}
			form, err := page.Form("")
			if err != nil {
				t.Fatalf("%v: %s %s", err, page.URL, page.Text())
			}
			form.Fields.Set("login", "ada")
			page, err = b.SubmitForm(page, form, form.Fields)
			if err != nil {
				t.Fatal(err)
			}
			return submit(t, b, page, "")
		},
		secrets: func() (all []provider.Secret) {
			for _, s := range p.Issued() {
				all = append(all, provider.Secret{Kind: provider.Kind(s.Kind), Client: s.Client, Value: s.Value})
			}
			return all
		},
		grants: func(kind string) (n int) {
			for _, g := range p.Grants() {
				if g.Type == kind && g.Error == "" {
					n++
				}
			}
			return n
		},
	}
}

// submit sends the form whose text holds word, as it stands.
func submit(t *testing.T, b *browser.Browser, page *browser.Page, word string) *browser.Page {
	t.Helper()
	form, err := page.Form(word)
	if err != nil {
		t.Fatalf("%v: %s %s", err, page.URL, page.Text())
	}
	page, err = b.SubmitForm(page, form, nil)
	if err != nil {
		t.Fatal(err)
	}
	return page
}
