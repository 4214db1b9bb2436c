package idp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/idp"
)

// null is a member that is there and says nothing.
var null = json.RawMessage("null")

// logout are the claims of a good logout token, changed; a nil value takes one out.
func (p *provider) logout(change map[string]any) map[string]any {
	now := p.now().Unix()
	c := map[string]any{
		"iss": p.URL, "aud": []string{clientID}, "sub": subject, "sid": "ses_1", "iat": now, "exp": now + 120, "jti": "tkn_1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// typed is the header of a token of this typ; "" leaves typ out.
func typed(typ string) string {
	if typ == "" {
		return `{"alg":"RS256","kid":"r1"}`
	}
	return fmt.Sprintf(`{"alg":"RS256","kid":"r1","typ":%q}`, typ)
}

// logoutCase completes the sentence "a logout token with …". rule is the one it breaks, "" for a good token.
type logoutCase struct {
	with  string
	rule  idp.Rule
	token func(p *provider) string
	set   func(*idp.Settings)
}

// says is a logout token that is signed well and says something else.
func says(with string, rule idp.Rule, change map[string]any) logoutCase {
	return logoutCase{with: with, rule: rule, token: func(p *provider) string {
		return signRS256(typed("logout+jwt"), encode(p.logout(change)))
	}}
}

// ofType is a good logout token of another typ.
func ofType(with string, rule idp.Rule, typ string, set func(*idp.Settings)) logoutCase {
	return logoutCase{with: with, rule: rule, set: set, token: func(p *provider) string { return signRS256(typed(typ), encode(p.logout(nil))) }}
}

func judgeLogout(t *testing.T, cases []logoutCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.with, func(t *testing.T) {
			p := newProvider(t)
			said, err := p.client(tc.set).VerifyLogout(t.Context(), bff.NewSecret(tc.token(p)))
			if tc.rule == "" {
				if err != nil || said.ID == "" || said.SID == "" && said.Subject == "" {
					t.Errorf("a logout token with %s: %+v, %v", tc.with, said, err)
				}
				return
			}
			bad, ok := errors.AsType[*bff.LogoutTokenError](err)
			if !ok || bad.Rule != string(tc.rule) || said != nil {
				t.Fatalf("a logout token with %s: %v, want the rule %q", tc.with, err, tc.rule)
			}
			elsewhere := tc.rule == idp.RuleIssuer || tc.rule == idp.RuleAudience || tc.rule == idp.RuleParty
			if bad.Elsewhere != elsewhere {
				t.Errorf("a logout token with %s: for another client: %v", tc.with, bad.Elsewhere)
			}
			// Everything but a signature is judged before any key is looked at.
			if tc.rule != idp.RuleSignature && p.count("/keys") > 0 {
				t.Errorf("a logout token with %s: keys were fetched", tc.with)
			}
		})
	}
}

// shows BCL-2.6-1, BCL-2.6-3, BCL-2.4-typ, SCALEKIT-O5
func TestHeadersAndSignaturesOfLogoutTokens(t *testing.T) {
	strict := func(s *idp.Settings) { s.StrictLogoutTyp = true }
	payload := func(p *provider) string { return encode(p.logout(nil)) }
	allowAll := only("RS256", "HS256", "none", "")
	judgeLogout(t, []logoutCase{
		ofType("typ logout+jwt", "", "logout+jwt", nil),
		ofType("typ logout+jwt where that is asked for", "", "logout+jwt", strict),
		ofType("typ application/logout+jwt", "", "application/logout+jwt", strict),
		ofType("typ LOGOUT+JWT", "", "LOGOUT+JWT", strict),
		ofType("typ JWT, as Hydra sends", "", "JWT", nil),
		ofType("typ application/jwt", "", "application/jwt", nil),
		ofType("no typ, as Dex sends", "", "", nil),
		ofType("typ JWT where logout+jwt is asked for", idp.RuleType, "JWT", strict),
		ofType("no typ where logout+jwt is asked for", idp.RuleType, "", strict),
		ofType("typ at+jwt", idp.RuleType, "at+jwt", nil),
		ofType("typ application/at+jwt", idp.RuleType, "application/at+jwt", nil),
		ofType("typ dpop+jwt", idp.RuleType, "dpop+jwt", nil),
		ofType("typ secevent+jwt", idp.RuleType, "secevent+jwt", nil),
		ofType("typ text/logout+jwt", idp.RuleType, "text/logout+jwt", nil),
		{with: "a typ that is no string", rule: idp.RuleType, token: func(p *provider) string {
			return signRS256(`{"alg":"RS256","kid":"r1","typ":["logout+jwt"]}`, payload(p))
		}},
		{with: "alg none", rule: idp.RuleForm, set: allowAll, token: func(p *provider) string {
			return b64([]byte(header("none", "r1"))) + "." + b64([]byte(payload(p))) + "."
		}},
		{with: "alg none and some signature", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return signRS256(header("none", "r1"), payload(p))
		}},
		{with: "HS256 keyed with the JWK", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return sign(header("HS256", "r1"), payload(p), byHMAC([]byte(encode(jwkOf("r1", &rsaOne().PublicKey)))))
		}},
		{with: "HS256 keyed with the client secret", rule: idp.RuleAlgorithm, set: allowAll, token: func(p *provider) string {
			return sign(header("HS256", "r1"), payload(p), byHMAC([]byte(secret)))
		}},
		{with: "an algorithm that is not listed", rule: idp.RuleAlgorithm, set: only("ES256"), token: func(p *provider) string {
			return signRS256(typed("logout+jwt"), payload(p))
		}},
		{with: "a critical header parameter", rule: idp.RuleCritical, token: func(p *provider) string {
			return signRS256(`{"alg":"RS256","kid":"r1","crit":["exp"]}`, payload(p))
		}},
		{with: "a payload that was changed", rule: idp.RuleSignature, token: func(p *provider) string {
			parts := strings.Split(signRS256(typed("logout+jwt"), payload(p)), ".")
			return parts[0] + "." + b64([]byte(encode(p.logout(map[string]any{"sub": "usr_2"})))) + "." + parts[2]
		}},
		{with: "a signature under a kid that nobody has", rule: idp.RuleSignature, token: func(p *provider) string {
			return signRS256(header("RS256", "r9"), payload(p))
		}},
		{with: "five parts, as an encrypted one has", rule: idp.RuleForm, token: func(*provider) string { return "a.b.c.d.e" }},
		{with: "JSON in place of the compact form", rule: idp.RuleForm, token: func(*provider) string { return `{"payload":""}` }},
		{with: "more than 16 KiB", rule: idp.RuleForm, token: func(p *provider) string {
			return signRS256(typed("logout+jwt"), encode(p.logout(map[string]any{"x": strings.Repeat("x", 13<<10)})))
		}},
	})
}

// shows BCL-2.6-4, BCL-2.6-5, BCL-2.6-6, BCL-2.6-7, BCL-2.6-8 (jti required)
//
// shows SCALEKIT-O5
func TestClaimsOfLogoutTokens(t *testing.T) {
	at := func(p *provider, d time.Duration) int64 { return p.now().Add(d).Unix() }
	when := func(with string, rule idp.Rule, claim string, d time.Duration, set func(*idp.Settings)) logoutCase {
		return logoutCase{with: with, rule: rule, set: set, token: func(p *provider) string {
			return signRS256(typed("logout+jwt"), encode(p.logout(map[string]any{claim: at(p, d)})))
		}}
	}
	optional := func(s *idp.Settings) { s.LogoutExpOptional = true }
	required := func(s *idp.Settings) { s.SIDRequired = true }
	set := func(tc logoutCase, s func(*idp.Settings)) logoutCase { tc.set = s; return tc }
	const event = "http://schemas.openid.net/event/backchannel-logout"
	events := func(v any) map[string]any { return map[string]any{"events": v} }
	judgeLogout(t, []logoutCase{
		says("all that it should have", "", nil),
		says("another iss", idp.RuleIssuer, map[string]any{"iss": "https://evil.example"}),
		says("no iss", idp.RuleIssuer, map[string]any{"iss": nil}),
		says("an iss that is a list", idp.RuleIssuer, map[string]any{"iss": []string{"https://evil.example"}}),
		set(says("a further issuer of the provider", "", map[string]any{"iss": "https://auth.example"}),
			func(s *idp.Settings) { s.Issuers = []string{"https://auth.example"} }),
		says("aud as a string", "", map[string]any{"aud": clientID}),
		says("aud of another client", idp.RuleAudience, map[string]any{"aud": "web:2"}),
		says("no aud", idp.RuleAudience, map[string]any{"aud": nil}),
		says("another audience beside", idp.RuleAudience, map[string]any{"aud": []string{clientID, "evil"}}),
		set(says("a trusted audience beside", "", map[string]any{"aud": []string{clientID, "project"}}),
			func(s *idp.Settings) { s.TrustedAudiences = []string{"project"} }),
		says("azp of another client", idp.RuleParty, map[string]any{"azp": "web:2"}),

		says("no exp", idp.RuleExpiry, map[string]any{"exp": nil}),
		set(says("no exp, as Hydra sends, where that may be", "", map[string]any{"exp": nil}), optional),
		set(says("exp null where it may be left out", idp.RuleExpiry, map[string]any{"exp": null}), optional),
		set(when("an exp that is over where it may be left out", idp.RuleExpiry, "exp", -2*time.Minute, optional), optional),
		when("an exp that is over", idp.RuleExpiry, "exp", -time.Minute, nil),
		when("an exp within the skew", "", "exp", -59*time.Second, nil),
		says("an exp that is text", idp.RuleExpiry, map[string]any{"exp": "1999999999"}),
		says("no iat", idp.RuleIssuedAt, map[string]any{"iat": nil}),
		set(says("neither iat nor exp", idp.RuleIssuedAt, map[string]any{"iat": nil, "exp": nil}), optional),
		when("an iat in the future", idp.RuleIssuedAt, "iat", 61*time.Second, nil),
		when("an iat of an hour ago", idp.RuleIssuedAt, "iat", -time.Hour, nil),
		when("an iat just beyond the cap", idp.RuleIssuedAt, "iat", -11*time.Minute-time.Second, nil),
		when("an iat just within the cap", "", "iat", -11*time.Minute, nil),
		when("an nbf in the future", idp.RuleNotBefore, "nbf", time.Hour, nil),

		says("neither sub nor sid", idp.RuleSubject, map[string]any{"sub": nil, "sid": nil}),
		says("sub alone", "", map[string]any{"sid": nil}),
		says("sid alone, as Hydra sends", "", map[string]any{"sub": nil}),
		says("an empty sub", idp.RuleSubject, map[string]any{"sub": "", "sid": nil}),
		says("an empty sub beside a sid", idp.RuleSubject, map[string]any{"sub": ""}),
		says("a sub that is a number", idp.RuleSubject, map[string]any{"sub": 1}),
		says("a sub that is a list", idp.RuleSubject, map[string]any{"sub": []string{subject}}),
		says("a sub that is null", idp.RuleSubject, map[string]any{"sub": null}),
		says("an empty sid", idp.RuleSession, map[string]any{"sid": ""}),
		says("a sid that is a number", idp.RuleSession, map[string]any{"sid": 1}),
		says("a sid that is a list", idp.RuleSession, map[string]any{"sid": []string{"ses_1"}}),
		says("a sid that is null", idp.RuleSession, map[string]any{"sid": null}),
		set(says("no sid where it is required", idp.RuleSession, map[string]any{"sid": nil}), required),
		set(says("a sid where it is required", "", map[string]any{"sub": nil}), required),

		says("no events", idp.RuleEvents, events(nil)),
		says("events that are a list", idp.RuleEvents, events([]string{event})),
		says("events that are a string", idp.RuleEvents, events(event)),
		says("events that are null", idp.RuleEvents, events(null)),
		says("another event", idp.RuleEvents, events(map[string]any{"http://schemas.openid.net/event/other": map[string]any{}})),
		says("an event that is a string", idp.RuleEvents, events(map[string]any{event: "x"})),
		says("an event that is null", idp.RuleEvents, events(map[string]any{event: null})),
		says("an event that is true", idp.RuleEvents, events(map[string]any{event: true})),
		says("an event that is a list", idp.RuleEvents, events(map[string]any{event: []int{}})),
		says("members in its event", "", events(map[string]any{event: map[string]any{"x": 1}})),
		says("further events", "", events(map[string]any{event: map[string]any{}, "urn:x": "y"})),

		says("a nonce", idp.RuleNonce, map[string]any{"nonce": nonce}),
		says("an empty nonce", idp.RuleNonce, map[string]any{"nonce": ""}),
		says("a nonce that is null", idp.RuleNonce, map[string]any{"nonce": null}),
		says("no jti", idp.RuleTokenID, map[string]any{"jti": nil}),
		says("an empty jti", idp.RuleTokenID, map[string]any{"jti": ""}),
		says("a jti that is a number", idp.RuleTokenID, map[string]any{"jti": 7}),
		says("a claim of its own", "", map[string]any{"x": "y"}),
	})
}

// A token of another kind says so by what it lacks, or by its type.
//
// shows BCL-2.6-7, BCL-2.4-typ
func TestOtherTokensAreNoLogoutTokens(t *testing.T) {
	judgeLogout(t, []logoutCase{
		{with: "the claims of an ID token", rule: idp.RuleEvents, token: func(p *provider) string { return p.idToken(nil) }},
		{with: "the claims of an ID token and the event", rule: idp.RuleNonce, token: func(p *provider) string {
			return p.idToken(map[string]any{"events": p.logout(nil)["events"]})
		}},
		{with: "the claims of an access token", rule: idp.RuleEvents, token: func(p *provider) string {
			return signRS256(typed("JWT"), encode(p.logout(map[string]any{"events": nil, "scope": "openid"})))
		}},
	})
}

// What is remembered of a token is remembered until its own times have it refused.
func TestWhatALogoutTokenSays(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(s *idp.Settings) { s.LogoutExpOptional = true })
	for _, row := range []struct {
		with   string
		change map[string]any
		until  time.Duration
	}{
		{"exp", nil, 120*time.Second + 61*time.Second},
		{"an exp beyond the cap", map[string]any{"exp": p.now().Unix() + 9999}, 11*time.Minute + time.Second},
		{"no exp", map[string]any{"exp": nil}, 11*time.Minute + time.Second},
	} {
		said, err := c.VerifyLogout(t.Context(), bff.NewSecret(signRS256(typed("JWT"), encode(p.logout(row.change)))))
		if err != nil {
			t.Fatal(err)
		}
		want := &bff.LogoutToken{ID: "tkn_1", SID: "ses_1", Subject: subject, Until: time.Unix(p.now().Unix(), 0).Add(row.until)}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("a logout token with %s (-want +said):\n%s", row.with, diff)
		}
	}
}

// shows BCL-DOS (keys)
func TestForgedLogoutTokensFetchNoKeys(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	verify := func(head string) error {
		_, err := c.VerifyLogout(t.Context(), bff.NewSecret(signRS256(head, encode(p.logout(nil)))))
		return err
	}
	if err := verify(typed("logout+jwt")); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		// Refused, and no outage: what cannot be asked again a moment later is not the provider's fault.
		if _, ok := errors.AsType[*bff.LogoutTokenError](verify(header("RS256", fmt.Sprint("random", i)))); !ok {
			t.Fatal("a forged token was no refusal")
		}
	}
	if n := p.count("/keys"); n != 2 {
		t.Errorf("%d key fetches, want the first and one more", n)
	}
	if err := verify(typed("logout+jwt")); err != nil {
		t.Errorf("a good one among the forged: %v", err)
	}
}

// shows BCL-2.8 (an outage is no attack)
func TestALogoutTokenWhileKeysCannotBeFetched(t *testing.T) {
	p := newProvider(t)
	p.handle("/keys", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	_, err := p.client(nil).VerifyLogout(t.Context(), bff.NewSecret(signRS256(typed("logout+jwt"), encode(p.logout(nil)))))
	if _, refused := errors.AsType[*bff.LogoutTokenError](err); refused || bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("got %v, want %s", err, bff.CodeIDPUnavailable)
	}
}
