package bff

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scanner goes over all records there are, for what no index tells: whose public name is this, who is signed in at an app?
// It costs the store work for every record, and the requests of users nothing.
type Scanner interface {
	// Scan returns the records of one step, on from where an earlier step on whatever instance said ("": from the beginning).
	// A record that is there from the first step to the last is returned at least once, whatever becomes of the servers
	// meanwhile; one that comes or goes may be. ErrStore: the same step may be asked for again.
	Scan(ctx context.Context, from string) (ScanStep, error)
	// Described returns what records say in clear, but for those that are gone, as Devices.Devices does without an index:
	// nothing has Groups.
	Described(ctx context.Context, lookups []Lookup) ([]Device, error)
	// Entry returns the index entry of a session; ErrNoSession if it has none (any more), ErrKeyUnknown if it does not open.
	Entry(ctx context.Context, lookup Lookup) (Member, error)
}

// ScanStep is what one step of a scan found.
type ScanStep struct {
	Lookups []Lookup
	Next    string // where to go on, a few hundred bytes of text; "" = that was all
	Pass    int    // counts from 1: servers that changed on the way are gone over again
}

// SessionsOf lists the live sessions of a target of ScopeSubject, ScopeSID or ScopeSSO, the last used first.
func (e *Engine) SessionsOf(ctx context.Context, t Target) ([]Device, error) {
	all, err := e.ports.Devices.Devices(ctx, t)
	if err != nil {
		return nil, storeError("listing sessions", err)
	}
	now := e.now()
	all = slices.DeleteFunc(all, func(d Device) bool { return !d.lives(now) })
	slices.SortFunc(all, func(a, b Device) int { return b.LastActive.Compare(a.LastActive) })
	return all, nil
}

// EndSessionsOf ends the sessions of a target of ScopeSubject or ScopeSID with all that is tied to them, as a logout token
// does, and those that are being signed in (ASVS 7.4.5). It returns how many, also beside an error.
func (e *Engine) EndSessionsOf(ctx context.Context, t Target) (int, error) {
	return e.endTarget(ctx, t, e.byAdmin(""))
}

// SessionNamed finds a live session by its public name. Nothing is indexed by it, so that nothing is written for it at any
// sign-in: all records are gone over. CodeNotFound if there is none, CodeBadRequest for what is no name.
func (e *Engine) SessionNamed(ctx context.Context, id string) (*Device, error) {
	lookup, err := e.lookupNamed(ctx, id)
	if err != nil {
		return nil, err
	}
	var found []Device
	if lookup != "" {
		found, err = e.ports.Scan.Described(ctx, []Lookup{lookup})
	}
	switch {
	case err != nil:
		return nil, storeError("reading the session", err)
	case len(found) == 0 || !found[0].lives(e.now()):
		return nil, &Error{Code: CodeNotFound, Message: "There is no live session of this name."}
	}
	return &found[0], nil
}

// lookupNamed returns the lookup with that public name; "" if no record has it.
func (e *Engine) lookupNamed(ctx context.Context, id string) (Lookup, error) {
	if b, err := base64.RawURLEncoding.Strict().DecodeString(id); err != nil || len(b) != idBytes {
		return "", &Error{Code: CodeBadRequest, Message: "This is not the name of a session."}
	}
	for from := ""; ; {
		step, err := e.ports.Scan.Scan(ctx, from)
		if err != nil {
			return "", storeError("looking for a session", err)
		}
		if i := slices.IndexFunc(step.Lookups, func(l Lookup) bool { return l.ID() == id }); i >= 0 {
			return step.Lookups[i], nil
		}
		if from = step.Next; from == "" {
			return "", nil
		}
	}
}

// EndSessionNamed ends the session of that public name, and with sso also its SSO session. apps finds an app by id; nil if
// it is not configured. It returns how many it ended, also beside an error: none if there is no such session.
func (e *Engine) EndSessionNamed(ctx context.Context, apps func(id string) *App, id string, sso bool) (n int, err error) {
	lookup, err := e.lookupNamed(ctx, id)
	if err != nil || lookup == "" {
		return 0, err
	}
	if sso {
		n, err = e.endAround(ctx, apps, lookup)
	}
	var last *Ended // the one that was asked for: after an error it is still there to be asked for again
	if err == nil {
		last, err = e.ports.Records.Delete(ctx, lookup, nil, ReasonAdmin)
	}
	if last != nil {
		n++
		e.trace.sessionEnded(ctx, *last, ReasonAdmin)
		e.revokeUnopened(last)
	}
	if err != nil {
		return n, adminError("ending a session", err)
	}
	return n, nil
}

// byAdmin is how an administrator ends sessions, but for one.
func (e *Engine) byAdmin(spare Lookup) ending {
	return ending{marker: Marker{ID: newID(), At: e.now()}, reason: ReasonAdmin, spare: spare}
}

// adminError tells an outage from a key that this instance does not have yet.
func adminError(doing string, err error) error {
	if errors.Is(err, ErrKeyUnknown) {
		return &Error{
			Code: CodeKeyUnknown, Message: "This instance cannot open that yet. Try again in a moment.",
			RetryAfter: 5 * time.Second, Err: err, // a rolling deploy reaches the other instances within seconds
		}
	}
	return storeError(doing, err)
}

// endAround ends all of the SSO session of a lookup but that one.
func (e *Engine) endAround(ctx context.Context, apps func(id string) *App, lookup Lookup) (int, error) {
	entry, err := e.ports.Scan.Entry(ctx, lookup)
	if errors.Is(err, ErrNoSession) {
		return 0, nil // it went meanwhile
	}
	if err != nil {
		return 0, fmt.Errorf("finding its SSO session: %w", err)
	}
	app := apps(entry.App)
	if app == nil || len(entry.Groups) == 0 { // nothing ties it to another
		return 0, nil
	}
	var targets []Target
	for _, g := range entry.Groups {
		targets = append(targets, Target{ScopeSSO, app.Provider.Name, g})
	}
	return e.endEach(ctx, targets, e.byAdmin(lookup))
}

// revocations paces what a purge revokes: as many at once as a provider takes from one client, and none any more once it
// has stopped answering, for a sign-out waits for nobody.
type revocations struct {
	places chan struct{}
	gaveUp bool
}

const (
	revokeAtOnce   = 16              // revocations of one purge: a quarter of the calls that a token endpoint gets from one instance
	revokePatience = 2 * time.Second // what a purge waits for a place: longer than a provider that is well takes for one
)

// errTooMany says that a purge did not wait for the provider.
var errTooMany = fmt.Errorf("not revoked: the provider did not keep up with %d at once", revokeAtOnce)

// revokePurged revokes what a purge ended, where it can be opened.
func (e *Engine) revokePurged(ctx context.Context, r *revocations, ended *Ended) {
	if ended.Refresh.IsZero() {
		return
	}
	if !r.take(ctx) {
		call(ctx, e.trace.Revoked, RevocationEvent{App: ended.App, SessionID: ended.Lookup.ID(), Err: errTooMany})
		return
	}
	e.beside(revokeDeadline, func(ctx context.Context) {
		defer func() { <-r.places }()
		e.revoke(ctx, &Session{Lookup: ended.Lookup, App: ended.App, Tokens: TokenSet{Refresh: ended.Refresh}})
	})
}

// take waits for a place; false: there is none, and none is waited for from here on.
func (r *revocations) take(ctx context.Context) bool {
	if r.gaveUp {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, revokePatience)
	defer cancel()
	select {
	case r.places <- struct{}{}:
		return true
	case <-ctx.Done():
		r.gaveUp = true
		return false
	}
}
