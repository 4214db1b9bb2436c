//go:build integration

// Package faults holds what happens when something dies, hangs or is cut off under several real instances of the gateway
// on a real Redis: at most one refresh, nothing lost, nobody signed out by an outage.
package faults_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/world"
)

// ended makes the session's access token end before the next request.
func ended(w *world.World) {
	<-time.After(accessLife + 100*time.Millisecond)
}

// accessLife is short, so that a test can wait for an access token's end.
const accessLife = time.Second

func newWorld(t *testing.T, o world.Options) *world.World {
	t.Helper()
	behave := o.Behave
	o.Behave = func(b *provider.Behaviour) {
		b.AccessLife = accessLife
		if behave != nil {
			behave(b)
		}
	}
	w := world.New(t, world.DevProvider, o)
	t.Cleanup(func() { cleanLogs(t, w) }) // before the instances' own, so it runs after they have ended
	return w
}

// refreshFault lays a fault over the next refresh at the provider.
func refreshFault(w *world.World, f provider.Fault) *provider.QueuedFault {
	f.Match = isRefresh
	return w.Dev.Fault(provider.Token, f)
}

// shows REF-ONE
func TestFiftyRequestsOnOneEndedTokenOverTwoProcessesRefreshOnce(t *testing.T) {
	w := newWorld(t, world.Options{})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	// The provider makes the new tokens and holds its answer until all fifty wait; later refreshes would pass at once.
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, AfterWork: true})
	ended(w)
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Minute }) // the new token outlives its being held

	const each = 25
	statuses := make(chan int, 2*each)
	for _, in := range instances {
		w.At(in)
		for range each {
			r := request(t, w, b)
			go func() { statuses <- send(in, r) }()
		}
	}
	for _, in := range instances {
		in.AwaitMetric("bff_refresh_waits_total", each)
	}
	// Longer than a lease (6 s) and than the suspicion of a silent sender (4 s): what holds the others back is the claim.
	<-time.After(8 * time.Second)
	gate.Release()
	for range 2 * each {
		if got := <-statuses; got != 200 {
			t.Errorf("a request answered %d", got)
		}
	}
	if got := w.Dev.GrantCount("refresh_token"); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", got)
	}
	// The sent mark and the suspicion would hold a second sender back as well. That nobody came so far is the claim's: one
	// was granted to the sender, and one to the other instance once the work was done.
	if got := claims(t, w); got > len(instances) {
		t.Errorf("%d claims were granted, want one for each instance", got)
	}
	w.Leaks()
}

// shows REF-DETACH
func TestClientThatHangsUpMidRefreshLosesNothing(t *testing.T) {
	w := newWorld(t, world.Options{})
	in := w.Start(1)[0]
	b := w.Browser()
	w.SignIn(b, "/")
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, AfterWork: true})
	ended(w)
	ctx, hangUp := context.WithCancel(context.Background())
	r := request(t, w, b).WithContext(ctx)
	gone := make(chan struct{})
	go func() { send(in, r); close(gone) }()
	<-gate.Arrived()
	hangUp()
	<-gone
	in.AwaitLog(`"code":"client_gone"`)
	gate.Release()
	in.AwaitMetric(`bff_refresh_total{result="refreshed"}`, 1)
	// The provider treats a second use as theft: the stored token is the rotated one only if this works.
	for range 2 {
		ended(w)
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	}
	if got := w.Dev.GrantCount("refresh_token"); got != 3 {
		t.Errorf("the provider saw %d refreshes, want 3", got)
	}
}

// shows REF-DETACH, SESS-CAS
func TestSignOutMidRefreshWins(t *testing.T) {
	m := midRefresh(t, world.Options{})
	m.w.At(m.instances[1])
	m.w.Want(m.w.Fetch(m.browser, "POST", "/bff/logout", ""), 200)
	m.gate.Release()
	if got := <-m.answered; got != 401 {
		t.Errorf("the request mid-refresh got %d, want 401", got)
	}
	for _, in := range m.instances {
		if got := send(in, m.request); got != 401 {
			t.Errorf("after the sign-out: %d, want 401", got)
		}
	}
	m.instances[0].AwaitLog(`"event":"tokens_revoked"`)
	if fresh := newest(m.w, provider.KindRefresh); !revokedAt(m.w, fresh) {
		t.Error("the token that came for a session that was over was not revoked")
	}
	m.w.Leaks()
}

// shows REF-RACE
func TestSenderThatDiesIsFollowedOnceByTheOtherInstance(t *testing.T) {
	m := midRefresh(t, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = time.Minute }})
	m.instances[0].Kill()
	m.gate.Release()
	if got := send(m.instances[1], m.request); got != 200 {
		t.Fatalf("after the sender died: %d", got)
	}
	if got := m.w.Dev.GrantCount("refresh_token"); got != 2 {
		t.Errorf("the provider saw %d refreshes, want the lost one and one later attempt", got)
	}
}

// shows REF-RACE
func TestFrozenSenderAndItsFollowerLoseNothing(t *testing.T) {
	m := midRefresh(t, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = time.Minute }})
	m.instances[0].Freeze()
	m.gate.Release()
	if got := send(m.instances[1], m.request); got != 200 {
		t.Fatalf("while the sender is frozen: %d", got)
	}
	m.instances[0].Thaw() // it finds an answer, saves by generation, and gives way
	if got := <-m.answered; got != 200 {
		t.Errorf("the frozen request: %d", got)
	}
	for _, in := range m.instances {
		ended(m.w)
		if got := send(in, m.request); got != 200 {
			t.Errorf("afterwards: %d", got)
		}
	}
}

// shows REF-DETACH
func TestStopMidRefreshStoresTheToken(t *testing.T) {
	m := midRefresh(t, world.Options{})
	stopped := make(chan error, 1)
	go func() { stopped <- m.instances[0].Stop() }()
	m.instances[0].AwaitLog(`"msg":"draining"`)
	m.gate.Release()
	if got := <-m.answered; got != 200 {
		t.Errorf("the request that waited through the stop: %d", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopping: %v", err)
	}
	for range 2 { // the stored token is the rotated one: a second use of the old would end the family
		ended(m.w)
		if got := send(m.instances[1], m.request); got != 200 {
			t.Errorf("afterwards: %d", got)
		}
	}
}

// shows REF-END
func TestRefreshTokenRevokedAtTheProviderEndsTheSession(t *testing.T) {
	w := newWorld(t, world.Options{})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Dev.RevokeTokens("usr_1001", "webc_1")
	ended(w)
	p := w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
	if !strings.Contains(string(p.Body), `"code":"session_ended"`) || !strings.Contains(string(p.Body), `"reason":"refresh_rejected"`) {
		t.Errorf("answer: %s", p.Body)
	}
	if _, ok := b.Cookie(world.Origin, "__Host-Http-web"); ok {
		t.Error("the cookie was not cleared")
	}
	w.At(instances[1])
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
}

// shows REF-SOFT
func TestTroubleAtTheProviderSignsNobodyOut(t *testing.T) {
	for name, fault := range map[string]provider.Fault{
		"503":                          {Status: 503},
		"429 with Retry-After":         {Status: 429, Header: map[string][]string{"Retry-After": {"1"}}},
		"an HTML page":                 {Status: 200, Header: map[string][]string{"Content-Type": {"text/html"}}, Body: "<h1>Down</h1>"},
		"a firewall's 403":             {Status: 403, Body: "blocked"},
		"an ingress's 404":             {Status: 404, Body: "not here"},
		"a redirect":                   {Redirect: "https://elsewhere.example/"},
		"invalid_client":               {Status: 401, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: `{"error":"invalid_client"}`},
		"a connection cut before work": {Drop: true},
		"an endless body":              {Endless: true},
	} {
		t.Run("a refresh answered by "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = time.Minute }})
			w.Start(1)
			b := w.Browser()
			w.SignIn(b, "/")
			fault := fault
			refreshFault(w, fault)
			ended(w)
			p := w.Want(w.Fetch(b, "GET", "/api/orders", ""), 503)
			if !strings.Contains(string(p.Body), `"code":"idp_unavailable"`) || p.Header.Get("Retry-After") == "" {
				t.Errorf("answer: %v %s", p.Header, p.Body)
			}
			if _, ok := b.Cookie(world.Origin, "__Host-Http-web"); !ok {
				t.Fatal("the cookie was cleared")
			}
			w.Dev.ClearFaults()
			for deadline := time.Now().Add(30 * time.Second); ; {
				if p := w.Fetch(b, "GET", "/api/orders", ""); p.Status == 200 {
					break
				} else if p.Status != 503 || time.Now().After(deadline) {
					t.Fatalf("it does not heal: %d %s", p.Status, p.Body)
				}
				<-time.After(200 * time.Millisecond)
			}
			if name == "invalid_client" && !strings.Contains(w.All[0].Log(), `"event":"alarm"`) {
				t.Error("no alarm")
			}
		})
	}
}
