package bff

import (
	"context"
	"net/url"
)

// Initiation is what a provider has signed about a sign-in that began there.
type Initiation struct {
	Extra    url.Values // parameters for the provider, under its own names for them: whom to sign in, and where
	ReturnTo string     // where the user wanted to go, as the provider was told: unchecked, and perhaps no path at all
}

// InitiationProvider is a Provider at which a sign-in may begin (OpenID Connect Core section 4).
type InitiationProvider interface {
	// OpenInitiation verifies what a provider signs about such a sign-in. rule says what refuses it, as a fixed text for the
	// log; "" lets it pass.
	OpenInitiation(ctx context.Context, raw Secret) (i *Initiation, rule string)
}

// OpenInitiation returns what the provider has signed about a sign-in that began there; nil for anything that does not
// hold, which is told to the trace and costs the user nothing but an ordinary sign-in.
//
// What holds is not remembered: it may be shown again as long as it lives. A second use starts one more sign-in, whose
// answer is bound to the browser that started it (RFC 9700 section 4.7.1), and hands out nothing.
func (e *Engine) OpenInitiation(ctx context.Context, app *App, raw Secret) *Initiation {
	p, ok := e.ports.Providers(app.ID).(InitiationProvider)
	if !ok {
		return nil
	}
	i, rule := p.OpenInitiation(ctx, raw)
	if rule != "" {
		e.trace.refusedCredential(ctx, app, "sign-in begun at the provider: "+rule)
		return nil
	}
	return i
}
