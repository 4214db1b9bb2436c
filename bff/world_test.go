package bff_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/bff"
	"cloakroom/store"
)

// world is one Redis, one provider, and any number of instances of the gateway's domain.
type world struct {
	t     *testing.T
	redis *miniredis.Miniredis
	idp   *fakeProvider
	app   *bff.App
	clock *fakeClock
	limit bff.Limits

	revocable bool // the provider's setting
}

// fakeClock is what all instances take for local time. Timers run by the real one.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, redis: miniredis.RunT(t), idp: newFakeProvider(), clock: &fakeClock{at: time.Now()},
		// Short enough to wait for, and in the proportions of the defaults.
		limit: bff.Limits{
			Lease: 600 * time.Millisecond, CallDeadline: 5 * time.Second, Suspicion: 300 * time.Millisecond,
			Poll: 20 * time.Millisecond, Recheck: 100 * time.Millisecond,
		},
	}
	w.idp.now = w.clock.now
	w.app = &bff.App{
		ID: "web", Kind: bff.KindSPA, Origin: "https://app.example.com", ClientID: "client-web",
		RedirectURI:  "https://app.example.com/bff/callback",
		Provider:     &bff.ProviderPolicy{Name: "main", Issuer: "https://op.example.com", SSOBy: bff.SSOBySID},
		Claims:       []string{"sub", "name"},
		StoredClaims: []string{"sub", "name"}, Idle: 30 * time.Minute, Absolute: 12 * time.Hour, DefaultReturn: "/",
	}
	return w
}

// instance is one process of the gateway.
type instance struct {
	*bff.Engine
	store *store.Store
	seen  *seen
}

// seen is what an instance told its trace.
type seen struct {
	mu        sync.Mutex
	refreshes []bff.RefreshEvent
	began     []bff.SessionEvent
	ended     []bff.SessionEvent
	refused   []bff.RefusalEvent
	revoked   []bff.RevocationEvent
	logouts   []bff.LogoutEvent
	alarms    []bff.AlarmEvent
	waits     int
	changed   chan struct{}
}

func note[E any](s *seen, add func(E)) func(context.Context, E) {
	return func(_ context.Context, e E) {
		s.mu.Lock()
		defer s.mu.Unlock()
		add(e)
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// until waits until what the trace was told satisfies ok.
func (s *seen) until(t *testing.T, what string, ok func(*seen) bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		done := ok(s)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.changed:
		case <-timeout:
			t.Fatalf("never saw %s", what)
		}
	}
}

// ring is the keyring of all instances.
func (w *world) ring() *bff.Keyring {
	w.t.Helper()
	ring, err := bff.NewKeyring(
		[]bff.Key{{ID: "k1", Bytes: bff.NewSecret("0123456789abcdef0123456789abcdef")}}, nil,
		[]bff.Key{{ID: "i1", Bytes: bff.NewSecret("fedcba9876543210fedcba9876543210")}})
	if err != nil {
		w.t.Fatal(err)
	}
	return ring
}

// instance starts one more process. wrap may replace ports, to put a gate or a fault into one.
func (w *world) instance(wrap ...func(*bff.Ports)) *instance {
	w.t.Helper()
	ring := w.ring()
	st, err := store.New(store.Options{
		Addrs: []string{w.redis.Addr()}, KeyPrefix: "cr:", Ring: ring, Now: w.clock.now, MarkerLife: 13 * time.Hour,
		Revocable:   func(string) bool { return w.revocable },
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, // a machine that is busy is no outage
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &seen{changed: make(chan struct{}, 1)}
	trace := &bff.Trace{
		RefreshDone:       note(s, func(e bff.RefreshEvent) { s.refreshes = append(s.refreshes, e) }),
		SessionBegan:      note(s, func(e bff.SessionEvent) { s.began = append(s.began, e) }),
		CredentialRefused: note(s, func(e bff.RefusalEvent) { s.refused = append(s.refused, e) }),
		SessionEnded:      note(s, func(e bff.SessionEvent) { s.ended = append(s.ended, e) }),
		LogoutToken:       note(s, func(e bff.LogoutEvent) { s.logouts = append(s.logouts, e) }),
		Revoked:           note(s, func(e bff.RevocationEvent) { s.revoked = append(s.revoked, e) }),
		Alarm:             note(s, func(e bff.AlarmEvent) { s.alarms = append(s.alarms, e) }),
		RefreshWaiting:    note(s, func(bff.SessionEvent) { s.waits++ }),
	}
	ports := bff.Ports{
		Records: st, Leases: st, Markers: st, OneTime: st, Events: st, Turns: st, Proofs: st, Codes: st, Devices: st, Replays: st, States: st, Kept: st,
		Providers: func(string) bff.Provider { return w.idp },
	}
	for _, f := range wrap {
		f(&ports)
	}
	e := bff.NewEngine(ports, ring, st.Now, trace, w.limit)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	w.t.Cleanup(func() {
		drain, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := e.Drain(drain); err != nil {
			w.t.Error(err)
		}
		cancel()
		running.Wait()
		_ = st.Close()
	})
	return &instance{Engine: e, store: st, seen: s}
}

// login signs in at in, as a browser that carries nothing, and returns the session's root.
func (w *world) login(in *instance) bff.Root {
	w.t.Helper()
	return w.loginWith(in, bff.LoginRequest{}).Session.Root
}

func (w *world) loginWith(in *instance, r bff.LoginRequest) *bff.Login {
	w.t.Helper()
	start, state := w.begin(in, r)
	l, err := in.CompleteLogin(context.Background(), w.app, bff.Callback{
		State: state, Code: bff.NewSecret("code"), Issuer: "https://op.example.com", Sealed: start.Sealed,
	})
	if err != nil {
		w.t.Fatalf("completing a login: %v", err)
	}
	return l
}

// begin starts a login and returns what the provider was sent as state.
func (w *world) begin(in *instance, r bff.LoginRequest) (*bff.LoginStart, string) {
	w.t.Helper()
	start, err := in.BeginLogin(context.Background(), w.app, r)
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(start.RedirectTo)
	if err != nil {
		w.t.Fatal(err)
	}
	return start, u.Query().Get("state")
}

// session reads a session that must be alive.
func (w *world) session(in *instance, root bff.Root) *bff.Session {
	w.t.Helper()
	s, err := in.Session(context.Background(), w.app, root)
	if err != nil {
		w.t.Fatalf("reading the session: %v", err)
	}
	return s
}

// dead asserts that a root opens nothing any more.
func (w *world) dead(in *instance, root bff.Root) {
	w.t.Helper()
	if _, err := in.Session(context.Background(), w.app, root); bff.CodeOf(err) != bff.CodeSessionEnded &&
		bff.CodeOf(err) != bff.CodeSessionRequired {
		w.t.Fatalf("session after its end: %v, want ended", err)
	}
}

// expire moves the clock past the access token's end.
func (w *world) expire() { w.clock.move(61 * time.Second) }

// fakeProvider is the provider as the domain sees it: it rotates refresh tokens, knows each generation, and treats every
// second use as the real ones do.
type fakeProvider struct {
	mu       sync.Mutex
	subject  string
	sid      string
	authTime time.Time
	issued   int
	live     string          // the refresh token that is good
	used     map[string]int  // how often each was sent
	revoked  map[string]bool // access and refresh tokens
	calls    int
	queue    chan struct{} // if set, refreshes wait for it before they leave the process
	queued   chan struct{} // one value per refresh that waits there
	arrived  chan struct{} // one value per refresh that reached the provider
	gate     chan struct{} // if set, refreshes wait for it before the work
	hold     chan struct{} // if set, they wait for it after the work
	lose     int           // answers to lose after the work
	fail     *bff.RefreshError
	errands  []string                     // what each refresh that was worked on was for: a resource, or "" for the session's own
	refused  map[string]*bff.RefreshError // by resource
	key      bff.Secret                   // that tokens for resources are bound to
	now      func() time.Time             // when tokens for resources are made
	noRT     bool
	onCode   func() // runs inside an exchange, after the tokens were made
	acr      string // of its ID tokens
	unmet    bool   // it does not do what a login asks for
	asked    []bff.CodeExchange
	begun    []bff.AuthorizationRequest
}

func newFakeProvider() *fakeProvider {
	return &fakeProvider{
		subject: "usr_1", sid: "ses_1", used: map[string]int{}, revoked: map[string]bool{},
		arrived: make(chan struct{}, 1000), queued: make(chan struct{}, 1000), authTime: time.Now(),
	}
}

func (p *fakeProvider) grant(now time.Time) *bff.Grant {
	p.issued++
	p.live = fmt.Sprintf("refresh-%d", p.issued)
	g := &bff.Grant{Tokens: bff.TokenSet{
		Access: bff.NewSecret(fmt.Sprintf("access-%d", p.issued)), Refresh: bff.NewSecret(p.live),
		ID: bff.NewSecret("id-token"), TokenType: "Bearer", Scope: "openid",
		ReceivedAt: now, ExpiresAt: now.Add(time.Minute), RefreshAt: now.Add(50 * time.Second),
	}}
	if p.noRT {
		g.Tokens.Refresh = bff.Secret{}
	}
	return g
}

func (p *fakeProvider) AuthorizationURL(_ context.Context, r bff.AuthorizationRequest) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = append(p.begun, r)
	return "https://op.example.com/authorize?" + url.Values{"state": {r.State}, "nonce": {r.Nonce}}.Encode(), nil
}

func (p *fakeProvider) CheckIssuer(_ context.Context, iss string) error {
	if iss != "https://op.example.com" {
		return errors.New("another issuer")
	}
	return nil
}

func (p *fakeProvider) Exchange(_ context.Context, r bff.CodeExchange) (*bff.Grant, error) {
	p.mu.Lock()
	g := p.grant(time.Now())
	g.Identity = &bff.Identity{
		Subject: p.subject, SID: p.sid, AuthTime: p.authTime, ACR: p.acr, Claims: json.RawMessage(`{"sub":"` + p.subject + `"}`),
	}
	hook, unmet := p.onCode, p.unmet
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	if hook != nil {
		hook()
	}
	if unmet {
		return nil, &bff.UnmetError{Tokens: g.Tokens, Err: bff.StepUpUnmet(errors.New("another acr"))}
	}
	return g, nil
}

func (p *fakeProvider) Refresh(ctx context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	p.mu.Lock()
	queue := p.queue
	p.mu.Unlock()
	if queue != nil {
		p.queued <- struct{}{}
		<-queue
	}
	if err := bff.Sending(ctx); err != nil {
		return nil, &bff.RefreshError{Outcome: bff.OutcomeTransient, Unasked: true, Err: err}
	}
	p.mu.Lock()
	p.calls++
	gate := p.gate
	p.mu.Unlock()
	p.arrived <- struct{}{}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, &bff.RefreshError{Outcome: bff.OutcomeUnknown, Err: ctx.Err()}
		}
	}
	g, err := p.work(s, resource)
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		p.arrived <- struct{}{}
		<-hold
	}
	return g, err
}

// work is what happens to the tokens, whoever still waits for the answer.
func (p *fakeProvider) work(s *bff.Session, resource string) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errands = append(p.errands, resource)
	if r := p.refused[resource]; r != nil {
		return nil, r
	}
	if p.fail != nil {
		return nil, p.fail
	}
	sent := s.Tokens.Refresh.Reveal()
	p.used[sent]++
	if sent != p.live || p.revoked[sent] {
		return nil, &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: errors.New("invalid_grant")}
	}
	g := p.grant(s.Tokens.ExpiresAt.Add(2 * time.Minute)) // the fake clock's time, roughly: later than any use of the old one
	if resource != "" {
		g.Tokens.Access = bff.NewSecret(resource + " " + g.Tokens.Access.Reveal())
		g.Tokens.ProofKey, g.Tokens.ReceivedAt = p.key, p.now()
		g.Tokens.RefreshAt, g.Tokens.ExpiresAt = p.now().Add(50*time.Second), p.now().Add(time.Minute)
	}
	if p.lose > 0 {
		p.lose--
		return nil, &bff.RefreshError{Outcome: bff.OutcomeUnknown, Err: errors.New("answer lost")}
	}
	return g, nil
}

func (p *fakeProvider) Revoke(_ context.Context, t bff.TokenSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked[t.Refresh.Reveal()] = true
	p.revoked[t.Access.Reveal()] = true
	return nil
}

func (p *fakeProvider) set(f func(*fakeProvider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

func (p *fakeProvider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// overused returns the refresh tokens that were sent more than n times.
func (p *fakeProvider) overused(n int) (tokens []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, used := range p.used {
		if used > n {
			tokens = append(tokens, t)
		}
	}
	return tokens
}
