//go:build integration

package nginx_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/nginx"
	"cloakroom/test/websocket"
	"cloakroom/test/world"
)

const (
	credential = "the-credential-of-the-asking-proxy-at-the-gateway"
	gatewayURL = "http://gw.localhost"

	phoneSecret = "the-secret-of-the-phone-at-the-provider"
	phoneURI    = "https://app.example.com/signed-in" // claimed: no request is sent to it
)

// seen is what the API got.
type seen struct {
	Method, URI string
	Header      http.Header
}

// api is an API behind nginx: it notes what it gets, and tells the frontend nothing of it.
type api struct {
	at string

	mu  sync.Mutex
	got []seen
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.at = strings.TrimPrefix(srv.URL, "http://")
	return a
}

// ServeHTTP notes the request and answers by its path.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.got = append(a.got, seen{r.Method, r.RequestURI, r.Header.Clone()})
	a.mu.Unlock()
	switch {
	case strings.HasPrefix(r.URL.Path, "/beside/accel"): // an API that was talked into a field of nginx's
		w.Header().Set("X-Accel-Redirect", "/_cloakroom")
	case r.Header.Get("Upgrade") == "websocket":
		a.echo(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=600")
	w.Header().Add("Set-Cookie", "__Host-Http-web=forged; Path=/; Secure")
	_, _ = w.Write([]byte(`{"ok":true}`))
}

// echo says what it hears over a WebSocket.
func (a *api) echo(w http.ResponseWriter, r *http.Request) {
	c := websocket.Take(w)
	c.Switch(r)
	for {
		_, said, err := c.Read()
		if err != nil {
			return
		}
		c.Send(websocket.Text, "heard "+said)
	}
}

// last is what the API got last, and how many there were.
func (a *api) last() (s seen, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n = len(a.got); n > 0 {
		s = a.got[n-1]
	}
	return s, n
}

// beside is a world with nginx in front of two gateways.
type beside struct {
	*world.World
	api   *api
	nginx *nginx.Server
}

const routes = `
  - {path: /beside/, methods: [GET, HEAD, POST, PUT, DELETE, OPTIONS], token: user, external: true, identity_headers: {X-Forwarded-User: sub}}
  - {path: /beside/guest/, methods: [GET, POST], token: user-or-none, external: true}
  - {path: /beside/roles/, methods: [GET], token: user, apps: [web], external: true, require: {claims: {roles: [nobody-has-it]}}}
  - {path: /beside/few/, methods: [GET], token: user, external: true, limits: [{by: session, count: 1, per: 1m, burst: 2}]}
  - {path: /beside/crowd/, methods: [GET], token: user, external: true, limits: [{by: address, count: 1, per: 1m, burst: 2}]}
  - {path: /beside/fresh/, methods: [GET, POST], token: user, external: true, require: {max_age: 5m}}
  - {path: /beside/gold/, methods: [GET], token: user, external: true, require: {acr: [gold]}}
  - {path: /beside/pages/fresh/, methods: [GET, POST], token: user, kind: site, apps: [web], external: true, require: {max_age: 5m}}
  - {path: /beside/pages/, methods: [GET, POST], token: user, kind: site, apps: [web], external: true}
  - {path: /beside/live/, methods: [GET], token: user, external: true, websocket: true}
`

// locations are the API's, of each server: as documented, at another path.
const locations = `
	location /beside/ {
		include cloakroom/guard.conf;
		include cloakroom/forward.conf;
		proxy_pass http://orders;
	}
	location /beside/live/ {
		include cloakroom/guard.conf;
		include cloakroom/forward.conf;
		proxy_set_header Upgrade $http_upgrade;
		proxy_pass http://orders;
	}
`

func newBeside(t *testing.T, behave func(*provider.Behaviour)) *beside {
	t.Helper()
	b := &beside{api: newAPI(t)}
	b.World = world.New(t, devWithPhone, world.Options{
		Behave: behave, Routes: routes + fmt.Sprintf("  - {path: /own/, upstream: %q, methods: [GET], token: user, websocket: true}\n", "http://"+b.api.at),
		More: "external_auth: {listen: \"127.0.0.1:0\", token: " + credential + "}",
		Apps: `
  phone:
    kind: mobile
    provider: main
    client_id: nativec_1
    client_secret: ` + phoneSecret + `
    redirect_uris: ["` + phoneURI + `"]
`,
	})
	b.Scan.Secret("credential of the proxy", credential)
	site := nginx.Site{
		API: b.api.at, Credential: credential, More: locations,
		Hosts: map[string]string{"web.localhost": world.Origin, "gw.localhost": gatewayURL},
	}
	for _, in := range b.Start(2, "CLOAKROOM_PUBLIC__TRUSTED_PROXIES=127.0.0.1/32", "CLOAKROOM_PUBLIC__URL="+gatewayURL) {
		site.Gateways, site.Authorizer = append(site.Gateways, in.Addr), append(site.Authorizer, in.External)
	}
	b.nginx = nginx.Start(t, "../../deploy/nginx", site)
	b.At(&gateway.Instance{Addr: b.nginx.Addr})
	return b
}

func devWithPhone(t *testing.T, w *world.World, o world.Options) {
	world.DevProvider(t, w, o)
	w.Dev.Register(provider.Client{
		ID: "nativec_1", Secret: phoneSecret,
		RedirectURIs: []string{gatewayURL + "/mobile/callback/phone"}, PostLogoutRedirectURIs: []string{gatewayURL + "/mobile/logged-out"},
	})
}

// problem is what a refusal says.
type problem struct {
	Code     string
	Status   int
	LoginURL string `json:"login_url"`
}

// refused reads a refusal, which is a problem of this status and code.
func (b *beside) refused(p *browser.Page, status int, code string) problem {
	b.T.Helper()
	b.Want(p, status)
	var told problem
	if err := json.Unmarshal(p.Body, &told); err != nil {
		b.T.Fatalf("%s: %v: %.300s", p.URL, err, p.Body)
	}
	if told.Code != code || told.Status != status || p.Header.Get("Content-Type") != "application/problem+json" {
		b.T.Errorf("%s: %s %d, %s; want %s", p.URL, told.Code, told.Status, p.Header.Get("Content-Type"), code)
	}
	if p.Header.Get("Cache-Control") != "no-store" {
		b.T.Errorf("%s: Cache-Control %q", p.URL, p.Header.Get("Cache-Control"))
	}
	return told
}

// isToken reports whether a field carries a token that the provider has issued.
func (b *beside) isToken(field string) bool {
	token, ok := strings.CutPrefix(field, "Bearer ")
	for _, s := range b.OP.Secrets() {
		if ok && s.Value == token && s.Kind == provider.KindAccess {
			return true
		}
	}
	return false
}
