package dpop_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"cloakroom/dpop"
	"cloakroom/test/prover"
)

// A proof that a library makes, and the thumbprint that it computes: the prover of these tests is not the only judge.
func TestProofThatALibraryMakes(t *testing.T) {
	for _, alg := range []jwa.SignatureAlgorithm{jwa.ES256, jwa.EdDSA, jwa.PS256, jwa.RS256} {
		t.Run(alg.String(), func(t *testing.T) {
			private := must(jwk.FromRaw(prover.New(alg.String()).Key()))
			public := must(private.PublicKey())
			header := jws.NewHeaders()
			for name, v := range map[string]any{jws.TypeKey: "dpop+jwt", jws.JWKKey: public} {
				if err := header.Set(name, v); err != nil {
					t.Fatal(err)
				}
			}
			payload := must(json.Marshal(map[string]any{
				"jti": "1", "htm": "GET", "htu": address, "iat": moment.Unix(), "ath": prover.Hash(handle),
			}))
			text := must(jws.Sign(payload, jws.WithKey(alg, private, jws.WithProtectedHeaders(header))))
			want := base64.RawURLEncoding.EncodeToString(must(public.Thumbprint(crypto.SHA256)))
			if got := mustHold(t, string(text), request()); got.Thumbprint != want {
				t.Errorf("thumbprint %q, the library says %q", got.Thumbprint, want)
			}
		})
	}
}

// What the prover puts on a request is what a server finds there.
func TestRequestThatPresentsAHandle(t *testing.T) {
	p := at(prover.New("ES256"))
	r := httptest.NewRequest("POST", address+"?page=2", http.NoBody)
	p.Present(r, handle)
	if got := r.Header.Get("Authorization"); got != "DPoP "+handle {
		t.Errorf("Authorization %q", got)
	}
	asked := request()
	asked.Method = "POST"
	mustHold(t, r.Header.Get("DPoP"), asked)

	p.Announce(r, prover.Nonce("n"))
	asked.Handle = ""
	got, err := dpop.Check(r.Header.Values("DPoP"), asked)
	if err != nil || got.Nonce != "n" {
		t.Errorf("%+v, %v", got, err)
	}
}
