package bff_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// misfits waits for nothing: an alarm is raised before the login is answered.
func (in *instance) misfits() (found []*bff.MisfitError) {
	in.seen.mu.Lock()
	defer in.seen.mu.Unlock()
	for _, a := range in.seen.alarms {
		if e, ok := errors.AsType[*bff.MisfitError](a.Err); ok && a.What == "sso_by does not fit" {
			found = append(found, e)
		}
	}
	return found
}

// What the provider sends is held against sso_by at each sign-in, and told in words that say what to change.
func TestSSOByThatDoesNotFit(t *testing.T) {
	at := time.Now()
	second := func(sid string, at time.Time) func(*world, *fakeProvider) {
		return func(w *world, p *fakeProvider) {
			docs := *w.app
			docs.ID, docs.ClientID = "docs", "client-docs"
			w.app, p.sid, p.authTime = &docs, sid, at
		}
	}
	for name, tt := range map[string]struct {
		by    bff.SSOBy
		first func(*fakeProvider)
		then  func(*world, *fakeProvider) // the second sign-in
		want  bff.Misfit
		words string
	}{
		"sid, and a sid":                        {by: bff.SSOBySID},
		"sid, and none":                         {by: bff.SSOBySID, first: func(p *fakeProvider) { p.sid = "" }, want: bff.MisfitNoSID, words: "sub+auth_time"},
		"sub+auth_time, and auth_time":          {by: bff.SSOByAuthAt},
		"sub+auth_time, and none":               {by: bff.SSOByAuthAt, first: func(p *fakeProvider) { p.authTime = time.Time{} }, want: bff.MisfitNoAuthAt, words: "set sso_by to sid"},
		"sub+auth_time, and a sid per app":      {by: bff.SSOByAuthAt, then: second("ses_2", at)},
		"sub, and nothing":                      {by: bff.SSOBySubject, first: func(p *fakeProvider) { p.sid, p.authTime = "", time.Time{} }},
		"sid, and the same at both apps":        {by: bff.SSOBySID, then: second("ses_1", at)},
		"sid, and another for one sign-in":      {by: bff.SSOBySID, then: second("ses_2", at), want: bff.MisfitOwnSIDs, words: "apps web and docs"},
		"sid, and another for a later sign-in":  {by: bff.SSOBySID, then: second("ses_2", at.Add(time.Second))},
		"sid, and another at the same app":      {by: bff.SSOBySID, then: func(_ *world, p *fakeProvider) { p.sid = "ses_2" }},
		"sid, and another of another user":      {by: bff.SSOBySID, then: func(w *world, p *fakeProvider) { second("ses_2", at)(w, p); p.subject = "usr_2" }},
		"sid, and another with no moment known": {by: bff.SSOBySID, then: second("ses_2", time.Time{})},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.SSOBy, w.idp.authTime = tt.by, at
			in := w.instance()
			if tt.first != nil {
				w.idp.set(tt.first)
			}
			w.login(in)
			if tt.then != nil {
				w.idp.set(func(p *fakeProvider) { tt.then(w, p) })
				w.login(in)
			}
			found := in.misfits()
			switch {
			case tt.want == "" && len(found) > 0:
				t.Errorf("told %v", found[0])
			case tt.want != "" && (len(found) != 1 || found[0].Misfit != tt.want):
				t.Errorf("told %v, want %s once", found, tt.want)
			case tt.want != "" && (!strings.Contains(found[0].Error(), tt.words) || strings.Contains(found[0].Error(), "usr_")):
				t.Errorf("the words are %q", found[0])
			}
		})
	}
}

// A setting is wrong at every sign-in, and told once an hour for each provider and kind.
func TestAMisfitIsToldOnceAnHour(t *testing.T) {
	w := newWorld(t)
	w.idp.sid = ""
	in := w.instance()
	tell := func(want int) {
		t.Helper()
		w.login(in)
		if got := len(in.misfits()); got != want {
			t.Errorf("told %d times, want %d", got, want)
		}
	}
	tell(1)
	tell(1)
	w.clock.move(59 * time.Minute)
	tell(1)
	w.clock.move(2 * time.Minute)
	tell(2)
	w.app.Provider = &bff.ProviderPolicy{Name: "main", Issuer: "https://op.example.com", SSOBy: bff.SSOByAuthAt}
	w.idp.set(func(p *fakeProvider) { p.authTime = time.Time{} })
	tell(3) // another kind
	w.app.Provider = &bff.ProviderPolicy{Name: "other", Issuer: "https://op.example.com", SSOBy: bff.SSOByAuthAt}
	tell(4) // another provider
	w.app.Provider = &bff.ProviderPolicy{Name: "lone", Issuer: "https://op.example.com", SSOBy: bff.SSOByAuthAt, Apps: 1}
	tell(5) // whose only app this is: nothing is open elsewhere
	w.clock.move(2 * time.Hour)
	tell(5)
}

// forgetful keeps nothing: sign-ins fail behind what is tested here, and cost no round trip.
type forgetful struct {
	bff.OneTime
	bff.Records
}

func (forgetful) Use(context.Context, string, string, string, time.Duration) error { return nil }

func (forgetful) Create(context.Context, *bff.Session) error { return bff.ErrStore }

func (forgetful) Delete(context.Context, bff.Lookup, *bff.Marker, bff.Reason) (*bff.Ended, error) {
	return nil, nil
}

// What is remembered of sign-ins is bounded: the oldest go, and are not compared any more.
func TestWhatIsComparedIsBounded(t *testing.T) {
	w := newWorld(t)
	in := w.instance(func(p *bff.Ports) {
		none := forgetful{p.OneTime, p.Records}
		p.OneTime, p.Records = none, none
	})
	web, docs := *w.app, *w.app
	docs.ID = "docs"
	at := time.Now().Add(-2 * time.Hour)
	sign := func(app *bff.App, n int, sid string) {
		w.app = app
		w.idp.set(func(p *fakeProvider) { p.sid, p.authTime = sid, at.Add(time.Duration(n)*time.Second) })
		start, state := w.begin(in, bff.LoginRequest{})
		if _, err := in.CompleteLogin(t.Context(), w.app, bff.Callback{
			State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed,
		}); bff.CodeOf(err) != bff.CodeStoreUnavailable {
			t.Fatal(err)
		}
	}
	const kept = 1024
	for n := range kept + 1 {
		sign(&web, n, "ses_1")
	}
	sign(&docs, 0, "ses_2") // forgotten
	if n := len(in.misfits()); n != 0 {
		t.Error("a sign-in that should have been forgotten was compared")
	}
	sign(&docs, kept, "ses_2")
	if n := len(in.misfits()); n != 1 {
		t.Error("the newest sign-in was not compared")
	}
}
