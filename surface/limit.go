package surface

import (
	"context"
	"net/http"
)

// The rules of a Limit.
const (
	RuleLogin    = "login"    // before a login starts
	RuleCallback = "callback" // before a callback, or a person's confirmation of one, is looked at
	RuleTicket   = "ticket"   // before a one-time sign-out address is looked up
	RuleToken    = "token"    // before a code or handle is traded or given back
	// RuleBackchannel counts logout tokens that were refused, and nothing else.
	RuleBackchannel  = "backchannel"
	RuleFrontchannel = "frontchannel" // before an unsigned request to end sessions is looked at
)

// Limit is asked before work that whoever is not signed in can ask for without end (ASVS 2.4.1). It returns nil, or a
// *bff.Error of bff.CodeRateLimited with RetryAfter. A nil Limit lets everything pass.
type Limit func(ctx context.Context, rule string, r *http.Request) error

// Ask asks the limit about a request.
func (l Limit) Ask(r *http.Request, rule string) error {
	if l == nil {
		return nil
	}
	return l(r.Context(), rule, r)
}
