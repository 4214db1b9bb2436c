//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// Where the apps live whose cookie is Lax: one by setting, one by its kind.
const (
	laxOrigin = "http://lax.localhost"
	webOrigin = "http://pages.localhost"
)

const laxApps = `
  lax: {kind: spa, origin: "` + laxOrigin + `", provider: main, client_id: webc_2, client_secret: a-second-secret-long-enough, session: {same_site: lax}}
  pages: {kind: web, origin: "` + webOrigin + `", provider: main, client_id: webc_3, client_secret: a-third-secret-long-enough, authorize: {audience: "https://api.example.com", display: ""}}
`

// contract is a world with all kinds of routes to one API that tells what reached it.
func contract(t *testing.T, env ...string) *probe {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(api.Close)
	p := &probe{World: world.New(t, world.DevProvider, world.Options{
		Apps:   laxApps,
		Behave: func(b *provider.Behaviour) { b.AccessLife = 10 * time.Minute },
		Routes: fmt.Sprintf(`
  - {path: /mirror/, upstream: %[1]q, methods: [GET], token: user}
  - {path: /maybe/, upstream: %[1]q, methods: [GET], token: user-or-none}
  - {path: /any/, upstream: %[1]q, methods: [GET], token: none}
  - {path: /files/, upstream: %[1]q, methods: [GET], token: user, guard: origin}
  - {path: /lax-only/, upstream: %[1]q, methods: [GET], token: user, apps: [lax]}
`, api.URL),
	})}
	for i, c := range []struct{ origin, secret string }{
		{laxOrigin, "a-second-secret-long-enough"}, {webOrigin, "a-third-secret-long-enough"},
	} {
		p.Dev.Register(provider.Client{
			ID: fmt.Sprintf("webc_%d", i+2), Secret: c.secret,
			RedirectURIs: []string{c.origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{c.origin + "/bff/logged-out"},
		})
	}
	p.in = p.Start(1, env...)[0]
	p.signIn()
	return p
}

// signIn signs the user in, in a new browser.
func (p *probe) signIn() {
	p.T.Helper()
	p.user = p.Browser()
	p.SignIn(p.user, "/")
	c, _ := p.user.Cookie(world.Origin, sessionCookie)
	p.cookie = c.Value
}

// members are the names in a JSON object.
func members(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return slices.Sorted(maps.Keys(m))
}

// answered is what the session check says.
type answered struct {
	User    json.RawMessage
	Session struct {
		ExpiresIn     int `json:"expires_in"`
		IdleExpiresIn int `json:"idle_expires_in"`
	}
	LogoutURL string `json:"logout_url"`
}

func (p *probe) session(t *testing.T) (answered, reply) {
	t.Helper()
	got := p.send(t, "GET", "/bff/session", p.withCookie(fetched)...)
	var a answered
	if err := json.Unmarshal([]byte(got.Body), &a); err != nil {
		t.Fatalf("%v: %d %s", err, got.Status, got.Body)
	}
	return a, got
}

// The browser surface, member by member and method by method.
//
// shows SESS-INFO
func TestContractOfTheBrowserSurface(t *testing.T) {
	t.Parallel()
	p := contract(t)
	t.Run("the session check", func(t *testing.T) { sessionCheck(t, p) })
	t.Run("methods", func(t *testing.T) { methods(t, p) })
	t.Run("a cookie and a handle", func(t *testing.T) { cookieAndHandle(t, p) })
	t.Run("return targets", func(t *testing.T) { returnTargets(t, p) })
	t.Run("routes", func(t *testing.T) { routesOfOthers(t, p) })
	t.Run("sign-out by link", func(t *testing.T) { signOutByLink(t, p) })
	t.Run("sign-out by form and fetch", func(t *testing.T) { signOutByPost(t, p) })
	for _, origin := range []string{laxOrigin, webOrigin} {
		t.Run("a Lax cookie at "+origin, func(t *testing.T) { laxSignIn(t, p, origin) })
	}
}

func sessionCheck(t *testing.T, p *probe) {
	if got := p.send(t, "GET", "/bff/session", fetched...); got.Status != 200 || got.Body != `{"authenticated":false}` {
		t.Errorf("signed out: %d %q", got.Status, got.Body)
	}
	a, got := p.session(t)
	if diff := cmp.Diff([]string{"authenticated", "logout_url", "session", "user"}, members(t, json.RawMessage(got.Body))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"email", "name", "sub"}, members(t, a.User)); diff != "" {
		t.Error("user: ", diff)
	}
	var top struct{ Session json.RawMessage }
	_ = json.Unmarshal([]byte(got.Body), &top)
	// acr is there where the provider gives one; this one does not.
	if diff := cmp.Diff([]string{"auth_time", "created_at", "expires_in", "id", "idle_expires_in"}, members(t, top.Session)); diff != "" {
		t.Error("session: ", diff)
	}
	if s := a.Session; s.ExpiresIn < 43000 || s.ExpiresIn > 43200 || s.IdleExpiresIn < 1700 || s.IdleExpiresIn > 1800 { // 12 h and 30 min
		t.Errorf("seconds left: %+v", s)
	}
	if got := p.send(t, "POST", "/bff/session/extend", p.withCookie(fetched)...); got.Status != 200 || !strings.Contains(got.Body, `"authenticated":true`) {
		t.Errorf("extend: %d %s", got.Status, got.Body)
	}
	p.send(t, "POST", "/bff/session/extend", p.withCookie(bare)...).is(t, 403, "csrf_failed")
	p.send(t, "POST", "/bff/session/extend", fetched...).is(t, 401, "session_required")
}

// methods: each address takes those it lists, and tells which when asked with another; /healthz under any host.
func methods(t *testing.T, p *probe) {
	for path, allow := range map[string]string{
		"/bff/login": "GET", "/bff/callback": "GET", "/bff/landed": "GET", "/bff/logged-out": "GET", "/bff/session": "GET",
		"/bff/session/extend": "POST", "/bff/logout": "GET, POST", "/bff/logout/ticket": "GET", "/healthz": "GET",
		"/mirror/x": "GET, HEAD", "/api/orders": "GET, HEAD, POST",
	} {
		for _, method := range []string{"HEAD", "PUT", "OPTIONS", "PROPFIND"} {
			if strings.Contains(allow, method) { // a route's HEAD goes where its GET goes
				continue
			}
			got := p.send(t, method, path, p.withCookie(fetched)...)
			if got.Status != 405 || got.Header.Get("Allow") != allow || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %v, want 405 with Allow %s", method, path, got.Status, got.Header, allow)
			}
		}
	}
	for _, host := range []string{"evil.example", "10.0.0.1:8080", appHost} {
		got := p.sendTo(t, p.in, "GET", "/healthz", "", "Host: "+host)
		if got.Status != 200 || got.Body != `{"status":"ok"}`+"\n" && got.Body != `{"status":"ok"}` {
			t.Errorf("/healthz of %s: %d %q", host, got.Status, got.Body)
		}
		if got := p.sendTo(t, p.in, "HEAD", "/healthz", "", "Host: "+host); got.Status != 405 || got.Header.Get("Allow") != "GET" {
			t.Errorf("HEAD /healthz of %s: %d %v", host, got.Status, got.Header)
		}
	}
	for _, path := range []string{"/bff/logout/", "/bff/logout/a/b", "/bff/unknown", "/bff", "/mobile/token", "/nothing"} {
		p.send(t, "POST", path, p.withCookie(fetched)...).is(t, 404, "not_found")
	}
	p.sendTo(t, p.in, "GET", "/bff/session", "", with(fetched, "Host: evil.example")...).is(t, 421, "misdirected")
}

// cookieAndHandle: a request has one credential. Whose session is meant when there are two, nobody says.
//
// shows NAT-TYPE (a cookie and a handle in one request)
func cookieAndHandle(t *testing.T, p *probe) {
	for _, handle := range []string{
		"Bearer clk_x", "bearer clk_x", "DPoP clk_x", "Bearer  clk_x", "Bearer clr_x", "Bearer x\r\nAuthorization: Bearer clk_x",
	} {
		for _, path := range []string{"/mirror/x", "/maybe/x", "/files/x", "/bff/session"} {
			p.send(t, "GET", path, p.withCookie(fetched, "Authorization: "+handle)...).is(t, 400, "bad_request")
		}
		p.send(t, "POST", "/bff/logout", p.withCookie(fetched, "Authorization: "+handle)...).is(t, 400, "bad_request")
		p.send(t, "GET", "/mirror/x", p.withCookie(bare, "Authorization: "+handle)...).is(t, 403, "csrf_failed")
		p.send(t, "GET", "/mirror/x", with(fetched, "Authorization: "+handle)...).is(t, 401, "session_required")
		if got := p.send(t, "GET", "/any/x", p.withCookie(fetched, "Authorization: "+handle)...); got.Status != 200 || strings.Contains(got.Body, "Authorization") {
			t.Errorf("a route that looks at no credential: %d %s", got.Status, got.Body)
		}
	}
	if got := p.send(t, "GET", "/mirror/x", p.withCookie(fetched, "Authorization: Bearer of-somebody-else")...); got.Status != 200 {
		t.Errorf("an Authorization that is no handle: %d %s", got.Status, got.Body)
	}
}

// returnTargets: 1 KiB is taken and a byte more is not; five logins are in flight, each in a cookie of its own.
func returnTargets(t *testing.T, p *probe) {
	longest := "/" + strings.Repeat("a", 1023)
	p.send(t, "GET", "/bff/login?return_to="+longest+"a", p.withCookie(opened)...).is(t, 400, "bad_request")
	names := make(map[string]bool)
	for range 5 {
		got := p.send(t, "GET", "/bff/login?return_to="+longest, p.withCookie(opened)...)
		lines := got.Header.Values("Set-Cookie")
		if got.Status != 303 || len(lines) != 1 {
			t.Fatalf("1 KiB: %d %q %s", got.Status, lines, got.code())
		}
		pair, attributes, _ := strings.Cut(lines[0], ";")
		name, value, _ := strings.Cut(pair, "=")
		if names[name] = true; !strings.HasPrefix(name, flowCookie) || len(value) > 1536 {
			t.Errorf("%s holds %d bytes", name, len(value))
		}
		if attributes != " Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax" {
			t.Error(attributes)
		}
	}
	if len(names) != 5 {
		t.Errorf("five logins have %d names", len(names))
	}
}

// routesOfOthers: which app may take a route, and where a refusal leads a person.
func routesOfOthers(t *testing.T, p *probe) {
	p.send(t, "GET", "/lax-only/x", p.withCookie(fetched)...).is(t, 403, "app_not_allowed")
	if got := p.send(t, "GET", "/mirror", p.withCookie(fetched)...); got.Status != 200 {
		t.Errorf("the route without its last slash: %d", got.Status)
	}
	// A sign-in that came back to a script's address would end at a refusal, one that came back to a file does not.
	for path, way := range map[string]string{
		"/mirror/x?a=b": `href="/bff/login"`, "/files/x?a=b": `href="/bff/login?return_to=%2Ffiles%2Fx%3Fa%3Db"`,
	} {
		got := p.send(t, "GET", path, navigated("same-origin")...)
		if got.is(t, 401, "session_required"); !strings.Contains(got.Body, way) {
			t.Errorf("%s does not lead to %s: %s", path, way, got.Body)
		}
	}
	problem := p.send(t, "GET", "/mirror/x", fetched...)
	want := []string{"code", "detail", "instance", "login_url", "request_id", "status", "title", "type"}
	if diff := cmp.Diff(want, members(t, json.RawMessage(problem.Body))); diff != "" {
		t.Error(diff)
	}
}

// signOutByLink: logout_url signs this session out and no other, from the app or typed, never from elsewhere.
func signOutByLink(t *testing.T, p *probe) {
	first, _ := p.session(t)
	was := p.cookie
	p.signIn() // another session of the same user
	p.send(t, "GET", first.LogoutURL, p.withCookie(opened)...).is(t, 403, "csrf_failed")
	p.send(t, "GET", "/bff/logout", p.withCookie(opened)...).is(t, 403, "csrf_failed")
	p.send(t, "GET", first.LogoutURL, p.withCookie([]string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"})...).is(t, 403, "csrf_failed")
	p.send(t, "GET", first.LogoutURL, arriving...).is(t, 403, "csrf_failed") // the Strict cookie is withheld
	p.alive(t)
	second := p.cookie
	p.cookie = was
	out := p.send(t, "GET", first.LogoutURL, p.withCookie(navigated("same-origin"))...)
	if ticket := out.Header.Get("Location"); out.Status != 303 || !strings.HasPrefix(ticket, "/bff/logout/") {
		t.Errorf("the link: %d %q", out.Status, ticket)
	}
	if again := p.send(t, "GET", first.LogoutURL, p.withCookie(opened)...); again.Header.Get("Location") != "/bff/logged-out" {
		t.Errorf("the link again: %d %v", again.Status, again.Header)
	}
	ended := p.send(t, "GET", "/mirror/x", p.withCookie(fetched)...)
	if ended.is(t, 401, "session_ended"); !strings.Contains(ended.Body, `"reason":"signed_out"`) || !strings.Contains(ended.Body, `"login_url":"/bff/login"`) {
		t.Error(ended.Body)
	}
	p.cookie = second
}

// signOutByPost: 303 to a form, JSON to anything else.
func signOutByPost(t *testing.T, p *probe) {
	const form, origin = "Content-Type: application/x-www-form-urlencoded", "Origin: " + world.Origin
	for what, lines := range map[string][]string{
		"a form of another site": navigated("cross-site"), "a form of a sibling": with(navigated("same-site"), origin),
		"a form without metadata and Origin": {form}, "a foreign form without metadata": {form, "Origin: http://evil.example"},
		"a fetch without the header": with(bare, form), "JSON without the header": {"Content-Type: application/json", origin},
	} {
		got := p.send(t, "POST", "/bff/logout", p.withCookie(lines)...)
		if got.Status != 403 || got.code() != "csrf_failed" || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %s", what, got.Status, got.code())
		}
	}
	for what, row := range map[string]struct {
		lines []string
		form  bool
	}{
		"a form":                          {with(navigated("same-origin"), form), true},
		"a form without metadata":         {[]string{form, origin}, true},
		"an upload without metadata":      {[]string{"Content-Type: multipart/form-data; boundary=x", origin}, true},
		"a fetch":                         {fetched, false},
		"a fetch with a form's type":      {with(fetched, form), false},
		"a fetch of an old browser":       {[]string{"X-CSRF: 1", origin, "Content-Type: application/json"}, false},
		"a fetch that accepts pages, too": {with(fetched, "Accept: text/html"), false},
	} {
		p.signIn()
		got := p.send(t, "POST", "/bff/logout", p.withCookie(row.lines)...)
		if !strings.Contains(strings.Join(got.Header.Values("Set-Cookie"), "\n"), sessionCookie+"=; Path=/; Max-Age=0") {
			t.Errorf("%s: the cookie stays: %q", what, got.Header.Values("Set-Cookie"))
		}
		if row.form {
			if got.Status != 303 || !strings.HasPrefix(got.Header.Get("Location"), "/bff/logout/") {
				t.Errorf("%s: %d %v", what, got.Status, got.Header)
			}
			continue
		}
		if got.Status != 200 || !strings.HasPrefix(got.Body, `{"redirect_to":"`+world.Origin+`/bff/logout/`) {
			t.Errorf("%s: %d %s", what, got.Status, got.Body)
		}
	}
}

// laxSignIn: where the cookie comes along with a redirect, the callback redirects, and no page is shown in between.
func laxSignIn(t *testing.T, p *probe, origin string) {
	page, err := p.Browser().Click(browser.At(origin+"/"), origin+"/bff/login?login_hint=ada@example.com&return_to=/x?y=1")
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(origin, "http://"), ".localhost")
	for _, hop := range page.Hops {
		if u, err := url.Parse(hop.URL); err != nil || u.Path != "/bff/callback" {
			continue
		}
		cookies := strings.Join(hop.Header.Values("Set-Cookie"), "\n")
		if hop.Status != 303 || hop.Header.Get("Location") != "/x?y=1#" || !strings.Contains(cookies, "__Host-Http-"+host+"=") || strings.Contains(cookies, "Strict") {
			t.Errorf("callback: %d to %q with %s", hop.Status, hop.Header.Get("Location"), cookies)
		}
		asked := p.Dev.RequestsTo(provider.Authorize)
		form := asked[len(asked)-1].Form
		if want := map[bool]string{true: "https://api.example.com"}[host == "pages"]; form.Get("audience") != want || form.Has("display") {
			t.Errorf("the sign-in of %s asks the provider with %v", host, form)
		}
		return
	}
	t.Errorf("no callback on the way to %s: %s", page.URL, page.Text())
}

// What a proxy in front says of the frontend is believed if the configuration names that proxy, and only then.
//
// shows PRX-FWD
func TestContractOfTrustedProxies(t *testing.T) {
	t.Parallel()
	for what, row := range map[string]struct {
		env  []string
		from string
	}{
		"no trusted proxy":     {nil, "127.0.0.1"},
		"another proxy":        {[]string{"CLOAKROOM_PUBLIC__TRUSTED_PROXIES=10.0.0.0/8"}, "127.0.0.1"},
		"the proxy in front":   {[]string{"CLOAKROOM_PUBLIC__TRUSTED_PROXIES=127.0.0.0/8"}, "203.0.113.9"},
		"one of several named": {[]string{"CLOAKROOM_PUBLIC__TRUSTED_PROXIES=10.0.0.0/8,127.0.0.1/32"}, "203.0.113.9"},
	} {
		t.Run(what, func(t *testing.T) {
			p := contract(t, row.env...)
			got := p.send(t, "GET", "/any/x", "X-Forwarded-For: 198.51.100.1, 203.0.113.9", "X-Forwarded-Host: evil.example")
			var m mirrored
			if err := json.Unmarshal([]byte(got.Body), &m); err != nil {
				t.Fatalf("%v: %s", err, got.Body)
			}
			if m.Header.Get("X-Forwarded-For") != row.from || m.Header.Get("X-Forwarded-Host") != appHost {
				t.Errorf("the API is told %v, want %s", m.Header, row.from)
			}
		})
	}
}

// A session without a refresh token lives as long as its access token, and says why it ended.
//
// shows SCALEKIT-L7
func TestContractOfASessionWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{Behave: func(b *provider.Behaviour) {
		b.AccessLife, b.Omit = 2*time.Second, []string{"refresh_token"}
	}})
	p.in.AwaitLog("no refresh token was given, although offline_access was asked for")
	if told := p.send(t, "GET", "/bff/session", p.withCookie(fetched)...); !regexp.MustCompile(`"expires_in":[0-2],`).MatchString(told.Body) {
		t.Errorf("the session of a token that lasts two seconds: %s", told.Body)
	}
	deadline := time.Now().Add(patience)
	got := p.send(t, "GET", "/api/orders", p.withCookie(fetched)...)
	for ; got.Status == 200 && time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		got = p.send(t, "GET", "/api/orders", p.withCookie(fetched)...)
	}
	if got.is(t, 401, "session_ended"); !strings.Contains(got.Body, `"reason":"no_refresh_token"`) {
		t.Error(got.Body)
	}
	if line := got.Header.Get("Set-Cookie"); !strings.HasPrefix(line, sessionCookie+"=; Path=/; Max-Age=0") {
		t.Errorf("the dead cookie: %q", line)
	}
}

// fullYAML is a configuration with every group, as a team would write its first one.
const fullYAML = `
public:    {url: https://gw.example.com, listen: ":8080", trusted_proxies: [10.0.0.0/8]}
ops:       {listen: "127.0.0.1:9090"}
redis:     {addrs: [redis:6379], key_prefix: "cr:"}
sealing_keys:
  - {id: k2, file: k1}
index_keys:
  - {id: i1, file: i1}
providers:
  main:    {preset: scalekit, issuer: https://acme.scalekit.com}
apps:
  web:
    kind: spa
    origin: https://app.example.com
    provider: main
    client_id: webc_1
    client_secret_file: k2
    scopes: [openid, profile, email, offline_access]
    claims: [sub, name, email, picture]
    session: {idle: 30m, absolute: 12h}
    static: {dir: .}
    login: {initiate: true}
  phone:
    kind: mobile
    provider: main
    client_id: webc_2
    client_secret: of-the-phone-and-long-enough
    redirect_uris: ["com.example.app:/signed-in"]
    handle: {dpop: required}
routes:
  - {path: /api/orders/, upstream: https://orders.internal, methods: [GET, POST], token: user, apps: [web, phone]}
`

// leastYAML is the least a Scalekit environment takes: the issuer, a client with its secret, the app's origin.
const leastYAML = `
redis: {addrs: [redis:6379]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {preset: scalekit, issuer: https://acme.scalekit.com}}
apps: {web: {kind: spa, provider: main, origin: https://app.example.com, client_id: webc_1, client_secret_file: k2}}
`

// The configuration as the manual shows it is good, the least is enough, and what to register is told to the letter.
func TestContractOfTheCommand(t *testing.T) {
	t.Parallel()
	s := gateway.NewSetup(t, "")
	s.Write(t, "index.html", "<p>the app</p>") // in the folder that is served
	full, least := s.Write(t, "full.yaml", fullYAML), s.Write(t, "least.yaml", leastYAML)
	for _, file := range []string{full, least} {
		if out, err := exec.Command(s.Bin, "check", "--config", file).CombinedOutput(); err != nil {
			t.Errorf("check %s: %v\n%s", filepath.Base(file), err, out)
		}
	}
	out, err := exec.Command(s.Bin, "urls", "--config", full).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{
		"https://app.example.com/bff/callback", "https://app.example.com/bff/logged-out", "https://app.example.com/bff/initiate",
		"https://app.example.com/bff/backchannel-logout", "https://gw.example.com/mobile/callback/phone",
		"https://gw.example.com/mobile/logged-out", "https://gw.example.com/mobile/backchannel-logout",
	} {
		if !strings.Contains(string(out), " "+address+"\n") {
			t.Errorf("not to register: %s\n%s", address, out)
		}
	}
	if strings.Contains(string(out), "?") {
		t.Errorf("an address with a query:\n%s", out)
	}
	printed, err := exec.Command(s.Bin, "config", "print", "--config", full).Output()
	if err != nil || strings.Contains(string(printed), s.Keys["k2"]) || strings.Contains(string(printed), "of-the-phone") {
		t.Errorf("a secret is printed, or nothing is: %v\n%s", err, printed)
	}
}
