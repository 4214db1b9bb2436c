package server_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
)

const (
	signedIn = "https://links.example.com/signed-in" // a redirect that nobody but the app receives
	verifier = "verifier-of-an-app-0123456789-0123456789-abc"
)

// phones is a running gateway of two native apps and a browser app, with Redis and provider, and an upstream that tells what it got.
type phones struct {
	*front
	upstream *upstream
}

// upstream tells what reached it, and holds one answer open.
type upstream struct {
	*httptest.Server
	left chan struct{} // gets one when a stream's request is over
}

func newUpstream(t *testing.T, name string) *upstream {
	t.Helper()
	u := &upstream{left: make(chan struct{}, 1)}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		fmt.Fprintf(w, "%s %s as %q with %q cookie %q\n", name, r.URL.Path, scheme, body, r.Header.Get("Cookie"))
		if r.URL.Path != "/stream" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		u.left <- struct{}{}
	}))
	t.Cleanup(u.Close)
	return u
}

// newPhones starts it all; change may alter the configuration's text first.
func newPhones(t *testing.T, o server.Options, change ...func(text string) string) *phones {
	t.Helper()
	issuer, err := provider.New(provider.Config{Clients: []provider.Client{nativeClient("phone"), nativeClient("tablet")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	up := newUpstream(t, "first")
	text := fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %q}
apps:
  phone: {kind: mobile, provider: main, client_id: phone, client_secret: secret-of-phone-at-the-provider, redirect_uris: [%q]}
  tablet: {kind: mobile, provider: main, client_id: tablet, client_secret: secret-of-tablet-at-the-provider, redirect_uris: [%q]}
  web: {kind: spa, origin: "https://app.example.com", provider: main, client_id: web, client_secret: secret-of-web-at-the-provider}
routes:
  - {path: /tablets/, upstream: %[5]q, methods: [GET], apps: [tablet]}
  - {path: /webs/, upstream: %[5]q, methods: [GET], apps: [web]}
  - {path: /each/, upstream: %[5]q, methods: [GET], apps: [phone]}
  - {path: /each/, upstream: %[6]q, methods: [GET, POST], apps: [tablet]}
  - {path: /open/, upstream: %[5]q, methods: [GET], token: none}
  - {path: /maybe/, upstream: %[5]q, methods: [GET], token: user-or-none}
  - {path: /staff/, upstream: %[5]q, methods: [GET], require: {claims: {oid: [org_2001]}}}
  - {path: /upload, upstream: %[5]q, methods: [POST]}
  - {path: /cookies, upstream: %[5]q, methods: [GET], cookies: [theme]}
  - {path: /stream, upstream: %[5]q, methods: [GET]}
`, miniredis.RunT(t).Addr(), issuer.Issuer(), signedIn, signedIn, up.URL, newUpstream(t, "second").URL)
	for _, c := range change {
		text = c(text)
	}
	cfg, err := config.Parse(filepath.Join(keyed(t), "cloakroom.yaml"), []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := new(lines)
	o.Log = slog.New(slog.NewJSONHandler(log, nil))
	addr := make(chan net.Addr, 1)
	o.OnListen = func(name string, a net.Addr) {
		if name == "public" {
			addr <- a
		}
	}
	s, err := server.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-over; _ = s.Close() })
	select {
	case a := <-addr:
		return &phones{&front{t: t, addr: a.String(), log: log}, up}
	case err := <-over:
		over <- err
		t.Fatalf("not running: %v", err)
		return nil
	}
}

func nativeClient(id string) provider.Client {
	return provider.Client{
		ID: id, Secret: "secret-of-" + id + "-at-the-provider", Auth: provider.SecretPost,
		RedirectURIs: []string{"https://gw.example.com/mobile/callback/" + id},
	}
}

// call sends a request to the gateway's own origin, and returns the answer with its body read.
func (p *phones) call(method, target, body string, fields ...string) (*http.Response, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, "http://"+p.addr+target, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Host = "gw.example.com"
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	return p.do(req)
}

// do sends a request and follows nothing.
func (p *phones) do(req *http.Request) (*http.Response, string) {
	p.t.Helper()
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(text)
}

// pair is what an app holds.
type pair struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Session struct {
		ID string `json:"id"`
	} `json:"session"`
}

func (h pair) bearer() []string { return []string{"Authorization", "Bearer " + h.Access} }

// signIn signs a user of the provider's in to an app, who is not asked.
func (p *phones) signIn(app, user string, fields ...string) pair {
	p.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	start, _ := p.call("GET", "/mobile/authorize?"+url.Values{
		"client_id": {app}, "redirect_uri": {signedIn}, "response_type": {"code"}, "state": {"s"}, "login_hint": {user},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), "")
	var cookies []string
	for _, c := range start.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	asked, err := http.NewRequest("GET", start.Header.Get("Location"), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answered, _ := p.do(asked)
	back, _ := p.call("GET", strings.TrimPrefix(answered.Header.Get("Location"), "https://gw.example.com"), "", "Cookie", strings.Join(cookies, "; "))
	to, err := url.Parse(back.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		p.t.Fatalf("signing in: sent to %q, then to %q", answered.Header.Get("Location"), back.Header.Get("Location"))
	}
	_, text := p.call("POST", "/mobile/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "redirect_uri": {signedIn},
		"code": {to.Query().Get("code")}, "code_verifier": {verifier},
	}.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, fields...)...)
	var h pair
	if err := json.Unmarshal([]byte(text), &h); err != nil || h.Access == "" || h.Session.ID == "" {
		p.t.Fatalf("redeeming: %s", text)
	}
	return h
}

// shows NAT-TYPE (routes), PRX-AUTHZ, PRX-COOKIE (native apps)
func TestWhichRoutesANativeAppTakes(t *testing.T) {
	p := newPhones(t, server.Options{})
	phone, tablet, grace := p.signIn("phone", "ada@example.com"), p.signIn("tablet", "ada@example.com"), p.signIn("phone", "grace@example.com")
	with := func(h pair, more ...string) []string { return append(h.bearer(), more...) }
	const none = `"" cookie ""` // what the upstream is told of body and cookies
	for _, row := range []struct {
		what, method, path string
		fields             []string
		status             int
		says               string
	}{
		{"the app that may", "GET", "/tablets/x", with(tablet), 200, `first /tablets/x as "Bearer" with ` + none},
		{"an app that may not", "GET", "/tablets/x", with(phone), 403, "app_not_allowed"},
		{"a native app on a browser app's", "GET", "/webs/x", with(phone), 403, "app_not_allowed"},
		{"nobody", "GET", "/tablets/x", nil, 401, "session_required"},
		{"the one app of a shared path", "GET", "/each/x", with(phone), 200, "first /each/x"},
		{"the other app of a shared path", "GET", "/each/x", with(tablet), 200, "second /each/x"},
		{"a method of the other app's alone", "POST", "/each/x", with(phone), 405, "method_not_allowed"},
		{"the same by the other app", "POST", "/each/x", with(tablet), 200, "second /each/x"},

		{"nobody, where no token goes along", "GET", "/open/x", nil, 200, `first /open/x as "" with ` + none},
		{"somebody, where no token goes along", "GET", "/open/x", with(phone), 200, `first /open/x as "" with ` + none},
		{"a bad handle, where none is looked at", "GET", "/open/x", []string{"Authorization", "Bearer clk_x"}, 200, `first /open/x as "" with ` + none},
		{"a browser's session, where none is looked at", "GET", "/open/x", []string{"Cookie", "__Host-Http-web=x"}, 200, none},
		{"nobody, where a token may", "GET", "/maybe/x", nil, 200, `first /maybe/x as "" with ` + none},
		{"somebody, where a token may", "GET", "/maybe/x", with(phone), 200, `first /maybe/x as "Bearer" with ` + none},
		{"a bad handle, where a token may", "GET", "/maybe/x", []string{"Authorization", "Bearer clk_x"}, 401, "session_required"},

		{"who has the claim", "GET", "/staff/x", with(phone), 200, "first /staff/x"},
		{"who has another", "GET", "/staff/x", with(grace), 403, ""},

		{"a browser's session beside a handle", "GET", "/cookies", with(phone, "Cookie", "__Host-Http-web=x"), 400, "bad_request"},
		{
			"cookies of ours beside a handle", "GET", "/cookies",
			with(phone, "Cookie", "__Host-Http-.tx.1-a=x; theme=dark; __Host-Http-phone.so=x; __Host-Http-phone.ok.b=x; other=x"), 200, `cookie "theme=dark"`,
		},
	} {
		res, text := p.call(row.method, row.path, "", row.fields...)
		challenged := strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") // RFC 6750 section 3
		if res.StatusCode != row.status || !strings.Contains(text, row.says) || challenged != (row.status == 400 || row.status == 401) {
			t.Errorf("%s: %d %s, want %d %s", row.what, res.StatusCode, text, row.status, row.says)
		}
	}
}

// The log tells whose request it was, on routes and at the surface's own addresses.
//
// shows LOG-2
func TestTheLogTellsWhoseHandleItWas(t *testing.T) {
	p := newPhones(t, server.Options{})
	h := p.signIn("phone", "ada@example.com")
	for _, path := range []string{"/mobile/session", "/staff/x"} {
		if res, text := p.call("GET", path, "", h.bearer()...); res.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, res.StatusCode, text)
		}
		told := func() bool {
			for line := range strings.Lines(p.log.String()) {
				var entry struct{ Path, Route, App, Session string }
				if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(path, strings.TrimSuffix(entry.Route, "/")) && entry.Route != "" &&
					entry.App == "phone" && entry.Session == h.Session.ID {
					return true
				}
			}
			return false
		}
		for deadline := time.Now().Add(patience); !told(); {
			if time.Now().After(deadline) {
				t.Fatalf("of %s the log does not tell: %s", path, p.log)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
}

// What an app streams ends with its session: nobody reads on after a sign-out.
//
// shows PRX-LIVE (native apps)
func TestAStreamOfANativeAppEndsWithItsSession(t *testing.T) {
	p := newPhones(t, server.Options{})
	h := p.signIn("phone", "ada@example.com")
	c := p.open("GET /stream HTTP/1.1\nHost: gw.example.com\nAuthorization: Bearer " + h.Access + "\n\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("a stream: %v %v", res, err)
	}
	defer res.Body.Close()
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	revoked, text := p.call("POST", "/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {h.Refresh}}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded")
	if revoked.StatusCode != 200 {
		t.Fatalf("revoking: %d %s", revoked.StatusCode, text)
	}
	select {
	case <-p.upstream.left:
	case <-time.After(patience):
		t.Error("the stream goes on")
	}
}

// Once it is known who calls, a body takes as long as it takes.
func TestABodyOfAnAdmittedAppMayComeSlowly(t *testing.T) {
	const formTime = time.Second // what has to come within it here comes at once
	p := newPhones(t, server.Options{FormTime: formTime})
	h := p.signIn("phone", "ada@example.com")
	c := p.open("POST /upload HTTP/1.1\nHost: gw.example.com\nContent-Length: 4\nAuthorization: Bearer " + h.Access + "\n\nab")
	<-time.After(2 * formTime)
	if _, err := io.WriteString(c, "cd"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(text), `with "abcd"`) {
		t.Errorf("%d %s %v", res.StatusCode, text, err)
	}
}
