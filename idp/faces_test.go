package idp_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

// rawProvider answers its token endpoint with bytes as they stand, or with none.
type rawProvider struct {
	*provider
	mu    sync.Mutex
	got   []string // what came, request by request
	conns []net.Conn
}

// newRaw starts a provider whose token endpoint hands each connection, its request read, to answer.
func newRaw(t *testing.T, answer func(c *net.TCPConn, n int)) *rawProvider {
	t.Helper()
	p := &rawProvider{provider: newProvider(t)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); p.hangUp(); open.Wait() })
	p.meta["token_endpoint"] = "http://" + l.Addr().String() + "/token"
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, c)
			p.mu.Unlock()
			open.Go(func() { p.talk(c.(*net.TCPConn), answer) })
		}
	})
	return p
}

func (p *rawProvider) talk(c *net.TCPConn, answer func(*net.TCPConn, int)) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		p.got = append(p.got, string(body))
		n := len(p.got)
		p.mu.Unlock()
		answer(c, n)
	}
}

// hangUp closes what clients keep open.
func (p *rawProvider) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

func (p *rawProvider) sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

func say(text string) func(*net.TCPConn, int) {
	return func(c *net.TCPConn, _ int) { _, _ = io.WriteString(c, text) }
}

// good is a whole answer over the wire.
func good(p *provider) string {
	body := encode(p.tokens(map[string]any{"id_token": nil}))
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// drip writes a little at a time until the other side has gone.
func drip(head string) func(*net.TCPConn, int) {
	return func(c *net.TCPConn, _ int) {
		for _, err := io.WriteString(c, head); err == nil; time.Sleep(5 * time.Millisecond) { // the pace of the attack
			_, err = io.WriteString(c, " ")
		}
	}
}

// reset ends a connection as a host that knows nothing of it does.
func reset(c *net.TCPConn, _ int) { _ = c.SetLinger(0); _ = c.Close() }

// What reaches no good end on the wire: each is told apart by what is known of the token, sent once, bounded in time, and
// tells nothing of what was sent.
//
// shows REF-SOFT, REF-RACE
func TestFacesOfTheWire(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for _, tc := range []struct {
		with   string
		answer func(*net.TCPConn, int)
		want   bff.Outcome
		doubt  bool
	}{
		{"no answer at all", func(c *net.TCPConn, _ int) { _, _ = io.Copy(io.Discard, c) }, bff.OutcomeUnknown, false},
		{"a connection closed before the first byte", func(c *net.TCPConn, _ int) { _ = c.Close() }, bff.OutcomeUnknown, false},
		{"a connection reset", reset, bff.OutcomeUnknown, false},
		{"a connection closed after the header", func(c *net.TCPConn, n int) { say(head+"Content-Length: 90\r\n\r\n")(c, n); _ = c.Close() }, bff.OutcomeUnknown, false},
		{"a connection closed in the body", func(c *net.TCPConn, n int) {
			say(head+"Content-Length: 90\r\n\r\n{\"access_token\":\"at-")(c, n)
			_ = c.Close()
		}, bff.OutcomeUnknown, false},
		{"a refusal cut off in the body", func(c *net.TCPConn, n int) {
			say("HTTP/1.1 400 Bad Request\r\nContent-Length: 90\r\n\r\n{\"error\":\"invalid_grant\"")(c, n)
			_ = c.Close()
		}, bff.OutcomeUnknown, false},
		{"a header that drips", drip("HTTP/1.1 200 OK\r\nX: "), bff.OutcomeUnknown, false},
		{"a body that drips", drip(head + "Content-Length: 100000\r\n\r\n{"), bff.OutcomeUnknown, false},
		{"chunks without an end", func(c *net.TCPConn, n int) {
			for _, err := io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n"); err == nil; {
				_, err = io.WriteString(c, "1000\r\n"+strings.Repeat(" ", 4096)+"\r\n")
			}
		}, bff.OutcomeTransient, true},
		{"a header without an end", func(c *net.TCPConn, n int) {
			for _, err := io.WriteString(c, head); err == nil; {
				_, err = io.WriteString(c, "X: "+strings.Repeat("y", 4096)+"\r\n")
			}
		}, bff.OutcomeUnknown, false},
		{"early hints without an end", func(c *net.TCPConn, n int) {
			for err := error(nil); err == nil; {
				_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
			}
		}, bff.OutcomeUnknown, false},
		{"another protocol", say("SSH-2.0-OpenSSH_9.2\r\n\r\n"), bff.OutcomeUnknown, false},
		{"a switch of protocols", say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), bff.OutcomeTransient, true},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			t.Parallel()
			p := newRaw(t, tc.answer)
			c := p.client(func(s *idp.Settings) { s.RefreshTimeout = 300 * time.Millisecond })
			began := time.Now()
			_, err := c.Refresh(t.Context(), p.session(), "")
			if e := outcomeOf(t, err); e.Outcome != tc.want || e.Doubt != tc.doubt || e.Unasked {
				t.Errorf("got %v, doubt %v", err, e.Doubt)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if n := p.sent(); n != 1 {
				t.Errorf("%d requests: one was repeated", n)
			}
			if told := fmt.Sprintf("%v %+v %s", err, err, p.logged.String()); strings.Contains(told, "-secret") || strings.Contains(told, url.QueryEscape(secret)) {
				t.Errorf("a secret is told: %s", told)
			}
		})
	}
}

// What comes before an answer is none (RFC 9110 section 15.2).
//
// shows REF-SOFT
func TestInformationalAnswersAreNotTheAnswer(t *testing.T) {
	var p *rawProvider
	p = newRaw(t, func(c *net.TCPConn, n int) {
		say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"+good(p.provider))(c, n)
	})
	grant, err := p.client(nil).Refresh(t.Context(), p.session(), "")
	if err != nil || grant.Tokens.Refresh.Reveal() != "rt-secret-2" {
		t.Errorf("got %+v, %v", grant, err)
	}
}

// A connection that is kept is one that the provider may close just when it is used again. The token may have arrived: it is
// not sent on another one. One that is found closed before is not used.
//
// shows REF-RACE
func TestAPooledConnectionThatBreaks(t *testing.T) {
	var p *rawProvider
	p = newRaw(t, func(c *net.TCPConn, n int) {
		if n == 2 {
			reset(c, n)
			return
		}
		say(good(p.provider))(c, n)
	})
	c := p.client(nil)
	for n, want := range []bff.Outcome{"", bff.OutcomeUnknown, ""} {
		_, err := c.Refresh(t.Context(), p.session(), "")
		if want == "" && err != nil || want != "" && outcomeOf(t, err).Outcome != want {
			t.Errorf("refresh %d: %v", n+1, err)
		}
		if sent := p.sent(); sent != n+1 {
			t.Errorf("%d requests for %d refreshes", sent, n+1)
		}
	}
}

// HTTP/1.1 alone, though both could do better: "nothing was written" is a fact about one connection. A certificate that does
// not hold is found before anything is sent.
//
// shows REF-SOFT
func TestTLSOfTheTokenEndpoint(t *testing.T) {
	p := newProvider(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = discard()
	s.StartTLS()
	t.Cleanup(s.Close)
	proto := ""
	p.handle("/token", func(w http.ResponseWriter, r *http.Request) { proto = r.Proto; p.answer(w, 200, p.tokens(nil)) })
	at := func(set *idp.Settings) { set.Endpoints.Token = s.URL + "/token" }
	_, err := p.client(at).Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); e.Outcome != bff.OutcomeTransient || e.Doubt || p.count("/token") != 0 {
		t.Errorf("a certificate nobody signed: %v after %d requests", err, p.count("/token"))
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("what went wrong is not told: %v", err)
	}
	trusting := func(set *idp.Settings) {
		at(set)
		set.RootCAs = s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	}
	if _, err := p.client(trusting).Refresh(t.Context(), p.session(), ""); err != nil || proto != "HTTP/1.1" {
		t.Errorf("%v by %s", err, proto)
	}
}

// What is said twice, or in another type than it should be, ends nobody's session.
//
// shows REF-END, REF-SOFT, REF-6
func TestOddAnswersToARefresh(t *testing.T) {
	oauth := func(code string) string { return `{"error":"` + code + `"}` }
	all := []string{idp.ShapeInvalidRequest, idp.ShapeEmpty400, idp.ShapeInteraction}
	for _, tc := range []struct {
		with   string
		status int
		media  string
		body   string
		shapes []string
		want   bff.Outcome
		doubt  bool
	}{
		{"invalid_grant as text", 400, "text/plain", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"invalid_grant without a type", 400, "", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"invalid_grant under 401", 401, "application/json", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"invalid_grant called a page", 400, "text/html", oauth("invalid_grant"), all, bff.OutcomeTransient, false},
		{"invalid_grant under 200", 200, "application/json", oauth("invalid_grant"), nil, bff.OutcomeTransient, true},
		{"invalid_grant under 404", 404, "application/json", oauth("invalid_grant"), nil, bff.OutcomeSpent, false},
		{"another error after invalid_grant", 400, "application/json", `{"error":"invalid_grant","error":"server_error"}`, nil, bff.OutcomeTransient, false},
		{"invalid_grant after another error", 400, "application/json", `{"error":"temporarily_unavailable","error":"invalid_grant"}`, nil, bff.OutcomeTransient, false},
		{"invalid_grant in capitals", 400, "application/json", oauth("INVALID_GRANT"), nil, bff.OutcomeTransient, false},
		{"invalid_grant in another member", 400, "application/json", `{"Error":"invalid_grant"}`, nil, bff.OutcomeTransient, false},
		{"invalid_grant in a list", 400, "application/json", `{"error":["invalid_grant"]}`, nil, bff.OutcomeTransient, false},
		{"invalid_grant and more behind it", 400, "application/json", oauth("invalid_grant") + oauth("invalid_grant"), nil, bff.OutcomeTransient, false},
		{"invalid_request under 401 where 400 is a used token", 401, "application/json", oauth("invalid_request"), all, bff.OutcomeClient, false},
		{"invalid_request at Glewlwyd", 400, "application/json", oauth("invalid_request"), []string{idp.ShapeEmpty400}, bff.OutcomeClient, false},
		{"an empty 400 at Dex", 400, "", "", []string{idp.ShapeInvalidRequest}, bff.OutcomeTransient, false},
		{"an empty 401 where an empty 400 is a used token", 401, "", "", all, bff.OutcomeTransient, false},
		{"an empty 403 where an empty 400 is a used token", 403, "", "", all, bff.OutcomeTransient, false},
		{"a 400 with a page where an empty one is a used token", 400, "text/html", "<html>", all, bff.OutcomeTransient, false},
		{"login_required where that wants the user", 400, "application/json", oauth("login_required"), all, bff.OutcomeSpent, false},
		{"account_selection_required where that wants the user", 400, "application/json", oauth("account_selection_required"), all, bff.OutcomeSpent, false},
		{"login_required elsewhere", 400, "application/json", oauth("login_required"), nil, bff.OutcomeClient, false},
		{"interaction_required under 401", 401, "application/json", oauth("interaction_required"), all, bff.OutcomeClient, false},
		{"temporarily_unavailable", 400, "application/json", oauth("temporarily_unavailable"), nil, bff.OutcomeTransient, true},
		{"unsupported_grant_type", 400, "application/json", oauth("unsupported_grant_type"), nil, bff.OutcomeClient, false},
		{"a 405", 405, "text/html", "", nil, bff.OutcomeTransient, false},
		{"a 408", 408, "", "", nil, bff.OutcomeTransient, false},
		{"a 501", 501, "", "", nil, bff.OutcomeTransient, true},
		{"a 204", 204, "", "", nil, bff.OutcomeTransient, true},
		{"a 201", 201, "application/json", `{"access_token":"a"}`, nil, bff.OutcomeTransient, true},
		{"a 400 as large as a disk", 400, "application/json", `{"error":"invalid_grant","x":"` + strings.Repeat("y", 2<<20) + `"}`, nil, bff.OutcomeTransient, true},
		{"tokens called text", 200, "text/plain", `{"access_token":"a","token_type":"Bearer"}`, nil, bff.OutcomeTransient, true},
		{"a refresh token that is a number", 200, "application/json", `{"access_token":"a","refresh_token":7}`, nil, bff.OutcomeTransient, true},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.replies("/token", tc.status, tc.media, tc.body)
			_, err := p.client(func(s *idp.Settings) { s.SpentShapes = tc.shapes }).Refresh(t.Context(), p.session(), "")
			if e := outcomeOf(t, err); e.Outcome != tc.want || e.Doubt != tc.doubt || p.count("/token") != 1 {
				t.Errorf("got %v, doubt %v, after %d requests", err, e.Doubt, p.count("/token"))
			}
		})
	}
}

// A shape of a used refresh token says nothing of a code.
//
// shows REF-END
func TestSpentShapesAreOfRefreshesOnly(t *testing.T) {
	for body, want := range map[string]bff.Code{"": bff.CodeIDPUnavailable, `{"error":"invalid_request"}`: idp.CodeMisconfigured} {
		p := newProvider(t)
		p.replies("/token", 400, "application/json", body)
		c := p.client(func(s *idp.Settings) { s.SpentShapes = []string{idp.ShapeInvalidRequest, idp.ShapeEmpty400} })
		if _, err := exchange(t, c); bff.CodeOf(err) != want {
			t.Errorf("a code answered by 400 %q: %v, want %s", body, err, want)
		}
	}
}

// What a good refresh may leave out, repeat or change.
//
// shows REF-6
func TestWhatARefreshKeeps(t *testing.T) {
	const old, asked = "rt-secret-1", "openid profile email" // those of the session
	for _, tc := range []struct {
		with    string
		change  map[string]any
		refresh string
		scope   string
		life    time.Duration
	}{
		{"everything new", nil, "rt-secret-2", "openid profile", 300 * time.Second},
		{"no refresh token", map[string]any{"refresh_token": nil}, old, "openid profile", 300 * time.Second},
		{"an empty refresh token", map[string]any{"refresh_token": ""}, old, "openid profile", 300 * time.Second},
		{"the same refresh token", map[string]any{"refresh_token": old}, old, "openid profile", 300 * time.Second},
		{"no scope", map[string]any{"scope": nil}, "rt-secret-2", asked, 300 * time.Second},
		{"an empty scope", map[string]any{"scope": ""}, "rt-secret-2", asked, 300 * time.Second},
		{"less scope", map[string]any{"scope": "openid"}, "rt-secret-2", "openid", 300 * time.Second},
		{"more scope, which is the provider's to give", map[string]any{"scope": asked + " admin"}, "rt-secret-2", asked + " admin", 300 * time.Second},
		{"scope as a list", map[string]any{"scope": []string{"openid", "email"}}, "rt-secret-2", "openid email", 300 * time.Second},
		{"scope as a number", map[string]any{"scope": 7}, "rt-secret-2", asked, 300 * time.Second},
		{"no life", map[string]any{"expires_in": nil}, "rt-secret-2", "openid profile", time.Minute},
		{"a life of 0", map[string]any{"expires_in": 0}, "rt-secret-2", "openid profile", time.Minute},
		{"a life below 0", map[string]any{"expires_in": -1}, "rt-secret-2", "openid profile", time.Minute},
		{"a life as a string", map[string]any{"expires_in": "3600"}, "rt-secret-2", "openid profile", time.Hour},
		{"a life of 1e18", map[string]any{"expires_in": 1e18}, "rt-secret-2", "openid profile", 24 * time.Hour},
		{"a life of 1.5", map[string]any{"expires_in": 1.5}, "rt-secret-2", "openid profile", 1500 * time.Millisecond},
		{"a life without end", map[string]any{"expires_in": "Inf"}, "rt-secret-2", "openid profile", 24 * time.Hour},
		{"a life that is no number", map[string]any{"expires_in": "NaN"}, "rt-secret-2", "openid profile", time.Minute},
		{"a life that is a list", map[string]any{"expires_in": []int{5}}, "rt-secret-2", "openid profile", time.Minute},
	} {
		t.Run("an answer with "+tc.with, func(t *testing.T) {
			p := newProvider(t)
			p.givesTokens(tc.change)
			grant, err := p.client(nil).Refresh(t.Context(), p.session(), "")
			if err != nil {
				t.Fatal(err)
			}
			got := grant.Tokens
			if got.Refresh.Reveal() != tc.refresh || got.Scope != tc.scope || got.ExpiresAt.Sub(epoch) != tc.life || got.RefreshAt.After(got.ExpiresAt) {
				t.Errorf("kept %q, scope %q, for %v", got.Refresh.Reveal(), got.Scope, got.ExpiresAt.Sub(epoch))
			}
		})
	}
}

// A number of seconds that fits no integer is still a number, and is bounded like any other.
func TestRetryAfterBeyondAllNumbers(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"99999999999999999999999": time.Minute, "-99999999999999999999999": 0, "-9223372036854775807": 0, "": 0, "1.5": 0, "7, 9": 0,
	} {
		p := newProvider(t)
		p.handle("/token", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		_, err := p.client(nil).Refresh(t.Context(), p.session(), "")
		if e := outcomeOf(t, err); e.RetryAfter != want || !e.Doubt {
			t.Errorf("Retry-After %q gives %v, want %v", value, e.RetryAfter, want)
		}
	}
}

// One app whose registration broke gets a page for every call; the others of the provider never notice.
//
// shows REF-SOFT
func TestABrokenRegistrationClosesNoOthersWay(t *testing.T) {
	p := newProvider(t)
	is := p.issuer(nil)
	broken, sound := register(is), register(is)
	p.replies("/token", 403, "text/html", "<html>")
	for range 12 {
		_, err := broken.Refresh(t.Context(), p.session(), "")
		if outcomeOf(t, err).Outcome != bff.OutcomeTransient {
			t.Fatal(err)
		}
	}
	_, err := broken.Refresh(t.Context(), p.session(), "")
	if e := outcomeOf(t, err); !e.Unasked || p.count("/token") != 10 || !is.Held() {
		t.Errorf("the breaker did not open: %v after %d requests", err, p.count("/token"))
	}
	p.givesTokens(nil)
	if _, err := sound.Refresh(t.Context(), p.session(), ""); err != nil {
		t.Errorf("the other app: %v", err)
	}
}

// Keys that cannot be fetched are believed for a day: a provider that withdrew one may be out of reach because of whoever
// stole it. Nobody is signed in by them then, and nobody is signed out.
func TestKeysAreNotBelievedWithoutEnd(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	if _, err := exchange(t, c); err != nil {
		t.Fatal(err)
	}
	p.replies("/keys", 500, "", "")
	p.replies("/.well-known/openid-configuration", 500, "", "")
	p.add(23 * time.Hour)
	if _, err := exchange(t, c); err != nil {
		t.Errorf("after 23 hours: %v", err)
	}
	p.add(2 * time.Hour)
	if _, err := exchange(t, c); bff.CodeOf(err) != bff.CodeIDPUnavailable {
		t.Errorf("after 25 hours: %v", err)
	}
	p.givesTokens(map[string]any{"id_token": nil})
	if _, err := c.Refresh(t.Context(), p.session(), ""); err != nil {
		t.Errorf("a renewal needs no key: %v", err)
	}
}
