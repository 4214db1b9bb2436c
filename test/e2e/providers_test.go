//go:build integration

package e2e_test

import (
	"cmp"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/world"
)

// shape is a product as its relying parties see it: our own provider, bent.
type shape struct {
	name     string
	path     string              // of the issuer
	settings string              // of the configuration, beside the issuer
	auth     provider.AuthMethod // default client_secret_basic
	clock    time.Duration       // how far its clock is ahead
	audience []string            // of access tokens
	key      provider.KeySpec
	behave   func(*provider.Behaviour)
	front    func(t *testing.T, p *provider.Provider) (issuer, settings string) // what stands before it
	between  func(t *testing.T, w *world.World)                                 // happens between sign-in and refresh
	briefly  bool                                                               // gives no refresh token
	noReturn bool                                                               // has no end_session endpoint to come back from
	untied   bool                                                               // gives nothing to tie apps by, so that the operator is told once
}

func shapes() []shape {
	return []shape{
		{
			name: "like Keycloak", path: "/realms/acme", audience: []string{"account"},
			key: provider.KeySpec{Type: "EC"},
			// The fixture gives refresh tokens for offline_access only; Keycloak gives them without.
			settings: "preset: keycloak, scopes: [openid, profile, email, offline_access]",
			behave:   keycloak,
		},
		{
			name: "like Auth0, whose issuer ends in a slash", path: "/", untied: true,
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.OpaqueAccess, b.SIDs, b.NoRotation, b.IDTokenOnRefresh = true, true, provider.NoSID, true, true
				b.Spent = refusal(403, `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`)
			},
		},
		{
			name: "like Entra ID", path: "/8f6c/v2.0", settings: "preset: entra", untied: true,
			behave: func(b *provider.Behaviour) { entra(b); b.Spent = aadsts("invalid_grant") },
		},
		{
			name: "like Entra ID that wants the user back", path: "/8f6c/v2.0", settings: "preset: entra", untied: true,
			behave: func(b *provider.Behaviour) { entra(b); b.Spent = aadsts("interaction_required") },
		},
		{
			name: "like Dex", path: "/dex", settings: "preset: dex", noReturn: true, untied: true,
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.SIDs, b.IDTokenOnRefresh, b.ReuseSpares, b.TokenType = true, provider.NoSID, true, true, "bearer"
				b.Spent = refusal(400, `{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}`)
				b.EditDiscovery = without("revocation_endpoint", "end_session_endpoint")
			},
		},
		{
			name: "like Hydra", settings: "preset: hydra",
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.OpaqueAccess, b.IDTokenOnRefresh, b.TokenType = true, true, true, "bearer"
				b.IDClaims = map[string]any{"azp": nil, "client_id": nil, "c_hash": nil, "oid": nil, "rat": 1}
			},
		},
		{
			name: "like Glewlwyd", path: "/api/oidc", settings: "preset: glewlwyd",
			behave: func(b *provider.Behaviour) { b.Spent = &provider.Answer{Status: 400} },
		},
		{
			name: "like Google, without consent to more than a sign-in", settings: "preset: google", briefly: true, noReturn: true, untied: true,
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.OpaqueAccess, b.SIDs = true, true, provider.NoSID
				b.IDClaims = map[string]any{"auth_time": nil, "hd": "example.com"}
				b.EditDiscovery = without("end_session_endpoint")
			},
		},
		{
			name: "like Okta, where nothing rotates", path: "/oauth2/default", audience: []string{"api://default"}, untied: true,
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.SIDs, b.IDTokenOnRefresh, b.NoRotation = true, provider.NoSID, true, true
				b.AccessClaims = map[string]any{"cid": "webc_1", "uid": "00u1", "ver": 1, "scp": []string{"openid"}, "scope": nil}
				b.EditTokenAnswer = sameRefreshToken()
			},
		},
		{
			name: "like oidc-provider as it comes", settings: "preset: oidc-provider, userinfo: true",
			behave: func(b *provider.Behaviour) {
				b.SIDs, b.OpaqueAccess, b.IDTokenOnRefresh, b.IDClaims = provider.SIDPerClient, true, true, nobody()
			},
		},
		{
			name: "like Zitadel, whose ID tokens are for the whole project", settings: `trusted_audiences: ["3045@acme", "3045"]`,
			behave: func(b *provider.Behaviour) {
				b.OmitIss, b.OpaqueAccess, b.IDTokenOnRefresh = true, true, true
				b.IDClaims = map[string]any{"aud": []string{"3045@acme", "webc_1", "3045"}}
			},
		},
		{
			name:   "that is loose with JSON",
			behave: loose,
		},
		{
			name: "whose clock is ahead", settings: "preset: scalekit", auth: provider.SecretPost, clock: 45 * time.Second,
			behave: func(b *provider.Behaviour) { b.IDTokenOnRefresh = true },
		},
		{
			name: "whose clock is behind", settings: "preset: scalekit", auth: provider.SecretPost, clock: -45 * time.Second,
			behave: func(b *provider.Behaviour) { b.IDTokenOnRefresh = true },
		},
		{
			name: "that says as little as it may", settings: "default_token_life: 1s", noReturn: true, untied: true,
			key:    provider.KeySpec{Alg: "PS256"},
			behave: minimal,
		},
		{
			name: "that leaves token_type out, and signs what it tells of people", settings: "userinfo: true",
			behave: func(b *provider.Behaviour) {
				b.Omit, b.IDTokenOnRefresh = []string{"token_type", "scope"}, true
				b.UserInfoForm, b.IDClaims = provider.AsJWT, nobody()
			},
		},
		{
			name: "like Scalekit behind a custom domain", settings: "preset: scalekit", auth: provider.SecretPost, front: customDomain,
		},
		{
			name: "that takes the secret in the form only", auth: provider.SecretPost,
			behave: func(b *provider.Behaviour) {
				b.EditDiscovery = func(doc map[string]any) {
					doc["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
				}
			},
		},
		{
			name: "that changes its keys in the middle", settings: "preset: scalekit", auth: provider.SecretPost,
			behave:  func(b *provider.Behaviour) { b.IDTokenOnRefresh = true },
			between: changeKeys,
		},
		{
			name: "with a certificate of one's own", front: privateCA, noReturn: true,
		},
		{
			name: "that answers a refresh with the same refresh token",
			behave: func(b *provider.Behaviour) {
				b.NoRotation, b.EditTokenAnswer = true, sameRefreshToken()
			},
		},
	}
}

// The main job, a bad hour of the provider, and the end of a grant that nobody told us of, at products that were built by
// others: their habits in answers, tokens and metadata are taken in stride.
//
// shows REF-6, REF-SOFT, REF-END
func TestProvidersOfEveryShape(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, 4) // worlds at once: they wait for tokens to end most of their time, also on two cores
	var all sync.WaitGroup
	for _, s := range shapes() {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run("a provider "+s.name, func(t *testing.T) { lifeAt(t, s) })
		})
	}
	all.Wait()
}

func lifeAt(t *testing.T, s shape) {
	w := shaped(t, s)
	w.Start(1)
	b := w.Browser()
	w.SignIn(b, "/")
	checkSession(t, w, b)
	called(w, b)
	if s.between != nil {
		s.between(t, w)
	}
	if s.briefly {
		endsWithToken(t, w, b)
	} else {
		renewed(t, w, b)
		badHour(t, w, b)
		revokedThere(t, w, b)
	}
	w.Dev.Set(func(b *provider.Behaviour) { b.AccessLife = time.Hour }) // what comes now is not about tokens that end
	w.SignIn(b, "/")
	called(w, b)
	end := world.Origin + "/"
	if s.noReturn {
		end += "bff/logged-out"
	}
	signOutTo(t, w, b, end)
	// What is a habit there is nothing for an operator to look at; nor was anything ignored on the quiet.
	want := 0
	if s.untied {
		want = 1
		w.All[0].AwaitLog("sso_by does not fit")
	}
	log := w.All[0].Log()
	if all, told := strings.Count(log, `"event":"alarm"`), strings.Count(log, "sso_by does not fit"); all != told || told != want {
		t.Errorf("%d alarms were raised, %d of them that nothing ties apps, want %d", all, told, want)
	}
	w.Leaks()
}

// shaped is a world around a provider of a shape, with an API that takes whatever access token the provider has issued.
func shaped(t *testing.T, s shape) *world.World {
	t.Helper()
	p := bent(t, s)
	issuer, settings := p.Issuer(), s.settings
	if s.front != nil {
		more := ""
		issuer, more = s.front(t, p)
		settings = strings.TrimPrefix(settings+", "+more, ", ")
	}
	api := httptest.NewServer(issuedBy(p))
	t.Cleanup(api.Close)
	return world.New(t, func(t *testing.T, w *world.World, o world.Options) {
		w.Dev = p
		w.OP = &world.OP{
			Name: s.name, Issuer: p.Issuer(), JWKS: p.URL("/keys"), Secrets: p.Issued, Grants: p.GrantCount, SignIn: pickUser,
			YAML: fmt.Sprintf("{issuer: %q, %s}", issuer, settings),
		}
	}, world.Options{Routes: fmt.Sprintf("  - {path: /svc/, upstream: %q, methods: [GET], token: user}", api.URL)})
}

// bent starts a provider of a shape.
func bent(t *testing.T, s shape) *provider.Provider {
	t.Helper()
	key, err := provider.NewKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	behaviour := provider.Behaviour{AccessLife: time.Second}
	if s.behave != nil {
		s.behave(&behaviour)
	}
	p, err := provider.New(provider.Config{
		IssuerPath: s.path, Key: key, Behaviour: behaviour, Now: func() time.Time { return time.Now().Add(s.clock) },
		Clients: []provider.Client{{
			ID: "webc_1", Secret: world.ClientSecret, Auth: cmp.Or(s.auth, provider.SecretBasic), Audience: s.audience,
			RedirectURIs: []string{world.Origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{world.Origin + "/bff/logged-out"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// pickUser signs in as Ada, unless the provider still knows her.
func pickUser(t *testing.T, b *browser.Browser, page *browser.Page) *browser.Page {
	t.Helper()
	if strings.HasPrefix(page.URL, world.Origin) {
		return page
	}
	form, err := page.Form("ada@example.com")
	if err != nil {
		t.Fatalf("%v: %s %s", err, page.URL, page.Text())
	}
	if page, err = b.SubmitForm(page, form, url.Values{"user": {"usr_1001"}}); err != nil {
		t.Fatal(err)
	}
	return page
}

// issuedBy is an API that lets in whoever has an access token of the provider, of whatever form, and nothing else of it.
func issuedBy(p *provider.Provider) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		for _, s := range p.Issued() {
			if ok && s.Kind == provider.KindAccess && s.Value == token {
				_, _ = w.Write([]byte("come in"))
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func called(w *world.World, b *browser.Browser) {
	w.T.Helper()
	w.Want(w.Fetch(b, "GET", "/svc/door", ""), 200)
}

// until calls the API until an answer is as wanted. Answers before that must be those of a session that is well.
func until(t *testing.T, w *world.World, b *browser.Browser, what string, holds func(*browser.Page) bool) *browser.Page {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; { // a failure that is remembered (3 s), and a busy machine
		p := w.Fetch(b, "GET", "/svc/door", "")
		switch {
		case holds(p):
			return p
		case p.Status != 200:
			t.Fatalf("waiting until %s: %d\n%.600s", what, p.Status, p.Body)
		case time.Now().After(deadline):
			t.Fatalf("it never came that %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// renewed calls the API until the provider has seen a refresh.
func renewed(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	until(t, w, b, "the token is refreshed", func(p *browser.Page) bool {
		return p.Status == 200 && w.Dev.GrantCount("refresh_token") > 0
	})
}

// badHour: the provider answers with 502, so the user is asked to wait and is still signed in; then all is well, by
// a refresh that sends what the first one brought.
func badHour(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	fault := w.Dev.Fault(provider.Token, provider.Fault{Status: 502, Body: "<html>Bad Gateway</html>", Times: provider.Always})
	p := until(t, w, b, "the outage is told", func(p *browser.Page) bool { return p.Status == 503 })
	wantCode(w, p, 503, "idp_unavailable")
	checkSession(t, w, b)
	fault.Remove()
	began := time.Now()
	for w.Fetch(b, "GET", "/svc/door", "").Status != 200 {
		if time.Since(began) > 15*time.Second { // a breaker that opened (5 s), and a busy machine
			t.Fatal("after the outage it is not well again")
		}
		<-time.After(50 * time.Millisecond)
	}
}

// revokedThere: the grant is revoked at the provider, which tells nobody; the next refresh ends the session at once.
func revokedThere(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	w.Dev.RevokeTokens("usr_1001", "webc_1")
	p := until(t, w, b, "the session has ended", func(p *browser.Page) bool { return p.Status != 200 })
	wantCode(w, p, 401, "session_ended")
	signedOut(t, w, b)
}

// endsWithToken: without a refresh token a session is as long as its access token.
func endsWithToken(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	p := until(t, w, b, "the session has ended", func(p *browser.Page) bool { return p.Status != 200 })
	wantCode(w, p, 401, "session_ended")
	signedOut(t, w, b)
	if got := w.Dev.GrantCount("refresh_token"); got != 0 {
		t.Errorf("%d refreshes without a refresh token", got)
	}
}

func signedOut(t *testing.T, w *world.World, b *browser.Browser) {
	t.Helper()
	if p := w.Want(w.Fetch(b, "GET", "/bff/session", ""), 200); !strings.Contains(string(p.Body), `"authenticated":false`) {
		t.Errorf("session: %s", p.Body)
	}
}

func refusal(status int, body string) *provider.Answer {
	return &provider.Answer{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

func without(members ...string) func(map[string]any) {
	return func(doc map[string]any) {
		for _, m := range members {
			delete(doc, m)
		}
	}
}

// keycloak has claims of its own in everything, and roles enough to fill six kilobytes.
func keycloak(b *provider.Behaviour) {
	b.IDTokenOnRefresh = true
	roles := make([]string, 0, 200)
	for i := range 200 {
		roles = append(roles, fmt.Sprintf("department-%03d-viewer", i))
	}
	b.IDClaims = map[string]any{"typ": "ID", "session_state": "0f9d"}
	b.AccessClaims = map[string]any{
		"typ": "Bearer", "session_state": "0f9d", "realm_access": map[string]any{"roles": roles}, "allowed-origins": []string{world.Origin},
	}
	b.EditTokenAnswer = func(answer map[string]any) {
		answer["refresh_expires_in"], answer["not-before-policy"], answer["session_state"] = 1800, 0, "0f9d"
	}
	b.Spent = refusal(400, `{"error":"invalid_grant","error_description":"Token is not active"}`)
}

// entra names the user anew for each app, and neither promises S256 nor revokes.
func entra(b *provider.Behaviour) {
	b.OmitIss, b.OpaqueAccess, b.SIDs, b.IDTokenOnRefresh = true, true, provider.NoSID, true
	b.IDClaims = map[string]any{
		"sub": "AAAAAPairwiseOfThisApp", "oid": "00000000-0000-0000-66f3-3332eca7ea81", "tid": "8f6c", "ver": "2.0",
		"auth_time": nil, "at_hash": nil, "azp": nil, "client_id": nil,
	}
	b.EditTokenAnswer = func(answer map[string]any) { answer["ext_expires_in"] = answer["expires_in"] }
	b.EditDiscovery = without("revocation_endpoint", "code_challenge_methods_supported", "introspection_endpoint")
}

func aadsts(code string) *provider.Answer {
	return refusal(400, `{"error":"`+code+`","error_description":"AADSTS50076: …","error_codes":[50076],"suberror":"basic_action"}`)
}

// minimal has no key ids, no life, no scope and nothing beyond what OpenID Connect demands.
func minimal(b *provider.Behaviour) {
	unnamed := func(header, _ map[string]any) { delete(header, "kid"); delete(header, "typ"); header["alg"] = "PS256" }
	b.EditIDToken, b.EditAccessToken = unnamed, unnamed
	b.OmitIss, b.SIDs, b.TokenType = true, provider.NoSID, "bearer"
	b.Omit = []string{"expires_in", "scope"}
	b.IDClaims = map[string]any{"at_hash": nil, "c_hash": nil, "azp": nil, "auth_time": nil, "amr": nil, "aud": "webc_1"}
	b.EditKeys = func(set map[string]any) {
		for _, k := range set["keys"].([]any) {
			delete(k.(map[string]any), "kid")
		}
	}
	b.EditDiscovery = without("userinfo_endpoint", "end_session_endpoint", "revocation_endpoint", "introspection_endpoint",
		"token_endpoint_auth_methods_supported", "scopes_supported", "claims_supported", "grant_types_supported")
}

// loose has numbers and truths as strings, a list where there should be a text, and null for what is not there.
func loose(b *provider.Behaviour) {
	b.IDClaims = map[string]any{"email_verified": "true", "aud": "webc_1"}
	b.EditTokenAnswer = func(answer map[string]any) {
		answer["expires_in"], answer["scope"] = fmt.Sprint(answer["expires_in"]), []string{"openid", "profile"}
		if _, given := answer["id_token"]; !given {
			answer["id_token"] = nil
		}
	}
}

// nobody leaves out of ID tokens what is told of people at the UserInfo endpoint alone.
func nobody() map[string]any {
	return map[string]any{"name": nil, "given_name": nil, "family_name": nil, "email": nil, "email_verified": nil}
}

// sameRefreshToken puts into each refresh answer the refresh token that the code gave.
func sameRefreshToken() func(map[string]any) {
	var first any
	return func(answer map[string]any) {
		if given, ok := answer["refresh_token"]; ok {
			first = given
		}
		answer["refresh_token"] = first
	}
}

// changeKeys: what was signed until now is signed by a key that is no longer published.
func changeKeys(t *testing.T, w *world.World) {
	if _, err := w.Dev.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	w.Dev.RetireKeys()
}

// before passes all requests on to the provider.
func before(t *testing.T, p *provider.Provider) http.Handler {
	t.Helper()
	origin, err := url.Parse(p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(origin) }}
}

// customDomain is another name in front of everything, while tokens go on to carry the first one.
func customDomain(t *testing.T, p *provider.Provider) (issuer, settings string) {
	srv := httptest.NewServer(before(t, p))
	t.Cleanup(srv.Close)
	own := p.Issuer()
	p.Set(func(b *provider.Behaviour) {
		b.AnswerIss, b.EditDiscovery = srv.URL, moved(own, srv.URL, "")
	})
	return srv.URL, fmt.Sprintf("issuers: [%q]", own)
}

// privateCA is https with a certificate that only the setting vouches for. The pages for people stay where they were:
// the browser of these tests knows no further authority.
func privateCA(t *testing.T, p *provider.Provider) (issuer, settings string) {
	srv := httptest.NewTLSServer(before(t, p))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	own := p.Issuer()
	p.Set(func(b *provider.Behaviour) {
		b.AnswerIss, b.IDClaims = srv.URL, map[string]any{"iss": srv.URL}
		b.EditDiscovery = func(doc map[string]any) {
			moved(own, srv.URL, "authorization_endpoint")(doc)
			delete(doc, "end_session_endpoint") // our provider knows no hint with another iss
		}
	})
	return srv.URL, fmt.Sprintf("ca_file: %q", file)
}

// moved gives every address of the metadata another origin, but one.
func moved(from, to, but string) func(map[string]any) {
	return func(doc map[string]any) {
		for name, value := range doc {
			if text, ok := value.(string); ok && name != but {
				doc[name] = strings.Replace(text, from, to, 1)
			}
		}
	}
}
