package bff_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// tokenProvider is a provider that gives apps tokens of their own: "<scope>-cc-<n>", for a minute each.
type tokenProvider struct {
	*fakeProvider
	w     *world
	calls atomic.Int64
	slow  time.Duration
	fails atomic.Pointer[error]
}

func (p *tokenProvider) ClientToken(ctx context.Context, scope string) (bff.TokenSet, error) {
	n := p.calls.Add(1)
	select {
	case <-time.After(p.slow):
	case <-ctx.Done():
		return bff.TokenSet{}, ctx.Err()
	}
	if err := p.fails.Load(); err != nil {
		return bff.TokenSet{}, *err
	}
	now := p.w.clock.now()
	return bff.TokenSet{
		Access: bff.NewSecret(fmt.Sprintf("%s-cc-%d", scope, n)), TokenType: "Bearer", Scope: scope,
		ReceivedAt: now, RefreshAt: now.Add(50 * time.Second), ExpiresAt: now.Add(time.Minute),
	}, nil
}

func (p *tokenProvider) fail(err error) { p.fails.Store(&err) }

// clientWorld is a world whose instances share apps' own tokens.
func clientWorld(t *testing.T) (*world, *tokenProvider, func(...func(*bff.Ports)) *instance) {
	t.Helper()
	w := newWorld(t)
	w.app.ClientScopes = []string{"org:read", "user:read"}
	p := &tokenProvider{fakeProvider: w.idp, w: w}
	start := func(more ...func(*bff.Ports)) *instance {
		return w.instance(append([]func(*bff.Ports){func(ports *bff.Ports) {
			ports.ClientTokens = ports.Records.(bff.ClientTokens)
			ports.Providers = func(string) bff.Provider { return p }
		}}, more...)...)
	}
	return w, p, start
}

// take wants the app's own token and returns its text, or the code of the refusal.
func take(w *world, in *instance, refused string) string {
	var secret bff.Secret
	if refused != "" {
		secret = bff.NewSecret(refused)
	}
	t, err := in.ClientToken(context.Background(), w.app, secret)
	if err != nil {
		return string(bff.CodeOf(err))
	}
	return t.Access.Reveal()
}

const firstOwn, secondOwn = "org:read user:read-cc-1", "org:read user:read-cc-2"

// However many want it, on whatever instances, the provider is asked once.
//
// shows SCALEKIT-M5
func TestOneCallForAnAppsOwnToken(t *testing.T) {
	w, p, start := clientWorld(t)
	p.slow = 100 * time.Millisecond // so that all have come before it answers
	instances := []*instance{start(), start(), start()}
	var wanting sync.WaitGroup
	for i := range 300 {
		wanting.Go(func() {
			if got := take(w, instances[i%3], ""); got != firstOwn {
				t.Errorf("got %q", got)
			}
		})
	}
	wanting.Wait()
	if got := take(w, start(), ""); got != firstOwn {
		t.Errorf("an instance that comes later has %q", got)
	}
	if n := p.calls.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
	if dump := w.redis.Dump(); strings.Contains(dump, "-cc-1") || !strings.Contains(dump, "cr:cc:") {
		t.Error("Redis holds the token in the clear, or not at all")
	}
}

// A token is one app's, as one client, at one provider, for its scopes: for anything else there is another.
//
// shows SCALEKIT-M7
func TestAnAppsOwnTokenIsNoOthers(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	take(w, in, "")
	for i, change := range []func(*bff.App){
		func(a *bff.App) { a.ID = "other" },
		func(a *bff.App) { a.ClientID = "client-other" },
		func(a *bff.App) { a.ClientScopes = []string{"user:read"} },
		func(a *bff.App) { a.Provider = &bff.ProviderPolicy{Name: "second"} },
	} {
		app := *w.app
		change(&app)
		got, err := in.ClientToken(t.Context(), &app, bff.Secret{})
		if n := p.calls.Load(); err != nil || n != int64(i+2) || !strings.HasSuffix(got.Access.Reveal(), fmt.Sprint("cc-", n)) {
			t.Errorf("change %d: got %s, %v after %d calls", i, got.Access.Reveal(), err, n)
		}
	}
}

// shows SCALEKIT-M5
func TestAnAppsOwnTokenIsRenewed(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	take(w, in, "")
	w.clock.move(55 * time.Second)
	if got := take(w, in, ""); got != firstOwn {
		t.Errorf("in the soft window: %q", got)
	}
	await(t, "the renewal beside", func() bool { return take(w, in, "") == secondOwn })
	w.clock.move(2 * time.Minute)
	if got := take(w, in, ""); got != "org:read user:read-cc-3" || p.calls.Load() != 3 {
		t.Errorf("after its end: %q after %d calls", got, p.calls.Load())
	}
}

// An API's refusal has a token renewed, once: not by every request, and not by every instance.
//
// shows SCALEKIT-M5
func TestARefusedOwnToken(t *testing.T) {
	w, p, start := clientWorld(t)
	one, two := start(), start()
	take(w, one, "")
	take(w, two, "")
	if got := take(w, one, firstOwn); got != secondOwn {
		t.Errorf("a refused token is followed by %q", got)
	}
	if got := take(w, two, firstOwn); got != secondOwn || p.calls.Load() != 2 {
		t.Errorf("on the other instance by %q after %d calls", got, p.calls.Load())
	}
	if got := take(w, one, firstOwn); got != secondOwn {
		t.Errorf("who comes late with the old refusal gets %q", got)
	}
	for range 20 {
		if got := take(w, one, secondOwn); got != secondOwn {
			t.Errorf("an API that refuses everything has %q asked for", got)
		}
	}
	if n := p.calls.Load(); n != 2 {
		t.Errorf("the provider was asked %d times", n)
	}
	w.clock.move(11 * time.Second)
	if got := take(w, one, secondOwn); got != "org:read user:read-cc-3" {
		t.Errorf("after a rest: %q", got)
	}
}

// While the token is good, a provider that is down costs nobody anything; afterwards it is an outage, asked about once per rest.
func TestAProviderThatIsDownGivesNoOwnToken(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	take(w, in, "")
	p.fail(&bff.Error{Code: bff.CodeIDPUnavailable, RetryAfter: 30 * time.Second, Err: errors.New("down")})
	w.clock.move(55 * time.Second)
	for range 20 {
		if got := take(w, in, ""); got != firstOwn {
			t.Errorf("a good token became %q", got)
		}
	}
	w.clock.move(time.Minute)
	for range 20 {
		if got := take(w, in, ""); got != string(bff.CodeIDPUnavailable) {
			t.Errorf("after its end: %q", got)
		}
	}
	if n := p.calls.Load(); n != 2 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// What an operator has to mend is said once, and not by every request.
//
// shows SCALEKIT-M4
func TestAClientThatMayHaveNoOwnToken(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	p.fail(&bff.Error{Code: bff.CodeManagementDisabled, Err: errors.New("unauthorized_client")})
	for range 20 {
		if got := take(w, in, ""); got != string(bff.CodeManagementDisabled) {
			t.Errorf("got %q", got)
		}
	}
	in.seen.until(t, "the alarm", func(s *seen) bool { return len(s.alarms) == 1 })
	if n := p.calls.Load(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// Without Redis every instance has its own: that is no outage.
func TestOwnTokensWithoutTheStore(t *testing.T) {
	w, p, start := clientWorld(t)
	one, two := start(), start()
	memory := start(func(ports *bff.Ports) { ports.ClientTokens = nil })
	w.redis.Close()
	for range 5 {
		take(w, one, "")
		take(w, two, "")
	}
	if got := take(w, one, ""); !strings.HasPrefix(got, "org:read user:read-cc-") || p.calls.Load() != 2 {
		t.Errorf("got %q after %d calls", got, p.calls.Load())
	}
	if got := take(w, memory, ""); got != "org:read user:read-cc-3" {
		t.Errorf("without a port for it: %q", got)
	}
}

// An instance that dies while it asks holds the others up for so long, and no longer.
func TestWhoHoldsTheClaimDies(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	key := bff.ClientTokenKey{Provider: "main", App: "web", ClientID: "client-web", Scope: "org:read user:read"}
	if ok, err := in.store.ClaimClientToken(t.Context(), key, "the dead one", time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if got := take(w, in, ""); got != firstOwn || p.calls.Load() != 1 {
		t.Errorf("got %q after %d calls", got, p.calls.Load())
	}
}

// Who goes away leaves the call running: it is for all.
func TestWhoWantsAnOwnTokenGoesAway(t *testing.T) {
	w, p, start := clientWorld(t)
	in := start()
	p.slow = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := in.ClientToken(ctx, w.app, bff.Secret{}); bff.CodeOf(err) != bff.CodeClientGone {
		t.Errorf("got %v", err)
	}
	if got := take(w, in, ""); got != firstOwn || p.calls.Load() != 1 {
		t.Errorf("got %q after %d calls", got, p.calls.Load())
	}
}

// await polls a condition, with a deadline.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never saw %s", what)
		}
	}
}
