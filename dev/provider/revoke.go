package provider

import (
	"net/http"
)

// revoke answers POST /revoke (RFC 7009): 200 for whatever is presented, since an unknown token is as good as revoked (section 2.2).
// One client cannot revoke another's.
func (p *Provider) revoke(r *http.Request) reply {
	client, err := p.authenticateForm(r)
	if err != nil {
		return errorReply(err)
	}
	value := r.PostForm.Get("token")
	if value == "" {
		return errorReply(badRequest("token missing"))
	}
	re := newReply(http.StatusOK, "", nil)
	if rec, ok := p.accesses[value]; ok && rec.grant.client == client.ID {
		rec.revoked = true
	}
	if rt, ok := p.refreshes[value]; ok && rt.grant.client == client.ID {
		if told := p.revokeFrom(rt.grant); len(told) > 0 {
			// Not waited for: the receiver may be the one that waits for this answer.
			re.after = func() { p.deliverBeside(told) }
		}
	}
	return re
}

func (p *Provider) authenticateForm(r *http.Request) (Client, error) {
	if err := checkForm(r); err != nil {
		return Client{}, err
	}
	return p.authenticate(r)
}

// revokeFrom revokes as far as this provider's revocation reaches.
func (p *Provider) revokeFrom(g *grant) []notice {
	switch p.behaviour.Revocation {
	case ReachSession:
		return p.end(g.session)
	case ReachGrant:
		p.revokeGrants(func(other *grant) bool { return other.client == g.client && other.sub == g.sub })
	default:
		g.revoked = true
	}
	return nil
}

// introspect answers POST /oauth/introspect (RFC 7662).
func (p *Provider) introspect(r *http.Request) reply {
	client, err := p.authenticateForm(r)
	if err == nil && client.Auth == NoAuth { // RFC 7662 section 2.1: the endpoint must not be open to token scanning
		err = invalidClient(NoAuth)
	}
	if err != nil {
		return errorReply(err)
	}
	value := r.PostForm.Get("token")
	if rec, ok := p.usable(value); ok {
		return jsonReply(http.StatusOK, p.describe(rec.grant, map[string]any{
			"token_type": "Bearer", "scope": rec.scope,
			"exp": rec.ends.Unix(), "iat": rec.issued.Unix(), "jti": rec.jti,
		}))
	}
	if rt, ok := p.refreshes[value]; ok && rt.successor == nil && p.alive(rt.grant) && p.now().Before(rt.ends) {
		return jsonReply(http.StatusOK, p.describe(rt.grant, map[string]any{"scope": rt.grant.scope, "exp": rt.ends.Unix()}))
	}
	return jsonReply(http.StatusOK, map[string]any{"active": false}) // section 2.2: and not a word more
}

func (p *Provider) describe(g *grant, more map[string]any) map[string]any {
	more["active"], more["iss"], more["client_id"], more["sub"] = true, p.issuer, g.client, g.sub
	return more
}
