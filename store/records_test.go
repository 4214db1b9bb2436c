package store_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"

	"github.com/google/go-cmp/cmp"
)

// sessions compares sessions, secrets and roots included.
func sessions() cmp.Options {
	return cmp.Options{
		cmp.Comparer(func(a, b bff.Secret) bool { return a.Reveal() == b.Reveal() }),
		cmp.Comparer(func(a, b bff.Root) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }),
	}
}

func TestASessionIsReadAsItWasCreated(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		if err := w.Create(t.Context(), s); err != nil {
			t.Errorf("creating it twice: %v", err)
		}
		got, err := w.Read(t.Context(), s.Root)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got, sessions()); diff != "" {
			t.Errorf("read differs (-created +read):\n%s", diff)
		}
		_, err = w.Read(t.Context(), bff.NewRoot())
		want(t, "reading what never was", err, bff.ErrNoSession)
	})
}

func TestAReadThroughPipelinesIsTheSame(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		piped := w.open(func(o *store.Options) { o.Pipeline = true })
		s := w.created()
		var readers sync.WaitGroup
		for range 20 {
			readers.Go(func() {
				got, err := piped.Read(t.Context(), s.Root)
				if err != nil || !got.Tokens.Access.Equal(s.Tokens.Access) {
					t.Errorf("read: %v", err)
				}
			})
		}
		readers.Wait()
	})
}

// wiretap notes what goes out on a connection.
type wiretap struct {
	net.Conn
	sent *strings.Builder
}

func (c wiretap) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.Conn.Write(b)
}

func TestAReadOfARecordIsOneCommand(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		var sent strings.Builder
		tapped := w.open(func(o *store.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return wiretap{c, &sent}, err
			}
		})
		s := w.created()
		if _, err := tapped.Read(t.Context(), s.Root); err != nil { // makes the connection
			t.Fatal(err)
		}
		sent.Reset()
		if _, err := tapped.Read(t.Context(), s.Root); err != nil {
			t.Fatal(err)
		}
		if got := sent.String(); strings.Count(got, "*") != 1 || !strings.Contains(got, "hmget") {
			t.Errorf("a read sends %q, want one hmget", got)
		}
	})
}

// Nothing that comes late brings a session back, and nothing is left without a life.
//
// shows SESS-CAS, KEY-TTL
func TestAnEndedSessionStaysEnded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		if _, err := w.Claim(t.Context(), s.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		ended, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if err != nil || ended == nil || ended.App != app || ended.Lookup != s.Lookup || !ended.Refresh.IsZero() {
			t.Fatalf("delete: %+v, %v", ended, err)
		}
		w.allRefused(s, func(doing string, err error) { wantEnded(t, doing, err, bff.ReasonSignedOut) })
		if again, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonIdle); again != nil || err != nil {
			t.Errorf("deleting again: %+v, %v", again, err)
		}
		wantEnded(t, "creating again", w.Create(t.Context(), s), bff.ReasonSignedOut)
		if n := w.raw.Exists(t.Context(), w.record(s.Lookup), w.record(s.Lookup)+":claim").Val(); n != 0 {
			t.Error("record or claim came back")
		}
		if found, err := w.Members(t.Context(), ssoTarget); len(found) != 0 || err != nil {
			t.Errorf("its indexes hold %v, %v", found, err)
		}
	})
}

func TestASessionThatIsGoneIsGone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session() // as if its life had run out: nothing is remembered
		w.allRefused(s, func(doing string, err error) { want(t, doing, err, bff.ErrNoSession) })
		if ended, err := w.Delete(t.Context(), s.Lookup, nil, bff.ReasonIdle); ended != nil || err != nil {
			t.Errorf("delete: %+v, %v", ended, err)
		}
		for _, k := range w.keys() {
			if strings.Contains(k, "s:{") {
				t.Errorf("key %s came into being", k)
			}
		}
	})
}

// allRefused tries every update of a session.
func (w *world) allRefused(s *bff.Session, refused func(doing string, err error)) {
	ctx := w.t.Context()
	_, err := w.Read(ctx, s.Root)
	refused("read", err)
	refused("touch", w.Touch(ctx, s, w.clock.Now()))
	_, err = w.Claim(ctx, s.Lookup, "a2", time.Minute)
	refused("claim", err)
	refused("mark", w.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()))
	refused("save", w.Save(ctx, s, "a1", next(2)))
	_, err = w.Rotate(ctx, s, 1, time.Minute)
	refused("rotate", err)
	refused("note of a turn", w.TurnSeen(ctx, s, 1))
	_, err = w.ReadProven(ctx, s.Root, w.proven(ownKey, "one"))
	refused("read with a proof", err)
	if err := w.Release(ctx, s.Lookup, "a1", bff.SettleDoubt); err != nil {
		w.t.Errorf("release: %v", err)
	}
	want(w.t, "renew", w.Renew(ctx, s.Lookup, "a1", time.Minute), bff.ErrClaimLost)
}

func TestATouchMovesTheIdleEndAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		before := w.raw.HGetAll(t.Context(), w.record(s.Lookup)).Val()
		w.clock.Move(10 * time.Minute)
		if err := w.Touch(t.Context(), s, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.Touch(t.Context(), s, w.clock.Now().Add(-time.Minute)); err != nil { // one that was overtaken
			t.Fatal(err)
		}
		after := w.raw.HGetAll(t.Context(), w.record(s.Lookup)).Val()
		got, err := w.Read(t.Context(), s.Root)
		if err != nil || !got.LastActive.Equal(w.clock.Now()) {
			t.Errorf("last activity %v, %v", got.LastActive, err)
		}
		delete(before, "act")
		delete(after, "act")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("other fields moved:\n%s", diff)
		}
		if left := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val(); left > 35*time.Minute || left < 34*time.Minute {
			t.Errorf("life %v, want the idle time, and five minutes to tell of its end", left)
		}
	})
}

func TestATouchNeverPassesTheAbsoluteEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		w.clock.Move(12*time.Hour - time.Minute)
		if err := w.Touch(t.Context(), s, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if left := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val(); left > 6*time.Minute {
			t.Errorf("life %v, want the minute that is left, and five to tell of its end", left)
		}
		w.clock.Move(2 * time.Minute)
		if err := w.Touch(t.Context(), s, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if left := w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val(); left > 6*time.Minute {
			t.Errorf("life %v after the end", left)
		}
	})
}

// Idle and absolute end are judged from the record: on the fake clock no key's life runs out here.
//
// shows SESS-LIFE
func TestASessionEndsByItsOwnTimes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		e := w.engine(w.Store)
		of := &bff.App{ID: app, Provider: &bff.ProviderPolicy{Name: provider}}
		idle := w.created()
		w.clock.Move(30*time.Minute - time.Millisecond)
		if _, err := e.Session(t.Context(), of, idle.Root); err != nil {
			t.Fatalf("before the idle end: %v", err)
		}
		w.clock.Move(time.Millisecond)
		_, err := e.Session(t.Context(), of, idle.Root)
		if bff.CodeOf(err) != bff.CodeSessionExpired {
			t.Errorf("at the idle end: %v", err)
		}
		_, err = w.Read(t.Context(), idle.Root)
		wantEnded(t, "read afterwards", err, bff.ReasonIdle)

		active := w.created()
		for range 11 * 6 { // active every ten minutes for eleven hours
			w.clock.Move(10 * time.Minute)
			if err := w.Touch(t.Context(), active, w.clock.Now()); err != nil {
				t.Fatal(err)
			}
		}
		want(t, "save", w.Save(t.Context(), active, "a1", next(2)), nil) // a refresh moves no end
		w.clock.Move(time.Hour - time.Minute)
		want(t, "touch", w.Touch(t.Context(), active, w.clock.Now()), nil) // a minute of life by a real server's own clock
		w.clock.Move(time.Minute - time.Millisecond)
		if _, err := e.Session(t.Context(), of, active.Root); err != nil {
			t.Errorf("before the absolute end: %v", err)
		}
		w.clock.Move(time.Millisecond)
		_, err = e.Session(t.Context(), of, active.Root)
		if bff.CodeOf(err) != bff.CodeSessionExpired {
			t.Errorf("at the absolute end: %v", err)
		}
	})
}

// Whoever comes back a little late is told that the session has expired, by the record, and not that there never was one.
//
// shows SESS-LIFE
func TestARecordOutlivesItsSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.session()
		s.Idle = 20 * time.Millisecond
		want(t, "create", w.Create(t.Context(), s), nil)
		left := func() time.Duration { return w.raw.PTTL(t.Context(), w.record(s.Lookup)).Val() }
		if l := left(); l < 4*time.Minute {
			t.Fatalf("the key lives %v: its session's 20 ms, and no while to tell of its end", l)
		}
		if w.server.name != "miniredis" { // whose keys end when it is told to
			eventually(t, "the idle end, by Redis's own clock", func() bool { return left() < 5*time.Minute })
		}
		w.clock.Move(s.Idle)
		of := &bff.App{ID: app, Provider: &bff.ProviderPolicy{Name: provider}}
		if _, err := w.engine(w.Store).Session(t.Context(), of, s.Root); bff.CodeOf(err) != bff.CodeSessionExpired {
			t.Errorf("%v, want that it has expired", err)
		}
	})
}

// Index before record: a login whose index entry may be missing is none, for no sign-out would find it.
//
// shows BCL-RACE
// One lost answer costs a login nothing: what is written is written again, and is the same.
func TestALoginWhoseAnswersAreLostIsStored(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		w.created() // Redis knows the scripts
		p := w.proxy()
		through := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		for i, at := range []string{w.prefix + "ix:", w.prefix + "s:"} { // an index entry, the record
			s := w.session()
			p.loseReplyTo(at)
			want(t, "create", through.Create(t.Context(), s), nil)
			if p.losses() != i+1 {
				t.Errorf("%d replies were lost, want %d", p.losses(), i+1)
			}
			_, err := w.Read(t.Context(), s.Root)
			want(t, "read", err, nil)
		}
	})
}

// While nobody answers at all, an index entry is in doubt and the login fails before its record is there.
func TestALoginWhoseIndexWriteIsInDoubtFails(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		w.created()
		p := w.proxy()
		through := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		s := w.session()
		p.loseRepliesTo(w.prefix+"ix:", 2)
		want(t, "create", through.Create(t.Context(), s), bff.ErrStore)
		if p.losses() != 2 {
			t.Errorf("%d replies were lost, want 2", p.losses())
		}
		_, err := w.Read(t.Context(), s.Root)
		want(t, "read", err, bff.ErrNoSession)
	})
}

func TestARecordUnderATakenNameIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		other := *s
		other.App = "other"
		if err := w.Create(t.Context(), &other); err == nil {
			t.Error("another login's record was written over")
		}
		if got, err := w.Read(t.Context(), s.Root); err != nil || got.App != app {
			t.Errorf("read: %v", err)
		}
	})
}

func TestACreateAfterASaveWritesNothingOver(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		if err := w.Save(t.Context(), s, "a1", next(2)); err != nil {
			t.Fatal(err)
		}
		if err := w.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		got, err := w.Read(t.Context(), s.Root)
		if err != nil || got.Generation != 2 || got.Tokens.Refresh.Reveal() != "refresh-token-2" {
			t.Errorf("read: generation %d, %v", got.Generation, err)
		}
	})
}

func TestOnlyARevocableSessionLeavesItsRefreshToken(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		revocable := w.open(func(o *store.Options) { o.Revocable = func(p string) bool { return p == provider } })
		s := w.session()
		if err := revocable.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := revocable.Save(t.Context(), s, "a1", next(2)); err != nil {
			t.Fatal(err)
		}
		ended, err := revocable.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if err != nil || ended.Refresh.Reveal() != "refresh-token-2" {
			t.Errorf("ended %+v, %v: want the refresh token that was saved last", ended, err)
		}
	})
}

func TestAStoreThatIsDownSaysSo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	w := newWorld(t, server{addrs: []string{addr}})
	s := w.session()
	for doing, err := range w.everything(t.Context(), s) {
		want(t, doing, err, bff.ErrStore)
	}
}

func TestACallerWhoWentAwayLearnsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		s := w.created()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for doing, err := range w.everything(gone, s) {
			want(t, doing, err, bff.ErrStore)
		}
	})
}

// everything calls each method once and yields what it said.
func (w *world) everything(ctx context.Context, s *bff.Session) func(yield func(string, error) bool) {
	target := bff.Target{Scope: bff.ScopeSSO, Provider: provider, Value: group}
	calls := []struct {
		doing string
		call  func() error
	}{
		{"ping", func() error { return w.Ping(ctx) }},
		{"check", func() error { _, err := w.CheckServer(ctx); return err }},
		{"create", func() error { return w.Create(ctx, s) }},
		{"read", func() error { _, err := w.Read(ctx, s.Root); return err }},
		{"touch", func() error { return w.Touch(ctx, s, w.clock.Now()) }},
		{"keep a token", func() error { return w.KeepToken(ctx, s, forOrdersAt, w.aside("kept-aside")) }},
		{"read a kept token", func() error { _, err := w.ReadToken(ctx, s, forOrdersAt); return err }},
		{"delete", func() error { _, err := w.Delete(ctx, s.Lookup, nil, bff.ReasonIdle); return err }},
		{"claim", func() error { _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); return err }},
		{"renew", func() error { return w.Renew(ctx, s.Lookup, "a1", time.Minute) }},
		{"mark sent", func() error { return w.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()) }},
		{"release", func() error { return w.Release(ctx, s.Lookup, "a1", bff.SettleGood) }},
		{"save", func() error { return w.Save(ctx, s, "a1", next(2)) }},
		{"mark", func() error { return w.Mark(ctx, []bff.Target{target}, bff.Marker{ID: "m", At: w.clock.Now()}) }},
		{"marked", func() error { _, err := w.Marked(ctx, []bff.Target{target}); return err }},
		{"members", func() error { _, err := w.Members(ctx, target); return err }},
		{"devices", func() error {
			_, err := w.Devices(ctx, bff.Target{Scope: bff.ScopeSubject, Provider: provider, Value: subject})
			return err
		}},
		{"states", func() error { return w.States(ctx, []bff.Lookup{s.Lookup})[0].Err }},
		{"line up", func() error { _, err := w.LineUp(ctx, s); return err }},
		{"use", func() error { return w.Use(ctx, "tx", "n", "a1", time.Minute) }},
		{"put", func() error { return w.Put(ctx, "out", "n", []byte("v"), time.Minute) }},
		{"take", func() error { _, err := w.Take(ctx, "out", "n"); return err }},
		{"read a client token", func() error { _, err := w.ReadClientToken(ctx, clientKey); return err }},
		{"save a client token", func() error { return w.SaveClientToken(ctx, clientKey, w.ownToken("cc")) }},
		{"claim a client token", func() error { _, err := w.ClaimClientToken(ctx, clientKey, "a1", time.Minute); return err }},
		{"release a client token", func() error { return w.ReleaseClientToken(ctx, clientKey) }},
		{"rotate", func() error { _, err := w.Rotate(ctx, s, 1, time.Second); return err }},
		{"turn seen", func() error { return w.TurnSeen(ctx, s, 1) }},
		{"read with a proof", func() error { _, err := w.ReadProven(ctx, s.Root, w.proven(ownKey, "one")); return err }},
		{"remember a proof", func() error {
			b := w.session()
			b.Key = ownKey
			if err := w.Create(ctx, b); err != nil {
				return err
			}
			_, err := w.ReadProven(ctx, b.Root, w.proven(ownKey, "one"))
			return err
		}},
		{"keep", func() error { return w.Keep(ctx, s.Root, w.waiting(), time.Minute) }},
		{"redeem", func() error { _, err := w.Redeem(ctx, s.Root, "by"); return err }},
		{"allow", func() error {
			_, _, err := w.Allow(ctx, "login", "192.0.2.1", store.Rate{Count: 1, Per: time.Second, Burst: 1})
			return err
		}},
	}
	return func(yield func(string, error) bool) {
		for _, c := range calls {
			if !yield(c.doing, c.call()) {
				return
			}
		}
	}
}
