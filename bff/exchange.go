package bff

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// ExchangeSpec says what a session's own access token is exchanged for (RFC 8693 section 2.1): it has an audience, a resource,
// or both.
type ExchangeSpec struct {
	Audience string   // the API's name at the provider; "" = not said
	Resource string   // its address, an absolute URI; "" = not said
	Scopes   []string // all must be granted; none: what the provider gives
}

// TokenExchanger is a Provider that exchanges a session's access token for one for another API (RFC 8693).
type TokenExchanger interface {
	// ExchangeToken asks once. Asking again is safe: the subject's tokens stay as they are. What it returns has no refresh
	// token, and is never the subject's own token. Errors are *Error with CodeTokenRefused (the provider refuses, or its answer
	// is not to be used; an ErrSubjectRefused where that may be the subject's doing) or CodeIDPUnavailable (it cannot be asked).
	ExchangeToken(ctx context.Context, subject TokenSet, spec ExchangeSpec) (TokenSet, error)
}

// ErrSubjectRefused marks a refusal that may be about the token that was to be exchanged, and not about client, target or
// scope (RFC 8693 section 2.2.2): a provider can end an access token before its time.
var ErrSubjectRefused = errors.New("the provider may not accept the session's access token any more")

// exchangeDeadline bounds one exchange, its look into the store and its keeping: ten seconds for a place at the provider, ten
// for the call, and as long for metadata that is not there yet.
const exchangeDeadline = 30 * time.Second

// exchanges are the exchanges of this process that run, failed a moment ago, or brought a token that could not be kept.
type exchanges struct {
	mu      sync.Mutex
	flights map[exchangeKey]*flight
	resting map[exchangeKey]struct{} // renewed for an API's refusal a moment ago, or in vain for the provider's (see futile)
}

// exchangeKey names an exchanged token: of which session, by which name.
type exchangeKey struct {
	lookup Lookup
	name   string
}

// wish is one request's wanting an exchanged token.
type wish struct {
	engine  *Engine
	app     *App
	session *Session
	spec    ExchangeSpec
	refused Secret // what the API has just refused; zero: nothing
	key     exchangeKey
}

// name names the token that is kept for a subject: whatever is asked for stands in it, each part quoted so that no two specs
// have one name, and of the subject's access token a hash. So a token that was made for one audience, for more scope or of
// an older token is never found in the place of another (RFC 9700 section 2.3: no more privilege than is needed).
func (x ExchangeSpec) name(subject TokenSet) string {
	scopes := slices.Compact(slices.Sorted(slices.Values(x.Scopes)))
	sum := sha256.Sum256([]byte("cloakroom exchange subject v1 " + subject.Access.Reveal()))
	return fmt.Sprintf("exchange %q %q %q %s", x.Audience, x.Resource, strings.Join(scopes, " "), base64.RawURLEncoding.EncodeToString(sum[:]))
}

// ExchangedToken returns what the session's own access token, of s.Tokens, which are to be fresh, is exchanged for: the token
// that is kept with the session, or a new one. Requests of this process that need the same one share one exchange; it needs no
// lease, for an exchange uses nothing up. In the soft window before its end it is renewed beside the request.
//
// refused, if it is not zero, is one that an API has just refused: then it is exchanged anew, unless another request has done so
// meanwhile. What comes of that is not renewed for the same cause for ten seconds, or a quarter of its life: an API that refuses
// every token must not make every request a call to the provider.
//
// There is nothing to fall back to: where it cannot be had the call is refused. Errors are *Error with CodeTokenRefused,
// CodeIDPUnavailable, CodeStoreUnavailable, CodeUpstreamRefused, CodeClientGone, or what tells that the session has ended.
func (e *Engine) ExchangedToken(ctx context.Context, app *App, s *Session, spec ExchangeSpec, refused Secret) (TokenSet, error) {
	return e.wishOf(app, s, spec, refused).get(ctx)
}

// wishOf makes a wish for what the tokens that s has now are exchanged for.
func (e *Engine) wishOf(app *App, s *Session, spec ExchangeSpec, refused Secret) *wish {
	return &wish{
		engine: e, app: app, session: s, spec: spec, refused: refused, key: exchangeKey{s.Lookup, spec.name(s.Tokens)},
	}
}

// get takes what is kept, or waits for an exchange.
func (w *wish) get(ctx context.Context) (TokenSet, error) {
	kept, err := w.engine.ports.Kept.ReadToken(ctx, w.session, w.key.name)
	if err != nil {
		return TokenSet{}, w.engine.unread(ctx, w.app, w.key.lookup, err)
	}
	good := w.takes(kept)
	if good && w.engine.now().Before(kept.RefreshAt) {
		return kept, nil
	}
	f := w.join(ctx)
	if good { // and renewed beside
		return kept, nil
	}
	if err := f.wait(ctx); err != nil {
		return TokenSet{}, err
	}
	if f.err == nil && !w.takes(f.tokens) {
		// It ran already when this request came, or this process stood still: what it brought is over, or was refused since.
		f = w.join(ctx)
		if err := f.wait(ctx); err != nil {
			return TokenSet{}, err
		}
	}
	return f.tokens, f.err
}

// takes reports whether a token is one to call the API with now.
func (w *wish) takes(t TokenSet) bool {
	return !t.Access.IsZero() && t.usable(w.engine.now()) && !t.Access.Equal(w.refused)
}

// join returns the exchange that runs in this process, and begins it if there is none.
func (w *wish) join(ctx context.Context) *flight {
	xs := &w.engine.exchanges
	xs.mu.Lock()
	defer xs.mu.Unlock()
	if f := xs.flights[w.key]; f != nil && w.serves(f) {
		return f
	}
	f := &flight{done: make(chan struct{})}
	xs.flights[w.key] = f
	w.fly(ctx, f)
	return f
}

// serves reports whether an exchange that was begun before is of use: it runs, failed a moment ago, or brought a token that is
// still good and could not be kept.
func (w *wish) serves(f *flight) bool {
	t, _, err, landed := f.result()
	return !landed || err != nil || !t.Access.Equal(w.refused) && w.engine.now().Before(t.RefreshAt)
}

// fly begins an exchange. It outlives the request that wanted it: others may wait by then, and what comes of it is kept for all.
func (w *wish) fly(ctx context.Context, f *flight) {
	request := context.WithoutCancel(ctx) // for what is told: of which request it was
	w.engine.beside(exchangeDeadline, func(ctx context.Context) {
		// Nothing, unless a panic came before: no request may wait for ever.
		defer w.land(f, TokenSet{}, 0, &Error{Code: CodeInternal, Err: errNeverLanded})
		t, rest, err := w.exchange(ctx, request)
		w.land(f, t, rest, err)
	})
}

// exchange takes over what another request or instance has kept meanwhile, or asks the provider and keeps what it gave. rest is
// how long the result is the answer to whoever finds nothing kept.
func (w *wish) exchange(ctx, request context.Context) (t TokenSet, rest time.Duration, err error) {
	kept, err := w.engine.ports.Kept.ReadToken(ctx, w.session, w.key.name)
	switch {
	case err != nil:
		return TokenSet{}, 0, w.engine.refused(ctx, w.app, w.key.lookup, err)
	case !kept.Access.IsZero() && w.engine.now().Before(kept.RefreshAt) && !kept.Access.Equal(w.refused):
		return kept, 0, nil
	case w.rests():
		return TokenSet{}, 0, &Error{Code: CodeUpstreamRefused, Message: "The API did not accept the token that was made for it."}
	}
	began := time.Now()
	t, err = w.ask(ctx)
	w.tell(request, time.Since(began), err)
	if errors.Is(err, ErrSubjectRefused) {
		t, err = w.anew(ctx, request, err)
		return t, exchangeRest(err), err
	}
	if err != nil {
		return TokenSet{}, exchangeRest(err), err
	}
	return w.keep(ctx, t)
}

// anew has the session's own tokens renewed, once, and exchanges the new one, where the provider refused the one before. Where
// that is refused as well the session's token was not the cause: then it is not renewed for this API for as long as it lives,
// so that a route which is set up wrong does not use up refresh tokens. What needs an operator raises the alarm here.
func (w *wish) anew(ctx, request context.Context, refusal error) (TokenSet, error) {
	e, s := w.engine, *w.session
	// One that has only just come was not ended before its time, either.
	if e.exchanges.isResting(w.futile()) || !s.Tokens.rested(e.now()) {
		return TokenSet{}, w.alarmed(request, refusal)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*exchangeDeadline) // a refresh, and another exchange
	defer cancel()
	own, err := e.RenewTokens(ctx, w.app, &s)
	switch {
	// It cannot be renewed, or the provider gave the same token again: to wait for its exchange would be to wait for this one.
	case CodeOf(err) == CodeUpstreamRefused, err == nil && own.Access.Equal(s.Tokens.Access):
		return TokenSet{}, w.alarmed(request, refusal)
	case err != nil:
		return TokenSet{}, notGone(err)
	}
	// s keeps the generation that it was read at: should the new token be refused as well, renewing brings that same one.
	s.Tokens = own
	t, err := e.wishOf(w.app, &s, w.spec, w.refused).get(ctx)
	if errors.Is(err, ErrSubjectRefused) {
		e.exchanges.rest(w.futile(), max(refusalRest, own.ExpiresAt.Sub(e.now())))
	}
	return t, notGone(err)
}

// notGone has those who wait for an exchange told of its deadline as of a provider in trouble: none of them has gone.
func notGone(err error) error {
	if CodeOf(err) != CodeClientGone {
		return err
	}
	return &Error{
		Code: CodeIDPUnavailable, Message: "Your sign-in could not be renewed just now. Try again in a moment.",
		RetryAfter: time.Second, Err: err,
	}
}

// futile names that renewing the session's own tokens did not help with this API: as a kept token, of no subject.
func (w *wish) futile() exchangeKey { return exchangeKey{w.key.lookup, w.spec.name(TokenSet{})} }

// alarmed raises the alarm for a refusal that only an operator can mend, and returns it.
func (w *wish) alarmed(ctx context.Context, err error) error {
	w.engine.trace.alarm(ctx, "the provider exchanges no token for an API", err)
	return err
}

// ask asks the provider, once.
func (w *wish) ask(ctx context.Context) (TokenSet, error) {
	p, ok := w.engine.ports.Providers(w.app.ID).(TokenExchanger)
	if !ok {
		return TokenSet{}, &Error{Code: CodeInternal, Err: errors.New("the provider exchanges no tokens")}
	}
	return p.ExchangeToken(ctx, w.session.Tokens, w.spec)
}

// keep keeps a new token with the session, for all instances. A session that ended while the provider was asked has nobody
// who may use it.
func (w *wish) keep(ctx context.Context, t TokenSet) (TokenSet, time.Duration, error) {
	err := w.engine.ports.Kept.KeepToken(ctx, w.session, w.key.name, t)
	switch {
	case errors.Is(err, ErrStore):
		// The store tells what it has and takes no writes, or is away. This process's requests share the token for a while: each has
		// read its session, so that an ended one is served nothing, and the provider is not asked once per request.
		return t, restMost, nil
	case err != nil:
		return TokenSet{}, 0, w.engine.refused(ctx, w.app, w.key.lookup, err)
	default:
		return t, 0, nil
	}
}

// exchangeRest is how long a failure is the answer to further requests for the same token; none for what is no failure.
func exchangeRest(err error) time.Duration {
	switch {
	case err == nil:
		return 0
	case CodeOf(err) == CodeTokenRefused:
		return refusalRest
	default:
		return clientTokenRest(err)
	}
}

// land gives the result to who waits, once, and clears the exchange away: at once or after its rest.
func (w *wish) land(f *flight, t TokenSet, rest time.Duration, err error) {
	f.landed.Do(func() {
		xs := &w.engine.exchanges
		xs.mu.Lock()
		defer xs.mu.Unlock()
		f.tokens, f.err = t, err
		if err == nil && !w.refused.IsZero() {
			xs.resting[w.key] = struct{}{}
			time.AfterFunc(min(renewalRest, t.ExpiresAt.Sub(t.ReceivedAt)/4), func() { xs.wake(w.key) })
		}
		if rest == 0 {
			delete(xs.flights, w.key)
		} else {
			time.AfterFunc(rest, func() { xs.remove(w.key, f) })
		}
		close(f.done)
	})
}

// rests reports whether the token was renewed for an API's refusal a moment ago, and is refused again.
func (w *wish) rests() bool { return !w.refused.IsZero() && w.engine.exchanges.isResting(w.key) }

// isResting reports whether key rests.
func (xs *exchanges) isResting(key exchangeKey) bool {
	xs.mu.Lock()
	defer xs.mu.Unlock()
	_, resting := xs.resting[key]
	return resting
}

// rest has key rest for so long.
func (xs *exchanges) rest(key exchangeKey, long time.Duration) {
	xs.mu.Lock()
	defer xs.mu.Unlock()
	xs.resting[key] = struct{}{}
	time.AfterFunc(long, func() { xs.wake(key) })
}

// remove takes f out, unless another exchange stands in its place by now.
func (xs *exchanges) remove(key exchangeKey, f *flight) {
	xs.mu.Lock()
	defer xs.mu.Unlock()
	if xs.flights[key] == f {
		delete(xs.flights, key)
	}
}

// wake lets a token be renewed again for an API's refusal.
func (xs *exchanges) wake(key exchangeKey) {
	xs.mu.Lock()
	defer xs.mu.Unlock()
	delete(xs.resting, key)
}

// tell tells what came of asking the provider, and raises the alarm where only an operator can help, as far as that is known.
func (w *wish) tell(ctx context.Context, took time.Duration, err error) {
	e := ExchangeEvent{
		App: w.app.ID, Provider: w.session.Provider, SessionID: w.session.ID(), Audience: w.spec.Audience, Resource: w.spec.Resource,
		Result: ExchangeDone, Took: took, Err: err,
	}
	switch {
	case errors.Is(err, ErrSubjectRefused): // which may be mended yet
		e.Result = ExchangeRefused
	case CodeOf(err) == CodeTokenRefused:
		e.Result = ExchangeRefused
		_ = w.alarmed(ctx, err)
	case err != nil:
		e.Result = ExchangeUnavailable
	}
	call(ctx, w.engine.trace.TokenExchanged, e)
}
