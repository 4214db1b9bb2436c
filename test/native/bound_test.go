//go:build integration

package native_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/test/forge"
	"cloakroom/test/gateway"
	"cloakroom/test/prover"
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
	attacker := n.browser(t) // who pushed, and goes to the provider, and sends the victim to the end of that
	attacker.HoldAt(func(u *url.URL) bool { return strings.HasPrefix(u.Path, "/mobile/callback/") })
	p, err := attacker.Navigate(start(got.URI, app.app, nil))
	if err != nil {
		t.Fatal(err)
	}
	p = n.atProvider(t, attacker, p, n.someone())
	if end, err := n.browser(t).Navigate(p.URL); err != nil || !p.Unsent || end.Unsent || end.Status != http.StatusBadRequest {
		t.Errorf("another browser at the end of a pushed request: %v %+v", err, end)
	}
	for name, address := range map[string]string{
		"another client":        start(got.URI, "choice", nil),
		"a client unheard of":   start(got.URI, "nobody", nil),
		"no client":             start(got.URI, "", nil),
		"its last bits changed": start(flipped(got.URI), app.app, nil),
		"half of it":            start(got.URI[:len(got.URI)/2], app.app, nil),
		"somebody's own":        start("urn:ietf:params:oauth:request_uri:zzzz"+app.key.Thumbprint()[4:], app.app, nil),
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
		for _, a := range n.atBoth(t, func(in *gateway.Instance) tokens { return d.trade(t, in, g) }) {
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
	d := n.device("cli")
	refused(t, n.token(t, in, refreshing("cli", before.Refresh)), "invalid_grant")
	refused(t, n.post(t, in, "/mobile/token", refreshing("cli", before.Refresh), "DPoP", d.proof("POST", "/mobile/token", "")), "invalid_grant")
	refused(t, n.token(t, in, pending.form()), "invalid_dpop_proof")
	n.wantAlive(t, before.Access, 200) // the others do not know yet, and nothing was ended
	d.handle = d.given(t, d.trade(t, in, pending))
	if got := d.status(t, in); got != 200 {
		t.Errorf("the handle that was bound: %d", got)
	}
	n.Scan.Observe("log", "of an instance that binds", []byte(in.Log()))
}
