package server

import (
	"log/slog"
	"strings"
)

// stray takes what libraries write to the logger of package log, so that the log stays JSON: net/http has no other place for
// some of it.
type stray struct{ log *slog.Logger }

// Write logs a message. Of bytes that an API sent unasked net/http quotes up to 4 KiB, and those may be anybody's data (ASVS
// 16.2.5): they are left out.
func (s stray) Write(p []byte) (int, error) {
	said, _, _ := strings.Cut(strings.TrimSpace(string(p)), " starting with ")
	s.log.Warn("a library complains", "of", said)
	return len(p), nil
}
