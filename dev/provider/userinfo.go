package provider

import (
	"net/http"
	"strings"
)

// userInfo answers /userinfo (OpenID Connect Core section 5.3).
func (p *Provider) userInfo(r *http.Request) reply {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	rec, ok := p.usable(value)
	if !ok || !p.presents(r, scheme, value, rec) || rec.grant.session == nil {
		re := newReply(http.StatusUnauthorized, "text/plain; charset=utf-8", []byte("access token invalid\n"))
		re.header.Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750 section 3.1
		if strings.EqualFold(scheme, "DPoP") && p.behaviour.DPoPNonces {  // it may have been for the nonce alone: RFC 9449 section 9
			re.header.Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
			return p.withNonce(re)
		}
		return re
	}
	u, _ := p.findUser(rec.grant.sub)
	claims := profile(u, rec.scope)
	claims["sub"] = rec.grant.sub
	overlay(claims, p.behaviour.UserInfoClaims)
	return p.userInfoForm(rec.grant.client, claims)
}

func (p *Provider) userInfoForm(client string, claims map[string]any) reply {
	switch p.behaviour.UserInfoForm {
	case AsHTML:
		return newReply(http.StatusOK, "text/html; charset=utf-8", []byte("<!doctype html><title>Maintenance</title>"))
	case AsJWT:
		// OpenID Connect Core section 5.3.2: a signed answer carries iss and aud.
		claims["iss"], claims["aud"] = p.issuer, client
		token, err := p.sign(KindID, client, nil, claims, p.behaviour.IDSigning, p.behaviour.EditUserInfo)
		if err != nil {
			return errorReply(err)
		}
		return newReply(http.StatusOK, "application/jwt", []byte(token))
	}
	return jsonReply(http.StatusOK, claims)
}
