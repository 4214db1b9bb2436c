package bff

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
)

// CodeManagementDisabled is 502: the app's own token cannot be had, or the API that it is for refuses it. It is the operator's
// to mend and says nothing of the user.
const CodeManagementDisabled Code = "management_api_disabled"

// ClientTokenProvider is a Provider that gives an app a token of its own (RFC 6749 section 4.4), which is nobody's and says
// nothing of a user.
type ClientTokenProvider interface {
	// ClientToken asks once for the app's own token, with these scopes. Asking again is safe. Errors are *Error with
	// CodeManagementDisabled (the provider refuses the client, the grant or the scopes) or CodeIDPUnavailable.
	ClientToken(ctx context.Context, scope string) (TokenSet, error)
}

// ClientTokenKey names an app's own token: of which app, at which provider, as which client, for which scopes. None of them
// is ever used for another.
type ClientTokenKey struct {
	Provider, App, ClientID, Scope string
}

// ClientTokens keeps apps' own tokens, sealed, for all instances. The implementation owns every TTL. Errors are ErrStore:
// nothing is known then, and the caller goes on without it.
type ClientTokens interface {
	// ReadClientToken returns the kept token; a zero set when there is none, or none that opens here.
	ReadClientToken(ctx context.Context, key ClientTokenKey) (TokenSet, error)
	// SaveClientToken keeps a token until it ends, in place of the one before. Doing it twice is safe.
	SaveClientToken(ctx context.Context, key ClientTokenKey, t TokenSet) error
	// ClaimClientToken reports whether attempt is the one that asks the provider now: for ttl, unless another one does. Claiming
	// again under the same attempt is the same success.
	ClaimClientToken(ctx context.Context, key ClientTokenKey, attempt string, ttl time.Duration) (bool, error)
	// ReleaseClientToken gives a claim back that was granted.
	ReleaseClientToken(ctx context.Context, key ClientTokenKey) error
}

const (
	clientTokenDeadline = time.Minute      // for one fetch, waits for another instance's included: twice a lease, and the longest call
	refusalRest         = 10 * time.Second // how long a provider's refusal is the answer: it takes a person to mend it
)

// clientTokens are the apps' own tokens in this process: as many as there are apps with such routes.
type clientTokens struct {
	mu    sync.Mutex
	byKey map[ClientTokenKey]*clientToken
}

// clientToken is one app's own.
type clientToken struct {
	tokens  TokenSet  // the newest that came; zero: none
	refused Secret    // what an API refused last: it is not taken from the store again
	renewed time.Time // when a refusal last had it renewed
	flight  *flight   // who asks, or failed a moment ago; nil: nobody
}

// of returns the entry of key. It is called under the lock.
func (cs *clientTokens) of(key ClientTokenKey) *clientToken {
	if cs.byKey == nil {
		cs.byKey = make(map[ClientTokenKey]*clientToken)
	}
	if cs.byKey[key] == nil {
		cs.byKey[key] = new(clientToken)
	}
	return cs.byKey[key]
}

// ClientToken returns the app's own token: from memory, from another instance by way of the store, or from the provider,
// which one instance asks at a time. refused, if it is not zero, is the one that an API has just refused: it is renewed, but
// not more often than every ten seconds, as an API that refuses every token must not make every request a call to the
// provider; until then it is the answer again. While a token is good, a provider that is down costs nobody anything.
// Errors are *Error with CodeManagementDisabled, CodeIDPUnavailable or CodeClientGone.
func (e *Engine) ClientToken(ctx context.Context, app *App, refused Secret) (TokenSet, error) {
	held, f := e.joinClientToken(ctx, app, refused)
	if f == nil {
		return held, nil
	}
	if err := f.wait(ctx); err != nil {
		return TokenSet{}, err
	}
	return f.tokens, f.err
}

// joinClientToken returns a token that is good for a call now or, where there is none, the flight to wait for. In the soft
// window before a token's end it is renewed beside the request.
func (e *Engine) joinClientToken(ctx context.Context, app *App, refused Secret) (TokenSet, *flight) {
	key := ClientTokenKey{Provider: app.Provider.Name, App: app.ID, ClientID: app.ClientID, Scope: strings.Join(app.ClientScopes, " ")}
	e.clientTokens.mu.Lock()
	defer e.clientTokens.mu.Unlock()
	c, now := e.clientTokens.of(key), e.now()
	if !refused.IsZero() && c.tokens.Access.Equal(refused) {
		if now.Sub(c.renewed).Abs() < renewalRest {
			return c.tokens, nil
		}
		c.refused, c.renewed, c.tokens = refused, now, TokenSet{}
	}
	good := !c.tokens.Access.IsZero() && c.tokens.usable(now)
	if good && now.Before(c.tokens.RefreshAt) {
		return c.tokens, nil
	}
	if c.flight == nil {
		e.flyForClientToken(ctx, app, key, c)
	}
	if good {
		return c.tokens, nil
	}
	return TokenSet{}, c.flight
}

// flyForClientToken begins to get a token. It outlives the request that wanted it: others may wait by then, and what the
// provider gave is kept for all instances.
func (e *Engine) flyForClientToken(ctx context.Context, app *App, key ClientTokenKey, c *clientToken) {
	f := &flight{done: make(chan struct{})}
	c.flight = f
	request := context.WithoutCancel(ctx) // for what is told: of which request it was
	w := &wanted{engine: e, app: app, key: key, refused: c.refused, attempt: newID()}
	e.beside(clientTokenDeadline, func(ctx context.Context) {
		// Nothing, unless a panic came before: no request may wait for ever.
		defer e.landClientToken(c, f, TokenSet{}, &Error{Code: CodeInternal, Err: errNeverLanded})
		began := time.Now()
		t, adopted, err := w.get(ctx)
		w.tell(request, adopted, time.Since(began), err)
		e.landClientToken(c, f, t, err)
	})
}

// landClientToken gives the result to who waits. A failure is the answer for a while, so that a provider in trouble is asked
// once in that time and not once per request.
func (e *Engine) landClientToken(c *clientToken, f *flight, t TokenSet, err error) {
	f.landed.Do(func() {
		e.clientTokens.mu.Lock()
		defer e.clientTokens.mu.Unlock()
		f.tokens, f.err = t, err
		if err == nil {
			c.tokens, c.flight = t, nil
		} else {
			time.AfterFunc(clientTokenRest(err), func() { e.forgetFlight(c, f) })
		}
		close(f.done)
	})
}

func (e *Engine) forgetFlight(c *clientToken, f *flight) {
	e.clientTokens.mu.Lock()
	defer e.clientTokens.mu.Unlock()
	if c.flight == f {
		c.flight = nil
	}
}

func clientTokenRest(err error) time.Duration {
	known, ok := errors.AsType[*Error](err)
	switch {
	case !ok || known.Code == CodeInternal:
		return restAfterFailure
	case known.Code == CodeManagementDisabled:
		return refusalRest
	default:
		return max(restAfterFailure, min(known.RetryAfter, restMost))
	}
}

// wanted is one fetch of an app's own token.
type wanted struct {
	engine  *Engine
	app     *App
	key     ClientTokenKey
	refused Secret
	attempt string
}

// get takes the token over that another instance keeps, or asks the provider. adopted says which.
func (w *wanted) get(ctx context.Context) (t TokenSet, adopted bool, err error) {
	kept := w.engine.ports.ClientTokens
	if kept == nil {
		t, err = w.ask(ctx)
		return t, false, err
	}
	t, claimed := w.adopt(ctx, kept)
	if claimed {
		defer w.release(ctx, kept)
	}
	if !t.Access.IsZero() {
		return t, true, nil
	}
	if t, err = w.ask(ctx); err != nil {
		return TokenSet{}, false, err
	}
	// Without the store it is this process's alone, and every instance asks for itself: that is no outage of anything.
	_ = kept.SaveClientToken(ctx, w.key, t)
	return t, false, nil
}

// adopt returns the token that is kept, or that another instance is just asking for; a zero set if the provider is to be
// asked: under the claim, or without one where the store cannot tell, or where whoever holds it takes too long.
func (w *wanted) adopt(ctx context.Context, kept ClientTokens) (t TokenSet, claimed bool) {
	tick := time.NewTicker(w.engine.limits.Poll / 5) // a call to a provider takes about as long
	defer tick.Stop()
	late := time.NewTimer(2 * w.engine.limits.Lease) // a claim lasts one: whoever holds this is at least the second
	defer late.Stop()
	for {
		claimed, err := kept.ClaimClientToken(ctx, w.key, w.attempt, w.engine.limits.Lease)
		if err != nil {
			return TokenSet{}, false
		}
		// Read after the claim: whoever held it before has saved by now.
		t, err := kept.ReadClientToken(ctx, w.key)
		if err == nil && w.takes(t) {
			return t, claimed
		}
		if claimed || err != nil {
			return TokenSet{}, claimed
		}
		select {
		case <-tick.C:
		case <-late.C:
			return TokenSet{}, false
		case <-ctx.Done():
			return TokenSet{}, false
		}
	}
}

// takes reports whether a kept token is worth taking over: fresh, and not the one that an API refused.
func (w *wanted) takes(t TokenSet) bool {
	return !t.Access.IsZero() && !t.Access.Equal(w.refused) && w.engine.now().Before(t.RefreshAt)
}

// release frees the claim for the next, on a context of its own: the fetch's may be over.
func (w *wanted) release(ctx context.Context, kept ClientTokens) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // longer, and the claim is over by itself
	defer cancel()
	_ = kept.ReleaseClientToken(ctx, w.key) // it ends by itself otherwise
}

// ask asks the provider, as the app's own client.
func (w *wanted) ask(ctx context.Context) (TokenSet, error) {
	p, ok := w.engine.ports.Providers(w.app.ID).(ClientTokenProvider)
	if !ok {
		return TokenSet{}, &Error{Code: CodeInternal, Err: errors.New("the provider gives no client tokens")}
	}
	return p.ClientToken(ctx, w.key.Scope)
}

// tell tells what came of it, and raises the alarm where only an operator can help.
func (w *wanted) tell(ctx context.Context, adopted bool, took time.Duration, err error) {
	e := ClientTokenEvent{
		App: w.app.ID, Provider: w.key.Provider, ClientID: w.key.ClientID, Result: ClientTokenFetched, Took: took, Err: err,
	}
	switch {
	case CodeOf(err) == CodeManagementDisabled:
		e.Result = ClientTokenRefused
		w.engine.trace.alarm(ctx, "the provider gives an app no token of its own", err)
	case err != nil:
		e.Result = ClientTokenUnavailable
	case adopted:
		e.Result = ClientTokenAdopted
	}
	call(ctx, w.engine.trace.ClientToken, e)
}
