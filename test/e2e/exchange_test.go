//go:build integration

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// depot is an API that keeps the tokens it was sent, and refuses those it is told to.
type depot struct {
	*httptest.Server
	mu      sync.Mutex
	tokens  []string
	bodies  []string
	refuses func(token string) bool // nil: none
}

func newDepot(t *testing.T) *depot {
	t.Helper()
	d := &depot{}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		defer d.mu.Unlock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		d.tokens, d.bodies = append(d.tokens, token), append(d.bodies, string(body))
		if d.refuses != nil && d.refuses(token) {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	t.Cleanup(d.Close)
	return d
}

// got returns the tokens so far, in order.
func (d *depot) got() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tokens)
}

// last is the token that came last.
func (d *depot) last() string {
	all := d.got()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func (d *depot) refuse(which func(token string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses = which
}

// trading is a world with routes whose APIs take exchanged tokens.
type trading struct {
	*world.World
	api *depot
}

func newTrading(t *testing.T, n int, life time.Duration, env ...string) *trading {
	t.Helper()
	api := newDepot(t)
	w := world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.AccessLife = life },
		Routes: fmt.Sprintf(`
  - {path: /orders/, upstream: %[1]q, methods: [GET, POST], token: exchange, exchange: {audience: orders, scopes: ["orders:read"]}}
  - {path: /keeping/, upstream: %[1]q, methods: [GET], token: exchange, exchange: {audience: orders, scopes: ["orders:read", "orders:write"]}}
  - {path: /bills/, upstream: %[1]q, methods: [GET], token: exchange, exchange: {resource: "https://bills.example.com", scopes: ["orders:read"]}}
  - {path: /closed/, upstream: %[1]q, methods: [GET], token: exchange, exchange: {audience: vault}, require: {claims: {name: [Nobody]}}}
`, api.URL),
	})
	t.Cleanup(func() { w.Leaks() }) // when all is told
	w.Start(n, env...)
	return &trading{w, api}
}

// user signs in, in a browser of their own.
func (w *trading) user(sub string) *browser.Browser {
	w.T.Helper()
	return (&managed{World: w.World}).signInAs(sub)
}

// exchanges is how many of them the provider has seen.
func (w *trading) exchanges() int { return w.Dev.GrantCount(provider.GrantExchange) }

// kept are the keys of Redis that hold more tokens than the sessions' own.
func (w *trading) kept() (keys []string) {
	for _, key := range w.Redis.Keys() {
		if strings.HasSuffix(key, ":tok") {
			keys = append(keys, key)
		}
	}
	return keys
}

// said are the claims of a token.
func said(t *testing.T, token string) (claims struct {
	Sub   string
	Aud   []string
	Scope string
},
) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the API got no JWT, but %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// Every API gets a token of its own audience and scope, of the user who asks, and never the session's own. All instances have
// the same; signing out takes it along.
//
// shows TX-2.2, TX-CACHE
func TestExchangedTokensReachTheirAPI(t *testing.T) {
	t.Parallel()
	w := newTrading(t, 2, 5*time.Minute)
	ada, grace := w.user("usr_1001"), w.user("usr_1002")
	seen := map[string]string{} // by who and where
	for round := range 2 {      // the second at the other instance, which asks nobody
		w.At(w.All[round])
		for who, b := range map[string]*browser.Browser{"usr_1001": ada, "usr_1002": grace} {
			for path, want := range map[string][2]string{
				"/orders/1": {"orders", "orders:read"}, "/keeping/1": {"orders", "orders:read orders:write"},
				"/bills/1": {"https://bills.example.com", "orders:read"},
			} {
				w.Want(w.Fetch(b, "GET", path, ""), 200)
				token := w.api.last()
				claims := said(t, token)
				if claims.Sub != who || claims.Scope != want[1] || !cmp.Equal(claims.Aud, []string{want[0]}) {
					t.Errorf("%s at %s: %+v", who, path, claims)
				}
				if before, ok := seen[who+path]; ok && before != token {
					t.Errorf("%s at %s has another token at another instance", who, path)
				}
				seen[who+path] = token
			}
		}
	}
	if n := w.exchanges(); n != 6 {
		t.Errorf("%d exchanges, want one for each of two users at each of three APIs", n)
	}
	w.Want(w.Fetch(ada, "GET", "/closed/1", ""), 403)
	if n := w.exchanges(); n != 6 {
		t.Error("a token was made for somebody who may not use the route")
	}
	w.All[0].AwaitLog(`"event":"token_exchange"`)
	w.All[0].AwaitMetric(`bff_token_exchanges_total{app="web",provider="main",result="exchanged"}`, 6)
	w.costs(t, ada)
	w.endsWith(t, ada, grace)
}

// costs fails unless a call with a kept token costs two round trips, and the provider nothing.
func (w *trading) costs(t *testing.T, b *browser.Browser) {
	t.Helper()
	w.Redis.ResetCalls()
	const calls = 10
	for range calls {
		w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	}
	if got := w.Redis.Calls(); got["hmget"] != calls || got["hget"] != calls || got["evalsha"] != 0 {
		t.Errorf("%d calls cost %v", calls, got)
	}
}

// endsWith fails unless a sign-out at one instance takes the user's tokens along, and nobody else's.
func (w *trading) endsWith(t *testing.T, ada, grace *browser.Browser) {
	t.Helper()
	if keys := w.kept(); len(keys) != 2 {
		t.Errorf("Redis has %v, want one key for each session", keys)
	}
	if keys := w.Redis.KeysWithoutTTL(); len(keys) > 0 {
		t.Errorf("keys that would stay for ever: %v", keys)
	}
	w.Want(w.Fetch(ada, "POST", "/bff/logout", ""), 200)
	if keys := w.kept(); len(keys) != 1 {
		t.Errorf("after a sign-out Redis has %v", keys)
	}
	hits := len(w.api.got())
	for _, in := range w.All {
		w.At(in)
		w.Want(w.Fetch(ada, "GET", "/orders/1", ""), 401)
		w.Want(w.Fetch(grace, "GET", "/orders/1", ""), 200)
	}
	if n := len(w.api.got()) - hits; n != len(w.All) {
		t.Errorf("the API was asked %d times", n)
	}
}

// Where the exchange fails the API is not asked, with no token and above all not with the session's own; and everything else
// of the session goes on.
//
// shows TX-NOFALL, TX-2.2
func TestAFailedExchangeReachesNoAPI(t *testing.T) {
	t.Parallel()
	w := newTrading(t, 1, 5*time.Minute, "CLOAKROOM_PROVIDERS__MAIN__HTTP_TIMEOUT=1s")
	gate := provider.NewGate()
	t.Cleanup(gate.Release)
	bent := func(change map[string]any) func(*provider.Behaviour) {
		return func(b *provider.Behaviour) { b.ExchangeAnswer = change }
	}
	html := http.Header{"Content-Type": {"text/html"}}
	for _, tc := range []struct {
		with   string
		fault  *provider.Fault
		behave func(*provider.Behaviour)
		status int
		code   string
	}{
		{"a 400", &provider.Fault{Status: 400, Body: `{"error":"invalid_target"}`}, nil, 502, "token_refused"},
		{"a refused client", &provider.Fault{Status: 401, Body: `{"error":"invalid_client"}`}, nil, 502, "token_refused"},
		{"garbage", &provider.Fault{Status: 200, Header: html, Body: "<html>"}, nil, 502, "token_refused"},
		{"no issued_token_type", nil, bent(map[string]any{"issued_token_type": nil}), 502, "token_refused"},
		{"N_A", nil, bent(map[string]any{"token_type": "N_A"}), 502, "token_refused"},
		{"narrower scope", nil, bent(map[string]any{"scope": "openid"}), 502, "token_refused"},
		{"a 500", &provider.Fault{Status: 500}, nil, 503, "idp_unavailable"},
		{"a connection that breaks", &provider.Fault{Drop: true}, nil, 503, "idp_unavailable"},
		{"an answer without end", &provider.Fault{Endless: true}, nil, 503, "idp_unavailable"},
		{"silence", &provider.Fault{Gate: gate}, nil, 503, "idp_unavailable"},
	} {
		b := w.user("usr_1001")
		w.Dev.Set(func(behave *provider.Behaviour) { behave.ExchangeAnswer = nil })
		if tc.behave != nil {
			w.Dev.Set(tc.behave)
		}
		if tc.fault != nil {
			tc.fault.Match, tc.fault.Times = provider.IsExchange, provider.Always
			w.Dev.Fault(provider.Token, *tc.fault)
		}
		p := w.Want(w.Fetch(b, "GET", "/orders/1", ""), tc.status)
		if !strings.Contains(string(p.Body), fmt.Sprintf(`"code":%q`, tc.code)) || (tc.status == 503) != (p.Header.Get("Retry-After") != "") {
			t.Errorf("an answer with %s: %v %s", tc.with, p.Header, p.Body)
		}
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200) // the session's own token is as good as before
		w.Dev.ClearFaults()
	}
	if hits := w.api.got(); len(hits) > 0 {
		t.Errorf("the API was asked %d times", len(hits))
	}
	w.All[0].AwaitMetric(`bff_token_exchanges_total{app="web",provider="main",result="refused"}`, 6)
	w.All[0].AwaitMetric(`bff_token_exchanges_total{app="web",provider="main",result="unavailable"}`, 4)
	w.All[0].AwaitMetric(`bff_alarms_total{what="the provider exchanges no token for an API"}`, 6)
}

// An API that refuses a token once gets another one, and the request again; one that refuses every token costs the provider
// one more exchange, and not one for every call.
//
// shows TX-2.2
func TestAnAPIRefusesAnExchangedToken(t *testing.T) {
	t.Parallel()
	w := newTrading(t, 1, 5*time.Minute)
	b := w.user("usr_1001")
	w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	first := w.api.last()
	w.api.refuse(func(token string) bool { return token == first })
	w.Want(w.Fetch(b, "POST", "/orders/1", `{"n":1}`), 200)
	got := w.api.got()
	if len(got) != 3 || got[1] != first || got[2] == first || w.exchanges() != 2 {
		t.Errorf("%d calls and %d exchanges for a token that was refused once", len(got), w.exchanges())
	}
	w.api.mu.Lock()
	if bodies := w.api.bodies[1:]; !cmp.Equal(bodies, []string{`{"n":1}`, `{"n":1}`}) {
		t.Errorf("the API got %q", bodies)
	}
	w.api.mu.Unlock()
	w.api.refuse(func(string) bool { return true })
	for range 10 {
		p := w.Want(w.Fetch(b, "GET", "/orders/1", ""), 401)
		if !strings.Contains(string(p.Body), `"upstream_unauthorized"`) {
			t.Errorf("told %s", p.Body)
		}
	}
	if n := w.exchanges(); n > 3 { // the last renewal may be older than its rest, on a busy machine
		t.Errorf("%d exchanges", n)
	}
	for _, token := range w.api.got() {
		if aud := said(t, token).Aud; !cmp.Equal(aud, []string{"orders"}) {
			t.Errorf("the API got a token for %v", aud)
		}
	}
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
}
