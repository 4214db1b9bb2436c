package bff

import (
	"context"
	"errors"
	"strings"
	"time"
)

// CodeGrantRejected is the answer to a code or refresh handle that is used, unknown, too old, reused, or not this app's:
// one answer for all, so that nobody learns which. The native surface tells it as RFC 6749's invalid_grant.
const CodeGrantRejected Code = "invalid_grant"

// CodeLife is how long an exchange code waits to be redeemed (RFC 6749 section 4.1.2 allows ten minutes; an app does it at
// once).
const CodeLife = 60 * time.Second

// ConfirmLife is how long the page waits on which a person lets an app in.
const ConfirmLife = 5 * time.Minute

// NativeRequest is what a native app asked for at the start of its login: all of it is sealed into the transaction.
type NativeRequest struct {
	RedirectURI string // as the app sent it: one of App.RedirectURIs, with any port on loopback
	Challenge   string // S256 code_challenge: 43 characters
	State       string // the app's own; given back unchanged
	Key         string // thumbprint of the key that the app announced (RFC 9449 section 10); "" = none
	// Of a step-up: the session that the new one takes the place of, and its subject as StepUpAsked.Of has it; "" = none.
	Replaces Lookup
	Of       string
}

// ProvesReceiver reports whether the redirect reaches nobody but the app: a claimed https address, which the system hands
// to that app alone (RFC 8252 section 7.2). Where it does not, a person is asked (section 8.6).
func (r *NativeRequest) ProvesReceiver() bool { return strings.HasPrefix(r.RedirectURI, "https://") }

// Pending is a login that waits to be redeemed by the app: everything its session will be made of. It is kept sealed by
// the very code (or ticket) that redeems it.
type Pending struct {
	App     string
	KeyID   string // ring key in front when it was made
	Confirm bool   // kept under a ticket: a person has not let the app in yet
	Request NativeRequest
	Identity
	Provider string
	Began    time.Time
	Seen     string
	Tokens   TokenSet
}

// Codes keeps pending logins for one redemption. A code is a Root: 256 random bits whose hash names what is kept and from
// which its key is derived.
type Codes interface {
	// Keep stores p under code for life. ErrStore as ever.
	Keep(ctx context.Context, code Root, p *Pending, life time.Duration) error
	// Redeem takes the pending login of code for the session (or next code) of the name by. The first use wins, over all
	// instances; a repetition with the same by succeeds again. Every other use is a *RedeemedError with the winner's by, as
	// long as that is remembered (ten minutes), and ErrUsed otherwise, as for what is unknown or does not open. After
	// ErrKeyUnknown or ErrNewerSchema the code is as good as before: another instance may be able to redeem it.
	Redeem(ctx context.Context, code Root, by Lookup) (*Pending, error)
}

// RedeemedError is the answer to the second use of a code.
type RedeemedError struct{ By Lookup }

// Error says so.
func (e *RedeemedError) Error() string { return "code redeemed before" }

// Is makes it an ErrUsed as well.
func (e *RedeemedError) Is(target error) bool { return target == ErrUsed }

// NativeLogin is a login of a native app on its way back to it. Code or Ticket is set; neither after CancelNativeLogin.
type NativeLogin struct {
	Request NativeRequest
	Code    Root // goes to the app
	// Ticket goes to a page on which a person lets the app in, where the redirect proves nothing of who receives it (RFC 8252
	// section 8.6): ConfirmNativeLogin or CancelNativeLogin takes it.
	Ticket   Root
	Identity Identity // who signed in, for that page
}

// grantRejected is the one answer to a code or refresh handle that is not good.
func grantRejected(cause error) error {
	return &Error{Code: CodeGrantRejected, Message: "This sign-in is not valid, or is over. Sign in again.", Err: cause}
}

// asGrant tells the holder of a refresh handle what the holder of a cookie is told in more words: that there is no session
// for it. Outages stay what they are.
func asGrant(err error) error {
	switch CodeOf(err) {
	case CodeSessionRequired, CodeSessionEnded, CodeSessionExpired:
		return grantRejected(err)
	default:
		return err
	}
}

// Redemption is what a native app presents at the token endpoint.
type Redemption struct {
	Code        Root
	Verifier    string
	RedirectURI string
	Key         string // thumbprint of the key that the app proved to hold (RFC 9449 section 5); "" = none
	Device      string // what the app says it runs on, in a few words: Session.Device
	Platform    string // and below it: Session.Platform
}

// CompleteNativeLogin redeems the callback of a native app's login: as CompleteLogin, but no session begins yet.
func (e *Engine) CompleteNativeLogin(ctx context.Context, app *App, cb Callback) (*NativeLogin, error) {
	var l *NativeLogin
	_, err := e.complete(ctx, app, cb, func(ctx context.Context, tx *transaction, g *Grant) (err error) {
		p := e.pending(app, tx, g)
		if err := tx.sameSubject(app, nil, p.Subject); err != nil {
			e.forsake(app, p, nil)
			return err
		}
		l, err = e.suspend(ctx, app, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// pending is what a good grant brought to a login.
func (e *Engine) pending(app *App, tx *transaction, g *Grant) *Pending {
	p := &Pending{
		App: app.ID, KeyID: e.ring.Front(), Identity: *g.Identity, Provider: app.Provider.Name,
		Began: tx.began, Seen: tx.seen, Tokens: g.Tokens,
	}
	if tx.native != nil {
		p.Request = *tx.native
	}
	return p
}

// suspend keeps a login until it is redeemed, or first until a person lets the app in. RFC 8252 section 8.6: any app can
// ask for a private-use scheme or a port of loopback, so a provider that signs in without asking would let any app in.
func (e *Engine) suspend(ctx context.Context, app *App, p *Pending) (*NativeLogin, error) {
	if p.Request.ProvesReceiver() {
		return e.handOut(ctx, app, p, NewRoot())
	}
	p.Confirm = true
	l := &NativeLogin{Request: p.Request, Ticket: NewRoot(), Identity: p.Identity}
	if err := e.ports.Codes.Keep(ctx, l.Ticket, p, ConfirmLife); err != nil {
		e.forsake(app, p, nil)
		return nil, storeError("keeping a login", err)
	}
	return l, nil
}

// handOut keeps a login under the code that the app will redeem, unless a sign-out has overtaken it. The markers are asked
// last, as in admit; and again at the redemption.
func (e *Engine) handOut(ctx context.Context, app *App, p *Pending, code Root) (*NativeLogin, error) {
	p.Confirm = false
	err := e.ports.Codes.Keep(ctx, code, p, CodeLife)
	if err != nil {
		err = storeError("keeping a login", err)
	} else {
		err = e.overtaken(ctx, e.sessionOf(app, NewRoot(), p))
	}
	if err != nil {
		e.forsake(app, p, err)
		return nil, err
	}
	return &NativeLogin{Request: p.Request, Code: code, Identity: p.Identity}, nil
}

// sessionOf makes the session of a pending login: it stands alone or in its SSO session, at turn one.
func (e *Engine) sessionOf(app *App, root Root, p *Pending) *Session {
	s := e.newSession(app, root, p)
	e.joinGroups(app, s, nil)
	s.Turn = Turn{N: 1, Moved: s.CreatedAt, Issued: s.CreatedAt}
	return s
}

// forsake revokes, beside, the tokens of a login that nobody will redeem: always if what stopped it was a sign-out, otherwise
// only where that cannot end a session which the app may still have (RFC 7009 section 2.1 lets a provider end the whole
// grant). app is who presented it, so not always its own: of another provider's login nothing is known, and its tokens go to
// no other.
func (e *Engine) forsake(app *App, p *Pending, why error) {
	signedOut := CodeOf(why) == CodeLoginSignedOut
	if p.Provider == app.Provider.Name && (signedOut || app.Provider.RevocationSparesGrant) {
		s := &Session{App: p.App, Provider: p.Provider, Tokens: p.Tokens}
		e.beside(revokeDeadline, func(ctx context.Context) { e.revoke(ctx, s) })
	}
}

// ConfirmNativeLogin lets the app in: it takes the ticket of a confirm page and returns the login with its code. A ticket
// that is used, unknown or too old is CodeGone; a sign-out meanwhile is CodeLoginSignedOut.
func (e *Engine) ConfirmNativeLogin(ctx context.Context, app *App, ticket Root) (*NativeLogin, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	code := NewRoot()
	p, err := e.takeTicket(ctx, app, ticket, code.Lookup())
	if err != nil {
		return nil, err
	}
	l, err := e.handOut(ctx, app, p, code)
	if err != nil {
		e.trace.loginFailed(ctx, app, string(CodeOf(err)), err)
		return nil, &LoginError{Err: err, Native: &p.Request}
	}
	return l, nil
}

// CancelNativeLogin takes the ticket and forgets the login; what to tell the app is in the answer. Errors as of
// ConfirmNativeLogin.
func (e *Engine) CancelNativeLogin(ctx context.Context, app *App, ticket Root) (*NativeLogin, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	p, err := e.takeTicket(ctx, app, ticket, NewRoot().Lookup())
	if err != nil {
		return nil, err
	}
	e.forsake(app, p, nil)
	return &NativeLogin{Request: p.Request, Identity: p.Identity}, nil
}

// takeTicket takes a login that waits for a person. A ticket shown to another app is not to be used afterwards by its own.
func (e *Engine) takeTicket(ctx context.Context, app *App, ticket Root, by Lookup) (*Pending, error) {
	p, err := e.ports.Codes.Redeem(ctx, ticket, by)
	gone := &Error{Code: CodeGone, Message: "This question was answered already, or is too old. Start the sign-in again.", Err: err}
	switch {
	case errors.Is(err, ErrUsed):
		return nil, gone
	case err != nil:
		if err := e.refused(ctx, app, "", err); CodeOf(asGrant(err)) != CodeGrantRejected {
			return nil, err
		}
		return nil, gone
	case p.App != app.ID || p.Provider != app.Provider.Name || !p.Confirm:
		e.trace.refusedCredential(ctx, app, "foreign ticket")
		e.forsake(app, p, nil)
		return nil, gone
	default:
		return p, nil
	}
}
