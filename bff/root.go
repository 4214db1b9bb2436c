package bff

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// rootBytes is 256 bits: more than enough that neither a guess nor a dump of the (unkeyed) lookups finds a root.
const rootBytes = 32

// Labels keep the values derived from one root apart (domain separation).
const (
	labelLookup = "cloakroom lookup v1"
	labelID     = "cloakroom session id v1"
	labelLogout = "cloakroom logout v1"
)

// ErrMalformedCredential says that a presented credential has not the form of one. Nothing was looked up.
var ErrMalformedCredential = errors.New("malformed credential")

// Root is a session's secret: 256 random bits that the frontend alone keeps. It cannot be printed; the zero value
// is the absent root.
type Root struct{ bytes *[rootBytes]byte }

// NewRoot draws a root from the system's random source.
func NewRoot() Root {
	var b [rootBytes]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime stops the process instead
	return Root{bytes: &b}
}

// ParseRoot reads a root as Reveal writes it. Anything else, padding and other alphabets included, is
// ErrMalformedCredential, so that nothing malformed reaches the store.
func ParseRoot(s string) (Root, error) {
	if len(s) != base64.RawURLEncoding.EncodedLen(rootBytes) {
		return Root{}, ErrMalformedCredential
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Root{}, ErrMalformedCredential
	}
	return RootFromBytes(b)
}

// RootFromBytes makes a root of its 32 bytes, as a sealed transaction carries them.
func RootFromBytes(b []byte) (Root, error) {
	if len(b) != rootBytes {
		return Root{}, ErrMalformedCredential
	}
	return Root{bytes: (*[rootBytes]byte)(append([]byte(nil), b...))}, nil
}

// Bytes returns a copy of the root's 32 bytes; nil for the absent root.
func (r Root) Bytes() []byte {
	if r.bytes == nil {
		return nil
	}
	return append([]byte(nil), r.bytes[:]...)
}

// Reveal returns the root as the 43 characters a cookie carries.
func (r Root) Reveal() string { return base64.RawURLEncoding.EncodeToString(r.Bytes()) }

// IsZero reports whether the root is absent.
func (r Root) IsZero() bool { return r.bytes == nil }

// Lookup returns the name under which the root's record is stored.
func (r Root) Lookup() Lookup {
	h := sha256.New()
	h.Write([]byte(labelLookup))
	h.Write(r.bytes[:])
	return Lookup(base64.RawURLEncoding.EncodeToString(h.Sum(nil)))
}

// LogoutToken is what a GET of the logout endpoint must carry: a value only this session's page was told. It is
// derived from the root, so nothing is stored for it, and it says nothing about the root.
func (r Root) LogoutToken() string {
	key, _ := hkdf.Key(sha256.New, r.bytes[:], nil, labelLogout, 16) // errs only for absurd lengths
	return base64.RawURLEncoding.EncodeToString(key)
}

// Format prints the same placeholder for every verb and flag.
func (r Root) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the root out of structured logs.
func (r Root) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses: see ErrSecretMarshalled.
func (r Root) MarshalText() ([]byte, error) { return nil, ErrSecretMarshalled }

// Lookup is the SHA-256 of a root, base64url: the name of its record. It is unkeyed, for the root has 256 random bits;
// presented as a credential it is worth nothing.
type Lookup string

const idBytes = 16 // of a public name: 128 bits, unique without coordination

// ID is the session's public name: what its owner sees in the session answer and the audit log carries.
func (l Lookup) ID() string {
	sum := sha256.Sum256([]byte(labelID + string(l)))
	return base64.RawURLEncoding.EncodeToString(sum[:idBytes])
}
