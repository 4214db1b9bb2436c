package bff_test

import (
	"fmt"
	"strings"
	"testing"

	"cloakroom/bff"
)

// Each row is a redemption: what the app announced at its start, what came with the code, and what the app may do.
//
// shows NAT-BIND, DPOP-10
func TestARedemptionBindsAsAnnouncedOrBurnsTheCode(t *testing.T) {
	const swapped, wrongly = "phone: exchange code with another key", "phone: exchange code not bound as the app is to"
	for _, c := range []struct {
		announced, came        string
		off, allowed, required string // the rule that refuses it; "" = none
	}{
		{"", "", "", "", wrongly},
		{"", ownKey, wrongly, "", ""},
		{ownKey, "", swapped, swapped, swapped},
		{ownKey, otherKey, swapped, swapped, swapped},
		{ownKey, ownKey, wrongly, "", ""},
	} {
		for binding, rule := range map[bff.Binding]string{
			"": c.off, bff.BindingOff: c.off, bff.BindingAllowed: c.allowed, bff.BindingRequired: c.required,
		} {
			t.Run(fmt.Sprintf("announced %.1q, came %.1q, %s", c.announced, c.came, binding), func(t *testing.T) {
				w := newNativeWorld(t)
				w.app.Binding = binding
				a, b := w.instance(), w.instance()
				asked := request(claimed)
				asked.Key = c.announced
				start, state := w.begin(a, bff.LoginRequest{Native: asked})
				l, err := b.CompleteNativeLogin(t.Context(), w.app, w.callback(start, state))
				if err != nil || l.Request != *asked {
					t.Fatalf("completing: %+v, %v", l, err)
				}
				r := redemption(l.Code, claimed)
				r.Key = c.came
				s, err := a.Redeem(t.Context(), w.app, r)
				if got := a.refusals(); got != rule {
					t.Errorf("traced %q, want %q", got, rule)
				}
				if rule == "" {
					if err != nil || s.Key != c.came {
						t.Errorf("redeeming: key %q, %v", s.Key, err)
					}
					return
				}
				wantCode(t, "redeeming", err, bff.CodeGrantRejected)
				r.Key, w.app.Binding = c.announced, bff.BindingAllowed
				_, err = b.Redeem(t.Context(), w.app, r)
				wantCode(t, "redeeming as it should have been", err, bff.CodeGrantRejected)
			})
		}
	}
}

// The announced key passes the page on which a person lets the app in.
//
// shows DPOP-10
func TestAnAnnouncedKeyIsKeptWhileAPersonIsAsked(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingAllowed
	a := w.instance()
	asked := request(scheme)
	asked.Key = ownKey
	start, state := w.begin(a, bff.LoginRequest{Native: asked})
	l, err := a.CompleteNativeLogin(t.Context(), w.app, w.callback(start, state))
	if err != nil || l.Ticket.IsZero() {
		t.Fatalf("completing: %+v, %v", l, err)
	}
	l, err = a.ConfirmNativeLogin(t.Context(), w.app, l.Ticket)
	if err != nil || l.Request.Key != ownKey {
		t.Fatalf("confirming: %+v, %v", l, err)
	}
	r := redemption(l.Code, scheme)
	r.Key = otherKey
	_, err = a.Redeem(t.Context(), w.app, r)
	wantCode(t, "redeeming with another key", err, bff.CodeGrantRejected)
}

// The thief of a code is no better off with a proof: of one key or another.
//
// shows NAT-CODE, DPOP-10
func TestACodePresentedTwiceEndsItsBoundSession(t *testing.T) {
	for _, key := range []string{ownKey, otherKey, ""} {
		w := newNativeWorld(t)
		w.app.Binding = bff.BindingAllowed
		a, b := w.instance(), w.instance()
		r := redemption(w.returned(a, claimed).Code, claimed)
		r.Key = ownKey
		s, err := a.Redeem(t.Context(), w.app, r)
		if err != nil {
			t.Fatal(err)
		}
		access := w.pair(a, s).access
		r.Key = key
		_, err = b.Redeem(t.Context(), w.app, r)
		wantCode(t, "redeeming again", err, bff.CodeGrantRejected)
		_, err = w.prove(a, access, w.proven(ownKey, "one"))
		wantCode(t, "a call afterwards", err, bff.CodeSessionEnded)
	}
}

// A transaction is sealed by the instance that starts it and opened by another, perhaps of the version before. That one
// reads it, where no key was announced; and what it sealed is read here.
//
// shows KEY-SCHEMA
func TestATransactionWithAKeyIsTheOneWithoutAndATextMore(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Binding = bff.BindingAllowed
	a := w.instance()
	for key, flags := range map[string]byte{"": 8, ownKey: 8 | 16} {
		texts := []string{"", "", "", claimed, request(claimed).Challenge, "state of the app"}
		if key != "" {
			texts = append(texts, key)
		}
		cb := w.sealedByHand(flags, texts)
		l, err := a.CompleteNativeLogin(t.Context(), w.app, cb)
		if err != nil || l.Request.Key != key || l.Request.State != "state of the app" {
			t.Errorf("key %.1q: %+v, %v", key, l, err)
		}
		asked := request(claimed)
		asked.Key = key
		start, _ := w.begin(a, bff.LoginRequest{Native: asked})
		if plain := w.opened(start.Sealed); plain[1] != flags || !strings.HasSuffix(plain[42:], encoded(texts)) {
			t.Errorf("key %.1q: sealed %q, want flags %d and the texts %q", key, plain, flags, texts)
		}
	}
	for name, cb := range map[string]bff.Callback{
		"a key that is announced by no flag": w.sealedByHand(8, []string{"", "", "", claimed, "c", "s", ownKey}),
		"a flag, and no key":                 w.sealedByHand(8|16, []string{"", "", "", claimed, "c", "s"}),
		"a key of a browser app":             w.sealedByHand(16, []string{"", "", "/", ownKey}),
	} {
		_, err := a.CompleteNativeLogin(t.Context(), w.app, cb)
		wantCode(t, name, err, bff.CodeLoginUnknown)
	}
}

// shows NAT-8.9
func TestTheLongestRequestWithAKeyFitsItsCookie(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	r := request("com.example.app:/" + strings.Repeat("x", 200))
	r.State, r.Key = strings.Repeat("s", 512), ownKey
	start, err := a.BeginLogin(t.Context(), w.app, bff.LoginRequest{Native: r})
	if err != nil || len(start.Sealed) > 1536 {
		t.Errorf("%v", err)
	}
}
