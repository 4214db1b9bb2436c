package bff_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

// Who finds an open browser is signed in by the provider without a question. Where the provider tells when the user
// authenticated, that counts, and not the sign-in.
//
// shows SESS-LIST: "after recent authentication".
func TestASilentSignInIsNoRecentOne(t *testing.T) {
	for _, row := range []struct {
		with string
		ago  time.Duration // since the user authenticated; negative: the provider does not tell
		want bff.Code
	}{
		{"an authentication of ten minutes ago", 10 * time.Minute, bff.CodeRecentSignIn},
		{"an authentication of a moment less", 10*time.Minute - time.Second, ""},
		{"an authentication that nobody tells of", -1, ""},
	} {
		t.Run("a sign-in with "+row.with, func(t *testing.T) {
			w := newWorld(t)
			w.app.Recent = 10 * time.Minute
			in := w.instance()
			other := w.signIn(in, "usr_1", "ses_2", "other")
			w.clock.move(20 * time.Minute)
			w.idp.set(func(p *fakeProvider) {
				p.sid, p.authTime = "ses_1", time.Time{}
				if row.ago >= 0 {
					p.authTime = w.clock.now().Add(-row.ago)
				}
			})
			mine := w.session(in, w.login(in))
			_, one := in.EndDevice(t.Context(), w.app, mine, other.ID())
			others := in.EndOtherDevices(t.Context(), w.app, mine)
			if diff := cmp.Diff([]bff.Code{row.want, row.want}, []bff.Code{bff.CodeOf(one), bff.CodeOf(others)}); diff != "" {
				t.Errorf("ending one, and all others (-want +got):\n%s", diff)
			}
			if got := w.alive([]*instance{in}, other); (len(got) > 0) != (row.want != "") {
				t.Errorf("alive: %v", got)
			}
		})
	}
}

// A session past its absolute end is not listed, however much it was used; its record stays a little longer than it.
//
// shows SESS-LIST, SESS-LIFE
func TestASessionPastItsAbsoluteEndIsNotListed(t *testing.T) {
	w := newWorld(t)
	w.app.Absolute = 40 * time.Minute
	in := w.instance()
	desk := w.signIn(in, "usr_1", "ses_1", "desk")
	w.clock.move(25 * time.Minute)
	laptop := w.signIn(in, "usr_1", "ses_2", "laptop")
	in.Touch(desk)
	w.drained(in)
	w.clock.move(15*time.Minute - time.Second)
	w.wantListed(in, laptop, "laptop", "desk")
	w.clock.move(2 * time.Second)
	w.wantListed(in, laptop, "laptop")
}
