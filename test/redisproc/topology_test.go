//go:build integration

package redisproc_test

import (
	"context"
	"testing"
	"time"

	"cloakroom/test/redisproc"

	"github.com/redis/go-redis/v9"
)

func TestSentinelsReplaceAKilledPrimary(t *testing.T) {
	t.Parallel()
	set := redisproc.StartSentinel(t, redisproc.SentinelOptions{Replicas: 2})
	old := set.Primary()
	old.Do("SET", "k", "v")
	if got := old.Do("WAIT", 2, 5000); got != int64(2) {
		t.Fatalf("%v replicas have it, want 2", got)
	}
	old.Kill()
	fresh := set.AwaitFailover(old)
	if fresh == old || set.Primary() != fresh {
		t.Error("the primary did not change")
	}
	if got := fresh.Do("GET", "k"); got != "v" {
		t.Errorf("the new primary has %v", got)
	}
	old.Restart()
	set.AwaitReplicas(2)
	before := set.Primary()
	if again := set.Failover(); again == before {
		t.Error("an ordered failover changed nothing")
	}
}

func TestAClusterPromotesAReplicaAndMovesASlot(t *testing.T) {
	t.Parallel()
	c := redisproc.StartCluster(t, redisproc.ClusterOptions{Replicas: true})
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs(), DisableIdentity: true})
	t.Cleanup(func() { client.Close() })
	for _, key := range []string{"{k}1", "{k}2", "{k}3"} {
		if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	slot := c.Slot("{k}")
	from := c.Master(slot)
	to := c.Nodes[0]
	if to == from {
		to = c.Nodes[1]
	}
	m := c.Move(slot, to)
	m.Begin()
	if got := m.Keys(1); got != 1 {
		t.Fatalf("%d keys moved, want 1", got)
	}
	present(t, client, "{k}1", "{k}2", "{k}3") // two of them here, one behind ASK
	m.Finish()
	if got := c.Master(slot); got != to {
		t.Errorf("the slot is at %s, want %s", got.Addr(), to.Addr())
	}
	present(t, client, "{k}1", "{k}2", "{k}3")
	replica := c.Replica(to)
	if replica == nil {
		t.Fatal("the master has no replica")
	}
	if got := to.Do("WAIT", 1, 5000); got != int64(1) {
		t.Fatalf("%v replicas have what moved, want 1", got)
	}
	to.Kill()
	if got := c.AwaitPromotion(to, slot); got != replica {
		t.Errorf("%s was promoted, want %s", got.Addr(), replica.Addr())
	}
	after := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{replica.Addr()}, DisableIdentity: true}) // the old one looks once a minute
	t.Cleanup(func() { after.Close() })
	present(t, after, "{k}1", "{k}2", "{k}3")
}

func present(t *testing.T, client *redis.ClusterClient, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if got, err := client.Get(t.Context(), key).Result(); err != nil || got != "v" {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
}

func TestAServerWithTLSAndUsersRefusesOthers(t *testing.T) {
	t.Parallel()
	certificates := redisproc.NewTLS(t)
	certificates.RequireClient = true
	s := redisproc.Start(t, redisproc.Options{TLS: certificates, Users: []string{"app on >secret ~a:* +get +ping"}})
	ask := func(o redis.Options, args ...any) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		o.Addr, o.DisableIdentity, o.MaxRetries, o.DialerRetries, o.Protocol = s.Addr(), true, -1, 1, 2
		c := redis.NewClient(&o)
		defer c.Close()
		err := c.Do(ctx, args...).Err()
		if err == redis.Nil {
			return nil
		}
		return err
	}
	trusted := certificates.Client()
	unnamed := certificates.Client()
	unnamed.Certificates = nil
	foreign := redisproc.NewTLS(t).Client()
	for name, row := range map[string]struct {
		o    redis.Options
		args []any
		ok   bool
	}{
		"a certificate and a user":          {redis.Options{TLSConfig: trusted, Username: "app", Password: "secret"}, []any{"GET", "a:1"}, true},
		"a command the user has not":        {redis.Options{TLSConfig: trusted, Username: "app", Password: "secret"}, []any{"SET", "a:1", "v"}, false},
		"a key that is not the user's":      {redis.Options{TLSConfig: trusted, Username: "app", Password: "secret"}, []any{"GET", "b:1"}, false},
		"no user":                           {redis.Options{TLSConfig: trusted}, []any{"GET", "a:1"}, false},
		"no TLS":                            {redis.Options{Username: "app", Password: "secret"}, []any{"GET", "a:1"}, false},
		"no certificate":                    {redis.Options{TLSConfig: unnamed, Username: "app", Password: "secret"}, []any{"GET", "a:1"}, false},
		"an authority that it did not name": {redis.Options{TLSConfig: foreign, Username: "app", Password: "secret"}, []any{"GET", "a:1"}, false},
	} {
		if err := ask(row.o, row.args...); (err == nil) != row.ok {
			t.Errorf("a client with %s: %v, want ok %v", name, err, row.ok)
		}
	}
	s.ResetCalls()
	s.Do("GET", "a:1")
	if got := s.Calls()["get"]; got != 1 {
		t.Errorf("GET was counted %d times, want 1", got)
	}
}
