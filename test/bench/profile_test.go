//go:build bench

package bench_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// profiled is for how long the profile is taken.
const profiled = 15 * time.Second

// parts are what the gateway's time is told by. They overlap: system calls are made by others of them.
var parts = []struct{ name, focus string }{
	{"ReverseProxy with its transport", `httputil\.\(\*ReverseProxy\)|net/http\.\(\*persistConn\)|net/http\.\(\*Transport\)`},
	{"the server's side: net/http reading and writing", `net/http\.\(\*conn\)\.readRequest|net/http\.\(\*response\)\.finishRequest|net/http\.\(\*connReader\)`},
	{"system calls", `internal/runtime/syscall`},
	{"go-redis, for the one read", `redis/go-redis`},
	{"opening the record", `store\.\(\*Store\)\.open$`},
	{"  of it deriving keys", `bff\.\(\*Keyring\)\.Record`},
	{"  of it decoding", `store\.decode`},
	{"header rules, both ways", `proxy\.rewrite|proxy\.cleanResponse`},
	{"admission, matching, guard, log", `spa\.\(\*Surface\)\.check|spa\.\(\*Surface\)\.root|surface\.ReadJar|proxy\.\(\*Table\)\.Match|proxy\.CleanPath|proxy\.CheckFraming|slog\.`},
	{"garbage collection", `runtime\.gcBgMarkWorker|runtime\.gcAssistAlloc`},
	{"the scheduler", `runtime\.schedule$|runtime\.findRunnable`},
}

// TestProfile takes a processor profile of a gateway in this process, under load of another, and tells the shares of the
// parts. The profile itself goes to bin/test/hot-path.pprof.
func TestProfile(t *testing.T) {
	up := apart(t, "BENCH_ANSWER=1")
	w := world.New(t, world.DevProvider, world.Options{
		Routes: fmt.Sprintf("  - {path: /bench/, upstream: %q, methods: [GET], token: user}", "http://"+up),
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
	})
	w.Setup.Bin = gateway.Plain(t)
	outside := w.Setup.StartQuiet(t, "warn")
	w.At(outside)
	b := w.Browser()
	w.SignIn(b, "/")
	r := signedIn(t, b)
	addr := serveHere(t, w.Setup.File)

	file := profile(t, "BENCH_LOAD="+addr, "BENCH_COOKIE="+r.Header.Get("Cookie"))
	for _, p := range parts {
		t.Logf("%-50s %s", p.name, share(t, file, p.focus))
	}
	keep(t, file, "hot-path.pprof")
}

// profile profiles this process under a load of another, whose environment is given, and returns the name of the file.
func profile(t *testing.T, env ...string) string {
	t.Helper()
	debug.SetGCPercent(400) // as the command does
	file := filepath.Join(t.TempDir(), "cpu.pprof")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	apart(t, env...)
	time.Sleep(time.Second) // connections open
	if err := pprof.StartCPUProfile(out); err != nil {
		t.Fatal(err)
	}
	time.Sleep(profiled)
	pprof.StopCPUProfile()
	_ = out.Close()
	return file
}

// serveHere runs a gateway on the configuration in this process.
func serveHere(t *testing.T, file string) string {
	t.Helper()
	t.Setenv("CLOAKROOM_PUBLIC__LISTEN", "127.0.0.1:0")
	t.Setenv("CLOAKROOM_OPS__LISTEN", "127.0.0.1:0")
	t.Setenv("CLOAKROOM_LOG__LEVEL", "warn")
	cfg, err := config.Load(file, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	at := make(chan string, 1)
	srv, err := server.New(cfg, server.Options{
		Log: slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnListen: func(name string, addr net.Addr) {
			if name == "public" {
				at <- addr.String()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done; _ = srv.Close() })
	return <-at
}

// apart runs this test binary as an upstream or as a load in a process of its own, so that they are not profiled.
func apart(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	return line(t, cmd)
}

// asked is what a load asks, by its environment: with the cookie of a browser, or with a handle.
func asked() func() *http.Request {
	if os.Getenv("BENCH_HANDLE") != "" {
		return presenting(os.Getenv("BENCH_HANDLE"), os.Getenv("BENCH_KEY"))
	}
	r, err := http.NewRequest(http.MethodGet, world.Origin+"/bench/orders", nil)
	if err != nil {
		panic(err)
	}
	r.Header = http.Header{"X-Csrf": {"1"}, "Cookie": {os.Getenv("BENCH_COOKIE")}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}}
	return always(r)
}

// load asks the gateway as fast as it answers, until the process is ended.
func load(addr string, next func() *http.Request) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for {
				if !get(client, addr, next()) {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// share is the part of the samples whose stack holds a function of this kind.
func share(t *testing.T, file, focus string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-focus="+focus, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := regexp.MustCompile(`accounting for [^,]+, +([0-9.]+%)`).FindSubmatch(out)
	if m == nil {
		return "not seen"
	}
	return string(m[1])
}

// keep leaves the profile, under a name, where it can be looked at.
func keep(t *testing.T, file, name string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(filepath.Dir(gateway.Plain(t)), name)
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Log("profile: " + to)
}
