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

// shows REF-DETACH
func TestClientThatHangsUpMidRefreshLosesNothing(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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

// shows REF-DETACH
func TestStopMidRefreshStoresTheToken(t *testing.T) {
	t.Parallel()
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

// shows REF-END, SCALEKIT-A7, SCALEKIT-K9, SCALEKIT-F4
func TestRefreshTokenRevokedAtTheProviderEndsTheSession(t *testing.T) {
	t.Parallel()
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
