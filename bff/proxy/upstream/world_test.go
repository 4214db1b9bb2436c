package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cloakroom/bff/proxy/upstream"
)

// TestMain fails when a test leaves a goroutine behind, and with it a connection.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// hangs bounds what a test waits for: it finds what hangs, not what is slow.
	hangs = 10 * time.Second
	// never is more failures than any test has: no breaker opens.
	never = 1 << 20
	name  = "http://api.internal"
)

// machine is a target on a real socket, which counts what it gets by the request's X-Id.
type machine struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]int
	total int
	proto map[string]int
}

// newMachine starts a target that answers by handler.
func newMachine(t *testing.T, handler http.HandlerFunc, change ...func(*httptest.Server)) *machine {
	t.Helper()
	m := &machine{seen: make(map[string]int), proto: make(map[string]int)}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.seen[r.Header.Get("X-Id")]++
		m.proto[r.Proto]++
		m.total++
		m.mu.Unlock()
		handler(w, r)
	}))
	m.Config.ErrorLog = quiet
	for _, c := range change {
		c(m.Server)
	}
	if m.URL == "" {
		m.Start()
	}
	t.Cleanup(m.Close)
	return m
}

func (m *machine) addr() string { return m.Listener.Addr().String() }

// hits is how many requests the target got.
func (m *machine) hits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// of is how often it got the request with an id.
func (m *machine) of(id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[id]
}

func (m *machine) spoke(proto string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proto[proto]
}

// The ways of targets.

func well(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, "ok "+string(body))
}

// hung answers nothing for as long as anybody waits. It reads the body, or net/http would not notice who leaves.
func hung(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// lost breaks the connection off before the answer, when it has read the request.
func lost(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

func busy(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "busy")
}

// cutting breaks off in the middle of an answer of so many bytes.
func cutting(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", itoa(size))
		_, _ = io.WriteString(w, strings.Repeat("x", size/2))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// closed is the address of a port that refuses.
func closed(t *testing.T) string {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newUpstream makes one over targets.
func newUpstream(t *testing.T, s upstream.Settings, targets ...string) *upstream.Upstream {
	t.Helper()
	if s.Origin == "" {
		s.Origin = name
	}
	s.Targets = targets
	u, err := upstream.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.CloseIdle)
	return u
}

// reply is what came of a request.
type reply struct {
	status int
	body   string
	err    error // of the round trip, or of reading the answer
	broken bool  // it broke in its middle
	took   time.Duration
}

// ask sends a request with an id and reads its answer.
func ask(t *testing.T, way http.RoundTripper, method, id, body string, change ...func(*http.Request)) reply {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, name+"/x", content)
	if err != nil {
		t.Fatal(err)
	}
	r.GetBody = nil // as a proxy has it
	r.Header.Set("X-Id", id)
	for _, c := range change {
		c(r)
	}
	return send(way, r)
}

func send(way http.RoundTripper, r *http.Request) reply {
	began := time.Now()
	res, err := way.RoundTrip(r)
	if err != nil {
		return reply{err: err, took: time.Since(began)}
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	return reply{status: res.StatusCode, body: string(b), err: err, broken: err != nil, took: time.Since(began)}
}

// late reports whether an error says that time ran out.
func late(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func down(err error) *upstream.DownError {
	var d *upstream.DownError
	errors.As(err, &d)
	return d
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("still not so: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
