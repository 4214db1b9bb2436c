package bff_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"cloakroom/bff"
)

// tiedByMoment is a native world in which the moment of authentication ties SSO sessions, with one more app at its provider.
func tiedByMoment(t *testing.T) (w *world, other *bff.App) {
	t.Helper()
	w = newNativeWorld(t)
	w.app.Provider.SSOBy = bff.SSOByAuthAt
	app := *w.app
	app.ID, app.RedirectURI = "tablet", "https://gw.example.com/mobile/callback/tablet"
	return w, &app
}

// loginAt signs an app in.
func (w *world) loginAt(in *instance, app *bff.App) *bff.Session {
	w.t.Helper()
	was := w.app
	defer func() { w.app = was }()
	w.app = app
	return w.nativeLogin(in)
}

// beginStepUp begins the step-up of a native session, and returns what comes back from the provider.
func (w *world) beginStepUp(in *instance, s *bff.Session) (bff.Callback, *bff.NativeRequest) {
	w.t.Helper()
	r := bff.LoginRequest{Native: request(claimed)}
	if err := in.Raise(context.Background(), w.app, in.StepUpTicket(w.app, s, bff.StepUp{MaxAge: seconds(60)}), &r); err != nil {
		w.t.Fatal(err)
	}
	start, state := w.begin(in, r)
	return w.callback(start, state), r.Native
}

// raised is a step-up of s that came back with a newer moment, and was redeemed at another instance.
func (w *world) raised(in, at *instance, s *bff.Session) *bff.Session {
	w.t.Helper()
	cb, _ := w.beginStepUp(in, s)
	w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(10 * time.Minute) })
	l, err := in.CompleteNativeLogin(context.Background(), w.app, cb)
	if err != nil {
		w.t.Fatal(err)
	}
	fresh, err := at.Redeem(context.Background(), w.app, redemption(l.Code, claimed))
	if err != nil {
		w.t.Fatal(err)
	}
	return fresh
}

// A native session that stepped up, twice over two instances, is of the old SSO session still: a sign-out of another app that
// knows that moment alone ends it, and its own ends the other app's.
//
// shows SSO-OUT, STEP-4
func TestANativeStepUpStaysInItsSSOSession(t *testing.T) {
	for name, ownSignOut := range map[string]bool{"signed out at the other app": false, "signed out itself": true} {
		t.Run("a stepped-up session that is "+name, func(t *testing.T) {
			w, tablet := tiedByMoment(t)
			a, b := w.instance(), w.instance()
			other := w.loginAt(b, tablet)
			s := w.raised(a, b, w.nativeLogin(a))
			s = w.raised(b, a, s)
			stranger := w.nativeLogin(a) // of the last moment alone: tied by the session that stepped up
			w.clock.move(3 * time.Second)
			who, app := other, tablet
			if ownSignOut {
				who, app = s, w.app
			}
			if _, err := b.SignOut(context.Background(), app, who); err != nil {
				t.Fatal(err)
			}
			for i, in := range []*instance{a, b} {
				for what, root := range map[string]bff.Root{"the stepped-up session": s.Root, "its new moment's": stranger.Root} {
					if _, err := in.Session(context.Background(), w.app, root); bff.CodeOf(err) != bff.CodeSessionEnded {
						t.Errorf("%s at instance %d: %v", what, i, err)
					}
				}
				if _, err := in.Session(context.Background(), tablet, other.Root); bff.CodeOf(err) != bff.CodeSessionEnded {
					t.Errorf("the other app's at instance %d: %v", i, err)
				}
			}
		})
	}
}

// A sign-out of the old SSO session while the step-up is on its way: at whatever step it comes, nothing is handed out. One from
// before the login began does not stop it.
//
// shows CB-RACE-1, SSO-OUT
func TestANativeStepUpAndASignOut(t *testing.T) {
	for _, row := range []struct {
		with string
		when string
		wait time.Duration // from the sign-out on
		code bff.Code
	}{
		{"a sign-out at the provider's page", "begun", time.Second, bff.CodeGrantRejected},
		{"a sign-out before the code is redeemed", "returned", time.Second, bff.CodeGrantRejected},
		{"a sign-out long before it began", "before", 10 * time.Second, ""},
	} {
		t.Run("a native step-up with "+row.with, func(t *testing.T) {
			w, tablet := tiedByMoment(t)
			a, b := w.instance(), w.instance()
			other, s := w.loginAt(b, tablet), w.nativeLogin(a)
			signOut := func(at string) {
				if at != row.when {
					return
				}
				w.clock.move(10 * time.Second)
				if _, err := b.SignOut(context.Background(), tablet, other); err != nil {
					t.Fatal(err)
				}
				w.clock.move(row.wait)
			}
			signOut("before")
			cb, _ := w.beginStepUp(a, s)
			signOut("begun")
			w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(10 * time.Minute) })
			l, err := b.CompleteNativeLogin(context.Background(), w.app, cb)
			if err != nil {
				t.Fatal(err)
			}
			signOut("returned")
			_, err = a.Redeem(context.Background(), w.app, redemption(l.Code, claimed))
			wantCode(t, "redeeming", err, row.code)
		})
	}
}

// blindMembers finds a subject's sessions, and opens none of them, or cannot be asked.
type blindMembers struct {
	bff.Markers
	err error
}

func (m *blindMembers) Members(ctx context.Context, t bff.Target) ([]bff.Member, error) {
	found, err := m.Markers.Members(ctx, t)
	for i := range found {
		found[i] = bff.Member{Lookup: found[i].Lookup}
	}
	if m.err != nil {
		err = m.err
	}
	return found, err
}

// Where it cannot be told of which SSO session the old one is, no session begins that a sign-out of it would miss.
//
// shows CB-RACE-1
func TestANativeStepUpWhoseSSOSessionCannotBeTold(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		code bff.Code
	}{
		"is sealed by another key": {nil, bff.CodeKeyUnknown}, "cannot be asked for": {bff.ErrStore, bff.CodeStoreUnavailable},
	} {
		t.Run("an entry that "+name, func(t *testing.T) {
			w, _ := tiedByMoment(t)
			a := w.instance()
			b := w.instance(func(p *bff.Ports) { p.Markers = &blindMembers{p.Markers, row.err} })
			s := w.nativeLogin(a)
			cb, _ := w.beginStepUp(a, s)
			l, err := a.CompleteNativeLogin(context.Background(), w.app, cb)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Redeem(context.Background(), w.app, redemption(l.Code, claimed))
			wantCode(t, "redeeming", err, row.code)
			if _, err := a.Session(context.Background(), w.app, s.Root); err != nil {
				t.Errorf("the old session: %v", err)
			}
		})
	}
}

// A login that asks to be signed in again is held to when it began, and no other is.
//
// shows STEP-5
func TestALoginThatAsksForANewSignIn(t *testing.T) {
	for prompt, held := range map[string]bool{"": false, "login": true, "consent login": true, "select_account": false, "none": false} {
		t.Run("a login with prompt="+prompt, func(t *testing.T) {
			w := newWorld(t)
			in := w.instance()
			began := w.clock.now()
			start, state := w.begin(in, bff.LoginRequest{Extra: url.Values{"prompt": {prompt}}})
			w.clock.move(time.Minute)
			if _, err := in.CompleteLogin(context.Background(), w.app, w.callback(start, state)); err != nil {
				t.Fatal(err)
			}
			since := w.idp.asked[0].Since
			if held != !since.IsZero() || held && since.Sub(began).Abs() > time.Second {
				t.Errorf("held to %v, begun at %v", since, began)
			}
		})
	}
}
