package bff_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

const (
	orders = "https://orders.example.com"
	stock  = "https://stock.example.com"
)

// at asks for a resource's token as one request does.
func (w *world) at(in *instance, root bff.Root, resource string) (string, error) {
	w.t.Helper()
	t, err := in.ResourceToken(context.Background(), w.app, w.session(in, root), resource)
	return t.Access.Reveal(), err
}

// gets fails unless a request for a resource is given this token.
func (w *world) gets(in *instance, root bff.Root, resource, want string) {
	w.t.Helper()
	if got, err := w.at(in, root, resource); err != nil || got != want {
		w.t.Fatalf("for %q: %q, %v; want %q", resource, got, err, want)
	}
}

// said returns what the provider was asked for, in order.
func (p *fakeProvider) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.errands)
}

// shows RES-2
func TestEachResourceHasATokenOfItsOwn(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.gets(a, root, orders, orders+" access-2")
	w.gets(b, root, stock, stock+" access-3")
	for range 3 { // kept, for all instances
		w.gets(b, root, orders, orders+" access-2")
		w.gets(a, root, stock, stock+" access-3")
	}
	own, err := a.FreshTokens(context.Background(), w.app, w.session(a, root))
	if err != nil || own.Access.Reveal() != "access-1" {
		t.Fatalf("the session's own: %q, %v; want that of the sign-in", own.Access.Reveal(), err)
	}
	s := w.session(a, root)
	if s.Generation != 3 || s.OwnGeneration() != 1 || s.Sent != nil || s.Tokens.Refresh.Reveal() != "refresh-3" {
		t.Errorf("record: generation %d, own %d, mark %v, %s", s.Generation, s.OwnGeneration(), s.Sent, s.Tokens.Refresh.Reveal())
	}
	w.expire()
	if own, err = b.FreshTokens(context.Background(), w.app, w.session(b, root)); err != nil || own.Access.Reveal() != "access-4" {
		t.Fatalf("the session's own, renewed: %q, %v", own.Access.Reveal(), err)
	}
	w.gets(a, root, orders, orders+" access-5") // what was kept beside the old one is gone
	if diff := cmp.Diff([]string{orders, stock, "", orders}, w.idp.said()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if again := w.idp.overused(1); again != nil {
		t.Errorf("sent twice: %v", again)
	}
}

// The refresh token is one, whatever it is used for: each use waits for the one before, over all instances.
//
// shows REF-ONE, RES-2
func TestRequestsForTwoResourcesAndTheSessionsOwnAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.expire()
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.gate = gate })
	const n = 8
	want := map[string]int{}
	results := w.need(root, n, a, b)
	for _, in := range []*instance{a, b} {
		s := w.session(in, root)
		for _, resource := range []string{orders, stock} {
			for range n {
				go func() {
					t, err := in.ResourceToken(context.Background(), w.app, s, resource)
					results <- result{t.Access.Reveal(), err}
				}()
			}
		}
	}
	for _, in := range []*instance{a, b} {
		in.seen.until(t, "all requests waiting", func(s *seen) bool { return s.waits == 3*n })
	}
	close(gate)
	for range 6 * n {
		r := <-results
		if r.err != nil {
			t.Fatalf("refused: %v", r.err)
		}
		resource, _, is := strings.Cut(r.access, " ")
		if !is {
			resource = ""
		}
		want[resource]++
	}
	if diff := cmp.Diff(map[string]int{"": 2 * n, orders: 2 * n, stock: 2 * n}, want); diff != "" {
		t.Errorf("answers by what they are good for (-want +got):\n%s", diff)
	}
	if again := w.idp.overused(1); again != nil {
		t.Errorf("sent twice: %v", again)
	}
	// The session's own, should it come last, drops what was kept: it is never more than once for each.
	if said := w.idp.said(); len(said) != 3 {
		t.Errorf("asked for %q", said)
	}
}

// shows RES-2
func TestAResourceThatTheProviderRefuses(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) {
		p.refused = map[string]*bff.RefreshError{orders: {Outcome: bff.OutcomeClient, Target: true, Err: errors.New("invalid_target")}}
	})
	for range 5 {
		if got, err := w.at(a, root, orders); bff.CodeOf(err) != bff.CodeTokenRefused || got != "" {
			t.Fatalf("got %q, %v; want token_refused", got, err)
		}
	}
	if said := w.idp.said(); !slices.Equal(said, []string{orders}) {
		t.Errorf("the provider was asked for %q, want once and for nothing else", said)
	}
	if n := len(a.seen.alarms); n != 1 {
		t.Errorf("%d alarms, want one: %v", n, a.seen.alarms)
	}
	if s := w.session(a, root); s.Sent != nil || s.Generation != 1 {
		t.Errorf("a refusal left generation %d and the mark %v", s.Generation, s.Sent)
	}
	w.gets(a, root, stock, stock+" access-2")
	w.expire()
	if own, err := a.FreshTokens(context.Background(), w.app, w.session(a, root)); err != nil || own.Access.Reveal() != "access-3" {
		t.Errorf("the session's own afterwards: %q, %v", own.Access.Reveal(), err)
	}
}

// A session that is older than the provider's keys gets its first by a resource's grant: the refresh token that came with it may
// be good with that key alone.
func TestTheKeyOfAResourcesGrantStaysWithTheRefreshToken(t *testing.T) {
	w := newWorld(t)
	w.idp.key = bff.NewSecret("0123456789abcdef0123456789abcdef")
	a := w.instance()
	root := w.login(a)
	w.gets(a, root, orders, orders+" access-2")
	s := w.session(a, root)
	if !s.Tokens.ProofKey.Equal(w.idp.key) || s.Tokens.Bound() {
		t.Errorf("key kept: %v; the session's own token is bound: %v, want only the first", !s.Tokens.ProofKey.IsZero(), s.Tokens.Bound())
	}
}

func TestAResourceWithoutARefreshToken(t *testing.T) {
	w := newWorld(t)
	w.idp.noRT = true
	a := w.instance()
	root := w.login(a)
	if _, err := w.at(a, root, orders); bff.CodeOf(err) != bff.CodeTokenRefused {
		t.Errorf("got %v, want token_refused", err)
	}
	w.session(a, root)
}

// shows REF-RACE
func TestAResourcesAnswerThatIsLost(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.lose = 1 })
	if _, err := w.at(a, root, orders); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Fatalf("lost answer: %v", err)
	}
	if s := w.session(b, root); s.Sent == nil {
		t.Fatal("no mark after an answer that was lost")
	}
	// Whoever needs the refresh token next, for whatever: it waits, makes the later attempt, and is told what that means.
	_, err := w.at(b, root, stock)
	e, _ := errors.AsType[*bff.Error](err)
	if e == nil || e.Reason != string(bff.ReasonRefreshLost) {
		t.Fatalf("later attempt refused: %v, want refresh_lost", err)
	}
	if over := w.idp.overused(2); over != nil {
		t.Errorf("sent more than twice: %v", over)
	}
}

// shows SESS-CAS
func TestSignOutDuringAGrantForAResourceWins(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.gets(a, root, stock, stock+" access-2")
	gate := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.hold = gate })
	got := make(chan error, 1)
	s := w.session(a, root)
	go func() { _, err := a.ResourceToken(context.Background(), w.app, s, orders); got <- err }()
	for range 3 { // stock's, then at the provider, then worked off
		<-w.idp.arrived
	}
	if _, err := b.SignOut(context.Background(), w.app, w.session(b, root)); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if err := <-got; bff.CodeOf(err) != bff.CodeSessionEnded {
		t.Fatalf("request mid-grant: %v, want session_ended", err)
	}
	w.dead(a, root)
	a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
	w.idp.mu.Lock()
	defer w.idp.mu.Unlock()
	if !w.idp.revoked["refresh-3"] || !w.idp.revoked[orders+" access-3"] {
		t.Errorf("revoked: %v, want what came for the resource among them", w.idp.revoked)
	}
	for _, key := range w.redis.Keys() {
		if strings.HasSuffix(key, ":tok") {
			t.Errorf("kept tokens are left: %s", key)
		}
	}
}

// shows SESS-503
func TestAResourcesGrantIsKeptInMemoryUntilTheStoreTakesIt(t *testing.T) {
	w := newWorld(t)
	failing := &failingSave{on: true}
	a := w.instance(func(p *bff.Ports) { failing.Leases = p.Leases; p.Leases = failing })
	root := w.login(a)
	for range 3 {
		w.gets(a, root, orders, orders+" access-2")
	}
	failing.set(false)
	a.seen.until(t, "the save", func(s *seen) bool { return len(s.refreshes) == 1 })
	if s := w.session(a, root); s.Tokens.Refresh.Reveal() != "refresh-2" || w.idp.count() != 1 {
		t.Errorf("stored %s after %d calls", s.Tokens.Refresh.Reveal(), w.idp.count())
	}
	w.gets(w.instance(), root, orders, orders+" access-2")
}

// A sender stands still so long that another one follows it with the same refresh token, and then saves: the other's is refused
// for being used, which says nothing of the one that took its place, though that was for something else.
func TestARefusalOfATokenThatWasRotatedForSomethingElse(t *testing.T) {
	w := newWorld(t)
	frozen, b := w.instance(func(p *bff.Ports) { p.Leases = lapsing{p.Leases} }), w.instance()
	root := w.login(frozen)
	w.expire()
	hold, gate := make(chan struct{}), make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.hold = hold })
	first := w.need(root, 1, frozen)
	<-w.idp.arrived
	<-w.idp.arrived // worked off
	w.idp.set(func(p *fakeProvider) { p.gate, p.hold = gate, nil })
	w.redis.FastForward(w.limit.Lease)
	second := make(chan result, 1)
	s := w.session(b, root)
	go func() {
		t, err := b.ResourceToken(context.Background(), w.app, s, orders)
		second <- result{t.Access.Reveal(), err}
	}()
	<-w.idp.arrived // after its suspicion, with the token that the provider has rotated
	close(hold)
	if r := <-first; r.err != nil || r.access != "access-2" {
		t.Fatalf("the sender that stood still: %q, %v", r.access, r.err)
	}
	close(gate)
	if r := <-second; r.err != nil || r.access != orders+" access-3" {
		t.Fatalf("the one that followed: %q, %v; want a token by the new refresh token", r.access, r.err)
	}
	if s := w.session(b, root); s.Generation != 3 || s.OwnGeneration() != 2 {
		t.Errorf("record: generation %d, own %d", s.Generation, s.OwnGeneration())
	}
}

func TestAResourcesTokenInItsSoftWindow(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	w.gets(a, root, orders, orders+" access-2")
	w.clock.move(52 * time.Second)
	w.gets(a, root, orders, orders+" access-2")
	a.seen.until(t, "the refresh beside", func(s *seen) bool { return len(s.refreshes) == 2 })
	w.gets(a, root, orders, orders+" access-3")
}

// An API that refuses a token has it renewed once, and that token alone; one that refuses every token costs the provider
// nothing for ten seconds.
func TestATokenThatAnAPIRefusesIsRenewedForItsResource(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	w.gets(a, root, orders, orders+" access-2")
	w.gets(a, root, stock, stock+" access-3")
	renew := func(in *instance, refused bff.TokenSet) (string, error) {
		t, err := in.RenewResourceToken(context.Background(), w.app, w.session(in, root), orders, refused)
		return t.Access.Reveal(), err
	}
	refused, err := a.ResourceToken(context.Background(), w.app, w.session(a, root), orders)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := renew(a, refused); bff.CodeOf(err) != bff.CodeUpstreamRefused {
		t.Fatalf("a token that has just come: %v, want upstream_unauthorized", err)
	}
	w.clock.move(11 * time.Second)
	for _, in := range []*instance{a, b} { // the other finds what the first got
		if got, err := renew(in, refused); err != nil || got != orders+" access-4" {
			t.Fatalf("renewed: %q, %v", got, err)
		}
	}
	w.gets(b, root, stock, stock+" access-3")
	if got := w.idp.count(); got != 3 {
		t.Errorf("the provider saw %d grants, want 3", got)
	}
}
