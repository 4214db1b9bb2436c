package idp

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"cloakroom/bff"
)

// loginAge is how old an ID token may be when it is received: it was made for this answer, and clocks are off by little.
const loginAge = 10 * time.Minute

// expected is what an ID token of one exchange must say.
type expected struct {
	nonce  string // "" with a refresh: whether one must be there is judged elsewhere
	login  bool
	maxAge *int      // seconds
	acr    string    // space-separated; "" asks for nothing
	since  time.Time // as bff.CodeExchange.Since
	access bff.Secret
}

// verifyID verifies an ID token by OpenID Connect Core section 3.1.3.7, always with its signature, although the text
// excuses direct answers from it.
func (c *Client) verifyID(ctx context.Context, raw bff.Secret, want expected) (*token, error) {
	// The access token in the ID token's place: where access tokens are JWTs for this client, all else might fit.
	if raw.Equal(want.access) {
		return nil, broken(RuleKind, "the access token again")
	}
	t, err := c.is.parse(raw.Reveal(), "", "jwt")
	if err != nil {
		return nil, err
	}
	if err := c.is.verifySignature(ctx, t); err != nil {
		return nil, err
	}
	return t, c.judgeID(t, want)
}

// judgeID goes through the rules for claims, those of identity first.
func (c *Client) judgeID(t *token, want expected) error {
	if err := c.judgeIdentity(t); err != nil {
		return err
	}
	return c.judgeMoment(t, want)
}

// judgeIdentity asks who says it, to whom, about whom.
func (c *Client) judgeIdentity(t *token) error {
	if err := c.is.judgeIssuer(t.claims); err != nil {
		return err
	}
	if err := c.judgeAudience(t.claims); err != nil {
		return err
	}
	return judgeSubject(t.claims)
}

// judgeMoment asks whether the token is of this moment and this exchange.
func (c *Client) judgeMoment(t *token, want expected) error {
	now, skew := c.is.now(), c.is.set.ClockSkew
	return firstBroken(
		judgeKind(t.claims),
		judgeTimes(t.claims, now, skew, loginAge),
		judgeNonce(t.claims, want),
		c.judgeSID(t.claims),
		judgeAccessHash(t, want.access),
		judgeAuthTime(t.claims, want.maxAge, now, skew),
		judgeAnew(t.claims, want.since, skew),
		judgeACR(t.claims, want.acr),
	)
}

func firstBroken(rules ...error) error {
	for _, err := range rules {
		if err != nil {
			return err
		}
	}
	return nil
}

func (is *Issuer) judgeIssuer(claims object) error {
	iss, ok := claims.text("iss")
	// OpenID Connect Core section 3.1.3.7, item 2: exactly. A further name must have been configured.
	if !ok || iss == "" || !is.named(iss) {
		return broken(RuleIssuer, "another issuer")
	}
	return nil
}

// named reports whether iss is, byte for byte, the issuer or one of its further configured names: those are the same
// provider's, behind a custom domain.
func (is *Issuer) named(iss string) bool {
	return iss == is.set.Issuer || slices.Contains(is.set.Issuers, iss)
}

func (c *Client) judgeAudience(claims object) error {
	aud, ok := claims.list("aud")
	// Items 3 and 4: our client id must be there, and nobody else that is not trusted.
	if !ok || !slices.Contains(aud, c.set.ClientID) {
		return broken(RuleAudience, "not for this client")
	}
	for _, a := range aud {
		if a != c.set.ClientID && !slices.Contains(c.is.set.TrustedAudiences, a) {
			return broken(RuleAudience, "also for an audience that is not trusted")
		}
	}
	// Item 5: who it was issued to, when it says so.
	if azp, ok := claims.text("azp"); !ok || claims.has("azp") && azp != c.set.ClientID {
		return broken(RuleParty, "issued to another party")
	}
	return nil
}

// judgeSubject: section 2 of OpenID Connect Core: a non-empty string of at most 255 ASCII characters.
func judgeSubject(claims object) error {
	sub, ok := claims.text("sub")
	if !ok || sub == "" || len(sub) > 255 {
		return broken(RuleSubject, "no string of 1 to 255 characters")
	}
	if strings.ContainsFunc(sub, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return broken(RuleSubject, "not ASCII")
	}
	return nil
}

// judgeKind refuses a logout token whose typ does not tell: it is known by its events (Back-Channel Logout section 2.4).
func judgeKind(claims object) error {
	if claims.has("events") {
		return broken(RuleKind, "a security event token")
	}
	return nil
}

// judgeTimes: items 9 and 10; exp and iat must be there (section 2). iat may be at most age old, if age is set.
func judgeTimes(claims object, now time.Time, skew, age time.Duration) error {
	return firstBroken(judgeExpiry(claims, now, skew), judgeIssued(claims, now, skew, age))
}

func judgeExpiry(claims object, now time.Time, skew time.Duration) error {
	exp, okExp := claims.date("exp")
	switch {
	case !okExp || exp.IsZero():
		return broken(RuleExpiry, "missing or no date")
	case !now.Before(exp.Add(skew)):
		return broken(RuleExpiry, "expired")
	}
	return nil
}

func judgeIssued(claims object, now time.Time, skew, age time.Duration) error {
	iat, okIat := claims.date("iat")
	nbf, okNbf := claims.date("nbf")
	switch {
	case !okIat || iat.IsZero():
		return broken(RuleIssuedAt, "missing or no date")
	case iat.After(now.Add(skew)):
		return broken(RuleIssuedAt, "in the future")
	case age > 0 && now.Sub(iat) > age+skew:
		return broken(RuleIssuedAt, "too old for a token made just now")
	case !okNbf || nbf.After(now.Add(skew)):
		return broken(RuleNotBefore, "not valid yet, or no date")
	}
	return nil
}

// judgeNonce: item 11, in constant time. At a login there always is one.
func judgeNonce(claims object, want expected) error {
	if !want.login {
		return nil
	}
	nonce, ok := claims.text("nonce")
	if !ok || want.nonce == "" || subtle.ConstantTimeCompare([]byte(nonce), []byte(want.nonce)) != 1 {
		return broken(RuleNonce, "not the one of this login")
	}
	return nil
}

// judgeSID: the provider's session id is an opaque string; where sign-out depends on it, it must be there.
func (c *Client) judgeSID(claims object) error {
	sid, ok := claims.text("sid")
	switch {
	case !ok:
		return broken(RuleSession, "no string")
	case sid == "" && c.is.set.SIDRequired:
		return broken(RuleSession, "missing, but required by the provider's settings")
	default:
		return nil
	}
}

// judgeAccessHash: section 3.1.3.8, when at_hash is there.
func judgeAccessHash(t *token, access bff.Secret) error {
	if !t.claims.has("at_hash") {
		return nil
	}
	hash, ok := t.claims.text("at_hash")
	if !ok || subtle.ConstantTimeCompare([]byte(hash), []byte(leftHalf(t.alg, access.Reveal()))) != 1 {
		return broken(RuleAccessHash, "not of this access token")
	}
	return nil
}

// leftHalf hashes by the algorithm of the token's signature. EdDSA stands for Ed25519, which uses SHA-512.
func leftHalf(alg, s string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "256"):
		h := sha256.Sum256([]byte(s))
		sum = h[:]
	case strings.HasSuffix(alg, "384"):
		h := sha512.Sum384([]byte(s))
		sum = h[:]
	default:
		h := sha512.Sum512([]byte(s))
		sum = h[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// judgeAuthTime: item 13: when max_age was asked for, auth_time must be there and recent; when not, it must be a date.
func judgeAuthTime(claims object, maxAge *int, now time.Time, skew time.Duration) error {
	at, ok := claims.date("auth_time")
	switch {
	case !ok:
		return broken(RuleAuthTime, "no date")
	case maxAge == nil:
		return nil
	case at.IsZero():
		return broken(RuleAuthTime, "missing although max_age was asked for")
	case at.After(now.Add(skew)):
		return broken(RuleAuthTime, "in the future")
	case now.Sub(at) > time.Duration(*maxAge)*time.Second+skew:
		return broken(RuleAuthTime, "longer ago than was asked for")
	default:
		return nil
	}
}

// judgeAnew: OpenID Connect Core section 3.1.2.1: to prompt=login a provider signs the user in again, or answers with an
// error. One that went on with the sign-in it had shows by an auth_time before this login began. Without max_age auth_time is
// optional (section 2), so that one that is not there shows nothing.
func judgeAnew(claims object, since time.Time, skew time.Duration) error {
	at, _ := claims.date("auth_time")
	// auth_time counts whole seconds, and may have been cut off.
	if since.IsZero() || at.IsZero() || !at.Before(since.Truncate(time.Second).Add(-skew)) {
		return nil
	}
	return broken(RuleAuthTime, "before the login that asked for a new sign-in")
}

// judgeACR: item 12: one of those asked for.
func judgeACR(claims object, asked string) error {
	if asked == "" {
		return nil
	}
	if acr, ok := claims.text("acr"); !ok || !slices.Contains(strings.Fields(asked), acr) {
		return broken(RuleACR, "none of those asked for")
	}
	return nil
}

// verifyAccess verifies an access token that is a JWT meant for this client, once, when it is received. It returns
// when the token ends. An error that is errKeys or errKeyMissing says that its signature could not be judged, and that
// nothing else is wrong.
func (c *Client) verifyAccess(ctx context.Context, raw bff.Secret, sub string) (time.Time, error) {
	t, err := c.is.parse(raw.Reveal(), "", "jwt", "at+jwt")
	if err != nil {
		return time.Time{}, err
	}
	signed := c.is.verifySignature(ctx, t)
	if signed != nil && !unjudged(signed) {
		return time.Time{}, signed
	}
	if err := c.judgeAccess(t.claims, sub); err != nil {
		return time.Time{}, err
	}
	exp, _ := t.claims.date("exp")
	return exp, signed
}

// unjudged reports whether a signature could not be judged, rather than was found wrong.
func unjudged(err error) bool { return errors.Is(err, errKeys) || errors.Is(err, errKeyMissing) }

func (c *Client) judgeAccess(claims object, sub string) error {
	if err := c.is.judgeIssuer(claims); err != nil {
		return err
	}
	aud, _ := claims.list("aud")
	accepted := c.is.set.AccessTokenAudiences
	if len(accepted) == 0 {
		accepted = []string{c.set.ClientID}
	}
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(accepted, a) }) {
		return broken(RuleAudience, "access token for another audience")
	}
	if s, ok := claims.text("sub"); !ok || s != sub {
		return broken(RuleSubject, "access token about another subject")
	}
	return judgeTimes(claims, c.is.now(), c.is.set.ClockSkew, 0)
}
