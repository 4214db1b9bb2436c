package config

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// Key is one of the keys that seal or name what is stored.
type Key struct {
	// ID is what records name the key by; at most 16 characters.
	ID string `yaml:"id"`
	// Key is the key's text, read from the file that file: names. Given
	// directly, it may only come from the environment.
	Key Secret `yaml:"key" file:"file"`
}

// Bytes returns the 32 bytes of the key; nil for one that [ParseKey] refuses,
// which a loaded configuration does not hold.
func (k *Key) Bytes() []byte {
	key, err := ParseKey(k.Key.Reveal())
	if err != nil {
		return nil
	}
	return key
}

// KeyBytes is the length of a sealing or index key: AES-256 takes 32 bytes.
const KeyBytes = 32

// What ParseKey finds wrong. None of them repeats the text.
var (
	errKeyText    = errors.New("a key that is no base64url text")
	errKeyHex     = errors.New("a key in hexadecimal")
	errKeyLines   = errors.New("a key of more than one line")
	errKeyLength  = errors.New("a key that is not 32 bytes long")
	errKeyPattern = errors.New("a key that was not drawn at random")
	errNotRegular = errors.New("no regular file")
	errTooLarge   = errors.New("a file that is too large to be meant")
)

// ParseKey reads a key as keygen prints it: 32 bytes in base64url, with or
// without padding, on one line. It refuses what was plainly not drawn at random,
// such as zeros, a repeated pattern or readable text.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "\r\n") {
		return nil, errKeyLines
	}
	if len(text) == 2*KeyBytes && strings.Trim(text, "0123456789abcdefABCDEF") == "" {
		return nil, errKeyHex
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
	switch {
	case err != nil:
		return nil, errKeyText
	case len(key) != KeyBytes:
		return nil, errKeyLength
	case !randomLooking(key):
		return nil, errKeyPattern
	}
	return key, nil
}

// fewDistinct is a bound that 32 random bytes stay above: they hold about 30
// distinct values, and fewer than 16 about once in 10^20 keys.
const fewDistinct = 16

// randomLooking is no test of randomness; it catches keys that a person typed.
func randomLooking(key []byte) bool {
	distinct := slices.Compact(slices.Sorted(slices.Values(key)))
	if len(distinct) < fewDistinct {
		return false
	}
	readable, steps := true, true
	for i, b := range key {
		readable = readable && b >= ' ' && b <= '~'
		steps = steps && (i < 2 || b-key[i-1] == key[1]-key[0])
	}
	return !readable && !steps
}

// reason is an error of the file system without the name, which the problem's
// path leads to anyway.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
