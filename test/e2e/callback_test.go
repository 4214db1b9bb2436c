//go:build integration

package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

const ada, grace = "ada@example.com", "grace@example.com"

// An answer is good once.
//
// shows CB-STATE-1, SCALEKIT-L8
func TestCallbackAgain(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	callback := atCallback(t, b, ada, "/done")
	if page := goOn(t, b, callback); page.URL != world.Origin+"/done" {
		t.Fatalf("%d %s", page.Status, page.URL)
	}
	used, cookie := p.exchanges(), cookieHeader(b)
	p.refused(t, func() {
		for what, page := range map[string]*browser.Page{
			"typed again": navigate(t, b, callback.URL), "in another jar": navigate(t, p.Browser(), callback.URL),
		} {
			if got := replyOf(page); got.Status != 400 || !strings.HasPrefix(got.code(), "login_") {
				t.Errorf("%s: %d %q", what, got.Status, got.code())
			}
		}
	})
	if p.exchanges() != used {
		t.Error("the code was sent again")
	}
	if cookieHeader(b) != cookie {
		t.Error("the replay changed the cookies")
	}
	p.Want(p.Fetch(b, "GET", "/api/orders", ""), 200)
	p.Leaks()
}

// The same answer at once on two instances: whoever is second is told so while the first still waits for the tokens.
//
// shows CB-STATE-1
func TestCallbackTwiceAtOnce(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	p.Start(1)
	b := p.Browser()
	callback := atCallback(t, b, ada, "/done")
	used, live := p.exchanges(), p.sessions()
	gate := provider.NewGate()
	p.Dev.Fault(provider.Token, provider.Fault{Gate: gate, AfterWork: true})
	answers := make(chan reply, 2)
	for _, in := range p.All {
		go func() { answers <- ask(t, in, callback.URL, cookieHeader(b)) }()
	}
	held(t, gate)
	first := <-answers
	first.is(t, 400, "login_replayed")
	gate.Release()
	second := <-answers
	if second.Status != 200 || !strings.Contains(strings.Join(second.Header.Values("Set-Cookie"), "\n"), sessionCookie+"=") {
		t.Errorf("the first use: %d %v", second.Status, second.Header)
	}
	if strings.Contains(strings.Join(first.Header.Values("Set-Cookie"), "\n"), sessionCookie+"=") {
		t.Error("the second use got a session, or took one")
	}
	if p.exchanges() != used+1 || p.sessions() != live+1 {
		t.Errorf("%d codes were sent and %d sessions made", p.exchanges()-used, p.sessions()-live)
	}
	p.alive(t)
}

// ask sends a navigation from another site to an instance, whatever the host; status 0 if there was no answer.
func ask(t *testing.T, in *gateway.Instance, address string, lines ...string) reply {
	t.Helper()
	return askUntil(context.Background(), t, in, address, lines...)
}

func askUntil(ctx context.Context, t *testing.T, in *gateway.Instance, address string, lines ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	for _, line := range with(arriving, lines...) {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	resp, err := in.Client().Do(req)
	if err != nil {
		return reply{}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// An answer carried into another browser signs nobody in there, with or without a login of its own on the way.
//
// shows STATE-1, SCALEKIT-L2
func TestCallbackInAnotherBrowser(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	attacker, victim, busy := p.Browser(), p.Browser(), p.Browser()
	callback := atCallback(t, attacker, ada, "/done")
	own := atCallback(t, busy, grace, "/own")
	used := p.exchanges()
	p.refused(t, func() {
		for what, b := range map[string]*browser.Browser{"no login": victim, "a login": busy} {
			page, err := b.Click(browser.At("https://evil.example/"), callback.URL)
			if err != nil {
				t.Fatal(err)
			}
			replyOf(page).is(t, 400, "login_unknown")
			if hasSession(b) {
				t.Errorf("a browser with %s of its own is signed in", what)
			}
		}
	})
	if p.exchanges() != used {
		t.Error("the code was sent")
	}
	for b, page := range map[*browser.Browser]*browser.Page{busy: own, attacker: callback} {
		if got := goOn(t, b, page); !hasSession(b) {
			t.Errorf("the login that was not to blame: %d %s", got.Status, got.Body)
		}
	}
	p.Leaks()
}

// The attacker's code under the victim's state fails at the provider or, where that ignores PKCE, at the nonce.
//
// shows CB-INJ-1
func TestCallbackWithAnotherLoginsCode(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]struct {
		behave func(*provider.Behaviour)
		code   string
	}{
		"that checks PKCE":  {func(*provider.Behaviour) {}, "login_code_rejected"},
		"that ignores PKCE": {func(b *provider.Behaviour) { b.IgnorePKCE = true }, "login_token_rejected"},
	} {
		t.Run("a code of another login at a provider "+name, func(t *testing.T) {
			t.Parallel()
			p := newProbe(t, world.Options{})
			attacker, victim := p.Browser(), p.Browser()
			stolen, err := url.Parse(atCallback(t, attacker, grace, "/").URL)
			if err != nil {
				t.Fatal(err)
			}
			page := atCallback(t, victim, ada, "/")
			live := p.sessions()
			p.Dev.Set(status.behave)
			p.refused(t, func() {
				ask(t, p.in, replaced(t, page.URL, "code", stolen.Query().Get("code")), cookieHeader(victim)).is(t, 400, status.code)
			})
			if p.sessions() != live {
				t.Error("a session was made")
			}
			if name == "that ignores PKCE" {
				p.awaitRevoked(t, p.issued(provider.KindRefresh))
			}
			p.Leaks()
		})
	}
}

// replaced sets one parameter of an address; with none, it is taken away.
func replaced(t *testing.T, address, name string, values ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del(name)
	for _, v := range values {
		q.Add(name, v)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// What cannot be an answer of the provider is not taken for one, and the true answer still works afterwards.
//
// shows CB-PARAM-1, CB-STATE-1, TXN-1, SCALEKIT-L4
func TestCallbacksThatAreNone(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	page := atCallback(t, b, ada, "/recorded")
	u, err := url.Parse(page.URL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	used, keys := p.exchanges(), p.Redis.Keys()
	for _, row := range []struct {
		with, address, code string
	}{
		{"no parameter", world.Origin + "/bff/callback", "login_unknown"},
		{"no state", replaced(t, page.URL, "state"), "login_unknown"},
		{"an empty state", replaced(t, page.URL, "state", ""), "login_unknown"},
		{"a garbled state", replaced(t, page.URL, "state", q.Get("state")[1:]+"A"), "login_unknown"},
		{"a state in capitals", replaced(t, page.URL, "state", strings.ToUpper(q.Get("state"))), "login_unknown"},
		{"a state of 10 KiB", replaced(t, page.URL, "state", strings.Repeat("a", 10<<10)), "bad_request"},
		{"state twice", page.URL + "&state=" + q.Get("state"), "bad_request"},
		{"code twice", page.URL + "&code=a", "bad_request"},
		{"iss twice", page.URL + "&iss=" + url.QueryEscape(q.Get("iss")), "bad_request"},
		{"error twice", page.URL + "&error=a&error=b", "bad_request"},
		{"a code of 10 KiB", replaced(t, page.URL, "code", strings.Repeat("a", 10<<10)), "bad_request"},
		{"an error of 10 KiB", page.URL + "&error=" + strings.Repeat("a", 10<<10), "bad_request"},
		{"a line break in the error", page.URL + "&error=a%0d%0aSet-Cookie:+x%3Dy", "bad_request"},
		{"a bad escape", page.URL + "&x=%zz", "bad_request"},
		{"a semicolon", page.URL + ";state=x", "bad_request"},
	} {
		t.Run("a callback with "+row.with, func(t *testing.T) {
			p.refused(t, func() {
				got := ask(t, p.in, row.address, cookieHeader(b))
				got.is(t, 400, row.code)
				if !strings.Contains(got.Body, `href="/bff/login`) {
					t.Errorf("no way on: %s", got.Body)
				}
			})
		})
	}
	for method, code := range map[string]string{"POST": "method_not_allowed", "HEAD": "", "PUT": "method_not_allowed"} {
		t.Run("a callback by "+method, func(t *testing.T) {
			p.refused(t, func() { p.send(t, method, target(page.URL), with(arriving, cookieHeader(b))...).is(t, 405, code) })
		})
	}
	for what, line := range map[string]string{"a prefetch": "Sec-Purpose: prefetch", "a frame": "Sec-Fetch-Dest: iframe"} {
		t.Run("a callback by "+what, func(t *testing.T) {
			p.refused(t, func() {
				if got := ask(t, p.in, page.URL, cookieHeader(b), line); got.Status != 403 {
					t.Errorf("%d", got.Status)
				}
			})
		})
	}
	if p.exchanges() != used {
		t.Error("a code was sent")
	}
	if got := p.Redis.Keys(); len(got) > len(keys)+1 { // the rate limit's own
		t.Errorf("Redis remembers more: %v, before %v", got, keys)
	}
	for _, extra := range []string{"app=docs", "return_to=https://evil.example/", "redirect_uri=https://evil.example/", "scope=admin", "session_state=x"} {
		page.URL += "&" + extra
	}
	got := ask(t, p.in, page.URL, cookieHeader(b))
	if got.Status != 200 || !strings.Contains(got.Body, "/bff/landed?return_to=%2Frecorded") || strings.Contains(got.Body, "evil.example") {
		t.Errorf("the true answer with more: %d %s", got.Status, got.Body)
	}
	p.Leaks()
}

// Who answered is asked before anything else of the answer is believed.
//
// shows CB-ISS-1
func TestCallbackFromAnotherIssuer(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	for with, iss := range map[string][]string{
		"another issuer": {"https://evil.example"}, "one slash more": {p.OP.Issuer + "/"}, "capitals": {strings.ToUpper(p.OP.Issuer)},
		"none although announced": nil, "an empty one": {""}, "a path of the issuer": {p.OP.Issuer + "/x"},
	} {
		for also, more := range map[string]string{"": "", " and an error": "&error=access_denied"} {
			t.Run("a callback with "+with+also, func(t *testing.T) {
				b := p.Browser()
				page, used := atCallback(t, b, ada, "/"), p.exchanges()
				p.refused(t, func() {
					got := ask(t, p.in, replaced(t, page.URL, "iss", iss...)+more, cookieHeader(b))
					got.is(t, 400, "login_mixed_up")
				})
				if p.exchanges() != used {
					t.Error("the code was sent")
				}
				ask(t, p.in, page.URL, cookieHeader(b)).is(t, 400, "login_replayed")
			})
		}
	}
	p.Dev.Set(func(b *provider.Behaviour) { b.OmitIss = true })
	t.Run("a callback with a wrong issuer although none is announced", func(t *testing.T) {
		q := newProbe(t, world.Options{Behave: func(b *provider.Behaviour) { b.OmitIss = true }})
		b := q.Browser()
		page := atCallback(t, b, ada, "/")
		q.refused(t, func() {
			ask(t, q.in, replaced(t, page.URL, "iss", "https://evil.example"), cookieHeader(b)).is(t, 400, "login_mixed_up")
		})
	})
	p.Leaks()
}

// The provider's refusal reaches the app as a mapped code or the user as a page of ours, never in the provider's words.
//
// shows CB-ERR-1, SCALEKIT-L5
func TestCallbackWithAnError(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	const script = `<script>alert("evil")</script>`
	for _, row := range []struct {
		error, to string // to: where the app is told; "" = the user is
		status    int
		code      string
		shown     bool
	}{
		{error: "access_denied", to: "/x?a=b&login_error=access_denied#"},
		{error: "login_required", to: "/x?a=b&login_error=login_required#"},
		{error: "invalid_request", status: 400, code: "login_misconfigured", shown: true},
		{error: "unauthorized_client", status: 400, code: "login_misconfigured", shown: true},
		{error: "invalid_scope", status: 400, code: "login_misconfigured", shown: true},
		{error: "server_error", status: 502, code: "login_provider_failed", shown: true},
		{error: "temporarily_unavailable", status: 502, code: "login_provider_failed", shown: true},
		{error: "something_new", status: 403, code: "login_refused", shown: true},
		{error: script, status: 403, code: "login_refused"},
	} {
		t.Run(fmt.Sprintf("a callback with the error %q", row.error), func(t *testing.T) {
			p.Dev.Set(func(b *provider.Behaviour) { b.AuthorizeError, b.ErrorDescription = row.error, script })
			b := p.Browser()
			page, live := atCallback(t, b, ada, "/x?a=b"), p.sessions()
			var got reply
			p.refused(t, func() { got = ask(t, p.in, page.URL+"&code=wins", cookieHeader(b)) })
			if row.to != "" {
				if got.Status != 303 || got.Header.Get("Location") != row.to {
					t.Errorf("%d to %q", got.Status, got.Header.Get("Location"))
				}
			} else {
				got.is(t, row.status, row.code)
				if !strings.Contains(got.Body, `href="/bff/login?return_to=%2Fx%3Fa%3Db"`) {
					t.Errorf("no way to try again: %s", got.Body)
				}
				if strings.Contains(got.Body, row.error) != row.shown {
					t.Errorf("the provider's code on the page: want %v: %s", row.shown, got.Body)
				}
			}
			if all := fmt.Sprint(got.Header) + got.Body; strings.Contains(all, "alert(") || strings.Contains(all, "x=y") {
				t.Errorf("the provider's words came through: %s", all)
			}
			if p.sessions() != live {
				t.Error("a session was made")
			}
			ask(t, p.in, page.URL, cookieHeader(b)).is(t, 400, "login_replayed") // an error uses the transaction up
			replyOf(navigate(t, p.Browser(), page.URL)).is(t, 400, "login_unknown")
		})
	}
	p.Leaks()
}

// A provider that is down at the last step is an outage: the user is told, and can go on as soon as it is back.
func TestProviderDownAtTheCallback(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	callback := atCallback(t, b, ada, "/x")
	p.Dev.Stop()
	page := goOn(t, b, callback)
	replyOf(page).is(t, 503, "idp_unavailable")
	if page.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if hasSession(b) {
		t.Error("signed in without a token")
	}
	if err := p.Dev.Resume(); err != nil {
		t.Fatal(err)
	}
	link, err := page.Link("Sign in")
	if err != nil {
		t.Fatalf("no way on but the same address, which is used up: %s", page.Body)
	}
	for deadline := time.Now().Add(patience); !hasSession(b); <-time.After(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not heal: %d %s", page.Status, page.Text())
		}
		if page, err = b.Click(page, link); err != nil {
			t.Fatal(err)
		}
		page = p.OP.SignIn(t, b, page)
	}
	p.alive(t)
}

// Tokens are used whole and proven, or not at all; those that came are given back.
//
// shows CB-TOKEN-1, IDT-SIG, IDT-NONCE, IDT-AUD (at the callback)
//
// shows SCALEKIT-L9
func TestTokensThatAreNotAccepted(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	var resent atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { resent.Add(1) }))
	t.Cleanup(elsewhere.Close)
	claim := func(name string, value any) func(*provider.Behaviour) {
		return func(b *provider.Behaviour) { b.IDClaims = map[string]any{name: value} }
	}
	signed := func(mode provider.SignMode) func(*provider.Behaviour) {
		return func(b *provider.Behaviour) { b.IDSigning = provider.Signing{Mode: mode} }
	}
	jsonType, html := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"text/html"}}
	for _, row := range []struct {
		with   string
		behave func(*provider.Behaviour)
		fault  *provider.Fault
		status int
		code   string
	}{
		{with: "another nonce", behave: claim("nonce", "evil")},
		{with: "no nonce", behave: func(b *provider.Behaviour) { b.IgnoreNonce = true }},
		{with: "another audience", behave: claim("aud", "webc_2")},
		{with: "an audience more", behave: claim("aud", []string{"webc_1", "evil"})},
		{with: "another issuer", behave: claim("iss", "https://evil.example")},
		{with: "an ID token that has ended", behave: claim("exp", time.Now().Add(-time.Hour).Unix())},
		{with: "no subject", behave: claim("sub", nil)},
		{with: "algorithm none", behave: signed(provider.SignNone)},
		{with: "an HMAC by the client secret", behave: signed(provider.SignWithClientSecret)},
		{with: "an HMAC by the public key", behave: signed(provider.SignWithPublicPEM)},
		{with: "an unknown key", behave: signed(provider.SignWithUnknownKey)},
		{with: "a stolen key id", behave: signed(provider.SignWithStolenKID)},
		{with: "a changed payload", behave: signed(provider.SignTampered)},
		{with: "no ID token", behave: func(b *provider.Behaviour) { b.Omit = []string{"id_token"} }},
		{with: "no access token", behave: func(b *provider.Behaviour) { b.Omit = []string{"access_token"} }},
		{with: "token type mac", behave: func(b *provider.Behaviour) { b.TokenType = "mac" }},
		{with: "a page", fault: &provider.Fault{Status: 200, Header: html, Body: "<h1>Welcome</h1>"}, status: 503, code: "idp_unavailable"},
		{with: "a redirect", fault: &provider.Fault{Redirect: elsewhere.URL}, status: 503, code: "idp_unavailable"},
		{with: "invalid_grant", fault: &provider.Fault{Status: 400, Header: jsonType, Body: `{"error":"invalid_grant"}`}, code: "login_code_rejected"},
		{with: "invalid_client", fault: &provider.Fault{Status: 401, Header: jsonType, Body: `{"error":"invalid_client"}`}, status: 502, code: "idp_misconfigured"},
		{with: "a cut connection", fault: &provider.Fault{Drop: true}, status: 503, code: "idp_unavailable"},
		{with: "503", fault: &provider.Fault{Status: 503}, status: 503, code: "idp_unavailable"},
	} {
		t.Run("a token answer with "+row.with, func(t *testing.T) {
			if row.behave == nil {
				row.behave = func(*provider.Behaviour) {}
			}
			if row.code == "" {
				row.code = "login_token_rejected"
			}
			b := p.Browser()
			page := atCallback(t, b, ada, "/x")
			used, live, issued := p.exchanges(), p.sessions(), len(p.Dev.Issued())
			p.Dev.Set(func(b *provider.Behaviour) { *b = provider.Behaviour{AccessLife: 10 * time.Minute}; row.behave(b) })
			defer p.Dev.Set(func(b *provider.Behaviour) { *b = provider.Behaviour{AccessLife: 10 * time.Minute} })
			if row.fault != nil {
				p.Dev.Fault(provider.Token, *row.fault)
				defer p.Dev.ClearFaults()
			}
			p.refused(t, func() {
				got := goOn(t, b, page)
				replyOf(got).is(t, max(400, row.status), row.code)
				if _, err := got.Link("Sign in"); err != nil {
					t.Errorf("no way to start again: %s", got.Body)
				}
			})
			if hasSession(b) || p.sessions() != live {
				t.Error("a session was made")
			}
			if p.exchanges() != used+1 {
				t.Errorf("the code was sent %d times", p.exchanges()-used)
			}
			for _, s := range p.Dev.Issued()[issued:] {
				if s.Kind == provider.KindRefresh {
					p.awaitRevoked(t, s.Value)
				}
			}
		})
	}
	if resent.Load() != 0 {
		t.Errorf("the code was sent elsewhere %d times", resent.Load())
	}
	p.Leaks()
}

// A browser that keeps no cookies is told so, and is never sent round in circles.
func TestCookiesBlocked(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	t.Run("a browser with no cookies at all", func(t *testing.T) {
		b := p.Browser()
		callback := atCallback(t, b, ada, "/x")
		b.ForgetCookies(func(c browser.Cookie) bool { return c.Domain == appHost })
		page := goOn(t, b, callback)
		replyOf(page).is(t, 400, "login_unknown")
		if !strings.Contains(page.Text(), "blocking cookies") || len(page.Hops)-len(callback.Hops) != 1 {
			t.Errorf("%d hops, %s", len(page.Hops)-len(callback.Hops), page.Text())
		}
	})
	t.Run("a browser with every cookie but the session's", func(t *testing.T) {
		b := p.Browser()
		callback := atCallback(t, b, ada, "/x")
		b.HoldAt(func(u *url.URL) bool { return u.Path == "/bff/landed" })
		landing := goOn(t, b, callback)
		b.HoldAt(nil)
		if !landing.Unsent {
			t.Fatalf("%d %s", landing.Status, landing.URL)
		}
		b.ForgetCookies(func(c browser.Cookie) bool { return c.Name == sessionCookie })
		page := goOn(t, b, landing)
		replyOf(page).is(t, 400, "cookies_blocked")
		if _, err := page.Link("Sign in"); err != nil || len(page.Hops)-len(landing.Hops) != 1 {
			t.Errorf("%d hops, no link: %s", len(page.Hops)-len(landing.Hops), page.Body)
		}
	})
	p.alive(t)
}

// A cookie that was there before the login is not the session after it.
//
// shows CB-FIX-1, SCALEKIT-L10
func TestFixation(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	attacker := p.Browser()
	p.SignIn(attacker, "/")
	known, _ := attacker.Cookie(world.Origin, sessionCookie)
	for with, planted := range map[string]string{"a made-up cookie": strings.Repeat("A", 43), "the cookie of a live session": known.Value} {
		t.Run("a login in a browser with "+with, func(t *testing.T) {
			victim, live := p.Browser(), p.sessions()
			if !victim.StoreCookie(world.Origin, sessionCookie+"="+planted+"; Path=/; Secure; HttpOnly; SameSite=Strict") {
				t.Fatal("the cookie was not planted")
			}
			goOn(t, victim, atCallback(t, victim, grace, "/"))
			if c, _ := victim.Cookie(world.Origin, sessionCookie); c.Value == "" || c.Value == planted {
				t.Errorf("the planted cookie was adopted, or none given")
			}
			p.Want(p.Fetch(victim, "GET", "/api/orders", ""), 200)
			got := p.send(t, "GET", "/api/orders", cookied(fetched, planted)...)
			if got.Status != 401 {
				t.Errorf("the planted cookie: %d %s", got.Status, got.Body)
			}
			if want := map[bool]int{true: live, false: live + 1}[planted == known.Value]; p.sessions() != want {
				t.Errorf("%d records, want %d: the old one gone", p.sessions(), want)
			}
		})
	}
	p.alive(t)
	p.Leaks()
}

// cookied is a kind of request with a session cookie.
func cookied(lines []string, cookie string) []string {
	return with(lines, "Cookie: "+sessionCookie+"="+cookie)
}

// Another user in the same browser ends the first one's session whole.
//
// shows CB-SWAP-1 (another user signs in)
func TestAnotherUserInTheSameBrowser(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	goOn(t, b, atCallback(t, b, ada, "/"))
	first, _ := b.Cookie(world.Origin, sessionCookie)
	refresh, live := p.issued(provider.KindRefresh), p.sessions()
	p.Want(p.Fetch(b, "POST", "/api/orders", `{"item":"ada's tea","quantity":1}`), 201)
	goOn(t, b, atCallback(t, b, grace, "/"))
	second, _ := b.Cookie(world.Origin, sessionCookie)
	if second.Value == first.Value || p.sessions() != live {
		t.Errorf("the session was not replaced: %d records, before %d", p.sessions(), live)
	}
	if got := p.send(t, "GET", "/api/orders", cookied(fetched, first.Value)...); got.Status != 401 {
		t.Errorf("the first user's cookie: %d %s", got.Status, got.Body)
	}
	p.awaitRevoked(t, refresh)
	for path, not := range map[string]string{"/bff/session": ada, "/api/orders": "ada's tea"} {
		if got := p.Want(p.Fetch(b, "GET", path, ""), 200); strings.Contains(string(got.Body), not) {
			t.Errorf("%s shows the first user's: %s", path, got.Body)
		}
	}
	if got := p.Fetch(b, "GET", "/bff/session", ""); !strings.Contains(string(got.Body), grace) {
		t.Errorf("signed in as %s", got.Body)
	}
	p.alive(t)
	p.Leaks()
}

// A browser that hangs up in the middle of its callback leaves no token that nobody holds.
//
// shows CB-RACE-1 (a browser that disconnects)
func TestBrowserThatHangsUpAtTheCallback(t *testing.T) {
	t.Parallel()
	p := newProbe(t, world.Options{})
	b := p.Browser()
	callback, live := atCallback(t, b, ada, "/"), p.sessions()
	gate := provider.NewGate()
	p.Dev.Fault(provider.Token, provider.Fault{Gate: gate, AfterWork: true})
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	gone := make(chan struct{})
	go func() { askUntil(ctx, t, p.in, callback.URL, cookieHeader(b)); close(gone) }()
	held(t, gate)
	refresh := p.issued(provider.KindRefresh)
	began := strings.Count(p.in.Log(), `"event":"session_began"`)
	hangUp()
	<-gone
	gate.Release()
	p.awaitLogged(t, `"event":"session_began"`, began+1)
	revoked := slices.ContainsFunc(p.Dev.RequestsTo(provider.Revoke), func(r provider.Request) bool { return r.Form.Get("token") == refresh })
	if stored := p.sessions() == live+1; stored == revoked {
		t.Errorf("stored: %v, revoked: %v", stored, revoked)
	}
	p.alive(t)
}
