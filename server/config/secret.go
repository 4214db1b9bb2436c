package config

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// mask stands for a secret wherever one would be printed; its length says
// nothing about the secret's.
const mask = "********"

// errSecret is what encoding a secret yields.
var errSecret = errors.New("a secret has no text form")

// Secret is a text that cannot be printed, logged or encoded by mistake; only
// [Secret.Reveal] gives it away. The zero Secret is not set.
type Secret struct {
	// A pointer, so that even a printer that goes through fields by reflection
	// shows an address at most.
	text *string
}

// NewSecret wraps text; an empty text is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the secret itself, empty if it is not set.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.text != nil }

// Equal compares without telling by its duration where two secrets differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns the mask.
func (s Secret) String() string { return mask }

// Format writes the mask whatever the verb, %+v, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, mask) }

// LogValue is the mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText refuses: a secret that gets as far as an encoder is a mistake that
// should be noticed.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalJSON refuses, as MarshalText does.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalYAML refuses, as MarshalText does.
func (s Secret) MarshalYAML() (any, error) { return nil, errSecret }
