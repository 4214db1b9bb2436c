package mobileapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/bff"
	mobileapi "cloakroom/mobile-api"
	"cloakroom/store"
	"cloakroom/surface"
)

const (
	gateway  = "https://gw.example"
	issuer   = "https://idp.example"
	scheme   = "com.example.app:/signed-in"          // any app can take it
	claimed  = "https://links.example/app/signed-in" // the system hands it to the app alone
	loopback = "http://127.0.0.1/callback"           // as registered: without a port
	listened = "http://127.0.0.1:51004/callback"     // as a desktop app asks for it
	verifier = "a-verifier-of-an-app-0123456789-0123456789-abcdef"
	appState = "state of the app: ä~+%/?&=\"\\" // every byte of it is the app's own business
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is the native surface on a real socket, over the real store and a provider that does what it is told.
type world struct {
	t        testing.TB
	origin   string // the gateway's own, as it is configured
	redis    *miniredis.Miniredis
	provider *provider
	apps     map[string]*bff.App
	policies map[string]surface.LoginPolicy
	links    map[string]mobileapi.AppLinks
	store    *store.Store
	touched  chan bff.Lookup
	surface  *mobileapi.Surface
	handler  http.Handler
	server   *httptest.Server

	mu      sync.Mutex
	now     time.Time
	limited map[string]error // what the limiter answers, by rule
	events  []string         // refusals, alarms, failed logins
	seen    []string         // every Location and body that was answered
}

// records is the store's, telling of each touch that was carried out.
type records struct {
	*store.Store
	touched chan bff.Lookup
}

func (r records) Touch(ctx context.Context, s *bff.Session, at time.Time) error {
	err := r.Store.Touch(ctx, s, at)
	r.touched <- s.Lookup
	return err
}

// newWorld makes a world; change may alter it before it starts.
func newWorld(t testing.TB, change ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, redis: miniredis.RunT(t), provider: newProvider(), now: start, touched: make(chan bff.Lookup, 64),
		origin: gateway, limited: map[string]error{}, apps: map[string]*bff.App{}, policies: map[string]surface.LoginPolicy{},
		links: map[string]mobileapi.AppLinks{"phone": {Paths: []string{"/open/phone"}}},
	}
	w.addApp("phone", bff.KindMobile, scheme, claimed, gateway+"/open/phone", "com.example.app:/with?own=query")
	w.addApp("cli", bff.KindDesktop, loopback, "http://[::1]:7000/six")
	w.policies["phone"] = surface.LoginPolicy{Prompts: []string{"none", "login"}, MaxAge: true, LoginHint: true}
	for _, c := range change {
		c(w)
	}
	engine := w.engine()
	running, stop := context.WithCancel(context.Background())
	go engine.Run(running)
	w.surface = mobileapi.New(mobileapi.Options{
		PublicURL: w.origin, Apps: w.apps, Login: w.policies, Links: w.links, Engine: engine, Trace: w.trace(),
		Limit: func(_ context.Context, rule string, _ *http.Request) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.limited[rule]
		},
		SessionCookie: func(name string) bool { return name == "__Host-Http-web" },
	})
	w.handler = w.routes()
	w.server = httptest.NewServer(w.handler)
	t.Cleanup(func() {
		w.server.Close()
		stop()
		if err := engine.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		_ = w.store.Close()
		w.nothingLeaked()
	})
	return w
}

func (w *world) addApp(id string, kind bff.Kind, redirects ...string) {
	w.apps[id] = &bff.App{
		ID: id, Name: "The " + id + " app", Kind: kind, ClientID: "client-" + id,
		RedirectURI: gateway + "/mobile/callback/" + id, PostLogoutURI: gateway + "/mobile/logged-out",
		Provider: &bff.ProviderPolicy{Name: "main", Issuer: issuer, SSOBy: bff.SSOBySID, RevocationSparesGrant: true},
		Claims:   []string{"sub", "name", "email"}, StoredClaims: []string{"sub", "name", "email", "internal_role"},
		Idle: 14 * 24 * time.Hour, Absolute: 90 * 24 * time.Hour, AccessLife: 15 * time.Minute, Grace: 30 * time.Second, Recent: 10 * time.Minute,
		RedirectURIs: redirects,
	}
}

func (w *world) engine() *bff.Engine {
	w.t.Helper()
	key := func(id string) []bff.Key { return []bff.Key{{ID: id, Bytes: bff.NewSecret(strings.Repeat(id, 16))}} }
	ring, err := bff.NewKeyring(key("k1"), nil, key("i1"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.store, err = store.New(store.Options{
		Addrs: []string{w.redis.Addr()}, KeyPrefix: "cr:", Ring: ring, Now: w.clock, MarkerLife: 100 * 24 * time.Hour,
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, // a machine that is busy is no outage
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return bff.NewEngine(bff.Ports{
		Records: records{w.store, w.touched}, Leases: w.store, Markers: w.store, OneTime: w.store, Events: w.store, Turns: w.store, Proofs: w.store, Codes: w.store, Devices: w.store, Replays: w.store, States: w.store,
		Providers: func(string) bff.Provider { return w.provider },
	}, ring, w.clock, w.trace(), bff.Limits{})
}

func (w *world) trace() *bff.Trace {
	return &bff.Trace{
		GuardRefused:      func(_ context.Context, e bff.RefusalEvent) { w.note("guard: " + e.Rule) },
		CredentialRefused: func(_ context.Context, e bff.RefusalEvent) { w.note("credential: " + e.Rule) },
		Alarm:             func(_ context.Context, e bff.AlarmEvent) { w.note("alarm: " + e.What) },
		LoginFailed:       func(_ context.Context, e bff.LoginEvent) { w.note("login: " + e.Code) },
	}
}

func (w *world) clock() time.Time  { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) note(event string) { w.mu.Lock(); w.events = append(w.events, event); w.mu.Unlock() }

// advance moves the clock of the gateway and that of the store.
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.redis.FastForward(d)
}

func (w *world) noted(event string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.events, event)
}

// limit has the limiter answer err for a rule.
func (w *world) limit(rule string, err error) { w.mu.Lock(); w.limited[rule] = err; w.mu.Unlock() }

// nothingLeaked looks for the provider's tokens and code in everything that was answered: the ID token may stand in the
// form to the provider alone.
func (w *world) nothingLeaked() {
	for _, text := range w.seen {
		for _, secret := range []string{accessToken, refreshToken, providerCode} {
			if strings.Contains(text, secret) {
				w.t.Errorf("%s was answered: %.200s", secret, text)
			}
		}
		if strings.Contains(text, idToken) && !strings.Contains(text, `action="https://idp.example/end`) {
			w.t.Errorf("an ID token was answered: %.200s", text)
		}
	}
}

// routes routes as a server would, and writes errors as the one error writer does. HEAD is sent to whatever answers GET.
func (w *world) routes() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string][]surface.Endpoint{}
	admit := func(optional bool) surface.Handler {
		return func(rw http.ResponseWriter, r *http.Request) error {
			check := w.surface.Admit
			if optional {
				check = w.surface.AdmitOptional
			}
			app, s, err := check(rw, r)
			switch {
			case err != nil:
				return err
			case s == nil:
				return surface.WriteJSON(rw, r, http.StatusOK, "nobody")
			}
			return surface.WriteJSON(rw, r, http.StatusOK, s.Subject+" in "+app.ID)
		}
	}
	for _, e := range append(w.surface.Endpoints(), surface.Endpoint{Path: "/api", Handle: admit(false)}, surface.Endpoint{Path: "/api/", Handle: admit(false)}, surface.Endpoint{Path: "/optional", Handle: admit(true)}) {
		byPath[e.Path] = append(byPath[e.Path], e)
	}
	for path, endpoints := range byPath {
		mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) {
			err := error(&bff.Error{Code: bff.CodeMethodNotAllowed, Message: "No."})
			for _, e := range endpoints {
				if e.Method == r.Method || e.Method == http.MethodGet && r.Method == http.MethodHead || e.Method == "" {
					err = e.Handle(rw, r)
					break
				}
			}
			if err != nil {
				surface.WriteError(rw, r, err, surface.Info{RequestID: "req-1"})
			}
		})
	}
	return mux
}

// challengeOf is what an app makes of its verifier (RFC 7636 section 4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asked is a good request of an app to start; change alters parameters, "" takes one away.
func asked(app, redirect string, change ...string) url.Values {
	q := url.Values{
		"client_id": {app}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {appState},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(change); i += 2 {
		if q.Set(change[i], change[i+1]); change[i+1] == "" {
			q.Del(change[i])
		}
	}
	return q
}

// handles is what the token endpoint gives an app.
type handles struct {
	Access    string                     `json:"access_token"`
	Type      string                     `json:"token_type"`
	ExpiresIn int                        `json:"expires_in"`
	Refresh   string                     `json:"refresh_token"`
	Scope     string                     `json:"scope"`
	Session   map[string]any             `json:"session"`
	User      map[string]json.RawMessage `json:"user"`
	Error     string                     `json:"error"`
}

// post sends a form as an app does, header fields in pairs.
func (w *world) post(path string, form url.Values, fields ...string) *answer {
	w.t.Helper()
	return w.send("POST", path, form.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, fields...)...)
}

// call is a request of an app with a handle.
func (w *world) call(method, path, access string) *answer {
	w.t.Helper()
	return w.send(method, path, "", "Authorization", "Bearer "+access)
}

// redeem trades a code as the app that asked for it.
func (w *world) redeem(app, redirect, code string) *answer {
	w.t.Helper()
	return w.post("/mobile/token", redemption(app, redirect, code))
}

func redemption(app, redirect, code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}
}

// rotate trades a refresh handle.
func (w *world) rotate(app, refresh string) *answer {
	w.t.Helper()
	return w.post("/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {app}, "refresh_token": {refresh}})
}

// handles reads a good answer of the token endpoint.
func (a *answer) handles(t testing.TB) (h handles) {
	t.Helper()
	a.is(t, "trading for handles", 200)
	if err := json.Unmarshal([]byte(a.body), &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// code signs in an app by claimed https, and returns its code.
func (w *world) code() string {
	w.t.Helper()
	return w.browser().code("phone", claimed)
}

// signedIn signs in an app and redeems its code.
func (w *world) signedIn() handles {
	w.t.Helper()
	return w.redeem("phone", claimed, w.code()).handles(w.t)
}
