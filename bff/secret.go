package bff

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every attempt to print a secret shows.
const redacted = "[redacted]"

// ErrSecretMarshalled is returned by every attempt to encode a Secret or a Root as text or JSON: a record of secrets
// is sealed field by field, by code that asks for the value.
var ErrSecretMarshalled = errors.New("a secret cannot be marshalled")

// Secret holds a token, a code, a client secret or any other text that must never be printed. The zero value is the
// absent secret. The value stands behind a pointer, so that a print of a struct around it by reflection shows no
// more than an address.
type Secret struct{ value *string }

// NewSecret wraps s. The empty text becomes the absent secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Reveal returns the secret itself, for the one line that sends or seals it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is absent.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format prints the same placeholder for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue keeps the secret out of structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses: see ErrSecretMarshalled.
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrSecretMarshalled }
