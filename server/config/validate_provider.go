package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// namePattern is for apps and providers: it fits into a cookie name, a path and
// the name of a variable.
const namePattern = `^[a-z][a-z0-9-]{0,30}$`

const nameHint = "a name is up to 31 of a-z, 0-9 and hyphen, the first a letter"

func (r *report) validateProviders(c *Config) {
	if len(c.Providers) == 0 {
		r.add("providers", "missing; write at least one with its issuer")
	}
	names := regexp.MustCompile(namePattern)
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		path := join("providers", name)
		if !names.MatchString(name) {
			r.add(path, "no usable name; %s", nameHint)
		}
		r.validateProvider(path, c.Providers[name])
	}
	r.validateIssuers(c)
}

func (r *report) validateProvider(path string, p *Provider) {
	r.oneOf(join(path, "preset"), p.Preset, presetNames()...)
	if r.need(join(path, "issuer"), p.Issuer, "write the provider's issuer exactly as its metadata has it") {
		r.issuer(join(path, "issuer"), p.Issuer, p)
	}
	for i, issuer := range p.Issuers {
		r.issuer(at(join(path, "issuers"), i), issuer, p)
	}
	r.unique(join(path, "issuers"), p.Issuers)
	r.tokenAuth(join(path, "token_auth"), p.TokenAuth)
	r.validateWords(path, p)
	r.validateAlgs(join(path, "signing_algs"), p.SigningAlgs)
	r.validateProviderTimes(path, p)
	r.validateEndpoints(path, p)
	r.scopes(join(path, "scopes"), p.Scopes)
	r.authorize(join(path, "authorize"), p.Authorize)
}

// issuer checks the URL and leaves it as it is: it is compared byte for byte
// (OpenID Connect Core section 3.1.3.7 step 2, RFC 9207 section 2.4).
func (r *report) issuer(path, text string, p *Provider) {
	u, wrong := webURL(text, p.InsecureHTTP)
	switch {
	case wrong != "":
		r.add(path, "%s", orInsecure(wrong))
	case u.RawQuery != "" || u.ForceQuery:
		r.add(path, "has a query; an issuer has none (OpenID Connect Discovery section 3)")
	case strings.HasSuffix(text, "/.well-known/openid-configuration"):
		r.add(path, "the address of the metadata; the issuer is what stands before /.well-known")
	case p.Preset == "scalekit" && strings.HasSuffix(text, "/"):
		r.add(path, "ends in a slash, which Scalekit's issuers do not; delete the slash")
	}
}

func (r *report) validateWords(path string, p *Provider) {
	r.oneOf(join(path, "sso_by"), p.SSOBy, "sid", "sub+auth_time", "sub")
	r.oneOf(join(path, "sid"), p.SID, "required", "optional")
	r.oneOf(join(path, "access_token"), p.AccessToken, "jwt", "opaque")
	r.oneOf(join(path, "revocation"), p.Revocation, "grant", "token", "none")
	r.oneOf(join(path, "pkce"), p.PKCE, "require", "known")
	r.oneOf(join(path, "iss_unannounced"), p.IssUnannounced, "accept", "refuse")
	r.oneOf(join(path, "assertion_audience"), p.AssertionAudience, "issuer", "token_endpoint")
	r.oneOf(join(path, "assertion_typ"), p.AssertionTyp, "client-authentication+jwt", "JWT")
	r.oneOf(join(path, "assertion_rsa"), p.AssertionRSA, "PS256", "RS256")
	r.oneOf(join(path, "dpop"), p.DPoP, "off", "required")
	r.oneOf(join(path, "logout_by"), p.LogoutBy, "redirect", "form_post")
	r.logoutWay(path, p)
	r.oneOf(join(path, "logout_exp"), p.LogoutExp, "required", "optional")
	r.oneOf(join(path, "logout_token_revokes"), p.LogoutTokenRevokes, "online", "all", "none")
	for i, face := range p.Spent {
		r.oneOf(at(join(path, "spent"), i), face, "invalid_request", "empty_400", "interaction_required")
	}
	for i, param := range p.LoginParams {
		r.oneOf(at(join(path, "login_params"), i), param, "prompt", "login_hint", "max_age", "acr_values",
			"ui_locales", "organization_id", "connection_id", "social_provider", "domain_hint")
	}
	if p.Revocation == "none" && p.Revocable {
		r.add(join(path, "revocable"), "tokens are kept for revocation that the provider does not have; delete one of the two")
	}
}

// logoutWay refuses a session API where there is none, or where sessions could not
// be named to it: their users would stay signed in at the provider.
func (r *report) logoutWay(path string, p *Provider) {
	here := join(path, "logout")
	r.oneOf(here, p.Logout, "redirect", "api", "both")
	if p.Logout != "api" && p.Logout != "both" {
		return
	}
	if p.Preset != "scalekit" {
		r.add(here, "%s is Scalekit's session API; write redirect", p.Logout)
	}
	if p.DPoP == "required" {
		// RFC 9449 section 7: the app's own token would be bound too, and that API reads no proofs.
		r.add(here, "%s is called with a token that is bound to nothing; write dpop: off, or redirect", p.Logout)
	}
	if p.SID != "required" {
		r.add(here, "%s names sessions by their sid; write sid: required beside it", p.Logout)
	}
}

// tokenAuth refuses a client that shows nothing: browser-based apps draft section
// 6.1.3.1, each app is a confidential client of its own.
func (r *report) tokenAuth(path, style string) {
	switch style {
	case "", "client_secret_basic", "client_secret_post", "private_key_jwt":
	case "none":
		r.add(path, "an app without a secret is no confidential client; register it with one")
	default:
		r.oneOf(path, style, "client_secret_basic", "client_secret_post", "private_key_jwt")
	}
}

func (r *report) validateAlgs(path string, algs []string) {
	if len(algs) == 0 {
		r.add(path, "empty, so no token could ever be accepted; delete the line or name the algorithms")
	}
	for i, alg := range algs {
		switch {
		case strings.EqualFold(alg, "none"), strings.HasPrefix(strings.ToUpper(alg), "HS"):
			// RFC 8725 sections 3.1 and 3.2: unsigned tokens and those signed with a
			// shared secret are what confusion attacks need.
			r.add(at(path, i), "no signature that only the provider can make; delete it")
		default:
			r.oneOf(at(path, i), alg, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
				"ES256", "ES384", "ES512", "EdDSA")
		}
	}
}

func (r *report) validateProviderTimes(path string, p *Provider) {
	r.within(join(path, "clock_skew"), p.ClockSkew, 0, time.Minute) // more would keep dead tokens alive
	r.within(join(path, "http_timeout"), p.HTTPTimeout, 100*time.Millisecond, time.Minute)
	r.within(join(path, "refresh_timeout"), p.RefreshTimeout, 100*time.Millisecond, 5*time.Minute)
	r.within(join(path, "default_token_life"), p.DefaultTokenLife, time.Second, 24*time.Hour)
	r.within(join(path, "grace"), p.Grace, 0, time.Hour)
}

func (r *report) validateEndpoints(path string, p *Provider) {
	for key, text := range map[string]string{
		"authorization_endpoint": p.AuthorizationEndpoint,
		"token_endpoint":         p.TokenEndpoint,
		"jwks_uri":               p.JWKSURI,
		"revocation_endpoint":    p.RevocationEndpoint,
		"userinfo_endpoint":      p.UserInfoEndpoint,
		"end_session_endpoint":   p.EndSessionEndpoint,
	} {
		here := join(path, key)
		if text == "" || !r.written(here) {
			continue
		}
		if _, wrong := webURL(text, p.InsecureHTTP); wrong != "" {
			r.add(here, "%s", orInsecure(wrong))
		}
	}
}

// scopes checks the words (RFC 6749 section 3.3) and that this is OpenID Connect
// at all.
func (r *report) scopes(path string, scopes []string) {
	for i, scope := range scopes {
		if !scopeToken(scope) {
			r.add(at(path, i), "no scope; list each one by itself, without spaces")
		}
	}
	if !slices.Contains(scopes, "openid") {
		r.add(path, "openid is missing; without it there is no ID token to sign in with")
	}
	r.unique(path, scopes)
}

func scopeToken(scope string) bool {
	return scope != "" && strings.IndexFunc(scope, func(c rune) bool {
		return c <= ' ' || c > '~' || c == '"' || c == '\\'
	}) < 0
}

// validateIssuers refuses two providers that are the same one: a logout token
// would not tell whose sessions it ends (RFC 9207 section 1).
func (r *report) validateIssuers(c *Config) {
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Providers)) {
		p := c.Providers[name]
		for _, issuer := range append([]string{p.Issuer}, p.Issuers...) {
			if other, taken := owner[issuer]; taken && other != name && issuer != "" {
				r.add(join(join("providers", name), "issuer"), "an issuer of provider %s too; use one provider for both", other)
			}
			owner[issuer] = name
		}
	}
}
