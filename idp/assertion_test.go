package idp_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"cloakroom/bff"
	"cloakroom/idp"
)

var ecTwo = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return k
})

func clientKey(t testing.TB, id string, private crypto.Signer, rs256 bool) *idp.ClientKey {
	t.Helper()
	k, err := idp.NewClientKey(id, private, rs256)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// keyed registers an app that has keys.
func keyed(is *idp.Issuer, keys ...*idp.ClientKey) *idp.Client {
	return is.Client(idp.ClientSettings{
		ClientID: clientID, Keys: keys, RedirectURI: redirect, Scopes: []string{"openid"}, StoredClaims: []string{"sub"},
	})
}

// assertion verifies the client assertion of a request by an app's published keys and nothing else.
func assertion(t *testing.T, r request, c *idp.Client) (header, claims map[string]any) {
	t.Helper()
	if r.header.Get("Authorization") != "" || r.form.Has("client_secret") || r.form.Get("client_id") != clientID ||
		r.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Fatalf("authenticated by %q and %v", r.header.Get("Authorization"), r.form)
	}
	set, err := json.Marshal(map[string]any{"keys": c.PublicKeys()})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwk.Parse(set)
	if err != nil {
		t.Fatal(err)
	}
	raw := r.form.Get("client_assertion")
	payload, err := jws.Verify([]byte(raw), jws.WithKeySet(keys)) // by kid, and by the alg that is published
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(raw, ".")
	head, _ := base64.RawURLEncoding.DecodeString(first)
	if json.Unmarshal(head, &header) != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatalf("not JSON: %s %s", head, payload)
	}
	return header, claims
}

// shows CA-7523
func TestAssertions(t *testing.T) {
	for _, tc := range []struct {
		with   string
		key    crypto.Signer
		rs256  bool
		change func(*idp.Settings)
		alg    string
		typ    string
		token  bool // aud is the token endpoint
	}{
		{"a P-256 key", ecOne(), false, nil, "ES256", "client-authentication+jwt", false},
		{"an Ed25519 key", edOne(), false, nil, "EdDSA", "client-authentication+jwt", false},
		{"an RSA key", rsaOne(), false, nil, "PS256", "client-authentication+jwt", false},
		{"an RSA key at a provider that knows RS256 alone", rsaOne(), true, nil, "RS256", "client-authentication+jwt", false},
		{"a provider that knows no types", ecOne(), false, func(s *idp.Settings) { s.AssertionTyp = "JWT" }, "ES256", "JWT", false},
		{"a provider that wants its token endpoint", ecOne(), false, func(s *idp.Settings) { s.AssertionAudience = idp.AudienceTokenEndpoint }, "ES256", "client-authentication+jwt", true},
	} {
		t.Run("an assertion with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			c := keyed(p.issuer(tc.change), clientKey(t, "c1", tc.key, tc.rs256))
			if _, err := exchange(t, c); err != nil {
				t.Fatal(err)
			}
			header, claims := assertion(t, p.requests("/token")[0], c)
			aud := p.URL
			if tc.token {
				aud += "/token"
			}
			if header["alg"] != tc.alg || header["typ"] != tc.typ || header["kid"] != "c1" || len(header) != 3 {
				t.Errorf("header %v", header)
			}
			id, _ := base64.RawURLEncoding.DecodeString(fmt.Sprint(claims["jti"]))
			if claims["iss"] != clientID || claims["sub"] != clientID || claims["aud"] != aud || len(id) != 32 ||
				claims["iat"] != float64(epoch.Unix()) || claims["exp"] != float64(epoch.Unix()+60) || len(claims) != 6 {
				t.Errorf("claims %v, want aud %s", claims, aud)
			}
		})
	}
}

// Each request is proven anew, a retry too: an assertion is good once.
//
// shows CA-7523
func TestEachRequestHasAnAssertionOfItsOwn(t *testing.T) {
	p := newProvider(t)
	c := keyed(p.issuer(nil), clientKey(t, "c1", ecOne(), false))
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil {
		t.Fatal(err)
	}
	p.replies("/revoke", 503, "", "")
	if err := c.Revoke(t.Context(), bff.TokenSet{Refresh: bff.NewSecret("rt-secret-2")}); err == nil {
		t.Error("a revocation that was refused three times is good")
	}
	ids := map[any]bool{}
	for _, r := range append(p.requests("/token"), p.requests("/revoke")...) {
		_, claims := assertion(t, r, c)
		ids[claims["jti"]] = true
		if claims["aud"] != p.URL {
			t.Errorf("aud %v", claims["aud"])
		}
	}
	if n := p.count("/revoke"); n != 3 || len(ids) != 5 {
		t.Errorf("%d revocations, %d different assertions of 5", n, len(ids))
	}
}

// One key at two providers: what is sent to the one names it, and goes to no other, though the other says that its endpoints
// are there.
//
// shows CA-7523
func TestAnAssertionIsForOneProvider(t *testing.T) {
	honest, evil := newProvider(t), newProvider(t)
	evil.meta["token_endpoint"] = honest.URL + "/token" // what a provider can say of itself
	c := keyed(evil.issuer(nil), clientKey(t, "c1", ecOne(), false))
	_, _ = exchange(t, c)
	got := honest.requests("/token")
	if len(got) != 1 {
		t.Fatalf("%d requests", len(got))
	}
	if _, claims := assertion(t, got[0], c); claims["aud"] != evil.URL {
		t.Errorf("an assertion that the other provider takes: %v", claims)
	}
}

// shows KEY-JWKS
func TestClientKeysRotate(t *testing.T) {
	p := newProvider(t)
	one, two := clientKey(t, "c1", ecOne(), false), clientKey(t, "c2", ecTwo(), false)
	for _, tc := range []struct {
		at     string
		keys   []*idp.ClientKey
		signs  string
		listed string
	}{
		{"before", []*idp.ClientKey{one}, "c1", "c1"},
		{"published and not used yet", []*idp.ClientKey{one, two}, "c1", "c1 c2"},
		{"used, the old one still published", []*idp.ClientKey{two, one}, "c2", "c2 c1"},
		{"after", []*idp.ClientKey{two}, "c2", "c2"},
	} {
		c := keyed(p.issuer(nil), tc.keys...)
		if _, err := exchange(t, c); err != nil {
			t.Fatal(err)
		}
		sent := p.requests("/token")
		header, _ := assertion(t, sent[len(sent)-1], c)
		var listed []string
		for _, k := range c.PublicKeys() {
			var members map[string]any
			if err := json.Unmarshal(k, &members); err != nil {
				t.Fatal(err)
			}
			listed = append(listed, fmt.Sprint(members["kid"]))
		}
		if header["kid"] != tc.signs || strings.Join(listed, " ") != tc.listed {
			t.Errorf("%s: signed by %v, published %v", tc.at, header["kid"], listed)
		}
	}
}

// shows KEY-JWKS
func TestPublishedKeysArePublic(t *testing.T) {
	want := map[string]string{"RSA": "alg e kid kty n use", "EC": "alg crv kid kty use x y", "OKP": "alg crv kid kty use x"}
	p := newProvider(t)
	c := keyed(p.issuer(nil), clientKey(t, "a", rsaOne(), false), clientKey(t, "b", ecOne(), false), clientKey(t, "c", edOne(), false))
	for _, k := range c.PublicKeys() {
		var members map[string]string
		if err := json.Unmarshal(k, &members); err != nil {
			t.Fatal(err)
		}
		kind := members["kty"]
		if got := strings.Join(sorted(members), " "); got != want[kind] {
			t.Errorf("a key of kind %s is published with %s", kind, got)
		}
	}
	if none := register(p.issuer(nil)).PublicKeys(); none == nil || len(none) != 0 {
		t.Errorf("an app without keys publishes %v", none)
	}
}

func sorted(m map[string]string) (names []string) {
	for _, n := range []string{"alg", "crv", "d", "dp", "dq", "e", "k", "kid", "kty", "n", "oth", "p", "q", "qi", "use", "x", "y"} {
		if _, ok := m[n]; ok {
			names = append(names, n)
			delete(m, n)
		}
	}
	for n := range m {
		if n != "" {
			names = append(names, "and "+n)
		}
	}
	return names
}

// shows KEY-JWKS, CA-7523
func TestKeysThatAreNoClientKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for with, key := range map[string]crypto.Signer{
		"nothing": nil, "RSA of 1024 bits": rsaSmall(), "P-384": p384, "an Ed25519 key that is cut off": shortKey{edOne()},
	} {
		if _, err := idp.NewClientKey("c1", key, false); err == nil {
			t.Errorf("a key with %s is taken", with)
		}
	}
	// A provider whose apps must show a key never sees a secret, and no request that proves nothing.
	p := newProvider(t)
	c := p.client(func(s *idp.Settings) { s.TokenAuth = "private_key_jwt" })
	if _, err := exchange(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable || p.count("/token") != 0 {
		t.Errorf("got %v after %d requests", err, p.count("/token"))
	}
}

// shortKey is a signer whose public half is none.
type shortKey struct{ ed25519.PrivateKey }

func (k shortKey) Public() crypto.PublicKey { return ed25519.PublicKey(k.PrivateKey[:8]) }

func TestNothingOfAClientKeyIsPrinted(t *testing.T) {
	p := newProvider(t)
	key := clientKey(t, "c1", ecOne(), false)
	c := keyed(p.issuer(nil), key)
	p.replies("/token", 401, "application/json", `{"error":"invalid_client"}`)
	_, err := exchange(t, c)
	if err == nil || !strings.Contains(err.Error(), "signed by key c1 (ES256) for "+p.URL) {
		t.Errorf("what an operator reads: %v", err)
	}
	private, perr := ecOne().Bytes()
	if perr != nil {
		t.Fatal(perr)
	}
	var told bytes.Buffer
	fmt.Fprintf(&told, "%v %+v %#v %v %+v %s %v", key, *key, key, c, *c, p.logged.String(), err)
	for _, secret := range []string{
		b64(private), fmt.Sprintf("%x", private), new(big.Int).SetBytes(private).String(), fmt.Sprint(private), p.requests("/token")[0].form.Get("client_assertion"),
	} {
		if strings.Contains(told.String(), secret) {
			t.Errorf("%.10s… is printed", secret)
		}
	}
}

// A redirect would carry the assertion to another place.
//
// shows CA-7523
func TestAnAssertionFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		p, elsewhere := newProvider(t), newProvider(t)
		to := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL+r.URL.Path, status) }
		p.handle("/token", to)
		p.handle("/revoke", to)
		c := keyed(p.issuer(nil), clientKey(t, "c1", ecOne(), false))
		_, err := c.Refresh(t.Context(), p.session(), "")
		if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || e.Doubt {
			t.Errorf("a %d: %v", status, err)
		}
		if _, err := exchange(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable {
			t.Errorf("a %d: %v", status, err)
		}
		if err := c.Revoke(t.Context(), bff.TokenSet{Refresh: bff.NewSecret("rt-secret-2")}); err == nil {
			t.Errorf("a revocation that was sent elsewhere by %d is good", status)
		}
		if n := elsewhere.count("/token") + elsewhere.count("/revoke"); n != 0 {
			t.Errorf("%d requests followed a %d", n, status)
		}
	}
}
