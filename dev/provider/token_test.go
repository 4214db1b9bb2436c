package provider_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"cloakroom/dev/provider"
)

func (w *world) keys() jwk.Set {
	w.t.Helper()
	set, err := jwk.Fetch(w.t.Context(), w.URL("/keys"))
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

func (w *world) verifies(token string) error {
	_, err := jwt.Parse([]byte(token), jwt.WithKeySet(w.keys()), jwt.WithValidate(false))
	return err
}

func TestCodeGivesTokensOfScalekitsShape(t *testing.T) {
	w := start(t)
	out := w.tokens(browser(t))
	if out["token_type"] != "Bearer" || out["expires_in"] != 299.0 || out["scope"] != "openid profile email offline_access" {
		t.Errorf("answer %v", out)
	}
	for _, name := range []string{"access_token", "id_token"} {
		if err := w.verifies(str(out, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	header, access, id := part(t, str(out, "access_token"), 0), part(t, str(out, "access_token"), 1), part(t, str(out, "id_token"), 1)
	if header["alg"] != "RS256" || header["typ"] != "JWT" || !strings.HasPrefix(str(header, "kid"), "snk_") {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{
		"sub": "usr_1001", "client_id": "webc_1", "oid": "org_2001", "xoid": "",
		"exp": float64(w.clock.Now().Unix() + 300), "auth_time": float64(w.clock.Now().Unix()),
	} {
		if access[name] != want {
			t.Errorf("access token %s = %v, want %v", name, access[name], want)
		}
	}
	for name, want := range map[string]any{
		"sub": "usr_1001", "azp": "webc_1", "nonce": "no", "sid": access["sid"],
		"email": "ada@example.com", "name": "Ada Lovelace", "auth_time": float64(w.clock.Now().Unix()),
	} {
		if id[name] != want {
			t.Errorf("ID token %s = %v, want %v", name, id[name], want)
		}
	}
	sum, _ := base64.RawURLEncoding.DecodeString(challenge(str(out, "access_token")))
	if id["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) {
		t.Errorf("at_hash %v", id["at_hash"])
	}
}

func TestCodeRefused(t *testing.T) {
	w := start(t)
	for name, row := range map[string]struct {
		pairs  []string
		status int
		want   string
	}{
		"another verifier":          {[]string{"code_verifier", verifier + "x"}, 400, "invalid_grant"},
		"no verifier":               {[]string{"code_verifier", ""}, 400, "invalid_request"},
		"another redirect URI":      {[]string{"redirect_uri", landing}, 400, "invalid_grant"},
		"no code":                   {[]string{"code", ""}, 400, "invalid_request"},
		"another code":              {[]string{"code", "guess"}, 400, "invalid_grant"},
		"a wrong secret":            {[]string{"client_secret", "guess"}, 401, "invalid_client"},
		"no secret":                 {[]string{"client_secret", ""}, 401, "invalid_client"},
		"an unknown client":         {[]string{"client_id", "webc_x"}, 401, "invalid_client"},
		"an unknown grant type":     {[]string{"grant_type", "password"}, 400, "unsupported_grant_type"},
		"another client's identity": {[]string{"client_id", "webc_2", "client_secret", "other"}, 400, "invalid_grant"},
	} {
		t.Run("an exchange with "+name, func(t *testing.T) {
			w.Register(provider.Client{ID: "webc_2", Secret: "other"})
			code := w.authorize(browser(t)).location.Get("code")
			wantError(t, w.exchange(code, row.pairs...), row.status, row.want)
		})
	}
}

func TestCodeExpires(t *testing.T) {
	w := start(t)
	code := w.authorize(browser(t)).location.Get("code")
	w.clock.Move(11 * time.Minute)
	wantError(t, w.exchange(code), 400, "invalid_grant")
}

func TestSecondUseOfACodeRevokesTheFirst(t *testing.T) {
	w := start(t)
	code := w.authorize(browser(t)).location.Get("code")
	rt := str(w.exchange(code).json(t), "refresh_token")
	wantError(t, w.exchange(code), 400, "invalid_grant")
	wantError(t, w.refresh(rt), 400, "invalid_grant")
}

func TestVerifierWithoutChallengeIsRefused(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.IgnorePKCE = true })
	code := w.authorize(browser(t), "code_challenge", "").location.Get("code")
	w.Set(func(b *provider.Behaviour) { b.IgnorePKCE = false })
	wantError(t, w.exchange(code), 400, "invalid_grant")
}

func TestClientAuthentication(t *testing.T) {
	w := start(t)
	basic := web()
	basic.ID, basic.Auth = "webc:basic", provider.SecretBasic
	w.Register(basic)
	w.Register(provider.Client{ID: "pub", Grants: []string{"refresh_token"}})
	encoded := [2]string{url.QueryEscape(basic.ID), url.QueryEscape(basic.Secret)}
	for name, row := range map[string]struct {
		basic  [2]string
		form   url.Values
		status int
	}{
		"Basic, form-encoded":              {encoded, url.Values{}, 200},
		"Basic, not encoded":               {[2]string{basic.ID, basic.Secret}, url.Values{}, 401},
		"Basic and the same client_id":     {encoded, url.Values{"client_id": {basic.ID}}, 200},
		"Basic and another client_id":      {encoded, url.Values{"client_id": {"webc_1"}}, 400},
		"Basic and a secret in the form":   {encoded, url.Values{"client_secret": {basic.Secret}}, 400},
		"a Basic client by the form":       {[2]string{}, url.Values{"client_id": {basic.ID}, "client_secret": {basic.Secret}}, 401},
		"a form client by Basic":           {[2]string{"webc_1", url.QueryEscape(web().Secret)}, url.Values{}, 401},
		"a public client asking for M2M":   {[2]string{}, url.Values{"client_id": {"pub"}}, 400},
		"a form client by the form":        {[2]string{}, url.Values{"client_id": {"webc_1"}, "client_secret": {web().Secret}}, 200},
		"a secret client without a secret": {[2]string{}, url.Values{"client_id": {"webc_1"}}, 401},
	} {
		t.Run("a request with "+name, func(t *testing.T) {
			row.form.Set("grant_type", "client_credentials")
			req, err := http.NewRequest(http.MethodPost, w.URL("/oauth/token"), strings.NewReader(row.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if row.basic[0] != "" {
				req.SetBasicAuth(row.basic[0], row.basic[1])
			}
			res, err := browser(t).Do(req)
			if pg := read(t, res, err); pg.status != row.status {
				t.Errorf("got %d %s, want %d", pg.status, pg.body, row.status)
			}
		})
	}
}

// shows SCALEKIT-T2
func TestPublicClientByPKCEAlone(t *testing.T) {
	w := start(t)
	w.Register(provider.Client{ID: "spac_1", RedirectURIs: []string{callback}})
	code := w.authorize(browser(t), "client_id", "spac_1").location.Get("code")
	if pg := w.exchange(code, "client_id", "spac_1", "client_secret", ""); pg.status != 200 {
		t.Errorf("got %d %s", pg.status, pg.body)
	}
}

func TestTokenEndpointWantsAForm(t *testing.T) {
	w := start(t)
	res, err := browser(t).Post(w.URL("/oauth/token"), "application/json", strings.NewReader(`{"grant_type":"refresh_token"}`))
	wantError(t, read(t, res, err), 400, "invalid_request")
	wantError(t, w.post("/oauth/token", url.Values{"grant_type": {"refresh_token", "refresh_token"}}), 400, "invalid_request")
}

func TestRefreshRotates(t *testing.T) {
	w := start(t)
	out := w.tokens(browser(t))
	next := w.refresh(str(out, "refresh_token")).json(t)
	if str(next, "refresh_token") == "" || next["refresh_token"] == out["refresh_token"] || next["access_token"] == out["access_token"] {
		t.Errorf("not rotated: %v", next)
	}
	if next["id_token"] != nil {
		t.Error("an ID token came with a refresh")
	}
	if pg := w.refresh(str(next, "refresh_token")); pg.status != 200 {
		t.Errorf("the successor: %d %s", pg.status, pg.body)
	}
}

func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	w := start(t)
	if out := w.tokens(browser(t), "scope", "openid"); out["refresh_token"] != nil {
		t.Errorf("got %v", out)
	}
}

func TestReuseRevokesTheFamily(t *testing.T) {
	w := start(t)
	b := browser(t)
	first, other := str(w.tokens(b), "refresh_token"), str(w.tokens(b), "refresh_token")
	second := str(w.refresh(first).json(t), "refresh_token")
	wantError(t, w.refresh(first), 400, "invalid_grant")
	wantError(t, w.refresh(second), 400, "invalid_grant")
	if pg := w.refresh(other); pg.status != 200 {
		t.Errorf("another family: %d %s", pg.status, pg.body)
	}
}

func TestReuseInsideTheGraceGivesTheSameSuccessor(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.RefreshGrace = 30 * time.Second })
	first := str(w.tokens(browser(t)), "refresh_token")
	second := str(w.refresh(first).json(t), "refresh_token")
	w.clock.Move(29 * time.Second)
	again := w.refresh(first).json(t)
	if again["refresh_token"] != second || str(again, "access_token") == "" {
		t.Errorf("got %v, want successor %s", again["refresh_token"], second)
	}
	w.clock.Move(time.Second)
	wantError(t, w.refresh(first), 400, "invalid_grant")
	wantError(t, w.refresh(second), 400, "invalid_grant")
}

func TestRefreshOnPurpose(t *testing.T) {
	t.Run("a provider with families that survive reuse", func(t *testing.T) {
		w := start(t, func(c *provider.Config) { c.Behaviour.ReuseSpares = true })
		first := str(w.tokens(browser(t)), "refresh_token")
		second := str(w.refresh(first).json(t), "refresh_token")
		wantError(t, w.refresh(first), 400, "invalid_grant")
		if pg := w.refresh(second); pg.status != 200 {
			t.Errorf("successor: %d", pg.status)
		}
	})
	t.Run("a provider with its own answer to a spent token", func(t *testing.T) {
		w := start(t, func(c *provider.Config) { c.Behaviour.Spent = &provider.Answer{Status: 400} })
		if pg := w.refresh("unknown"); pg.status != 400 || pg.body != "" {
			t.Errorf("got %d %q", pg.status, pg.body)
		}
	})
	t.Run("a provider with ID tokens on refresh", func(t *testing.T) {
		w := start(t, func(c *provider.Config) { c.Behaviour.IDTokenOnRefresh = true })
		id := str(w.refresh(str(w.tokens(browser(t)), "refresh_token")).json(t), "id_token")
		if claims := part(t, id, 1); claims["sub"] != "usr_1001" || claims["nonce"] != nil || claims["auth_time"] == nil {
			t.Errorf("claims %v", claims)
		}
	})
	t.Run("a provider with no rotation", func(t *testing.T) {
		w := start(t, func(c *provider.Config) { c.Behaviour.NoRotation = true })
		rt := str(w.tokens(browser(t)), "refresh_token")
		for range 2 {
			if out := w.refresh(rt).json(t); out["refresh_token"] != nil || out["access_token"] == nil {
				t.Errorf("got %v", out)
			}
		}
	})
}

func TestRefreshScope(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	wantError(t, w.refresh(rt, "scope", "openid admin"), 400, "invalid_scope")
	if out := w.refresh(rt, "scope", "openid").json(t); out["scope"] != "openid" {
		t.Errorf("scope %v", out["scope"])
	}
}

func TestRefreshTokenIsItsClientsOwn(t *testing.T) {
	w := start(t)
	w.Register(provider.Client{ID: "webc_2", Secret: "other"})
	rt := str(w.tokens(browser(t)), "refresh_token")
	wantError(t, w.refresh(rt, "client_id", "webc_2", "client_secret", "other"), 400, "invalid_grant")
	if pg := w.refresh(rt); pg.status != 200 {
		t.Errorf("the stranger's try spent it: %d %s", pg.status, pg.body)
	}
}

func TestRolesFollowTheUser(t *testing.T) {
	w := start(t)
	rt := str(w.tokens(browser(t)), "refresh_token")
	u := w.Users()[0]
	u.Roles = []string{"nobody"}
	w.AddUser(u)
	claims := part(t, str(w.refresh(rt).json(t), "access_token"), 1)
	if roles := claims["roles"].([]any); len(roles) != 1 || roles[0] != "nobody" {
		t.Errorf("roles %v", roles)
	}
}

func TestClientCredentials(t *testing.T) {
	w := start(t)
	out := w.post("/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"webc_1"},
		"client_secret": {web().Secret}, "scope": {"orders:read"},
	}).json(t)
	claims := part(t, str(out, "access_token"), 1)
	if out["expires_in"] != 86399.0 || claims["sub"] != "webc_1" || claims["scope"] != "orders:read" || out["refresh_token"] != nil {
		t.Errorf("answer %v, claims %v", out, claims)
	}
}

func TestShortLivesAreKept(t *testing.T) {
	w := start(t, func(c *provider.Config) { c.Behaviour.AccessLife = time.Second })
	w.clock.Move(900 * time.Millisecond) // so that a truncated end would come too soon
	out := w.tokens(browser(t))
	exp := part(t, str(out, "access_token"), 1)["exp"].(float64)
	if out["expires_in"] != 1.0 || exp < float64(w.clock.Now().UnixMilli())/1000+1 {
		t.Errorf("expires_in %v, exp %v, now %v", out["expires_in"], exp, w.clock.Now())
	}
}

func TestTokenAnswerOnPurpose(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*provider.Behaviour)
		check  func(map[string]any) bool
	}{
		"members left out": {
			func(b *provider.Behaviour) { b.Omit = []string{"id_token", "expires_in", "token_type"} },
			func(m map[string]any) bool { return len(m) == 3 && m["access_token"] != nil },
		},
		"another token type": {func(b *provider.Behaviour) { b.TokenType = "mac" }, func(m map[string]any) bool { return m["token_type"] == "mac" }},
		"a lie about its life": {
			func(b *provider.Behaviour) { b.ExpiresIn = 9999 },
			func(m map[string]any) bool { return m["expires_in"] == 9999.0 },
		},
		"a hook's word": {
			func(b *provider.Behaviour) { b.EditTokenAnswer = func(m map[string]any) { m["expires_in"] = "soon" } },
			func(m map[string]any) bool { return m["expires_in"] == "soon" },
		},
		"an opaque access token": {
			func(b *provider.Behaviour) { b.OpaqueAccess = true },
			func(m map[string]any) bool { return !strings.Contains(str(m, "access_token"), ".") },
		},
	} {
		t.Run("an answer with "+name, func(t *testing.T) {
			w := start(t, func(c *provider.Config) { row.change(&c.Behaviour) })
			if out := w.tokens(browser(t)); !row.check(out) {
				t.Errorf("got %v", out)
			}
		})
	}
}

func TestClaimsOnPurpose(t *testing.T) {
	w := start(t, func(c *provider.Config) {
		c.Behaviour.IDClaims = map[string]any{"iss": "http://evil", "azp": nil}
		c.Behaviour.EditIDToken = func(header, claims map[string]any) { header["typ"], claims["nonce"] = "at+jwt", "other" }
		c.Behaviour.AccessClaims = map[string]any{"aud": "elsewhere"}
	})
	out := w.tokens(browser(t))
	id, header := part(t, str(out, "id_token"), 1), part(t, str(out, "id_token"), 0)
	if id["iss"] != "http://evil" || id["nonce"] != "other" || id["azp"] != nil || header["typ"] != "at+jwt" {
		t.Errorf("header %v, claims %v", header, id)
	}
	if access := part(t, str(out, "access_token"), 1); access["aud"] != "elsewhere" || access["iss"] != w.Issuer() {
		t.Errorf("access %v", access)
	}
	if err := w.verifies(str(out, "id_token")); err != nil {
		t.Errorf("the spoiled token is not signed properly: %v", err)
	}
}
