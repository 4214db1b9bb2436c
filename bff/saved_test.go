package bff_test

import (
	"context"
	"testing"

	"cloakroom/bff"
)

// A sign-out that found no index entry has written its marker all the same. A refresh that was under way carries it out, and
// revokes what it got: those tokens stand in no record that anybody could read later.
//
// shows SESS-CAS
func TestASignOutThatFoundNoEntryIsCarriedOutByARefresh(t *testing.T) {
	w := newWorld(t)
	var markers bff.Markers
	a := w.instance(func(p *bff.Ports) { markers = p.Markers })
	root := w.login(a)
	hold := make(chan struct{})
	w.idp.set(func(p *fakeProvider) { p.hold = hold })
	w.expire()
	answered := w.need(root, 1, a)
	<-w.idp.arrived
	<-w.idp.arrived
	s := w.session(a, root)
	m := bff.Marker{ID: "m1", At: w.clock.now()}
	if err := markers.Mark(context.Background(), []bff.Target{{Scope: bff.ScopeSSO, Provider: s.Provider, Value: s.Groups[0]}}, m); err != nil {
		t.Fatal(err)
	}
	close(hold)
	if r := <-answered; bff.CodeOf(r.err) != bff.CodeSessionEnded {
		t.Errorf("the request that waited: %q, %v; want session_ended", r.access, r.err)
	}
	a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
	w.idp.set(func(p *fakeProvider) {
		if !p.revoked["refresh-2"] {
			t.Errorf("revoked: %v, want the refreshed token among them", p.revoked)
		}
	})
	w.dead(a, root)
}
