//go:build bench

package bench_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/prover"
	"cloakroom/test/world"
)

const mostCalls = max(perRound, int(paceTime/time.Second)*fixedRate) // in one round, or at the fixed rate

const (
	publicURL     = "http://gw.localhost"
	orders        = publicURL + "/bench/orders"
	unboundSecret = "the-secret-of-the-app-unbound-at-the-provider"
	boundSecret   = "the-secret-of-the-app-bound-at-the-provider"
)

// nativeApps are two apps that differ in nothing but the binding.
const nativeApps = `
  unbound:
    kind: mobile
    provider: main
    client_id: nativec_1
    client_secret: ` + unboundSecret + `
    redirect_uris: ["https://app.example.com/unbound"]
  bound:
    kind: mobile
    provider: main
    client_id: nativec_2
    client_secret: ` + boundSecret + `
    redirect_uris: ["https://app.example.com/bound"]
    handle: {dpop: required}
`

// phone is who has handles of one gateway.
type phone struct {
	w  *world.World
	in *gateway.Instance
}

// newPhone makes a world with both apps, and one gateway as its users run it.
func newPhone(t *testing.T, upstream string) *phone {
	t.Helper()
	w := world.New(t, world.DevProvider, world.Options{
		Routes: fmt.Sprintf("  - {path: /bench/, upstream: %q, methods: [GET], token: user}", upstream),
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour }, Apps: nativeApps,
	})
	w.Dev.Register(provider.Client{ID: "nativec_1", Secret: unboundSecret, RedirectURIs: []string{publicURL + "/mobile/callback/unbound"}})
	w.Dev.Register(provider.Client{ID: "nativec_2", Secret: boundSecret, RedirectURIs: []string{publicURL + "/mobile/callback/bound"}})
	w.Setup.Bin = gateway.Plain(t)
	p := &phone{w: w, in: w.Setup.StartQuiet(t, level(), "CLOAKROOM_PUBLIC__URL="+publicURL)}
	w.At(p.in)
	return p
}

// signIn signs in to an app and returns its handle, bound to a key if there is one.
func (p *phone) signIn(t *testing.T, app string, key *prover.Prover) string {
	t.Helper()
	b := p.w.Browser()
	b.HoldAt(func(u *url.URL) bool { return u.Host == "app.example.com" })
	verifier, redirect := oauth2.GenerateVerifier(), "https://app.example.com/"+app
	page, err := b.Navigate(publicURL + "/mobile/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {app}, "redirect_uri": {redirect},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !page.Unsent {
		page = p.w.OP.SignIn(t, b, page)
	}
	back, err := url.Parse(page.URL)
	if err != nil || !page.Unsent {
		t.Fatalf("no code: %v %d %s", err, page.Status, page.URL)
	}
	return p.redeem(t, key, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "code": {back.Query().Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier},
	})
}

// redeem trades a code.
func (p *phone) redeem(t *testing.T, key *prover.Prover, form url.Values) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, publicURL+"/mobile/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key != nil {
		key.Announce(r)
	}
	resp, err := p.in.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Access string `json:"access_token"`
		Error  string `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Access == "" {
		t.Fatalf("no handle: %s %q %v", resp.Status, got.Error, err)
	}
	return got.Access
}

// bearer is a call with an unbound handle.
func bearer(handle string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, orders, nil)
	if err != nil {
		panic(err) // the address is fixed
	}
	r.Header.Set("Authorization", "Bearer "+handle)
	return r
}

// proven is a call with a bound handle and a proof that is made now.
func proven(key *prover.Prover, handle string) *http.Request {
	r := bearer(handle)
	key.Present(r, handle)
	return r
}

// stock makes calls with proofs ahead, so that making them costs nobody time while others are measured: they are good for a
// minute.
func stock(key *prover.Prover, handle string, n int) func() *http.Request {
	all := make([]*http.Request, n)
	var made, used atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) { // by an RSA key it takes seconds
		wg.Go(func() {
			for i := made.Add(1) - 1; i < int64(n); i = made.Add(1) - 1 {
				all[i] = proven(key, handle)
			}
		})
	}
	wg.Wait()
	return func() *http.Request { return all[used.Add(1)-1] }
}

// caller is one kind of call; all go to one gateway.
type caller struct {
	contender
	calls func() func() *http.Request // what a round sends
}

// TestProofCost measures what a call with a bound handle costs more than one with an unbound one, by the algorithm of the
// proof: processor time of the gateway and of Redis in turn, and latency at a fixed rate.
func TestProofCost(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	t.Cleanup(upstream.Close)
	p := newPhone(t, upstream.URL)
	b := p.w.Browser()
	p.w.SignIn(b, "/")
	cookie, unbound := always(signedIn(t, b)), always(bearer(p.signIn(t, "unbound", nil)))
	all := []*caller{
		{contender{name: "unbound handle"}, func() func() *http.Request { return unbound }},
		{contender{name: "cookie"}, func() func() *http.Request { return cookie }},
	}
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		key := prover.New(alg)
		handle := p.signIn(t, "bound", key)
		all = append(all, &caller{contender{name: "bound handle, " + alg}, func() func() *http.Request { return stock(key, handle, mostCalls) }})
	}
	rdb := redis.NewClient(&redis.Options{Addr: p.w.Redis.Addr(), DisableIdentity: true})
	t.Cleanup(func() { _ = rdb.Close() })
	server := cpuOfRedis(t, rdb)
	for round := range rounds + 1 {
		for _, c := range all {
			c.addr, c.cpu = p.in.Addr, p.in.CPU
			measure(t, &c.contender, c.calls(), server, round > 0) // the first round warms up
		}
	}
	reportProofs(t, all)
	t.Logf("keys of used proofs: %d bytes each", perProof(t, rdb))
	for _, c := range all[:3] {
		t.Logf("%-24s at %d requests/s: %s", c.name, fixedRate, paced(t, &c.contender, c.calls()))
	}
}

// reportProofs prints medians, and differences and ratios round by round to the unbound handle.
func reportProofs(t *testing.T, all []*caller) {
	t.Helper()
	base := all[0]
	for _, c := range all {
		var more []time.Duration
		for i := range c.perReq {
			more = append(more, c.perReq[i]-base.perReq[i])
		}
		t.Logf("%-24s %4d µs CPU per request (%+d µs, %.2f×), %2d µs of Redis, %5.0f requests/s (%.2f×)", c.name,
			median(c.perReq).Microseconds(), median(more).Microseconds(), median(ratios(c.perReq, base.perReq)),
			median(c.redis).Microseconds(), median(c.rate), median(ratios(c.rate, base.rate)))
	}
}

// perProof is what one remembered proof takes of Redis.
func perProof(t *testing.T, rdb *redis.Client) int64 {
	t.Helper()
	ctx := context.Background()
	scan := rdb.Scan(ctx, 0, "cr:s:*:j:*", 1000).Iterator()
	if !scan.Next(ctx) {
		t.Fatalf("no proof is remembered: %v", scan.Err())
	}
	bytes, err := rdb.MemoryUsage(ctx, scan.Val()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// proofParts are what the time of a call with a proof is told by. They overlap.
var proofParts = []struct{ name, focus string }{
	{"checking the proof", `cloakroom/dpop\.Check$`},
	{"  of it the signature", `dpop\.\(\*key\)\.verifies`},
	{"  of it the key: its point, and its thumbprint", `dpop\.\(\*form\)\.key|dpop\.\(\*key\)\.thumbprint`},
	{"  of it reading JSON", `dpop\.members`},
	{"  of it the address", `dpop\.sameTarget`},
	{"reading the record by the script", `store\.\(\*Store\)\.ReadProven`},
	{"  of it opening the record", `store\.\(\*Store\)\.open$`},
	{"ReverseProxy with its transport", parts[0].focus},
	{"system calls", parts[2].focus},
}

// TestProofProfile takes a processor profile of a gateway in this process, under a load of calls with fresh proofs, and tells
// the shares of the parts. The profile itself goes to bin/test/dpop.pprof.
func TestProofProfile(t *testing.T) {
	p := newPhone(t, "http://"+apart(t, "BENCH_ANSWER=1"))
	key := prover.New("ES256")
	handle := p.signIn(t, "bound", key)
	t.Setenv("CLOAKROOM_PUBLIC__URL", publicURL)
	addr := serveHere(t, p.w.Setup.File)
	file := profile(t, "BENCH_LOAD="+addr, "BENCH_HANDLE="+handle, "BENCH_KEY="+fmt.Sprint(key.PrivateJWK()["d"]))
	for _, part := range proofParts {
		t.Logf("%-50s %s", part.name, share(t, file, part.focus))
	}
	keep(t, file, "dpop.pprof")
}

// presenting is the load of a phone whose private key (ES256) is given.
func presenting(handle, private string) func() *http.Request {
	raw, err := base64.RawURLEncoding.DecodeString(private)
	if err != nil {
		panic(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		panic(err)
	}
	p := prover.Of("ES256", key)
	return func() *http.Request { return proven(p, handle) }
}
