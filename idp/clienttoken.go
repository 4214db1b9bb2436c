package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"cloakroom/bff"
)

// errPublic is why a public client is not asked for: RFC 6749 section 4.4: the grant is for confidential clients only.
var errPublic = errors.New("a public client has no token of its own: give the app a secret or keys")

var _ bff.ClientTokenProvider = (*Client)(nil)

// ClientToken asks for the app's own token (RFC 6749 section 4.4) with these scopes, space-separated; "" asks for none.
// It asks once. Asking again is safe, for the grant uses nothing up. Errors are *bff.Error: bff.CodeManagementDisabled when
// the provider refuses the client, its use of the grant or the scopes; bff.CodeIDPUnavailable when it cannot be asked.
func (c *Client) ClientToken(ctx context.Context, scope string) (bff.TokenSet, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	if len(c.set.Keys) == 0 && c.set.Secret.IsZero() {
		return bff.TokenSet{}, noClientToken(fmt.Errorf("client %s: %w", c.set.ClientID, errPublic))
	}
	got, refused := c.askToken(ctx, c.is.set.HTTPTimeout, form)
	if refused != nil {
		return bff.TokenSet{}, clientTokenError(refused)
	}
	// A JWT's own end goes before expires_in. It is nobody's identity, so it need not be verified to be believed for less.
	exp, _ := unverified(got.access).date("exp")
	set := c.tokenSet(got, exp)
	if set.Scope == "" {
		set.Scope = scope // RFC 6749 section 5.1: absent when as asked for
	}
	// RFC 6749 section 4.4.3: a refresh token should not be there; the client's own credentials get the next token.
	set.Refresh, set.ID = bff.Secret{}, bff.Secret{}
	return set, nil
}

// clientTokenError tells a refusal in the words of a route. invalid_grant can be about the client alone: nothing else was
// sent (RFC 6749 section 5.2).
func clientTokenError(r *refusal) error {
	err := fmt.Errorf("asking for the app's own token: %w", r.err)
	if r.outcome == bff.OutcomeClient || r.outcome == bff.OutcomeSpent {
		return noClientToken(err)
	}
	return unavailable(r.retryAfter, err)
}

func noClientToken(err error) error {
	return &bff.Error{
		Code: bff.CodeManagementDisabled, Message: "This service is not set up correctly here.", Err: err,
	}
}
