//go:build integration

package faults_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/forge"
	"cloakroom/test/world"
)

// flooder sends requests from one address of this machine to both instances in turn, many at once.
type flooder struct {
	n    *nativeWorld
	from string
	at   []*http.Client // of each instance
}

func (n *nativeWorld) flooder(t *testing.T, from string) *flooder {
	t.Helper()
	c := &flooder{n: n, from: from}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for _, in := range n.All {
		client := in.Client()
		client.Transport = &http.Transport{MaxIdleConnsPerHost: attackers, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, in.Addr)
		}}
		t.Cleanup(client.CloseIdleConnections)
		c.at = append(c.at, client)
	}
	return c
}

// heard is what a flood was answered.
type heard struct {
	mu       sync.Mutex
	statuses map[int]int
	passed   []*http.Response // which were not limited; their bodies are read
	body     string           // of one that was not
	wait     time.Duration    // the longest Retry-After
	took     time.Duration
}

// send sends what make makes n times, and judges each refusal.
func (c *flooder) send(t *testing.T, n int, make func(i int) *http.Request) *heard {
	t.Helper()
	h := &heard{statuses: map[int]int{}}
	began := time.Now()
	next := newCounter(n)
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			for i := range next {
				h.take(t, c.at[i%len(c.at)], make(i))
			}
		})
	}
	all.Wait()
	h.took = time.Since(began)
	return h
}

// newCounter counts to n, for any number of receivers.
func newCounter(n int) <-chan int {
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range n {
			next <- i
		}
	}()
	return next
}

func (h *heard) take(t *testing.T, client *http.Client, r *http.Request) {
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses[resp.StatusCode]++
	if resp.StatusCode != http.StatusTooManyRequests {
		h.passed = append(h.passed, resp)
		if h.body == "" {
			h.body = string(body)
		}
		return
	}
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || after < 1 || after > 86400 || len(resp.Header["Set-Cookie"]) > 0 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: a 429 with %v %.200s", r.Method, r.URL.Path, resp.Header, body)
	}
	h.wait = max(h.wait, time.Duration(after)*time.Second)
}

// anonymous is an endpoint as whoever holds nothing asks for it: as dear as it gets.
type anonymous struct {
	limit string // the one that holds; "": it costs nothing
	dear  int    // most commands to Redis for each that is let through, the question for the limit aside
	keeps int    // most keys that each leaves
	asks  int    // most requests to the provider for each
	make  func(i int) *http.Request
}

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

// limitKeys is how many limits Redis counts.
func (n *nativeWorld) limitKeys() (count int) {
	for _, key := range n.Redis.Keys() {
		if strings.HasPrefix(key, "cr:rl:") {
			count++
		}
	}
	return count
}

// lookAtData is look, where memory is what Redis takes without the buffers of its connections: a pool opens and closes some.
func (n *nativeWorld) lookAtData() sight {
	s := n.look()
	if clients, err := strconv.Atoi(n.Redis.Info("memory")["mem_clients_normal"]); err == nil {
		s.memory -= clients
	}
	return s
}

// grewBy is by how many bytes Redis's data has grown. Redis reckons up what connections hold, and gives back what they held,
// seconds after they came or went, which they do on a busy machine; what keys hold stays, for longer than this waits.
func (n *nativeWorld) grewBy(before, after sight) int {
	more := after.memory - before.memory
	for deadline := time.Now().Add(10 * time.Second); more > flat && time.Now().Before(deadline); {
		<-time.After(100 * time.Millisecond)
		more = n.lookAtData().memory - before.memory
	}
	return more
}

// costOf is how many commands the instances sent, but for those of their own housekeeping.
func costOf(s sight) (n int) {
	for name, count := range s.commands {
		if !beside(strings.ToLower(name)) {
			n += count
		}
	}
	return n
}

// waitedAsTold waits as long as a refusal said, and gets through.
func (n *nativeWorld) waitedAsTold(t *testing.T, c *flooder, a anonymous, wait time.Duration) {
	t.Helper()
	<-time.After(wait)
	if h := c.send(t, 1, func(int) *http.Request { return a.make(1_000_000) }); h.statuses[http.StatusTooManyRequests] > 0 {
		t.Errorf("whoever waited the %v that was told is refused again", wait)
	}
}

// elsewhere calls the API as somebody who is signed in, and starts a sign-in now and then, from another address; until it is
// called, and tells how many calls that were, and the longest wait.
func (n *nativeWorld) elsewhere(t *testing.T, mine *http.Request) (end func() (calls int, worst time.Duration)) {
	t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	var calls int
	var worst time.Duration
	running.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for calls = 0; ; calls++ {
			r, want := mine.Clone(t.Context()), http.StatusOK
			if calls%50 == 0 { // every half a second: fewer than its limit
				r, want = asking("GET", world.Origin+"/bff/login", top("none")), http.StatusSeeOther
			}
			began := time.Now()
			resp, err := n.clients[calls%2].Do(r)
			if err != nil {
				t.Errorf("another address: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if worst = max(worst, time.Since(began)); resp.StatusCode != want {
				t.Errorf("another address: %s %d, want %d", r.URL.Path, resp.StatusCode, want)
			}
			select {
			case <-done:
				calls++
				return
			case <-tick.C:
			}
		}
	})
	return func() (int, time.Duration) {
		close(done)
		running.Wait()
		return calls, worst
	}
}

// warm opens as many connections to Redis as a flood does, so that their buffers are there before anything is measured.
func (n *nativeWorld) warm(t *testing.T) {
	t.Helper()
	n.flooder(t, "127.0.1.8").send(t, 400, func(int) *http.Request {
		r := asking("GET", world.Origin+"/bff/session", byScript)
		r.Header.Set("Cookie", cookieName+"="+strings.Repeat("A", 43))
		return r
	})
}

// started is a sign-in on its way.
type started struct{ state, cookies string }

// startedSignIns starts some sign-ins of the browser app.
func (n *nativeWorld) startedSignIns(t *testing.T) (all []started) {
	t.Helper()
	h := n.flooder(t, "127.0.1.9").send(t, 150, func(int) *http.Request { return asking("GET", world.Origin+"/bff/login", top("none")) })
	for _, resp := range h.passed {
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || len(resp.Cookies()) != 1 {
			t.Fatalf("a start: %v %v", resp.Status, resp.Header)
		}
		all = append(all, started{to.Query().Get("state"), resp.Cookies()[0].Name + "=" + resp.Cookies()[0].Value})
	}
	return all
}

// documented are the endpoints of both surfaces, "METHOD path".
func documented(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| `(/[^`]*)` \\| ([A-Z]+) \\|")
	in := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "## ") {
			in = strings.HasPrefix(line, "## Browser surface") || strings.HasPrefix(line, "## Native surface")
		}
		if m := row.FindStringSubmatch(line); in && m != nil {
			all = append(all, m[2]+" "+m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// asking is a request with the fields of its kind.
func asking(method, address string, fields http.Header) *http.Request {
	r, err := http.NewRequest(method, address, nil)
	if err != nil {
		panic(err) // of constants
	}
	maps.Copy(r.Header, fields)
	return r
}

// post is a form.
func post(address string, form url.Values, fields http.Header) *http.Request {
	r := asking("POST", address, fields)
	text := form.Encode()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// top are the fields of a navigation.
func top(site string) http.Header {
	return http.Header{"Sec-Fetch-Site": {site}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}
}

// byScript are the fields of a call by the app's own script.
var byScript = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "X-Csrf": {"1"}}

// judged are all endpoints, as whoever holds nothing asks for them.
func (n *nativeWorld) judged() map[string]anonymous {
	const web, gw = world.Origin, publicURL
	free := func(r *http.Request) anonymous {
		return anonymous{make: func(int) *http.Request { return r.Clone(context.Background()) }}
	}
	opened := func(address, site string) anonymous { return free(asking("GET", address, top(site))) }
	all := map[string]anonymous{
		"GET /bff/login": {limit: "login", make: func(int) *http.Request { return asking("GET", web+"/bff/login?return_to=/", top("none")) }},
		"GET /bff/initiate": {limit: "login", make: func(i int) *http.Request {
			return asking("GET", web+"/bff/initiate?"+n.initiation(i), top("cross-site"))
		}},
		"GET /bff/callback": {limit: "callback", dear: 3, keeps: 1, asks: 1},
		"GET /bff/logout/{ticket}": {limit: "ticket", dear: 1, make: func(int) *http.Request {
			return asking("GET", web+"/bff/logout/"+rand.Text()+rand.Text(), top("same-origin"))
		}},
		"POST /bff/backchannel-logout": {limit: "backchannel", make: func(i int) *http.Request {
			return post(web+"/bff/backchannel-logout", url.Values{"logout_token": {n.forgedLogout(i)}}, nil)
		}},
		"GET /bff/frontchannel-logout": {limit: "frontchannel", dear: 2, make: func(i int) *http.Request {
			return asking("GET", web+"/bff/frontchannel-logout?"+url.Values{"iss": {n.OP.Issuer}, "sid": {fmt.Sprint("ses_", i)}}.Encode(), nil)
		}},
		"GET /bff/landed": opened(web+"/bff/landed?return_to=/", "same-origin"), "GET /bff/signed-in": opened(web+"/bff/signed-in", "none"),
		"GET /bff/logged-out": opened(web+"/bff/logged-out?state=x", "cross-site"), "GET /bff/logout": opened(web+"/bff/logout?token=x", "same-origin"),
		"POST /bff/logout": free(asking("POST", web+"/bff/logout", byScript)), "GET /bff/session": free(asking("GET", web+"/bff/session", byScript)),
		"POST /bff/session/extend": free(asking("POST", web+"/bff/session/extend", byScript)), "GET /bff/sessions": free(asking("GET", web+"/bff/sessions", byScript)),
		"DELETE /bff/sessions": free(asking("DELETE", web+"/bff/sessions", byScript)), "DELETE /bff/sessions/{id}": free(asking("DELETE", web+"/bff/sessions/x", byScript)),
		"GET /bff/events": free(asking("GET", web+"/bff/events", byScript)), "GET /.well-known/jwks.json": opened(web+"/.well-known/jwks.json", "none"),
		"GET /healthz": opened(web+"/healthz", "none"),
	}
	maps.Copy(all, n.judgedNative(gw, free, opened))
	return all
}

func (n *nativeWorld) judgedNative(gw string, free func(*http.Request) anonymous, opened func(address, site string) anonymous) map[string]anonymous {
	start := url.Values{
		"response_type": {"code"}, "client_id": {"phone"}, "redirect_uri": {phoneURI}, "state": {"s"},
		"code_challenge": {strings.Repeat("A", 43)}, "code_challenge_method": {"S256"},
	}
	token := func(path string, dear int, form func(i int) url.Values) anonymous {
		return anonymous{limit: "token", dear: dear, make: func(i int) *http.Request { return post(gw+path, form(i), nil) }}
	}
	return map[string]anonymous{
		"GET /mobile/authorize": {limit: "login", make: func(int) *http.Request { return asking("GET", gw+"/mobile/authorize?"+start.Encode(), top("none")) }},
		"GET /mobile/callback/{app}": {limit: "callback", make: func(i int) *http.Request {
			return asking("GET", gw+"/mobile/callback/phone?"+url.Values{"state": {fmt.Sprint(i)}, "code": {"x"}}.Encode(), top("cross-site"))
		}},
		"POST /mobile/callback/{app}": {limit: "callback", make: func(int) *http.Request {
			return post(gw+"/mobile/callback/phone", url.Values{"confirm": {"x"}}, top("same-origin"))
		}},
		"POST /mobile/par": token("/mobile/par", 0, func(int) url.Values { return start }),
		"POST /mobile/token": token("/mobile/token", 2, func(i int) url.Values {
			if i%2 == 0 {
				return url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {forge.Handle(forge.Refresh)}}
			}
			return url.Values{"grant_type": {"authorization_code"}, "client_id": {"phone"}, "redirect_uri": {phoneURI}, "code": {rand.Text() + rand.Text()}, "code_verifier": {strings.Repeat("v", 43)}}
		}),
		"POST /mobile/revoke": token("/mobile/revoke", 2, func(int) url.Values {
			return url.Values{"client_id": {"phone"}, "token": {forge.Handle(forge.Refresh)}}
		}),
		"POST /mobile/logout/{ticket}": {limit: "ticket", dear: 1, make: func(int) *http.Request {
			return post(gw+"/mobile/logout/"+rand.Text()+rand.Text(), nil, top("same-origin"))
		}},
		"POST /mobile/backchannel-logout": {limit: "backchannel", make: func(i int) *http.Request {
			return post(gw+"/mobile/backchannel-logout", url.Values{"logout_token": {n.forgedLogout(i)}}, nil)
		}},
		"GET /mobile/frontchannel-logout": {limit: "frontchannel", dear: 2, make: func(i int) *http.Request {
			return asking("GET", gw+"/mobile/frontchannel-logout?"+url.Values{"iss": {n.OP.Issuer}, "sid": {fmt.Sprint("ses_", i)}}.Encode(), nil)
		}},
		"GET /mobile/session": free(asking("GET", gw+"/mobile/session", nil)), "GET /mobile/sessions": free(asking("GET", gw+"/mobile/sessions", nil)),
		"DELETE /mobile/sessions": free(asking("DELETE", gw+"/mobile/sessions", nil)), "DELETE /mobile/sessions/{id}": free(asking("DELETE", gw+"/mobile/sessions/x", nil)),
		"GET /mobile/events": free(asking("GET", gw+"/mobile/events", nil)), "POST /mobile/logout": free(asking("POST", gw+"/mobile/logout", nil)),
		"GET /mobile/logout/{ticket}": opened(gw+"/mobile/logout/x", "none"), "GET /mobile/logged-out": opened(gw+"/mobile/logged-out?state=x", "none"),
		"GET /mobile/jwks": opened(gw+"/mobile/jwks", "none"), "GET /mobile/jwks/{app}": opened(gw+"/mobile/jwks/phone", "none"),
		"GET /.well-known/oauth-authorization-server/mobile": opened(gw+"/.well-known/oauth-authorization-server/mobile", "none"),
		"GET /mobile/.well-known/openid-configuration":       opened(gw+"/mobile/.well-known/openid-configuration", "none"),
		"GET /.well-known/apple-app-site-association":        opened(gw+"/.well-known/apple-app-site-association", "none"),
		"GET /.well-known/assetlinks.json":                   opened(gw+"/.well-known/assetlinks.json", "none"),
		"GET /openapi.json":                                  opened(gw+"/openapi.json", "none"),
	}
}

// initiation asks for a sign-in by the word of somebody who only looks like the provider.
func (n *nativeWorld) initiation(i int) string {
	return url.Values{"iss": {n.OP.Issuer}, "idp_initiated_login": {n.forgedLogout(i)}}.Encode()
}

// forgedLogout is a token of the right form and names, by a key that the provider does not have.
func (n *nativeWorld) forgedLogout(i int) string {
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	now := time.Now().Unix()
	return part(fmt.Sprintf(`{"alg":"RS256","typ":"logout+jwt","kid":"made-up-%d"}`, i)) + "." +
		part(fmt.Sprintf(`{"iss":%q,"aud":"webc_1","iat":%d,"exp":%d,"jti":"j%d","sid":"ses_1","events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`, n.OP.Issuer, now, now+60, i)) +
		"." + part(strings.Repeat("s", 256))
}
