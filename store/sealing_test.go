package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/alicebob/miniredis/v2"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// set writes one field of a session's record, as whoever can write to Redis could.
func (w *world) set(s *bff.Session, field, value string) {
	w.t.Helper()
	if err := w.raw.HSet(w.t.Context(), w.record(s.Lookup), field, value).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) get(s *bff.Session, field string) string {
	w.t.Helper()
	return w.raw.HGet(w.t.Context(), w.record(s.Lookup), field).Val()
}

// Every field is flipped in its first and in its last byte. What is believed must not open any more; of the others
// nothing shows in the session.
//
// shows KEY-AAD
func TestAnAlteredRecordDoesNotOpen(t *testing.T) {
	believed := []string{"v", "app", "kid", "began", "abs", "idle", "gen", "turn", "body", "tok"}
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		for field, value := range w.raw.HGetAll(t.Context(), w.record(s.Lookup)).Val() {
			if field == "act" || value == "" {
				continue // in clear alone: see TestAnActivityInTheFutureIsRefused
			}
			for _, at := range []int{0, len(value) - 1} {
				flipped := []byte(value)
				flipped[at] ^= 1
				w.set(s, field, string(flipped))
				got, err := w.Read(t.Context(), s.Root)
				switch {
				case slices.Contains(believed, field) && err == nil:
					t.Errorf("with %s flipped at %d it opens", field, at)
				case !slices.Contains(believed, field):
					if diff := cmp.Diff(s, got, sessions()); err != nil || diff != "" {
						t.Errorf("with %s flipped at %d: %v\n%s", field, at, err, diff)
					}
				}
			}
			w.set(s, field, value)
		}
		for _, field := range believed {
			value := w.get(s, field)
			w.raw.HDel(t.Context(), w.record(s.Lookup), field)
			if _, err := w.Read(t.Context(), s.Root); err == nil {
				t.Errorf("without %s it opens", field)
			}
			w.set(s, field, value)
		}
		_, err := w.Read(t.Context(), s.Root)
		want(t, "restored", err, nil)
	})
}

func TestAnActivityInTheFutureIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		for _, c := range []struct {
			act  string
			want error
		}{
			{fmt.Sprint(w.clock.Now().Add(59 * time.Second).UnixMilli()), nil}, // an instance whose clock is ahead
			{fmt.Sprint(w.clock.Now().Add(time.Hour).UnixMilli()), bff.ErrTampered},
			{"99999999999999999999", bff.ErrTampered},
			{"-1", bff.ErrTampered},
			{"soon", bff.ErrTampered},
		} {
			w.set(s, "act", c.act)
			_, err := w.Read(t.Context(), s.Root)
			want(t, "activity "+c.act, err, c.want)
		}
	})
}

// A sent mark of no form, or of a newer one, says all the same that a token may be on its way.
func TestASentMarkThatCannotBeReadIsOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		for _, text := range []string{"1 0", "x", "one 0 1 a1 instance", "1 0 soon a1 instance"} {
			w.set(s, "sent", text)
			got, err := w.Read(t.Context(), s.Root)
			if err != nil || got.Sent == nil || got.Sent.Generation != got.Generation {
				t.Errorf("a record with the mark %q: %+v, %v", text, got, err)
			}
		}
	})
}

// shows KEY-AAD
func TestASwappedRecordDoesNotOpen(t *testing.T) {
	for _, c := range []struct {
		name string
		swap func(w *world, a, b *bff.Session)
	}{
		{"the whole of another record", func(w *world, a, b *bff.Session) {
			w.copy(w.record(a.Lookup), w.record(b.Lookup))
		}},
		{"another record's body", func(w *world, a, b *bff.Session) { w.set(b, "body", w.get(a, "body")) }},
		{"another record's tokens", func(w *world, a, b *bff.Session) { w.set(b, "tok", w.get(a, "tok")) }},
		{"tokens for a body", func(w *world, _, b *bff.Session) { w.set(b, "body", w.get(b, "tok")) }},
		{"a body for tokens", func(w *world, _, b *bff.Session) { w.set(b, "tok", w.get(b, "body")) }},
		{"another app's name", func(w *world, _, b *bff.Session) { w.set(b, "app", "docs") }},
	} {
		t.Run("a record with "+c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				a, b := w.created(), w.created()
				c.swap(w, a, b)
				_, err := w.Read(t.Context(), b.Root)
				want(t, "read", err, bff.ErrTampered)
				w.raw.PExpire(t.Context(), w.record(b.Lookup), time.Minute)
			})
		})
	}
}

func TestTokensOfAnEarlierGenerationDoNotOpen(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		old := w.get(s, "tok")
		want(t, "save", w.Save(t.Context(), s, "a1", next(2)), nil)
		w.set(s, "tok", old)
		_, err := w.Read(t.Context(), s.Root)
		want(t, "read", err, bff.ErrTampered)
	})
}

func TestAKeyOfAnotherKindIsNoRecord(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		w.raw.Set(t.Context(), w.record(s.Lookup), "garbage", time.Minute)
		_, err := w.Read(t.Context(), s.Root)
		want(t, "read", err, bff.ErrTampered)
	})
}

// What cannot be opened here is kept: another instance may be able to.
//
// shows KEY-SCHEMA, KEY-RING
func TestARecordThatIsNotForThisInstanceIsKept(t *testing.T) {
	for _, c := range []struct {
		name    string
		sealing []string
		retired []string
		change  func(w *world, s *bff.Session)
		want    error
	}{
		{"a key id that is unknown here", []string{"k2"}, nil, nil, bff.ErrKeyUnknown},
		{"a key id that was retired", []string{"k2"}, []string{"k1"}, nil, bff.ErrKeyRetired},
		{"a newer version", []string{"k1"}, nil, func(w *world, s *bff.Session) { w.set(s, "v", "2") }, bff.ErrNewerSchema},
		{"a sealed body of a newer version", []string{"k1"}, nil, func(w *world, s *bff.Session) {
			w.reseal(s, "body", map[int]any{1: 2, 2: subject})
		}, bff.ErrNewerSchema},
		{"sealed tokens that hold more than is known", []string{"k1"}, nil, func(w *world, s *bff.Session) {
			w.reseal(s, "tok", map[int]any{1: 1, 2: 1, 99: "new"})
		}, bff.ErrNewerSchema},
		{"a sealed body that is no map", []string{"k1"}, nil, func(w *world, s *bff.Session) {
			w.reseal(s, "body", "text")
		}, bff.ErrTampered},
	} {
		t.Run("a record with "+c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				s := w.created()
				if c.change != nil {
					c.change(w, s)
				}
				reader := w.open(func(o *store.Options) { o.Ring = ring(t, c.sealing, c.retired, []string{"i1"}) })
				before := w.raw.HGetAll(t.Context(), w.record(s.Lookup)).Val()
				_, err := reader.Read(t.Context(), s.Root)
				want(t, "read", err, c.want)
				if diff := cmp.Diff(before, w.raw.HGetAll(t.Context(), w.record(s.Lookup)).Val()); diff != "" {
					t.Errorf("the record changed:\n%s", diff)
				}
			})
		})
	}
}

// reseal seals v under the record's own key, as a newer version would.
func (w *world) reseal(s *bff.Session, field string, v any) {
	w.t.Helper()
	plain, err := cbor.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	w.set(s, field, string(w.sealed(s, field, plain)))
}

// sealed seals plain as the part of a record that stands in field.
func (w *world) sealed(s *bff.Session, field string, plain []byte) []byte {
	w.t.Helper()
	box, err := w.ring.Record(s.KeyID, s.Root, s.Lookup, s.App)
	if err != nil {
		w.t.Fatal(err)
	}
	return box.Seal(map[string]string{"body": "body", "tok": "tokens"}[field], plain)
}

// A sealing key is changed in two steps over two instances; at no moment is anybody signed out. A session keeps the key
// it began under.
//
// shows KEY-RING
func TestSealingKeysRotate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		instance := func(keys ...string) *store.Store {
			return w.open(func(o *store.Options) { o.Ring = ring(t, keys, nil, []string{"i1"}) })
		}
		old, appended, moved, dropped := instance("k1"), instance("k1", "k2"), instance("k2", "k1"), instance("k2")
		first := w.created() // under k1
		second := w.session()
		second.KeyID = "k2"
		want(t, "create under the new key", moved.Create(t.Context(), second), nil)
		for _, c := range []struct {
			name  string
			at    *store.Store
			s     *bff.Session
			wants error
		}{
			{"before, the old session", old, first, nil},
			{"appended, the old session", appended, first, nil},
			{"appended, the new session", appended, second, nil},
			{"moved, the old session", moved, first, nil},
			{"moved, the new session", moved, second, nil},
			{"before, the new session", old, second, bff.ErrKeyUnknown},
			{"dropped, the old session", dropped, first, bff.ErrKeyUnknown},
		} {
			_, err := c.at.Read(t.Context(), c.s.Root)
			want(t, c.name, err, c.wants)
		}
		want(t, "save by an instance with another front key", moved.Save(t.Context(), first, "a1", next(2)), nil)
		got, err := old.Read(t.Context(), first.Root)
		if err != nil || got.KeyID != "k1" || got.Generation != 2 {
			t.Errorf("read of what it saved: %+v, %v", got, err)
		}
	})
}

// All that Redis holds, names and values, shows nothing that could be used or tells who it is about; and what it shows
// opens nothing.
//
// shows KEY-HASH, KEY-AAD, SCALEKIT-K1
func TestADumpShowsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.session()
		revocable := w.open(func(o *store.Options) { o.Revocable = func(string) bool { return true } })
		want(t, "create", revocable.Create(ctx, s), nil)
		if _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		want(t, "mark sent", w.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()), nil)
		want(t, "save", revocable.Save(ctx, s, "a1", next(2)), nil)
		want(t, "mark", w.Mark(ctx, targets(group), bff.Marker{ID: "m", At: w.clock.Now(), Except: group}), nil)
		want(t, "use", w.Use(ctx, "tx", "state-of-a-login", "a1", time.Minute), nil)
		want(t, "put", w.Put(ctx, "out", "ticket-name", []byte("id-token-1"), time.Minute), nil)
		if _, _, err := w.Allow(ctx, "login", "192.0.2.1", store.Rate{Count: 1, Per: time.Second, Burst: 1}); err != nil {
			t.Fatal(err)
		}
		ended := w.created()
		if _, err := w.Delete(ctx, ended.Lookup, nil, bff.ReasonSignedOut); err != nil {
			t.Fatal(err)
		}
		dump := w.dump()
		for _, secret := range []string{
			subject, sid, "access-token", "refresh-token", "id-token", "proof-key", "Ada Claim", "openid", s.Root.Reveal(),
			string(s.Root.Bytes()), ended.Root.Reveal(), "state-of-a-login", "ticket-name", "192.0.2.1", "aal2",
		} {
			if strings.Contains(dump, secret) {
				t.Errorf("the dump shows %q", secret)
			}
		}
		if !strings.Contains(dump, string(s.Lookup)) {
			t.Error("the dump is not one of this session")
		}
		asRoot, err := bff.ParseRoot(string(s.Lookup))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Read(ctx, asRoot)
		want(t, "a name from the dump as a credential", err, bff.ErrNoSession)
	})
}

// dump is every key with its value as text.
func (w *world) dump() string {
	w.t.Helper()
	var b strings.Builder
	for _, k := range w.keys() {
		fmt.Fprintln(&b, k)
		if v, err := w.raw.Get(w.t.Context(), k).Result(); err == nil {
			fmt.Fprintln(&b, v)
			continue
		}
		hash, err := w.raw.HGetAll(w.t.Context(), k).Result()
		if err != nil {
			w.t.Fatal(err)
		}
		for field, value := range hash {
			fmt.Fprintln(&b, field, value)
		}
	}
	return b.String()
}

// Whatever stands in a record, in clear or sealed under its own key, reading it answers and does not panic; and nothing
// but what was written opens.
//
// shows KEY-SCHEMA
func FuzzARecordOfGarbage(f *testing.F) {
	body, _ := cbor.Marshal(map[int]any{1: 1, 2: "s", 7: "main", 8: 1, 9: 1, 10: 2, 11: 3})
	tokens, _ := cbor.Marshal(map[int]any{1: 1, 2: 1})
	f.Add("1", "web", "k1", "1", "1", "2", "3", "1", "", "0", body, tokens)
	f.Add("1", "web", "k1", "1", "1", "2", "3", "1", "", "2 1 1 0 1", body, tokens)
	f.Add("2", "", "k0", "x", "-1", "", "1e9", "0", "1 0 1 a b", "1 2 3", []byte{0xbf}, []byte{0xa0})
	f.Add("", "", "", "", "", "", "", "", "", "", []byte(nil), []byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, v, app, kid, began, act, end, idle, gen, sent, turn string, body, tokens []byte) {
		s, err := fuzzed(t, []string{v, app, kid, began, act, end, idle, gen, sent, turn}, body, tokens)
		if err == nil && (s.App != app || s.KeyID != kid || s.AbsoluteEnd.UnixMilli() < 0) {
			t.Errorf("opened as %+v", s)
		}
	})
}

// fuzzed opens a record of these clear fields, with the parts sealed as its holder would where that is possible.
func fuzzed(t *testing.T, clear []string, body, tokens []byte) (*bff.Session, error) {
	r := ring(t, []string{"k1"}, nil, []string{"i1"})
	s, err := store.New(store.Options{Addrs: []string{"127.0.0.1:1"}, Ring: r, MarkerLife: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	root := bff.NewRoot()
	if box, err := r.Record(clear[2], root, root.Lookup(), clear[1]); err == nil {
		body, tokens = box.Seal("body", body), box.Seal("tokens", tokens)
	}
	return s.OpenFields(append(clear, string(body), string(tokens)), root)
}

// BenchmarkOpen measures what a read costs beside the round trip: keys derived, two parts opened and decoded.
func BenchmarkOpen(b *testing.B) {
	r := ring(b, []string{"k1"}, nil, []string{"i1"})
	addr := miniredis.RunT(b).Addr()
	s, err := store.New(store.Options{Addrs: []string{addr}, Ring: r, MarkerLife: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := &world{ring: r, clock: &clock{now: time.Now()}}
	n := w.session()
	n.Tokens.Access = bff.NewSecret(strings.Repeat("a", 1500)) // as long as a JWT with a few claims
	if err := s.Create(b.Context(), n); err != nil {
		b.Fatal(err)
	}
	fields := s.FieldsOf(b, n.Root)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.OpenFields(fields, n.Root); err != nil {
			b.Fatal(err)
		}
	}
}
