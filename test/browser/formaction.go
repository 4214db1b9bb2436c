package browser

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// formActions remembers the form-action directive of each policy of the page that holds the form (CSP3 section 6.4.1).
func (r *request) formActions(policies []string) {
	for policy := range strings.SplitSeq(strings.Join(policies, ","), ",") {
		for directive := range strings.SplitSeq(policy, ";") {
			words := strings.Fields(directive)
			if len(words) > 0 && strings.EqualFold(words[0], "form-action") {
				r.fromForm = append(r.fromForm, strings.Join(words[1:], " "))
			}
		}
	}
}

// formAllowed checks the URL of a form submission, and of each redirect after it, against those directives:
// Chromium does so on every hop, which is what breaks a logout form whose policy forgot the provider.
func (r *request) formAllowed() error {
	for _, list := range r.fromForm {
		if !slices.ContainsFunc(strings.Fields(list), r.sourceMatches) {
			return fmt.Errorf("form to %s under form-action %q: %w", originOf(r.url), list, ErrBlocked)
		}
	}
	return nil
}

// sourceMatches compares one source expression with the request's URL, paths left aside.
func (r *request) sourceMatches(source string) bool {
	switch source {
	case "'self'":
		return originOf(r.url) == originOf(r.initiator)
	case "'none'":
		return false
	case "*":
		return true
	case r.url.Scheme + ":":
		return true
	}
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return false
	}
	if suffix, wild := strings.CutPrefix(u.Host, "*"); wild {
		return u.Scheme == r.url.Scheme && strings.HasSuffix(r.url.Host, suffix)
	}
	return originOf(u) == originOf(r.url)
}
