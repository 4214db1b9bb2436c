package bff_test

import (
	"strings"
	"testing"

	"cloakroom/bff"
)

// Each login has a key of its own, the same at its start and at its callback, whichever instance that reaches.
//
// shows DPOP-OUT-RS, DPOP-OUT-AS
func TestEachLoginHasAKeyOfItsOwn(t *testing.T) {
	w := newWorld(t)
	a, b := w.instance(), w.instance()
	for range 3 {
		start, state := w.begin(a, bff.LoginRequest{})
		if _, err := b.CompleteLogin(t.Context(), w.app, w.callback(start, state)); err != nil {
			t.Fatal(err)
		}
	}
	w.idp.mu.Lock()
	defer w.idp.mu.Unlock()
	keys := make(map[string]bool)
	for i, begun := range w.idp.begun {
		key := begun.Key.Reveal()
		if len(key) != 32 || keys[key] || !w.idp.asked[i].Key.Equal(begun.Key) {
			t.Errorf("login %d: a key of %d bytes, known before: %v, another at the callback: %v",
				i, len(key), keys[key], !w.idp.asked[i].Key.Equal(begun.Key))
		}
		keys[key] = true
		for _, other := range []string{begun.State, begun.Nonce, begun.Verifier} {
			if strings.Contains(other, key) {
				t.Error("the key is in what the provider is told")
			}
		}
	}
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
}

// provingProvider signs nothing: it writes down what it was asked.
type provingProvider struct{ *fakeProvider }

func (provingProvider) Prove(key bff.Secret, method, address, nonce string, access bff.Secret) (string, error) {
	return strings.Join([]string{key.Reveal(), method, address, nonce, access.Reveal()}, " "), nil
}

// A proof is made by the key of the very token set that is presented, and never without one.
//
// shows DPOP-OUT-RS
func TestProofsAreByTheKeyOfTheTokens(t *testing.T) {
	w := newWorld(t)
	engine := func(p bff.Provider) *bff.Engine {
		return bff.NewEngine(bff.Ports{Providers: func(string) bff.Provider { return p }}, nil, nil, &bff.Trace{}, bff.Limits{})
	}
	good := bff.TokenSet{Access: bff.NewSecret("at"), TokenType: "DPoP", ProofKey: bff.NewSecret("key")}
	got, err := engine(provingProvider{w.idp}).Prove(w.app, good, "GET", "https://api.example.com/x", "n")
	if err != nil || got != "key GET https://api.example.com/x n at" {
		t.Errorf("%q, %v", got, err)
	}
	keyless, tokenless := good, good
	keyless.ProofKey, tokenless.Access = bff.Secret{}, bff.Secret{}
	for with, try := range map[string]struct {
		p bff.Provider
		t bff.TokenSet
	}{
		"no key":                       {provingProvider{w.idp}, keyless},
		"no token":                     {provingProvider{w.idp}, tokenless},
		"a provider that cannot prove": {w.idp, good},
	} {
		if proof, err := engine(try.p).Prove(w.app, try.t, "GET", "https://api.example.com/", ""); bff.CodeOf(err) != bff.CodeInternal || proof != "" {
			t.Errorf("tokens with %s: %q, %v", with, proof, err)
		}
	}
}

// A token is presented by a proof where the provider said that it is bound, and only there.
func TestBoundTokens(t *testing.T) {
	for typ, want := range map[string]bool{"DPoP": true, "dpop": true, "Bearer": false, "bearer": false, "": false, "DPoP ": false} {
		if got := (bff.TokenSet{TokenType: typ, ProofKey: bff.NewSecret("key")}).Bound(); got != want {
			t.Errorf("a token of type %q: %v", typ, got)
		}
	}
}

// A server's nonce goes into proofs as it is, so it has to be one that they can hold (RFC 9449 section 8.1).
func TestServerNonces(t *testing.T) {
	for _, tc := range []struct {
		with   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"an empty one", []string{""}, ""},
		{"one", []string{"eyJ7S_zG.eyJH0-Z.HX4w-7v"}, "eyJ7S_zG.eyJH0-Z.HX4w-7v"},
		{"every sign that it may have", []string{"!#[]~'&+="}, "!#[]~'&+="},
		{"two", []string{"a", "b"}, ""},
		{"the same twice", []string{"a", "a"}, ""},
		{"a quote", []string{`a"b`}, ""},
		{"a backslash", []string{`a\b`}, ""},
		{"a space", []string{"a b"}, ""},
		{"a control character", []string{"a\x01"}, ""},
		{"a letter beyond ASCII", []string{"ä"}, ""},
		{"the longest", []string{strings.Repeat("n", 512)}, strings.Repeat("n", 512)},
		{"more than that", []string{strings.Repeat("n", 513)}, ""},
	} {
		if got := bff.ServerNonce(tc.values); got != tc.want {
			t.Errorf("an answer with %s: %q, want %q", tc.with, got, tc.want)
		}
	}
}
