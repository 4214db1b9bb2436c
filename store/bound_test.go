package store_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/fxamacker/cbor/v2"
)

// Whoever can write to Redis moves no handle to a key of his, nor has a proof taken twice: the field that the script
// compares is one of those that must agree with what is sealed.
//
// shows KEY-AAD, DPOP-10
func TestAKeyThatWasWrittenByHandOpensNothing(t *testing.T) {
	for name, c := range map[string]struct {
		of    func(w *world) *bff.Session
		clear string // "" = taken away
		proof string
		err   error
	}{
		"another key, with a proof by that":     {(*world).bound, otherKey, otherKey, bff.ErrTampered},
		"another key, with a proof by its own":  {(*world).bound, otherKey, ownKey, bff.ErrTampered},
		"no key, with a proof by its own":       {(*world).bound, "", ownKey, bff.ErrTampered},
		"a key where there was none":            {(*world).native, otherKey, otherKey, bff.ErrTampered},
		"another key, with a proof by a third":  {(*world).bound, otherKey, strings.Repeat("t", 43), nil}, // whose is none of it
		"its own key, with a proof by its own":  {(*world).bound, ownKey, ownKey, nil},
		"its own key, with a proof by a second": {(*world).bound, ownKey, otherKey, nil},
	} {
		t.Run("a record with "+name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				s := c.of(w)
				w.raw.HDel(t.Context(), w.record(s.Lookup), "jkt")
				if c.clear != "" {
					w.set(s, "jkt", c.clear)
				}
				got, err := w.ReadProven(t.Context(), s.Root, w.proven(c.proof, "one"))
				want(t, "reading", err, c.err)
				if err == nil && got.Key != s.Key {
					t.Errorf("the key became %q", got.Key)
				}
				plain, err := w.Read(t.Context(), s.Root)
				if err != nil || plain.Key != s.Key {
					t.Errorf("a read: %+v, %v: the key is what was sealed", plain, err)
				}
			})
		})
	}
}

// A key that is sealed in cannot be changed by what is in clear, and a body of one session does not open in another.
//
// shows KEY-AAD, DPOP-10
func TestTheKeyStaysWhateverIsWritten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s, ctx := w.bound(), t.Context()
		grant := next(2)
		grant.Identity = &bff.Identity{Subject: subject, SID: sid, Claims: []byte(`{"name":"Ada Claim the second"}`)}
		read, err := w.Read(ctx, s.Root)
		want(t, "read", err, nil)
		want(t, "save", w.Save(ctx, read, "a1", grant), nil)
		want(t, "touch", w.Touch(ctx, read, w.clock.Now()), nil)
		got, err := w.ReadProven(ctx, s.Root, w.proven(ownKey, "one"))
		if err != nil || got.Key != ownKey || got.Generation != 2 || !strings.Contains(string(got.Claims), "the second") {
			t.Errorf("after a refresh with new claims: %+v, %v", got, err)
		}
		thiefs := w.session()
		thiefs.Turn, thiefs.Key = s.Turn, otherKey
		want(t, "create", w.Create(ctx, thiefs), nil)
		w.set(s, "body", w.get(thiefs, "body"))
		w.set(s, "jkt", otherKey)
		_, err = w.ReadProven(ctx, s.Root, w.proven(otherKey, "two"))
		want(t, "a body of another session", err, bff.ErrTampered)
	})
}

// While sealing keys rotate a bound handle is good wherever its birth key is known.
//
// shows KEY-RING
func TestABoundRecordIsReadWhileSealingKeysRotate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.bound() // under k1
		for name, c := range map[string]struct {
			sealing, retired []string
			want             error
		}{
			"appended": {[]string{"k1", "k2"}, nil, nil},
			"moved":    {[]string{"k2", "k1"}, nil, nil},
			"dropped":  {[]string{"k2"}, nil, bff.ErrKeyUnknown},
			"retired":  {[]string{"k2"}, []string{"k1"}, bff.ErrKeyRetired},
		} {
			st := w.open(func(o *store.Options) { o.Ring = ring(t, c.sealing, c.retired, []string{"i1"}) })
			_, err := st.ReadProven(t.Context(), s.Root, w.proven(ownKey, name))
			want(t, name, err, c.want)
		}
	})
}

// What the version before wrote has neither the field nor the key in the body: it is unbound, and stays so. What this one
// writes of an unbound session is the same, so that the version before reads it. A bound one it must not read: it would take
// its handle without a proof. It decodes strictly, and knows the keys up to 13.
//
// shows KEY-SCHEMA
func TestABoundRecordIsNoneForTheVersionBefore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const known, added = 13, 14 // the last key of the version before, and the one that came
		for isBound, s := range map[bool]*bff.Session{false: w.native(), true: w.bound()} {
			keys := w.bodyKeys(s)
			if last := keys[len(keys)-1]; isBound && last != added || !isBound && last > known {
				t.Errorf("bound %v: the body has the keys %v", isBound, keys)
			}
			if has := w.raw.HExists(t.Context(), w.record(s.Lookup), "jkt").Val(); has != isBound {
				t.Errorf("bound %v: the field jkt is there: %v", isBound, has)
			}
		}
		s := w.native()
		w.reseal(s, "body", map[int]any{ // as the version before wrote it
			1: 1, 2: subject, 7: provider, 8: s.Began.UnixMilli(), 9: s.CreatedAt.UnixMilli(), 10: s.AbsoluteEnd.UnixMilli(), 11: s.Idle.Milliseconds(),
		})
		got, err := w.Read(t.Context(), s.Root)
		if err != nil || got.Key != "" || got.Subject != subject {
			t.Errorf("a record of the version before: %+v, %v", got, err)
		}
	})
}

// bodyKeys are the keys of a record's sealed body.
func (w *world) bodyKeys(s *bff.Session) []int {
	w.t.Helper()
	box, err := w.ring.Record(s.KeyID, s.Root, s.Lookup, s.App)
	if err != nil {
		w.t.Fatal(err)
	}
	plain, err := box.Open("body", []byte(w.get(s, "body")))
	if err != nil {
		w.t.Fatal(err)
	}
	var keys map[int]any
	if err := cbor.Unmarshal(plain, &keys); err != nil {
		w.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(keys))
}
