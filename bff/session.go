package bff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// TokenSet is what the provider gave: it never leaves the gateway but for the access token, towards a route's own API,
// and the ID token, in the one top-level navigation to end_session.
type TokenSet struct {
	Access    Secret
	Refresh   Secret // zero when the provider gives none
	ID        Secret
	TokenType string // "Bearer", as the provider spelled it
	Scope     string // granted scopes, space-separated

	// ProofKey is the private key that the provider bound the tokens to (RFC 9449): 32 raw bytes that make a key of P-256.
	// Zero: they are bound to none.
	ProofKey Secret

	ReceivedAt time.Time
	ExpiresAt  time.Time // of the access token
	RefreshAt  time.Time // from here on a request renews it: ExpiresAt less a margin scaled to its life, jittered
}

// Identity is what a verified ID token says about the user.
type Identity struct {
	Subject  string
	SID      string // the provider's session id; "" when it gives none
	AuthTime time.Time
	ACR      string
	// Claims is a JSON object of the app's StoredClaims that the token (or UserInfo) had.
	Claims json.RawMessage
}

// Session is one app's record of a signed-in user, opened.
type Session struct {
	Root   Root   // zero when the session was found without its credential
	Lookup Lookup // the record's name
	App    string
	KeyID  string // the ring key in front when the session began; it keeps that one for life

	Identity
	Provider string // the provider's configured name

	Began       time.Time // when its login's transaction started: what a Marker's time is compared with
	CreatedAt   time.Time // when the login completed
	LastActive  time.Time
	AbsoluteEnd time.Time
	Idle        time.Duration

	// Groups names the SSO sessions it belongs to (usually one); Seen is the id of the marker its browser had already
	// been signed out by when this login began: that marker does not end it.
	Groups []string
	Seen   string

	Tokens     TokenSet
	Generation int64 // counts the uses of the refresh token, from 1: what a save is judged by
	// Own is the generation that brought the session's own access token, where later ones brought those of resources; 0: it
	// is Generation. It is written by the store as it came: read OwnGeneration, which knows what 0 is.
	Own  int64
	Sent *SentMark

	Turn Turn   // of a native session; zero for a cookie
	Key  string // thumbprint of the key that its handle is bound to, for as long as it lives (RFC 9449); "" = none

	// Device is a short text of what it runs on, for the list of the user's sessions: written at the login, and not read
	// back with the session.
	Device string
	// Platform is what a native app said of the system below it, "iOS 19.1", kept as Device is; "" of a browser.
	Platform string
}

// OwnGeneration counts the refreshes of the session's own access token: it stands still while resources get theirs. Whether
// that token is newer than another read of it is asked of this; whether the record is, of Generation.
func (s *Session) OwnGeneration() int64 {
	if s.Own != 0 {
		return s.Own
	}
	return s.Generation
}

// ID is the session's public name.
func (s *Session) ID() string { return s.Lookup.ID() }

// IdleEnd is when the session ends unless it is used before.
func (s *Session) IdleEnd() time.Time { return s.LastActive.Add(s.Idle) }

// LastEnd is the latest the session can end: its absolute end or, without a refresh token, the end of its access token.
func (s *Session) LastEnd() time.Time {
	if s.Tokens.Refresh.IsZero() && !s.Tokens.ExpiresAt.IsZero() && s.Tokens.ExpiresAt.Before(s.AbsoluteEnd) {
		return s.Tokens.ExpiresAt
	}
	return s.AbsoluteEnd
}

// SentMark says that a refresh token of this generation is on its way to the provider, or was and the answer is
// doubtful. Only the save of new tokens, or a definite answer that leaves the token good, clears it.
type SentMark struct {
	Generation int64
	Attempt    string // the claim under which it was sent
	Doubt      bool   // the sender is known to have finished, without learning whether the work was done
	At         time.Time
}

// Records keeps sessions. Every method may return an error that is ErrStore; then nothing is known, and a write may or
// may not have happened. All updates act on an existing record only: deletion always wins. The implementation owns
// every TTL: the lesser of idle and absolute end, and a while longer in which that end can be told.
type Records interface {
	// Create writes the index entries, then the record. Doing it twice is safe. A failed index write fails the login.
	Create(ctx context.Context, s *Session) error
	// Read opens the record of root in one round trip to the primary when there is one. Otherwise ErrNoSession or, if the
	// end is remembered, an *EndedError. ErrKeyUnknown, ErrKeyRetired, ErrTampered and ErrNewerSchema say that it is there
	// but not to be opened here. It does not judge idle and absolute end.
	Read(ctx context.Context, root Root) (*Session, error)
	// Touch moves the last activity, and only that, and adds the index entries again. ErrNoSession if it is gone.
	Touch(ctx context.Context, s *Session, at time.Time) error
	// Delete ends one session if its marker (nil: unconditionally) applies to it, forgets its index entries, leaves
	// the reason for its holder and tells all instances. It returns what was ended; nil if there was no record, or
	// none that the marker applies to. Doing it twice is safe.
	Delete(ctx context.Context, lookup Lookup, m *Marker, reason Reason) (*Ended, error)
}

// Ended is what is known of a session after its record was deleted without its credential.
type Ended struct {
	Lookup  Lookup
	App     string
	Refresh Secret // only where the provider's sessions are revocable
}

// Session returns the live session of root at app, judged by the record itself.
func (e *Engine) Session(ctx context.Context, app *App, root Root) (*Session, error) {
	s, err := e.read(ctx, app, root)
	if err != nil {
		return nil, err
	}
	if !s.isOf(app) {
		// The record of another app is neither used nor touched (a cookie of one app is nothing at another).
		e.trace.refusedCredential(ctx, app, "foreign app")
		return nil, errNoSession(nil)
	}
	if err := e.overdue(ctx, s); err != nil {
		return nil, err
	}
	return s, nil
}

// isOf reports whether the record is of this app as it is now: by a cookie or by handles, and of its provider. An app that
// became another under its name must not have old roots taken for cookies, nor old tokens sent to its new provider.
func (s *Session) isOf(app *App) bool {
	return s.App == app.ID && s.Provider == app.Provider.Name && app.Native() == (s.Turn.N != 0)
}

// read returns the record of root, not judged yet. app is for the trace: nil where the record alone tells whose it is.
func (e *Engine) read(ctx context.Context, app *App, root Root) (*Session, error) {
	s, err := e.ports.Records.Read(ctx, root)
	if err != nil {
		return nil, e.unread(ctx, app, root.Lookup(), err)
	}
	return s, nil
}

// unread maps what the store said to a caller who may have gone away by now: that the store was not asked to the end is
// no outage then.
func (e *Engine) unread(ctx context.Context, app *App, lookup Lookup, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return &Error{Code: CodeClientGone, Err: err}
	}
	return e.refused(ctx, app, lookup, err)
}

// overdue ends a session whose absolute or idle end has passed, and says so; nil for one that lives.
func (e *Engine) overdue(ctx context.Context, s *Session) error {
	now := e.now()
	switch {
	case !now.Before(s.AbsoluteEnd):
		return e.lapse(ctx, s, ReasonAbsolute)
	case !now.Before(s.IdleEnd()):
		return e.lapse(ctx, s, ReasonIdle)
	default:
		return nil
	}
}

// refused maps what the store said to what the caller is told.
func (e *Engine) refused(ctx context.Context, app *App, lookup Lookup, err error) error {
	if ended, ok := errors.AsType[*EndedError](err); ok {
		return endedError(ended.Reason)
	}
	switch {
	case errors.Is(err, ErrNoSession):
		return errNoSession(nil)
	case errors.Is(err, ErrKeyRetired):
		if gone, err := e.ports.Records.Delete(ctx, lookup, nil, ReasonKeyRetired); err == nil && gone != nil {
			e.trace.sessionEnded(ctx, *gone, ReasonKeyRetired)
		}
		return endedError(ReasonKeyRetired)
	case errors.Is(err, ErrTampered):
		e.trace.refusedCredential(ctx, app, "record does not open")
		return errNoSession(err)
	case errors.Is(err, ErrKeyUnknown), errors.Is(err, ErrNewerSchema):
		return &Error{
			Code: CodeKeyUnknown, Message: "This instance cannot open the session yet. Try again in a moment.",
			RetryAfter: 5 * time.Second, Err: err, // a rolling deploy reaches the other instances within seconds
		}
	default:
		return storeError("reading the session", err)
	}
}

// lapse ends a session whose time is over. That the record may already be gone, or cannot be deleted now, changes
// nothing for the caller.
func (e *Engine) lapse(ctx context.Context, s *Session, reason Reason) error {
	if gone, err := e.ports.Records.Delete(ctx, s.Lookup, nil, reason); err == nil && gone != nil {
		e.trace.sessionEnded(ctx, *gone, reason)
	}
	return &Error{Code: CodeSessionExpired, Message: "Your session has expired. Sign in to continue.", Reason: string(reason)}
}

// Touch notes that the user was active. It writes at most every twentieth of the idle time, beside the request: a lost
// write costs the user at most that much of the idle time.
func (e *Engine) Touch(s *Session) {
	now := e.now()
	if now.Sub(s.LastActive) < s.Idle/20 {
		return
	}
	e.beside(5*time.Second, func(ctx context.Context) { // a store that is slower than this is down
		if err := e.ports.Records.Touch(ctx, s, now); err != nil && !errors.Is(err, ErrNoSession) {
			e.trace.alarm(ctx, "moving the idle end", err)
		}
	})
}

// Extend moves the idle end on request and refreshes if that is due. It returns the session as it is then.
func (e *Engine) Extend(ctx context.Context, app *App, s *Session) (*Session, error) {
	if err := e.ports.Records.Touch(ctx, s, e.now()); err != nil {
		return nil, e.unread(ctx, app, s.Lookup, err)
	}
	if _, err := e.FreshTokens(ctx, app, s); err != nil {
		return nil, err
	}
	return e.Session(ctx, app, s.Root)
}

// errNoSession is the answer to a credential that opens nothing, for whatever cause.
func errNoSession(cause error) error {
	return &Error{Code: CodeSessionRequired, Message: "Sign in to continue.", Err: cause}
}

// endedError is what the holder of an ended session is told.
func endedError(reason Reason) *Error {
	return &Error{Code: CodeSessionEnded, Message: "This session has ended. Sign in to continue.", Reason: string(reason)}
}

// storeError is the answer to everything that could not be asked of the store: never "signed out".
func storeError(doing string, err error) *Error {
	return &Error{
		Code: CodeStoreUnavailable, Message: "Sessions cannot be read right now. Try again in a moment.",
		RetryAfter: 2 * time.Second, Err: fmt.Errorf("%s: %w", doing, err), // a restart or failover takes seconds
	}
}
