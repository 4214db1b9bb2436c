package redisproc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	dumpPatience = 30 * time.Second // tens of thousands of keys on a slow machine
	scanCount    = 1000             // keys per SCAN step
)

// noExpiry is what PTTL says of a key that stays for ever (-2 is one that has gone meanwhile); go-redis passes it on unscaled.
const noExpiry = time.Duration(-1)

func life(ttl time.Duration) string {
	if ttl == noExpiry {
		return "none"
	}
	return ttl.String()
}

// Dump is everything the server keeps: a line per key with type, life and values as they are, then the bytes of an RDB
// file (uncompressed strings). It is what a thief of the machine reads, for scanners and for comparing two moments.
func (s *Server) Dump() []byte {
	s.tb.Helper()
	var out bytes.Buffer
	s.eachKey(func(ctx context.Context, c *redis.Client, key string) error {
		kind, value, err := read(ctx, c, key)
		if err != nil {
			return err
		}
		ttl, err := c.PTTL(ctx, key).Result()
		fmt.Fprintf(&out, "%s %s ttl=%s %s\n", kind, key, life(ttl), value)
		return err
	})
	out.Write(s.rdb())
	return out.Bytes()
}

// KeysWithoutTTL lists, sorted, the keys that would stay for ever.
func (s *Server) KeysWithoutTTL() []string {
	s.tb.Helper()
	var keys []string
	s.eachKey(func(ctx context.Context, c *redis.Client, key string) error {
		ttl, err := c.PTTL(ctx, key).Result()
		if ttl == noExpiry {
			keys = append(keys, key)
		}
		return err
	})
	return keys
}

// Keys lists all keys, sorted.
func (s *Server) Keys() []string {
	s.tb.Helper()
	var keys []string
	s.eachKey(func(_ context.Context, _ *redis.Client, key string) error {
		keys = append(keys, key)
		return nil
	})
	return keys
}

// eachKey calls visit with each key in order; an error fails the test.
func (s *Server) eachKey(visit func(context.Context, *redis.Client, string) error) {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dumpPatience)
	defer cancel()
	client := s.client()
	defer client.Close()
	var keys []string
	scan := client.Scan(ctx, 0, "*", scanCount).Iterator()
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		s.tb.Fatalf("scanning keys: %v", err)
	}
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) { // SCAN may tell a key twice
		if err := visit(ctx, client, key); err != nil {
			s.tb.Fatalf("reading key %q: %v", key, err)
		}
	}
}

// read returns a key's type and its values, raw.
func read(ctx context.Context, c *redis.Client, key string) (kind, value string, err error) {
	kind, err = c.Type(ctx, key).Result()
	if err != nil {
		return "", "", err
	}
	command := map[string][]any{
		"string": {"GET", key}, "hash": {"HGETALL", key}, "list": {"LRANGE", key, 0, -1}, "set": {"SMEMBERS", key},
		"zset": {"ZRANGE", key, 0, -1, "WITHSCORES"}, "stream": {"XRANGE", key, "-", "+"},
	}[kind]
	if command == nil { // "none": expired between SCAN and TYPE
		return kind, "", nil
	}
	got, err := c.Do(ctx, command...).Result()
	if errors.Is(err, redis.Nil) {
		return kind, "", nil
	}
	return kind, fmt.Sprint(got), err
}

// rdb saves and reads the snapshot file, strings uncompressed so that a scanner sees them.
func (s *Server) rdb() []byte {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dumpPatience)
	defer cancel()
	client := s.client()
	defer client.Close()
	if err := client.ConfigSet(ctx, "rdbcompression", "no").Err(); err != nil {
		s.tb.Fatalf("turning compression off: %v", err)
	}
	if err := client.Save(ctx).Err(); err != nil {
		s.tb.Fatalf("saving: %v", err)
	}
	file, err := os.ReadFile(filepath.Join(s.dir, "dump.rdb"))
	if err != nil {
		s.tb.Fatalf("reading the snapshot: %v", err)
	}
	return file
}
