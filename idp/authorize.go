package idp

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/oauth2"

	"cloakroom/bff"
)

// ErrNoS256 says that the provider's metadata does not promise PKCE with S256.
var ErrNoS256 = errors.New("provider does not list S256 among its code challenge methods")

// errUnbound says that a login lacks what ties its answer to it: a bug of the caller, and not to be sent.
var errUnbound = errors.New("authorization request without state, nonce, verifier or key")

// AuthorizationURL builds the authorization request: code flow only, always with state, nonce and an S256 challenge (RFC
// 9700 section 2.1.1). Errors are *bff.Error with bff.CodeIDPUnavailable, but for requests that lack one of these.
func (c *Client) AuthorizationURL(ctx context.Context, r bff.AuthorizationRequest) (string, error) {
	if r.State == "" || r.Nonce == "" || r.Verifier == "" || c.is.set.DPoP && r.Key.IsZero() {
		return "", &bff.Error{Code: bff.CodeInternal, Err: errUnbound}
	}
	m, err := c.is.discover(ctx)
	if err != nil {
		return "", err
	}
	// RFC 7636 section 7.2, RFC 9700 section 2.1.1: no downgrade. A provider that does not promise S256 may ignore the
	// challenge; somebody must have said that it does not.
	if !slices.Contains(m.Challenges, "S256") && !c.is.set.PKCEKnown {
		c.is.alarm(ctx, "provider without PKCE", ErrNoS256)
		return "", unavailable(0, ErrNoS256)
	}
	conf := oauth2.Config{
		ClientID: c.set.ClientID, RedirectURL: c.set.RedirectURI, Scopes: c.set.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.Authorization},
	}
	if err := c.is.checkBinding(ctx, m); err != nil {
		return "", unavailable(0, err)
	}
	opts, err := c.parameters(r)
	if err != nil {
		return "", &bff.Error{Code: bff.CodeInternal, Err: err}
	}
	return c.withResources(conf.AuthCodeURL(r.State, opts...)), nil
}

// parameters are those of this login beside the fixed ones.
func (c *Client) parameters(r bff.AuthorizationRequest) ([]oauth2.AuthCodeOption, error) {
	opts := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(r.Verifier),
		oauth2.SetAuthURLParam("nonce", r.Nonce),
	}
	if c.is.set.Prompt != "" && !r.Extra.Has("prompt") {
		opts = append(opts, oauth2.SetAuthURLParam("prompt", c.is.set.Prompt))
	}
	if age := c.maxAge(r.MaxAge); age != "" {
		opts = append(opts, oauth2.SetAuthURLParam("max_age", age))
	}
	for name, value := range c.set.Authorize {
		if value != "" && !fixed(name) {
			opts = append(opts, oauth2.SetAuthURLParam(name, value))
		}
	}
	for name := range r.Extra { // behind those of the configuration: the last value of a name is the one that is sent
		for _, sent := range c.is.paramNames(name) {
			if !fixed(sent) {
				opts = append(opts, oauth2.SetAuthURLParam(sent, r.Extra.Get(name)))
			}
		}
	}
	if !c.is.set.DPoP {
		return opts, nil
	}
	// RFC 9449 section 10: the code is good for who holds this key alone, so that one that is stolen is worth nothing elsewhere.
	jkt, err := thumbprintOf(r.Key)
	return append(opts, oauth2.SetAuthURLParam("dpop_jkt", jkt)), err
}

// withResources adds a parameter for each API that the login is to get tokens for (RFC 8707 section 2.1): what is not asked for
// here cannot be had later. The code is traded without one, for the session's own tokens.
func (c *Client) withResources(address string) string {
	for _, resource := range c.set.Resources {
		address += "&resource=" + url.QueryEscape(resource)
	}
	return address
}

// anyAge is a max_age that no session at a provider is older than, in seconds: ten years, which still fit 32 bits when they
// are added to a time of today's.
const anyAge = 10 * 365 * 24 * 60 * 60

// maxAge is what max_age is sent; "" for none. A login that asks for no age may ask for auth_time by it (OpenID Connect
// Core section 2: with max_age the claim is REQUIRED). The answer is not held against it: the engine knows of no age.
func (c *Client) maxAge(asked *int) string {
	switch {
	case asked != nil:
		return strconv.Itoa(*asked)
	case c.is.set.AskAuthTime:
		return strconv.Itoa(anyAge)
	default:
		return ""
	}
}

func (is *Issuer) paramNames(name string) []string {
	if names, ok := is.set.ParamNames[name]; ok {
		return names
	}
	return []string{name}
}

// fixed reports whether a parameter is the gateway's alone. What a frontend may pass is decided before; this is the second
// line, for one slip there would hand over the login.
func fixed(name string) bool {
	return slices.Contains([]string{
		"response_type", "response_mode", "client_id", "client_secret", "redirect_uri", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri", "max_age", "resource", "claims", "registration",
	}, name)
}
