package provider

import "net/http"

// discover answers the configuration document (OpenID Connect Discovery section 4), with the members that Scalekit's has.
func (p *Provider) discover(*http.Request) reply {
	methods := []string{string(NoAuth), string(SecretBasic), string(SecretPost), string(PrivateKey)}
	doc := map[string]any{
		"issuer":                                           p.issuer,
		"authorization_endpoint":                           p.url("/oauth/authorize"),
		"token_endpoint":                                   p.url("/oauth/token"),
		"introspection_endpoint":                           p.url("/oauth/introspect"),
		"userinfo_endpoint":                                p.url("/userinfo"),
		"revocation_endpoint":                              p.url("/revoke"),
		"end_session_endpoint":                             p.url("/oidc/logout"),
		"jwks_uri":                                         p.url("/keys"),
		"scopes_supported":                                 []string{"openid", "profile", "offline_access"}, // no email: Scalekit forgets it too
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"grant_types_supported":                            []string{"authorization_code", "client_credentials", "refresh_token", GrantExchange},
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{"RS256"},
		"token_endpoint_auth_methods_supported":            methods,
		"revocation_endpoint_auth_methods_supported":       methods,
		"introspection_endpoint_auth_methods_supported":    methods[1:],
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256", "PS256", "RS256", "EdDSA"},
		"claims_supported": []string{
			"sub", "aud", "exp", "iat", "iss", "auth_time", "nonce", "acr", "amr", "c_hash", "at_hash",
			"client_id", "azp", "sid", "oid", "name", "given_name", "family_name", "email", "email_verified",
		},
		"code_challenge_methods_supported":     []string{"S256"},
		"dpop_signing_alg_values_supported":    []string{"ES256"}, // RFC 9449 section 5.1; not at Scalekit
		"prompt_values_supported":              []string{"none", "login", "create", "select_account"},
		"ui_locales_supported":                 []string{"en"},
		"request_parameter_supported":          false,
		"request_uri_parameter_supported":      false,
		"backchannel_logout_supported":         true,
		"backchannel_logout_session_supported": p.behaviour.SIDs != NoSID,
	}
	if !p.behaviour.OmitIss {
		doc["authorization_response_iss_parameter_supported"] = true // RFC 9207 section 3
	}
	if edit := p.behaviour.EditDiscovery; edit != nil {
		edit(doc)
	}
	return jsonReply(http.StatusOK, doc)
}
