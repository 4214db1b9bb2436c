package bff

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

const (
	// nonceLife is how long a nonce is taken: an app that is used more often than this is never asked for another, for each
	// answer brings the next; and proofs that were made in stock are worthless after it (RFC 9449 section 11.2).
	nonceLife = 5 * time.Minute
	// nonceAhead is how far the clock of the instance that made it may be ahead, in excess of what is left of a second.
	nonceAhead = 10 * time.Second
	// nonceMAC bytes cannot be guessed in the life of a nonce.
	nonceMAC = 16
)

const nonceBytes = 8 + nonceMAC // the time in seconds, and what shows that it is of us

// Nonce returns a nonce for proofs of possession (RFC 9449 section 8): good on every instance, and stored on none. Those of
// one second are the same; they can be told from others by us alone.
func (e *Engine) Nonce() string {
	at := binary.BigEndian.AppendUint64(nil, uint64(e.now().Unix()))
	return base64.RawURLEncoding.EncodeToString(append(at, e.ring.macs(purposeNonce, at)[0][:nonceMAC]...))
}

// NonceGood reports whether a nonce is one of ours and still young enough.
func (e *Engine) NonceGood(nonce string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != nonceBytes {
		return false
	}
	at, mac := b[:8], b[8:]
	good := 0
	for _, m := range e.ring.macs(purposeNonce, at) { // under every key, for instances may roll
		good |= subtle.ConstantTimeCompare(m[:nonceMAC], mac)
	}
	age := e.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(at)), 0))
	return good == 1 && age < nonceLife && age > -nonceAhead
}
