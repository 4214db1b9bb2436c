//go:build integration

package faults_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/test/redisproc"
	"cloakroom/test/wire"
	"cloakroom/test/world"

	"github.com/google/go-cmp/cmp"
)

// One bound code at both instances: the second comes while the first is at each of its steps. What was handed out to
// whichever is dead, its key or not.
//
// shows NAT-CODE
func TestBoundCodeRedeemedAtBothInstancesLeavesNothing(t *testing.T) {
	t.Parallel()
	n := newBound(t, world.Options{})
	n.rehearseBound(t)
	dead := func(what string, d *device, given ...handles) {
		t.Helper()
		for _, h := range given {
			if h.Status == 200 {
				d.handle = h.Access
				d.lives(t, what, 401)
			}
		}
		await(t, what+": there is no record", healTime, func() bool { return len(records(n.World)) == 0 })
		n.unindexed(t, what)
	}
	for i, s := range steps(t) {
		d := n.device()
		form, winner := d.code(t), make(chan handles, 1)
		held, release := n.wires[0].HoldReply(s.match)
		go func() { winner <- d.redeem(0, form) }()
		met(t, held)
		second := d.redeem(1, form)
		release()
		first := <-winner
		if i == 0 { // whoever has only looked is not the first
			d.keeps(t, second)
			rejected(t, s.name+": who looked first", first)
		} else {
			rejected(t, s.name+": who came second", second)
		}
		if i == 1 || i == 2 { // the loser was faster than the winner's record: the winner undoes itself
			rejected(t, s.name+": who came first", first)
		}
		dead(s.name, d, first, second)
	}
	for range 5 { // nobody is held
		d := n.device()
		form, other := d.code(t), make(chan handles, 1)
		go func() { other <- d.redeem(1, form) }()
		a := d.redeem(0, form)
		b := <-other
		if a.Status == 200 && b.Status == 200 {
			t.Error("one code was redeemed twice")
		}
		dead("both at once", d, a, b)
	}
	n.Leaks()
}

// A proof at both instances: whichever Redis is told of first is the one, whether its instance has heard of that or not.
//
// shows DPOP-11.1
func TestProofAtBothInstancesIsGoodOnce(t *testing.T) {
	t.Parallel()
	n, d := readyBound(t)

	r := d.request(t)
	held, release := n.wires[0].HoldReply(script(t, "proof")) // the first has used it up, and does not know yet
	first := n.sending(0, r)
	met(t, held)
	n.answers(t, "who came second", 1, r, 401)
	release()
	if got := <-first; got != 200 {
		t.Errorf("who came first: %d", got)
	}
	r = d.request(t)
	held, release = n.wires[0].HoldRequest(script(t, "proof")) // the first has not got through
	first = n.sending(0, r)
	met(t, held)
	n.answers(t, "who overtook", 1, r, 200)
	release()
	if got := <-first; got != 401 {
		t.Errorf("who was overtaken: %d", got)
	}
	for range sized(20, 300) { // nobody is held
		r, got := d.request(t), map[int]int{}
		answers := []<-chan int{n.sending(0, r), n.sending(1, r), n.sending(0, r), n.sending(1, r)}
		for _, a := range answers {
			got[<-a]++
		}
		if diff := cmp.Diff(map[int]int{200: 1, 401: 3}, got); diff != "" {
			t.Fatalf("one proof, twice at each instance: %s", diff)
		}
	}
	n.Leaks()
}

// What of Redis's answer is lost on the wire is asked for again, and an asking that finds itself is no replay: the request
// succeeds. But once: nobody else succeeds by that proof.
//
// shows DPOP-11.1
func TestProofWhoseReplyIsLostIsNoReplay(t *testing.T) {
	t.Parallel()
	n, d := readyBound(t)
	for name, lose := range map[string]func(*wire.Proxy, func([]byte) bool) <-chan struct{}{
		"request": (*wire.Proxy).LoseRequest, "reply": (*wire.Proxy).LoseReply,
	} {
		r, hits := d.request(t), n.API.Hits()
		lost := lose(n.wires[0], script(t, "proof"))
		n.answers(t, "a lost "+name, 0, r, 200)
		met(t, lost)
		for at := range 2 {
			n.answers(t, "after a lost "+name, at, r, 401)
		}
		if got := n.API.Hits() - hits; got != 1 {
			t.Errorf("a lost %s: the API was reached %d times by one proof", name, got)
		}
	}
	d.lives(t, "after the losses", 200)
}

// With Redis out of reach a proof cannot be used up, so it opens nothing: 503, and the same proof is good when Redis is back,
// if it never got there. Of a Redis that stands still nobody knows: then it is good once at most.
//
// shows DPOP-11.1, SESS-503
func TestRedisOutageCostsNoBoundHandle(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"killed", "frozen"} {
		o := outages()[name]
		t.Run("a Redis that is "+name, func(t *testing.T) {
			t.Parallel()
			n := newBound(t, world.Options{Redis: redisproc.Options{AppendOnly: true}}, defaultWaits...)
			d := n.boundDevice(t)
			d.lives(t, "before the outage", 200)
			waiting := d.code(t)
			o.begin(n.World, nil)
			hits, fresh := n.API.Hits(), d.request(t)
			for range 2 {
				if body := n.answers(t, "during the outage", 0, fresh, 503); !strings.Contains(body, `"code":"store_unavailable"`) {
					t.Errorf("during the outage: %s", body)
				}
			}
			if h := d.redeem(0, waiting); h.Status != 503 || h.Error != "temporarily_unavailable" {
				t.Errorf("a redemption during the outage: %d %q", h.Status, h.Error)
			}
			if got := n.API.Hits(); got != hits {
				t.Errorf("the API was reached %d times without a session", got-hits)
			}
			o.end(n.World, nil)
			var got int
			await(t, "the outage is over", healTime, func() bool {
				got, _ = n.sendAs(0, fresh)
				return got != 503
			})
			if want := map[string]int{"killed": 200}[name]; want != 0 && got != want || got != 200 && got != 401 {
				t.Errorf("the same proof, after the outage: %d", got)
			}
			n.answers(t, "the same proof, again", 1, fresh, 401)
			d.lives(t, "after the outage", 200)
			if h := d.redeem(1, waiting); h.Status != 200 { // the code was not used up
				t.Errorf("the redemption, after the outage: %d %q", h.Status, h.Error)
			}
		})
	}
}

// The instance dies with the proof used up and nobody told. The proof is gone, and nothing else is.
//
// shows DPOP-11.1
func TestInstanceThatDiesWithAProof(t *testing.T) {
	t.Parallel()
	n, d := readyBound(t)
	r := d.request(t)
	held, _ := n.wires[0].HoldReply(script(t, "proof"))
	first := n.sending(0, r)
	met(t, held)
	n.All[0].Kill()
	if got := <-first; got != 0 {
		t.Errorf("the dead instance answered %d", got)
	}
	n.answers(t, "the proof of the dead instance", 1, r, 401)
	n.answers(t, "the app's next proof", 1, d.request(t), 200)
}

// SIGTERM while the proof is looked at: the request is answered, and the instance ends well.
func TestStopWithAProofUnderWay(t *testing.T) {
	t.Parallel()
	n, d := readyBound(t)
	r := d.request(t)
	held, release := n.wires[0].HoldReply(script(t, "proof"))
	first := n.sending(0, r)
	met(t, held)
	stopped := make(chan error, 1)
	go func() { stopped <- n.All[0].Stop() }()
	n.All[0].AwaitLog(`"msg":"draining"`)
	release()
	if got := <-first; got != 200 {
		t.Errorf("the request that was under way: %d", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stopping: %v", err)
	}
	n.answers(t, "its proof again", 1, r, 401)
	n.answers(t, "the app's next proof", 1, d.request(t), 200)
}

// A sign-out at the other instance while a proof is on its way: it makes no record and no key that stays.
//
// shows DPOP-11.1, RPL-NATIVE
func TestSignOutDuringAProofLeavesNothing(t *testing.T) {
	t.Parallel()
	n := newBound(t, world.Options{})
	n.rehearseBound(t)
	d := n.boundDevice(t)
	held, release := n.wires[0].HoldRequest(script(t, "proof"))
	calling := n.sending(0, d.request(t))
	met(t, held)
	r, err := http.NewRequest("POST", publicURL+"/mobile/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	d.key.Present(r, d.handle)
	n.answers(t, "the sign-out", 1, r, 200)
	kept := proofs(n.World) // what was used while there was a session: gone within its minute
	release()
	if got := <-calling; got != 401 {
		t.Errorf("a proof that came after the sign-out: %d", got)
	}
	d.lives(t, "after the sign-out", 401)
	await(t, "there is no record", healTime, func() bool { return len(records(n.World)) == 0 })
	n.unindexed(t, "a sign-out during a proof")
	if diff := cmp.Diff(kept, proofs(n.World)); diff != "" {
		t.Errorf("a proof was kept of a session that was gone: %s", diff)
	}
}

// proofs lists the used proofs that are kept.
func proofs(w *world.World) (keys []string) {
	for _, key := range w.Redis.Keys() {
		if strings.Contains(key, ":j:") {
			keys = append(keys, key)
		}
	}
	return keys
}

// A call with a proof asks Redis one thing, as one without does.
func TestHotPathOfABoundHandleIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	n := newBound(t, world.Options{})
	n.rehearseBound(t)
	d := n.boundDevice(t)
	n.answers(t, "warming", 0, d.request(t), 200)
	p := n.wires[0]
	<-time.After(100 * time.Millisecond) // nothing is done beside a bound handle: if it were, it would be seen here
	const requests = 10
	p.Reset()
	for range requests {
		n.answers(t, "a call", 0, d.request(t), 200)
	}
	got := p.Counts()
	background := got.Commands["PING"] + got.Commands["TIME"]
	delete(got.Commands, "PING")
	delete(got.Commands, "TIME")
	if diff := cmp.Diff(map[string]int{"EVALSHA": requests}, got.Commands); diff != "" {
		t.Errorf("commands: %s", diff)
	}
	if got.Flights-background > requests {
		t.Errorf("%d calls took %d round trips", requests, got.Flights-background)
	}
}
