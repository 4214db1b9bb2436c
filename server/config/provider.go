package config

import "time"

// Provider is an OpenID provider and how it differs from the others. All of it
// but Issuer can be left to the preset and to the provider's own metadata.
type Provider struct {
	// Preset is the product: scalekit, generic, dex, hydra, glewlwyd,
	// oidc-provider, keycloak, entra or google. Default generic.
	Preset string `yaml:"preset"`
	// Issuer is the provider's name for itself, compared byte for byte and never
	// normalised (OpenID Connect Discovery section 4.3). https, or http for
	// loopback names.
	Issuer string `yaml:"issuer"`
	// Issuers are further names the provider gives itself, as behind a custom
	// domain.
	Issuers []string `yaml:"issuers"`
	// InsecureHTTP accepts an http issuer or endpoint that is not on loopback.
	InsecureHTTP bool `yaml:"insecure_http"`
	// CAFile is who signs the provider's certificate; empty for the system's.
	CAFile string `yaml:"ca_file" path:"ca"`
	// TokenAuth is how apps show their secret: client_secret_basic or
	// client_secret_post. Empty takes it from the metadata; it is never probed.
	// An app with client_keys proves itself by them whatever stands here;
	// private_key_jwt asks that of all apps.
	TokenAuth string `yaml:"token_auth"`
	// AssertionAudience is whom an app's signed assertion is for: issuer, the
	// default, or token_endpoint for older providers that take nothing else.
	// With the latter, whoever can change the provider's metadata can have an
	// assertion made for another provider's token endpoint.
	AssertionAudience string `yaml:"assertion_audience"`
	// AssertionTyp is the typ of such an assertion: client-authentication+jwt, the
	// default, or JWT for providers that refuse a type they do not know.
	AssertionTyp string `yaml:"assertion_typ"`
	// AssertionRSA is what RSA keys sign by: PS256, the default, or RS256 for
	// providers that know no other.
	AssertionRSA string `yaml:"assertion_rsa"`
	// DPoP is required to have every token of this provider bound to a key (RFC
	// 9449) that the gateway makes for each sign-in and keeps sealed with the
	// session: a token that is stolen is worth nothing then, neither at the
	// provider nor at an API that checks. Tokens that the provider does not bind
	// are refused. off, the default, asks for none; sessions whose tokens are bound
	// already go on with their keys.
	DPoP string `yaml:"dpop"`
	// SigningAlgs are the algorithms accepted on tokens. Default RS256, PS256,
	// ES256, EdDSA.
	SigningAlgs []string `yaml:"signing_algs"`
	// SSOBy is what ties sessions of several apps together: sid, sub+auth_time
	// or sub. Default sid.
	SSOBy string `yaml:"sso_by"`
	// SID says whether an ID token without sid is refused: required or optional,
	// the default.
	SID string `yaml:"sid"`
	// AccessToken is jwt (verified once, on receipt) or opaque, the default.
	AccessToken string `yaml:"access_token"`
	// AccessTokenAudiences are the audiences a jwt access token may have; empty
	// means the app's client id.
	AccessTokenAudiences []string `yaml:"access_token_audiences"`
	// TrustedAudiences are audiences an ID token may name beside the app's client
	// id (OpenID Connect Core section 3.1.3.7, step 3). Default none.
	TrustedAudiences []string `yaml:"trusted_audiences"`
	// Scopes are what apps ask for that do not say themselves. Default openid,
	// profile, email, offline_access.
	Scopes []string `yaml:"scopes"`
	// Prompt is sent with a sign-in that names none; empty sends none.
	Prompt string `yaml:"prompt"`
	// Prompts are the prompt values the provider knows.
	Prompts []string `yaml:"prompts"`
	// Authorize are parameters that go with every authorization request: audience
	// for Auth0's APIs, kc_idp_hint for Keycloak. A sign-in that asks for one of
	// them itself, as far as the app lets it, is sent what it asks. An app that
	// names its own has them beside these. Default none.
	Authorize map[string]string `yaml:"authorize"`
	// LoginParams are the parameters of GET /bff/login that the provider knows.
	LoginParams []string `yaml:"login_params"`
	// Spent names further answers that mean a used refresh token, beside
	// invalid_grant: invalid_request, empty_400 (a 400 without a body),
	// interaction_required (it, login_required, account_selection_required or
	// consent_required: the user has to sign in again).
	Spent []string `yaml:"spent"`
	// Grace is how long the provider goes on accepting a refresh token that it
	// has replaced. Default 0.
	Grace time.Duration `yaml:"grace"`
	// Revocation is what revoking one refresh token does: grant (all of the
	// grant dies, the default), token (the rest lives on) or none (the provider
	// cannot revoke).
	Revocation string `yaml:"revocation"`
	// Revocable seals refresh tokens a second time so that they can be revoked
	// when a session is ended without its handle. Default false.
	Revocable bool `yaml:"revocable"`
	// UserInfo asks the userinfo endpoint for claims at sign-in: where ID tokens
	// leave name and email out, as those of oidc-provider and Zitadel do unless
	// told otherwise. Default false.
	UserInfo bool `yaml:"userinfo"`
	// PKCE is require (the metadata must promise S256, the default) or known (it
	// is known to work though the metadata does not say so). It is sent either
	// way.
	PKCE string `yaml:"pkce"`
	// IssUnannounced is what to do with a right iss in an authorization answer
	// that the metadata did not announce (RFC 9207 section 2.4): accept, the
	// default, or refuse. A wrong one is always refused.
	IssUnannounced string `yaml:"iss_unannounced"`
	// LogoutExp says whether a logout token without exp is refused: required,
	// the default, or optional (it is bounded by its iat then).
	LogoutExp string `yaml:"logout_exp"`
	// StrictTyp refuses logout tokens whose typ is not logout+jwt. Default false.
	StrictTyp bool `yaml:"strict_typ"`
	// LogoutBy is how the browser is sent to the provider's end_session endpoint: redirect, the default, or form_post,
	// which keeps the ID token out of URLs, where the provider takes a POST and its own cookie comes with one from
	// another site.
	LogoutBy string `yaml:"logout_by"`
	// Logout is how a sign-out ends the provider's own session: redirect, the
	// default, sends the browser there; api asks Scalekit's session API as the app
	// itself, so that the ID token leaves in no address (the application must be
	// allowed to use the Management API); both does one after the other. api and
	// both need preset scalekit and sid: required.
	Logout string `yaml:"logout"`
	// LogoutTokenRevokes says which refresh tokens are revoked when a logout
	// token ends their sessions, where the provider is revocable: online, the
	// default (those of apps that do not ask for offline_access, as OpenID
	// Connect Back-Channel Logout section 2.7 has it), all, or none.
	LogoutTokenRevokes string `yaml:"logout_token_revokes"`
	// FrontchannelLogout serves GET /bff/frontchannel-logout and, for native
	// apps, GET /mobile/frontchannel-logout. Default false.
	FrontchannelLogout bool `yaml:"frontchannel_logout"`
	// ClockSkew is how far the provider's clock may be off; at most 60s, the
	// default.
	ClockSkew time.Duration `yaml:"clock_skew"`
	// HTTPTimeout bounds one request to the provider. Default 10s.
	HTTPTimeout time.Duration `yaml:"http_timeout"`
	// RefreshTimeout bounds a refresh; longer, as its answer must not be lost.
	// Default 20s.
	RefreshTimeout time.Duration `yaml:"refresh_timeout"`
	// DefaultTokenLife is taken where the token answer has no expires_in.
	// Default 60s.
	DefaultTokenLife time.Duration `yaml:"default_token_life"`

	// AuthorizationEndpoint replaces what the metadata says, as do the next five.
	AuthorizationEndpoint string `yaml:"authorization_endpoint"`
	// TokenEndpoint is where codes and refresh tokens are traded.
	TokenEndpoint string `yaml:"token_endpoint"`
	// JWKSURI is where the signing keys are.
	JWKSURI string `yaml:"jwks_uri"`
	// RevocationEndpoint is RFC 7009's.
	RevocationEndpoint string `yaml:"revocation_endpoint"`
	// UserInfoEndpoint is where claims are asked for.
	UserInfoEndpoint string `yaml:"userinfo_endpoint"`
	// EndSessionEndpoint is where a browser is sent to sign out.
	EndSessionEndpoint string `yaml:"end_session_endpoint"`
}
