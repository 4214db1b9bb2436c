package dev_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev"
	"cloakroom/dev/provider"
)

// clock is a clock that stands still until moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a demo API behind a socket, and the provider that it believes.
type world struct {
	t     *testing.T
	clock *clock
	idp   *provider.Provider
	api   *dev.API
	url   string
}

func start(t *testing.T, change ...func(*dev.APIConfig)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}}
	var err error
	if w.idp, err = provider.New(provider.Config{Now: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	if err := w.idp.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.idp.Close)
	cfg := dev.APIConfig{Issuer: w.idp.Issuer(), JWKSURL: w.idp.URL("/keys"), Audiences: []string{"webc_1"}, Now: w.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	if w.api, err = dev.NewAPI(cfg); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(w.api)
	t.Cleanup(s.Close)
	w.url = s.URL
	return w
}

// token is an access token for Ada, with changes; nil removes a claim.
func (w *world) token(how provider.Signing, changes map[string]any) string {
	w.t.Helper()
	claims := map[string]any{
		"iss": w.idp.Issuer(), "aud": []string{"webc_1"}, "sub": "usr_1001", "scope": "orders",
		"iat": w.clock.Now().Unix(), "exp": w.clock.Now().Unix() + 60,
	}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	token, err := w.idp.Sign(provider.KindAccess, "webc_1", nil, claims, how)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) good() string { return w.token(provider.Signing{}, nil) }

func (w *world) do(method, path, authorization, body string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(text)
}

func TestNewAPINeedsAnIssuer(t *testing.T) {
	if _, err := dev.NewAPI(dev.APIConfig{Issuer: "http://127.0.0.1"}); !errors.Is(err, dev.ErrNoIssuer) {
		t.Errorf("got %v", err)
	}
}

func TestTokenRefused(t *testing.T) {
	w := start(t)
	short, err := provider.NewKey(provider.KeySpec{Type: "oct"})
	if err != nil {
		t.Fatal(err)
	}
	w.idp.AddKey(short)
	proper := provider.Signing{}
	crossed, err := w.idp.Sign(provider.KindAccess, "webc_1", map[string]any{"alg": "RS256"}, map[string]any{}, provider.Signing{Key: short})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"another issuer":         w.token(proper, map[string]any{"iss": w.idp.Issuer() + "/"}),
		"another audience":       w.token(proper, map[string]any{"aud": "webc_2"}),
		"no audience":            w.token(proper, map[string]any{"aud": nil}),
		"no subject":             w.token(proper, map[string]any{"sub": nil}),
		"no end":                 w.token(proper, map[string]any{"exp": nil}),
		"an end that has passed": w.token(proper, map[string]any{"exp": w.clock.Now().Unix() - 1}),
		"a start to come":        w.token(proper, map[string]any{"nbf": w.clock.Now().Unix() + 60}),
		"no signature":           w.token(provider.Signing{Mode: provider.SignNone}, nil),
		"a public key as HMAC":   w.token(provider.Signing{Mode: provider.SignWithPublicPEM}, nil),
		"a published HMAC key":   w.token(provider.Signing{Key: short}, nil),
		"a stolen kid":           w.token(provider.Signing{Mode: provider.SignWithStolenKID}, nil),
		"claims changed":         w.token(provider.Signing{Mode: provider.SignTampered}, nil),
		"an unknown key":         w.token(provider.Signing{Mode: provider.SignWithUnknownKey}, nil),
		"no JWT":                 "opaque",
		"a key of another type":  crossed,
	} {
		t.Run("a token with "+name, func(t *testing.T) {
			res, _ := w.do("GET", "/api/orders", "Bearer "+token, "")
			if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
				t.Errorf("got %d %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestTokenMissing(t *testing.T) {
	w := start(t)
	for _, authorization := range []string{"", "Bearer", "Basic dTpw", w.good()} {
		res, _ := w.do("GET", "/api/whoami", authorization, "")
		if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("got %d %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
	}
	if res, _ := w.do("GET", "/api/public", "", ""); res.StatusCode != 200 {
		t.Errorf("public: %d", res.StatusCode)
	}
	if w.api.Hits() != 5 || len(w.api.Recorded()) != 5 || w.api.Recorded()[4].Path != "/api/public" {
		t.Errorf("recorded %d: %v", w.api.Hits(), w.api.Recorded())
	}
}

func TestTokenAccepted(t *testing.T) {
	w := start(t)
	ec, err := provider.NewKey(provider.KeySpec{Type: "EC"})
	if err != nil {
		t.Fatal(err)
	}
	w.idp.AddKey(ec)
	for name, token := range map[string]string{"RS256": w.good(), "ES256": w.token(provider.Signing{Key: ec}, nil)} {
		t.Run("a token by "+name, func(t *testing.T) {
			if res, body := w.do("GET", "/api/orders", "bearer "+token, ""); res.StatusCode != 200 {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
		})
	}
	w.clock.Move(2 * time.Minute)
	if _, err := w.idp.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	if res, body := w.do("GET", "/api/orders", "Bearer "+w.good(), ""); res.StatusCode != 200 {
		t.Errorf("after a key rotation: %d %s", res.StatusCode, body)
	}
}

func TestForgedKeyIDsDoNotHammerTheProvider(t *testing.T) {
	w := start(t)
	w.do("GET", "/api/orders", "Bearer "+w.good(), "")
	forged := w.token(provider.Signing{Mode: provider.SignWithUnknownKey}, nil)
	for range 10 {
		w.do("GET", "/api/orders", "Bearer "+forged, "")
	}
	if n := w.idp.Count(provider.Keys); n != 1 {
		t.Errorf("%d key set requests, want 1", n)
	}
}

func TestKeysUnreachable(t *testing.T) {
	w := start(t)
	token := w.good()
	w.idp.Stop()
	if res, _ := w.do("GET", "/api/orders", "Bearer "+token, ""); res.StatusCode != 503 {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestOrdersBelongToTheirSubject(t *testing.T) {
	w := start(t)
	ada, grace := "Bearer "+w.good(), "Bearer "+w.token(provider.Signing{}, map[string]any{"sub": "usr_1002"})
	res, body := w.do("POST", "/api/orders", ada, `{"item":"coat","quantity":2}`)
	var placed dev.Order
	if err := json.Unmarshal([]byte(body), &placed); err != nil || res.StatusCode != 201 || placed.ID == "" || placed.Quantity != 2 {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	if _, body := w.do("GET", "/api/orders", ada, ""); !strings.Contains(body, placed.ID) {
		t.Errorf("Ada sees %s", body)
	}
	if _, body := w.do("GET", "/api/orders", grace, ""); strings.TrimSpace(body) != `{"orders":[]}` {
		t.Errorf("Grace sees %s", body)
	}
	for _, bad := range []string{`{"item":"","quantity":1}`, `{"item":"x","quantity":0}`, `[]`, ``} {
		if res, _ := w.do("POST", "/api/orders", ada, bad); res.StatusCode != 400 {
			t.Errorf("%s: %d", bad, res.StatusCode)
		}
	}
}

func TestWhoamiHidesTheToken(t *testing.T) {
	for name, echo := range map[string]bool{"hides": false, "shows": true} {
		t.Run("an API that "+name+" tokens", func(t *testing.T) {
			w := start(t, func(c *dev.APIConfig) { c.EchoTokens = echo })
			token := w.good()
			_, body := w.do("PUT", "/api/whoami?a=1;b=2", "Bearer "+token, "")
			var who dev.Whoami
			if err := json.Unmarshal([]byte(body), &who); err != nil {
				t.Fatal(err)
			}
			if who.Method != "PUT" || who.Path != "/api/whoami" || who.Query != "a=1;b=2" || who.Sub != "usr_1001" {
				t.Errorf("got %+v", who)
			}
			if strings.Contains(body, token) != echo || !strings.HasPrefix(who.Headers.Get("Authorization"), "Bearer") {
				t.Errorf("Authorization %q", who.Headers.Get("Authorization"))
			}
		})
	}
}

// sighting asks whoami with a token that has these claims, and is issued and ends as said, in seconds from now.
func (w *world) sighting(issued, ends int64, changes map[string]any) dev.Sighting {
	w.t.Helper()
	now := w.clock.Now().Unix()
	changes["iat"], changes["exp"] = now+issued, now+ends
	_, body := w.do("GET", "/api/whoami", "Bearer "+w.token(provider.Signing{}, changes), "")
	var who dev.Whoami
	if err := json.Unmarshal([]byte(body), &who); err != nil {
		w.t.Fatal(err)
	}
	return who.Token
}

func TestTokensAreNumberedFromTheirSignIn(t *testing.T) {
	w := start(t)
	ada := func(jti string) map[string]any {
		return map[string]any{"jti": jti, "client_id": "webc_1", "sid": "ses_1", "auth_time": 1}
	}
	with := func(claim string, value any) map[string]any {
		c := ada("t9")
		c[claim] = value
		return c
	}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   int
	}{
		{"the first", ada("t1"), 1},
		{"the first again", ada("t1"), 1},
		{"a renewed one", ada("t2"), 2},
		{"the first, come late", ada("t1"), 1},
		{"one of another user", with("sub", "usr_1002"), 1},
		{"one of another app", with("client_id", "webc_2"), 1},
		{"one of another session", with("sid", "ses_2"), 1},
		{"one of a later sign-in", with("auth_time", 2), 1},
		{"one without a name", with("jti", nil), 3},
		{"a third", ada("t3"), 4},
	} {
		got := w.sighting(-8, 52, tt.claims)
		if want := (dev.Sighting{Number: tt.want, Age: 8, ExpiresIn: 52}); got != want {
			t.Errorf("a token that is %s: %+v, want %+v", tt.name, got, want)
		}
	}
}

func TestSignInsThatWereQuietForLongestAreForgotten(t *testing.T) {
	w := start(t)
	of := func(sid int, jti string) map[string]any { return map[string]any{"jti": jti, "sid": fmt.Sprint(sid)} }
	w.sighting(0, 3600, of(0, "a"))
	w.clock.Move(time.Second)
	for sid := 1; sid <= 1000; sid++ {
		w.sighting(0, 3600, of(sid, "a"))
	}
	if got := w.sighting(0, 3600, of(1000, "b")); got.Number != 2 {
		t.Errorf("the last one is forgotten: %+v", got)
	}
	if got := w.sighting(0, 3600, of(0, "b")); got.Number != 1 {
		t.Errorf("the first one is remembered: %+v", got)
	}
}

func TestAFirstLookFindsSamples(t *testing.T) {
	w := start(t, func(c *dev.APIConfig) { c.Samples = true })
	read := func(sub string) (list struct{ Orders []dev.Order }) {
		_, body := w.do("GET", "/api/orders", "Bearer "+w.token(provider.Signing{}, map[string]any{"sub": sub}), "")
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	ada, grace := read("usr_1001").Orders, read("usr_1002").Orders
	if len(ada) != 3 || len(grace) != 3 || ada[0].ID == grace[0].ID || !ada[0].PlacedAt.Before(w.clock.Now()) {
		t.Errorf("Ada has %v, Grace %v", ada, grace)
	}
	if again := read("usr_1001").Orders; len(again) != 3 || again[2] != ada[2] {
		t.Errorf("a second look: %v", again)
	}
}

func TestStatus(t *testing.T) {
	w := start(t)
	for path, want := range map[string]int{
		"/api/status/204": 204, "/api/status/418": 418, "/api/status/503": 503,
		"/api/status/99": 400, "/api/status/x": 400,
	} {
		for _, method := range []string{"GET", "POST"} {
			if res, _ := w.do(method, path, "Bearer "+w.good(), ""); res.StatusCode != want {
				t.Errorf("%s %s: %d", method, path, res.StatusCode)
			}
		}
	}
}

func TestSlow(t *testing.T) {
	w := start(t)
	before := time.Now()
	if res, _ := w.do("GET", "/api/slow?ms=20", "Bearer "+w.good(), ""); res.StatusCode != 200 || time.Since(before) < 20*time.Millisecond {
		t.Errorf("got %d after %v", res.StatusCode, time.Since(before))
	}
	for _, bad := range []string{"-1", "x", "999999999999"} {
		if res, _ := w.do("GET", "/api/slow?ms="+bad, "Bearer "+w.good(), ""); res.StatusCode != 400 {
			t.Errorf("ms=%s: %d", bad, res.StatusCode)
		}
	}
}

func TestStreamSendsEventsUntilTheClientLeaves(t *testing.T) {
	w := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/stream?ms=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.good())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("content type %q", res.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(res.Body)
	for n := 1; n <= 3; {
		if !lines.Scan() {
			t.Fatalf("stream ended: %v", lines.Err())
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if want := fmt.Sprintf(`{"n":%d,"sub":"usr_1001"}`, n); data != want {
				t.Errorf("got %s, want %s", data, want)
			}
			n++
		}
	}
}

func TestEchoStreamsWhileTheBodyArrives(t *testing.T) {
	w := start(t)
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/api/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.good())
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(send, "first")
		sent <- err
	}()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "first" || <-sent != nil {
		t.Fatalf("got %q: %v", buf, err)
	}
	go func() {
		_, err := io.WriteString(send, "second")
		_ = send.Close()
		sent <- err
	}()
	rest, err := io.ReadAll(res.Body)
	if err != nil || string(rest) != "second" || <-sent != nil {
		t.Errorf("got %q: %v", rest, err)
	}
}
