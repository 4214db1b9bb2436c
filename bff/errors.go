package bff

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable name of an error: what a frontend switches on, and what the one error writer maps to a status.
type Code string

// The codes of errors that reach a frontend. They are contract: docs/endpoints.md lists each with its status.
const (
	CodeSessionRequired     Code = "session_required"      // 401: no credential, or one that opens nothing
	CodeSessionExpired      Code = "session_expired"       // 401: idle or absolute end passed
	CodeSessionEnded        Code = "session_ended"         // 401: ended on purpose; Reason tells by what
	CodeCSRFFailed          Code = "csrf_failed"           // 403: the request may not come from the app itself
	CodeAppNotAllowed       Code = "app_not_allowed"       // 403: the route is not open to this app
	CodeClaimRequired       Code = "claim_required"        // 403: the session lacks a claim the route needs
	CodeForbidden           Code = "forbidden"             // 403: any other refusal for good
	CodeBadRequest          Code = "bad_request"           // 400: malformed, doubled or contradictory input
	CodeNotFound            Code = "not_found"             // 404
	CodeMethodNotAllowed    Code = "method_not_allowed"    // 405
	CodeGone                Code = "gone"                  // 410: a one-time URL that was used
	CodeTooLarge            Code = "too_large"             // 413
	CodeHeaderTooLarge      Code = "header_too_large"      // 431: the header is beyond the route's limit
	CodeMisdirected         Code = "misdirected"           // 421: no app is served under this host
	CodeRateLimited         Code = "rate_limited"          // 429, with Retry-After
	CodeAdminRequired       Code = "admin_required"        // 401: the admin listener's credential is missing or wrong
	CodeStoreUnavailable    Code = "store_unavailable"     // 503: Redis cannot be asked; the session may well live
	CodeKeyUnknown          Code = "key_unknown"           // 503: sealed under a key this instance does not have yet
	CodeIDPUnavailable      Code = "idp_unavailable"       // 503: the provider cannot be asked; the session lives
	CodeUpstreamUnavailable Code = "upstream_unavailable"  // 502
	CodeUpstreamTimeout     Code = "upstream_timeout"      // 504
	CodeTokenRefused        Code = "token_refused"         // 502: the provider gives no token for the API; the operator's to mend
	CodeUpstreamBusy        Code = "upstream_busy"         // 503, with Retry-After: as many requests are under way as the route bears
	CodeUpstreamRefused     Code = "upstream_unauthorized" // 401: the API refused a fresh token; the session lives
	CodeLoopDetected        Code = "loop_detected"         // 508: the request came through here before, or a sign-in came back to its start
	CodeDraining            Code = "draining"              // 503: this instance is shutting down
	CodeClientGone          Code = "client_gone"           // 499, for the log: nobody is left to read it
	CodeInternal            Code = "internal"              // 500: everything untyped
)

// Error is a failure with two texts: Message for the caller, Err for the log. Anything that is not an *Error is
// internal, and its text reaches nobody outside.
type Error struct {
	Code       Code
	Message    string        // one sentence for a person, naming no internals
	Reason     string        // with CodeSessionEnded: a Reason of this package; otherwise empty
	RetryAfter time.Duration // with 429 and 503: when trying again is worth it; 0 = not said
	MaxAge     time.Duration // with CodeRecentSignIn: how long ago the sign-in may be
	StepUp     *StepUp       // with CodeInsufficientAuth: what the sign-in must be like
	Err        error         // the cause, for the log only; may be nil
}

// Error returns code and cause, for the log.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Code)
	}
	return fmt.Sprintf("%s: %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the first *Error in err's chain; CodeInternal if there is none, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// The outcomes a port reports. Callers tell them apart with errors.Is.
var (
	// ErrNoSession: no record, and nothing known of one.
	ErrNoSession = errors.New("no session record")
	// ErrStore: the store could not be asked, or did not answer: nothing is known about the session.
	ErrStore = errors.New("store unavailable")
	// ErrKeyUnknown: the record is sealed under a key id this instance does not hold (yet).
	ErrKeyUnknown = errors.New("sealing key unknown")
	// ErrKeyRetired: the record is sealed under a key that was retired on purpose.
	ErrKeyRetired = errors.New("sealing key retired")
	// ErrTampered: the record does not open or decode: it was altered, swapped or garbled.
	ErrTampered = errors.New("record does not open")
	// ErrNewerSchema: written by a newer version; not usable here, and not to be deleted.
	ErrNewerSchema = errors.New("record of a newer version")
	// ErrConflict: the record moved on: its generation is not the one the writer knew.
	ErrConflict = errors.New("record moved on")
	// ErrClaimLost: the refresh claim is somebody else's by now.
	ErrClaimLost = errors.New("refresh claim lost")
	// ErrUsed: a one-time thing was used before, or is unknown.
	ErrUsed = errors.New("used or unknown")
)

// EndedError is the store's answer for a session that ended on purpose and whose end is still remembered.
type EndedError struct {
	Reason Reason
	At     time.Time
}

// Error names the reason.
func (e *EndedError) Error() string { return "session ended: " + string(e.Reason) }

// Is makes an EndedError also an ErrNoSession: whoever does not ask why sees a session that is not there.
func (e *EndedError) Is(target error) bool { return target == ErrNoSession }

// Reason says why a session ended. The texts are contract: frontends and the audit log see them.
type Reason string

// isSignOut reports whether somebody meant the session to end, with the others of its SSO session: its user, its provider,
// or an administrator.
func (r Reason) isSignOut() bool {
	return r == ReasonSignedOut || r == ReasonProvider || r == ReasonAdmin
}

// The reasons of a session's end.
const (
	ReasonSignedOut       Reason = "signed_out"       // the user, in this app or another of the SSO session
	ReasonProvider        Reason = "provider_logout"  // the provider said that its session is over
	ReasonAdmin           Reason = "admin"            // an administrator ended it
	ReasonReplaced        Reason = "replaced"         // a new sign-in of this browser took its place
	ReasonIdle            Reason = "idle"             // not used for too long
	ReasonAbsolute        Reason = "absolute"         // its longest life was over
	ReasonRefreshRejected Reason = "refresh_rejected" // the provider said that the refresh token is spent or revoked
	ReasonRefreshLost     Reason = "refresh_lost"     // the answer to a refresh was lost, and the later attempt refused
	ReasonNoRefreshToken  Reason = "no_refresh_token" // the access token ended and the provider gave no refresh token
	ReasonIdentityChanged Reason = "identity_changed" // a refreshed ID token was about somebody else
	ReasonKeyRetired      Reason = "key_retired"      // its sealing key was retired
	ReasonLoginUndone     Reason = "login_undone"     // a sign-out overtook the sign-in
	ReasonHandleReused    Reason = "handle_reused"    // a native app's refresh handle was used again after its successor
	ReasonCodeReplayed    Reason = "code_replayed"    // the exchange code it came from was presented a second time
	ReasonLimit           Reason = "limit"            // newer sessions of the user at the app took its place
)
