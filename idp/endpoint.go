package idp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom/bff"
)

// How a client authenticates at the token endpoint (OpenID Connect Core section 9, RFC 7591 section 2).
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authKey   = "private_key_jwt"
	authNone  = "none"
)

// formRequest makes an authenticated request of a form. It can be sent once: it has neither a GetBody nor an
// Idempotency-Key, so that net/http never repeats it on another connection after a byte of it was written.
func (c *Client) formRequest(ctx context.Context, m *metadata, endpoint string, form url.Values) (*http.Request, error) {
	authorization, err := c.authenticate(m, form)
	if err != nil {
		return nil, fmt.Errorf("authenticating as client %s: %w", c.set.ClientID, err)
	}
	body := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return nil, ErrEndpoint
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return req, nil
}

// authMethod is how this client authenticates: by what it has. A client with keys never shows a secret.
func (c *Client) authMethod(m *metadata) string {
	switch {
	case len(c.set.Keys) > 0:
		return authKey
	case c.set.Secret.IsZero():
		return authNone
	default:
		return c.is.authMethod(m)
	}
}

// authenticate puts the client's credentials into the form, or returns them as the Authorization field: one method per
// request, never both (RFC 6749 section 2.3).
func (c *Client) authenticate(m *metadata, form url.Values) (authorization string, err error) {
	switch c.authMethod(m) {
	case authBasic:
		// RFC 6749 section 2.3.1: form-encoded before they are joined, so that a colon in either is none.
		pair := url.QueryEscape(c.set.ClientID) + ":" + url.QueryEscape(c.set.Secret.Reveal())
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)), nil
	case authPost:
		form.Set("client_secret", c.set.Secret.Reveal())
	case authKey:
		assertion, err := c.assertion(m)
		if err != nil {
			return "", err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	form.Set("client_id", c.set.ClientID) // RFC 7521 section 4.2 leaves it out or in beside an assertion; some insist on it
	return "", nil
}

// tokenAnswer is what a good answer of the token endpoint gave.
type tokenAnswer struct {
	access, refresh, id bff.Secret
	tokenType, scope    string
	expiresIn           float64 // seconds; 0 when absent or no number
	named               bool    // token_type was there, whatever it said
	issuedType          string  // issued_token_type (RFC 8693 section 2.2.1)

	key bff.Secret // that the call proved, and that they are bound to if their type says so; zero: none
}

// askToken is askBound for tokens that are bound to a key of their own, where the settings want them bound.
func (c *Client) askToken(ctx context.Context, most time.Duration, form url.Values) (*tokenAnswer, *refusal) {
	return c.askBound(ctx, most, form, c.keyFor(bff.Secret{}))
}

// askBound sends one grant, once, and judges the answer. What comes back is an answer or a refusal, never both. The call
// may take so long from when it has a place: a wait before it must not make its answer come too late. The tokens are to be
// bound to key; zero: to none.
func (c *Client) askBound(ctx context.Context, most time.Duration, form url.Values, key bff.Secret) (*tokenAnswer, *refusal) {
	m, err := c.is.discover(ctx)
	if err != nil {
		r := &refusal{outcome: bff.OutcomeTransient, unasked: true, err: err}
		if e, ok := errors.AsType[*bff.Error](err); ok {
			r.retryAfter = e.RetryAfter
		}
		return nil, r
	}
	if err := c.is.checkBinding(ctx, m); err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, unasked: true, err: err}
	}
	leave, closed := c.enter(ctx, form)
	if closed != nil {
		return nil, closed
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	got, refused := c.inside(ctx, m, form, key, leave)
	if refused != nil && refused.outcome == bff.OutcomeClient {
		refused.err = c.clientRefused(m, refused.err)
	}
	return got, refused
}

// inside is what happens between gate and gate. A panic over a hostile answer gives its place back too.
func (c *Client) inside(
	ctx context.Context, m *metadata, form url.Values, key bff.Secret, leave func(*refusal),
) (got *tokenAnswer, refused *refusal) {
	refused = &refusal{outcome: bff.OutcomeUnknown, unasked: true, err: errNothingSaid}
	defer func() { leave(refused) }()
	// The wait for a place may have been long, or the process have stood still: may the token still leave?
	if err := bff.Sending(ctx); err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, unasked: true, err: err}
	}
	return c.sendGrant(ctx, m, form, key)
}

// clientRefused tells an operator what to look at. Providers answer invalid_client to a wrong secret and to a right one that
// was shown in another way than this client was registered for (RFC 6749 section 5.2), so the way is named beside it.
func (c *Client) clientRefused(m *metadata, err error) error {
	said, _ := errors.AsType[*AnswerError](err)
	if said == nil || said.OAuth != "invalid_client" {
		return fmt.Errorf("client %s: %w", c.set.ClientID, err)
	}
	if len(c.set.Keys) > 0 {
		return fmt.Errorf("client %s: %w; its assertion was signed by key %s (%s) for %s: compare client_id, published keys, algorithm "+
			"and assertion_audience with its registration",
			c.set.ClientID, err, c.set.Keys[0].id, c.set.Keys[0].alg, c.audience(m))
	}
	return fmt.Errorf("client %s: %w; its secret was sent by %s: compare client_id, secret and token_auth with its registration",
		c.set.ClientID, err, c.authMethod(m))
}

func isRefresh(form url.Values) bool { return form.Get("grant_type") == "refresh_token" }

// sendGrant sends a grant and judges what came back.
func (c *Client) sendGrant(ctx context.Context, m *metadata, form url.Values, key bff.Secret) (*tokenAnswer, *refusal) {
	a, refused := c.sendProved(ctx, m, form, key)
	switch {
	case refused != nil:
		return nil, refused
	case a.status == http.StatusOK:
		return c.readTokens(a, key)
	default:
		// What a product's own shapes mean of a refresh token may as well be about the resource that was asked for with it.
		return nil, c.classify(a, isRefresh(form) && !form.Has("resource"))
	}
}

// sendOnce sends a grant on one connection, once. A refusal says what is known of a grant that got no answer.
func (c *Client) sendOnce(ctx context.Context, m *metadata, form url.Values, p *proving) (*answer, *refusal) {
	// Sent is what may have reached the provider: from the moment the header fields were written, for the body follows.
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(asking(ctx, "token"), &httptrace.ClientTrace{
		WroteHeaders:         func() { sent.Store(true) },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { sent.CompareAndSwap(false, i.Err == nil) },
		GotFirstResponseByte: func() { sent.Store(true) },
	})
	req, err := c.formRequest(ctx, m, m.Token, form)
	if err == nil {
		err = p.sign(req)
	}
	if err != nil {
		return nil, &refusal{outcome: bff.OutcomeTransient, err: err}
	}
	a, err := send(c.is.grants, req)
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, ErrTooLarge):
		return nil, &refusal{outcome: bff.OutcomeTransient, doubt: true, err: err}
	case sent.Load():
		return nil, &refusal{outcome: bff.OutcomeUnknown, err: err}
	default:
		return nil, &refusal{outcome: bff.OutcomeTransient, err: err}
	}
}

// useless is a 200 that is of no use: it leaves open whether the work was done.
func useless(rule Rule, detail string) *refusal {
	return &refusal{outcome: bff.OutcomeTransient, doubt: true, err: broken(rule, detail)}
}

// readTokens reads a 200 to a call that proved key.
func (c *Client) readTokens(a *answer, key bff.Secret) (*tokenAnswer, *refusal) {
	if !a.isJSON() {
		return nil, useless(RuleAnswer, "status 200 that is no JSON")
	}
	var o object
	if json.Unmarshal(a.body, &o) != nil || o == nil {
		return nil, useless(RuleAnswer, "status 200 that is no JSON object")
	}
	got := &tokenAnswer{expiresIn: o.seconds("expires_in"), key: key}
	for _, f := range []struct {
		name string
		at   *bff.Secret
	}{{"access_token", &got.access}, {"refresh_token", &got.refresh}, {"id_token", &got.id}} {
		s, ok := o.text(f.name)
		if !ok || !visible(s) {
			return nil, useless(RuleAnswer, f.name+" is no token")
		}
		*f.at = bff.NewSecret(s)
	}
	scopes, _ := o.list("scope") // one string of words (RFC 6749 section 3.3); some write a list
	got.scope = strings.Join(scopes, " ")
	got.tokenType, _ = o.text("token_type")
	got.issuedType, _ = o.text("issued_token_type")
	got.named = o.has("token_type")
	return got.typed(c.is.set.DPoP)
}

// typed refuses an answer without an access token, or with one of a type that is not understood, or not bound though it must be.
func (got *tokenAnswer) typed(bound bool) (*tokenAnswer, *refusal) {
	isDPoP := !got.key.IsZero() && strings.EqualFold(got.tokenType, schemeDPoP) // without a proof nothing is bound to a key of ours
	switch {
	case got.access.IsZero(): // RFC 6749 section 5.1: REQUIRED
		refused := useless(RuleAnswer, "no access_token")
		if !got.refresh.IsZero() {
			refused.got = got // half an answer: a login gives it back
		}
		return nil, refused
	// RFC 6749 section 7.1: a token of a type that is not understood must not be used. Scalekit's sample has no type at
	// all, which can only mean Bearer.
	case got.named && !strings.EqualFold(got.tokenType, "Bearer") && !isDPoP:
		refused := useless(RuleTokenType, "not Bearer")
		refused.got = got
		return nil, refused
	// RFC 9449 section 5: Bearer says that the token is not bound. Where it must be, it is not used (FAPI 2.0 Security Profile
	// section 5.3.3.1).
	case bound && !isDPoP:
		refused := useless(RuleTokenType, "Bearer, though a key was proved")
		refused.err, refused.got = fmt.Errorf("%w: %w", errUnproved, refused.err), got
		return nil, refused
	case got.tokenType == "":
		got.tokenType = "Bearer"
	}
	return got, nil
}

// visible reports whether a token has only characters that a token may have (RFC 6749 appendix A.12): others would end
// the header field it is sent in.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
