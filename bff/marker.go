package bff

import (
	"context"
	"slices"
	"time"
)

// markerSlack is how much later than a marker a session may have begun and still be ended by it: instances and Redis
// tell the time by different clocks, which are kept within a second of each other.
const markerSlack = 2 * time.Second

// Scope is what an end marker is about.
type Scope string

// The scopes of markers and, but for ScopeApp, of indexes.
const (
	ScopeSSO     Scope = "sso" // one SSO session, by its group
	ScopeSID     Scope = "sid" // one session id of the provider, whatever ties its SSO sessions
	ScopeSubject Scope = "sub" // all sessions of a subject
	ScopeApp     Scope = "app" // all sessions of an app
)

// Target names what an ending is about, in the clear; the store keeps only MACs of it.
type Target struct {
	Scope    Scope
	Provider string // the configured name
	Value    string // group, sid, subject or app id
}

// Marker says that everything of its target that began before its time has ended. It is written before anything is
// deleted, so that whoever is in the middle of a login, a refresh or a redemption finds it after writing.
type Marker struct {
	ID     string
	At     time.Time
	Except string // a group that is spared ("end all others"); "" spares none
}

// Applies reports whether the marker ends a session that began at began in these groups, and whose browser had already
// been signed out by the marker named seen.
func (m *Marker) Applies(began time.Time, groups []string, seen string) bool {
	switch {
	case m.ID == seen:
		return false
	case m.Except != "" && slices.Contains(groups, m.Except):
		return false
	default:
		return began.Before(m.At.Add(markerSlack))
	}
}

// Markers keeps end markers, and finds whom they are about.
type Markers interface {
	// Mark writes the marker for each target. A later one that is already there is kept. It lives as long as the
	// longest session.
	Mark(ctx context.Context, targets []Target, m Marker) error
	// Marked returns the markers of these targets that exist.
	Marked(ctx context.Context, targets []Target) ([]Marker, error)
	// Members returns what is indexed under a target of ScopeSSO, ScopeSID or ScopeSubject, under any index key. An entry
	// whose sealed part does not open has its Lookup alone.
	Members(ctx context.Context, t Target) ([]Member, error)
}

// Member is an entry of an index: enough to end a session whose credential is not at hand, and all of the SSO session
// it belongs to. All but the lookup and the end is sealed by the ring.
type Member struct {
	Lookup    Lookup
	App       string
	Groups    []string
	CreatedAt time.Time
	End       time.Time // of the entry
}

// targets returns everything by which this session can be ended from outside.
func (s *Session) targets() []Target {
	t := []Target{
		{ScopeSubject, s.Provider, s.Subject},
		{ScopeApp, s.Provider, s.App},
	}
	if s.SID != "" {
		t = append(t, Target{ScopeSID, s.Provider, s.SID})
	}
	for _, g := range s.Groups {
		t = append(t, Target{ScopeSSO, s.Provider, g})
	}
	return t
}

// ended reports whether a marker that exists now ends this session.
func (e *Engine) ended(ctx context.Context, s *Session) (bool, error) {
	m, err := e.endedBy(ctx, s)
	return m != nil, err
}

// endedBy returns a marker that exists now and ends this session; nil if none does.
func (e *Engine) endedBy(ctx context.Context, s *Session) (*Marker, error) {
	markers, err := e.ports.Markers.Marked(ctx, s.targets())
	if err != nil {
		return nil, err
	}
	for _, m := range markers {
		if m.Applies(s.Began, s.Groups, s.Seen) {
			return &m, nil
		}
	}
	return nil, nil
}
