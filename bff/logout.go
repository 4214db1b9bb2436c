package bff

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
)

const (
	// ticketLife is how long a one-time logout URL may wait to be opened: a slow page, not a forgotten one.
	ticketLife = 5 * time.Minute
	// NoticeLife is how long a browser remembers the sign-out it made, so that a login right after it is not taken for
	// one that the sign-out meant. It covers the slack of markers many times over.
	NoticeLife = time.Minute
	// revokeDeadline bounds a revocation with its retries: it runs beside everything else.
	revokeDeadline = 30 * time.Second
)

// SignedOut is what a sign-out leaves for its browser.
type SignedOut struct {
	Notice string // value of a short cookie that the next login gives back: LoginRequest.SignedOut
	Ticket string // names the one-time URL that goes on to the provider; "" when that could not be stored, or is not wanted
	// Unreached: the provider did not say in time that its own session is over, so it may live.
	Unreached bool
}

// SignOut ends s and every session of its SSO session, over all apps and instances, before it returns: the marker first,
// so that whoever is mid-login or mid-refresh undoes itself, then the index, then the sessions, the caller's own last,
// so that a sign-out that failed on the way can be repeated.
func (e *Engine) SignOut(ctx context.Context, app *App, s *Session) (*SignedOut, error) {
	// The moment of the marker, not of any deletion, is what sessions are held against: what began after it is another sign-in.
	m := Marker{ID: newID(), At: e.now()}
	var targets []Target
	for _, g := range s.Groups {
		targets = append(targets, Target{ScopeSSO, s.Provider, g})
	}
	if err := e.endAll(ctx, targets, m, ReasonSignedOut, s.Lookup); err != nil {
		return nil, storeError("signing out", err)
	}
	// Read again only now: a refresh that was running when this began has saved, or will find no record.
	s = e.newest(ctx, s)
	// Whatever the marker spares, this one goes: its user asked for it (ASVS 7.4.1).
	ended, err := e.ports.Records.Delete(ctx, s.Lookup, nil, ReasonSignedOut)
	if err != nil {
		return nil, storeError("signing out", err)
	}
	if ended != nil {
		e.trace.sessionEnded(ctx, *ended, ReasonSignedOut)
	}
	// Beside: a provider that is down must not keep anybody signed in here.
	e.beside(revokeDeadline, func(ctx context.Context) { e.revoke(ctx, s) })
	return e.leaveProvider(ctx, app, s, m.ID), nil
}

// leaveProvider ends the provider's own session too, in the way that its settings name, or leaves the browser what it needs
// to do so.
func (e *Engine) leaveProvider(ctx context.Context, app *App, s *Session, markerID string) *SignedOut {
	left := &SignedOut{Notice: e.sealNotice(app, markerID)}
	if app.Provider.Logout.byAPI() {
		left.Unreached = !e.endAtProvider(ctx, app, s)
	}
	if app.Provider.Logout.byBrowser() {
		left.Ticket = e.putTicket(ctx, app, s, left.Notice)
	}
	return left
}

// newest returns s as it stands in the store, and s itself where that cannot be told: a refresh may have landed since it
// was read, and the token to revoke is the last one. (One that lands later finds no record, and revokes its own.)
func (e *Engine) newest(ctx context.Context, s *Session) *Session {
	if s.Root.IsZero() {
		return s
	}
	now, err := e.ports.Records.Read(ctx, s.Root)
	if err != nil {
		return s
	}
	return now
}

// revoke revokes a session's tokens at the provider, best effort: nothing waits for it, and its failure is told to the
// trace. RFC 7009 section 2.1: with the refresh token go the access tokens of the same grant, at some providers the whole
// grant; so whoever calls this has made sure that no session lives on it.
func (e *Engine) revoke(ctx context.Context, s *Session) {
	if s.Tokens.Refresh.IsZero() && s.Tokens.Access.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeDeadline)
	defer cancel()
	event := RevocationEvent{App: s.App, Provider: s.Provider, Err: e.ports.Providers(s.App).Revoke(ctx, s.Tokens)}
	if s.Lookup != "" { // a login that nobody redeemed never was a session
		event.SessionID = s.ID()
	}
	call(ctx, e.trace.Revoked, event)
}

// ticket is what a one-time logout URL stands for. The store seals it.
type ticket struct {
	App    string `json:"app"`
	Hint   string `json:"hint,omitempty"`   // the ID token: it may leave in one top-level navigation only
	Notice string `json:"notice,omitempty"` // of a native app, whose sign-out had no browser to leave it in: SignedOut.Notice
}

// putTicket stores what the way on to the provider needs. Where that fails, the sign-out here stands all the same.
func (e *Engine) putTicket(ctx context.Context, app *App, s *Session, notice string) string {
	t := ticket{App: app.ID, Hint: s.Tokens.ID.Reveal()}
	if app.Native() {
		t.Notice = notice
	}
	value, _ := json.Marshal(t) // strings: it cannot fail
	// 256 random bits: who knows the name is sent on with the hint, so it must not be guessed (ASVS 7.2.3).
	name := NewRoot().Reveal()
	if err := e.ports.OneTime.Put(ctx, "out", name, value, ticketLife); err != nil {
		e.trace.alarm(ctx, "storing a logout ticket", err)
		return ""
	}
	return name
}

// RedeemTicket takes a one-time logout URL and returns the navigation that ends the provider's session; nil if the
// provider has none. state comes back at the app's post-logout return. A used or unknown ticket is CodeGone.
func (e *Engine) RedeemTicket(ctx context.Context, app *App, name, state string) (*EndSessionRequest, error) {
	t, err := e.takeOut(ctx, name)
	if err != nil {
		return nil, err
	}
	// Taken and gone all the same: a ticket that was shown to another app is not to be used afterwards by its own.
	if t.App != app.ID {
		return nil, errForeignTicket()
	}
	return e.endSessionRequest(ctx, app, t, state)
}

// NativeTicket is a redeemed one-time logout URL of a native app.
type NativeTicket struct {
	App    *App
	To     *EndSessionRequest // nil: the provider has no end_session endpoint, or Err
	Err    error              // why the provider cannot be asked: the sign-out here stands all the same
	Notice string             // for a cookie of this browser, as SignedOut.Notice
}

// RedeemNativeTicket is RedeemTicket where the address does not say whose the ticket is. apps finds a native app by id.
// An error means that there is no ticket (CodeGone), or that it may be there (CodeStoreUnavailable).
func (e *Engine) RedeemNativeTicket(
	ctx context.Context, apps func(id string) *App, name, state string,
) (*NativeTicket, error) {
	t, err := e.takeOut(ctx, name)
	if err != nil {
		return nil, err
	}
	app := apps(t.App)
	if app == nil || !app.Native() {
		return nil, errForeignTicket()
	}
	to, err := e.endSessionRequest(ctx, app, t, state)
	return &NativeTicket{App: app, To: to, Err: err, Notice: t.Notice}, nil
}

// takeOut takes the ticket of a one-time logout URL.
func (e *Engine) takeOut(ctx context.Context, name string) (*ticket, error) {
	value, err := e.ports.OneTime.Take(ctx, "out", name)
	var t ticket
	switch {
	case errors.Is(err, ErrUsed):
		return nil, &Error{Code: CodeGone, Message: "This sign-out link was used already, or is too old."}
	case err != nil:
		return nil, e.refused(ctx, nil, "", err) // an outage, or sealed by an instance with a newer key
	case json.Unmarshal(value, &t) != nil:
		return nil, errForeignTicket()
	}
	return &t, nil
}

func errForeignTicket() error {
	return &Error{Code: CodeGone, Message: "This sign-out link is not one of this app."}
}

// endSessionRequest is the navigation that a ticket stands for; nil if the provider has none.
func (e *Engine) endSessionRequest(ctx context.Context, app *App, t *ticket, state string) (*EndSessionRequest, error) {
	p, ok := e.ports.Providers(app.ID).(LogoutProvider)
	if !ok {
		return nil, nil
	}
	return p.EndSession(ctx, NewSecret(t.Hint), app.PostLogoutURI, state)
}

// sealNotice makes the cookie that lets this browser sign in again at once.
func (e *Engine) sealNotice(app *App, markerID string) string {
	return base64.RawURLEncoding.EncodeToString(e.ring.Seal(PurposeSignedOut, []byte(markerID), app.ID))
}

// openNotice returns the marker's id; "" for anything that is no notice of this app.
func (e *Engine) openNotice(app *App, sealed string) string {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || sealed == "" {
		return ""
	}
	id, err := e.ring.Open(PurposeSignedOut, raw, app.ID)
	if err != nil {
		return ""
	}
	return string(id)
}

// endOne ends one session, no other of its SSO session, and revokes its tokens beside.
func (e *Engine) endOne(ctx context.Context, s *Session, reason Reason) error {
	s = e.newest(ctx, s)
	ended, err := e.ports.Records.Delete(ctx, s.Lookup, nil, reason)
	if err != nil {
		return storeError("ending the session", err)
	}
	if ended != nil {
		e.trace.sessionEnded(ctx, *ended, reason)
	}
	e.beside(revokeDeadline, func(ctx context.Context) { e.revoke(ctx, s) })
	return nil
}

// RevokeHandle ends the session of a handle of either kind (RFC 7009). A handle that opens nothing is success (section
// 2.2), and so is one that a rotation has made worthless. One whose own time is over still ends its session: whoever signs
// out after a pause means it. Errors are outages, and tell that it must be asked again.
func (e *Engine) RevokeHandle(ctx context.Context, app *App, h Handle) error {
	s, err := e.read(ctx, app, h.root)
	if err != nil {
		if CodeOf(asGrant(err)) == CodeGrantRejected {
			return nil
		}
		return err
	}
	if rule := e.misused(app, s, h); rule != "" {
		e.trace.refusedCredential(ctx, app, rule)
		return nil
	}
	if !s.Turn.leaves(h.turn, app, e.now()) {
		return nil
	}
	return e.endOne(ctx, s, ReasonSignedOut)
}
