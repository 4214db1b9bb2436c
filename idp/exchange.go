package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
)

// The codes of a login that fails at its last step, beside bff.CodeIDPUnavailable and bff.CodeStepUpUnmet.
const (
	CodeCodeRejected  = bff.CodeLoginCodeRejected
	CodeMisconfigured = bff.CodeIDPMisconfigured
	CodeTokenRejected = bff.CodeLoginTokenRejected // see RuleError
)

// Exchange sends the code once and verifies all that comes back. Errors are *bff.Error with one of this package's codes or
// bff.CodeIDPUnavailable, or a *bff.UnmetError. Tokens of an answer that does not hold are revoked beside (RFC 9700 section
// 4.5.3), but for those of an UnmetError.
func (c *Client) Exchange(ctx context.Context, r bff.CodeExchange) (*bff.Grant, error) {
	got, refused := c.askBound(ctx, c.is.set.HTTPTimeout, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {r.Code.Reveal()},
		"redirect_uri":  {c.set.RedirectURI}, // RFC 6749 section 4.1.3: identical to the authorization request's
		"code_verifier": {r.Verifier},        // RFC 7636 section 4.5
	}, c.loginKey(r.Key))
	if refused != nil {
		return nil, c.exchangeError(ctx, refused)
	}
	grant, err := c.accept(ctx, r, got)
	if err := c.unmet(r, got, err); err != nil {
		return nil, err
	}
	if err != nil {
		c.discard(ctx, got)
		return nil, rejected(err)
	}
	return grant, nil
}

// unmet is the end of a login for which the provider ignored max_age, prompt=login or acr_values: the rules behind which all others
// hold (judgeMoment). Its tokens are good, and so are not given back here: at some providers that ends the session which
// asked for more. nil for any other end.
func (c *Client) unmet(r bff.CodeExchange, got *tokenAnswer, err error) error {
	rule, ok := errors.AsType[*RuleError](err)
	if !ok || rule.Rule != RuleACR && (rule.Rule != RuleAuthTime || r.MaxAge == nil && r.Since.IsZero()) {
		return nil
	}
	return &bff.UnmetError{Tokens: got.setOf(), Err: bff.StepUpUnmet(err)}
}

// accept uses nothing of an answer before its ID token, with this login's nonce, has passed (RFC 9700 section 4.5.3.2).
func (c *Client) accept(ctx context.Context, r bff.CodeExchange, got *tokenAnswer) (*bff.Grant, error) {
	if got.id.IsZero() {
		return nil, broken(RuleAnswer, "no id_token") // OpenID Connect Core section 3.1.3.3: REQUIRED
	}
	t, err := c.verifyID(ctx, got.id, expected{nonce: r.Nonce, login: true, maxAge: r.MaxAge, acr: r.ACR, since: r.Since, access: got.access})
	if err != nil {
		return nil, err
	}
	sub, _ := t.claims.text("sub")
	var exp time.Time
	if c.is.set.AccessTokenJWT {
		if exp, err = c.verifyAccess(ctx, got.access, sub); err != nil {
			return nil, fmt.Errorf("access token: %w", err)
		}
	}
	grant := &bff.Grant{Tokens: c.tokenSet(got, exp)}
	if grant.Tokens.Scope == "" {
		grant.Tokens.Scope = strings.Join(c.set.Scopes, " ") // RFC 6749 section 5.1: absent when as asked for
	}
	c.tellWithoutRefresh(ctx, grant.Tokens)
	more, err := c.moreClaims(ctx, got, sub)
	if err != nil {
		grant.Alarm = err
		c.is.alarm(ctx, "UserInfo not used", err)
	}
	grant.Identity = c.identity(t, more)
	c.authorize(grant.Identity, got.access)
	return grant, nil
}

// tellWithoutRefresh tells the operator of sessions that will end with their access token, though more was asked for: the
// provider may leave the refresh token out (RFC 6749 section 5.1), and most do until the client is allowed to have one.
func (c *Client) tellWithoutRefresh(ctx context.Context, t bff.TokenSet) {
	if t.Refresh.IsZero() && slices.Contains(c.set.Scopes, "offline_access") {
		c.is.log.WarnContext(ctx, "no refresh token was given, although offline_access was asked for: the session ends with its access token",
			"client_id", c.set.ClientID)
	}
}

// exchangeError tells a refusal in the words of a login.
func (c *Client) exchangeError(ctx context.Context, r *refusal) error {
	if r.got != nil {
		c.discard(ctx, r.got)
		if errors.Is(r.err, errUnproved) {
			c.is.alarm(ctx, "provider without DPoP", r.err)
		}
		return rejected(r.err)
	}
	switch r.outcome {
	case bff.OutcomeSpent:
		// Providers say invalid_grant to a code that is used or too old, and to a redirect_uri that is not the sign-in's (RFC 6749
		// section 5.2): what was sent stands beside it, for only the operator can tell.
		return &bff.Error{
			Code: CodeCodeRejected, Message: "This sign-in could not be completed. Start again.",
			Err: fmt.Errorf("client %s, redirect_uri %s: %w", c.set.ClientID, c.set.RedirectURI, r.err),
		}
	case bff.OutcomeClient:
		c.is.alarm(ctx, "provider refuses the client", r.err)
		return &bff.Error{Code: CodeMisconfigured, Message: "Sign-in is not set up correctly here.", Err: r.err}
	default:
		return unavailable(r.retryAfter, fmt.Errorf("exchanging the code: %w", r.err))
	}
}

// rejected is the end of a login whose tokens do not hold, or could not be judged.
func rejected(err error) error {
	if errors.Is(err, errKeys) {
		return unavailable(negativeFor, err)
	}
	return &bff.Error{Code: CodeTokenRejected, Message: "The sign-in service's answer could not be accepted.", Err: err}
}

// discard revokes, beside, tokens that nobody will use.
func (c *Client) discard(ctx context.Context, got *tokenAnswer) {
	c.is.beside(ctx, "revoking tokens that were not accepted", func(ctx context.Context) error {
		return c.Revoke(ctx, got.setOf())
	})
}
