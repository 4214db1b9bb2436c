package bff

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The codes of a login that failed. A surface has a page for each, with a way to try again.
const (
	CodeLoginUnknown   Code = "login_unknown"    // no transaction of this browser has this state
	CodeLoginExpired   Code = "login_expired"    // it took longer than ten minutes
	CodeLoginReplayed  Code = "login_replayed"   // this answer was used before
	CodeLoginMixedUp   Code = "login_mixed_up"   // the answer names another issuer (RFC 9207)
	CodeLoginRefused   Code = "login_refused"    // the provider answered with an error; ProviderCode has it
	CodeLoginNoCode    Code = "login_no_code"    // neither code nor error in the answer
	CodeLoginSignedOut Code = "login_signed_out" // a sign-out overtook the login: one click starts anew
	CodeLoginNoSID     Code = "login_no_sid"     // the provider is configured to give a sid, and gave none

	CodeLoginCodeRejected  Code = "login_code_rejected"  // the provider refused the code: used, too old, or not ours
	CodeLoginTokenRejected Code = "login_token_rejected" // the provider's tokens broke a rule
	CodeIDPMisconfigured   Code = "idp_misconfigured"    // the provider refused our client: an operator's business
)

// callbackDeadline bounds what a callback does at provider and store, however its browser behaves.
const callbackDeadline = 45 * time.Second

// LoginRequest is what a browser asks for at the start of a login, checked by its surface.
type LoginRequest struct {
	ReturnTo  string         // a ReturnTarget; "" = the app's default
	Replaces  Root           // the session that the request still carries
	SignedOut string         // value of the cookie a sign-out left: SignedOut.Notice
	Silent    bool           // prompt=none
	MaxAge    *int           // seconds
	ACR       string         // acr_values, space-separated
	Of        string         // of a step-up: a hash of the one subject that may complete it; see Engine.Raise
	Extra     url.Values     // further parameters for the provider, listed and allowed
	Native    *NativeRequest // of a native app; nil for a browser app
}

// LoginStart is a login on its way: one cookie and one redirect.
type LoginStart struct {
	Flow       string // names the cookie
	Sealed     string // the cookie's value
	RedirectTo string
}

// BeginLogin starts a login. Nothing is stored but in the cookie it returns.
func (e *Engine) BeginLogin(ctx context.Context, app *App, r LoginRequest) (*LoginStart, error) {
	tx := newTransaction(e.now())
	tx.returnTo, tx.replaces, tx.silent, tx.maxAge, tx.acr = r.ReturnTo, r.Replaces, r.Silent, r.MaxAge, r.ACR
	if tx.returnTo == "" {
		tx.returnTo = app.DefaultReturn
	}
	tx.native, tx.of = r.Native, r.Of
	// OpenID Connect Core section 3.1.2.1: login among the prompts asks for a new sign-in, and is held to, as max_age is.
	tx.anew = slices.Contains(strings.Fields(r.Extra.Get("prompt")), "login")
	tx.seen = e.openNotice(app, r.SignedOut)
	sealed, err := e.sealTransaction(app, tx)
	if err != nil {
		return nil, &Error{Code: CodeBadRequest, Message: "The address to return to is too long.", Err: err}
	}
	to, err := e.ports.Providers(app.ID).AuthorizationURL(ctx, AuthorizationRequest{
		State: tx.state(), Nonce: tx.nonce(), Verifier: tx.verifier(), Key: tx.proofKey(), MaxAge: r.MaxAge, Extra: r.Extra,
	})
	if err != nil {
		e.trace.loginFailed(ctx, app, string(CodeOf(err)), err)
		return nil, tx.failed(err)
	}
	call(ctx, e.trace.LoginBegan, LoginEvent{App: app.ID, Provider: app.Provider.Name, ClientID: app.ClientID})
	return &LoginStart{Flow: Flow(tx.state()), Sealed: sealed, RedirectTo: to}, nil
}

// Callback is the provider's answer as the browser brought it, with the transaction cookie that belongs to its state.
type Callback struct {
	State  string
	Code   Secret
	Issuer string // the iss parameter; "" = absent
	Error  string // the error parameter: wins over a code
	Detail string // error_description: for the log, never for a page
	Sealed string // value of the cookie named by Flow(State); "" = the browser has none
	Device string // what the browser says it is, in a few words: Session.Device
}

// Login is a login that succeeded.
type Login struct {
	Session  *Session
	ReturnTo string
}

// LoginError is a login that failed after its transaction was known: where the browser wanted to go, and whether the
// failure is for the app (silent) or for the user.
type LoginError struct {
	Err          error // an *Error
	ReturnTo     string
	Silent       bool
	ProviderCode string         // the provider's error code, unchecked; with CodeLoginRefused
	SignedOut    string         // with CodeLoginSignedOut: for a cookie of this browser, as SignedOut.Notice
	Native       *NativeRequest // of a native app's login; nil of a browser's
}

// Error returns the cause.
func (e *LoginError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// CompleteLogin redeems a callback. The transaction is consumed before anything is asked of the provider, over all
// instances; none of the tokens is used until the ID token has passed; and the session is handed out only after no
// marker was found that ends it. It outlives the browser's connection: what was redeemed is stored or revoked.
func (e *Engine) CompleteLogin(ctx context.Context, app *App, cb Callback) (*Login, error) {
	var s *Session
	tx, err := e.complete(ctx, app, cb, func(ctx context.Context, tx *transaction, g *Grant) (err error) {
		s, err = e.establish(ctx, app, tx, g, cb.Device)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.trace.sessionBegan(ctx, app, s)
	return &Login{Session: s, ReturnTo: tx.returnTo}, nil
}

// complete is what the logins of all apps have in common: the transaction is consumed, the code redeemed, and keep stores
// what came of it, on a context that outlives the browser's connection.
func (e *Engine) complete(
	ctx context.Context, app *App, cb Callback, keep func(context.Context, *transaction, *Grant) error,
) (*transaction, error) {
	tx, err := e.takeTransaction(ctx, app, cb)
	if err != nil {
		e.trace.loginFailed(ctx, app, string(CodeOf(err)), err)
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	g, err := e.exchange(ctx, app, tx, cb)
	if err == nil {
		err = keep(ctx, tx, g)
	}
	if err != nil {
		e.trace.loginFailed(ctx, app, string(CodeOf(err)), err)
		failed := tx.failed(err)
		failed.ProviderCode, failed.SignedOut = cb.Error, e.noticeOf(app, err)
		return nil, failed
	}
	return tx, nil
}

// failed is a failure of this login, for whoever began it.
func (tx *transaction) failed(err error) *LoginError {
	return &LoginError{Err: err, ReturnTo: tx.returnTo, Silent: tx.silent, Native: tx.native}
}

// takeTransaction opens the transaction of a callback and consumes it: the second use of a state, on whatever instance,
// ends here (RFC 9700 section 4.2.4).
func (e *Engine) takeTransaction(ctx context.Context, app *App, cb Callback) (*transaction, error) {
	tx, err := e.openTransaction(app, cb.Sealed, cb.State)
	switch {
	case errors.Is(err, ErrKeyUnknown):
		return nil, e.refused(ctx, app, "", err)
	// A login of a browser app and one of a native app end in different ways: neither passes for the other.
	case err != nil || (tx.native != nil) != app.Native():
		return nil, &Error{Code: CodeLoginUnknown, Message: "This sign-in was not started in this browser, or is over.", Err: err}
	}
	fail := func(code Code, message string, err error) error {
		return tx.failed(&Error{Code: code, Message: message, Err: err})
	}
	if age := e.now().Sub(tx.began); age > transactionLife {
		return nil, fail(CodeLoginExpired, "This sign-in took too long.", nil)
	}
	// The memory of the use outlives the transaction, clocks that differ included.
	err = e.ports.OneTime.Use(ctx, "tx", cb.State, newID(), transactionLife+time.Minute)
	switch {
	case errors.Is(err, ErrUsed):
		return nil, fail(CodeLoginReplayed, "This sign-in was already completed.", nil)
	case err != nil:
		return nil, tx.failed(storeError("using the transaction", err))
	}
	return tx, nil
}

// exchange redeems the code of a callback whose transaction is consumed.
func (e *Engine) exchange(ctx context.Context, app *App, tx *transaction, cb Callback) (*Grant, error) {
	p := e.ports.Providers(app.ID)
	// RFC 9207 section 2.4: before anything else of the answer is believed, errors included.
	switch err := p.CheckIssuer(ctx, cb.Issuer); {
	case CodeOf(err) == CodeIDPUnavailable:
		return nil, err // its metadata cannot be had: nothing is known of the answer
	case err != nil:
		return nil, &Error{Code: CodeLoginMixedUp, Message: "The answer came from another provider.", Err: err}
	}
	switch {
	case cb.Error != "":
		return nil, &Error{
			Code: CodeLoginRefused, Message: "The provider did not sign you in.",
			Err: fmt.Errorf("provider answered %.64q: %.256q, to client %s with redirect_uri %s", cb.Error, cb.Detail, app.ClientID,
				app.RedirectURI),
		}
	case cb.Code.IsZero():
		return nil, &Error{Code: CodeLoginNoCode, Message: "The provider's answer was not complete."}
	}
	g, err := p.Exchange(ctx, CodeExchange{
		Code: cb.Code, Verifier: tx.verifier(), Nonce: tx.nonce(), Key: tx.proofKey(), MaxAge: tx.maxAge, ACR: tx.acr,
		Since: tx.since(),
	})
	if err != nil {
		e.forgo(app, tx, err)
		return nil, err
	}
	if g.Alarm != nil {
		e.trace.alarm(ctx, "login", g.Alarm)
	}
	e.tellMisfit(ctx, app, g.Identity)
	return g, nil
}

// establish stores the session of a good grant, unless a sign-out overtook it, and ends the one it replaces. Every way
// out stores the tokens, or revokes them where that ends nothing else.
func (e *Engine) establish(
	ctx context.Context, app *App, tx *transaction, g *Grant, device string,
) (*Session, error) {
	// A new root at every login, never one that a client offered (session fixation).
	s := e.newSession(app, NewRoot(), e.pending(app, tx, g))
	s.Device = device
	old, err := e.replaced(ctx, app, tx, s)
	if err == nil {
		err = tx.sameSubject(app, old, s.Subject)
	}
	if err == nil {
		e.joinGroups(app, s, old)
		err = e.admit(ctx, s)
	}
	if err == nil {
		err = e.holdToMost(ctx, app, s, old)
	}
	if err != nil {
		e.undo(s, CodeOf(err) == CodeLoginSignedOut || !e.endangers(app, tx, s, old))
		return nil, err
	}
	e.endReplaced(ctx, app, s, old)
	return s, nil
}

// admit stores a session and looks whether a sign-out overtook it. Index before record, record before marker check,
// marker check before the credential is handed out: whoever writes a marker now finds the session, and whoever wrote one
// before is found.
func (e *Engine) admit(ctx context.Context, s *Session) error {
	err := e.ports.Records.Create(ctx, s)
	if ended, ok := errors.AsType[*EndedError](err); ok {
		return endedError(ended.Reason) // before it began: its exchange code came a second time
	}
	if err != nil {
		return storeError("storing the session", err)
	}
	return e.overtaken(ctx, s)
}

// endangers reports whether revoking the tokens of a login that failed could end the session it would have replaced: that
// one lives on, and at some providers a revocation ends the user's whole grant (RFC 7009 section 2.1).
func (e *Engine) endangers(app *App, tx *transaction, s, old *Session) bool {
	if tx.replaces.IsZero() || app.Provider.RevocationSparesGrant {
		return false
	}
	// nil: it could not be read. A step-up that somebody else completed leaves that one's other sessions alone, too.
	return old == nil || old.Subject == s.Subject || tx.of != ""
}

// newSession makes the session of a login, in no SSO session yet.
func (e *Engine) newSession(app *App, root Root, p *Pending) *Session {
	now := e.now()
	return &Session{
		Root: root, Lookup: root.Lookup(), App: app.ID, KeyID: e.ring.Front(),
		Identity: p.Identity, Provider: p.Provider,
		Began: p.Began, CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(app.Absolute), Idle: app.Idle,
		Seen: p.Seen, Tokens: p.Tokens, Generation: 1,
	}
}

// replaced returns the session the browser carried when the login began; nil if there is none (any more). It is not
// judged: also one whose idle end has just passed holds tokens to be revoked. One that cannot be read fails the login:
// it may be another user's, who would stay signed in behind this one, or tie this session to its SSO session.
func (e *Engine) replaced(ctx context.Context, app *App, tx *transaction, s *Session) (*Session, error) {
	if tx.replaces.IsZero() {
		return nil, nil
	}
	old, err := e.ports.Records.Read(ctx, tx.replaces)
	ended, gone := errors.AsType[*EndedError](err)
	switch {
	case errors.Is(err, ErrStore):
		return nil, storeError("reading the replaced session", err)
	case gone && app.Provider.SSOBy == SSOByAuthAt && overtook(ended, tx.began, tx.seen):
		return nil, e.signOutOf(ctx, app, s)
	case err != nil || old.App != app.ID:
		return nil, nil
	default:
		return old, nil
	}
}

// joinGroups ties the session to its SSO session. Where the moment of authentication ties it, a session that replaces
// one of the same subject stays in the old group too: a step-up has a new auth_time and the same session at the provider.
func (e *Engine) joinGroups(app *App, s, old *Session) {
	if g := app.Provider.group(&s.Identity); g != "" {
		s.Groups = []string{g}
	}
	if app.Provider.SSOBy != SSOByAuthAt || old == nil || old.Subject != s.Subject {
		return
	}
	s.Groups = union(s.Groups, old.Groups)
}

// undo takes back a session that was not handed out: the record goes, should it be there, and the tokens are revoked if
// that is asked for.
func (e *Engine) undo(s *Session, revoke bool) {
	e.beside(callbackDeadline, func(ctx context.Context) {
		if _, err := e.ports.Records.Delete(ctx, s.Lookup, nil, ReasonLoginUndone); err != nil {
			e.trace.alarm(ctx, "undoing a login", err) // it lives to its idle end, under a root that nobody has
		}
		if revoke {
			e.revoke(ctx, s)
		}
	})
}

// endReplaced ends the session that this login took the place of. Another subject's is ended whole, tokens revoked, so
// that nothing of it stays; one of the same subject only where that does not revoke the new tokens with the old.
func (e *Engine) endReplaced(ctx context.Context, app *App, s, old *Session) {
	if old == nil {
		return
	}
	gone, err := e.ports.Records.Delete(ctx, old.Lookup, nil, ReasonReplaced)
	switch {
	case err != nil:
		e.trace.alarm(ctx, "ending the replaced session", err)
	case gone != nil:
		e.trace.sessionEnded(ctx, *gone, ReasonReplaced)
	}
	if old.Subject != s.Subject || app.Provider.RevocationSparesGrant {
		e.beside(callbackDeadline, func(ctx context.Context) { e.revoke(ctx, old) })
	}
}

// newID returns 96 random bits as 16 characters: attempts, markers.
func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime stops the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
