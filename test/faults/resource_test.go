//go:build integration

package faults_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/redisproc"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

const (
	ordersResource = "https://orders.example.com"
	stockResource  = "https://stock.example.com"
)

// audiences are what a bearer token says it is good for; nobody checks it here.
func audiences(r *http.Request) (aud []string) {
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) != 3 {
		return nil
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Aud []string }
	_ = json.Unmarshal(payload, &claims)
	return claims.Aud
}

// resourceRoutes are two routes with a resource each; the API behind them answers with its path and the token's audiences.
func resourceRoutes(t *testing.T) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %q", r.URL.Path, audiences(r))
	}))
	t.Cleanup(api.Close)
	return fmt.Sprintf(`
  - {path: /orders/, upstream: %[1]q, methods: [GET], token: user, resource: %[2]q}
  - {path: /stock/, upstream: %[1]q, methods: [GET], token: user, resource: %[3]q}
`, api.URL, ordersResource, stockResource)
}

// requestFor is request for another address.
func requestFor(t *testing.T, b *browser.Browser, path string) *http.Request {
	t.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", world.Origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	return r
}

// good fails unless an answer is that of the API, to a token for its own resource alone.
func good(t *testing.T, what string, a answer, path, resource string) {
	t.Helper()
	if want := fmt.Sprintf("%s %q", path, []string{resource}); a.status != 200 || a.body != want {
		t.Errorf("%s: %d %s, want 200 %s", what, a.status, a.body, want)
	}
}

// Whatever the refresh token is used for, over all instances one use waits for the one before.
//
// shows REF-ONE, RES-2
func TestFiftyRequestsForTwoResourcesAndTheSessionsOwnToken(t *testing.T) {
	t.Parallel()
	everybody := soaking(50, 1000)
	w := newWorld(t, world.Options{Routes: resourceRoutes(t)})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, AfterWork: true})
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Minute }) // the new tokens outlive their being held
	kinds := []*http.Request{request(t, w, b), requestFor(t, b, "/orders/1"), requestFor(t, b, "/stock/1")}
	var clients []*http.Client
	for _, in := range instances {
		clients = append(clients, crowdClient(in))
	}
	requests := make([]*http.Request, everybody)
	for i := range requests {
		requests[i] = kinds[i/len(clients)%len(kinds)]
	}
	answers := make(chan map[int]int, 1)
	go func() { answers <- crowd(clients, requests) }()
	await(t, "all of them wait", 2*healTime, func() bool { return total(instances, "bff_refresh_waits_total") == float64(everybody) })
	// The sent mark and the suspicion (4 s) would hold a second sender back as well. That nobody else came near the token is the
	// claim's, which everybody has asked for after twice the time of a poll.
	<-time.After(time.Second)
	if got := claims(t, w); got != 1 {
		t.Errorf("%d claims are granted while the provider is asked, want 1", got)
	}
	gate.Release()
	all(t, "the crowd", 200, <-answers)
	if twice := usedTwice(w); len(twice) > 0 {
		t.Errorf("%d refresh tokens were sent twice", len(twice))
	}
	// Three, and two more where the session's own came last: that drops what was kept before, for who had not found it yet.
	if got := w.Dev.GrantCount("refresh_token"); got < 3 || got > 5 {
		t.Errorf("the provider saw %d grants, want 3 to 5", got)
	}
	for _, in := range instances {
		good(t, "orders", fetched(in, kinds[1]), "/orders/1", ordersResource)
		good(t, "stock", fetched(in, kinds[2]), "/stock/1", stockResource)
	}
	w.Leaks()
}

// midGrant is a session of which one request, at the first of two instances, needs a token for the orders.
type midGrant struct {
	*fleet
	browser *browser.Browser
	orders  *http.Request
	stock   *http.Request  // whose token is kept
	gate    *provider.Gate // holds the provider's answer
	got     <-chan answer
}

// inGrant signs in and goes on until the provider has the request, or, worked, has rotated the refresh token.
func inGrant(t *testing.T, worked bool, o world.Options) *midGrant {
	t.Helper()
	o.Routes = resourceRoutes(t)
	o.Behave = func(b *provider.Behaviour) { b.AccessLife = time.Minute }
	m := &midGrant{fleet: &fleet{World: newWorld(t, o)}, gate: provider.NewGate()}
	for range 2 {
		p := wire.Start(t, m.Redis.Addr())
		m.Start(1, "CLOAKROOM_REDIS__TIMEOUTS__READ=1s", "CLOAKROOM_REDIS__ADDRS="+p.Addr())
		m.wires = append(m.wires, p)
	}
	m.browser = m.Browser()
	m.SignIn(m.browser, "/")
	m.orders, m.stock = requestFor(t, m.browser, "/orders/1"), requestFor(t, m.browser, "/stock/1")
	good(t, "the stock", fetched(m.All[0], m.stock), "/stock/1", stockResource)
	if got := m.tok(); len(got) != 1 {
		t.Fatalf("kept in %q, want one place", got)
	}
	refreshFault(m.World, provider.Fault{Gate: m.gate, AfterWork: worked})
	m.got = fetching(m.All[0], m.orders)
	<-m.gate.Arrived()
	return m
}

// tok returns the names of keys that hold kept tokens.
func (m *midGrant) tok() (names []string) {
	for _, key := range m.Redis.Keys() {
		if strings.HasSuffix(key, ":tok") {
			names = append(names, key)
		}
	}
	return names
}

// shows SESS-CAS, RES-2
func TestSignOutInTheMiddleOfAResourcesGrant(t *testing.T) {
	t.Parallel()
	m := inGrant(t, true, world.Options{})
	m.At(m.All[1])
	m.Want(m.Fetch(m.browser, "POST", "/bff/logout", ""), 200)
	m.gate.Release()
	if a := <-m.got; a.status != 401 {
		t.Errorf("the request mid-grant: %d %s, want 401", a.status, a.body)
	}
	for _, in := range m.All {
		if a := fetched(in, m.orders); a.status != 401 {
			t.Errorf("after the sign-out: %d %s", a.status, a.body)
		}
	}
	if got := m.tok(); len(got) != 0 {
		t.Errorf("kept after the sign-out: %q", got)
	}
	fresh := newest(m.World, provider.KindRefresh)
	await(t, "what came for a session that was over is revoked", healTime, func() bool { return revokedAt(m.World, fresh) })
	m.Leaks()
}

// An instance dies after the provider has rotated the refresh token: nobody else can have it, and that is said. One that dies
// before is followed by the other instance.
//
// shows REF-RACE, RES-2
func TestKillInTheMiddleOfAResourcesGrant(t *testing.T) {
	t.Parallel()
	for what, worked := range map[string]bool{"before the provider's work": false, "after it": true} {
		t.Run("a kill "+what, func(t *testing.T) {
			t.Parallel()
			m := inGrant(t, worked, world.Options{})
			m.All[0].Kill()
			good(t, "what is kept", fetched(m.All[1], m.stock), "/stock/1", stockResource)
			a := fetched(m.All[1], m.orders) // waits for the lease to lapse, and for the suspicion after
			m.gate.Release()
			if worked {
				if a.status != 401 || !strings.Contains(a.body, `"reason":"refresh_lost"`) {
					t.Errorf("the one that follows: %d %s, want refresh_lost", a.status, a.body)
				}
				if got := m.tok(); len(got) != 0 {
					t.Errorf("kept after the end: %q", got)
				}
				return
			}
			good(t, "the one that follows", a, "/orders/1", ordersResource)
			good(t, "and the stock", fetched(m.All[1], m.stock), "/stock/1", stockResource)
		})
	}
}

// The rotated refresh token exists nowhere but in the instance's memory until Redis takes it.
//
// shows REF-DETACH, RES-2
func TestRedisThatGoesInTheMiddleOfAResourcesGrant(t *testing.T) {
	t.Parallel()
	m := inGrant(t, true, world.Options{Redis: redisproc.Options{AppendOnly: true}})
	m.Redis.Kill()
	m.gate.Release()
	good(t, "from memory", <-m.got, "/orders/1", ordersResource)
	if a := fetched(m.All[1], m.stock); a.status != 503 {
		t.Errorf("while Redis is down: %d %s", a.status, a.body)
	}
	m.Redis.Restart()
	m.All[0].AwaitMetric(`bff_refresh_total{result="refreshed"}`, 2) // with the stock's
	before := m.Dev.GrantCount("refresh_token")
	good(t, "saved, for the other instance", fetched(m.All[1], m.orders), "/orders/1", ordersResource)
	good(t, "and the stock", fetched(m.All[1], m.stock), "/stock/1", stockResource)
	if got := m.Dev.GrantCount("refresh_token"); got != before {
		t.Errorf("%d more grants", got-before)
	}
	if twice := usedTwice(m.World); len(twice) > 0 {
		t.Errorf("%d refresh tokens were sent twice", len(twice))
	}
}

// shows SESS-CAS, RES-2
func TestLostSaveOfAResourcesGrant(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*wire.Proxy, func([]byte) bool) <-chan struct{}{
		"request": (*wire.Proxy).LoseRequest, "reply": (*wire.Proxy).LoseReply,
	} {
		t.Run("a save whose "+name+" is lost", func(t *testing.T) {
			t.Parallel()
			m := inGrant(t, true, world.Options{})
			lost := lose(m.wires[0], script(t, "save"))
			m.gate.Release()
			good(t, "from memory or saved", <-m.got, "/orders/1", ordersResource)
			<-lost
			await(t, "the other instance finds it", healTime, func() bool { return fetched(m.All[1], m.orders).status == 200 })
			good(t, "and the stock", fetched(m.All[1], m.stock), "/stock/1", stockResource)
			if got := m.Dev.GrantCount("refresh_token"); got != 2 {
				t.Errorf("the provider saw %d grants, want the stock's and the orders'", got)
			}
		})
	}
}

// The provider's answers are lost: the next one waits, tries once more, and tells what that means. No token is sent a third time.
//
// shows REF-RACE, RES-2
func TestLostAnswerToAResourcesGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Routes: resourceRoutes(t)})
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Minute })
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	token := newest(w, provider.KindRefresh)
	orders := requestFor(t, b, "/orders/1")
	refreshFault(w, provider.Fault{AfterWork: true, Drop: true})
	if a := fetched(instances[0], orders); a.status != 503 || !strings.Contains(a.body, "idp_unavailable") {
		t.Fatalf("an answer that is lost: %d %s", a.status, a.body)
	}
	if a := fetched(instances[1], orders); a.status != 401 || !strings.Contains(a.body, `"reason":"refresh_lost"`) {
		t.Errorf("the later attempt: %d %s, want refresh_lost", a.status, a.body)
	}
	if got := sent(w, token); got != 2 {
		t.Errorf("the token was sent %d times, want 2", got)
	}
}

// shows RES-2
func TestAResourceThatTheProviderRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Routes: resourceRoutes(t)})
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Minute })
	in := w.Start(1)[0]
	b := w.Browser()
	w.SignIn(b, "/")
	refuse := w.Dev.Fault(provider.Token, provider.Fault{
		Match: func(_ *http.Request, form url.Values) bool { return form.Get("resource") == ordersResource }, Times: provider.Always,
		Status: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: `{"error":"invalid_target"}`,
	})
	for range 5 {
		if a := fetched(in, requestFor(t, b, "/orders/1")); a.status != 502 || !strings.Contains(a.body, `"code":"token_refused"`) {
			t.Fatalf("a refused resource: %d %s", a.status, a.body)
		}
	}
	if refuse.Hits() != 1 || w.Dev.GrantCount("refresh_token") != 1 {
		t.Errorf("asked %d times for the resource, %d times in all", refuse.Hits(), w.Dev.GrantCount("refresh_token"))
	}
	if n := strings.Count(in.Log(), "the provider gives no token for a route's resource"); n != 1 {
		t.Errorf("%d alarms, want one", n)
	}
	good(t, "another resource", fetched(in, requestFor(t, b, "/stock/1")), "/stock/1", stockResource)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	signedIn(t, w, b, true)
}

// An API that answers 401 to a token whose time is not over has that one renewed, once; one that refuses every token gets its 401
// through, and costs the provider nothing for each call.
//
// shows RES-2
func TestAnAPIThatRefusesAResourcesToken(t *testing.T) {
	t.Parallel()
	var refused atomic.Value // a token; "all": every one
	refused.Store("")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if is := refused.Load(); is == "all" || is == r.Header.Get("Authorization") {
			w.WriteHeader(401)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	t.Cleanup(api.Close)
	w := newWorld(t, world.Options{Routes: fmt.Sprintf("  - {path: /orders/, upstream: %q, methods: [GET], token: user, resource: %q}", api.URL, ordersResource)})
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = 12 * time.Second }) // it rests for a quarter of that
	in := w.Start(1)[0]
	b := w.Browser()
	w.SignIn(b, "/")
	orders := requestFor(t, b, "/orders/1")
	first := fetched(in, orders)
	if first.status != 200 {
		t.Fatalf("at first: %d", first.status)
	}
	refused.Store(first.body)
	if a := fetched(in, orders); a.status != 401 || w.Dev.GrantCount("refresh_token") != 1 {
		t.Errorf("a token that has just come, refused: %d after %d grants, want 401 after one", a.status, w.Dev.GrantCount("refresh_token"))
	}
	<-time.After(3100 * time.Millisecond)
	if a := fetched(in, orders); a.status != 200 || a.body == first.body || w.Dev.GrantCount("refresh_token") != 2 {
		t.Errorf("refused once: %d after %d grants, want 200 after two", a.status, w.Dev.GrantCount("refresh_token"))
	}
	refused.Store("all")
	for range 5 {
		if a := fetched(in, orders); a.status != 401 || !strings.Contains(a.body, "upstream_unauthorized") {
			t.Errorf("an API that refuses every token: %d %s", a.status, a.body)
		}
	}
	if got := w.Dev.GrantCount("refresh_token"); got != 2 {
		t.Errorf("the provider saw %d grants, want 2", got)
	}
	signedIn(t, w, b, true)
}
