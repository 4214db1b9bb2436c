package bff_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// telling is a provider that tells of the end of its sessions: a token is the name of what it says.
type telling struct {
	*fakeProvider
	client string // whom its tokens are for; "" = anybody
	says   map[string]bff.LogoutToken
}

func (p *telling) VerifyLogout(_ context.Context, token bff.Secret) (*bff.LogoutToken, error) {
	said, ok := p.says[token.Reveal()]
	switch {
	case token.Reveal() == "keys away":
		return nil, &bff.Error{Code: bff.CodeIDPUnavailable, Err: errors.New("keys")}
	case !ok:
		return nil, &bff.LogoutTokenError{Rule: "signature", Err: errors.New("forged")}
	case p.client != "" && said.ID != p.client:
		return nil, &bff.LogoutTokenError{Rule: "aud", Elsewhere: true, Err: errors.New("not for this client")}
	}
	return &said, nil
}

// tells has an instance's provider tell, and notes what the trace is told of it.
func (w *world) tells(says map[string]bff.LogoutToken) (wrap func(*bff.Ports)) {
	for name, said := range says {
		if said.ID == "" {
			said.ID = name
		}
		said.Until = w.clock.now().Add(10 * time.Minute)
		says[name] = said
	}
	return func(p *bff.Ports) {
		p.Providers = func(string) bff.Provider { return &telling{fakeProvider: w.idp, says: says} }
	}
}

func (w *world) logout(in *instance, token string) error {
	return in.BackchannelLogout(context.Background(), []*bff.App{w.app}, bff.NewSecret(token))
}

// shows BCL-2.7-1, BCL-2.7-2 (the engine's part)
func TestWhatALogoutTokenEnds(t *testing.T) {
	for _, row := range []struct {
		with  string
		by    bff.SSOBy
		said  bff.LogoutToken
		lives [3]bool // ada's first session, ada's second, bob's
		ended int
	}{
		{"a sid", bff.SSOBySID, bff.LogoutToken{SID: "ses_1"}, [3]bool{false, true, true}, 1},
		{"a sid and its subject", bff.SSOBySID, bff.LogoutToken{SID: "ses_1", Subject: "ada"}, [3]bool{false, true, true}, 1},
		{"a subject alone", bff.SSOBySID, bff.LogoutToken{Subject: "ada"}, [3]bool{false, false, true}, 2},
		{"a sid of which nothing is known", bff.SSOBySID, bff.LogoutToken{SID: "ses_9"}, [3]bool{true, true, true}, 0},
		{"a subject that nobody is", bff.SSOBySID, bff.LogoutToken{Subject: "eve"}, [3]bool{true, true, true}, 0},
		{"a sid where the subject ties", bff.SSOBySubject, bff.LogoutToken{SID: "ses_1"}, [3]bool{false, false, true}, 2},
		{"a sid where the moment ties", bff.SSOByAuthAt, bff.LogoutToken{SID: "ses_1"}, [3]bool{false, false, true}, 2},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.SSOBy = row.by
			a, b := w.instance(w.tells(map[string]bff.LogoutToken{"token": row.said})), w.instance()
			var roots []bff.Root
			for _, who := range [][2]string{{"ada", "ses_1"}, {"ada", "ses_2"}, {"bob", "ses_3"}} {
				w.idp.set(func(p *fakeProvider) { p.subject, p.sid = who[0], who[1] })
				roots = append(roots, w.login(a))
			}
			if err := w.logout(a, "token"); err != nil {
				t.Fatal(err)
			}
			for i, root := range roots {
				_, err := b.Session(context.Background(), w.app, root)
				ended, _ := errors.AsType[*bff.Error](err)
				if (err == nil) != row.lives[i] || err != nil && ended.Reason != string(bff.ReasonProvider) {
					t.Errorf("a logout token with %s: session %d: %v, lives: want %v", row.with, i, err, row.lives[i])
				}
			}
			a.seen.is(t, bff.LogoutEvent{Channel: bff.ChannelBack, App: "web", Provider: "main", Result: bff.LogoutAccepted, Ended: row.ended})
		})
	}
}

// is checks what the trace was told last of a provider's word, but for its cause.
func (s *seen) is(t *testing.T, want bff.LogoutEvent) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.logouts) == 0 {
		t.Fatal("nothing was told of it")
	}
	got := s.logouts[len(s.logouts)-1]
	got.Err = nil
	if got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
}

// Nothing ends, nothing is marked, and the token may come again where it was an outage.
//
// shows BCL-2.6-9, BCL-2.8 (the engine's part)
func TestLogoutTokensThatAreNotCarriedOut(t *testing.T) {
	for _, row := range []struct {
		token  string
		code   bff.Code
		result bff.LogoutResult
		rule   string
	}{
		{"sid of ada, sub of bob", bff.CodeBadRequest, bff.LogoutRefused, bff.RuleSubjectOfSID},
		{"sid of ada, sub of nobody", bff.CodeBadRequest, bff.LogoutRefused, bff.RuleSubjectOfSID},
		{"forged", bff.CodeBadRequest, bff.LogoutRefused, "signature"},
		{"keys away", bff.CodeIDPUnavailable, bff.LogoutFailed, ""},
	} {
		t.Run(row.token, func(t *testing.T) {
			w := newWorld(t)
			a := w.instance(w.tells(map[string]bff.LogoutToken{
				"sid of ada, sub of bob":    {SID: "ses_ada", Subject: "bob"},
				"sid of ada, sub of nobody": {SID: "ses_ada", Subject: "nobody"},
			}))
			var roots []bff.Root
			for _, who := range []string{"ada", "bob"} {
				w.idp.set(func(p *fakeProvider) { p.subject, p.sid = who, "ses_"+who })
				roots = append(roots, w.login(a))
			}
			if err := w.logout(a, row.token); bff.CodeOf(err) != row.code {
				t.Errorf("%s: %v, want %s", row.token, err, row.code)
			}
			for _, root := range roots {
				w.session(a, root)
			}
			a.seen.is(t, bff.LogoutEvent{Channel: bff.ChannelBack, App: "web", Provider: "main", Result: row.result, Rule: row.rule})
			w.login(a) // no marker stands: it is not overtaken
		})
	}
}

// Several clients share an address: aud says whose the token is. One whose token it is not does not judge it.
//
// shows BCL-DOS (aud of app B at A's URL)
func TestALogoutTokenFindsItsClient(t *testing.T) {
	w := newWorld(t)
	said := map[string]bff.LogoutToken{"token": {ID: "docs", SID: "ses_1", Until: w.clock.now().Add(time.Minute)}}
	docs := *w.app
	docs.ID = "docs"
	a := w.instance(func(p *bff.Ports) {
		p.Providers = func(app string) bff.Provider { return &telling{w.idp, app, said} }
	})
	root := w.login(a)
	if err := w.logout(a, "token"); bff.CodeOf(err) != bff.CodeBadRequest {
		t.Errorf("at another app's address: %v", err)
	}
	w.session(a, root)
	a.seen.is(t, bff.LogoutEvent{Channel: bff.ChannelBack, Result: bff.LogoutRefused, Rule: "aud"})
	if err := a.BackchannelLogout(context.Background(), []*bff.App{w.app, &docs}, bff.NewSecret("token")); err != nil {
		t.Errorf("at the address of both: %v", err)
	}
	w.dead(a, root)
}

// shows BCL-2.6-8, SCALEKIT-O5
func TestALogoutTokenIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t)
	says := w.tells(map[string]bff.LogoutToken{"token": {Subject: "usr_1"}})
	a, b := w.instance(says), w.instance(says)
	old := w.login(a)
	if err := w.logout(a, "token"); err != nil {
		t.Fatal(err)
	}
	w.dead(b, old)
	w.clock.move(3 * time.Second)
	fresh := w.login(b)
	for range 2 {
		if err := w.logout(b, "token"); bff.CodeOf(err) != bff.CodeBadRequest || !errors.Is(err, bff.ErrReplayed) {
			t.Errorf("a replay: %v", err)
		}
	}
	b.seen.is(t, bff.LogoutEvent{Channel: bff.ChannelBack, App: "web", Provider: "main", Result: bff.LogoutReplayed, Rule: "jti"})
	w.session(a, fresh)
	// A provider that gives the tokens of all its clients one jti reaches each of them.
	client := w.app.ClientID
	w.app.ClientID += "_2"
	if err := w.logout(b, "token"); err != nil {
		t.Errorf("the same jti for another client: %v", err)
	}
	w.app.ClientID = client
	// Another provider's token may well have the same jti.
	w.app.Provider.Name = "other"
	if err := w.logout(b, "token"); err != nil {
		t.Errorf("the same jti of another provider: %v", err)
	}
}

// flaky is a store whose answers fail where a test says.
type flaky struct {
	bff.OneTime
	bff.Replays
	bff.Markers
	mu   sync.Mutex
	fail string
}

func (f *flaky) failing(at string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == at {
		return fmt.Errorf("%w: LOADING", bff.ErrStore)
	}
	return nil
}

func (f *flaky) Use(ctx context.Context, kind, name, attempt string, ttl time.Duration) error {
	if err := f.failing("remembering " + kind); err != nil {
		return err
	}
	return f.OneTime.Use(ctx, kind, name, attempt, ttl)
}

func (f *flaky) Used(ctx context.Context, kind, name string) (bool, error) {
	if err := f.failing("looking up " + kind); err != nil {
		return false, err
	}
	return f.Replays.Used(ctx, kind, name)
}

func (f *flaky) Mark(ctx context.Context, targets []bff.Target, m bff.Marker) error {
	if err := f.failing("marking"); err != nil {
		return err
	}
	return f.Markers.Mark(ctx, targets, m)
}

func (f *flaky) Members(ctx context.Context, t bff.Target) ([]bff.Member, error) {
	if err := f.failing("reading the index"); err != nil {
		return nil, err
	}
	return f.Markers.Members(ctx, t)
}

// Whatever fails on the way, the answer is no success, the jti is not burned, and the provider's next try goes through.
//
// shows BCL-2.6-8 (the retry), BCL-2.8
func TestALogoutTokenThatTheStoreFails(t *testing.T) {
	for _, at := range []string{"looking up jti", "marking", "reading the index", "remembering jti"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			f := &flaky{}
			tells := w.tells(map[string]bff.LogoutToken{"token": {SID: "ses_1", Subject: "usr_1"}})
			a := w.instance(tells, func(p *bff.Ports) {
				f.OneTime, f.Replays, f.Markers = p.OneTime, p.Replays, p.Markers
				p.OneTime, p.Replays, p.Markers = f, f, f
			})
			root := w.login(a)
			f.fail = at
			if err := w.logout(a, "token"); bff.CodeOf(err) != bff.CodeStoreUnavailable {
				t.Fatalf("while %s fails: %v", at, err)
			}
			if at == "looking up jti" { // not skipped: nothing was done without it
				w.session(a, root)
			}
			f.mu.Lock()
			f.fail = ""
			f.mu.Unlock()
			if err := w.logout(a, "token"); err != nil {
				t.Errorf("the next try: %v", err)
			}
			w.dead(a, root)
		})
	}
}

// paused is a memory of replays at which one delivery waits, between its look and its deed.
type paused struct {
	bff.Replays
	looked, on chan struct{}
	once       sync.Once
}

func (p *paused) Used(ctx context.Context, kind, name string) (bool, error) {
	used, err := p.Replays.Used(ctx, kind, name)
	p.once.Do(func() { close(p.looked); <-p.on })
	return used, err
}

// Two deliveries of one token: the slow one looked before the quick one was remembered, and acts after the user has signed
// in anew. It must not end that.
//
// shows BCL-2.6-8 (two at once)
func TestASecondDeliveryThatWasOvertaken(t *testing.T) {
	w := newWorld(t)
	says := w.tells(map[string]bff.LogoutToken{"token": {Subject: "usr_1"}})
	gate := &paused{looked: make(chan struct{}), on: make(chan struct{})}
	slow := w.instance(says, func(p *bff.Ports) { gate.Replays, p.Replays = p.Replays, gate })
	quick := w.instance(says)
	old := w.login(quick)
	done := make(chan error, 1)
	go func() { done <- w.logout(slow, "token") }()
	<-gate.looked
	if err := w.logout(quick, "token"); err != nil {
		t.Fatal(err)
	}
	w.dead(slow, old)
	w.clock.move(3 * time.Second)
	fresh := w.login(quick)
	close(gate.on)
	if err := <-done; err != nil {
		t.Errorf("the second delivery: %v", err)
	}
	w.session(quick, fresh)
}

// A login that comes within the clocks' slack of a logout token hands out nothing; the browser has heard of the sign-out
// then, and its next try goes through at once.
//
// shows BCL-RACE (signing in again)
func TestSigningInAgainAtOnceAfterALogoutToken(t *testing.T) {
	for _, said := range []bff.LogoutToken{{SID: "ses_1"}, {Subject: "usr_1"}, {SID: "ses_1", Subject: "usr_1"}} {
		w := newWorld(t)
		a := w.instance(w.tells(map[string]bff.LogoutToken{"token": said}))
		w.login(a)
		if err := w.logout(a, "token"); err != nil {
			t.Fatal(err)
		}
		start, state := w.begin(a, bff.LoginRequest{})
		_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
		le, ok := errors.AsType[*bff.LoginError](err)
		if !ok || bff.CodeOf(err) != bff.CodeLoginSignedOut || le.SignedOut == "" {
			t.Fatalf("a login within the slack: %v", err)
		}
		w.session(a, w.loginWith(a, bff.LoginRequest{SignedOut: le.SignedOut}).Session.Root)
	}
}

// What a login finds gone that it would replace was ended by somebody who meant the login too.
//
// shows CB-RACE-1 (ended by the provider, ended by an administrator)
func TestAStepUpOvertakenByTheProvider(t *testing.T) {
	for reason, want := range map[bff.Reason]bff.Code{
		bff.ReasonSignedOut: bff.CodeLoginSignedOut, bff.ReasonProvider: bff.CodeLoginSignedOut,
		bff.ReasonAdmin: bff.CodeLoginSignedOut, bff.ReasonRefreshRejected: "",
	} {
		w := newWorld(t)
		w.app.Provider.SSOBy = bff.SSOByAuthAt
		a := w.instance()
		old := w.login(a)
		w.clock.move(time.Minute)
		start, state := w.begin(a, bff.LoginRequest{Replaces: old})
		w.clock.move(time.Minute)
		if _, err := a.store.Delete(context.Background(), old.Lookup(), nil, reason); err != nil {
			t.Fatal(err)
		}
		w.idp.set(func(p *fakeProvider) { p.authTime = p.authTime.Add(time.Minute) })
		if _, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state)); bff.CodeOf(err) != want {
			t.Errorf("a step-up of a session that ended as %s: %v, want %q", reason, err, want)
		}
	}
}

// Whose refresh tokens outlast the provider's word keep them; others' are revoked, where they can be read at all. By the
// front channel none is.
//
// shows BCL-2.7-3, FCL-5 (no revocation)
func TestWhatIsRevokedByALogoutToken(t *testing.T) {
	for _, row := range []struct {
		with      string
		revocable bool
		outlasts  []string
		front     bool
		revoked   []string
	}{
		{"an online app and an offline one", true, []string{"offline"}, false, []string{"online"}},
		{"a setting that revokes all", true, nil, false, []string{"offline", "online"}},
		{"a setting that revokes none", true, []string{"offline", "online"}, false, nil},
		{"a provider that is not revocable", false, nil, false, nil},
		{"the front channel", true, nil, true, nil},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			w.revocable = row.revocable
			w.app.Provider.Frontchannel = true
			w.app.Provider.Outlasting = map[string]bool{}
			for _, id := range row.outlasts {
				w.app.Provider.Outlasting[id] = true
			}
			a := w.instance(w.tells(map[string]bff.LogoutToken{"token": {SID: "ses_1"}}))
			app := w.app
			for _, id := range []string{"online", "offline"} {
				other := *app
				other.ID = id
				w.app = &other
				w.login(a)
			}
			if row.front {
				if found, err := a.FrontchannelLogout(context.Background(), w.app.Provider, w.app.Provider.Issuer, "ses_1"); err != nil || !found {
					t.Fatal(found, err)
				}
			} else if err := w.logout(a, "token"); err != nil {
				t.Fatal(err)
			}
			if err := a.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			a.seen.mu.Lock()
			defer a.seen.mu.Unlock()
			var revoked []string
			for _, e := range a.seen.revoked {
				revoked = append(revoked, e.App)
			}
			slices.Sort(revoked)
			if !slices.Equal(revoked, row.revoked) || len(a.seen.ended) != 2 {
				t.Errorf("%s: %v revoked, want %v; %d ended", row.with, revoked, row.revoked, len(a.seen.ended))
			}
		})
	}
}

// shows FCL-2-1 (the engine's part)
func TestWhatTheFrontChannelEnds(t *testing.T) {
	w := newWorld(t)
	w.app.Provider.Issuers = []string{"https://auth.example.com"}
	a := w.instance()
	root := w.login(a)
	for _, row := range []struct {
		with, iss, sid string
		found          bool
	}{
		{"neither", "", "", false},
		{"a sid alone", "", "ses_1", false},
		{"an iss alone", "https://op.example.com", "", false},
		{"another issuer", "https://evil.example", "ses_1", false},
		{"the issuer with a slash", "https://op.example.com/", "ses_1", false},
		{"a sid that nobody has", "https://op.example.com", "ses_9", false},
		{"a further name of the issuer", "https://auth.example.com", "ses_1", true},
	} {
		w.session(a, root)
		found, err := a.FrontchannelLogout(context.Background(), w.app.Provider, row.iss, row.sid)
		if found != row.found || err != nil {
			t.Errorf("a request with %s: found %v, %v", row.with, found, err)
		}
	}
	w.dead(a, root)
	a.seen.is(t, bff.LogoutEvent{Channel: bff.ChannelFront, Provider: "main", Result: bff.LogoutAccepted, Ended: 1})
	// What nobody has is not marked: a login of that sid, on its way or later, is none of the unsigned request's business.
	w.idp.set(func(p *fakeProvider) { p.sid = "ses_9" })
	w.login(a)
}
