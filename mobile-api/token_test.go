package mobileapi_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"cloakroom/bff"
)

// refused checks an answer of RFC 6749 section 5.2.
func (a *answer) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	var body map[string]string
	err := json.Unmarshal([]byte(a.body), &body)
	if a.status != status || err != nil || body["error"] != code || body["error_description"] == "" || body["request_id"] != "req-1" || len(body) != 3 {
		t.Errorf("%s: %d %s, want %d %s", what, a.status, a.body, status, code)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.header.Get("Content-Type") != "application/json; charset=utf-8" || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%s: %v", what, a.header)
	}
}

// shows NAT-TOKEN, NAT-8.12
func TestWhatAnAppGets(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	a := w.redeem("phone", claimed, code)
	h := a.handles(t)
	handle := regexp.MustCompile(`^cl[kr]_[A-Za-z0-9_-]{81}$`)
	if !handle.MatchString(h.Access) || !strings.HasPrefix(h.Access, "clk_") || !handle.MatchString(h.Refresh) || !strings.HasPrefix(h.Refresh, "clr_") {
		t.Errorf("handles %s %s", h.Access, h.Refresh)
	}
	if h.Type != "Bearer" || h.ExpiresIn != 900 || h.Scope != "openid offline_access" || h.Session["id"] == "" || h.Session["expires_in"] != 7776000.0 {
		t.Errorf("%s", a.body)
	}
	if string(h.User["sub"]) != `"ann"` || h.User["internal_role"] != nil || len(h.User) != 3 {
		t.Errorf("user %s", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%v", a.header)
	}
	dump := []byte(w.redis.Dump())
	for _, secret := range []string{accessToken, refreshToken, idToken, providerCode, code, h.Access, h.Refresh, h.Access[4:47]} {
		if bytes.Contains(dump, []byte(secret)) {
			t.Errorf("the store holds %s", secret)
		}
	}
	if a := w.call("GET", "/api", h.Access).is(t, "a call", 200); a.body != `"ann in phone"` {
		t.Error(a.body)
	}
}

// shows NAT-CODE
func TestACodeTwice(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	answers := make(chan *answer, 2)
	for range 2 {
		go func() { answers <- w.redeem("phone", claimed, code) }()
	}
	good, bad := <-answers, <-answers
	if good.status != 200 {
		good, bad = bad, good
	}
	bad.refused(t, "the second of two", 400, "invalid_grant")
	if good.status == 200 { // or the second was so early that the first found its end
		w.call("GET", "/mobile/session", good.handles(t).Access).is(t, "the handle of the first", 401)
		w.rotate("phone", good.handles(t).Refresh).refused(t, "its refresh handle", 400, "invalid_grant")
	}
	code = w.code()
	w.advance(61 * time.Second)
	w.redeem("phone", claimed, code).refused(t, "a code after 61 s", 400, "invalid_grant")
}

// shows NAT-BIND, NAT-8.1 (missing or wrong verifier; a second app that catches the redirect)
func TestACodeOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		with string
		key  string
		to   string
	}{
		{"another app", "client_id", "cli"},
		{"another redirect URI of the app", "redirect_uri", scheme},
		{"a redirect URI that is longer", "redirect_uri", claimed + "/"},
		{"no redirect URI", "redirect_uri", ""},
		{"another verifier", "code_verifier", verifier + "x"},
		{"no verifier", "code_verifier", ""},
		{"the challenge as verifier", "code_verifier", challengeOf(verifier)},
		{"a verifier that is too short", "code_verifier", "short"},
	} {
		code := w.code()
		form := redemption("phone", claimed, code)
		form.Set(row.key, row.to)
		if row.to == "" {
			form.Del(row.key)
		}
		w.post("/mobile/token", form).refused(t, "a code with "+row.with, 400, "invalid_grant")
		w.redeem("phone", claimed, code).refused(t, "the code after "+row.with, 400, "invalid_grant")
	}
	// The ticket of a confirm page is no code, and neither is what opens nothing or has no form.
	b := w.browser()
	b.returned("phone", scheme).check(t)
	for _, code := range []string{b.cookies[0].value, bff.NewRoot().Reveal(), "c", providerCode} {
		w.redeem("phone", scheme, code).refused(t, code, 400, "invalid_grant")
	}
}

// shows NAT-ROT
func TestRotation(t *testing.T) {
	w := newWorld(t)
	first := w.signedIn()
	second := w.rotate("phone", first.Refresh).handles(t)
	if second.Access == first.Access || second.Refresh == first.Refresh {
		t.Fatal("nothing rotated")
	}
	if again := w.rotate("phone", first.Refresh).handles(t); again.Refresh != second.Refresh || again.Access != second.Access {
		t.Error("a lost answer is not given again")
	}
	w.call("GET", "/mobile/session", second.Access).is(t, "the new handle", 200)
	w.call("GET", "/mobile/session", second.Refresh).is(t, "a refresh handle in a call", 401)
	w.rotate("phone", second.Access).refused(t, "an access handle at the token endpoint", 400, "invalid_grant")
	w.rotate("cli", second.Refresh).refused(t, "another app", 400, "invalid_grant")
	third := w.rotate("phone", second.Refresh).handles(t)
	w.call("GET", "/mobile/session", third.Access).is(t, "the third", 200)
	w.advance(31 * time.Second)
	w.call("GET", "/mobile/session", second.Access).is(t, "an older handle after the grace", 401)
	w.call("GET", "/mobile/session", third.Access).is(t, "which ended nothing", 200)
	w.rotate("phone", first.Refresh).refused(t, "a reused handle", 400, "invalid_grant")
	w.call("GET", "/mobile/session", third.Access).is(t, "the new handle after a reuse", 401)
	w.rotate("phone", third.Refresh).refused(t, "the new refresh handle after a reuse", 400, "invalid_grant")
	if within(t, "the revocation", w.provider.revoked).Refresh.Reveal() != refreshToken {
		t.Error("revoked something else")
	}
}

// shows NAT-8.12 (a secret shipped in an app proves nothing)
func TestWhoAClientIs(t *testing.T) {
	w := newWorld(t)
	basic := func(user, secret string) []string {
		r := httptest.NewRequest("POST", "/", nil)
		r.SetBasicAuth(user, secret)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	for _, row := range []struct {
		with      string
		form      url.Values // beside the code
		fields    []string
		challenge string
	}{
		{"client_id", url.Values{"client_id": {"phone"}}, nil, "good"},
		{"Basic with an empty password", nil, basic("phone", ""), "good"},
		{"Basic, encoded as a form", nil, basic("%70hone", ""), "good"},
		{"both, the same", url.Values{"client_id": {"phone"}}, basic("phone", ""), "good"},
		{"an empty client_secret", url.Values{"client_id": {"phone"}, "client_secret": {""}}, nil, "good"},
		{"no client", nil, nil, ""},
		{"an unknown client", url.Values{"client_id": {"tablet"}}, nil, ""},
		{"a client_secret", url.Values{"client_id": {"phone"}, "client_secret": {"s"}}, nil, ""},
		{"a client assertion", url.Values{"client_id": {"phone"}, "client_assertion": {"a.b.c"}, "client_assertion_type": {"x"}}, nil, ""},
		{"both, different", url.Values{"client_id": {"cli"}}, basic("phone", ""), `Basic realm="cloakroom"`},
		{"Basic with a password", nil, basic("phone", "s"), `Basic realm="cloakroom"`},
		{"Basic of an unknown client", nil, basic("tablet", ""), `Basic realm="cloakroom"`},
		{"Basic that is not encoded", nil, basic("%zz", ""), `Basic realm="cloakroom"`},
		{"Basic twice", nil, append(basic("phone", ""), basic("phone", "")...), `Basic realm="cloakroom"`},
		{"another scheme", url.Values{"client_id": {"phone"}}, []string{"Authorization", "Bearer x"}, `Basic realm="cloakroom"`},
	} {
		form := redemption("", claimed, w.code())
		form.Del("client_id")
		for name, values := range row.form {
			form[name] = values
		}
		a := w.post("/mobile/token", form, row.fields...)
		if row.challenge == "good" {
			a.handles(t)
			continue
		}
		a.refused(t, "a client with "+row.with, 401, "invalid_client")
		if got := a.header.Get("WWW-Authenticate"); got != row.challenge {
			t.Errorf("a client with %s: challenge %q, want %q", row.with, got, row.challenge)
		}
	}
}

// A library that knows nothing of us signs in, both ways that it may name its client.
func TestALibraryForOAuth(t *testing.T) {
	w := newWorld(t)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		cfg := oauth2.Config{ClientID: "cli", RedirectURL: listened, Endpoint: oauth2.Endpoint{
			AuthURL: w.server.URL + "/mobile/authorize", TokenURL: w.server.URL + "/mobile/token", AuthStyle: style,
		}}
		v := oauth2.GenerateVerifier()
		at := cfg.AuthCodeURL("st", oauth2.S256ChallengeOption(v))
		b := w.browser()
		a := b.open(strings.TrimPrefix(at, w.server.URL), "none").is(t, "starting", 303)
		check := b.come("cli", "code=c&state="+a.param(t, "state")).check(t)
		a = b.submit("/mobile/callback/cli", url.Values{"confirm": {check}})
		token, err := cfg.Exchange(t.Context(), a.param(t, "code"), oauth2.VerifierOption(v))
		if err != nil {
			t.Fatal(err)
		}
		w.call("GET", "/api", token.AccessToken).is(t, "a call", 200)
		token.Expiry = time.Now().Add(-time.Hour)
		next, err := cfg.TokenSource(t.Context(), token).Token()
		if err != nil || next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
			t.Errorf("renewing: %v", err)
		}
	}
}

func TestFormsOfTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	good := redemption("phone", claimed, bff.NewRoot().Reveal())
	form := "application/x-www-form-urlencoded"
	for _, row := range []struct {
		with, path, body, media string
		fields                  []string
		status                  int
		code                    string
	}{
		{"everything right but the code", "", good.Encode(), form, nil, 400, "invalid_grant"},
		{"a charset", "", good.Encode(), form + "; charset=UTF-8", nil, 400, "invalid_grant"},
		{"JSON", "", `{"grant_type":"authorization_code"}`, "application/json", nil, 400, "invalid_request"},
		{"no media type", "", good.Encode(), "", nil, 400, "invalid_request"},
		{"multipart", "", "", "multipart/form-data; boundary=x", nil, 400, "invalid_request"},
		{"the code twice", "", good.Encode() + "&code=x", form, nil, 400, "invalid_request"},
		{"an unknown parameter twice", "", good.Encode() + "&x=1&x=2", form, nil, 400, "invalid_request"},
		{"a body that does not parse", "", good.Encode() + "&x=%zz", form, nil, 400, "invalid_request"},
		{"a body of 16 KiB and more", "", good.Encode() + "&x=" + strings.Repeat("x", 16<<10), form, nil, 400, "invalid_request"},
		{"the code in the query", "?code=x", good.Encode(), form, nil, 400, "invalid_request"},
		{"all in the query", "?" + good.Encode(), "", form, nil, 400, "invalid_request"},
		{"a DPoP proof", "", good.Encode(), form, []string{"DPoP", "a.b.c"}, 400, "invalid_request"},
		{"no grant type", "", "client_id=phone", form, nil, 400, "invalid_request"},
		{"no code", "", "client_id=phone&grant_type=authorization_code", form, nil, 400, "invalid_request"},
		{"no refresh handle", "", "client_id=phone&grant_type=refresh_token", form, nil, 400, "invalid_request"},
		{"a refresh handle that is none", "", "client_id=phone&grant_type=refresh_token&refresh_token=clr_x", form, nil, 400, "invalid_grant"},
		{"a password", "", "client_id=phone&grant_type=password&username=ann&password=x", form, nil, 400, "unsupported_grant_type"},
		{"client credentials", "", "client_id=phone&grant_type=client_credentials", form, nil, 400, "unsupported_grant_type"},
		{"a token exchange", "", "client_id=phone&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange", form, nil, 400, "unsupported_grant_type"},
	} {
		fields := row.fields
		if row.media != "" {
			fields = append(fields, "Content-Type", row.media)
		}
		w.send("POST", "/mobile/token"+row.path, row.body, fields...).refused(t, "a form with "+row.with, row.status, row.code)
	}
}

// shows NAT-TYPE (a page's Origin)
func TestPagesAtTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/mobile/token", "/mobile/revoke"} {
		for origin, status := range map[string]int{"https://evil.example": 403, "null": 403, "": 403, "https://gw.example.evil": 403, "http://gw.example": 403, gateway: 400} {
			a := w.post(path, redemption("phone", claimed, "x"), "Origin", origin, "Cookie", "__Host-Http-web=x").is(t, path+" from "+origin, status)
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %q: %v", path, origin, a.header)
			}
		}
		w.send("OPTIONS", path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST").is(t, "a preflight", 405)
		w.send("GET", path, "").is(t, "GET", 405)
	}
	w.limit("token", &bff.Error{Code: bff.CodeRateLimited, Message: "Too many.", RetryAfter: 2 * time.Second})
	a := w.redeem("phone", claimed, "x")
	if a.refused(t, "too often", 429, "temporarily_unavailable"); a.header.Get("Retry-After") != "2" {
		t.Error(a.header)
	}
	w.limit("token", nil)
	code := w.code()
	w.redis.SetError("LOADING")
	a = w.redeem("phone", claimed, code)
	w.redis.SetError("")
	if a.refused(t, "without a store", 503, "temporarily_unavailable"); a.header.Get("Retry-After") == "" {
		t.Error(a.header)
	}
}

func TestARevokedHandleOpensNothing(t *testing.T) {
	w := newWorld(t)
	revoke := func(app, token string) *answer {
		return w.post("/mobile/revoke", url.Values{"client_id": {app}, "token": {token}, "token_type_hint": {"refresh_token"}})
	}
	for _, pick := range []func(handles) string{func(h handles) string { return h.Access }, func(h handles) string { return h.Refresh }} {
		h := w.signedIn()
		revoke("cli", pick(h)).is(t, "by another app", 200)
		w.call("GET", "/mobile/session", h.Access).is(t, "which ends nothing", 200)
		revoke("phone", pick(h)).is(t, "by its app", 200)
		w.call("GET", "/mobile/session", h.Access).is(t, "afterwards", 401)
		revoke("phone", pick(h)).is(t, "again", 200)
	}
	revoke("phone", "x").is(t, "what is none", 200)
	revoke("phone", "").refused(t, "nothing", 400, "invalid_request")
	revoke("tablet", "x").refused(t, "an unknown client", 401, "invalid_client")
	h := w.signedIn()
	w.redis.SetError("LOADING")
	revoke("phone", h.Refresh).refused(t, "without a store", 503, "temporarily_unavailable")
	w.redis.SetError("")
}

// FuzzTokenForm looks for a body that gets handles, or an answer that is no OAuth error.
func FuzzTokenForm(f *testing.F) {
	for _, seed := range []string{redemption("phone", claimed, "x").Encode(), "grant_type=refresh_token&client_id=phone&refresh_token=clr_", "a=b;c=d", "client_id=phone&grant_type"} {
		f.Add(seed)
	}
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/mobile/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		a := httptest.NewRecorder()
		w.handler.ServeHTTP(a, r)
		var told map[string]string
		if err := json.Unmarshal(a.Body.Bytes(), &told); err != nil || a.Code != 400 && a.Code != 401 || told["error"] == "" {
			t.Errorf("%q: %d %s", body, a.Code, a.Body)
		}
	})
}
