package bff

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"time"
)

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

// prefix tells people, and scanners for lost secrets, what they are looking at.
func (k HandleKind) prefix() string {
	if k == HandleRefresh {
		return "clr_"
	}
	return "clk_"
}

// IsHandle reports whether a text is meant as a handle, well-formed or not: by its prefix alone.
func IsHandle(s string) bool {
	return strings.HasPrefix(s, HandleAccess.prefix()) || strings.HasPrefix(s, HandleRefresh.prefix())
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

// Handles are the credentials of a native session's current turn.
type Handles struct {
	Access    Secret
	Refresh   Secret        // zero of a session that is bound to a key: its access handle lasts as long as it
	ExpiresIn time.Duration // of Access
}

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
	if s.Key != "" {
		return Handles{Access: access, ExpiresIn: max(s.AbsoluteEnd.Sub(e.now()), 0)}, nil
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
