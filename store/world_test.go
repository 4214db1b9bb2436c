package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/store"
	"cloakroom/test/redisproc"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// The contract runs on miniredis always, and with the build tag "integration" also on a real server, alone and as a Cluster.

// server is one Redis to test on.
type server struct {
	name    string
	addrs   []string // as store.Options has them
	master  string   // its name, of Sentinels
	cluster bool
	primary func() string // where it is at this moment; nil with a Cluster, and where it is the only address
}

// addr is the one server, or the primary of this moment.
func (s server) addr() string {
	if s.primary != nil {
		return s.primary()
	}
	return s.addrs[0]
}

// alone says that there is one server, which a proxy can stand before.
func (s server) alone() bool { return !s.cluster && s.primary == nil }

// client makes one that sees all keys.
func (s server) client() redis.UniversalClient {
	if s.cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.addrs, DisableIdentity: true})
	}
	return redis.NewClient(&redis.Options{Addr: s.addr(), DisableIdentity: true})
}

var prefixes atomic.Int64 // each test has a key prefix of its own

// suite is what the real servers live for: all tests, whichever is the first to need them.
type suite struct {
	testing.TB // nothing else of it is used
	once       sync.Once
	servers    []server
	ends       []func()
}

func (s *suite) Helper()                         {}
func (s *suite) Cleanup(end func())              { s.ends = append(s.ends, end) }
func (s *suite) Fatal(args ...any)               { panic(fmt.Sprint(args...)) }
func (s *suite) Fatalf(format string, a ...any)  { panic(fmt.Sprintf(format, a...)) }
func (s *suite) Errorf(format string, a ...any)  { panic(fmt.Sprintf(format, a...)) }
func (s *suite) Logf(format string, args ...any) {}
func (s *suite) TempDir() string {
	dir, err := os.MkdirTemp("", "cloakroom-store")
	if err != nil {
		panic(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start runs one server, a Cluster of three, and a primary with a replica behind Sentinels.
func (s *suite) start() {
	one := redisproc.Start(s, redisproc.Options{})
	three := redisproc.StartCluster(s, redisproc.ClusterOptions{})
	set := redisproc.StartSentinel(s, redisproc.SentinelOptions{})
	s.servers = []server{
		{name: "redis", addrs: []string{one.Addr()}},
		{name: "redis-cluster", addrs: three.Addrs(), cluster: true},
		{name: "redis-sentinel", addrs: set.Addrs(), master: set.MasterName(), primary: func() string { return set.Primary().Addr() }},
	}
}

func (s *suite) end() {
	for _, end := range slices.Backward(s.ends) {
		end()
	}
}

var started suite

func TestMain(m *testing.M) {
	store.LogClient(slog.New(slog.DiscardHandler)) // of what fails here on purpose, nobody wants to read
	code := m.Run()
	started.end()
	os.Exit(code)
}

// servers returns all to test on. That a real one is asked for and cannot be had is a failure.
func servers() []server {
	all := []server{{name: "miniredis"}}
	if !realRedis {
		return all
	}
	started.once.Do(started.start)
	return append(all, started.servers...)
}

// world is one test's piece of a Redis, with a clock to move.
type world struct {
	t      *testing.T
	server server
	prefix string
	raw    redis.UniversalClient
	clock  *clock
	ring   *bff.Keyring
	*store.Store
}

// each runs a test on every server. Afterwards every key it left must have a life.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, s := range servers() {
		t.Run(s.name, func(t *testing.T) {
			if s.addrs == nil {
				s.addrs = []string{miniredis.RunT(t).Addr()}
			}
			w := newWorld(t, s)
			test(t, w)
			w.everyKeyEnds()
		})
	}
}

// single runs a test on every server that a proxy can stand before.
func single(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	each(t, func(t *testing.T, w *world) {
		if w.server.alone() { // the client would learn the servers' own addresses and pass by the proxy
			test(t, w)
		}
	})
}

func newWorld(t *testing.T, s server) *world {
	w := &world{
		t: t, server: s, prefix: fmt.Sprintf("t%d:", prefixes.Add(1)),
		raw:   s.client(),
		clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		ring:  ring(t, []string{"k1"}, nil, []string{"i1"}),
	}
	t.Cleanup(func() { _ = w.raw.Close() })
	w.Store = w.open(nil)
	return w
}

// open makes one more store on this world, as another instance would.
func (w *world) open(change func(*store.Options)) *store.Store {
	w.t.Helper()
	o := store.Options{
		Addrs: w.server.addrs, Cluster: w.server.cluster, MasterName: w.server.master, KeyPrefix: w.prefix, Ring: w.ring, Now: w.clock.Now,
		MarkerLife: 13 * time.Hour, Instance: "instance 1",
		ReadTimeout: 3 * time.Second, // a loaded test machine is no outage
	}
	if change != nil {
		change(&o)
	}
	s, err := store.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// keys returns all keys of this world.
func (w *world) keys() (keys []string) {
	w.t.Helper()
	var mu sync.Mutex
	w.perServer(func(ctx context.Context, c *redis.Client) error {
		found, err := c.Keys(ctx, w.prefix+"*").Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, found...)
		return err
	})
	return keys
}

// perServer runs do against every primary.
func (w *world) perServer(do func(context.Context, *redis.Client) error) {
	w.t.Helper()
	ctx, err := context.WithoutCancel(w.t.Context()), error(nil)
	switch c := w.raw.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, do)
	case *redis.Client:
		err = do(ctx, c)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// copy puts one hash in the place of another, wherever they are.
func (w *world) copy(from, to string) {
	w.t.Helper()
	ctx := w.t.Context()
	fields, err := w.raw.HGetAll(ctx, from).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	life := w.raw.PTTL(ctx, to).Val()
	w.raw.Del(ctx, to)
	for name, value := range fields {
		w.raw.HSet(ctx, to, name, value)
	}
	w.raw.PExpire(ctx, to, life)
}

// forgetScripts has every server forget them, as a restart does.
func (w *world) forgetScripts() {
	w.t.Helper()
	w.perServer(func(ctx context.Context, c *redis.Client) error { return c.ScriptFlush(ctx).Err() })
}

// shows KEY-TTL
func (w *world) everyKeyEnds() {
	w.t.Helper()
	for _, k := range w.keys() {
		if left := w.raw.PTTL(w.t.Context(), k).Val(); left < 0 && w.raw.Exists(w.t.Context(), k).Val() == 1 {
			w.t.Errorf("key %s has no life: %v", k, left)
		}
	}
}

// record names the record's key as it is in Redis.
func (w *world) record(l bff.Lookup) string { return w.prefix + "s:{" + string(l) + "}" }

// engine judges sessions over this world's store.
func (w *world) engine(s *store.Store) *bff.Engine {
	ports := bff.Ports{Records: s, Leases: s, Markers: s, OneTime: s, Events: s, Turns: s, Proofs: s, Codes: s, Devices: s, Scan: s, Replays: s, States: s}
	return bff.NewEngine(ports, w.ring, w.clock.Now, &bff.Trace{}, bff.Limits{})
}

// clock is a clock to move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ring makes a keyring whose keys have these ids; equal ids have equal keys.
func ring(t testing.TB, sealing, retired, index []string) *bff.Keyring {
	t.Helper()
	keys := func(kind string, ids []string) (out []bff.Key) {
		for _, id := range ids {
			text := strings.Repeat(kind+id, bff.KeyBytes)[:bff.KeyBytes]
			out = append(out, bff.Key{ID: id, Bytes: bff.NewSecret(text)})
		}
		return out
	}
	r, err := bff.NewKeyring(keys("s", sealing), retired, keys("x", index))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	provider = "main"
	app      = "web"
	subject  = "user-4711@example.com"
	sid      = "provider-session-0815"
	group    = "sid " + sid
)

// session is a session that begins now, for a user of all tests.
func (w *world) session() *bff.Session {
	now := w.clock.Now()
	root := bff.NewRoot()
	return &bff.Session{
		Root: root, Lookup: root.Lookup(), App: app, KeyID: w.ring.Front(), Provider: provider,
		Identity: bff.Identity{
			Subject: subject, SID: sid, AuthTime: now.Add(-time.Minute).Truncate(time.Second), ACR: "aal2",
			Claims: []byte(`{"name":"Ada Claim"}`),
		},
		Began: now.Add(-2 * time.Second), CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(12 * time.Hour),
		Idle: 30 * time.Minute, Groups: []string{group}, Seen: "marker-seen", Generation: 1,
		Tokens: bff.TokenSet{
			Access: bff.NewSecret("access-token-1"), Refresh: bff.NewSecret("refresh-token-1"), ID: bff.NewSecret("id-token-1"),
			TokenType: "DPoP", Scope: "openid email", ProofKey: bff.NewSecret("proof-key-of-thirty-two-raw-bytes"), ReceivedAt: now, ExpiresAt: now.Add(time.Minute),
			RefreshAt: now.Add(50 * time.Second),
		},
	}
}

// created is a session that is stored.
func (w *world) created() *bff.Session {
	w.t.Helper()
	s := w.session()
	if err := w.Create(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// next is the answer to a refresh.
func next(n int) *bff.Grant {
	return &bff.Grant{Tokens: bff.TokenSet{
		Access: bff.NewSecret(fmt.Sprintf("access-token-%d", n)), Refresh: bff.NewSecret(fmt.Sprintf("refresh-token-%d", n)),
		TokenType: "DPoP", ProofKey: bff.NewSecret("proof-key-of-thirty-two-raw-bytes"),
	}}
}

// want fails unless err is target.
func want(t *testing.T, doing string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", doing, err, target)
	}
}

// wantEnded fails unless err says that the session ended for this reason.
func wantEnded(t *testing.T, doing string, err error, reason bff.Reason) {
	t.Helper()
	ended, ok := errors.AsType[*bff.EndedError](err)
	if !ok || ended.Reason != reason {
		t.Errorf("%s: %v, want ended for %s", doing, err, reason)
	}
}

// eventually fails unless cond holds within a time that only a broken program needs.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen", what)
		case <-poll.C:
		}
	}
}

// proxy stands between a store and Redis, and loses what it is told to.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	text  string // the replies to the next requests that hold it are lost
	times int    // so many
	lost  int
	conns map[net.Conn]struct{}
}

func (w *world) proxy() *proxy {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	p := &proxy{listener: l, to: w.server.addr(), conns: make(map[net.Conn]struct{})}
	var running sync.WaitGroup
	running.Go(func() { p.accept(&running) })
	w.t.Cleanup(func() { _ = l.Close(); p.cut(); running.Wait() })
	return p
}

func (p *proxy) accept(running *sync.WaitGroup) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[upstream] = struct{}{}, struct{}{}
		p.mu.Unlock()
		swallow := new(atomic.Bool)
		running.Go(func() { p.requests(client, upstream, swallow) })
		running.Go(func() { p.replies(client, upstream, swallow) })
	}
}

// requests passes requests on, and remembers when the one to lose came by. The client sends a request in one piece.
func (p *proxy) requests(client, upstream net.Conn, swallow *atomic.Bool) {
	defer func() { _ = upstream.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		if p.times > 0 && strings.Contains(string(buf[:n]), p.text) {
			p.times--
			p.lost++
			swallow.Store(true)
		}
		p.mu.Unlock()
		if _, err := upstream.Write(buf[:n]); err != nil {
			return
		}
	}
}

// replies passes replies back, but for the one to lose: Redis has done its work then, and the connection is cut.
func (p *proxy) replies(client, upstream net.Conn, swallow *atomic.Bool) {
	defer func() { _ = client.Close() }()
	buf := make([]byte, 1<<20)
	for {
		n, err := upstream.Read(buf)
		if err != nil || swallow.Load() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// loseReplyTo loses the reply to the next request that holds text.
func (p *proxy) loseReplyTo(text string) { p.loseRepliesTo(text, 1) }

// loseRepliesTo loses the replies to the next so many requests that hold text.
func (p *proxy) loseRepliesTo(text string, times int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.times = text, times
}

// losses returns how many replies were lost so far.
func (p *proxy) losses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}
