package idp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.SHA512
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"
)

// The app at the provider, and the login that most tests complete. The secret has every character that form encoding
// changes.
const (
	clientID = "web:1"
	secret   = "a:b%+ é"
	redirect = "https://app.example.com/bff/callback"
	nonce    = "nonce-of-this-login"
	subject  = "usr_1"
)

// epoch is where the tests' clocks begin.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that moves by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// request is one request that the provider got.
type request struct {
	path   string
	header http.Header
	form   url.Values
	remote string
}

// provider is a tiny OpenID provider whose every answer a test may change.
type provider struct {
	*httptest.Server
	t testing.TB
	*clock

	mu       sync.Mutex
	meta     map[string]any
	keys     []map[string]any
	handlers map[string]http.HandlerFunc
	got      []request
	alarms   []string
	logged   strings.Builder
}

// newProvider starts a provider with one RSA key, named r1.
func newProvider(t testing.TB) *provider {
	p := &provider{t: t, clock: &clock{at: epoch}, handlers: map[string]http.HandlerFunc{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	p.meta = map[string]any{
		"issuer":                                p.URL,
		"authorization_endpoint":                p.URL + "/authorize",
		"token_endpoint":                        p.URL + "/token",
		"jwks_uri":                              p.URL + "/keys",
		"userinfo_endpoint":                     p.URL + "/userinfo",
		"revocation_endpoint":                   p.URL + "/revoke",
		"end_session_endpoint":                  p.URL + "/logout",
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"},
	}
	p.keys = []map[string]any{jwkOf("r1", &rsaOne().PublicKey)}
	p.handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 200, p.copyMeta()) })
	p.handle("/keys", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 200, map[string]any{"keys": p.copyKeys()}) })
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 200, p.tokens(nil)) })
	p.handle("/revoke", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	p.mu.Lock()
	p.got = append(p.got, request{r.URL.Path, r.Header.Clone(), form, r.RemoteAddr})
	h := p.handlers[r.URL.Path]
	p.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h(w, r)
}

func (p *provider) handle(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[path] = h
}

// replies makes a path answer with one status, content type and body.
func (p *provider) replies(path string, status int, contentType, body string) {
	p.handle(path, func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (p *provider) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *provider) copyMeta() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.meta)
}

func (p *provider) copyKeys() []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]map[string]any{}, p.keys...)
}

func (p *provider) setKeys(keys ...map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// requests returns what came to a path.
func (p *provider) requests(path string) (found []request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.got {
		if r.path == path {
			found = append(found, r)
		}
	}
	return found
}

func (p *provider) count(path string) int { return len(p.requests(path)) }

// claims are those of a good ID token, changed by change: a nil value removes one.
func (p *provider) claims(change map[string]any) map[string]any {
	now := p.now().Unix()
	c := map[string]any{
		"iss": p.URL, "aud": clientID, "sub": subject, "nonce": nonce, "sid": "ses_1", "iat": now, "exp": now + 1800,
		"auth_time": now - 5, "acr": "basic", "name": "Ada", "email": "ada@example.com", "internal": "not kept",
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// idToken signs a good ID token with changed claims.
func (p *provider) idToken(change map[string]any) string {
	return signRS256(header("RS256", "r1"), encode(p.claims(change)))
}

// tokens is a good token answer, changed by change.
func (p *provider) tokens(change map[string]any) map[string]any {
	a := map[string]any{
		"access_token": "at-secret-1", "refresh_token": "rt-secret-2", "token_type": "bearer", "expires_in": 300,
		"scope": "openid profile", "id_token": p.idToken(nil),
	}
	maps.Copy(a, change)
	maps.DeleteFunc(a, func(_ string, v any) bool { return v == nil })
	return a
}

// givesTokens makes the token endpoint answer with a changed good answer.
func (p *provider) givesTokens(change map[string]any) {
	p.handle("/token", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 200, p.tokens(change)) })
}

// givesID makes the token endpoint answer with this ID token.
func (p *provider) givesID(token string) { p.givesTokens(map[string]any{"id_token": token}) }

// Write takes the log, which no test may find a secret in.
func (p *provider) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logged.Write(b)
}

func (p *provider) alarm(_ context.Context, what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alarms = append(p.alarms, what)
	fmt.Fprintf(&p.logged, "%s: %+v\n", what, err)
}

func (p *provider) alarmed(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.alarms {
		if a == what {
			return true
		}
	}
	return false
}

// issuer makes the Issuer under test.
func (p *provider) issuer(change func(*idp.Settings)) *idp.Issuer {
	set := idp.Settings{Name: "main", Issuer: p.URL, HTTPTimeout: 5 * time.Second}
	if change != nil {
		change(&set)
	}
	is := idp.NewIssuer(set, p.now, slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelDebug})), p.alarm)
	p.t.Cleanup(func() { drain(p.t, is) })
	return is
}

// client makes the app's client under test.
func (p *provider) client(change func(*idp.Settings)) *idp.Client { return register(p.issuer(change)) }

func register(is *idp.Issuer) *idp.Client {
	return is.Client(idp.ClientSettings{
		ClientID: clientID, Secret: bff.NewSecret(secret), RedirectURI: redirect,
		Scopes: []string{"openid", "profile", "offline_access"}, StoredClaims: []string{"sub", "name", "email", "picture"},
	})
}

func drain(t testing.TB, is *idp.Issuer) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := is.Drain(ctx); err != nil {
		t.Errorf("waiting for work beside requests: %v", err)
	}
}

// exchange completes the tests' login.
func exchange(t testing.TB, c *idp.Client) (*bff.Grant, error) {
	return c.Exchange(t.Context(), bff.CodeExchange{Code: bff.NewSecret("code-secret"), Verifier: "verifier-secret", Nonce: nonce})
}

var (
	rsaOne   = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	rsaTwo   = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(2048) })
	rsaSmall = sync.OnceValue(func() *rsa.PrivateKey { return newRSA(1024) })
	ecOne    = sync.OnceValue(func() *ecdsa.PrivateKey {
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		return k
	})
	edOne = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, _ := ed25519.GenerateKey(rand.Reader)
		return k
	})
)

func newRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// jwkOf publishes a key.
func jwkOf(kid string, key any) map[string]any {
	k := map[string]any{"use": "sig"}
	if kid != "" {
		k["kid"] = kid
	}
	switch pub := key.(type) {
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, _ := pub.Bytes()
		k["kty"], k["crv"], k["x"], k["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", b64(pub)
	}
	return k
}

// with returns a copy of a published key with other members; nil removes one.
func with(k map[string]any, change map[string]any) map[string]any {
	k = maps.Clone(k)
	maps.Copy(k, change)
	maps.DeleteFunc(k, func(_ string, v any) bool { return v == nil })
	return k
}

func header(alg, kid string) string {
	h := map[string]any{"alg": alg, "typ": "JWT"}
	if kid != "" {
		h["kid"] = kid
	}
	return encode(h)
}

// sign makes a compact JWS of header and payload as they stand.
func sign(header, payload string, by func(signed []byte) []byte) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	return signed + "." + b64(by([]byte(signed)))
}

func signRS256(header, payload string) string {
	return sign(header, payload, byRSA(rsaOne(), crypto.SHA256))
}

func byRSA(k *rsa.PrivateKey, h crypto.Hash) func([]byte) []byte {
	return func(signed []byte) []byte {
		sum := h.New()
		sum.Write(signed)
		s, err := rsa.SignPKCS1v15(rand.Reader, k, h, sum.Sum(nil))
		if err != nil {
			panic(err)
		}
		return s
	}
}

func byEC(k *ecdsa.PrivateKey) func([]byte) []byte {
	return func(signed []byte) []byte {
		sum := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func byEd(k ed25519.PrivateKey) func([]byte) []byte {
	return func(signed []byte) []byte { return ed25519.Sign(k, signed) }
}

func byHMAC(key []byte) func([]byte) []byte {
	return func(signed []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(signed)
		return m.Sum(nil)
	}
}

// atHash is the at_hash of an access token for RS256.
func atHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return b64(sum[:16])
}

// dial reaches the provider under every name.
func (p *provider) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, p.Listener.Addr().String())
}

// discard takes what a server says of connections that a test broke.
func discard() *log.Logger { return log.New(io.Discard, "", 0) }
