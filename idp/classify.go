package idp

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// retryMost is the longest Retry-After that is taken over: a session that waits longer might as well be signed in anew.
const retryMost = time.Minute

// AnswerError is an answer of a provider's endpoint that is no success. It holds no text of the provider but an error
// code of the registered form.
type AnswerError struct {
	Status int
	OAuth  string // the error member (RFC 6749 section 5.2); "" when there is none
}

// Error names both.
func (e *AnswerError) Error() string {
	if e.OAuth == "" {
		return fmt.Sprintf("answer with status %d", e.Status)
	}
	return fmt.Sprintf("answer with status %d and error %s", e.Status, e.OAuth)
}

// refusal is a token request that gave no tokens, judged by what is known of the code or refresh token now.
type refusal struct {
	outcome    bff.Outcome // OutcomeSpent, OutcomeClient, OutcomeTransient or OutcomeUnknown
	doubt      bool        // as bff.RefreshError.Doubt
	unasked    bool        // as bff.RefreshError.Unasked
	retryAfter time.Duration
	got        *tokenAnswer // tokens of an answer that may not be used, for revocation; usually nil
	err        error
}

// classify judges an answer other than 200, by its status and the error member of its JSON, never by a text.
func (c *Client) classify(a *answer, refresh bool) *refusal {
	oauth := oauthError(a)
	r := &refusal{
		outcome:    bff.OutcomeTransient,
		retryAfter: retryAfter(a.header, c.is.now()),
		err:        &AnswerError{Status: a.status, OAuth: oauth},
	}
	switch {
	case a.status >= 500, oauth == "server_error", oauth == "temporarily_unavailable", a.status < 300:
		r.doubt = true // something was done, or half of it
	case a.status == http.StatusTooManyRequests, a.status < 400, oauth == errChallenge:
		// Turned away before anything was done.
	case oauth == "invalid_grant", refresh && c.is.spentShape(a, oauth):
		r.outcome = bff.OutcomeSpent
	case aboutClient(oauth), oauth != "" && (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized):
		r.outcome = bff.OutcomeClient
	}
	// What is left is a page of a firewall, an ingress or a proxy: it knows nothing of the token.
	return r
}

// aboutClient reports whether an error code of RFC 6749 section 5.2 is about our client or request, not the token.
func aboutClient(oauth string) bool {
	return slices.Contains([]string{
		"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request",
	}, oauth)
}

// spentShape reports whether this answer to a refresh means a used token at this very product.
func (is *Issuer) spentShape(a *answer, oauth string) bool {
	if a.status != http.StatusBadRequest {
		return false
	}
	empty := strings.TrimSpace(string(a.body)) == ""
	return oauth == "invalid_request" && slices.Contains(is.set.SpentShapes, ShapeInvalidRequest) ||
		wantsUser(oauth) && slices.Contains(is.set.SpentShapes, ShapeInteraction) ||
		empty && slices.Contains(is.set.SpentShapes, ShapeEmpty400)
}

// wantsUser reports whether an error code of OpenID Connect Core section 3.1.2.6 says that only the user's own return helps.
func wantsUser(oauth string) bool {
	return slices.Contains([]string{"interaction_required", "login_required", "account_selection_required", "consent_required"}, oauth)
}

// oauthError returns the error member of a JSON answer, if it looks like an error code. Some providers label their
// errors as text, so only what says that it is HTML is not looked at.
func oauthError(a *answer) string {
	if a.media() == "text/html" {
		return ""
	}
	o, err := members(a.body)
	if err != nil { // also two errors in one answer: whichever ends a session might be the wrong one
		return ""
	}
	code, ok := o.text("error")
	odd := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if !ok || len(code) > 64 || strings.ContainsFunc(code, odd) { // every registered code is of this form
		return ""
	}
	return code
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), as seconds or as a date; 0 when it is absent or nonsense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	wait := time.Duration(0)
	if s, err := strconv.Atoi(v); err == nil || errors.Is(err, strconv.ErrRange) { // out of range is still a number: s is the nearest
		wait = time.Duration(max(0, min(s, int(retryMost/time.Second)))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		wait = at.Sub(now)
	}
	return max(0, min(wait, retryMost))
}
