//go:build integration

package faults_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// kept is everything that one Redis held at a moment, with the keys and credentials that open it.
type kept struct {
	By    string            `json:"by"`    // the commit whose code wrote it
	At    int64             `json:"at"`    // by the clock of all instances, ms
	Keys  map[string]string `json:"keys"`  // key files by id
	Have  map[string]string `json:"have"`  // what frontends held
	Redis []entry           `json:"redis"` // by key
}

// entry is one key of Redis. A string has no fields.
type entry struct {
	Key    string            `json:"key"`
	Life   int64             `json:"life"` // ms, from the moment on
	String []byte            `json:"string,omitempty"`
	Hash   map[string][]byte `json:"hash,omitempty"`
}

// keep copies all of Redis.
func keep(t *testing.T, rdb *redis.Client) (all []entry) {
	t.Helper()
	ctx := t.Context()
	keys := rdb.Keys(ctx, "*").Val()
	slices.Sort(keys)
	for _, key := range keys {
		e := entry{Key: key, Life: rdb.PTTL(ctx, key).Val().Milliseconds()}
		var err error
		if rdb.Type(ctx, key).Val() == "hash" {
			var fields map[string]string
			fields, err = rdb.HGetAll(ctx, key).Result()
			e.Hash = make(map[string][]byte)
			for name, value := range fields {
				e.Hash[name] = []byte(value)
			}
		} else {
			e.String, err = rdb.Get(ctx, key).Bytes()
		}
		if errors.Is(err, redis.Nil) {
			continue // a claim, say, whose refresh is over by now
		}
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		all = append(all, e)
	}
	return all
}

// restore empties Redis and puts back what was kept, each key with the life it had.
func (k *kept) restore(t *testing.T, rdb *redis.Client) {
	t.Helper()
	ctx := t.Context()
	pipe := rdb.Pipeline()
	pipe.FlushAll(ctx)
	for _, e := range k.Redis {
		if e.Hash == nil {
			pipe.Set(ctx, e.Key, e.String, 0)
		}
		for name, value := range e.Hash {
			pipe.HSet(ctx, e.Key, name, value)
		}
		pipe.PExpire(ctx, e.Key, time.Duration(e.Life)*time.Millisecond)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
}
