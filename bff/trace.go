package bff

import (
	"context"
	"time"
)

// Trace tells what happens, as httptrace.ClientTrace does: each function may be nil, is called at once, must not
// block, and gets values only. server/telemetry turns each call into a metric, an audit line and a span event.
type Trace struct {
	LoginBegan   func(ctx context.Context, e LoginEvent)
	SessionBegan func(ctx context.Context, e SessionEvent)
	LoginFailed  func(ctx context.Context, e LoginEvent)
	SessionEnded func(ctx context.Context, e SessionEvent)
	// RefreshBegins is told that the request of ctx begins a refresh in this process. The refresh goes on without the request:
	// it runs on the context that is returned, which must be life or one made of it, and tells by end when it is over.
	RefreshBegins  func(ctx, life context.Context, e SessionEvent) (running context.Context, end func())
	RefreshDone    func(ctx context.Context, e RefreshEvent)
	RefreshWaiting func(ctx context.Context, e SessionEvent) // one more request waits for a refresh
	RefreshWaited  func(ctx context.Context, e WaitEvent)    // it waits no longer
	RefreshClaimed func(ctx context.Context, e ClaimEvent)   // what came of trying for the lease of a refresh
	// CredentialRefused is told of a cookie or handle that is malformed, doubled, another app's, or of a record that does
	// not open.
	CredentialRefused func(ctx context.Context, e RefusalEvent)
	GuardRefused      func(ctx context.Context, e RefusalEvent) // a request that may not come from where it comes from
	Revoked           func(ctx context.Context, e RevocationEvent)
	// ProviderSessionEnded is told what came of ending the provider's own session by its API.
	ProviderSessionEnded func(ctx context.Context, e RevocationEvent)
	LogoutToken          func(ctx context.Context, e LogoutEvent) // what came of a provider's word that a session is over
	Alarm                func(ctx context.Context, e AlarmEvent)  // an operator should look
	WatchSwept           func(ctx context.Context, e SweepEvent)  // watched sessions were looked at
	EventStream          func(ctx context.Context, e StreamEvent)
	EventSent            func(ctx context.Context, e SentEvent)
	AdminActed           func(ctx context.Context, e AdminEvent)
	// AdminRefused is told of a request at the admin listener that was refused for what it is: its credential, or a browser.
	AdminRefused func(ctx context.Context, e AdminEvent)
	// ClientToken is told what came of an app's wanting a token of its own.
	ClientToken func(ctx context.Context, e ClientTokenEvent)
	// TokenExchanged is told what came of asking a provider to exchange a session's token for one for another API.
	TokenExchanged func(ctx context.Context, e ExchangeEvent)
}

// LoginEvent is a login that began or failed.
type LoginEvent struct {
	App, Provider, ClientID string
	Code                    string // of a failure
	Detail                  string // for the log: may hold the provider's words, never a secret
	Err                     error
}

// SessionEvent is a session that began, ended or waits.
type SessionEvent struct {
	App, Provider, ClientID string
	SessionID               string // public name
	Subject                 string // raw: telemetry hashes it
	Reason                  Reason
}

// RefreshEvent is a finished refresh, or one that never came to a call.
type RefreshEvent struct {
	App, Provider string
	SessionID     string
	Outcome       Outcome
	Generation    int64 // after a success
	Later         bool  // it was the later attempt after a doubtful one
	Took          time.Duration
	Err           error
}

// WaitEvent is the end of a request's wait for a refresh.
type WaitEvent struct {
	App, Provider string
	Took          time.Duration
	Err           error // nil: it has tokens
}

// ClaimEvent is what came of one instance's trying for the lease of a refresh.
type ClaimEvent struct {
	App, Provider string
	Result        ClaimResult
	Took          time.Duration
}

// ClaimResult names what came of a claim.
type ClaimResult string

// The results of a claim.
const (
	ClaimGranted ClaimResult = "granted" // this instance refreshes
	ClaimAdopted ClaimResult = "adopted" // another one did, and its tokens are taken over
	ClaimFailed  ClaimResult = "failed"  // neither in time: the store is away, the session is gone, or the wait was too long
)

// RefusalEvent is a refused credential or request.
type RefusalEvent struct {
	App  string
	Rule string // which rule refused, a fixed text
}

// RevocationEvent is a revocation at the provider that was carried out or given up.
type RevocationEvent struct {
	App, Provider, SessionID string
	Err                      error
}

// LogoutEvent is what came of a provider's word that a session is over.
type LogoutEvent struct {
	Channel       Channel
	App, Provider string // App is "" of a front channel; both are where nothing says whom a token is for
	Result        LogoutResult
	Rule          string // that a refused token breaks, a fixed text
	Ended         int    // sessions, over all apps
	Err           error
}

// Channel is the way a provider's word took.
type Channel string

// The channels.
const (
	ChannelBack  Channel = "back"  // a logout token, from the provider itself
	ChannelFront Channel = "front" // unsigned, by a browser
)

// LogoutResult names what came of it.
type LogoutResult string

// The results of a logout token.
const (
	LogoutAccepted LogoutResult = "accepted" // whatever it names is over
	LogoutRefused  LogoutResult = "refused"  // it breaks a rule: nothing was done
	LogoutReplayed LogoutResult = "replayed" // it was carried out before: nothing was done
	LogoutFailed   LogoutResult = "failed"   // store or provider could not be asked: it may come again
)

// AdminEvent is what an administrator did or was refused.
type AdminEvent struct {
	From      string // the client's address: there is one credential
	Action    string // a fixed text
	Result    string // a fixed text: what became of it, or which rule refused it
	Code      Code   // of a failure
	Provider  string
	Subject   string // raw, as SID: telemetry hashes both
	SID       string
	App       string
	SessionID string // public name
	DryRun    bool
	Found     int // sessions shown, or looked at by a purge
	Ended     int
	Took      time.Duration
	Err       error // for the log
}

// ClientTokenEvent is what came of an app's wanting a token of its own.
type ClientTokenEvent struct {
	App, Provider, ClientID string
	Result                  ClientTokenResult
	Took                    time.Duration
	Err                     error
}

// ClientTokenResult names what came of it.
type ClientTokenResult string

// The results of wanting an app's own token.
const (
	ClientTokenFetched     ClientTokenResult = "fetched"     // the provider gave one
	ClientTokenAdopted     ClientTokenResult = "adopted"     // another instance had asked, and its token is used
	ClientTokenRefused     ClientTokenResult = "refused"     // the provider refuses the client, the grant or the scopes
	ClientTokenUnavailable ClientTokenResult = "unavailable" // the provider cannot be asked
)

// ExchangeEvent is what came of asking a provider to exchange a session's token.
type ExchangeEvent struct {
	App, Provider, SessionID string
	Audience, Resource       string // what the token is for; "" = not said
	Result                   ExchangeResult
	Took                     time.Duration
	Err                      error
}

// ExchangeResult names what came of it.
type ExchangeResult string

// The results of an exchange.
const (
	ExchangeDone        ExchangeResult = "exchanged"   // the provider gave a token
	ExchangeRefused     ExchangeResult = "refused"     // it refuses the client, the token or the target, or its answer is not to be used
	ExchangeUnavailable ExchangeResult = "unavailable" // it cannot be asked
)

// AlarmEvent is something an operator should look at.
type AlarmEvent struct {
	What string // a fixed text
	Err  error
}

// SweepEvent is one look at sessions that streams hang on.
type SweepEvent struct {
	Looked, Ended int
	Unknown       int // the store could not be asked
	Took          time.Duration
}

// StreamEvent is an event stream that was opened, or closed.
type StreamEvent struct {
	App, Surface string
	Open         bool
}

// SentEvent is an event that was written to an event stream.
type SentEvent struct{ App, Event string }

// call runs f with v if f is set.
func call[E any](ctx context.Context, f func(context.Context, E), v E) {
	if f != nil {
		f(ctx, v)
	}
}

// refreshBegins returns the context that a refresh runs on, and what is to be called at its end.
func (t *Trace) refreshBegins(ctx, life context.Context, app *App, s *Session) (context.Context, func()) {
	if t.RefreshBegins == nil {
		return life, func() {}
	}
	return t.RefreshBegins(ctx, life, SessionEvent{App: app.ID, Provider: s.Provider, SessionID: s.ID()})
}

func (t *Trace) alarm(ctx context.Context, what string, err error) {
	call(ctx, t.Alarm, AlarmEvent{What: what, Err: err})
}

// refusedCredential tells of a refusal; app is nil where nothing says whose the credential is.
func (t *Trace) refusedCredential(ctx context.Context, app *App, rule string) {
	e := RefusalEvent{Rule: rule}
	if app != nil {
		e.App = app.ID
	}
	call(ctx, t.CredentialRefused, e)
}

func (t *Trace) sessionBegan(ctx context.Context, app *App, s *Session) {
	call(ctx, t.SessionBegan, SessionEvent{
		App: app.ID, Provider: app.Provider.Name, ClientID: app.ClientID, SessionID: s.ID(), Subject: s.Subject,
	})
}

func (t *Trace) sessionEnded(ctx context.Context, ended Ended, reason Reason) {
	call(ctx, t.SessionEnded, SessionEvent{App: ended.App, SessionID: ended.Lookup.ID(), Reason: reason})
}

func (t *Trace) loginFailed(ctx context.Context, app *App, code string, err error) {
	call(ctx, t.LoginFailed, LoginEvent{
		App: app.ID, Provider: app.Provider.Name, ClientID: app.ClientID, Code: code, Err: err,
	})
}
