package bff_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// A failed exchange refuses every call, and is the answer for a while: the provider is asked once, the operator told once.
// There is nothing to fall back to.
//
// shows TX-NOFALL
func TestAFailedExchangeRefusesTheCalls(t *testing.T) {
	for _, code := range []bff.Code{bff.CodeTokenRefused, bff.CodeIDPUnavailable} {
		w, p, start := exchangeWorld(t)
		in := start()
		s := w.session(in, w.login(in))
		p.set(func(p *exchangingProvider) {
			p.fails = &bff.Error{Code: code, RetryAfter: 10 * time.Second, Err: errors.New("as told")}
		})
		for range 20 {
			if got := w.trade(in, s, ordersSpec, ""); got != string(code) {
				t.Errorf("%s: got %q", code, got)
			}
		}
		if n := p.calls(); n != 1 || w.kept() != 0 {
			t.Errorf("%s: the provider was asked %d times, %d tokens are kept", code, n, w.kept())
		}
		in.seen.mu.Lock()
		if n := len(in.seen.alarms); (n == 1) != (code == bff.CodeTokenRefused) {
			t.Errorf("%s: %d alarms", code, n)
		}
		in.seen.mu.Unlock()
		p.set(func(p *exchangingProvider) { p.fails = nil })
		w.expire()
		fresh, err := in.FreshTokens(context.Background(), w.app, s)
		if err != nil {
			t.Fatal(err)
		}
		s.Tokens = fresh
		if got := w.trade(in, s, ordersSpec, ""); !strings.HasPrefix(got, "x2 ") {
			t.Errorf("%s: with a newer subject token it has %q", code, got)
		}
		if got := w.trade(in, w.session(in, w.login(in)), ordersSpec, ""); !strings.HasPrefix(got, "x3 ") {
			t.Errorf("%s: another session has %q", code, got)
		}
	}
}

// A bad moment of the provider passes.
func TestAnExchangeIsTriedAgain(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	p.set(func(p *exchangingProvider) { p.fails = &bff.Error{Code: bff.CodeIDPUnavailable} })
	w.trade(in, s, ordersSpec, "")
	p.set(func(p *exchangingProvider) { p.fails = nil })
	await(t, "a token", func() bool { return strings.HasPrefix(w.trade(in, s, ordersSpec, ""), "x2 ") })
}

// A panic over a hostile answer has nobody wait for ever.
func TestAnExchangeThatPanics(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	p.set(func(p *exchangingProvider) { p.panic = true })
	if got := w.trade(in, s, ordersSpec, ""); got != string(bff.CodeInternal) {
		t.Errorf("got %q", got)
	}
	p.set(func(p *exchangingProvider) { p.panic = false })
	if got := w.trade(in, s, ordersSpec, ""); !strings.HasPrefix(got, "x2 ") {
		t.Errorf("afterwards %q", got)
	}
}

// keptFault is a store in trouble.
type keptFault struct {
	bff.KeptTokens
	read, keep error
}

func (k *keptFault) ReadToken(ctx context.Context, s *bff.Session, name string) (bff.TokenSet, error) {
	if k.read != nil {
		return bff.TokenSet{}, k.read
	}
	return k.KeptTokens.ReadToken(ctx, s, name)
}

func (k *keptFault) KeepToken(ctx context.Context, s *bff.Session, name string, t bff.TokenSet) error {
	if k.keep != nil {
		return k.keep
	}
	return k.KeptTokens.KeepToken(ctx, s, name, t)
}

// A store that cannot be asked is 503, and the provider is not asked in its place. One that takes no writes costs the provider
// one exchange, not one for each request.
//
// shows TX-NOFALL
func TestAnExchangeAndAStoreInTrouble(t *testing.T) {
	w, p, start := exchangeWorld(t)
	fault := &keptFault{read: bff.ErrStore, keep: bff.ErrStore}
	in := start(func(ports *bff.Ports) { fault.KeptTokens, ports.Kept = ports.Kept, fault })
	s := w.session(in, w.login(in))
	if got := w.trade(in, s, ordersSpec, ""); got != string(bff.CodeStoreUnavailable) || p.calls() != 0 {
		t.Errorf("got %q after %d exchanges", got, p.calls())
	}
	fault.read = nil
	for range 20 {
		if got := w.trade(in, s, ordersSpec, ""); !strings.HasPrefix(got, "x1 ") {
			t.Errorf("without writes: got %q", got)
		}
	}
	if got := w.trade(in, s, ordersSpec, "x1 orders  read of access-1"); !strings.HasPrefix(got, "x2 ") {
		t.Errorf("without writes, refused: got %q", got)
	}
}
