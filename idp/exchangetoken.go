package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

// The names of RFC 8693: the grant type of section 2.1, and the token types of section 3 that are sent, or taken.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT       = "urn:ietf:params:oauth:token-type:jwt"
)

var _ bff.TokenExchanger = (*Client)(nil)

// ExchangeToken sends the subject's access token once, to be exchanged for one that is as spec asks (RFC 8693 section 2.1).
// Asking again is safe: the grant uses nothing up. Errors are *bff.Error: bff.CodeTokenRefused when the provider refuses the
// client, the token or the target, or answers with what cannot be used; bff.CodeIDPUnavailable when it cannot be asked.
func (c *Client) ExchangeToken(ctx context.Context, subject bff.TokenSet, spec bff.ExchangeSpec) (bff.TokenSet, error) {
	got, refused := c.askBound(ctx, c.is.set.HTTPTimeout, exchangeForm(subject, spec), c.keyFor(subject.ProofKey))
	if refused != nil {
		return bff.TokenSet{}, exchangedError(refused)
	}
	if err := judgeExchanged(got, subject, spec); err != nil {
		return bff.TokenSet{}, tokenRefused(err)
	}
	// A JWT's own end goes before expires_in. It is the API's to read, and need not be verified to be believed for less.
	exp, _ := unverified(got.access).date("exp")
	set := c.tokenSet(got, exp)
	if set.Scope == "" {
		set.Scope = strings.Join(spec.Scopes, " ") // RFC 8693 section 2.2.1: absent when as asked for
	}
	// Section 2.2.1: a refresh token is not needed where the subject's can be exchanged again. It is dropped and not given back:
	// there are providers that revoke the whole grant with it (RFC 7009 section 2.1), the session's own tokens too.
	set.Refresh, set.ID = bff.Secret{}, bff.Secret{}
	return set, nil
}

// exchangeForm is what RFC 8693 section 2.1 has sent, beside the client's own credentials.
func exchangeForm(subject bff.TokenSet, spec bff.ExchangeSpec) url.Values {
	form := url.Values{
		"grant_type":           {grantExchange},
		"subject_token":        {subject.Access.Reveal()},
		"subject_token_type":   {typeAccess},
		"requested_token_type": {typeAccess},
	}
	for name, value := range map[string]string{
		"audience": spec.Audience, "resource": spec.Resource, "scope": strings.Join(spec.Scopes, " "),
	} {
		if value != "" {
			form.Set(name, value)
		}
	}
	return form
}

// judgeExchanged lets an answer through whose token is one to call the route's API with, and no other (RFC 8693 section
// 2.2.1). More scope than was asked for is the provider's to give; less would have the API refuse what the route lets pass.
func judgeExchanged(got *tokenAnswer, subject bff.TokenSet, spec bff.ExchangeSpec) error {
	granted := strings.Fields(got.scope)
	missing := func(scope string) bool { return !slices.Contains(granted, scope) }
	switch {
	case got.issuedType != typeAccess && got.issuedType != typeJWT: // REQUIRED; what it does not name nobody may guess
		return broken(RuleIssuedType, "neither an access token nor a JWT")
	case !got.named: // token_type is REQUIRED here, and N_A is for what is no access token: typed has refused that
		return broken(RuleTokenType, "none")
	case got.access.Equal(subject.Access): // the API is never sent the token that was to be exchanged
		return broken(RuleAnswer, "the subject token itself")
	case len(granted) > 0 && slices.ContainsFunc(spec.Scopes, missing):
		return broken(RuleScope, "narrower than was asked for")
	default:
		return nil
	}
}

// exchangedError tells a refusal in the words of a route. A 200 that breaks a rule is as good as a refusal: what is wrong
// with it is not better a moment later.
func exchangedError(r *refusal) error {
	_, rule := errors.AsType[*RuleError](r.err)
	if rule || r.outcome == bff.OutcomeClient || r.outcome == bff.OutcomeSpent {
		return tokenRefused(ofSubject(r.err))
	}
	return unavailable(r.retryAfter, fmt.Errorf("exchanging the token: %w", r.err))
}

// ofSubject marks a refusal that may be about the subject's token: invalid_request by RFC 8693 section 2.2.2, which providers
// use for much else too; invalid_grant or invalid_token at those that judge it like another grant or another token.
func ofSubject(err error) error {
	a, ok := errors.AsType[*AnswerError](err)
	if !ok || !slices.Contains([]string{"invalid_request", "invalid_grant", "invalid_token"}, a.OAuth) {
		return err
	}
	return fmt.Errorf("%w: %w", bff.ErrSubjectRefused, err)
}

func tokenRefused(err error) error {
	return &bff.Error{
		Code: bff.CodeTokenRefused, Message: "This service is not set up correctly here.",
		Err: fmt.Errorf("exchanging the token: %w", err),
	}
}
