package dpop_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"cloakroom/dpop"
)

// madeAt is when the proofs of these tests are made.
var madeAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func rawKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, dpop.KeyBytes) }

// A proof that is made is one that Check takes for exactly its request, and so does a library that nobody here wrote.
//
// shows DPOP-OUT-RS
func TestProofsThatAreMade(t *testing.T) {
	k := must(dpop.NewKey(rawKey(7)))
	for _, tc := range []struct {
		with  string
		r     dpop.Request
		nonce string
		htu   string
	}{
		{"a token", dpop.Request{Method: "GET", URL: "https://api.example.com/orders", Handle: "at-1"}, "", "https://api.example.com/orders"},
		{"a nonce", dpop.Request{Method: "POST", URL: "https://api.example.com/", Handle: "at-1"}, "n-0S6_WzA2Mj", "https://api.example.com/"},
		{"no token", dpop.Request{Method: "POST", URL: "https://op.example.com/token"}, "", "https://op.example.com/token"},
		{"a query and a fragment", dpop.Request{Method: "GET", URL: "https://api.example.com/a%2Fb?x=1#y", Handle: "at-1"}, "", "https://api.example.com/a%2Fb"},
		{"a path that JSON escapes", dpop.Request{Method: "GET", URL: "https://api.example.com/a&b'<", Handle: "at-1"}, "", "https://api.example.com/a&b'<"},
	} {
		t.Run("a proof with "+tc.with, func(t *testing.T) {
			tc.r.Now = madeAt
			text := must(k.Proof(tc.r, tc.nonce))
			p, err := dpop.Check([]string{text}, tc.r)
			if err != nil {
				t.Fatal(err)
			}
			if p.Thumbprint != k.Thumbprint() || p.Nonce != tc.nonce {
				t.Errorf("key %s, nonce %q", p.Thumbprint, p.Nonce)
			}
			claims := verifiedByALibrary(t, text, k.Thumbprint())
			if claims["htu"] != tc.htu || claims["htm"] != tc.r.Method || claims["iat"] != float64(madeAt.Unix()) {
				t.Errorf("claims %v", claims)
			}
			if _, there := claims["ath"]; there != (tc.r.Handle != "") {
				t.Errorf("claims %v", claims)
			}
			if _, there := claims["nonce"]; there != (tc.nonce != "") {
				t.Errorf("claims %v", claims)
			}
		})
	}
}

// verifiedByALibrary verifies a proof by the key in its header, and returns its claims.
func verifiedByALibrary(t *testing.T, text, thumbprint string) map[string]any {
	t.Helper()
	m := must(jws.ParseString(text))
	h := m.Signatures()[0].ProtectedHeaders()
	if h.Type() != "dpop+jwt" || h.Algorithm() != jwa.ES256 {
		t.Errorf("header %v", h)
	}
	if private := must(jwk.IsPrivateKey(h.JWK())); private {
		t.Error("the private key is in the proof")
	}
	jkt := base64.RawURLEncoding.EncodeToString(must(h.JWK().Thumbprint(crypto.SHA256)))
	if jkt != thumbprint {
		t.Errorf("thumbprint %s, by a library %s", thumbprint, jkt)
	}
	payload := must(jws.Verify([]byte(text), jws.WithKey(jwa.ES256, h.JWK())))
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// No two proofs are the same, whatever they are for; and the same bytes make the same key, other bytes another.
//
// shows DPOP-OUT-RS
func TestEachProofAndEachKeyIsItsOwn(t *testing.T) {
	k := must(dpop.NewKey(rawKey(1)))
	ids := make(map[any]bool)
	for range 200 {
		text := must(k.Proof(dpop.Request{Method: "GET", URL: "https://a.example.com/", Handle: "at", Now: madeAt}, ""))
		id := verifiedByALibrary(t, text, k.Thumbprint())["jti"].(string)
		if ids[id] || len(id) < 16 { // RFC 9449 section 4.2: 96 bits at least
			t.Fatalf("jti %q", id)
		}
		ids[id] = true
	}
	keys := make(map[string]byte)
	for fill := range byte(64) {
		jkt := must(dpop.NewKey(rawKey(fill))).Thumbprint()
		if again := must(dpop.NewKey(rawKey(fill))).Thumbprint(); again != jkt {
			t.Errorf("the key of %d is another the second time", fill)
		}
		if was, there := keys[jkt]; there {
			t.Errorf("%d and %d make one key", was, fill)
		}
		keys[jkt] = fill
	}
}

// Every text of 32 bytes makes a key, those too that are no scalar of the group: none, and all above its order.
func TestBytesThatAreNoScalar(t *testing.T) {
	for _, fill := range []byte{0, 0xff} {
		k := must(dpop.NewKey(rawKey(fill)))
		r := dpop.Request{Method: "GET", URL: "https://a.example.com/", Now: madeAt}
		if _, err := dpop.Check([]string{must(k.Proof(r, ""))}, r); err != nil {
			t.Errorf("a key of bytes %d: %v", fill, err)
		}
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := dpop.NewKey(make([]byte, n)); !errors.Is(err, dpop.ErrKey) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A key that is printed or encoded tells nothing of its private half.
func TestAKeyIsNotPrinted(t *testing.T) {
	raw := []byte("thirty-two bytes that are no key")
	k := must(dpop.NewKey(raw))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, printed := range []string{fmt.Sprintf(verb, k), fmt.Sprintf(verb, *k)} {
			for _, secret := range []string{string(raw), fmt.Sprintf("%x", raw), fmt.Sprint(raw), base64.RawURLEncoding.EncodeToString(raw)} {
				if strings.Contains(printed, strings.Trim(secret, "[]")) {
					t.Errorf("%s prints %s", verb, printed)
				}
			}
		}
	}
	if b, _ := json.Marshal(map[string]any{"key": k}); len(b) > len(`{"key":{}}`) {
		t.Errorf("encoded as %s", b)
	}
}

func BenchmarkMake(b *testing.B) {
	raw := rawKey(9)
	r := dpop.Request{Method: "GET", URL: "https://api.example.com/orders/1", Handle: strings.Repeat("t", 900), Now: madeAt}
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = must(dpop.NewKey(raw))
		}
	})
	b.Run("both", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = must(must(dpop.NewKey(raw)).Proof(r, "a-nonce-of-some-length"))
		}
	})
	b.Run("proof", func(b *testing.B) {
		k := must(dpop.NewKey(raw))
		b.ReportAllocs()
		for b.Loop() {
			_ = must(k.Proof(r, "a-nonce-of-some-length"))
		}
	})
}
