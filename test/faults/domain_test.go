//go:build integration

package faults_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
)

// keptIssuer is the provider of a domain: nobody asks it anything.
const keptIssuer = "https://op.example.com"

// domain is the gateway without its listeners: engine and store on one Redis, with a clock and a provider of the test's.
type domain struct {
	*bff.Engine
	t     *testing.T
	store *store.Store
	ring  *bff.Keyring
	idp   *strictIDP
	web   *bff.App
	phone *bff.App

	mu      sync.Mutex
	ended   []bff.SessionEvent
	refused []string
}

// ringKeys are the ids of a ring in their order, and the texts of their files.
type ringKeys struct {
	sealing, retired, index []string
	files                   map[string]string
}

func (k ringKeys) ring(t *testing.T) *bff.Keyring {
	t.Helper()
	keys := func(ids []string) (out []bff.Key) {
		for _, id := range ids {
			raw, err := base64.RawURLEncoding.DecodeString(k.files[id])
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, bff.Key{ID: id, Bytes: bff.NewSecret(string(raw))})
		}
		return out
	}
	ring, err := bff.NewKeyring(keys(k.sealing), k.retired, keys(k.index))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// keyFile is the text of a new key file.
func keyFile() string {
	key := make([]byte, bff.KeyBytes)
	_, _ = rand.Read(key)
	return base64.RawURLEncoding.EncodeToString(key)
}

// newDomain makes one instance. now is what it takes for the time.
func newDomain(t *testing.T, addr string, keys ringKeys, now func() time.Time) *domain {
	t.Helper()
	d := &domain{t: t, ring: keys.ring(t), idp: &strictIDP{now: now, sent: map[string]int{}, revoked: map[string]bool{}}}
	var err error
	d.store, err = store.New(store.Options{
		Addrs: []string{addr}, KeyPrefix: "cr:", Ring: d.ring, Now: now, MarkerLife: 91 * 24 * time.Hour,
		Revocable:   func(string) bool { return true },
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, // a machine that is busy is no outage
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := &bff.ProviderPolicy{Name: "main", Issuer: keptIssuer, SSOBy: bff.SSOBySID, Revocable: true}
	d.web = &bff.App{
		ID: "web", Kind: bff.KindSPA, Origin: "https://app.example.com", Provider: policy, ClientID: "webc_1",
		RedirectURI: "https://app.example.com/bff/callback", Claims: []string{"sub"}, StoredClaims: []string{"sub"},
		Idle: 30 * time.Minute, Absolute: 12 * time.Hour, DefaultReturn: "/",
	}
	d.phone = &bff.App{
		ID: "phone", Kind: bff.KindMobile, Provider: policy, ClientID: "nativec_1",
		RedirectURI: "https://gw.example.com/mobile/callback/phone", RedirectURIs: []string{keptURI, keptScheme},
		Claims: []string{"sub"}, StoredClaims: []string{"sub"}, Idle: 14 * 24 * time.Hour, Absolute: 90 * 24 * time.Hour,
		AccessLife: 15 * time.Minute, Grace: 30 * time.Second,
	}
	d.Engine = bff.NewEngine(bff.Ports{
		Records: d.store, Leases: d.store, Markers: d.store, OneTime: d.store, Events: d.store, Turns: d.store, Proofs: d.store, Codes: d.store, Replays: d.store, States: d.store,
		Providers: func(string) bff.Provider { return d.idp },
	}, d.ring, d.store.Now, &bff.Trace{
		SessionEnded: func(_ context.Context, e bff.SessionEvent) { d.note(func() { d.ended = append(d.ended, e) }) },
		CredentialRefused: func(_ context.Context, e bff.RefusalEvent) {
			d.note(func() { d.refused = append(d.refused, e.Rule) })
		},
	}, bff.Limits{Suspicion: 100 * time.Millisecond, Poll: 20 * time.Millisecond}) // nobody else is at work here
	t.Cleanup(func() { d.drain(); _ = d.store.Close() })
	return d
}

func (d *domain) note(add func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	add()
}

// drain waits for what runs beside requests.
func (d *domain) drain() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), healTime)
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		d.t.Error(err)
	}
}

// apps finds the native app, as the native surface does.
func (d *domain) apps(id string) *bff.App {
	if id == d.phone.ID {
		return d.phone
	}
	return nil
}

const (
	keptURI      = "https://links.example.com/signed-in" // claimed: a code comes back at once
	keptScheme   = "com.example.app:/signed-in"          // anybody's: a person is asked first
	keptVerifier = "verifier-of-an-app-0123456789-0123456789-abc"
)

// strictIDP is a provider that gives what it is told to whoever brings a code, and each refresh token one successor.
type strictIDP struct {
	now func() time.Time

	mu       sync.Mutex
	sub, sid string
	issued   int
	sent     map[string]int
	revoked  map[string]bool
}

func (p *strictIDP) as(sub, sid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sub, p.sid = sub, sid
}

// grant makes tokens that are good for five minutes. The mutex is held.
func (p *strictIDP) grant() *bff.Grant {
	p.issued++
	now := p.now()
	text := func(kind string) bff.Secret { return bff.NewSecret(fmt.Sprintf("%s-%s-%d", kind, p.sid, p.issued)) }
	return &bff.Grant{Tokens: bff.TokenSet{
		Access: text("access"), Refresh: text("refresh"), ID: text("id"), TokenType: "Bearer", Scope: "openid",
		ReceivedAt: now, ExpiresAt: now.Add(5 * time.Minute), RefreshAt: now.Add(4 * time.Minute),
	}}
}

func (p *strictIDP) AuthorizationURL(_ context.Context, r bff.AuthorizationRequest) (string, error) {
	return keptIssuer + "/authorize?" + url.Values{"state": {r.State}}.Encode(), nil
}

func (p *strictIDP) CheckIssuer(_ context.Context, iss string) error {
	if iss != keptIssuer {
		return errors.New("another issuer")
	}
	return nil
}

func (p *strictIDP) Exchange(context.Context, bff.CodeExchange) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.grant()
	g.Identity = &bff.Identity{
		Subject: p.sub, SID: p.sid, AuthTime: p.now(), ACR: "aal2", Claims: json.RawMessage(`{"sub":"` + p.sub + `"}`),
	}
	return g, nil
}

func (p *strictIDP) Refresh(_ context.Context, s *bff.Session, resource string) (*bff.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := s.Tokens.Refresh.Reveal()
	if p.sent[token]++; p.sent[token] > 1 || token == "" || p.revoked[token] {
		return nil, &bff.RefreshError{Outcome: bff.OutcomeSpent, Err: errors.New("invalid_grant")}
	}
	p.sid = s.SID
	return p.grant(), nil
}

func (p *strictIDP) Revoke(_ context.Context, t bff.TokenSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked[t.Refresh.Reveal()] = true
	return nil
}

func (p *strictIDP) EndSession(_ context.Context, hint bff.Secret, back, state string) (*bff.EndSessionRequest, error) {
	return &bff.EndSessionRequest{URL: keptIssuer + "/logout", Values: url.Values{"id_token_hint": {hint.Reveal()}}}, nil
}

// begin starts a login and returns its cookie's value and its state.
func (d *domain) begin(app *bff.App, r bff.LoginRequest) (sealed, state string) {
	d.t.Helper()
	start, err := d.BeginLogin(d.t.Context(), app, r)
	if err != nil {
		d.t.Fatal(err)
	}
	u, err := url.Parse(start.RedirectTo)
	if err != nil {
		d.t.Fatal(err)
	}
	return start.Sealed, u.Query().Get("state")
}

func callback(sealed, state string) bff.Callback {
	return bff.Callback{State: state, Code: bff.NewSecret("code"), Issuer: keptIssuer, Sealed: sealed}
}

// login signs a user in at the cookie app.
func (d *domain) login(sub, sid string) *bff.Session {
	d.t.Helper()
	d.idp.as(sub, sid)
	l, err := d.CompleteLogin(d.t.Context(), d.web, callback(d.begin(d.web, bff.LoginRequest{})))
	if err != nil {
		d.t.Fatal(err)
	}
	return l.Session
}

// returned is a native app's login that came back from the provider.
func (d *domain) returned(sub, sid, redirect string) *bff.NativeLogin {
	d.t.Helper()
	d.idp.as(sub, sid)
	sum := sha256.Sum256([]byte(keptVerifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	l, err := d.CompleteNativeLogin(d.t.Context(), d.phone, callback(d.begin(d.phone, bff.LoginRequest{
		Native: &bff.NativeRequest{RedirectURI: redirect, Challenge: challenge, State: "s"},
	})))
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}

func (d *domain) redeem(code bff.Root, redirect string) (*bff.Session, error) {
	return d.Redeem(d.t.Context(), d.phone, bff.Redemption{Code: code, Verifier: keptVerifier, RedirectURI: redirect})
}

// pair is both handles of a native session.
func (d *domain) pair(s *bff.Session) (access, refresh string) {
	d.t.Helper()
	h, err := d.Handles(d.phone, s)
	if err != nil {
		d.t.Fatal(err)
	}
	return h.Access.Reveal(), h.Refresh.Reveal()
}

func (d *domain) rotate(refresh string) (*bff.Session, error) {
	d.t.Helper()
	h, err := bff.ParseHandle(refresh)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.RotateHandles(d.t.Context(), d.phone, h)
}

// call presents an access handle.
func (d *domain) call(access string) (*bff.Session, error) {
	d.t.Helper()
	h, err := bff.ParseHandle(access)
	if err != nil {
		d.t.Fatal(err)
	}
	_, s, err := d.HandleSession(d.t.Context(), d.apps, h, nil)
	return s, err
}

func root(t *testing.T, text string) bff.Root {
	t.Helper()
	r, err := bff.ParseRoot(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// session reads a cookie session that must live.
func (d *domain) session(cookie string) *bff.Session {
	d.t.Helper()
	s, err := d.Session(d.t.Context(), d.web, root(d.t, cookie))
	if err != nil {
		d.t.Fatalf("reading the session: %v", err)
	}
	return s
}

// endedAs fails unless a cookie's session has ended for a reason.
func (d *domain) endedAs(cookie string, reason bff.Reason) {
	d.t.Helper()
	_, err := d.Session(d.t.Context(), d.web, root(d.t, cookie))
	if e, ok := errors.AsType[*bff.Error](err); !ok || e.Code != bff.CodeSessionEnded || e.Reason != string(reason) {
		d.t.Errorf("a session that ended: %v, want the reason %s", err, reason)
	}
}
