package idp

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
)

var _ bff.InitiationProvider = (*Client)(nil)

const (
	// initiationAge is how old Scalekit's word for a sign-in that began there may be: it gives it five minutes to live.
	initiationAge = 5 * time.Minute
	initiationCap = 4 << 10 // bytes: a handful of claims; it comes in a URL, from anybody
	selectorCap   = 256     // bytes of one claim: ids have some 25, an address has at most 254
)

// initiationSelectors are the claims that say whom to sign in and where; they are sent on under the same names.
var initiationSelectors = [...]string{"organization_id", "connection_id", "login_hint"}

// OpenInitiation verifies the JWT that Scalekit adds to a sign-in that began at a customer's identity provider: signed by
// the provider's keys, issued by it moments ago, and of that kind. It names no audience, for all apps of an environment
// are meant; where it does, the app must be among it. rule is "" for one that holds.
func (c *Client) OpenInitiation(ctx context.Context, raw bff.Secret) (i *bff.Initiation, rule string) {
	i, err := c.openInitiation(ctx, raw.Reveal())
	var broke *RuleError
	switch {
	case err == nil:
		return i, ""
	case errors.As(err, &broke):
		return nil, broke.Error() // fixed texts, and nothing of the token
	default:
		return nil, "keys of the provider cannot be asked"
	}
}

func (c *Client) openInitiation(ctx context.Context, raw string) (*bff.Initiation, error) {
	if len(raw) > initiationCap {
		return nil, broken(RuleForm, "too large")
	}
	t, err := c.is.parse(raw, "", "jwt")
	if err != nil {
		return nil, err
	}
	// The signature last: what fails without it costs neither a computation nor a fetch of keys.
	if err := c.judgeInitiation(t.claims); err != nil {
		return nil, err
	}
	if err := c.is.verifySignature(ctx, t); err != nil {
		return nil, err
	}
	i := &bff.Initiation{Extra: url.Values{}}
	for _, name := range initiationSelectors {
		if value, _ := t.claims.text(name); value != "" {
			i.Extra.Set(name, value)
		}
	}
	// relay_state is the customer's text: a wish to be checked, and never the state of ours, which ties the answer to this
	// browser (RFC 9700 section 4.7.1).
	i.ReturnTo, _ = t.claims.text("relay_state")
	return i, nil
}

func (c *Client) judgeInitiation(claims object) error {
	if err := c.is.judgeIssuer(claims); err != nil {
		return err
	}
	if err := judgeTimes(claims, c.is.now(), c.is.set.ClockSkew, initiationAge); err != nil {
		return err
	}
	if aud, ok := claims.list("aud"); claims.has("aud") && (!ok || !slices.Contains(aud, c.set.ClientID)) {
		return broken(RuleAudience, "for another client")
	}
	// RFC 8725 section 3.12: another token of the issuer's does not pass for it. ID, access and logout tokens say whom they
	// are about or what happened; this one only says where to ask.
	for _, name := range []string{"sub", "nonce", "at_hash", "scope", "client_id", "events"} {
		if claims.has(name) {
			return broken(RuleKind, "a token of another kind")
		}
	}
	return judgeSelectors(claims)
}

// judgeSelectors wants plain texts, and one at least that says where to sign in.
func judgeSelectors(claims object) error {
	for _, name := range initiationSelectors {
		value, ok := claims.text(name)
		if !ok || len(value) > selectorCap || strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
			return broken(RuleForm, "a claim that is no plain text")
		}
	}
	if _, ok := claims.text("relay_state"); !ok {
		return broken(RuleForm, "a claim that is no plain text")
	}
	organization, _ := claims.text("organization_id")
	connection, _ := claims.text("connection_id")
	if organization == "" && connection == "" {
		return broken(RuleKind, "it names neither organization nor connection")
	}
	return nil
}
