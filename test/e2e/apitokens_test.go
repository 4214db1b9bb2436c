//go:build integration

package e2e_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// noted is an API that keeps the header fields of what it was asked.
type noted struct {
	*httptest.Server
	mu  sync.Mutex
	got []http.Header
}

func newNoted(t *testing.T) *noted {
	t.Helper()
	n := &noted{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got = append(n.got, r.Header.Clone())
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(n.Close)
	return n
}

// last is what came last, and how much there was.
func (n *noted) last() (h http.Header, hits int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if hits = len(n.got); hits > 0 {
		h = n.got[hits-1]
	}
	return h, hits
}

// The token that a bound session's is exchanged for, and the one that it has for a resource, are bound to the session's own key:
// the API gets them by DPoP alone, each call with a proof of its own for this API and this token, at every instance.
//
// shows TX-2.2, RES-2, DPOP-OUT-AS, DPOP-OUT-RS
func TestAPITokensOfABoundSession(t *testing.T) {
	t.Parallel()
	api := newNoted(t)
	w := boundWorld{world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.DPoPRequired, b.DPoPNonces = true, true },
		Routes: fmt.Sprintf(`
  - {path: /orders/, upstream: %[1]q, methods: [GET], token: exchange, exchange: {audience: orders, scopes: ["orders:read"]}}
  - {path: /stock/, upstream: %[1]q, methods: [GET], token: user, resource: "https://stock.example.com"}
`, api.URL),
	})}
	w.Start(2, bindsTokens)
	b, jkt := w.signsIn(w.All[0])
	jtis := map[string]bool{}
	for _, in := range w.All {
		w.At(in)
		for path, audience := range map[string]string{"/orders/1": "orders", "/stock/1": "https://stock.example.com"} {
			w.Want(w.Fetch(b, "GET", path, ""), 200)
			h, _ := api.last()
			token, ok := strings.CutPrefix(h.Get("Authorization"), "DPoP ")
			if !ok {
				t.Fatalf("%s: a bound token went by %.6s", path, h.Get("Authorization"))
			}
			if aud := said(t, token).Aud; len(aud) != 1 || aud[0] != audience {
				t.Errorf("%s: a token for %v", path, aud)
			}
			sum, proof := sha256.Sum256([]byte(token)), w.claimsIn(h)
			if got := w.thumbprintIn(h); got != jkt {
				t.Errorf("%s: a proof by another key than the session's", path)
			}
			if proof.HTU != api.URL+path || proof.HTM != "GET" || proof.ATH != base64.RawURLEncoding.EncodeToString(sum[:]) || jtis[proof.JTI] {
				t.Errorf("%s: proof %+v", path, proof)
			}
			jtis[proof.JTI] = true
		}
	}
	if n := w.Dev.GrantCount(provider.GrantExchange); n > 2 { // one, and once more where the provider asked for a nonce
		t.Errorf("%d exchanges", n)
	}
	w.Leaks()
}

// Another proxy that asks is given the token of the route's own kind, and none in its place where that cannot be had.
//
// shows PRX-AUTHZ, TX-NOFALL, RES-2
func TestExternalAuthorizationGivesAPITokens(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
		More:   "external_auth: {listen: \"127.0.0.1:0\", token: " + askerCredential + "}",
		Routes: `
  - {path: /beside/orders/, methods: [GET], external: true, token: exchange, exchange: {audience: orders, scopes: ["orders:read"]}}
  - {path: /beside/stock/, methods: [GET], external: true, token: user, resource: "https://stock.example.com"}
  - {path: /beside/closed/, methods: [GET], external: true, token: exchange, exchange: {audience: vault}}
`,
	})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	c, _ := b.Cookie(world.Origin, "__Host-Http-web")
	a := &asking{w, "__Host-Http-web=" + c.Value}
	for path, audience := range map[string]string{"/beside/orders/1": "orders", "/beside/stock/1": "https://stock.example.com"} {
		first := ""
		for dialect := range dialects {
			got := a.ask(dialect, a.script("GET", path))
			token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
			if got.StatusCode != 200 || !ok {
				t.Fatalf("%s in the words of %s: %s %s", path, dialect, got.Status, got.body)
			}
			if aud := said(t, token).Aud; len(aud) != 1 || aud[0] != audience || first != "" && token != first {
				t.Errorf("%s in the words of %s: a token for %v", path, dialect, aud)
			}
			first = token
		}
	}
	if n := w.Dev.GrantCount(provider.GrantExchange); n != 1 {
		t.Errorf("%d exchanges", n)
	}
	w.Dev.Fault(provider.Token, provider.Fault{Match: provider.IsExchange, Times: provider.Always, Status: 400, Body: `{"error":"invalid_target"}`})
	for dialect := range dialects {
		got := a.ask(dialect, a.script("GET", "/beside/closed/1"))
		status, problem := got.StatusCode, got.body
		if strings.HasPrefix(dialect, "nginx") {
			status, _ = strconv.Atoi(got.Header.Get("Cloakroom-Status"))
			problem = got.Header.Get("Cloakroom-Problem")
		}
		if status != 502 || !strings.Contains(problem, `"code":"token_refused"`) || got.Header.Get("Authorization") != "" {
			t.Errorf("a refused exchange in the words of %s: %d %v %s", dialect, status, got.Header, problem)
		}
	}
}

// A provider that has ended the session's token before its time, and says so to the exchange alone: the user notices nothing,
// and the API is sent a token of the renewed one.
//
// shows TX-2.2
func TestASubjectThatTheProviderHasEnded(t *testing.T) {
	t.Parallel()
	w := newTrading(t, 2, 20*time.Second)
	b := w.user("usr_1001")
	began := time.Now()
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	<-time.After(time.Until(began.Add(6 * time.Second))) // a token that came less than a quarter of its life ago is not renewed for this
	w.Dev.Fault(provider.Token, provider.Fault{
		Match: provider.IsExchange, Times: 1, Status: 400, Body: `{"error":"invalid_request"}`, Header: http.Header{"Content-Type": {"application/json"}},
	})
	for _, in := range w.All {
		w.At(in)
		w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	}
	if n, x := w.Dev.GrantCount("refresh_token"), w.exchanges(); n != 1 || x != 2 {
		t.Errorf("%d refreshes and %d exchanges", n, x)
	}
	if strings.Contains(w.All[0].Log(), "exchanges no token") {
		t.Error("an operator is called")
	}
}

// A provider that goes on with the sign-in it has, though prompt=login asked for a new one: the app is told, and the session
// from before lives on, as with max_age. One that tells no auth_time is believed.
//
// shows STEP-5
func TestAProviderThatIgnoresPrompt(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.DevProvider, world.Options{Behave: func(b *provider.Behaviour) { b.Revocation = provider.ReachSession }})
	w.Start(2)
	b := signedInLongAgo(w, time.Hour)
	again := func() *browser.Page {
		t.Helper()
		p, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?prompt=login&return_to=/orders")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	w.Dev.Set(func(b *provider.Behaviour) { b.IgnorePrompt = true })
	old := session(t, b)
	if p := again(); !strings.HasPrefix(p.URL, world.Origin+"/orders?login_error=step_up_unmet") {
		t.Fatalf("at %s: %d %s", p.URL, p.Status, p.Text())
	}
	if session(t, b) != old {
		t.Error("another session")
	}
	for _, in := range w.All {
		w.At(in)
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	}
	w.Dev.Set(func(b *provider.Behaviour) { b.IDClaims = map[string]any{"auth_time": nil} })
	if p := again(); p.URL != world.Origin+"/orders" || session(t, b) == old {
		t.Errorf("without auth_time: at %s: %d %s", p.URL, p.Status, p.Text())
	}
	w.Dev.Set(func(b *provider.Behaviour) { b.IDClaims, b.IgnorePrompt = nil, false })
	old = session(t, b)
	p := again()
	atProvider(w, p)
	if p = w.OP.SignIn(t, b, p); p.URL != world.Origin+"/orders" || session(t, b) == old {
		t.Errorf("a new sign-in: at %s: %d %s", p.URL, p.Status, p.Text())
	}
	w.Leaks()
}
