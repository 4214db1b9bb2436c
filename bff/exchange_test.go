package bff_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// exchangingProvider is a provider that exchanges tokens: "x<n> <audience> <resource> <scopes> of <subject>", for five
// minutes each.
type exchangingProvider struct {
	*fakeProvider
	w       *world
	arrived chan struct{} // one value per exchange that reached it

	mu    sync.Mutex
	asked []string      // what for, and of which subject
	gate  chan struct{} // if set, exchanges wait for it
	fails error
	panic bool
}

func (p *exchangingProvider) ExchangeToken(ctx context.Context, subject bff.TokenSet, x bff.ExchangeSpec) (bff.TokenSet, error) {
	p.mu.Lock()
	what := fmt.Sprintf("%s %s %s of %s", x.Audience, x.Resource, strings.Join(x.Scopes, ","), subject.Access.Reveal())
	p.asked = append(p.asked, what)
	n, gate, fails, breaks := len(p.asked), p.gate, p.fails, p.panic
	p.mu.Unlock()
	p.arrived <- struct{}{}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return bff.TokenSet{}, &bff.Error{Code: bff.CodeIDPUnavailable, Err: ctx.Err()}
		}
	}
	if breaks {
		panic("a hostile answer")
	}
	if fails != nil {
		return bff.TokenSet{}, fails
	}
	now := p.w.clock.now()
	return bff.TokenSet{
		Access: bff.NewSecret(fmt.Sprintf("x%d %s", n, what)), TokenType: "Bearer", Scope: strings.Join(x.Scopes, " "),
		ReceivedAt: now, RefreshAt: now.Add(4*time.Minute + 30*time.Second), ExpiresAt: now.Add(5 * time.Minute),
	}, nil
}

func (p *exchangingProvider) set(f func(*exchangingProvider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *exchangingProvider) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// exchangeWorld is a world whose provider exchanges tokens.
func exchangeWorld(t *testing.T) (*world, *exchangingProvider, func(...func(*bff.Ports)) *instance) {
	t.Helper()
	w := newWorld(t)
	p := &exchangingProvider{fakeProvider: w.idp, w: w, arrived: make(chan struct{}, 1000)}
	start := func(more ...func(*bff.Ports)) *instance {
		return w.instance(append([]func(*bff.Ports){func(ports *bff.Ports) {
			ports.Kept = ports.Records.(bff.KeptTokens)
			ports.Providers = func(string) bff.Provider { return p }
		}}, more...)...)
	}
	return w, p, start
}

var ordersSpec = bff.ExchangeSpec{Audience: "orders", Scopes: []string{"read"}}

// trade wants the exchanged token for a session and returns its text, or the code of the refusal.
func (w *world) trade(in *instance, s *bff.Session, x bff.ExchangeSpec, refused string) string {
	t, err := in.ExchangedToken(context.Background(), w.app, s, x, bff.NewSecret(refused))
	if err != nil {
		return string(bff.CodeOf(err))
	}
	return t.Access.Reveal()
}

// kept is how many exchanged tokens Redis has.
func (w *world) kept() (n int) {
	for _, key := range w.redis.Keys() {
		if strings.HasSuffix(key, ":tok") {
			fields, _ := w.redis.HKeys(key)
			n += len(fields)
		}
	}
	return n
}

// However many want it in one process, the provider is asked once; whoever comes later, at whatever instance, has what is
// kept. In Redis it is sealed.
//
// shows TX-CACHE
func TestOneExchangeForAllRequests(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	gate := make(chan struct{})
	p.set(func(p *exchangingProvider) { p.gate = gate })
	const want = "x1 orders  read of access-1"
	var wanting sync.WaitGroup
	for range 50 {
		wanting.Go(func() {
			if got := w.trade(in, s, ordersSpec, ""); got != want {
				t.Errorf("got %q", got)
			}
		})
	}
	<-p.arrived
	close(gate)
	wanting.Wait()
	other := start()
	if got := w.trade(other, w.session(other, s.Root), ordersSpec, ""); got != want {
		t.Errorf("another instance has %q", got)
	}
	if n := p.calls(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	if dump := w.redis.Dump(); strings.Contains(dump, "orders") || strings.Contains(dump, "of access") || w.kept() != 1 {
		t.Error("Redis holds the token, or whom it is for, in the clear, or not at all")
	}
}

// whenRead holds the answer of one look for a kept token, the first after it is armed, until it is let go.
type whenRead struct {
	bff.KeptTokens
	armed atomic.Bool
	read  chan struct{} // closed when the answer is known
	on    chan struct{}
}

func (k *whenRead) ReadToken(ctx context.Context, s *bff.Session, name string) (bff.TokenSet, error) {
	t, err := k.KeptTokens.ReadToken(ctx, s, name)
	if k.armed.CompareAndSwap(true, false) {
		close(k.read)
		<-k.on
	}
	return t, err
}

// A request that found nothing kept, and comes to ask when the one exchange is over, finds it then.
//
// shows TX-CACHE
func TestALateRequestLooksAgainBeforeItAsks(t *testing.T) {
	w, p, start := exchangeWorld(t)
	slow := &whenRead{read: make(chan struct{}), on: make(chan struct{})}
	in := start(func(ports *bff.Ports) { slow.KeptTokens, ports.Kept = ports.Kept, slow })
	slow.armed.Store(true)
	other := start()
	s := w.session(in, w.login(in))
	late := make(chan string, 1)
	go func() { late <- w.trade(in, s, ordersSpec, "") }()
	<-slow.read
	first := w.trade(other, s, ordersSpec, "")
	close(slow.on)
	if got := <-late; got != first || p.calls() != 1 {
		t.Errorf("%q and %q after %d exchanges", first, got, p.calls())
	}
}

// A request whose token was refused, and that comes to have it renewed when another one's renewal is over, gets what that one
// got: it is not told that the API refuses what is newest.
//
// shows TX-2.2
func TestALateRefusalGetsTheRenewedToken(t *testing.T) {
	w, p, start := exchangeWorld(t)
	slow := &whenRead{read: make(chan struct{}), on: make(chan struct{})}
	in := start(func(ports *bff.Ports) { slow.KeptTokens, ports.Kept = ports.Kept, slow })
	s := w.session(in, w.login(in))
	first := w.trade(in, s, ordersSpec, "")
	slow.armed.Store(true)
	late := make(chan string, 1)
	go func() { late <- w.trade(in, s, ordersSpec, first) }()
	<-slow.read
	renewed := w.trade(in, s, ordersSpec, first)
	close(slow.on)
	if got := <-late; got != renewed || got == first || p.calls() != 2 {
		t.Errorf("%q and %q after %d exchanges", renewed, got, p.calls())
	}
}

// What was exchanged for one user, session, target, set of scopes or version of the subject's token serves no other.
//
// shows TX-CACHE
func TestAnExchangedTokenIsNoOthers(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	wide := bff.ExchangeSpec{Audience: "orders", Scopes: []string{"read", "write"}}
	w.trade(in, s, wide, "")
	p.fakeProvider.set(func(p *fakeProvider) { p.subject, p.sid = "usr_2", "ses_2" })
	grace := w.session(in, w.login(in))
	p.fakeProvider.set(func(p *fakeProvider) { p.subject = "usr_1" })
	again := w.session(in, w.login(in))
	renewed := *s
	renewed.Tokens.Access = bff.NewSecret("access-renewed")
	swapped := *grace
	swapped.Tokens = s.Tokens // the same subject token, as nobody but a thief has it
	for i, tc := range []struct {
		with string
		of   *bff.Session
		spec bff.ExchangeSpec
	}{
		{"less scope", s, ordersSpec},
		{"no scope", s, bff.ExchangeSpec{Audience: "orders"}},
		{"another audience", s, bff.ExchangeSpec{Audience: "invoices", Scopes: wide.Scopes}},
		{"the name as a resource", s, bff.ExchangeSpec{Resource: "orders", Scopes: wide.Scopes}},
		{"a resource besides", s, bff.ExchangeSpec{Audience: "orders", Resource: "https://orders.example.com", Scopes: wide.Scopes}},
		{"a name that looks like more", s, bff.ExchangeSpec{Audience: `orders" "`, Scopes: wide.Scopes}},
		{"other parts that read the same", s, bff.ExchangeSpec{Audience: "orders ", Resource: "read", Scopes: []string{"write"}}},
		{"another user", grace, wide},
		{"another session of the user", again, wide},
		{"a newer subject token", &renewed, wide},
		{"the subject token in another session", &swapped, wide},
	} {
		got := w.trade(in, tc.of, tc.spec, "")
		if n := p.calls(); n != i+2 || !strings.HasPrefix(got, fmt.Sprintf("x%d ", n)) {
			t.Errorf("a request with %s has %q after %d exchanges", tc.with, got, n)
		}
	}
	if got := w.trade(in, s, bff.ExchangeSpec{Audience: "orders", Scopes: []string{"write", "read"}}, ""); !strings.HasPrefix(got, "x1 ") {
		t.Errorf("the same scopes in another order: %q", got)
	}
}

// A sign-out, a refresh and a sign-in that takes the session's place take its exchanged tokens along.
//
// shows TX-CACHE
func TestExchangedTokensGoWithTheirSubject(t *testing.T) {
	for _, tc := range []struct {
		with string
		do   func(w *world, in *instance, s *bff.Session) error
	}{
		{"a sign-out", func(w *world, in *instance, s *bff.Session) error {
			_, err := in.SignOut(context.Background(), w.app, s)
			return err
		}},
		{"a refresh", func(w *world, in *instance, s *bff.Session) error {
			w.expire()
			_, err := in.FreshTokens(context.Background(), w.app, s)
			return err
		}},
		{"a sign-in in its place", func(w *world, in *instance, s *bff.Session) error {
			w.loginWith(in, bff.LoginRequest{Replaces: s.Root})
			return nil
		}},
	} {
		t.Run("a session with "+tc.with, func(t *testing.T) {
			w, _, start := exchangeWorld(t)
			in := start()
			s := w.session(in, w.login(in))
			w.trade(in, s, ordersSpec, "")
			if n := w.kept(); n != 1 {
				t.Fatalf("%d tokens kept", n)
			}
			if err := tc.do(w, in, s); err != nil {
				t.Fatal(err)
			}
			if n := w.kept(); n != 0 {
				t.Errorf("%d tokens are kept still", n)
			}
		})
	}
}

// A sign-out while the provider is asked: nobody is given what it answers, and nothing of it is left.
//
// shows TX-CACHE
func TestASignOutOvertakesAnExchange(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	gate := make(chan struct{})
	p.set(func(p *exchangingProvider) { p.gate = gate })
	got := make(chan string, 1)
	go func() { got <- w.trade(in, s, ordersSpec, "") }()
	<-p.arrived
	if _, err := in.SignOut(context.Background(), w.app, s); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if code := <-got; code != string(bff.CodeSessionEnded) || w.kept() != 0 {
		t.Errorf("got %q, and %d tokens are kept", code, w.kept())
	}
}

// A caller that goes away leaves the exchange running: what comes of it is kept for the next.
func TestACallerThatLeavesAnExchange(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	gate := make(chan struct{})
	p.set(func(p *exchangingProvider) { p.gate = gate })
	ctx, leave := context.WithCancel(context.Background())
	got := make(chan error, 1)
	go func() {
		_, err := in.ExchangedToken(ctx, w.app, s, ordersSpec, bff.Secret{})
		got <- err
	}()
	<-p.arrived
	leave()
	if err := <-got; bff.CodeOf(err) != bff.CodeClientGone {
		t.Errorf("told %v", err)
	}
	close(gate)
	await(t, "the token kept", func() bool { return w.kept() == 1 })
	if token := w.trade(in, s, ordersSpec, ""); p.calls() != 1 {
		t.Errorf("%q after %d exchanges", token, p.calls())
	}
}

// In the soft window the token is used, and renewed beside; after its end it is waited for.
func TestAnExchangedTokenIsRenewed(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	first := w.trade(in, s, ordersSpec, "")
	w.clock.move(4*time.Minute + 45*time.Second)
	if got := w.trade(in, s, ordersSpec, ""); got != first {
		t.Errorf("in the soft window: %q", got)
	}
	await(t, "the renewal beside", func() bool { return strings.HasPrefix(w.trade(in, s, ordersSpec, ""), "x2 ") })
	w.clock.move(6 * time.Minute)
	if got := w.trade(in, s, ordersSpec, ""); !strings.HasPrefix(got, "x3 ") || p.calls() != 3 {
		t.Errorf("after its end: %q after %d exchanges", got, p.calls())
	}
}

// An API that refuses a token has it exchanged anew, once for all who were refused; one that refuses every token costs the
// provider no call for each.
//
// shows TX-2.2
func TestAnAPIThatRefusesExchangedTokens(t *testing.T) {
	w, p, start := exchangeWorld(t)
	in := start()
	s := w.session(in, w.login(in))
	first := w.trade(in, s, ordersSpec, "")
	var refused sync.WaitGroup
	for range 20 {
		refused.Go(func() {
			if got := w.trade(in, s, ordersSpec, first); !strings.HasPrefix(got, "x2 ") {
				t.Errorf("refused the first, got %q", got)
			}
		})
	}
	refused.Wait()
	second := w.trade(in, s, ordersSpec, "")
	for range 20 {
		if got := w.trade(in, s, ordersSpec, second); got != string(bff.CodeUpstreamRefused) {
			t.Errorf("refused the second, got %q", got)
		}
	}
	if got := w.trade(in, s, ordersSpec, first); got != second || p.calls() != 2 {
		t.Errorf("one that comes late has %q after %d exchanges", got, p.calls())
	}
}
