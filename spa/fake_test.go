package spa_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"cloakroom/bff"
)

// memory is a store in a map, with an off switch. It keeps sessions as they are: what a record looks like sealed is
// package store's business.
type memory struct {
	mu       sync.Mutex
	down     bool
	asked    int // calls of any kind
	sessions map[bff.Lookup]bff.Session
	ended    map[bff.Lookup]bff.Reason
	markers  map[bff.Target]bff.Marker
	once     map[string][]byte
	touched  chan bff.Lookup // one entry per Touch that was carried out
}

func newMemory() *memory {
	return &memory{
		sessions: map[bff.Lookup]bff.Session{}, ended: map[bff.Lookup]bff.Reason{},
		markers: map[bff.Target]bff.Marker{}, once: map[string][]byte{}, touched: make(chan bff.Lookup, 64),
	}
}

// enter takes the lock, counts the call and reports an outage.
func (m *memory) enter() (leave func(), err error) {
	m.mu.Lock()
	m.asked++
	if m.down {
		return m.mu.Unlock, bff.ErrStore
	}
	return m.mu.Unlock, nil
}

func (m *memory) setDown(down bool) { m.mu.Lock(); m.down = down; m.mu.Unlock() }
func (m *memory) calls() int        { m.mu.Lock(); defer m.mu.Unlock(); return m.asked }
func (m *memory) count() int        { m.mu.Lock(); defer m.mu.Unlock(); return len(m.sessions) }

func (m *memory) Create(_ context.Context, s *bff.Session) error {
	leave, err := m.enter()
	defer leave()
	if err == nil {
		m.sessions[s.Lookup] = *s
	}
	return err
}

func (m *memory) Read(_ context.Context, root bff.Root) (*bff.Session, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	if reason, ok := m.ended[root.Lookup()]; ok {
		return nil, &bff.EndedError{Reason: reason}
	}
	s, ok := m.sessions[root.Lookup()]
	if !ok {
		return nil, bff.ErrNoSession
	}
	return &s, nil
}

func (m *memory) Touch(_ context.Context, s *bff.Session, at time.Time) error {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return err
	}
	kept, ok := m.sessions[s.Lookup]
	if !ok {
		return bff.ErrNoSession
	}
	kept.LastActive = at
	m.sessions[s.Lookup] = kept
	m.touched <- s.Lookup
	return nil
}

func (m *memory) Delete(_ context.Context, l bff.Lookup, marker *bff.Marker, reason bff.Reason) (*bff.Ended, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	s, ok := m.sessions[l]
	if !ok || marker != nil && !marker.Applies(s.Began, s.Groups, s.Seen) {
		return nil, nil
	}
	delete(m.sessions, l)
	m.ended[l] = reason
	return &bff.Ended{Lookup: l, App: s.App}, nil
}

func (m *memory) Mark(_ context.Context, targets []bff.Target, marker bff.Marker) error {
	leave, err := m.enter()
	defer leave()
	for _, t := range targets {
		m.markers[t] = marker
	}
	return err
}

func (m *memory) Marked(_ context.Context, targets []bff.Target) (found []bff.Marker, err error) {
	leave, err := m.enter()
	defer leave()
	for _, t := range targets {
		if marker, ok := m.markers[t]; ok {
			found = append(found, marker)
		}
	}
	return found, err
}

func (m *memory) Members(_ context.Context, t bff.Target) (found []bff.Member, err error) {
	leave, err := m.enter()
	defer leave()
	for l, s := range m.sessions {
		if t.Scope == bff.ScopeSSO && t.Provider == s.Provider && slices.Contains(s.Groups, t.Value) ||
			t == (bff.Target{Scope: bff.ScopeSubject, Provider: s.Provider, Value: s.Subject}) {
			found = append(found, bff.Member{Lookup: l, App: s.App, Groups: s.Groups, CreatedAt: s.CreatedAt, End: s.AbsoluteEnd})
		}
	}
	return found, err
}

func (m *memory) Devices(ctx context.Context, t bff.Target) (found []bff.Device, err error) {
	members, err := m.Members(ctx, t)
	for _, member := range members {
		m.mu.Lock()
		s := m.sessions[member.Lookup]
		m.mu.Unlock()
		found = append(found, bff.Device{Member: member, Text: s.Device, LastActive: s.LastActive, Idle: s.Idle})
	}
	return found, err
}

func (m *memory) LineUp(context.Context, *bff.Session) ([]bff.Lookup, error) {
	return nil, errors.New("no app of these tests has a limit")
}

func (m *memory) Use(_ context.Context, kind, name, _ string, _ time.Duration) error {
	leave, err := m.enter()
	defer leave()
	if _, used := m.once[kind+name]; used {
		return bff.ErrUsed
	}
	if err == nil {
		m.once[kind+name] = nil
	}
	return err
}

func (m *memory) Used(_ context.Context, kind, name string) (bool, error) {
	leave, err := m.enter()
	defer leave()
	_, used := m.once[kind+name]
	return used, err
}

func (m *memory) Put(_ context.Context, kind, name string, value []byte, _ time.Duration) error {
	leave, err := m.enter()
	defer leave()
	if err == nil {
		m.once[kind+name] = value
	}
	return err
}

func (m *memory) Take(_ context.Context, kind, name string) ([]byte, error) {
	leave, err := m.enter()
	defer leave()
	value, ok := m.once[kind+name]
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, bff.ErrUsed
	}
	delete(m.once, kind+name)
	return value, nil
}

// provider answers as it is told to, and remembers what it was asked.
type provider struct {
	mu        sync.Mutex
	identity  bff.Identity
	down      bool
	endPost   bool
	noEnd     bool
	exchanges []bff.CodeExchange
	revoked   chan bff.TokenSet
}

// The tokens that must never show anywhere.
const (
	accessToken = "secret-access-token"
	idToken     = "secret-id-token"
)

func (p *provider) AuthorizationURL(_ context.Context, r bff.AuthorizationRequest) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return "", &bff.Error{Code: bff.CodeIDPUnavailable, Message: "The provider does not answer."}
	}
	q := url.Values{"state": {r.State}, "nonce": {r.Nonce}, "redirect_uri": {redirectURI}, "response_type": {"code"}}
	if r.MaxAge != nil {
		q.Set("max_age", time.Duration(*r.MaxAge).String())
	}
	for name, values := range r.Extra {
		q[name] = values
	}
	return "https://idp.example/authorize?" + q.Encode(), nil
}

func (p *provider) CheckIssuer(_ context.Context, iss string) error {
	if iss != "" && iss != issuer {
		return errors.New("another issuer")
	}
	return nil
}

func (p *provider) Exchange(_ context.Context, r bff.CodeExchange) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exchanges = append(p.exchanges, r)
	id := p.identity
	return &bff.Grant{
		Tokens: bff.TokenSet{
			Access: bff.NewSecret(accessToken), ID: bff.NewSecret(idToken), TokenType: "Bearer",
			ReceivedAt: start, RefreshAt: start.Add(1000 * time.Hour), ExpiresAt: start.Add(1001 * time.Hour),
		},
		Identity: &id,
	}, nil
}

func (p *provider) Refresh(context.Context, *bff.Session, string) (*bff.Grant, error) {
	return nil, errors.New("nothing here is ever due")
}

func (p *provider) Revoke(_ context.Context, t bff.TokenSet) error {
	p.revoked <- t
	return nil
}

func (p *provider) EndSession(_ context.Context, hint bff.Secret, returnTo, state string) (*bff.EndSessionRequest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.down:
		return nil, &bff.Error{Code: bff.CodeIDPUnavailable, Message: "The provider does not answer."}
	case p.noEnd:
		return nil, nil
	}
	return &bff.EndSessionRequest{
		URL: "https://idp.example/end?tenant=1", Post: p.endPost,
		Values: url.Values{"id_token_hint": {hint.Reveal()}, "post_logout_redirect_uri": {returnTo}, "state": {state}},
	}, nil
}

func (p *provider) asked() int { p.mu.Lock(); defer p.mu.Unlock(); return len(p.exchanges) }

func (p *provider) signsIn(subject, sid string) {
	p.authenticates(subject, sid, start.Add(-time.Minute))
}

func (p *provider) authenticates(subject, sid string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.identity = bff.Identity{
		Subject: subject, SID: sid, ACR: "silver", AuthTime: at,
		Claims: []byte(`{"sub":"` + subject + `","name":"Ann","internal_role":"auditor"}`),
	}
}
