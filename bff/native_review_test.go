package bff_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
)

// A thief who rotates on and on must not keep the refusals of the app in the grace of its own moves: the app would lose
// the session without a word, and the thief would keep it.
//
// shows NAT-ROT
func TestAThiefWhoRotatesOnAndOnIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		thief func(w *world, a *instance, stolen pair) pair
	}{
		"three times at once": {func(w *world, a *instance, p pair) pair {
			return w.mustRotate(a, w.mustRotate(a, w.mustRotate(a, p.refresh).refresh).refresh)
		}},
		"within each grace": {func(w *world, a *instance, p pair) pair {
			for range 4 {
				p = w.mustRotate(a, p.refresh)
				w.clock.move(29 * time.Second)
			}
			return p
		}},
		"twice, the second time a moment ago": {func(w *world, a *instance, p pair) pair {
			p = w.mustRotate(a, p.refresh)
			w.clock.move(31 * time.Second)
			return w.mustRotate(a, p.refresh)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			s := w.nativeLogin(a)
			mine := w.pair(a, s)
			theirs := c.thief(w, a, mine)
			_, err := w.rotate(b, mine.refresh)
			wantCode(t, "the app's own handle", err, bff.CodeGrantRejected)
			_, err = w.rotate(a, theirs.refresh)
			wantCode(t, "the thief's handle", err, bff.CodeGrantRejected)
			b.endedFor(t, bff.ReasonHandleReused)
			if !w.revocations(b, "refresh-1") {
				t.Error("the refresh token lives on")
			}
		})
	}
}

// A code or ticket that another provider's app presents is burned, but its tokens are nothing to that provider.
//
// shows NAT-BIND
func TestTokensGoToTheirOwnProviderAlone(t *testing.T) {
	for name, present := range map[string]func(a *instance, w *world, other *bff.App) error{
		"an exchange code": func(a *instance, w *world, other *bff.App) error {
			_, err := a.Redeem(context.Background(), other, redemption(w.returned(a, claimed).Code, claimed))
			return err
		},
		"a ticket that is confirmed": func(a *instance, w *world, other *bff.App) error {
			_, err := a.ConfirmNativeLogin(context.Background(), other, w.returned(a, scheme).Ticket)
			return err
		},
		"a ticket that is cancelled": func(a *instance, w *world, other *bff.App) error {
			_, err := a.CancelNativeLogin(context.Background(), other, w.returned(a, scheme).Ticket)
			return err
		},
	} {
		for spares, what := range map[bool]string{true: " where its provider's revocations spare the grant", false: ""} {
			t.Run(name+what, func(t *testing.T) {
				w := newNativeWorld(t)
				foreign := newFakeProvider()
				a := w.instance(func(p *bff.Ports) {
					p.Providers = func(app string) bff.Provider {
						if app == "phone" {
							return w.idp
						}
						return foreign
					}
				})
				other := *w.app
				policy := *w.app.Provider
				policy.Name, policy.Issuer, policy.RevocationSparesGrant = "other", "https://evil.example.com", spares
				other.ID, other.Provider = "tablet", &policy
				if err := present(a, w, &other); err == nil {
					t.Error("it was taken")
				}
				w.revocations(a, "")
				if len(foreign.revoked) != 0 {
					t.Errorf("another provider was sent %v", foreign.revoked)
				}
				if len(w.idp.revoked) != 0 { // whether that spares the user's other sessions, this app's policy does not know
					t.Errorf("its own provider was told to revoke %v", w.idp.revoked)
				}
			})
		}
	}
}

// Tokens are revoked by the client that they were given to (RFC 7009 section 2.1), also where another app of the same provider
// presents their code.
//
// shows NAT-BIND
func TestTokensAreRevokedByTheirOwnClient(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Provider.RevocationSparesGrant = true
	neighbour := newFakeProvider()
	a := w.instance(func(p *bff.Ports) {
		p.Providers = func(app string) bff.Provider {
			if app == "phone" {
				return w.idp
			}
			return neighbour
		}
	})
	other := *w.app
	other.ID = "tablet"
	_, err := a.Redeem(context.Background(), &other, redemption(w.returned(a, claimed).Code, claimed))
	wantCode(t, "redeeming at another app", err, bff.CodeGrantRejected)
	if !w.revocations(a, "refresh-1") || len(neighbour.revoked) != 0 {
		t.Errorf("revoked by its own client: %v, by another: %v", w.idp.revoked, neighbour.revoked)
	}
}

// A record is of its app only as that app is now: by a handle or by a cookie, and of this provider. Whoever changes an app's
// kind or provider under its name must not have old roots taken for cookies, nor old tokens sent to the new provider.
//
// shows NAT-TYPE
func TestARecordIsNotOfAnAppThatHasBecomeAnother(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	s := w.nativeLogin(a)
	p := w.pair(a, s)
	was := *w.app
	w.app.Kind = bff.KindWeb
	_, err := a.Session(context.Background(), w.app, s.Root)
	wantCode(t, "a handle's root as a cookie", err, bff.CodeSessionRequired)
	*w.app = was
	moved := *w.app.Provider
	moved.Name = "new"
	w.app.Provider = &moved
	_, err = w.call(a, p.access)
	wantCode(t, "a call after the provider changed", err, bff.CodeSessionRequired)
	_, err = w.rotate(a, p.refresh)
	wantCode(t, "a rotation after the provider changed", err, bff.CodeGrantRejected)
	*w.app = was
	if _, err = w.call(a, p.access); err != nil {
		t.Errorf("the app as it was: %v", err)
	}
	code := w.returned(a, claimed).Code
	w.app.Provider = &moved
	_, err = a.Redeem(context.Background(), w.app, redemption(code, claimed))
	wantCode(t, "a redemption after the provider changed", err, bff.CodeGrantRejected)
	*w.app = was
	ticket := w.returned(a, scheme).Ticket
	w.app.Provider = &moved
	_, err = a.ConfirmNativeLogin(context.Background(), w.app, ticket)
	wantCode(t, "a click after the provider changed", err, bff.CodeGone)

	w = newWorld(t)
	a = w.instance()
	root := w.login(a)
	w.app.Kind = bff.KindMobile
	_, err = a.Session(context.Background(), w.app, root)
	wantCode(t, "a cookie's root where handles are asked for", err, bff.CodeSessionRequired)
	w.app.Kind = bff.KindSPA
	moved = *w.app.Provider
	moved.Name = "new"
	w.app.Provider = &moved
	_, err = a.Session(context.Background(), w.app, root)
	wantCode(t, "a cookie after the provider changed", err, bff.CodeSessionRequired)
}

// Whoever signs out after a pause means it: the handle's own age does not matter, all the rest does.
//
// shows RPL-NATIVE
func TestWhichAccessHandlesSignOut(t *testing.T) {
	for name, c := range map[string]struct {
		handle func(w *world, a *instance, p pair) string
		want   bff.Code
	}{
		"of the current turn":                {func(_ *world, _ *instance, p pair) string { return p.access }, ""},
		"of the current turn, past its life": {func(w *world, _ *instance, p pair) string { w.clock.move(time.Hour); return p.access }, ""},
		"of the turn before, whose successor was never used": {func(w *world, a *instance, p pair) string {
			w.mustRotate(a, p.refresh)
			w.clock.move(time.Hour)
			return p.access
		}, ""},
		"of the turn before, whose successor was used within the grace": {func(w *world, a *instance, p pair) string {
			w.use(a, w.mustRotate(a, p.refresh).access)
			w.clock.move(29 * time.Second)
			return p.access
		}, ""},
		"of the turn before, whose successor is in use": {func(w *world, a *instance, p pair) string {
			w.use(a, w.mustRotate(a, p.refresh).access)
			w.clock.move(31 * time.Second)
			return p.access
		}, bff.CodeSessionRequired},
		"two turns back": {func(w *world, a *instance, p pair) string {
			w.mustRotate(a, w.mustRotate(a, p.refresh).refresh)
			return p.access
		}, bff.CodeSessionRequired},
		"without proof":          {func(_ *world, _ *instance, p pair) string { return checked("clk_" + p.refresh[4:79]) }, bff.CodeSessionRequired},
		"that is a refresh one":  {func(_ *world, _ *instance, p pair) string { return p.refresh }, bff.CodeSessionRequired},
		"of an app that is gone": {func(w *world, _ *instance, p pair) string { w.app.ID = "tablet"; return p.access }, bff.CodeSessionRequired},
		"of a session whose time is over": {func(w *world, _ *instance, p pair) string {
			w.clock.move(14 * 24 * time.Hour)
			return p.access
		}, bff.CodeSessionExpired},
		"while the store is down": {func(w *world, _ *instance, p pair) string { w.redis.SetError("ERR down"); return p.access }, bff.CodeStoreUnavailable},
	} {
		t.Run("an access handle "+name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			s := w.nativeLogin(a)
			handle := c.handle(w, a, w.pair(a, s))
			app, got, err := a.LeavingSession(context.Background(), w.apps, w.parse(handle), nil)
			wantCode(t, "opening", err, c.want)
			if err == nil && (app != w.app || got.Lookup != s.Lookup) {
				t.Errorf("opened %s of %s", got.ID(), app.ID)
			}
			w.redis.SetError("")
		})
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

// hangingUp is a caller who is gone as soon as the store has found a reuse.
type hangingUp struct {
	bff.Turns
	hangUp context.CancelFunc
}

func (h hangingUp) Rotate(ctx context.Context, s *bff.Session, presented int64, grace time.Duration) (bff.Turn, error) {
	t, err := h.Turns.Rotate(ctx, s, presented, grace)
	h.hangUp()
	return t, err
}

// A thief who hangs up at once does not keep the session by that.
//
// shows NAT-ROT
func TestAReuseIsCarriedOutThoughItsCallerHangsUp(t *testing.T) {
	w := newNativeWorld(t)
	gone, hangUp := context.WithCancel(context.Background())
	a, b := w.instance(), w.instance(func(p *bff.Ports) { p.Turns = hangingUp{p.Turns, hangUp} })
	first := w.pair(a, w.nativeLogin(a))
	live := w.mustRotate(a, w.mustRotate(a, first.refresh).refresh)
	w.clock.move(time.Minute)
	_, err := b.RotateHandles(gone, w.app, w.parse(first.refresh))
	wantCode(t, "the stolen handle", err, bff.CodeGrantRejected)
	_, err = w.call(a, live.access)
	wantCode(t, "the live handle", err, bff.CodeSessionEnded)
}

// leaving is a caller who is gone when the store is asked to move a turn.
type leaving struct {
	bff.Turns
	leave context.CancelFunc
}

func (l leaving) Rotate(ctx context.Context, s *bff.Session, presented int64, grace time.Duration) (bff.Turn, error) {
	l.leave()
	return l.Turns.Rotate(ctx, s, presented, grace)
}

// An app that is gone before its answer is no outage of the store.
func TestARotationThatItsAppGaveUpIsNoOutage(t *testing.T) {
	w := newNativeWorld(t)
	gone, leave := context.WithCancel(context.Background())
	a, b := w.instance(), w.instance(func(p *bff.Ports) { p.Turns = leaving{p.Turns, leave} })
	first := w.pair(a, w.nativeLogin(a))
	_, err := b.RotateHandles(gone, w.app, w.parse(first.refresh))
	wantCode(t, "rotating", err, bff.CodeClientGone)
	w.mustRotate(a, first.refresh)
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

// The proof in a handle is of one key of the ring, one session, one kind and one turn: who has all but one of them makes
// none.
//
// shows NAT-TOKEN
func TestAProofIsOfOneHandle(t *testing.T) {
	ring := func(fill string) *bff.Keyring {
		key := []bff.Key{{ID: "k1", Bytes: bff.NewSecret(strings.Repeat(fill, bff.KeyBytes))}}
		r, err := bff.NewKeyring(key, nil, key)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	root := bff.NewRoot()
	proof := func(r *bff.Keyring, root bff.Root, kind bff.HandleKind, turn int64) string {
		mac, err := r.Turn("k1", root, kind, turn)
		if err != nil {
			t.Fatal(err)
		}
		return string(mac)
	}
	good := proof(ring("a"), root, bff.HandleAccess, 1)
	if proof(ring("a"), root, bff.HandleAccess, 1) != good {
		t.Error("one handle has two proofs")
	}
	for name, other := range map[string]string{
		"another key of the ring": proof(ring("b"), root, bff.HandleAccess, 1),
		"another session":         proof(ring("a"), bff.NewRoot(), bff.HandleAccess, 1),
		"another kind":            proof(ring("a"), root, bff.HandleRefresh, 1),
		"another turn":            proof(ring("a"), root, bff.HandleAccess, 2),
		"a turn far away":         proof(ring("a"), root, bff.HandleAccess, 1+1<<32),
	} {
		if other == good {
			t.Errorf("%s has the same proof", name)
		}
	}
}
