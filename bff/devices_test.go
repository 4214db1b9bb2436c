package bff_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

// signIn signs somebody in on a device, in a session of the provider.
func (w *world) signIn(in *instance, subject, sid, device string) *bff.Session {
	w.t.Helper()
	w.idp.mu.Lock()
	w.idp.subject, w.idp.sid, w.idp.authTime = subject, sid, w.clock.now()
	w.idp.mu.Unlock()
	start, state := w.begin(in, bff.LoginRequest{})
	l, err := in.CompleteLogin(context.Background(), w.app, bff.Callback{
		State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed, Device: device,
	})
	if err != nil {
		w.t.Fatalf("signing %s in: %v", subject, err)
	}
	return l.Session
}

// listed is what a session sees of its user's, in order.
func (w *world) listed(in *instance, s *bff.Session) (devices []string) {
	w.t.Helper()
	all, err := in.Devices(context.Background(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range all {
		devices = append(devices, d.Text)
	}
	return devices
}

func (w *world) wantListed(in *instance, s *bff.Session, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.listed(in, s)); diff != "" {
		w.t.Errorf("the list (-want +got):\n%s", diff)
	}
}

// alive tells which of these sessions live, on every instance alike.
func (w *world) alive(ins []*instance, sessions ...*bff.Session) (devices []string) {
	w.t.Helper()
	for _, s := range sessions {
		var live []bool
		for _, in := range ins {
			_, err := in.Session(context.Background(), w.app, s.Root)
			live = append(live, err == nil)
		}
		if live[0] != live[len(live)-1] {
			w.t.Errorf("%s lives on one instance alone: %v", s.Device, live)
		}
		if live[0] {
			devices = append(devices, s.Device)
		}
	}
	return devices
}

// shows SESS-LIST
func TestTheListOfAUsersSessions(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	phone := w.signIn(a, "usr_1", "ses_1", "phone")
	w.clock.move(time.Minute)
	desk := w.signIn(b, "usr_1", "ses_2", "desk")
	w.clock.move(time.Minute)
	laptop := w.signIn(a, "usr_1", "ses_3", "laptop")
	stranger := w.signIn(a, "usr_2", "ses_4", "stranger")
	w.wantListed(a, phone, "phone", "laptop", "desk") // the one that asks, then by when they were used
	w.wantListed(b, desk, "desk", "laptop", "phone")
	w.wantListed(a, stranger, "stranger")

	all, err := a.Devices(t.Context(), laptop)
	if err != nil {
		t.Fatal(err)
	}
	if d := all[0]; d.ID() != laptop.ID() || d.App != "web" || d.CreatedAt.Sub(laptop.CreatedAt).Abs() > time.Millisecond ||
		d.LastActive.Sub(laptop.LastActive).Abs() > time.Millisecond {
		t.Errorf("listed as %+v, is %+v", d, laptop)
	}
	// Listing is no activity: what is only listed idles out, and is gone from the list although its record is there still.
	w.clock.move(27*time.Minute + 59*time.Second)
	w.wantListed(a, laptop, "laptop", "desk", "phone")
	w.clock.move(2 * time.Second)
	w.wantListed(a, laptop, "laptop", "desk")

	// A session of another provider under the same subject is another user's.
	other := *laptop
	other.Provider = "another"
	w.wantListed(a, &other)
}

// shows SESS-LIST, SESS-KILL
func TestEndingADevice(t *testing.T) {
	for _, row := range []struct {
		with  string
		ssoBy bff.SSOBy
		ended string // of which the id is given
		left  []string
		out   bool // it was the sign-out of the one that asks
	}{
		{"one of its own SSO session alone", bff.SSOBySID, "phone", []string{"desk", "tablet", "docs"}, false},
		{"one that shares its SSO session", bff.SSOBySID, "tablet", []string{"phone", "desk", "docs"}, false},
		{"itself", bff.SSOBySID, "desk", []string{"phone", "tablet"}, true},
		{"one in its own SSO session", bff.SSOBySID, "docs", []string{"phone", "tablet"}, true},
		{"one where nothing but the subject ties sessions", bff.SSOBySubject, "docs", []string{"phone", "desk", "tablet"}, false},
		{"itself where nothing but the subject ties sessions", bff.SSOBySubject, "desk", nil, true},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			w.app.Recent, w.app.Provider.SSOBy = 10*time.Minute, row.ssoBy
			a, b := w.instance(), w.instance()
			sessions := []*bff.Session{
				w.signIn(a, "usr_1", "ses_1", "phone"), w.signIn(b, "usr_1", "ses_2", "desk"),
				w.signIn(a, "usr_1", "ses_3", "tablet"), w.signIn(a, "usr_1", "ses_2", "docs"),
			}
			stranger := w.signIn(a, "usr_2", "ses_9", "stranger")
			at := slices.IndexFunc(sessions, func(s *bff.Session) bool { return s.Device == row.ended })
			left, err := a.EndDevice(t.Context(), w.app, sessions[1], sessions[at].ID())
			if err != nil || (left != nil) != row.out {
				t.Fatalf("ended: %+v %v", left, err)
			}
			if diff := cmp.Diff(row.left, w.alive([]*instance{a, b}, sessions...)); diff != "" {
				t.Errorf("alive (-want +got):\n%s", diff)
			}
			if got := w.alive([]*instance{a, b}, stranger); len(got) != 1 {
				t.Error("another user's session ended")
			}
		})
	}
}

// shows SESS-LIST: another's session is as unknown as one that never was.
func TestIdsThatAreNotTheUsers(t *testing.T) {
	w := newWorld(t)
	w.app.Recent = 10 * time.Minute
	in := w.instance()
	mine, foreign := w.signIn(in, "usr_1", "ses_1", "mine"), w.signIn(in, "usr_2", "ses_2", "foreign")
	ended := w.signIn(in, "usr_1", "ses_3", "ended")
	if _, err := in.EndDevice(t.Context(), w.app, mine, ended.ID()); err != nil {
		t.Fatal(err)
	}
	var told []string
	for with, id := range map[string]string{
		"a foreign session": foreign.ID(), "nobody's": bff.NewRoot().Lookup().ID(), "one that ended": ended.ID(), "nothing": "",
		"no id": "../\x00'", "a lookup": string(ended.Lookup), "its own lookup": string(mine.Lookup), "much": strings.Repeat("a", 1<<16),
	} {
		left, err := in.EndDevice(t.Context(), w.app, mine, id)
		if left != nil || bff.CodeOf(err) != bff.CodeNotFound {
			t.Errorf("%s: %v %v", with, left, err)
		}
		told = append(told, err.Error())
	}
	if len(slices.Compact(told)) != 1 {
		t.Errorf("the answers differ: %q", told)
	}
	if got := w.alive([]*instance{in}, mine, foreign); len(got) != 2 {
		t.Errorf("alive: %v", got)
	}
}

// shows SESS-LIST, SESS-KILL
func TestEndingAllOthers(t *testing.T) {
	for _, row := range []struct {
		with  string
		ssoBy bff.SSOBy
		sid   string // of the one that asks
		left  []string
	}{
		{"an SSO session of its own", bff.SSOBySID, "ses_2", []string{"docs", "desk"}},
		{"none at all", bff.SSOBySID, "", []string{"desk"}},
		{"the subject alone", bff.SSOBySubject, "ses_2", []string{"desk"}},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			w.app.Recent, w.app.Provider.SSOBy = 10*time.Minute, row.ssoBy
			a, b := w.instance(), w.instance()
			stranger := w.signIn(a, "usr_2", "ses_9", "stranger")
			sessions := []*bff.Session{
				w.signIn(a, "usr_1", "ses_1", "phone"), w.signIn(a, "usr_1", "ses_3", "tablet"),
				w.signIn(a, "usr_1", "ses_2", "docs"), w.signIn(b, "usr_1", row.sid, "desk"),
			}
			mine := sessions[3]
			if err := b.EndOtherDevices(t.Context(), w.app, mine); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.left, w.alive([]*instance{a, b}, sessions...)); diff != "" {
				t.Errorf("alive (-want +got):\n%s", diff)
			}
			if got := w.alive([]*instance{a, b}, stranger); len(got) != 1 {
				t.Error("another user's session ended")
			}
			w.expire() // the marker is asked after a refresh: it spares the one that asked
			if _, err := a.FreshTokens(t.Context(), w.app, w.session(a, mine.Root)); err != nil {
				t.Errorf("the session that asked, after a refresh: %v", err)
			}
			w.session(b, mine.Root)
		})
	}
}

// A sign-in that was on its way when all others were ended is one of them.
//
// shows SESS-LIST
func TestEndingAllOthersOvertakesASignIn(t *testing.T) {
	w := newWorld(t)
	w.app.Recent = 10 * time.Minute
	in := w.instance()
	mine := w.signIn(in, "usr_1", "ses_1", "mine")
	w.idp.mu.Lock()
	w.idp.sid = "ses_2"
	w.idp.onCode = func() {
		if err := in.EndOtherDevices(t.Context(), w.app, mine); err != nil {
			t.Error(err)
		}
	}
	w.idp.mu.Unlock()
	start, state := w.begin(in, bff.LoginRequest{})
	_, err := in.CompleteLogin(t.Context(), w.app, bff.Callback{State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed})
	if bff.CodeOf(err) != bff.CodeLoginSignedOut {
		t.Errorf("the sign-in on its way: %v", err)
	}
	w.session(in, mine.Root)
}

// A session that stepped up is in two SSO sessions where the moment of authentication ties them: what it ends takes all
// that are tied along, and says when it is among them.
//
// shows SESS-LIST
func TestDevicesAfterAStepUp(t *testing.T) {
	w := newWorld(t)
	w.app.Recent, w.app.Provider.SSOBy = 10*time.Minute, bff.SSOByAuthAt
	in := w.instance()
	app1 := w.signIn(in, "usr_1", "", "app1")
	app2 := w.signIn(in, "usr_1", "", "app2") // the same moment, to the second: the clock stands
	w.clock.move(5 * time.Second)
	w.idp.mu.Lock()
	w.idp.authTime = w.clock.now()
	w.idp.mu.Unlock()
	up := w.loginWith(in, bff.LoginRequest{Replaces: app1.Root}).Session
	later := w.signIn(in, "usr_1", "", "later") // the moment of the step-up
	w.clock.move(5 * time.Second)
	phone := w.signIn(in, "usr_1", "", "phone")

	left, err := in.EndDevice(t.Context(), w.app, later, app2.ID()) // tied by the session that stepped up, and by nothing else
	if err != nil || left == nil {
		t.Fatalf("ending one that is tied: %+v, %v", left, err)
	}
	if got := w.alive([]*instance{in}, up, app2, later); got != nil {
		t.Errorf("alive: %v", got)
	}
	w.session(in, phone.Root)
}

// shows SESS-LIST: "after recent authentication".
func TestARecentSignIn(t *testing.T) {
	w := newWorld(t)
	w.app.Recent = 10 * time.Minute
	in := w.instance()
	mine, other := w.signIn(in, "usr_1", "ses_1", "mine"), w.signIn(in, "usr_1", "ses_2", "other")
	end := func(s *bff.Session) (codes []bff.Code) {
		_, err := in.EndDevice(t.Context(), w.app, s, other.ID())
		codes = append(codes, bff.CodeOf(err), bff.CodeOf(in.EndOtherDevices(t.Context(), w.app, s)))
		_, unknown := in.EndDevice(t.Context(), w.app, s, "unknown")
		return append(codes, bff.CodeOf(unknown))
	}
	w.clock.move(10 * time.Minute)
	refused := []bff.Code{bff.CodeRecentSignIn, bff.CodeRecentSignIn, bff.CodeRecentSignIn}
	if diff := cmp.Diff(refused, end(mine)); diff != "" {
		t.Errorf("ten minutes after (-want +got):\n%s", diff)
	}
	if got := w.alive([]*instance{in}, mine, other); len(got) != 2 {
		t.Errorf("alive: %v", got)
	}
	again := w.signIn(in, "usr_1", "ses_1", "again")
	w.clock.move(10*time.Minute - time.Second)
	if diff := cmp.Diff([]bff.Code{"", "", bff.CodeNotFound}, end(again)); diff != "" {
		t.Errorf("a moment less after signing in again (-want +got):\n%s", diff)
	}
	w.dead(in, other.Root)
	w.app.Recent = 0
	if diff := cmp.Diff(refused, end(again)); diff != "" {
		t.Errorf("an app that says nothing of it (-want +got):\n%s", diff)
	}
}

// shows SESS-LIST, SESS-503
func TestDevicesWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	w.app.Recent = 10 * time.Minute
	in := w.instance()
	mine, other := w.signIn(in, "usr_1", "ses_1", "mine"), w.signIn(in, "usr_1", "ses_2", "other")
	w.redis.SetError("LOADING")
	_, listing := in.Devices(t.Context(), mine)
	_, ending := in.EndDevice(t.Context(), w.app, mine, other.ID())
	others := in.EndOtherDevices(t.Context(), w.app, mine)
	for doing, err := range map[string]error{"listing": listing, "ending one": ending, "ending the others": others} {
		if bff.CodeOf(err) != bff.CodeStoreUnavailable {
			t.Errorf("%s: %v", doing, err)
		}
	}
	w.redis.SetError("")
	if got := w.alive([]*instance{in}, mine, other); len(got) != 2 {
		t.Errorf("alive: %v", got)
	}
}

// Idle slides, refreshes, a list and a sign-in at once take nothing from each other.
//
// shows SESS-LIST, SESS-CAS
func TestListingBesideEverythingElse(t *testing.T) {
	w := newWorld(t)
	ins := []*instance{w.instance(), w.instance()}
	var sessions []*bff.Session
	for _, sid := range []string{"ses_1", "ses_2", "ses_3"} {
		sessions = append(sessions, w.signIn(ins[0], "usr_1", sid, sid))
	}
	last := sessions[len(sessions)-1] // the provider of this world knows one grant at a time
	for range 3 {
		w.clock.move(4 * time.Minute) // longer than any token of this provider
		var all sync.WaitGroup
		for i, s := range sessions {
			in := ins[i%len(ins)]
			all.Go(func() {
				if _, err := in.FreshTokens(context.Background(), w.app, w.session(in, last.Root)); err != nil {
					t.Errorf("refresh: %v", err)
				}
			})
			all.Go(func() {
				if err := in.store.Touch(context.Background(), s, w.clock.now()); err != nil {
					t.Errorf("sliding: %v", err)
				}
			})
			all.Go(func() {
				if got := w.listed(in, s); len(got) != len(sessions) {
					t.Errorf("listed in the middle of it: %v", got)
				}
			})
		}
		all.Wait()
	}
	for _, s := range sessions {
		now := w.session(ins[0], s.Root)
		if now.LastActive.Before(s.LastActive.Truncate(time.Millisecond).Add(12 * time.Minute)) {
			t.Errorf("%s: last active %s, began %s", s.Device, now.LastActive, s.LastActive)
		}
	}
	if now := w.session(ins[1], last.Root); int(now.Generation) != 1+w.idp.count() || now.Generation < 4 {
		t.Errorf("generation %d after %d refreshes", now.Generation, w.idp.count())
	}
}
