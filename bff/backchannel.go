package bff

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RuleSubjectOfSID is the rule a logout token breaks whose sid is that of somebody else's session.
const RuleSubjectOfSID = "sid and sub"

// LogoutToken is what a verified logout token says (Back-Channel Logout 1.0 section 2.4).
type LogoutToken struct {
	ID      string    // jti
	SID     string    // which session at the provider is over; "" = all of Subject
	Subject string    // whose; "" only beside a SID
	Until   time.Time // from then on its own times have it refused
}

// LogoutVerifier is a Provider that says by itself when a session of its own is over.
type LogoutVerifier interface {
	// VerifyLogout judges a logout token for this app. A failure is a *LogoutTokenError where the token is at fault, and
	// an *Error with CodeIDPUnavailable where it cannot be judged now.
	VerifyLogout(ctx context.Context, token Secret) (*LogoutToken, error)
}

// LogoutTokenError says that a logout token is not one to act on. No text of it holds the token.
type LogoutTokenError struct {
	Rule      string // which rule it breaks, a fixed text
	Elsewhere bool   // by its iss or aud it is for another client
	Err       error
}

// Error names rule and cause.
func (l *LogoutTokenError) Error() string { return fmt.Sprintf("logout token: %v", l.Err) }

// Unwrap returns the cause.
func (l *LogoutTokenError) Unwrap() error { return l.Err }

// ErrReplayed says that a logout token was carried out before.
var ErrReplayed = errors.New("logout token used before")

// Replays remembers what was carried out once; OneTime.Use writes it.
type Replays interface {
	// Used reports whether a name of this kind was used, and changes nothing. ErrStore as ever: then nothing is known.
	Used(ctx context.Context, kind, name string) (bool, error)
}

// BackchannelLogout carries out a logout token that came to the address of these apps: the one that iss and aud name is
// whom it is for. nil says that what it names has ended on every instance, also where there was nothing to end
// (Back-Channel Logout 1.0 section 2.8). Any error is an *Error and means that it was not carried out: CodeBadRequest
// for a token that is refused (a *LogoutTokenError, or ErrReplayed), another code for an outage, after which the provider
// may send the same token again.
func (e *Engine) BackchannelLogout(ctx context.Context, apps []*App, token Secret) error {
	// A provider that hangs up does not leave a sign-out half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline)
	defer cancel()
	app, said, err := e.verifyLogout(ctx, apps, token)
	event := LogoutEvent{Channel: ChannelBack}
	if app != nil {
		event.App, event.Provider = app.ID, app.Provider.Name
	}
	if err == nil {
		event.Ended, err = e.carryOut(ctx, app, said)
	}
	event.Result, event.Rule, event.Err = resultOf(err)
	call(ctx, e.trace.LogoutToken, event)
	return err
}

// verifyLogout finds whom a logout token is for and has it judged. The app is nil where it is for none of these.
func (e *Engine) verifyLogout(ctx context.Context, apps []*App, token Secret) (*App, *LogoutToken, error) {
	refused := &LogoutTokenError{Rule: "aud", Err: errors.New("no app here has a provider that sends logout tokens")}
	for _, app := range apps {
		v, ok := e.ports.Providers(app.ID).(LogoutVerifier)
		if !ok {
			continue
		}
		said, err := v.VerifyLogout(ctx, token)
		bad, isBad := errors.AsType[*LogoutTokenError](err)
		switch {
		case err == nil:
			return app, said, nil
		case !isBad:
			return app, nil, err
		case !bad.Elsewhere:
			return app, nil, refusedToken(bad)
		}
		refused = bad
	}
	return nil, nil, refusedToken(refused)
}

func refusedToken(err error) error {
	return &Error{Code: CodeBadRequest, Message: "The logout token is not valid here.", Err: err}
}

// carryOut ends what a logout token names, once. Its jti is looked up before anything is done, and remembered only when
// all is done: a provider's second try after a failure goes through, a replay after a success changes nothing (section 2.6,
// item 8). Of two deliveries at the same moment both may get as far as ending: they write the same marker, whose time was
// taken before either jti was remembered, so that neither ends what began after the first was answered.
func (e *Engine) carryOut(ctx context.Context, app *App, said *LogoutToken) (ended int, err error) {
	// A jti is unique at its issuer (RFC 7519 section 4.1.7), but a provider that gives all tokens of one sign-out the same
	// must still reach each client: what one has taken is no replay to another, whose sid may differ.
	p := app.Provider
	name := strings.Join([]string{p.Name, app.ClientID, said.ID}, "\x00") // no name in the configuration holds a NUL
	m := Marker{ID: markerOf(name), At: e.now()}
	switch used, err := e.ports.Replays.Used(ctx, "jti", name); {
	case err != nil: // not skipped: a token that ends all of a user must not come again and again
		return 0, storeError("reading the memory of logout tokens", err)
	case used:
		return 0, refusedToken(ErrReplayed)
	}
	if err := e.agree(ctx, p, said); err != nil {
		return 0, err
	}
	ended, err = e.endTarget(ctx, said.target(p), ending{marker: m, reason: ReasonProvider, keeps: p.outlastsSignOut})
	if err != nil {
		return ended, err
	}
	// Remembered for as long as its own times let it pass, by the clock of any instance.
	life := max(said.Until.Sub(e.now()), 0) + markerSlack
	err = e.ports.OneTime.Use(ctx, "jti", name, newID(), life)
	if err != nil && !errors.Is(err, ErrUsed) { // used: the other of two deliveries was first, and did the same
		return ended, storeError("remembering a logout token", err)
	}
	return ended, nil
}

// target is what a logout token names (section 2.7): the sessions of its sid, or all of its sub where there is none; one of
// the two is always there (section 2.4). That nothing of it is known is success (section 2.8).
func (said *LogoutToken) target(p *ProviderPolicy) Target {
	if said.SID == "" {
		return Target{ScopeSubject, p.Name, said.Subject}
	}
	return Target{ScopeSID, p.Name, said.SID}
}

// markerOf is the id of the marker that a logout token writes: the same for each delivery of it.
func markerOf(name string) string {
	sum := sha256.Sum256([]byte("cloakroom logout token\x00" + name))
	return base64.RawURLEncoding.EncodeToString(sum[:12]) // as long as newID
}

// agree refuses a token whose sid names sessions of another subject than its sub (section 2.6, items 9 to 11). Index
// entries do not tell their subject in clear, but each session stands in the index of its own: whatever has a record under
// the sid must stand under the subject too. One that ends between the two looks is no contradiction.
func (e *Engine) agree(ctx context.Context, p *ProviderPolicy, said *LogoutToken) error {
	if said.SID == "" || said.Subject == "" {
		return nil
	}
	bySID := Target{ScopeSID, p.Name, said.SID}
	before, err := e.ports.Devices.Devices(ctx, bySID)
	if err != nil {
		return storeError("reading who is signed in", err)
	}
	own, err := e.ports.Markers.Members(ctx, Target{ScopeSubject, p.Name, said.Subject})
	if err != nil {
		return storeError("reading who is signed in", err)
	}
	foreign := slices.DeleteFunc(before, func(d Device) bool {
		return slices.ContainsFunc(own, func(m Member) bool { return m.Lookup == d.Lookup })
	})
	if len(foreign) == 0 {
		return nil
	}
	after, err := e.ports.Devices.Devices(ctx, bySID)
	if err != nil {
		return storeError("reading who is signed in", err)
	}
	for _, d := range foreign {
		if slices.ContainsFunc(after, func(now Device) bool { return now.Lookup == d.Lookup }) {
			return refusedToken(&LogoutTokenError{Rule: RuleSubjectOfSID, Err: errors.New("the session is another subject's")})
		}
	}
	return nil
}

// FrontchannelLogout ends the sessions of a sid that a browser was told by iss to end, and tells whether there were any
// (Front-Channel Logout 1.0 section 2). Nothing of it is signed, so it ends what is stored here and nothing more: no marker
// without a session, and nothing is revoked at the provider.
func (e *Engine) FrontchannelLogout(ctx context.Context, p *ProviderPolicy, iss, sid string) (found bool, err error) {
	if sid == "" || !p.IsIssuer(iss) {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackDeadline) // the page that embeds it may be left
	defer cancel()
	event := LogoutEvent{Channel: ChannelFront, Provider: p.Name}
	there, err := e.ports.Devices.Devices(ctx, Target{ScopeSID, p.Name, sid})
	switch {
	case err != nil:
		err = storeError("reading who is signed in", err)
	case len(there) == 0:
		return false, nil
	default:
		keeps := func(string) bool { return true }
		m := Marker{ID: newID(), At: e.now()}
		event.Ended, err = e.endTarget(ctx, Target{ScopeSID, p.Name, sid}, ending{marker: m, reason: ReasonProvider, keeps: keeps})
	}
	event.Result, event.Rule, event.Err = resultOf(err)
	call(ctx, e.trace.LogoutToken, event)
	return true, err
}

// resultOf is what is told of a logout token that ended so.
func resultOf(err error) (result LogoutResult, rule string, cause error) {
	bad, isBad := errors.AsType[*LogoutTokenError](err)
	switch {
	case err == nil:
		return LogoutAccepted, "", nil
	case errors.Is(err, ErrReplayed):
		return LogoutReplayed, "jti", err
	case isBad:
		return LogoutRefused, bad.Rule, err
	default:
		return LogoutFailed, "", err
	}
}
