// Package world puts a whole together for a journey: a real redis-server, a provider on real sockets, the demo API, the
// real gateway in as many processes as wanted, clients that treat cookies as a browser does, and one leak scanner over
// all that was answered, logged or stored.
//
// It knows how to sign in at each provider and what each of them has issued. It does not know what a test is about.
package world

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// Origin is where the app lives; it resolves to whichever instance a test chooses.
const Origin = "http://web.localhost"

// ClientSecret is the app's at every provider.
const ClientSecret = "e2e-client-secret-with-some-length"

// OP is a provider under test: what differs between the certified one and our own.
type OP struct {
	Name    string
	Issuer  string
	JWKS    string
	YAML    string // its settings in the configuration
	SignIn  func(t *testing.T, b *browser.Browser, p *browser.Page) *browser.Page
	Secrets func() []provider.Secret
	Grants  func(kind string) int
}

// World is everything of one journey.
type World struct {
	T     *testing.T
	Redis *redisproc.Server
	OP    *OP
	Dev   *provider.Provider // nil with another provider
	API   *dev.API
	APIAt string
	Setup *gateway.Setup
	Scan  *leak.Scanner
	All   []*gateway.Instance // in the order they were started

	mu       sync.Mutex
	target   *gateway.Instance // where the app's host leads
	browsers []*browser.Browser
}

// Options change a world.
type Options struct {
	Origin    string                         // where the app lives, if a browser finds it elsewhere; the World's own ways go by the constant
	Redis     redisproc.Options              // how the server keeps what it is given
	RedisAddr func(*redisproc.Server) string // what the gateway is told; the server itself if nil
	Provider  string                         // further settings of the provider, each with a comma before it
	DPoP      string                         // of the certified provider: see oidcprovider.Config
	App       string                         // further lines of the app
	Apps      string                         // further apps, at hosts under .localhost
	Providers string                         // further providers
	Routes    string                         // further routes
	More      string                         // further top-level settings
	Behave    func(*provider.Behaviour)
}

// New makes Redis, provider, API and configuration; no instance yet.
func New(t *testing.T, makeOP func(*testing.T, *World, Options), o Options) *World {
	t.Helper()
	w := &World{T: t, Redis: redisproc.Start(t, o.Redis), Scan: leak.New()}
	o.Origin = cmp.Or(o.Origin, Origin)
	makeOP(t, w, o)
	api, err := dev.NewAPI(dev.APIConfig{Issuer: w.OP.Issuer, JWKSURL: w.OP.JWKS})
	if err != nil {
		t.Fatal(err)
	}
	w.API = api
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	w.APIAt = srv.URL
	addr := w.Redis.Addr()
	if o.RedisAddr != nil {
		addr = o.RedisAddr(w.Redis)
	}
	// The time-outs are so long that a busy machine is no outage of Redis. Whose test is about those says by the environment how
	// long they are.
	w.Setup = gateway.NewSetup(t, fmt.Sprintf(`
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s, pool_wait: 10s}}
providers:
  main: %s
%s
apps:
  web:
    kind: spa
    origin: %s
    provider: main
    client_id: webc_1
    client_secret: %s
    claims: [sub, name, email]
%s
%s
routes:
  - {path: /api/, upstream: %q, methods: [GET, POST], token: user}
  - {path: /api/orders/export, upstream: %[8]q, methods: [GET], guard: origin}
  - {path: /api/orders/export/, upstream: %[8]q, methods: [GET], guard: origin}
  - {path: /api/orders/feed, upstream: %[8]q, methods: [GET], websocket: true}
  - {path: /open/, upstream: %q, strip_prefix: true, methods: [GET], token: none}
%s
%s
`, addr, w.OP.YAML, o.Providers, o.Origin, ClientSecret, o.App, o.Apps, w.APIAt, w.APIAt+"/api", o.Routes, o.More))
	return w
}

// Start runs n instances and sends the app's host to the first.
func (w *World) Start(n int, env ...string) []*gateway.Instance {
	w.T.Helper()
	for range n {
		w.All = append(w.All, w.Setup.Start(w.T, env...))
	}
	w.At(w.All[0])
	return w.All
}

// At sends the app's host to an instance: what a browser asks for from now on goes there, on a new connection.
func (w *World) At(in *gateway.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = in
	for _, b := range w.browsers {
		b.Close() // its idle connections lead elsewhere
	}
}

// Browser makes a new profile whose every answer from the gateway is scanned.
func (w *World) Browser() *browser.Browser {
	b := browser.New(browser.Options{
		Resolve: func(hostport string) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			if strings.HasSuffix(hostport, ".localhost:80") {
				return w.target.Addr
			}
			return ""
		},
		OnResponse: w.observe,
	})
	w.T.Cleanup(b.Close)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.browsers = append(w.browsers, b)
	return b
}

// observe gives the scanner what the gateway answered.
func (w *World) observe(h browser.Hop) {
	path, ok := strings.CutPrefix(h.URL, Origin)
	if !ok {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	place := h.Method + " " + path
	w.Scan.Observe(place, "body", h.Body)
	for name, values := range h.Header {
		w.Scan.Observe(place, "header "+name, []byte(strings.Join(values, "\n")))
	}
}

// SignIn goes from the app's page through the provider and back, and returns the last page.
func (w *World) SignIn(b *browser.Browser, returnTo string) *browser.Page {
	w.T.Helper()
	p, err := b.Click(browser.At(Origin+"/"), Origin+"/bff/login?return_to="+returnTo)
	if err != nil {
		w.T.Fatal(err)
	}
	p = w.OP.SignIn(w.T, b, p)
	if c, ok := b.Cookie(Origin, "__Host-Http-web"); ok {
		w.Scan.Secret("session-cookie", c.Value)
	} else {
		w.T.Fatalf("signed in without a session cookie: %d %s\n%s", p.Status, p.URL, p.Text())
	}
	return p
}

// Fetch calls as the app's own script does.
func (w *World) Fetch(b *browser.Browser, method, path, body string) *browser.Page {
	w.T.Helper()
	q := browser.Request{Method: method, URL: Origin + path, Header: http.Header{"X-Csrf": {"1"}}}
	if body != "" {
		q.Body = []byte(body)
		q.Header.Set("Content-Type", "application/json")
	}
	p, err := b.Fetch(browser.At(Origin+"/"), q)
	if err != nil {
		w.T.Fatalf("%s %s: %v", method, path, err)
	}
	return p
}

// Want fails unless an answer has a status.
func (w *World) Want(p *browser.Page, status int) *browser.Page {
	w.T.Helper()
	if p.Status != status {
		w.T.Fatalf("%s: %d, want %d\n%.600s", p.URL, p.Status, status, p.Body)
	}
	return p
}

// Leaks scans everything of the run and reports what is where it must not be.
func (w *World) Leaks() {
	w.T.Helper()
	for _, s := range w.OP.Secrets() {
		w.Scan.Secret(string(s.Kind), s.Value)
	}
	w.Scan.Secret("client_secret", ClientSecret)
	for name, key := range w.Setup.Keys {
		w.Scan.Secret("key "+name, key)
	}
	w.Scan.Observe("redis", "dump", w.Redis.Dump())
	for i, in := range w.All {
		w.Scan.Observe("log", fmt.Sprint(i), []byte(in.Log()))
	}
	w.Scan.Allow(leak.Rule{Kinds: []string{"session-cookie"}, Place: "GET /bff/callback", Field: "header Set-Cookie"})
	w.Scan.Allow(leak.Rule{Kinds: []string{"id_token"}, Place: "GET /bff/logout/*", Field: "body"})
	w.Scan.Allow(leak.Rule{Kinds: []string{"id_token"}, Place: "GET /bff/logout/*", Field: "header Location"})
	for _, f := range w.Scan.Report() {
		w.T.Errorf("leak: %v", f)
	}
}

// DevProvider is our own provider under the scalekit preset.
func DevProvider(t *testing.T, w *World, o Options) {
	t.Helper()
	behaviour := provider.Behaviour{AccessLife: 3 * time.Second}
	if o.Behave != nil {
		o.Behave(&behaviour)
	}
	p, err := provider.New(provider.Config{Behaviour: behaviour, Clients: []provider.Client{{
		ID: "webc_1", Secret: ClientSecret,
		RedirectURIs: []string{o.Origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{o.Origin + "/bff/logged-out"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	w.Dev = p
	w.OP = &OP{
		Name: "dev provider", Issuer: p.Issuer(), JWKS: p.URL("/keys"),
		YAML: fmt.Sprintf("{preset: scalekit, issuer: %q%s}", p.Issuer(), o.Provider),
		SignIn: func(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
			t.Helper()
			if strings.HasPrefix(page.URL, Origin) {
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
		Secrets: p.Issued,
		Grants:  p.GrantCount,
	}
}

// CertifiedProvider is npm oidc-provider.
func CertifiedProvider(t *testing.T, w *World, o Options) {
	t.Helper()
	p := oidcprovider.Start(t, oidcprovider.Config{
		API: "https://api.example.com", APIScopes: []string{"api:read"}, AccessTokenSeconds: 3, DPoP: o.DPoP,
		Accounts: []oidcprovider.Account{{ID: "ada", Claims: map[string]any{"name": "Ada", "email": "ada@example.com"}}},
		Clients: []oidcprovider.Client{{
			ID: "webc_1", Secret: ClientSecret,
			RedirectURIs: []string{o.Origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{o.Origin + "/bff/logged-out"},
		}},
	})
	w.OP = &OP{
		Name: "oidc-provider", Issuer: p.Issuer, JWKS: p.Issuer + "/jwks",
		YAML: fmt.Sprintf("{preset: oidc-provider, issuer: %q%s}", p.Issuer, o.Provider),
		SignIn: func(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
			t.Helper()
			if strings.HasPrefix(page.URL, Origin) {
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
		Secrets: func() (all []provider.Secret) {
			for _, s := range p.Issued() {
				all = append(all, provider.Secret{Kind: provider.Kind(s.Kind), Client: s.Client, Value: s.Value})
			}
			return all
		},
		Grants: func(kind string) (n int) {
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
