//go:build integration

package e2e_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/dev/provider"
	"cloakroom/dpop"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// bindsTokens lays the setting over an instance's configuration.
const bindsTokens = "CLOAKROOM_PROVIDERS__MAIN__DPOP=required"

// boundWorld is a world whose tokens are bound to keys, with what the tests find out of those keys.
type boundWorld struct{ *world.World }

// begins starts a sign-in as the page's link does, and computes, as nobody outside can who has not the sealing key, which key
// its tokens will be bound to. The key, in all forms, is looked for everywhere from then on.
func (w boundWorld) begins(b *browser.Browser, in *gateway.Instance) (page *browser.Page, jkt string) {
	w.T.Helper()
	req, err := http.NewRequest(http.MethodGet, world.Origin+"/bff/login?return_to=/", nil)
	if err != nil {
		w.T.Fatal(err)
	}
	for name, value := range map[string]string{"Site": "same-origin", "Mode": "navigate", "Dest": "document", "User": "?1"} {
		req.Header.Set("Sec-Fetch-"+name, value)
	}
	resp, err := in.Client().Do(req)
	if err != nil {
		w.T.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, c := range resp.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-Http-web.tx.") {
			jkt = w.keyOf(c.Value)
		}
	}
	for _, line := range resp.Header.Values("Set-Cookie") {
		b.StoreCookie(world.Origin, line)
	}
	if jkt == "" {
		w.T.Fatalf("no transaction: %d %v", resp.StatusCode, resp.Header)
	}
	if page, err = b.Navigate(resp.Header.Get("Location")); err != nil {
		w.T.Fatal(err)
	}
	return page, jkt
}

// keyOf opens a transaction with the gateway's own sealing key.
func (w boundWorld) keyOf(sealed string) (jkt string) {
	w.T.Helper()
	key := func(name string) bff.Key {
		return bff.Key{ID: name, Bytes: bff.NewSecret(string(w.unbase64(w.Setup.Keys[name])))}
	}
	ring, err := bff.NewKeyring([]bff.Key{key("k1")}, nil, []bff.Key{key("i1")})
	if err != nil {
		w.T.Fatal(err)
	}
	plain, err := ring.Open(bff.PurposeTransaction, w.unbase64(sealed), "web", w.OP.Issuer, "webc_1", world.Origin+"/bff/callback")
	if err != nil {
		w.T.Fatal(err)
	}
	seed := plain[2:34] // behind version and flags
	raw, err := hkdf.Key(sha256.New, seed, nil, "cloakroom transaction proof key", dpop.KeyBytes)
	if err != nil {
		w.T.Fatal(err)
	}
	for _, form := range []string{string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		w.Scan.Secret("proof_key", form)
	}
	w.Scan.Secret("transaction_seed", string(seed))
	k, err := dpop.NewKey(raw)
	if err != nil {
		w.T.Fatal(err)
	}
	return k.Thumbprint()
}

func (w boundWorld) unbase64(text string) []byte {
	w.T.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		w.T.Fatal(err)
	}
	return raw
}

// signsIn goes through a whole sign-in and returns the browser and the name of its key.
func (w boundWorld) signsIn(in *gateway.Instance) (*browser.Browser, string) {
	w.T.Helper()
	b := w.Browser()
	page, jkt := w.begins(b, in)
	w.OP.SignIn(w.T, b, page)
	c, ok := b.Cookie(world.Origin, "__Host-Http-web")
	if !ok {
		w.T.Fatal("signed in without a session cookie")
	}
	w.Scan.Secret("session-cookie", c.Value)
	return b, jkt
}

// calls has the app's script call the API, with what a script would send that wants to interfere, and returns the last request
// that reached the API: one that the API found good, with a proof by this key ("" for none).
func (w boundWorld) calls(b *browser.Browser, method, path, jkt string) http.Header {
	w.T.Helper()
	q := browser.Request{Method: method, URL: world.Origin + path, Header: http.Header{
		"X-Csrf": {"1"}, "Dpop": {"eyJhbGciOiJFUzI1NiJ9.a-proof-of-the-page.x"}, "Dpop-Nonce": {"a-nonce-of-the-page"},
	}}
	if method == http.MethodPost {
		q.Body, q.Header["Content-Type"] = []byte(`{"item":"tea","quantity":2}`), []string{"application/json"}
	}
	p, err := b.Fetch(browser.At(world.Origin+"/"), q)
	if err != nil {
		w.T.Fatal(err)
	}
	if p.Status/100 != 2 || p.Header["Dpop-Nonce"] != nil || p.Header["Www-Authenticate"] != nil {
		w.T.Fatalf("%s %s: %d %v %s", method, path, p.Status, p.Header, p.Body)
	}
	hits := w.API.Recorded()
	h := hits[len(hits)-1].Header
	scheme, _, _ := strings.Cut(h.Get("Authorization"), " ")
	if want := map[bool]string{true: "Bearer", false: "DPoP"}[jkt == ""]; scheme != want || h["Dpop-Nonce"] != nil {
		w.T.Fatalf("the API got a token by %s, want %s: %v", scheme, want, h)
	}
	if got := w.thumbprintIn(h); got != jkt {
		w.T.Errorf("the API got a proof by key %q, want %q", got, jkt)
	}
	return h
}

// thumbprintIn is the key of the proof that a request carries; "" without one. The API has checked the proof.
func (w boundWorld) thumbprintIn(h http.Header) string {
	w.T.Helper()
	if h["Dpop"] == nil {
		return ""
	}
	var head struct{ JWK map[string]string }
	part, _, _ := strings.Cut(h.Get("DPoP"), ".")
	if err := json.Unmarshal(w.unbase64(part), &head); err != nil {
		w.T.Fatal(err)
	}
	canonical, _ := json.Marshal(head.JWK) // of P-256 all four members count, in the order of their names (RFC 7638 section 3.2)
	sum := sha256.Sum256(canonical)
	w.Scan.Secret("dpop_proof", h.Get("DPoP"))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// claimsIn are those of the proof that a request carries.
func (w boundWorld) claimsIn(h http.Header) (c struct{ JTI, HTM, HTU, ATH, Nonce string }) {
	w.T.Helper()
	parts := strings.Split(h.Get("DPoP"), ".")
	if len(parts) != 3 {
		w.T.Fatalf("proof %q", h.Get("DPoP"))
	}
	if err := json.Unmarshal(w.unbase64(parts[1]), &c); err != nil {
		w.T.Fatal(err)
	}
	return c
}

// refreshes calls the API until the provider has granted one more refresh.
func (w boundWorld) refreshes(b *browser.Browser, jkt string) {
	w.T.Helper()
	before := w.OP.Grants("refresh_token")
	for deadline := time.Now().Add(30 * time.Second); w.OP.Grants("refresh_token") == before; {
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
		if time.Now().After(deadline) {
			w.T.Fatal("the token was never refreshed")
		}
		<-time.After(100 * time.Millisecond)
	}
	w.calls(b, http.MethodGet, "/api/orders", jkt)
}

// The main job with tokens that are bound to a key: the API takes no other, checks every proof and takes none twice. Two people
// have two keys, a refresh keeps the key, another instance has it too, and nothing of it is seen anywhere.
//
// shows DPOP-OUT-AS, DPOP-OUT-RS
func TestTokensThatAreBound(t *testing.T) {
	t.Parallel()
	nonces := func(b *provider.Behaviour) { b.DPoPRequired, b.DPoPNonces = true, true }
	for name, at := range map[string]struct {
		op func(*testing.T, *world.World, world.Options)
		o  world.Options
	}{
		"at the dev provider":                               {world.DevProvider, world.Options{Behave: nonces, Provider: ", userinfo: true"}},
		"at the certified npm provider":                     {world.CertifiedProvider, world.Options{DPoP: "on"}},
		"at the certified npm provider, which wants nonces": {world.CertifiedProvider, world.Options{DPoP: "nonces"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := boundWorld{world.New(t, at.op, at.o)}
			w.Start(2, bindsTokens)
			boundJob(t, w)
			w.Leaks()
		})
	}
}

func boundJob(t *testing.T, w boundWorld) {
	t.Helper()
	ada, hers := w.signsIn(w.All[0])
	other, theirs := w.signsIn(w.All[0])
	if hers == theirs {
		t.Error("two sign-ins have one key")
	}
	w.calls(other, http.MethodGet, "/api/orders", theirs)
	first := w.claimsIn(w.calls(ada, http.MethodGet, "/api/orders?x=1", hers))
	second := w.claimsIn(w.calls(ada, http.MethodPost, "/api/orders", hers))
	if first.JTI == second.JTI || first.HTM != "GET" || second.HTM != "POST" || first.HTU != w.APIAt+"/api/orders" || first.Nonce != "" {
		t.Errorf("proofs %+v and %+v", first, second)
	}
	w.API.WantNonce("a-nonce-of-the-api")
	hits := w.API.Hits()
	again := w.claimsIn(w.calls(ada, http.MethodPost, "/api/orders", hers))
	if again.Nonce != "a-nonce-of-the-api" || w.API.Hits() != hits+2 {
		t.Errorf("nonce %q after %d requests", again.Nonce, w.API.Hits()-hits)
	}
	w.calls(ada, http.MethodGet, "/api/orders", hers)
	if w.API.Hits() != hits+3 {
		t.Error("the API had to ask again for a nonce that was known")
	}
	w.refreshes(ada, hers)
	w.At(w.All[1]) // knows no nonce of anybody
	w.calls(ada, http.MethodGet, "/api/orders", hers)
	w.refreshes(ada, hers)
	signOut(t, w.World, ada)
	w.T = t
}

// A provider that has new nonces says so at a refresh: two requests, the same refresh token, another proof, no second use of the
// token, which here would end the whole session; and the nonce of the good answer goes with the next.
//
// shows DPOP-OUT-AS, REF-ONE
func TestARefreshThatIsChallenged(t *testing.T) {
	t.Parallel()
	w := boundWorld{world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.DPoPRequired, b.DPoPNonces, b.AccessLife = true, true, 2*time.Second },
	})}
	w.Start(2, bindsTokens)
	b, jkt := w.signsIn(w.All[0])
	for round, in := range []*gateway.Instance{w.All[0], w.All[1], w.All[0]} {
		w.At(in)
		w.Dev.RollNonces()
		before := len(w.refreshRequests())
		w.refreshes(b, jkt)
		sent := w.refreshRequests()[before:]
		if len(sent) < 2 || sent[0].Form.Get("refresh_token") != sent[1].Form.Get("refresh_token") || sent[0].Form.Get("refresh_token") == "" {
			t.Fatalf("round %d: %d requests: %v", round, len(sent), sent)
		}
		one, two := w.claimsIn(sent[0].Header), w.claimsIn(sent[1].Header)
		if one.JTI == two.JTI || one.Nonce == two.Nonce || two.Nonce == "" || w.thumbprintIn(sent[1].Header) != jkt {
			t.Errorf("round %d: proofs %+v and %+v", round, one, two)
		}
	}
	before := len(w.refreshRequests())
	w.refreshes(b, jkt)
	if sent := w.refreshRequests()[before:]; len(sent) != 1 {
		t.Errorf("%d requests with a nonce that was known", len(sent))
	}
	w.Leaks()
}

func (w boundWorld) refreshRequests() (all []provider.Request) {
	for _, r := range w.Dev.RequestsTo(provider.Token) {
		if r.Form.Get("grant_type") == "refresh_token" {
			all = append(all, r)
		}
	}
	return all
}

// A provider that answers Bearer although it announces to bind fails the sign-in, and gets its tokens back. The metadata of one
// that announces nothing stops it before it begins.
//
// shows DPOP-OUT-AS
func TestAProviderThatDoesNotBind(t *testing.T) {
	t.Parallel()
	w := boundWorld{world.New(t, world.DevProvider, world.Options{Behave: func(b *provider.Behaviour) { b.DPoPIgnored = true }})}
	w.Start(1, bindsTokens)
	b := w.Browser()
	page, jkt := w.begins(b, w.All[0])
	if at, err := url.Parse(page.URL); err != nil || at.Query().Get("dpop_jkt") != jkt {
		t.Errorf("the sign-in announced another key than %s: %s", jkt, page.URL)
	}
	page = w.OP.SignIn(t, b, page)
	if _, ok := b.Cookie(world.Origin, "__Host-Http-web"); ok || page.Status != 502 && page.Status != 400 {
		t.Errorf("the sign-in ended at %s with %d %s", page.URL, page.Status, page.Text())
	}
	for deadline := time.Now().Add(10 * time.Second); w.Dev.Count(provider.Revoke) < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens given back", w.Dev.Count(provider.Revoke))
		}
		<-time.After(20 * time.Millisecond)
	}
	w.Dev.Set(func(b *provider.Behaviour) {
		b.EditDiscovery = func(doc map[string]any) { delete(doc, "dpop_signing_alg_values_supported") }
	})
	fresh := w.Setup.Start(t, bindsTokens)
	w.All = append(w.All, fresh)
	resp, err := fresh.Client().Get(world.Origin + "/bff/login")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Location") != "" {
		t.Errorf("a sign-in at a provider without DPoP: %d %v", resp.StatusCode, resp.Header)
	}
	w.Leaks()
}

// A session that is older than the setting goes on, and its next tokens are bound, to a key of its own; when the setting is taken
// away, a session with a key goes on with it.
//
// shows DPOP-OUT-AS, DPOP-OUT-RS
func TestASessionAcrossTheSetting(t *testing.T) {
	t.Parallel()
	w := boundWorld{world.New(t, world.DevProvider, world.Options{
		Behave: func(b *provider.Behaviour) { b.DPoPNonces, b.AccessLife = true, 2*time.Second },
	})}
	off := w.Start(1)[0]
	on := w.Start(1, bindsTokens)[1]
	b := w.Browser()
	w.SignIn(b, "/")
	w.calls(b, http.MethodGet, "/api/orders", "")
	before := w.OP.Grants("refresh_token")
	w.At(on)
	for deadline := time.Now().Add(30 * time.Second); w.OP.Grants("refresh_token") == before; { // challenged or not
		w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
		if time.Now().After(deadline) {
			t.Fatal("the token was never refreshed")
		}
		<-time.After(100 * time.Millisecond)
	}
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	hits := w.API.Recorded()
	jkt := w.thumbprintIn(hits[len(hits)-1].Header)
	if jkt == "" {
		t.Fatal("the refreshed token is not bound")
	}
	w.refreshes(b, jkt)
	w.At(off)
	w.calls(b, http.MethodGet, "/api/orders", jkt)
	w.refreshes(b, jkt)
	w.Leaks()
}
