package store_test

import (
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
)

func TestAClaimIsGrantedToOneAttempt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		other := w.open(func(o *store.Options) { o.Instance = "instance 2" })
		first, err := w.Claim(ctx, s.Lookup, "a1", time.Minute)
		if err != nil || !first.Granted || first.Fence != 1 || first.Generation != 1 {
			t.Fatalf("first claim: %+v, %v", first, err)
		}
		again, err := w.Claim(ctx, s.Lookup, "a1", time.Minute)
		if err != nil || again != first {
			t.Errorf("the same attempt again: %+v, %v", again, err)
		}
		held, err := other.Claim(ctx, s.Lookup, "a2", time.Minute)
		if err != nil || held.Granted || held.Remaining <= 0 || held.Remaining > time.Minute || held.Fence != 1 {
			t.Errorf("another attempt: %+v, %v", held, err)
		}
		want(t, "renewing another's lease", other.Renew(ctx, s.Lookup, "a2", time.Hour), bff.ErrClaimLost)
		want(t, "renewing", w.Renew(ctx, s.Lookup, "a1", time.Hour), nil)
		if held, _ = other.Claim(ctx, s.Lookup, "a2", time.Minute); held.Remaining <= time.Minute {
			t.Errorf("after a renewal %v remain", held.Remaining)
		}
		want(t, "releasing another's lease", other.Release(ctx, s.Lookup, "a2", bff.SettleNothing), nil)
		if held, _ = other.Claim(ctx, s.Lookup, "a2", time.Minute); held.Granted {
			t.Error("another attempt's release freed the lease")
		}
		want(t, "releasing", w.Release(ctx, s.Lookup, "a1", bff.SettleNothing), nil)
		if second, err := other.Claim(ctx, s.Lookup, "a2", time.Minute); err != nil || !second.Granted || second.Fence != 2 {
			t.Errorf("after the release: %+v, %v", second, err)
		}
	})
}

func TestASentMarkNeedsLeaseAndGeneration(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		now := w.clock.Now()
		want(t, "without a lease", w.MarkSent(ctx, s.Lookup, "a1", 1, now), bff.ErrClaimLost)
		if _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		want(t, "under another's lease", w.MarkSent(ctx, s.Lookup, "a2", 1, now), bff.ErrClaimLost)
		want(t, "of another generation", w.MarkSent(ctx, s.Lookup, "a1", 2, now), bff.ErrConflict)
		if got, err := w.Read(ctx, s.Root); err != nil || got.Sent != nil {
			t.Fatalf("a refused mark was written: %+v, %v", got.Sent, err)
		}
		want(t, "under the lease", w.MarkSent(ctx, s.Lookup, "a1", 1, now), nil)
		w.wantMark(s, &bff.SentMark{Generation: 1, Attempt: "a1", At: now})
	})
}

// wantMark compares the mark as it is read.
func (w *world) wantMark(s *bff.Session, mark *bff.SentMark) {
	w.t.Helper()
	got, err := w.Read(w.t.Context(), s.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case (got.Sent == nil) != (mark == nil):
		w.t.Errorf("mark %+v, want %+v", got.Sent, mark)
	case mark != nil && (got.Sent.Generation != mark.Generation || got.Sent.Attempt != mark.Attempt ||
		got.Sent.Doubt != mark.Doubt || !got.Sent.At.Equal(mark.At)):
		w.t.Errorf("mark %+v, want %+v", got.Sent, mark)
	}
}

func TestAMarkIsSettledByItsAttempt(t *testing.T) {
	sent := func(doubt bool, at time.Time) *bff.SentMark {
		return &bff.SentMark{Generation: 1, Attempt: "a1", Doubt: doubt, At: at}
	}
	for _, c := range []struct {
		name    string
		attempt string
		settle  bff.Settlement
		left    func(at time.Time) *bff.SentMark
	}{
		{"a release that settles nothing", "a1", bff.SettleNothing, func(at time.Time) *bff.SentMark { return sent(false, at) }},
		{"a release after a good answer", "a1", bff.SettleGood, func(time.Time) *bff.SentMark { return nil }},
		{"a release in doubt", "a1", bff.SettleDoubt, func(at time.Time) *bff.SentMark { return sent(true, at) }},
		{"a release by another attempt", "a2", bff.SettleGood, func(at time.Time) *bff.SentMark { return sent(false, at) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				ctx, s, at := t.Context(), w.created(), w.clock.Now()
				if _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); err != nil {
					t.Fatal(err)
				}
				want(t, "mark", w.MarkSent(ctx, s.Lookup, "a1", 1, at), nil)
				w.raw.Del(ctx, w.record(s.Lookup)+":claim") // the lease lapsed: a late answer still settles its own mark
				want(t, "release", w.Release(ctx, s.Lookup, c.attempt, c.settle), nil)
				w.wantMark(s, c.left(at))
			})
		})
	}
}

// shows SESS-CAS
func TestTheGenerationDecidesWhoSaves(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		if _, err := w.Claim(ctx, s.Lookup, "a1", time.Minute); err != nil {
			t.Fatal(err)
		}
		want(t, "mark", w.MarkSent(ctx, s.Lookup, "a1", 1, w.clock.Now()), nil)
		w.clock.Move(time.Minute)
		want(t, "touch meanwhile", w.Touch(ctx, s, w.clock.Now()), nil) // moves another field: no conflict
		before := w.raw.PTTL(ctx, w.record(s.Lookup)).Val()

		grant := next(2)
		grant.Identity = &bff.Identity{Subject: "somebody else", Claims: []byte(`{"name":"Ada Married"}`)}
		want(t, "save", w.Save(ctx, s, "a1", grant), nil)
		want(t, "save by the same attempt", w.Save(ctx, s, "a1", grant), nil)
		want(t, "save by one that came later", w.Save(ctx, s, "a2", next(3)), bff.ErrConflict)

		got, err := w.Read(ctx, s.Root)
		if err != nil {
			t.Fatal(err)
		}
		if got.Generation != 2 || got.Tokens.Refresh.Reveal() != "refresh-token-2" || got.Sent != nil ||
			string(got.Claims) != `{"name":"Ada Married"}` || got.Subject != subject || !got.LastActive.Equal(w.clock.Now()) {
			t.Errorf("read %+v", got)
		}
		if after := w.raw.PTTL(ctx, w.record(s.Lookup)).Val(); after > before {
			t.Errorf("a save prolonged the life from %v to %v", before, after)
		}
		if c, err := w.Claim(ctx, s.Lookup, "a2", time.Minute); err != nil || !c.Granted || c.Generation != 2 {
			t.Errorf("the save did not free its lease: %+v, %v", c, err)
		}
		want(t, "the next save", w.Save(ctx, got, "a2", next(3)), nil)
		want(t, "a save two generations late", w.Save(ctx, s, "a1", grant), bff.ErrConflict)
	})
}

func TestASaveLeavesAnothersLease(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, s := t.Context(), w.created()
		if _, err := w.Claim(ctx, s.Lookup, "a2", time.Minute); err != nil {
			t.Fatal(err)
		}
		want(t, "save without the lease", w.Save(ctx, s, "a1", next(2)), nil)
		want(t, "renewing", w.Renew(ctx, s.Lookup, "a2", time.Minute), nil)
	})
}

// The first reply to each of these is lost after Redis did its work. The same call again is a success, and did not do
// it twice.
//
// shows SESS-CAS
func TestALostReplyIsRepeatedSafely(t *testing.T) {
	for _, c := range []struct {
		name  string
		tries int // that the store makes by itself
		// prepare brings the session to where the call makes sense; call is what loses its reply.
		prepare func(w *world, s *bff.Session)
		call    func(w *world, through *store.Store, s *bff.Session) error
		once    func(w *world, s *bff.Session) bool
		request func(w *world, s *bff.Session) string // in the request whose reply is lost
	}{
		{
			"a create", 2, nil,
			func(w *world, through *store.Store, s *bff.Session) error { return through.Create(w.t.Context(), s) },
			func(w *world, s *bff.Session) bool { return w.generation(s) == 1 },
			func(w *world, s *bff.Session) string { return w.record(s.Lookup) },
		},
		{
			"a touch", 1, stored,
			func(w *world, through *store.Store, s *bff.Session) error {
				return through.Touch(w.t.Context(), s, w.clock.Now())
			},
			func(w *world, s *bff.Session) bool { return w.generation(s) == 1 },
			func(w *world, s *bff.Session) string { return w.record(s.Lookup) },
		},
		{
			"a claim", 1, stored,
			func(w *world, through *store.Store, s *bff.Session) error {
				c, err := through.Claim(w.t.Context(), s.Lookup, "attempt-1", time.Minute)
				if err == nil && (!c.Granted || c.Fence != 1) {
					w.t.Errorf("claim %+v, want granted once", c)
				}
				return err
			},
			func(w *world, s *bff.Session) bool {
				return w.raw.HGet(w.t.Context(), w.record(s.Lookup), "fence").Val() == "1"
			},
			func(*world, *bff.Session) string { return "attempt-1" },
		},
		{
			"a sent mark", 1, claimed,
			func(w *world, through *store.Store, s *bff.Session) error {
				return through.MarkSent(w.t.Context(), s.Lookup, "attempt-1", 1, w.clock.Now())
			},
			func(w *world, s *bff.Session) bool { return w.generation(s) == 1 },
			func(*world, *bff.Session) string { return "attempt-1" },
		},
		{
			"a save", 1, claimed,
			func(w *world, through *store.Store, s *bff.Session) error {
				return through.Save(w.t.Context(), s, "attempt-1", next(2))
			},
			func(w *world, s *bff.Session) bool { return w.generation(s) == 2 },
			func(*world, *bff.Session) string { return "attempt-1" },
		},
		{
			"a one-time use", 2, nil,
			func(w *world, through *store.Store, s *bff.Session) error {
				return through.Use(w.t.Context(), "tx", "state", "attempt-1", time.Minute)
			},
			func(w *world, _ *bff.Session) bool {
				return w.Use(w.t.Context(), "tx", "state", "attempt-2", time.Minute) != nil
			},
			func(*world, *bff.Session) string { return "attempt-1" },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			single(t, func(t *testing.T, w *world) {
				p := w.proxy()
				through := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
				want(t, "warming the scripts", c.call(w, w.Store, w.warm(c.prepare)), nil)
				w.forgetOnce()
				s := w.session()
				if c.prepare != nil {
					c.prepare(w, s)
				}
				want(t, "ping", through.Ping(t.Context()), nil)
				p.loseRepliesTo(c.request(w, s), c.tries)
				want(t, "the call whose reply is lost", c.call(w, through, s), bff.ErrStore)
				if p.losses() != c.tries {
					t.Fatalf("%d replies were lost, want %d", p.losses(), c.tries)
				}
				want(t, "the same call again", c.call(w, through, s), nil)
				if !c.once(w, s) {
					t.Error("it was done twice, or not at all")
				}
			})
		})
	}
}

func stored(w *world, s *bff.Session) {
	w.t.Helper()
	want(w.t, "create", w.Create(w.t.Context(), s), nil)
}

func claimed(w *world, s *bff.Session) {
	w.t.Helper()
	stored(w, s)
	if _, err := w.Claim(w.t.Context(), s.Lookup, "attempt-1", time.Minute); err != nil {
		w.t.Fatal(err)
	}
}

// warm prepares another session, on which the call is made once, so that Redis knows the script and the lost reply is
// that of its work.
func (w *world) warm(prepare func(*world, *bff.Session)) *bff.Session {
	s := w.session()
	if prepare != nil {
		prepare(w, s)
	}
	return s
}

// forgetOnce removes the used names that warming left.
func (w *world) forgetOnce() {
	for _, k := range w.raw.Keys(w.t.Context(), w.prefix+"tx:*").Val() {
		w.raw.Del(w.t.Context(), k)
	}
}

// generation is that of the record as it is in Redis.
func (w *world) generation(s *bff.Session) int64 {
	w.t.Helper()
	got, err := w.Read(w.t.Context(), s.Root)
	if err != nil {
		w.t.Fatal(err)
	}
	return got.Generation
}

func TestALostReplyToADeleteLeavesTheSessionEnded(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		through := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		if _, err := w.Delete(t.Context(), w.created().Lookup, nil, bff.ReasonIdle); err != nil {
			t.Fatal(err)
		}
		s := w.created()
		want(t, "ping", through.Ping(t.Context()), nil)
		p.loseReplyTo(w.record(s.Lookup))
		ended, err := through.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if ended == nil || err != nil || p.losses() != 1 {
			t.Errorf("the delete that finds its own end: %+v, %v, %d replies lost", ended, err, p.losses())
		}
		ended, err = through.Delete(t.Context(), s.Lookup, nil, bff.ReasonSignedOut)
		if ended != nil || err != nil {
			t.Errorf("the same again: %+v, %v", ended, err)
		}
		_, err = through.Read(t.Context(), s.Root)
		wantEnded(t, "read", err, bff.ReasonSignedOut)
	})
}

// A read whose connection breaks is asked again by itself.
func TestALostReplyToAReadIsNotNoticed(t *testing.T) {
	single(t, func(t *testing.T, w *world) {
		p := w.proxy()
		through := w.open(func(o *store.Options) { o.Addrs = []string{p.listener.Addr().String()} })
		s := w.created()
		p.loseReplyTo(w.record(s.Lookup))
		_, err := through.Read(t.Context(), s.Root)
		want(t, "read", err, nil)
		if p.losses() != 1 {
			t.Errorf("%d replies were lost, want 1", p.losses())
		}
	})
}
