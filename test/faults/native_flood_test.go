//go:build integration

package faults_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"cloakroom/test/forge"
	"cloakroom/test/prover"
	"cloakroom/test/world"
)

const (
	attackers = 32 // of a flood
	// tolerated is by how many bytes all of Redis may have grown: the buffers of its connections and the garbage of its scripts
	// come and go by half of it, and ten thousand remembered proofs would take half as much again.
	tolerated = 1 << 20
)

// Whoever has no key of a session makes Redis keep nothing, however many proofs they sign: for handles that there are none of,
// for somebody's real handle, and by signatures that do not hold, which cost not even a question. Others are served meanwhile.
//
// shows DPOP-11.1
func TestFloodOfProofsLeavesRedisFlat(t *testing.T) {
	t.Parallel()
	n := newBound(t, world.Options{})
	victim, other := n.boundDevice(t), n.signIn(t, n.phone())
	victim.lives(t, "the victim, before", 200)
	n.lives(t, other, 200)
	handles := make([]string, sized(1000, 10000))
	for name, f := range map[string]struct {
		handle func() string
		bend   []prover.Option
		asks   bool // whether Redis has to be asked
	}{
		"handles of nobody":         {func() string { return forge.Handle(forge.Access) }, nil, true},
		"a handle of somebody":      {func() string { return victim.handle }, nil, true},
		"signatures that are wrong": {func() string { return victim.handle }, []prover.Option{prover.SignedBy(prover.New("ES256"))}, false},
	} {
		for i := range handles {
			handles[i] = f.handle()
		}
		n.flood(t, handles[:len(handles)/10], f.bend) // connections are open, scripts known, buffers as large as they get
		before := n.look()
		done := make(chan struct{})
		slowest := n.served(t, done, other.Access)
		began := time.Now()
		n.flood(t, handles, f.bend)
		took := time.Since(began)
		close(done)
		worst := <-slowest
		after := n.look()
		if more := grown(before.keys, after.keys); len(more) > 0 {
			t.Errorf("%d proofs with %s: %d keys are new or larger: %.200q", len(handles), name, len(more), more)
		}
		if more := after.memory - before.memory; before.memory == 0 || more > tolerated {
			t.Errorf("%d proofs with %s: Redis has grown by %d bytes", len(handles), name, more)
		}
		if asked := after.commands["EVALSHA"]; f.asks && asked < len(handles)*99/100 || !f.asks && asked > 0 || asked > len(handles)*101/100 || len(after.writes) > 0 {
			t.Errorf("%d proofs with %s: Redis was asked %v and wrote by %v", len(handles), name, after.commands, after.writes)
		}
		t.Logf("%d proofs with %s in %v (%.0f a second): %d keys before, %d after, %+d bytes; commands %v; slowest request of another user %v",
			len(handles), name, took.Round(time.Millisecond), float64(len(handles))/took.Seconds(), len(before.keys), len(after.keys),
			after.memory-before.memory, after.commands, worst.Round(time.Millisecond))
		if worst > 10*time.Second { // finds what hangs, not what is slow
			t.Errorf("another user waited %v", worst)
		}
	}
	victim.lives(t, "the victim, after", 200)
	n.lives(t, other, 200)
	n.Leaks()
}

// grown are the keys that were not there before, or took less memory. That some have gone is no wonder: all have a life.
func grown(before, after map[string]int) (keys []string) {
	for key, size := range after {
		if was, there := before[key]; !there || size > was {
			keys = append(keys, key)
		}
	}
	return keys
}

// flood presents each handle with a proof by a key that nobody has seen before: all are refused.
func (n *nativeWorld) flood(t *testing.T, handles []string, bend []prover.Option) {
	t.Helper()
	next := make(chan string)
	var all sync.WaitGroup
	for i := range attackers {
		all.Go(func() {
			for handle := range next {
				r, err := http.NewRequest("GET", publicURL+"/api/orders", nil)
				if err != nil {
					t.Error(err)
					continue
				}
				prover.New("ES256").Present(r, handle, bend...)
				// 503: a busy machine let Redis's time pass. It is no way in either.
				if status, body := n.sendAs(i%2, r); status != 401 && status != 503 {
					t.Errorf("a forged proof: %d %.200s", status, body)
				}
			}
		})
	}
	for _, h := range handles {
		next <- h
	}
	close(next)
	all.Wait()
}

// served calls the API as somebody else until done, at both instances in turn, and tells the longest wait.
func (n *nativeWorld) served(t *testing.T, done <-chan struct{}, access string) <-chan time.Duration {
	slowest := make(chan time.Duration, 1)
	go func() {
		var worst time.Duration
		for i := 0; ; i++ {
			select {
			case <-done:
				slowest <- worst
				return
			default:
			}
			began := time.Now()
			if status, body := n.call(i%2, "GET", "/api/orders", access); status != 200 {
				t.Errorf("another user, during a flood: %d %.200s", status, body)
			}
			worst = max(worst, time.Since(began))
		}
	}()
	return slowest
}

// sight is what Redis holds, and what it did since the last one.
type sight struct {
	keys     map[string]int // the bytes of each
	memory   int            // bytes of it all
	commands map[string]int // of the gateways, by name
	writes   map[string]int // commands that write, those of scripts included
}

// look looks at Redis. What it tells of its commands comes first, for the looks are commands too.
func (n *nativeWorld) look() sight {
	s := sight{commands: map[string]int{}, writes: n.Redis.Calls(), keys: map[string]int{}}
	for _, p := range n.wires {
		for name, count := range p.Counts().Commands {
			s.commands[name] += count
		}
		p.Reset()
	}
	// What is left is of the world that looks for keys without a life, and of the looks themselves.
	maps.DeleteFunc(s.writes, func(name string, _ int) bool {
		return beside(name) || slices.Contains([]string{
			"evalsha", "exists", "hmget", "hget", "get", "keys", "pttl", "scan", "memory|usage",
		}, name)
	})
	for _, key := range n.Redis.Keys() {
		if size, there := n.Redis.Do("MEMORY", "USAGE", key, "SAMPLES", 0).(int64); there {
			s.keys[key] = int(size)
		}
	}
	s.memory, _ = strconv.Atoi(n.Redis.Info("memory")["used_memory"])
	n.Redis.ResetCalls()
	return s
}
