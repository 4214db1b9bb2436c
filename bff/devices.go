package bff

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// CodeRecentSignIn is the refusal of what only a user who has just signed in may do: 403, with Error.MaxAge.
const CodeRecentSignIn Code = "recent_sign_in_required"

// Device is a session as its user sees it in the list of all of theirs.
type Device struct {
	Member
	Text       string        // what it runs on, as its sign-in said: Session.Device; "" = not known
	Platform   string        // and the system below it: Session.Platform; "" = not known
	LastActive time.Time     // as the record says
	Idle       time.Duration // as the record says
}

// lives reports whether neither end of the session has passed.
func (d *Device) lives(now time.Time) bool {
	return now.Before(d.End) && now.Before(d.LastActive.Add(d.Idle))
}

// Devices finds what a user may see of their own sessions.
type Devices interface {
	// Devices returns what is indexed under a target and has a record, under any index key. It does not judge idle and
	// absolute end. An entry whose sealed part does not open has no Groups. ErrStore as ever.
	Devices(ctx context.Context, t Target) ([]Device, error)
	// LineUp puts a stored session at the end of the line of its subject's sessions at its app, and returns those before
	// it, the one that has stood longest first: over all instances, of two sessions exactly one finds the other. Some that
	// ended may stand there still; the implementation may forget those far ahead. ErrStore as ever.
	LineUp(ctx context.Context, s *Session) ([]Lookup, error)
}

// Devices lists the live sessions of the user of s at its provider, over all apps and devices (ASVS 7.5.2): the one asked
// from first, then by when they were last used. It changes nothing, and is no activity.
func (e *Engine) Devices(ctx context.Context, s *Session) ([]Device, error) {
	all, err := e.ports.Devices.Devices(ctx, s.owner())
	if err != nil {
		return nil, storeError("listing the user's sessions", err)
	}
	now := e.now()
	all = slices.DeleteFunc(all, func(d Device) bool { return !d.lives(now) })
	slices.SortFunc(all, func(a, b Device) int {
		switch s.Lookup {
		case a.Lookup:
			return -1
		case b.Lookup:
			return 1
		}
		return cmp.Or(b.LastActive.Compare(a.LastActive), cmp.Compare(a.Lookup, b.Lookup))
	})
	return all, nil
}

// owner is the target of all sessions of the user.
func (s *Session) owner() Target { return Target{ScopeSubject, s.Provider, s.Subject} }

// EndDevice ends the session of that public name, and all of its SSO session, if it is one of the user of s; anything else
// is CodeNotFound, whatever it is. Where s belongs to that SSO session itself this is its sign-out, and the answer is that
// of SignOut; otherwise nil. CodeRecentSignIn where the sign-in of s is too long ago.
func (e *Engine) EndDevice(ctx context.Context, app *App, s *Session, id string) (*SignedOut, error) {
	if err := e.signedInRecently(app, s); err != nil {
		return nil, err
	}
	all, err := e.Devices(ctx, s)
	if err != nil {
		return nil, err
	}
	// Looked for among the user's own and nowhere else: another's is as unknown as one that never was (ASVS 8.2.2).
	at := slices.IndexFunc(all, func(d Device) bool { return d.ID() == id })
	if at < 0 {
		return nil, &Error{Code: CodeNotFound, Message: "You have no such session."}
	}
	groups, err := e.tiedGroups(ctx, app, s, all[at].Member)
	if err != nil {
		return nil, storeError("listing the user's sessions", err)
	}
	if all[at].Lookup == s.Lookup || slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
		return e.SignOut(ctx, app, s)
	}
	return nil, e.endTied(ctx, s.Provider, groups, all[at].Lookup)
}

// ID is the session's public name.
func (m *Member) ID() string { return m.Lookup.ID() }

// tiedGroups returns the groups of a member and all that are tied to those by further sessions of its user; none where
// nothing but the subject ties sessions: ending one device would be ending all.
func (e *Engine) tiedGroups(ctx context.Context, app *App, s *Session, of Member) ([]string, error) {
	if app.Provider.SSOBy == SSOBySubject {
		return nil, nil
	}
	members, err := e.ports.Markers.Members(ctx, s.owner())
	if err != nil {
		return nil, err
	}
	groups := slices.Clone(of.Groups)
	for known := -1; known < len(groups); { // until a round finds no more
		known = len(groups)
		for _, m := range append(members, Member{Groups: s.Groups}) {
			if slices.ContainsFunc(m.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
				groups = union(groups, m.Groups)
			}
		}
	}
	return groups, nil
}

// union adds to a list what it does not hold yet.
func union(list, more []string) []string {
	for _, v := range more {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// endTied ends the SSO session of these groups, the session of a lookup last, so that one that failed on the way is still
// in the list. That one goes whatever the marker says: its user asked for it.
func (e *Engine) endTied(ctx context.Context, provider string, groups []string, lookup Lookup) error {
	var targets []Target
	for _, g := range groups {
		targets = append(targets, Target{ScopeSSO, provider, g})
	}
	err := e.endAll(ctx, targets, Marker{ID: newID(), At: e.now()}, ReasonSignedOut, lookup)
	if err == nil {
		err = e.endUnopened(ctx, lookup, nil, ReasonSignedOut)
	}
	if err != nil {
		return storeError("ending a session", err)
	}
	return nil
}

// EndOtherDevices ends all sessions of the user of s but its own SSO session, those included that are being signed in at
// this moment (ASVS 7.4.3, 7.5.2). CodeRecentSignIn as of EndDevice.
func (e *Engine) EndOtherDevices(ctx context.Context, app *App, s *Session) error {
	if err := e.signedInRecently(app, s); err != nil {
		return err
	}
	end := e.endOthers
	// A marker spares a group. Without one of its own to spare the others are ended one by one: the same for all that are
	// there, but a sign-in on its way goes through.
	if len(s.Groups) == 0 || app.Provider.SSOBy == SSOBySubject {
		end = e.endEachOther
	}
	if err := end(ctx, s); err != nil {
		return storeError("ending the other sessions", err)
	}
	return nil
}

// endOthers ends all that the marker of the subject applies to. A session that stepped up is in two groups, and one of
// them can be spared: the oldest, which every later step-up inherits.
func (e *Engine) endOthers(ctx context.Context, s *Session) error {
	m := Marker{ID: newID(), At: e.now(), Except: s.Groups[len(s.Groups)-1]}
	return e.endAll(ctx, []Target{s.owner()}, m, ReasonSignedOut, s.Lookup)
}

func (e *Engine) endEachOther(ctx context.Context, s *Session) error {
	members, err := e.ports.Markers.Members(ctx, s.owner())
	others := slices.DeleteFunc(members, func(m Member) bool { return m.Lookup == s.Lookup })
	_, failed := together(e, others, endsAtOnce, func(m Member) (struct{}, error) {
		return struct{}{}, e.endUnopened(ctx, m.Lookup, nil, ReasonSignedOut)
	})
	return errors.Join(err, failed)
}

// signedInRecently refuses what asks for a recent sign-in (ASVS 7.5.2: "having authenticated again"): who finds an open
// browser, or has got hold of a cookie, does not lock its owner out everywhere else. Where the provider tells when the user
// authenticated, that decides (OpenID Connect Core section 2, auth_time): a browser that is open is signed in without a
// question, as often as anybody likes. The zero App.Recent refuses all.
func (e *Engine) signedInRecently(app *App, s *Session) error {
	at := s.AuthTime
	if at.IsZero() {
		at = s.CreatedAt
	}
	if e.now().Sub(at) < app.Recent {
		return nil
	}
	return &Error{Code: CodeRecentSignIn, Message: "Sign in again to do this.", MaxAge: app.Recent}
}
