//go:build integration

package native_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/forge"
	"cloakroom/test/gateway"
	"cloakroom/test/prover"
	"cloakroom/test/world"
)

// The attacks on handles that are bound to a key, and on requests that are pushed, against one pair of instances. The app
// vault must bind, choice may, nonced must and has to answer a nonce; cli does not know of keys.
func TestBoundAttacks(t *testing.T) {
	t.Parallel()
	n := newWorld(t, boundApp{"vault", "{dpop: required}"}, boundApp{"choice", "{dpop: allowed}"},
		boundApp{"nonced", "{dpop: required, dpop_nonce: true}"})
	n.allowBound()
	for name, attack := range map[string]func(*testing.T, *nativeWorld){
		"the key at the redemption": keyAtRedemption, "the address on its way": manInTheMiddle, "pushed requests": pushing,
		"a bound replay at two instances": boundReplay, "a proof at two instances": proofTwice, "proofs for something else": bentProofs,
		"downgrades": downgrade, "bound credentials mixed up": boundMixed, "refresh handles nobody was given": forgedRefresh,
		"the end of a bound session": boundEnd, "nonces": nonces, "an app that begins to bind": beginsToBind,
	} {
		t.Run(name, func(t *testing.T) { n.T = t; attack(t, n) })
	}
	n.T = t
	n.finish(t)
}

// A code is bound to the key that was announced, and what an app must prove is not left out. What could not be judged has
// cost no code; what was judged and is wrong has.
//
// shows NAT-BIND, DPOP-10, NAT-CODE
func keyAtRedemption(t *testing.T, n *nativeWorld) {
	tests := []struct {
		name, app string
		announce  bool
		try       func(*device, grant) tokens
		want      string
		burned    bool
	}{
		{"no proof, where a key was announced", "choice", true, (*device).bare, "invalid_grant", true},
		{"no proof, where one is required", "vault", true, (*device).bare, "invalid_dpop_proof", false},
		{"no proof and nothing announced, where one is required", "vault", false, (*device).bare, "invalid_dpop_proof", false},
		{"a proof by another key", "choice", true, (*device).otherKey, "invalid_grant", true},
		{"a proof by another key, where one is required", "vault", true, (*device).otherKey, "invalid_grant", true},
		{"a thief's own key and no verifier", "vault", false, (*device).stolen, "invalid_grant", true},
		{"a thief's own app", "vault", true, (*device).secondApp, "invalid_grant", true},
		{"a proof for another address", "vault", true, func(d *device, g grant) tokens {
			return d.trade(n.T, n.All[0], g, prover.URL(n.front.URL+"/api/orders"))
		}, "invalid_dpop_proof", false},
		{"a proof of ten minutes ago", "vault", true, func(d *device, g grant) tokens {
			return d.trade(n.T, n.All[0], g, prover.At(time.Now().Add(-10*time.Minute)))
		}, "invalid_dpop_proof", false},
		{"two proofs", "vault", true, func(d *device, g grant) tokens {
			proof := d.proof("POST", "/mobile/token", "")
			return n.post(n.T, n.All[0], "/mobile/token", g.form(), "DPoP", proof, "DPoP", proof)
		}, "invalid_dpop_proof", false},
	}
	for _, tt := range tests {
		d := n.device(tt.app)
		a := d.silent()
		if tt.announce {
			a = d.announcing()
		}
		g := n.signIn(t, n.browser(t), a)
		refused(t, named(tt.name, tt.try(d, g)), tt.want)
		after := d.trade(t, n.All[1], g)
		if tt.burned {
			refused(t, named(tt.name+", then the right one", after), "invalid_grant")
			continue
		}
		d.handle = d.given(t, after)
		d.wants(t, tt.name, 200)
	}
}

// named lets a failure tell which answer it was.
func named(what string, got tokens) tokens {
	got.Session = map[string]any{"of": what}
	return got
}

// bare redeems without a proof.
func (d *device) bare(g grant) tokens { return d.n.token(d.n.T, d.n.All[0], g.form()) }

// otherKey redeems with a proof by a key of one's own, and all else that is right.
func (d *device) otherKey(g grant) tokens { return d.n.device(d.app).trade(d.n.T, d.n.All[0], g) }

// stolen redeems what the thief of a code has: a key, and not the verifier.
func (d *device) stolen(g grant) tokens {
	g.Verifier = strings.Repeat("a", 43)
	return d.n.device(d.app).trade(d.n.T, d.n.All[0], g)
}

// secondApp redeems as another app that caught the redirect.
func (d *device) secondApp(g grant) tokens {
	g.App = "choice"
	return d.n.device("choice").trade(d.n.T, d.n.All[0], g)
}

// Who can change the address in the browser binds the code to a key of theirs, and then nobody can redeem it; or takes the
// announcement away, which takes nothing from the app that proves its key. A changed state is told back as changed.
//
// shows NAT-BIND, DPOP-10, NAT-8.9
func manInTheMiddle(t *testing.T, n *nativeWorld) {
	app, mallory := n.device("vault"), n.device("vault")
	g := n.signIn(t, n.browser(t), mallory.announcing())
	refused(t, app.trade(t, n.All[0], g), "invalid_grant")
	g = n.signIn(t, n.browser(t), mallory.announcing())
	g.Verifier = strings.Repeat("b", 43)
	refused(t, mallory.trade(t, n.All[0], g), "invalid_grant")
	app.redeem(t, n.signIn(t, n.browser(t), app.silent()))
	app.wants(t, "a sign-in whose announcement was taken away", 200)
	a := app.announcing()
	a.State = "not what the app sent"
	n.signIn(t, n.browser(t), a) // answer compares it: the app sees that it is not its own
	for _, bad := range []string{"short", strings.Repeat("A", 44), app.key.Thumbprint() + "="} {
		a = n.complete(app.announcing())
		a.More = url.Values{"dpop_jkt": {bad}}
		p, err := n.browser(t).Navigate(n.address(a))
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := url.Parse(p.URL); p.Unsent && u.Query().Get("error") != "invalid_request" || !p.Unsent && p.Status != 400 {
			t.Errorf("dpop_jkt %q: %d at %s", bad, p.Status, p.URL)
		}
	}
}

// A pushed request is what was pushed: nothing in the address adds to it or changes it, and nobody else can use it.
//
// shows NAT-BIND, NAT-7.1, DPOP-10
func pushing(t *testing.T, n *nativeWorld) {
	app, mallory := n.device("vault"), n.device("vault")
	a := n.complete(app.silent())
	got := n.push(t, a, "DPoP", app.proof("POST", "/mobile/par", ""))
	if got.Status != http.StatusCreated || !strings.HasPrefix(got.URI, "urn:ietf:params:oauth:request_uri:") || got.Expires != 90 {
		t.Fatalf("a pushed request: %+v", got)
	}
	start := func(uri, client string, more url.Values) string {
		q := url.Values{"client_id": {client}, "request_uri": {uri}}
		for name, values := range more {
			q[name] = values
		}
		return n.front.URL + "/mobile/authorize?" + q.Encode()
	}
	evil := url.Values{
		"state": {"mallory's"}, "redirect_uri": {"https://evil.example/"}, "code_challenge": {mallory.key.Thumbprint()},
		"dpop_jkt": {mallory.key.Thumbprint()}, "response_type": {"token"},
	}
	redeemable := func(more url.Values) grant {
		b := n.browser(t)
		p, err := b.Navigate(start(got.URI, app.app, more))
		if err != nil {
			t.Fatal(err)
		}
		return grant{a, answer(t, n.atProvider(t, b, p, n.someone()), a).Get("code")}
	}
	refused(t, mallory.trade(t, n.All[0], redeemable(nil)), "invalid_grant") // the proof has announced the key
	app.redeem(t, redeemable(evil))
	app.wants(t, "a pushed request with more beside it", 200)
	for name, address := range map[string]string{
		"another client":        start(got.URI, "choice", nil),
		"a client unheard of":   start(got.URI, "nobody", nil),
		"no client":             start(got.URI, "", nil),
		"its last bits changed": start(flipped(got.URI), app.app, nil),
		"half of it":            start(got.URI[:len(got.URI)/2], app.app, nil),
		"somebody's own":        start("urn:ietf:params:oauth:request_uri:"+app.key.Thumbprint(), app.app, nil),
		"an address":            start("https://evil.example/request", app.app, nil),
	} {
		p, err := n.browser(t).Navigate(address)
		if err != nil {
			t.Fatal(err)
		}
		if p.Unsent || p.Status != http.StatusBadRequest || len(p.Hops) != 1 {
			t.Errorf("a start with %s: %d at %s after %d hops", name, p.Status, p.URL, len(p.Hops))
		}
	}
	both := app.announcing()
	for name, refuse := range map[string]pushed{
		"a key announced and another proven": n.push(t, n.complete(both), "DPoP", mallory.proof("POST", "/mobile/par", "")),
		"a proof for the token endpoint":     n.push(t, a, "DPoP", app.proof("POST", "/mobile/token", "")),
		"another app's redirect":             n.push(t, n.complete(ask{App: "vault", Redirect: redirectOf("choice")})),
		"a request_uri in it":                n.push(t, n.complete(ask{App: "vault", Redirect: redirectOf("vault"), More: url.Values{"request_uri": {got.URI}}})),
		"no challenge":                       n.push(t, n.complete(ask{App: "vault", Redirect: redirectOf("vault"), More: url.Values{"code_challenge": {""}}})),
		"the name localhost":                 n.push(t, n.complete(ask{App: "cli", Redirect: "http://localhost:9/callback"})),
	} {
		if refuse.Status != http.StatusBadRequest || refuse.Error == "" || refuse.URI != "" {
			t.Errorf("pushing with %s: %+v", name, refuse)
		}
	}
	g := redeemable(nil)
	proof := app.proof("POST", "/mobile/par", "")
	refused(t, n.post(t, n.All[0], "/mobile/token", g.form(), "DPoP", proof), "invalid_dpop_proof")
	app.redeem(t, g)
}

// flipped changes the last character but one of a text, which in base64 is never without meaning.
func flipped(s string) string {
	at, other := len(s)-2, "A"
	if s[at] == 'A' {
		other = "B"
	}
	return s[:at] + other + s[at+1:]
}

// The same code at two instances at once, each time with a proof of its own: as without proofs, one wins at most, and what it
// got is dead then.
//
// shows NAT-CODE
func boundReplay(t *testing.T, n *nativeWorld) {
	for range 3 { // the two meet in another order each time
		d := n.device("vault")
		g := d.grant(t)
		got := make([]tokens, len(n.All))
		var both sync.WaitGroup
		for i, in := range n.All {
			both.Go(func() { got[i] = d.trade(t, in, g) })
		}
		both.Wait()
		status := []int{got[0].Status, got[1].Status}
		slices.Sort(status)
		// The second may come before the first has written its session: then neither gets one.
		if !slices.Equal(status, []int{200, 400}) && !slices.Equal(status, []int{400, 400}) {
			t.Errorf("two redemptions at once: %v", status)
		}
		for _, a := range got {
			if d.handle = a.Access; d.handle != "" {
				d.wants(t, "a code presented twice at once", 401)
			}
		}
	}
	d := n.device("vault")
	g := d.grant(t)
	d.redeem(t, g).wants(t, "a code presented once", 200)
	refused(t, d.trade(t, n.All[1], g), "invalid_grant")
	d.wants(t, "a code presented twice", 401)
}

// A proof is good once, over all instances, also for who presents it everywhere in the same moment.
//
// shows DPOP-11.1
func proofTwice(t *testing.T, n *nativeWorld) {
	d := n.signedIn(t, "vault")
	for i, in := range n.All {
		fields := d.presents("GET", "/api/orders")
		if got := n.call(t, in, "GET", "/api/orders", fields...); got.StatusCode != 200 {
			t.Fatalf("a fresh proof: %d", got.StatusCode)
		}
		for _, at := range []*gateway.Instance{in, n.All[1-i]} {
			if got := n.call(t, at, "GET", "/api/orders", fields...); got.StatusCode != 401 || !challenges(got, "DPoP", "invalid_dpop_proof") {
				t.Errorf("a proof again: %d %q", got.StatusCode, got.Header.Values("WWW-Authenticate"))
			}
		}
		if got := said(in, `"event":"credential_refused"`, `"rule":"proof used twice"`); got == 0 {
			t.Error("the log does not tell of a proof that came twice")
		}
	}
	for range 10 {
		fields := d.presents("GET", "/api/orders")
		status := make(chan int, 4)
		for i := range cap(status) {
			go func() { status <- n.call(t, n.All[i%2], "GET", "/api/orders", fields...).StatusCode }()
		}
		got := map[int]int{}
		for range cap(status) {
			got[<-status]++
		}
		if diff := cmp.Diff(map[int]int{200: 1, 401: 3}, got); diff != "" {
			t.Errorf("one proof, twice at each instance, at once: %s", diff)
		}
	}
	// A proof of the same key with the same jti is the same proof, however freshly it is signed.
	again := prover.ID("an-identifier-that-comes-twice")
	n.call(t, n.All[0], "GET", "/api/orders", d.presents("GET", "/api/orders", again)...)
	if got := n.call(t, n.All[1], "GET", "/mobile/session", d.presents("GET", "/mobile/session", again)...); got.StatusCode != 401 {
		t.Errorf("a jti again: %d", got.StatusCode)
	}
	// One of another key is not.
	other := n.signedIn(t, "vault")
	if got := n.call(t, n.All[0], "GET", "/api/orders", other.presents("GET", "/api/orders", again)...); got.StatusCode != 200 {
		t.Errorf("another key's jti: %d", got.StatusCode)
	}
	d.wants(t, "after all this", 200)
}

// A proof that is not for this request, this handle and this moment, by this key.
//
// shows DPOP-4.3-1, DPOP-4.3-4, DPOP-4.3-6, DPOP-4.3-8, DPOP-4.3-9, DPOP-4.3-11, DPOP-4.3-12
func bentProofs(t *testing.T, n *nativeWorld) {
	d, other := n.signedIn(t, "vault"), n.signedIn(t, "vault")
	const path = "/api/orders"
	here := n.front.URL + path
	host := strings.TrimPrefix(n.front.URL, "http://")
	evil := prover.URL("https://evil.example" + path)
	for name, fields := range map[string][]string{
		"another method":           d.presents("POST", path),
		"a method in small":        d.presents("GET", path, prover.Method("get")),
		"another path":             d.presents("GET", "/mobile/session"),
		"the path below":           d.presents("GET", path+"/1"),
		"another host":             d.presents("GET", path, evil),
		"another scheme":           d.presents("GET", path, prover.URL("https://"+host+path)),
		"another port":             d.presents("GET", path, prover.URL("http://127.0.0.1:1"+path)),
		"an instance's own name":   d.presents("GET", path, prover.URL("http://"+n.All[0].Addr+path)),
		"the name localhost":       d.presents("GET", path, prover.URL(strings.Replace(here, "127.0.0.1", "localhost", 1))),
		"a forwarded evil host":    append(d.presents("GET", path, evil), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"),
		"a forwarding evil host":   append(d.presents("GET", path, evil), "Forwarded", "host=evil.example;proto=https"),
		"another device's key":     {"Authorization", "DPoP " + d.handle, "DPoP", other.proof("GET", path, d.handle)},
		"another handle":           {"Authorization", "DPoP " + d.handle, "DPoP", d.proof("GET", path, other.handle)},
		"no handle":                {"Authorization", "DPoP " + d.handle, "DPoP", d.proof("GET", path, "")},
		"another's handle and key": {"Authorization", "DPoP " + d.handle, "DPoP", other.proof("GET", path, other.handle)},
		"a borrowed key":           d.presents("GET", path, prover.SignedBy(other.key)),
		"two minutes of age":       d.presents("GET", path, prover.At(time.Now().Add(-2*time.Minute))),
		"a minute too early":       d.presents("GET", path, prover.At(time.Now().Add(time.Minute))),
		"another type":             d.presents("GET", path, prover.Header("typ", "JWT")),
		"no algorithm":             d.presents("GET", path, prover.Header("alg", "none"), prover.Signature(func(string, []byte) []byte { return nil })),
		"a private key in it":      d.presents("GET", path, prover.Header("jwk", d.key.PrivateJWK())),
		"no jti":                   d.presents("GET", path, prover.NoClaim("jti")),
		"100 KiB of jti":           d.presents("GET", path, prover.ID(strings.Repeat("j", 100<<10))),
		"a twin":                   append(d.presents("GET", path), "DPoP", d.proof("GET", path, d.handle)),
		"a twin after a comma":     {"Authorization", "DPoP " + d.handle, "DPoP", d.proof("GET", path, d.handle) + ", " + d.proof("GET", path, d.handle)},
		"nothing":                  {"Authorization", "DPoP " + d.handle},
	} {
		for i, in := range n.All {
			got := n.call(t, in, "GET", path, fields...)
			if got.StatusCode != 401 || !challenges(got, "DPoP", "invalid_dpop_proof") {
				t.Errorf("a proof with %s, at instance %d: %d %q", name, i, got.StatusCode, got.Header.Values("WWW-Authenticate"))
			}
		}
	}
	req, err := http.NewRequest("GET", here, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	for i, fields := 0, d.presents("GET", path, prover.URL("http://evil.example"+path)); i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	if resp, _ := n.do(t, n.All[0], req); resp.StatusCode == 200 {
		t.Error("a Host that fits the proof's own address was believed")
	}
	for name, fields := range map[string][]string{
		"a query in the request": d.presents("GET", path+"?page=2"),
		"escapes":                d.presents("GET", path, prover.URL(n.front.URL+"/%61pi/orders")),
		"a host in capitals":     d.presents("GET", path, prover.URL(strings.Replace(here, "http", "HTTP", 1))),
	} {
		if got := n.call(t, n.All[1], "GET", path+"?page=2", fields...); got.StatusCode != 200 {
			t.Errorf("a good proof with %s: %d %q", name, got.StatusCode, got.Header.Values("WWW-Authenticate"))
		}
	}
	d.wants(t, "after all these", 200)
	other.wants(t, "after all these", 200)
}

// What is bound is not taken as a bearer credential, nor a bearer handle as if it were bound.
//
// shows DPOP-7.2, NAT-ROT
func downgrade(t *testing.T, n *nativeWorld) {
	d := n.signedIn(t, "vault")
	cli := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	unbound := &device{n: n, app: "cli", key: d.key, handle: cli.Access}
	tests := []struct {
		name            string
		want            int
		scheme, problem string
		fields          []string
	}{
		{"a bound handle as Bearer", 401, "DPoP", "invalid_token", []string{"Authorization", "Bearer " + d.handle}},
		{"a bound handle as Bearer, and its proof", 401, "DPoP", "invalid_token", append([]string{"Authorization", "Bearer " + d.handle}, d.presents("GET", "/api/orders")[2:]...)},
		{"an unbound handle with a proof", 401, "DPoP", "invalid_token", unbound.presents("GET", "/api/orders")},
		{"both schemes at once", 400, "", "", append(d.presents("GET", "/api/orders"), "Authorization", "Bearer "+cli.Access)},
		{"one handle in both schemes", 400, "", "", append(d.presents("GET", "/api/orders"), "Authorization", "Bearer "+d.handle)},
		{"a handle of nobody", 401, "DPoP", "invalid_token", (&device{n: n, key: d.key, handle: forge.Handle(forge.Access)}).presents("GET", "/api/orders")},
	}
	for _, tt := range tests {
		for i, in := range n.All {
			got := n.call(t, in, "GET", "/api/orders", tt.fields...)
			if got.StatusCode != tt.want || tt.scheme != "" && !challenges(got, tt.scheme, tt.problem) {
				t.Errorf("%s, at instance %d: %d %q", tt.name, i, got.StatusCode, got.Header.Values("WWW-Authenticate"))
			}
		}
	}
	d.wants(t, "after being presented as Bearer", 200)
	n.wantAlive(t, cli.Access, 200)
	g := n.signIn(t, n.browser(t), ask{}) // an app that does not bind is told so, and its code is as good as before
	refused(t, d.trade(t, n.All[0], g), "invalid_request")
	n.redeem(t, g)
}

// shows NAT-TYPE, NAT-6750
func boundMixed(t *testing.T, n *nativeWorld) {
	d := n.signedIn(t, "vault")
	web := n.Browser()
	n.SignIn(web, "/")
	cookie, _ := web.Cookie(world.Origin, "__Host-Http-web")
	asCookie := &device{n: n, key: d.key, handle: cookie.Value}
	asRefresh := &device{n: n, key: d.key, handle: forge.As(forge.Refresh, d.handle)}
	proof := func() string { return d.proof("GET", "/api/orders", d.handle) }
	query := "?access_token=" + d.handle
	tests := []struct {
		name, path string
		want       int
		fields     []string
	}{
		{"a cookie's value as handle", "", 401, asCookie.presents("GET", "/api/orders")},
		{"the handle as cookie", "", 401, []string{"Cookie", "__Host-Http-web=" + d.handle, "X-CSRF", "1", "DPoP", proof()}},
		{"the handle as the cookie of its own app", "", 401, []string{"Cookie", "__Host-Http-vault=" + d.handle, "X-CSRF", "1", "DPoP", proof()}},
		{"the handle as refresh handle", "", 401, asRefresh.presents("GET", "/api/orders")},
		{"the handle in the query", query, 400, []string{"DPoP", proof()}},
		{"the handle in the query as well", query, 400, d.presents("GET", "/api/orders")},
		{"the handle and a cookie", "", 400, append(d.presents("GET", "/api/orders"), "Cookie", "__Host-Http-web="+cookie.Value)},
		{"another site's page", "", 403, append(d.presents("GET", "/api/orders"), "Origin", "https://evil.example")},
		{"a proof alone", "", 401, []string{"DPoP", proof()}},
	}
	for _, tt := range tests {
		for i, in := range n.All {
			if got := n.call(t, in, "GET", "/api/orders"+tt.path, tt.fields...); got.StatusCode != tt.want {
				t.Errorf("%s, at instance %d: %d, want %d", tt.name, i, got.StatusCode, tt.want)
			}
		}
	}
	form := url.Values{"access_token": {d.handle}}
	for _, path := range []string{"/mobile/logout", "/api/orders"} {
		if got := n.post(t, n.All[0], path, form, "DPoP", d.proof("POST", path, d.handle)); got.Status != 400 {
			t.Errorf("the handle in a form to %s: %d", path, got.Status)
		}
	}
	d.wants(t, "after all these", 200)
	n.Want(n.Fetch(web, "GET", "/api/orders", ""), 200)
}

// No refresh handle belongs to a bound session: one that is made of its handle, or is another session's, trades for nothing.
//
// shows NAT-ROT, NAT-TYPE
func forgedRefresh(t *testing.T, n *nativeWorld) {
	d := n.signedIn(t, "choice")
	cli := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	unbound := n.good(t, n.token(t, n.All[0], n.signIn(t, n.browser(t), n.device("choice").silent()).form()))
	for name, handle := range map[string]string{
		"made of the handle": forge.As(forge.Refresh, d.handle), "the handle itself": d.handle,
		"of another app": cli.Refresh, "of nobody": forge.Handle(forge.Refresh), "an access handle": unbound.Access,
	} {
		form := refreshing("choice", handle)
		refused(t, named(name, n.token(t, n.All[0], form)), "invalid_grant")
		refused(t, named(name+", and a proof", n.post(t, n.All[1], "/mobile/token", form, "DPoP", d.proof("POST", "/mobile/token", ""))), "invalid_grant")
	}
	d.wants(t, "after all these", 200)
	n.wantAlive(t, unbound.Access, 200)
	n.good(t, n.token(t, n.All[1], refreshing("choice", unbound.Refresh)))
	n.good(t, n.token(t, n.All[1], refreshing("cli", cli.Refresh)))
}

// Nobody signs out by a handle alone; but who finds one can have it killed, and so can its app by a library that knows
// RFC 7009 and no proofs.
//
// shows RPL-NATIVE, DPOP-7.2
func boundEnd(t *testing.T, n *nativeWorld) {
	d, other := n.signedIn(t, "vault"), n.signedIn(t, "vault")
	logout := func(fields ...string) tokens { return n.post(t, n.All[0], "/mobile/logout", nil, fields...) }
	for name, fields := range map[string][]string{
		"as Bearer":             {"Authorization", "Bearer " + d.handle},
		"without a proof":       {"Authorization", "DPoP " + d.handle},
		"with another's proof":  {"Authorization", "DPoP " + d.handle, "DPoP", other.proof("POST", "/mobile/logout", d.handle)},
		"with a proof to read":  d.presents("GET", "/mobile/logout"),
		"with one for its list": d.presents("POST", "/mobile/sessions"),
	} {
		if got := logout(fields...); got.Status != 401 {
			t.Errorf("signing out %s: %d %+v", name, got.Status, got)
		}
	}
	d.wants(t, "after others tried to sign it out", 200)
	if got := logout(d.presents("POST", "/mobile/logout")...); got.Status != 200 || got.Logout == "" {
		t.Errorf("signing out: %d %+v", got.Status, got)
	}
	d.wants(t, "after the sign-out", 401)
	other.wants(t, "after another's sign-out", 200)
	if got := n.post(t, n.All[1], "/mobile/revoke", url.Values{"client_id": {"vault"}, "token": {other.handle}}); got.Status != 200 {
		t.Errorf("revoking: %d", got.Status)
	}
	other.wants(t, "after its revocation", 401)
}

// An app with nonces takes no proof without one of ours, of whichever instance, and tells the next; others need none.
//
// shows DPOP-4.3-10
func nonces(t *testing.T, n *nativeWorld) {
	d := n.device("nonced")
	g := d.grant(t)
	got := d.trade(t, n.All[0], g)
	refused(t, got, "use_dpop_nonce")
	nonce := n.nonce(t, got.Header)
	d.handle = d.given(t, d.trade(t, n.All[1], g, prover.Nonce(nonce)))
	const path = "/api/orders"
	for name, bend := range map[string][]prover.Option{
		"no nonce": nil, "a nonce of nobody": {prover.Nonce(d.key.Thumbprint()[:32])}, "a nonce with one bit more": {prover.Nonce(flipped(nonce))},
		"an empty nonce": {prover.Nonce("")}, "two nonces": {prover.Nonce(nonce + " " + nonce)},
	} {
		fields := d.presents("GET", path, bend...)
		for i, in := range n.All {
			resp := n.call(t, in, "GET", path, fields...)
			if resp.StatusCode != 401 || !challenges(resp, "DPoP", "use_dpop_nonce") || !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
				t.Errorf("a proof with %s, at instance %d: %d %q", name, i, resp.StatusCode, resp.Header.Values("WWW-Authenticate"))
			}
			nonce = n.nonce(t, resp.Header)
		}
	}
	for i := range 4 { // each answer's nonce is good at the other instance
		resp := n.call(t, n.All[i%2], "GET", path, d.presents("GET", path, prover.Nonce(nonce))...)
		if resp.StatusCode != 200 {
			t.Fatalf("a proof with a nonce of the other instance: %d %q", resp.StatusCode, resp.Header.Values("WWW-Authenticate"))
		}
		nonce = n.nonce(t, resp.Header)
	}
	used := d.presents("GET", path, prover.Nonce(nonce))
	if first, second := n.call(t, n.All[0], "GET", path, used...), n.call(t, n.All[1], "GET", path, used...); first.StatusCode != 200 || second.StatusCode != 401 {
		t.Errorf("a proof with a nonce, twice: %d, then %d", first.StatusCode, second.StatusCode)
	}
	free := n.signedIn(t, "vault")
	free.wants(t, "an app beside one with nonces", 200)
}

// nonce is the one that an answer brings.
func (n *nativeWorld) nonce(t *testing.T, h http.Header) string {
	t.Helper()
	all := h.Values("DPoP-Nonce")
	if len(all) != 1 || all[0] == "" {
		t.Fatalf("an answer brings the nonces %q, want one", all)
	}
	n.Scan.Secret("nonce", all[0])
	return all[0]
}

// When an app begins to require keys, handles without one are over, at the instances that know: no old session is a way around.
//
// shows DPOP-7.2
func beginsToBind(t *testing.T, n *nativeWorld) {
	before := n.redeem(t, n.signIn(t, n.browser(t), ask{}))
	pending := n.signIn(t, n.browser(t), ask{})
	in := n.Setup.Start(t, "CLOAKROOM_PUBLIC__URL="+n.front.URL, "CLOAKROOM_APPS__CLI__HANDLE__DPOP=required")
	n.clients[in] = in.Client()
	if resp := n.call(t, in, "GET", "/api/orders", "Authorization", "Bearer "+before.Access); resp.StatusCode != 401 {
		t.Errorf("an unbound handle of an app that binds: %d", resp.StatusCode)
	}
	refused(t, n.token(t, in, refreshing("cli", before.Refresh)), "invalid_grant")
	refused(t, n.token(t, in, pending.form()), "invalid_dpop_proof")
	n.wantAlive(t, before.Access, 200) // the others do not know yet, and nothing was ended
	d := n.device("cli")
	d.handle = d.given(t, d.trade(t, in, pending))
	if got := d.status(t, in); got != 200 {
		t.Errorf("the handle that was bound: %d", got)
	}
	n.Scan.Observe("log", "of an instance that binds", []byte(in.Log()))
}
