package bff_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloakroom/bff"
)

// A browser whose session was ended in another app signs in again at once, at a provider that kept its own session: it is
// told of the sign-out once, and the click on that page signs in, also within the slack of the clocks.
//
// shows BCL-RACE (signing in again)
func TestSigningInAgainAfterASignOutInAnotherAppTakesOneClick(t *testing.T) {
	for _, by := range []bff.SSOBy{bff.SSOBySID, bff.SSOByAuthAt, bff.SSOBySubject} {
		t.Run("sso_by "+string(by), func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.SSOBy = by
			a, b := w.instance(), w.instance()
			old, other := w.login(a), w.login(a)
			w.clock.move(time.Minute)
			if _, err := b.SignOut(context.Background(), w.app, w.session(b, other)); err != nil {
				t.Fatal(err)
			}
			w.clock.move(time.Second / 2)
			start, state := w.begin(a, bff.LoginRequest{Replaces: old})
			_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			le, ok := errors.AsType[*bff.LoginError](err)
			if !ok || bff.CodeOf(err) != bff.CodeLoginSignedOut || le.SignedOut == "" {
				t.Fatalf("the first sign-in: %v, want that it is told of the sign-out", err)
			}
			w.clock.move(time.Second / 2)
			w.session(b, w.loginWith(a, bff.LoginRequest{Replaces: old, SignedOut: le.SignedOut}).Session.Root)
		})
	}
}
