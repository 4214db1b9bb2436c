//go:build integration

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// mirror answers with the request as it arrived, the value of Authorization replaced by its scheme.
func mirror(w http.ResponseWriter, r *http.Request) {
	h := r.Header.Clone()
	if a := h.Get("Authorization"); a != "" {
		scheme, _, _ := strings.Cut(a, " ")
		h.Set("Authorization", scheme)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"path": r.URL.EscapedPath(), "header": h})
}

type mirrored struct {
	Path   string
	Header http.Header
}

// reached fails unless the API was reached, and returns what it saw.
func reached(w *world.World, p *browser.Page, m mirrored) mirrored {
	w.T.Helper()
	w.Want(p, 200)
	return m
}

// wantCode fails unless an answer is a problem of this status and code.
func wantCode(w *world.World, p *browser.Page, status int, code string) {
	w.T.Helper()
	w.Want(p, status)
	if !strings.Contains(string(p.Body), `"code":"`+code+`"`) {
		w.T.Errorf("%s: want code %s in %s", p.URL, code, p.Body)
	}
}

// Routes of every kind through the real gateway: which of them needs what, and what each tells its API.
//
// shows PRX-AUTHZ, PRX-COOKIE, PRX-FWD
func TestWhatEachKindOfRouteNeeds(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(mirror))
	t.Cleanup(api.Close)
	w := world.New(t, world.DevProvider, world.Options{
		Apps: `
  docs:
    kind: spa
    origin: ` + docs + `
    provider: main
    client_id: webc_2
    client_secret: another-secret-with-some-length
`,
		Routes: fmt.Sprintf(`
  - {path: /maybe/, upstream: %[1]q, methods: [GET], token: user-or-none}
  - {path: /who/, upstream: %[1]q, methods: [GET], token: user, identity_headers: {X-Forwarded-User: sub, X-User-Mail: email}}
  - {path: /plan/, upstream: "%[2]s/plans/{claim:app.plan}", methods: [GET], token: user, strip_prefix: true}
  - {path: /clerks/, upstream: %[1]q, methods: [GET], token: user, require: {claims: {realm_access.roles: [clerk]}}, identity_headers: {X-User-Roles: realm_access.roles, X-User-Org: org}}
  - {path: /owners/, upstream: %[1]q, methods: [GET], token: user, require: {claims: {realm_access.roles: [owner]}}}
  - {path: /mine/, upstream: "%[2]s/users/{sub}", methods: [GET], token: user, strip_prefix: true}
  - {path: /admins/, upstream: %[1]q, methods: [GET], token: user, require: {claims: {role: [admin]}}}
  - {path: /ada/, upstream: %[1]q, methods: [GET], token: user, require: {claims: {email: [ada@example.com]}}}
  - {path: /anybody/, upstream: %[1]q, methods: [GET], token: none}
  - {path: /docs-only/, upstream: %[1]q, methods: [GET], token: user, apps: [docs]}
`, api.URL, api.URL),
	})
	w.Start(1)
	b := w.Browser()
	get := func(path string, header ...string) (*browser.Page, mirrored) {
		t.Helper()
		q := browser.Request{URL: world.Origin + path, Header: http.Header{"X-Csrf": {"1"}}}
		for i := 0; i < len(header); i += 2 {
			q.Header.Set(header[i], header[i+1])
		}
		p, err := b.Fetch(browser.At(world.Origin+"/"), q)
		if err != nil {
			t.Fatal(err)
		}
		var m mirrored
		_ = json.Unmarshal(p.Body, &m)
		return p, m
	}
	spoof := []string{"X-Forwarded-User", "mallory", "Authorization", "Bearer mine", "X-Forwarded-For", "10.1.2.3", "X_User_Mail", "m@evil"}
	check := func(when string, m mirrored, authorization, user string) {
		t.Helper()
		if got := m.Header.Get("Authorization"); got != authorization {
			t.Errorf("%s: Authorization %q, want %q", when, got, authorization)
		}
		if got := m.Header.Get("X-Forwarded-User"); got != user {
			t.Errorf("%s: X-Forwarded-User %q, want %q", when, got, user)
		}
		if m.Header.Get("Cookie") != "" || m.Header.Get("X_User_Mail") != "" || strings.Contains(m.Header.Get("X-Forwarded-For"), "10.1.2.3") {
			t.Errorf("%s: %v", when, m.Header)
		}
	}

	p, m := get("/maybe/x", spoof...)
	check("anonymous on user-or-none", reached(w, p, m), "", "")
	p, _ = get("/who/x")
	w.Want(p, 401)
	w.Dev.Set(func(b *provider.Behaviour) {
		b.IDClaims = map[string]any{
			"realm_access": map[string]any{"roles": []string{"clerk", "viewer"}}, "app": map[string]any{"plan": "gold"},
			"org_id": "org_7", "profile": map[string]any{"realm_access": map[string]any{"roles": []string{"owner"}}},
		}
	})
	w.SignIn(b, "/")
	p, m = get("/maybe/x", spoof...)
	check("signed in on user-or-none", reached(w, p, m), "Bearer", "")
	p, m = get("/maybe/x", append(spoof, "X-Csrf", "0")...)
	check("without the guard on user-or-none", reached(w, p, m), "", "")
	p, m = get("/who/x", spoof...)
	check("identity", reached(w, p, m), "Bearer", "usr_1001")
	if m.Header.Get("X-User-Mail") != "ada@example.com" {
		t.Errorf("identity: %v", m.Header)
	}
	p, m = get("/mine/orders")
	if reached(w, p, m).Path != "/users/usr_1001/orders" {
		t.Errorf("upstream path %q", m.Path)
	}
	p, m = get("/anybody/x", spoof...)
	check("anonymous route with a session", reached(w, p, m), "", "")
	p, _ = get("/admins/x")
	wantCode(w, p, 403, "claim_required")
	p, m = get("/ada/x")
	reached(w, p, m)
	p, m = get("/clerks/x")
	reached(w, p, m)
	if m.Header.Get("X-User-Roles") != "clerk,viewer" || m.Header.Get("X-User-Org") != "org_7" {
		t.Errorf("claims inside objects: %v", m.Header)
	}
	p, _ = get("/owners/x")
	wantCode(w, p, 403, "claim_required")
	p, m = get("/plan/x")
	if reached(w, p, m).Path != "/plans/gold/x" {
		t.Errorf("upstream path %q", m.Path)
	}
	if p := w.Fetch(b, "GET", "/bff/session", ""); strings.Contains(p.Text(), "clerk") || strings.Contains(p.Text(), "gold") {
		t.Errorf("the frontend is told what only routes ask for: %s", p.Text())
	}
	p, _ = get("/docs-only/x")
	wantCode(w, p, 403, "app_not_allowed")
	p, _ = get("/nothing-here")
	wantCode(w, p, 404, "not_found")
	p = w.Fetch(b, "DELETE", "/maybe/x", "")
	wantCode(w, p, 405, "method_not_allowed")
	if p.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %q", p.Header.Get("Allow"))
	}
	w.Leaks()
}

// Streaming both ways: an event stream arrives event by event, and an upload is echoed while it is still being sent.
func TestStreamingBothWays(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{})
	in := w.Start(1)[0]
	b := w.Browser()
	w.SignIn(b, "/")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := b.Open(ctx, browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + "/api/stream?ms=50", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	for events := 0; events < 3; {
		if !lines.Scan() {
			t.Fatal("the stream ended")
		}
		if strings.HasPrefix(lines.Text(), "data:") {
			events++
		}
	}
	_ = resp.Body.Close()

	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{Method: "POST", URL: world.Origin + "/api/echo", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	r, err := http.NewRequestWithContext(ctx, "POST", world.Origin+"/api/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := in.Client().Do(r)
		if err != nil {
			t.Error(err)
			close(answered)
			return
		}
		answered <- resp
	}()
	for _, piece := range []string{"first", "second"} {
		_, _ = io.WriteString(feed, piece)
		if resp := <-answered; resp != nil {
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
				t.Fatalf("echo of %q: %q %v", piece, got, err)
			}
			answered <- resp
		}
	}
	_ = feed.Close()
	if resp := <-answered; resp != nil {
		_ = resp.Body.Close()
	}
}
