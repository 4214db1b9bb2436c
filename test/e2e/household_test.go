//go:build integration

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/oidcprovider"
	"cloakroom/test/redisproc"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

// kin is one app of a household: where it is, and which client it is at the provider.
type kin struct{ id, kind, client, origin, start string }

// family is an app of every kind. start is the page that is visited first; "" for what is no browser app.
func family() []kin {
	return []kin{
		{"web", "spa", "webc_1", world.Origin, "/bff/login?return_to=/home"},
		{"mail", "spa", "webc_2", "http://mail.localhost", "/bff/login?return_to=/home"},
		{"pages", "web", "webc_3", "http://pages.localhost", "/pages/list?x=1"}, // server-rendered
		{"docs", "web", "webc_4", docsOrigin, "/guide.html"},                    // files behind a sign-in
		{"phone", "mobile", "nativec_1", publicOrigin, ""},
		{"cli", "desktop", "nativec_2", publicOrigin, ""},
	}
}

func (k kin) secret() string {
	if k.id == "web" {
		return world.ClientSecret
	}
	return "the-secret-of-" + k.id + "-at-the-provider"
}

// native tells apps that hold a handle from those that hold a cookie.
func (k kin) native() bool { return k.start == "" }

func (k kin) prefix() string {
	if k.native() {
		return "/mobile"
	}
	return "/bff"
}

// callback is the redirect URI at the provider.
func (k kin) callback() string {
	if k.native() {
		return k.origin + "/mobile/callback/" + k.id
	}
	return k.origin + "/bff/callback"
}

// redirect is where a native app takes its code.
func (k kin) redirect() string {
	if k.id == "cli" {
		return cliRedirect
	}
	return "https://app.example.com/signed-in" // claimed: nobody has to confirm, and no request is sent to it
}

// works is the path that an app's session opens.
func (k kin) works() string {
	switch k.id {
	case "pages":
		return "/pages/list"
	case "docs":
		return "/guide.txt"
	default:
		return "/api/orders"
	}
}

// provided is a kind of provider: how it ties sessions, and how somebody signs in there.
type provided struct {
	name string
	set  func(h *household) func(*testing.T, *world.World, world.Options)
}

// providers are the stand-in (one sid for all clients) and npm oidc-provider (one for each).
func providers() []provided {
	return []provided{
		{"our stand-in for Scalekit", func(h *household) func(*testing.T, *world.World, world.Options) { return h.standIn }},
		{"npm oidc-provider", func(h *household) func(*testing.T, *world.World, world.Options) { return h.certified }},
	}
}

// household is a world with an app of every kind. Its users are ada and grace.
type household struct {
	*world.World
	t        *testing.T
	relay    *world.Relay
	wire     *wire.Proxy            // between all instances and Redis
	npm      *oidcprovider.Provider // nil at the stand-in
	yaml     string                 // of the stand-in, instead of the preset; "%s" is its issuer
	settings string                 // of the provider, further ones
	behave   func(*provider.Behaviour)
	asked    int // how often the provider asked who it is
}

const householdAdmin = "5f0d6c7be1a94a3f8c2b7d90e4a61b38"

func newHousehold(t *testing.T, at provided, change func(*household)) *household {
	t.Helper()
	h := &household{t: t, relay: world.NewRelay(t)}
	if change != nil {
		change(h)
	}
	h.World = world.New(t, at.set(h), world.Options{
		Apps: appsOf(guide(t)), More: fmt.Sprintf("admin: {listen: \"127.0.0.1:0\", token: %s}\n", householdAdmin),
		Routes: fmt.Sprintf("  - {path: /pages/, kind: site, upstream: %q, methods: [GET, POST], apps: [pages]}\n", pages(t)),
		RedisAddr: func(s *redisproc.Server) string {
			h.wire = wire.Start(t, s.Addr())
			return h.wire.Addr()
		},
		Behave: func(b *provider.Behaviour) {
			b.AccessLife = time.Hour // nothing here is about tokens that end
			if h.behave != nil {
				h.behave(b)
			}
		},
	})
	for _, k := range family() {
		h.Scan.Secret("client_secret", k.secret())
	}
	h.Start(2, "CLOAKROOM_PUBLIC__URL="+publicOrigin)
	h.relay.To(h.All[1])
	return h
}

// guide is a folder of documentation.
func guide(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"index.html": "<title>Docs</title>", "guide.html": "<title>Guide</title><p>The guide.", "guide.txt": "The guide."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pages is an app that makes its pages on a server; what they say is of no interest here.
func pages(t *testing.T) (address string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>Pages</title><p>A page for its user.")
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// appsOf is the configuration of the family, but for the app that every world has.
func appsOf(docs string) string {
	var text strings.Builder
	for _, k := range family()[1:] {
		fmt.Fprintf(&text, "  %s:\n    kind: %s\n    provider: main\n    client_id: %s\n    client_secret: %s\n", k.id, k.kind, k.client, k.secret())
		if k.native() {
			fmt.Fprintf(&text, "    redirect_uris: [%q]\n", k.redirect())
			continue
		}
		fmt.Fprintf(&text, "    origin: %s\n", k.origin)
		if k.id == "docs" {
			fmt.Fprintf(&text, "    static: {dir: %q, protected: true}\n", docs)
		}
	}
	return text.String()
}

// standIn is our provider, by the preset scalekit.
func (h *household) standIn(t *testing.T, w *world.World, o world.Options) {
	world.DevProvider(t, w, o)
	for _, k := range family() {
		w.Dev.Register(provider.Client{
			ID: k.client, Secret: k.secret(), RedirectURIs: []string{k.callback()},
			PostLogoutRedirectURIs: []string{k.origin + k.prefix() + "/logged-out"},
			BackchannelLogoutURI:   h.relay.URL(k.origin, k.prefix()+"/backchannel-logout"),
		})
	}
	if h.yaml != "" {
		w.OP.YAML = "{" + fmt.Sprintf(h.yaml, w.OP.Issuer) + "}"
	}
	w.OP.YAML = strings.TrimSuffix(w.OP.YAML, "}") + h.settings + "}"
}

// certified is npm oidc-provider, which grants whatever is asked for so that a question is one about who it is.
func (h *household) certified(t *testing.T, w *world.World, _ world.Options) {
	config := oidcprovider.Config{
		API: "https://api.example.com", APIScopes: []string{"api:read"}, AccessTokenSeconds: 3600, Consent: "auto",
		Accounts: []oidcprovider.Account{{ID: "ada"}, {ID: "grace"}},
	}
	for _, k := range family() {
		config.Clients = append(config.Clients, oidcprovider.Client{
			ID: k.client, Secret: k.secret(), RedirectURIs: []string{k.callback()},
			PostLogoutRedirectURIs: []string{k.origin + k.prefix() + "/logged-out"},
			BackchannelLogoutURI:   h.relay.URL(k.origin, k.prefix()+"/backchannel-logout"),
		})
	}
	h.npm = oidcprovider.Start(t, config)
	w.OP = &world.OP{
		Name: "oidc-provider", Issuer: h.npm.Issuer, JWKS: h.npm.Issuer + "/jwks",
		YAML: fmt.Sprintf(`{preset: oidc-provider, issuer: %q, prompt: ""%s}`, h.npm.Issuer, h.settings),
		Secrets: func() (all []provider.Secret) {
			for _, s := range h.npm.Issued() {
				all = append(all, provider.Secret{Kind: provider.Kind(s.Kind), Client: s.Client, Value: s.Value})
			}
			return all
		},
		Grants: func(kind string) (n int) {
			for _, g := range h.npm.Grants() {
				if g.Type == kind && g.Error == "" {
					n++
				}
			}
			return n
		},
	}
}
