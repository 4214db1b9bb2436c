package config_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/server/config"

	"github.com/google/go-cmp/cmp"
)

// base is a small configuration that is right. The tables change single places
// of it, so its line numbers stand in what they expect.
const base = `public: {url: https://gw.example.com}
redis: {addrs: [redis:6379]}
sealing_keys:
  - {id: k1, file: k1}
index_keys:
  - {id: i1, file: i1}
providers:
  main:
    preset: scalekit
    issuer: https://acme.scalekit.com
apps:
  web:
    kind: spa
    origin: https://app.example.com
    provider: main
    client_id: webc_1
    client_secret_file: web
  phone:
    kind: mobile
    provider: main
    client_id: webc_2
    client_secret_file: phone
    redirect_uris: ["com.example.app:/signed-in"]
routes:
  - path: /api/orders/
    upstream: https://orders.internal
    methods: [GET, POST]
`

// keyText is a key as keygen would print it, the same for the same seed.
func keyText(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const (
	webSecret   = "s3cr3t-of-web-4711"
	phoneSecret = "s3cr3t-of-phone-0815"
)

// folder holds the files that base names, and the ones that tests add.
func folder(t testing.TB, more map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"k1": keyText("k1") + "\n", "k2": keyText("k2") + "=\n", "i1": keyText("i1"),
		"web": webSecret + "\n", "phone": phoneSecret + "\r\n",
	}
	for name, text := range more {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load writes text into the folder and loads it.
func load(t testing.TB, dir, text string, env ...string) (*config.Config, error) {
	t.Helper()
	name := filepath.Join(dir, "cloakroom.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(name, env)
}

// good loads what has to be right.
func good(t testing.TB, dir, text string, env ...string) *config.Config {
	t.Helper()
	c, err := load(t, dir, text, env...)
	if err != nil {
		t.Fatalf("loading:\n%v", err)
	}
	return c
}

// problems loads what has to be wrong and returns the findings, the folder's
// name cut out.
func problems(t testing.TB, dir, text string, env ...string) []string {
	t.Helper()
	_, err := load(t, dir, text, env...)
	var found *config.Problems
	if !errors.As(err, &found) {
		t.Fatalf("loading = %v, want *config.Problems", err)
	}
	lines := strings.ReplaceAll(found.Error(), dir+string(filepath.Separator), "")
	lines = strings.ReplaceAll(lines, dir, "DIR")
	return strings.Split(lines, "\n")
}

// edit replaces the one place in base that holds old.
func edit(t testing.TB, text, old, new string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q stands %d times in the text, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, new, 1)
}

func TestLoadGivesTypedValuesAndDefaults(t *testing.T) {
	dir := folder(t, nil)
	c := good(t, dir, base)
	want := &config.Public{
		URL: "https://gw.example.com", Listen: ":8080",
		Limits:   config.Limits{HeaderBytes: 32 << 10, BodyBytes: 10 << 20},
		Timeouts: config.Timeouts{ReadHeader: 10 * time.Second, Idle: 2 * time.Minute, Drain: 25 * time.Second},
	}
	if diff := cmp.Diff(want, &c.Public, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("public (-want +got):\n%s", diff)
	}
	wantApp := &config.App{
		Kind: "spa", Origin: "https://app.example.com", Provider: "main", ClientID: "webc_1",
		ClientSecret: config.NewSecret(webSecret),
		Scopes:       []string{"openid", "profile", "email", "offline_access"},
		Claims:       []string{"sub", "name", "email", "picture"},
		Session:      config.SessionRules{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Recent: 10 * time.Minute, SameSite: "strict"},
		Login: config.Login{DefaultReturn: "/", Params: config.LoginParams{
			Prompt: []string{"none", "login", "create", "select_account"}, ACRValues: []string{},
			LoginHint: true, MaxAge: true, UILocales: true, OrganizationID: true, ConnectionID: true,
			SocialProvider: true, DomainHint: true,
		}},
		PostLogout: "/",
	}
	if diff := cmp.Diff(wantApp, c.Apps["web"]); diff != "" {
		t.Errorf("apps.web (-want +got):\n%s", diff)
	}
	wantRoute := &config.Route{
		Path: "/api/orders/", Upstream: "https://orders.internal", Methods: []string{"GET", "POST"},
		Token: "user", Kind: "api", Timeout: 30 * time.Second, BodyBytes: 10 << 20, HeaderBytes: 32 << 10, Guard: "header",
	}
	if diff := cmp.Diff([]*config.Route{wantRoute}, c.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if got := c.Apps["phone"].Handle; got != (config.Handle{DPoP: "off", Grace: 30 * time.Second, AccessLife: 15 * time.Minute}) {
		t.Errorf("apps.phone.handle = %+v", got)
	}
	if c.Apps["web"].Native() || !c.Apps["phone"].Native() {
		t.Error("Native() does not tell the kinds apart")
	}
}

// The example of the design page: every line of it has to be understood.
func TestTheDocumentedExampleLoads(t *testing.T) {
	dir := folder(t, nil)
	if err := os.Mkdir(filepath.Join(dir, "dist"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := good(t, dir, `
public:    {url: https://gw.example.com, listen: ":8080", trusted_proxies: [10.0.0.0/8]}
ops:       {listen: "127.0.0.1:9090"}
redis:     {addrs: [redis:6379], key_prefix: "cr:"}   # master_name: … for Sentinel, cluster: true for Cluster
sealing_keys:
  - {id: k2, file: `+dir+`/k2}                   # the first seals, all open; retired_keys: [k1]
index_keys:
  - {id: i1, file: `+dir+`/i1}                # the first writes, all are asked
providers:
  main:    {preset: scalekit, issuer: https://acme.scalekit.com}
apps:
  web:
    kind: spa
    origin: https://app.example.com
    provider: main
    client_id: webc_1
    client_secret_file: web
    scopes: [openid, profile, email, offline_access]
    claims: [sub, name, email, picture]
    session: {idle: 30m, absolute: 12h}
    static: {dir: ./dist}                             # or {url: http://127.0.0.1:5173} for a dev server
  phone:
    kind: mobile
    provider: main
    client_id: webc_2
    client_secret_file: phone
    redirect_uris: ["com.example.app:/signed-in"]
    handle: {dpop: required}
routes:
  - {path: /api/orders/, upstream: https://orders.internal, methods: [GET, POST], token: user, apps: [web, phone]}
`)
	if got, want := c.Apps["web"].Static.Dir, filepath.Join(dir, "dist"); got != want {
		t.Errorf("static.dir = %s, want %s: names are relative to the file's folder", got, want)
	}
	if got := c.Public.TrustedProxies; len(got) != 1 || got[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("trusted_proxies = %v", got)
	}
	if got, want := base64.RawURLEncoding.EncodeToString(c.SealingKeys[0].Bytes()), keyText("k2"); got != want {
		t.Error("the padded key file gives another key")
	}
	if got := c.Apps["phone"].Handle.DPoP; got != "required" {
		t.Errorf("handle.dpop = %s", got)
	}
}

func TestEveryPresetFillsWhatTheFileLeavesOut(t *testing.T) {
	tests := []struct {
		preset string
		of     func(*config.Provider) []string
		want   []string
	}{
		{"scalekit", func(p *config.Provider) []string {
			return append([]string{p.TokenAuth, p.AccessToken, p.SSOBy, p.PKCE, p.Grace.String(), p.EndSessionEndpoint}, p.SigningAlgs...)
		}, []string{"client_secret_post", "jwt", "sid", "known", "30s", "https://id.example.com/x/oidc/logout", "RS256"}},
		{"generic", func(p *config.Provider) []string {
			return append([]string{p.TokenAuth, p.AccessToken, p.SSOBy, p.PKCE, p.Grace.String(), p.EndSessionEndpoint}, p.SigningAlgs...)
		}, []string{"", "opaque", "sid", "require", "0s", "", "RS256", "PS256", "ES256", "EdDSA"}},
		{"dex", func(p *config.Provider) []string { return append(p.Spent, p.Revocation) }, []string{"invalid_request", "none"}},
		{"hydra", func(p *config.Provider) []string { return append(p.Spent, p.LogoutExp, p.Revocation) }, []string{"optional", "grant"}},
		{"glewlwyd", func(p *config.Provider) []string { return append(p.Spent, p.LogoutExp) }, []string{"empty_400", "required"}},
		{"oidc-provider", func(p *config.Provider) []string { return []string{p.SSOBy, p.Prompt} }, []string{"sub+auth_time", "consent"}},
		{"keycloak", func(p *config.Provider) []string { return p.Scopes }, []string{"openid", "profile", "email"}},
		{"entra", func(p *config.Provider) []string { return append(p.Spent, p.PKCE, p.Revocation) }, []string{"interaction_required", "known", "none"}},
		{"google", func(p *config.Provider) []string {
			return append([]string{p.Authorize["access_type"], p.Prompt, p.Revocation}, p.Scopes...)
		}, []string{"offline", "consent", "none", "openid", "profile", "email"}},
	}
	dir := folder(t, nil)
	for _, tt := range tests {
		t.Run(tt.preset, func(t *testing.T) {
			text := edit(t, base, "preset: scalekit", "preset: "+tt.preset)
			c := good(t, dir, edit(t, text, "https://acme.scalekit.com", "https://id.example.com/x"))
			if diff := cmp.Diff(tt.want, tt.of(c.Providers["main"])); diff != "" {
				t.Errorf("provider (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFileWinsOverThePreset(t *testing.T) {
	text := edit(t, base, "    preset: scalekit\n", "    preset: scalekit\n    grace: 5s\n    end_session_endpoint: https://acme.scalekit.com/bye\n")
	p := good(t, folder(t, nil), text).Providers["main"]
	if p.Grace != 5*time.Second || p.EndSessionEndpoint != "https://acme.scalekit.com/bye" {
		t.Errorf("grace = %s, end_session_endpoint = %s; want the file's", p.Grace, p.EndSessionEndpoint)
	}
}

// Strict, and Lax only for the kind whose pages are reached by links or where the
// app says so.
//
// shows COOKIE-2
func TestSameSiteByKind(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"a spa", "kind: spa", "kind: spa", "strict"},
		{"a web app", "kind: spa", "kind: web", "lax"},
		{"a spa that asks for lax", "kind: spa", "kind: spa\n    session: {same_site: lax}", "lax"},
		{"a web app that asks for strict", "kind: spa", "kind: web\n    session: {same_site: strict}", "strict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good(t, folder(t, nil), edit(t, base, tt.old, tt.new))
			if got := c.Apps["web"].Session.SameSite; got != tt.want {
				t.Errorf("same_site = %s, want %s", got, tt.want)
			}
		})
	}
}
