package config

import "strings"

// presetNames are the products a provider can be.
func presetNames() []string {
	return []string{"generic", "scalekit", "dex", "hydra", "glewlwyd", "oidc-provider", "keycloak", "entra", "google"}
}

// presetText is what is known of a product, as it would be written in the file.
// Only what differs from the defaults stands here. {issuer} is replaced.
func presetText(name string) string {
	switch name {
	case "scalekit":
		// Its metadata may still name an older logout path; sid is the same for all
		// clients; a replaced refresh token is answered for a while. A session that it
		// ended is over there, with its tokens: nothing is revoked from here.
		return `
token_auth: client_secret_post
signing_algs: [RS256]
sso_by: sid
access_token: jwt
scopes: [openid, profile, email, offline_access]
prompts: [none, login, create, select_account]
login_params: [prompt, login_hint, organization_id, connection_id, social_provider, domain_hint]
pkce: known
grace: 30s
logout_token_revokes: none
end_session_endpoint: "{issuer}/oidc/logout"
`
	case "dex":
		// A used refresh token is answered with invalid_request; there is no
		// revocation endpoint.
		return `
spent: [invalid_request]
revocation: none
`
	case "hydra":
		// Its logout tokens carry no exp.
		return "logout_exp: optional\n"
	case "glewlwyd":
		// A used refresh token is answered with a 400 that has no body.
		return "spent: [empty_400]\n"
	case "oidc-provider":
		// Each client has its own sid within one session, and offline_access is
		// ignored without consent (OpenID Connect Core section 11).
		return `
sso_by: sub+auth_time
prompt: consent
`
	case "keycloak":
		// offline_access there means a session that outlives the sign-out, so it is
		// not asked for; ordinary refresh tokens come without it.
		return "scopes: [openid, profile, email]\n"
	}
	return hostedText(name)
}

// hostedText is presetText of the products that their makers run.
func hostedText(name string) string {
	switch name {
	case "entra":
		// It knows S256 and does not list it, and it has no revocation endpoint. A
		// refresh that a policy wants the user back for is answered as one of the
		// authorization endpoint's errors.
		return `
pkce: known
revocation: none
spent: [interaction_required]
`
	case "google":
		// It refuses offline_access as a scope it does not know. A refresh token is
		// what access_type asks for, and after the first one only with a new consent.
		// Revoking one takes back the user's whole consent to the app, and with it the
		// sessions on their other devices: nothing is revoked.
		return `
scopes: [openid, profile, email]
authorize: {access_type: offline}
prompt: consent
revocation: none
`
	}
	return ""
}

// fillPresets adds to each provider what its preset says and the file does not.
func fillPresets(tree *value) {
	providers := tree.get("providers")
	if providers == nil {
		return
	}
	for _, name := range providers.keys {
		p := providers.fields[name]
		if p.form != mapping {
			continue
		}
		preset := p.word("preset")
		text := strings.ReplaceAll(presetText(preset), "{issuer}", quotable(p.word("issuer")))
		p.fill(layerOf(text), source{layer: fromPreset, name: preset})
	}
}

// quotable drops what would end the quotes around it. An issuer that holds such
// a character is refused later anyway.
func quotable(issuer string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, issuer)
}
