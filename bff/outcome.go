package bff

import (
	"errors"
	"fmt"
	"time"
)

// Outcome is what became of a refresh. The five failures are never muddled: each costs the user something else.
type Outcome string

// The outcomes of a refresh.
const (
	OutcomeRefreshed Outcome = "refreshed"
	OutcomeSpent     Outcome = "spent"     // the refresh token is used up or revoked: this session ends
	OutcomeClient    Outcome = "client"    // our client is refused, not the token: alarm, sessions live
	OutcomeTransient Outcome = "transient" // a bad moment of the provider or the way to it: try later
	OutcomeUnknown   Outcome = "unknown"   // sent, and no answer: the token may be used up
	OutcomeStore     Outcome = "store"     // the store could not be asked
)

// RefreshError is a failed refresh, as the provider's package judges it.
type RefreshError struct {
	Outcome Outcome // OutcomeSpent, OutcomeClient, OutcomeTransient or OutcomeUnknown
	// Doubt is set with OutcomeTransient when the answer does not tell whether the work was done (a 5xx, a page that is
	// no token answer): a later refusal then means "lost", not "spent".
	Doubt      bool
	RetryAfter time.Duration // 0 = not said
	// Unasked is set with OutcomeTransient when the provider was not asked at all (no place, a breaker that is open, no
	// metadata): to try again soon costs it nothing, whatever RetryAfter says.
	Unasked bool
	// Target is set with OutcomeClient when what is refused is the resource that was asked for (RFC 8707 section 2), or the
	// answer is no good for it: the refresh token is as it was, or came with the answer.
	Target bool
	Err    error
}

// Error names the outcome and the cause.
func (e *RefreshError) Error() string { return fmt.Sprintf("refresh %s: %v", e.Outcome, e.Err) }

// Unwrap returns the cause.
func (e *RefreshError) Unwrap() error { return e.Err }

// ErrIdentityChanged is the cause of a refresh whose ID token is about another issuer, subject or audience: the session
// ends (OpenID Connect Core section 12.2).
var ErrIdentityChanged = errors.New("refreshed ID token is about somebody else")
