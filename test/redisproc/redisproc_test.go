//go:build integration

package redisproc_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"cloakroom/test/redisproc"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func connect(t *testing.T, s *redisproc.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1, DisableIdentity: true, ReadTimeout: 200 * time.Millisecond, PoolSize: 1})
	t.Cleanup(func() { c.Close() })
	return c
}

func do(t *testing.T, c *redis.Client, args ...any) any {
	t.Helper()
	got, err := c.Do(t.Context(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatalf("%v: %v", args, err)
	}
	return got
}

func TestRestart(t *testing.T) {
	for name, row := range map[string]struct {
		keep bool
		want any
	}{"append-only file": {true, "v"}, "nothing on disk": {false, nil}} {
		t.Run(name, func(t *testing.T) {
			s := redisproc.Start(t, redisproc.Options{AppendOnly: row.keep})
			c := connect(t, s)
			for _, end := range []func(){s.Kill, s.Stop, func() {}, s.Freeze} {
				do(t, c, "SET", "k", "v")
				s.Dump() // leaves a snapshot, which a server without persistence must not come back with
				end()
				s.Restart()
				c = connect(t, s)
				if got := do(t, c, "GET", "k"); got != row.want {
					t.Errorf("a server with %s remembers %v, want %v", name, got, row.want)
				}
			}
		})
	}
}

func TestKilledServerRefuses(t *testing.T) {
	s := redisproc.Start(t, redisproc.Options{})
	s.Kill()
	s.Kill()
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		conn.Close()
		t.Error("a killed server takes connections")
	}
}

func TestFrozenServerIsSilentAndGoesOn(t *testing.T) {
	s := redisproc.Start(t, redisproc.Options{})
	c := connect(t, s)
	do(t, c, "SET", "k", "v")
	s.Freeze()
	var late net.Error
	if err := c.Get(t.Context(), "k").Err(); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("a frozen server gave %v, want a timeout", err)
	}
	s.Thaw()
	if got := do(t, c, "GET", "k"); got != "v" {
		t.Errorf("a thawed server gave %v", got)
	}
}

func TestDump(t *testing.T) {
	s := redisproc.Start(t, redisproc.Options{Args: []string{"--maxmemory", "64mb"}})
	c := connect(t, s)
	for _, command := range []string{
		"SET string in-a-string", "HSET hash field in-a-hash", "RPUSH list in-a-list", "SADD set in-a-set",
		"ZADD zset 1 in-a-zset", "XADD stream * field in-a-stream", "PEXPIRE string 60000", "PEXPIRE hash 60000",
	} {
		args := []any{}
		for _, word := range strings.Fields(command) {
			args = append(args, word)
		}
		do(t, c, args...)
	}
	long := strings.Repeat("compressible-", 100)
	do(t, c, "SET", "long", long, "EX", 60)
	dump := string(s.Dump())
	for _, want := range []string{"in-a-string", "in-a-hash", "in-a-list", "in-a-set", "in-a-zset", "in-a-stream", long, "string string ttl=", "list list ttl=none"} {
		if !strings.Contains(dump, want) {
			t.Errorf("the dump lacks %q", want)
		}
	}
	if _, snapshot, _ := strings.Cut(dump, "REDIS0"); !strings.Contains(snapshot, long) || !strings.Contains(snapshot, "in-a-stream") {
		t.Error("the dump lacks a readable snapshot")
	}
	if diff := cmp.Diff([]string{"list", "set", "stream", "zset"}, s.KeysWithoutTTL()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"hash", "list", "long", "set", "stream", "string", "zset"}, s.Keys()); diff != "" {
		t.Error(diff)
	}
	if got, err := c.ConfigGet(context.Background(), "maxmemory").Result(); err != nil || got["maxmemory"] != "67108864" {
		t.Errorf("further settings: %v, %v", got, err)
	}
}
