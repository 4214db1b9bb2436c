package bff_test

import (
	"context"
	"strings"
	"testing"

	"cloakroom/bff"
)

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
