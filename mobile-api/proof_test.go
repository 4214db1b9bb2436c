package mobileapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/test/prover"
)

// beside starts a second instance of the gateway on the same store.
func (w *world) beside(change ...func(*world)) *world {
	w.t.Helper()
	return newWorld(w.t, append([]func(*world){func(o *world) { o.redis, o.now = w.redis, w.clock() }}, change...)...)
}

// proofs counts the proofs that the store remembers.
func (w *world) proofs() (n int) {
	for _, key := range w.redis.Keys() {
		if strings.Contains(key, ":j:") {
			n++
		}
	}
	return n
}

// A proof that does not hold is refused wherever one is taken, before the store is asked for anything.
//
// shows DPOP-4.3-1, DPOP-4.3-4, DPOP-4.3-6, DPOP-4.3-8, DPOP-4.3-9, DPOP-4.3-11, DPOP-4.3-12, DPOP-11.1 (a huge jti)
func TestBadProofs(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p, other := w.prover(), w.prover()
	h, code := w.bound(p), w.code()
	weak, err := rsa.GenerateKey(rand.Reader, 1024) // half of what is still safe
	if err != nil {
		t.Fatal(err)
	}
	good := p.Proof("GET", gateway+"/api", h.Access)
	parts := strings.Split(good, ".")
	for _, row := range []struct {
		with string // a proof with …
		bend prover.Option
	}{
		{"no jti", prover.NoClaim("jti")},
		{"no htm", prover.NoClaim("htm")},
		{"no htu", prover.NoClaim("htu")},
		{"no iat", prover.NoClaim("iat")},
		{"a type of any JWT", prover.Header("typ", "JWT")},
		{"a longer type", prover.Header("typ", "application/dpop+jwt")},
		{"no type", prover.NoHeader("typ")},
		{"alg none", prover.Header("alg", "none")},
		{"alg HS256", prover.Header("alg", "HS256")},
		{"an algorithm that is not listed", prover.Header("alg", "ES512")},
		{"no algorithm", prover.NoHeader("alg")},
		{"its secret", prover.Header("jwk", p.PrivateJWK())},
		{"a symmetric key", prover.Header("jwk", map[string]any{"kty": "oct", "k": "AAAA"})},
		{"the name of a key alone", prover.NoHeader("jwk")},
		{"the key of another", prover.Header("jwk", other.JWK())},
		{"another's signature", prover.SignedBy(other)},
		{"no signature", prover.Signature(func(string, []byte) []byte { return nil })},
		{"a bent signature", prover.Signature(func(_ string, b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{"another method", prover.Method("DELETE")},
		{"the method in lower case", prover.Claim("htm", "get")},
		{"another host", prover.URL("https://evil.example/api")},
		{"another path", prover.URL(gateway + "/other")},
		{"another scheme", prover.URL("http://gw.example/api")},
		{"another port", prover.URL("https://gw.example:8443/api")},
		{"a path alone", prover.URL("/api")},
		{"two minutes of age", prover.At(start.Add(-2 * time.Minute))},
		{"a minute of age", prover.At(start.Add(-time.Minute))},
		{"a minute ahead", prover.At(start.Add(time.Minute))},
		{"a time in quotes", prover.Claim("iat", "1777636800")},
		{"a time before all others", prover.Claim("iat", -1)},
		{"an empty jti", prover.ID("")},
		{"a jti of 100 KB", prover.ID(strings.Repeat("j", 100<<10))},
		{"a jti of 257 bytes", prover.ID(strings.Repeat("j", 257))},
	} {
		w.redis.SetError("LOADING") // so that whoever asks the store is found out
		a := w.prove(p, "GET", "/api", h.Access, row.bend)
		w.redis.SetError("")
		a.challenged(t, "a proof with "+row.with, 401, "invalid_dpop_proof", badProof)
	}
	for with, fields := range map[string][]string{
		"no proof": {}, "an empty one": {"DPoP", ""}, "two of them": {"DPoP", good, "DPoP", good}, "a list": {"DPoP", good + ", " + good},
		"two lines": {"DPoP", good, "DPoP", "x"}, "garbage": {"DPoP", "garbage"}, "two parts": {"DPoP", parts[0] + "." + parts[1]},
		"JSON form":              {"DPoP", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		"a weak key":             {"DPoP", prover.Of("RS256", weak).Proof("GET", gateway+"/api", h.Access, prover.At(start))},
		"no ath":                 {"DPoP", p.Proof("GET", gateway+"/api", "")},
		"the ath of another":     {"DPoP", p.Proof("GET", gateway+"/api", h.Access+"x")},
		"an empty ath":           {"DPoP", p.Proof("GET", gateway+"/api", h.Access, prover.Claim("ath", ""))},
		"the handle as ath":      {"DPoP", p.Proof("GET", gateway+"/api", h.Access, prover.Claim("ath", h.Access))},
		"the ath in another way": {"DPoP", p.Proof("GET", gateway+"/api", h.Access, prover.Claim("ath", prover.Hash(h.Access)+"="))},
	} {
		w.send("GET", "/api", "", append([]string{"Authorization", "DPoP " + h.Access}, fields...)...).challenged(t, "a call with "+with, 401, "invalid_dpop_proof", badProof)
	}
	for _, path := range []string{"/mobile/token", "/mobile/par"} {
		form := redemption("phone", claimed, code)
		if path == "/mobile/par" {
			form = asked("phone", claimed)
		}
		for with, fields := range map[string][]string{
			"an empty proof": {"DPoP", ""}, "garbage": {"DPoP", "garbage"},
			"two of them":       append(announcing(p, path), announcing(p, path)...),
			"one of another":    announcing(p, path, prover.SignedBy(other)),
			"one for elsewhere": announcing(p, "/mobile/elsewhere"),
			"one for a GET":     announcing(p, path, prover.Method("GET")),
			"an old one":        announcing(p, path, prover.At(start.Add(-time.Minute))),
			"its secret":        announcing(p, path, prover.Header("jwk", p.PrivateJWK())),
			"no jti":            announcing(p, path, prover.NoClaim("jti")),
		} {
			w.post(path, form, fields...).refused(t, path+" with "+with, 400, "invalid_dpop_proof")
		}
	}
	if n := w.proofs(); n != 0 {
		t.Errorf("%d proofs are remembered", n)
	}
	for _, event := range []string{"credential: proof of possession: htu", "credential: proof of possession: signature", "credential: proof of possession: not exactly one proof"} {
		if !w.noted(event) {
			t.Errorf("%q was not told: %q", event, w.events)
		}
	}
	w.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", good).is(t, "the good one after all that", 200)
	w.post("/mobile/token", redemption("phone", claimed, code), announcing(p, "/mobile/token")...).handles(t) // nor was the code burned
}

// Where a proof is for is what is configured, never what a request says of itself.
//
// shows DPOP-4.3-9
func TestWhereAProofIsFor(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	h := w.bound(p)
	evil := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "Forwarded", "host=evil.example;proto=https", "X-Forwarded-Port", "443", "X-Original-URL", "/evil"}
	for _, row := range []struct {
		with, path, htu string
		fields          []string
		status          int
	}{
		{"the address", "/api", gateway + "/api", nil, 200},
		{"the default port", "/api", gateway + ":443/api", nil, 200},
		{"the host in upper case", "/api", "HTTPS://GW.Example/api", nil, 200},
		{"a query that is not sent", "/api", gateway + "/api?x=1#y", nil, 200},
		{"a query that is sent and not claimed", "/api?x=%2F&y", gateway + "/api", nil, 200},
		{"an escape of what needs none", "/api/me~", gateway + "/api/me%7E", nil, 200},
		{"the same, the other way round", "/api/me%7e", gateway + "/api/me~", nil, 200},
		{"an escape in lower case", "/api/%c3%a4", gateway + "/api/%C3%A4", nil, 200},
		{"an escaped slash that is a slash", "/api/a%2Fb", gateway + "/api/a/b", nil, 401},
		{"a slash that is an escaped one", "/api/a/b", gateway + "/api/a%2Fb", nil, 401},
		{"an escaped slash", "/api/a%2Fb", gateway + "/api/a%2fb", nil, 200},
		{"an escaped percent sign", "/api/a%252Fb", gateway + "/api/a%2Fb", nil, 401},
		{"a slash more", "/api/a", gateway + "/api/a/", nil, 401},
		{"the path in other letters", "/api/a", gateway + "/api/A", nil, 401},
		{"another host, which the request says it came by", "/api", "https://evil.example/api", evil, 401},
		{"another path, which the request says it was for", "/api", gateway + "/evil", evil, 401},
		{"the address, and a request that says otherwise", "/api", gateway + "/api", evil, 200},
		{"the address that the socket is at", "/api", w.server.URL + "/api", nil, 401},
	} {
		fields := append([]string{"Authorization", "DPoP " + h.Access, "DPoP", p.Proof("GET", "", h.Access, prover.Claim("htu", row.htu))}, row.fields...)
		w.send("GET", row.path, "", fields...).is(t, row.path+" with "+row.with, row.status)
	}
	for _, line := range []string{"GET /api HTTP/1.1\r\nHost: evil.example", "GET https://evil.example/api HTTP/1.1\r\nHost: evil.example"} {
		for htu, status := range map[string]int{"https://evil.example/api": 401, gateway + "/api": 200} {
			proof := p.Proof("GET", htu, h.Access)
			w.raw(line+"\r\nAuthorization: DPoP "+h.Access+"\r\nDPoP: "+proof+"\r\nConnection: close\r\n\r\n").is(t, line+" with "+htu, status)
		}
	}
}

// One use of each proof, over all instances, and of none that could not be looked up.
//
// shows DPOP-11.1
func TestAProofTwice(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingRequired))
	second := w.beside(binding("phone", bff.BindingRequired))
	p, thief := w.prover(), w.prover()
	h := w.bound(p)
	send := func(w *world, proof string) *answer {
		return w.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", proof)
	}
	first := p.Proof("GET", gateway+"/api", h.Access)
	send(w, first).is(t, "a first use", 200)
	send(w, first).challenged(t, "a replay", 401, "invalid_dpop_proof", badProof)
	send(second, first).challenged(t, "a replay at the other instance", 401, "invalid_dpop_proof", badProof)
	send(second, p.Proof("GET", gateway+"/api", h.Access, prover.ID("same"))).is(t, "a first use there", 200)
	send(w, p.Proof("GET", gateway+"/api", h.Access, prover.ID("same"), prover.At(start.Add(time.Second)))).challenged(t, "the same jti, signed anew", 401, "invalid_dpop_proof", badProof)
	if !w.noted("credential: proof used twice") || w.proofs() != 2 {
		t.Errorf("%d proofs, %q", w.proofs(), w.events)
	}
	fresh := p.Proof("GET", gateway+"/api", h.Access)
	w.redis.SetError("LOADING")
	if a := send(w, fresh).is(t, "without a store", 503); a.code() != "store_unavailable" || a.header.Get("WWW-Authenticate") != "" || a.header.Get("Retry-After") == "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	w.redis.SetError("")
	send(w, fresh).is(t, "the same proof once there is one", 200)
	// Nobody else makes the store remember anything, not even with a good proof of their own.
	stolen := newWorld(t).signedIn().Access
	for range 5 {
		w.prove(thief, "GET", "/api", h.Access).challenged(t, "another key", 401, "invalid_dpop_proof", badProof)
		w.prove(thief, "GET", "/api", stolen).challenged(t, "a handle of nobody", 401, "session_required", badBound)
	}
	if n := w.proofs(); n != 3 {
		t.Errorf("%d proofs are remembered", n)
	}
	w.advance(90 * time.Second)
	if n := w.proofs(); n != 0 {
		t.Errorf("%d proofs are remembered too long", n)
	}
	send(w, fresh).challenged(t, "the proof after that", 401, "invalid_dpop_proof", badProof)
}

// carries checks that an answer brings exactly one nonce, and returns it.
func (a *answer) carries(t testing.TB, what string) string {
	t.Helper()
	got := a.header.Values("DPoP-Nonce")
	if len(got) != 1 || got[0] == "" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: nonces %q, %v", what, got, a.header)
		return ""
	}
	return got[0]
}

// shows DPOP-4.3-10
func TestNoncesOfAnApp(t *testing.T) {
	both := []func(*world){binding("phone", bff.BindingAllowed), binding("cli", bff.BindingAllowed), nonces("phone")}
	w := newWorld(t, both...)
	second := w.beside(both...)
	p := w.prover()
	form := redemption("phone", claimed, w.code())
	a := w.post("/mobile/token", form, announcing(p, "/mobile/token")...)
	a.refused(t, "a code without a nonce", 400, "use_dpop_nonce")
	nonce := a.carries(t, "a code without a nonce")
	w.post("/mobile/token", form, announcing(p, "/mobile/token", prover.Nonce("x"))...).refused(t, "a code with another's nonce", 400, "use_dpop_nonce")
	a = second.post("/mobile/token", form, announcing(p, "/mobile/token", prover.Nonce(nonce))...) // nor was the code burned
	h, nonce := a.handles(t), a.carries(t, "the handles")

	bare := p.Proof("GET", gateway+"/api", h.Access)
	a = w.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", bare)
	a.challenged(t, "a call without a nonce", 401, "use_dpop_nonce", needNonce)
	a.carries(t, "a call without a nonce")
	a = w.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", bare)
	a.challenged(t, "the same proof again", 401, "invalid_dpop_proof", badProof)
	a.carries(t, "the same proof again")
	a = w.prove(p, "GET", "/api", h.Access, prover.Nonce(nonce)).is(t, "with the other instance's nonce", 200)
	next := a.carries(t, "a call")
	proof := p.Proof("GET", gateway+"/api", h.Access, prover.Nonce(next))
	second.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", proof).is(t, "with the next", 200).carries(t, "the next call")
	a = w.send("GET", "/api", "", "Authorization", "DPoP "+h.Access, "DPoP", proof)
	a.challenged(t, "a replay", 401, "invalid_dpop_proof", badProof)
	a.carries(t, "a replay")
	w.prove(p, "GET", "/api", h.Access).challenged(t, "without one, after there was one", 401, "use_dpop_nonce", needNonce)
	w.prove(p, "GET", "/api", h.Access, prover.Nonce("")).challenged(t, "with an empty one", 401, "use_dpop_nonce", needNonce)
	w.prove(p, "GET", "/api", h.Access, prover.Nonce(next[1:]+next[:1])).challenged(t, "with one that was bent", 401, "use_dpop_nonce", needNonce)
	w.prove(p, "GET", "/api", h.Access, prover.Claim("nonce", 7)).challenged(t, "with one that is a number", 401, "invalid_dpop_proof", badProof)
	w.prove(w.prover(), "GET", "/api", h.Access).challenged(t, "by another key, without", 401, "invalid_dpop_proof", badProof)
	for _, path := range []string{"/optional", "/mobile/session", "/mobile/sessions"} {
		w.prove(p, "GET", path, h.Access).challenged(t, path+" without", 401, "use_dpop_nonce", needNonce)
		w.prove(p, "GET", path, h.Access, prover.Nonce(next)).is(t, path, 200).carries(t, path)
	}
	w.prove(p, "DELETE", "/mobile/sessions/none", h.Access, prover.Nonce(next)).is(t, "a problem", 404).carries(t, "a problem")
	w.prove(p, "POST", "/mobile/logout", h.Access).challenged(t, "a sign-out without", 401, "use_dpop_nonce", needNonce)
	push := w.post("/mobile/par", asked("phone", claimed), announcing(p, "/mobile/par")...)
	push.refused(t, "a pushed request without", 400, "use_dpop_nonce")
	push.carries(t, "a pushed request without")
	w.post("/mobile/par", asked("phone", claimed), announcing(p, "/mobile/par", prover.Nonce(next))...).is(t, "a pushed request", 201).carries(t, "a pushed request")
	w.advance(5 * time.Minute)
	w.prove(p, "GET", "/api", h.Access, prover.Nonce(next)).challenged(t, "with an old one", 401, "use_dpop_nonce", needNonce)
	last := w.prove(p, "GET", "/api", h.Access).carries(t, "once more")
	w.prove(p, "POST", "/mobile/logout", h.Access, prover.Nonce(last)).is(t, "a sign-out", 200).carries(t, "a sign-out")
}

// A gateway may have apps that want nonces beside others that do not: each is asked for its own alone, in one round trip, and no
// proof of the others is good twice.
//
// shows DPOP-4.3-10 (apps side by side)
func TestNoncesBesideAppsWithout(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed), binding("cli", bff.BindingRequired), nonces("phone"))
	p := w.prover()
	a := w.post("/mobile/token", redemption("cli", listened, w.browser().code("cli", listened)), announcing(p, "/mobile/token")...)
	cli := a.handles(t)
	if a.header.Get("DPoP-Nonce") != "" {
		t.Errorf("its handles: %v", a.header)
	}
	free := w.signedIn() // the phone's, unbound
	proof := p.Proof("GET", gateway+"/api", cli.Access)
	background := []string{"X-Background", "1", "Authorization", "DPoP " + cli.Access, "DPoP", proof}
	if a = w.send("GET", "/api", "", background...).is(t, "a call", 200); a.header.Get("DPoP-Nonce") != "" {
		t.Errorf("%v", a.header)
	}
	w.send("GET", "/api", "", background...).challenged(t, "a replay", 401, "invalid_dpop_proof", badProof)
	if a := w.call("GET", "/api", free.Access).is(t, "an unbound handle", 200); a.header.Get("DPoP-Nonce") != "" {
		t.Errorf("%v", a.header)
	}
	if a := w.send("GET", "/api", "").is(t, "nobody", 401); a.header.Get("DPoP-Nonce") != "" {
		t.Errorf("%v", a.header)
	}
	// The store is asked no more than where no app wants nonces: once, and the script asks for the rest.
	asks := func(w *world) (least int) {
		least = 1000
		for range 3 { // something else may be asked for beside
			proof := p.Proof("GET", gateway+"/api", cli.Access)
			before := w.redis.CommandCount()
			w.send("GET", "/api", "", "X-Background", "1", "Authorization", "DPoP "+cli.Access, "DPoP", proof).is(t, "a call", 200)
			least = min(least, w.redis.CommandCount()-before)
		}
		return least
	}
	if with, without := asks(w), asks(w.beside(binding("cli", bff.BindingRequired))); with != without || with == 0 {
		t.Errorf("%d commands, and %d where nobody wants nonces", with, without)
	}
	// A setting that is switched on holds for handles that live.
	later := w.beside(binding("cli", bff.BindingRequired), nonces("cli"))
	later.prove(p, "GET", "/api", cli.Access).challenged(t, "once it wants nonces", 401, "use_dpop_nonce", needNonce)
	w.post("/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {free.Refresh}}).
		refused(t, "an unbound handle of another app", 400, "invalid_grant")
}

// The gateway's own address may be written with its port.
//
// shows DPOP-4.3-9 (the port of public.url)
func TestAGatewayWithItsDefaultPort(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed), func(w *world) { w.origin = gateway + ":443" })
	p := w.prover()
	code := w.browser().code("phone", claimed)
	h := w.post("/mobile/token", redemption("phone", claimed, code), announcing(p, "/mobile/token")...).handles(t)
	w.prove(p, "GET", "/api", h.Access).is(t, "a call", 200)
}

// Who is told a nonce puts it into the next proof, and keeps it: a gateway whose apps want none tells none, not even with a refusal.
func TestNoNonceWhereNoAppWantsOne(t *testing.T) {
	w := newWorld(t, binding("phone", bff.BindingAllowed))
	p := w.prover()
	h := w.bound(p)
	redemption := w.post("/mobile/token", redemption("phone", claimed, w.code()), announcing(p, "/mobile/elsewhere")...)
	redemption.refused(t, "a proof for elsewhere", 400, "invalid_dpop_proof")
	for with, a := range map[string]*answer{
		"a bad proof":           w.prove(p, "GET", "/api", h.Access, prover.Method("PUT")).is(t, "a bad proof", 401),
		"another's proof":       w.prove(w.prover(), "GET", "/api", h.Access).is(t, "another's proof", 401),
		"a proof for elsewhere": redemption,
	} {
		if got := a.header.Values("DPoP-Nonce"); len(got) != 0 {
			t.Errorf("an answer to %s carries %q", with, got)
		}
	}
}
