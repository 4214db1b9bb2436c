package bff_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// Moments of authentication tie the sessions here. One app stepped up: it stands in the old group and in the new one, and
// an app that came later in the new one alone. All three are one session at the provider.
//
// shows RPL-GROUP
func TestSignOutFollowsASessionIntoEachGroupItTies(t *testing.T) {
	for name, end := range map[string]func(*instance, *world, bff.Root) error{
		"a sign-out by the user": func(in *instance, w *world, root bff.Root) error {
			_, err := in.SignOut(context.Background(), w.app, w.session(in, root))
			return err
		},
		"an end by the sid": func(in *instance, w *world, _ bff.Root) error {
			_, err := in.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: w.app.Provider.Name, Value: "ses_first"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.SSOBy = bff.SSOByAuthAt
			a := w.instance()
			w.idp.set(func(p *fakeProvider) { p.sid = "ses_first" })
			first := w.login(a)
			w.idp.set(func(p *fakeProvider) { p.sid = "ses_of_another_client" })
			before := w.login(a)
			w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(10 * time.Minute) })
			steppedUp := w.loginWith(a, bff.LoginRequest{Replaces: before}).Session.Root
			w.idp.set(func(p *fakeProvider) { p.sid = "ses_of_a_third_client" })
			late := w.login(a)
			w.clock.move(3 * time.Second)
			if err := end(a, w, first); err != nil {
				t.Fatal(err)
			}
			w.dead(a, first)
			w.dead(a, steppedUp)
			w.dead(a, late)
		})
	}
}

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

// A refresh landed between the reading of the session and its sign-out: the token to revoke is the one in the record.
func TestSignOutRevokesTheTokensOfTheRecordNotThoseItRead(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	stale := w.session(a, root)
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, stale); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SignOut(context.Background(), w.app, stale); err != nil {
		t.Fatal(err)
	}
	w.drained(a)
	w.idp.set(func(p *fakeProvider) {
		if !p.revoked["refresh-2"] {
			t.Errorf("revoked: %v, want the refreshed token among them", p.revoked)
		}
	})
}

// The session that leads to the rest is the last to go: a sign-out that failed on the way finds them all again.
func TestSignOutThatFailedOnTheWayFindsTheRestWhenRepeated(t *testing.T) {
	w := newWorld(t)
	w.app.Provider.SSOBy = bff.SSOByAuthAt
	f, a := w.faulty()
	first, before := w.login(a), w.login(a)
	w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(10 * time.Minute) })
	w.loginWith(a, bff.LoginRequest{Replaces: before})
	late := w.login(a)
	w.clock.move(3 * time.Second)
	failures := 1
	f.set(nil, func() bool { failures--; return failures >= 0 })
	if _, err := a.SignOut(context.Background(), w.app, w.session(a, first)); bff.CodeOf(err) != bff.CodeStoreUnavailable {
		t.Fatalf("a sign-out that met an outage: %v", err)
	}
	if _, err := a.SignOut(context.Background(), w.app, w.session(a, first)); err != nil {
		t.Fatal(err)
	}
	w.dead(a, late)
}

func TestSessionWhoseKeyWasRetiredIsToldToTheAudit(t *testing.T) {
	w := newWorld(t)
	var retired retiredRecords
	a := w.instance(func(p *bff.Ports) { retired.Records = p.Records; p.Records = &retired })
	root := w.login(a)
	retired.on.Store(true)
	w.dead(a, root)
	a.seen.until(t, "the end", func(s *seen) bool { return len(s.ended) == 1 && s.ended[0].Reason == bff.ReasonKeyRetired })
}

// retiredRecords says of every record that its key was retired.
type retiredRecords struct {
	bff.Records
	on atomic.Bool
}

func (r *retiredRecords) Read(ctx context.Context, root bff.Root) (*bff.Session, error) {
	if r.on.Load() {
		return nil, bff.ErrKeyRetired
	}
	return r.Records.Read(ctx, root)
}
