package bff

import "context"

// KeptTokens keeps what a session has beside its own tokens: a token per resource (RFC 8707), and exchanged ones (RFC
// 8693). They are a memory and no more: whoever finds none gets another. Errors may be ErrStore; then nothing is known.
type KeptTokens interface {
	// ReadToken returns the token that is kept under name, in one round trip. A zero set when there is none, or none that
	// opens here: it was altered, or was kept under another name, for another session, or beside another access token than
	// the one that s has.
	ReadToken(ctx context.Context, s *Session, name string) (TokenSet, error)
	// KeepToken keeps the access token of t under name, in place of the one before: until it ends, and never longer than the
	// session's record. It is found as long as the session's own access token is the one of s, whatever else of the record
	// has moved, and is gone with the record, at the next refresh of the session's own tokens, and by its time. A refresh or
	// ID token in t is not kept. ErrNoSession or an *EndedError if the record is gone: nothing is kept then. Doing it twice
	// is safe.
	KeepToken(ctx context.Context, s *Session, name string, t TokenSet) error
}

// Kept is one token for KeptTokens that a refresh brought.
type Kept struct {
	Name   string
	Tokens TokenSet
}
