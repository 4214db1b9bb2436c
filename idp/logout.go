package idp

import (
	"context"
	"net/url"

	"cloakroom/bff"
)

// EndSession returns the navigation that ends the provider's session (RP-Initiated Logout 1.0 section 2), nil if the
// provider has no such endpoint. Errors are *bff.Error with bff.CodeIDPUnavailable.
func (c *Client) EndSession(ctx context.Context, idTokenHint bff.Secret, postLogoutURI, state string) (*bff.EndSessionRequest, error) {
	m, err := c.is.discover(ctx)
	if err != nil {
		return nil, err
	}
	if m.EndSession == "" {
		return nil, nil
	}
	v := url.Values{"client_id": {c.set.ClientID}}
	for name, value := range map[string]string{
		"id_token_hint":            idTokenHint.Reveal(), // even an expired one is good: section 2
		"post_logout_redirect_uri": postLogoutURI,
		"state":                    state,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return &bff.EndSessionRequest{URL: m.EndSession, Values: v, Post: !c.is.set.LogoutByRedirect}, nil
}
