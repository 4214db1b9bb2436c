package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/server"
	"cloakroom/server/config"
)

const adminToken = "0f9d4c1e7a3b5826d1c4e9f07b6a3d52"

// administered is a running gateway with an admin listener.
type administered struct {
	t     *testing.T
	at    map[string]string // addresses of the listeners
	log   *lines
	redis *miniredis.Miniredis
}

func newAdministered(t *testing.T, set ...func(*server.Options)) *administered {
	t.Helper()
	a := &administered{t: t, at: make(map[string]string), log: new(lines), redis: miniredis.RunT(t)}
	cfg, err := config.Parse(filepath.Join(keyed(t), "cloakroom.yaml"), []byte(fmt.Sprintf(`
public: {listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %s}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: "http://127.0.0.1:1"}
apps:
  web: {kind: spa, origin: "http://localhost:8080", provider: main, client_id: c, client_secret: a-secret-of-some-length-for-the-app}
`, adminToken, a.redis.Addr())), nil)
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{}, 3)
	var mu sync.Mutex
	options := server.Options{
		Log: slog.New(slog.NewJSONHandler(a.log, nil)),
		OnListen: func(name string, addr net.Addr) {
			mu.Lock()
			defer mu.Unlock()
			a.at[name] = addr.String()
			listening <- struct{}{}
		},
	}
	for _, change := range set {
		change(&options)
	}
	s, err := server.New(cfg, options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		_ = s.Close()
	})
	for range 3 {
		<-listening
	}
	return a
}

// ask sends a request with these header fields ("Name: value") to a listener.
func (a *administered) ask(listener, method, path, body string, fields ...string) (*http.Response, string) {
	a.t.Helper()
	r, err := http.NewRequest(method, "http://"+a.at[listener]+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	resp, err := client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return resp, string(text)
}

// asAdmin sends a request with the credential.
func (a *administered) asAdmin(method, path string) (*http.Response, string) {
	a.t.Helper()
	return a.ask("admin", method, path, "", "Authorization: Bearer "+adminToken)
}

// Whoever lacks the credential is told the same, whatever is wrong and whatever was asked for; whoever is a browser is told
// nothing at all; and no other listener knows the addresses.
//
// shows OPS-1
func TestNobodyButTheAdministratorGetsIn(t *testing.T) {
	a := newAdministered(t)
	const bearer = "Authorization: Bearer " + adminToken
	for _, tc := range []struct {
		with     string
		listener string
		path     string
		body     string
		fields   []string
		status   int
		code     string
		rule     string
	}{
		{with: "no credential", status: 401, code: "admin_required", rule: "no credential"},
		{with: "another", fields: []string{"Authorization: Bearer " + strings.Repeat("x", 32)}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "none behind the scheme", fields: []string{"Authorization: Bearer "}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "the beginning of it", fields: []string{"Authorization: Bearer " + adminToken[:31]}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "more than it", fields: []string{"Authorization: Bearer " + adminToken + "0"}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "it in capitals", fields: []string{"Authorization: Bearer " + strings.ToUpper(adminToken)}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "it under another scheme", fields: []string{"Authorization: Basic " + adminToken}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "it twice", fields: []string{bearer, bearer}, status: 401, code: "admin_required", rule: "wrong credential"},
		{with: "it in the query", path: "/admin/sessions?access_token=" + adminToken, status: 401, code: "admin_required", rule: "no credential"},
		{with: "it in a cookie", fields: []string{"Cookie: token=" + adminToken}, status: 401, code: "admin_required", rule: "no credential"},
		{with: "it in a form", body: "access_token=" + adminToken, status: 401, code: "admin_required", rule: "no credential"},
		{with: "no credential for a profile", path: "/debug/pprof/heap", status: 401, code: "admin_required", rule: "no credential"},
		{with: "no credential for nothing", path: "/nothing", status: 401, code: "admin_required", rule: "no credential"},
		{with: "it and a page's Origin", fields: []string{bearer, "Origin: https://app.example.com"}, status: 403, code: "forbidden", rule: "browser"},
		{with: "it and the Origin of nobody", fields: []string{bearer, "Origin: null"}, status: 403, code: "forbidden", rule: "browser"},
		{with: "it and Sec-Fetch-Site: same-origin", fields: []string{bearer, "Sec-Fetch-Site: same-origin"}, status: 403, code: "forbidden", rule: "browser"},
		{with: "it and Sec-Fetch-Site: cross-site", fields: []string{bearer, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, status: 403, code: "forbidden", rule: "browser"},
		{with: "it and a body", body: "{}", fields: []string{bearer}, status: 400, code: "bad_request", rule: "body"},
		{with: "it at the public listener", listener: "public", fields: []string{bearer, "Host: localhost:8080"}, status: 404, code: "not_found"},
		{with: "it at the public listener, for a profile", listener: "public", path: "/debug/pprof/heap", fields: []string{bearer, "Host: localhost:8080"}, status: 404, code: "not_found"},
		{with: "it at the public listener, under no app's host", listener: "public", fields: []string{bearer}, status: 421, code: "misdirected"},
		{with: "it at the operator's listener", listener: "ops", fields: []string{bearer}, status: 404},
		{with: "it at the operator's listener, for a profile", listener: "ops", path: "/debug/pprof/heap", fields: []string{bearer}, status: 404},
	} {
		t.Run("a request with "+tc.with, func(t *testing.T) {
			a.redis.FlushAll() // nobody's count of refusals
			before := strings.Count(a.log.String(), `"event":"admin_refused"`)
			if tc.listener == "" {
				tc.listener = "admin"
			}
			if tc.path == "" {
				tc.path = "/admin/sessions?provider=main&sub=usr_1001"
			}
			resp, body := a.ask(tc.listener, "GET", tc.path, tc.body, append(tc.fields, "Accept: text/html")...)
			if resp.StatusCode != tc.status || tc.code != "" && !strings.Contains(body, `"code":"`+tc.code+`"`) && tc.listener == "admin" {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, body, tc.status, tc.code)
			}
			if tc.status == 401 && resp.Header.Get("WWW-Authenticate") != `Bearer realm="cloakroom"` {
				t.Errorf("challenge %q", resp.Header.Get("WWW-Authenticate"))
			}
			if h := resp.Header; tc.listener == "admin" && (len(h.Values("Set-Cookie"))+len(h.Values("Access-Control-Allow-Origin")) > 0 ||
				h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store") {
				t.Errorf("header %v", h)
			}
			log := a.log.String()
			if tc.rule != "" && (strings.Count(log, `"event":"admin_refused"`) != before+1 || !strings.Contains(log, `"rule":"`+tc.rule+`"`)) {
				t.Errorf("no event of rule %q", tc.rule)
			}
		})
	}
	if strings.Contains(a.log.String(), adminToken) {
		t.Error("the log holds the credential")
	}
}

// A flood of wrong credentials is told to wait; whoever has the right one is not.
func TestWrongCredentialsAreLimitedByAddress(t *testing.T) {
	a := newAdministered(t)
	statuses := make(map[int]int)
	for range 30 {
		resp, _ := a.ask("admin", "GET", "/admin/sessions", "", "Authorization: Bearer wrong")
		if statuses[resp.StatusCode]++; resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Error("a 429 without Retry-After")
		}
	}
	if statuses[401] < 20 || statuses[429] < 5 || statuses[401]+statuses[429] != 30 {
		t.Errorf("statuses %v, want some 20 of 401, then 429", statuses)
	}
	if resp, body := a.asAdmin("GET", "/admin/sessions?provider=main&sub=u"); resp.StatusCode != 200 {
		t.Errorf("the administrator: %d %s", resp.StatusCode, body)
	}
}

// What is not exactly one selector ends nothing.
func TestAnActThatIsNotCertainIsRefused(t *testing.T) {
	a := newAdministered(t)
	for _, tc := range []struct {
		with, method, path string
		status             int
		says               string
	}{
		{"no selector", "DELETE", "/admin/sessions", 400, "provider with sub or sid, app, or all=true"},
		{"two selectors", "DELETE", "/admin/sessions?app=web&all=true", 400, "provider with sub or sid, app, or all=true"},
		{"a user and an app", "DELETE", "/admin/sessions?provider=main&sub=u&app=web", 400, "provider with sub"},
		{"a provider alone", "DELETE", "/admin/sessions?provider=main", 400, "named by provider and sub"},
		{"a user of no provider", "DELETE", "/admin/sessions?sub=u", 400, "named by provider and sub"},
		{"sub and sid", "DELETE", "/admin/sessions?provider=main&sub=u&sid=s", 400, "named by provider and sub"},
		{"an unknown provider", "DELETE", "/admin/sessions?provider=mian&sub=u", 400, "These are configured: main."},
		{"an unknown app", "DELETE", "/admin/sessions?app=wbe", 400, "These are configured: web."},
		{"an empty user", "DELETE", "/admin/sessions?provider=main&sub=", 400, "sub takes one value"},
		{"two users", "DELETE", "/admin/sessions?provider=main&sub=u&sub=v", 400, "sub takes one value"},
		{"a misspelled parameter", "DELETE", "/admin/sessions?all=true&dryrun=true", 400, "The query may hold"},
		{"all=false", "DELETE", "/admin/sessions?all=false", 400, "all is true, or is left out"},
		{"dry_run=1", "DELETE", "/admin/sessions?app=web&dry_run=1", 400, "dry_run is true, or is left out"},
		{"a cursor for a user", "DELETE", "/admin/sessions?provider=main&sub=u&cursor=x", 400, "A cursor belongs to app or all"},
		{"a made-up cursor", "DELETE", "/admin/sessions?app=web&cursor=x", 400, "does not belong"},
		{"a query that does not read", "DELETE", "/admin/sessions?app=web&%zz", 400, "cannot be read"},
		{"a name that is none", "DELETE", "/admin/sessions/x", 400, "not the name of a session"},
		{"an unknown scope", "DELETE", "/admin/sessions/AAAAAAAAAAAAAAAAAAAAAA?scope=all", 400, "scope is sso"},
		{"nobody to find", "GET", "/admin/sessions", 400, "provider with sub or sid"},
		{"a name that nobody has", "GET", "/admin/sessions/AAAAAAAAAAAAAAAAAAAAAA", 404, "no live session"},
		{"another method", "POST", "/admin/sessions", 405, "GET, DELETE"},
		{"another path", "GET", "/admin", 404, "nothing at this address"},
		{"a path that is not clean", "GET", "/admin//sessions", 404, "nothing at this address"},
		{"a profile that is none", "GET", "/debug/pprof/cmdline", 404, "nothing at this address"},
		{"the name of nobody's session", "DELETE", "/admin/sessions/AAAAAAAAAAAAAAAAAAAAAA", 200, `{"done":true,"ended":0}`},
		{"a user who is nowhere", "DELETE", "/admin/sessions?provider=main&sub=u", 200, `{"done":true,"ended":0}`},
		{"a session at the provider that is nowhere", "DELETE", "/admin/sessions?provider=main&sid=s", 200, `{"done":true,"ended":0}`},
		{"an app without sessions", "DELETE", "/admin/sessions?app=web", 200, `{"done":true,"ended":0}`},
		{"a user with no session", "GET", "/admin/sessions?provider=main&sub=u", 200, `{"sessions":[]}`},
		{"the list of profiles", "GET", "/debug/pprof", 200, `"heap"`},
		{"a profile", "GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"a profile of processor time", "GET", "/debug/pprof/profile?seconds=0", 200, ""},
		{"a profile of an hour", "GET", "/debug/pprof/profile?seconds=3600", 400, "60 at most"},
	} {
		t.Run("a request with "+tc.with, func(t *testing.T) {
			resp, body := a.asAdmin(tc.method, tc.path)
			if resp.StatusCode != tc.status || !strings.Contains(body, tc.says) {
				t.Errorf("%d %s, want %d with %q", resp.StatusCode, body, tc.status, tc.says)
			}
		})
	}
	for _, text := range []string{`"action":"end","result":"done"`, `"action":"find","result":"failed"`, `"client_ip":"127.0.0.1"`} {
		if !strings.Contains(a.log.String(), text) {
			t.Errorf("the log never says %s", text)
		}
	}
	if strings.Contains(a.log.String(), `"subject":"u"`) {
		t.Error("the log names the user")
	}
}

// Redis that is away is an outage, told as one, and no credential opens or closes by it.
func TestTheAdminListenerWithoutRedis(t *testing.T) {
	a := newAdministered(t)
	a.redis.Close()
	for path, status := range map[string]int{
		"/admin/sessions?provider=main&sub=u": 503, "/admin/sessions?app=web": 503, "/admin/sessions/AAAAAAAAAAAAAAAAAAAAAA": 503,
	} {
		resp, body := a.asAdmin("DELETE", path)
		if resp.StatusCode != status || !strings.Contains(body, "store_unavailable") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := a.ask("admin", "GET", "/admin/sessions", ""); resp.StatusCode != 401 {
		t.Errorf("without a credential: %d", resp.StatusCode)
	}
}

// An admin listener that anybody on the way could listen to is told of by check; one on loopback is not.
func TestCheckTellsOfAnExposedAdminListener(t *testing.T) {
	for listen, told := range map[string]bool{"0.0.0.0:9091": true, ":9091": true, "10.0.0.5:9091": true, "127.0.0.1:9091": false, "[::1]:9091": false} {
		var out strings.Builder
		env := []string{"CLOAKROOM_ADMIN__LISTEN=" + listen, "CLOAKROOM_ADMIN__TOKEN=" + adminToken}
		code := server.Command(t.Context(), []string{"check", "--config", serveable(t)}, env, &out, &out)
		if code != 0 || strings.Contains(out.String(), "note: admin.listen is not on loopback") != told || strings.Contains(out.String(), adminToken) {
			t.Errorf("%s: exit %d, told %v\n%s", listen, code, told, out.String())
		}
	}
}

// open sends what a client of the admin listener sends first, as it stands, and returns its connection.
func (a *administered) open(text string) net.Conn {
	a.t.Helper()
	c, err := net.Dial("tcp", a.at["admin"])
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// A body that is announced and never comes holds no connection, with the credential or without; and nobody has the listener
// keep a header of any size.
//
// shows OPS-1 (slow clients)
func TestABodyThatNeverComesToTheAdminListener(t *testing.T) {
	a := newAdministered(t)
	const head = "DELETE /admin/sessions?app=web HTTP/1.1\nHost: admin\n"
	for _, row := range []struct{ with, text, status string }{
		{"ten bytes that never come", head + "Content-Length: 10\n\n", "401"},
		{"the credential and ten bytes that never come", head + "Authorization: Bearer " + adminToken + "\nContent-Length: 10\n\n", "400"},
		{"the credential and chunks that never come", head + "Authorization: Bearer " + adminToken + "\nTransfer-Encoding: chunked\n\n", "400"},
		{"the credential and an empty body in chunks", head + "Authorization: Bearer " + adminToken + "\nTransfer-Encoding: chunked\n\n0\n\n", "400"},
		{"thirty kilobytes of header", head + "X: " + strings.Repeat("x", 30<<10) + "\n\n", "431"},
	} {
		text, err := io.ReadAll(a.open(row.text)) // to its end: the connection is closed
		if errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(string(text), "HTTP/1.1 "+row.status+" ") {
			t.Errorf("a request with %s: %.40q, %v", row.with, text, err)
		}
	}
}

// Whoever asks and asks, and reads no answer, is let go of.
//
// shows OPS-1 (slow clients)
func TestAnAdministratorWhoStopsReading(t *testing.T) {
	a := newAdministered(t, func(o *server.Options) { o.Stall = 200 * time.Millisecond })
	asking := fmt.Sprintf("GET /debug/pprof/goroutine?debug=2 HTTP/1.1\nHost: admin\nAuthorization: Bearer %s\n\n", adminToken)
	c := a.open(asking)
	for {
		if _, err := io.WriteString(c, strings.ReplaceAll(asking, "\n", "\r\n")); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the listener still writes to somebody who reads nothing")
			}
			return
		}
	}
}
