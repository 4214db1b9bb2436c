package openapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/getkin/kin-openapi/openapi3"

	"cloakroom/dev/provider"
	"cloakroom/surface"
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
	client := func(id string, uris ...string) provider.Client {
		return provider.Client{ID: id, Secret: id + secret, Auth: provider.SecretPost, RedirectURIs: uris, PostLogoutRedirectURIs: []string{web + "/bff/logged-out", gw + "/mobile/logged-out"}}
	}
	var err error
	if w.issuer, err = provider.New(provider.Config{Clients: []provider.Client{
		client("web", web+"/bff/callback"), client("pages", pages+"/bff/callback"),
		client("phone", gw+"/mobile/callback/phone", plain+"/mobile/callback/phone"), client("bound", gw+"/mobile/callback/bound"),
	}}); err != nil {
		t.Fatal(err)
	}
	if err := w.issuer.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.issuer.Close)
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

// api is what the routes forward to.
func (w *tour) api(rw http.ResponseWriter, r *http.Request) {
	switch first := strings.Split(r.URL.Path, "/")[1]; {
	case strings.HasPrefix(r.URL.Path, "/api/via"):
		rw.Header().Set("Seen-Via", r.Header.Get("Via"))
	case strings.HasPrefix(r.URL.Path, "/api/refuse"):
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

// Every answer that is described is given, as it is described; and of all that was asked nothing was answered otherwise.
func TestEveryDescribedAnswerIsReal(t *testing.T) {
	w := newTour(t)
	for _, leg := range []func(){
		w.documents, w.signInByBrowser, w.browserSessions, w.signOutByBrowser, w.signInByApp, w.nativeSessions, w.signOutByApp,
		w.boundHandles, w.provider, w.operator, w.administrator, w.routes, w.refusals, w.floods, w.outage, w.drain,
	} {
		w.newUser()
		leg()
	}
	for _, what := range w.missing() {
		t.Errorf("described, and not seen: %s", what)
	}
	w.unreferenced()
}

func (w *tour) documents() {
	for _, path := range []string{
		gw + "/.well-known/oauth-authorization-server/mobile", gw + "/mobile/.well-known/openid-configuration", gw + "/mobile/jwks", gw + "/mobile/jwks/phone",
		gw + "/.well-known/apple-app-site-association", gw + "/.well-known/assetlinks.json", gw + "/openapi.json", web + "/.well-known/jwks.json",
		web + "/healthz", gw + "/healthz", ops + "/healthz",
	} {
		w.see(200, same(get(path)))
	}
	for _, path := range []string{"/.well-known/apple-app-site-association", "/.well-known/assetlinks.json", "/mobile/jwks/web", "/mobile/frontchannel-logout"} {
		w.see(404, same(get(plain+path)))
	}
}

func (w *tour) signInByBrowser() {
	w.see(200, same(get(web+"/bff/login", "Sec-Fetch-Site", "cross-site")))
	w.see(400, same(get(web+"/bff/login?return_to=https://evil.example")))
	w.see(503, same(get(lost+"/bff/login")))
	w.begin(newPerson(), web, "prompt=login&max_age=0&ui_locales=de+en&return_to=/")

	p := w.signIn(web, 200)
	w.signIn(pages, 303)
	w.see(400, same(get(web+"/bff/callback?code=c&state=unknown")))
	w.see(303, func() call { // what the app can act on comes back to it
		p := newPerson()
		return get(web + "/bff/callback?error=access_denied&" + w.state(p, web)).of(p)
	})
	w.see(403, func() call {
		p := newPerson()
		return get(web + "/bff/callback?error=who_knows&" + w.state(p, web)).of(p)
	})
	w.see(502, func() call {
		p := newPerson()
		return get(web + "/bff/callback?error=server_error&" + w.state(p, web)).of(p)
	})

	w.see(303, same(get(web+"/bff/landed?return_to=/orders").of(p)))
	w.see(400, same(get(web+"/bff/landed")))
	w.see(401, same(get(web+"/bff/landed", "Cookie", "__Host-Http-web="+nobody)))
	w.see(200, same(get(web+"/bff/signed-in").of(p)))
	w.see(401, same(get(web+"/bff/signed-in")))
	w.see(403, same(get(web+"/bff/signed-in?login_error=access_denied")))

	w.see(200, same(get(web+"/bff/initiate?iss="+url.QueryEscape(w.issuer.Issuer())+"&target_link_uri=/orders")))
	w.see(400, same(get(web+"/bff/initiate?iss=https://other.example")))
	w.see(400, same(get(web+"/bff/initiate?bff_step=again")))
	w.see(404, same(get(pages+"/bff/initiate")))
	w.see(303, same(get(web+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-web.in=0")))
	w.see(508, same(get(web+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-web.in=4")))
	w.see(503, same(get(lost+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-lost.in=0")))
}

// state begins a sign-in, and returns the part of the provider's answer that says whose it is.
func (w *tour) state(p *person, origin string) string {
	q := w.begin(p, origin, "").Query()
	_, start := w.send(get(origin + "/bff/login").of(p))
	q = start.to().Query()
	return url.Values{"state": {q.Get("state")}, "iss": {w.issuer.Issuer()}}.Encode()
}

func (w *tour) browserSessions() {
	p := w.signIn(web, 200)
	w.see(200, same(script("GET", web+"/bff/session", p)))
	w.see(200, same(script("GET", web+"/bff/session", nil)))
	w.see(200, same(script("POST", web+"/bff/session/extend", p)))
	w.see(200, same(script("GET", web+"/bff/sessions", p)))
	w.see(204, same(script("DELETE", web+"/bff/sessions", p)))
	w.newUser()
	p = w.signIn(web, 200)
	w.see(404, same(script("DELETE", web+"/bff/sessions/"+nobody[:22], p)))
	other := w.id(w.signIn(web, 200))
	w.see(204, same(script("DELETE", web+"/bff/sessions/"+other, p)))
	q := w.signIn(web, 200)
	w.follow(script("GET", web+"/bff/events", q),
		func() { w.see(200, same(script("POST", web+"/bff/session/extend", q))) },
		func() { w.see(200, same(script("POST", web+"/bff/logout", q))) })
	q = w.signIn(web, 200)
	w.follow(script("GET", web+"/bff/events", q), func() { // the same browser signs in anew
		w.see(200, same(get(w.begin(q, web, "login_hint="+w.user()).String()).of(q)))
	})
	w.see(200, same(script("DELETE", web+"/bff/sessions/"+w.id(p), p)))
	w.see(401, same(script("DELETE", web+"/bff/sessions/"+other, p)))
	w.ended(p)
}

// ended shows that of a session that was ended it is told once why.
func (w *tour) ended(*person) {
	p := w.signIn(web, 200)
	held := newPerson()
	held.keep("web.localhost", []*http.Cookie{{Name: "__Host-Http-web", Value: p.cookies["web.localhost"]["__Host-Http-web"]}})
	w.see(200, same(script("POST", web+"/bff/logout", p)))
	w.see(401, same(script("POST", web+"/bff/session/extend", held)))
}

// id is the public name of a browser's session.
func (w *tour) id(p *person) string {
	session, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["session"].(map[string]any)
	id, _ := session["id"].(string)
	return id
}

func (w *tour) signOutByBrowser() {
	out := func() (*person, string) { // signs out, and returns the one-time address
		p := w.signIn(web, 200)
		to, _ := w.see(200, same(script("POST", web+"/bff/logout", p))).members()["redirect_to"].(string)
		return p, to
	}
	p, to := out()
	w.see(200, same(get(to, "Sec-Fetch-Site", "cross-site").of(p)))
	leaving := w.see(303, same(get(to).of(p)))
	w.see(410, same(get(to).of(p)))
	w.see(303, same(get(web+"/bff/logged-out?state="+leaving.to().Query().Get("state")).of(p)))
	w.see(200, same(get(web+"/bff/logged-out")))

	p = w.signIn(web, 200)
	form := post(web+"/bff/logout", nil, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin").of(p)
	w.see(303, same(form))
	p = w.signIn(web, 200)
	link, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["logout_url"].(string)
	w.see(303, same(get(web+link).of(p)))
}

func (w *tour) signInByApp() {
	w.see(400, same(get(gw+"/mobile/authorize?client_id=nobody")))
	w.see(303, same(get(gw+"/mobile/authorize?"+w.request("phone", claimed, "response_type", "token").Encode())))
	w.see(400, same(get(gw+"/mobile/callback/phone?code=c&state=unknown")))
	w.see(404, same(get(gw+"/mobile/callback/nobody")))
	w.see(503, func() call { // begun at a gateway whose keys this one does not know
		p := newPerson()
		_, start := w.send(get(plain + "/mobile/authorize?" + w.request("phone", private).Encode()).of(p))
		p.cookies["gw.example.com"] = p.cookies["plain.example.com"]
		return get(gw + "/mobile/callback/phone?code=c&state=" + start.to().Query().Get("state")).of(p)
	})
	confirm := func() call {
		p := newPerson()
		page := w.see(200, same(get(w.beginNative(p, w.request("phone", private))).of(p)))
		check := regexp.MustCompile(`name="confirm" value="([^"]+)"`).FindStringSubmatch(page.text)
		if check == nil {
			w.t.Fatalf("no form on the page: %s", page.text)
		}
		return post(gw+"/mobile/callback/phone", url.Values{"confirm": {check[1]}}, "Sec-Fetch-Site", "same-origin").of(p)
	}
	q := confirm()
	again := q.of(&person{cookies: map[string]map[string]string{"gw.example.com": copyOf(q.by.cookies["gw.example.com"])}})
	w.see(303, same(q))
	w.see(410, func() call { // the same page in another window
		held := &person{cookies: map[string]map[string]string{"gw.example.com": copyOf(again.by.cookies["gw.example.com"])}}
		return again.of(held)
	})
	w.see(400, same(call{method: "POST", url: gw + "/mobile/callback/phone", fields: []string{"Sec-Fetch-Site", "same-origin"}}))
	w.see(404, same(post(gw+"/mobile/callback/nobody", nil, "Sec-Fetch-Site", "same-origin")))

	w.see(201, same(post(gw+"/mobile/par", w.request("phone", claimed))))
	pushed := w.see(201, same(post(gw+"/mobile/par", w.request("phone", claimed, "prompt", "")))).members()
	uri, _ := pushed["request_uri"].(string)
	w.see(303, same(get(gw+"/mobile/authorize?"+url.Values{"client_id": {"phone"}, "request_uri": {uri}}.Encode())))
	_, elsewhere := w.send(post(plain+"/mobile/par", w.request("phone", private)))
	w.see(503, same(get(gw+"/mobile/authorize?"+url.Values{"client_id": {"phone"}, "request_uri": {fmt.Sprint(elsewhere.members()["request_uri"])}}.Encode())))
	w.see(400, same(post(gw+"/mobile/par", w.request("phone", "https://evil.example"))))
	w.see(400, same(post(gw+"/mobile/par", w.request("phone", claimed, "response_type", "token"))))

	_, refresh := w.handles()
	w.see(200, same(post(gw+"/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {refresh}})))
	w.see(400, same(redeem("phone", claimed, nobody)))
	w.see(400, same(post(gw+"/mobile/token", url.Values{"grant_type": {"password"}, "client_id": {"phone"}})))
	w.see(400, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}})))
	w.see(200, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {refresh}})))
	w.see(401, same(post(gw+"/mobile/token", url.Values{"grant_type": {"refresh_token"}}, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("phone:secret")))))
}

func copyOf(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (w *tour) nativeSessions() {
	access, _ := w.handles()
	session, _ := w.see(200, same(asApp("GET", gw+"/mobile/session", access))).members()["session"].(map[string]any)
	w.see(200, same(asApp("GET", gw+"/mobile/sessions", access)))
	other, refresh := w.handles()
	w.follow(asApp("GET", gw+"/mobile/events", other), func() {
		w.see(200, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {refresh}})))
	})
	w.see(204, same(asApp("DELETE", gw+"/mobile/sessions", access)))
	w.newUser()
	access, _ = w.handles()
	session, _ = w.see(200, same(asApp("GET", gw+"/mobile/session", access))).members()["session"].(map[string]any)
	w.see(404, same(asApp("DELETE", gw+"/mobile/sessions/"+nobody[:22], access)))
	other, _ = w.handles()
	theirs, _ := w.see(200, same(asApp("GET", gw+"/mobile/session", other))).members()["session"].(map[string]any)
	w.see(204, same(asApp("DELETE", gw+"/mobile/sessions/"+fmt.Sprint(theirs["id"]), access)))
	w.see(200, same(asApp("DELETE", gw+"/mobile/sessions/"+fmt.Sprint(session["id"]), access)))
	w.see(401, same(asApp("GET", gw+"/mobile/session", access)))
}

func (w *tour) signOutByApp() {
	access, _ := w.handles()
	to, _ := w.see(200, same(asApp("POST", gw+"/mobile/logout", access))).members()["logout_url"].(string)
	w.see(200, same(asApp("POST", gw+"/mobile/logout", access)))
	p := newPerson()
	w.see(200, same(get(to).of(p)))
	leave := post(to, nil, "Sec-Fetch-Site", "same-origin").of(p)
	w.see(200, same(leave))
	w.see(410, same(leave))
	state := p.cookies["gw.example.com"][surface.CookieName("phone", surface.PartLeaving)]
	w.see(303, same(get(gw+"/mobile/logged-out?state="+state).of(p)))
	w.see(200, same(get(gw+"/mobile/logged-out")))
}

func (w *tour) boundHandles() {
	// An app that must bind, at a gateway that wants its own nonces.
	asked := w.request("bound", claimed, "dpop_jkt", w.key.Thumbprint())
	code := w.code(asked)
	w.see(400, same(redeem("bound", claimed, code)))
	refused := w.see(400, func() call { return w.proven(redeem("bound", claimed, code), "") })
	w.nonce = refused.Header.Get("DPoP-Nonce")
	good := w.see(200, func() call { return w.proven(redeem("bound", claimed, code), "", prover.Nonce(w.nonce)) })
	handle, _ := good.members()["access_token"].(string)
	if good.members()["token_type"] != "DPoP" || good.Header.Get("DPoP-Nonce") == "" {
		w.t.Errorf("a bound handle: %v %s", good.Header, good.text)
	}
	session := call{method: "GET", url: gw + "/mobile/session"}
	w.see(401, func() call { return w.proven(session, handle) })
	w.see(401, func() call { return w.proven(session, handle, prover.Nonce(w.nonce), prover.Method("POST")) })
	w.see(401, same(asApp("GET", gw+"/mobile/session", handle)))
	w.see(200, func() call { return w.proven(session, handle, prover.Nonce(w.nonce)) })
	push := post(gw+"/mobile/par", w.request("bound", claimed))
	w.see(400, func() call { return w.proven(push, "", prover.Nonce(w.nonce), prover.Method("GET")) })
	w.see(201, func() call { return w.proven(push, "", prover.Nonce(w.nonce)) })
	// An app that may.
	w.see(200, func() call { return w.proven(redeem("phone", claimed, w.code(w.request("phone", claimed))), "") })
}

func (w *tour) provider() {
	for _, at := range []struct{ client, url string }{{"web", web + "/bff/backchannel-logout"}, {"phone", gw + "/mobile/backchannel-logout"}} {
		text, err := w.issuer.MakeLogoutToken(provider.LogoutToken{Client: at.client, Sub: "usr_1002", SID: "ses_none"})
		if err != nil {
			w.t.Fatal(err)
		}
		w.see(200, same(post(at.url, url.Values{"logout_token": {text}})))
		w.see(400, same(post(at.url, url.Values{"logout_token": {text}})))
	}
	query := "?iss=" + url.QueryEscape(w.issuer.Issuer()) + "&sid=ses_none"
	w.see(200, same(get(web+"/bff/frontchannel-logout"+query)))
	w.see(200, same(get(gw+"/mobile/frontchannel-logout"+query)))
	w.see(404, same(get(lost+"/bff/frontchannel-logout")))
}

func (w *tour) operator() {
	w.see(200, same(get(ops+"/readyz")))
	w.see(200, same(get(ops+"/metrics")))
}

func (w *tour) administrator() {
	p := w.signIn(web, 200)
	id := w.id(p)
	w.see(200, same(asAdmin("GET", admin+"/admin/sessions?provider=main&sub="+w.user())))
	w.see(200, same(asAdmin("GET", admin+"/admin/sessions/"+id)))
	w.see(404, same(asAdmin("GET", admin+"/admin/sessions/"+nobody[:22])))
	w.see(400, same(asAdmin("GET", admin+"/admin/sessions")))
	w.see(400, same(asAdmin("GET", admin+"/admin/sessions/x")))
	w.see(400, same(asAdmin("DELETE", admin+"/admin/sessions")))
	w.see(400, same(asAdmin("DELETE", admin+"/admin/sessions/"+id+"?scope=all")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions/"+id+"?scope=sso")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?provider=main&sub=usr_1002")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?provider=main&sid=ses_none&dry_run=true")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?app=pages")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?all=true&dry_run=true")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof/heap")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof/goroutine?debug=1")))
	w.see(400, same(asAdmin("GET", admin+"/debug/pprof/profile?seconds=61")))
	w.see(404, same(asAdmin("GET", admin+"/debug/pprof/nothing")))
	w.see(400, same(call{method: "GET", url: admin + "/debug/pprof", fields: asAdmin("", "").fields, body: "x"}))
}

// routes shows what the gateway itself answers on the operator's own routes, and everywhere.
func (w *tour) routes() {
	p := w.signIn(web, 200)
	api := func(method, path string) call { return script(method, web+path, p) }
	w.is("RouteUpstreamUnauthorized", 401, api("GET", "/api/refuse"))
	w.is("RouteAppNotAllowed", 403, api("GET", "/phones/x"))
	w.is("RouteClaimRequired", 403, api("GET", "/staff/x"))
	w.is("RouteNotFound", 404, api("GET", "/nothing"))
	big := api("POST", "/api/x")
	big.body = strings.Repeat("x", 2<<10)
	w.is("RouteTooLarge", 413, big)
	w.is("RouteUpstreamUnavailable", 502, api("GET", "/dead/x"))
	_, came := w.send(api("GET", "/api/via"))
	w.is("RouteLoopDetected", 508, api("GET", "/api/x").with("Via", came.Header.Get("Seen-Via")))
	w.is("RouteUpstreamTimeout", 504, api("GET", "/hang/x"))
	w.is("MethodNotAllowed", 405, api("PUT", "/api/x"))
	w.is("Malformed", 400, api("GET", "/api/..%2fx"))
	w.is("Misdirected", 421, get("http://elsewhere.example.com/"))
	w.is("SessionRequired", 401, get(web+"/api/x", csrf...))
	w.is("GuardFailed", 403, get(web+"/api/x").of(p))
	w.is("HandleRefused", 401, get(gw+"/api/x"))
}

// oauth are the endpoints that OAuth libraries post to.
var oauth = []string{"/mobile/token", "/mobile/revoke", "/mobile/par"}

// refusals asks every operation for what all of its kind refuse.
func (w *tour) refusals() {
	p := w.signIn(web, 200)
	access, _ := w.handles()
	w.each(401, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case takes(op, "csrf"):
			q.fields = csrf
		case slices.Contains(oauth, path):
			q = post(q.url, url.Values{"client_id": {"nobody"}})
		case path == "/bff/landed" || path == "/mobile/callback/{app}": // shown by themselves
			return nil
		}
		return same(q)
	})
	w.each(403, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case server == ofAdmin:
			q = asAdmin(method, q.url).with("Origin", web)
		case op.Tags[0] == "browser session":
			q = q.of(p).with("Sec-Fetch-Site", "cross-site")
		case takes(op, "handle"):
			q = asApp(method, q.url, access).with("Origin", "https://evil.example")
		case slices.Contains(oauth, path):
			q = post(q.url, nil, "Origin", "https://evil.example")
		default: // an address that is opened
			q = q.with("Sec-Purpose", "prefetch")
		}
		return same(q)
	})
	w.each(400, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case takes(op, "handle"):
			return same(asApp(method, q.url, access).with("Cookie", "__Host-Http-web=x"))
		case takes(op, "csrf"):
			return same(script(method, q.url, p).with("Authorization", "Bearer "+access))
		case server == ofAdmin: // a parameter that nothing knows
			return same(asAdmin(method, q.url+"?unknown=x"))
		}
		return nil // each has its own rules: shown by themselves
	})
	w.methods()
}

// methods asks every path for every method that it does not take.
func (w *tour) methods() {
	for pattern, item := range w.d.Paths.Map() {
		var allow []string
		for method := range item.Operations() {
			allow = append(allow, method)
		}
		slices.Sort(allow)
		for _, server := range item.Servers {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if slices.Contains(allow, method) || method == "HEAD" && (server.URL == ofOps || server.URL == ofAdmin) { // net/http answers it as GET
					continue
				}
				_, res := w.send(asAdmin(method, at(server.URL, pattern)))
				got := slices.DeleteFunc(strings.Split(res.Header.Get("Allow"), ", "), func(m string) bool { return m == "HEAD" })
				if slices.Sort(got); res.StatusCode != 405 || !slices.Equal(got, allow) {
					w.t.Errorf("%s %s at %s: %d, Allow %q, described are %q", method, pattern, server.URL, res.StatusCode, got, allow)
				}
			}
		}
	}
}

// at is the address of an operation in the tour.
func at(server, path string) string {
	base := map[string]string{ofApp: web, ofGateway: gw, ofOps: ops, ofAdmin: admin}[server]
	return base + strings.NewReplacer("{id}", nobody[:22], "{ticket}", nobody, "{app}", "phone", "{name}", "heap").Replace(path)
}

// takes reports whether an operation names a security scheme.
func takes(op *openapi3.Operation, scheme string) bool {
	if op.Security == nil {
		return false
	}
	return slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { _, ok := r[scheme]; return ok })
}

// outage takes the store away: what cannot be told is 503, and nobody is signed out by it.
func (w *tour) outage() {
	p := w.signIn(web, 200)
	access, refresh := w.handles()
	link, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["logout_url"].(string)
	back, person := "", newPerson()
	page := w.see(200, same(get(w.beginNative(person, w.request("phone", private))).of(person)))
	check := regexp.MustCompile(`name="confirm" value="([^"]+)"`).FindStringSubmatch(page.text)
	form := func(path string, values ...string) call {
		v := url.Values{}
		for i := 0; i+1 < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return post(gw+path, v)
	}
	special := map[string]func() call{
		"GET /bff/callback": func() call {
			p := newPerson()
			back = w.begin(p, web, "login_hint="+w.user()).String()
			return get(back).of(p)
		},
		"GET /bff/landed":              same(get(web + "/bff/landed").of(p)),
		"GET /bff/signed-in":           same(get(web + "/bff/signed-in").of(p)),
		"GET /bff/logout":              same(get(web + link).of(p)),
		"POST /mobile/callback/{app}":  same(post(gw+"/mobile/callback/phone", url.Values{"confirm": {check[1]}}, "Sec-Fetch-Site", "same-origin").of(person)),
		"POST /mobile/token":           same(form("/mobile/token", "grant_type", "refresh_token", "client_id", "phone", "refresh_token", refresh)),
		"POST /mobile/revoke":          same(form("/mobile/revoke", "client_id", "phone", "token", refresh)),
		"POST /mobile/logout/{ticket}": same(post(gw+"/mobile/logout/"+nobody, nil, "Sec-Fetch-Site", "same-origin")),
		"GET /mobile/callback/{app}":   nil, // goes back to the app
		"GET /mobile/authorize":        nil, // writes nothing, as all starts
		"GET /bff/login":               nil, // writes nothing
		"GET /bff/initiate":            nil,
		"GET /readyz":                  nil, // says so in its body
		"DELETE /admin/sessions":       same(asAdmin("DELETE", admin+"/admin/sessions?app=web")),
		"GET /admin/sessions":          same(asAdmin("GET", admin+"/admin/sessions?provider=main&sub=usr_1001")),
	}
	w.redis.Close()
	w.see(200, same(get(ops+"/readyz")))
	w.each(503, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch make, is := special[method+" "+path]; {
		case is:
			return make
		case server == ofAdmin:
			return same(asAdmin(method, q.url))
		case takes(op, "handle"):
			return same(asApp(method, q.url, access))
		case op.Tags[0] == "browser session":
			return same(script(method, q.url, p))
		}
		return same(q.of(p))
	})
}

// floods asks where it is too much, each from an address of its own: real floods are other tests'.
func (w *tour) floods() {
	p := w.signIn(web, 200)
	access, _ := w.handles()
	asked := 0
	w.each(429, func(server, path, method string, op *openapi3.Operation) func() call {
		flooder := newPerson()
		asked++
		flooder.from = fmt.Sprint("203.0.113.", asked)
		q := call{method: method, url: at(server, path)}
		switch {
		case path == "/bff/events":
			return w.tooManyStreams(script(method, q.url, p))
		case path == "/mobile/events":
			return w.tooManyStreams(asApp(method, q.url, access))
		case method == "POST":
			q = post(q.url, url.Values{"client_id": {"nobody"}, "logout_token": {"x"}}, "Sec-Fetch-Site", "same-origin")
		}
		if server != ofAdmin { // where no proxy is believed
			q = q.of(flooder)
		}
		w.exhaust(q)
		return same(q)
	})
}

// exhaust has the limit that a request counts against be used up, for half a minute at least: what it keeps is the moment at
// which all of the burst is free again, in milliseconds.
func (w *tour) exhaust(q call) {
	limits := func() map[string]string {
		all := map[string]string{}
		for _, key := range w.redis.Keys() {
			if strings.HasPrefix(key, "cr:rl:") {
				all[key], _ = w.redis.Get(key)
			}
		}
		return all
	}
	before := limits()
	w.send(q)
	for key, value := range limits() {
		if value != before[key] { // 70 s: the longest burst takes 40, and a moment too far ahead would be taken for a clock set back
			if err := w.redis.Set(key, fmt.Sprint(time.Now().Add(70*time.Second).UnixMilli())); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// tooManyStreams opens as many as a session may have; its request is for one more.
func (w *tour) tooManyStreams(q call) func() call {
	for range 20 {
		body := w.open(q).Body
		w.t.Cleanup(func() { _ = body.Close() })
	}
	return same(q)
}

// drain has the gateway stop while somebody still waits for an answer.
func (w *tour) drain() {
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		res := w.open(get(gw + "/slow/"))
		_ = res.Body.Close()
	}()
	<-w.waits
	w.stop["full"]()
	w.until("it drains", func() bool {
		_, res := w.send(get(ops + "/readyz"))
		return res.StatusCode == http.StatusServiceUnavailable
	})
	w.see(503, same(get(ops+"/readyz")))
	close(w.slow)
	<-waiting
}

// until waits until something holds.
func (w *tour) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("still not so: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// unreferenced lists the responses that belong to no operation, and those of them that the tour did not see.
func (w *tour) unreferenced() {
	used := map[string]bool{}
	for _, item := range w.d.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				used[strings.TrimPrefix(r.Ref, "#/components/responses/")] = true
			}
		}
	}
	// What cannot be asked for here: a defect, and one WebSocket too many, which the proxy's own tests show.
	for _, name := range []string{"Internal", "RouteTooManySockets"} {
		used[name] = true
	}
	for name, r := range w.d.Components.Responses {
		for media := range r.Value.Content {
			if !used[name] && !w.also[name+" "+media] {
				w.t.Errorf("described, and not seen: response %s %s", name, media)
			}
		}
	}
}
