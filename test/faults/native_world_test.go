//go:build integration

package faults_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

const (
	publicURL   = "http://gw.localhost"
	phoneSecret = "the-secret-of-the-phone-at-the-provider"
	phoneURI    = "https://app.example.com/signed-in" // claimed: nobody has to confirm, and no request is sent to it
	// graceOfPhone is short, so that a test can wait for its end, and long enough for what happens within it.
	graceOfPhone = 6 * time.Second
	// quietly is how often a world is looked through for keys that would stay for ever. A script is one moment to Redis, and
	// a key without a life keeps it that way, so that no look comes too late.
	quietly = 5 * time.Millisecond
)

// nativeWorld is a world with the native app phone. Each instance has a wire of its own to Redis.
type nativeWorld struct {
	*world.World
	env     []string       // of each instance
	wires   []*wire.Proxy  // of each instance, to Redis
	clients []*http.Client // of each instance
}

// newNative makes it, with two instances. Every key that it keeps has a life, at each moment that is looked at.
func newNative(t *testing.T, o world.Options, env ...string) *nativeWorld {
	t.Helper()
	return newNativeAt(t, nativeProvider, o, env...)
}

func newNativeAt(t *testing.T, makeOP func(*testing.T, *world.World, world.Options), o world.Options, env ...string) *nativeWorld {
	t.Helper()
	behave := o.Behave
	o.Behave = func(b *provider.Behaviour) {
		longLived(b)
		if behave != nil {
			behave(b)
		}
	}
	o.Apps += `
  phone:
    kind: mobile
    provider: main
    client_id: nativec_1
    client_secret: ` + phoneSecret + `
    redirect_uris: ["` + phoneURI + `"]
    handle: {grace: ` + graceOfPhone.String() + `}
`
	n := &nativeWorld{World: world.New(t, makeOP, o), env: env}
	t.Cleanup(func() { cleanLogs(t, n.World) }) // before the instances' own, so it runs after they have ended
	n.watchLives(t)
	n.more()
	n.more()
	return n
}

func nativeProvider(t *testing.T, w *world.World, o world.Options) {
	world.DevProvider(t, w, o)
	w.Dev.Register(provider.Client{
		ID: "nativec_1", Secret: phoneSecret,
		RedirectURIs: []string{publicURL + "/mobile/callback/phone"}, PostLogoutRedirectURIs: []string{publicURL + "/mobile/logged-out"},
	})
}

// sparingProvider has a revocation reach no further than the tokens of one code, and the gateway is told so: what it could
// not store, it revokes. Of the other kind it revokes only what is over.
func sparingProvider(t *testing.T, w *world.World, o world.Options) {
	nativeProvider(t, w, o)
	w.OP.YAML = strings.Replace(w.OP.YAML, "{", "{revocation: token, ", 1)
}

// more starts one more instance.
func (n *nativeWorld) more() *gateway.Instance {
	p := wire.Start(n.T, n.Redis.Addr())
	in := n.World.Start(1, append(n.env, "CLOAKROOM_PUBLIC__URL="+publicURL, "CLOAKROOM_REDIS__ADDRS="+p.Addr())...)[len(n.wires)]
	c := in.Client()
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 64 // as many as a test sends at once
	n.wires, n.clients = append(n.wires, p), append(n.clients, c)
	return in
}

// watchLives looks through Redis until the test ends.
//
// shows KEY-TTL
func (n *nativeWorld) watchLives(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: n.Redis.Addr(), DisableIdentity: true, MaxRetries: -1})
	look := redis.NewScript(`local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) == -1 then found[#found + 1] = key end
end
return found`)
	looks, eternal, done := 0, map[string]bool{}, make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for tick := time.NewTicker(quietly); ; {
			if keys, err := look.Run(t.Context(), rdb, nil).StringSlice(); err == nil { // down, if a test wants it so
				looks++
				for _, key := range keys {
					eternal[key] = true
				}
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		looking.Wait()
		rdb.Close()
		if looks == 0 {
			t.Error("nobody looked at the lives of keys")
		}
		for key := range eternal {
			t.Errorf("%s would stay for ever", key)
		}
	})
}

// phone is a person's browser.
func (n *nativeWorld) phone() *browser.Browser {
	b := n.Browser()
	b.HoldAt(func(u *url.URL) bool { return u.Host == "app.example.com" })
	return b
}

// code signs in by a browser, up to the code that the app would redeem, and returns the form that redeems it.
func (n *nativeWorld) code(t *testing.T, b *browser.Browser) url.Values {
	t.Helper()
	return n.codeOf(t, b, "phone", phoneURI, "")
}

// codeOf is code for an app; with a key, whose thumbprint is announced, if it is not "".
func (n *nativeWorld) codeOf(t *testing.T, b *browser.Browser, app, redirect, key string) url.Values {
	t.Helper()
	verifier := oauth2.GenerateVerifier()
	ask := url.Values{
		"response_type": {"code"}, "client_id": {app}, "redirect_uri": {redirect}, "state": {"s"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}
	if key != "" {
		ask.Set("dpop_jkt", key)
	}
	p, err := b.Navigate(publicURL + "/mobile/authorize?" + ask.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !p.Unsent {
		p = n.OP.SignIn(t, b, p)
	}
	to, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Unsent || to.Query().Get("code") == "" {
		t.Fatalf("the browser brings no code: %d %s\n%s", p.Status, p.URL, p.Text())
	}
	n.Scan.Secret("exchange-code", to.Query().Get("code"))
	n.Scan.Secret("verifier", verifier)
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "code": {to.Query().Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier},
	}
}

// handles is an answer of the token endpoint. Status 0: there was none.
type handles struct {
	Status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
	Header  http.Header
}

// same compares what an app was given, byte for byte.
func (h handles) same(other handles) bool {
	return h.Status == 200 && other.Status == 200 && h.Access == other.Access && h.Refresh == other.Refresh
}

// token asks the token endpoint of an instance. It is safe for concurrent use.
func (n *nativeWorld) token(at int, form url.Values) (h handles) {
	resp, err := n.clients[at].PostForm(publicURL+"/mobile/token", form)
	if err != nil {
		return h
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&h) // what is no JSON leaves it empty, and the status tells
	h.Status, h.Header = resp.StatusCode, resp.Header
	n.Scan.Secret("access-handle", h.Access)
	n.Scan.Secret("refresh-handle", h.Refresh)
	return h
}

// asking sends a token request and goes on.
func (n *nativeWorld) asking(at int, form url.Values) <-chan handles {
	answer := make(chan handles, 1)
	go func() { answer <- n.token(at, form) }()
	return answer
}

func rotation(refresh string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {refresh}}
}

// signIn goes the whole way at the first instance.
func (n *nativeWorld) signIn(t *testing.T, b *browser.Browser) handles {
	t.Helper()
	return granted(t, n.token(0, n.code(t, b)))
}

// rehearse has every instance run each script once, so that Redis knows them and a wire sees them called by their hash.
func (n *nativeWorld) rehearse(t *testing.T) {
	t.Helper()
	h := n.signIn(t, n.phone())
	n.lives(t, h, 200)
	h = granted(t, n.token(1, rotation(h.Refresh)))
	n.lives(t, h, 200)
	n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
	await(t, "the rehearsal leaves nothing", healTime, func() bool { return len(records(n.World)) == 0 })
}

func granted(t *testing.T, h handles) handles {
	t.Helper()
	if h.Status != 200 || h.Access == "" || h.Refresh == "" {
		t.Fatalf("token: %d %q, want handles", h.Status, h.Error)
	}
	return h
}

// rejected fails unless a token answer says that the grant is no good, in RFC 6749's words.
func rejected(t *testing.T, what string, h handles) {
	t.Helper()
	if h.Status != 400 || h.Error != "invalid_grant" || h.Access+h.Refresh != "" {
		t.Errorf("%s: %d %q, want 400 invalid_grant", what, h.Status, h.Error)
	}
}

// outOfReach fails unless a token answer tells an outage.
func outOfReach(t *testing.T, what string, h handles) {
	t.Helper()
	if h.Status != 503 || h.Error != "temporarily_unavailable" || h.Header.Get("Retry-After") == "" || h.Access+h.Refresh != "" {
		t.Errorf("%s: %d %q %v, want 503 temporarily_unavailable with Retry-After", what, h.Status, h.Error, h.Header)
	}
}

// call asks an instance with a handle. It is safe for concurrent use.
func (n *nativeWorld) call(at int, method, path, access string) (status int, body string) {
	req, err := http.NewRequest(method, publicURL+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := n.clients[at].Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func (n *nativeWorld) want(t *testing.T, at int, method, path, access string, status int) string {
	t.Helper()
	got, body := n.call(at, method, path, access)
	if got != status {
		t.Errorf("%s %s at instance %d: %d, want %d\n%.300s", method, path, at, got, status, body)
	}
	return body
}

// lives fails unless the first two instances answer a call with the handle with a status.
func (n *nativeWorld) lives(t *testing.T, h handles, status int) {
	t.Helper()
	for at := range 2 {
		n.want(t, at, "GET", "/api/orders", h.Access, status)
	}
}

// gone fails unless nothing is left: what was handed out opens nothing, and no record is there. An index entry that is left
// behind then points to nothing.
func (n *nativeWorld) gone(t *testing.T, what string, given ...handles) {
	t.Helper()
	for _, h := range given {
		if h.Status == 200 {
			n.lives(t, h, 401)
			rejected(t, what+", its refresh handle", n.token(1, rotation(h.Refresh)))
		}
	}
	await(t, what+": there is no record", healTime, func() bool { return len(records(n.World)) == 0 })
}

// unindexed fails unless no index names a session any more.
func (n *nativeWorld) unindexed(t *testing.T, what string) {
	t.Helper()
	await(t, what+": there is no index entry", healTime, func() bool {
		return !slices.ContainsFunc(n.Redis.Keys(), func(key string) bool { return strings.HasPrefix(key, "cr:ix:") })
	})
}

// met waits until a fault has struck, or a gate has been reached.
func met(t *testing.T, struck <-chan struct{}) {
	t.Helper()
	select {
	case <-struck:
	case <-time.After(healTime):
		t.Fatal("what was laid in the way was never met")
	}
}

// revoked fails unless the provider is soon asked to revoke the refresh token that it issued last.
func (n *nativeWorld) revoked(t *testing.T, what string) {
	t.Helper()
	token := newest(n.World, provider.KindRefresh)
	await(t, what+": its refresh token is revoked", healTime, func() bool { return revokedAt(n.World, token) })
}
