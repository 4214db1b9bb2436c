package provider

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// clientTokenLife is how long a client_credentials token lives at Scalekit.
const clientTokenLife = 24 * time.Hour

// accessToken is what the provider remembers of one, for userinfo, introspection and revocation.
type accessToken struct {
	grant    *grant
	scope    string
	audience []string // nil: the client's
	jkt      string   // of the key that it is bound to (RFC 9449 section 6); "" for none
	jti      string
	issued   time.Time
	ends     time.Time
	revoked  bool
}

// issuance is what one token answer is made for.
type issuance struct {
	grant     *grant
	code      string        // the code it answers, for c_hash
	refresh   *refreshToken // to hand out; nil for none
	scope     string        // narrower than the grant's; "" for the grant's
	audience  []string      // whom the access token is for; nil: whom the client's are for
	exchanged bool          // it answers an exchange (RFC 8693)
	idToken   bool
}

// answerTokens makes the token answer (RFC 6749 section 5.1), then spoils it as told.
func (p *Provider) answerTokens(client Client, is issuance) reply {
	is.scope = orElse(is.scope, is.grant.scope)
	life := p.lifeFor(client, is.grant)
	access, err := p.newAccess(client, is, life)
	if err != nil {
		return errorReply(err)
	}
	out := map[string]any{
		"access_token": access, "token_type": orElse(p.behaviour.TokenType, "Bearer"),
		"expires_in": orElse(p.behaviour.ExpiresIn, told(life)), "scope": is.scope,
	}
	if client.proved != "" {
		out["token_type"] = orElse(p.behaviour.TokenType, "DPoP")
	}
	if is.refresh != nil {
		if client.Auth == NoAuth { // RFC 9449 section 5: of a public client the refresh token is bound too
			is.refresh.jkt = client.proved
		}
		out["refresh_token"] = is.refresh.value
	}
	if is.idToken && slices.Contains(strings.Fields(is.grant.scope), "openid") {
		if out["id_token"], err = p.newIDToken(is, access); err != nil {
			return errorReply(err)
		}
	}
	if is.exchanged {
		p.tellExchange(out)
	}
	p.spoil(out)
	return jsonReply(http.StatusOK, out)
}

func (p *Provider) spoil(out map[string]any) {
	for _, member := range p.behaviour.Omit {
		delete(out, member)
	}
	if edit := p.behaviour.EditTokenAnswer; edit != nil {
		edit(out)
	}
}

func (p *Provider) lifeFor(client Client, g *grant) time.Duration {
	if g.session == nil {
		return clientTokenLife
	}
	return max(orElse(client.AccessLife, p.behaviour.accessLife()), time.Second)
}

// told is expires_in: Scalekit tells a truncated remainder, 299 of 300 seconds. Lives under a minute are told in full, because a
// second matters to them.
func told(life time.Duration) int {
	if life < time.Minute {
		return int(life / time.Second)
	}
	return int(life/time.Second) - 1
}

// ends rounds up, so that a token of one second lives for at least that long.
func (p *Provider) ends(life time.Duration) time.Time {
	return p.now().Add(life + time.Second - time.Nanosecond).Truncate(time.Second)
}

func (p *Provider) newAccess(client Client, is issuance, life time.Duration) (string, error) {
	rec := &accessToken{
		grant: is.grant, scope: is.scope, audience: is.audience, jkt: client.proved, jti: "tkn_" + digits(),
		issued: p.now(), ends: p.ends(life),
	}
	value := "at_" + secret()
	if p.behaviour.OpaqueAccess {
		p.log.issue(KindAccess, client.ID, value, p.now())
		p.accesses[value] = rec
		return value, nil
	}
	claims := p.accessClaims(client, rec)
	overlay(claims, p.behaviour.AccessClaims)
	value, err := p.sign(KindAccess, client.ID, nil, claims, p.behaviour.AccessSigning, p.behaviour.EditAccessToken)
	p.accesses[value] = rec
	return value, err
}

// accessClaims are those of Scalekit's access tokens: no name and no email, roles and permissions as they are now.
func (p *Provider) accessClaims(client Client, rec *accessToken) map[string]any {
	g := rec.grant
	audience := client.Audience
	if rec.audience != nil {
		audience = rec.audience
	}
	if audience == nil {
		audience = []string{client.ID}
	}
	claims := map[string]any{
		"iss": p.issuer, "aud": audience, "client_id": client.ID, "sub": g.sub, "jti": rec.jti,
		"iat": rec.issued.Unix(), "nbf": rec.issued.Unix(), "exp": rec.ends.Unix(), "scope": rec.scope,
	}
	if rec.jkt != "" {
		claims["cnf"] = map[string]any{"jkt": rec.jkt} // RFC 9449 section 6.1
	}
	if g.session == nil {
		return claims
	}
	u, _ := p.findUser(g.sub)
	overlay(claims, u.Claims)
	claims["oid"], claims["xoid"] = orElse(g.org, u.OrgID), "" // xoid is an empty string where nothing is mapped
	p.sessionClaims(claims, g)
	if u.Roles != nil {
		claims["roles"] = u.Roles
	}
	if u.Permissions != nil {
		claims["permissions"] = u.Permissions
	}
	return claims
}

// sessionClaims are those that tell of the sign-in.
func (p *Provider) sessionClaims(claims map[string]any, g *grant) {
	claims["auth_time"] = g.authTime.Unix()
	if g.sid != "" {
		claims["sid"] = g.sid
	}
	if g.acr != "" {
		claims["acr"] = g.acr
	}
}

func (p *Provider) newIDToken(is issuance, access string) (string, error) {
	g := is.grant
	u, _ := p.findUser(g.sub)
	claims := map[string]any{
		"iss": p.issuer, "aud": []string{g.client}, "azp": g.client, "client_id": g.client, "sub": g.sub,
		"iat": p.now().Unix(), "exp": p.ends(orElse(p.behaviour.IDLife, 30*time.Minute)).Unix(), "at_hash": halfHash(access),
		"amr": []string{"conn_dev"}, "oid": orElse(g.org, u.OrgID),
	}
	if u.AMR != nil {
		claims["amr"] = u.AMR
	}
	if is.code != "" {
		claims["c_hash"] = halfHash(is.code)
	}
	// OpenID Connect Core section 12.2: the ID token of a refresh should have no nonce; that of a code echoes it.
	if is.code != "" && g.nonce != "" && !p.behaviour.IgnoreNonce {
		claims["nonce"] = g.nonce
	}
	p.sessionClaims(claims, g)
	overlay(claims, profile(u, g.scope))
	overlay(claims, p.behaviour.IDClaims)
	return p.sign(KindID, g.client, nil, claims, p.behaviour.IDSigning, p.behaviour.EditIDToken)
}

// profile is what the scope opens of a user (OpenID Connect Core section 5.4).
func profile(u User, scope string) map[string]any {
	claims := map[string]any{}
	has := strings.Fields(scope)
	if slices.Contains(has, "profile") {
		given, family, _ := strings.Cut(u.Name, " ")
		claims["name"], claims["given_name"], claims["family_name"] = u.Name, given, family
	}
	if slices.Contains(has, "email") {
		claims["email"], claims["email_verified"] = u.Email, true
	}
	return claims
}

// usable finds a live access token.
func (p *Provider) usable(value string) (*accessToken, bool) {
	rec, known := p.accesses[value]
	if !known || rec.revoked || rec.grant.revoked || !p.now().Before(rec.ends) {
		return nil, false
	}
	return rec, true
}
