//go:build integration

package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/forge"
	"cloakroom/test/world"
)

// In these tests the limits of other endpoints than sign-ins are smaller, so that short floods reach them.
const floodLimits = `limits: {token: {count: 5, per: 1s, burst: 100}, backchannel: {count: 5, per: 1s, burst: 100}, frontchannel: {count: 5, per: 1s, burst: 100}}`

// bursts of the limits, and what each lets through in a second.
var bursts = map[string]int{"login": 200, "callback": 200, "ticket": 200, "token": 100, "backchannel": 100, "frontchannel": 100}

const perSecondOfLimits = 5

// flat is by how many bytes Redis's data may have grown in a flood: a hundred thousand are what the engine's own odds and ends
// take, and ten thousand keys would take ten times as much.
const flat = 256 << 10

// Every address that whoever holds no credential can ask for is limited, or costs nothing: neither Redis nor the provider is
// asked for what is too many, no key stays, no byte of Redis grows, others are served meanwhile, and whoever waits as long as
// was told gets through. The endpoints are read from the documentation, which other tests hold against those that are
// registered: one that is new fails here until it is judged.
//
// shows PREFETCH-1 (limited, flat), OPS-1 (limits), FCL-5 (limited), BCL-DOS (limited)
func TestFloodsOfWhoeverHoldsNothing(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, framing, world.Options{App: "    login: {initiate: true}", More: floodLimits})
	user := n.phone()
	n.SignIn(user, "/")
	mine := request(t, n.World, user)
	judged := n.judged()
	listed := documented(t)
	if diff := cmp.Diff(listed, slices.Sorted(maps.Keys(judged))); diff != "" {
		t.Fatalf("endpoints that nobody judged, or that are not there (-documented +judged):\n%s", diff)
	}
	n.warm(t)
	starts := n.startedSignIns(t)
	callback := judged["GET /bff/callback"]
	callback.make = func(i int) *http.Request { // of real sign-ins, with codes that nobody gave out
		s := starts[i%len(starts)]
		r := asking("GET", world.Origin+"/bff/callback?"+url.Values{"state": {s.state}, "code": {fmt.Sprint("made-up-", i)}, "iss": {n.OP.Issuer}}.Encode(), top("cross-site"))
		r.Header.Set("Cookie", s.cookies)
		return r
	}
	judged["GET /bff/callback"] = callback
	last, first := 10, map[string]bool{} // of the addresses in use; of each limit
	for limit := range bursts {
		first[limit] = true
	}
	for _, endpoint := range listed {
		last++
		t.Run(endpoint, func(t *testing.T) {
			n.flooded(t, judged[endpoint], endpoint, fmt.Sprint("127.0.1.", last), mine, first)
			if asked := n.Dev.Count(provider.Token); endpoint == "GET /bff/callback" && asked < len(starts) {
				t.Errorf("of the callbacks %d reached the provider, want the %d that could", asked, len(starts))
			}
		})
	}
	n.SignIn(n.phone(), "/") // and a flood of wrong codes keeps nobody else from signing in
	n.Leaks()
}

// flooded floods one endpoint from one address.
func (n *nativeWorld) flooded(t *testing.T, a anonymous, endpoint, from string, mine *http.Request, first map[string]bool) {
	t.Helper()
	count := 300
	switch {
	case endpoint == "GET /bff/login" || endpoint == "GET /bff/callback":
		count = sized(2000, 10000)
	case a.limit == "":
		count = sized(60, 1000)
	}
	c := n.flooder(t, from)
	c.send(t, len(n.All), func(int) *http.Request { return asking("GET", world.Origin+"/healthz", nil) }) // connections are open
	before, asked := n.lookAtData(), len(n.Dev.Requests())
	others := n.elsewhere(t, mine)
	h := c.send(t, count, a.make)
	calls, worst := others()
	after := n.lookAtData()
	cost := costOf(after) - calls - 10 // of others one each; 10: scripts that Redis does not know yet, an idle end that moves
	limited := h.statuses[http.StatusTooManyRequests]
	if h.wait > time.Second { // five come back in each
		t.Errorf("a wait of %v was told", h.wait)
	}
	passed := count - limited
	t.Logf("%d requests in %v: %v; Redis: %d commands of %v, writes %v, %+d bytes, %d keys; the provider was asked %d times; %d calls of others, the slowest %v",
		count, h.took.Round(time.Millisecond), h.statuses, cost, after.commands, after.writes, after.memory-before.memory, len(after.keys),
		len(n.Dev.Requests())-asked, calls, worst.Round(time.Millisecond))
	if h.statuses[404] > 0 && !strings.Contains(endpoint, "apple-app") && !strings.Contains(endpoint, "assetlinks") || h.statuses[405] > 0 || h.statuses[500] > 0 {
		t.Errorf("%v: it is not what was meant to be asked: %.300s", h.statuses, h.body)
	}
	if a.limit == "" {
		if limited > 0 {
			t.Errorf("%d were limited, of what costs nothing", limited)
		}
		if cost > 0 {
			t.Errorf("%d requests that cost nothing cost Redis %d commands: %v", count, cost, after.commands)
		}
	} else {
		ticks := int(h.took/time.Second)*perSecondOfLimits + perSecondOfLimits + 2 // 2: instances need not agree to the millisecond
		if most := bursts[a.limit] + ticks; passed < bursts[a.limit] || passed > most {
			t.Errorf("%d passed, want %d to %d", passed, bursts[a.limit], most)
		}
		// Each that passes asks once for the limit. Of the others those ask that are under way when it is reached, and one at each
		// instance each time that it may think another would pass.
		most := passed*(1+a.dear) + attackers + len(n.All)*ticks
		if cost > most {
			t.Errorf("Redis was asked %d times, want at most %d: %v", cost, most, after.commands)
		}
		if first[a.limit] || soak() { // it takes as long as was told
			first[a.limit] = false
			n.waitedAsTold(t, c, a, h.wait)
		}
	}
	if more := grown(before.keys, after.keys); len(more) > 2+passed*a.keeps { // 2: the limit's own, and the one that the other's starts have
		t.Errorf("%d keys are new or larger: %.300q", len(more), more)
	}
	if more := n.grewBy(before, after); more > flat {
		t.Errorf("Redis has grown by %d bytes", more)
	}
	if got := len(n.Dev.Requests()) - asked; got > passed*a.asks+2*len(n.All) { // 2: keys and metadata, once in a while
		t.Errorf("the provider was asked %d times", got)
	}
	if worst > 10*time.Second { // finds what hangs, not what is slow
		t.Errorf("another address waited %v", worst)
	}
}

// Whoever makes credentials up costs two reads each, on whatever address: is there a session, did it end. It leaves nothing.
func TestFloodsOfMadeUpCredentials(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, framing, world.Options{})
	c := n.flooder(t, "127.0.2.1")
	count, listed := sized(40, 1000), documented(t)
	n.warm(t)
	for endpoint, a := range n.judged() {
		if a.limit != "" {
			continue
		}
		madeUp := func(i int) *http.Request {
			r := a.make(i)
			if strings.HasPrefix(r.URL.String(), publicURL) {
				r.Header.Set("Authorization", "Bearer "+forge.Handle(forge.Access))
			} else {
				root := make([]byte, 32)
				_, _ = rand.Read(root)
				r.Header.Set("Cookie", cookieName+"="+base64.RawURLEncoding.EncodeToString(root))
			}
			return r
		}
		c.send(t, 2, madeUp) // connections are open, scripts known
		before := n.lookAtData()
		h := c.send(t, count, madeUp)
		after := n.lookAtData()
		if h.statuses[500]+h.statuses[503] > 0 || costOf(after) > 2*count+10 || len(after.writes) > 0 || len(grown(before.keys, after.keys)) > 0 {
			t.Errorf("%s: %v, commands %v, writes %v, keys %q", endpoint, h.statuses, after.commands, after.writes, grown(before.keys, after.keys))
		}
		if more := n.grewBy(before, after); more > flat {
			t.Errorf("%s: Redis has grown by %d bytes", endpoint, more)
		}
	}
	if len(listed) < 30 {
		t.Errorf("only %q were asked", listed)
	}
	n.Leaks()
}

// Limits of routes: by all instances together where they are shared, which costs Redis no more than what passes; else by each
// for itself, which costs it nothing. While Redis is away each counts for itself, and nobody is refused for the outage.
//
// shows OPS-1 (routes, shared)
func TestLimitsOfRoutesOverTwoInstances(t *testing.T) {
	t.Parallel()
	const limit = 20
	n := newNative(t, world.Options{Routes: limitedRoutes(t, limit)})
	alice, bob := n.phone(), n.phone()
	n.SignIn(alice, "/")
	n.SignIn(bob, "/")
	route := func(path string, as *browser.Browser) func(int) *http.Request {
		r := asking("GET", world.Origin+path, byScript)
		if as != nil {
			r.Header = request(t, n.World, as).Header.Clone()
		}
		return func(int) *http.Request { return r.Clone(context.Background()) }
	}
	for _, row := range []struct {
		what, from   string
		make         func(int) *http.Request
		passed, most int // that pass; commands to Redis
	}{
		{"an address on a route that counts for itself", "127.0.3.1", route("/own/x", nil), 2 * limit, 0},
		{"an address on a route that shares", "127.0.3.1", route("/shared/x", nil), limit, limit + attackers},
		{"another address there", "127.0.3.2", route("/shared/x", nil), limit, limit + attackers},
		{"two tabs of one session", "127.0.3.1", route("/mine/x", alice), limit, 300 + limit + attackers},
		{"the same session from elsewhere", "127.0.3.2", route("/mine/x", alice), 0, 300 + attackers},
		{"another session", "127.0.3.2", route("/mine/x", bob), limit, 300 + limit + attackers},
	} {
		n.look()
		h := n.flooder(t, row.from).send(t, 300, row.make)
		if after := n.look(); h.statuses[200] != row.passed || h.statuses[200]+h.statuses[429] != 300 || costOf(after) > row.most+10 { // 10: scripts, an idle end
			t.Errorf("%s: %v with %v, want %d to pass with at most %d", row.what, h.statuses, after.commands, row.passed, row.most)
		}
	}
	for _, p := range n.wires {
		p.Refuse()
		p.Cut()
	}
	for what, make := range map[string]func(int) *http.Request{
		"a route that shares": route("/shared/x", nil),
		"sign-in starts":      func(int) *http.Request { return asking("GET", world.Origin+"/bff/login", top("none")) },
	} {
		most := map[bool]int{true: 2 * limit, false: 2 * bursts["login"]}[what == "a route that shares"]
		h := n.flooder(t, "127.0.3.3").send(t, 2*most, make)
		passed := h.statuses[200] + h.statuses[303]
		if ticks := 2 * perSecondOfLimits * (1 + int(h.took/time.Second)); passed < most || passed > most+ticks || passed+h.statuses[429] != 2*most {
			t.Errorf("%s, without Redis: %v in %v, want %d and what comes back to pass", what, h.statuses, h.took, most)
		}
	}
	for _, p := range n.wires {
		p.Pass()
	}
	await(t, "the limit is shared again", healTime, func() bool {
		h := n.flooder(t, "127.0.3.4").send(t, 4, route("/shared/y", nil))
		return h.statuses[200] == 4 && n.limitKeys() > 0
	})
}

// limitedRoutes are routes with a limit that none of comes back while a test runs.
func limitedRoutes(t *testing.T, limit int) string {
	t.Helper()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	t.Cleanup(up.Close)
	return fmt.Sprintf(`
  - {path: /own/, upstream: %[1]q, methods: [GET], token: none, limits: [{by: address, count: %[2]d, per: 24h}]}
  - {path: /shared/, upstream: %[1]q, methods: [GET], token: none, limits: [{by: address, count: %[2]d, per: 24h, shared: true}]}
  - {path: /mine/, upstream: %[1]q, methods: [GET], token: user, limits: [{by: session, count: %[2]d, per: 24h, shared: true}]}
`, up.URL, limit)
}
