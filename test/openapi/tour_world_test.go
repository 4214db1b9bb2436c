package openapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/bff"
	"cloakroom/dev/provider"
	"cloakroom/test/prover"
)

const (
	web      = "http://web.localhost"   // a single-page app: its cookie is Strict
	pages    = "http://pages.localhost" // a server-rendered app: its cookie is Lax
	lost     = "http://lost.localhost"  // an app whose provider is down
	gw       = "https://gw.example.com"
	plain    = "https://plain.example.com" // a gateway with as little as there can be
	ops      = "http://ops.full"
	admin    = "http://admin.full"
	claimed  = gw + "/open/phone" // a redirect that nobody but the app receives
	private  = "com.example.app:/signed-in"
	verifier = "verifier-of-an-app-0123456789-0123456789-abc"
	secret   = "-and-a-secret-of-some-length"
	token    = "0f9d4c1e7a3b5826d1c4e9f07b6a3d52" // the administrator's
	print32  = "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"
	nobody   = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" // has the form of a root, a code, a ticket
)

// tour is the world of the contract: one gateway with everything in it, one with as little as there can be.
type tour struct {
	*contract
	redis  *miniredis.Miniredis
	issuer *provider.Provider
	slow   chan struct{} // ends the slow answers of the API
	waits  chan struct{} // gets one when a slow request has arrived
	key    *prover.Prover
	nonce  string // the last one of the gateway's
	users  int    // how many have come
}

func newTour(t *testing.T) *tour {
	w := &tour{contract: newContract(t), redis: miniredis.RunT(t), slow: make(chan struct{}), waits: make(chan struct{}, 1), key: prover.New("ES256")}
	w.startProvider()
	api := httptest.NewServer(http.HandlerFunc(w.api))
	t.Cleanup(api.Close)
	app := func(id string) string { return "provider: main, client_id: " + id + ", client_secret: " + id + secret }
	w.run("full", "k1", fmt.Sprintf(`
public: {url: %[1]q, listen: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}
ops: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %[2]s}
redis: {addrs: [%[3]q]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %[4]q, token_auth: client_secret_post, frontchannel_logout: true}
  down: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  web:
    {kind: spa, origin: %[5]q, claims: [sub, email], %[8]s, login: {initiate: true, params: {prompt: [none, login], max_age: true, login_hint: true, ui_locales: true}}}
  pages: {kind: web, origin: %[6]q, %[14]s, session: {same_site: lax}}
  lost: {kind: spa, origin: %[7]q, provider: down, client_id: lost, client_secret: lost%[9]s, login: {initiate: true}}
  phone:
    {kind: mobile, claims: [sub], %[15]s, redirect_uris: [%[10]q, %[11]q], post_logout: %[10]q,
     handle: {dpop: allowed}, app_links: {apple: [ABCDE12345.com.example.app], android: [{package: com.example.app, sha256: [%[12]q]}]}}
  bound: {kind: mobile, %[16]s, redirect_uris: [%[10]q], handle: {dpop: required, dpop_nonce: true}}
routes:
  - {path: /api/, upstream: %[13]q, methods: [GET, POST], body_bytes: 1KiB}
  - {path: /phones/, upstream: %[13]q, methods: [GET], apps: [phone]}
  - {path: /staff/, upstream: %[13]q, methods: [GET], require: {claims: {oid: [org_none]}}}
  - {path: /gold/, upstream: %[13]q, methods: [GET], require: {acr: [gold]}}
  - {path: /narrow/, upstream: %[13]q, methods: [GET], header_bytes: 1KiB}
  - {path: /hang/, upstream: %[13]q, methods: [GET], timeout: 50ms}
  - {path: /dead/, upstream: "http://127.0.0.1:1", methods: [GET]}
  - {path: /slow/, upstream: %[13]q, methods: [GET], token: none}
`, gw, token, w.redis.Addr(), w.issuer.Issuer(), web, pages, lost, app("web"), secret, claimed, private, print32, api.URL, app("pages"), app("phone"), app("bound")), map[string]string{
		"web.localhost": ofApp, "pages.localhost": ofApp, "lost.localhost": ofApp, "gw.example.com": ofGateway, "elsewhere.example.com": ofApp,
	})
	w.run("plain", "k2", fmt.Sprintf(`
public: {url: %q, listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %s}
redis: {addrs: [%q], key_prefix: "plain:"}
sealing_keys: [{id: k2, file: k2}]
index_keys: [{id: i1, file: i1}]
providers: {main: {preset: scalekit, issuer: %q}}
apps:
  phone: {kind: mobile, %s, redirect_uris: [%q]}
`, plain, token, w.redis.Addr(), w.issuer.Issuer(), app("phone"), private), map[string]string{"plain.example.com": ofGateway})
	return w
}

// startProvider starts the provider of all apps but one.
func (w *tour) startProvider() {
	w.t.Helper()
	client := func(id string, uris ...string) provider.Client {
		return provider.Client{ID: id, Secret: id + secret, Auth: provider.SecretPost, RedirectURIs: uris, PostLogoutRedirectURIs: []string{web + "/bff/logged-out", gw + "/mobile/logged-out"}}
	}
	var err error
	if w.issuer, err = provider.New(provider.Config{Clients: []provider.Client{
		client("web", web+"/bff/callback"), client("pages", pages+"/bff/callback"),
		client("phone", gw+"/mobile/callback/phone", plain+"/mobile/callback/phone"), client("bound", gw+"/mobile/callback/bound"),
	}}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.issuer.Start(""); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.issuer.Close)
}

// api is what the routes forward to.
func (w *tour) api(rw http.ResponseWriter, r *http.Request) {
	switch first := strings.Split(r.URL.Path, "/")[1]; {
	case strings.HasPrefix(r.URL.Path, "/api/via"):
		rw.Header().Set("Seen-Via", r.Header.Get("Via"))
	case strings.HasPrefix(r.URL.Path, "/api/refuse"):
		rw.WriteHeader(http.StatusUnauthorized)
	case strings.HasPrefix(r.URL.Path, "/api/newer"): // than any that there is
		rw.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", max_age=999999999`)
		rw.WriteHeader(http.StatusUnauthorized)
	case first == "hang":
		<-r.Context().Done()
	case first == "slow":
		w.waits <- struct{}{}
		select {
		case <-w.slow:
		case <-r.Context().Done():
		}
	}
}

// csrf is what a script of the app's own pages sends.
var csrf = []string{"X-CSRF", "1", "Sec-Fetch-Site", "same-origin"}

// script is a request of a page's script.
func script(method, url string, by *person) call {
	return call{method: method, url: url, fields: csrf, by: by}
}

// newUser has somebody else sign in from now on: a sign-out of all of a user's sessions takes sign-ins of the next two seconds
// along.
func (w *tour) newUser() {
	w.users++
	w.issuer.AddUser(provider.User{Sub: w.user(), Email: w.user() + "@example.com", Name: "Ada Lovelace", OrgID: "org_2001"})
}

func (w *tour) user() string { return fmt.Sprint("usr_tour_", w.users) }

// begin starts a browser's sign-in, and returns the provider's answer to it, as the address it leads to.
func (w *tour) begin(p *person, origin, query string) *url.URL {
	w.t.Helper()
	start := w.see(303, same(get(origin+"/bff/login?"+query).of(p)))
	_, answered := w.send(get(start.Header.Get("Location")))
	return answered.to()
}

// signIn signs somebody in to a browser app.
func (w *tour) signIn(origin string, status int) *person {
	w.t.Helper()
	p := newPerson()
	back := w.begin(p, origin, "return_to=/orders&login_hint="+w.user())
	w.see(status, same(get(back.String()).of(p)))
	return p
}

// request is what a native app asks its sign-in with.
func (w *tour) request(app, redirect string, more ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {app}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {"s"}, "login_hint": {w.user()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// newerTicket is a step-up's ticket of an instance that has a sealing key which the one of the tour does not know.
func (w *tour) newerTicket() string {
	w.t.Helper()
	key := func(id string) []bff.Key { return []bff.Key{{ID: id, Bytes: bff.NewSecret(strings.Repeat(id, 16))}} }
	ring, err := bff.NewKeyring(key("k9"), nil, key("i9"))
	if err != nil {
		w.t.Fatal(err)
	}
	phone := &bff.App{ID: "phone", Provider: &bff.ProviderPolicy{Name: "main"}}
	return bff.NewEngine(bff.Ports{}, ring, time.Now, nil, bff.Limits{}).StepUpTicket(phone, &bff.Session{Lookup: "x"}, bff.StepUp{})
}

// beginNative starts a native app's sign-in, and returns the address at which the provider's answer arrives.
func (w *tour) beginNative(p *person, asked url.Values) string {
	w.t.Helper()
	start := w.see(303, same(get(gw+"/mobile/authorize?"+asked.Encode()).of(p)))
	_, answered := w.send(get(start.Header.Get("Location")))
	return answered.Header.Get("Location")
}

// code signs somebody in to a native app, and returns its code.
func (w *tour) code(asked url.Values) string {
	w.t.Helper()
	p := newPerson()
	back := w.see(303, same(get(w.beginNative(p, asked)).of(p)))
	return back.to().Query().Get("code")
}

// redeem trades a code.
func redeem(app, redirect, code string) call {
	return post(gw+"/mobile/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "redirect_uri": {redirect}, "code": {code}, "code_verifier": {verifier},
		"device_name": {"Ada's phone"}, "device_platform": {"iOS 19.1"},
	})
}

// handles signs in to the app phone, unbound, and returns the access and the refresh handle.
func (w *tour) handles() (access, refresh string) {
	w.t.Helper()
	m := w.see(200, same(redeem("phone", claimed, w.code(w.request("phone", claimed))))).members()
	access, _ = m["access_token"].(string)
	refresh, _ = m["refresh_token"].(string)
	return access, refresh
}

// asApp is a request of a native app with its handle.
func asApp(method, url, access string) call {
	return call{method: method, url: url, fields: []string{"Authorization", "Bearer " + access}}
}

// asAdmin is a request of the administrator's.
func asAdmin(method, url string) call {
	return call{method: method, url: url, fields: []string{"Authorization", "Bearer " + token}}
}

// proven adds a proof to a request, and to one with a handle the scheme.
func (w *tour) proven(q call, handle string, bend ...prover.Option) call {
	at, _, _ := strings.Cut(q.url, "?")
	q = q.with("DPoP", w.key.Proof(q.method, at, handle, bend...))
	if handle != "" {
		q = q.with("Authorization", "DPoP "+handle)
	}
	return q
}

// state begins a sign-in, and returns the part of the provider's answer that says whose it is.
func (w *tour) state(p *person, origin string) string {
	w.t.Helper()
	start := w.see(303, same(get(origin+"/bff/login").of(p)))
	return url.Values{"state": {start.to().Query().Get("state")}, "iss": {w.issuer.Issuer()}}.Encode()
}

// id is the public name of a browser's session.
func (w *tour) id(p *person) string {
	session, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["session"].(map[string]any)
	id, _ := session["id"].(string)
	return id
}
