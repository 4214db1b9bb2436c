package bff

import (
	"context"
	"errors"
)

// errNoRefreshToken is the cause of a refusal of a resource's token where the provider gave nothing to get it by.
var errNoRefreshToken = errors.New("the session has no refresh token: let the app ask for one (offline_access)")

// errand is what a refresh is for. Its zero value is the session's own tokens.
type errand struct {
	resource string   // RFC 8707: where the token is to be good
	stale    TokenSet // of a resource: the token that is over, or was refused; zero: there was none
}

// resourceName is the name under which the token of a resource is kept.
func resourceName(resource string) string { return "resource " + resource }

// generation is what counts the answers to an errand: of the session's own tokens, only those that brought these
// (Session.OwnGeneration); of a resource's, all, for each brings a newer refresh token to get it by.
func (e errand) generation(s *Session) int64 {
	if e.resource == "" {
		return s.OwnGeneration()
	}
	return s.Generation
}

// knows reports whether the result of a flight is what the request had already.
func (e errand) knows(s *Session, f *flight) bool {
	if e.resource == "" {
		return f.generation <= s.OwnGeneration()
	}
	return f.tokens.same(e.stale)
}

// grant is what is to be saved of a good answer. RFC 6749 section 6, RFC 8707 section 2.2: with a resource, too, the refresh
// token of the answer takes the place of the one that was sent; what the session has of its own stays.
func (e errand) grant(s *Session, g *Grant) *Grant {
	if e.resource == "" {
		return g
	}
	own, kept := s.Tokens, g.Tokens
	own.Refresh = g.Tokens.Refresh
	if own.ProofKey.IsZero() { // RFC 9449 section 5: a public client's refresh token may be bound to it from now on
		own.ProofKey = g.Tokens.ProofKey
	}
	kept.Refresh, kept.ID = Secret{}, Secret{}
	return &Grant{Tokens: own, Kept: &Kept{Name: resourceName(e.resource), Tokens: kept}, Alarm: g.Alarm}
}

// answer is what those get who waited for a grant.
func (g *Grant) answer() TokenSet {
	if g.Kept != nil {
		return g.Kept.Tokens
	}
	return g.Tokens
}

// same reports whether it is the very set, as far as the store keeps one. A provider may give the same token twice.
func (t TokenSet) same(as TokenSet) bool {
	return t.Access.Equal(as.Access) && t.ReceivedAt.UnixMilli() == as.ReceivedAt.UnixMilli()
}

// served returns what the record has for this attempt's errand, and whether it is newer than what was asked to be replaced.
func (a *attempt) served(ctx context.Context, s *Session) (TokenSet, bool, error) {
	if a.errand.resource == "" {
		return s.Tokens, s.OwnGeneration() > a.asked, nil
	}
	t, err := a.engine.ports.Kept.ReadToken(ctx, s, resourceName(a.errand.resource))
	return t, err == nil && t.usable(a.engine.now()) && !t.same(a.errand.stale), err
}

// standing returns the tokens that a session has for an errand; a zero set if it has none.
func (e *Engine) standing(ctx context.Context, s *Session, why errand) (TokenSet, error) {
	if why.resource == "" {
		return s.Tokens, nil
	}
	t, err := e.ports.Kept.ReadToken(ctx, s, resourceName(why.resource))
	if err != nil {
		return TokenSet{}, e.unread(ctx, nil, s.Lookup, err)
	}
	return t, nil
}

// ResourceToken returns a token of the session that is good for a call to resource now (RFC 8707): the one that is kept, or
// one that the session's refresh token brings. It costs one more round trip than FreshTokens, and does otherwise as that
// does: in the soft window it is renewed beside the request, and after its end the request waits for the one grant that
// runs over all instances. Errors are those of FreshTokens, and CodeTokenRefused.
func (e *Engine) ResourceToken(ctx context.Context, app *App, s *Session, resource string) (TokenSet, error) {
	t, err := e.standing(ctx, s, errand{resource: resource})
	if err != nil {
		return TokenSet{}, err
	}
	now, why := e.now(), errand{resource: resource, stale: t}
	switch {
	case !t.Access.IsZero() && now.Before(t.RefreshAt):
		return t, nil
	case s.Tokens.Refresh.IsZero():
		return TokenSet{}, e.tokenRefused(ctx, "a route's resource needs a refresh token", errNoRefreshToken)
	case !t.Access.IsZero() && t.usable(now):
		e.join(ctx, app, s, why)
		return t, nil
	}
	return e.await(ctx, app, s, why)
}

// RenewResourceToken gets another token for resource although the time of refused is not over, because an API refused it. It
// rests as RenewTokens does. CodeUpstreamRefused says that it does.
func (e *Engine) RenewResourceToken(ctx context.Context, app *App, s *Session, resource string, refused TokenSet) (TokenSet, error) {
	if !refused.rested(e.now()) {
		return TokenSet{}, &Error{Code: CodeUpstreamRefused, Message: "The API did not accept the session's token."}
	}
	return e.await(ctx, app, s, errand{resource: resource, stale: refused})
}

// tokenRefused is the answer where the provider refuses a route's token. It takes a person to mend, who is told.
func (e *Engine) tokenRefused(ctx context.Context, what string, cause error) error {
	e.trace.alarm(ctx, what, cause)
	return &Error{Code: CodeTokenRefused, Message: "This service is not set up correctly here.", Err: cause}
}
