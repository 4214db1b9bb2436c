package bff

import (
	"context"
	"errors"
	"time"
)

// LogoutWay is how a user's sign-out here ends the provider's own session.
type LogoutWay string

// The ways. The zero value is LogoutRedirect.
const (
	LogoutRedirect LogoutWay = "redirect" // the browser goes to the provider (RP-Initiated Logout 1.0)
	LogoutAPI      LogoutWay = "api"      // the gateway asks the provider's session API; the ID token leaves in no address
	LogoutBoth     LogoutWay = "both"     // the API, and then the browser
)

func (l LogoutWay) byAPI() bool     { return l == LogoutAPI || l == LogoutBoth }
func (l LogoutWay) byBrowser() bool { return l != LogoutAPI }

// ErrClientToken says that an API did not take the app's own token: it may take a new one.
var ErrClientToken = errors.New("the app's own token is refused")

// SessionProvider is a Provider whose own session ends at a call.
type SessionProvider interface {
	// RevokeSession ends the provider's session by its sid, with the app's own token, trying a few times within ctx. One that is
	// unknown or over is success, and so is asking twice. ErrClientToken says that the token was not taken, and nothing done.
	RevokeSession(ctx context.Context, sid string, token Secret) error
}

// reachWait is how long a sign-out waits for the provider to say that its session is over: as long as a person waits for a
// page without wondering. The work goes on beside.
const reachWait = 3 * time.Second

// endAtProvider ends the provider's own session by its API, and reports whether that is known to be done. Whether it is or
// not, the sign-out here stands.
func (e *Engine) endAtProvider(ctx context.Context, app *App, s *Session) (done bool) {
	over := make(chan bool, 1)
	request := ctx
	e.beside(revokeDeadline, func(ctx context.Context) {
		err := e.revokeSession(ctx, app, s.SID)
		call(ctx, e.trace.ProviderSessionEnded, RevocationEvent{App: app.ID, Provider: app.Provider.Name, SessionID: s.ID(), Err: err})
		if err != nil {
			e.trace.alarm(ctx, "ending the provider's session", err)
		}
		over <- err == nil
	})
	timer := time.NewTimer(reachWait)
	defer timer.Stop()
	select {
	case done = <-over:
		return done
	case <-timer.C:
	case <-request.Done():
	}
	return false
}

// errNoSID is a session that cannot be named to its provider.
var errNoSID = errors.New("the session has no sid to end at the provider")

// revokeSession asks with the app's own token, and once more with a new one where that is refused.
func (e *Engine) revokeSession(ctx context.Context, app *App, sid string) error {
	p, ok := e.ports.Providers(app.ID).(SessionProvider)
	switch {
	case !ok:
		return errors.New("the provider has no session API")
	case sid == "":
		return errNoSID
	}
	t, err := e.ClientToken(ctx, app, Secret{})
	if err != nil {
		return err
	}
	err = p.RevokeSession(ctx, sid, t.Access)
	if !errors.Is(err, ErrClientToken) {
		return err
	}
	if t, err = e.ClientToken(ctx, app, t.Access); err != nil {
		return err
	}
	return p.RevokeSession(ctx, sid, t.Access)
}
