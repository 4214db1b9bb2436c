package idp_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/idp"
)

// tokenCase completes the sentence "an ID token with …". rule is the one it breaks, "" for a good token.
type tokenCase struct {
	with  string
	rule  idp.Rule
	token func(p *provider) string
	set   func(*idp.Settings)
	login func(*bff.CodeExchange)
	unmet bool // the rule is about what the login asked for
	// alone: we accept what go-oidc, which knows neither skew nor further issuers, refuses.
	alone bool
}

// claimCase is a token that is signed well and says something else.
func claimCase(with string, rule idp.Rule, change map[string]any) tokenCase {
	return tokenCase{with: with, rule: rule, token: func(p *provider) string { return p.idToken(change) }}
}

// headerCase is a token that is signed well, under another header.
func headerCase(with string, rule idp.Rule, head string) tokenCase {
	return tokenCase{with: with, rule: rule, token: func(p *provider) string { return signRS256(head, encode(p.claims(nil))) }}
}

func only(algs ...string) func(*idp.Settings) { return func(s *idp.Settings) { s.SigningAlgs = algs } }

// judge runs the cases, each as the ID token of a login, and asks go-oidc for a second opinion: whatever it refuses we
// must refuse too.
func judge(t *testing.T, cases []tokenCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.with, func(t *testing.T) {
			p := newProvider(t)
			token := tc.token(p)
			p.givesID(token)
			is := p.issuer(tc.set)
			r := bff.CodeExchange{Code: bff.NewSecret("code-secret"), Verifier: "verifier-secret", Nonce: nonce}
			if tc.login != nil {
				tc.login(&r)
			}
			grant, err := register(is).Exchange(t.Context(), r)
			// A sign-in that is not what was asked for: good tokens, which are the engine's to give back.
			unmet, asked := errors.AsType[*bff.UnmetError](err)
			if asked != tc.unmet || asked && (bff.CodeOf(err) != bff.CodeStepUpUnmet || unmet.Tokens.Access.IsZero() || grant != nil) {
				t.Fatalf("got %v, want it as unmet: %v", err, tc.unmet)
			}
			if rule, _ := errors.AsType[*idp.RuleError](err); asked && (rule == nil || rule.Rule != tc.rule) {
				t.Errorf("got %v, want the rule %q", err, tc.rule)
			}
			if !asked {
				checkVerdict(t, grant, err, tc.rule)
			}
			drain(t, is)
			if revoked := p.count("/revoke"); (tc.rule == "" || tc.unmet) != (revoked == 0) {
				t.Errorf("%d tokens revoked", revoked)
			}
			if err == nil && !tc.alone {
				secondOpinion(t, p, token)
			}
		})
	}
}

// checkVerdict checks that exactly this rule was broken, or none.
func checkVerdict(t *testing.T, grant *bff.Grant, err error, want idp.Rule) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if grant.Identity == nil || grant.Identity.Subject != subject {
			t.Errorf("identity %+v", grant.Identity)
		}
		return
	}
	if grant != nil {
		t.Error("a grant beside an error")
	}
	rule, ok := errors.AsType[*idp.RuleError](err)
	if !ok || rule.Rule != want || bff.CodeOf(err) != idp.CodeTokenRejected {
		t.Errorf("got %v, want a broken rule %q under %q", err, want, idp.CodeTokenRejected)
	}
}

func secondOpinion(t *testing.T, p *provider, token string) {
	t.Helper()
	v := oidc.NewVerifier(p.URL, oidc.NewRemoteKeySet(t.Context(), p.URL+"/keys"), &oidc.Config{
		ClientID: clientID, Now: p.now, SupportedSigningAlgs: []string{"RS256", "PS256", "ES256", "EdDSA"},
	})
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("accepted, but go-oidc refuses it: %v", err)
	}
}

// shows IDT-SIG
func TestSignatures(t *testing.T) {
	payload := func(p *provider) string { return encode(p.claims(nil)) }
	hs := func(key func() []byte) func(p *provider) string {
		return func(p *provider) string { return sign(header("HS256", "r1"), payload(p), byHMAC(key())) }
	}
	publicPEM := func() []byte {
		der, _ := x509.MarshalPKIXPublicKey(&rsaOne().PublicKey)
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	allowAll := only("RS256", "HS256", "none", "NONE", "")
	unsigned := func(alg string) func(p *provider) string {
		return func(p *provider) string {
			return b64([]byte(header(alg, "r1"))) + "." + b64([]byte(payload(p))) + "."
		}
	}
	judge(t, []tokenCase{
		{with: "a good RS256 signature", token: func(p *provider) string { return p.idToken(nil) }},
		{with: "alg none and no signature", rule: idp.RuleForm, set: allowAll, token: unsigned("none")},
		{with: "alg none and some signature", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return signRS256(header("none", "r1"), payload(p))
		}},
		{with: "alg NONE", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return signRS256(header("NONE", "r1"), payload(p))
		}},
		{with: "an empty alg", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return signRS256(header("", "r1"), payload(p))
		}},
		{with: "HS256 keyed with the PEM of the RSA key", rule: idp.RuleAlgorithm, set: allowAll, token: hs(publicPEM)},
		{with: "HS256 keyed with the JWK", rule: idp.RuleAlgorithm, set: allowAll, token: hs(func() []byte {
			return []byte(encode(jwkOf("r1", &rsaOne().PublicKey)))
		})},
		{with: "HS256 keyed with the client secret", rule: idp.RuleAlgorithm, set: allowAll, token: hs(func() []byte { return []byte(secret) })},
		{with: "RS512 where RS256 and ES256 are accepted", rule: idp.RuleAlgorithm, set: only("RS256", "ES256"), token: func(p *provider) string {
			return sign(header("RS512", "r1"), payload(p), byRSA(rsaOne(), crypto.SHA512))
		}},
		{with: "one byte of its payload changed", rule: idp.RuleSignature, token: func(p *provider) string {
			parts := strings.Split(p.idToken(nil), ".")
			return parts[0] + "." + b64([]byte(strings.Replace(payload(p), "Ada", "Eve", 1))) + "." + parts[2]
		}},
		{with: "a signature by another issuer's key of the same name", rule: idp.RuleSignature, token: func(p *provider) string {
			return sign(header("RS256", "r1"), payload(p), byRSA(rsaTwo(), crypto.SHA256))
		}},
		{with: "a good ES256 signature", token: func(p *provider) string {
			p.setKeys(jwkOf("e1", &ecOne().PublicKey))
			return sign(header("ES256", "e1"), payload(p), byEC(ecOne()))
		}},
		{with: "a good EdDSA signature", token: func(p *provider) string {
			p.setKeys(jwkOf("d1", edOne().Public()))
			return sign(header("EdDSA", "d1"), payload(p), byEd(edOne()))
		}},
	})
}

// shows IDT-HDR, IDT-CROSS
func TestHeaders(t *testing.T) {
	own := encode(jwkOf("evil", &rsaTwo().PublicKey))
	byTwo := func(head string) func(p *provider) string {
		return func(p *provider) string {
			return sign(head, encode(p.claims(nil)), byRSA(rsaTwo(), crypto.SHA256))
		}
	}
	judge(t, []tokenCase{
		headerCase("no typ", "", `{"alg":"RS256","kid":"r1"}`),
		headerCase("typ as a media type in small letters", "", `{"alg":"RS256","kid":"r1","typ":"application/jwt"}`),
		headerCase("typ at+jwt", idp.RuleType, `{"alg":"RS256","kid":"r1","typ":"at+jwt"}`),
		headerCase("typ logout+jwt", idp.RuleType, `{"alg":"RS256","kid":"r1","typ":"logout+jwt"}`),
		headerCase("typ dpop+jwt", idp.RuleType, `{"alg":"RS256","kid":"r1","typ":"dpop+jwt"}`),
		headerCase("a typ that is no string", idp.RuleType, `{"alg":"RS256","kid":"r1","typ":1}`),
		headerCase("an unknown critical parameter", idp.RuleCritical, `{"alg":"RS256","kid":"r1","crit":["x"],"x":1}`),
		headerCase("b64 among the critical ones", idp.RuleCritical, `{"alg":"RS256","kid":"r1","crit":["b64"],"b64":true}`),
		headerCase("b64 false", idp.RuleCritical, `{"alg":"RS256","kid":"r1","b64":false}`),
		headerCase("alg twice in its header", idp.RuleForm, `{"alg":"none","alg":"RS256","kid":"r1"}`),
		headerCase("a header that is no object", idp.RuleForm, `["RS256"]`),
		headerCase("kid as a number", idp.RuleForm, `{"alg":"RS256","kid":1}`),
		{with: "a key of its own in jwk", rule: idp.RuleSignature, token: byTwo(`{"alg":"RS256","kid":"r1","jwk":` + own + `}`)},
		{with: "a key of its own behind jku", rule: idp.RuleSignature, token: byTwo(`{"alg":"RS256","kid":"r1","jku":"https://evil.example/keys"}`)},
		{with: "a key of its own behind x5u", rule: idp.RuleSignature, token: byTwo(`{"alg":"RS256","kid":"r1","x5u":"https://evil.example/c"}`)},
		{with: "a key of its own in x5c", rule: idp.RuleSignature, token: byTwo(`{"alg":"RS256","kid":"r1","x5c":["AAAA"]}`)},
		{with: "iss twice in its payload", rule: idp.RuleForm, token: func(p *provider) string {
			return signRS256(header("RS256", "r1"), strings.Replace(encode(p.claims(nil)), `{`, `{"iss":"https://evil.example",`, 1))
		}},
		{with: "a member twice deep in its payload", rule: idp.RuleForm, token: func(p *provider) string {
			return signRS256(header("RS256", "r1"), strings.Replace(encode(p.claims(nil)), `{`, `{"org":[{"id":1,"id":2}],`, 1))
		}},
		{with: "ISS beside iss", token: func(p *provider) string { return p.idToken(map[string]any{"ISS": "https://evil.example"}) }},
		{with: "ISS instead of iss", rule: idp.RuleIssuer, token: func(p *provider) string { return p.idToken(map[string]any{"ISS": p.URL, "iss": nil}) }},
		{with: "more behind its payload's end", rule: idp.RuleForm, token: func(p *provider) string {
			return signRS256(header("RS256", "r1"), encode(p.claims(nil))+"{}")
		}},
		{with: "nesting without end", rule: idp.RuleForm, token: func(p *provider) string {
			deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
			return signRS256(header("RS256", "r1"), strings.Replace(encode(p.claims(nil)), `{`, `{"x":`+deep+`,`, 1))
		}},
		{with: "the general JSON form", rule: idp.RuleForm, token: func(p *provider) string {
			parts := strings.Split(p.idToken(nil), ".")
			return encode(map[string]any{"payload": parts[1], "signatures": []any{map[string]any{"protected": parts[0], "signature": parts[2]}}})
		}},
		{with: "five parts", rule: idp.RuleForm, token: func(p *provider) string { return p.idToken(nil) + ".AA.AA" }},
		{with: "padding", rule: idp.RuleForm, token: func(p *provider) string { return p.idToken(nil) + "==" }},
		{with: "more than 64 KiB", rule: idp.RuleForm, token: func(p *provider) string {
			return p.idToken(map[string]any{"x": strings.Repeat("x", 70<<10)})
		}},
		{with: "the events of a logout token", rule: idp.RuleKind, token: func(p *provider) string {
			return p.idToken(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
		}},
		{with: "the at_hash of its access token", token: func(p *provider) string { return p.idToken(map[string]any{"at_hash": atHash("at-secret-1")}) }},
		claimCase("the at_hash of another access token", idp.RuleAccessHash, map[string]any{"at_hash": atHash("another")}),
		claimCase("an at_hash that is no string", idp.RuleAccessHash, map[string]any{"at_hash": 1}),
	})
}

// shows IDT-CROSS
func TestTheAccessTokenIsNoIDToken(t *testing.T) {
	p := newProvider(t)
	jwt := p.idToken(nil) // an access token that happens to have all that an ID token needs
	p.givesTokens(map[string]any{"id_token": jwt, "access_token": jwt})
	grant, err := exchange(t, p.client(nil))
	checkVerdict(t, grant, err, idp.RuleKind)
}

// shows IDT-ISS
func TestIssuers(t *testing.T) {
	custom := func(s *idp.Settings) { s.Issuers = []string{"https://auth.acme.com"} }
	at := func(change func(iss string) any) func(p *provider) string {
		return func(p *provider) string { return p.idToken(map[string]any{"iss": change(p.URL)}) }
	}
	judge(t, []tokenCase{
		claimCase("another host", idp.RuleIssuer, map[string]any{"iss": "https://evil.example"}),
		claimCase("no iss", idp.RuleIssuer, map[string]any{"iss": nil}),
		{with: "one slash more", rule: idp.RuleIssuer, token: at(func(iss string) any { return iss + "/" })},
		{with: "capitals", rule: idp.RuleIssuer, token: at(func(iss string) any { return strings.ToUpper(iss) })},
		{with: "another scheme", rule: idp.RuleIssuer, token: at(func(iss string) any { return strings.Replace(iss, "http:", "https:", 1) })},
		{with: "another tenant's path", rule: idp.RuleIssuer, token: at(func(iss string) any { return iss + "/tenant" })},
		{with: "a list of issuers", rule: idp.RuleIssuer, token: at(func(iss string) any { return []string{iss} })},
		{with: "a configured custom domain", set: custom, alone: true, token: at(func(string) any { return "https://auth.acme.com" })},
		{with: "a domain that is nearly the custom one", rule: idp.RuleIssuer, set: custom, token: at(func(string) any { return "https://auth.acme.com/" })},
	})
}

// shows IDT-AUD
func TestAudiences(t *testing.T) {
	trusting := func(s *idp.Settings) { s.TrustedAudiences = []string{"https://api.example"} }
	pair := map[string]any{"aud": []string{clientID, "https://api.example"}, "azp": clientID}
	trusted := claimCase("a trusted second audience and azp", "", pair)
	trusted.set = trusting
	judge(t, []tokenCase{
		trusted,
		claimCase("a list of the client alone", "", map[string]any{"aud": []string{clientID}}),
		claimCase("another app's client id", idp.RuleAudience, map[string]any{"aud": "web:2"}),
		claimCase("a second audience that nobody trusts", idp.RuleAudience, pair),
		claimCase("another azp", idp.RuleParty, map[string]any{"azp": "web:2"}),
		claimCase("an azp that is no string", idp.RuleParty, map[string]any{"azp": []string{clientID}}),
		claimCase("an empty list", idp.RuleAudience, map[string]any{"aud": []string{}}),
		claimCase("an empty audience", idp.RuleAudience, map[string]any{"aud": ""}),
		claimCase("no audience", idp.RuleAudience, map[string]any{"aud": nil}),
		claimCase("a null among its audiences", idp.RuleAudience, map[string]any{"aud": []any{clientID, nil}}),
	})
}

// shows IDT-TIME
func TestTimes(t *testing.T) {
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	late := claimCase("exp 30 s ago and 60 s of skew", "", map[string]any{"exp": at(-30 * time.Second)})
	late.alone = true
	strict := claimCase("exp 30 s ago and 10 s of skew", idp.RuleExpiry, map[string]any{"exp": at(-30 * time.Second)})
	strict.set = func(s *idp.Settings) { s.ClockSkew = 10 * time.Second }
	wide := claimCase("exp 2 min ago and a setting of 5 min of skew", idp.RuleExpiry, map[string]any{"exp": at(-2 * time.Minute)})
	wide.set = func(s *idp.Settings) { s.ClockSkew = 5 * time.Minute }
	judge(t, []tokenCase{
		late, strict, wide,
		claimCase("a fraction of a second in its times", "", map[string]any{"exp": float64(at(time.Hour)) + 0.5}),
		claimCase("no exp", idp.RuleExpiry, map[string]any{"exp": nil}),
		claimCase("exp 2 min ago", idp.RuleExpiry, map[string]any{"exp": at(-2 * time.Minute)}),
		claimCase("exp as a string", idp.RuleExpiry, map[string]any{"exp": "1999999999"}),
		claimCase("exp 1e18", idp.RuleExpiry, map[string]any{"exp": 1e18}),
		claimCase("a negative exp", idp.RuleExpiry, map[string]any{"exp": -1}),
		claimCase("exp true", idp.RuleExpiry, map[string]any{"exp": true}),
		claimCase("no iat", idp.RuleIssuedAt, map[string]any{"iat": nil}),
		claimCase("iat 10 min ahead", idp.RuleIssuedAt, map[string]any{"iat": at(10 * time.Minute)}),
		claimCase("iat an hour ago", idp.RuleIssuedAt, map[string]any{"iat": at(-time.Hour)}),
		claimCase("iat as a string", idp.RuleIssuedAt, map[string]any{"iat": "1"}),
		claimCase("nbf a minute ago", "", map[string]any{"nbf": at(-time.Minute)}),
		claimCase("nbf in 5 min", idp.RuleNotBefore, map[string]any{"nbf": at(5 * time.Minute)}),
		claimCase("nbf as a string", idp.RuleNotBefore, map[string]any{"nbf": "soon"}),
	})
}

// shows IDT-NONCE
func TestNonces(t *testing.T) {
	none := claimCase("a login that forgot its nonce", idp.RuleNonce, map[string]any{"nonce": ""})
	none.login = func(r *bff.CodeExchange) { r.Nonce = "" }
	judge(t, []tokenCase{
		none,
		claimCase("no nonce", idp.RuleNonce, map[string]any{"nonce": nil}),
		claimCase("an empty nonce", idp.RuleNonce, map[string]any{"nonce": ""}),
		claimCase("the nonce of another login", idp.RuleNonce, map[string]any{"nonce": "nonce-of-that-login"}),
		claimCase("another case", idp.RuleNonce, map[string]any{"nonce": strings.ToUpper(nonce)}),
		claimCase("a nonce that is no string", idp.RuleNonce, map[string]any{"nonce": []string{nonce}}),
	})
}

// shows IDT-SUB
func TestSubjects(t *testing.T) {
	judge(t, []tokenCase{
		claimCase("sub as a number", idp.RuleSubject, map[string]any{"sub": 1}),
		claimCase("an empty sub", idp.RuleSubject, map[string]any{"sub": ""}),
		claimCase("no sub", idp.RuleSubject, map[string]any{"sub": nil}),
		claimCase("a sub of 300 characters", idp.RuleSubject, map[string]any{"sub": strings.Repeat("a", 300)}),
		claimCase("a sub that is not ASCII", idp.RuleSubject, map[string]any{"sub": "müller"}),
	})
}

// shows IDT-SID
func TestSessionIDs(t *testing.T) {
	required := claimCase("no sid where it is required", idp.RuleSession, map[string]any{"sid": nil})
	required.set = func(s *idp.Settings) { s.SIDRequired = true }
	judge(t, []tokenCase{
		required,
		claimCase("no sid where it is not", "", map[string]any{"sid": nil}),
		claimCase("a sid that is no string", idp.RuleSession, map[string]any{"sid": 7}),
	})
}

func TestFreshnessAndStrengthThatWereAskedFor(t *testing.T) {
	minute := 60
	asked := func(with string, rule idp.Rule, change map[string]any) tokenCase {
		c := claimCase(with, rule, change)
		c.login = func(r *bff.CodeExchange) { r.MaxAge, r.ACR = &minute, "gold silver" }
		c.unmet = rule != ""
		return c
	}
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	judge(t, []tokenCase{
		asked("a recent auth_time and one of the acr values", "", map[string]any{"acr": "silver"}),
		asked("no auth_time", idp.RuleAuthTime, map[string]any{"acr": "gold", "auth_time": nil}),
		asked("an old auth_time", idp.RuleAuthTime, map[string]any{"acr": "gold", "auth_time": at(-3 * time.Minute)}),
		asked("an auth_time to come", idp.RuleAuthTime, map[string]any{"acr": "gold", "auth_time": at(3 * time.Minute)}),
		asked("auth_time as a string", idp.RuleAuthTime, map[string]any{"acr": "gold", "auth_time": "now"}),
		asked("another acr", idp.RuleACR, map[string]any{"acr": "bronze"}),
		asked("the list of acr values as acr", idp.RuleACR, map[string]any{"acr": "gold silver"}),
		asked("no acr", idp.RuleACR, map[string]any{"acr": nil}),
	})
}

// A login that asked for prompt=login alone: an auth_time before it is no new sign-in, and none says nothing.
//
// shows STEP-5
func TestANewSignInThatWasAskedFor(t *testing.T) {
	asked := func(with string, rule idp.Rule, change map[string]any) tokenCase {
		c := claimCase(with, rule, change)
		c.login = func(r *bff.CodeExchange) { r.Since = epoch.Add(-5*time.Minute + 900*time.Millisecond) } // clocks may be off by a minute
		c.unmet = rule != ""
		return c
	}
	at := func(d time.Duration) int64 { return epoch.Add(d).Unix() }
	judge(t, []tokenCase{
		asked("an auth_time behind the start of its login", "", map[string]any{"auth_time": at(-4 * time.Minute)}),
		asked("an auth_time at the very start, by a clock that is off", "", map[string]any{"auth_time": at(-6 * time.Minute)}),
		asked("no auth_time, where a new sign-in was asked for", "", map[string]any{"auth_time": nil}),
		asked("an auth_time before its login", idp.RuleAuthTime, map[string]any{"auth_time": at(-6*time.Minute - time.Second)}),
		asked("an auth_time of yesterday", idp.RuleAuthTime, map[string]any{"auth_time": at(-24 * time.Hour)}),
		asked("auth_time as a text, where a new sign-in was asked for", idp.RuleAuthTime, map[string]any{"auth_time": "now"}),
	})
}

// shows JWKS-SEL
func TestKeySelection(t *testing.T) {
	good := func(kid string) func(p *provider) string {
		return func(p *provider) string { return signRS256(header("RS256", kid), encode(p.claims(nil))) }
	}
	oct := map[string]any{"kty": "oct", "kid": "o1", "alg": "HS256", "k": b64([]byte("a key that everyone can read here"))}
	rsaKey := func(kid string, change map[string]any) map[string]any {
		return with(jwkOf(kid, &rsaOne().PublicKey), change)
	}
	other := jwkOf("r1", &rsaTwo().PublicKey)
	for _, tc := range []struct {
		with  string
		keys  []map[string]any
		token func(p *provider) string
		good  bool
	}{
		{"an oct key and a token signed by it", []map[string]any{oct, rsaKey("r1", nil)}, func(p *provider) string {
			return sign(header("HS256", "o1"), encode(p.claims(nil)), byHMAC([]byte("a key that everyone can read here")))
		}, false},
		{"an RSA key of 1024 bits", []map[string]any{jwkOf("s1", &rsaSmall().PublicKey), rsaKey("r2", nil)}, func(p *provider) string {
			return sign(header("RS256", "s1"), encode(p.claims(nil)), byRSA(rsaSmall(), crypto.SHA256))
		}, false},
		{"an encryption key", []map[string]any{rsaKey("r1", map[string]any{"use": "enc"}), other}, good("r1"), false},
		{"a key that may not verify", []map[string]any{rsaKey("r1", map[string]any{"use": nil, "key_ops": []string{"encrypt"}}), other}, good("r1"), false},
		{"a key for another algorithm", []map[string]any{rsaKey("r1", map[string]any{"alg": "RS512"}), other}, good("r1"), false},
		{"a private key", []map[string]any{rsaKey("r1", map[string]any{
			"d": b64(rsaOne().D.Bytes()), "p": b64(rsaOne().Primes[0].Bytes()), "q": b64(rsaOne().Primes[1].Bytes()),
		}), other}, good("r1"), false},
		{"a key without alg and use", []map[string]any{rsaKey("r1", map[string]any{"use": nil})}, good("r1"), true},
		{"one key for a token without kid", []map[string]any{rsaKey("r1", nil)}, good(""), true},
		{"one key of the right kind for a token without kid", []map[string]any{jwkOf("e1", &ecOne().PublicKey), rsaKey("r1", nil)}, good(""), true},
		{"two keys for a token without kid", []map[string]any{rsaKey("r1", nil), jwkOf("r2", &rsaTwo().PublicKey)}, good(""), false},
		{"two keys of one name", []map[string]any{other, rsaKey("r1", nil)}, good("r1"), true},
		{"kinds of keys from the future", []map[string]any{{"kty": "PQC", "kid": "q"}, {"kty": 7}, rsaKey("r1", nil)}, good("r1"), true},
	} {
		t.Run("a key set with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.setKeys(tc.keys...)
			p.givesID(tc.token(p))
			c := p.client(func(s *idp.Settings) { s.SigningAlgs = []string{"RS256", "HS256"} })
			if _, err := exchange(t, c); (err == nil) != tc.good {
				t.Errorf("got %v, want good = %v", err, tc.good)
			}
		})
	}
}

// shows USERINFO-1
func TestUserInfo(t *testing.T) {
	jwt := func(p *provider, change map[string]any) string { return p.idToken(change) }
	for _, tc := range []struct {
		with  string
		media string
		body  func(p *provider) string
		used  bool
	}{
		{"the same sub", "application/json", func(*provider) string { return `{"sub":"usr_1","picture":"https://x/1","name":"Other"}` }, true},
		{"another sub", "application/json", func(*provider) string { return `{"sub":"usr_2","picture":"https://x/1"}` }, false},
		{"no sub", "application/json", func(*provider) string { return `{"picture":"https://x/1"}` }, false},
		{"sub twice", "application/json", func(*provider) string { return `{"sub":"usr_2","sub":"usr_1","picture":"https://x/1"}` }, false},
		{"a page", "text/html", func(*provider) string { return `{"sub":"usr_1","picture":"https://x/1"}` }, false},
		{"a signed answer", "application/jwt", func(p *provider) string {
			return jwt(p, map[string]any{"picture": "https://x/1"})
		}, true},
		{"a signed answer for another client", "application/jwt", func(p *provider) string {
			return jwt(p, map[string]any{"picture": "https://x/1", "aud": "web:2"})
		}, false},
		{"a signed answer of another issuer", "application/jwt", func(p *provider) string {
			return jwt(p, map[string]any{"picture": "https://x/1", "iss": "https://evil.example"})
		}, false},
		{"an answer signed by somebody else", "application/jwt", func(p *provider) string {
			return sign(header("RS256", "r1"), encode(p.claims(map[string]any{"picture": "https://x/1"})), byRSA(rsaTwo(), crypto.SHA256))
		}, false},
		{"a signed answer labelled as JSON", "application/json", func(p *provider) string {
			return jwt(p, map[string]any{"picture": "https://x/1"})
		}, false},
	} {
		t.Run("UserInfo with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/userinfo", 200, tc.media, tc.body(p))
			grant, err := exchange(t, p.client(func(s *idp.Settings) { s.UserInfo = true }))
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]string
			if err := json.Unmarshal(grant.Identity.Claims, &claims); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"sub": "usr_1", "name": "Ada", "email": "ada@example.com"}
			if tc.used {
				want["picture"] = "https://x/1"
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("stored claims (-want +got):\n%s", diff)
			}
			if alarmed := p.alarmed("UserInfo not used"); alarmed == tc.used || (grant.Alarm == nil) != tc.used {
				t.Errorf("alarm %v, grant's %v", alarmed, grant.Alarm)
			}
			if got := p.requests("/userinfo")[0].header.Get("Authorization"); got != "Bearer at-secret-1" {
				t.Errorf("asked with %q", got)
			}
		})
	}
}

// shows IDT-SIG
func TestNothingIsUsedOfARejectedAnswer(t *testing.T) {
	p := newProvider(t)
	p.givesID(p.idToken(map[string]any{"nonce": "the attacker's"}))
	p.replies("/userinfo", 200, "application/json", `{"sub":"usr_1"}`)
	is := p.issuer(func(s *idp.Settings) { s.UserInfo = true })
	if _, err := exchange(t, register(is)); bff.CodeOf(err) != idp.CodeTokenRejected {
		t.Fatalf("got %v", err)
	}
	drain(t, is)
	if n := p.count("/userinfo"); n != 0 { // shows CB-INJ-1
		t.Errorf("%d UserInfo requests with an access token that was not accepted", n)
	}
	var revoked []string
	for _, r := range p.requests("/revoke") {
		revoked = append(revoked, r.form.Get("token")+" "+r.form.Get("token_type_hint"))
	}
	if want := []string{"rt-secret-2 refresh_token", "at-secret-1 access_token"}; !slices.Equal(revoked, want) {
		t.Errorf("revoked %v, want %v", revoked, want)
	}
}

// TestRevocationOutlivesTheLogin cancels the login while its answer is on the way to be judged.
func TestRevocationOutlivesTheLogin(t *testing.T) {
	p := newProvider(t)
	ctx, cancel := context.WithCancel(t.Context())
	keys := func(w http.ResponseWriter, _ *http.Request) {
		cancel() // the browser goes away; the tokens are here already
		p.answer(w, 200, map[string]any{"keys": p.copyKeys()})
	}
	p.handle("/keys", keys)
	is := p.issuer(nil)
	_, err := register(is).Exchange(ctx, bff.CodeExchange{Code: bff.NewSecret("c"), Verifier: "v", Nonce: "another"})
	if err == nil {
		t.Fatal("accepted")
	}
	drain(t, is)
	if n := p.count("/revoke"); n != 2 {
		t.Errorf("%d revocations, want 2", n)
	}
}
