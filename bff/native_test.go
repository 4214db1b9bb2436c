package bff_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
)

// shows NAT-8.6, NAT-8.9
func TestALoginAsksAPersonWhereTheRedirectProvesNothing(t *testing.T) {
	for redirect, asks := range map[string]bool{
		claimed: false, scheme: true, "http://127.0.0.1:49152/callback": true, "http://[::1]:49152/callback": true,
		"httpss:/almost": true,
	} {
		t.Run(redirect, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			l := w.returned(a, redirect)
			if asks != l.Code.IsZero() || asks == l.Ticket.IsZero() || l.Identity.Subject != "usr_1" {
				t.Fatalf("code %v, ticket %v, subject %q", !l.Code.IsZero(), !l.Ticket.IsZero(), l.Identity.Subject)
			}
			if diff := cmp.Diff(*request(redirect), l.Request); diff != "" {
				t.Errorf("the request came back changed:\n%s", diff)
			}
			if asks {
				_, err := b.Redeem(context.Background(), w.app, redemption(l.Ticket, redirect))
				wantCode(t, "the ticket as a code", err, bff.CodeGrantRejected)
				l = w.returned(a, redirect)
				confirmed, err := b.ConfirmNativeLogin(context.Background(), w.app, l.Ticket)
				if err != nil || confirmed.Code.IsZero() || !confirmed.Ticket.IsZero() || confirmed.Request != l.Request {
					t.Fatalf("confirmed: %+v, %v", confirmed, err)
				}
				l = confirmed
			}
			if _, err := a.Redeem(context.Background(), w.app, redemption(l.Code, redirect)); err != nil {
				t.Errorf("redeeming: %v", err)
			}
		})
	}
}

// shows NAT-8.6
func TestATicketAnswersOnce(t *testing.T) {
	confirm := func(in *instance, app *bff.App, ticket bff.Root) error {
		_, err := in.ConfirmNativeLogin(context.Background(), app, ticket)
		return err
	}
	cancel := func(in *instance, app *bff.App, ticket bff.Root) error {
		_, err := in.CancelNativeLogin(context.Background(), app, ticket)
		return err
	}
	for name, c := range map[string]struct {
		first, second func(*instance, *bff.App, bff.Root) error
	}{
		"confirmed, then confirmed": {confirm, confirm},
		"confirmed, then cancelled": {confirm, cancel},
		"cancelled, then confirmed": {cancel, confirm},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			l := w.returned(a, scheme)
			wantCode(t, "first", c.first(a, w.app, l.Ticket), "")
			wantCode(t, "second", c.second(b, w.app, l.Ticket), bff.CodeGone)
		})
	}
	w := newNativeWorld(t)
	a := w.instance()
	wantCode(t, "a ticket of nothing", confirm(a, w.app, bff.NewRoot()), bff.CodeGone)
	other := *w.app
	other.ID = "tablet"
	l := w.returned(a, scheme)
	wantCode(t, "a ticket at another app", confirm(a, &other, l.Ticket), bff.CodeGone)
	wantCode(t, "the same at its own, after that", confirm(a, w.app, l.Ticket), bff.CodeGone)
	code := w.returned(a, claimed).Code
	wantCode(t, "a code as a ticket", confirm(a, w.app, code), bff.CodeGone)
	l = w.returned(a, scheme)
	w.redis.SetError("ERR down")
	wantCode(t, "a ticket while the store is down", confirm(a, w.app, l.Ticket), bff.CodeStoreUnavailable)
	w.redis.SetError("")
	wantCode(t, "the same when it is back", confirm(a, w.app, l.Ticket), "")
	l = w.returned(a, scheme)
	w.redis.FastForward(bff.ConfirmLife)
	wantCode(t, "a ticket that is too old", confirm(a, w.app, l.Ticket), bff.CodeGone)
}

// shows NAT-8.6
func TestACancelledLoginIsForgotten(t *testing.T) {
	for name, spares := range map[string]bool{"revocations spare the grant": true, "revocations end the grant": false} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			w.app.Provider.RevocationSparesGrant = spares
			a := w.instance()
			ticket := w.returned(a, scheme).Ticket
			l, err := a.CancelNativeLogin(context.Background(), w.app, ticket)
			if err != nil || l.Request != *request(scheme) || !l.Code.IsZero() || !l.Ticket.IsZero() {
				t.Errorf("cancelled: %+v, %v", l, err)
			}
			if revoked := w.revocations(a, "refresh-1"); revoked != spares {
				t.Errorf("its tokens revoked: %v", revoked)
			}
		})
	}
}

// The user signs out elsewhere while the login is on its way, or while the page waits for an answer.
//
// shows RPL-PENDING
func TestANativeLoginOvertakenByASignOutHandsOutNothing(t *testing.T) {
	for name, redirect := range map[string]string{"before the code": claimed, "before the answer": scheme} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a, b := w.instance(), w.instance()
			s := w.nativeLogin(a)
			w.clock.move(10 * time.Second)
			signOut := func() {
				if _, err := b.SignOut(context.Background(), w.app, s); err != nil {
					t.Error(err)
				}
			}
			start, state := w.begin(a, bff.LoginRequest{Native: request(redirect)})
			if redirect == claimed {
				w.idp.set(func(p *fakeProvider) { p.onCode = signOut })
			}
			l, err := a.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
			if redirect == scheme {
				signOut()
				_, err = a.ConfirmNativeLogin(context.Background(), w.app, l.Ticket)
			}
			wantCode(t, "the login", err, bff.CodeLoginSignedOut)
			failed, ok := errors.AsType[*bff.LoginError](err)
			if !ok || failed.Native == nil || *failed.Native != *request(redirect) {
				t.Errorf("the failure does not know its request: %#v", failed)
			}
			if !w.revocations(a, "refresh-2") {
				t.Error("its tokens live on")
			}
		})
	}
}

// shows NAT-8.9, NAT-SWAP
func TestAFailedNativeLoginKnowsItsRequest(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, cb *bff.Callback)
		want   bff.Code
		known  bool
	}{
		"refused by the provider": {func(_ *world, cb *bff.Callback) { cb.Error = "access_denied" }, bff.CodeLoginRefused, true},
		"of another provider":     {func(_ *world, cb *bff.Callback) { cb.Issuer = "https://evil.example.com" }, bff.CodeLoginMixedUp, true},
		"without a code":          {func(_ *world, cb *bff.Callback) { cb.Code = bff.Secret{} }, bff.CodeLoginNoCode, true},
		"that took too long":      {func(w *world, _ *bff.Callback) { w.clock.move(11 * time.Minute) }, bff.CodeLoginExpired, true},
		"with the store down":     {func(w *world, _ *bff.Callback) { w.redis.SetError("ERR down") }, bff.CodeStoreUnavailable, true},
		"in another browser":      {func(_ *world, cb *bff.Callback) { cb.Sealed = "" }, bff.CodeLoginUnknown, false},
		"with another sign-in's state": {func(w *world, cb *bff.Callback) {
			_, cb.State = w.begin(w.instance(), bff.LoginRequest{Native: request(scheme)})
		}, bff.CodeLoginUnknown, false},
		"with another sign-in's cookie": {func(w *world, cb *bff.Callback) {
			other, _ := w.begin(w.instance(), bff.LoginRequest{Native: request(claimed)})
			cb.Sealed = other.Sealed
		}, bff.CodeLoginUnknown, false},
		"a second time": {func(w *world, cb *bff.Callback) {
			if _, err := w.instance().CompleteNativeLogin(context.Background(), w.app, *cb); err != nil {
				w.t.Fatal(err)
			}
		}, bff.CodeLoginReplayed, true},
		"with the store down after the exchange": {func(w *world, _ *bff.Callback) {
			w.idp.set(func(p *fakeProvider) { p.onCode = func() { w.redis.SetError("ERR down") } })
		}, bff.CodeStoreUnavailable, true},
	} {
		t.Run("an answer "+name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			start, state := w.begin(a, bff.LoginRequest{Native: request(scheme), Silent: true})
			cb := w.callback(start, state)
			c.change(w, &cb)
			_, err := a.CompleteNativeLogin(context.Background(), w.app, cb)
			wantCode(t, "completing", err, c.want)
			failed, ok := errors.AsType[*bff.LoginError](err)
			if ok != c.known || c.known && (failed.Native == nil || *failed.Native != *request(scheme) || !failed.Silent) {
				t.Errorf("the failure tells %#v", failed)
			}
		})
	}
}

// A login of a browser app gives no code, and one of a native app no cookie.
//
// shows NAT-TYPE
func TestALoginOfOneKindIsNotCompletedAsTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		began, ended bff.Kind
	}{
		"a native app's at a browser app": {bff.KindDesktop, bff.KindWeb},
		"a browser app's at a native app": {bff.KindSPA, bff.KindMobile},
	} {
		t.Run(name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			var r bff.LoginRequest
			if w.app.Kind = c.began; w.app.Native() {
				r.Native = request(claimed)
			}
			start, state := w.begin(a, r)
			w.app.Kind = c.ended
			_, err := a.CompleteLogin(context.Background(), w.app, w.callback(start, state))
			if w.app.Native() {
				_, err = a.CompleteNativeLogin(context.Background(), w.app, w.callback(start, state))
			}
			wantCode(t, "completing", err, bff.CodeLoginUnknown)
			if w.idp.issued != 0 {
				t.Error("the code was exchanged")
			}
		})
	}
}

func TestALongNativeRequestFitsItsCookieOrIsRefused(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	r := request("com.example.app:/" + strings.Repeat("x", 200))
	r.State = strings.Repeat("s", 512)
	start, err := a.BeginLogin(context.Background(), w.app, bff.LoginRequest{Native: r})
	if err != nil || len(start.Sealed) > 1536 {
		t.Errorf("%v", err)
	}
	r.State = strings.Repeat("s", 1024)
	_, err = a.BeginLogin(context.Background(), w.app, bff.LoginRequest{Native: r})
	wantCode(t, "a request that is too long", err, bff.CodeBadRequest)
}

// Logins are under way while the gateway is replaced: what the version before sealed is completed by this one.
//
// shows KEY-SCHEMA
func TestATransactionOfTheVersionBeforeIsCompleted(t *testing.T) {
	w := newWorld(t)
	a := w.instance()
	seed := bytes.Repeat([]byte{7}, 32)
	plain := append([]byte{1, 0}, seed...)
	plain = binary.BigEndian.AppendUint64(plain, uint64(w.clock.now().UnixMilli()))
	plain = append(plain, "\x00\x00\x07/orders"...)
	state, _ := hkdf.Key(sha256.New, seed, nil, "cloakroom transaction state", 32)
	sealed := w.ring().Seal(bff.PurposeTransaction, plain, w.app.ID, w.app.Provider.Issuer, w.app.ClientID, w.app.RedirectURI)
	l, err := a.CompleteLogin(context.Background(), w.app, bff.Callback{
		State: base64.RawURLEncoding.EncodeToString(state), Code: bff.NewSecret("code"), Issuer: "https://op.example.com",
		Sealed: base64.RawURLEncoding.EncodeToString(sealed),
	})
	if err != nil || l.ReturnTo != "/orders" {
		t.Errorf("completed: %+v, %v", l, err)
	}
}

// shows NAT-TOKEN
func TestAPendingLoginCannotBePrinted(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	l := w.returned(a, claimed)
	r := redemption(l.Code, claimed)
	if shown := fmt.Sprintf("%+v %#v %v", l, r, l.Code); strings.Contains(shown, l.Code.Reveal()) {
		t.Errorf("shows the code: %s", shown)
	}
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
