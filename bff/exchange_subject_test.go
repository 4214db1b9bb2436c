package bff_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
)

// errSubject is a provider's refusal that may be about the session's token.
func errSubject() error {
	return &bff.Error{Code: bff.CodeTokenRefused, Err: fmt.Errorf("%w: %w", bff.ErrSubjectRefused, errors.New("invalid_request"))}
}

// choosy is a provider that refuses the subject tokens that it is told to.
type choosy struct {
	*exchangingProvider
	refuses func(access string) bool
	repeats bool // a refresh brings the access token that there was
	aged    bool // or one that came, by its own account, long enough ago to be renewed for a refusal
}

func (c *choosy) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	g, err := c.exchangingProvider.Refresh(ctx, s, resource)
	if err == nil && c.repeats {
		g.Tokens.Access = s.Tokens.Access
	}
	if err == nil && c.aged {
		g.Tokens.ReceivedAt, g.Tokens.ExpiresAt = c.w.clock.now().Add(-20*time.Second), c.w.clock.now().Add(40*time.Second)
	}
	return g, err
}

func (c *choosy) ExchangeToken(ctx context.Context, subject bff.TokenSet, x bff.ExchangeSpec) (bff.TokenSet, error) {
	t, err := c.exchangingProvider.ExchangeToken(ctx, subject, x)
	if err == nil && c.refuses(subject.Access.Reveal()) {
		return bff.TokenSet{}, errSubject()
	}
	return t, err
}

// choosyWorld is an exchangeWorld with such a provider.
func choosyWorld(t *testing.T, refuses func(access string) bool) (*world, *choosy, func() *instance) {
	t.Helper()
	w, p, start := exchangeWorld(t)
	c := &choosy{exchangingProvider: p, refuses: refuses}
	return w, c, func() *instance {
		return start(func(ports *bff.Ports) { ports.Providers = func(string) bff.Provider { return c } })
	}
}

// A provider that has ended the session's token before its time: that one is renewed, once however many calls wait, and the
// new one exchanged. Nobody is refused, and no operator called.
//
// shows TX-2.2
func TestASubjectTokenThatEndedEarly(t *testing.T) {
	w, p, start := choosyWorld(t, func(access string) bool { return access == "access-1" })
	a, b := start(), start()
	s := w.session(a, w.login(a))
	w.clock.move(20 * time.Second) // of its minute
	var wanting sync.WaitGroup
	for i := range 40 {
		in := []*instance{a, b}[i%2]
		wanting.Go(func() {
			if got := w.trade(in, s, ordersSpec, ""); !strings.HasSuffix(got, " of access-2") {
				t.Errorf("got %q", got)
			}
		})
	}
	wanting.Wait()
	if n := w.idp.count(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	if n := p.calls(); n > 6 { // at each instance the old token's and the new one's, and one more whose flight came late
		t.Errorf("%d exchanges", n)
	}
	for _, in := range []*instance{a, b} {
		in.seen.mu.Lock()
		if len(in.seen.alarms) > 0 {
			t.Errorf("alarms: %v", in.seen.alarms)
		}
		in.seen.mu.Unlock()
	}
	now := w.session(b, s.Root)
	if got := w.trade(b, now, ordersSpec, ""); !strings.HasSuffix(got, " of access-2") || w.kept() != 1 {
		t.Errorf("afterwards %q, and %d tokens kept", got, w.kept())
	}
}

// A provider that says the same of every token means something else: one renewal, one more exchange, then the refusal; and
// no further renewal for this API while the token lives. Another API has its own.
//
// shows TX-2.2, TX-NOFALL
func TestARefusalThatARenewalDoesNotMend(t *testing.T) {
	w, p, start := choosyWorld(t, func(string) bool { return true })
	in := start()
	s := w.session(in, w.login(in))
	if got := w.trade(in, s, ordersSpec, ""); got != string(bff.CodeTokenRefused) || p.calls() != 1 || w.idp.count() != 0 {
		t.Errorf("with a token that has just come: %q after %d exchanges and %d refreshes", got, p.calls(), w.idp.count())
	}
	w.clock.move(20 * time.Second)
	bills := bff.ExchangeSpec{Audience: "bills"}
	for range 10 {
		if got := w.trade(in, s, bills, ""); got != string(bff.CodeTokenRefused) {
			t.Errorf("got %q", got)
		}
	}
	if p.calls() != 3 || w.idp.count() != 1 {
		t.Errorf("%d exchanges and %d refreshes", p.calls()-1, w.idp.count())
	}
	s = w.session(in, s.Root)
	in.seen.mu.Lock()
	alarms := len(in.seen.alarms)
	in.seen.mu.Unlock()
	if alarms != 2 { // one for each API
		t.Errorf("%d alarms", alarms)
	}
	s.Tokens.ReceivedAt = w.clock.now().Add(-20 * time.Second) // rested again, and refused still
	other := start()
	for _, at := range []*instance{in, other} { // the other knows nothing of it, and finds out for itself
		if got := w.trade(at, s, bff.ExchangeSpec{Audience: "bills", Scopes: []string{"read"}}, ""); got != string(bff.CodeTokenRefused) {
			t.Errorf("got %q", got)
		}
	}
}

// While a route is set up wrong, its calls do not use up refresh tokens, however often they come.
//
// shows TX-NOFALL
func TestAWrongRouteDoesNotRenewForEver(t *testing.T) {
	w, _, start := choosyWorld(t, func(string) bool { return true })
	in := start()
	s := w.session(in, w.login(in))
	w.clock.move(20 * time.Second)
	for round := range 5 {
		w.trade(in, s, ordersSpec, "")
		s = w.session(in, s.Root)
		// Each time as if it were another token, so that no earlier refusal is the answer.
		s.Tokens.Access = bff.NewSecret(fmt.Sprintf("round-%d", round))
		s.Tokens.ReceivedAt = w.clock.now().Add(-15 * time.Second)
	}
	if n := w.idp.count(); n != 1 {
		t.Errorf("%d refreshes", n)
	}
}

// Where the session's tokens cannot be renewed the call has what that says: a refusal, a provider in trouble, or the end.
//
// shows TX-NOFALL
func TestASubjectTokenThatCannotBeRenewed(t *testing.T) {
	for _, row := range []struct {
		with string
		do   func(p *fakeProvider)
		code bff.Code
	}{
		{"no refresh token", func(p *fakeProvider) { p.noRT = true }, bff.CodeTokenRefused},
		{"a provider in trouble", func(p *fakeProvider) {
			p.fail = &bff.RefreshError{Outcome: bff.OutcomeTransient, Err: errors.New("500")}
		}, bff.CodeIDPUnavailable},
		{"a spent refresh token", func(p *fakeProvider) {
			p.fail = &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: errors.New("invalid_grant")}
		}, bff.CodeSessionEnded},
	} {
		t.Run("a refused subject with "+row.with, func(t *testing.T) {
			w, p, start := choosyWorld(t, func(string) bool { return true })
			w.idp.set(row.do)
			in := start()
			s := w.session(in, w.login(in))
			w.clock.move(20 * time.Second)
			for range 3 {
				if got := w.trade(in, s, ordersSpec, ""); got != string(row.code) && got != string(bff.CodeSessionEnded) {
					t.Errorf("got %q", got)
				}
			}
			if n := p.calls(); n != 1 {
				t.Errorf("%d exchanges", n)
			}
		})
	}
}

// A provider whose refresh brings the very token that it refused: nobody waits for an exchange that waits for itself.
//
// shows TX-NOFALL
func TestASubjectTokenThatComesAgain(t *testing.T) {
	w, p, start := choosyWorld(t, func(string) bool { return true })
	p.repeats = true
	in := start()
	s := w.session(in, w.login(in))
	w.clock.move(20 * time.Second)
	got := make(chan string, 1)
	go func() { got <- w.trade(in, s, ordersSpec, "") }()
	select {
	case code := <-got:
		if code != string(bff.CodeTokenRefused) || p.calls() != 1 || w.idp.count() != 1 {
			t.Errorf("%q after %d exchanges and %d refreshes", code, p.calls(), w.idp.count())
		}
	case <-time.After(10 * time.Second): // it takes no time at all
		t.Fatal("it waits for itself")
	}
}

// Once is once, however old the token is that the renewal brings: no call has refresh tokens used up one after the other.
//
// shows TX-NOFALL
func TestASubjectTokenIsRenewedOnceForACall(t *testing.T) {
	w, p, start := choosyWorld(t, func(string) bool { return true })
	p.aged = true
	in := start()
	s := w.session(in, w.login(in))
	w.clock.move(20 * time.Second)
	if got := w.trade(in, s, ordersSpec, ""); got != string(bff.CodeTokenRefused) || p.calls() != 2 || w.idp.count() != 1 {
		t.Errorf("%q after %d exchanges and %d refreshes", got, p.calls(), w.idp.count())
	}
}
