package idp_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"cloakroom/bff"
	"cloakroom/idp"
)

const wellKnown = "/.well-known/openid-configuration"

// start begins the tests' login and returns the authorization request's URL.
func start(ctx context.Context, c *idp.Client, extra url.Values) (*url.URL, error) {
	raw, err := c.AuthorizationURL(ctx, bff.AuthorizationRequest{State: "st", Nonce: nonce, Verifier: "verifier-secret", Extra: extra})
	if err != nil {
		return nil, err
	}
	return url.Parse(raw)
}

// shows DISC-4.3
func TestMetadataThatMayNotBeUsed(t *testing.T) {
	for _, tc := range []struct {
		with   string
		change func(p *provider, s *idp.Settings)
	}{
		{"one slash more in its issuer", func(p *provider, _ *idp.Settings) { p.meta["issuer"] = p.URL + "/" }},
		{"another issuer", func(p *provider, _ *idp.Settings) { p.meta["issuer"] = "https://evil.example" }},
		{"no issuer", func(p *provider, _ *idp.Settings) { delete(p.meta, "issuer") }},
		{"a token endpoint by plain http", func(p *provider, _ *idp.Settings) { p.meta["token_endpoint"] = "http://idp.example/token" }},
		{"an end_session endpoint by plain http", func(p *provider, _ *idp.Settings) { p.meta["end_session_endpoint"] = "http://idp.example/out" }},
		{"a script for an endpoint", func(p *provider, _ *idp.Settings) { p.meta["authorization_endpoint"] = "javascript:alert(1)" }},
		{"a password in an endpoint", func(p *provider, _ *idp.Settings) { p.meta["jwks_uri"] = "https://a:b@idp.example/keys" }},
		{"no token endpoint", func(p *provider, _ *idp.Settings) { delete(p.meta, "token_endpoint") }},
		{"a relative endpoint", func(p *provider, _ *idp.Settings) { p.meta["token_endpoint"] = "/token" }},
		{"an overriding endpoint by plain http", func(_ *provider, s *idp.Settings) { s.Endpoints.Token = "http://idp.example/token" }},
		{"more than a megabyte", func(p *provider, _ *idp.Settings) { p.meta["x"] = strings.Repeat("x", 2<<20) }},
		{"no JSON", func(p *provider, _ *idp.Settings) { p.replies(wellKnown, 200, "text/html", "<html>") }},
	} {
		t.Run("metadata with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			c := p.client(func(s *idp.Settings) { tc.change(p, s) })
			u, err := start(t.Context(), c, nil)
			if bff.CodeOf(err) != bff.CodeIDPUnavailable || u != nil {
				t.Errorf("got %v, %v", u, err)
			}
			if !p.alarmed("provider metadata refused") {
				t.Error("no alarm")
			}
		})
	}
}

// shows DISC-4.3
func TestMetadataFollowsNoRedirect(t *testing.T) {
	p := newProvider(t)
	p.handle("/moved", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, 200, p.copyMeta()) })
	p.handle(wellKnown, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/moved", http.StatusFound) })
	if _, err := start(t.Context(), p.client(nil), nil); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("got %v", err)
	}
	if p.count("/moved") != 0 {
		t.Error("followed")
	}
}

// shows DISC-4.3
func TestAProviderThatIsDownAtFirst(t *testing.T) {
	p := newProvider(t)
	good := p.handlers[wellKnown]
	p.replies(wellKnown, 503, "text/plain", "down")
	c := p.client(nil) // a gateway starts without its provider
	if p.count(wellKnown) != 0 {
		t.Error("asked before it was needed")
	}
	for range 50 {
		_, err := start(t.Context(), c, nil)
		e, ok := errors.AsType[*bff.Error](err)
		if !ok || e.Code != bff.CodeIDPUnavailable || e.RetryAfter <= 0 {
			t.Fatalf("got %v", err)
		}
	}
	if n := p.count(wellKnown); n != 1 {
		t.Errorf("%d requests while it was down, want 1", n)
	}
	p.handle(wellKnown, good)
	p.add(10 * time.Second)
	if _, err := start(t.Context(), c, nil); err != nil {
		t.Errorf("not healed: %v", err)
	}
}

// shows DISC-4.3
func TestTheLastGoodMetadataIsKept(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := start(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 2) // one fetch each
	p.handle(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		asked <- struct{}{}
	})
	p.add(59 * time.Minute)
	if _, err := start(t.Context(), c, nil); err != nil || p.count(wellKnown) != 1 {
		t.Errorf("within the hour: %v after %d requests", err, p.count(wellKnown))
	}
	p.add(2 * time.Minute)
	if _, err := start(t.Context(), c, nil); err != nil {
		t.Errorf("old copy not used: %v", err)
	}
	<-asked
	p.add(24 * time.Hour)
	if _, err := start(t.Context(), c, nil); err != nil {
		t.Errorf("old copy not used a day later: %v", err)
	}
}

func TestManyCallersFetchMetadataOnce(t *testing.T) {
	p := newProvider(t)
	good, gate := p.handlers[wellKnown], make(chan struct{})
	p.handle(wellKnown, func(w http.ResponseWriter, r *http.Request) { <-gate; good(w, r) })
	c := p.client(nil)
	// The first caller gives up; the fetch it began serves the others.
	first, giveUp := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := start(first, c, nil); gone <- err }()
	giveUp()
	if err := <-gone; err == nil {
		t.Error("no error for who gave up")
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := start(t.Context(), c, nil); err != nil {
				t.Error(err)
			}
		})
	}
	close(gate)
	all.Wait()
	if n := p.count(wellKnown); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// shows DISC-4.3
func TestIssuersKeepTheirPathAndSlash(t *testing.T) {
	for _, path := range []string{"/dex", "/api/oidc/"} {
		t.Run("an issuer with the path "+path, func(t *testing.T) {
			p := newProvider(t)
			p.handlers[strings.TrimSuffix(path, "/")+wellKnown] = p.handlers[wellKnown]
			p.meta["issuer"] = p.URL + path
			p.givesID(p.idToken(map[string]any{"iss": p.URL + path}))
			if _, err := exchange(t, p.client(func(s *idp.Settings) { s.Issuer = p.URL + path })); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPlainHTTPElsewhereNeedsASetting(t *testing.T) {
	p := newProvider(t)
	insecure := strings.Replace(p.URL, "127.0.0.1", "idp.example", 1)
	set := func(s *idp.Settings) {
		s.Issuer, s.InsecureHTTP = insecure, true
		// Whatever the name, the test's provider answers: no name is looked up.
		s.DialContext = p.dial
	}
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"} {
		p.meta[name] = strings.Replace(p.meta[name].(string), "127.0.0.1", "idp.example", 1)
	}
	if _, err := start(t.Context(), p.client(set), nil); err != nil {
		t.Errorf("with the setting: %v", err)
	}
	strict := p.client(func(s *idp.Settings) { set(s); s.InsecureHTTP = false })
	if _, err := start(t.Context(), strict, nil); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("without it: %v", err)
	}
}

func TestAProviderWithACertificateOfItsOwn(t *testing.T) {
	p := newProvider(t)
	tls := httptest.NewTLSServer(http.HandlerFunc(p.serve))
	t.Cleanup(tls.Close)
	for name, v := range p.meta {
		if s, ok := v.(string); ok {
			p.meta[name] = strings.Replace(s, p.URL, tls.URL, 1)
		}
	}
	pool := x509.NewCertPool()
	pool.AddCert(tls.Certificate())
	p.givesID(p.idToken(map[string]any{"iss": tls.URL}))
	if _, err := exchange(t, p.client(func(s *idp.Settings) { s.Issuer, s.RootCAs = tls.URL, pool })); err != nil {
		t.Error(err)
	}
	_, err := exchange(t, p.client(func(s *idp.Settings) { s.Issuer = tls.URL }))
	if bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("an unknown authority: %v", err)
	}
}

// shows JWKS-ROT, SCALEKIT-K8
func TestRotatedKeysAreFetchedOnce(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	p.setKeys(jwkOf("r2", &rsaTwo().PublicKey))
	p.givesID(sign(header("RS256", "r2"), encode(p.claims(nil)), byRSA(rsaTwo(), crypto.SHA256)))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := exchange(t, c); err != nil {
				t.Errorf("after the rotation: %v", err)
			}
		})
	}
	all.Wait()
	if n := p.count("/keys"); n != 2 {
		t.Errorf("%d key fetches, want 2", n)
	}
}

// shows JWKS-ROT
func TestAKeyThatIsReplacedUnderItsName(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	p.setKeys(jwkOf("r1", &rsaTwo().PublicKey))
	p.givesID(sign(header("RS256", "r1"), encode(p.claims(nil)), byRSA(rsaTwo(), crypto.SHA256)))
	if _, err := exchange(t, c); err != nil {
		t.Error(err)
	}
}

// shows JWKS-ROT, SCALEKIT-K8
func TestUnknownKeysAreNoAmplifier(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	refuse := func(from, to int) {
		for i := from; i < to; i++ {
			p.givesID(signRS256(header("RS256", fmt.Sprint("random", i)), encode(p.claims(nil))))
			if _, err := exchange(t, c); err == nil {
				t.Fatal("accepted under an unknown key")
			}
		}
	}
	refuse(0, 100)
	if n := p.count("/keys"); n != 2 {
		t.Errorf("%d key fetches, want the first and one more", n)
	}
	p.add(31 * time.Second)
	refuse(100, 120)
	if n := p.count("/keys"); n != 3 {
		t.Errorf("%d key fetches in the next interval, want one more", n)
	}
}

// shows JWKS-ROT
func TestKeysSurviveAnOutage(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []struct{ media, body string }{{"text/plain", "down"}, {"application/json", `{"keys":[]}`}} {
		p.replies("/keys", 500, bad.media, bad.body)
		p.add(2 * time.Hour)
		p.givesTokens(nil)
		if _, err := exchange(t, c); err != nil {
			t.Errorf("cached keys not used: %v", err)
		}
	}
	p.givesID(signRS256(header("RS256", "new"), encode(p.claims(nil))))
	if _, err := exchange(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("an unknown key while keys cannot be asked: %v", err)
	}
}

// shows PKCE-7.2
func TestProvidersWithoutS256(t *testing.T) {
	for _, tc := range []struct {
		with  string
		lists any
		known bool
		good  bool
	}{
		{"plain alone", []string{"plain"}, false, false},
		{"no list of methods", nil, false, false},
		{"S256 in small letters", []string{"s256"}, false, false},
		{"plain alone, and a setting that knows better", []string{"plain"}, true, true},
		{"both", []string{"plain", "S256"}, false, true},
	} {
		t.Run("a provider with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			delete(p.meta, "code_challenge_methods_supported")
			if tc.lists != nil {
				p.meta["code_challenge_methods_supported"] = tc.lists
			}
			u, err := start(t.Context(), p.client(func(s *idp.Settings) { s.PKCEKnown = tc.known }), nil)
			if !tc.good {
				if bff.CodeOf(err) != bff.CodeIDPUnavailable || !p.alarmed("provider without PKCE") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || u.Query().Get("code_challenge_method") != "S256" {
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
}

// shows PKCE-4.1, PARAM-1
func TestAuthorizationRequests(t *testing.T) {
	p := newProvider(t)
	p.meta["authorization_endpoint"] = p.URL + "/authorize?tenant=1"
	hour := 3600
	c := p.client(func(s *idp.Settings) {
		s.Prompt = "consent"
		s.ParamNames = map[string][]string{"domain_hint": {"domain_hint", "domain"}, "social_provider": {"provider"}}
	})
	raw, err := c.AuthorizationURL(t.Context(), bff.AuthorizationRequest{
		State: "st", Nonce: nonce, Verifier: "verifier-secret", MaxAge: &hour,
		Extra: url.Values{
			"login_hint": {"a@b.c"}, "domain_hint": {"acme.com"}, "social_provider": {"google"},
			"redirect_uri": {"https://evil.example"}, "scope": {"admin"}, "request_uri": {"x"}, "response_mode": {"fragment"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(raw)
	want := url.Values{
		"tenant": {"1"}, "response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirect},
		"scope": {"openid profile offline_access"}, "state": {"st"}, "nonce": {nonce}, "max_age": {"3600"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier("verifier-secret")}, "code_challenge_method": {"S256"},
		"prompt": {"consent"}, "login_hint": {"a@b.c"}, "domain_hint": {"acme.com"}, "domain": {"acme.com"}, "provider": {"google"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if strings.Contains(raw, "verifier-secret") {
		t.Error("the verifier is in the URL")
	}
	if u, err = start(t.Context(), c, url.Values{"prompt": {"login"}}); err != nil || u.Query().Get("prompt") != "login" {
		t.Errorf("a login that names its prompt: %v, %v", u, err)
	}
	for _, r := range []bff.AuthorizationRequest{{Nonce: "n", Verifier: "v"}, {State: "s", Verifier: "v"}, {State: "s", Nonce: "n"}} {
		if _, err := c.AuthorizationURL(t.Context(), r); bff.CodeOf(err) != bff.CodeInternal {
			t.Errorf("a request that binds nothing: %v", err)
		}
	}
}

// What the configuration sends with every sign-in gives way to what one asks for itself, under whatever name the provider knows
// it by, and never takes the place of what ties an answer to its request.
//
// shows PARAM-1 (configured)
func TestParametersOfEverySignIn(t *testing.T) {
	p := newProvider(t)
	c := p.issuer(func(s *idp.Settings) {
		s.ParamNames = map[string][]string{"social_provider": {"provider"}}
	}).Client(idp.ClientSettings{
		ClientID: clientID, Secret: bff.NewSecret(secret), RedirectURI: redirect, Scopes: []string{"openid"},
		Authorize: map[string]string{
			"audience": "https://api.example.com?a=b&c", "access_type": "", "provider": "github", "acr_values": "low",
			"state": "x", "nonce": "x", "redirect_uri": "https://evil.example", "code_challenge_method": "plain", "request": "x", "resource": "x",
		},
	})
	for with, tc := range map[string]struct {
		asks url.Values
		want map[string]string
	}{
		"nothing of its own": {nil, map[string]string{"audience": "https://api.example.com?a=b&c", "provider": "github", "acr_values": "low"}},
		"values of its own": {
			url.Values{"social_provider": {"google"}, "acr_values": {"high"}},
			map[string]string{"audience": "https://api.example.com?a=b&c", "provider": "google", "acr_values": "high"},
		},
	} {
		u, err := start(t.Context(), c, tc.asks)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"response_type": "code", "client_id": clientID, "redirect_uri": redirect, "scope": "openid", "state": "st", "nonce": nonce,
			"code_challenge": oauth2.S256ChallengeFromVerifier("verifier-secret"), "code_challenge_method": "S256",
		}
		maps.Copy(want, tc.want)
		got := make(map[string]string)
		for name, values := range u.Query() {
			got[name] = strings.Join(values, " and ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a sign-in with %s (-want +got):\n%s", with, diff)
		}
	}
}

// Where sessions are tied together by when their user signed in, every sign-in asks for that; the answer is held against no
// age that nobody asked for.
//
// shows PARAM-1
func TestSignInsThatTellWhen(t *testing.T) {
	p := newProvider(t)
	zero := 0
	for _, tc := range []struct {
		with  string
		tied  bool
		asked *int
		want  string
	}{
		{"sessions that nothing of the kind ties", false, nil, ""},
		{"sessions tied by it", true, nil, "315360000"},
		{"sessions tied by it, and an age that was asked for", true, &zero, "0"},
	} {
		c := p.client(func(s *idp.Settings) { s.AskAuthTime = tc.tied })
		raw, err := c.AuthorizationURL(t.Context(), bff.AuthorizationRequest{State: "st", Nonce: nonce, Verifier: "v", MaxAge: tc.asked})
		u, _ := url.Parse(raw)
		if err != nil || u.Query().Get("max_age") != tc.want || u.Query().Has("max_age") != (tc.want != "") {
			t.Errorf("a provider with %s: %v %s", tc.with, err, raw)
		}
	}
}

// shows CB-ISS-1
func TestIssOfAuthorizationAnswers(t *testing.T) {
	for _, tc := range []struct {
		with      string
		announced bool
		policy    string
		iss       func(p *provider) string
		good      bool
	}{
		{"the right iss, announced", true, "", func(p *provider) string { return p.URL }, true},
		{"no iss although announced", true, "", func(*provider) string { return "" }, false},
		{"another issuer", true, "", func(*provider) string { return "https://evil.example" }, false},
		{"one slash more", true, "", func(p *provider) string { return p.URL + "/" }, false},
		{"the configured custom domain", true, "", func(*provider) string { return "https://auth.acme.com" }, true},
		{"a domain that is nearly the custom one", true, "", func(*provider) string { return "https://auth.acme.com.evil.example" }, false},
		{"no iss, none announced", false, "", func(*provider) string { return "" }, true},
		{"another issuer, none announced", false, "", func(*provider) string { return "https://evil.example" }, false},
		{"the right iss, none announced", false, "", func(p *provider) string { return p.URL }, true},
		{"the right iss, none announced, and a setting to refuse that", false, idp.IssRefuse, func(p *provider) string { return p.URL }, false},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.meta["authorization_response_iss_parameter_supported"] = tc.announced
			err := p.client(func(s *idp.Settings) {
				s.IssUnannounced, s.Issuers = tc.policy, []string{"https://auth.acme.com"}
			}).CheckIssuer(t.Context(), tc.iss(p))
			if tc.good != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if rule, ok := errors.AsType[*idp.RuleError](err); err != nil && (!ok || rule.Rule != idp.RuleAnswerIssuer) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// shows RPL-2
func TestEndingTheProvidersSession(t *testing.T) {
	p := newProvider(t)
	got, err := p.client(nil).EndSession(t.Context(), bff.NewSecret("id-token"), "https://app.example.com/bff/logged-out", "st")
	if err != nil {
		t.Fatal(err)
	}
	want := &bff.EndSessionRequest{URL: p.URL + "/logout", Post: true, Values: url.Values{
		"client_id": {clientID}, "id_token_hint": {"id-token"}, "state": {"st"},
		"post_logout_redirect_uri": {"https://app.example.com/bff/logged-out"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	scalekit := p.client(func(s *idp.Settings) { s.LogoutByRedirect, s.Endpoints.EndSession = true, p.URL+"/oidc/logout" })
	got, err = scalekit.EndSession(t.Context(), bff.Secret{}, "", "")
	want = &bff.EndSessionRequest{URL: p.URL + "/oidc/logout", Values: url.Values{"client_id": {clientID}}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("by redirect, without hint: %v (-want +got):\n%s", err, diff)
	}
	delete(p.meta, "end_session_endpoint")
	if got, err := p.client(nil).EndSession(t.Context(), bff.Secret{}, "", ""); got != nil || err != nil {
		t.Errorf("a provider without the endpoint: %v, %v", got, err)
	}
}
