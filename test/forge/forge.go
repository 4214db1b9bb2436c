// Package forge writes native handles as the gateway writes them, for tests that present what nobody was given. A handle is 56
// bytes between a prefix and a checksum, and all of its form is public: that it opens nothing is the gateway's to see to.
package forge

import (
	"crypto/rand"
	"encoding/base64"
	"hash/crc32"
)

// The prefixes of the two kinds of handles.
const (
	Access  = "clk_"
	Refresh = "clr_"
)

const (
	rootBytes = 32 // of the secret that names a session
	turnBytes = 8  // after it, then 16 of proof that the gateway gave it out
	size      = rootBytes + turnBytes + 16
	check     = 6 // characters of checksum
)

// Handle is a well-formed handle of the first turn of a session that there is none of.
func Handle(prefix string) string {
	content := make([]byte, size)
	_, _ = rand.Read(content) // never fails
	clear(content[rootBytes : rootBytes+turnBytes])
	content[rootBytes+turnBytes-1] = 1
	return written(prefix, base64.RawURLEncoding.EncodeToString(content))
}

// As is a handle with another prefix: its content unchanged, its checksum right.
func As(prefix, handle string) string {
	return written(prefix, handle[len(prefix):len(handle)-check])
}

// written adds the checksum: CRC-32 in base62.
func written(prefix, content string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := prefix + content
	var sum [check]byte
	for i, left := check-1, crc32.ChecksumIEEE([]byte(text)); i >= 0; i, left = i-1, left/62 {
		sum[i] = digits[left%62]
	}
	return text + string(sum[:])
}
