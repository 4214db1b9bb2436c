package provider_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
)

func TestFaultBeforeTheWorkChangesNothing(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	fault := w.Fault(provider.Token, provider.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}, Body: "busy"})
	pg := w.refresh(rt)
	if pg.status != 503 || pg.body != "busy" || pg.header.Get("Retry-After") != "7" || fault.Hits() != 1 {
		t.Errorf("got %d %q", pg.status, pg.body)
	}
	if pg := w.refresh(rt); pg.status != 200 {
		t.Errorf("the token was spent by the fault: %d %s", pg.status, pg.body)
	}
}

func TestFaultAfterTheWorkLosesTheAnswer(t *testing.T) {
	for name, fault := range map[string]provider.Fault{
		"a status":        {AfterWork: true, Status: 502},
		"a dropped line":  {AfterWork: true, Drop: true},
		"a redirect":      {AfterWork: true, Redirect: "http://127.0.0.1:1/"},
		"a broken answer": {AfterWork: true, Status: 200, Body: "<html>"},
	} {
		t.Run("a rotation with "+name+" after it", func(t *testing.T) {
			w := start(t)
			rt := str(w.tokens(browser(t)), "refresh_token")
			w.Fault(provider.Token, fault)
			res, err := browser(t).PostForm(w.URL("/oauth/token"), refreshForm(rt))
			if err == nil {
				res.Body.Close()
			}
			if fault.Drop != (err != nil) {
				t.Fatalf("got %v", err)
			}
			wantError(t, w.refresh(rt), 400, "invalid_grant")
		})
	}
}

func TestDropBeforeTheWork(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	w.Fault(provider.Token, provider.Fault{Drop: true})
	if res, err := browser(t).PostForm(w.URL("/oauth/token"), refreshForm(rt)); err == nil {
		res.Body.Close()
		t.Fatal("answered")
	}
	if pg := w.refresh(rt); pg.status != 200 {
		t.Errorf("got %d %s", pg.status, pg.body)
	}
}

func TestFaultsQueue(t *testing.T) {
	w := start(t)
	get := func() int {
		res, err := browser(t).Get(w.URL("/keys"))
		return read(t, res, err).status
	}
	w.Fault(provider.Keys, provider.Fault{Status: 500, Times: 2})
	always := w.Fault(provider.Keys, provider.Fault{Status: 501, Times: provider.Always})
	for i, want := range []int{500, 500, 501, 501} {
		if got := get(); got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
	always.Remove()
	if got := get(); got != 200 {
		t.Errorf("after removal: %d", got)
	}
	w.Fault(provider.Keys, provider.Fault{Status: 500, Times: provider.Always})
	w.ClearFaults()
	if got := get(); got != 200 {
		t.Errorf("after clearing: %d", got)
	}
}

func TestFaultMatches(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	w.Fault(provider.Token, provider.Fault{Status: 500, Times: provider.Always, Match: func(_ *http.Request, form url.Values) bool {
		return form.Get("grant_type") == "client_credentials"
	}})
	if pg := w.refresh(rt); pg.status != 200 {
		t.Errorf("refresh: %d", pg.status)
	}
	if pg := w.post("/oauth/token", refreshForm(rt, "grant_type", "client_credentials")); pg.status != 500 {
		t.Errorf("client credentials: %d", pg.status)
	}
}

func TestGateHoldsAndReleases(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run("a gate "+name+" the work", func(t *testing.T) {
			w := start(t)
			rt := str(w.tokens(browser(t)), "refresh_token")
			gate := provider.NewGate()
			w.Fault(provider.Token, provider.Fault{Gate: gate, AfterWork: after})
			held := make(chan page, 1)
			go func() { held <- w.refresh(rt) }()
			<-gate.Arrived()
			select {
			case <-held:
				t.Fatal("answered while the gate was closed")
			default:
			}
			other := w.refresh(rt)
			gate.Release()
			first := <-held
			if after {
				wantError(t, other, 400, "invalid_grant")
			} else {
				wantError(t, first, 400, "invalid_grant")
			}
			if first.status+other.status != 600 {
				t.Errorf("held %d, other %d, want one 200 and one 400", first.status, other.status)
			}
		})
	}
}

func TestGateWorksOnForAClientThatHasGone(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	gate, worked := provider.NewGate(), make(chan struct{})
	w.Fault(provider.Token, provider.Fault{Gate: gate})
	w.Set(func(b *provider.Behaviour) { b.EditTokenAnswer = func(map[string]any) { close(worked) } })
	gone, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(gone, http.MethodPost, w.URL("/oauth/token"), strings.NewReader(refreshForm(rt).Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := browser(t).Do(req)
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	<-gate.Arrived()
	cancel()
	if err := <-failed; err == nil {
		t.Fatal("the client was answered")
	}
	gate.ReleaseOne()
	<-worked
	if n := refreshTokensIssued(w); n != 2 {
		t.Errorf("%d refresh tokens, want 2: the work was not done", n)
	}
}

func refreshTokensIssued(w *world) int {
	n := 0
	for _, s := range w.Issued() {
		if s.Kind == provider.KindRefresh {
			n++
		}
	}
	return n
}

func TestGateLetsOneThrough(t *testing.T) {
	w := start(t)
	gate := provider.NewGate()
	w.Fault(provider.Keys, provider.Fault{Gate: gate, Times: provider.Always})
	answered := make(chan int, 3)
	for range 3 {
		go func() {
			res, err := browser(t).Get(w.URL("/keys"))
			if err != nil {
				answered <- 0
				return
			}
			res.Body.Close()
			answered <- res.StatusCode
		}()
	}
	for range 3 {
		<-gate.Arrived()
	}
	gate.ReleaseOne()
	if got := <-answered; got != 200 {
		t.Errorf("first: %d", got)
	}
	select {
	case <-answered:
		t.Error("a second one passed")
	default:
	}
	gate.Release()
	for range 2 {
		if got := <-answered; got != 200 {
			t.Errorf("after release: %d", got)
		}
	}
}

func TestDelayAndEndlessBody(t *testing.T) {
	w := start(t)
	w.Fault(provider.Keys, provider.Fault{Delay: 30 * time.Millisecond})
	before := time.Now()
	res, err := browser(t).Get(w.URL("/keys"))
	if pg := read(t, res, err); pg.status != 200 || time.Since(before) < 30*time.Millisecond {
		t.Errorf("got %d after %v", pg.status, time.Since(before))
	}
	w.Fault(provider.Discovery, provider.Fault{Endless: true})
	res, err = browser(t).Get(w.URL("/.well-known/openid-configuration"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.CopyN(io.Discard, res.Body, 10<<20); err != nil {
		t.Errorf("the endless body ended after %d bytes: %v", n, err)
	}
}

func TestDiscoveryOnPurpose(t *testing.T) {
	w := start(t, func(c *provider.Config) {
		c.Behaviour.EditDiscovery = func(doc map[string]any) { doc["issuer"] = "http://evil" }
	})
	res, err := browser(t).Get(w.URL("/.well-known/openid-configuration"))
	if doc := read(t, res, err).json(t); doc["issuer"] != "http://evil" {
		t.Errorf("issuer %v", doc["issuer"])
	}
}
