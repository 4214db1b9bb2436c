//go:build integration

package faults_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

// tab opens the event stream of a browser's session at an instance.
func tab(t *testing.T, in *gateway.Instance, b *browser.Browser) *gateway.Stream {
	t.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + "/bff/events"})
	if err != nil {
		t.Fatal(err)
	}
	return tabOf(t, in, h)
}

func tabOf(t *testing.T, in *gateway.Instance, h http.Header) *gateway.Stream {
	t.Helper()
	r, err := http.NewRequest("GET", world.Origin+"/bff/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	s := in.Listen(t, r)
	if e := s.Next(t); e.Name != "session" {
		t.Fatalf("first comes %+v", e)
	}
	return s
}

// lateAt most may an end be known whose event was lost: the watch's three seconds, and as much again on a busy machine.
const lateAt = 10 * time.Second

// Whatever becomes of the channel of events, a sign-out at one instance is known at the other within the watch's seconds,
// with its reason.
//
// shows PRX-LIVE
func TestASignOutWhoseEventIsLost(t *testing.T) {
	alongside(t)
	plain := func(*testing.T, *world.World) (here, there []string, lose func()) { return nil, nil, func() {} }
	for _, c := range []struct {
		name string
		set  func(t *testing.T, w *world.World) (here, there []string, lose func()) // environments, and what loses the event
	}{
		{"nothing", plain},
		{"a subscription that is cut", func(_ *testing.T, w *world.World) ([]string, []string, func()) {
			return nil, nil, func() { w.Redis.Do("CLIENT", "KILL", "TYPE", "pubsub") }
		}},
		{"a channel that is silent", func(_ *testing.T, w *world.World) ([]string, []string, func()) {
			w.Redis.Do("ACL", "SETUSER", "deaf", "on", ">pass", "~*", "+@all", "resetchannels")
			return nil, []string{"CLOAKROOM_REDIS__USERNAME=deaf", "CLOAKROOM_REDIS__PASSWORD=pass"}, func() {}
		}},
		{"a failover", func(t *testing.T, _ *world.World) ([]string, []string, func()) {
			set := redisproc.StartSentinel(t, redisproc.SentinelOptions{Replicas: 1})
			env := append(bySentinel(set), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")
			return env, env, func() { killPrimary(set) }
		}},
		{"a Cluster that loses the session's master", func(t *testing.T, _ *world.World) ([]string, []string, func()) {
			cluster := redisproc.StartCluster(t, redisproc.ClusterOptions{Replicas: true})
			env := append(byCluster(cluster), "CLOAKROOM_REDIS__WAIT_REPLICAS=1")
			return env, env, func() {
				slot := aSession(t, cluster)
				old := cluster.Master(slot)
				old.Kill()
				cluster.AwaitPromotion(old, slot)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, world.Options{Behave: func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute }})
			toHere, toThere, lose := c.set(t, w)
			here := w.Start(1, toHere...)[0]
			there := w.Setup.Start(t, toThere...)
			w.All = append(w.All, there)
			b := w.Browser()
			w.SignIn(b, "/")
			tabs := []*gateway.Stream{tab(t, there, b), tab(t, here, b)}
			for _, in := range w.All { // their first looks are over
				in.AwaitMetric(`bff_watch_looks_total{result="alive"}`, 1)
			}
			lose()
			signOut(t, w, b)
			at := time.Now()
			for _, s := range tabs {
				e := s.Next(t)
				if e.Name != "session-ended" || e.Data != `{"reason":"signed_out"}` || e.At.Sub(at) > lateAt {
					t.Errorf("a tab was told %s %s after %v", e.Name, e.Data, e.At.Sub(at))
				}
				t.Logf("a tab was told after %v", e.At.Sub(at).Round(time.Millisecond))
			}
		})
	}
}

// signOut signs out once Redis is well again. Its answer is the moment from which the tabs' time counts.
func signOut(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	await(t, "the sign-out is answered with 200", healTime, func() bool {
		p := w.Fetch(b, "POST", "/bff/logout", "")
		return p.Status == 200 && strings.Contains(string(p.Body), "redirect_to")
	})
}
