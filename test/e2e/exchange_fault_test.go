//go:build integration

package e2e_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// fetches sends n requests for a user's orders to an instance at once, and returns the statuses.
func (w *trading) fetches(b *browser.Browser, in *gateway.Instance, n int) <-chan int {
	w.T.Helper()
	h, err := b.RequestHeader(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + "/orders/1", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		w.T.Fatal(err)
	}
	statuses := make(chan int, n)
	for range n {
		go func() {
			r, err := http.NewRequest("GET", world.Origin+"/orders/1", nil)
			if err != nil {
				statuses <- 0
				return
			}
			r.Header = h.Clone()
			res, err := in.Client().Do(r)
			if err != nil {
				statuses <- 0
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			statuses <- res.StatusCode
		}()
	}
	return statuses
}

// Fifty requests at each of two instances, while the provider holds every answer: each process asks once. One that is killed
// in the middle leaves nothing that the other would wait for.
//
// shows TX-CACHE
func TestExchangesAtOnceAndAKilledProcess(t *testing.T) {
	t.Parallel()
	w := newTrading(t, 2, 5*time.Minute)
	b := w.user("usr_1001")
	gate := provider.NewGate()
	t.Cleanup(gate.Release)
	w.Dev.Fault(provider.Token, provider.Fault{Match: provider.IsExchange, Times: provider.Always, Gate: gate})
	const n = 50
	doomed, other := w.fetches(b, w.All[0], n), w.fetches(b, w.All[1], n)
	for range w.All {
		<-gate.Arrived()
	}
	w.All[0].Kill()
	for range n {
		if status := <-doomed; status != 0 {
			t.Errorf("a request at the killed instance: %d", status)
		}
	}
	gate.Release()
	for range n {
		if status := <-other; status != 200 {
			t.Errorf("a request at the other one: %d", status)
		}
	}
	if got := w.exchanges(); got != 2 {
		t.Errorf("%d exchanges by two processes", got)
	}
	w.Start(1)
	w.At(w.All[2])
	w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	if tokens := w.api.got(); w.exchanges() != 2 || len(slices.Compact(slices.Sorted(slices.Values(tokens)))) != 1 {
		t.Errorf("%d exchanges after a restart", w.exchanges())
	}
}

// A refresh of the session's own tokens makes an end of what the old one was exchanged for. Redis that is away is 503, and
// nothing is sent in an exchanged token's place.
//
// shows TX-CACHE, TX-NOFALL
func TestExchangedTokensAndTheirSubjectsRefresh(t *testing.T) {
	t.Parallel()
	const life = 3 * time.Second
	w := newTrading(t, 2, life)
	b := w.user("usr_1001")
	began := time.Now()
	w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	first := w.api.last()
	<-time.After(time.Until(began.Add(life))) // by then the session's token is over, and is renewed by the next call
	w.At(w.All[1])
	w.Want(w.Fetch(b, "GET", "/orders/1", ""), 200)
	if second := w.api.last(); second == first || w.Dev.GrantCount("refresh_token") == 0 {
		t.Error("an exchanged token outlived its subject's refresh")
	}
	w.Redis.Kill()
	hits := len(w.api.got())
	p := w.Want(w.Fetch(b, "GET", "/orders/1", ""), 503)
	if !strings.Contains(string(p.Body), `"store_unavailable"`) || len(w.api.got()) != hits {
		t.Errorf("without Redis: %s", p.Body)
	}
	w.Redis.Restart()
}
