package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"

	"github.com/google/go-cmp/cmp"
)

// aside is a token for an API that lives for a minute, with what is not to be kept of it.
func (w *world) aside(text string) bff.TokenSet {
	t := w.ownToken(text)
	t.Refresh, t.ID = bff.NewSecret("refresh-of-"+text), bff.NewSecret("id-of-"+text)
	return t
}

// tok names the key of a session's kept tokens.
func (w *world) tok(s *bff.Session) string { return w.record(s.Lookup) + ":tok" }

// finds fails unless the token that is kept under name is this one; "" for none.
func (w *world) finds(s *bff.Session, name, want string) {
	w.t.Helper()
	got, err := w.ReadToken(w.t.Context(), s, name)
	if err != nil || got.Access.Reveal() != want {
		w.t.Errorf("under %q: %q, %v, want %q", name, got.Access.Reveal(), err, want)
	}
}

// within fails unless the kept tokens have a life, and none that is longer than their record's. The record is asked last: its
// life shrinks meanwhile.
func (w *world) within(s *bff.Session) time.Duration {
	w.t.Helper()
	left := w.raw.PTTL(w.t.Context(), w.tok(s)).Val()
	if of := w.raw.PTTL(w.t.Context(), w.record(s.Lookup)).Val(); left <= 0 || left > of+50*time.Millisecond {
		w.t.Errorf("kept for %v, the record for %v", left, of)
	}
	return left
}

const forOrdersAt = "resource https://orders.example.com"

func TestATokenIsKeptSealedBesideTheSessionsOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		w.finds(s, forOrdersAt, "")
		want(t, "keeping", w.KeepToken(t.Context(), s, forOrdersAt, w.aside("for-orders")), nil)
		want(t, "keeping another", w.KeepToken(t.Context(), s, "resource https://stock.example.com", w.aside("for-stock")), nil)
		read, err := w.open(nil).Read(t.Context(), s.Root)
		want(t, "reading the record", err, nil)
		got, err := w.open(nil).ReadToken(t.Context(), read, forOrdersAt)
		want(t, "reading the token", err, nil)
		same := cmp.Comparer(func(a, b bff.Secret) bool { return a.Equal(b) })
		if diff := cmp.Diff(w.ownToken("for-orders"), got, same, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("on another instance (-kept +read):\n%s", diff)
		}
		w.finds(s, "resource https://stock.example.com", "for-stock")
		w.finds(s, "resource https://orders.example.com/", "")
		for _, text := range []string{"for-orders", "orders.example.com", "stock", "proof-key"} {
			if strings.Contains(w.dump(), text) {
				t.Errorf("a dump shows %q", text)
			}
		}
		if read.Generation != 1 || read.Own != 0 {
			t.Errorf("keeping a token moved the record to generation %d, %d", read.Generation, read.Own)
		}
	})
}

// Whoever can write to Redis cannot alter a kept token, nor give one API the token of another, nor one user that of another.
func TestAKeptTokenOpensInItsOwnPlaceAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s, other := t.Context(), w.created(), w.created()
		want(t, "keeping", w.KeepToken(ctx, s, forOrdersAt, w.aside("mine")), nil)
		mine := w.raw.HGetAll(ctx, w.tok(s)).Val()
		want(t, "keeping for another API", w.KeepToken(ctx, s, "resource b", w.aside("b")), nil)
		var field, sealed, second string
		for field, sealed = range mine {
		}
		for name := range w.raw.HGetAll(ctx, w.tok(s)).Val() {
			if name != field {
				second = name
			}
		}
		w.raw.HSet(ctx, w.tok(s), second, sealed)
		w.finds(s, "resource b", "")
		w.copy(w.tok(s), w.tok(other))
		w.raw.PExpire(ctx, w.tok(other), time.Minute)
		w.finds(other, forOrdersAt, "")
		for bit := 0; bit < 8*len(sealed); bit += 7 { // in every byte one, and each of its places in turn
			bent := []byte(sealed)
			bent[bit/8] ^= 1 << (bit % 8)
			w.raw.HSet(ctx, w.tok(s), field, bent)
			w.finds(s, forOrdersAt, "")
		}
		w.raw.HSet(ctx, w.tok(s), field, sealed)
		w.finds(s, forOrdersAt, "mine")
		w.raw.HSet(ctx, w.tok(s), field, w.raw.HGet(ctx, w.record(s.Lookup), "tok").Val()) // the session's own, as it is sealed
		w.finds(s, forOrdersAt, "")
		w.raw.Del(ctx, w.tok(s))
		w.raw.Set(ctx, w.tok(s), "no hash", time.Minute)
		w.finds(s, forOrdersAt, "")
	})
}

// What the session's own refresh brings says what the user may do from now on; what is kept beside it says what that was.
func TestKeptTokensGoWithTheSessionsOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		want(t, "keeping", w.KeepToken(ctx, s, forOrdersAt, w.aside("old")), nil)
		want(t, "saving", w.Save(ctx, s, "a1", next(2)), nil)
		renewed, err := w.Read(ctx, s.Root)
		want(t, "reading", err, nil)
		if w.raw.Exists(ctx, w.tok(s)).Val() != 0 {
			t.Error("kept tokens outlived the session's own")
		}
		w.finds(renewed, forOrdersAt, "")
		// One that comes late, from a request that knows the old tokens alone.
		want(t, "keeping late", w.KeepToken(ctx, s, forOrdersAt, w.aside("late")), nil)
		w.finds(renewed, forOrdersAt, "")
		want(t, "keeping", w.KeepToken(ctx, renewed, forOrdersAt, w.aside("new")), nil)
		w.finds(renewed, forOrdersAt, "new")
		if gone, err := w.Delete(ctx, s.Lookup, nil, bff.ReasonSignedOut); err != nil || gone == nil {
			t.Fatal(gone, err)
		}
		if w.raw.Exists(ctx, w.tok(s)).Val() != 0 {
			t.Error("kept tokens outlived the session")
		}
		wantEnded(t, "keeping after the end", w.KeepToken(ctx, renewed, forOrdersAt, w.aside("late")), bff.ReasonSignedOut)
		want(t, "keeping beside nothing", w.KeepToken(ctx, w.session(), forOrdersAt, w.aside("late")), bff.ErrNoSession)
		if keys := w.keys(); slices.Contains(keys, w.tok(s)) {
			t.Errorf("kept for nobody: %q", keys)
		}
	})
}

// A resource's grant rotates the refresh token: that and the token are one write, and the session's own token stays.
//
// shows RES-2
func TestAGrantForAResourceIsSavedWhole(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		want(t, "keeping", w.KeepToken(ctx, s, "resource b", w.aside("b")), nil)
		want(t, "saving", w.Save(ctx, s, "a1", w.forOrders(s, "for-orders", "refresh-token-2")), nil)
		got, err := w.Read(ctx, s.Root)
		want(t, "reading", err, nil)
		if got.Generation != 2 || got.OwnGeneration() != 1 || !got.Tokens.Access.Equal(s.Tokens.Access) || got.Tokens.Refresh.Reveal() != "refresh-token-2" {
			t.Errorf("generation %d, own %d, access %q, refresh %q", got.Generation, got.OwnGeneration(), got.Tokens.Access.Reveal(), got.Tokens.Refresh.Reveal())
		}
		w.finds(got, forOrdersAt, "for-orders")
		w.finds(got, "resource b", "b")
		w.within(s)
		want(t, "saving again, the answer lost", w.Save(ctx, s, "a1", w.forOrders(s, "for-orders", "refresh-token-2")), nil)
		want(t, "another save over the same", w.Save(ctx, s, "a2", w.forOrders(s, "lost", "refresh-token-x")), bff.ErrConflict)
		w.finds(got, forOrdersAt, "for-orders")
		want(t, "saving on", w.Save(ctx, got, "a3", w.forOrders(got, "second", "refresh-token-3")), nil)
		if got, err = w.Read(ctx, s.Root); err != nil || got.Generation != 3 || got.OwnGeneration() != 1 {
			t.Errorf("generation %d, own %d, %v", got.Generation, got.OwnGeneration(), err)
		}
		want(t, "the session's own", w.Save(ctx, got, "a4", next(4)), nil)
		if got, err = w.Read(ctx, s.Root); err != nil || got.Generation != 4 || got.OwnGeneration() != 4 {
			t.Errorf("generation %d, own %d, %v", got.Generation, got.OwnGeneration(), err)
		}
		if _, err := w.Delete(ctx, s.Lookup, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
		wantEnded(t, "saving after the end", w.Save(ctx, got, "a5", w.forOrders(got, "late", "refresh-token-5")), bff.ReasonSignedOut)
		if w.raw.Exists(ctx, w.tok(s), w.record(s.Lookup)).Val() != 0 {
			t.Error("a save brought something back")
		}
	})
}

// forOrders is the answer to a refresh for a resource.
func (w *world) forOrders(s *bff.Session, access, refresh string) *bff.Grant {
	own := s.Tokens
	own.Refresh = bff.NewSecret(refresh)
	return &bff.Grant{Tokens: own, Kept: &bff.Kept{Name: forOrdersAt, Tokens: w.aside(access)}}
}

// shows KEY-TTL
func TestKeptTokensLiveNoLongerThanTheSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		want(t, "keeping", w.KeepToken(ctx, s, "short", w.aside("short")), nil)
		if left := w.within(s); left > time.Minute {
			t.Errorf("a token of a minute is kept for %v", left)
		}
		long := w.aside("long")
		long.ExpiresAt = w.clock.Now().Add(1000 * time.Hour)
		for doing, do := range map[string]func() error{
			"keeping one that lives long": func() error { return w.KeepToken(ctx, s, "long", long) },
			"keeping one that does not":   func() error { return w.KeepToken(ctx, s, "short", w.aside("short")) },
			"moving the idle end":         func() error { return w.Touch(ctx, s, w.clock.Now()) },
			"a grant": func() error {
				g := w.forOrders(s, "o", "r")
				g.Kept.Tokens.ExpiresAt = long.ExpiresAt
				return w.Save(ctx, s, "a1", g)
			},
		} {
			want(t, doing, do(), nil)
			w.within(s)
		}
		over := w.aside("over")
		over.ExpiresAt = w.clock.Now()
		want(t, "keeping what is over", w.KeepToken(ctx, s, "over", over), nil)
		w.finds(s, "over", "")
		second := w.created()
		g := w.forOrders(second, "over", "refresh-token-2")
		g.Kept.Tokens.ExpiresAt = w.clock.Now().Add(-time.Second)
		want(t, "a grant of what is over", w.Save(ctx, second, "a1", g), nil)
		if got, err := w.Read(ctx, second.Root); err != nil || got.Tokens.Refresh.Reveal() != "refresh-token-2" {
			t.Errorf("the refresh token was not saved: %v", err)
		}
		if w.raw.Exists(ctx, w.tok(second)).Val() != 0 {
			t.Error("it is kept")
		}
	})
}
