//go:build integration

package faults_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/redisproc"
	"cloakroom/test/wire"
	"cloakroom/test/world"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

// wired makes a world whose gateway reaches Redis through a wire, and whose tokens outlive the test.
func wired(t *testing.T, o world.Options) (*world.World, *wire.Proxy) {
	t.Helper()
	var p *wire.Proxy
	o.RedisAddr = func(s *redisproc.Server) string {
		p = wire.Start(t, s.Addr())
		return p.Addr()
	}
	w := newWorld(t, o)
	return w, p
}

// longLived makes access tokens outlive a test that is not about them.
func longLived(b *provider.Behaviour) { b.AccessLife = 5 * time.Minute }

// outage is a way to lose Redis and to get it back, with what it knew.
type outage struct {
	begin, end func(*world.World, *wire.Proxy)
}

func outages() map[string]outage {
	restart := func(w *world.World, _ *wire.Proxy) { w.Redis.Restart() }
	pass := func(_ *world.World, p *wire.Proxy) { p.Pass() }
	return map[string]outage{
		"stopped":            {func(w *world.World, _ *wire.Proxy) { w.Redis.Stop() }, restart},
		"killed":             {func(w *world.World, _ *wire.Proxy) { w.Redis.Kill() }, restart},
		"frozen":             {func(w *world.World, _ *wire.Proxy) { w.Redis.Freeze() }, func(w *world.World, _ *wire.Proxy) { w.Redis.Thaw() }},
		"behind a dead wire": {func(_ *world.World, p *wire.Proxy) { p.Hang() }, pass},
		"cut off":            {func(_ *world.World, p *wire.Proxy) { p.Refuse(); p.Cut() }, pass},
	}
}

// shows SESS-503
func TestRedisOutageSignsNobodyOut(t *testing.T) {
	t.Parallel()
	for name, o := range outages() {
		t.Run("a Redis that is "+name, func(t *testing.T) {
			t.Parallel()
			w, p := wired(t, world.Options{Redis: redisproc.Options{AppendOnly: true}, Behave: longLived})
			w.Start(1, defaultWaits...)
			b := w.Browser()
			w.SignIn(b, "/")
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			o.begin(w, p)
			duringOutage(t, w, b)
			o.end(w, p)
			heals(t, w, b)
			signedIn(t, w, b, true)
			w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
		})
	}
}

// duringOutage asks for everything that needs a session, and for what needs none.
func duringOutage(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	hits := w.API.Hits()
	before, _ := b.Cookie(world.Origin, cookieName)
	for _, q := range []struct{ method, path string }{
		{"GET", "/bff/session"}, {"GET", "/api/orders"}, {"POST", "/api/orders"}, {"POST", "/bff/session/extend"}, {"POST", "/bff/logout"},
	} {
		began := time.Now()
		unavailable(t, w.Fetch(b, q.method, q.path, ""), `"code":"store_unavailable"`)
		// Two dials and a read at their time-outs; the rest is for a busy machine.
		if took := time.Since(began); took > sized(15*time.Second, 5*time.Second) {
			t.Errorf("%s %s took %v", q.method, q.path, took)
		}
	}
	if got := w.API.Hits(); got != hits {
		t.Errorf("the API was reached %d times without a session", got-hits)
	}
	if after, ok := b.Cookie(world.Origin, cookieName); !ok || after.Value != before.Value {
		t.Error("the cookie did not survive")
	}
	w.Want(w.Fetch(b, "GET", "/open/public", ""), 200)
}

// A login that meets the outage at its callback is told so, and the same answer is good afterwards: nothing was used.
//
// shows SESS-503
func TestLoginThroughARedisOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	w.Start(1)
	b := w.Browser()
	w.Redis.Kill()
	page, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/after")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(page.URL, world.Origin) {
		t.Fatalf("the start of a login needs no store, and ended at %s: %d %s", page.URL, page.Status, page.Text())
	}
	page = w.OP.SignIn(t, b, page)
	unavailable(t, page, "store_unavailable")
	if !strings.Contains(page.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a navigation was answered with %s", page.Header.Get("Content-Type"))
	}
	w.Redis.Restart() // empty: until the callback a login keeps nothing there
	await(t, "the callback is good when it is loaded again", healTime, func() bool {
		if page, err = b.Reload(page); err != nil {
			t.Fatal(err)
		}
		return page.Status != 503
	})
	if page.URL != world.Origin+"/after" {
		t.Errorf("after the outage the callback led to %s: %d %s", page.URL, page.Status, page.Text())
	}
	signedIn(t, w, b, true)
}

// shows SESS-503
func TestSlowRedisIsNoOutage(t *testing.T) {
	t.Parallel()
	w, p := wired(t, world.Options{Behave: longLived})
	// A busy machine leaves three fifths of the default of half a second little room.
	w.Start(1, "CLOAKROOM_REDIS__TIMEOUTS__READ="+sized(3*time.Second, 500*time.Millisecond).String())
	p.Delay(300 * time.Millisecond)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	signedIn(t, w, b, true)
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
}

// A read is repeated when its connection breaks, whether or not it got there: the user notices nothing.
func TestReadWhoseConnectionBreaksIsRepeated(t *testing.T) {
	t.Parallel()
	w, p := wired(t, world.Options{Behave: longLived})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	for name, lose := range map[string]func(func([]byte) bool) <-chan struct{}{
		"a lost request": p.LoseRequest, "a lost reply": p.LoseReply,
	} {
		lost := lose(wire.Contains("hmget"))
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
		select {
		case <-lost:
		default:
			t.Errorf("%s: the fault struck nothing", name)
		}
	}
	p.Cut()
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
}

// Redis that forgot everything is a sign-out and nothing worse; scripts it does not know any more are sent again.
func TestRedisThatComesBackEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Redis.Restart()
	await(t, "the loss is told", healTime, func() bool { return w.Fetch(b, "GET", "/api/orders", "").Status == 401 })
	signedIn(t, w, b, false)
	if _, ok := b.Cookie(world.Origin, cookieName); ok {
		t.Error("a cookie that opens nothing was kept")
	}
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
}

// A primary that a failover demoted answers reads and refuses writes: live tokens go on, what must write says 503.
func TestRedisThatIsReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	c := redis.NewClient(&redis.Options{Addr: w.Redis.Addr(), DisableIdentity: true})
	defer c.Close()
	if err := c.Do(context.Background(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil { // nobody is there
		t.Fatal(err)
	}
	ended(w)
	signedIn(t, w, b, true)
	unavailable(t, w.Fetch(b, "GET", "/api/orders", ""), `"code":"store_unavailable"`)
	unavailable(t, w.Fetch(b, "POST", "/bff/logout", ""), `"code":"store_unavailable"`)
	if got := w.Dev.GrantCount("refresh_token"); got != 0 {
		t.Errorf("%d refreshes were sent whose answer could not have been saved", got)
	}
	if err := c.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	heals(t, w, b)
}

// script matches calls of one of the gateway's scripts, which are made by the hash of their text.
func script(t *testing.T, name string) func([]byte) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "store", "lua", name+".lua"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(text) // the hash is Redis's choice; it protects nothing here
	return wire.Contains(hex.EncodeToString(sum[:]))
}

// shows REF-DETACH, REF-RACE
func TestRefreshWhoseSaveIsLostOnTheWireGoesOn(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*wire.Proxy, func([]byte) bool) <-chan struct{}{
		"request": (*wire.Proxy).LoseRequest, "reply": (*wire.Proxy).LoseReply,
	} {
		t.Run("a save with a lost "+name, func(t *testing.T) {
			t.Parallel()
			w, p := wired(t, world.Options{})
			instances := w.Start(2)
			b := w.Browser()
			w.SignIn(b, "/")
			ended(w)
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200) // Redis knows the script from now on
			lost := lose(p, script(t, "save"))
			ended(w)
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			<-lost
			instances[0].AwaitMetric(`bff_refresh_total{result="refreshed"}`, 2)
			// The provider takes a second use for theft: only the rotated token refreshes at the other instance.
			w.At(instances[1])
			ended(w)
			w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
			if got := w.Dev.GrantCount("refresh_token"); got != 3 {
				t.Errorf("the provider saw %d refreshes, want 3", got)
			}
			if got := usedTwice(w); len(got) > 0 {
				t.Errorf("%d refresh tokens were sent twice", len(got))
			}
		})
	}
}

// usedTwice returns the refresh tokens that the provider was sent more than once.
func usedTwice(w *world.World) (twice []string) {
	seen := map[string]int{}
	for _, r := range w.Dev.RequestsTo(provider.Token) {
		if token := r.Form.Get("refresh_token"); token != "" {
			if seen[token]++; seen[token] == 2 {
				twice = append(twice, token)
			}
		}
	}
	return twice
}

// The new refresh token exists nowhere but in the instance's memory until Redis is back.
//
// shows REF-DETACH
func TestRedisThatDiesBetweenSendingAndSaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Redis: redisproc.Options{AppendOnly: true}})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	gate := provider.NewGate()
	refreshFault(w, provider.Fault{Gate: gate, AfterWork: true})
	ended(w)
	r := request(t, w, b)
	answered := make(chan int, 1)
	go func() { answered <- send(instances[0], r) }()
	<-gate.Arrived()
	w.Redis.Kill()
	gate.Release()
	if got := <-answered; got != 200 {
		t.Errorf("the request that waited: %d, want 200 with the token from memory", got)
	}
	unavailable(t, w.Fetch(b, "GET", "/api/orders", ""), `"code":"store_unavailable"`)
	w.Redis.Restart()
	instances[0].AwaitMetric(`bff_refresh_total{result="refreshed"}`, 1)
	w.At(instances[1])
	ended(w)
	heals(t, w, b)
	if got := usedTwice(w); len(got) > 0 {
		t.Errorf("%d refresh tokens were sent twice", len(got))
	}
}

// A login whose record was written, but nobody heard of it, is undone: no cookie, no record, no token that lives.
func TestLoginWhoseRecordIsUnconfirmedIsUndone(t *testing.T) {
	t.Parallel()
	w, p := wired(t, world.Options{Behave: longLived})
	in := w.Start(1)[0]
	w.SignIn(w.Browser(), "/") // Redis knows the script from now on
	before := records(w)
	p.LoseReply(script(t, "create"))
	lost := p.LoseReply(script(t, "create")) // that of the repetition
	b := w.Browser()
	page, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
	if err != nil {
		t.Fatal(err)
	}
	page = w.OP.SignIn(t, b, page)
	<-lost
	unavailable(t, page, "store_unavailable")
	if _, ok := b.Cookie(world.Origin, cookieName); ok {
		t.Error("a session that was not confirmed was handed out")
	}
	in.AwaitLog(`"event":"tokens_revoked"`)
	if !revokedAt(w, newest(w, provider.KindRefresh)) {
		t.Error("its refresh token was not revoked")
	}
	if diff := cmp.Diff(before, records(w)); diff != "" {
		t.Errorf("records: %s", diff)
	}
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
}

// One lost answer at any step of a sign-in that writes costs nothing: no second question, no replay, no revoked token.
func TestSignInWhoseAnswersAreLostIsOne(t *testing.T) {
	t.Parallel()
	w, p := wired(t, world.Options{Behave: longLived})
	w.Start(1)
	w.SignIn(w.Browser(), "/") // Redis knows the scripts from now on
	for _, step := range []string{"use", "index", "create"} {
		lost := p.LoseReply(script(t, step))
		b := w.Browser()
		w.SignIn(b, "/")
		met(t, lost)
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	}
	if revokedAt(w, newest(w, provider.KindRefresh)) || w.OP.Grants("authorization_code") != 4 {
		t.Errorf("%d codes were redeemed for four sign-ins, or the last token was revoked", w.OP.Grants("authorization_code"))
	}
}

// records lists the session records in Redis.
func records(w *world.World) (names []string) {
	for _, key := range w.Redis.Keys() {
		if strings.HasPrefix(key, "cr:s:{") && strings.HasSuffix(key, "}") {
			names = append(names, key)
		}
	}
	return names
}

func TestHotPathIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	w, p := wired(t, world.Options{Behave: longLived})
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200) // warm: connections, keys
	const requests = 10
	p.Reset()
	for range requests {
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	}
	got := p.Counts()
	background := got.Commands["PING"] + got.Commands["TIME"] // the subscription's sign of life, and the clock's sample
	maps.DeleteFunc(got.Commands, func(name string, _ int) bool { return name == "PING" || name == "TIME" })
	if diff := cmp.Diff(map[string]int{"HMGET": requests}, got.Commands); diff != "" {
		t.Errorf("commands: %s", diff)
	}
	if flights := got.Flights - background; flights > requests {
		t.Errorf("%d requests took %d round trips", requests, flights)
	}
	if got.Connections > 0 {
		t.Errorf("%d connections were opened on the way", got.Connections)
	}
	if bytes.Contains(w.Redis.Dump(), []byte("usr_1001")) {
		t.Error("the dump names the user")
	}
}
