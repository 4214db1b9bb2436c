//go:build integration

package faults_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// audience is one user who is signed in many times, with many tabs open, all at one instance.
type audience struct {
	t           *testing.T
	w           *world.World
	here, there *gateway.Instance
	cookies     []string          // of each session
	tabs        []*gateway.Stream // of session i: tabs[i*each : (i+1)*each]
	each        int
}

// newAudience writes the sessions to Redis as sign-ins would, and opens their tabs.
func newAudience(t *testing.T, sessions, each int) *audience {
	t.Helper()
	w := newWorld(t, world.Options{
		App:    "    session: {recent: 1h}\n",
		Behave: func(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute },
	})
	w.Setup.Bin = gateway.Plain(t) // what the race detector needs is not the gateway's
	env := []string{"CLOAKROOM_PUBLIC__LIMITS__CONNECTIONS=0", "CLOAKROOM_LOG__LEVEL=info"}
	in := w.Start(2, env...)
	a := &audience{t: t, w: w, here: in[0], there: in[1], each: each}
	d := newDomain(t, w.Redis.Addr(), ringKeys{sealing: []string{"k1"}, index: []string{"i1"}, files: w.Setup.Keys}, time.Now)
	for i := range sessions {
		s := d.sessionOf(i)
		if err := d.store.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		a.cookies = append(a.cookies, s.Root.Reveal())
	}
	return a
}

// sessionOf is one more session of the user, each from a session of its own at the provider.
func (d *domain) sessionOf(i int) *bff.Session {
	now, root, sid := time.Now(), bff.NewRoot(), fmt.Sprintf("ses_%d", i)
	return &bff.Session{
		Root: root, Lookup: root.Lookup(), App: "web", KeyID: d.ring.Front(), Provider: "main",
		Identity: bff.Identity{Subject: "usr_many", SID: sid, AuthTime: now, Claims: []byte(`{"sub":"usr_many"}`)},
		Began:    now.Add(-time.Minute), CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(12 * time.Hour), Idle: 30 * time.Minute,
		Groups: []string{"sid " + sid}, Generation: 1,
		Tokens: bff.TokenSet{
			Access: bff.NewSecret(strings.Repeat("a", 900)), Refresh: bff.NewSecret("refresh"), TokenType: "Bearer",
			ReceivedAt: now, RefreshAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
		},
	}
}

// fields are what a page of session i sends.
func (a *audience) fields(i int) http.Header {
	return http.Header{
		"Cookie": {cookieName + "=" + a.cookies[i]}, "X-Csrf": {"1"},
		"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"},
	}
}

func (a *audience) open() {
	a.t.Helper()
	for i := range a.cookies {
		for range a.each {
			a.tabs = append(a.tabs, tabOf(a.t, a.here, a.fields(i)))
		}
	}
}

// send is a request of session i to the other instance.
func (a *audience) send(i int, method, path string, status int) {
	a.t.Helper()
	r, err := http.NewRequest(method, world.Origin+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = a.fields(i)
	if got := send(a.there, r); got != status {
		a.t.Fatalf("%s %s: %d, want %d", method, path, got, status)
	}
}

// told waits until all these tabs were told that their session ended, and returns how long after at the median, the
// hundredth from the end in 10,000, and the last were.
func (a *audience) told(tabs []*gateway.Stream, at time.Time) string {
	a.t.Helper()
	var took []time.Duration
	for _, s := range tabs {
		e := s.Next(a.t)
		if e.Name != "session-ended" || e.Data != `{"reason":"signed_out"}` {
			a.t.Fatalf("a tab was told %q %s", e.Name, e.Data)
		}
		took = append(took, e.At.Sub(at))
	}
	slices.Sort(took)
	last := took[len(took)-1]
	if bound := soaking(30*time.Second, 15*time.Second); last > bound {
		a.t.Errorf("the last was told after %v, want %v at most", last, bound)
	}
	return fmt.Sprintf("of %d tabs half were told after %v, 99 of 100 after %v, the last after %v", len(took),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), last.Round(time.Millisecond))
}

// size is what the instance takes of memory: resident, and of that what Go's heap and stacks have in use.
func (a *audience) size() (resident, heap, stacks float64) {
	return a.here.Metric("process_resident_memory_bytes"), a.here.Metric("go_memstats_heap_inuse_bytes"),
		a.here.Metric("go_memstats_stack_inuse_bytes")
}

// Very many tabs at one instance: what one costs in memory, what all cost Redis while nothing happens, and how soon the
// last of them knows of a sign-out at the other instance.
//
// shows PRX-LIVE
func TestVeryManyTabs(t *testing.T) {
	alongside(t)
	sessions, each := soaking(30, 1000), 10
	a := newAudience(t, sessions, each)
	r0, h0, s0 := a.size()
	began := time.Now()
	a.open()
	n := float64(len(a.tabs))
	t.Logf("%v tabs of %d sessions opened in %v", n, sessions, time.Since(began).Round(time.Millisecond))
	await(t, "all are counted", healTime, func() bool { return a.here.Metric("bff_event_streams") == n })

	a.quiet(soaking(4*time.Second, 30*time.Second))
	r1, h1, s1 := a.size()
	t.Logf("each tab costs %.1f KiB resident (heap in use %.1f, stacks %.1f)", (r1-r0)/n/1024, (h1-h0)/n/1024, (s1-s0)/n/1024)
	if os.Getenv("SOAK") == "1" && (r1-r0)/n > 100<<10 { // net/http alone takes about 20 KiB for a connection with its goroutine
		t.Errorf("each tab costs %.0f bytes", (r1-r0)/n)
	}

	at := time.Now()
	a.send(1, "POST", "/bff/logout", 200)
	t.Logf("one session of them all: answered after %v; %s", time.Since(at).Round(time.Millisecond), a.told(a.tabs[each:2*each], at))
	at = time.Now()
	a.send(0, "DELETE", "/bff/sessions", 204)
	t.Logf("all other sessions of the user: answered after %v; %s",
		time.Since(at).Round(time.Millisecond), a.told(a.tabs[2*each:], at))
	await(t, "only the asking session's are left", healTime, func() bool { return a.here.Metric("bff_event_streams") == float64(each) })
}

// quiet counts what Redis is asked while nothing happens, and how much of the time the instance works for that.
func (a *audience) quiet(span time.Duration) {
	a.t.Helper()
	<-time.After(3 * time.Second) // one interval, so that looks are spread; it is measured, nothing is waited for
	looks, cpu := a.here.Metric("bff_watch_looks_total"), a.here.CPU()
	pipelines := a.here.Metric("bff_watch_look_duration_seconds_count")
	a.w.Redis.ResetCalls()
	began := time.Now()
	<-time.After(span)
	calls := a.w.Redis.Calls()
	looks, cpu = a.here.Metric("bff_watch_looks_total")-looks, a.here.CPU()-cpu
	pipelines = a.here.Metric("bff_watch_look_duration_seconds_count") - pipelines
	seconds := time.Since(began).Seconds() // a busy machine is late
	hmget := float64(calls["hmget"])
	a.t.Logf("a second: %.0f HMGET in %.1f pipelines for %d sessions, and of everything else %s; the instance used %.1f %% of a CPU",
		hmget/seconds, pipelines/seconds, len(a.cookies), rates(calls, seconds), 100*cpu.Seconds()/seconds)
	// A session is read every 2.1 to 3 s, however many tabs it has.
	if most := float64(len(a.cookies)) * (seconds/2.1 + 1); looks > most || hmget > most || looks == 0 {
		a.t.Errorf("%v records looked at, %v read, want %.0f at most", looks, hmget, most)
	}
}

// rates tells all commands but HMGET.
func rates(calls map[string]int, seconds float64) string {
	var told []string
	for name, n := range calls {
		if name != "hmget" {
			told = append(told, name+" "+strconv.FormatFloat(float64(n)/seconds, 'f', 1, 64))
		}
	}
	slices.Sort(told)
	return strings.Join(told, ", ")
}
