package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	targets "cloakroom/bff/proxy/upstream"
	"cloakroom/dpop"
	"cloakroom/test/prover"
	"cloakroom/test/websocket"
)

// keyOfSession is what the tests' tokens are bound to: the prover signs by it, and the token set carries its name.
var keyOfSession = prover.New("ES256")

// proves makes proofs as the engine does, by a prover that shares no code with the gateway's.
func proves(_ *bff.App, t bff.TokenSet, method, address, nonce string) (string, error) {
	if t.ProofKey.IsZero() {
		return "", &bff.Error{Code: bff.CodeInternal, Err: errors.New("no key")}
	}
	var bend []prover.Option
	if nonce != "" {
		bend = append(bend, prover.Nonce(nonce))
	}
	return keyOfSession.Proof(method, address, t.Access.Reveal(), bend...), nil
}

// boundTokens are a session's that are bound to a key.
func boundTokens(access string) bff.TokenSet {
	return bff.TokenSet{Access: secret(access), TokenType: "dpop", Scope: "read write", ProofKey: secret("the session's key")}
}

// boundCall is a call with them.
func boundCall() proxy.Call {
	c := signedIn()
	c.Tokens = boundTokens("at-1")
	return c
}

// proving is an API that takes bound tokens alone. It checks every proof and takes none twice (RFC 9449 section 7.1); wants is
// the nonce that it asks for, "" for none.
type proving struct {
	t     *testing.T
	mu    sync.Mutex
	wants string
	gives string // with a good answer: the next nonce
	used  map[string]bool
	good  string // the token that it takes; "" is any
	saw   []dpop.Proof
	serve http.HandlerFunc
}

func (p *proving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	proof, err := dpop.Check(r.Header["Dpop"], dpop.Request{
		Method: r.Method, URL: "http://" + r.Host + r.URL.EscapedPath(), Handle: token, Now: time.Now(),
	})
	if err != nil || scheme != "DPoP" || p.used[proof.ID] || proof.Thumbprint != keyOfSession.Thumbprint() {
		p.t.Errorf("%s %s: scheme %s, %v, %+v", r.Method, r.RequestURI, scheme, err, proof)
		p.refuse(w, "invalid_dpop_proof")
		return
	}
	if p.used == nil {
		p.used = make(map[string]bool)
	}
	p.used[proof.ID] = true
	p.saw = append(p.saw, *proof)
	switch {
	case p.wants != "" && proof.Nonce != p.wants:
		w.Header().Set("DPoP-Nonce", p.wants)
		p.refuse(w, "use_dpop_nonce")
	case p.good != "" && token != p.good:
		p.refuse(w, "invalid_token")
	default:
		if p.gives != "" {
			w.Header().Set("DPoP-Nonce", p.gives)
		}
		if p.serve != nil {
			p.serve(w, r)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
}

func (p *proving) refuse(w http.ResponseWriter, why string) {
	w.Header().Set("WWW-Authenticate", `DPoP algs="ES256", error="`+why+`"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// nonces are those of the proofs that came.
func (p *proving) nonces() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.saw {
		all = append(all, s.Nonce)
	}
	return all
}

func newProving(t *testing.T, p *proving) (*proving, *api) {
	p.t = t
	return p, newAPI(t, p.ServeHTTP)
}

// boundGateway forwards calls with bound tokens.
func boundGateway(t *testing.T, renew func(context.Context) (bff.TokenSet, error), routes ...proxy.Route) *gateway {
	return newGateway(t, setting{
		options: proxy.Options{Prove: proves},
		call:    func(*http.Request) proxy.Call { c := boundCall(); c.Renew = renew; return c },
	}, routes...)
}

// The address that is proved is the API's own, and the path as it is sent: after it was rewritten, stripped or filled in.
// What the frontend says of proofs and nonces reaches no API, and what the API says of them no frontend.
//
// shows DPOP-OUT-RS
func TestAProofIsForTheAddressThatIsAsked(t *testing.T) {
	for _, c := range []struct {
		with   string
		change func(*api, *proxy.Route)
		path   string
		target string
	}{
		{"the path as it came", func(*api, *proxy.Route) {}, "/api/orders/7?expand=lines&x=%20", "/api/orders/7"},
		{"escapes in its path", func(*api, *proxy.Route) {}, "/api/a%20b/%C3%BC", "/api/a%20b/%C3%BC"},
		{"a base path", func(a *api, r *proxy.Route) { r.Upstream = a.URL + "/v2/base" }, "/api/orders", "/v2/base/api/orders"},
		{"its prefix stripped", func(a *api, r *proxy.Route) { r.Upstream, r.Strip = a.URL+"/v2", true }, "/api/orders/7", "/v2/orders/7"},
		{"the user's name filled in", func(a *api, r *proxy.Route) { r.Upstream, r.Strip = a.URL+"/users/{sub}", true }, "/api/orders", "/users/usr_1/orders"},
	} {
		t.Run("a call with "+c.with, func(t *testing.T) {
			p, a := newProving(t, &proving{gives: "n"})
			g := boundGateway(t, nil, route(a, "/api/", func(r *proxy.Route) { c.change(a, r) }))
			got := g.do(t, "GET", c.path, http.Header{
				"Dpop": {"a.proof.ofmine"}, "Dpop-Nonce": {"mine"}, "X_dpop": {"x"}, "D-P-O-P": {"x"},
			}, nil)
			if got.Status != 200 || got.Header["Dpop-Nonce"] != nil {
				t.Fatalf("got %d %v, %v", got.Status, got.Header, g.errors())
			}
			only := a.only(t)
			if path, _, _ := strings.Cut(only.Target, "?"); path != c.target {
				t.Errorf("the API was asked for %s, want %s", only.Target, c.target)
			}
			if len(only.Header["Dpop"]) != 1 || only.Header["Dpop"][0] == "a.proof.ofmine" || len(p.nonces()) != 1 {
				t.Errorf("the API got %v", only.Header)
			}
		})
	}
}

// An API's challenge is answered once, by a new proof, if the request can be repeated; the nonce that comes with a good answer
// is in the next call; and what stays refused is told as the gateway's own failure.
//
// shows DPOP-OUT-RS, PRX-401
func TestAnAPIThatWantsNonces(t *testing.T) {
	long := strings.Repeat("x", 64<<10+1)
	for _, c := range []struct {
		with   string
		method string
		body   io.Reader
		hits   int
		want   int
	}{
		{"no body", "GET", nil, 2, 200},
		{"a body that was kept", "POST", strings.NewReader("hello"), 2, 200},
		{"a body too long to keep", "POST", strings.NewReader(long), 1, 401},
		{"a body of unknown length", "POST", io.MultiReader(strings.NewReader("hello")), 1, 401},
	} {
		t.Run("a call with "+c.with, func(t *testing.T) {
			p, a := newProving(t, &proving{wants: "first"})
			g := boundGateway(t, nil, route(a, "/api/"))
			got := g.do(t, c.method, "/api/x", nil, c.body)
			if got.Status != c.want || got.Header["Www-Authenticate"] != nil || got.Header["Dpop-Nonce"] != nil {
				t.Fatalf("got %d %v, %v", got.Status, got.Header, g.errors())
			}
			if c.want == 401 && got.Header.Get("X-Code") != string(bff.CodeUpstreamRefused) {
				t.Errorf("told as %q", got.Header.Get("X-Code"))
			}
			if n := len(a.requests()); n != c.hits {
				t.Fatalf("the API was hit %d times, want %d", n, c.hits)
			}
			for _, r := range a.requests() {
				if c.hits == 2 && r.Body != a.requests()[0].Body {
					t.Error("the body was another the second time")
				}
			}
			// The nonce of the challenge is known by now, and that of a good answer after it.
			p.mu.Lock()
			p.gives = "next"
			p.mu.Unlock()
			for range 2 {
				if again := g.do(t, "GET", "/api/x", nil, nil); again.Status != 200 {
					t.Fatalf("got %d", again.Status)
				}
				p.mu.Lock()
				p.wants = "next"
				p.mu.Unlock()
			}
			if all := p.nonces(); fmt.Sprint(all[c.hits:]) != "[first next]" {
				t.Errorf("nonces %q", all)
			}
		})
	}
}

// An API that goes on challenging, or that finds the proof wrong, is asked no more than that, and the frontend gets a problem.
//
// shows DPOP-OUT-RS
func TestAnAPIThatAlwaysChallenges(t *testing.T) {
	for _, c := range []struct {
		with string
		why  string
		n    func(int) []string
		hits int
	}{
		{"a new nonce each time", "use_dpop_nonce", func(n int) []string { return []string{fmt.Sprint("n", n)} }, 2},
		{"the same nonce each time", "use_dpop_nonce", func(int) []string { return []string{"same"} }, 2},
		{"no nonce", "use_dpop_nonce", func(int) []string { return nil }, 1},
		{"two nonces", "use_dpop_nonce", func(int) []string { return []string{"a", "b"} }, 1},
		{"a nonce that would end its text", "use_dpop_nonce", func(int) []string { return []string{`a"`} }, 1},
		{"no use for the proof", "invalid_dpop_proof", func(n int) []string { return []string{fmt.Sprint("n", n)} }, 1},
	} {
		t.Run("challenges with "+c.with, func(t *testing.T) {
			n, renewals := 0, 0
			a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.Header()["Dpop-Nonce"] = c.n(n)
				w.Header().Set("WWW-Authenticate", `DPoP error="`+c.why+`", error_description="Authorization server requires nonce in DPoP proof"`)
				w.WriteHeader(http.StatusUnauthorized)
			})
			renew := func(context.Context) (bff.TokenSet, error) { renewals++; return boundTokens("at-2"), nil }
			g := boundGateway(t, renew, route(a, "/api/"))
			got := g.do(t, "GET", "/api/x", nil, nil)
			if got.Status != 401 || got.Header.Get("X-Code") != string(bff.CodeUpstreamRefused) || got.Header["Dpop-Nonce"] != nil {
				t.Errorf("got %d %v", got.Status, got.Header)
			}
			if hits := len(a.requests()); hits != c.hits || renewals != 0 {
				t.Errorf("%d hits, %d renewals, want %d and none", hits, renewals, c.hits)
			}
		})
	}
}

// A token that the API refuses is renewed as any other, its proof with it: by the key that the new one is bound to, or by none.
//
// shows DPOP-OUT-RS, PRX-401
func TestARenewalOfABoundToken(t *testing.T) {
	t.Run("with a nonce in between", func(t *testing.T) {
		p, a := newProving(t, &proving{wants: "n", good: "at-2"})
		renew := func(context.Context) (bff.TokenSet, error) { return boundTokens("at-2"), nil }
		g := boundGateway(t, renew, route(a, "/api/"))
		if got := g.do(t, "POST", "/api/x", nil, strings.NewReader("hello")); got.Status != 200 {
			t.Fatalf("got %d, %v", got.Status, g.errors())
		}
		if all := p.nonces(); fmt.Sprint(all) != "[ n n]" {
			t.Errorf("nonces %q", all)
		}
	})
	t.Run("by one that is bound to nothing", func(t *testing.T) {
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer at-2" || r.Header["Dpop"] != nil {
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
		renew := func(context.Context) (bff.TokenSet, error) {
			return bff.TokenSet{Access: secret("at-2"), TokenType: "Bearer", ProofKey: secret("kept")}, nil
		}
		g := boundGateway(t, renew, route(a, "/api/"))
		if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 200 {
			t.Errorf("got %d, %v", got.Status, g.errors())
		}
	})
}

// A bound token never leaves without a proof, and an unbound one never with one.
//
// shows DPOP-OUT-RS
func TestNoBoundTokenWithoutAProof(t *testing.T) {
	a := newAPI(t, nil)
	keyless := boundTokens("at-1")
	keyless.ProofKey = bff.Secret{}
	for _, c := range []struct {
		with   string
		prove  func(*bff.App, bff.TokenSet, string, string, string) (string, error)
		tokens bff.TokenSet
	}{
		{"nobody to prove it", nil, boundTokens("at-1")},
		{"no key", proves, keyless},
	} {
		g := newGateway(t, setting{
			options: proxy.Options{Prove: c.prove},
			call:    func(*http.Request) proxy.Call { k := signedIn(); k.Tokens = c.tokens; return k },
		}, route(a, "/api/"))
		got := g.do(t, "GET", "/api/x", nil, nil)
		if len(a.requests()) != 0 || got.Header.Get("X-Code") != string(bff.CodeInternal) {
			t.Errorf("a bound token with %s: %v, %d requests", c.with, got, len(a.requests()))
		}
	}
	g := newGateway(t, setting{options: proxy.Options{Prove: proves}}, route(a, "/api/"))
	g.do(t, "GET", "/api/x", http.Header{"Dpop": {"mine"}}, nil)
	if got := a.only(t); got.Header["Dpop"] != nil || got.Header.Get("Authorization") != "Bearer at-1" {
		t.Errorf("the API got %v", got.Header)
	}
}

// What one API gives is for that one: routes to one origin share it, another origin never sees it.
//
// shows DPOP-OUT-RS
func TestNoncesOfTwoAPIs(t *testing.T) {
	p1, one := newProving(t, &proving{gives: "of-one"})
	p2, other := newProving(t, &proving{gives: "of-the-other"})
	g := boundGateway(t, nil, route(one, "/one/"), route(one, "/also-one/"), route(other, "/other/"))
	for range 2 {
		for _, path := range []string{"/one/x", "/also-one/x", "/other/x"} {
			if got := g.do(t, "GET", path, nil, nil); got.Status != 200 {
				t.Fatalf("%s: %d", path, got.Status)
			}
		}
	}
	if all := p1.nonces(); fmt.Sprint(all) != "[ of-one of-one of-one]" {
		t.Errorf("the one got %q", all)
	}
	if all := p2.nonces(); fmt.Sprint(all) != "[ of-the-other]" {
		t.Errorf("the other got %q", all)
	}
}

// A WebSocket begins with a request like any other: its handshake carries a proof, and is repeated where the API wants a nonce.
//
// shows DPOP-OUT-RS, WS-1
func TestAHandshakeByProof(t *testing.T) {
	handshakes := 0
	p, a := newProving(t, &proving{wants: "n"})
	p.serve = func(w http.ResponseWriter, r *http.Request) {
		handshakes++
		c := websocket.Take(w)
		defer c.Close()
		c.Switch(r)
		if op, payload, err := c.Read(); err == nil {
			c.Send(op, payload)
		}
	}
	g := boundGateway(t, nil, route(a, "/api/", opts))
	c := g.opened(t, "DPoP: a.proof.ofmine")
	c.Send(websocket.Text, "hello")
	if _, payload, err := c.Read(); err != nil || payload != "hello" {
		t.Errorf("got %q, %v", payload, err)
	}
	if all := p.nonces(); fmt.Sprint(all) != "[ n]" || handshakes != 1 {
		t.Errorf("nonces %q, %d handshakes", all, handshakes)
	}
}

// The app's own token is proved as a user's is.
//
// shows DPOP-OUT-RS
func TestTheAppsOwnTokenByProof(t *testing.T) {
	p, a := newProving(t, &proving{wants: "n", good: "own-2"})
	n := 0
	call := func(*http.Request) proxy.Call {
		c := signedIn()
		c.Own = func(context.Context, bff.Secret) (bff.TokenSet, error) {
			n++
			return boundTokens(fmt.Sprint("own-", n)), nil
		}
		return c
	}
	g := newGateway(t, setting{options: proxy.Options{Prove: proves}, call: call}, proxy.Route{
		Path: "/manage/users", Methods: []string{"GET"}, Upstream: a.URL + "/v1/users", Token: proxy.TokenClient, Apps: []string{"web"},
	})
	if got := g.do(t, "GET", "/manage/users", nil, nil); got.Status != 200 {
		t.Fatalf("got %d %v, %v", got.Status, got.Header, g.errors())
	}
	if all := p.nonces(); fmt.Sprint(all) != "[ n n]" {
		t.Errorf("nonces %q", all)
	}
}

// Challenges are answered once for each request, also where a renewal comes between them.
//
// shows DPOP-OUT-RS
func TestChallengesAcrossARenewal(t *testing.T) {
	n := 0
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		n++
		why := "use_dpop_nonce"
		if n == 2 {
			why = "invalid_token"
		}
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n))
		w.Header().Set("WWW-Authenticate", `DPoP error="`+why+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	renew := func(context.Context) (bff.TokenSet, error) { return boundTokens("at-2"), nil }
	g := boundGateway(t, renew, route(a, "/api/"))
	got := g.do(t, "GET", "/api/x", nil, nil)
	if got.Status != 401 || got.Header.Get("X-Code") != string(bff.CodeUpstreamRefused) || len(a.requests()) != 3 {
		t.Errorf("got %d %v after %d requests", got.Status, got.Header, len(a.requests()))
	}
}

// A nonce that is refused although it is the one that was given is not tried again.
//
// shows DPOP-OUT-RS
func TestANonceThatIsRefusedForItself(t *testing.T) {
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("DPoP-Nonce", "same")
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	g := boundGateway(t, nil, route(a, "/api/"))
	g.do(t, "GET", "/api/x", nil, nil)
	before := len(a.requests())
	g.do(t, "GET", "/api/x", nil, nil)
	if hits := len(a.requests()) - before; hits != 1 {
		t.Errorf("%d requests with a nonce that was known, want one", hits)
	}
}

// A request that is sent to another target, for the first one broke off, has a proof of its own: the API may have seen the other.
//
// shows DPOP-OUT-RS
func TestAProofForEachTarget(t *testing.T) {
	var mu sync.Mutex
	ids := make(map[string]int)
	broken := false
	serve := func(w http.ResponseWriter, r *http.Request) {
		proof, err := dpop.Check(r.Header["Dpop"], dpop.Request{
			Method: r.Method, URL: "http://" + r.Host + r.URL.EscapedPath(), Handle: "at-1", Now: time.Now(),
		})
		if err != nil {
			t.Error(err)
			return
		}
		mu.Lock()
		ids[proof.ID]++
		first := !broken
		broken = true
		mu.Unlock()
		if first {
			panic(http.ErrAbortHandler) // the request was read, and no answer comes
		}
	}
	one, other := newAPI(t, serve), newAPI(t, serve)
	g := newGateway(t, setting{
		options: proxy.Options{Prove: proves, Upstreams: []targets.Settings{{
			Origin: one.URL, Targets: []string{one.Listener.Addr().String(), other.Listener.Addr().String()}, Attempts: 2,
		}}},
		call: func(*http.Request) proxy.Call { return boundCall() },
	}, route(one, "/api/"))
	if got := g.do(t, "GET", "/api/x", nil, nil); got.Status != 200 {
		t.Fatalf("got %d, %v", got.Status, g.errors())
	}
	if len(ids) != 2 || len(one.requests())+len(other.requests()) != 2 {
		t.Errorf("%d proofs in %d requests", len(ids), len(one.requests())+len(other.requests()))
	}
}
