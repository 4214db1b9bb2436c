//go:build integration

package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

var (
	// streamEnds bounds how long a stream may live after its reason to end: a hint arrives in milliseconds, a watch that
	// begins a second after the stream looks then, and a lost hint is made up for every three seconds.
	streamEnds = sized(15*time.Second, 5*time.Second)
	// hinted bounds it for a stream that is watched: in full runs so that it is the hint, and no look, that ended it.
	hinted = sized(15*time.Second, 2*time.Second)
)

// stream is a proxied event stream as a page reads it.
type stream struct {
	line chan string   // each line, as it arrives
	over chan struct{} // closed at its end
}

// openStream opens the API's event stream and waits for its first event.
func openStream(t *testing.T, b *browser.Browser, everyMS int) *stream {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	resp, err := b.Open(ctx, browser.At(world.Origin+"/"), browser.Request{
		URL: fmt.Sprintf("%s/api/stream?ms=%d", world.Origin, everyMS), Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		leave()
		t.Fatal(err)
	}
	return follow(t, resp, leave)
}

// follow reads a stream until the test leaves it, and waits for its first event.
func follow(t *testing.T, resp *http.Response, leave func()) *stream {
	t.Helper()
	s := &stream{line: make(chan string, 10_000), over: make(chan struct{})} // more than a test waits for
	go func() {
		defer close(s.over)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			s.line <- lines.Text()
		}
	}()
	t.Cleanup(func() { leave(); <-s.over })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
	}
	s.next(t)
	return s
}

// next waits for one more line.
func (s *stream) next(t *testing.T) {
	t.Helper()
	select {
	case <-s.line:
	case <-s.over:
		t.Fatal("the stream ended early")
	case <-time.After(healTime):
		t.Fatal("the stream is silent")
	}
}

// ends fails unless the stream ends in time, and returns how long it took.
func (s *stream) ends(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	select {
	case <-s.over:
	case <-time.After(streamEnds):
		t.Fatalf("after %v the stream still lives", streamEnds)
	}
	return time.Since(began)
}

// ask gets a page of the operator's listener.
func ask(t *testing.T, in *gateway.Instance, path string) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + in.Ops + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// held is an upstream that answers when it is let.
type held struct {
	*httptest.Server
	arrived chan struct{}
	release chan struct{}
}

func holding(t *testing.T) *held {
	h := &held{arrived: make(chan struct{}, 10), release: make(chan struct{})}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.arrived <- struct{}{}
		<-h.release
		_, _ = io.WriteString(w, `{"held":true}`)
	}))
	t.Cleanup(h.Close)
	return h
}

func TestStopFinishesRequestsAndEndsStreams(t *testing.T) {
	t.Parallel()
	h := holding(t)
	w := newWorld(t, world.Options{
		Behave: longLived,
		Routes: fmt.Sprintf("  - {path: /held/, upstream: %q, methods: [GET], token: user}", h.URL),
	})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	if status, body := ask(t, instances[0], "/readyz"); status != 200 {
		t.Errorf("before the stop /readyz says %d %s", status, body)
	}
	s := openStream(t, b, 50)
	slow := make(chan *browser.Page, 1)
	go func() { slow <- w.Fetch(b, "GET", "/held/", "") }()
	<-h.arrived
	stopped := make(chan error, 1)
	go func() { stopped <- instances[0].Stop() }()
	instances[0].AwaitLog(`"msg":"draining"`)
	if status, body := ask(t, instances[0], "/readyz"); status != 503 {
		t.Errorf("while draining /readyz says %d %s", status, body)
	}
	if status, body := ask(t, instances[0], "/healthz"); status != 200 {
		t.Errorf("while draining /healthz says %d %s", status, body)
	}
	t.Logf("the stream ended after %v", s.ends(t))
	w.At(instances[1]) // where a balancer sends everybody now
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	openStream(t, b, 50)
	select {
	case err := <-stopped:
		t.Errorf("stopped (%v) with a request inside", err)
	default:
	}
	close(h.release)
	if p := <-slow; p.Status != 200 || !strings.Contains(string(p.Body), `"held":true`) {
		t.Errorf("the request that was inside: %d %s", p.Status, p.Body)
	}
	if err := <-stopped; err != nil { // exit code 0
		t.Errorf("stopping: %v", err)
	}
	signedIn(t, w, b, true)
}

// A request that never ends is given up when the time to drain is over, and the exit code says so.
func TestStopGivesUpInTime(t *testing.T) {
	t.Parallel()
	h := holding(t)
	w := newWorld(t, world.Options{
		Behave: longLived,
		Routes: fmt.Sprintf("  - {path: /held/, upstream: %q, methods: [GET], token: user}", h.URL),
	})
	in := w.Start(1, "CLOAKROOM_PUBLIC__TIMEOUTS__DRAIN=1s")[0]
	b := w.Browser()
	w.SignIn(b, "/")
	r := request(t, w, b)
	r.URL.Path = "/held/"
	answered := make(chan int, 1)
	go func() { answered <- send(in, r) }()
	<-h.arrived
	began := time.Now()
	if err := in.Stop(); err == nil {
		t.Error("a stop that gave a request up was called a success")
	}
	if took := time.Since(began); took < time.Second || took > 10*time.Second { // the setting, and a busy machine
		t.Errorf("stopping took %v, want about 1s", took)
	}
	if got := <-answered; got == 200 {
		t.Errorf("the request that was given up: %d", got)
	}
	close(h.release)
}

// shows PRX-LIVE
func TestStreamEndsWithASignOutAtAnotherInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	instances := w.Start(2)
	b := w.Browser()
	w.SignIn(b, "/")
	streams := make([]*stream, 2*len(instances))
	for i := range streams { // two each: one is watched by the time of the sign-out, the other has just begun
		w.At(instances[i%2])
		streams[i] = openStream(t, b, 50)
		if i == 1 {
			<-time.After(1500 * time.Millisecond) // a request is watched from its first second on
		}
	}
	stranger := w.Browser() // another session of the same user, which goes on
	w.SignIn(stranger, "/")
	other := openStream(t, stranger, 50)
	w.At(instances[1])
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	for i, s := range streams {
		took := s.ends(t)
		t.Logf("stream %d ended %v after the last one", i, took)
		if i < 2 && took > hinted {
			t.Errorf("a watched stream ended only after %v", took)
		}
	}
	for range 20 { // a second's worth and more
		other.next(t)
	}
}
