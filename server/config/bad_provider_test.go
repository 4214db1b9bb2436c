package config_test

import "testing"

// shows SCALEKIT-S1 (what is refused)
func TestBadProviders(t *testing.T) {
	runBad(t, []bad{
		{"no providers", "providers:\n  main:\n    preset: scalekit\n    issuer: https://acme.scalekit.com\n", "", []string{
			"cloakroom.yaml:1: providers: missing; write at least one with its issuer",
		}},
		{"no issuer", "    issuer: https://acme.scalekit.com\n", "", []string{
			"cloakroom.yaml:8: providers.main.issuer: missing; write the provider's issuer exactly as its metadata has it",
		}},
		{"a session API elsewhere", "preset: scalekit\n", "preset: generic\n    logout: both\n    sid: required\n", []string{
			"cloakroom.yaml:10: providers.main.logout: both is Scalekit's session API; write redirect",
		}},
		{"a session API for sessions without a name", "preset: scalekit\n", "preset: scalekit\n    logout: api\n", []string{
			"cloakroom.yaml:10: providers.main.logout: api names sessions by their sid; write sid: required beside it",
		}},
		{"a session API and bound tokens", "preset: scalekit\n", "preset: scalekit\n    logout: api\n    sid: required\n    dpop: required\n", []string{
			"cloakroom.yaml:10: providers.main.logout: api is called with a token that is bound to nothing; write dpop: off, or redirect",
		}},
		{"tokens that are bound perhaps", "preset: scalekit\n", "preset: scalekit\n    dpop: allowed\n", []string{
			"cloakroom.yaml:10: providers.main.dpop: not one of the values known here; write one of off, required",
		}},
		{"an unknown way to sign out", "preset: scalekit\n", "preset: scalekit\n    logout: webhook\n", []string{
			"cloakroom.yaml:10: providers.main.logout: not one of the values known here; write one of redirect, api, both",
		}},
		{"an unknown preset", "preset: scalekit", "preset: okta", []string{
			"cloakroom.yaml:9: providers.main.preset: not one of the values known here; write one of generic, scalekit, dex, hydra, glewlwyd, oidc-provider, keycloak, entra, google",
		}},
		{"Scalekit's issuer with a slash", "https://acme.scalekit.com", "https://acme.scalekit.com/", []string{
			"cloakroom.yaml:10: providers.main.issuer: ends in a slash, which Scalekit's issuers do not; delete the slash",
		}},
		{"an issuer on plain http", "https://acme.scalekit.com", "http://acme.scalekit.com", []string{
			"cloakroom.yaml:10: providers.main.issuer: plain http is for loopback names only; use https, or insecure_http: true where the network itself is protected",
		}},
		{"an issuer that holds a password", "https://acme.scalekit.com", "https://me:hunter2@acme.scalekit.com", []string{
			"cloakroom.yaml:10: providers.main.issuer: holds a user name or password; remove them",
		}},
		{"the address of the metadata", "https://acme.scalekit.com", "https://acme.scalekit.com/.well-known/openid-configuration", []string{
			"cloakroom.yaml:10: providers.main.issuer: the address of the metadata; the issuer is what stands before /.well-known",
		}},
		{"an issuer with a query", "https://acme.scalekit.com", "https://acme.scalekit.com?a=b", []string{
			"cloakroom.yaml:10: providers.main.issuer: has a query; an issuer has none (OpenID Connect Discovery section 3)",
		}},
		{"a client that shows nothing", "preset: scalekit", "preset: scalekit\n    token_auth: none", []string{
			"cloakroom.yaml:10: providers.main.token_auth: an app without a secret is no confidential client; register it with one",
		}},
		{"an unknown way to show the secret", "preset: scalekit", "preset: scalekit\n    token_auth: post", []string{
			"cloakroom.yaml:10: providers.main.token_auth: not one of the values known here; write one of client_secret_basic, client_secret_post, private_key_jwt",
		}},
		{"algorithms that prove nothing", "preset: scalekit", "preset: scalekit\n    signing_algs: [none, HS256, RS1]", []string{
			"cloakroom.yaml:10: providers.main.signing_algs[0]: no signature that only the provider can make; delete it",
			"cloakroom.yaml:10: providers.main.signing_algs[1]: no signature that only the provider can make; delete it",
			"cloakroom.yaml:10: providers.main.signing_algs[2]: not one of the values known here; write one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA",
		}},
		{"no algorithms", "preset: scalekit", "preset: scalekit\n    signing_algs: []", []string{
			"cloakroom.yaml:10: providers.main.signing_algs: empty, so no token could ever be accepted; delete the line or name the algorithms",
		}},
		{"a clock too far off", "preset: scalekit", "preset: scalekit\n    clock_skew: 61s", []string{
			"cloakroom.yaml:10: providers.main.clock_skew: out of bounds; write something from 0s to 1m",
		}},
		{"a wrong word for every choice", "preset: scalekit", "preset: scalekit\n    sso_by: x\n    sid: x\n    access_token: x\n    revocation: x\n    pkce: x\n    iss_unannounced: x\n    logout_exp: x\n    spent: [x]\n    login_params: [x]\n    assertion_audience: x\n    assertion_typ: x\n    assertion_rsa: ES256", []string{
			"cloakroom.yaml:10: providers.main.sso_by: not one of the values known here; write one of sid, sub+auth_time, sub",
			"cloakroom.yaml:11: providers.main.sid: not one of the values known here; write one of required, optional",
			"cloakroom.yaml:12: providers.main.access_token: not one of the values known here; write one of jwt, opaque",
			"cloakroom.yaml:13: providers.main.revocation: not one of the values known here; write one of grant, token, none",
			"cloakroom.yaml:14: providers.main.pkce: not one of the values known here; write one of require, known",
			"cloakroom.yaml:15: providers.main.iss_unannounced: not one of the values known here; write one of accept, refuse",
			"cloakroom.yaml:16: providers.main.logout_exp: not one of the values known here; write one of required, optional",
			"cloakroom.yaml:17: providers.main.spent[0]: not one of the values known here; write one of invalid_request, empty_400, interaction_required",
			"cloakroom.yaml:18: providers.main.login_params[0]: not one of the values known here; write one of prompt, login_hint, max_age, acr_values, ui_locales, organization_id, connection_id, social_provider, domain_hint",
			"cloakroom.yaml:19: providers.main.assertion_audience: not one of the values known here; write one of issuer, token_endpoint",
			"cloakroom.yaml:20: providers.main.assertion_typ: not one of the values known here; write one of client-authentication+jwt, JWT",
			"cloakroom.yaml:21: providers.main.assertion_rsa: not one of the values known here; write one of PS256, RS256",
		}},
		{"an endpoint on plain http", "preset: scalekit", "preset: scalekit\n    token_endpoint: http://acme.scalekit.com/token", []string{
			"cloakroom.yaml:10: providers.main.token_endpoint: plain http is for loopback names only; use https, or insecure_http: true where the network itself is protected",
		}},
		{"an endpoint with a fragment", "preset: scalekit", "preset: scalekit\n    jwks_uri: https://acme.scalekit.com/keys#1", []string{
			"cloakroom.yaml:10: providers.main.jwks_uri: has a fragment; remove it",
		}},
		{"scopes without openid, reported once", "preset: scalekit", "preset: scalekit\n    scopes: [email]", []string{
			"cloakroom.yaml:10: providers.main.scopes: openid is missing; without it there is no ID token to sign in with",
		}},
		{"tokens kept for a revocation that is not there", "preset: scalekit", "preset: scalekit\n    revocation: none\n    revocable: true", []string{
			"cloakroom.yaml:11: providers.main.revocable: tokens are kept for revocation that the provider does not have; delete one of the two",
		}},
		{"one issuer at two providers", "apps:\n", "  other: {issuer: https://acme.scalekit.com}\napps:\n", []string{
			"cloakroom.yaml:11: providers.other.issuer: an issuer of provider main too; use one provider for both",
		}},
		{"a name in capitals", "apps:\n", "  Other: {issuer: https://id.example.com}\napps:\n", []string{
			"cloakroom.yaml:11: providers.Other: no usable name; a name is up to 31 of a-z, 0-9 and hyphen, the first a letter",
		}},
	})
}
