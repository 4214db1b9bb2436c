package provider_test

import (
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"cloakroom/dev/provider"
)

func TestKeyRotation(t *testing.T) {
	w := start(t)
	old := str(w.tokens(browser(t)), "id_token")
	next, err := w.RotateKeys()
	if err != nil {
		t.Fatal(err)
	}
	fresh := str(w.tokens(browser(t)), "id_token")
	if part(t, fresh, 0)["kid"] != next.KID() || part(t, old, 0)["kid"] == next.KID() {
		t.Error("the new key does not sign")
	}
	for name, token := range map[string]string{"old": old, "fresh": fresh} {
		if err := w.verifies(token); err != nil {
			t.Errorf("%s token during the overlap: %v", name, err)
		}
	}
	w.RetireKeys()
	if w.keys().Len() != 1 || w.verifies(old) == nil || w.verifies(fresh) != nil {
		t.Error("after retiring the old key it is still there, or the new one is not")
	}
}

func TestPublishedKeys(t *testing.T) {
	for name, row := range map[string]struct {
		spec provider.KeySpec
		kty  jwa.KeyType
	}{
		"an oct key":    {provider.KeySpec{Type: "oct", KID: "bad"}, jwa.OctetSeq},
		"a short key":   {provider.KeySpec{Bits: 1024, KID: "bad"}, jwa.RSA},
		"an EC key":     {provider.KeySpec{Type: "EC", KID: "bad"}, jwa.EC},
		"a key for enc": {provider.KeySpec{Use: "enc", Alg: "-", KID: "bad"}, jwa.RSA},
	} {
		t.Run("a key set with "+name, func(t *testing.T) {
			w := start(t)
			k, err := provider.NewKey(row.spec)
			if err != nil {
				t.Fatal(err)
			}
			w.AddKey(k)
			published, ok := w.keys().LookupKeyID("bad")
			if !ok || published.KeyType() != row.kty || w.keys().Len() != 2 {
				t.Fatalf("published %v", published)
			}
			token, err := w.Sign(provider.KindID, "webc_1", nil, map[string]any{"sub": "x"}, provider.Signing{Key: k})
			if err != nil {
				t.Fatal(err)
			}
			if kid := part(t, token, 0)["kid"]; kid != "bad" {
				t.Errorf("kid %v", kid)
			}
		})
	}
}

func TestDuplicateKID(t *testing.T) {
	w := start(t)
	k, err := provider.NewKey(provider.KeySpec{KID: w.SigningKey().KID()})
	if err != nil {
		t.Fatal(err)
	}
	w.AddKey(k)
	if set := w.keys(); set.Len() != 2 {
		t.Errorf("%d keys", set.Len())
	}
}

func TestSigningOnPurpose(t *testing.T) {
	for name, row := range map[string]struct {
		mode provider.SignMode
		alg  string
		kid  func(kid, own string) bool
	}{
		"no signature":              {provider.SignNone, "none", func(kid, _ string) bool { return kid == "" }},
		"the client's secret":       {provider.SignWithClientSecret, "HS256", func(kid, own string) bool { return kid == own }},
		"the public key as HMAC":    {provider.SignWithPublicPEM, "HS256", func(kid, own string) bool { return kid == own }},
		"an unknown key":            {provider.SignWithUnknownKey, "RS256", func(kid, own string) bool { return kid != own }},
		"a stolen kid":              {provider.SignWithStolenKID, "RS256", func(kid, own string) bool { return kid == own }},
		"claims changed afterwards": {provider.SignTampered, "RS256", func(kid, own string) bool { return kid == own }},
	} {
		t.Run("an ID token with "+name, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { c.Behaviour.IDSigning.Mode = row.mode })
			token := str(w.tokens(browser(t)), "id_token")
			header := part(t, token, 0)
			if header["alg"] != row.alg || !row.kid(str(header, "kid"), w.SigningKey().KID()) {
				t.Errorf("header %v", header)
			}
			if w.verifies(token) == nil {
				t.Error("a token that should be bad verifies")
			}
		})
	}
}

func TestHMACByClientSecretIsARealOne(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.IDSigning.Mode = provider.SignWithClientSecret })
	token := str(w.tokens(browser(t)), "id_token")
	if _, err := jwt.Parse([]byte(token), jwt.WithKey(jwa.HS256, []byte(web().Secret)), jwt.WithValidate(false)); err != nil {
		t.Error(err)
	}
}

func TestHookThatNamesAnotherAlgorithmGetsItsSignature(t *testing.T) {
	w := start(t, func(c *provider.Config) {
		c.Behaviour.EditIDToken = func(header, _ map[string]any) { header["alg"] = "RS512" }
		c.Behaviour.EditKeys = func(set map[string]any) {
			for _, k := range set["keys"].([]any) {
				k.(map[string]any)["alg"] = "RS512"
			}
		}
	})
	token := str(w.tokens(browser(t)), "id_token")
	if err := w.verifies(token); err != nil || part(t, token, 0)["alg"] != "RS512" {
		t.Errorf("header %v: %v", part(t, token, 0), err)
	}
}
