package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refreshToken is one link of a family's chain. A used one is kept, because its reuse must be noticed.
type refreshToken struct {
	value     string
	grant     *grant
	jkt       string // of the key that it is bound to; "" for none
	ends      time.Time
	usedAt    time.Time
	successor *refreshToken // nil until used
}

// alive tells whether a grant still gives tokens.
func (p *Provider) alive(g *grant) bool {
	return !g.revoked && (g.session == nil || p.live(g.session) || p.behaviour.OfflineSurvives)
}

func (p *Provider) revokeGrants(which func(*grant) bool) {
	for _, g := range p.grants {
		g.revoked = g.revoked || which(g)
	}
}

// firstRefresh starts a chain, if the user's consent covers offline_access (OpenID Connect Core section 11); nil if not.
func (p *Provider) firstRefresh(client Client, g *grant) *refreshToken {
	if !slices.Contains(strings.Fields(g.scope), "offline_access") || !client.mayUse("refresh_token") {
		return nil
	}
	return p.newRefresh(g)
}

func (p *Provider) newRefresh(g *grant) *refreshToken {
	rt := &refreshToken{
		value: "rt_" + secret(), grant: g,
		ends: p.now().Add(orElse(p.behaviour.RefreshLife, 30*24*time.Hour)),
	} // a month, bounded by the session as well
	p.refreshes[rt.value] = rt
	p.log.issue(KindRefresh, g.client, rt.value, p.now())
	return rt
}

// refresh is the refresh_token grant, with rotation.
func (p *Provider) refresh(client Client, form url.Values) reply {
	value := form.Get("refresh_token")
	if value == "" {
		return errorReply(badRequest("refresh_token missing"))
	}
	rt, known := p.refreshes[value]
	if !known || rt.grant.client != client.ID || !p.alive(rt.grant) || p.now().After(rt.ends) {
		return p.spent()
	}
	if rt.jkt != "" && rt.jkt != client.proved {
		return errorReply(badGrant("the refresh token is bound to another key"))
	}
	if !within(rt.grant.scope, form.Get("scope")) {
		return errorReply(refuse("invalid_scope", "more scope than was granted")) // RFC 6749 section 6
	}
	aim, err := p.aimed(client, rt.grant, form)
	if err != nil { // and the token is as good as before
		return errorReply(err)
	}
	next, ok := p.rotate(rt)
	if !ok {
		return p.spent()
	}
	return p.answerTokens(client, issuance{
		grant: rt.grant, refresh: next, scope: form.Get("scope"), audience: one(aim),
		idToken: p.behaviour.IDTokenOnRefresh,
	})
}

// rotate gives the successor of a refresh token: a new one at its first use, the same one during the grace. After that the token is in
// two hands and its family ends: RFC 9700 section 4.14.2.
func (p *Provider) rotate(rt *refreshToken) (*refreshToken, bool) {
	now := p.now()
	switch {
	case p.behaviour.NoRotation:
		return nil, true
	case rt.successor == nil:
		rt.successor, rt.usedAt = p.newRefresh(rt.grant), now
		return rt.successor, true
	case now.Sub(rt.usedAt) < p.behaviour.RefreshGrace:
		return rt.successor, true
	}
	rt.grant.revoked = !p.behaviour.ReuseSpares
	return nil, false
}

// spent refuses a refresh token that is no longer good, in the form that this provider has for it.
func (p *Provider) spent() reply {
	if a := p.behaviour.Spent; a != nil {
		re := newReply(a.Status, "", []byte(a.Body))
		for name, values := range a.Header {
			re.header[http.CanonicalHeaderKey(name)] = values
		}
		return re
	}
	return errorReply(badGrant("invalid refresh token"))
}

// within tells whether the scope asked for lies in the scope granted; asking for none is asking for the same.
func within(granted, asked string) bool {
	has := strings.Fields(granted)
	return !slices.ContainsFunc(strings.Fields(asked), func(s string) bool { return !slices.Contains(has, s) })
}
