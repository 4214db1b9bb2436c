//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

const (
	bodyBytes    = 1 << 20
	bodiesAtOnce = 8   // enough to keep the proxy busy, few enough that the upstream and the load get their turn
	bodiesRound  = 400 // in one turn: half a second or so of the proxy's processor time
)

// large is what goes up and comes down. It is made where it is needed: the proxies under measurement are this program too, and
// a mebibyte that lives in them for nothing would have them collect garbage half as often.
var large = sync.OnceValue(func() []byte { return bytes.Repeat([]byte("cloakroom-------"), bodyBytes/16) })

// TestBodies compares what a body of 1 MiB costs the gateway with what it costs a bare ReverseProxy, down and up, of known
// length, as ratios of processor time, in turn. The upstream is a process of its own.
func TestBodies(t *testing.T) {
	up := apart(t, "BENCH_LARGE=1")
	w := world.New(t, world.DevProvider, world.Options{
		Routes: fmt.Sprintf("  - {path: /bench/, upstream: %q, methods: [GET, POST], token: user}", "http://"+up),
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
	})
	w.Setup.Bin = gateway.Plain(t)
	in := w.Setup.StartQuiet(t, level())
	w.At(in)
	b := w.Browser()
	w.SignIn(b, "/")
	r := signedIn(t, b)
	bare := &contender{name: "bare ReverseProxy"}
	start(t, bare, "http://"+up, newest(w), "")
	ours := &contender{name: "cloakroom", addr: in.Addr, cpu: in.CPU}
	for _, way := range []struct {
		name, method string
		most         func(ceiling) float64
	}{
		{"down", http.MethodGet, func(c ceiling) float64 { return c.DownToBare }},
		{"up", http.MethodPost, func(c ceiling) float64 { return c.UpToBare }},
	} {
		bare.perReq, ours.perReq = nil, nil
		for round := range rounds + 1 {
			for _, c := range []*contender{bare, ours} {
				carry(t, c, r, way.method, round > 0) // the first round warms up
			}
		}
		ratio := median(ratios(ours.perReq, bare.perReq))
		t.Logf("1 MiB %s: bare %d µs, cloakroom %d µs of CPU; %.2f× in the median of %d rounds, from %.2f to %.2f",
			way.name, median(bare.perReq).Microseconds(), median(ours.perReq).Microseconds(), ratio, rounds,
			least(ratios(ours.perReq, bare.perReq)), most(ratios(ours.perReq, bare.perReq)))
		if limit := way.most(readCeiling(t)); ratio > limit {
			t.Errorf("1 MiB %s costs %.2f times the processor time of a bare ReverseProxy: the ceiling is %.2f", way.name, ratio, limit)
		}
	}
}

func least(v []float64) float64 { return extreme(v, func(a, b float64) bool { return a < b }) }
func most(v []float64) float64  { return extreme(v, func(a, b float64) bool { return a > b }) }

func extreme(v []float64, before func(a, b float64) bool) float64 {
	found := v[0]
	for _, x := range v {
		if before(x, found) {
			found = x
		}
	}
	return found
}

// serveLarge is the upstream: it gives 1 MiB, and counts what it is sent.
func serveLarge() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, n)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(bodyBytes))
		_, _ = w.Write(large())
	}))
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// carry has a contender carry a round of bodies.
func carry(t *testing.T, c *contender, r *http.Request, method string, count bool) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bodiesAtOnce}}
	defer client.CloseIdleConnections()
	var left, failed atomic.Int64
	left.Store(bodiesRound)
	var all sync.WaitGroup
	cpu := c.cpu()
	for range bodiesAtOnce {
		all.Go(func() {
			buf := make([]byte, 64<<10)
			for left.Add(-1) >= 0 {
				if err := oneBody(client, c.addr, r, method, buf); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		t.Fatalf("%s: %d bodies failed", c.name, failed.Load())
	}
	if count {
		c.perReq = append(c.perReq, (c.cpu()-cpu)/bodiesRound)
	}
}

func oneBody(client *http.Client, addr string, r *http.Request, method string, buf []byte) error {
	q := r.Clone(r.Context())
	q.Method, q.URL.Host = method, addr
	if method == http.MethodPost {
		q.Header.Set("Origin", world.Origin)
		q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(large())), bodyBytes
	}
	resp, err := client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
	if err != nil || resp.StatusCode != http.StatusOK || method == http.MethodGet && n != bodyBytes {
		return fmt.Errorf("%s: %s, %d bytes, %v", method, resp.Status, n, err)
	}
	return nil
}
