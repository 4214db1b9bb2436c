// Package model_test holds what the gateway promises about sessions against a plain model of them, in random order.
//
// Two or three engines, each over a store of its own, work on one Redis and with one strict provider, all inside a bubble
// of testing/synctest: hours pass in milliseconds, and nothing runs unless the test lets it. Every command to Redis and
// every call of the provider waits at a gate. The test (pgregory.net/rapid) draws what goes next, and what becomes of it:
// carried out, carried out twice, lost before or after the work, carried out long after the sender gave up. It draws what
// users, the provider and machines do: sign in, call, rotate, sign out, crash, come back, go deaf. After each step the
// model says which sessions may be gone and which must be, and what stands in Redis is compared with that. So the order in
// which things happen is part of the drawn case, and a failure shrinks to the few steps that matter.
//
// The files: bubble_test.go is what a run consists of, gate_test.go who goes next, link_test.go the way to Redis,
// provider_test.go the provider, instance_test.go one gateway, deeds_test.go what people do, proofs_test.go what
// those do who have a key or lack it, weather_test.go what happens to machines, promise_test.go what must hold, redis_test.go
// (build tag integration) the real server.
package model_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"testing/cryptotest"
	"testing/synctest"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// TestMain sets how many runs there are and how long one is, unless the command line does: few in every test, thousands
// where the environment asks for endurance.
func TestMain(m *testing.M) {
	flag.Parse()
	checks := "100"
	if os.Getenv("SOAK") == "1" {
		checks = "1500" // some minutes
	}
	given := make(map[string]bool)
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": checks, "rapid.steps": "30", "rapid.nofailfile": "true"} {
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	redis.SetLogger(mute{}) // outages are part of the plan
	os.Exit(m.Run())
}

// mute is a log that nobody reads.
type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

// shows REF-ONE, REF-DETACH, REF-RACE, REF-SOFT, REF-FRESH, SESS-CAS, SESS-KILL, SESS-LIFE, SESS-503, KEY-TTL
func TestSessionsKeepTheirPromises(t *testing.T) {
	hold(t, func() keeper { return newEmbedded() })
}

// hold runs the property over a keeper of its own for each run.
func hold(t *testing.T, keep func() keeper) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64Range(0, 7).Draw(rt, "seed")
		rapid.SyncTest(rt, func(rt *rapid.T) {
			// Roots, attempts and markers too are part of the case: a shrunk one is the same case each time.
			cryptotest.SetGlobalRandom(t, seed)
			w := newWorld(rt, keep())
			defer w.close()
			w.play()
		})
	})
}

// play is one run: a beginning in peace, any number of drawn steps, and an end at which all that is broken is mended
// and each session shows what became of it.
func (w *world) play() {
	w.begin()
	w.t.Repeat(map[string]func(*rapid.T){
		"":                   func(*rapid.T) { w.check() },
		"a deed":             w.deed,
		"deeds at once":      w.deeds,
		"a call goes":        w.callGoes,
		"calls go":           w.callsGo,
		"a call fares badly": w.callFaresBadly,
		"a late call comes":  w.arrives,
		"a refresh":          w.refreshes,
		"a crossing":         w.crossing,
		"all goes on":        w.allGoesOn,
		"time passes":        w.timePasses,
		"weather":            w.weather,
	})
	w.finish()
}

// wait lets everything run until it waits for the gate, for time or for nothing.
func wait() { synctest.Wait() }
