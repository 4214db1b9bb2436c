package surface

import (
	"context"

	"cloakroom/bff"
)

// GuardRefused is the one refusal of all guards; which rule it was stands in the trace only. app is its id; "" = none.
func GuardRefused(ctx context.Context, t *bff.Trace, app, rule string) error {
	if t.GuardRefused != nil {
		t.GuardRefused(ctx, bff.RefusalEvent{App: app, Rule: rule})
	}
	return &bff.Error{Code: bff.CodeCSRFFailed, Message: "This request does not show that it comes from the app itself."}
}

// CredentialRefused reports a cookie or handle that is none: the event holds the rule, never the value.
func CredentialRefused(ctx context.Context, t *bff.Trace, app, rule string) {
	if t.CredentialRefused != nil {
		t.CredentialRefused(ctx, bff.RefusalEvent{App: app, Rule: rule})
	}
}

// Alarm tells an operator of something to look at; what is a fixed text.
func Alarm(ctx context.Context, t *bff.Trace, what string, err error) {
	if t.Alarm != nil {
		t.Alarm(ctx, bff.AlarmEvent{What: what, Err: err})
	}
}
