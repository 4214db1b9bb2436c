package idp

import (
	"math/rand/v2"
	"time"

	"cloakroom/bff"
)

// Times of an access token.
const (
	lifeMost    = 24 * time.Hour   // a longer expires_in is believed so far and no further
	marginMost  = 30 * time.Second // before its end a token is renewed: clocks, and the call that it is used for
	marginShare = 5                // and never earlier than the last fifth of its life
)

// tokenSet makes what a session keeps of a good answer. exp, if set, is the access token's own end.
func (c *Client) tokenSet(got *tokenAnswer, exp time.Time) bff.TokenSet {
	now := c.is.now()
	life := c.life(got.expiresIn)
	// A token that is over when it comes was let through by the skew: the clocks disagree, and expires_in knows better.
	if left := exp.Sub(now); !exp.IsZero() && left > 0 {
		life = min(life, left)
	}
	return bff.TokenSet{
		Access: got.access, Refresh: got.refresh, ID: got.id, TokenType: got.tokenType, Scope: got.scope,
		ProofKey:   got.key,
		ReceivedAt: now,
		ExpiresAt:  now.Add(life),
		RefreshAt:  now.Add(life - margin(life)),
	}
}

// life reads expires_in. RFC 6749 section 5.1 only recommends it: a token without one gets a short life, not an
// endless one.
func (c *Client) life(expiresIn float64) time.Duration {
	switch {
	case expiresIn <= 0:
		return c.is.set.DefaultTokenLife
	case expiresIn >= lifeMost.Seconds():
		return lifeMost
	default:
		return time.Duration(expiresIn * float64(time.Second))
	}
}

// margin scales with the token's life, so that a short-lived token is not renewed on each call, and is drawn from the
// upper quarter, so that sessions that began together do not renew together.
func margin(life time.Duration) time.Duration {
	full := min(marginMost, life/marginShare)
	return full - time.Duration(rand.Float64()*0.25*float64(full))
}

// setOf is the token set of an answer that is not used, for revocation.
func (a *tokenAnswer) setOf() bff.TokenSet {
	return bff.TokenSet{Access: a.access, Refresh: a.refresh, ID: a.id}
}
