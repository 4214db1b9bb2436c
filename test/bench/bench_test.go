//go:build bench

// Package bench measures what a proxied request costs at the gateway, as ratios to what anybody must pay: a bare
// httputil.ReverseProxy, and one that also asks Redis for one key. All three run as processes of their own, in turn, in
// one run, against one upstream; absolute times of a shared machine mean nothing.
package bench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

const (
	rounds      = 9    // medians over so many turns of each
	perRound    = 6000 // requests in one turn: a second or so, a hundred ticks of processor time
	connections = 16
	answerBytes = 1 << 10
)

// TestMain runs one of the proxies to compare with, an upstream or a load, when the test started itself as one.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("BENCH_UPSTREAM") != "":
		serveProxy(os.Getenv("BENCH_UPSTREAM"), os.Getenv("BENCH_REDIS"))
	case os.Getenv("BENCH_ANSWER") != "":
		serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	case os.Getenv("BENCH_LARGE") != "":
		serveLarge()
	case os.Getenv("BENCH_LOAD") != "":
		fmt.Println("http://" + os.Getenv("BENCH_LOAD"))
		go load(os.Getenv("BENCH_LOAD"), asked())
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

// serve answers until the test closes the process's input.
func serve(h http.Handler) {
	srv := httptest.NewServer(h)
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// serveProxy is the reference: a ReverseProxy that sets the bearer token, after one GET of Redis if there is an address.
func serveProxy(upstream, redisAddr string) {
	target, err := url.Parse(upstream)
	if err != nil {
		panic(err)
	}
	var rdb *redis.Client
	if redisAddr != "" {
		rdb = redis.NewClient(&redis.Options{Addr: redisAddr, DisableIdentity: true})
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("Authorization", "Bearer "+os.Getenv("BENCH_TOKEN"))
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rdb != nil {
			if err := rdb.Get(r.Context(), "bench").Err(); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
}

// contender is one process under measurement.
type contender struct {
	name   string
	addr   string
	cpu    func() time.Duration
	perReq []time.Duration // processor time per request, by round
	redis  []time.Duration // and that of Redis
	rate   []float64       // requests per second, by round
}

func TestHotPath(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(upstream.Close)
	w := world.New(t, world.DevProvider, world.Options{
		Routes: fmt.Sprintf("  - {path: /bench/, upstream: %q, methods: [GET], token: user}", upstream.URL),
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
	})
	w.Setup.Bin = gateway.Plain(t)
	in := w.Setup.StartQuiet(t, level())
	pipelining := w.Setup.StartQuiet(t, level(), "CLOAKROOM_REDIS__PIPELINE=true")
	w.At(in)
	b := w.Browser()
	w.SignIn(b, "/")
	r := always(signedIn(t, b))
	token := newest(w)
	rdb := redis.NewClient(&redis.Options{Addr: w.Redis.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = rdb.Close() })
	rdb.Set(context.Background(), "bench", strings.Repeat("x", len(token)), time.Hour)

	all := []*contender{
		{name: "bare ReverseProxy"},
		{name: "ReverseProxy and one Redis GET"},
		{name: "cloakroom", addr: in.Addr, cpu: in.CPU},
		{name: "cloakroom with redis.pipeline", addr: pipelining.Addr, cpu: pipelining.CPU},
	}
	start(t, all[0], upstream.URL, token, "")
	start(t, all[1], upstream.URL, token, w.Redis.Addr())
	server := cpuOfRedis(t, rdb)
	for round := range rounds + 1 {
		for _, c := range all {
			measure(t, c, r, server, round > 0) // the first round warms up
		}
	}
	report(t, all)
	holdCeiling(t, ceiling{
		CPUToBare: median(ratios(all[2].perReq, all[0].perReq)), CPUToGet: median(ratios(all[2].perReq, all[1].perReq)),
	})
	for _, c := range all {
		t.Logf("%-32s at %d requests/s: %s", c.name, fixedRate, paced(t, c, r))
	}
}

// cpuOfRedis returns what tells the processor time that the Redis server has used.
func cpuOfRedis(t *testing.T, rdb *redis.Client) func() time.Duration {
	t.Helper()
	info, err := rdb.Info(context.Background(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if pid, ok := strings.CutPrefix(strings.TrimSpace(line), "process_id:"); ok {
			n, err := strconv.Atoi(pid)
			if err != nil {
				t.Fatal(err)
			}
			return func() time.Duration { return gateway.CPU(t, n) }
		}
	}
	t.Fatal("Redis does not tell its process")
	return nil
}

// level is how much the gateway logs meanwhile: BENCH_LOG=info measures its access log as well.
func level() string {
	if l := os.Getenv("BENCH_LOG"); l != "" {
		return l
	}
	return "warn"
}

var answer = []byte(`{"padding":"` + strings.Repeat("x", answerBytes) + `"}`)

// start runs the test binary as a proxy to compare with.
func start(t *testing.T, c *contender, upstream, token, redisAddr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_UPSTREAM="+upstream, "BENCH_TOKEN="+token, "BENCH_REDIS="+redisAddr)
	c.addr = line(t, cmd)
	c.cpu = func() time.Duration { return gateway.CPU(t, cmd.Process.Pid) }
}

// line starts a process until the test ends and returns the address that it writes first.
func line(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(addr), "http://")
}

// signedIn is the request of a signed-in page, with all a browser sends.
func signedIn(t *testing.T, b *browser.Browser) *http.Request {
	t.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{
		URL: world.Origin + "/bench/orders", Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodGet, world.Origin+"/bench/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	return r
}

func newest(w *world.World) (token string) {
	for _, s := range w.Dev.Issued() {
		if s.Kind == provider.KindAccess {
			token = s.Value
		}
	}
	return token
}

// always is one request, again and again.
func always(r *http.Request) func() *http.Request { return func() *http.Request { return r } }

// measure sends one round of requests to a contender. What next gives is sent as a copy.
func measure(t *testing.T, c *contender, next func() *http.Request, redis func() time.Duration, count bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(perRound)
	var failed atomic.Int64
	var wg sync.WaitGroup
	cpu, kept, began := c.cpu(), redis(), time.Now()
	for range connections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if !get(client, c.addr, next()) {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		t.Fatalf("%s: %d requests failed", c.name, failed.Load())
	}
	if count {
		c.perReq = append(c.perReq, (c.cpu()-cpu)/perRound)
		c.redis = append(c.redis, (redis()-kept)/perRound)
		c.rate = append(c.rate, perRound/time.Since(began).Seconds())
	}
}

func get(client *http.Client, addr string, r *http.Request) bool {
	q := r.Clone(r.Context())
	q.URL.Host = addr // the Host field stays the app's
	resp, err := client.Do(q)
	if err != nil {
		return false
	}
	n, _ := io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK && n == int64(len(answer))
}

// report prints medians, and ratios round by round to the contenders before: neighbours in time share the machine's mood.
func report(t *testing.T, all []*contender) {
	t.Helper()
	for _, c := range all {
		line := fmt.Sprintf("%-32s %4d µs CPU per request (and %2d µs of Redis), %5.0f requests/s", c.name,
			median(c.perReq).Microseconds(), median(c.redis).Microseconds(), median(c.rate))
		for _, base := range all[:2] {
			if base != c {
				line += fmt.Sprintf("; to %s: CPU %.2f×, throughput %.2f×", base.name,
					median(ratios(c.perReq, base.perReq)), median(ratios(c.rate, base.rate)))
			}
		}
		t.Log(line)
	}
}

type number interface{ ~int64 | ~float64 }

func ratios[N number](a, b []N) (r []float64) {
	for i := range a {
		r = append(r, float64(a[i])/float64(b[i]))
	}
	return r
}

func median[N number](v []N) N {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
