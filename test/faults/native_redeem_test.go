//go:build integration

package faults_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/test/wire"
	"cloakroom/test/world"
)

// step is a round trip to Redis in the course of a redemption or rotation.
type step struct {
	name  string
	match func([]byte) bool
}

// steps of a redemption, in their order.
func steps(t *testing.T) []step {
	t.Helper()
	return []step{
		{"the look at the code", func(b []byte) bool {
			return bytes.Contains(b, []byte("cr:code:")) && bytes.Contains(bytes.ToLower(b), []byte("\r\nget\r\n"))
		}},
		{"the redemption", script(t, "redeem")},
		{"the index", script(t, "index")},
		{"the record", script(t, "create")},
		{"the look for a sign-out", wire.Contains("hvals")},
	}
}

// One code at both instances: the second comes while the first is at each of its steps.
//
// shows NAT-CODE
func TestCodeRedeemedAtBothInstancesLeavesNothing(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	for i, s := range steps(t) {
		form := n.code(t, n.phone())
		held, release := n.wires[0].HoldReply(s.match)
		first := n.asking(0, form)
		met(t, held)
		second := n.token(1, form)
		release()
		winner := <-first
		if i == 0 { // whoever has only looked is not the first
			granted(t, second)
			rejected(t, s.name+": who looked first", winner)
		} else {
			rejected(t, s.name+": who came second", second)
		}
		if i == 1 || i == 2 { // it finds its end in the place of its record, and undoes itself
			rejected(t, s.name+": who came first", winner)
			n.revoked(t, s.name)
		}
		n.gone(t, s.name, winner, second)
		n.unindexed(t, s.name)
	}
	for range 5 { // nobody is held
		form := n.code(t, n.phone())
		answers := []<-chan handles{n.asking(0, form), n.asking(1, form)}
		a, b := <-answers[0], <-answers[1]
		if a.Status == b.Status && a.Status == 200 {
			t.Error("one code was redeemed twice")
		}
		n.gone(t, "both at once", a, b)
		n.unindexed(t, "both at once")
	}
	n.Leaks()
}

// The winner is a process that stands still between the use of the code and the record, and then goes on.
//
// shows NAT-CODE
func TestRedeemerThatFreezesUndoesItself(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	form := n.code(t, n.phone())
	held, release := n.wires[0].HoldReply(script(t, "redeem"))
	first := n.asking(0, form)
	met(t, held)
	n.All[0].Freeze()
	release()
	rejected(t, "who came second", n.token(1, form))
	n.All[0].Thaw()
	rejected(t, "who was frozen", <-first)
	n.revoked(t, "who was frozen")
	n.gone(t, "who was frozen")
}

// The instance dies at each step. The code is burned, and its second presentation ends what there may be.
//
// shows NAT-CODE, KEY-TTL
func TestRedeemerThatDiesLeavesNothingUsable(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	for i, s := range steps(t)[1:] {
		form := n.code(t, n.phone())
		victim := n.more()
		at := len(n.wires) - 1
		held, _ := n.wires[at].HoldReply(s.match)
		first := n.asking(at, form)
		met(t, held)
		victim.Kill()
		if got := <-first; got.Status != 0 {
			t.Errorf("%s: the dead instance answered %d", s.name, got.Status)
		}
		kept := records(n.World)
		if wrote := i >= 2; wrote != (len(kept) == 1) {
			t.Errorf("%s: records %q", s.name, kept)
		}
		rejected(t, s.name+": the app's own repetition", n.token(1, form))
		if left := records(n.World); len(left) > 0 {
			t.Errorf("%s: after the repetition there is still %q", s.name, left)
		}
	}
	n.lives(t, n.signIn(t, n.phone()), 200)
}

// A reply of Redis is lost at each step: what may be asked again is, and what is in doubt is undone.
//
// shows NAT-CODE
func TestRedemptionWhoseReplyIsLost(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, sparingProvider, world.Options{})
	n.rehearse(t)
	for _, s := range steps(t) {
		for name, lose := range map[string]func(*wire.Proxy, func([]byte) bool) <-chan struct{}{
			"request": (*wire.Proxy).LoseRequest, "reply": (*wire.Proxy).LoseReply,
		} {
			what := s.name + " with a lost " + name
			form := n.code(t, n.phone())
			lost := lose(n.wires[0], s.match)
			got := n.token(0, form)
			met(t, lost)
			n.lives(t, granted(t, got), 200)
			rejected(t, what+", asked again", n.token(1, form))
			n.gone(t, what, got)
		}
	}
	for _, s := range []string{"index", "create"} { // in doubt, it is undone
		form, what := n.code(t, n.phone()), "two lost replies to "+s
		n.wires[0].LoseReply(script(t, s))
		lost := n.wires[0].LoseReply(script(t, s))
		outOfReach(t, what, n.token(0, form))
		met(t, lost)
		n.revoked(t, what)
		n.gone(t, what)
		rejected(t, what+", asked again", n.token(1, form))
	}
	form := n.code(t, n.phone())
	first, second := n.wires[0].LoseReply(script(t, "redeem")), n.wires[0].LoseReply(script(t, "redeem"))
	outOfReach(t, "two lost replies", n.token(0, form))
	met(t, first)
	met(t, second)
	rejected(t, "two lost replies, asked again", n.token(1, form))
	n.gone(t, "two lost replies")
	n.Leaks()
}

// Redis stands still with the record on its way to it, and the undoing after that: it reads both when it goes on.
func TestRedisThatFreezesMidRedemption(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{}, defaultWaits...)
	n.rehearse(t)
	form := n.code(t, n.phone())
	held, release := n.wires[0].HoldReply(script(t, "index"))
	first := n.asking(0, form)
	met(t, held)
	n.Redis.Freeze()
	release()
	outOfReach(t, "with a frozen Redis", <-first)
	n.Redis.Thaw()
	n.gone(t, "with a frozen Redis")
	rejected(t, "the app's own repetition", n.token(1, form))
	n.gone(t, "with a frozen Redis")
}

// An app that hangs up is no reason to lose what the provider gave: the session is stored, and whoever presents the code
// again ends it.
func TestAppThatHangsUpMidRedemption(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	form := n.code(t, n.phone())
	held, release := n.wires[0].HoldReply(script(t, "redeem"))
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, err := http.NewRequestWithContext(ctx, "POST", publicURL+"/mobile/token", strings.NewReader(form.Encode()))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if resp, err := n.clients[0].Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	met(t, held)
	hangUp()
	met(t, gone)
	release()
	await(t, "the session is stored", healTime, func() bool { return len(records(n.World)) == 1 })
	rejected(t, "the app's own repetition", n.token(1, form))
	n.gone(t, "an app that hung up")
}

// A sign-out of the SSO session, at the other instance, while the redemption is at each of its steps. It wins.
//
// shows NAT-CODE, RPL-PENDING
func TestSignOutDuringARedemptionWins(t *testing.T) {
	t.Parallel()
	n := newNative(t, world.Options{})
	n.rehearse(t)
	for _, s := range steps(t) {
		b := n.phone()
		n.SignIn(b, "/")
		form := n.code(t, b)
		held, release := n.wires[0].HoldReply(s.match)
		first := n.asking(0, form)
		met(t, held)
		n.At(n.All[1])
		n.Want(n.Fetch(b, "POST", "/bff/logout", ""), 200)
		n.At(n.All[0])
		release()
		got := <-first
		if got.Status != 200 { // handed out after the look for a sign-out: then it is as dead as any other
			rejected(t, s.name, got)
			n.revoked(t, s.name)
		}
		n.gone(t, s.name, got)
		n.unindexed(t, s.name)
	}
}

// SIGTERM while a code is redeemed: it is finished in the time to drain, or undone.
//
// shows NAT-CODE
func TestStopMidRedemption(t *testing.T) {
	t.Parallel()
	n := newNativeAt(t, sparingProvider, world.Options{})
	n.rehearse(t)
	form := n.code(t, n.phone())
	at := 1
	stop := func(struckBy <-chan struct{}, then func()) (handles, error) {
		answer := n.asking(at, form)
		met(t, struckBy)
		stopped := make(chan error, 1)
		go func() { stopped <- n.All[at].Stop() }()
		n.All[at].AwaitLog(`"msg":"draining"`)
		then()
		return <-answer, <-stopped
	}
	held, release := n.wires[at].HoldReply(script(t, "redeem"))
	got, err := stop(held, release)
	if err != nil {
		t.Errorf("stopping: %v", err)
	}
	n.want(t, 0, "GET", "/api/orders", granted(t, got).Access, 200)
	n.want(t, 0, "POST", "/mobile/logout", got.Access, 200)

	form = n.code(t, n.phone())
	n.more()
	at = len(n.wires) - 1
	held, release = n.wires[at].HoldReply(script(t, "index"))
	deleted, letGo := n.wires[at].HoldReply(script(t, "delete"))
	got, err = stop(held, func() {
		n.wires[at].LoseReply(script(t, "create"))          // the record is there, and nobody heard of it,
		again := n.wires[at].LoseReply(script(t, "create")) // nor of its being written again
		release()
		met(t, again)
		met(t, deleted)
		<-time.After(500 * time.Millisecond) // an instance that waits for requests alone would have ended by now
		letGo()
	})
	if err != nil {
		t.Errorf("stopping: %v", err)
	}
	outOfReach(t, "a redemption cut off while draining", got)
	n.revoked(t, "a redemption cut off while draining")
	if left := records(n.World); len(left) > 0 {
		t.Errorf("the instance ended before it had undone %q", left)
	}
	rejected(t, "the app's own repetition", n.token(0, form))
}
