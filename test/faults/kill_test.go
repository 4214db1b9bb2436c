//go:build integration

package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/wire"
	"cloakroom/test/world"
)

// veryPatient is more than a lease, a suspicion and what a test does around them.
const veryPatient = "CLOAKROOM_REDIS__TIMEOUTS__READ=30s"

// fleet is a world whose instances each have a wire of their own to Redis, on which nothing that is held is an outage.
type fleet struct {
	*world.World
	wires []*wire.Proxy
}

func newFleet(t *testing.T, n int, o world.Options, env ...string) *fleet {
	t.Helper()
	f := &fleet{World: newWorld(t, o)}
	for range n {
		p := wire.Start(t, f.Redis.Addr())
		f.Start(1, append([]string{veryPatient, "CLOAKROOM_REDIS__ADDRS=" + p.Addr()}, env...)...)
		f.wires = append(f.wires, p)
	}
	warm := f.holder(t)
	ended(f.World)
	if got := fetched(f.All[0], warm.request); got.status != 200 { // Redis knows every script from now on
		t.Fatalf("a refresh that nothing holds: %d %s", got.status, got.body)
	}
	return f
}

// holder is one user's session, and what its requests and its refresh token are known by on the wires.
type holder struct {
	browser *browser.Browser
	request *http.Request
	record  string // its name in Redis
	token   string // its first refresh token
}

// holder signs one more user in.
func (f *fleet) holder(t *testing.T) *holder {
	t.Helper()
	known := records(f.World)
	h := &holder{browser: f.Browser()}
	f.SignIn(h.browser, "/")
	for _, name := range records(f.World) {
		if !slices.Contains(known, name) {
			h.record = name
		}
	}
	h.token, h.request = newest(f.World, provider.KindRefresh), request(t, f.World, h.browser)
	return h
}

// about picks a script's calls for this session.
func (h *holder) about(t *testing.T, name string) func([]byte) bool {
	t.Helper()
	called, mine := script(t, name), wire.Contains(h.record)
	return func(flight []byte) bool { return called(flight) && mine(flight) }
}

// sends picks this session's first refresh token.
func (h *holder) sends(_ *http.Request, form url.Values) bool {
	return form.Get("refresh_token") == h.token
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	header http.Header
}

// fetched sends a request and returns what it got; zero if there was no answer.
func fetched(in *gateway.Instance, r *http.Request) (a answer) {
	resp, err := in.Client().Do(r.Clone(r.Context()))
	if err != nil {
		return a
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), resp.Header}
}

// fetching sends a request and returns where its answer comes.
func fetching(in *gateway.Instance, r *http.Request) <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- fetched(in, r) }()
	return got
}

// sent counts how often the provider was sent a refresh token.
func sent(w *world.World, token string) (n int) {
	for _, r := range w.Dev.RequestsTo(provider.Token) {
		if r.Form.Get("refresh_token") == token {
			n++
		}
	}
	return n
}

// point is a place in a refresh at which a test can hold it.
type point struct {
	name string
	// hold makes the refresh of h at the instance behind p stop there; met closes when it has.
	hold func(t *testing.T, w *world.World, p *wire.Proxy, h *holder) (met <-chan struct{}, release func())
	// lost says that the tokens are rotated and nobody else can have them: without a grace at the provider they are lost.
	lost bool
	sent int // how often the token is sent in all, when another one follows
	// saved says that the new tokens stand in the record: whoever waited for them may have them, whatever comes next.
	saved bool
}

// at is a gate of the provider as a point: met by the token's first sending.
func at(fault provider.Fault) func(*testing.T, *world.World, *wire.Proxy, *holder) (<-chan struct{}, func()) {
	return func(_ *testing.T, w *world.World, _ *wire.Proxy, h *holder) (<-chan struct{}, func()) {
		gate, met := provider.NewGate(), make(chan struct{})
		fault := fault
		fault.Gate, fault.Match = gate, h.sends
		w.Dev.Fault(provider.Token, fault)
		go func() { <-gate.Arrived(); close(met) }()
		return met, gate.Release
	}
}

func points() []point {
	return []point{
		{
			name: "after the mark, before sending", sent: 1,
			hold: func(t *testing.T, _ *world.World, p *wire.Proxy, h *holder) (<-chan struct{}, func()) {
				return p.HoldReply(h.about(t, "mark"))
			},
		},
		{name: "after sending, and the provider never does the work", sent: 2, hold: at(provider.Fault{Drop: true})},
		{name: "after sending, and the provider has rotated", sent: 2, lost: true, hold: at(provider.Fault{AfterWork: true})},
		{
			name: "after the answer, before the save", sent: 2, lost: true,
			hold: func(t *testing.T, _ *world.World, p *wire.Proxy, h *holder) (<-chan struct{}, func()) {
				return p.HoldRequest(h.about(t, "save"))
			},
		},
		{
			name: "after the save, before its reply", sent: 1, saved: true,
			hold: func(t *testing.T, _ *world.World, p *wire.Proxy, h *holder) (<-chan struct{}, func()) {
				return p.HoldReply(h.about(t, "save"))
			},
		},
	}
}

// stopped is one session whose refresh, at an instance that is about to be stopped, stands at a point.
type stopped struct {
	*holder
	point
	answered <-chan answer // the request that began the refresh
	release  func()
}

// stop brings one refresh to each point at an instance.
func (f *fleet) stop(t *testing.T, instance int, held []*stopped) {
	t.Helper()
	for _, s := range held {
		met, release := s.hold(t, f.World, f.wires[instance], s.holder)
		s.answered, s.release = fetching(f.All[instance], s.request), release
		select {
		case <-met:
		case a := <-s.answered:
			t.Fatalf("%s: answered with %d before", s.name, a.status)
		}
	}
}

func (f *fleet) perPoint(t *testing.T) (all []*stopped) {
	t.Helper()
	for _, s := range points() {
		all = append(all, &stopped{holder: f.holder(t), point: s})
	}
	return all
}

// renewedLife is how long a renewed token lives: long enough for what a test does with it, short enough to wait for.
const renewedLife = 3 * time.Second

// One instance is killed and another one frozen while each has a refresh at each point; the third takes over. A session
// lives wherever a token that works can still be had. Where the rotated tokens are gone with their answer there is one
// clean end, and the next sign-in works.
//
// shows REF-ONE, REF-RACE, REF-DETACH
func TestInstanceThatStopsAtEachStepOfARefresh(t *testing.T) {
	t.Parallel()
	for name, grace := range map[string]time.Duration{"a provider with a grace": time.Minute, "a provider without a grace": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = grace }})
			killed, frozen, third := f.All[0], f.All[1], f.All[2]
			f.At(third)
			dead, still := f.perPoint(t), f.perPoint(t)
			ended(f.World)
			f.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = renewedLife })
			f.stop(t, 0, dead)
			f.stop(t, 1, still)
			killed.Kill()
			frozen.Freeze()
			f.takenOver(t, third, grace > 0, slices.Concat(dead, still))
			frozen.Thaw()
			for _, s := range still {
				s.release()
				f.wokeUp(t, s, grace > 0)
			}
			<-time.After(renewedLife)
			f.afterwards(t, []*gateway.Instance{third, frozen}, grace > 0, slices.Concat(dead, still))
			f.Leaks()
		})
	}
}

// takenOver asks an instance that goes on for every session at once.
func (f *fleet) takenOver(t *testing.T, in *gateway.Instance, grace bool, all []*stopped) {
	t.Helper()
	began, answers := time.Now(), make([]<-chan answer, len(all))
	for i, s := range all {
		answers[i] = fetching(in, s.request)
	}
	for i, s := range all {
		a := <-answers[i]
		s.judge(t, "at the instance that goes on", a, grace)
		if got := sent(f.World, s.token); got != s.sent {
			t.Errorf("%s: its token was sent %d times, want %d", s.name, got, s.sent)
		}
	}
	t.Logf("taken over within %v", time.Since(began).Round(time.Millisecond))
}

// judge compares an answer with what is still to be had.
func (s *stopped) judge(t *testing.T, where string, a answer, grace bool) {
	t.Helper()
	switch {
	case grace || !s.lost:
		if a.status != 200 {
			t.Errorf("%s, %s: %d %s, want 200", s.name, where, a.status, a.body)
		}
	case a.status != 401 || !strings.Contains(a.body, `"code":"session_ended"`) || !strings.Contains(a.body, `"reason":"refresh_lost"`):
		t.Errorf("%s, %s: %d %s, want one clean end", s.name, where, a.status, a.body)
	}
}

// wokeUp looks at what a frozen instance answers when it goes on: it saves nothing over what the other one has, ends
// nothing, and sends nothing again.
func (f *fleet) wokeUp(t *testing.T, s *stopped, grace bool) {
	t.Helper()
	s.judge(t, "at the one that was frozen", <-s.answered, grace)
	if got := sent(f.World, s.token); got != s.sent {
		t.Errorf("%s: its token was sent %d times, want %d", s.name, got, s.sent)
	}
}

// afterwards has every session that lives refresh once more, at any instance, and every other one sign in.
func (f *fleet) afterwards(t *testing.T, at []*gateway.Instance, grace bool, all []*stopped) {
	t.Helper()
	for i, s := range all {
		in := at[i%len(at)]
		if !s.lost || grace {
			if got := fetched(in, s.request); got.status != 200 {
				t.Errorf("%s, afterwards: %d %s", s.name, got.status, got.body)
			}
			continue
		}
		f.At(in)
		f.Want(f.Fetch(s.browser, "GET", "/api/orders", ""), 401)
		f.SignIn(s.browser, "/")
		f.Want(f.Fetch(s.browser, "GET", "/api/orders", ""), 200)
	}
	for _, in := range at {
		if log := in.Log(); strings.Contains(log, `"reason":"refresh_rejected"`) {
			t.Errorf("a lost answer was taken for a theft:\n%s", fmt.Sprint(log))
		}
	}
}

// A user signs out at one instance while another one has a refresh at each place: the sign-out stays, the request that
// waited is told, and tokens that came for the session are given back.
//
// shows SESS-CAS, REF-DETACH
func TestSignOutAtEachStepOfARefreshStays(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, world.Options{})
	f.At(f.All[1])
	held := f.perPoint(t)
	ended(f.World)
	f.Dev.Set(longLived)
	f.stop(t, 0, held)
	for _, s := range held {
		f.Want(f.Fetch(s.browser, "POST", "/bff/logout", ""), 200)
		s.release()
		if a := <-s.answered; a.status != 401 && !s.saved {
			t.Errorf("%s: the request that waited got %d %s", s.name, a.status, a.body)
		}
		for _, in := range f.All {
			if got := fetched(in, s.request); got.status != 401 {
				t.Errorf("%s: after the sign-out: %d %s", s.name, got.status, got.body)
			}
		}
		if got := sent(f.World, s.token); got > 1 {
			t.Errorf("%s: its token was sent %d times", s.name, got)
		}
	}
	if got := records(f.World); len(got) != 1 { // of the one who warmed the scripts up
		t.Errorf("%d records are left", len(got))
	}
	await(t, "every token that lived is revoked", healTime, func() bool { return f.Dev.Count(provider.Revoke) >= 2*len(held) })
}

// lossy is a session of which one write of its refresh is lost on the way.
type lossy struct {
	*holder
	what string
	lose func(*wire.Proxy, func([]byte) bool) <-chan struct{}
	name string // of the script
	most int    // how often its token may be sent
}

// Each write of a refresh, or its answer, is lost once: none is taken for another's, and no token is sent twice.
//
// shows REF-ONE, SESS-CAS
func TestLostWritesOfARefreshCostNoToken(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, world.Options{})
	var all []lossy
	for _, name := range []string{"claim", "mark", "release", "save"} {
		most := 1
		if name == "release" {
			most = 2 // it is given back without a save when the provider turns the call away, and then it is sent again
		}
		all = append(all,
			lossy{f.holder(t), "the reply of a " + name, (*wire.Proxy).LoseReply, name, most},
			lossy{f.holder(t), "a " + name, (*wire.Proxy).LoseRequest, name, most})
	}
	ended(f.World)
	f.Dev.Set(longLived)
	for _, h := range all {
		if h.name == "release" {
			f.Dev.Fault(provider.Token, provider.Fault{Match: h.sends, Status: 429})
		}
		lost := h.lose(f.wires[0], h.about(t, h.name))
		if first := fetched(f.All[0], h.request); first.status != 200 && first.status != 503 {
			t.Errorf("with %s lost: %d %s", h.what, first.status, first.body)
		}
		<-lost
	}
	for _, h := range all {
		await(t, "the other instance serves", healTime, func() bool { return fetched(f.All[1], h.request).status == 200 })
		if got := sent(f.World, h.token); got != h.most {
			t.Errorf("with %s lost the token was sent %d times, want %d", h.what, got, h.most)
		}
	}
}

// The idle end is moved, index entries and all, while a refresh of the same record stands at each place: whichever write
// comes first, nothing of the other is lost.
//
// shows SESS-CAS
func TestIdleSlideAtEachStepOfARefreshLosesNothing(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, world.Options{Behave: func(b *provider.Behaviour) { b.RefreshGrace = time.Minute }})
	f.At(f.All[1])
	held := f.perPoint(t)
	ended(f.World)
	f.Dev.Set(longLived)
	f.stop(t, 0, held)
	for _, s := range held {
		before := f.field(t, s.record, "act")
		extending := fetchingThe(f.All[1], s.request, "POST", "/bff/session/extend")
		await(t, "the idle end moves while the refresh stands", healTime, func() bool { return f.field(t, s.record, "act") > before })
		moved := f.field(t, s.record, "act")
		s.release()
		if a := <-s.answered; a.status != 200 && a.status != 503 {
			t.Errorf("%s: %d %s", s.name, a.status, a.body)
		}
		<-extending
		await(t, "it is served", healTime, func() bool { return fetched(f.All[1], s.request).status == 200 })
		if act, gen := f.field(t, s.record, "act"), f.field(t, s.record, "gen"); act < moved || gen != "2" {
			t.Errorf("%s: last activity %s after %s, generation %s, want 2", s.name, act, moved, gen)
		}
	}
	for _, s := range held {
		f.Want(f.Fetch(s.browser, "POST", "/bff/logout", ""), 200) // by the index: every instance knows
		if got := fetched(f.All[0], s.request); got.status != 401 {
			t.Errorf("%s: after the sign-out: %d", s.name, got.status)
		}
	}
}

// field is a field of a record in clear; times in ms have as many digits, and compare as text.
func (f *fleet) field(t *testing.T, record, name string) string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: f.Redis.Addr(), DisableIdentity: true})
	defer rdb.Close()
	value, err := rdb.HGet(t.Context(), record, name).Result()
	if err != nil {
		t.Fatalf("%s of %s: %v", name, record, err)
	}
	return value
}

// fetchingThe is fetching for another call of the same user.
func fetchingThe(in *gateway.Instance, r *http.Request, method, path string) <-chan answer {
	r = r.Clone(r.Context())
	to := *r.URL
	to.Path, r.Method, r.URL = path, method, &to
	return fetching(in, r)
}
