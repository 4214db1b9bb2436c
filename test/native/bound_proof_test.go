//go:build integration

package native_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/forge"
	"cloakroom/test/gateway"
	"cloakroom/test/prover"
	"cloakroom/test/world"
)

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
			if got := n.call(t, at, "GET", "/api/orders", fields...); got.StatusCode != 401 || !challenges(got.Header, "DPoP", "invalid_dpop_proof") {
				t.Errorf("a proof again: %d %q", got.StatusCode, got.Header.Values("WWW-Authenticate"))
			}
		}
		in.AwaitLog(`"rule":"proof used twice"`)
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
		"1 KiB of jti":             d.presents("GET", path, prover.ID(strings.Repeat("j", 1<<10))),
		"10 KiB of jti":            d.presents("GET", path, prover.ID(strings.Repeat("j", 10<<10))),
		"a twin":                   append(d.presents("GET", path), "DPoP", d.proof("GET", path, d.handle)),
		"a twin after a comma":     {"Authorization", "DPoP " + d.handle, "DPoP", d.proof("GET", path, d.handle) + ", " + d.proof("GET", path, d.handle)},
		"nothing":                  {"Authorization", "DPoP " + d.handle},
	} {
		for i, in := range n.All {
			got := n.call(t, in, "GET", path, fields...)
			if got.StatusCode != 401 || !challenges(got.Header, "DPoP", "invalid_dpop_proof") {
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
			if got.StatusCode != tt.want || tt.scheme != "" && !challenges(got.Header, tt.scheme, tt.problem) {
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
		for i, in := range n.All {
			resp := n.call(t, in, "GET", path, d.presents("GET", path, bend...)...)
			if resp.StatusCode != 401 || !challenges(resp.Header, "DPoP", "use_dpop_nonce") || !strings.Contains(resp.Header.Get("Cache-Control"), "no-store") {
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
	spent := d.presents("GET", path) // one that lacks its nonce is used up like any: who waits with it for a nonce gains nothing
	if first, second := n.call(t, n.All[0], "GET", path, spent...), n.call(t, n.All[1], "GET", path, spent...); !challenges(first.Header, "DPoP", "use_dpop_nonce") || !challenges(second.Header, "DPoP", "invalid_dpop_proof") {
		t.Errorf("a proof with no nonce, twice: %q, then %q", first.Header.Values("WWW-Authenticate"), second.Header.Values("WWW-Authenticate"))
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
