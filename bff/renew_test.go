package bff_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// gatedMarkers holds the answer about end markers, once armed.
type gatedMarkers struct {
	bff.Markers
	armed   atomic.Bool
	arrived chan struct{}
	gate    chan struct{}
}

func (g *gatedMarkers) Marked(ctx context.Context, targets []bff.Target) ([]bff.Marker, error) {
	if g.armed.CompareAndSwap(true, false) {
		g.arrived <- struct{}{}
		<-g.gate
	}
	return g.Markers.Marked(ctx, targets)
}

// The refresh has saved but not yet landed when a request reads its result, is refused by the API with it, and asks for
// more: the very token that was refused is no answer.
func TestRenewalIsNotAnsweredWithTheTokenThatWasRefused(t *testing.T) {
	w := newWorld(t)
	g := &gatedMarkers{arrived: make(chan struct{}), gate: make(chan struct{})}
	a := w.instance(func(p *bff.Ports) { g.Markers = p.Markers; p.Markers = g })
	root := w.login(a)
	g.armed.Store(true)
	w.expire()
	first := w.need(root, 1, a)
	<-g.arrived // saved
	s := w.session(a, root)
	if s.Generation != 2 {
		t.Fatalf("generation %d, want the saved one", s.Generation)
	}
	s.Tokens.ReceivedAt = a.Now().Add(-time.Minute) // not one that came a moment ago
	second := make(chan result, 1)
	go func() {
		tokens, err := a.RenewTokens(context.Background(), w.app, s)
		second <- result{tokens.Access.Reveal(), err}
	}()
	a.seen.until(t, "both waiting", func(s *seen) bool { return s.waits == 2 })
	close(g.gate)
	if r := <-first; r.err != nil || r.access != "access-2" {
		t.Errorf("first: %q, %v", r.access, r.err)
	}
	if r := <-second; r.err != nil || r.access != "access-3" {
		t.Errorf("renewed: %q, %v; want a token that is newer than the refused one", r.access, r.err)
	}
}

// An API that refuses every token costs one refresh, not one per request.
func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	w.clock.move(time.Minute) // to where the fake provider dates its second token
	s := w.session(a, root)
	s.Tokens.ReceivedAt = a.Now().Add(-9 * time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeUpstreamRefused {
		t.Errorf("the renewed token refused as well: %v, want upstream_unauthorized", err)
	}
	if got := w.idp.count(); got != 1 {
		t.Errorf("%d refreshes", got)
	}
	s.Tokens.ReceivedAt = a.Now().Add(-11 * time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); err != nil {
		t.Errorf("after a rest: %v", err)
	}
}

// A short-lived token that ended on its way to the API is refused for that: it is renewed, however new it was.
func TestTokenThatEndedOnItsWayIsRenewed(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	if _, err := a.RenewTokens(context.Background(), w.app, w.session(a, root)); err != nil {
		t.Fatal(err)
	}
	s := w.session(a, root)
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-4*time.Second), a.Now()
	if got, err := a.RenewTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-3" {
		t.Errorf("got %q, %v; want a new token", got.Access.Reveal(), err)
	}
	s = w.session(a, root) // one of five seconds, by our clock; the API counts whole ones and is done with it
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-4100*time.Millisecond), a.Now().Add(900*time.Millisecond)
	if got, err := a.RenewTokens(context.Background(), w.app, s); err != nil || got.Access.Reveal() != "access-4" {
		t.Errorf("got %q, %v; want a new token", got.Access.Reveal(), err)
	}
	s = w.session(a, root)
	s.Tokens.ReceivedAt, s.Tokens.ExpiresAt = a.Now().Add(-time.Second), a.Now().Add(4*time.Second)
	if _, err := a.RenewTokens(context.Background(), w.app, s); bff.CodeOf(err) != bff.CodeUpstreamRefused {
		t.Errorf("in the first quarter of its life: %v, want upstream_unauthorized", err)
	}
}
