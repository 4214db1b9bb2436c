package store_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// waiting is a login of a native app that waits to be redeemed.
func (w *world) waiting() *bff.Pending {
	s := w.session()
	return &bff.Pending{
		App: "phone", KeyID: w.ring.Front(),
		Request: bff.NativeRequest{
			RedirectURI: "com.example.app:/signed-in", Challenge: strings.Repeat("c", 43), State: "state-of-the-app", Key: ownKey,
		},
		Identity: s.Identity, Provider: s.Provider, Began: s.Began, Seen: s.Seen, Tokens: s.Tokens,
	}
}

// kept is a login that waits under a code of its own.
func (w *world) kept() (bff.Root, *bff.Pending) {
	w.t.Helper()
	code, p := bff.NewRoot(), w.waiting()
	want(w.t, "keep", w.Keep(w.t.Context(), code, p, time.Minute), nil)
	return code, p
}

// wantRedeemed fails unless err says that the code was redeemed by this one.
func wantRedeemed(t *testing.T, doing string, err error, by bff.Lookup) {
	t.Helper()
	redeemed, ok := errors.AsType[*bff.RedeemedError](err)
	if !ok || redeemed.By != by || !errors.Is(err, bff.ErrUsed) {
		t.Errorf("%s: %v, want redeemed by %s", doing, err, by)
	}
}

// shows NAT-CODE
func TestALoginIsRedeemedAsItWasKept(t *testing.T) {
	for name, confirm := range map[string]bool{"a code": false, "a ticket": true} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				ctx, code, p := t.Context(), bff.NewRoot(), w.waiting()
				p.Confirm = confirm
				want(t, "keep", w.Keep(ctx, code, p, time.Minute), nil)
				got, err := w.Redeem(ctx, code, "winner")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(p, got, sessions()); diff != "" {
					t.Errorf("redeemed differs (-kept +redeemed):\n%s", diff)
				}
				if again, err := w.Redeem(ctx, code, "winner"); err != nil || again.Subject != subject {
					t.Errorf("the winner again: %+v, %v", again, err)
				}
				_, err = w.Redeem(ctx, code, "loser")
				wantRedeemed(t, "another", err, "winner")
				before := len(w.keys())
				_, err = w.Redeem(ctx, bff.NewRoot(), "loser")
				want(t, "an unknown code", err, bff.ErrUsed)
				if after := len(w.keys()); after != before {
					t.Errorf("a guess left %d keys", after-before)
				}
				if _, told := errors.AsType[*bff.RedeemedError](err); told {
					t.Error("an unknown code has a redeemer")
				}
			})
		})
	}
}

// shows NAT-CODE
func TestACodeIsRedeemedOnceOverAllInstances(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		code, _ := w.kept()
		instances := []*store.Store{w.Store, w.open(nil)}
		var winners sync.Map
		var first atomic.Int64
		var redeeming sync.WaitGroup
		for i := range 20 {
			by := bff.NewRoot().Lookup()
			redeeming.Go(func() {
				_, err := instances[i%2].Redeem(t.Context(), code, by)
				if err == nil {
					first.Add(1)
					winners.Store(by, true)
					return
				}
				redeemed, ok := errors.AsType[*bff.RedeemedError](err)
				if !ok {
					t.Errorf("redeem: %v", err)
					return
				}
				winners.Store(redeemed.By, true)
			})
		}
		redeeming.Wait()
		told := 0
		winners.Range(func(any, any) bool { told++; return true })
		if first.Load() != 1 || told != 1 {
			t.Errorf("redeemed %d times, by %d names", first.Load(), told)
		}
	})
}

// The lives are those of Redis: a code for as long as was asked, then ten seconds, and its redeemer for ten minutes.
//
// shows NAT-CODE, KEY-TTL
func TestACodeEnds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		code, _ := w.kept()
		life := func(suffix string) time.Duration {
			t.Helper()
			for _, k := range w.keys() {
				if strings.HasSuffix(k, suffix) {
					return w.raw.PTTL(t.Context(), k).Val()
				}
			}
			return 0
		}
		within := func(what string, got, wanted time.Duration) {
			t.Helper()
			if got > wanted || got < wanted-10*time.Second {
				t.Errorf("%s lives for %v, want %v", what, got, wanted)
			}
		}
		within("a code", life("}"), time.Minute)
		_, err := w.Redeem(t.Context(), code, "winner")
		want(t, "redeem", err, nil)
		within("a redeemed login", life("}"), 10*time.Second)
		within("its redeemer", life(":by"), 10*time.Minute)
		for _, k := range w.keys() {
			if strings.HasSuffix(k, "}") {
				w.raw.Del(t.Context(), k) // as its end does
			}
		}
		_, err = w.Redeem(t.Context(), code, "loser")
		wantRedeemed(t, "a loser who comes late", err, "winner")
		_, err = w.Redeem(t.Context(), code, "winner")
		want(t, "the winner who comes too late", err, bff.ErrUsed)
	})
}

// shows NAT-CODE
func TestARedemptionWhoseAnswerWasLostIsRepeated(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		far := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		first, _ := w.kept()
		_, err := far.Redeem(t.Context(), first, "winner") // teaches the server the script
		want(t, "redeem", err, nil)
		code, _ := w.kept()
		p.loseReplyTo("evalsha")
		got, err := far.Redeem(t.Context(), code, "winner")
		if err != nil || got.Subject != subject || p.losses() != 1 {
			t.Errorf("redeem: %+v, %v, %d answers lost", got, err, p.losses())
		}
	})
}

// shows KEY-RING, KEY-SCHEMA
func TestACodeThatIsNotForThisInstanceIsKept(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		newer := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k2", "k1"}, nil, []string{"i1"}) })
		code, p := bff.NewRoot(), w.waiting()
		p.KeyID = "k2"
		want(t, "keep", newer.Keep(t.Context(), code, p, time.Minute), nil)
		_, err := w.Redeem(t.Context(), code, "first")
		want(t, "redeem under an unknown key", err, bff.ErrKeyUnknown)
		if got, err := newer.Redeem(t.Context(), code, "second"); err != nil || got.KeyID != "k2" {
			t.Errorf("redeem where the key is known: %+v, %v", got, err)
		}
		retired := w.open(func(o *store.Options) { o.Ring = ring(t, []string{"k2"}, []string{"k1"}, []string{"i1"}) })
		code, _ = w.kept()
		_, err = retired.Redeem(t.Context(), code, "third")
		want(t, "redeem under a retired key", err, bff.ErrUsed)
	})
}

// While the gateway is replaced, a login that the next version kept is not used up by this one.
//
// shows KEY-SCHEMA
func TestALoginOfTheNextVersionIsKept(t *testing.T) {
	const this, next = 1, 2
	part := func(schema int) map[int]any { return map[int]any{1: schema} }
	for name, login := range map[string]map[int]any{
		"as a whole":   {1: next, 2: "phone", 7: part(this), 8: part(this)},
		"in its body":  {1: this, 2: "phone", 7: part(next), 8: part(this)},
		"in its token": {1: this, 2: "phone", 7: part(this), 8: part(next)},
	} {
		t.Run("a login that is newer "+name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				code, _ := w.kept()
				key := w.keys()[0]
				ours := w.raw.Get(t.Context(), key).Val()
				box, err := w.ring.Pending("k1", code)
				if err != nil {
					t.Fatal(err)
				}
				plain, err := cbor.Marshal(login)
				if err != nil {
					t.Fatal(err)
				}
				w.raw.Set(t.Context(), key, "\x02k1"+string(box.Seal("pending", plain)), time.Minute)
				_, err = w.Redeem(t.Context(), code, "first")
				want(t, "redeem", err, bff.ErrNewerSchema)
				if errors.Is(err, bff.ErrUsed) {
					t.Errorf("redeem: %v, as if it opened nowhere", err)
				}
				w.raw.Set(t.Context(), key, ours, time.Minute)
				_, err = w.Redeem(t.Context(), code, "second")
				want(t, "redeem where it is known", err, nil)
			})
		})
	}
}

// shows KEY-AAD
func TestAnAlteredLoginDoesNotOpen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		code, p := w.kept()
		key := w.keys()[0]
		value := w.raw.Get(t.Context(), key).Val()
		for at := range value {
			flipped := []byte(value)
			flipped[at] ^= 1
			w.raw.Set(t.Context(), key, flipped, time.Minute)
			if _, err := w.Redeem(t.Context(), code, "winner"); err == nil {
				t.Fatalf("with byte %d flipped it opens", at)
			}
		}
		for _, text := range []string{"", "\xff", "\x02k1", "\x02k1x"} {
			w.raw.Set(t.Context(), key, text, time.Minute)
			_, err := w.Redeem(t.Context(), code, "winner")
			want(t, "garbage", err, bff.ErrUsed)
		}
		other := bff.NewRoot()
		want(t, "keep", w.Keep(t.Context(), other, p, time.Minute), nil)
		for _, k := range w.keys() {
			w.raw.Set(t.Context(), k, value, time.Minute)
		}
		_, err := w.Redeem(t.Context(), other, "winner")
		want(t, "another code's login", err, bff.ErrTampered)
		_, err = w.Redeem(t.Context(), code, "winner")
		want(t, "what was restored", err, nil)
	})
}

// shows NAT-TOKEN, KEY-HASH
func TestADumpOfCodesShowsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		code, _ := w.kept()
		used, _ := w.kept()
		by := bff.NewRoot()
		_, err := w.Redeem(t.Context(), used, by.Lookup())
		want(t, "redeem", err, nil)
		dump := w.dump()
		for _, secret := range []string{
			subject, sid, "access-token", "refresh-token", "id-token", "proof-key", "Ada Claim", "state-of-the-app", "com.example.app",
			code.Reveal(), string(code.Bytes()), used.Reveal(), string(used.Bytes()), by.Reveal(), string(by.Bytes()),
			string(code.Lookup()),
		} {
			if strings.Contains(dump, secret) {
				t.Errorf("the dump shows %q", secret)
			}
		}
		// The ring at hand, and not the code: another one opens nothing.
		box, err := w.ring.Pending("k1", bff.NewRoot())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range w.keys() {
			if sealed := w.raw.Get(t.Context(), k).Val(); len(sealed) > 3 {
				if _, err := box.Open("pending", []byte(sealed[3:])); err == nil {
					t.Errorf("key %s opens", k)
				}
			}
		}
	})
}
