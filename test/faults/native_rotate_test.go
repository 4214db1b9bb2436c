//go:build integration

package faults_test

import (
	"maps"
	"slices"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/test/wire"
	"cloakroom/test/world"

	"github.com/google/go-cmp/cmp"
)

// crowd asks both instances in turn, at the same time, and returns what they answered.
func (n *nativeWorld) crowd(refresh string, size int) (all []handles) {
	answers := make([]<-chan handles, size)
	for i := range answers {
		answers[i] = n.asking(i%2, rotation(refresh))
	}
	for _, a := range answers {
		all = append(all, <-a)
	}
	return all
}

// All that rotate one refresh handle get the one successor, byte for byte, whichever instance they ask, and so does who
// comes later, as long as nobody was seen with that.
//
// shows NAT-ROT
func TestConcurrentRotationsGiveOneSuccessor(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	h := n.signIn(t, n.phone())
	for _, size := range []int{2, 2, 2, 50} {
		all := n.crowd(h.Refresh, size)
		next := granted(t, all[0])
		for i, other := range all {
			if !next.same(other) {
				t.Errorf("rotation %d of %d got %d %q, or another successor", i, size, other.Status, other.Error)
			}
		}
		if later := n.token(0, rotation(h.Refresh)); !next.same(later) {
			t.Errorf("a later rotation got %d %q, or another successor", later.Status, later.Error)
		}
		if next.same(h) || next.Access == h.Access || next.Refresh == h.Refresh {
			t.Fatal("the rotation gave what was there before")
		}
		n.lives(t, next, 200)
		h = next
	}
	n.Leaks()
}

// shows NAT-ROT
func TestRotationWhoseReplyIsLost(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	h := n.signIn(t, n.phone())
	for name, lose := range map[string]func(*wire.Proxy, func([]byte) bool) <-chan struct{}{
		"request": (*wire.Proxy).LoseRequest, "reply": (*wire.Proxy).LoseReply,
	} {
		lost := lose(n.wires[0], wire.Contains("hmget"))
		next := granted(t, n.token(0, rotation(h.Refresh))) // a read is repeated
		met(t, lost)
		lost = lose(n.wires[0], script(t, "turn"))
		outOfReach(t, "a move with a lost "+name, n.token(0, rotation(next.Refresh)))
		met(t, lost)
		after := granted(t, n.token(1, rotation(next.Refresh)))
		if again := n.token(0, rotation(next.Refresh)); !after.same(again) {
			t.Errorf("a move with a lost %s: two successors", name)
		}
		lost = lose(n.wires[0], script(t, "seen"))
		n.want(t, 0, "GET", "/api/orders", after.Access, 200)
		met(t, lost)
		n.lives(t, after, 200)
		h = after
	}
}

// The instance dies with the turn moved and nobody told: the app gets the successor from the other one.
//
// shows NAT-ROT
func TestInstanceThatDiesMidRotation(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	h := n.signIn(t, n.phone())
	held, _ := n.wires[0].HoldReply(script(t, "turn"))
	first := n.asking(0, rotation(h.Refresh))
	met(t, held)
	n.All[0].Kill()
	if got := <-first; got.Status != 0 {
		t.Errorf("the dead instance answered %d", got.Status)
	}
	next := granted(t, n.token(1, rotation(h.Refresh)))
	if again := n.token(1, rotation(h.Refresh)); !next.same(again) {
		t.Error("two successors")
	}
	n.want(t, 1, "GET", "/api/orders", next.Access, 200)
	n.want(t, 1, "GET", "/api/orders", granted(t, n.token(1, rotation(next.Refresh))).Access, 200)
}

// A sign-out at the other instance while a rotation is at each of its steps: what is deleted does not come back.
//
// shows SESS-CAS, NAT-ROT, RPL-NATIVE
func TestSignOutDuringARotationWins(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	for _, s := range []step{{"the look at the record", wire.Contains("hmget")}, {"the move", script(t, "turn")}} {
		h := n.signIn(t, n.phone())
		held, release := n.wires[0].HoldReply(s.match)
		rotating := n.asking(0, rotation(h.Refresh))
		met(t, held)
		// After the move the old access handle is good for the grace.
		n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
		release()
		next := <-rotating
		if next.Status != 200 {
			rejected(t, s.name, next)
		}
		n.gone(t, s.name, h, next)
		n.unindexed(t, s.name)
	}
	for range 5 { // nobody is held
		h := n.signIn(t, n.phone())
		rotating := n.asking(0, rotation(h.Refresh))
		n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
		n.gone(t, "both at once", h, <-rotating)
	}
}

// The note that a handle was used comes after the sign-out: it makes no record.
//
// shows SESS-CAS
func TestUseOfAHandleDuringASignOutLeavesNothing(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	h := n.signIn(t, n.phone())
	held, release := n.wires[0].HoldReply(wire.Contains("hmget"))
	noted, answer := n.wires[0].HoldReply(script(t, "seen"))
	calling := n.calls(h.Access, 1)
	met(t, held)
	n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
	release()
	met(t, noted) // the work is done
	answer()
	<-calling // it was admitted before the sign-out: either answer is right
	n.gone(t, "a use during a sign-out", h)
	n.unindexed(t, "a use during a sign-out")
}

// calls sends API calls with a handle to both instances in turn, and goes on; each tells its status.
func (n *nativeWorld) calls(access string, count int) <-chan int {
	statuses := make(chan int, count)
	for i := range count {
		go func() {
			status, _ := n.call(i%2, "GET", "/api/orders", access)
			statuses <- status
		}()
	}
	return statuses
}

// refreshing signs in, lets the access token end, and returns with the provider holding its answer to the refresh that
// one call at the first instance waits for.
func (n *nativeWorld) refreshing(t *testing.T) (h handles, gate *provider.Gate, answered <-chan int) {
	t.Helper()
	n.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = accessLife })
	h = n.signIn(t, n.phone())
	n.Dev.Set(longLived) // what comes of the refresh outlives its being held
	gate = provider.NewGate()
	refreshFault(n.World, provider.Fault{Gate: gate, AfterWork: true})
	ended(n.World)
	answered = n.calls(h.Access, 1)
	met(t, gate.Arrived())
	return h, gate, answered
}

// shows REF-ONE
func TestFiftyCallsWithAHandleOverTwoProcessesRefreshOnce(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	h, gate, answered := n.refreshing(t)
	const each = 25
	statuses := n.calls(h.Access, 2*each-1)
	for at, least := range []float64{each + 1, each - 1} {
		n.All[at].AwaitMetric("bff_refresh_waits_total", least)
	}
	// The sent mark would hold a second sender back for seconds. That nobody is one is the claim's.
	if got := claims(t, n.World); got != 1 {
		t.Errorf("%d claims are granted while the provider is asked, want 1", got)
	}
	gate.Release()
	if got := <-answered; got != 200 {
		t.Errorf("who began the refresh: %d", got)
	}
	for range 2*each - 1 {
		if got := <-statuses; got != 200 {
			t.Errorf("a call answered %d", got)
		}
	}
	if got := n.Dev.GrantCount("refresh_token"); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", got)
	}
	n.Leaks()
}

// A rotation of the handles while the tokens are refreshed: neither undoes the other.
//
// shows SESS-CAS
func TestRotationDuringARefresh(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	h, gate, answered := n.refreshing(t)
	next := granted(t, n.token(1, rotation(h.Refresh)))
	gate.Release()
	if got := <-answered; got != 200 {
		t.Errorf("the call that waited: %d", got)
	}
	n.lives(t, next, 200)
	if got := n.Dev.GrantCount("refresh_token"); got != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", got)
	}
	after := granted(t, n.token(0, rotation(next.Refresh)))
	n.lives(t, after, 200)
	if h.Access == next.Access || next.same(after) {
		t.Error("a turn was lost")
	}
}

// All three at once: the sign-out wins, and the tokens that came for nobody are revoked.
//
// shows SESS-CAS, REF-DETACH
func TestRotationRefreshAndSignOutAtOnce(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	h, gate, answered := n.refreshing(t)
	rotating := []<-chan handles{n.asking(0, rotation(h.Refresh)), n.asking(1, rotation(h.Refresh))}
	n.want(t, 1, "POST", "/mobile/logout", h.Access, 200)
	gate.Release()
	if got := <-answered; got != 401 {
		t.Errorf("the call that waited: %d, want 401", got)
	}
	n.gone(t, "all at once", h, <-rotating[0], <-rotating[1])
	n.revoked(t, "all at once")
}

func TestHotPathOfAHandleIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	h := n.signIn(t, n.phone())
	p := n.wires[0]
	// counted tells the commands of a number of requests: the sign of life, and the clock's sample, are nobody's. Nor is the
	// greeting of one connection, which the pool opens where another one waits; one for each request would be.
	counted := func(requests int, paths ...string) map[string]int {
		p.Reset()
		for range requests {
			for _, path := range paths {
				n.want(t, 0, "GET", path, h.Access, 200)
			}
		}
		got := p.Counts()
		background := 0
		maps.DeleteFunc(got.Commands, func(name string, n int) bool {
			nobodys := name == "PING" || name == "TIME" || name == "HELLO" && n == 1
			if nobodys {
				background += n
			}
			return nobodys
		})
		if all := slices.Collect(maps.Values(got.Commands)); got.Flights-background > sum(all) {
			t.Errorf("%d round trips for %v", got.Flights-background, got.Commands)
		}
		return got.Commands
	}
	seen, release := p.HoldReply(script(t, "seen"))
	n.want(t, 0, "GET", "/api/orders", h.Access, 200) // it does not wait for the note
	met(t, seen)
	release()
	for _, path := range []string{"/api/orders", "/mobile/session"} {
		if diff := cmp.Diff(map[string]int{"HMGET": 10}, counted(10, path)); diff != "" {
			t.Errorf("GET %s: commands: %s", path, diff)
		}
	}
	h = granted(t, n.token(0, rotation(h.Refresh)))
	seen, release = p.HoldReply(script(t, "seen"))
	n.want(t, 0, "GET", "/mobile/session", h.Access, 200) // the session check is a first use as well
	met(t, seen)
	release()
	if diff := cmp.Diff(map[string]int{"HMGET": 10}, counted(5, "/api/orders", "/mobile/session")); diff != "" {
		t.Errorf("after a rotation: commands: %s", diff)
	}
}

func sum(all []int) (total int) {
	for _, n := range all {
		total += n
	}
	return total
}
