//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
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
	files := t.TempDir()
	for name, text := range map[string]string{"index.html": "<title>Docs</title>", "guide.html": "<title>Guide</title><p>The guide.", "guide.txt": "The guide."} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<title>Pages</title><p>A page for "+"its user.")
	}))
	t.Cleanup(site.Close)
	apps := ""
	for _, k := range family()[1:] {
		apps += fmt.Sprintf("  %s:\n    kind: %s\n    provider: main\n    client_id: %s\n    client_secret: %s\n", k.id, k.kind, k.client, k.secret())
		switch {
		case k.native():
			apps += fmt.Sprintf("    redirect_uris: [%q]\n", k.redirect())
		default:
			apps += fmt.Sprintf("    origin: %s\n", k.origin)
		}
		if k.id == "docs" {
			apps += fmt.Sprintf("    static: {dir: %q, protected: true}\n", files)
		}
	}
	h.World = world.New(t, at.set(h), world.Options{
		Apps: apps, More: fmt.Sprintf("admin: {listen: \"127.0.0.1:0\", token: %s}\n", householdAdmin),
		Routes: fmt.Sprintf("  - {path: /pages/, kind: site, upstream: %q, methods: [GET, POST], apps: [pages]}\n", site.URL),
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

// Browser is a person's, which sends nothing to what only apps of a device answer.
func (h *household) Browser() *browser.Browser {
	b := h.World.Browser()
	b.HoldAt(ofDevice)
	return b
}

// ofDevice are the addresses that only apps of a device answer.
func ofDevice(u *url.URL) bool { return u.Host == "app.example.com" || u.Host == "127.0.0.1:9" }

// heldAt is what a navigation comes to if it stops before a path of the gateway.
func (h *household) heldAt(b *browser.Browser, prefix string, goes func() (*browser.Page, error)) *browser.Page {
	h.t.Helper()
	b.HoldAt(func(u *url.URL) bool { return strings.HasPrefix(u.Path, prefix) })
	defer b.HoldAt(ofDevice)
	p, err := goes()
	if err != nil || !p.Unsent {
		h.t.Fatalf("on the way to %s: %+v %v", prefix, p, err)
	}
	return p
}

// who says who it is where the provider asks.
func (h *household) who(b *browser.Browser, p *browser.Page, user string) *browser.Page {
	h.t.Helper()
	if !strings.HasPrefix(p.URL, h.OP.Issuer) {
		return p
	}
	h.asked++
	values := url.Values{"login": {user}}
	form, err := p.Form("Sign in")
	if h.npm == nil {
		form, err = p.Form("ada@example.com")
		values = url.Values{"user": {map[string]string{"ada": "usr_1001", "grace": "usr_1002"}[user]}}
	}
	if err != nil {
		h.t.Fatalf("%v: %d %s %s", err, p.Status, p.URL, p.Text())
	}
	if p, err = b.SubmitForm(p, form, values); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// desk is somebody's session at an app.
type desk struct {
	app       kin
	browser   *browser.Browser
	call      *http.Request // opens what the app is for
	hear      *http.Request // opens its stream of events
	access    string        // of native apps
	refresh   string
	sessionID string
}

// enter opens an app, signing in as user where the provider asks.
func (h *household) enter(b *browser.Browser, k kin, user string) *desk {
	h.t.Helper()
	if k.native() {
		return h.pair(b, k, user)
	}
	p, err := b.Click(browser.At(k.origin+"/"), k.origin+k.start)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.arrived(b, k, h.who(b, p, user))
}

// arrived fails unless a browser came to where the sign-in was to bring it, and is signed in there.
func (h *household) arrived(b *browser.Browser, k kin, p *browser.Page) *desk {
	h.t.Helper()
	want := k.start
	if _, to, ok := strings.Cut(want, "return_to="); ok {
		want = to
	}
	c, ok := b.Cookie(k.origin, "__Host-Http-"+k.id)
	if p.URL != k.origin+want || !ok {
		h.t.Fatalf("signing in at %s ended at %s (signed in: %v): %d %s", k.id, p.URL, ok, p.Status, p.Text())
	}
	h.Scan.Secret("session-cookie", c.Value)
	d := &desk{app: k, browser: b}
	d.call, d.hear = h.asPage(b, k, "GET", k.works()), h.asPage(b, k, "GET", "/bff/events")
	var told struct{ Session struct{ ID string } }
	if _, body := h.do(h.All[1], h.asPage(b, k, "GET", "/bff/session")); json.Unmarshal(body, &told) != nil || told.Session.ID == "" {
		h.t.Fatalf("the session at %s: %s", k.id, body)
	}
	d.sessionID = told.Session.ID
	return d
}

// asPage is a request as an app's own page makes it, to be sent to any instance, also when the browser has lost its cookie.
func (h *household) asPage(b *browser.Browser, k kin, method, path string) *http.Request {
	h.t.Helper()
	header, err := b.RequestHeader(browser.At(k.origin+"/"), browser.Request{Method: method, URL: k.origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.request(method, k.origin+path, header)
}

func (h *household) request(method, address string, header http.Header) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, address, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header = header
	return r
}

// asApp is a request with the access handle of a native app.
func (h *household) asApp(d *desk, method, path string) *http.Request {
	return h.request(method, publicOrigin+path, http.Header{"Authorization": {"Bearer " + d.access}})
}

// pair signs in at a native app by the system browser.
func (h *household) pair(b *browser.Browser, k kin, user string) *desk {
	h.t.Helper()
	verifier := oauth2.GenerateVerifier()
	p, err := b.Navigate(publicOrigin + "/mobile/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {k.id}, "redirect_uri": {k.redirect()}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		h.t.Fatal(err)
	}
	p = h.who(b, p, user)
	if form, err := p.Form("Continue"); err == nil { // one click, where the redirect proves nothing
		if p, err = b.SubmitForm(p, form, nil); err != nil {
			h.t.Fatal(err)
		}
	}
	back, err := url.Parse(p.URL)
	if err != nil || back.Query().Get("code") == "" {
		h.t.Fatalf("no code for %s: %s %v %s", k.id, p.URL, err, p.Text())
	}
	return h.redeemed(k, back.Query().Get("code"), verifier)
}

func (h *household) redeemed(k kin, code, verifier string) *desk {
	h.t.Helper()
	r := h.request("POST", publicOrigin+"/mobile/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	r.Body = io.NopCloser(strings.NewReader(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {k.id}, "code": {code}, "redirect_uri": {k.redirect()}, "code_verifier": {verifier},
	}.Encode()))
	var got struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
		Session struct{ ID string }
	}
	if status, body := h.do(h.All[0], r); status != 200 || json.Unmarshal(body, &got) != nil || got.Access == "" {
		h.t.Fatalf("redeeming for %s: %d %s", k.id, status, body)
	}
	h.Scan.Secret("handle", got.Access)
	h.Scan.Secret("handle", got.Refresh)
	d := &desk{app: k, access: got.Access, refresh: got.Refresh, sessionID: got.Session.ID}
	d.call, d.hear = h.asApp(d, "GET", k.works()), h.asApp(d, "GET", "/mobile/events")
	return d
}

// do sends a copy of a request to an instance, whatever became of a connection before.
func (h *household) do(in *gateway.Instance, r *http.Request) (int, []byte) {
	h.t.Helper()
	c := in.Client()
	defer c.CloseIdleConnections()
	resp, err := c.Do(r.Clone(h.t.Context()))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// moveIn enters every app, in one browser, and counts what it was asked.
func (h *household) moveIn(b *browser.Browser, user string) (desks []*desk) {
	h.t.Helper()
	for _, k := range family() {
		desks = append(desks, h.enter(b, k, user))
	}
	return desks
}

// alive fails unless every instance answers all of them.
func (h *household) alive(what string, desks ...*desk) {
	h.t.Helper()
	for i, in := range h.All {
		for _, d := range desks {
			if status, body := h.do(in, d.call); status != 200 {
				h.t.Errorf("%s: %s at instance %d: %d %.200s", what, d.app.id, i, status, body)
			}
		}
	}
}

// over fails unless every instance says of all of them that the session has ended, and why.
func (h *household) over(what, reason string, desks ...*desk) {
	h.t.Helper()
	for i := len(h.All) - 1; i >= 0; i-- { // mostly it was the first that was asked to end them
		for _, d := range desks {
			status, body := h.do(h.All[i], d.call)
			var p struct{ Code, Reason string }
			if err := json.Unmarshal(body, &p); err != nil || status != 401 || p.Code != "session_ended" || p.Reason != reason {
				h.t.Errorf("%s: %s at instance %d: %d %.200s, want 401 session_ended %s", what, d.app.id, i, status, body, reason)
			}
		}
	}
}

// listen opens the streams of all of them at an instance.
func (h *household) listen(in *gateway.Instance, desks ...*desk) (streams []*gateway.Stream) {
	h.t.Helper()
	for _, d := range desks {
		s := in.Listen(h.t, d.hear.Clone(h.t.Context()))
		if e := s.Next(h.t); e.Name != "session" {
			h.t.Fatalf("%s: first comes %+v", d.app.id, e)
		}
		streams = append(streams, s)
	}
	return streams
}

// lateBy is a generous bound in short runs, which go beside others on busy cores: what is late is later than that.
const lateBy = 10 * time.Second

// hears fails unless each stream is told next that its session has ended, why, and soon; it returns how long the last took.
func (h *household) hears(what, reason string, since time.Time, streams ...*gateway.Stream) (slowest time.Duration) {
	h.t.Helper()
	for i, s := range streams {
		e := s.Next(h.t)
		if e.Name != "session-ended" || e.Data != `{"reason":"`+reason+`"}` {
			h.t.Errorf("%s: stream %d is told %s %s, want session-ended %s", what, i, e.Name, e.Data, reason)
		}
		slowest = max(slowest, e.At.Sub(since))
	}
	if slowest > lateBy {
		h.t.Errorf("%s: a stream was told after %v", what, slowest)
	}
	return slowest
}

// nextSecond waits until another moment of authentication would be another: the claim auth_time counts seconds.
func nextSecond() {
	now := time.Now()
	<-time.After(now.Truncate(time.Second).Add(time.Second + 10*time.Millisecond).Sub(now))
}

// revocations is how many refresh tokens of these clients the provider was asked to revoke.
func (h *household) revocations() (n int) {
	if h.npm != nil {
		for _, g := range h.npm.Grants() {
			if g.Type == "revocation" && g.Error == "" {
				n++
			}
		}
		return n
	}
	refresh := map[string]bool{}
	for _, s := range h.Dev.Issued() {
		refresh[s.Value] = s.Kind == provider.KindRefresh
	}
	asked := h.Dev.RequestsTo(provider.Revoke)
	return len(slices.DeleteFunc(asked, func(r provider.Request) bool { return !refresh[r.Form.Get("token")] }))
}

// soak tells the full run from the short one.
func soak() bool { return os.Getenv("SOAK") == "1" }

// await waits until a condition holds.
func (h *household) await(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("it never came that %s", what)
		}
	}
}
