package bff_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// A step-up is under way when the user signs out elsewhere. At the callback the session it replaces is gone, and with it
// the name of the group that was signed out.
//
// shows CB-RACE-1
func TestStepUpOvertakenByASignOutHandsOutNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		wait time.Duration // from the sign-out to the start of the login
		want bff.Code
	}{
		"a step-up that began before the sign-out":       {-10 * time.Second, bff.CodeLoginSignedOut},
		"a login that began well after it":               {10 * time.Second, ""},
		"a login that began at the moment of a sign-out": {time.Second, bff.CodeLoginSignedOut},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.SSOBy = bff.SSOByAuthAt
			a, b := w.instance(), w.instance()
			old, other := w.login(a), w.login(a)
			w.clock.move(time.Minute)
			signOut := func() {
				if _, err := b.SignOut(context.Background(), w.app, w.session(b, other)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.wait > 0 {
				signOut()
				w.clock.move(tc.wait)
			}
			start, state := w.begin(a, bff.LoginRequest{Replaces: old})
			if tc.wait < 0 {
				w.clock.move(-tc.wait)
				signOut()
			}
			w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(time.Minute) })
			_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			if bff.CodeOf(err) != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// failingMarked is a store that cannot tell of end markers.
type failingMarked struct {
	bff.Markers
	on atomic.Bool
}

func (f *failingMarked) Marked(ctx context.Context, targets []bff.Target) ([]bff.Marker, error) {
	if f.on.Load() {
		return nil, fmt.Errorf("%w: LOADING", bff.ErrStore)
	}
	return f.Markers.Marked(ctx, targets)
}

// The store fails in the middle of a step-up. The old session lives on; to revoke the new tokens would take its own with
// them at some providers, and sign the user out because of an outage.
//
// shows SESS-503
func TestStepUpThatTheStoreFailsLeavesTheOldSessionItsGrant(t *testing.T) {
	for name, tc := range map[string]struct {
		subject         string
		spares, revoked bool
	}{
		"a provider where revoking ends the whole grant":    {"usr_1", false, false},
		"a provider where revoking spares the others":       {"usr_1", true, true},
		"a login of somebody else, whose tokens are others": {"usr_2", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.RevocationSparesGrant = tc.spares
			f := &failingMarked{}
			a := w.instance(func(p *bff.Ports) { f.Markers = p.Markers; p.Markers = f })
			old := w.login(a)
			f.on.Store(true)
			w.idp.set(func(p *fakeProvider) { p.subject = tc.subject })
			start, state := w.begin(a, bff.LoginRequest{Replaces: old})
			_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			if bff.CodeOf(err) != bff.CodeStoreUnavailable {
				t.Fatalf("got %v, want store_unavailable", err)
			}
			w.session(a, old)
			w.drained(a)
			w.idp.set(func(p *fakeProvider) {
				if p.revoked["refresh-2"] != tc.revoked {
					t.Errorf("revoked: %v", p.revoked)
				}
			})
		})
	}
}

// What the browser carried cannot be read: it may be another user's live session, and may tie this one to its group.
//
// shows CB-SWAP-1
func TestLoginFailsWhenTheSessionItReplacesCannotBeRead(t *testing.T) {
	w := newWorld(t)
	f, a := w.faulty()
	old := w.login(a)
	start, state := w.begin(a, bff.LoginRequest{Replaces: old})
	f.set(func() bool { return true }, nil)
	_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
	if bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("got %v, want store_unavailable", err)
	}
	f.set(nil, nil)
	w.session(a, old)
}

// A refresh is under way when a step-up replaces its session. Its tokens come for a session that is gone; to revoke them
// would end the whole grant at some providers, and with it the session that was just begun.
func TestRefreshThatAStepUpOvertookTakesNothingFromTheNewSession(t *testing.T) {
	for name, tc := range map[string]struct{ spares, revoked bool }{
		"a provider where revoking ends the whole grant":   {false, false},
		"a provider where revoking spares the other token": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.RevocationSparesGrant = tc.spares
			a, b := w.instance(), w.instance()
			old := w.login(a)
			gate := make(chan struct{})
			w.idp.set(func(p *fakeProvider) { p.hold = gate })
			w.expire()
			results := w.need(old, 1, a)
			<-w.idp.arrived // at the provider
			<-w.idp.arrived // worked off: refresh-2 is on its way
			l := w.loginWith(b, bff.LoginRequest{Replaces: old})
			close(gate)
			if r := <-results; bff.CodeOf(r.err) != bff.CodeSessionEnded {
				t.Errorf("request of the replaced session: %v", r.err)
			}
			w.drained(a)
			w.idp.set(func(p *fakeProvider) {
				if p.revoked["refresh-2"] != tc.revoked {
					t.Errorf("revoked: %v", p.revoked)
				}
			})
			w.session(b, l.Session.Root)
		})
	}
}
