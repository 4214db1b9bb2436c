package bff_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// shows NAT-CODE, NAT-TOKEN
func TestACodeBecomesASessionOfHandles(t *testing.T) {
	w := newNativeWorld(t)
	a, b := w.instance(), w.instance()
	began := w.clock.now()
	l := w.returned(a, claimed)
	w.clock.move(20 * time.Second)
	gone, hangUp := context.WithCancel(context.Background())
	hangUp() // the app's connection breaks as soon as it has asked
	s, err := b.Redeem(gone, w.app, redemption(l.Code, claimed))
	if err != nil {
		t.Fatal(err)
	}
	if s.Turn.N != 1 || !s.Turn.Seen.IsZero() || !s.Began.Equal(began.Truncate(time.Millisecond)) || s.App != "phone" ||
		s.Subject != "usr_1" || len(s.Groups) != 1 || s.Root.Reveal() == l.Code.Reveal() {
		t.Errorf("session %+v", s)
	}
	p := w.pair(b, s)
	if got, err := w.call(a, p.access); err != nil || !got.Tokens.Access.Equal(s.Tokens.Access) {
		t.Errorf("a call: %v", err)
	}
	b.seen.until(t, "the beginning", func(x *seen) bool { return len(x.began) == 1 && x.began[0].SessionID == s.ID() })
	// A sign-out in another app finds it like any other.
	if _, err := a.EndSessionsOf(context.Background(), bff.Target{Scope: bff.ScopeSID, Provider: w.app.Provider.Name, Value: "ses_1"}); err != nil {
		t.Fatal(err)
	}
	_, err = w.call(b, p.access)
	wantCode(t, "a call after the sign-out", err, bff.CodeSessionEnded)
}

// Whatever is wrong with a redemption: the code is burned, the event is told, and the answer says nothing.
//
// shows NAT-BIND, NAT-8.1
func TestARedemptionThatDoesNotFitBurnsItsCode(t *testing.T) {
	for name, c := range map[string]struct {
		change func(app *bff.App, r *bff.Redemption)
		rule   string
	}{
		"another app":             {func(a *bff.App, _ *bff.Redemption) { a.ID = "tablet" }, "tablet: exchange code of another app"},
		"another redirect":        {func(_ *bff.App, r *bff.Redemption) { r.RedirectURI = scheme }, "phone: exchange code with another redirect URI"},
		"no redirect":             {func(_ *bff.App, r *bff.Redemption) { r.RedirectURI = "" }, "phone: exchange code with another redirect URI"},
		"a slash more":            {func(_ *bff.App, r *bff.Redemption) { r.RedirectURI += "/" }, "phone: exchange code with another redirect URI"},
		"another verifier":        {func(_ *bff.App, r *bff.Redemption) { r.Verifier = strings.Repeat("v", 43) }, "phone: exchange code with another verifier"},
		"no verifier":             {func(_ *bff.App, r *bff.Redemption) { r.Verifier = "" }, "phone: exchange code with another verifier"},
		"the challenge itself":    {func(_ *bff.App, r *bff.Redemption) { r.Verifier = request(claimed).Challenge }, "phone: exchange code with another verifier"},
		"a verifier cut by one":   {func(_ *bff.App, r *bff.Redemption) { r.Verifier = r.Verifier[:len(r.Verifier)-1] }, "phone: exchange code with another verifier"},
		"a verifier with a blank": {func(_ *bff.App, r *bff.Redemption) { r.Verifier += " " }, "phone: exchange code with another verifier"},
	} {
		for spares, what := range map[bool]string{true: " where revoking spares the grant", false: ""} {
			t.Run(name+what, func(t *testing.T) {
				w := newNativeWorld(t)
				w.app.Provider.RevocationSparesGrant = spares
				a := w.instance()
				code := w.returned(a, claimed).Code
				app, r := *w.app, redemption(code, claimed)
				c.change(&app, &r)
				_, err := a.Redeem(context.Background(), &app, r)
				wantCode(t, "redeeming", err, bff.CodeGrantRejected)
				if got := a.refusals(); got != c.rule {
					t.Errorf("traced %q, want %q", got, c.rule)
				}
				_, err = a.Redeem(context.Background(), w.app, redemption(code, claimed))
				wantCode(t, "redeeming as it should have been", err, bff.CodeGrantRejected)
				if revoked := w.revocations(a, "refresh-1"); revoked != spares {
					t.Errorf("tokens revoked: %v", revoked)
				}
			})
		}
	}
}

// RFC 7636 section 4.1: the form of a verifier is checked even where its hash would fit.
//
// shows NAT-8.1
func TestAVerifierHasAForm(t *testing.T) {
	for verifier, ok := range map[string]bool{
		strings.Repeat("v", 43): true, strings.Repeat("v", 42): false, strings.Repeat("~", 128): true,
		strings.Repeat("v", 129): false, strings.Repeat("-._~09azAZ", 5): true, strings.Repeat("v", 42) + "+": false,
		strings.Repeat("v", 42) + "\xff": false, strings.Repeat("v", 42) + "ä": false,
	} {
		w := newNativeWorld(t)
		a := w.instance()
		r := request(claimed)
		r.Challenge = challengeOf(verifier)
		start, state := w.begin(a, bff.LoginRequest{Native: r})
		l, err := a.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Redeem(context.Background(), w.app, bff.Redemption{Code: l.Code, Verifier: verifier, RedirectURI: claimed})
		if (err == nil) != ok {
			t.Errorf("verifier %q of %d bytes: %v, want ok %v", verifier, len(verifier), err, ok)
		}
	}
}

// shows NAT-CODE
func TestACodeThatIsOldOrUnknownIsRefused(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	code := w.returned(a, claimed).Code
	w.redis.FastForward(bff.CodeLife + time.Second)
	_, err := a.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "after 61 s", err, bff.CodeGrantRejected)
	_, err = a.Redeem(context.Background(), w.app, redemption(bff.NewRoot(), claimed))
	wantCode(t, "a code of nothing", err, bff.CodeGrantRejected)
	code = w.returned(a, claimed).Code
	w.redis.SetError("ERR down")
	_, err = a.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "while the store is down", err, bff.CodeStoreUnavailable)
	w.redis.SetError("")
	_, err = a.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "when it is back", err, "")
}

// shows NAT-CODE, SCALEKIT-T3
func TestACodePresentedTwiceEndsItsSession(t *testing.T) {
	w := newNativeWorld(t)
	a, b := w.instance(), w.instance()
	code := w.returned(a, claimed).Code
	s, err := a.Redeem(context.Background(), w.app, redemption(code, claimed))
	if err != nil {
		t.Fatal(err)
	}
	p := w.pair(a, s)
	thief := bff.Redemption{Code: code, Verifier: strings.Repeat("x", 43), RedirectURI: scheme}
	w.redis.SetError("ERR down")
	_, err = b.Redeem(context.Background(), w.app, thief)
	wantCode(t, "the second use, store down", err, bff.CodeStoreUnavailable)
	w.redis.SetError("")
	_, err = b.Redeem(context.Background(), w.app, thief)
	wantCode(t, "the second use", err, bff.CodeGrantRejected)
	b.endedFor(t, bff.ReasonCodeReplayed)
	if got := b.refusals(); got != "phone: exchange code used twice" {
		t.Errorf("traced %q", got)
	}
	_, err = w.call(a, p.access)
	wantCode(t, "the access handle of the first", err, bff.CodeSessionEnded)
	_, err = w.rotate(a, p.refresh)
	wantCode(t, "the refresh handle of the first", err, bff.CodeGrantRejected)
}

// slowRecords holds a session back before it is written.
type slowRecords struct {
	bff.Records
	arrived, gate chan struct{}
}

func (r *slowRecords) Create(ctx context.Context, s *bff.Session) error {
	close(r.arrived)
	<-r.gate
	return r.Records.Create(ctx, s)
}

// The second use comes when the first has its code, and no record yet: there is nothing to delete. Nothing may live.
//
// shows NAT-CODE
func TestACodePresentedTwiceAtOnceLeavesNothingAlive(t *testing.T) {
	w := newNativeWorld(t)
	slow := &slowRecords{arrived: make(chan struct{}), gate: make(chan struct{})}
	a := w.instance(func(p *bff.Ports) { slow.Records = p.Records; p.Records = slow })
	b := w.instance()
	code := w.returned(b, claimed).Code
	var winning sync.WaitGroup
	winning.Go(func() {
		s, err := a.Redeem(context.Background(), w.app, redemption(code, claimed))
		wantCode(t, "the first use", err, bff.CodeGrantRejected)
		if s != nil {
			t.Error("the first use has a session")
		}
	})
	<-slow.arrived
	_, err := b.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "the second use", err, bff.CodeGrantRejected)
	close(slow.gate)
	winning.Wait()
	if !w.revocations(a, "refresh-1") {
		t.Error("the tokens live on")
	}
	for _, k := range w.redis.Keys() {
		if strings.HasPrefix(k, "cr:s:") && strings.HasSuffix(k, "}") {
			t.Errorf("record %s lives", k)
		}
	}
}

// The user signs out after the login, before the app has redeemed its code; or while it does.
//
// shows RPL-PENDING
func TestARedemptionAfterASignOutIsRefused(t *testing.T) {
	for name, during := range map[string]bool{"before the redemption": false, "between the code and the record": true} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			slow := &slowRecords{arrived: make(chan struct{}), gate: make(chan struct{})}
			a := w.instance(func(p *bff.Ports) { slow.Records = p.Records; p.Records = slow })
			b := w.instance()
			s := w.nativeLogin(b)
			w.clock.move(10 * time.Second)
			code := w.returned(b, claimed).Code
			signOut := func() {
				if _, err := b.SignOut(context.Background(), w.app, s); err != nil {
					t.Error(err)
				}
				close(slow.gate)
			}
			var signing sync.WaitGroup
			if during {
				signing.Go(func() { <-slow.arrived; signOut() })
			} else {
				signOut()
			}
			_, err := a.Redeem(context.Background(), w.app, redemption(code, claimed))
			wantCode(t, "redeeming", err, bff.CodeGrantRejected)
			signing.Wait()
			if !w.revocations(a, "refresh-2") {
				t.Error("the tokens live on")
			}
			if found, err := b.store.Members(context.Background(), bff.Target{
				Scope: bff.ScopeSID, Provider: "main", Value: "ses_1",
			}); len(found) != 0 || err != nil {
				t.Errorf("sessions of the user: %v, %v", found, err)
			}
		})
	}
}

// A redemption that the store fails half-way is undone: nobody has its root.
func TestARedemptionThatCannotBeStoredIsUndone(t *testing.T) {
	w := newNativeWorld(t)
	failing := &failingMarked{}
	a := w.instance()
	b := w.instance(func(p *bff.Ports) { failing.Markers = p.Markers; p.Markers = failing })
	code := w.returned(a, claimed).Code
	failing.on.Store(true)
	_, err := b.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "redeeming", err, bff.CodeStoreUnavailable)
	if w.revocations(b, "refresh-1") {
		t.Error("tokens revoked that may be of a grant with other sessions")
	}
	for _, k := range w.redis.Keys() {
		if strings.HasPrefix(k, "cr:s:") && strings.HasSuffix(k, "}") {
			t.Errorf("record %s lives", k)
		}
	}
}

// logoutProvider can end its own session.
type logoutProvider struct{ *fakeProvider }

func (logoutProvider) EndSession(_ context.Context, hint bff.Secret, to, state string) (*bff.EndSessionRequest, error) {
	return &bff.EndSessionRequest{URL: "https://op.example.com/logout", Post: true, Values: url.Values{
		"id_token_hint": {hint.Reveal()}, "post_logout_redirect_uri": {to}, "state": {state},
	}}, nil
}

// A native app's sign-out goes on in the system browser, which learns there what a browser's own sign-out tells it: signing
// in again right after works.
//
// shows RPL-NATIVE, RPL-HINT
func TestANativeSignOutGoesOnInTheBrowser(t *testing.T) {
	w := newNativeWorld(t)
	w.app.PostLogoutURI = "https://gw.example.com/mobile/logged-out"
	a := w.instance(func(p *bff.Ports) { p.Providers = func(string) bff.Provider { return logoutProvider{w.idp} } })
	s := w.nativeLogin(a)
	w.clock.move(10 * time.Second)
	out, err := a.SignOut(context.Background(), w.app, s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.call(a, w.pair(a, s).access)
	wantCode(t, "a call", err, bff.CodeSessionEnded)
	ticket, err := a.RedeemNativeTicket(context.Background(), w.apps, out.Ticket, "state")
	if err != nil {
		t.Fatal(err)
	}
	if ticket.App != w.app || ticket.Notice == "" || ticket.To.Values.Get("id_token_hint") != "id-token" ||
		ticket.To.Values.Get("post_logout_redirect_uri") != w.app.PostLogoutURI || ticket.To.Values.Get("state") != "state" {
		t.Errorf("ticket %+v, to %+v", ticket, ticket.To)
	}
	_, err = a.RedeemNativeTicket(context.Background(), w.apps, out.Ticket, "state")
	wantCode(t, "the ticket again", err, bff.CodeGone)
	for name, c := range map[string]struct {
		notice string
		want   bff.Code
	}{"with": {ticket.Notice, ""}, "without": {"", bff.CodeLoginSignedOut}} {
		start, state := w.begin(a, bff.LoginRequest{Native: request(claimed), SignedOut: c.notice})
		_, err := a.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
		wantCode(t, "signing in again at once "+name+" the notice", err, c.want)
	}
}

// shows RPL-NATIVE
func TestALogoutTicketIsOfOneKindOfApp(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	ticket := func() string {
		t.Helper()
		out, err := a.SignOut(context.Background(), w.app, w.nativeLogin(a))
		if err != nil {
			t.Fatal(err)
		}
		w.clock.move(10 * time.Second)
		return out.Ticket
	}
	browser := *w.app
	browser.ID = "web"
	_, err := a.RedeemTicket(context.Background(), &browser, ticket(), "state")
	wantCode(t, "at a browser app", err, bff.CodeGone)
	_, err = a.RedeemNativeTicket(context.Background(), func(string) *bff.App { return nil }, ticket(), "state")
	wantCode(t, "where there is no such native app", err, bff.CodeGone)
	browser.ID, browser.Kind = w.app.ID, bff.KindSPA
	_, err = a.RedeemNativeTicket(context.Background(), func(string) *bff.App { return &browser }, ticket(), "state")
	wantCode(t, "where the app is a browser app by now", err, bff.CodeGone)
	if to, err := a.RedeemNativeTicket(context.Background(), w.apps, ticket(), "state"); err != nil || to.To != nil {
		t.Errorf("of a provider without end_session: %+v, %v", to, err)
	}
}

// A person who closes the window right after the click has decided: ticket and code are not left half way.
func TestAClickOutlivesItsWindow(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	gone, hangUp := context.WithCancel(context.Background())
	hangUp()
	l, err := a.ConfirmNativeLogin(gone, w.app, w.returned(a, scheme).Ticket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Redeem(context.Background(), w.app, redemption(l.Code, scheme)); err != nil {
		t.Errorf("redeeming: %v", err)
	}
	if _, err := a.CancelNativeLogin(gone, w.app, w.returned(a, scheme).Ticket); err != nil {
		t.Errorf("cancelling: %v", err)
	}
}

// A browser that is gone while its code is redeemed leaves a login whole: what the provider gave out is kept, or revoked.
//
// shows CB-RACE-1 (native apps)
func TestACallbackOutlivesItsBrowser(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	gone, hangUp := context.WithCancel(context.Background())
	w.idp.set(func(p *fakeProvider) { p.onCode = hangUp })
	start, state := w.begin(a, bff.LoginRequest{Native: request(claimed)})
	l, err := a.CompleteNativeLogin(gone, w.app, w.callback(start, state))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Redeem(context.Background(), w.app, redemption(l.Code, claimed)); err != nil {
		t.Errorf("redeeming: %v", err)
	}
}
