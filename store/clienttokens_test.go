package store_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// clientKey names an app's own token.
var clientKey = bff.ClientTokenKey{Provider: "main", App: "web", ClientID: "webc_1", Scope: "org:read"}

// ownToken is one that lives for a minute.
func (w *world) ownToken(text string) bff.TokenSet {
	now := w.clock.Now()
	return bff.TokenSet{
		Access: bff.NewSecret(text), TokenType: "Bearer", Scope: "org:read", ProofKey: bff.NewSecret("proof-key-of-an-app"),
		ReceivedAt: now, RefreshAt: now.Add(50 * time.Second), ExpiresAt: now.Add(time.Minute),
	}
}

// shows SCALEKIT-M5
func TestAnAppsOwnTokenIsKeptSealed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		none, err := w.ReadClientToken(t.Context(), clientKey)
		want(t, "reading what is not there", err, nil)
		if !none.Access.IsZero() {
			t.Errorf("read %+v", none)
		}
		saved := w.ownToken("the-own-token")
		want(t, "saving", w.SaveClientToken(t.Context(), clientKey, saved), nil)
		got, err := w.open(nil).ReadClientToken(t.Context(), clientKey)
		want(t, "reading", err, nil)
		same := cmp.Comparer(func(a, b bff.Secret) bool { return a.Equal(b) })
		if diff := cmp.Diff(saved, got, same, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("on another instance (-saved +read):\n%s", diff)
		}
		w.everyKeyEnds()
		for _, text := range []string{"the-own-token", "webc_1", "org:read", "proof-key"} {
			if strings.Contains(w.dump(), text) {
				t.Errorf("a dump shows %q", text)
			}
		}
		want(t, "saving a token that is over", w.SaveClientToken(t.Context(), bff.ClientTokenKey{App: "x"}, bff.TokenSet{ExpiresAt: w.clock.Now()}), nil)
		if n := len(w.keys()); n != 1 {
			t.Errorf("%d keys", n)
		}
	})
}

// Whoever can write to Redis cannot give one app the token of another, nor one that it made itself.
//
// shows SCALEKIT-M5
func TestAnAppsOwnTokenOpensForNobodyElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want(t, "saving", w.SaveClientToken(t.Context(), clientKey, w.ownToken("mine")), nil)
		mine := w.keys()[0]
		for _, other := range []bff.ClientTokenKey{
			{Provider: "second", App: "web", ClientID: "webc_1", Scope: "org:read"},
			{Provider: "main", App: "shop", ClientID: "webc_1", Scope: "org:read"},
			{Provider: "main", App: "web", ClientID: "webc_2", Scope: "org:read"},
			{Provider: "main", App: "web", ClientID: "webc_1", Scope: "org:write"},
		} {
			want(t, "saving another", w.SaveClientToken(t.Context(), other, w.ownToken("theirs")), nil)
			for _, key := range w.keys() {
				if key != mine {
					sealed, err := w.raw.Get(t.Context(), mine).Result()
					want(t, "looking", err, nil)
					want(t, "putting it elsewhere", w.raw.Set(t.Context(), key, sealed, time.Minute).Err(), nil)
				}
			}
			got, err := w.ReadClientToken(t.Context(), other)
			if want(t, "reading", err, nil); !got.Access.IsZero() {
				t.Errorf("%+v opened the token of another", other)
			}
		}
	})
}

// What the ring has sealed for something else does not pass for a token, whatever stands in it: whoever can write to Redis
// puts there what the gateway once gave out sealed.
//
// shows SCALEKIT-M5
func TestWhatWasSealedForSomethingElseIsNoToken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		want(t, "saving", w.SaveClientToken(t.Context(), clientKey, w.ownToken("mine")), nil)
		key := w.keys()[0]
		sealed, err := w.raw.Get(t.Context(), key).Bytes()
		want(t, "looking", err, nil)
		of := []string{clientKey.Provider, clientKey.App, clientKey.ClientID, clientKey.Scope}
		plain, err := w.ring.Open(bff.PurposeClientToken, sealed, of...)
		want(t, "opening", err, nil)
		for _, purpose := range []string{
			bff.PurposeTransaction, bff.PurposeSignedOut, bff.PurposeTicket, bff.PurposeRevocation, bff.PurposePurge,
		} {
			want(t, "putting it there", w.raw.Set(t.Context(), key, w.ring.Seal(purpose, plain, of...), time.Minute).Err(), nil)
			got, err := w.ReadClientToken(t.Context(), clientKey)
			if want(t, "reading", err, nil); !got.Access.IsZero() {
				t.Errorf("what was sealed as %s is a token", purpose)
			}
		}
	})
}

// While keys change, an instance that cannot open a token asks for another, and nobody is stopped.
func TestAnAppsOwnTokenWhileKeysChange(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.ring = ring(t, []string{"k2", "k1"}, nil, []string{"i2", "i1"})
		newer := w.open(nil)
		want(t, "saving under the new keys", newer.SaveClientToken(t.Context(), clientKey, w.ownToken("new")), nil)
		got, err := w.ReadClientToken(t.Context(), clientKey)
		if want(t, "reading with the old ones", err, nil); !got.Access.IsZero() {
			t.Error("opened without the key")
		}
		want(t, "saving under the old keys", w.SaveClientToken(t.Context(), clientKey, w.ownToken("old")), nil)
		w.ring = ring(t, []string{"k2", "k1"}, nil, []string{"i1"})
		got, err = w.open(nil).ReadClientToken(t.Context(), clientKey)
		if want(t, "reading with both", err, nil); got.Access.Reveal() != "old" {
			t.Errorf("read %q", got.Access.Reveal())
		}
	})
}

// shows SCALEKIT-M5
func TestOneInstanceAsksForAnAppsOwnToken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		instances := []*store.Store{w.Store, w.open(nil)}
		var granted atomic.Int64
		var asking sync.WaitGroup
		for i := range 20 {
			asking.Go(func() {
				ok, err := instances[i%2].ClaimClientToken(t.Context(), clientKey, string(rune('a'+i)), time.Minute)
				if want(t, "claiming", err, nil); ok {
					granted.Add(1)
				}
			})
		}
		asking.Wait()
		if n := granted.Load(); n != 1 {
			t.Errorf("%d may ask", n)
		}
		w.everyKeyEnds()
		want(t, "releasing", w.ReleaseClientToken(t.Context(), clientKey), nil)
		ok, err := w.ClaimClientToken(t.Context(), clientKey, "next", time.Minute)
		if want(t, "claiming again", err, nil); !ok {
			t.Error("refused after the release")
		}
	})
}
