//go:build integration

package faults_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// soaking chooses between the numbers of a test that is run often and those of one that is run long.
func soaking[N any](often, long N) N {
	if os.Getenv("SOAK") == "1" {
		return long
	}
	return often
}

// crowdClient sends many requests at once to one instance.
func crowdClient(in *gateway.Instance) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 1 << 10, // nobody in the crowd has to connect twice
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, in.Addr)
		},
	}}
}

// crowd sends each request through its client, all at once, and returns how many got which status; 0 is no answer.
func crowd(clients []*http.Client, requests []*http.Request) map[int]int {
	got, out := make(chan int, len(requests)), map[int]int{}
	for i, r := range requests {
		go func() {
			resp, err := clients[i%len(clients)].Do(r.Clone(r.Context()))
			if err != nil {
				got <- 0
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			got <- resp.StatusCode
		}()
	}
	for range requests {
		out[<-got]++
	}
	return out
}

// all is a crowd of which everybody must get one status.
func all(t *testing.T, what string, status int, got map[int]int) {
	t.Helper()
	if len(got) != 1 || got[status] == 0 {
		t.Errorf("%s: %v, want %d for everybody", what, got, status)
	}
}

// total adds a metric up over instances.
func total(instances []*gateway.Instance, metric string) (sum float64) {
	for _, in := range instances {
		sum += in.Metric(metric)
	}
	return sum
}

// shows REF-ONE, SCALEKIT-K3
func TestThousandRequestsOnOneEndedTokenOverThreeProcessesRefreshOnce(t *testing.T) {
	alongside(t)
	const everybody = 1000
	w := newWorld(t, world.Options{})
	instances := w.Start(3)
	b := w.Browser()
	w.SignIn(b, "/")
	// The provider makes the new tokens and holds its answer until all wait; later refreshes would pass at once.
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, AfterWork: true})
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Minute }) // the new token outlives its being held

	var clients []*http.Client
	for _, in := range instances {
		clients = append(clients, crowdClient(in))
	}
	one := request(t, w, b)
	requests := make([]*http.Request, everybody)
	for i := range requests {
		requests[i] = one
	}
	answers := make(chan map[int]int, 1)
	go func() { answers <- crowd(clients, requests) }()
	await(t, "all of them wait", 2*healTime, func() bool { return total(instances, "bff_refresh_waits_total") == everybody })
	// Longer than a lease (6 s) and than the suspicion of a silent sender (4 s): what holds the others back is the claim.
	<-time.After(8 * time.Second)
	gate.Release()
	all(t, "the crowd", 200, <-answers)
	if got := w.Dev.GrantCount("refresh_token"); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", got)
	}
	// The sent mark and the suspicion would hold a second sender back as well. That nobody came so far is the claim's: one
	// was granted to the sender, and at most one to each other instance once the work was done.
	if got := claims(t, w); got > len(instances) {
		t.Errorf("%d claims were granted, want at most one for each instance", got)
	}
	w.Leaks()
}

// behindAProxy has the instances believe whose address a request comes from: many people behind one would be taken for one
// that floods.
const behindAProxy = "CLOAKROOM_PUBLIC__TRUSTED_PROXIES=127.0.0.0/8"

// people are many sessions, each with a request of its own.
func people(t *testing.T, w *world.World, n int) []*http.Request {
	t.Helper()
	l := newDriver(t, w, w.All)
	l.signInAll(n)
	requests := make([]*http.Request, n)
	for i, m := range l.members {
		requests[i] = l.request(w.All[0], m.id, "GET", "/api/orders")
		requests[i].URL.Host = requests[i].Host // each client leads to its own instance
		requests[i].Header.Set("Cookie", m.cookie)
	}
	return requests
}

// Everybody's token ends at the same moment. The provider is asked by no more than the bound at once, whoever signs in
// meanwhile does not stand behind them all, and each token is sent once.
//
// shows REF-ONE, REF-SOFT
func TestSessionsThatAllEndAtOnce(t *testing.T) {
	alongside(t)
	w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute }})
	instances := w.Start(2, behindAProxy)
	n := soaking(160, 400) // 80 at each instance, more than the 64 that one asks for at once; the last of more would wait too long for a place
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = accessLife })
	requests := people(t, w, n)
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute })
	clients := []*http.Client{crowdClient(instances[0]), crowdClient(instances[1])}

	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, Times: provider.Always})
	w.Dev.ForgetRequests()
	answers := make(chan map[int]int, 1)
	go func() { answers <- crowd(clients, requests) }()
	await(t, "all of them wait", healTime, func() bool { return total(instances, "bff_refresh_waits_total") >= float64(n) })
	// A part of the places is kept for those who sign in.
	await(t, "the provider has as many as it is given", healTime, func() bool { return w.Dev.GrantCount("refresh_token") >= 2*48 })
	newcomer, began := w.Browser(), time.Now()
	w.SignIn(newcomer, "/")
	t.Logf("a sign-in behind %d refreshes took %v", n, time.Since(began).Round(time.Millisecond))
	w.Want(w.Fetch(newcomer, "GET", "/api/orders", ""), 200)
	gate.Release()
	all(t, "the crowd", 200, <-answers)
	if got := w.Dev.Most(provider.Token); got > 2*64 {
		t.Errorf("the provider had %d calls at once, want at most 64 of each instance", got)
	}
	if got := w.Dev.GrantCount("refresh_token"); got != n {
		t.Errorf("%d refreshes for %d sessions", got, n)
	}
	if got := usedTwice(w); len(got) > 0 {
		t.Errorf("%d tokens were sent twice", len(got))
	}
}

// The provider fails for everybody at once. It is asked by those who were on their way and then left alone; nobody is
// signed out, and all is well soon after it is.
//
// shows REF-SOFT
func TestProviderThatFailsForManyIsNotHammered(t *testing.T) {
	alongside(t)
	w := newWorld(t, world.Options{})
	in := w.Start(1, behindAProxy)[0]
	n := soaking(90, 500)
	requests := people(t, w, n)
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute })
	clients := []*http.Client{crowdClient(in)}
	w.Dev.ForgetRequests()
	refreshFault(w, provider.Fault{Status: 503, Times: provider.Always})
	for range 6 { // everybody comes again and again
		all(t, "while the provider fails", 503, crowd(clients, requests))
		<-time.After(500 * time.Millisecond)
	}
	// 64 at once, then one try for each five seconds that the breaker is open, over the three that this takes and then some.
	asked := w.Dev.GrantCount("refresh_token")
	if asked > 64+5 {
		t.Errorf("a provider that fails was asked %d times for %d sessions", asked, n)
	}
	t.Logf("asked %d times, for %d requests of %d sessions", asked, 6*n, n)
	w.Dev.ClearFaults()
	left := requests
	await(t, "everybody is served again", healTime, func() bool {
		got := crowd(clients, left)
		if got[200]+got[503] != len(left) {
			t.Fatalf("after the failure: %v", got)
		}
		return got[200] == len(left)
	})
}

// The provider has lost everybody's refresh tokens: that is its trouble, and nobody is signed out by it. One token that
// is spent still ends its own session.
//
// shows REF-END, REF-SOFT
func TestBurstOfSpentTokensSignsNobodyOut(t *testing.T) {
	alongside(t)
	w := newWorld(t, world.Options{})
	in := w.Start(1, behindAProxy)[0]
	one := people(t, w, 1)
	gone := newest(w, provider.KindRefresh)
	many := people(t, w, soaking(60, 300))
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute })
	clients := []*http.Client{crowdClient(in)}
	spent := provider.Fault{
		Status: 400, Times: provider.Always, Body: `{"error":"invalid_grant"}`,
		Header: http.Header{"Content-Type": {"application/json"}},
	}
	spent.Match = func(_ *http.Request, form url.Values) bool { return form.Get("refresh_token") == gone }
	w.Dev.Fault(provider.Token, spent)
	all(t, "one spent token", 401, crowd(clients, one))
	gate := provider.NewGate() // they are refused at the same moment
	spent.Match, spent.Gate = isRefresh, gate
	w.Dev.Fault(provider.Token, spent)
	answers := make(chan map[int]int, 1)
	go func() { answers <- crowd(clients, many) }()
	await(t, "all of them wait", healTime, func() bool { return in.Metric("bff_refresh_waits_total") >= float64(1+len(many)) })
	gate.Release()
	all(t, "a burst of spent tokens", 503, <-answers)
	in.AwaitLog("burst of spent refresh tokens")
	w.Dev.ClearFaults()
	if got := len(records(w)); got != len(many) {
		t.Errorf("%d sessions live, want all %d of the burst", got, len(many))
	}
}

// Tokens are renewed in the soft window before their end, and so about once in their life, however many ask.
//
// shows REF-EARLY, SCALEKIT-K2
func TestShortLivedTokensAreRenewedOnceInTheirLife(t *testing.T) {
	t.Parallel()
	life, span := soaking(4*time.Second, 20*time.Second), soaking(10*time.Second, 65*time.Second)
	w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.AccessLife = life }})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	r := request(t, w, b)
	var running sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 8 { // each asks some twenty times a second
		running.Go(func() {
			c := crowdClient(instances[i%2])
			for began := time.Now(); time.Since(began) < span; <-time.After(50 * time.Millisecond) {
				for status := range crowd([]*http.Client{c}, []*http.Request{r}) {
					mu.Lock()
					statuses[status]++
					mu.Unlock()
				}
			}
		})
	}
	running.Wait()
	all(t, "under load", 200, statuses)
	// From the last fifth of a life on, and no later than its end.
	got, least, most := w.Dev.GrantCount("refresh_token"), int(span/life), int(span/(life*8/10))+1
	if got < least || got > most {
		t.Errorf("%d refreshes in %v of tokens that live %v, want %d to %d", got, span, life, least, most)
	}
	if got := usedTwice(w); len(got) > 0 {
		t.Errorf("%d tokens were sent twice", len(got))
	}
	t.Logf("%d requests, %d refreshes, %v waited", statuses[200], got, total(instances, "bff_refresh_waits_total"))
}
