package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
)

const (
	clockHost   = "app.example.com"
	clockCookie = "__Host-Http-web"
	clockIdle   = 10 * time.Minute
	clockEnd    = time.Hour
	clockToken  = 5 * time.Minute // life of an access token
	clockGrace  = 30 * time.Second
	clockAccess = 6 * time.Minute // life of an access handle
)

// clocks says how far each clock of a world is off the true time.
type clocks struct{ a, b, redis, provider time.Duration }

// A Redis ten seconds off both of its instances, which are twenty seconds off each other.
var apart = clocks{a: -3 * time.Second, b: 17 * time.Second, redis: 7 * time.Second, provider: -25 * time.Second}

// clockWorld is two servers, each with a clock of its own, on one Redis with another, and a provider with a fourth. No time
// passes but that which a test lets pass.
type clockWorld struct {
	t       *testing.T
	redis   *miniredis.Miniredis
	issuer  *provider.Provider
	servers [2]*server.Server
	addr    [2]string
	logs    [2]*lines
	user    string

	ticking bool // time passes by itself
	mu      sync.Mutex
	now     time.Time
	off     clocks
}

// newClocks makes the world. measured: its servers have looked at Redis's clock.
func newClocks(t *testing.T, off clocks, measured bool) *clockWorld {
	t.Helper()
	w := &clockWorld{t: t, off: off, now: time.Now().Truncate(time.Second), redis: miniredis.RunT(t), user: "usr_1001"}
	w.redis.SetTime(w.now.Add(off.redis))
	w.start([2]func() time.Time{
		func() time.Time { return w.at(func(c clocks) time.Duration { return c.a }) },
		func() time.Time { return w.at(func(c clocks) time.Duration { return c.b }) },
	})
	if measured {
		w.measure()
	}
	return w
}

// newTicking makes a world in which time passes by itself; set may change what the first server takes for it.
func newTicking(t *testing.T, set func(time.Time) time.Time) *clockWorld {
	t.Helper()
	w := &clockWorld{t: t, redis: miniredis.RunT(t), user: "usr_1001", ticking: true, off: clocks{a: 3 * time.Second, b: -4 * time.Second}}
	w.start([2]func() time.Time{
		func() time.Time { return set(time.Now().Add(w.off.a)) },
		func() time.Time { return time.Now().Add(w.off.b) },
	})
	w.measure()
	return w
}

// start makes the provider, an API, and the servers with their clocks.
func (w *clockWorld) start(own [2]func() time.Time) {
	w.t.Helper()
	t := w.t
	w.provide()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	t.Cleanup(api.Close)
	dir := keyed(t)
	for i, now := range own {
		w.serve(i, dir, api.URL, now)
	}
}

func (w *clockWorld) provide() {
	w.t.Helper()
	var err error
	w.issuer, err = provider.New(provider.Config{
		Now:       func() time.Time { return w.at(func(c clocks) time.Duration { return c.provider }) },
		Behaviour: provider.Behaviour{AccessLife: clockToken},
		Clients: []provider.Client{nativeClient("phone"), {
			ID: "web", Secret: "secret-of-web-at-the-provider", Auth: provider.SecretPost,
			RedirectURIs: []string{"https://" + clockHost + "/bff/callback"},
		}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.issuer.Start(""); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.issuer.Close)
}

// serve starts one of the servers, which does not look at Redis's clock by itself.
func (w *clockWorld) serve(i int, dir, api string, now func() time.Time) {
	w.t.Helper()
	cfg, err := config.Parse(filepath.Join(dir, "cloakroom.yaml"), []byte(fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %q}
apps:
  web:
    kind: spa
    origin: "https://%s"
    provider: main
    client_id: web
    client_secret: secret-of-web-at-the-provider
    session: {idle: %s, absolute: %s}
  phone:
    kind: mobile
    provider: main
    client_id: phone
    client_secret: secret-of-phone-at-the-provider
    redirect_uris: [%q]
    session: {idle: %[4]s, absolute: %[5]s}
    handle: {grace: %[7]s, access_life: %[8]s}
routes:
  - {path: /api/, upstream: %[9]q, methods: [GET, POST]}
`, w.redis.Addr(), w.issuer.Issuer(), clockHost, clockIdle, clockEnd, signedIn, clockGrace, clockAccess, api)), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.logs[i] = new(lines)
	s, err := server.New(cfg, server.Options{
		Now: now, Log: slog.New(slog.NewJSONHandler(w.logs[i], nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	front := httptest.NewServer(s.Handler())
	w.t.Cleanup(func() { front.Close(); _ = s.Close() })
	w.servers[i], w.addr[i] = s, front.Listener.Addr().String()
}

// at is what a clock says.
func (w *clockWorld) at(of func(clocks) time.Duration) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ticking {
		return time.Now()
	}
	return w.now.Add(of(w.off))
}

// pass lets time pass on all clocks, and Redis forget what is over.
func (w *clockWorld) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.redis.SetTime(w.now.Add(w.off.redis))
	w.redis.FastForward(d)
}

// step sets clocks to something else, without any time passing.
func (w *clockWorld) step(change func(*clocks)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.off)
	w.redis.SetTime(w.now.Add(w.off.redis))
}

// measure has both servers look at Redis's clock.
func (w *clockWorld) measure() {
	w.t.Helper()
	for i := range w.servers {
		w.measureAt(i)
	}
}

func (w *clockWorld) measureAt(i int) {
	w.t.Helper()
	own := []time.Duration{w.off.a, w.off.b}[i]
	ctx, cancel := context.WithCancel(w.t.Context())
	var measuring sync.WaitGroup
	measuring.Go(func() { w.servers[i].Measure(ctx) })
	defer measuring.Wait()
	defer cancel()
	until(w.t, "the clock of Redis is measured", func() bool {
		return (w.servers[i].Drift() - w.off.redis + own).Abs() < time.Second
	})
}

// until waits for what happens beside.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("never so: %s", what)
		}
	}
}

// reply is an answer, read.
type reply struct {
	*http.Response
	body string
}

// send asks a server under a host and follows nothing.
func (w *clockWorld) send(at int, method, host, target, body string, fields ...string) reply {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://"+w.addr[at]+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{res, string(text)}
}

// navigation are the fields of a visit.
func navigation(cookie string) []string {
	return []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none", "Cookie", cookie}
}

// visitor is a browser: its cookies at the app, and at the provider.
type visitor struct {
	w          *clockWorld
	cookies    map[string]string
	atProvider map[string]string
}

func (w *clockWorld) visitor() *visitor { return &visitor{w, map[string]string{}, map[string]string{}} }

// fetch calls as the app's script does.
func (v *visitor) fetch(at int, method, target string, fields ...string) reply {
	v.w.t.Helper()
	return v.keep(v.w.send(at, method, clockHost, target, "", append(
		[]string{"X-CSRF", "1", "Sec-Fetch-Site", "same-origin", "Cookie", v.header()}, fields...)...))
}

func (v *visitor) visit(at int, target string) reply {
	v.w.t.Helper()
	return v.keep(v.w.send(at, "GET", clockHost, target, "", navigation(v.header())...))
}

func (v *visitor) header() string { return header(v.cookies) }

func header(cookies map[string]string) string {
	var all []string
	for name, value := range cookies {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "; ")
}

func (v *visitor) keep(r reply) reply {
	keep(v.cookies, r.Response)
	return r
}

// keep takes cookies over; their life is not heeded, for time passes elsewhere.
func keep(cookies map[string]string, r *http.Response) {
	for _, c := range r.Cookies() {
		if cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(cookies, c.Name)
		}
	}
}

// begin starts a sign-in and returns the address of the callback that the provider sends the browser to.
func (v *visitor) begin(at int) (callback string) {
	v.w.t.Helper()
	start := v.visit(at, "/bff/login?return_to=/after&login_hint="+v.w.user)
	req := must(http.NewRequest("GET", start.Header.Get("Location"), nil))
	req.Header.Set("Cookie", header(v.atProvider))
	answer, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		v.w.t.Fatal(err)
	}
	answer.Body.Close()
	keep(v.atProvider, answer)
	back, ok := strings.CutPrefix(answer.Header.Get("Location"), "https://"+clockHost)
	if !ok {
		v.w.t.Fatalf("the sign-in was sent to %q (%d), then to %q", start.Header.Get("Location"), start.StatusCode, answer.Header.Get("Location"))
	}
	return back
}

// finish comes back from the provider.
func (v *visitor) finish(at int, callback string) reply {
	v.w.t.Helper()
	return v.visit(at, callback)
}

func (v *visitor) signIn(at int) *visitor {
	v.w.t.Helper()
	if r := v.finish(at, v.begin(at)); v.cookies[clockCookie] == "" {
		v.w.t.Fatalf("signing in: %d %.400s", r.StatusCode, r.body)
	}
	return v
}

// lives fails unless the API answers.
func (v *visitor) lives(at int, when string) {
	v.w.t.Helper()
	if r := v.fetch(at, "GET", "/api/x"); r.StatusCode != 200 {
		v.w.t.Errorf("%s: %d %s", when, r.StatusCode, r.body)
	}
}

// over fails unless the API answers 401 with a code, and the session check says the same.
func (v *visitor) over(at int, when, code string) {
	v.w.t.Helper()
	r := v.fetch(at, "GET", "/api/x")
	if r.StatusCode != 401 || !strings.Contains(r.body, `"code":"`+code+`"`) {
		v.w.t.Errorf("%s: %d %s, want 401 %s", when, r.StatusCode, r.body, code)
	}
}

// records names what is kept of sessions.
func (w *clockWorld) records() (names []string) {
	for _, key := range w.redis.Keys() {
		if strings.HasPrefix(key, "cr:s:{") && strings.HasSuffix(key, "}") {
			names = append(names, key)
		}
	}
	return names
}

// field returns a field of the only record there is.
func (w *clockWorld) field(name string) string {
	for _, key := range w.records() {
		return w.redis.HGet(key, name)
	}
	return ""
}

// active is when the record says the session was used last.
func (w *clockWorld) active() string { return w.field("act") }

// generation counts the refreshes that were saved, from 1.
func (w *clockWorld) generation() string { return w.field("gen") }

// moved waits until the idle end has been written anew, which happens beside the request that use makes.
func (w *clockWorld) moved(use func()) {
	w.t.Helper()
	before := w.active()
	use()
	until(w.t, "the idle end moves", func() bool { return w.active() != before })
}

var errHandles = errors.New("no handles")

// token asks the token endpoint.
func (w *clockWorld) token(at int, form url.Values) (pair, error) {
	w.t.Helper()
	r := w.send(at, "POST", "gw.example.com", "/mobile/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	var h pair
	if err := json.Unmarshal([]byte(r.body), &h); err != nil || r.StatusCode != 200 {
		return h, fmt.Errorf("%w: %d %s", errHandles, r.StatusCode, r.body)
	}
	return h, nil
}

// code signs a native app in as far as its code, and returns what redeems it.
func (w *clockWorld) code(at int) url.Values {
	w.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	start := w.send(at, "GET", "gw.example.com", "/mobile/authorize?"+url.Values{
		"client_id": {"phone"}, "redirect_uri": {signedIn}, "response_type": {"code"}, "state": {"s"}, "login_hint": {w.user},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), "")
	v := w.visitor()
	v.keep(start)
	answer, err := http.DefaultTransport.RoundTrip(must(http.NewRequest("GET", start.Header.Get("Location"), nil)))
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	target := strings.TrimPrefix(answer.Header.Get("Location"), "https://gw.example.com")
	back := w.send(at, "GET", "gw.example.com", target, "", "Cookie", v.header())
	to, err := url.Parse(back.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		w.t.Fatalf("no code: %d %s", back.StatusCode, back.body)
	}
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"phone"}, "redirect_uri": {signedIn},
		"code": {to.Query().Get("code")}, "code_verifier": {verifier},
	}
}

// must is for requests whose address is the provider's own.
func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

func turn(refresh string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {refresh}}
}

// phone signs a native app in.
func (w *clockWorld) phone(at int) pair {
	w.t.Helper()
	h, err := w.token(at, w.code(at))
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// calls tells what an API call with an access handle is answered.
func (w *clockWorld) calls(at int, h pair) int {
	w.t.Helper()
	return w.send(at, "GET", "gw.example.com", "/api/x", "", h.bearer()...).StatusCode
}
