package provider

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
)

// sha256Sum hashes a token, a code or a verifier.
func sha256Sum(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

// secret is an opaque value of 40 hex digits, the form of the refresh tokens in Scalekit's samples: 160 random bits.
func secret() string {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // crypto/rand.Read never fails: it ends the process instead
	return hex.EncodeToString(b)
}

// digits is an identifier as Scalekit makes them: 18 digits behind a prefix. It is unique, not secret.
func digits() string {
	const floor = 100_000_000_000_000_000 // the smallest number of 18 digits
	n, err := rand.Int(rand.Reader, big.NewInt(9*floor))
	if err != nil {
		return secret() // cannot happen: the reader never fails
	}
	return n.Add(n, big.NewInt(floor)).String()
}
