package bff

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// travel is how much of its life a token must have left to be worth sending: the call has to arrive. A tenth of a short
// life, two seconds of a long one.
func (t TokenSet) travel() time.Duration {
	return min(2*time.Second, t.ExpiresAt.Sub(t.ReceivedAt)/10)
}

// usable reports whether the access token will still be good when a call sent now arrives.
func (t TokenSet) usable(now time.Time) bool { return now.Before(t.ExpiresAt.Add(-t.travel())) }

// FreshTokens returns tokens that are good for a call now. While more than the margin is left, those of the session. In
// the soft window before the end also, and a refresh begins beside the request. After the end the request waits for the
// one refresh that runs over all instances. Only a user's own request comes here: idle sessions are never refreshed.
func (e *Engine) FreshTokens(ctx context.Context, app *App, s *Session) (TokenSet, error) {
	t, now := e.flights.latest(s), e.now()
	switch {
	case now.Before(t.RefreshAt):
		return t, nil
	case t.Refresh.IsZero() && t.usable(now): // RFC 6749 section 5.1: a refresh token is optional; then the session is as long
		return t, nil
	case t.Refresh.IsZero():
		return TokenSet{}, e.endSession(ctx, s, ReasonNoRefreshToken)
	case t.usable(now):
		e.join(ctx, app, s, errand{})
		return t, nil
	}
	return e.await(ctx, app, s, errand{})
}

// renewalRest is how long a refreshed token is not renewed again because an API refuses it, and never more than a quarter of
// its life: one that refuses every token must not make every request a refresh, and one that counts in whole seconds, or by
// another clock, refuses a short-lived token before we do.
const renewalRest = 10 * time.Second

// rested reports whether a token that is refused may be renewed for that, so long after it came.
func (t TokenSet) rested(now time.Time) bool {
	// Either way: a clock that was ahead and was put right must not make a token fresh for as long as it was ahead.
	since := now.Sub(t.ReceivedAt).Abs()
	return since >= min(renewalRest, t.ExpiresAt.Sub(t.ReceivedAt)/4) ||
		!t.usable(now) // it ended on its way, and is renewed like any other
}

// RenewTokens refreshes although the access token's time is not over, because an API refused it. If another request has
// refreshed since s was read, that is the answer.
func (e *Engine) RenewTokens(ctx context.Context, app *App, s *Session) (TokenSet, error) {
	if s.Tokens.Refresh.IsZero() || s.OwnGeneration() > 1 && !s.Tokens.rested(e.now()) {
		return TokenSet{}, &Error{Code: CodeUpstreamRefused, Message: "The API did not accept the session's token."}
	}
	return e.await(ctx, app, s, errand{})
}

// await waits for the session's refresh on this errand, and tells how long that took.
func (e *Engine) await(ctx context.Context, app *App, s *Session, why errand) (TokenSet, error) {
	began := time.Now()
	t, err := e.landed(ctx, app, s, why)
	call(ctx, e.trace.RefreshWaited, WaitEvent{App: app.ID, Provider: s.Provider, Took: time.Since(began), Err: err})
	return t, err
}

// landed joins the session's refresh and waits until it has landed. A caller that goes away leaves it running.
func (e *Engine) landed(ctx context.Context, app *App, s *Session, why errand) (TokenSet, error) {
	f := e.join(ctx, app, s, why)
	_, _, _, fromMemory := f.result() // it landed before this request came: its save still runs, or it failed just now
	call(ctx, e.trace.RefreshWaiting, SessionEvent{App: app.ID, Provider: s.Provider, SessionID: s.ID()})
	if err := f.wait(ctx); err != nil {
		return TokenSet{}, err
	}
	if f.err == nil && why.knows(s, f) {
		// It ran already when s was read, and s has its result: the token that was refused, or is over, is no answer.
		f = e.join(ctx, app, s, why)
		if err := f.wait(ctx); err != nil {
			return TokenSet{}, err
		}
	}
	switch {
	case f.err != nil || f.tokens.usable(e.now()):
		return f.tokens, f.err
	case fromMemory:
		// Nothing newer can be had before the save: a refresh from memory would put two unsaved rotations at stake.
		return TokenSet{}, storeError("using refreshed tokens", errUnsaved)
	default:
		return e.landedLate(ctx, app, s, why)
	}
}

// landedLate is for tokens that ended while they were waited for: this process, or the one that refreshed, stood still.
// The session as it is now has its turn, once.
func (e *Engine) landedLate(ctx context.Context, app *App, s *Session, why errand) (TokenSet, error) {
	s, err := e.Session(ctx, app, s.Root)
	if err != nil {
		return TokenSet{}, err
	}
	if t, err := e.standing(ctx, s, why); err != nil || t.usable(e.now()) {
		return t, err
	}
	f := e.join(ctx, app, s, why)
	if err := f.wait(ctx); err != nil {
		return TokenSet{}, err
	}
	return f.tokens, f.err
}

// errUnsaved is the cause of a refusal while the store takes no refreshed tokens.
var errUnsaved = fmt.Errorf("%w: the tokens in memory have ended before they were saved", ErrStore)

// endSession ends one session for a reason of its own and tells its holder.
func (e *Engine) endSession(ctx context.Context, s *Session, reason Reason) error {
	gone, err := e.ports.Records.Delete(ctx, s.Lookup, nil, reason)
	if err != nil {
		return storeError("ending the session", err)
	}
	if gone != nil {
		e.trace.sessionEnded(ctx, *gone, reason)
	}
	return endedError(reason)
}

// failure is what those who waited for a failed refresh are told, and how its sent mark is settled.
func (e *Engine) failure(ctx context.Context, s *Session, r *RefreshError, later bool) (Settlement, error) {
	unavailable := &Error{
		Code: CodeIDPUnavailable, Message: "Your sign-in could not be renewed just now. Try again in a moment.",
		RetryAfter: max(r.RetryAfter, time.Second), Err: r,
	}
	settle := SettleGood
	if later || r.Doubt {
		settle = SettleDoubt // a later attempt's failure leaves the first one's doubt
	}
	if r.Target { // RFC 8707 section 2: invalid_target says nothing of the refresh token
		return settle, e.tokenRefused(ctx, "the provider gives no token for a route's resource: register it there, or correct the route", r)
	}
	switch r.Outcome {
	case OutcomeSpent:
		// Settled as if it lived on, for so it does where its end cannot be written now: a doubt must outlast that.
		return settle, e.endSession(ctx, s, spentReason(r, later))
	case OutcomeClient: // RFC 6749 section 5.2: invalid_client and its like say nothing of the token
		e.trace.alarm(ctx, "the provider refuses this client, not the user: check its registration and secret", r)
		return settle, unavailable
	case OutcomeUnknown:
		return SettleNothing, unavailable // the mark stays: whoever comes next waits, looks, and only then tries
	default:
		return settle, unavailable
	}
}

// spentReason tells apart what a refused refresh token means. After a doubtful attempt it was most likely used by that
// one: lost, and nobody's theft.
func spentReason(r *RefreshError, later bool) Reason {
	switch {
	case errors.Is(r, ErrIdentityChanged):
		return ReasonIdentityChanged
	case later:
		return ReasonRefreshLost
	default:
		return ReasonRefreshRejected
	}
}
