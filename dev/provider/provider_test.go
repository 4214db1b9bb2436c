package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
)

const (
	verifier = "a-verifier-of-at-least-forty-three-characters-x"
	callback = "http://127.0.0.1:1/callback"
	landing  = "http://127.0.0.1:1/logged-out"
)

// clock is a clock that stands still until moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func web() provider.Client {
	return provider.Client{
		ID: "webc_1", Secret: "s3cret+/%&=", RedirectURIs: []string{callback},
		PostLogoutRedirectURIs: []string{landing},
	}
}

// world is a running provider with a clock and one client.
type world struct {
	*provider.Provider
	t     *testing.T
	clock *clock
}

// sharedKey saves most tests the time of making an RSA key.
var sharedKey = sync.OnceValues(func() (*provider.Key, error) { return provider.NewKey(provider.KeySpec{}) })

func start(t *testing.T, change ...func(*provider.Config)) *world {
	t.Helper()
	c := newClock()
	key, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg := provider.Config{Now: c.Now, Key: key, Clients: []provider.Client{web()}}
	for _, f := range change {
		f(&cfg)
	}
	p, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return &world{p, t, c}
}

// browser keeps cookies and follows nothing.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// page is an answer, read to its end.
type page struct {
	status   int
	header   http.Header
	body     string
	location url.Values // query of the Location
}

func (pg page) json(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	if err := json.Unmarshal([]byte(pg.body), &out); err != nil {
		t.Fatalf("body is not JSON: %v: %s", err, pg.body)
	}
	return out
}

func read(t *testing.T, res *http.Response, err error) page {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	loc, _ := url.Parse(res.Header.Get("Location"))
	return page{res.StatusCode, res.Header, string(body), loc.Query()}
}

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// with lays name, value pairs over a form; an empty value removes.
func with(form url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return form
}

func authParams(pairs ...string) url.Values {
	return with(url.Values{
		"response_type": {"code"}, "client_id": {"webc_1"}, "redirect_uri": {callback}, "state": {"st"},
		"nonce": {"no"}, "scope": {"openid profile email offline_access"}, "code_challenge": {challenge(verifier)},
		"code_challenge_method": {"S256"}, "login_hint": {"ada@example.com"},
	}, pairs...)
}

func (w *world) authorize(b *http.Client, pairs ...string) page {
	w.t.Helper()
	res, err := b.Get(w.URL("/oauth/authorize") + "?" + authParams(pairs...).Encode())
	return read(w.t, res, err)
}

func (w *world) post(path string, form url.Values) page {
	w.t.Helper()
	res, err := browser(w.t).PostForm(w.URL(path), form)
	return read(w.t, res, err)
}

func (w *world) exchange(code string, pairs ...string) page {
	w.t.Helper()
	return w.post("/oauth/token", with(url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"webc_1"},
		"client_secret": {web().Secret}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}, pairs...))
}

func (w *world) refresh(token string, pairs ...string) page {
	w.t.Helper()
	return w.post("/oauth/token", refreshForm(token, pairs...))
}

func refreshForm(token string, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type": {"refresh_token"}, "client_id": {"webc_1"},
		"client_secret": {web().Secret}, "refresh_token": {token},
	}, pairs...)
}

// tokens signs in as Ada in a browser and gives the token answer.
func (w *world) tokens(b *http.Client, pairs ...string) map[string]any {
	w.t.Helper()
	code := w.authorize(b, pairs...).location.Get("code")
	if code == "" {
		w.t.Fatal("no code in the answer")
	}
	pg := w.exchange(code)
	if pg.status != http.StatusOK {
		w.t.Fatalf("exchange: %d %s", pg.status, pg.body)
	}
	return pg.json(w.t)
}

func str(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// part decodes the header (0) or the claims (1) of a JWT.
func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func wantError(t *testing.T, pg page, status int, code string) {
	t.Helper()
	if pg.status != status || str(pg.json(t), "error") != code {
		t.Errorf("got %d %s, want %d %s", pg.status, pg.body, status, code)
	}
}

func TestStartRefuses(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"} {
		t.Run("an address such as "+addr, func(t *testing.T) {
			p, err := provider.New(provider.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if err := p.Start(addr); !errors.Is(err, provider.ErrNotLoopback) {
				t.Errorf("got %v, want ErrNotLoopback", err)
			}
		})
	}
}

func TestIssuer(t *testing.T) {
	for _, row := range []struct{ path, below string }{
		{"", ""}, {"/", ""}, {"/dex", "/dex"}, {"/api/oidc/", "/api/oidc"},
	} {
		t.Run("an issuer with the path "+row.path, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { c.IssuerPath = row.path })
			origin := strings.TrimSuffix(w.Issuer(), row.path)
			res, err := browser(t).Get(origin + row.below + "/.well-known/openid-configuration")
			doc := read(t, res, err).json(t)
			if doc["issuer"] != w.Issuer() || doc["token_endpoint"] != origin+row.below+"/oauth/token" {
				t.Errorf("got %v and %v", doc["issuer"], doc["token_endpoint"])
			}
			claims := part(t, str(w.tokens(browser(t)), "id_token"), 1)
			if claims["iss"] != w.Issuer() {
				t.Errorf("iss %v, want %v", claims["iss"], w.Issuer())
			}
		})
	}
}

func TestStopAndResumeKeepState(t *testing.T) {
	w := start(t)
	b := browser(t)
	rt := str(w.tokens(b), "refresh_token")
	issuer := w.Issuer()
	w.Stop()
	if res, err := b.Get(w.URL("/keys")); err == nil {
		res.Body.Close()
		t.Fatal("a stopped provider answered")
	}
	if err := w.Resume(); err != nil {
		t.Fatal(err)
	}
	if w.Issuer() != issuer {
		t.Errorf("issuer changed to %s", w.Issuer())
	}
	if pg := w.refresh(rt); pg.status != http.StatusOK {
		t.Errorf("refresh after resume: %d %s", pg.status, pg.body)
	}
	if err := w.Resume(); !errors.Is(err, provider.ErrStarted) {
		t.Errorf("resuming a running provider: %v", err)
	}
}

func ownKey(c *provider.Config) { c.Key = nil }

func TestTwoProvidersShareNothing(t *testing.T) {
	one, two := start(t, ownKey), start(t, ownKey)
	if one.SigningKey().KID() == two.SigningKey().KID() {
		t.Error("same kid")
	}
	wantError(t, two.refresh(str(one.tokens(browser(t)), "refresh_token")), 400, "invalid_grant")
}

func TestCloseLetsHeldRequestsGo(t *testing.T) {
	w := start(t)
	gate := provider.NewGate()
	w.Fault(provider.Keys, provider.Fault{Gate: gate})
	failed := make(chan error, 1)
	go func() {
		res, err := browser(t).Get(w.URL("/keys"))
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	<-gate.Arrived()
	w.Close()
	if err := <-failed; err == nil {
		t.Error("a request held at Close was answered")
	}
}

func TestIssuedNamesEverySecret(t *testing.T) {
	w := start(t)
	out := w.tokens(browser(t))
	if _, err := w.MakeLogoutToken(provider.LogoutToken{Client: "webc_1", Sub: "usr_1001"}); err != nil {
		t.Fatal(err)
	}
	values := map[provider.Kind][]string{}
	for _, s := range w.Issued() {
		values[s.Kind] = append(values[s.Kind], s.Value)
	}
	for kind, want := range map[provider.Kind]string{
		provider.KindAccess: str(out, "access_token"), provider.KindRefresh: str(out, "refresh_token"),
		provider.KindID: str(out, "id_token"), provider.KindClientSecret: web().Secret, provider.KindVerifier: verifier,
	} {
		if len(values[kind]) != 1 || values[kind][0] != want {
			t.Errorf("%s: got %v, want %s", kind, values[kind], want)
		}
	}
	for _, kind := range []provider.Kind{provider.KindCode, provider.KindLogout, provider.KindCookie} {
		if len(values[kind]) != 1 {
			t.Errorf("%s: got %v, want one", kind, values[kind])
		}
	}
}

func TestRequestLogCounts(t *testing.T) {
	w := start(t)
	w.refresh(str(w.tokens(browser(t)), "refresh_token"))
	if n := w.Count(provider.Token); n != 2 {
		t.Errorf("token requests: %d, want 2", n)
	}
	if n := w.GrantCount("refresh_token"); n != 1 {
		t.Errorf("refresh grants: %d, want 1", n)
	}
	if r := w.RequestsTo(provider.Authorize)[0]; r.Form.Get("nonce") != "no" || r.Method != "GET" || !r.Time.Equal(w.clock.Now()) {
		t.Errorf("authorization request logged as %+v", r)
	}
	w.ForgetRequests()
	if n, m := len(w.Requests()), w.Count(provider.Token); n != 0 || m != 0 {
		t.Errorf("%d requests, %d counted after forgetting", n, m)
	}
}

func TestForgetfulProviderOnlyCounts(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Forgetful = true })
	w.tokens(browser(t))
	if len(w.Requests()) != 0 || len(w.Issued()) != 0 || w.GrantCount("authorization_code") != 1 {
		t.Errorf("kept %d requests and %d secrets, counted %d", len(w.Requests()), len(w.Issued()), w.GrantCount("authorization_code"))
	}
}
