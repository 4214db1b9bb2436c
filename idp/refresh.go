package idp

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"cloakroom/bff"
)

// ErrNoRefreshToken is the cause of a refresh of a session that has nothing to refresh with.
var ErrNoRefreshToken = errors.New("no refresh token")

// Refresh sends the session's refresh token once, as it is, and asks for no scope: what was granted stays the most there
// can be (RFC 6749 section 6). With a resource, the token is asked for that alone (RFC 8707 section 2.2). Errors are
// *bff.RefreshError.
func (c *Client) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	if s.Tokens.Refresh.IsZero() {
		return nil, &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: ErrNoRefreshToken}
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {s.Tokens.Refresh.Reveal()}}
	if resource != "" {
		form.Set("resource", resource)
	}
	judged := c.is.gate.renewal()
	defer judged()
	got, refused := c.askBound(ctx, c.is.set.RefreshTimeout, form, c.keyFor(s.Tokens.ProofKey))
	if refused != nil {
		return nil, targeted(c.refreshError(ctx, s, refused, judged), resource)
	}
	c.is.gate.burst.good(c.is.now(), c.set.ClientID, s.Lookup)
	grant, err := c.renewed(ctx, s, got, resource)
	if err != nil {
		// The session ends by what came: nobody may use these tokens.
		c.discard(ctx, got)
		return nil, &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: err}
	}
	return grant, nil
}

// refreshError passes a refusal on, unless it is one of a burst of spent tokens. judged is called once that is counted.
func (c *Client) refreshError(ctx context.Context, s *bff.Session, r *refusal, judged func()) error {
	e := &bff.RefreshError{Outcome: r.outcome, Doubt: r.doubt, RetryAfter: r.retryAfter, Unasked: r.unasked, Err: r.err}
	if errors.Is(r.err, errUnproved) { // nobody may use these tokens, and they are good at every API
		c.is.alarm(ctx, "provider without DPoP", r.err)
		c.discard(ctx, r.got)
	}
	if r.outcome != bff.OutcomeSpent {
		return e
	}
	honoured, began := c.is.gate.verdict(ctx, c.is.now, c.set.ClientID, s.Lookup, judged)
	if began {
		c.is.alarm(ctx, "burst of spent refresh tokens", fmt.Errorf("client %s: %w", c.set.ClientID, r.err))
	}
	if !honoured {
		return &bff.RefreshError{
			Outcome: bff.OutcomeTransient, RetryAfter: burstHold, Err: fmt.Errorf("%w: %w", ErrBurst, r.err),
		}
	}
	return e
}

// renewed makes the grant of a good answer. An error ends the session. Everything less is told by the grant's Alarm, as
// the tokens that came exist nowhere else.
func (c *Client) renewed(ctx context.Context, s *bff.Session, got *tokenAnswer, resource string) (*bff.Grant, error) {
	if resource != "" {
		return c.renewedFor(ctx, s, got, resource)
	}
	var exp time.Time
	var alarms []error
	judged := false // the access token is a JWT that holds: what it says of the user is believed
	if c.is.set.AccessTokenJWT {
		end, err := c.verifyAccess(ctx, got.access, s.Subject)
		switch {
		case unjudged(err):
			// The keys are out of reach, or behind the times: neither ends a session, for a rotation would end every one that
			// is renewed just then, and the token came from the provider itself by TLS.
			alarms = append(alarms, fmt.Errorf("access token: %w", err))
		case err != nil:
			return nil, fmt.Errorf("access token: %w", err)
		}
		exp, judged = end, err == nil
	}
	id, err := c.renewedIdentity(ctx, s, got)
	if errors.Is(err, bff.ErrIdentityChanged) {
		return nil, err
	}
	if err != nil {
		alarms = append(alarms, fmt.Errorf("refreshed ID token: %w", err))
	}
	grant := &bff.Grant{Tokens: c.tokenSet(got, exp), Identity: id, Alarm: errors.Join(alarms...)}
	keepMissing(&grant.Tokens, s.Tokens, id != nil)
	if judged {
		grant.Identity = c.reauthorize(id, s, got.access)
	}
	return grant, nil
}

// renewedFor makes the grant of a good answer for a resource. An error ends the session. The access token is another API's to
// read: nothing of it is believed but that it ends, and it is not shown to UserInfo. A refreshed ID token is asked whether it
// is still about the same user; what it says of the user comes with the next refresh of the session's own tokens.
func (c *Client) renewedFor(ctx context.Context, s *bff.Session, got *tokenAnswer, resource string) (*bff.Grant, error) {
	if _, err := c.sameUser(ctx, s, got); errors.Is(err, bff.ErrIdentityChanged) {
		return nil, err
	}
	exp, _ := unverified(got.access).date("exp")
	grant := &bff.Grant{Tokens: c.tokenSet(got, exp), Alarm: ignored(s.Tokens.Access, got.access, resource)}
	keepMissing(&grant.Tokens, s.Tokens, false)
	return grant, nil
}

// targeted marks a refusal of the resource that was asked for: invalid_target (RFC 8707 section 2), or whatever else a provider
// says that is not about the client itself (RFC 6749 section 5.2) and that it does not say to a refresh without one.
func targeted(err error, resource string) error {
	said, _ := errors.AsType[*AnswerError](err)
	r, ok := errors.AsType[*bff.RefreshError](err)
	if ok && resource != "" && said != nil && r.Outcome == bff.OutcomeClient {
		r.Target = !slices.Contains([]string{"invalid_client", "unauthorized_client", "unsupported_grant_type"}, said.OAuth)
	}
	return err
}

// errIgnored is the alarm of a token that is good where the session's own is: the provider seems not to know the parameter.
var errIgnored = errors.New("the token for a resource has the audience of the session's own, and the resource is not in it")

// ignored reports that a token for a resource seems to be one for everything: both can be read, and both name the same audience.
func ignored(own, access bff.Secret, resource string) error {
	was, _ := unverified(own).list("aud")
	is, _ := unverified(access).list("aud")
	if len(is) == 0 || slices.Contains(is, resource) || !slices.Equal(was, is) {
		return nil
	}
	return fmt.Errorf("%w: %s", errIgnored, resource)
}

// keepMissing keeps of the old set what the answer did not bring: RFC 6749 section 6 for refresh token and scope, OpenID
// Connect Core section 12.2 for the ID token. One whose claims are not believed is no logout hint either.
func keepMissing(fresh *bff.TokenSet, old bff.TokenSet, believed bool) {
	if fresh.Refresh.IsZero() {
		fresh.Refresh = old.Refresh
	}
	if fresh.Scope == "" {
		fresh.Scope = old.Scope
	}
	if fresh.ID.IsZero() || !believed {
		fresh.ID = old.ID
	}
}

// renewedIdentity judges a refreshed ID token by OpenID Connect Core section 12.2. No token is no identity and no error.
func (c *Client) renewedIdentity(ctx context.Context, s *bff.Session, got *tokenAnswer) (*bff.Identity, error) {
	if got.id.IsZero() {
		return nil, nil
	}
	t, err := c.sameUser(ctx, s, got)
	if err != nil {
		return nil, err
	}
	before := unverified(s.Tokens.ID)
	if err := c.judgeMoment(t, expected{access: got.access}); err != nil {
		return nil, err
	}
	if err := sameLogin(t, before, s); err != nil {
		return nil, err
	}
	more, err := c.moreClaims(ctx, got, s.Subject)
	if err != nil {
		return nil, err // half of the claims would be missing
	}
	// A refresh makes no login fresher or stronger: moment and strength stay those of the login.
	id := c.identity(t, more)
	id.AuthTime, id.ACR = s.AuthTime, s.ACR
	if id.SID == "" {
		id.SID = s.SID
	}
	return id, nil
}

// sameUser reads a refreshed ID token, and asks whose it is. ErrIdentityChanged if it is about somebody else. No token is no
// error.
func (c *Client) sameUser(ctx context.Context, s *bff.Session, got *tokenAnswer) (*token, error) {
	if got.id.IsZero() {
		return nil, nil
	}
	t, err := c.is.parse(got.id.Reveal(), "", "jwt")
	if err != nil {
		return nil, err
	}
	// The signature first: what is not signed by the provider says nothing, not even that it is about somebody else.
	if err := c.is.verifySignature(ctx, t); err != nil {
		return nil, err
	}
	if err := c.sameIdentity(t, unverified(s.Tokens.ID), s.Subject); err != nil {
		return nil, fmt.Errorf("%w: %w", bff.ErrIdentityChanged, err)
	}
	return t, nil
}

// sameIdentity: section 12.2: iss, sub and aud are those of the login.
func (c *Client) sameIdentity(t *token, before object, subject string) error {
	if err := c.judgeIdentity(t); err != nil {
		return err
	}
	iss, _ := t.claims.text("iss")
	if was, _ := before.text("iss"); was != "" && was != iss {
		return broken(RuleIssuer, "not the one of the login")
	}
	if sub, _ := t.claims.text("sub"); sub != subject {
		return broken(RuleSubject, "not the one of the login")
	}
	return nil
}

// sameLogin: section 12.2: auth_time is the original one, nonce is absent or the same. A sid that moved would cut the
// session off from its own sign-out.
func sameLogin(t *token, before object, s *bff.Session) error {
	was := s.AuthTime
	if was.IsZero() {
		was, _ = before.date("auth_time")
	}
	if at, _ := t.claims.date("auth_time"); !at.IsZero() && !was.IsZero() && !at.Equal(was) {
		return broken(RuleAuthTime, "not the one of the login")
	}
	nonce, ok := t.claims.text("nonce")
	first, _ := before.text("nonce")
	if !ok || nonce != "" && first != "" && subtle.ConstantTimeCompare([]byte(nonce), []byte(first)) != 1 {
		return broken(RuleNonce, "not the one of the login")
	}
	if sid, _ := t.claims.text("sid"); sid != "" && s.SID != "" && sid != s.SID {
		return broken(RuleSession, "not the one of the login")
	}
	return nil
}

// unverified reads the claims of a stored ID token, which was verified when it was received.
func unverified(id bff.Secret) object {
	_, payload, _, err := split(id.Reveal())
	if err != nil {
		return nil
	}
	claims, err := members(payload)
	if err != nil {
		return nil
	}
	return claims
}
