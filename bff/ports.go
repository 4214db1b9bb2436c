package bff

import (
	"context"
	"net/url"
	"time"
)

// Ports is all that the engine asks of the outside. The store implements all but Providers.
type Ports struct {
	Records   Records
	Leases    Leases
	Markers   Markers
	OneTime   OneTime
	Events    Events
	Turns     Turns  // of native sessions
	Codes     Codes  // of native logins
	Proofs    Proofs // of handles that are bound to a key
	Devices   Devices
	Scan      Scanner    // nil where nobody administers
	Kept      KeptTokens // of routes with a resource
	States    States
	Replays   Replays // of logout tokens
	Providers func(appID string) Provider
	// ClientTokens may be nil: then every process has its own.
	ClientTokens ClientTokens
}

// Provider speaks with the OpenID provider of one app, as that app's client.
type Provider interface {
	// AuthorizationURL returns where the browser goes to sign in. Errors are *Error with CodeIDPUnavailable.
	AuthorizationURL(ctx context.Context, r AuthorizationRequest) (string, error)
	// CheckIssuer compares the iss parameter of an authorization answer ("" = absent) with the issuer, as RFC 9207
	// section 2.4 and the provider's metadata ask. Any difference is an error; CodeIDPUnavailable says that the metadata
	// cannot be had.
	CheckIssuer(ctx context.Context, iss string) error
	// Exchange sends the code once, with one fixed client authentication and following no redirect, and verifies the
	// ID token. It returns no grant unless everything holds; tokens of an answer that fails are revoked by it. Where nothing
	// fails but that the sign-in is not what r.MaxAge, r.ACR and r.Since asked for, it is an *UnmetError, and they are not.
	Exchange(ctx context.Context, r CodeExchange) (*Grant, error)
	// Refresh sends the session's refresh token once: for a token of the session's own ("") or, RFC 8707 section 2.2, for one
	// that is good at resource alone. A failure is a *RefreshError. It never repeats a grant.
	Refresh(ctx context.Context, s *Session, resource string) (*Grant, error)
	// Revoke revokes refresh and access token (RFC 7009), best effort with a bounded retry. A provider without a
	// revocation endpoint is no error.
	Revoke(ctx context.Context, t TokenSet) error
}

// LogoutProvider is a Provider that ends its own session by a top-level navigation (RP-Initiated Logout 1.0).
type LogoutProvider interface {
	// EndSession returns where to send the browser, with idTokenHint among the values when there is one; nil if the
	// provider has no end_session endpoint.
	EndSession(ctx context.Context, idTokenHint Secret, postLogoutURI, state string) (*EndSessionRequest, error)
}

// EndSessionRequest is the navigation that ends the provider's session. Its values hold the ID token: it is for one
// top-level answer, never for a script.
type EndSessionRequest struct {
	URL    string
	Values url.Values
	Post   bool // by form POST (preferred: nothing in a URL); otherwise by redirect
}

// AuthorizationRequest is what one login asks of the provider.
type AuthorizationRequest struct {
	State, Nonce, Verifier string
	Key                    Secret     // 32 raw bytes: the login's own key, for a provider that binds tokens (RFC 9449 section 10)
	MaxAge                 *int       // seconds
	Extra                  url.Values // listed parameters with allowed values, nothing else: prompt, login_hint, …
}

// CodeExchange is what one callback redeems.
type CodeExchange struct {
	Code     Secret
	Verifier string
	Nonce    string
	Key      Secret // as AuthorizationRequest.Key
	MaxAge   *int   // asked for at the start, in seconds: auth_time must be there and recent
	ACR      string // acr_values asked for, space-separated; "" = none
	// Since is when a login began that asked the provider to sign the user in again (prompt=login): an auth_time, where there
	// is one, must not lie before it. Zero: nothing of the kind was asked for.
	Since time.Time
}

// Grant is a good answer of the token endpoint.
type Grant struct {
	Tokens TokenSet
	// Kept is the token that came, where it is not the session's own but one for a resource: then Tokens are the session's
	// own with the refresh token of this answer.
	Kept *Kept
	// Identity is nil when the answer had no ID token, or one whose claims were not to be believed.
	Identity *Identity
	// Alarm tells what was wrong with an answer that is used nonetheless (a refreshed ID token with a bad signature: the
	// tokens that came with it exist nowhere else). nil when nothing was.
	Alarm error
}

// OneTime decides what may happen once, over all instances.
type OneTime interface {
	// Use reports nil for the first use of a name of this kind within ttl, ErrUsed for every other. The attempt id makes
	// a retry of the same use a success.
	Use(ctx context.Context, kind, name, attempt string, ttl time.Duration) error
	// Put keeps a value for one Take.
	Put(ctx context.Context, kind, name string, value []byte, ttl time.Duration) error
	// Take returns the value and forgets it; ErrUsed if it is unknown, taken or too old. After ErrKeyUnknown it is as good as
	// before: another instance may be able to open it.
	Take(ctx context.Context, kind, name string) ([]byte, error)
}

// Event is a hint from another instance (or this one): never the only way to learn something.
type Event struct {
	Kind   EventKind
	Lookup Lookup // "" with EventResubscribed
	Reason Reason // with EventEnded
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	EventEnded        EventKind = "ended"
	EventExtended     EventKind = "extended"
	EventRefreshed    EventKind = "refreshed"    // saved, or the claim is free again: whoever waits looks
	EventReplaced     EventKind = "replaced"     // another session took this one's place
	EventResubscribed EventKind = "resubscribed" // the channel was gone for a while: anything may have been missed
)

// Events carries hints between instances.
type Events interface {
	// Subscribe calls deliver for each event until ctx ends; deliver must not block. It reconnects by itself and says so
	// by EventResubscribed.
	Subscribe(ctx context.Context, deliver func(Event))
}
