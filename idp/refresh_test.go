package idp_test

import (
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

// session is one whose access token is due.
func (p *provider) session() *bff.Session {
	return &bff.Session{
		Lookup: "l1", Identity: bff.Identity{Subject: subject, SID: "ses_1", AuthTime: time.Unix(epoch.Unix()-5, 0), ACR: "basic"},
		Tokens: bff.TokenSet{
			Access: bff.NewSecret("at-secret-0"), Refresh: bff.NewSecret("rt-secret-1"), ID: bff.NewSecret(p.idToken(nil)),
			Scope: "openid profile email",
		},
	}
}

// outcomeOf returns what a failed refresh was judged.
func outcomeOf(t *testing.T, err error) *bff.RefreshError {
	t.Helper()
	e, ok := errors.AsType[*bff.RefreshError](err)
	if !ok {
		t.Fatalf("got %v, want a *bff.RefreshError", err)
	}
	return e
}

// shows REF-6
func TestRefreshes(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.givesTokens(map[string]any{"refresh_token": nil, "id_token": nil, "scope": nil})
	s := p.session()
	grant, err := c.Refresh(t.Context(), s, "")
	if err != nil {
		t.Fatal(err)
	}
	got := grant.Tokens
	if !got.Refresh.Equal(s.Tokens.Refresh) || !got.ID.Equal(s.Tokens.ID) || got.Scope != s.Tokens.Scope || grant.Identity != nil || grant.Alarm != nil {
		t.Errorf("what did not come was not kept: %+v", grant)
	}
	form := p.requests("/token")[0].form
	if form.Has("scope") || form.Get("refresh_token") != "rt-secret-1" || form.Get("grant_type") != "refresh_token" {
		t.Errorf("asked with %v", form)
	}
	p.givesTokens(map[string]any{"scope": "openid"})
	if grant, err = c.Refresh(t.Context(), s, ""); err != nil {
		t.Fatal(err)
	}
	if grant.Tokens.Refresh.Reveal() != "rt-secret-2" || grant.Tokens.Scope != "openid" || grant.Identity == nil || grant.Alarm != nil {
		t.Errorf("what came was not taken: %+v", grant)
	}
}

// shows REF-12.2
func TestRefreshedIDTokens(t *testing.T) {
	const good, ignored, ended = "good", "ignored", "ended"
	for _, tc := range []struct {
		with  string
		token func(p *provider) string
		want  string
	}{
		{"all as before", func(p *provider) string { return p.idToken(nil) }, good},
		{"no nonce", func(p *provider) string { return p.idToken(map[string]any{"nonce": nil}) }, good},
		{"another sub", func(p *provider) string { return p.idToken(map[string]any{"sub": "usr_2"}) }, ended},
		{"another iss", func(p *provider) string { return p.idToken(map[string]any{"iss": "https://evil.example"}) }, ended},
		{"another accepted iss", func(p *provider) string { return p.idToken(map[string]any{"iss": "https://auth.acme.com"}) }, ended},
		{"another aud", func(p *provider) string { return p.idToken(map[string]any{"aud": "web:2"}) }, ended},
		{"another azp", func(p *provider) string { return p.idToken(map[string]any{"azp": "web:2"}) }, ended},
		{"another nonce", func(p *provider) string { return p.idToken(map[string]any{"nonce": "x"}) }, ignored},
		{"another auth_time", func(p *provider) string { return p.idToken(map[string]any{"auth_time": epoch.Unix()}) }, ignored},
		{"another sid", func(p *provider) string { return p.idToken(map[string]any{"sid": "ses_2"}) }, ignored},
		{"an old iat", func(p *provider) string { return p.idToken(map[string]any{"iat": epoch.Unix() - 3600}) }, ignored},
		{"no signature", func(p *provider) string { return signRS256(header("none", ""), encode(p.claims(nil))) }, ignored},
		{"another sub and somebody else's signature", func(p *provider) string {
			return sign(header("RS256", "r1"), encode(p.claims(map[string]any{"sub": "usr_2"})), byRSA(rsaTwo(), crypto.SHA256))
		}, ignored},
		{"no form at all", func(*provider) string { return "garbage" }, ignored},
	} {
		t.Run("a refreshed ID token with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.givesID(tc.token(p))
			is := p.issuer(func(s *idp.Settings) { s.Issuers = []string{"https://auth.acme.com"} })
			s := p.session()
			grant, err := register(is).Refresh(t.Context(), s, "")
			drain(t, is)
			if tc.want == ended {
				if outcomeOf(t, err).Outcome != bff.OutcomeSpent || !errors.Is(err, bff.ErrIdentityChanged) || p.count("/revoke") != 2 {
					t.Errorf("got %v and %d revocations", err, p.count("/revoke"))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if grant.Tokens.Refresh.Reveal() != "rt-secret-2" || (grant.Identity != nil) != (tc.want == good) || (grant.Alarm == nil) != (tc.want == good) {
				t.Errorf("got %+v, want it %s", grant, tc.want)
			}
			if tc.want == ignored && !grant.Tokens.ID.Equal(s.Tokens.ID) {
				t.Error("an ID token that is not believed is kept as logout hint")
			}
		})
	}
}

// shows REF-SOFT, REF-END
func TestAnswersToARefresh(t *testing.T) {
	oauth := func(code string) string { return fmt.Sprintf(`{"error":%q,"error_description":"invalid_grant"}`, code) }
	for _, tc := range []struct {
		with   string
		status int
		media  string
		body   string
		shapes []string
		want   bff.Outcome
		doubt  bool
	}{
		{"invalid_grant", 400, "application/json", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"invalid_grant under 403", 403, "application/json", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"invalid_request", 400, "application/json", oauth("invalid_request"), nil, bff.OutcomeClient, false},
		{"invalid_request where that is a used token", 400, "application/json", oauth("invalid_request"), []string{idp.ShapeInvalidRequest}, bff.OutcomeSpent, false},
		{"an empty 400", 400, "", "", nil, bff.OutcomeTransient, false},
		{"an empty 400 where that is a used token", 400, "", "", []string{idp.ShapeEmpty400}, bff.OutcomeSpent, false},
		{"interaction_required", 400, "application/json", oauth("interaction_required"), nil, bff.OutcomeClient, false},
		{"interaction_required where that wants the user", 400, "application/json", oauth("interaction_required"), []string{idp.ShapeInteraction}, bff.OutcomeSpent, false},
		{"consent_required where that wants the user", 400, "application/json", oauth("consent_required"), []string{idp.ShapeInteraction}, bff.OutcomeSpent, false},
		{"invalid_scope where another code wants the user", 400, "application/json", oauth("invalid_scope"), []string{idp.ShapeInteraction}, bff.OutcomeClient, false},
		{"a 503 that wants the user", 503, "application/json", oauth("interaction_required"), []string{idp.ShapeInteraction}, bff.OutcomeTransient, true},
		{"invalid_client", 401, "application/json", oauth("invalid_client"), nil, bff.OutcomeClient, false},
		{"unauthorized_client", 400, "application/json", oauth("unauthorized_client"), nil, bff.OutcomeClient, false},
		{"invalid_scope", 400, "application/json", oauth("invalid_scope"), nil, bff.OutcomeClient, false},
		{"an error nobody registered", 400, "application/json", oauth("some_error"), nil, bff.OutcomeClient, false},
		{"server_error", 400, "application/json", oauth("server_error"), nil, bff.OutcomeTransient, true},
		{"a 500", 500, "text/html", "<html>", nil, bff.OutcomeTransient, true},
		{"a 503 that says invalid_grant", 503, "application/json", oauth("invalid_grant"), nil, bff.OutcomeTransient, true},
		{"a 429", 429, "application/json", oauth("invalid_grant"), nil, bff.OutcomeTransient, false},
		{"a firewall's 403", 403, "text/html", "<html>invalid_grant</html>", nil, bff.OutcomeTransient, false},
		{"an ingress's 404", 404, "application/json", `{"error":"not_found"}`, nil, bff.OutcomeTransient, false},
		{"a 302", 302, "", "", nil, bff.OutcomeTransient, false},
		{"a 200 page", 200, "text/html", "<html>", nil, bff.OutcomeTransient, true},
		{"a 200 that is no JSON", 200, "application/json", "{", nil, bff.OutcomeTransient, true},
		{"a 200 without access token", 200, "application/json", `{"token_type":"Bearer"}`, nil, bff.OutcomeTransient, true},
		{"a token type of its own", 200, "application/json", `{"access_token":"a","token_type":"mac"}`, nil, bff.OutcomeTransient, true},
		{"a line break in the token", 200, "application/json", `{"access_token":"a\r\nX: y"}`, nil, bff.OutcomeTransient, true},
		{"an endless body", 200, "application/json", strings.Repeat(" ", 2<<20), nil, bff.OutcomeTransient, true},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tc.status, tc.media, tc.body)
			_, err := p.client(func(s *idp.Settings) { s.SpentShapes = tc.shapes }).Refresh(t.Context(), p.session(), "")
			if e := outcomeOf(t, err); e.Outcome != tc.want || e.Doubt != tc.doubt {
				t.Errorf("got %v, doubt %v", err, e.Doubt)
			}
			if n := p.count("/token"); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }

// shows REF-SOFT
func TestALostAnswerIsUnknownAndNotRepeated(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil { // so that the next one reuses its connection
		t.Fatal(err)
	}
	p.handle("/token", hangUp)
	_, err := c.Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); e.Outcome != bff.OutcomeUnknown {
		t.Errorf("got %v", err)
	}
	if n := p.count("/token"); n != 2 {
		t.Errorf("%d requests: one was repeated", n)
	}
}

// shows REF-SOFT
func TestAConnectionThatTheProviderClosed(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for range 5 {
		if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil && outcomeOf(t, err).Outcome == bff.OutcomeSpent {
			t.Fatal(err)
		}
		p.CloseClientConnections()
	}
	if n := p.count("/token"); n > 5 {
		t.Errorf("%d requests for 5 refreshes", n)
	}
}

// shows REF-SOFT
func TestAProviderThatIsNotThere(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(s *idp.Settings) { s.Endpoints.Token = "http://127.0.0.1:1/token" }) // nobody listens on port 1
	for range 10 {
		_, err := c.Refresh(t.Context(), p.session(), "")
		if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || e.Doubt {
			t.Fatalf("got %v", err)
		}
	}
	_, err := c.Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); e.RetryAfter == 0 {
		t.Errorf("the breaker did not open: %v", err)
	}
}

// shows REF-SOFT
func TestTheBreakerKeepsAFailingProviderFromBeingHammered(t *testing.T) {
	p := newProvider(t)
	p.replies("/token", 503, "", "")
	c := p.client(nil)
	for range 40 {
		_, err := c.Refresh(t.Context(), p.session(), "")
		if outcomeOf(t, err).Outcome != bff.OutcomeTransient {
			t.Fatal(err)
		}
	}
	if n := p.count("/token"); n != 10 {
		t.Errorf("%d requests, want 10", n)
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "86400": time.Minute, "99999999999999": time.Minute, "-5": 0, "soon": 0,
		epoch.Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second,
		epoch.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		p := newProvider(t)
		p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := p.client(nil).Refresh(t.Context(), p.session(), "")
		if got := outcomeOf(t, err).RetryAfter; got != want {
			t.Errorf("Retry-After %q gives %v, want %v", value, got, want)
		}
	}
}

// shows REF-SOFT
func TestABurstOfSpentTokensIsHeldBack(t *testing.T) {
	p := newProvider(t)
	p.replies("/token", 400, "application/json", `{"error":"invalid_grant"}`)
	c := p.client(nil)
	ended := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			s := p.session()
			s.Lookup = bff.Lookup(fmt.Sprint(i))
			_, err := c.Refresh(t.Context(), s, "")
			if e := outcomeOf(t, err); e.Outcome == bff.OutcomeSpent {
				n++
			} else if !errors.Is(err, idp.ErrBurst) || e.RetryAfter != 30*time.Second {
				t.Fatalf("got %v", err)
			}
		}
		return n
	}
	if n := ended(0, 60); n != 19 || !p.alarmed("burst of spent refresh tokens") {
		t.Errorf("%d sessions ended before it was held back", n)
	}
	p.add(31 * time.Second)
	if n := ended(60, 120); n != 20 {
		t.Errorf("%d sessions ended in one span after the hold, want 20", n)
	}
}

// shows REF-SOFT
func TestManySpentTokensAmongMoreGoodOnesAreNoBurst(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for i := range 60 {
		if i%2 == 1 {
			p.replies("/token", 400, "application/json", `{"error":"invalid_grant"}`)
		} else {
			p.givesTokens(nil)
		}
		s := p.session()
		s.Lookup = bff.Lookup(fmt.Sprint(i))
		if _, err := c.Refresh(t.Context(), s, ""); i%2 == 1 && outcomeOf(t, err).Outcome != bff.OutcomeSpent {
			t.Fatalf("refresh %d: %v", i, err)
		}
	}
}

func TestAccessTokensThatAreJWTs(t *testing.T) {
	for _, tc := range []struct {
		with   string
		change map[string]any
		good   bool
	}{
		{"all as it should be", map[string]any{"exp": epoch.Unix() + 100}, true},
		{"another audience", map[string]any{"aud": "web:2"}, false},
		{"another issuer", map[string]any{"iss": "https://evil.example"}, false},
		{"another subject", map[string]any{"sub": "usr_2"}, false},
		{"its time over", map[string]any{"exp": epoch.Unix() - 100}, false},
		{"no iat", map[string]any{"iat": nil}, false},
	} {
		t.Run("an access token with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.givesTokens(map[string]any{"access_token": p.idToken(tc.change)})
			is := p.issuer(func(s *idp.Settings) { s.AccessTokenJWT = true })
			c := register(is)
			grant, err := exchange(t, c)
			_, refreshed := c.Refresh(t.Context(), p.session(), "")
			drain(t, is)
			if tc.good {
				if err != nil || refreshed != nil || !grant.Tokens.ExpiresAt.Equal(epoch.Add(100*time.Second)) {
					t.Errorf("got %v and %v, until %v", err, refreshed, grant.Tokens.ExpiresAt)
				}
				return
			}
			rule, broken := errors.AsType[*idp.RuleError](refreshed)
			if bff.CodeOf(err) != idp.CodeTokenRejected || outcomeOf(t, refreshed).Outcome != bff.OutcomeSpent || !broken || rule == nil {
				t.Errorf("got %v and %v", err, refreshed)
			}
			if p.count("/revoke") != 4 {
				t.Errorf("%d revocations, want two of each answer", p.count("/revoke"))
			}
		})
	}
}

// TestAnOutageOfTheKeysEndsNoSession: the signature cannot be judged, what can be judged is.
func TestAnOutageOfTheKeysEndsNoSession(t *testing.T) {
	for _, tc := range []struct {
		with string
		sub  string
		good bool
	}{{"the session's subject", subject, true}, {"another subject", "usr_2", false}} {
		t.Run("a JWT under an unknown key with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			s := p.session()
			p.replies("/keys", 500, "", "")
			p.givesTokens(map[string]any{"id_token": nil, "access_token": p.idToken(map[string]any{"sub": tc.sub})})
			grant, err := p.client(func(s *idp.Settings) { s.AccessTokenJWT = true }).Refresh(t.Context(), s, "")
			if tc.good != (err == nil) || tc.good && grant.Alarm == nil {
				t.Errorf("got %+v, %v", grant, err)
			}
		})
	}
}

// shows REF-EARLY
func TestRenewalMarginsScaleAndSpread(t *testing.T) {
	for expires, most := range map[int]time.Duration{20: 4 * time.Second, 300: 30 * time.Second, 3600: 30 * time.Second} {
		p := newProvider(t)
		p.givesTokens(map[string]any{"expires_in": expires})
		c, seen := p.client(nil), map[time.Time]bool{}
		for range 20 {
			grant, err := c.Refresh(t.Context(), p.session(), "")
			if err != nil {
				t.Fatal(err)
			}
			before := grant.Tokens.ExpiresAt.Sub(grant.Tokens.RefreshAt)
			if before > most || before < most*3/4 {
				t.Errorf("life %d s: renewed %v before its end", expires, before)
			}
			seen[grant.Tokens.RefreshAt] = true
		}
		if len(seen) < 15 {
			t.Errorf("life %d s: only %d different moments", expires, len(seen))
		}
	}
}

// Renewals fill their own share of the places and no more: whoever signs in meanwhile does not wait behind them, and codes,
// which anybody can bring, leave room for renewals in turn.
//
// shows REF-SOFT
func TestCallsAtOnceAreBounded(t *testing.T) {
	renew := func(t *testing.T, p *provider, c *idp.Client) error {
		_, err := c.Refresh(t.Context(), p.session(), "")
		return err
	}
	login := func(t *testing.T, _ *provider, c *idp.Client) error { _, err := exchange(t, c); return err }
	t.Run("a storm with renewals", func(t *testing.T) { storm(t, renew, login) })
	t.Run("a storm with codes", func(t *testing.T) { storm(t, login, renew) })
}

// storm holds as many of 100 calls of one kind at the provider as come there, and makes one of the other.
func storm(t *testing.T, many, one func(*testing.T, *provider, *idp.Client) error) {
	p := newProvider(t)
	gate, arrived := make(chan struct{}), make(chan struct{}, 200)
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-gate
		p.answer(w, 200, p.tokens(nil))
	})
	c := p.client(nil)
	var all sync.WaitGroup
	call := func(kind string, do func(*testing.T, *provider, *idp.Client) error) {
		all.Go(func() {
			if err := do(t, p, c); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
	await := func(kind string) {
		select {
		case <-arrived:
		case <-time.After(5 * time.Second): // well below the wait for a place
			t.Errorf("%s waits behind the others", kind)
		}
	}
	for range 100 {
		call("one of many", many)
	}
	for range 48 {
		await("one of many")
	}
	select {
	case <-arrived:
		t.Error("more than 48 of one kind at once")
	case <-time.After(100 * time.Millisecond): // it would come at once
	}
	call("the other kind", one)
	await("the other kind")
	close(gate)
	all.Wait()
}
