package idp_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/idp"

	"github.com/google/go-cmp/cmp"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
)

// subjectToken is what a session has.
func subjectToken() bff.TokenSet {
	return bff.TokenSet{Access: bff.NewSecret("at-subject-secret"), Refresh: bff.NewSecret("rt-subject-secret"), TokenType: "Bearer"}
}

var orders = bff.ExchangeSpec{Audience: "orders", Resource: "https://orders.example.com", Scopes: []string{"orders:read", "orders:write"}}

// exchanged is a good answer to an exchange, changed by change; nil removes a member.
func exchanged(change map[string]any) string {
	return encode(with(map[string]any{
		"access_token": "at-orders-secret", "issued_token_type": typeAccess, "token_type": "Bearer", "expires_in": 300,
	}, change))
}

// shows TX-2.2
func TestTheRequestForAnExchangedToken(t *testing.T) {
	whole := url.Values{
		"grant_type": {grantExchange}, "subject_token": {"at-subject-secret"}, "subject_token_type": {typeAccess},
		"requested_token_type": {typeAccess}, "client_id": {clientID}, "client_secret": {secret},
	}
	for _, tc := range []struct {
		with string
		spec bff.ExchangeSpec
		more url.Values
	}{
		{"audience, resource and scopes", orders, url.Values{
			"audience": {"orders"}, "resource": {"https://orders.example.com"}, "scope": {"orders:read orders:write"},
		}},
		{"an audience alone", bff.ExchangeSpec{Audience: "orders"}, url.Values{"audience": {"orders"}}},
		{"a resource alone", bff.ExchangeSpec{Resource: "urn:orders"}, url.Values{"resource": {"urn:orders"}}},
	} {
		t.Run("a request with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", 200, "application/json", exchanged(nil))
			c := p.client(func(s *idp.Settings) { s.TokenAuth = "client_secret_post" })
			if _, err := c.ExchangeToken(t.Context(), subjectToken(), tc.spec); err != nil {
				t.Fatal(err)
			}
			want := url.Values{}
			for _, from := range []url.Values{whole, tc.more} {
				for name, values := range from {
					want[name] = values
				}
			}
			if diff := cmp.Diff(want, p.requests("/token")[0].form); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}

// What may be used, and for how long. A refresh token is dropped, and not given back: that may take the session's along.
//
// shows TX-2.2
func TestAnswersToAnExchange(t *testing.T) {
	at := func(p *provider, left time.Duration) string {
		return signRS256(header("RS256", "r1"), encode(map[string]any{"exp": p.now().Add(left).Unix()}))
	}
	for _, tc := range []struct {
		with  string
		body  func(p *provider) string
		scope string
		life  time.Duration
	}{
		{"an access token", func(*provider) string { return exchanged(nil) }, "orders:read orders:write", 5 * time.Minute},
		{"a JWT", func(p *provider) string {
			return exchanged(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"})
		}, "orders:read orders:write", 5 * time.Minute},
		{"a JWT that ends sooner", func(p *provider) string {
			return exchanged(map[string]any{"access_token": at(p, time.Minute)})
		}, "orders:read orders:write", time.Minute},
		{"no life", func(*provider) string { return exchanged(map[string]any{"expires_in": nil}) }, "orders:read orders:write", time.Minute},
		{"a refresh token and an ID token", func(*provider) string {
			return exchanged(map[string]any{"refresh_token": "rt-exchange-secret", "id_token": "id-secret"})
		}, "orders:read orders:write", 5 * time.Minute},
		{"the scopes in another order", func(*provider) string {
			return exchanged(map[string]any{"scope": "orders:write orders:read"})
		}, "orders:write orders:read", 5 * time.Minute},
		{"more scope", func(*provider) string {
			return exchanged(map[string]any{"scope": "orders:read orders:write profile"})
		}, "orders:read orders:write profile", 5 * time.Minute},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", 200, "application/json", tc.body(p))
			is := p.issuer(nil)
			got, err := register(is).ExchangeToken(t.Context(), subjectToken(), orders)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Refresh.IsZero() || !got.ID.IsZero() || got.Scope != tc.scope || got.ExpiresAt.Sub(epoch) != tc.life || !got.RefreshAt.Before(got.ExpiresAt) {
				t.Errorf("got %+v, for %v", got, got.ExpiresAt.Sub(epoch))
			}
			drain(t, is)
			if n := p.count("/revoke"); n != 0 {
				t.Errorf("%d revocations", n)
			}
		})
	}
}

// Whatever else comes is no token: the call is refused, and told to whom it may concern. Nothing is sent twice.
//
// shows TX-2.2, TX-NOFALL
func TestUselessAnswersToAnExchange(t *testing.T) {
	oauth := func(code string) string { return `{"error":"` + code + `"}` }
	for _, tc := range []struct {
		with   string
		status int
		media  string
		body   string
		want   bff.Code
	}{
		{"no issued_token_type", 200, "application/json", exchanged(map[string]any{"issued_token_type": nil}), bff.CodeTokenRefused},
		{"issued_token_type as a list", 200, "application/json", exchanged(map[string]any{"issued_token_type": []string{typeAccess}}), bff.CodeTokenRefused},
		{"a refresh token issued", 200, "application/json", exchanged(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), bff.CodeTokenRefused},
		{"an ID token issued", 200, "application/json", exchanged(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"}), bff.CodeTokenRefused},
		{"SAML issued", 200, "application/json", exchanged(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:saml2"}), bff.CodeTokenRefused},
		{"a JWT that is no access token", 200, "application/json", exchanged(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_type": "N_A"}), bff.CodeTokenRefused},
		{"token_type N_A", 200, "application/json", exchanged(map[string]any{"token_type": "N_A"}), bff.CodeTokenRefused},
		{"token_type mac", 200, "application/json", exchanged(map[string]any{"token_type": "mac"}), bff.CodeTokenRefused},
		{"no token_type", 200, "application/json", exchanged(map[string]any{"token_type": nil}), bff.CodeTokenRefused},
		{"no token", 200, "application/json", exchanged(map[string]any{"access_token": nil}), bff.CodeTokenRefused},
		{"a token that ends a line", 200, "application/json", exchanged(map[string]any{"access_token": "a\r\nX: y"}), bff.CodeTokenRefused},
		{"the subject token itself", 200, "application/json", exchanged(map[string]any{"access_token": "at-subject-secret"}), bff.CodeTokenRefused},
		{"narrower scope", 200, "application/json", exchanged(map[string]any{"scope": "orders:read"}), bff.CodeTokenRefused},
		{"other scope", 200, "application/json", exchanged(map[string]any{"scope": "profile"}), bff.CodeTokenRefused},
		{"a page", 200, "text/html", "<html>", bff.CodeTokenRefused},
		{"garbage", 200, "application/json", "\x00\x01{", bff.CodeTokenRefused},
		{"an error under 200", 200, "application/json", oauth("invalid_target"), bff.CodeTokenRefused},
		{"invalid_target", 400, "application/json", oauth("invalid_target"), bff.CodeTokenRefused},
		{"invalid_request", 400, "application/json", oauth("invalid_request"), bff.CodeTokenRefused},
		{"invalid_grant", 400, "application/json", oauth("invalid_grant"), bff.CodeTokenRefused},
		{"invalid_token", 400, "application/json", oauth("invalid_token"), bff.CodeTokenRefused},
		{"invalid_scope", 400, "application/json", oauth("invalid_scope"), bff.CodeTokenRefused},
		{"unsupported_grant_type", 400, "application/json", oauth("unsupported_grant_type"), bff.CodeTokenRefused},
		{"invalid_client", 401, "application/json", oauth("invalid_client"), bff.CodeTokenRefused},
		{"a firewall's page", 403, "text/html", "<html>", bff.CodeIDPUnavailable},
		{"a 400 without words", 400, "", "", bff.CodeIDPUnavailable},
		{"a 429", 429, "", "", bff.CodeIDPUnavailable},
		{"a 500", 500, "", "", bff.CodeIDPUnavailable},
		{"a 503", 503, "application/json", oauth("temporarily_unavailable"), bff.CodeIDPUnavailable},
		{"a redirect", 307, "", "", bff.CodeIDPUnavailable},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tc.status, tc.media, tc.body)
			got, err := p.client(nil).ExchangeToken(t.Context(), subjectToken(), orders)
			if bff.CodeOf(err) != tc.want || !got.Access.IsZero() || p.count("/token") != 1 {
				t.Errorf("got %v, %v after %d requests", got, err, p.count("/token"))
			}
			// RFC 8693 section 2.2.2: what may be about the session's token, which can be renewed.
			may := tc.status == 400 && slices.Contains([]string{oauth("invalid_request"), oauth("invalid_grant"), oauth("invalid_token")}, tc.body)
			if errors.Is(err, bff.ErrSubjectRefused) != may {
				t.Errorf("about the subject: %v, want %v", !may, may)
			}
			if told := fmt.Sprintf("%v %+v %s", err, err, p.logged.String()); strings.Contains(told, "-secret") {
				t.Errorf("a secret is told: %s", told)
			}
		})
	}
}

// An answer that never comes, or not to an end, is no token.
//
// shows TX-NOFALL
func TestAnExchangeWithoutAnAnswer(t *testing.T) {
	p := newProvider(t)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	for with, h := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-over:
			}
		},
		"a body that breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "400")
			_, _ = w.Write([]byte(exchanged(nil)))
			panic(http.ErrAbortHandler)
		},
	} {
		p.handle("/token", h)
		c := p.client(func(s *idp.Settings) { s.HTTPTimeout = 300 * time.Millisecond })
		if _, err := c.ExchangeToken(t.Context(), subjectToken(), orders); bff.CodeOf(err) != bff.CodeIDPUnavailable {
			t.Errorf("an answer with %s: %v", with, err)
		}
	}
}

// A provider that stumbles over the tokens of one API closes the way to them, and neither that to another API's nor that to
// anybody's renewal or sign-in.
//
// shows TX-NOFALL, REF-SOFT
func TestFailedExchangesCloseOnlyTheirOwnWay(t *testing.T) {
	p := newProvider(t)
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) {
		sent := p.requests("/token")
		if sent[len(sent)-1].form.Get("audience") == "orders" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		p.answer(w, 200, p.tokens(map[string]any{"issued_token_type": typeAccess}))
	})
	is := p.issuer(nil)
	c := register(is)
	for range 12 { // more than the ten in a row that open a breaker
		_, err := c.ExchangeToken(t.Context(), subjectToken(), orders)
		if e := bff.CodeOf(err); e != bff.CodeIDPUnavailable {
			t.Fatal(err)
		}
	}
	if n := p.count("/token"); n != 10 {
		t.Errorf("%d exchanges were sent: the breaker did not open", n)
	}
	if is.Held() {
		t.Error("the operator is told that sign-ins are held")
	}
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil {
		t.Errorf("a renewal: %v", err)
	}
	if _, err := exchange(t, c); err != nil {
		t.Errorf("a sign-in: %v", err)
	}
	if _, err := c.ExchangeToken(t.Context(), subjectToken(), bff.ExchangeSpec{Audience: "invoices"}); err != nil {
		t.Errorf("an exchange for another API: %v", err)
	}
	p.replies("/token", 500, "", "")
	for range 12 {
		_, _ = c.Refresh(t.Context(), p.session(), "")
	}
	p.replies("/token", 200, "application/json", exchanged(nil))
	if _, err := c.ExchangeToken(t.Context(), subjectToken(), bff.ExchangeSpec{Audience: "invoices"}); err != nil {
		t.Errorf("an exchange after failed renewals: %v", err)
	}
}

// Exchanges that hang take no place from renewals and sign-ins, however many they are.
//
// shows TX-NOFALL, REF-SOFT
func TestHangingExchangesLeaveThePlacesOfOthers(t *testing.T) {
	p := newProvider(t)
	over := make(chan struct{})
	inside := make(chan struct{}, 100)
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) {
		sent := p.requests("/token")
		if sent[len(sent)-1].form.Get("grant_type") == grantExchange {
			inside <- struct{}{}
			<-over
		}
		p.answer(w, 200, p.tokens(map[string]any{"issued_token_type": typeAccess}))
	})
	c := p.client(func(s *idp.Settings) { s.HTTPTimeout = 20 * time.Second })
	if _, err := exchange(t, c); err != nil { // the metadata and keys are there then
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for range 80 { // more than all places together
		waiting.Go(func() { _, _ = c.ExchangeToken(t.Context(), subjectToken(), bff.ExchangeSpec{Audience: "orders"}) })
	}
	for range 32 {
		<-inside
	}
	began := time.Now()
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil {
		t.Errorf("a renewal: %v", err)
	}
	if _, err := exchange(t, c); err != nil {
		t.Errorf("a sign-in: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second { // a wait for a place is ten
		t.Errorf("both took %v", took)
	}
	if more := len(inside); more != 0 {
		t.Errorf("%d exchanges more than 32 at once", more)
	}
	close(over)
	waiting.Wait()
}

// What is exchanged for a token that is bound to a key is bound to the same one, where tokens are to be bound: the API is
// shown one key, and a token that needs none is refused.
//
// shows TX-2.2
func TestAnExchangeOfABoundToken(t *testing.T) {
	key := bff.NewSecret(strings.Repeat("k", 32))
	for tokenType, want := range map[string]bff.Code{"DPoP": "", "Bearer": bff.CodeTokenRefused} {
		p := newProvider(t)
		p.meta["dpop_signing_alg_values_supported"] = []string{"ES256"}
		p.replies("/token", 200, "application/json", exchanged(map[string]any{"token_type": tokenType}))
		subject := subjectToken()
		subject.TokenType, subject.ProofKey = "DPoP", key
		got, err := p.client(func(s *idp.Settings) { s.DPoP = true }).ExchangeToken(t.Context(), subject, orders)
		if want == "" && (err != nil || !got.Bound() || !got.ProofKey.Equal(key)) || want != "" && bff.CodeOf(err) != want {
			t.Errorf("an answer of type %s: %v", tokenType, err)
		}
		if proofs := p.requests("/token")[0].header["Dpop"]; len(proofs) != 1 {
			t.Errorf("%d proofs with the exchange", len(proofs))
		}
	}
}
