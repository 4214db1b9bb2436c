package idp

import (
	"context"
	"errors"
	"time"

	"cloakroom/bff"
)

const (
	// logoutTokenCap is more than any logout token needs: eight claims and a signature.
	logoutTokenCap = 16 << 10
	// logoutAge is how old a logout token may be when it comes: a provider may send one again that was not taken, and
	// section 4 of Back-Channel Logout wants short lives ("preferably at most two minutes").
	logoutAge = 10 * time.Minute
	// logoutEvent is the member of events that makes a token one of logout (Back-Channel Logout section 2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// VerifyLogout judges a logout token by Back-Channel Logout section 2.6: bff.LogoutVerifier. What costs little comes
// first, and the signature last: whoever makes up tokens has none of them get as far as a key, unless all else is right.
// The keys are those of ID tokens, and are fetched again no more often than for those.
func (c *Client) VerifyLogout(ctx context.Context, raw bff.Secret) (*bff.LogoutToken, error) {
	t, err := c.parseLogout(raw.Reveal())
	if err != nil {
		return nil, refusedLogout(err, false)
	}
	// Before anything else of the claims: another client's token is not this one's to judge.
	if err := firstBroken(c.is.judgeIssuer(t.claims), c.judgeAudience(t.claims)); err != nil {
		return nil, refusedLogout(err, true)
	}
	if err := c.judgeLogout(t.claims); err != nil {
		return nil, refusedLogout(err, false)
	}
	err = c.is.verifySignature(ctx, t)
	switch {
	case err == nil:
		return c.saidBy(t.claims), nil
	// A key that the issuer does not have, or did not have a moment ago, is a forger's until it does: the provider that has
	// just changed its keys sends the token again.
	case errors.Is(err, errKeyUnasked) || !errors.Is(err, errKeys):
		return nil, refusedLogout(err, false)
	default:
		return nil, unavailable(0, err)
	}
}

// parseLogout reads a logout token and judges its header. Encrypted ones are refused by their form: none was asked for
// (section 2.6, item 1).
func (c *Client) parseLogout(raw string) (*token, error) {
	if len(raw) > logoutTokenCap {
		return nil, broken(RuleForm, "too large")
	}
	if c.is.set.StrictLogoutTyp {
		return c.is.parse(raw, "logout+jwt")
	}
	// Section 2.4 recommends the type; RFC 8725 section 3.11 says why. Hydra sends JWT and Dex none: the claims tell then.
	return c.is.parse(raw, "", "jwt", "logout+jwt")
}

// judgeLogout goes through the claims in the order of section 2.6.
func (c *Client) judgeLogout(claims object) error {
	now, skew := c.is.now(), c.is.set.ClockSkew
	expiry := func() error {
		if _, there := claims["exp"]; !there && c.is.set.LogoutExpOptional {
			return nil // bounded by its iat
		}
		return judgeExpiry(claims, now, skew)
	}
	return firstBroken(
		expiry(),
		judgeIssued(claims, now, skew, logoutAge),
		c.judgeWhose(claims),
		judgeEvents(claims),
		judgeNoNonce(claims),
		judgeTokenID(claims),
	)
}

// judgeWhose: item 5: sub, sid or both. A member that is there says something, whatever stands beside it.
func (c *Client) judgeWhose(claims object) error {
	_, hasSub := claims["sub"]
	_, hasSID := claims["sid"]
	if hasSub {
		if err := judgeSubject(claims); err != nil {
			return err
		}
	}
	sid, ok := claims.text("sid")
	switch {
	case hasSID && (!ok || sid == ""):
		return broken(RuleSession, "no string that says something")
	case !hasSID && c.is.set.SIDRequired: // backchannel_logout_session_required, section 2.2
		return broken(RuleSession, "missing, but required by the provider's settings")
	case !hasSID && !hasSub:
		return broken(RuleSubject, "neither sub nor sid")
	default:
		return nil
	}
}

// judgeEvents: item 6: an object with that member, whose value is an object too.
func judgeEvents(claims object) error {
	events, err := members(claims["events"])
	if err != nil {
		return broken(RuleEvents, "missing, or no object")
	}
	if _, err := members(events[logoutEvent]); err != nil {
		return broken(RuleEvents, "no logout")
	}
	return nil
}

// judgeNoNonce: item 7: its absence keeps an ID token from passing for a logout token, so null is a nonce too (section
// 2.4: "MUST NOT be present").
func judgeNoNonce(claims object) error {
	if _, there := claims["nonce"]; there {
		return broken(RuleNonce, "an ID token, or what could pass for one")
	}
	return nil
}

// judgeTokenID: jti is required (section 2.4): by it a replay is known.
func judgeTokenID(claims object) error {
	if id, ok := claims.text("jti"); !ok || id == "" {
		return broken(RuleTokenID, "missing, or no string")
	}
	return nil
}

// saidBy takes from a verified logout token what it says.
func (c *Client) saidBy(claims object) *bff.LogoutToken {
	said := &bff.LogoutToken{}
	said.ID, _ = claims.text("jti")
	said.SID, _ = claims.text("sid")
	said.Subject, _ = claims.text("sub")
	iat, _ := claims.date("iat")
	said.Until = iat.Add(logoutAge)
	if exp, _ := claims.date("exp"); !exp.IsZero() && exp.Before(said.Until) {
		said.Until = exp
	}
	said.Until = said.Until.Add(c.is.set.ClockSkew + time.Second) // dates are cut to seconds
	return said
}

// refusedLogout makes the domain's error of a broken rule.
func refusedLogout(err error, elsewhere bool) error {
	refused := &bff.LogoutTokenError{Rule: string(RuleSignature), Elsewhere: elsewhere, Err: err}
	if rule, ok := errors.AsType[*RuleError](err); ok {
		refused.Rule = string(rule.Rule)
	}
	return refused
}
