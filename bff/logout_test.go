package bff_test

import (
	"context"
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
