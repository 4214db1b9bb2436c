//go:build integration

package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

const askerCredential = "the-credential-of-the-asking-proxy-at-the-gateway"

// asking is a world in which another proxy asks.
type asking struct {
	*world.World
	cookie string // of the session
}

func newAsking(t *testing.T) *asking {
	t.Helper()
	w := world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
		More:   "external_auth: {listen: \"127.0.0.1:0\", token: " + askerCredential + "}",
		Routes: `
  - {path: /beside/, methods: [GET, POST], token: user, external: true, identity_headers: {X-Forwarded-User: sub}}
  - {path: /beside/guest/, methods: [GET], token: user-or-none, external: true}
  - {path: /beside/pages/, methods: [GET, POST], token: user, kind: site, external: true}
  - {path: /api/beside/, methods: [GET], token: user, external: true}
`,
	})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	c, _ := b.Cookie(world.Origin, "__Host-Http-web")
	return &asking{w, "__Host-Http-web=" + c.Value}
}

// original is a request that another proxy is about to forward.
type original struct {
	method, url string
	fields      []string // "Name: value"
}

// script is a call by the app's own script, signed in.
func (a *asking) script(method, path string, fields ...string) original {
	return original{method, world.Origin + path, append(fields, "X-CSRF: 1", "Sec-Fetch-Site: same-origin", "Cookie: "+a.cookie)}
}

// dialects write a question as nginx, Traefik and Envoy do.
var dialects = map[string]func(o original) (method, path, host string, fields []string){
	"nginx": func(o original) (string, string, string, []string) {
		return "GET", "/nginx", "cloakroom", []string{"X-Original-Method: " + o.method, "X-Original-URL: " + o.url}
	},
	"nginx by parts": func(o original) (string, string, string, []string) {
		scheme, host, uri := o.parts()
		return "GET", "/nginx", host, []string{"X-Original-Method: " + o.method, "X-Original-URI: " + uri, "X-Forwarded-Proto: " + scheme}
	},
	"traefik": func(o original) (string, string, string, []string) {
		scheme, host, uri := o.parts()
		return "GET", "/traefik", "cloakroom", []string{
			"X-Forwarded-Method: " + o.method, "X-Forwarded-Proto: " + scheme, "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + uri,
		}
	},
	"envoy": func(o original) (string, string, string, []string) {
		scheme, host, uri := o.parts()
		return o.method, "/envoy" + uri, host, []string{"X-Forwarded-Proto: " + scheme}
	},
}

func (o original) parts() (scheme, host, uri string) {
	scheme, rest, _ := strings.Cut(o.url, "://")
	host, uri, _ = strings.Cut(rest, "/")
	return scheme, host, "/" + uri
}

// answer is what the asking proxy gets.
type answer struct {
	*http.Response
	body string
}

// ask asks in a dialect, with the credential.
func (a *asking) ask(dialect string, o original) answer {
	a.T.Helper()
	method, path, host, fields := dialects[dialect](o)
	return a.send(a.All[0].External, method, path, host, append(fields, append(o.fields, "X-Forwarded-For: 192.0.2.7", "Cloakroom-Credential: "+askerCredential)...))
}

// send sends a request as it is.
func (a *asking) send(addr, method, path, host string, fields []string) answer {
	a.T.Helper()
	r, err := http.NewRequest(method, "http://"+addr, nil)
	if err != nil {
		a.T.Fatal(err)
	}
	r.URL.Opaque, r.Host = path, host
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		a.T.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		a.T.Fatal(err)
	}
	return answer{res, string(body)}
}

// What is good is granted with the session's token, in every dialect, to be stored by nobody and read by no page.
//
// shows PRX-AUTHZ, PRX-CACHE
func TestExternalAuthorizationGrants(t *testing.T) {
	t.Parallel()
	a := newAsking(t)
	tokens := make(map[string]bool)
	for _, s := range a.OP.Secrets() {
		tokens["Bearer "+s.Value] = s.Kind == provider.KindAccess
	}
	for dialect := range dialects {
		for _, o := range []original{
			a.script("GET", "/beside/orders?page=2&q=a%2Fb"), a.script("POST", "/beside/orders"), a.script("GET", "/beside/guest/x"),
			a.script("GET", "/beside/orders", "Authorization: Bearer forged", "X-Forwarded-User: usr_1002"),
		} {
			got := a.ask(dialect, o)
			h := got.Header
			named := map[bool]string{false: "usr_1001", true: ""}[strings.Contains(o.url, "/guest/")] // as the route says
			if got.StatusCode != 200 || !tokens[h.Get("Authorization")] || h.Get("X-Forwarded-User") != named || got.body != "" {
				t.Errorf("%s, %s %s: %s with %v", dialect, o.method, o.url, got.Status, h)
			}
			if h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cookie") != "" || h.Get("Set-Cookie") != "" {
				t.Errorf("%s, %s %s: %v", dialect, o.method, o.url, h)
			}
		}
		guest := a.ask(dialect, original{"GET", world.Origin + "/beside/guest/x", []string{"Authorization: Basic eDp5", "X-Forwarded-User: usr_1002", "X-Consumer-Custom-ID: 1", "Oidc_claim_sub: 1"}})
		if h := guest.Header; guest.StatusCode != 200 || h.Get("Authorization") != "" || h.Get("X-Forwarded-User") != "" {
			t.Errorf("%s, a guest: %s with %v", dialect, guest.Status, h)
		}
		gone := guest.Header.Get("X-Envoy-Auth-Headers-To-Remove")
		if (dialect == "envoy") != strings.HasPrefix(gone, "cloakroom-credential,x-csrf,dpop,authorization,cookie,x-forwarded-user,") {
			t.Errorf("%s: to be removed: %q", dialect, gone)
		}
		for _, name := range []string{"x-user", "x-userid", "x-client-verify", "x-consumer-custom-id", "oidc_claim_sub"} { // by name, and by what it begins with if it came
			if (dialect == "envoy") != slices.Contains(strings.Split(gone, ","), name) {
				t.Errorf("%s: to be removed: %q, with %s", dialect, gone, name)
			}
		}
	}
	site := a.ask("traefik", a.script("GET", "/beside/pages/x", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Cookie: theme=dark"))
	if site.StatusCode != 200 || site.Header.Get("Cookie") != "theme=dark" {
		t.Errorf("a site's own cookies: %s with %q", site.Status, site.Header.Get("Cookie"))
	}
}

// What is refused at the public listener is refused here, for the same reason: by the original method, address, origin and
// metadata, never by those of the question. nginx is told by the two statuses that it knows, and the rest in fields.
//
// shows CSRF-1, CSRF-3, PRX-PATH, PRX-HOST, WS-1
func TestExternalAuthorizationRefuses(t *testing.T) {
	t.Parallel()
	a := newAsking(t)
	cookie := "Cookie: " + a.cookie
	cases := map[string]struct {
		o      original
		status int
		code   string
	}{
		"a call without a session":              {original{"GET", world.Origin + "/beside/x", []string{"X-CSRF: 1"}}, 401, "session_required"},
		"a call without the header":             {original{"GET", world.Origin + "/beside/x", []string{cookie, "Sec-Fetch-Site: same-origin"}}, 403, "csrf_failed"},
		"a write from another site":             {original{"POST", world.Origin + "/beside/x", []string{cookie, "X-CSRF: 1", "Sec-Fetch-Site: cross-site"}}, 403, "csrf_failed"},
		"a write with another origin":           {original{"POST", world.Origin + "/beside/x", []string{cookie, "X-CSRF: 1", "Origin: http://evil.localhost"}}, 403, "csrf_failed"},
		"a write that shows nothing":            {original{"POST", world.Origin + "/beside/x", []string{cookie, "X-CSRF: 1"}}, 403, "csrf_failed"},
		"a form from another site":              {original{"POST", world.Origin + "/beside/pages/x", []string{cookie, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}}, 403, "csrf_failed"},
		"a script element":                      {a.script("GET", "/beside/x", "Sec-Fetch-Dest: script"), 403, "csrf_failed"},
		"two cookies":                           {a.script("GET", "/beside/x", cookie), 401, "session_required"},
		"a method that the route lacks":         {a.script("DELETE", "/beside/x"), 405, "method_not_allowed"},
		"an address without a route":            {a.script("GET", "/elsewhere"), 404, "not_found"},
		"a route that the gateway forwards":     {a.script("GET", "/api/orders"), 404, "not_found"},
		"an address of the gateway's own":       {a.script("GET", "/bff/session"), 404, "not_found"},
		"a host that is no app's":               {original{"GET", "http://other.localhost/beside/x", []string{cookie, "X-CSRF: 1"}}, 421, "misdirected"},
		"a scheme that is not the app's":        {original{"GET", "https://web.localhost/beside/x", []string{cookie, "X-CSRF: 1"}}, 400, "bad_request"},
		"a path with a dot segment":             {a.script("GET", "/beside/guest/../x"), 400, "bad_request"},
		"a path with an encoded slash":          {a.script("GET", "/beside/guest/..%2fx"), 400, "bad_request"},
		"a path with an empty segment":          {a.script("GET", "/beside//x"), 400, "bad_request"},
		"a path that is escaped twice":          {a.script("GET", "/beside/%252e%252e/x"), 400, "bad_request"},
		"a path with NUL":                       {a.script("GET", "/beside/x%00"), 400, "bad_request"},
		"a path with parameters":                {a.script("GET", "/beside/guest;x/y"), 400, "bad_request"},
		"a token in the query":                  {a.script("GET", "/beside/x?access_token=y"), 400, "bad_request"},
		"a WebSocket where there is none":       {a.script("GET", "/beside/x", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: "+world.Origin), 400, "bad_request"},
		"a handle beside a cookie":              {a.script("GET", "/beside/x", "Authorization: Bearer clk_x"), 400, "bad_request"},
		"a request that came through once more": {a.script("GET", "/beside/x", "Via: 1.1 cloakroom"), 508, "loop_detected"},
	}
	for name, c := range cases {
		for dialect := range dialects {
			got := a.ask(dialect, c.o)
			status, problem := got.StatusCode, got.body
			if strings.HasPrefix(dialect, "nginx") {
				known := map[int]int{401: 401, 508: 508}[c.status]
				if known == 0 {
					known = 403
				}
				if got.StatusCode != known || got.body != "" {
					t.Errorf("%s in the words of %s: %s, want %d", name, dialect, got.Status, known)
				}
				status, _ = strconv.Atoi(got.Header.Get("Cloakroom-Status"))
				problem = got.Header.Get("Cloakroom-Problem")
			}
			if strings.HasPrefix(problem, "<!doctype html>") && status == c.status { // to a navigation, where pages can be shown
				continue
			}
			var told struct{ Code string }
			if err := json.Unmarshal([]byte(problem), &told); err != nil || told.Code != c.code || status != c.status {
				t.Errorf("%s in the words of %s: %d %q, want %d %s", name, dialect, status, problem, c.status, c.code)
			}
			if got.Header.Get("Authorization")+got.Header.Get("X-Forwarded-User")+got.Header.Get("Cookie") != "" {
				t.Errorf("%s in the words of %s: refused with %v", name, dialect, got.Header)
			}
		}
	}
}

// A navigation to a page goes to the sign-in, and comes back; what the gateway shows in place of the page is never taken for
// leave to pass, whatever its status would be.
func TestExternalAuthorizationOfPages(t *testing.T) {
	t.Parallel()
	a := newAsking(t)
	visit := func(site string, fields ...string) original {
		return original{"GET", world.Origin + "/beside/pages/x?y=1", append(fields, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: "+site, "Accept: text/html")}
	}
	const login = "/bff/login?return_to=%2Fbeside%2Fpages%2Fx%3Fy%3D1"
	for _, dialect := range []string{"traefik", "envoy"} {
		if got := a.ask(dialect, visit("none")); got.StatusCode != 303 || got.Header.Get("Location") != login {
			t.Errorf("%s, a visit: %s to %q", dialect, got.Status, got.Header.Get("Location"))
		}
		if got := a.ask(dialect, visit("cross-site")); got.StatusCode != 401 || !strings.Contains(got.body, "<html") {
			t.Errorf("%s, a page in place of the visit: %s %.100s", dialect, got.Status, got.body)
		}
	}
	for _, site := range []string{"none", "cross-site"} {
		if got := a.ask("nginx", visit(site)); got.StatusCode != 401 || got.Header.Get("Cloakroom-Location") != login {
			t.Errorf("nginx, a visit, %s: %s to %q", site, got.Status, got.Header.Get("Cloakroom-Location"))
		}
	}
	if got := a.ask("nginx", visit("none", "Cookie: __Host-Http-web.so=x")); got.Header.Get("Cloakroom-Location") != "/bff/logged-out" {
		t.Errorf("right after a sign-out: to %q", got.Header.Get("Cloakroom-Location"))
	}
	form := original{"POST", world.Origin + "/beside/pages/x", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Accept: text/html"}}
	if got := a.ask("traefik", form); got.StatusCode != 401 {
		t.Errorf("a form without a session: %s", got.Status)
	}
	if got := a.ask("nginx", form); got.StatusCode != 401 || got.Header.Get("Cloakroom-Location") != "" {
		t.Errorf("a form without a session, nginx: %s to %q", got.Status, got.Header.Get("Cloakroom-Location"))
	}
}

// A question that does not say all, or says it twice, is none: nothing is filled in, and nothing is granted.
func TestExternalAuthorizationAskedWrong(t *testing.T) {
	t.Parallel()
	a := newAsking(t)
	good := a.script("GET", "/beside/x").fields
	nginx := []string{"X-Original-Method: GET", "X-Original-URL: " + world.Origin + "/beside/x", "X-Forwarded-For: 192.0.2.7"}
	cases := map[string]struct {
		path   string
		fields []string
	}{
		"no method":               {"/nginx", nginx[1:]},
		"two methods":             {"/nginx", append([]string{"X-Original-Method: POST"}, nginx...)},
		"two addresses":           {"/nginx", append([]string{"X-Original-URL: " + world.Origin + "/beside/guest/x"}, nginx...)},
		"address and parts":       {"/nginx", append([]string{"X-Original-URI: /beside/guest/x"}, nginx...)},
		"no address":              {"/nginx", []string{nginx[0], nginx[2]}},
		"an address without path": {"/nginx", []string{nginx[0], nginx[2], "X-Original-URL: " + world.Origin}},
		"no frontend":             {"/nginx", nginx[:2]},
		"a frontend by name":      {"/nginx", append([]string{"X-Forwarded-For: somebody"}, nginx[:2]...)},
		"another scheme":          {"/nginx", []string{nginx[0], nginx[2], "X-Original-URL: ftp://web.localhost/beside/x"}},
		"a dialect unknown":       {"/caddy", nginx},
		"a dialect's path longer": {"/nginx/beside/x", nginx},
		"a dialect with a query":  {"/nginx?x=1", nginx},
		"no path of Envoy's":      {"/envoy", append([]string{"X-Forwarded-Proto: http"}, nginx...)},
		"half of Traefik":         {"/traefik", append([]string{"X-Forwarded-Method: GET", "X-Forwarded-Host: web.localhost", "X-Forwarded-Uri: /beside/x"}, nginx...)},
	}
	for name, c := range cases {
		got := a.send(a.All[0].External, "GET", c.path, "web.localhost", append(append([]string{"Cloakroom-Credential: " + askerCredential}, c.fields...), good...))
		if got.StatusCode != 400 || got.body != "" || got.Header.Get("Authorization") != "" {
			t.Errorf("a question with %s: %s %v", name, got.Status, got.Header)
		}
	}
}

// Without the credential there is one answer, which says nothing, to whatever is asked, and it is told to the operator. The
// public listener knows neither the questions nor the routes, also where a shorter route of its own would take them.
func TestExternalAuthorizationIsForTheProxyAlone(t *testing.T) {
	t.Parallel()
	a := newAsking(t)
	o := a.script("GET", "/beside/x")
	question := func(path string) []string {
		_, _, _, fields := dialects["nginx"](o)
		return append(append(fields, o.fields...), "X-Forwarded-For: 192.0.2.7")
	}
	for name, fields := range map[string][]string{
		"no credential":            nil,
		"a wrong one":              {"Cloakroom-Credential: x"},
		"a longer one":             {"Cloakroom-Credential: " + askerCredential + "x"},
		"a shorter one":            {"Cloakroom-Credential: " + askerCredential[1:]},
		"an empty one":             {"Cloakroom-Credential: "},
		"the right one twice":      {"Cloakroom-Credential: " + askerCredential, "Cloakroom-Credential: " + askerCredential},
		"the right one as a token": {"Authorization: Bearer " + askerCredential},
	} {
		for _, path := range []string{"/nginx", "/traefik", "/envoy/beside/x", "/", "/elsewhere"} {
			for _, method := range []string{"GET", "OPTIONS", "POST"} {
				got := a.send(a.All[0].External, method, path, "web.localhost", append(question(path), fields...))
				if h := got.Header; got.StatusCode != 401 || got.body != "" || h.Get("Authorization")+h.Get("Cloakroom-Problem")+h.Get("Www-Authenticate") != "" {
					t.Errorf("%s %s with %s: %s %v %q", method, path, name, got.Status, got.Header, got.body)
				}
			}
		}
	}
	if !strings.Contains(a.All[0].Log(), "external authorization by a wrong credential") {
		t.Error("nobody was told of a wrong credential")
	}
	right := append(question("/nginx"), "Cloakroom-Credential: "+askerCredential)
	for _, host := range []string{"web.localhost", "gw.localhost", "cloakroom", a.All[0].External} {
		for _, path := range []string{"/nginx", "/traefik", "/envoy/beside/x", "/beside/x", "/beside/guest/x", "/beside/pages/x", "/api/beside/x", "/bff/nginx"} {
			got := a.send(a.All[0].Addr, "GET", path, host, right)
			if got.StatusCode != 404 && got.StatusCode != 421 || got.Header.Get("Authorization") != "" {
				t.Errorf("the public listener, %s under %s: %s", path, host, got.Status)
			}
		}
	}
	for _, path := range []string{"/nginx", "/metrics"} {
		if got := a.send(a.All[0].Ops, "GET", path, "x", right); got.Header.Get("Authorization") != "" || path == "/nginx" && got.StatusCode != 404 {
			t.Errorf("the operator's listener, %s: %s", path, got.Status)
		}
	}
	a.Scan.Secret("credential of the proxy", askerCredential)
	a.Scan.Secret("session-cookie", strings.TrimPrefix(a.cookie, "__Host-Http-web="))
	a.Leaks()
}
