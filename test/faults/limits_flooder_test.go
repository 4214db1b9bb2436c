//go:build integration

package faults_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/test/world"
)

// flooder sends requests from one address of this machine to both instances in turn, many at once.
type flooder struct {
	n    *nativeWorld
	from string
	at   []*http.Client // of each instance
}

func (n *nativeWorld) flooder(t *testing.T, from string) *flooder {
	t.Helper()
	c := &flooder{n: n, from: from}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for _, in := range n.All {
		client := in.Client()
		client.Transport = &http.Transport{MaxIdleConnsPerHost: attackers, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, in.Addr)
		}}
		t.Cleanup(client.CloseIdleConnections)
		c.at = append(c.at, client)
	}
	return c
}

// heard is what a flood was answered.
type heard struct {
	mu       sync.Mutex
	statuses map[int]int
	passed   []*http.Response // which were not limited; their bodies are read
	body     string           // of one that was not
	wait     time.Duration    // the longest Retry-After
	took     time.Duration
}

// send sends what make makes n times, and judges each refusal.
func (c *flooder) send(t *testing.T, n int, make func(i int) *http.Request) *heard {
	t.Helper()
	h := &heard{statuses: map[int]int{}}
	began := time.Now()
	next := newCounter(n)
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			for i := range next {
				h.take(t, c.at[i%len(c.at)], make(i))
			}
		})
	}
	all.Wait()
	h.took = time.Since(began)
	return h
}

// newCounter counts to n, for any number of receivers.
func newCounter(n int) <-chan int {
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range n {
			next <- i
		}
	}()
	return next
}

func (h *heard) take(t *testing.T, client *http.Client, r *http.Request) {
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses[resp.StatusCode]++
	if resp.StatusCode != http.StatusTooManyRequests {
		h.passed = append(h.passed, resp)
		if h.body == "" {
			h.body = string(body)
		}
		return
	}
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || after < 1 || after > 86400 || len(resp.Header["Set-Cookie"]) > 0 || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: a 429 with %v %.200s", r.Method, r.URL.Path, resp.Header, body)
	}
	h.wait = max(h.wait, time.Duration(after)*time.Second)
}

// limitKeys is how many limits Redis counts.
func (n *nativeWorld) limitKeys() (count int) {
	for _, key := range n.Redis.Keys() {
		if strings.HasPrefix(key, "cr:rl:") {
			count++
		}
	}
	return count
}

// lookAtData is look, where memory is what Redis takes without the buffers of its connections: a pool opens and closes some.
func (n *nativeWorld) lookAtData() sight {
	s := n.look()
	if clients, err := strconv.Atoi(n.Redis.Info("memory")["mem_clients_normal"]); err == nil {
		s.memory -= clients
	}
	return s
}

// grewBy is by how many bytes Redis's data has grown. Redis reckons up what connections hold, and gives back what they held,
// seconds after they came or went, which they do on a busy machine; what keys hold stays, for longer than this waits.
func (n *nativeWorld) grewBy(before, after sight) int {
	more := after.memory - before.memory
	for deadline := time.Now().Add(10 * time.Second); more > flat && time.Now().Before(deadline); {
		<-time.After(100 * time.Millisecond)
		more = n.lookAtData().memory - before.memory
	}
	return more
}

// costOf is how many commands the instances sent, but for those of their own housekeeping.
func costOf(s sight) (n int) {
	for name, count := range s.commands {
		if !beside(strings.ToLower(name)) {
			n += count
		}
	}
	return n
}

// waitedAsTold waits as long as a refusal said, and gets through.
func (n *nativeWorld) waitedAsTold(t *testing.T, c *flooder, a anonymous, wait time.Duration) {
	t.Helper()
	<-time.After(wait)
	if h := c.send(t, 1, func(int) *http.Request { return a.make(1_000_000) }); h.statuses[http.StatusTooManyRequests] > 0 {
		t.Errorf("whoever waited the %v that was told is refused again", wait)
	}
}

// elsewhere calls the API as somebody who is signed in, and starts a sign-in now and then, from another address; until it is
// called, and tells how many calls that were, and the longest wait.
func (n *nativeWorld) elsewhere(t *testing.T, mine *http.Request) (end func() (calls int, worst time.Duration)) {
	t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	var calls int
	var worst time.Duration
	running.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for calls = 0; ; calls++ {
			r, want := mine.Clone(t.Context()), http.StatusOK
			if calls%50 == 0 { // every half a second: fewer than its limit
				r, want = asking("GET", world.Origin+"/bff/login", top("none")), http.StatusSeeOther
			}
			began := time.Now()
			resp, err := n.clients[calls%2].Do(r)
			if err != nil {
				t.Errorf("another address: %v", err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if worst = max(worst, time.Since(began)); resp.StatusCode != want {
				t.Errorf("another address: %s %d, want %d", r.URL.Path, resp.StatusCode, want)
			}
			select {
			case <-done:
				calls++
				return
			case <-tick.C:
			}
		}
	})
	return func() (int, time.Duration) {
		close(done)
		running.Wait()
		return calls, worst
	}
}

// warm opens as many connections to Redis as a flood does, so that their buffers are there before anything is measured.
func (n *nativeWorld) warm(t *testing.T) {
	t.Helper()
	n.flooder(t, "127.0.1.8").send(t, 400, func(int) *http.Request {
		r := asking("GET", world.Origin+"/bff/session", byScript)
		r.Header.Set("Cookie", cookieName+"="+strings.Repeat("A", 43))
		return r
	})
}

// started is a sign-in on its way.
type started struct{ state, cookies string }

// startedSignIns starts some sign-ins of the browser app.
func (n *nativeWorld) startedSignIns(t *testing.T) (all []started) {
	t.Helper()
	h := n.flooder(t, "127.0.1.9").send(t, 150, func(int) *http.Request { return asking("GET", world.Origin+"/bff/login", top("none")) })
	for _, resp := range h.passed {
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || len(resp.Cookies()) != 1 {
			t.Fatalf("a start: %v %v", resp.Status, resp.Header)
		}
		all = append(all, started{to.Query().Get("state"), resp.Cookies()[0].Name + "=" + resp.Cookies()[0].Value})
	}
	return all
}
