package bff_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

func (w *world) callback(start *bff.LoginStart, state string) bff.Callback {
	return bff.Callback{State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed}
}

// shows CB-STATE-1
func TestCallbackUsedTwiceAtOnceOnTwoInstancesSignsInOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	start, state := w.begin(a, bff.LoginRequest{})
	results := make(chan error, 2)
	for _, in := range []*instance{a, b} {
		go func() {
			_, err := in.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			results <- err
		}()
	}
	codes := map[bff.Code]int{}
	for range 2 {
		codes[bff.CodeOf(<-results)]++
	}
	if codes[""] != 1 || codes[bff.CodeLoginReplayed] != 1 {
		t.Errorf("outcomes %v, want one login and one replay", codes)
	}
}

// shows STATE-1, TXN-1, CB-ISS-1
func TestCallbackThatDoesNotBelongToItsTransactionIsRefused(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	start, state := w.begin(a, bff.LoginRequest{ReturnTo: "/orders"})
	other, otherState := w.begin(a, bff.LoginRequest{})
	good := w.callback(start, state)
	elsewhere := *w.app
	elsewhere.RedirectURI = "https://app.example.com/other"
	stranger := *w.app
	stranger.ID = "docs"
	for name, tc := range map[string]struct {
		app  *bff.App
		edit func(*bff.Callback)
		want bff.Code
	}{
		"without a cookie":             {w.app, func(c *bff.Callback) { c.Sealed = "" }, bff.CodeLoginUnknown},
		"with another flow's cookie":   {w.app, func(c *bff.Callback) { c.Sealed = other.Sealed }, bff.CodeLoginUnknown},
		"with another flow's state":    {w.app, func(c *bff.Callback) { c.State = otherState }, bff.CodeLoginUnknown},
		"with a cookie that was cut":   {w.app, func(c *bff.Callback) { c.Sealed = c.Sealed[:40] }, bff.CodeLoginUnknown},
		"at another app":               {&stranger, func(*bff.Callback) {}, bff.CodeLoginUnknown},
		"at another redirect URI":      {&elsewhere, func(*bff.Callback) {}, bff.CodeLoginUnknown},
		"from another issuer":          {w.app, func(c *bff.Callback) { c.Issuer = "https://evil.example.com" }, bff.CodeLoginMixedUp},
		"replayed after the one above": {w.app, func(*bff.Callback) {}, bff.CodeLoginReplayed},
	} {
		if name == "replayed after the one above" {
			continue // in its order, below
		}
		cb := good
		tc.edit(&cb)
		if _, err := a.CompleteLogin(context.Background(), tc.app, cb); bff.CodeOf(err) != tc.want {
			t.Errorf("a callback %s: %v, want %s", name, err, tc.want)
		}
	}
	if _, err := a.CompleteLogin(context.Background(), w.app, good); bff.CodeOf(err) != bff.CodeLoginReplayed {
		t.Errorf("a good callback after one of its own transaction was refused: %v, want replayed", err)
	}
}

// shows CB-ERR-1
func TestErrorOfTheProviderWinsOverACodeAndConsumesTheTransaction(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	start, state := w.begin(a, bff.LoginRequest{ReturnTo: "/orders?x=1"})
	cb := w.callback(start, state)
	cb.Error, cb.Detail = "access_denied", "<script>"
	_, err := a.CompleteLogin(context.Background(), w.app, cb)
	l, ok := errors.AsType[*bff.LoginError](err)
	if !ok || bff.CodeOf(err) != bff.CodeLoginRefused || l.ReturnTo != "/orders?x=1" || l.ProviderCode != "access_denied" {
		t.Fatalf("got %#v", err)
	}
	if w.idp.issued != 0 {
		t.Error("the code was exchanged")
	}
	cb.Error = ""
	if _, err := a.CompleteLogin(context.Background(), w.app, cb); bff.CodeOf(err) != bff.CodeLoginReplayed {
		t.Errorf("the transaction was not consumed: %v", err)
	}
}

// shows TXN-2
func TestTransactionThatTookTooLongIsExpired(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	start, state := w.begin(a, bff.LoginRequest{})
	w.clock.move(10*time.Minute + time.Second)
	if _, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state)); bff.CodeOf(err) != bff.CodeLoginExpired {
		t.Errorf("got %v", err)
	}
}

func TestTransactionWithTheLongestReturnTargetFitsItsCookie(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	maxAge := 300
	target := "/" + strings.Repeat("x", 1023)
	start, err := a.BeginLogin(context.Background(), w.app, bff.LoginRequest{ReturnTo: target, Replaces: bff.NewRoot(), MaxAge: &maxAge})
	if err != nil {
		t.Fatal(err)
	}
	if len(start.Sealed) > 1536 {
		t.Errorf("cookie value of %d bytes", len(start.Sealed))
	}
}

// shows PKCE-4.1, IDT-NONCE
func TestThousandStartsHaveNothingInCommon(t *testing.T) {
	w := newWorld(t)
	rec := &recording{fakeProvider: w.idp, seen: map[string]bool{}}
	a := w.instance(func(p *bff.Ports) { p.Providers = func(string) bff.Provider { return rec } })
	for range 1000 {
		w.begin(a, bff.LoginRequest{})
	}
	if len(rec.seen) != 3000 {
		t.Errorf("%d different states, nonces and verifiers of 3000", len(rec.seen))
	}
	for s := range rec.seen {
		if len(s) != 43 || strings.ContainsAny(s, "+/=") {
			t.Fatalf("%q is no text of 43 unreserved characters", s)
		}
	}
}

// recording remembers what logins were begun with.
type recording struct {
	*fakeProvider
	seen map[string]bool
}

func (r *recording) AuthorizationURL(ctx context.Context, q bff.AuthorizationRequest) (string, error) {
	for _, s := range []string{q.State, q.Nonce, q.Verifier} {
		r.seen[s] = true
	}
	return r.fakeProvider.AuthorizationURL(ctx, q)
}

// shows CB-SWAP-1, CB-FIX-1
func TestLoginEndsTheSessionItReplaces(t *testing.T) {
	for name, tc := range map[string]struct {
		subject string
		spares  bool
		revoked bool
	}{
		"another subject's session is ended and its tokens are revoked":              {"usr_2", false, true},
		"the same subject's is ended, its tokens spared where all would go":          {"usr_1", false, false},
		"the same subject's is ended and revoked where revoking spares the new ones": {"usr_1", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.app.Provider.RevocationSparesGrant = tc.spares
			a := w.instance()
			old := w.login(a)
			w.idp.set(func(p *fakeProvider) { p.subject, p.sid = tc.subject, "ses_2" })
			l := w.loginWith(a, bff.LoginRequest{Replaces: old})
			w.dead(a, old)
			if l.Session.Root.Reveal() == old.Reveal() {
				t.Error("the root is not new")
			}
			w.session(a, l.Session.Root)
			drain, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := a.Drain(drain); err != nil {
				t.Fatal(err)
			}
			w.idp.set(func(p *fakeProvider) {
				if p.revoked["refresh-1"] != tc.revoked || p.revoked["refresh-2"] {
					t.Errorf("revoked: %v", p.revoked)
				}
			})
		})
	}
}

// shows CB-RACE-1
func TestLoginOvertakenByASignOutHandsOutNothing(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	first := w.login(a)
	w.clock.move(10 * time.Second)
	start, state := w.begin(a, bff.LoginRequest{})
	var once sync.Once
	w.idp.set(func(p *fakeProvider) {
		p.onCode = func() { // while the code is being exchanged, another instance signs the SSO session out
			once.Do(func() {
				if _, err := b.SignOut(context.Background(), w.app, w.session(b, first)); err != nil {
					t.Error(err)
				}
			})
		}
	})
	_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
	if bff.CodeOf(err) != bff.CodeLoginSignedOut {
		t.Fatalf("got %v, want login_signed_out", err)
	}
	a.seen.until(t, "the tokens revoked", func(s *seen) bool { return len(s.revoked) == 1 })
	for _, k := range w.redis.Keys() {
		if strings.HasPrefix(k, "cr:s:") && !strings.HasSuffix(k, ":ended") {
			t.Errorf("%s is still there", k)
		}
	}
}

func TestLoginRightAfterSigningOutWorks(t *testing.T) {
	w := newWorld(t) // the provider keeps its own session: the same sid comes back
	a := w.instance()
	out, err := a.SignOut(context.Background(), w.app, w.session(a, w.login(a)))
	if err != nil {
		t.Fatal(err)
	}
	l := w.loginWith(a, bff.LoginRequest{SignedOut: out.Notice})
	w.session(a, l.Session.Root)
	// … and a refresh of that session is not taken for one the sign-out meant either.
	w.expire()
	if _, err := a.FreshTokens(context.Background(), w.app, w.session(a, l.Session.Root)); err != nil {
		t.Errorf("refresh after signing in again: %v", err)
	}
	// A browser that has not seen the sign-out gets nothing without one more click.
	w.clock.move(-61 * time.Second) // its clock is where the sign-out's was
	start, state := w.begin(a, bff.LoginRequest{})
	if _, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state)); bff.CodeOf(err) != bff.CodeLoginSignedOut {
		t.Errorf("a login within the slack of a sign-out it has not seen: %v", err)
	}
}

// shows RPL-GROUP, SESS-KILL
func TestSignOutEndsTheSSOSessionAndNothingElse(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	docs := *w.app
	docs.ID = "docs"
	mine := w.login(a)
	start, err := b.BeginLogin(context.Background(), &docs, bff.LoginRequest{})
	if err != nil {
		t.Fatal(err)
	}
	state := start.RedirectTo[strings.Index(start.RedirectTo, "state=")+6:]
	l, err := b.CompleteLogin(context.Background(), &docs, bff.Callback{
		State: state, Code: bff.NewSecret("c"), Issuer: "https://op.example.com", Sealed: start.Sealed,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.idp.set(func(p *fakeProvider) { p.sid = "ses_elsewhere" })
	another := w.login(a) // the same person on another device
	w.clock.move(3 * time.Second)
	if _, err := a.SignOut(context.Background(), w.app, w.session(a, mine)); err != nil {
		t.Fatal(err)
	}
	w.dead(b, mine)
	if _, err := b.Session(context.Background(), &docs, l.Session.Root); bff.CodeOf(err) != bff.CodeSessionEnded {
		t.Errorf("the other app of the SSO session: %v", err)
	}
	w.session(b, another)
}

func TestEndByTheProviderTakesTheWholeSSOSession(t *testing.T) {
	w := newWorld(t)
	w.app.Provider.SSOBy = bff.SSOByAuthAt // every client has its own sid
	a := w.instance()
	one := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.sid = "ses_of_the_other_client" })
	two := w.login(a)
	w.idp.set(func(p *fakeProvider) { p.sid, p.authTime = "ses_3", p.authTime.Add(time.Hour) })
	other := w.login(a)
	w.clock.move(3 * time.Second)
	if _, err := a.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: w.app.Provider.Name, Value: "ses_1"}); err != nil {
		t.Fatal(err)
	}
	w.dead(a, one)
	w.dead(a, two)
	w.session(a, other)
	if _, err := a.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: w.app.Provider.Name, Value: "ses_unknown"}); err != nil {
		t.Errorf("ending what is not there: %v", err)
	}
	if _, err := a.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSubject, Provider: w.app.Provider.Name, Value: "usr_1"}); err != nil {
		t.Fatal(err)
	}
	w.dead(a, other)
}

// shows RPL-HINT, SCALEKIT-O2
func TestLogoutTicketWorksOnceAndForItsOwnApp(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	out, err := a.SignOut(context.Background(), w.app, w.session(a, w.login(a)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.RedeemTicket(context.Background(), w.app, out.Ticket, "state"); err != nil {
		t.Fatalf("redeeming at another instance: %v", err)
	}
	if _, err := a.RedeemTicket(context.Background(), w.app, out.Ticket, "state"); bff.CodeOf(err) != bff.CodeGone {
		t.Errorf("second use: %v", err)
	}
	out, err = a.SignOut(context.Background(), w.app, w.session(a, w.loginWith(a, bff.LoginRequest{SignedOut: out.Notice}).Session.Root))
	if err != nil {
		t.Fatal(err)
	}
	docs := *w.app
	docs.ID = "docs"
	if _, err := b.RedeemTicket(context.Background(), &docs, out.Ticket, "state"); bff.CodeOf(err) != bff.CodeGone {
		t.Errorf("another app's ticket: %v", err)
	}
}

// shows PRX-LIVE
func TestWatchEndsWithItsSession(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	root := w.login(a)
	ctx, stop := a.Watch(context.Background(), w.session(a, root))
	defer stop()
	if _, err := b.SignOut(context.Background(), w.app, w.session(b, root)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the watch goes on")
	}
	if c, ok := errors.AsType[*bff.SessionEndedCause](context.Cause(ctx)); !ok || c.Reason != bff.ReasonSignedOut {
		t.Errorf("cause %v", context.Cause(ctx))
	}
}

// shows SESS-LIFE, COOKIE-4
func TestSessionIsJudgedByItsRecord(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	root := w.login(a)
	docs := *w.app
	docs.ID = "docs"
	if _, err := a.Session(context.Background(), &docs, root); bff.CodeOf(err) != bff.CodeSessionRequired {
		t.Errorf("at another app: %v", err)
	}
	w.clock.move(29 * time.Minute)
	a.Touch(w.session(a, root))
	if err := a.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.move(29 * time.Minute)
	w.session(a, root)
	w.clock.move(time.Minute)
	if _, err := a.Session(context.Background(), w.app, root); bff.CodeOf(err) != bff.CodeSessionExpired {
		t.Errorf("past its idle end: %v", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	root := bff.NewRoot()
	s := bff.Session{Root: root, Tokens: bff.TokenSet{Access: bff.NewSecret("very secret token")}}
	for _, got := range []string{sprint("%v", s), sprint("%+v", s), sprint("%#v", s), sprint("%s", root), sprint("%x", root)} {
		if strings.Contains(got, "very secret") || strings.Contains(got, root.Reveal()) || strings.Contains(got, hexOf(root)) {
			t.Errorf("printed: %s", got)
		}
	}
	if _, err := root.MarshalText(); err == nil {
		t.Error("a root can be marshalled")
	}
	if sum := sha256.Sum256(root.Bytes()); root.Lookup() == bff.Lookup(sum[:]) {
		t.Error("the lookup has no label")
	}
}
