package bff

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"time"
)

// ErrReused: a refresh handle was presented whose successor has been in use for longer than the grace: two hold the
// credential of one (RFC 9700 section 4.14.2).
var ErrReused = errors.New("refresh handle reused")

// HandleKind tells the two kinds of handles apart: neither ever passes for the other.
type HandleKind string

// The kinds of handles.
const (
	HandleAccess  HandleKind = "access"  // clk_…: goes with API calls
	HandleRefresh HandleKind = "refresh" // clr_…: goes to the token endpoint alone
)

// Handle is what a native app presents: the session's root, a turn, and the proof that this gateway gave out that turn as
// that kind. It cannot be printed.
type Handle struct {
	kind  HandleKind
	root  Root
	turn  int64
	proof *[proofBytes]byte
}

// proofBytes of a MAC go into a handle: 128 bits, against guesses that must be sent to the gateway one by one.
const proofBytes = 16

const (
	handleBytes = rootBytes + 8 + proofBytes // root, turn, proof
	handleChars = (handleBytes*8 + 5) / 6    // in base64url, without padding
	// checkChars of base62 hold any CRC-32: 62^6 is more than 2^32.
	checkChars = 6
	// maxTurn is far more than any session rotates, and what every part of the store counts to exactly.
	maxTurn = 1 << 53
)

// Turn is where a native session stands: each rotation of its handles moves N by one, in the same record.
type Turn struct {
	N      int64     // counts from 1; 0 for a session whose credential is a cookie
	Moved  time.Time // when N became the current turn
	Issued time.Time // when the handles of N were handed out last: the access handle's life counts from here
	Seen   time.Time // when a credential of N was first presented; zero: not yet
	Before time.Time // Issued of the turn before; zero for the first
}

// Turns moves the turn of a native session. The same rules as for Records hold: existing records only, deletion wins, and
// ErrStore tells that nothing is known.
type Turns interface {
	// Rotate takes the refresh handle of turn presented and returns the turn to hand out. The current turn moves on by one.
	// The turn before gets the same successor again, as long as no credential of that was seen (its answer was lost) or
	// the first was seen no longer than grace ago. Anything older, or later, is ErrReused, and nothing moves. One ahead of
	// the record was handed out by us and lost by a failover of the store: it counts as current. Doing it twice is safe.
	Rotate(ctx context.Context, s *Session, presented int64, grace time.Duration) (Turn, error)
	// TurnSeen notes that a credential of turn n was presented, if n is the current turn and none was before.
	TurnSeen(ctx context.Context, s *Session, n int64) error
}

// prefix tells people, and scanners for lost secrets, what they are looking at.
func (k HandleKind) prefix() string {
	if k == HandleRefresh {
		return "clr_"
	}
	return "clk_"
}

// ParseHandle reads a handle as a native app presents it. ErrMalformedCredential for anything that is none. It says
// nothing about whether a handle is good: the checksum is for typing errors and scanners, anybody can make it.
func ParseHandle(s string) (Handle, error) {
	prefix := len(HandleAccess.prefix())
	if len(s) != prefix+handleChars+checkChars {
		return Handle{}, ErrMalformedCredential
	}
	h := Handle{kind: HandleAccess, proof: new([proofBytes]byte)}
	if s[:prefix] == HandleRefresh.prefix() {
		h.kind = HandleRefresh
	}
	text, check := s[:prefix+handleChars], s[prefix+handleChars:]
	if s[:prefix] != h.kind.prefix() || check != checksum(text) {
		return Handle{}, ErrMalformedCredential
	}
	// The decoder skips line ends, whatever else it is strict about: then bytes are missing.
	b, err := base64.RawURLEncoding.Strict().DecodeString(text[prefix:])
	if err != nil || len(b) != handleBytes {
		return Handle{}, ErrMalformedCredential
	}
	turn := binary.BigEndian.Uint64(b[rootBytes:])
	if turn < 1 || turn >= maxTurn {
		return Handle{}, ErrMalformedCredential
	}
	h.root, _ = RootFromBytes(b[:rootBytes])
	h.turn = int64(turn)
	copy(h.proof[:], b[rootBytes+8:])
	return h, nil
}

// checksum is the CRC-32 of text in base62, six characters.
func checksum(text string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := crc32.ChecksumIEEE([]byte(text))
	var out [checkChars]byte
	for i := range out {
		out[checkChars-1-i] = digits[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// reveal returns the handle as an app presents it.
func (h Handle) reveal() string {
	b := make([]byte, 0, handleBytes)
	b = binary.BigEndian.AppendUint64(append(b, h.root.bytes[:]...), uint64(h.turn))
	text := h.kind.prefix() + base64.RawURLEncoding.EncodeToString(append(b, h.proof[:]...))
	return text + checksum(text)
}

// Kind is the kind that its prefix names.
func (h Handle) Kind() HandleKind { return h.kind }

// Format prints the same placeholder for every verb and flag.
func (h Handle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the handle out of structured logs.
func (h Handle) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses: see ErrSecretMarshalled.
func (h Handle) MarshalText() ([]byte, error) { return nil, ErrSecretMarshalled }

// Handles returns the handles of a session's current turn. Those of one turn are the same whenever they are made, so an
// answer that was lost is given again byte for byte.
func (e *Engine) Handles(app *App, s *Session) (Handles, error) {
	if s.Turn.N == 0 || s.Root.IsZero() {
		return Handles{}, errors.New("a session without turns has no handles")
	}
	access, err := e.handle(s, HandleAccess)
	if err != nil {
		return Handles{}, err
	}
	refresh, err := e.handle(s, HandleRefresh)
	if err != nil {
		return Handles{}, err
	}
	end := s.Turn.Issued.Add(app.AccessLife)
	if s.AbsoluteEnd.Before(end) {
		end = s.AbsoluteEnd
	}
	return Handles{Access: access, Refresh: refresh, ExpiresIn: max(end.Sub(e.now()), 0)}, nil
}

func (e *Engine) handle(s *Session, kind HandleKind) (Secret, error) {
	proof, err := e.ring.Turn(s.KeyID, s.Root, kind, s.Turn.N)
	if err != nil {
		return Secret{}, fmt.Errorf("making a handle: %w", err)
	}
	h := Handle{kind: kind, root: s.Root, turn: s.Turn.N, proof: (*[proofBytes]byte)(proof)}
	return NewSecret(h.reveal()), nil
}

// proven reports whether this gateway gave out the handle: for this session, as this kind, for this turn.
func (e *Engine) proven(s *Session, h Handle) bool {
	proof, err := e.ring.Turn(s.KeyID, s.Root, h.kind, h.turn)
	return err == nil && subtle.ConstantTimeCompare(proof[:proofBytes], h.proof[:]) == 1
}

// misused tells what is wrong with a handle that is presented for a record of app (nil: of no native app): nothing is read
// into a record, nor written to it, before this is "".
func (e *Engine) misused(app *App, s *Session, h Handle) (rule string) {
	switch {
	case app == nil || !app.Native() || !s.isOf(app):
		return "foreign app"
	case !e.proven(s, h):
		return "handle without proof"
	default:
		return ""
	}
}

// HandleSession returns the live session of an access handle, and the app that it is of. apps finds a native app by id;
// nil for all others. An access handle of an older turn, or one that is too old, is CodeSessionRequired.
func (e *Engine) HandleSession(ctx context.Context, apps func(id string) *App, h Handle) (*App, *Session, error) {
	app, s, err := e.openHandle(ctx, apps, h)
	if err != nil {
		return nil, nil, err
	}
	if !s.Turn.admits(h.turn, app, e.now()) {
		return nil, nil, errNoSession(nil) // stale: the app fetches the next one. Nothing has ended
	}
	e.noteSeen(s, h)
	return app, s, nil
}

// LeavingSession is HandleSession for a sign-out and nothing else: the access handle's own life does not matter, for
// whoever signs out after a pause means it. What RevokeHandle takes for worthless is CodeSessionRequired here too.
func (e *Engine) LeavingSession(ctx context.Context, apps func(id string) *App, h Handle) (*App, *Session, error) {
	app, s, err := e.openHandle(ctx, apps, h)
	if err != nil {
		return nil, nil, err
	}
	if !s.Turn.leaves(h.turn, app, e.now()) {
		return nil, nil, errNoSession(nil)
	}
	return app, s, nil
}

// openHandle returns the live session of an access handle, whatever its turn, and the app that it is of.
func (e *Engine) openHandle(ctx context.Context, apps func(id string) *App, h Handle) (*App, *Session, error) {
	if h.kind != HandleAccess {
		e.trace.refusedCredential(ctx, nil, "refresh handle as access handle")
		return nil, nil, errNoSession(nil)
	}
	s, err := e.read(ctx, nil, h.root)
	if err != nil {
		return nil, nil, err
	}
	app := apps(s.App)
	if rule := e.misused(app, s, h); rule != "" {
		e.trace.refusedCredential(ctx, app, rule)
		return nil, nil, errNoSession(nil)
	}
	if err := e.overdue(ctx, s); err != nil {
		return nil, nil, err
	}
	return app, s, nil
}

// admits reports whether an access handle of turn n is good at now: one of the current turn for its life, one of the turn
// before for the grace, in which calls that were under way arrive, and no longer than its own life.
func (t Turn) admits(n int64, app *App, now time.Time) bool {
	switch n {
	case t.N:
		return now.Before(t.Issued.Add(app.AccessLife))
	case t.N - 1:
		return now.Before(t.Moved.Add(app.Grace)) && now.Before(t.Before.Add(app.AccessLife))
	default:
		return false
	}
}

// leaves reports whether a handle of turn n still ends the session, whatever its own life. The app of the turn before may
// not have got its successor: what it holds is all it can sign out with. Anything older a rotation has made worthless.
func (t Turn) leaves(n int64, app *App, now time.Time) bool {
	lost := n == t.N-1 && (t.Seen.IsZero() || !now.After(t.Seen.Add(app.Grace)))
	return n >= t.N || lost
}

// noteSeen notes, beside the request, that the app has the answer to its last rotation. A note that is lost is written by
// the next request: until then the turn before gets the same successor a little longer.
func (e *Engine) noteSeen(s *Session, h Handle) {
	if h.turn != s.Turn.N || !s.Turn.Seen.IsZero() {
		return
	}
	e.beside(5*time.Second, func(ctx context.Context) { // a store that is slower than this is down
		if err := e.ports.Turns.TurnSeen(ctx, s, h.turn); err != nil && !errors.Is(err, ErrNoSession) {
			e.trace.alarm(ctx, "noting that a handle was seen", err)
		}
	})
}
