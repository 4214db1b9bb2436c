package idp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// moreClaims asks UserInfo, where the settings want it. An error means that none of its claims may be used.
func (c *Client) moreClaims(ctx context.Context, got *tokenAnswer, sub string) (object, error) {
	if !c.is.set.UserInfo {
		return nil, nil
	}
	claims, err := c.userInfo(ctx, got)
	if err != nil {
		return nil, fmt.Errorf("UserInfo: %w", err)
	}
	// OpenID Connect Core section 5.3.2: the sub must be exactly the ID token's, or the claims must not be used.
	if s, ok := claims.text("sub"); !ok || s == "" || s != sub {
		return nil, fmt.Errorf("UserInfo: %w", broken(RuleSubject, "about another subject"))
	}
	return claims, nil
}

func (c *Client) userInfo(ctx context.Context, got *tokenAnswer) (object, error) {
	m, err := c.is.discover(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(asking(ctx, "userinfo"), c.is.set.HTTPTimeout)
	defer cancel()
	p, err := c.userInfoProof(m, got)
	if err != nil {
		return nil, err
	}
	a, err := c.askUserInfo(ctx, m, got, p)
	if p.challenged(a) {
		a, err = c.askUserInfo(ctx, m, got, p) // once, with the nonce that was given
		p.challenged(a)
	}
	switch {
	case err != nil:
		return nil, err
	case a.status != http.StatusOK:
		return nil, &AnswerError{Status: a.status, OAuth: oauthError(a)}
	case a.media() == "application/jwt":
		return c.signedUserInfo(ctx, string(a.body))
	case a.media() == "application/json":
		return members(a.body)
	default:
		return nil, broken(RuleAnswer, "neither JSON nor a JWT")
	}
}

// userInfoProof is how an access token is proved that is bound to a key; nil for one that is not.
func (c *Client) userInfoProof(m *metadata, got *tokenAnswer) (*proving, error) {
	if !strings.EqualFold(got.tokenType, schemeDPoP) {
		return nil, nil
	}
	return c.is.newProving(got.key, "userinfo", m.UserInfo, got.access)
}

// askUserInfo asks once, by the scheme that the token is of: RFC 6750 section 2.1, RFC 9449 section 7.1.
func (c *Client) askUserInfo(ctx context.Context, m *metadata, got *tokenAnswer, p *proving) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.UserInfo, nil)
	if err != nil {
		return nil, ErrEndpoint
	}
	scheme := "Bearer "
	if p != nil {
		scheme = schemeDPoP + " "
	}
	req.Header.Set("Authorization", scheme+got.access.Reveal())
	req.Header.Set("Accept", "application/json, application/jwt")
	if err := p.sign(req); err != nil {
		return nil, err
	}
	return send(c.is.plain, req)
}

// signedUserInfo: OpenID Connect Core sections 5.3.2 and 5.3.4: signed by the issuer, with iss and with our client id in
// aud.
func (c *Client) signedUserInfo(ctx context.Context, raw string) (object, error) {
	t, err := c.is.parse(raw, "", "jwt")
	if err != nil {
		return nil, err
	}
	if err := c.is.verifySignature(ctx, t); err != nil {
		return nil, err
	}
	if err := c.is.judgeIssuer(t.claims); err != nil {
		return nil, err
	}
	if aud, _ := t.claims.list("aud"); !slices.Contains(aud, c.set.ClientID) {
		return nil, broken(RuleAudience, "not for this client")
	}
	return t.claims, nil
}
