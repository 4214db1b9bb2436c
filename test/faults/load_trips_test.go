//go:build integration

package faults_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cloakroom/test/redisproc"
	"cloakroom/test/world"

	"github.com/google/go-cmp/cmp"
)

// topology is a way to run Redis: what it is told of it, and the servers that keep sessions.
type topology struct {
	options redisproc.Options // of the world's own server
	start   func(t *testing.T, w *world.World) (env []string, servers []*redisproc.Server)
}

func topologies(t *testing.T) map[string]topology {
	certificates := redisproc.NewTLS(t)
	own := func(env ...string) func(*testing.T, *world.World) ([]string, []*redisproc.Server) {
		return func(_ *testing.T, w *world.World) ([]string, []*redisproc.Server) {
			return env, []*redisproc.Server{w.Redis}
		}
	}
	cluster := func(env ...string) func(*testing.T, *world.World) ([]string, []*redisproc.Server) {
		return func(t *testing.T, _ *world.World) ([]string, []*redisproc.Server) {
			c := redisproc.StartCluster(t, redisproc.ClusterOptions{})
			return append(byCluster(c), env...), c.Nodes
		}
	}
	const pipeline = "CLOAKROOM_REDIS__PIPELINE=true"
	return map[string]topology{
		"nothing beside it": {start: own()},
		"pipelined reads":   {start: own(pipeline)},
		"TLS and a user": {
			options: redisproc.Options{TLS: certificates, Users: []string{documentedUser(t)}},
			start:   own(bySecureRedis(certificates, certificates.CAFile)...),
		},
		"Sentinels": {start: func(t *testing.T, _ *world.World) ([]string, []*redisproc.Server) {
			set := redisproc.StartSentinel(t, redisproc.SentinelOptions{})
			return bySentinel(set), set.Servers[:1] // its replica also counts what it is told to follow
		}},
		"slots in a Cluster":        {start: cluster()},
		"slots and pipelined reads": {start: cluster(pipeline)},
	}
}

// A proxied request asks Redis one thing, whatever Redis is and whatever the credential.
func TestHotPathIsOneRoundTripInEveryTopology(t *testing.T) {
	t.Parallel()
	for name, how := range topologies(t) {
		t.Run("a Redis with "+name, func(t *testing.T) {
			t.Parallel()
			n := &nativeWorld{World: world.New(t, nativeProvider, world.Options{
				Redis: how.options, Behave: longLived, Routes: resourceRoutes(t), Apps: `
  phone:
    kind: mobile
    provider: main
    client_id: nativec_1
    client_secret: ` + phoneSecret + `
    redirect_uris: ["` + phoneURI + `"]
` + vaultYAML,
			})}
			n.addVault()
			env, servers := how.start(t, n.World)
			n.clients = []*http.Client{n.Start(1, append(env, "CLOAKROOM_PUBLIC__URL="+publicURL)...)[0].Client()}
			b := n.Browser()
			n.SignIn(b, "/")
			handle := granted(t, n.token(0, n.code(t, n.phone()))).Access
			device := n.boundDevice(t)
			for credential, call := range map[string]func(){
				"cookie":                            func() { n.Want(n.Fetch(b, "GET", "/api/orders", ""), 200) },
				"cookie on a route with a resource": func() { n.Want(n.Fetch(b, "GET", "/orders/1", ""), 200) },
				"handle":                            func() { n.want(t, 0, "GET", "/api/orders", handle, 200) },
				"proof":                             func() { n.answers(t, "a call", 0, device.request(t), 200) },
			} {
				call() // warm: connections, keys, scripts, the handle's first use
				oneTrip(t, credential, servers, call)
			}
		})
	}
}

// oneTrip fails unless each call costs one command: with a proof one script, and in it what uses the proof up. Where the route
// has a resource it is two.
func oneTrip(t *testing.T, credential string, servers []*redisproc.Server, call func()) {
	t.Helper()
	const requests = 10
	for _, s := range servers {
		s.ResetCalls()
	}
	for range requests {
		call()
	}
	got := map[string]int{}
	for _, s := range servers {
		for name, n := range s.Calls() {
			if !beside(name) {
				got[name] += n
			}
		}
	}
	want := map[string]int{"hmget": requests}
	if strings.HasSuffix(credential, "resource") { // the record, and the token that is kept beside it
		want["hget"] = requests
	}
	if credential == "proof" {
		want = map[string]int{"evalsha": requests, "hmget": requests, "get": requests, "del": requests, "set": requests}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d requests with a %s cost (%v): %s", requests, credential, slices.Sorted(maps.Keys(got)), diff)
	}
}

// beside reports whether a command belongs to no request: the clock's sample, signs of life, what servers of a set or a
// Cluster tell each other (a Sentinel's greeting is a PUBLISH), and what this test and a new connection ask.
func beside(command string) bool {
	name, _, _ := strings.Cut(command, "|")
	return slices.Contains([]string{
		"time", "ping", "publish", "replconf", "psync", "info", "config", "client", "cluster", "command", "hello", "auth", "select",
		"readonly", "subscribe",
	}, name)
}
