package server_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/test/leak"
)

// What the apps of these tests prove themselves by, and what is theirs to register.
const (
	secretOfWeb   = "secret-of-web-at-the-provider"
	secretOfPhone = "secret-of-phone-at-the-provider"
	webBack       = "https://app.example.com:8443/bff/callback"
	phoneBack     = "https://gw.example.com/mobile/callback/phone"
)

// checked is a configuration of two apps at a provider that can be bent, for check --online.
type checked struct {
	dir      string
	redis    *miniredis.Miniredis
	op       *provider.Provider
	web      provider.Client
	provider string // of the configuration, instead of the usual settings
	scopes   string // of app web
	more     string // further lines of the configuration
	proof    string // of app web, instead of its secret
	scan     *leak.Scanner
}

// onlineKey is made once: making one takes longer than a check.
var onlineKey = sync.OnceValues(func() (*provider.Key, error) { return provider.NewKey(provider.KeySpec{}) })

func newChecked(t *testing.T) *checked {
	t.Helper()
	c := &checked{dir: keyed(t), redis: miniredis.RunT(t), scan: leak.New(), scopes: "[openid, profile, email, offline_access]"}
	c.web = provider.Client{ID: "webc_1", Secret: secretOfWeb, RedirectURIs: []string{webBack}}
	key, err := onlineKey()
	if err != nil {
		t.Fatal(err)
	}
	op, err := provider.New(provider.Config{Key: key, Clients: []provider.Client{c.web, {
		ID: "webc_2", Secret: secretOfPhone, RedirectURIs: []string{phoneBack},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := op.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(op.Close)
	c.op = op
	for name, text := range map[string]string{"web": secretOfWeb, "phone": secretOfPhone} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.scan.Secret(name, text)
	}
	return c
}

// check runs the command, and returns what it prints, line by line, with ISSUER and DIR for what differs each time.
func (c *checked) check(t *testing.T) (code int, out []string) {
	t.Helper()
	set := cmp.Or(c.provider, fmt.Sprintf("{preset: generic, token_auth: client_secret_post, issuer: %q}", c.op.Issuer()))
	file := filepath.Join(c.dir, "cloakroom.yaml")
	text := fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: %s
apps:
  web:
    kind: spa
    origin: https://app.example.com:8443
    provider: main
    client_id: webc_1
    %s
    scopes: %s
  phone:
    kind: mobile
    provider: main
    client_id: webc_2
    client_secret_file: phone
    redirect_uris: ["com.example.app:/signed-in"]
%s`, c.redis.Addr(), set, cmp.Or(c.proof, "client_secret_file: web"), c.scopes, c.more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second) // check bounds itself by less
	defer cancel()
	var said bytes.Buffer
	code = server.Command(ctx, []string{"check", "--online", "--config", file}, nil, &said, &said)
	for _, s := range c.op.Issued() { // secrets and verifiers that were given to the provider among them
		c.scan.Secret(string(s.Kind), s.Value)
	}
	c.scan.Observe("check --online", "output", said.Bytes())
	for _, f := range c.scan.Report() {
		t.Errorf("a secret was printed: %v", f)
	}
	all := strings.NewReplacer(c.op.Issuer(), "ISSUER", c.dir+"/", "").Replace(said.String())
	return code, strings.Split(strings.TrimSpace(all), "\n")
}

// What stands on its own line in every good check.
const (
	notAskedWeb   = "note: app web: cannot be asked, so see that it is registered: post-logout redirect https://app.example.com:8443/bff/logged-out, back-channel logout https://app.example.com:8443/bff/backchannel-logout"
	notAskedPhone = "note: app phone: cannot be asked, so see that it is registered: post-logout redirect https://gw.example.com/mobile/logged-out, back-channel logout https://gw.example.com/mobile/backchannel-logout"
)

// exchangeRoute is a route of app web whose API takes exchanged tokens.
const exchangeRoute = `routes:
  - {path: /orders/, upstream: "https://orders.internal", methods: [GET], apps: [web], token: exchange, exchange: {audience: orders}}
`

// A configuration that fits is told so, app by app, and the probes leave nothing behind at the provider.
func TestCheckOnlineOfAGoodConfiguration(t *testing.T) {
	c := newChecked(t)
	code, out := c.check(t)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := []string{
		"Redis answers", "provider main: answers as ISSUER",
		"note: provider main: sso_by is sid, and that all apps are given the same sid cannot be asked: where each is given its own, as by " +
			"oidc-provider, signing out of one app leaves the others; try it with two, or set sso_by: sub+auth_time",
		"app phone: client: webc_2 and its secret are accepted", "app phone: redirect URI: " + phoneBack + " is registered", notAskedPhone,
		"app web: client: webc_1 and its secret are accepted", "app web: redirect URI: " + webBack + " is registered", notAskedWeb,
	}
	out = slices.DeleteFunc(out, func(line string) bool { return strings.HasPrefix(line, "note: Redis: ") }) // the embedded one tells less of itself
	if at := slices.Index(out, want[0]); at < 0 || !slices.Equal(out[at:], want) {
		t.Errorf("told\n%s", strings.Join(out, "\n"))
	}
	for _, s := range c.op.Issued() {
		if s.Kind == provider.KindCode || s.Kind == provider.KindRefresh || s.Kind == provider.KindCookie {
			t.Errorf("a check was given a %s", s.Kind)
		}
	}
}

// Each thing that people get wrong is told in one line that says what it is, where it stands, and what to do.
//
// shows SCALEKIT-F1, SCALEKIT-F2
func TestCheckOnlineTellsWhatIsWrong(t *testing.T) {
	always := func(status int, fields http.Header, body string) provider.Fault {
		return provider.Fault{Times: provider.Always, Status: status, Header: fields, Body: body}
	}
	html := always(200, http.Header{"Content-Type": {"text/html"}}, "<h1>Welcome</h1>")
	discovery := func(name string, value any) func(*checked) {
		return func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) { b.EditDiscovery = func(d map[string]any) { d[name] = value } })
		}
	}
	web := func(change func(*provider.Client)) func(*checked) {
		return func(c *checked) { change(&c.web); c.op.Register(c.web) }
	}
	for name, tt := range map[string]struct {
		bend func(*checked)
		code int
		want []string // whole lines, but for the command's name before the first error
		part string   // of a line
		not  string   // must not be told
	}{
		"a wrong secret": {bend: web(func(c *provider.Client) { c.Secret = "another" }), code: 1, want: []string{
			"app web: client webc_1: answer with status 401 and error invalid_client; its secret was sent by client_secret_post: " +
				"compare client_id, secret and token_auth with its registration; client_id is from cloakroom.yaml:13, the secret from file web",
			"app web: redirect URI: " + webBack + " is registered",
		}},
		"a secret that is sent in another way": {bend: web(func(c *provider.Client) { c.Auth = provider.SecretBasic }), code: 1, want: []string{
			"app web: client webc_1: answer with status 401 and error invalid_client; its secret was sent by client_secret_post: " +
				"compare client_id, secret and token_auth with its registration; client_id is from cloakroom.yaml:13, the secret from file web",
		}},
		"an unknown client": {bend: func(c *checked) {
			c.web.ID = "webc_9"
			c.op.Register(provider.Client{ID: "webc_1", RedirectURIs: nil, Secret: "x"})
		}, code: 1, want: []string{
			"note: app web: redirect URI: could not be tried, as the client is not accepted; the one to register is " + webBack,
		}},
		"a client without the code flow": {bend: web(func(c *provider.Client) { c.Grants = []string{"client_credentials"} }), code: 1, want: []string{
			"app web: client: webc_1 may not redeem codes (unauthorized_client): register it as a web application with the authorization code flow; " +
				"client_id is from cloakroom.yaml:13, the secret from file web",
			"app web: redirect URI: " + webBack + " is registered, and a sign-in is refused: unauthorized_client; register webc_1 as a web application with the authorization code flow",
		}},
		"a redirect URI that is not registered": {bend: web(func(c *provider.Client) { c.RedirectURIs = []string{"https://other.example.com/"} }), code: 1, want: []string{
			"app web: redirect URI: the provider did not send the browser back to " + webBack + " (status 400): register it for client webc_1, " +
				"letter by letter (http or https, port, slash at the end)",
		}},
		"one registered with http": {bend: web(func(c *provider.Client) { c.RedirectURIs = []string{"http://app.example.com:8443/bff/callback"} }), code: 1, want: []string{
			"app web: redirect URI: registered is http://app.example.com:8443/bff/callback, and the app uses " + webBack + ": they must be the same letter by letter",
		}},
		"one registered with a slash": {bend: web(func(c *provider.Client) { c.RedirectURIs = []string{webBack + "/"} }), code: 1, want: []string{
			"app web: redirect URI: registered is " + webBack + "/, and the app uses " + webBack + ": they must be the same letter by letter",
		}},
		"one registered without the port": {bend: web(func(c *provider.Client) { c.RedirectURIs = []string{"https://app.example.com/bff/callback"} }), code: 1, want: []string{
			"app web: redirect URI: registered is https://app.example.com/bff/callback, and the app uses " + webBack + ": they must be the same letter by letter",
		}},
		"a scope that it may not have": {bend: web(func(c *provider.Client) { c.Scopes = []string{"openid"} }), code: 1, want: []string{
			"app web: redirect URI: " + webBack + " is registered, and a sign-in is refused: invalid_scope; the app asks for openid profile email offline_access: " +
				"compare scopes with what client webc_1 may have",
		}},
		"no offline_access": {bend: func(c *checked) { c.scopes = "[openid]" }, want: []string{
			"note: app web: scopes (openid) lack offline_access: where the provider gives no refresh token without it, a session is as long as its access token",
		}},
		"a slash at the end of the issuer": {bend: func(c *checked) { c.provider = fmt.Sprintf("{issuer: %q}", c.op.Issuer()+"/") }, code: 1, want: []string{
			`provider main: metadata: the provider calls itself "ISSUER", issuer is "ISSUER/": they differ in the slash at the end; write it as the provider does`,
			"note: provider main: nothing was asked about apps phone, web: first the metadata has to be right",
		}},
		"https in the metadata": {bend: func(c *checked) {
			discovery("issuer", strings.Replace(c.op.Issuer(), "http:", "https:", 1))(c)
		}, code: 1, part: "they differ in http and https; write it as the provider does"},
		"a custom domain": {bend: discovery("issuer", "https://acme.example.com"), code: 1, want: []string{
			`provider main: metadata: the provider calls itself "https://acme.example.com", issuer is "ISSUER": it goes by another name, as behind a custom domain, or another environment answers; write it as the provider does`,
		}},
		"a page for metadata": {bend: func(c *checked) { c.op.Fault(provider.Discovery, html) }, code: 1, want: []string{
			"provider main: metadata: ISSUER/.well-known/openid-configuration answers with text/html that is not the JSON it should be: issuer (ISSUER) leads elsewhere, or something in between answers",
		}},
		"no metadata": {bend: func(c *checked) { c.op.Fault(provider.Discovery, always(404, nil, "")) }, code: 1, want: []string{
			"provider main: metadata: ISSUER/.well-known/openid-configuration answers with status 404: is issuer (ISSUER) what the provider calls itself, its path included?",
		}},
		"a provider that hangs": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{issuer: %q, http_timeout: 1s}", c.op.Issuer())
			c.op.Fault(provider.Discovery, provider.Fault{Times: provider.Always, Gate: provider.NewGate()})
		}, code: 1, want: []string{"provider main: metadata: ISSUER/.well-known/openid-configuration: no answer within 1s (http_timeout)"}},
		"a token endpoint that hangs": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{issuer: %q, http_timeout: 1s}", c.op.Issuer())
			c.op.Fault(provider.Token, provider.Fault{Times: provider.Always, Gate: provider.NewGate()})
		}, code: 1, want: []string{"app web: client: the token endpoint ISSUER/oauth/token: no answer within 1s (http_timeout)"}},
		"a firewall before the token endpoint": {bend: func(c *checked) {
			c.op.Fault(provider.Token, always(403, nil, "<h1>No</h1>"))
		}, code: 1, want: []string{"app web: client: the token endpoint ISSUER/oauth/token answers with status 403: it is not there, or something before it refuses"}},
		"no S256": {bend: discovery("code_challenge_methods_supported", []string{"plain"}), code: 1, want: []string{
			"provider main: metadata: S256 is not among code_challenge_methods_supported, so nobody is sent there to sign in: have PKCE switched on; where it is known to work, set pkce: known",
		}},
		"ID tokens signed by a secret": {bend: discovery("id_token_signing_alg_values_supported", []string{"HS256"}), code: 1, want: []string{
			"provider main: metadata: ID tokens are signed by HS256, accepted are RS256, PS256, ES256, EdDSA: change signing_algs, or what the provider signs by",
		}},
		"keys that are none": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) { b.EditKeys = func(d map[string]any) { d["keys"] = []any{} } })
		}, code: 1, want: []string{"provider main: keys: ISSUER/keys: key set without a usable signing key: no token can be checked"}},
		"no announcement of back-channel logout": {bend: discovery("backchannel_logout_supported", false), want: []string{
			"note: provider main: it does not announce back-channel logout (backchannel_logout_supported): a sign-out at the provider itself reaches an app only when its tokens are renewed, unless the URL can be registered all the same",
		}},
		"no promise of a sid": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) {
				b.SIDs, b.EditDiscovery = provider.NoSID, func(d map[string]any) { d["claims_supported"] = []string{"sub", "auth_time"} }
			})
		}, want: []string{
			"note: provider main: sso_by is sid, and its metadata promises no sid: where ID tokens come without one, each session stands alone and signing out of one app leaves the others; sso_by: sub+auth_time ties them without",
		}},
		"no promise of auth_time": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{issuer: %q, token_auth: client_secret_post, sso_by: sub+auth_time}", c.op.Issuer())
			discovery("claims_supported", []string{"sub"})(c)
		}, want: []string{
			"note: provider main: sso_by is sub+auth_time, and its metadata promises no auth_time: where ID tokens come without one, each session stands alone; sso_by: sub ties all sessions of a user",
		}},
		"Scalekit's silence about sign-out": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{preset: scalekit, issuer: %q}", c.op.Issuer())
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) {
					delete(d, "backchannel_logout_supported")
					d["claims_supported"] = []string{"sub"}
				}
			})
		}, want: []string{"app web: client: webc_1 and its secret are accepted"}, not: "back-channel logout (backchannel"},
		"a loopback address at Scalekit": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{preset: scalekit, issuer: %q}", c.op.Issuer())
			c.more = "  local: {kind: spa, origin: \"http://localhost:5000\", provider: main, client_id: webc_3, client_secret: secret-of-local-at-the-provider}\n"
			c.op.Register(provider.Client{ID: "webc_3", Secret: "secret-of-local-at-the-provider", RedirectURIs: []string{"http://localhost:5000/bff/callback"}})
		}, want: []string{
			"note: app local: http://localhost:5000/bff/callback is for a development environment: Scalekit's production environments take https alone, and no localhost",
		}},
		"no end_session endpoint": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) { delete(d, "end_session_endpoint") }
			})
		}, want: []string{
			"note: provider main: it has no end_session_endpoint: signing out ends the sessions of its apps here, and the provider may sign the user in again without asking",
		}},
		"a provider without silent sign-in": {bend: func(c *checked) {
			c.op.Fault(provider.Authorize, provider.Fault{
				Times: provider.Always, Status: 400, Body: "prompt?",
				Match: func(r *http.Request, _ url.Values) bool { return r.URL.Query().Get("prompt") == "none" },
			})
		}, want: []string{"app web: redirect URI: " + webBack + " seems registered: the provider shows its own sign-in, and refuses another address"}},
		"a page whatever the address": {bend: func(c *checked) { c.op.Fault(provider.Authorize, html) }, want: []string{
			"note: app web: redirect URI: could not tell whether " + webBack + " is registered: the provider shows a page of its own (status 200) whatever the address; sign in once to see",
		}},
		"a login page of its own, elsewhere": {bend: func(c *checked) {
			c.op.Fault(provider.Authorize, provider.Fault{
				Times: provider.Always, Status: 302, Header: http.Header{"Location": {"/login?flow=1"}},
				Match: func(r *http.Request, _ url.Values) bool {
					return !strings.HasSuffix(r.URL.Query().Get("redirect_uri"), "/not-registered")
				},
			})
		}, want: []string{"app web: redirect URI: " + webBack + " seems registered: the provider shows its own sign-in, and refuses another address"}},
		"an error page of its own, elsewhere": {bend: func(c *checked) {
			c.op.Fault(provider.Authorize, always(302, http.Header{"Location": {"/oauth/error?id=1"}}, ""))
		}, code: 1, part: "(status 302): register it for client webc_1, letter by letter"},
		"answers in another's name": {bend: func(c *checked) { c.op.Set(func(b *provider.Behaviour) { b.AnswerIss = "https://evil.example.com" }) }, code: 1, part: `app web: redirect URI: the answer to a sign-in names "https://evil.example.com" as issuer, which is refused: `},
		"token exchange that is not announced": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) { d["grant_types_supported"] = []string{"authorization_code", "refresh_token"} }
			})
			c.more = exchangeRoute
		}, want: []string{
			"note: provider main: it does not announce token exchange (grant_types_supported: authorization_code, refresh_token), which routes of " +
				"app web need: where it is not switched on, their calls are 502 token_refused",
		}},
		"grant types that are not told": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) { delete(d, "grant_types_supported") }
			})
			c.more = exchangeRoute
		}, part: "it does not announce token exchange (grant_types_supported: nothing is said there), which routes of app web need"},
		"token exchange that is announced": {bend: func(c *checked) { c.more = exchangeRoute }, not: "token exchange (grant_types"},
		"no token exchange where no route needs it": {bend: func(c *checked) {
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) { delete(d, "grant_types_supported") }
			})
		}, not: "token exchange"},
		"DPoP that is not announced": {bend: func(c *checked) {
			c.provider = fmt.Sprintf("{preset: generic, token_auth: client_secret_post, dpop: required, issuer: %q}", c.op.Issuer())
			c.op.Set(func(b *provider.Behaviour) {
				b.EditDiscovery = func(d map[string]any) { delete(d, "dpop_signing_alg_values_supported") }
			})
		}, code: 1, want: []string{
			"provider main: metadata: ES256 is not among dpop_signing_alg_values_supported, so nobody is sent there to sign in: " +
				"have DPoP switched on, or set dpop: off",
		}},
		"one provider spelled twice": {bend: func(c *checked) {
			set := "token_auth: client_secret_post, http_timeout: 1s"
			c.provider = fmt.Sprintf("{issuer: %q, %s}\n  second: {issuer: %q, %s}", c.op.Issuer(), set, c.op.Issuer()+"/", set)
			c.more = "  docs: {kind: spa, origin: \"https://docs.example.com\", provider: second, client_id: webc_3, client_secret: secret-of-docs-at-the-provider}\n"
		}, code: 1, want: []string{
			"note: apps phone, web of provider main (ISSUER) and app docs of provider second (ISSUER/) share no session: one sign-in opens, and one " +
				"sign-out closes, the apps of one provider; these two look like one: if they are, let all apps name one of them",
			"note: provider second: nothing was asked about app docs: first the metadata has to be right",
			"app web: redirect URI: " + webBack + " is registered",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecked(t)
			tt.bend(c)
			code, out := c.check(t)
			all := strings.Join(out, "\n")
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !slices.ContainsFunc(out, func(line string) bool { return strings.TrimPrefix(line, "cloakroom: ") == want }) {
					t.Errorf("not told: %s", want)
				}
			}
			if !strings.Contains(all, tt.part) {
				t.Errorf("not told: %s", tt.part)
			}
			if tt.not != "" && strings.Contains(all, tt.not) {
				t.Errorf("told, and should not: %s", tt.not)
			}
			if t.Failed() {
				t.Logf("told:\n%s", all)
			}
		})
	}
}

// An app that proves itself by a key is tried by it, and told where the provider looks for the public half.
func TestCheckOnlineOfAnAppWithKeys(t *testing.T) {
	c := newChecked(t)
	var key strings.Builder
	if code := server.Command(t.Context(), []string{"keygen", "--signing", "es256"}, nil, &key, &key); code != 0 {
		t.Fatalf("keygen exits with %d", code)
	}
	if err := os.WriteFile(filepath.Join(c.dir, "c1"), []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c.proof = "client_keys: [{id: c1, file: c1}]"
	c.web.Secret, c.web.Auth, c.web.JWKS = "", provider.PrivateKey, []byte(`{"keys":[]}`)
	c.op.Register(c.web)
	code, out := c.check(t)
	want := "cloakroom: app web: client webc_1: answer with status 401 and error invalid_client; its assertion was signed by key c1 (ES256) for ISSUER: compare " +
		"client_id, published keys, algorithm and assertion_audience with its registration; client_id is from cloakroom.yaml:13; the provider fetches the keys " +
		"from https://app.example.com:8443/.well-known/jwks.json, so the gateway has to be reachable for it"
	if code != 1 || !slices.Contains(out, want) {
		t.Errorf("exit code %d\n%s", code, strings.Join(out, "\n"))
	}
	c.web.JWKS = c.published(t)
	c.op.Register(c.web)
	if code, out = c.check(t); code != 0 || !slices.Contains(out, "app web: client: webc_1 and its key c1 are accepted") {
		t.Errorf("exit code %d\n%s", code, strings.Join(out, "\n"))
	}
}

// published are the public keys of app web, as the gateway publishes them.
func (c *checked) published(t *testing.T) []byte {
	t.Helper()
	cfg, err := config.Load(filepath.Join(c.dir, "cloakroom.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "https://app.example.com:8443/.well-known/jwks.json", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("keys: status %d", w.Code)
	}
	return w.Body.Bytes()
}

// Apps that cannot share a sign-in are named at the start too, both of them with their providers: a warning of the log.
//
// shows SCALEKIT-F2
func TestAppsApartAreToldAtTheStart(t *testing.T) {
	cfg, err := config.Parse(filepath.Join(keyed(t), "cloakroom.yaml"), []byte(`
public: {url: "http://127.0.0.1:8080", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {live: {issuer: "http://127.0.0.1:1"}, trial: {issuer: "http://localhost:1"}}
apps:
  web: {kind: spa, origin: "http://web.localhost", provider: live, client_id: c, client_secret: secret-of-web-at-the-provider}
  docs: {kind: spa, origin: "http://docs.localhost", provider: trial, client_id: d, client_secret: secret-of-docs-at-the-provider}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(lines)
	s, err := server.New(cfg, server.Options{Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	const want = `"level":"WARN","msg":"app web of provider live (http://127.0.0.1:1) and app docs of provider trial (http://localhost:1) share no session: `
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), want); {
		if time.Now().After(deadline) {
			t.Errorf("never told:\n%s", log)
			break
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	_ = s.Close()
}
