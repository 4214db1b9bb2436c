package spa_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/spa"
	"cloakroom/surface"
)

const (
	origin        = "https://app.example"
	issuer        = "https://idp.example"
	redirectURI   = origin + "/bff/callback"
	sessionCookie = "__Host-Http-web"
	flowPrefix    = "__Host-Http-web.tx."
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// world is one app's surface on a real socket, over a store in memory and a provider that does what it is told.
type world struct {
	t        *testing.T
	app      *bff.App
	store    *memory
	provider *provider
	surface  *spa.Surface
	server   *httptest.Server
	limited  error // what the limiter answers

	mu     sync.Mutex
	now    time.Time
	events []string // guard and credential refusals, alarms, failed logins
	seen   []string // every body and Location that was answered
}

// newWorld makes a world; change may alter app and policy before it starts.
func newWorld(t *testing.T, change ...func(*bff.App, *surface.LoginPolicy)) *world {
	t.Helper()
	w := &world{t: t, store: newMemory(), provider: &provider{revoked: make(chan bff.TokenSet, 16)}, now: start}
	w.provider.signsIn("ann", "sid-1")
	w.app = &bff.App{
		ID: "web", Kind: bff.KindSPA, Origin: origin, ClientID: "webc_1",
		RedirectURI: redirectURI, PostLogoutURI: origin + "/bff/logged-out",
		Provider: &bff.ProviderPolicy{Name: "main", Issuer: issuer, SSOBy: bff.SSOBySID, RevocationSparesGrant: true},
		Claims:   []string{"sub", "name"}, StoredClaims: []string{"sub", "name", "internal_role"},
		Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Recent: 10 * time.Minute, DefaultReturn: "/", PostLogoutReturn: "/goodbye",
	}
	policy := surface.LoginPolicy{
		Prompts: []string{"none", "login"}, ACRValues: []string{"silver", "gold"}, MaxAge: true, LoginHint: true, UILocales: true,
		Extra: map[string]surface.Param{
			"organization_id": {Pattern: regexp.MustCompile(`^org_[0-9]{1,20}$`)},
			"social_provider": {Name: "provider", Values: []string{"google", "github"}},
		},
		StartOrigins: []string{"https://portal.example"},
	}
	for _, c := range change {
		c(w.app, &policy)
	}
	trace := &bff.Trace{
		GuardRefused:      func(_ context.Context, e bff.RefusalEvent) { w.note("guard: " + e.Rule) },
		CredentialRefused: func(_ context.Context, e bff.RefusalEvent) { w.note("credential: " + e.Rule) },
		Alarm:             func(_ context.Context, e bff.AlarmEvent) { w.note("alarm: " + e.What) },
		LoginFailed:       func(_ context.Context, e bff.LoginEvent) { w.note("login: " + e.Code) },
	}
	engine := bff.NewEngine(bff.Ports{
		Records: w.store, Markers: w.store, OneTime: w.store, Devices: w.store, Events: w.store, States: w.store, Replays: w.store,
		Providers: func(string) bff.Provider { return w.provider },
	}, newRing(t), w.clock, trace, bff.Limits{Recheck: 100 * time.Millisecond})
	running, stop := context.WithCancel(context.Background())
	go engine.Run(running)
	w.surface = spa.New(spa.Options{
		App: w.app, Engine: engine, Trace: trace, Login: policy, Initiate: true,
		Limit: func(context.Context, string, *http.Request) error { return w.limited },
	})
	w.server = httptest.NewServer(w.handler())
	t.Cleanup(func() {
		w.server.Close()
		stop()
		if err := engine.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		w.nothingLeaked()
	})
	return w
}

func newRing(t *testing.T) *bff.Keyring {
	t.Helper()
	key := func(id string) []bff.Key { return []bff.Key{{ID: id, Bytes: bff.NewSecret(strings.Repeat(id, 16))}} }
	ring, err := bff.NewKeyring(key("k1"), nil, key("i1"))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func (w *world) clock() time.Time        { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) advance(d time.Duration) { w.mu.Lock(); w.now = w.now.Add(d); w.mu.Unlock() }
func (w *world) note(event string)       { w.mu.Lock(); w.events = append(w.events, event); w.mu.Unlock() }

func (w *world) noted(event string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.events, event)
}

// nothingLeaked looks for tokens in everything that was answered; the hint may stand in the way to the provider alone.
func (w *world) nothingLeaked() {
	for _, text := range w.seen {
		if strings.Contains(text, accessToken) {
			w.t.Errorf("an access token was answered: %.200s", text)
		}
		if strings.Contains(text, idToken) && !strings.Contains(text, "https://idp.example/end?") {
			w.t.Errorf("an ID token was answered: %.200s", text)
		}
	}
}

// handler routes as a server would, and writes errors as the one error writer does. HEAD is sent to whatever answers
// GET, as routers do: what refuses it is the surface.
func (w *world) handler() http.Handler {
	mux := http.NewServeMux()
	byPath := map[string][]surface.Endpoint{}
	for _, e := range append(w.surface.Endpoints(), w.routes()...) {
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
				surface.WriteError(rw, r, err, surface.Info{RequestID: "req-1", LoginURL: w.surface.LoginURL(r), HomeURL: "/"})
			}
		})
	}
	return mux
}

// routes are proxied routes, one per guard, as the server puts them behind Admit.
func (w *world) routes() (routes []surface.Endpoint) {
	for name, guard := range map[string]spa.Guard{
		"api": spa.GuardHeader, "file": spa.GuardOrigin, "site": spa.GuardSite, "socket": spa.GuardWebSocket, "none": 0,
	} {
		routes = append(routes, surface.Endpoint{Path: "/" + name, Handle: func(rw http.ResponseWriter, r *http.Request) error {
			s, err := w.surface.Admit(rw, r, guard)
			if err != nil {
				return err
			}
			return surface.WriteJSON(rw, r, http.StatusOK, s.Subject)
		}})
	}
	return append(routes, surface.Endpoint{Path: "/optional", Handle: func(rw http.ResponseWriter, r *http.Request) error {
		s, err := w.surface.AdmitOptional(rw, r, spa.GuardHeader)
		switch {
		case err != nil:
			return err
		case s == nil:
			return surface.WriteJSON(rw, r, http.StatusOK, "nobody")
		}
		return surface.WriteJSON(rw, r, http.StatusOK, s.Subject)
	}})
}

// cookie is one in a browser's jar.
type cookie struct {
	name, value string
	strict      bool
}

// browser keeps cookies as a browser does: it withholds Strict ones from foreign navigations, and refuses what breaks
// the rules of the prefix.
type browser struct {
	w       *world
	cookies []cookie
}

func (w *world) browser() *browser { return &browser{w: w} }

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) location() string { return a.header.Get("Location") }

// header fields of the kinds of requests, in pairs.
func typed() []string { return nav("none") }

func nav(site string) []string {
	return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
}

func fetched() []string {
	return []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "X-CSRF", "1"}
}

// open is a navigation from a page of that site.
func (b *browser) open(path, site string) *answer { return b.send("GET", path, nav(site)...) }

// fetch is a request of the app's own script.
func (b *browser) fetch(method, path string) *answer { return b.send(method, path, fetched()...) }

// send sends one request with these header fields, and keeps the cookies of the answer.
func (b *browser) send(method, path string, fields ...string) *answer {
	b.w.t.Helper()
	req, err := http.NewRequest(method, b.w.server.URL+path, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	foreign := false
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
		foreign = foreign || fields[i] == "Sec-Fetch-Site" && fields[i+1] == "cross-site"
	}
	if sent := b.header(foreign); sent != "" {
		req.Header.Add("Cookie", sent)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	a := &answer{res.StatusCode, res.Header, string(body)}
	b.w.seen = append(b.w.seen, a.location()+" "+a.body)
	b.keep(res)
	return a
}

func (b *browser) header(foreign bool) string {
	var sent []string
	for _, c := range b.cookies {
		if !foreign || !c.strict {
			sent = append(sent, c.name+"="+c.value)
		}
	}
	return strings.Join(sent, "; ")
}

// keep stores the cookies of an answer. shows COOKIE-1, COOKIE-3: every cookie of every test passes here.
func (b *browser) keep(res *http.Response) {
	b.w.t.Helper()
	for _, line := range res.Header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			b.w.t.Fatalf("%q: %v", line, err)
		}
		if !strings.HasPrefix(c.Name, "__Host-Http-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" ||
			c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode || len(c.Name)+len(c.Value) >= 4096 {
			b.w.t.Errorf("a browser would not keep, or should not be given: %s", line)
		}
		b.cookies = slices.DeleteFunc(b.cookies, func(old cookie) bool { return old.name == c.Name })
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, cookie{c.Name, c.Value, c.SameSite == http.SameSiteStrictMode})
		}
	}
}

func (b *browser) value(name string) string {
	for _, c := range b.cookies {
		if c.name == name {
			return c.value
		}
	}
	return ""
}

func (b *browser) flows() int {
	n := 0
	for _, c := range b.cookies {
		if strings.HasPrefix(c.name, flowPrefix) {
			n++
		}
	}
	return n
}

// begin starts a login and returns the state the provider was given.
func (b *browser) begin(query string) (state string) {
	b.w.t.Helper()
	a := b.send("GET", "/bff/login"+query, typed()...)
	if a.status != http.StatusSeeOther {
		b.w.t.Fatalf("login%s: %d %s", query, a.status, a.body)
	}
	return b.w.param(a.location(), "state")
}

// come is the provider's answer: a foreign navigation to the callback.
func (b *browser) come(query string) *answer { return b.open("/bff/callback?"+query, "cross-site") }

// signIn signs in from start to end.
func (b *browser) signIn() {
	b.w.t.Helper()
	if a := b.come("code=c1&state=" + b.begin("")); a.status != http.StatusOK && a.status != http.StatusSeeOther {
		b.w.t.Fatalf("callback: %d %s", a.status, a.body)
	}
	if b.value(sessionCookie) == "" {
		b.w.t.Fatal("no session cookie after a login")
	}
}

func (w *world) param(raw, name string) string {
	w.t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Query().Get(name)
}

// raw sends bytes as they are over a socket of its own, and returns the answer.
func (w *world) raw(request string) *answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	all, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		w.t.Fatal(err)
	}
	head, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	lines := strings.Split(string(head), "\r\n")
	a := &answer{header: http.Header{}, body: string(body)}
	if parts := strings.Fields(lines[0]); len(parts) > 1 {
		for _, d := range parts[1] {
			a.status = a.status*10 + int(d-'0')
		}
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		a.header.Add(name, value)
	}
	return a
}

// within waits for something that happens beside a request, and fails the test rather than wait for ever.
func within[T any](t *testing.T, what string, c <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(10 * time.Second): // far longer than anything here takes on a busy machine
		t.Fatalf("%s did not happen", what)
	}
	return got
}

// is checks a status.
func (a *answer) is(t *testing.T, what string, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: status %d, want %d: %.300s", what, a.status, status, a.body)
	}
	return a
}
