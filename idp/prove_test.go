package idp_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/dpop"
	"cloakroom/idp"
)

// loginKey is the key of the tests' login.
var loginKey = bff.NewSecret(string(bytes.Repeat([]byte{3}, dpop.KeyBytes)))

func thumbprint(t testing.TB, key bff.Secret) string {
	t.Helper()
	k, err := dpop.NewKey([]byte(key.Reveal()))
	if err != nil {
		t.Fatal(err)
	}
	return k.Thumbprint()
}

// binding has the provider announce and bind.
func binding(t testing.TB) *provider {
	p := newProvider(t)
	p.meta["dpop_signing_alg_values_supported"] = []string{"ES256"}
	p.givesTokens(bound)
	return p
}

var bound = map[string]any{"token_type": "DPoP"}

func required(s *idp.Settings) { s.DPoP = true }

// proofOf checks the proof of a request by another's rules than it was made by.
func proofOf(t testing.TB, p *provider, r request, handle string) *dpop.Proof {
	t.Helper()
	method := http.MethodPost
	if r.path == "/userinfo" {
		method = http.MethodGet
	}
	proof, err := dpop.Check(r.header["Dpop"], dpop.Request{Method: method, URL: p.URL + r.path, Handle: handle, Now: p.now()})
	if err != nil {
		t.Fatalf("%s: %v: %v", r.path, err, r.header["Dpop"])
	}
	return proof
}

// challenge is the answer to a proof without the nonce that it gives: RFC 9449 section 8.
func (p *provider) challenge(w http.ResponseWriter, nonce string) {
	w.Header().Set("DPoP-Nonce", nonce)
	p.answer(w, http.StatusBadRequest, map[string]any{"error": "use_dpop_nonce", "error_description": "a nonce is required"})
}

// wantsNonces has the token endpoint want a nonce that it chose, and give another with each good answer.
func (p *provider) wantsNonces(t testing.TB, change map[string]any) {
	n := 0
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		all := p.requests("/token")
		got := proofOf(t, p, all[len(all)-1], "").Nonce
		if n == 0 || got != fmt.Sprint("nonce-", n) {
			n++
			p.challenge(w, fmt.Sprint("nonce-", n))
			return
		}
		n++
		w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", n))
		p.answer(w, 200, p.tokens(change))
	})
}

func exchangeBound(t testing.TB, c *idp.Client) (*bff.Grant, error) {
	return c.Exchange(t.Context(), bff.CodeExchange{
		Code: bff.NewSecret("code-secret"), Verifier: "verifier-secret", Nonce: nonce, Key: loginKey,
	})
}

// A login and a refresh at a provider that demands nonces: two requests, the same code or token, another proof and another
// client assertion; and what a good answer gives is in the next call at once.
//
// shows DPOP-OUT-AS
func TestATokenEndpointThatDemandsNonces(t *testing.T) {
	p := binding(t)
	p.wantsNonces(t, bound)
	c := keyed(p.issuer(required), clientKey(t, "c1", ecOne(), false))
	grant, err := exchangeBound(t, c)
	if err != nil {
		t.Fatal(err)
	}
	if !grant.Tokens.ProofKey.Equal(loginKey) || !grant.Tokens.Bound() {
		t.Error("the tokens were not bound to the login's key")
	}
	first, second := p.requests("/token")[0], p.requests("/token")[1]
	isAgain(t, p, c, first, second, "code", "code-secret")
	s := p.session()
	s.Tokens = grant.Tokens
	p.clock.add(time.Second)
	if grant, err = c.Refresh(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
	all := p.requests("/token")
	if len(all) != 3 || proofOf(t, p, all[2], "").Nonce != "nonce-2" {
		t.Errorf("%d requests: the nonce of the good answer was not used", len(all))
	}
	if proofOf(t, p, all[2], "").Thumbprint != thumbprint(t, loginKey) || !grant.Tokens.ProofKey.Equal(loginKey) {
		t.Error("the refresh proved another key")
	}
	p.wantsNonces(t, bound) // the provider restarts: it knows none of its nonces
	if _, err = c.Refresh(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
	all = p.requests("/token")
	if len(all) != 5 {
		t.Fatalf("%d requests", len(all))
	}
	isAgain(t, p, c, all[3], all[4], "refresh_token", "rt-secret-2")
}

// isAgain fails unless the second request is the first one once more, by another proof and assertion.
func isAgain(t testing.TB, p *provider, c *idp.Client, first, second request, grant, value string) {
	t.Helper()
	a, b := proofOf(t, p, first, ""), proofOf(t, p, second, "")
	if a.ID == b.ID || a.Thumbprint != b.Thumbprint || a.Nonce == b.Nonce || b.Nonce == "" {
		t.Errorf("proofs %+v and %+v", a, b)
	}
	one, other := first.form.Get("client_assertion"), second.form.Get("client_assertion")
	if one == "" || one == other || jtiOf(t, one) == jtiOf(t, other) {
		t.Error("the client assertion was used twice")
	}
	if first.form.Get(grant) != value || second.form.Get(grant) != value {
		t.Errorf("%s was %q, then %q", grant, first.form.Get(grant), second.form.Get(grant))
	}
	first.form.Del("client_assertion")
	second.form.Del("client_assertion")
	if first.form.Encode() != second.form.Encode() {
		t.Errorf("sent %v, then %v", first.form, second.form)
	}
}

func jtiOf(t testing.TB, assertion string) string {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("assertion %q", assertion)
	}
	return parts[1]
}

// A provider that goes on demanding, that demands without giving, or that gives what no proof may hold, is asked no more than
// twice, and its demand is a definite answer: no session ends by it, and no doubt is left about the token.
//
// shows DPOP-OUT-AS
func TestChallengesThatHelpNobody(t *testing.T) {
	for _, tc := range []struct {
		with  string
		nonce func(n int) []string
		want  int
	}{
		{"a new nonce each time", func(n int) []string { return []string{fmt.Sprint("n", n)} }, 2},
		{"the same nonce each time", func(int) []string { return []string{"same"} }, 2},
		{"no nonce", func(int) []string { return nil }, 1},
		{"two nonces", func(int) []string { return []string{"one", "other"} }, 1},
		{"a nonce with a quote", func(int) []string { return []string{`a"b`} }, 1},
		{"a nonce with a space", func(int) []string { return []string{`a b`} }, 1},
		{"an endless nonce", func(int) []string { return []string{strings.Repeat("n", 4000)} }, 1},
	} {
		t.Run("challenges with "+tc.with, func(t *testing.T) {
			p := binding(t)
			n := 0
			p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.Header()["Dpop-Nonce"] = tc.nonce(n)
				p.answer(w, http.StatusBadRequest, map[string]any{"error": "use_dpop_nonce"})
			})
			c := p.client(required)
			_, err := c.Refresh(t.Context(), p.session(), "")
			if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || e.Doubt || p.count("/token") != tc.want {
				t.Errorf("%v (doubt %v) after %d requests", err, e.Doubt, p.count("/token"))
			}
			before := p.count("/token")
			if _, err = exchangeBound(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable {
				t.Errorf("a login: %v", err)
			}
			if asked := p.count("/token") - before; tc.with == "the same nonce each time" && asked != 1 {
				t.Errorf("%d requests with a nonce that was known, want one", asked)
			}
		})
	}
}

// What is lost on the second way is as unknown as what is lost on the first.
//
// shows DPOP-OUT-AS
func TestAnAnswerThatIsLostAfterAChallenge(t *testing.T) {
	p := binding(t)
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) {
		if p.count("/token") == 1 {
			p.challenge(w, "n1")
			return
		}
		hangUp(w, r)
	})
	_, err := p.client(required).Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); e.Outcome != bff.OutcomeUnknown || p.count("/token") != 2 {
		t.Errorf("%v after %d requests", err, p.count("/token"))
	}
}

// Between the challenge and the second sending a process may stand still, and lose its lease: then nothing is sent, for another
// one may have sent the same token by now (RFC 9700 section 4.14.2).
//
// shows DPOP-OUT-AS, REF-ONE
func TestALeaseThatIsLostDuringAChallenge(t *testing.T) {
	p := binding(t)
	leases, s := &taken{lost: make(chan struct{})}, p.session()
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		<-leases.lost
		p.challenge(w, "n1")
	})
	c := p.client(required)
	e := bff.NewEngine(bff.Ports{
		Records: kept{session: s}, Leases: leases, Providers: func(string) bff.Provider { return c },
	}, nil, p.now, &bff.Trace{}, bff.Limits{Lease: 900 * time.Millisecond}) // lost at its first renewal, after a third of it
	if _, err := e.FreshTokens(t.Context(), &bff.App{ID: "web"}, s); err == nil {
		t.Error("refreshed without a lease")
	}
	if n := p.count("/token"); n != 1 {
		t.Errorf("the token was sent %d times", n)
	}
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// Tokens that come unbound where they must be bound are given back: at a login, and at a refresh, which ends no session by
// itself. Where they need not be bound, and where none was proved, the type says how they are used.
//
// shows DPOP-OUT-AS
func TestWhatAnAnswerBinds(t *testing.T) {
	for _, tc := range []struct {
		with     string
		typ      any
		required bool
		key      bff.Secret // of the session
		good     bool
		bound    bool
	}{
		{"DPoP, as required", "DPoP", true, loginKey, true, true},
		{"dpop, as required", "dpop", true, loginKey, true, true},
		{"DPoP for a session without a key", "DPoP", true, bff.Secret{}, true, true},
		{"Bearer, though required", "Bearer", true, loginKey, false, false},
		{"Bearer for a session without a key, though required", "Bearer", true, bff.Secret{}, false, false},
		{"no type, though required", nil, true, loginKey, false, false},
		{"an unknown type, though required", "PoP", true, loginKey, false, false},
		{"DPoP for a session with a key, no longer required", "DPoP", false, loginKey, true, true},
		{"Bearer for a session with a key, no longer required", "Bearer", false, loginKey, true, false},
		{"DPoP though nothing was proved", "DPoP", false, bff.Secret{}, false, false},
		{"Bearer where nothing was asked for", "Bearer", false, bff.Secret{}, true, false},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := binding(t)
			p.givesTokens(map[string]any{"token_type": tc.typ})
			is := p.issuer(func(s *idp.Settings) { s.DPoP = tc.required })
			s := p.session()
			s.Tokens.ProofKey = tc.key
			grant, err := register(is).Refresh(t.Context(), s, "")
			proved := p.requests("/token")[0].header["Dpop"] != nil
			if proved != (tc.required || !tc.key.IsZero()) {
				t.Errorf("proved: %v", proved)
			}
			drain(t, is)
			if !tc.good {
				if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || !e.Doubt {
					t.Errorf("got %v", err)
				}
				if given := p.count("/revoke"); tc.required && tc.typ != "PoP" && given != 2 {
					t.Errorf("%d tokens given back", given)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if grant.Tokens.Bound() != tc.bound || proved == grant.Tokens.ProofKey.IsZero() {
				t.Errorf("type %s, key kept: %v", grant.Tokens.TokenType, !grant.Tokens.ProofKey.IsZero())
			}
			if !tc.key.IsZero() && !grant.Tokens.ProofKey.Equal(tc.key) {
				t.Error("the session's key was replaced")
			}
		})
	}
}

// A login whose answer is Bearer fails, its tokens are given back, and an operator is told; as is one at a provider that
// announces no DPoP, which is not even begun, and whose sessions are not renewed into nothing.
//
// shows DPOP-OUT-AS
func TestAProviderThatBindsNothing(t *testing.T) {
	p := binding(t)
	p.givesTokens(nil) // Bearer
	is := p.issuer(required)
	if _, err := exchangeBound(t, register(is)); bff.CodeOf(err) != bff.CodeLoginTokenRejected {
		t.Errorf("a login: %v", err)
	}
	drain(t, is)
	if given := p.requests("/revoke"); len(given) != 2 || !p.alarmed("provider without DPoP") {
		t.Errorf("%d tokens given back, alarm %v", len(given), p.alarmed("provider without DPoP"))
	}
	p = newProvider(t) // announces nothing
	c := p.client(required)
	_, err := c.AuthorizationURL(t.Context(), bff.AuthorizationRequest{State: "s", Nonce: "n", Verifier: "v", Key: loginKey})
	if bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("a sign-in: %v", err)
	}
	_, err = c.Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || !e.Unasked || p.count("/token") != 0 {
		t.Errorf("a refresh: %v after %d requests", err, p.count("/token"))
	}
	if !p.alarmed("provider without DPoP") {
		t.Error("nobody was told")
	}
}

// Whoever runs the gateway learns before the first sign-in that the provider cannot bind tokens.
//
// shows DPOP-OUT-AS
func TestAProbeOfAProviderWithoutDPoP(t *testing.T) {
	for _, tc := range []struct {
		with   string
		algs   any
		change func(*idp.Settings)
		want   bool
	}{
		{"nothing announced, and asked for", nil, required, true},
		{"other algorithms announced, and asked for", []string{"RS256"}, required, true},
		{"it announced, and asked for", []string{"RS256", "ES256"}, required, false},
		{"nothing announced, nor asked for", nil, nil, false},
	} {
		p := newProvider(t)
		p.meta["dpop_signing_alg_values_supported"] = tc.algs
		found := slices.ContainsFunc(p.issuer(tc.change).Probe(t.Context()).Findings, func(f idp.Finding) bool {
			return f.Grade == idp.Wrong && strings.Contains(f.Text, "dpop_signing_alg_values_supported")
		})
		if found != tc.want {
			t.Errorf("a provider with %s: found %v", tc.with, found)
		}
	}
}

// The authorization request announces the login's key, and nothing that a frontend sends takes its place; without the setting
// nothing is announced.
//
// shows DPOP-OUT-AS
func TestTheKeyIsAnnounced(t *testing.T) {
	p := binding(t)
	r := bff.AuthorizationRequest{State: "s", Nonce: "n", Verifier: "v", Key: loginKey, Extra: url.Values{"dpop_jkt": {"evil"}}}
	for _, on := range []bool{true, false} {
		at, err := p.client(func(s *idp.Settings) { s.DPoP = on }).AuthorizationURL(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(at)
		want := []string{thumbprint(t, loginKey)}
		if !on {
			want = nil
		}
		if got := u.Query()["dpop_jkt"]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("with the setting %v: dpop_jkt %v, want %v", on, got, want)
		}
	}
	r.Key = bff.Secret{}
	if _, err := p.client(required).AuthorizationURL(t.Context(), r); bff.CodeOf(err) != bff.CodeInternal {
		t.Errorf("without a key: %v", err)
	}
}

// UserInfo is a resource: the token goes there with a proof of its own, and its nonces are not the token endpoint's.
//
// shows DPOP-OUT-AS, DPOP-OUT-RS
func TestUserInfoByProof(t *testing.T) {
	p := binding(t)
	p.wantsNonces(t, bound)
	p.handle("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		all := p.requests("/userinfo")
		if proofOf(t, p, all[len(all)-1], "at-secret-1").Nonce != "resource-nonce" {
			w.Header().Set("DPoP-Nonce", "resource-nonce")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p.answer(w, 200, map[string]any{"sub": subject, "email": "ada@elsewhere.example"})
	})
	c := p.client(func(s *idp.Settings) { s.DPoP, s.UserInfo = true, true })
	grant, err := exchangeBound(t, c)
	if err != nil || grant.Alarm != nil {
		t.Fatal(err, grant)
	}
	asked := p.requests("/userinfo")
	if len(asked) != 2 || asked[1].header.Get("Authorization") != "DPoP at-secret-1" {
		t.Fatalf("%d requests, %v", len(asked), asked)
	}
	if first := proofOf(t, p, asked[0], "at-secret-1"); first.Nonce != "" {
		t.Errorf("UserInfo got the token endpoint's nonce %q", first.Nonce)
	}
	s := p.session()
	s.Tokens = grant.Tokens
	if _, err := c.Refresh(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
	if got := proofOf(t, p, p.requests("/token")[2], "").Nonce; got != "nonce-2" {
		t.Errorf("the token endpoint got %q", got)
	}
}

// An app's own token is bound to a key that nothing else has.
//
// shows DPOP-OUT-AS
func TestTheAppsOwnTokenIsBound(t *testing.T) {
	p := binding(t)
	p.wantsNonces(t, map[string]any{"token_type": "DPoP", "refresh_token": nil, "id_token": nil})
	c := p.client(required)
	keys := map[string]bool{}
	for range 3 {
		set, err := c.ClientToken(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if !set.Bound() || keys[set.ProofKey.Reveal()] || len(set.ProofKey.Reveal()) != dpop.KeyBytes {
			t.Errorf("type %s, a key of %d bytes", set.TokenType, len(set.ProofKey.Reveal()))
		}
		keys[set.ProofKey.Reveal()] = true
	}
}

// A proof for an API is for its address, its method and its token.
//
// shows DPOP-OUT-RS
func TestProofsForAPIs(t *testing.T) {
	p := binding(t)
	c := p.client(required)
	at := dpop.Request{Method: "DELETE", URL: "https://orders.internal/v1/a%2Fb", Handle: "at-9", Now: p.now()}
	text, err := c.Prove(loginKey, at.Method, at.URL, "api-nonce", bff.NewSecret(at.Handle))
	if err != nil {
		t.Fatal(err)
	}
	proof, err := dpop.Check([]string{text}, at)
	if err != nil || proof.Nonce != "api-nonce" || proof.Thumbprint != thumbprint(t, loginKey) {
		t.Errorf("%+v, %v", proof, err)
	}
	if _, err := c.Prove(bff.NewSecret("short"), at.Method, at.URL, "", bff.NewSecret(at.Handle)); err == nil {
		t.Error("a proof by half a key")
	}
}
