package bff_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// admins gives an instance what administrators need, with names that come one at a time.
func admins(p *bff.Ports) {
	if s, ok := p.Records.(bff.Scanner); ok {
		p.Scan = &oneByOne{Scanner: s}
	}
}

// oneByOne hands a scan's names out one by one: the embedded server gives all at once.
type oneByOne struct{ bff.Scanner }

// Scan finds the first name after from.
func (o *oneByOne) Scan(ctx context.Context, from string) (step bff.ScanStep, err error) {
	var names []string
	for at := ""; ; {
		got, err := o.Scanner.Scan(ctx, at)
		if err != nil {
			return step, err
		}
		for _, l := range got.Lookups {
			names = append(names, string(l))
		}
		if at = got.Next; at == "" {
			break
		}
	}
	slices.Sort(names)
	i, found := slices.BinarySearch(names, from)
	if found {
		i++
	}
	step.Pass = 1
	if i < len(names) {
		step.Lookups, step.Next = []bff.Lookup{bff.Lookup(names[i])}, names[i]
	}
	return step, nil
}

// ending is a way in which an administrator ends sessions.
type adminEnds func(in *instance, w *world) (int, error)

func subjectEnds(in *instance, w *world) (int, error) {
	return in.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSubject, Provider: "main", Value: "usr_1"})
}

func sidEnds(in *instance, w *world) (int, error) {
	return in.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: "main", Value: "ses_1"})
}

func appEnds(in *instance, w *world) (int, error) {
	return purge(in.BeginPurge(context.Background(), bff.PurgeOf{App: w.app}))
}

func allEnd(in *instance, w *world) (int, error) {
	return purge(in.BeginPurge(context.Background(), bff.PurgeOf{Apps: []*bff.App{w.app}}))
}

func purge(p *bff.Purge, err error) (int, error) {
	for done := false; !done && err == nil; {
		done, err = p.Step(context.Background())
	}
	if err != nil {
		return 0, err
	}
	return p.Ended, nil
}

var adminWays = map[string]adminEnds{"of a subject": subjectEnds, "of a sid": sidEnds, "of an app": appEnds, "of all": allEnd}

// The session is over on every instance before the answer, its holder is told why, and a sign-in after it lives.
//
// shows SESS-KILL
func TestAnAdministratorsEndIsInForceEverywhere(t *testing.T) {
	for name, end := range adminWays {
		t.Run("the end "+name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.instance(admins), w.instance(admins)
			root := w.login(a)
			n, err := end(a, w)
			if n != 1 || err != nil {
				t.Fatalf("%d ended, %v", n, err)
			}
			_, err = b.Session(context.Background(), w.app, root)
			if e, ok := errors.AsType[*bff.Error](err); !ok || e.Code != bff.CodeSessionEnded || e.Reason != string(bff.ReasonAdmin) {
				t.Errorf("at the other instance: %v", err)
			}
			a.seen.until(t, "the end in the trace", func(s *seen) bool {
				return len(s.ended) == 1 && s.ended[0].Reason == bff.ReasonAdmin
			})
			if n, err = end(b, w); n != 0 || err != nil {
				t.Errorf("again: %d ended, %v", n, err)
			}
			w.clock.move(3 * time.Second) // the slack of clocks
			w.session(b, w.login(b))
		})
	}
}

// Whoever is in the middle of signing in, refreshing or redeeming is caught.
//
// shows SESS-KILL
func TestAnAdministratorsEndCatchesWhatIsOnItsWay(t *testing.T) {
	for name, end := range adminWays {
		t.Run("a sign-in during the end "+name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.instance(admins), w.instance(admins)
			w.idp.set(func(p *fakeProvider) {
				p.onCode = func() {
					if _, err := end(b, w); err != nil {
						t.Error(err)
					}
				}
			})
			start, state := w.begin(a, bff.LoginRequest{})
			_, err := a.CompleteLogin(context.Background(), w.app, bff.Callback{
				State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed,
			})
			wantCode(t, "the sign-in", err, bff.CodeLoginSignedOut)
			a.seen.until(t, "its tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
		})
		t.Run("a refresh during the end "+name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.instance(admins), w.instance(admins)
			root := w.login(a)
			gate := make(chan struct{})
			w.idp.set(func(p *fakeProvider) { p.hold = gate })
			w.expire()
			answered := w.need(root, 1, a)
			<-w.idp.arrived
			<-w.idp.arrived
			if n, err := end(b, w); n != 1 || err != nil {
				t.Errorf("%d ended, %v", n, err)
			}
			close(gate)
			if r := <-answered; bff.CodeOf(r.err) != bff.CodeSessionEnded {
				t.Errorf("the request that waited: %q, %v; want session_ended", r.access, r.err)
			}
			a.seen.until(t, "the new tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
			w.dead(b, root)
		})
		t.Run("a redemption during the end "+name, func(t *testing.T) {
			w := newNativeWorld(t)
			slow := &slowRecords{arrived: make(chan struct{}), gate: make(chan struct{})}
			a := w.instance(func(p *bff.Ports) { slow.Records = p.Records; p.Records = slow })
			b := w.instance(admins)
			code := w.returned(b, claimed).Code
			var ending sync.WaitGroup
			ending.Go(func() {
				<-slow.arrived
				if _, err := end(b, w); err != nil {
					t.Error(err)
				}
				close(slow.gate)
			})
			_, err := a.Redeem(context.Background(), w.app, redemption(code, claimed))
			wantCode(t, "redeeming", err, bff.CodeGrantRejected)
			ending.Wait()
			a.seen.until(t, "its tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
			for _, k := range w.redis.Keys() {
				if strings.HasPrefix(k, "cr:s:") && strings.HasSuffix(k, "}") {
					t.Errorf("record %s lives", k)
				}
			}
		})
	}
}

// A purge that was cut off goes on at another instance: what began before it ends, what began after it lives.
func TestAPurgeIsResumedAtAnotherInstance(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(admins), w.instance(admins)
	var before []bff.Root
	for range 9 {
		before = append(before, w.login(a))
	}
	p, err := a.BeginPurge(context.Background(), bff.PurgeOf{App: w.app})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if done, err := p.Step(context.Background()); done || err != nil {
			t.Fatalf("a step of nine: %v, %v", done, err)
		}
	}
	cursor := p.Cursor()
	w.clock.move(3 * time.Second)
	var after []bff.Root
	for range 5 {
		after = append(after, w.login(b))
	}
	n, err := purge(b.ResumePurge(context.Background(), bff.PurgeOf{App: w.app}, cursor))
	if n != len(before) || err != nil {
		t.Errorf("%d ended in all, %v; want %d", n, err, len(before))
	}
	for _, root := range before {
		w.dead(a, root)
	}
	for _, root := range after {
		w.session(a, root)
	}
	// The same cursor once more, when all is done, does no harm.
	if _, err := purge(a.ResumePurge(context.Background(), bff.PurgeOf{App: w.app}, cursor)); err != nil {
		t.Error(err)
	}
	w.session(a, after[0])
}

// Nobody makes up a marker: a cursor opens for the purge that gave it, and for no other.
func TestACursorThatIsNotOfThisPurgeIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.instance(admins)
	notice := w.loginNotice(a)
	w.clock.move(3 * time.Second) // the slack of its marker
	root := w.login(a)
	other := *w.app
	other.ID = "docs"
	cursorOf := func(of bff.PurgeOf) string {
		p, err := a.BeginPurge(context.Background(), of)
		if err != nil {
			t.Fatal(err)
		}
		return p.Cursor()
	}
	counts := cursorOf(bff.PurgeOf{App: w.app, DryRun: true})
	foreign := cursorOf(bff.PurgeOf{App: &other})
	for with, cursor := range map[string]string{
		"of another app": foreign, "of a dry run": counts, "that is no text of ours": "nonsense", "that was altered": counts[:len(counts)-2] + "AA",
		"of another purpose": notice,
	} {
		_, err := a.ResumePurge(context.Background(), bff.PurgeOf{App: w.app}, cursor)
		wantCode(t, "a cursor "+with, err, bff.CodeBadRequest)
	}
	w.session(a, root)
}

// loginNotice is something else that the ring seals and a browser holds.
func (w *world) loginNotice(in *instance) string {
	w.t.Helper()
	out, err := in.SignOut(context.Background(), w.app, w.session(in, w.login(in)))
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Notice
}

func TestADryRunEndsNothing(t *testing.T) {
	w := newWorld(t)
	a := w.instance(admins)
	root := w.login(a)
	n, err := purge(a.BeginPurge(context.Background(), bff.PurgeOf{App: w.app, DryRun: true}))
	if n != 1 || err != nil {
		t.Errorf("%d counted, %v", n, err)
	}
	w.session(a, root)
	start, _ := w.begin(a, bff.LoginRequest{})
	if start == nil || len(w.marked()) != 0 {
		t.Errorf("markers: %v", w.marked())
	}
}

// marked are the end markers that are there.
func (w *world) marked() (keys []string) {
	return slices.DeleteFunc(w.redis.Keys(), func(k string) bool { return !strings.HasPrefix(k, "cr:end:") })
}

// One session by its public name, and with it its SSO session where that is asked for.
func TestASessionIsEndedByItsName(t *testing.T) {
	for name, sso := range map[string]bool{"alone": false, "with its SSO session": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.instance(admins), w.instance(admins)
			one, two := w.login(a), w.login(a) // one sid
			w.idp.set(func(p *fakeProvider) { p.sid = "ses_2" })
			other := w.login(a)
			found, err := b.SessionNamed(context.Background(), one.Lookup().ID())
			if err != nil || found.App != w.app.ID || found.Lookup != one.Lookup() {
				t.Fatalf("found %+v, %v", found, err)
			}
			n, err := b.EndSessionNamed(context.Background(), w.apps, one.Lookup().ID(), sso)
			if want := map[bool]int{false: 1, true: 2}[sso]; n != want || err != nil {
				t.Errorf("%d ended, %v; want %d", n, err, want)
			}
			w.dead(a, one)
			if w.session(a, other); sso {
				w.dead(a, two)
			} else {
				w.session(a, two)
			}
			_, err = a.SessionNamed(context.Background(), one.Lookup().ID())
			wantCode(t, "looking for it again", err, bff.CodeNotFound)
			if n, err := a.EndSessionNamed(context.Background(), w.apps, one.Lookup().ID(), sso); n != 0 || err != nil {
				t.Errorf("again: %d ended, %v", n, err)
			}
			for _, id := range []string{"", "x", one.Reveal(), string(one.Lookup()), "../../etc"} {
				_, err := a.EndSessionNamed(context.Background(), w.apps, id, false)
				wantCode(t, "ending "+id, err, bff.CodeBadRequest)
			}
		})
	}
}

// What a purge ends is revoked where it can be opened; a provider that hangs keeps nobody signed in.
func TestAPurgeRevokesWhatItCanAndWaitsForNobody(t *testing.T) {
	w := newWorld(t)
	hung := &hungProvider{fakeProvider: w.idp, gate: make(chan struct{})}
	a := w.instance(admins, func(p *bff.Ports) {
		p.Records = &revocable{Records: p.Records}
		p.Providers = func(string) bff.Provider { return hung }
	})
	var roots []bff.Root
	for range 20 { // more than are revoked at once
		roots = append(roots, w.login(a))
	}
	n, err := appEnds(a, w)
	if n != len(roots) || err != nil {
		t.Fatalf("%d ended, %v", n, err)
	}
	for _, root := range roots {
		w.dead(a, root)
	}
	a.seen.until(t, "those given up", func(s *seen) bool { return len(s.revoked) == 4 && s.revoked[0].Err != nil })
	close(hung.gate)
	a.seen.until(t, "the others revoked", func(s *seen) bool { return len(s.revoked) == 20 })
}

// hungProvider answers no revocation before its gate opens.
type hungProvider struct {
	*fakeProvider
	gate chan struct{}
}

func (p *hungProvider) Revoke(ctx context.Context, t bff.TokenSet) error {
	<-p.gate
	return p.fakeProvider.Revoke(ctx, t)
}

// revocable gives what is ended a refresh token that can be opened.
type revocable struct{ bff.Records }

func (r *revocable) Delete(ctx context.Context, l bff.Lookup, m *bff.Marker, reason bff.Reason) (*bff.Ended, error) {
	ended, err := r.Records.Delete(ctx, l, m, reason)
	if ended != nil {
		ended.Refresh = bff.NewSecret("refresh of " + string(l))
	}
	return ended, err
}
