//go:build integration

package faults_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// isRefresh tells refreshes from other requests to the token endpoint.
func isRefresh(_ *http.Request, form url.Values) bool {
	return form.Get("grant_type") == "refresh_token"
}

// request is a fetch of the orders with the browser's cookie, to be sent to any instance, any number of times.
func request(t *testing.T, w *world.World, b *browser.Browser) *http.Request {
	t.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{
		URL: world.Origin + "/api/orders", Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", world.Origin+"/api/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	return r
}

// send sends a copy of r to an instance and returns the status; 0 if there was no answer.
func send(in *gateway.Instance, r *http.Request) int {
	resp, err := in.Client().Do(r.Clone(r.Context()))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// newest returns the last secret of a kind that the provider issued.
func newest(w *world.World, kind provider.Kind) (value string) {
	for _, s := range w.Dev.Issued() {
		if s.Kind == kind {
			value = s.Value
		}
	}
	return value
}

// revokedAt reports whether the provider was asked to revoke a token.
func revokedAt(w *world.World, token string) bool {
	for _, r := range w.Dev.RequestsTo(provider.Revoke) {
		if r.Form.Get("token") == token {
			return true
		}
	}
	return false
}

const (
	cookieName = "__Host-Http-web"
	// healTime bounds how long anything takes to be well again after its cause is over: a breaker that opened (5 s), a
	// metadata failure that is remembered (3 s), and a busy machine.
	healTime = 15 * time.Second
)

// defaultWaits has Redis waited for as long as it is where nothing is configured: what an outage costs hangs on it.
var defaultWaits = []string{
	"CLOAKROOM_REDIS__TIMEOUTS__DIAL=1s", "CLOAKROOM_REDIS__TIMEOUTS__READ=500ms", "CLOAKROOM_REDIS__TIMEOUTS__WRITE=500ms",
	"CLOAKROOM_REDIS__TIMEOUTS__POOL_WAIT=1s",
}

// await waits until a condition holds, at most within.
func await(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is still not so: %s", within, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// heals waits until the orders are answered again. Until then 503 is right and everything else is wrong.
func heals(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	began := time.Now()
	await(t, "the orders are answered with 200", healTime, func() bool {
		p := w.Fetch(b, "GET", "/api/orders", "")
		if p.Status != 200 {
			unavailable(t, p, "")
		}
		return p.Status == 200
	})
	t.Logf("healed after %v", time.Since(began).Round(time.Millisecond))
}

// unavailable fails unless p is the answer to an outage: 503 with a code and a time to come back, and no word to the jar.
func unavailable(t *testing.T, p *browser.Page, code string) {
	t.Helper()
	if p.Status != 503 || p.Header.Get("Retry-After") == "" || !bytes.Contains(p.Body, []byte(code)) {
		t.Fatalf("%s: %d %v, want 503 %s with Retry-After\n%.600s", p.URL, p.Status, p.Header, code, p.Body)
	}
	if set := p.Header.Values("Set-Cookie"); len(set) > 0 {
		t.Errorf("%s: an outage set cookies: %q", p.URL, set)
	}
}

// signedIn fails unless the session check says so.
func signedIn(t *testing.T, w *world.World, b *browser.Browser, want bool) {
	t.Helper()
	p := w.Want(w.Fetch(b, "GET", "/bff/session", ""), 200)
	var got struct{ Authenticated bool }
	if err := json.Unmarshal(p.Body, &got); err != nil || got.Authenticated != want {
		t.Fatalf("session: %s (%v), want authenticated %v", p.Body, err, want)
	}
}

// cleanLogs looks, when all instances have ended, at every line they wrote: it is JSON, and names no user.
func cleanLogs(t *testing.T, w *world.World) {
	for _, in := range w.All {
		for line := range strings.Lines(in.Log()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("a log line that is no JSON: %s", line)
			}
			if strings.Contains(line, "usr_1001") || strings.Contains(line, "ada@example.com") {
				t.Errorf("a log line that names the user: %s", line)
			}
		}
	}
}

// claims returns how many claims on a refresh the only session's record has granted: its fence.
func claims(t *testing.T, w *world.World) int {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: w.Redis.Addr(), DisableIdentity: true})
	defer rdb.Close()
	for _, key := range w.Redis.Keys() {
		if strings.HasPrefix(key, "cr:s:{") && strings.HasSuffix(key, "}") {
			fence, err := rdb.HGet(t.Context(), key, "fence").Int()
			if err != nil {
				t.Fatal(err)
			}
			return fence
		}
	}
	t.Fatal("no session is kept")
	return 0
}

// inRefresh is a session of which one request, at the first of two instances, needs a refresh.
type inRefresh struct {
	w         *world.World
	browser   *browser.Browser
	instances []*gateway.Instance
	request   *http.Request  // to be sent again, anywhere
	gate      *provider.Gate // holds the provider's answer; the work is done
	answered  chan int       // the status of that first request
}

// midRefresh signs in and goes on until the provider has rotated the tokens and holds its answer.
func midRefresh(t *testing.T, o world.Options) *inRefresh {
	t.Helper()
	m := &inRefresh{w: newWorld(t, o), gate: provider.NewGate(), answered: make(chan int, 1)}
	m.instances, m.browser = m.w.Start(2), m.w.Browser()
	m.w.SignIn(m.browser, "/")
	refreshFault(m.w, provider.Fault{Gate: m.gate, AfterWork: true})
	ended(m.w)
	m.request = request(t, m.w, m.browser)
	go func() { m.answered <- send(m.instances[0], m.request) }()
	<-m.gate.Arrived()
	return m
}
