//go:build integration

package faults_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// The ways of a target.
const (
	serves      = int32(iota) // it is well
	hangsOn                   // it answers nothing
	cutsAll                   // it breaks off in the middle of each answer
	cutsHalf                  // of every other one
	breaksFirst               // it breaks off before each answer
)

// upTarget is one of several that answer for an API, in this process.
type upTarget struct {
	addr string
	way  atomic.Int32
	srv  *http.Server
	turn atomic.Int64

	mu   sync.Mutex
	seen map[string]int // requests by their id
}

// newUpTarget starts a target with a way of its own.
func newUpTarget(t *testing.T, way int32) *upTarget {
	t.Helper()
	u := &upTarget{addr: "127.0.0.1:0", seen: make(map[string]int)}
	u.way.Store(way)
	u.start(t)
	t.Cleanup(u.kill)
	return u
}

// start listens, at the address that it had before if it had one.
func (u *upTarget) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", u.addr)
	if err != nil {
		t.Fatal(err)
	}
	u.addr = l.Addr().String()
	u.srv = &http.Server{Handler: u, ErrorLog: log.New(io.Discard, "", 0)}
	go func(srv *http.Server) { _ = srv.Serve(l) }(u.srv)
}

// kill breaks all connections and refuses new ones.
func (u *upTarget) kill() { _ = u.srv.Close() }

// upBody is what a target answers: more than fits a packet, and of known length.
var upBody = `{"rows":"` + strings.Repeat("x", 8000) + `"}`

func (u *upTarget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	u.mu.Lock()
	u.seen[r.Header.Get("Order-Id")]++
	u.mu.Unlock()
	way := u.way.Load()
	if way == cutsHalf && u.turn.Add(1)%2 == 0 {
		way = serves
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(upBody)))
	switch way {
	case hangsOn:
		<-r.Context().Done()
	case breaksFirst:
		panic(http.ErrAbortHandler)
	case serves:
		_, _ = io.WriteString(w, upBody)
	default:
		_, _ = io.WriteString(w, upBody[:len(upBody)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// times is how often the target saw each request.
func (u *upTarget) times() map[string]int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.seen)
}

func (u *upTarget) total() (n int) {
	for _, times := range u.times() {
		n += times
	}
	return n
}

// upWorld is a gateway in front of an API with several targets, and a user.
type upWorld struct {
	t       *testing.T
	in      *gateway.Instance
	header  http.Header
	client  *http.Client
	targets []*upTarget
	prefix  string // of ids: each run of load has one of its own
}

// newUpWorld starts one gateway. refused is the address of one more target, of which nobody listens at; "" for none.
func newUpWorld(t *testing.T, refused string, targets ...*upTarget) *upWorld {
	t.Helper()
	var list []string
	for _, u := range targets {
		list = append(list, fmt.Sprintf("%q", u.addr))
	}
	if refused != "" {
		list = append(list, fmt.Sprintf("%q", refused))
	}
	w := newWorld(t, world.Options{
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
		Routes: `  - {path: /up/, upstream: "http://orders.localhost", methods: [GET, POST], token: user, timeout: 4s}`,
		More: fmt.Sprintf(`upstreams:
  - {origin: "http://orders.localhost", targets: [%s], attempts: 4, breaker: {failures: 5, open: 500ms}}`, strings.Join(list, ", ")),
	})
	w.Setup.Bin = gateway.Plain(t)
	b := w.Browser()
	u := &upWorld{t: t, in: w.Start(1, "CLOAKROOM_LOG__LEVEL=info")[0], targets: targets}
	w.SignIn(b, "/")
	r := request(t, w, b)
	u.header = r.Header
	u.client = &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{}).DialContext, Proxy: nil}, Timeout: answerTime,
	}
	t.Cleanup(u.client.CloseIdleConnections)
	return u
}

// upAnswer is what one request got.
type upAnswer struct {
	id     string
	post   bool
	what   string // "200", "cut", or status and code of a problem
	retry  bool   // it came with Retry-After
	took   time.Duration
	failed error
}

// do sends one request.
func (u *upWorld) do(post bool, id string) upAnswer {
	method, body := "GET", io.Reader(nil)
	if post {
		method, body = "POST", strings.NewReader(`{"order":1}`)
	}
	r, err := http.NewRequest(method, "http://"+u.in.Addr+"/up/orders", body)
	if err != nil {
		return upAnswer{failed: err}
	}
	r.Header = u.header.Clone()
	r.Host = strings.TrimPrefix(world.Origin, "http://")
	r.Header.Set("Order-Id", id)
	r.Header.Set("Origin", world.Origin)
	a := upAnswer{id: id, post: post}
	began := time.Now()
	res, err := u.client.Do(r)
	if err != nil {
		a.what, a.failed, a.took = "nothing", err, time.Since(began)
		return a
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	a.took, a.retry = time.Since(began), res.Header.Get("Retry-After") != ""
	var problem struct{ Code string }
	switch {
	case err != nil:
		a.what = "cut"
	case res.StatusCode == 200 && string(text) == upBody:
		a.what = "200"
	case json.Unmarshal(text, &problem) == nil:
		a.what = fmt.Sprint(res.StatusCode, " ", problem.Code)
	default:
		a.what = fmt.Sprint(res.StatusCode, " ", len(text), " bytes")
	}
	return a
}

// load sends requests of 40 workers for a while, every fifth of them a POST; during is run beside them.
func (u *upWorld) load(name string, long time.Duration, during func()) []upAnswer {
	u.t.Helper()
	u.prefix = name
	var mu sync.Mutex
	var all []upAnswer
	var workers sync.WaitGroup
	stop := time.Now().Add(long)
	for worker := range 40 {
		workers.Go(func() {
			var own []upAnswer
			for i := 0; time.Now().Before(stop); i++ {
				own = append(own, u.do(i%5 == 4, fmt.Sprint(name, " ", worker, " ", i)))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
		})
	}
	if during != nil {
		during()
	}
	workers.Wait()
	u.tell(name, all)
	u.once(all)
	return all
}

// tell logs the answers by method and code.
func (u *upWorld) tell(name string, all []upAnswer) {
	counts := make(map[string]int)
	var longest time.Duration
	for _, a := range all {
		counts[methodOf(a)+" "+a.what]++
		longest = max(longest, a.took)
	}
	var text bytes.Buffer
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "\n  %-40s %d", what, counts[what])
	}
	u.t.Logf("%s: %d requests, the longest %v%s", name, len(all), longest.Round(time.Millisecond), text.String())
}

func methodOf(a upAnswer) string {
	if a.post {
		return "POST"
	}
	return "GET"
}

// once fails if any POST was seen twice, wherever.
func (u *upWorld) once(all []upAnswer) {
	u.t.Helper()
	seen := make(map[string]int)
	for _, target := range u.targets {
		for id, times := range target.times() {
			seen[id] += times
		}
	}
	for _, a := range all {
		if a.post && seen[a.id] > 1 {
			u.t.Errorf("POST %s reached the targets %d times", a.id, seen[a.id])
		}
		if a.post && a.what == "200" && seen[a.id] != 1 {
			u.t.Errorf("POST %s is answered, and was seen %d times", a.id, seen[a.id])
		}
	}
}

// only fails unless every answer to a method is one of these.
func (u *upWorld) only(all []upAnswer, post bool, allowed ...string) {
	u.t.Helper()
	wrong := 0
	for _, a := range all {
		if a.post == post && !slices.Contains(allowed, a.what) {
			if wrong++; wrong <= 5 {
				u.t.Errorf("%s %s: %q after %v (%v), want one of %q", methodOf(a), a.id, a.what, a.took, a.failed, allowed)
			}
		}
	}
	if wrong > 5 {
		u.t.Errorf("and %d more", wrong-5)
	}
}

// count is how many answers to a method are this one.
func count(all []upAnswer, post bool, what string) (n int) {
	for _, a := range all {
		if a.post == post && a.what == what {
			n++
		}
	}
	return n
}

// unusedPort is an address that refuses connections for as long as the test lasts.
func unusedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
