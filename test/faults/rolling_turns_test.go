//go:build integration

package faults_test

import (
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
)

// Handles move on while an instance is restarted with other keys, the tokens are refreshed and an answer is lost, all at once:
// whoever asks, wherever, gets the one successor. What was rotated away is worth nothing, and ends the session if it comes
// back late.
//
// shows NAT-ROT, KEY-RING
func TestHandlesTurnWhileKeysInstancesAndTokensChange(t *testing.T) {
	t.Parallel()
	r := newRollout(t, 3)
	r.rehearse(t)
	r.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = accessLife })
	h := r.signIn(t, r.phone())
	before := h
	for _, step := range []struct {
		at int
		to keyLists
	}{{0, keysAppended}, {1, keysAppended}, {2, keysMoved}, {0, keysMoved}} {
		ended(r.World)
		before, h = h, r.turnDuring(t, h, step.at, step.to)
	}
	if n := r.Dev.GrantCount("refresh_token"); n < 4 {
		t.Errorf("%d refreshes, want one for each step", n)
	}
	if key := r.keyOf(t, h); key != "k1" {
		t.Errorf("the session has the key %s, want that of its beginning", key)
	}
	pause(graceOfPhone + 300*time.Millisecond)
	rejected(t, "a refresh handle that comes back late", r.token(2, rotation(before.Refresh)))
	for at := range r.clients {
		if body := r.want(t, at, "GET", "/api/orders", h.Access, 401); !strings.Contains(body, "handle_reused") {
			t.Errorf("after the reuse: %s", body)
		}
	}
	r.revoked(t, "after the reuse")
}

// turnDuring rotates at both other instances, one of which loses its answer, while instance at is replaced and calls wait
// for a refresh.
func (r *rollout) turnDuring(t *testing.T, h handles, at int, to keyLists) handles {
	t.Helper()
	a, b := (at+1)%3, (at+2)%3
	served := make(chan int, 4)
	for i := range cap(served) {
		go func() {
			status, _ := r.call([]int{a, b}[i%2], "GET", "/api/orders", h.Access)
			served <- status
		}()
	}
	lost := r.wires[a].LoseReply(script(t, "turn"))
	first := r.asking(a, rotation(h.Refresh))
	met(t, lost)
	answers := []<-chan handles{r.asking(b, rotation(h.Refresh)), r.asking(a, rotation(h.Refresh))}
	r.replace(t, at, to)
	outOfReach(t, "a rotation whose answer was lost", <-first)
	next := granted(t, r.token(at, rotation(h.Refresh))) // by other keys in front
	for _, answer := range answers {
		if got := <-answer; !next.same(got) {
			t.Errorf("at %s: %d %q, or another successor", to.name(), got.Status, got.Error)
		}
	}
	for range cap(served) {
		if got := <-served; got != 200 {
			t.Errorf("at %s: a call was answered %d", to.name(), got)
		}
	}
	for at := range r.clients {
		r.want(t, at, "GET", "/api/orders", next.Access, 200)
	}
	return next
}

// keyOf names the key that the record of a handle is under.
func (r *rollout) keyOf(t *testing.T, h handles) string {
	t.Helper()
	s, err := r.domain(t, keysMoved).store.Read(t.Context(), handleRoot(t, h.Access))
	if err != nil {
		t.Fatal(err)
	}
	return s.KeyID
}
