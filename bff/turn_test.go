package bff_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
)

// written is a handle of these parts, by the description of its form alone.
func written(prefix string, root []byte, turn uint64, proof []byte) string {
	body := append(binary.BigEndian.AppendUint64(bytes.Clone(root), turn), proof...)
	return checked(prefix + base64.RawURLEncoding.EncodeToString(body))
}

// checked adds the checksum: CRC-32 in base62, six digits.
func checked(text string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum, out := crc32.ChecksumIEEE([]byte(text)), ""
	for range 6 {
		out = string(digits[sum%62]) + out
		sum /= 62
	}
	return text + out
}

// shows NAT-TOKEN
func TestAHandleHasOneForm(t *testing.T) {
	root, proof := bytes.Repeat([]byte{0xfb}, 32), bytes.Repeat([]byte{7}, 16)
	good := written("clk_", root, 1, proof)
	if len(good) != 85 {
		t.Errorf("a handle has %d characters", len(good))
	}
	for name, text := range map[string]string{
		"of the first turn": good,
		"of a late turn":    written("clr_", root, 1<<53-1, proof),
	} {
		h, err := bff.ParseHandle(text)
		if err != nil || h.Kind() != map[string]bff.HandleKind{"clk_": bff.HandleAccess, "clr_": bff.HandleRefresh}[text[:4]] {
			t.Errorf("a handle %s: %v, %v", name, h.Kind(), err)
		}
	}
	raw := good[4:79]
	for name, text := range map[string]string{
		"nothing":                        "",
		"a root alone":                   bff.NewRoot().Reveal(),
		"another prefix":                 written("clx_", root, 1, proof),
		"a prefix in capitals":           written("CLK_", root, 1, proof),
		"the other kind's prefix":        "clr_" + good[4:],
		"no checksum":                    good[:79],
		"a character less":               good[:84],
		"a character more":               good + "0",
		"a wrong checksum":               good[:84] + string(good[84]^1),
		"a changed character":            good[:40] + "A" + good[41:],
		"a blank before":                 " " + good[:84],
		"turn zero":                      written("clk_", root, 0, proof),
		"a turn beyond counting":         written("clk_", root, 1<<53, proof),
		"a negative turn":                written("clk_", root, 1<<63, proof),
		"a shorter proof":                written("clk_", root, 1, proof[:15]),
		"the other alphabet":             checked("clk_" + strings.ReplaceAll(raw, "-", "+")),
		"padding":                        checked("clk_" + raw[:74] + "="),
		"bits that stand for nothing":    checked("clk_" + raw[:74] + string(raw[74]+1)),
		"a line end that decoders skip":  checked("clk_" + raw[:74] + "\n"),
		"a line end in the middle of it": checked("clk_" + raw[:10] + "\r" + raw[11:]),
	} {
		if _, err := bff.ParseHandle(text); !errors.Is(err, bff.ErrMalformedCredential) {
			t.Errorf("a handle with %s: %v", name, err)
		}
	}
}

func FuzzParseHandle(f *testing.F) {
	f.Add(written("clk_", bytes.Repeat([]byte{1}, 32), 1, bytes.Repeat([]byte{2}, 16)))
	f.Add(written("clr_", bytes.Repeat([]byte{0xff}, 32), 1<<40, bytes.Repeat([]byte{0xff}, 16)))
	f.Add("clk_" + strings.Repeat("A", 81))
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range []string{text, checked(text)} { // the checksum keeps no attacker out
			h, err := bff.ParseHandle(s)
			if err != nil {
				continue
			}
			b, err := base64.RawURLEncoding.DecodeString(s[4:79])
			if err != nil || written(s[:4], b[:32], binary.BigEndian.Uint64(b[32:40]), b[40:]) != s {
				t.Errorf("%q was taken for a handle of kind %s", s, h.Kind())
			}
		}
	})
}

func TestAHandleCannotBePrinted(t *testing.T) {
	root := bytes.Repeat([]byte("root"), 8)
	text := written("clk_", root, 7, bytes.Repeat([]byte{7}, 16))
	h, err := bff.ParseHandle(text)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("handle", "handle", h)
	for _, shown := range []string{
		fmt.Sprint(h), fmt.Sprintf("%+v %#v %x %s", h, h, h, h), fmt.Sprintf("%+v", struct{ H bff.Handle }{h}), log.String(),
	} {
		if strings.Contains(shown, text[4:30]) || strings.Contains(shown, "root") || strings.Contains(shown, "726f6f74") {
			t.Errorf("shows %q", shown)
		}
	}
	if _, err := json.Marshal(h); !errors.Is(err, bff.ErrSecretMarshalled) {
		t.Errorf("marshalled: %v", err)
	}
}

// shows NAT-ROT, NAT-TOKEN
func TestAnAccessHandleIsGoodForItsTurnAndTime(t *testing.T) {
	type step struct {
		after  time.Duration // since the row's step before
		rotate bool          // the app rotates; then its first access handle is presented
		want   bff.Code
	}
	for name, steps := range map[string][]step{
		"of the current turn, within its life": {{15*time.Minute - time.Second, false, ""}},
		"of the current turn, after its life":  {{15 * time.Minute, false, bff.CodeSessionRequired}},
		"of the turn before, within the grace": {{time.Minute, true, ""}, {29 * time.Second, false, ""}},
		"of the turn before, after the grace":  {{time.Minute, true, ""}, {30 * time.Second, false, bff.CodeSessionRequired}},
		"of the turn before, within the grace, after its own life": {
			{15*time.Minute - 10*time.Second, true, ""}, {10 * time.Second, false, bff.CodeSessionRequired},
		},
		"two turns back": {{time.Minute, true, ""}, {time.Second, true, bff.CodeSessionRequired}},
	} {
		t.Run("a handle "+name, func(t *testing.T) {
			w := newNativeWorld(t)
			a := w.instance()
			first := w.pair(a, w.nativeLogin(a))
			now := first
			for _, s := range steps {
				w.clock.move(s.after)
				if s.rotate {
					now = w.mustRotate(a, now.refresh)
				}
				_, err := w.call(a, first.access)
				wantCode(t, "a call", err, s.want)
			}
			if _, err := w.rotate(a, now.refresh); err != nil {
				t.Errorf("a stale access handle has ended the session: %v", err)
			}
		})
	}
}

// A failover lost the last move: the access handle must be fetched anew, and can be.
//
// shows NAT-ROT
func TestATurnAheadOfItsRecordIsTakenBack(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	s := w.nativeLogin(a)
	record := "cr:s:{" + string(s.Lookup) + "}"
	before := w.redis.HGet(record, "turn")
	ahead := w.mustRotate(a, w.pair(a, s).refresh)
	w.redis.HSet(record, "turn", before)
	_, err := w.call(a, ahead.access)
	wantCode(t, "an access handle ahead of the record", err, bff.CodeSessionRequired)
	next := w.mustRotate(a, ahead.refresh)
	if next == ahead {
		t.Error("the turn that is out already was given out again")
	}
	if _, err := w.call(a, next.access); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// shows NAT-TYPE
func TestACredentialOfAnotherKindOrAppIsRefused(t *testing.T) {
	w := newNativeWorld(t)
	a := w.instance()
	s := w.nativeLogin(a)
	p := w.pair(a, s)
	forged := written("clk_", s.Root.Bytes(), 1, make([]byte, 16))
	swapped := checked("clk_" + p.refresh[4:79])
	nextTurn, _ := base64.RawURLEncoding.DecodeString(p.access[4:79])
	for name, c := range map[string]struct {
		handle string
		rule   string
	}{
		"a refresh handle":                      {p.refresh, ": refresh handle as access handle"},
		"a refresh handle with another prefix":  {swapped, "phone: handle without proof"},
		"a proof of nothing":                    {forged, "phone: handle without proof"},
		"the proof of another turn":             {written("clk_", s.Root.Bytes(), 2, nextTurn[40:]), "phone: handle without proof"},
		"a root that never was":                 {written("clk_", bff.NewRoot().Bytes(), 1, make([]byte, 16)), ""},
		"the lookup, as a dump of Redis has it": {written("clk_", lookupBytes(s), 1, make([]byte, 16)), ""},
	} {
		b := w.instance()
		_, err := w.call(b, c.handle)
		wantCode(t, "a call with "+name, err, bff.CodeSessionRequired)
		if got := b.refusals(); got != c.rule {
			t.Errorf("a call with %s: traced %q, want %q", name, got, c.rule)
		}
	}
	b := w.instance()
	_, _, err := b.HandleSession(context.Background(), func(string) *bff.App { return nil }, w.parse(p.access), nil)
	wantCode(t, "a call at a gateway that has no such native app", err, bff.CodeSessionRequired)
	if got := b.refusals(); got != ": foreign app" {
		t.Errorf("traced %q", got)
	}
	if _, err := w.call(a, p.access); err != nil {
		t.Errorf("the handle itself, after all: %v", err)
	}
}

func lookupBytes(s *bff.Session) []byte {
	b, _ := base64.RawURLEncoding.DecodeString(string(s.Lookup))
	return b
}

// A cookie's session is none for handles, not even for whoever has ring and root, and is not touched; also where the app
// has become a native one since.
//
// shows NAT-TYPE
func TestACookieSessionHasNoHandles(t *testing.T) {
	for _, kind := range []bff.Kind{bff.KindSPA, bff.KindMobile} {
		w := newWorld(t)
		a := w.instance()
		s := w.session(a, w.login(a))
		w.app.Kind = kind
		if _, err := a.Handles(w.app, s); err == nil {
			t.Error("handles were made of a cookie's session")
		}
		with := *s
		with.Turn.N = 1
		p := w.pair(a, &with)
		_, err := w.call(a, p.access)
		wantCode(t, "a call", err, bff.CodeSessionRequired)
		_, err = w.rotate(a, p.refresh)
		wantCode(t, "a rotation", err, bff.CodeGrantRejected)
		if err := a.RevokeHandle(context.Background(), w.app, w.parse(p.refresh)); err != nil {
			t.Errorf("a revocation: %v", err)
		}
		w.app.Kind = bff.KindSPA
		w.session(a, s.Root)
	}
}

// shows NAT-ROT
func TestAnAccessHandleEndsWithItsSession(t *testing.T) {
	for reason, change := range map[bff.Reason]func(*bff.App){
		bff.ReasonIdle:     func(a *bff.App) { a.Idle = 10 * time.Minute },
		bff.ReasonAbsolute: func(a *bff.App) { a.Absolute = 10 * time.Minute },
	} {
		w := newNativeWorld(t)
		change(w.app)
		a := w.instance()
		p := w.pair(a, w.nativeLogin(a))
		w.clock.move(10*time.Minute - time.Second)
		if _, err := w.call(a, p.access); err != nil {
			t.Errorf("a call before the end: %v", err)
		}
		w.clock.move(time.Second)
		_, err := w.call(a, p.access)
		wantCode(t, "a call after the end", err, bff.CodeSessionExpired)
		a.endedFor(t, reason)
	}
}

// countingTurns counts the notes that a turn was seen.
type countingTurns struct {
	bff.Turns
	notes atomic.Int64
}

func (c *countingTurns) TurnSeen(ctx context.Context, s *bff.Session, n int64) error {
	c.notes.Add(1)
	return c.Turns.TurnSeen(ctx, s, n)
}

// The hot path writes once in a turn, not at each call.
func TestATurnIsNotedOnce(t *testing.T) {
	w := newNativeWorld(t)
	turns := &countingTurns{}
	counted := func(p *bff.Ports) { turns.Turns = p.Turns; p.Turns = turns }
	a, b, c := w.instance(counted), w.instance(counted), w.instance(counted)
	first := w.pair(a, w.nativeLogin(a))
	next := w.mustRotate(a, first.refresh)
	noted := func(in *instance, access string) int64 {
		before := turns.notes.Load()
		if _, err := w.call(in, access); err != nil {
			t.Fatal(err)
		}
		w.revocations(in, "") // whatever runs beside is done
		return turns.notes.Load() - before
	}
	if n := noted(a, first.access); n != 0 { // of the turn before, and so no sign of the successor
		t.Errorf("a handle of the turn before was noted %d times", n)
	}
	if n := noted(b, next.access); n != 1 {
		t.Errorf("the first use was noted %d times", n)
	}
	if n := noted(c, next.access); n != 0 {
		t.Errorf("the second use was noted %d times", n)
	}
}

// shows NAT-TOKEN
func TestHandlesTellHowLongTheAccessHandleLasts(t *testing.T) {
	w := newNativeWorld(t)
	w.app.Absolute = 20 * time.Minute
	a := w.instance()
	s := w.nativeLogin(a)
	for _, c := range []struct {
		after, want time.Duration
	}{{0, 15 * time.Minute}, {10 * time.Minute, 5 * time.Minute}, {6 * time.Minute, 0}} {
		w.clock.move(c.after)
		if h, err := a.Handles(w.app, s); err != nil || h.ExpiresIn != c.want {
			t.Errorf("expires in %v, %v, want %v", h.ExpiresIn, err, c.want)
		}
	}
	s, err := a.RotateHandles(context.Background(), w.app, w.parse(w.pair(a, s).refresh))
	if err != nil {
		t.Fatal(err)
	}
	h, err := a.Handles(w.app, s)
	if err != nil || h.ExpiresIn > 4*time.Minute || h.ExpiresIn < 4*time.Minute-time.Second {
		t.Errorf("expires in %v, %v: want the session's absolute end", h.ExpiresIn, err)
	}
}
