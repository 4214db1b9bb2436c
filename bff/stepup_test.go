package bff_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

func seconds(n int) *int { return &n }

// shows STEP-3
func TestReadStepUp(t *testing.T) {
	long := strings.Repeat("a", 200)
	for _, row := range []struct {
		with        string
		acr, maxAge string
		want        bff.StepUp
	}{
		{"nothing", "", "", bff.StepUp{}},
		{"one value", "myACR", "", bff.StepUp{ACRValues: []string{"myACR"}}},
		{"several", " urn:a  urn:b ", "", bff.StepUp{ACRValues: []string{"urn:a", "urn:b"}}},
		{"an age", "", "300", bff.StepUp{MaxAge: seconds(300)}},
		{"the age of now", "", "0", bff.StepUp{MaxAge: seconds(0)}},
		{"both", "gold", "5", bff.StepUp{ACRValues: []string{"gold"}, MaxAge: seconds(5)}},
		{"an age that is no number", "gold", "5m", bff.StepUp{ACRValues: []string{"gold"}}},
		{"an age below zero", "gold", "-1", bff.StepUp{ACRValues: []string{"gold"}}},
		{"an age beyond all numbers", "", strings.Repeat("9", 400), bff.StepUp{MaxAge: seconds(999_999_999)}},
		{"characters that end a header", "gold \"silver\r\nX: y", "", bff.StepUp{ACRValues: []string{"gold"}}},
		{"a value beyond ASCII", "göld", "", bff.StepUp{}},
		{"a character that escapes in a header", `gold sil\ver`, "", bff.StepUp{ACRValues: []string{"gold"}}},
		{"a control character", "gold sil\x01ver", "", bff.StepUp{ACRValues: []string{"gold"}}},
		{"more than a sign-in is asked for", "1 2 3 4 5 6 7 8 9", "", bff.StepUp{ACRValues: strings.Fields("1 2 3 4 5 6 7 8")}},
		{"more than an address holds", long + " " + long, "", bff.StepUp{ACRValues: []string{long}}},
	} {
		t.Run("a challenge with "+row.with, func(t *testing.T) {
			if diff := cmp.Diff(row.want, bff.ReadStepUp(row.acr, row.maxAge)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// shows STEP-ROUTE, STEP-LOOP
func TestMeets(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, row := range []struct {
		with            string
		acr             string
		auth            time.Time
		ask             bff.StepUp
		meets, exhausts bool
	}{
		{"an acr that is asked for", "gold", ago(time.Hour), bff.StepUp{ACRValues: []string{"silver", "gold"}}, true, true},
		{"another acr", "bronze", ago(0), bff.StepUp{ACRValues: []string{"gold"}}, false, false},
		{"an acr of another case", "Gold", ago(0), bff.StepUp{ACRValues: []string{"gold"}}, false, false},
		{"no acr", "", ago(0), bff.StepUp{ACRValues: []string{"gold"}}, false, false},
		{"no acr, where the empty one is asked for", "", ago(0), bff.StepUp{ACRValues: []string{""}}, false, false},
		{"a sign-in as old as asked for", "", ago(5 * time.Minute), bff.StepUp{MaxAge: seconds(300)}, true, true},
		{"one a moment older", "", ago(5*time.Minute + time.Second), bff.StepUp{MaxAge: seconds(300)}, false, false},
		{"no time of sign-in", "gold", time.Time{}, bff.StepUp{MaxAge: seconds(300)}, false, false},
		{"a time that is to come", "", now.Add(2 * time.Minute), bff.StepUp{MaxAge: seconds(300)}, false, false},
		{"a sign-in of this minute, asked for now", "", ago(59 * time.Second), bff.StepUp{MaxAge: seconds(0)}, false, true},
		{"one of the minute before", "", ago(61 * time.Second), bff.StepUp{MaxAge: seconds(0)}, false, false},
		{"the acr, and a sign-in that is too old", "gold", ago(time.Hour), bff.StepUp{ACRValues: []string{"gold"}, MaxAge: seconds(60)}, false, false},
		{"a sign-in of this minute, and another acr", "bronze", ago(0), bff.StepUp{ACRValues: []string{"gold"}, MaxAge: seconds(60)}, false, false},
		{"a sign-in of this minute, for nothing in particular", "", ago(time.Minute), bff.StepUp{}, false, true},
		{"an older one, for nothing in particular", "gold", ago(2 * time.Minute), bff.StepUp{}, false, false},
	} {
		t.Run("a session with "+row.with, func(t *testing.T) {
			s := &bff.Session{Identity: bff.Identity{ACR: row.acr, AuthTime: row.auth}}
			if meets, exhausts := s.Meets(row.ask, now), s.Exhausts(row.ask, now); meets != row.meets || exhausts != row.exhausts {
				t.Errorf("meets %v, exhausts %v; want %v, %v", meets, exhausts, row.meets, row.exhausts)
			}
		})
	}
}

// shows STEP-4
func TestStepUpTicket(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	s := w.session(a, w.login(a))
	ask := bff.StepUp{ACRValues: []string{"gold", "silver"}, MaxAge: seconds(0)}
	ticket := a.StepUpTicket(w.app, s, ask)
	open := func(app *bff.App, ticket string) (*bff.StepUpAsked, error) {
		return b.OpenStepUp(context.Background(), app, ticket)
	}
	got, err := open(w.app, ticket)
	if err != nil || got.Replaces != s.Lookup {
		t.Fatalf("opened: %+v, %v", got, err)
	}
	if diff := cmp.Diff(ask, got.StepUp); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(ticket, s.Subject) {
		t.Error("the ticket shows the subject")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(ticket)
	other, moved := *w.app, *w.app
	other.ID = "docs"
	moved.Provider = &bff.ProviderPolicy{Name: "elsewhere"}
	bent := append([]byte{}, raw...)
	bent[len(bent)-1] ^= 1
	pushed, _ := a.PushRequest(w.app, nil)
	for with, try := range map[string]struct {
		app    *bff.App
		ticket string
	}{
		"another app":               {&other, ticket},
		"another provider":          {&moved, ticket},
		"a bit turned over":         {w.app, base64.RawURLEncoding.EncodeToString(bent)},
		"something behind":          {w.app, ticket + "AAAA"},
		"half of it":                {w.app, ticket[:len(ticket)/2]},
		"nothing":                   {w.app, ""},
		"padding":                   {w.app, ticket + "="},
		"a text of the asker's own": {w.app, base64.RawURLEncoding.EncodeToString([]byte("platinum"))},
		"a pushed request":          {w.app, strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:")},
		"more than any ticket":      {w.app, strings.Repeat("A", 5000)},
	} {
		if got, err := open(try.app, try.ticket); bff.CodeOf(err) != bff.CodeBadRequest {
			t.Errorf("a ticket with %s: %+v, %v", with, got, err)
		}
	}
	w.clock.move(bff.StepUpLife - time.Second)
	if _, err := open(w.app, ticket); err != nil {
		t.Errorf("a ticket used again, in its last second: %v", err) // it opens a sign-in and nothing else
	}
	w.clock.move(time.Second)
	if _, err := open(w.app, ticket); bff.CodeOf(err) != bff.CodeBadRequest {
		t.Errorf("a ticket that is too old: %v", err)
	}
}

// raise begins the step-up of a session.
func (w *world) raise(in *instance, root bff.Root, ask bff.StepUp) (*bff.LoginStart, string) {
	w.t.Helper()
	s := w.session(in, root)
	r := bff.LoginRequest{Replaces: root}
	if err := in.Raise(context.Background(), w.app, in.StepUpTicket(w.app, s, ask), &r); err != nil {
		w.t.Fatal(err)
	}
	return w.begin(in, r)
}

// shows STEP-5
func TestStepUp(t *testing.T) {
	gold := bff.StepUp{ACRValues: []string{"gold"}}
	for _, row := range []struct {
		with    string
		change  func(*fakeProvider)
		spares  bool // revoking a token ends nothing else
		code    bff.Code
		revoked bool // what the useless login brought was given back
	}{
		{with: "what was asked for"},
		{with: "an older sign-in", change: func(p *fakeProvider) { p.unmet = true }, code: bff.CodeStepUpUnmet},
		{with: "an older sign-in, where a token is revoked alone", change: func(p *fakeProvider) { p.unmet = true }, spares: true, code: bff.CodeStepUpUnmet, revoked: true},
		{with: "somebody else", change: func(p *fakeProvider) { p.subject = "usr_2" }, code: bff.CodeStepUpUnmet},
		{with: "somebody else, where a token is revoked alone", change: func(p *fakeProvider) { p.subject = "usr_2" }, spares: true, code: bff.CodeStepUpUnmet, revoked: true},
	} {
		t.Run("a step-up that ends with "+row.with, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.RevocationSparesGrant = row.spares
			a, b := w.instance(), w.instance()
			old := w.login(a)
			before := w.session(a, old)
			start, state := w.raise(a, old, gold)
			if s := w.session(b, old); s.ID() != before.ID() { // abandoned here, it would cost nothing
				t.Fatal("the session changed before the step-up came back")
			}
			w.idp.set(func(p *fakeProvider) {
				p.acr = "gold"
				if row.change != nil {
					row.change(p)
				}
			})
			l, err := b.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			wantCode(t, "completing", err, row.code)
			if asked := w.idp.asked[1]; asked.ACR != "gold" || asked.MaxAge != nil {
				t.Errorf("held against acr %q, max_age %v", asked.ACR, asked.MaxAge)
			}
			if row.code == "" {
				if l.Session.Root.Reveal() == old.Reveal() || w.session(a, l.Session.Root).ACR != "gold" {
					t.Error("not a new session, or not the one that was asked for")
				}
				for _, in := range []*instance{a, b} {
					_, err := in.Session(context.Background(), w.app, old)
					wantReason(t, err, bff.ReasonReplaced)
				}
				return
			}
			for _, in := range []*instance{a, b} {
				if s := w.session(in, old); s.Subject != "usr_1" {
					t.Errorf("the old session is %s's", s.Subject)
				}
			}
			if got := w.revocations(b, "refresh-2"); got != row.revoked {
				t.Errorf("given back: %v, want %v", got, row.revoked)
			}
			if w.revocations(a, "refresh-1") || w.revocations(a, "access-1") {
				t.Error("the old session's tokens were revoked")
			}
		})
	}
}

// wantReason fails unless err says that the session ended for this reason.
func wantReason(t *testing.T, err error, reason bff.Reason) {
	t.Helper()
	var known *bff.Error
	if !errors.As(err, &known) || known.Code != bff.CodeSessionEnded || known.Reason != string(reason) {
		t.Errorf("%v, want an end as %s", err, reason)
	}
}

// Whoever walks up to a screen whose session ended in the middle of its step-up is not handed what its user was about to do.
//
// shows STEP-4, STEP-5
func TestAStepUpOfASessionThatEndedIsALoginOfItsUser(t *testing.T) {
	for _, row := range []struct {
		with, subject string
		code          bff.Code
	}{
		{"its own user", "usr_1", ""},
		{"another user", "usr_2", bff.CodeStepUpUnmet},
	} {
		t.Run("a step-up of a session that ended, completed by "+row.with, func(t *testing.T) {
			w := newWorld(t)
			a := w.instance()
			old := w.login(a)
			start, state := w.raise(a, old, bff.StepUp{})
			if _, err := a.store.Delete(context.Background(), old.Lookup(), nil, bff.ReasonIdle); err != nil {
				t.Fatal(err)
			}
			w.idp.set(func(p *fakeProvider) { p.subject = row.subject })
			l, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			if bff.CodeOf(err) != row.code || err == nil && l.Session.Subject != row.subject {
				t.Fatalf("completing: %v", err)
			}
			if asked := w.idp.asked[1]; asked.MaxAge == nil || *asked.MaxAge != 0 {
				t.Errorf("an ask for nothing in particular was held against %v", asked.MaxAge)
			}
		})
	}
}

// shows STEP-5, STEP-4
func TestNativeStepUp(t *testing.T) {
	for _, row := range []struct {
		with    string
		subject string
		unmet   bool
		code    bff.Code
	}{
		{with: "what was asked for", subject: "usr_1"},
		{with: "an older sign-in", subject: "usr_1", unmet: true, code: bff.CodeStepUpUnmet},
		{with: "somebody else", subject: "usr_2", code: bff.CodeStepUpUnmet},
	} {
		for _, redirect := range []string{claimed, scheme} {
			t.Run("a native step-up that ends with "+row.with+" at "+redirect, func(t *testing.T) {
				w := newNativeWorld(t)
				a, b := w.instance(), w.instance()
				s := w.nativeLogin(a)
				old := w.pair(a, s)
				r := bff.LoginRequest{Native: request(redirect)}
				if err := b.Raise(context.Background(), w.app, a.StepUpTicket(w.app, s, bff.StepUp{MaxAge: seconds(60)}), &r); err != nil {
					t.Fatal(err)
				}
				start, state := w.begin(b, r)
				w.idp.set(func(p *fakeProvider) { p.subject, p.unmet = row.subject, row.unmet })
				l, err := a.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
				wantCode(t, "completing", err, row.code)
				if _, err := w.call(b, old.access); err != nil {
					t.Fatalf("the old handle before the new one is there: %v", err)
				}
				if row.code != "" {
					if w.revocations(a, "refresh-1") || w.revocations(a, "refresh-2") {
						t.Error("tokens were revoked, where that ends the whole grant")
					}
					return
				}
				if redirect == scheme {
					if l, err = b.ConfirmNativeLogin(context.Background(), w.app, l.Ticket); err != nil {
						t.Fatal(err)
					}
				}
				fresh, err := b.Redeem(context.Background(), w.app, redemption(l.Code, redirect))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.call(a, w.pair(b, fresh).access); err != nil {
					t.Errorf("the new handle: %v", err)
				}
				for _, in := range []*instance{a, b} {
					_, err := w.call(in, old.access)
					wantReason(t, err, bff.ReasonReplaced)
				}
				if w.revocations(b, "refresh-1") {
					t.Error("the old session's tokens were revoked, and with them the new one's")
				}
			})
		}
	}
}
