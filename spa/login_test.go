package spa_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows LOGIN-CSRF
func TestWhoMayStartALogin(t *testing.T) {
	for _, row := range []struct {
		with   string // a start with …
		fields []string
		status int
	}{
		{"a link of the app itself", nav("same-origin"), 303},
		{"a typed address", typed(), 303},
		{"no metadata at all", nil, 303},
		{"a link of a foreign site", nav("cross-site"), 200},
		{"a link of a sibling host", nav("same-site"), 200},
		{"a link of a listed origin", append(nav("cross-site"), "Referer", "https://portal.example/tiles"), 303},
		{"a link of an origin that only begins like a listed one", append(nav("cross-site"), "Referer", "https://portal.example.evil/"), 200},
		{"a foreign form that says so", append(nav("cross-site"), "Origin", "https://evil.example"), 200},
		{"a frame", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"an image", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		{"a fetch", fetched(), 403},
		{"metadata that stands twice", append(typed(), "Sec-Fetch-Site", "cross-site"), 200},
	} {
		t.Run(row.with, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.send("GET", "/bff/login?return_to=/orders%3Fx%3D1", row.fields...)
			a.is(t, row.with, row.status)
			toProvider := strings.HasPrefix(a.location(), issuer)
			if toProvider != (row.status == 303) || (b.flows() == 1) != toProvider {
				t.Errorf("went to %q with %d transactions", a.location(), b.flows())
			}
			if row.status == 200 && !strings.Contains(a.body, `href="/bff/login?return_to=%2Forders%3Fx%3D1"`) {
				t.Errorf("the page has no link that starts this login: %s", a.body)
			}
			if row.status == 403 && !w.noted("guard: not a top-level navigation") {
				t.Errorf("no event, only %q", w.events)
			}
		})
	}
}

// shows RET-1, HDR-TLS (nothing injected): the bytes go over a socket as they are, encoded by nobody.
//
// shows SCALEKIT-L10
func TestReturnTargets(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		raw    string // a return target of …
		status string
	}{
		{"//evil", "400"},
		{`/\evil`, "400"},
		{"/%09/evil", "400"},
		{"/%0a/evil", "400"},
		{"https:evil", "400"},
		{"https://app.example@evil", "400"},
		{"https://app.example.evil", "400"},
		{"https://app.example", "400"}, // a path is what is asked for, also of the app's own
		{"https://app.example/x", "400"},
		{"https://app.example//evil", "400"},
		{"https://app.example/bff/login", "400"},
		{"https://app.example:443/x", "400"},
		{"/..//evil.example", "400"},
		{"/.//evil.example", "400"},
		{"/a/../..//evil.example", "400"},
		{"/%2e%2e//evil.example", "400"},
		{"/%252e%252e//evil.example", "400"},
		{"javascript:x", "400"},
		{"/%0d%0aSet-Cookie:x=1", "400"},
		{"/" + strings.Repeat("a", 5<<10), "400"},
		{"%2F%2Fevil", "400"},
		{"/%252F/..%252f%255cevil", "400"},
		{"/%5cevil", "400"},
		{"/%255cevil", "400"},
		{"evil", "400"},
		{"/%E2%80%A8x", "400"},
		{"/ok%ZZ", "400"},
		{"/%2Fevil", "400"},
		{"/bff/login", "400"},
		{"/x/../bff/logout?token=1", "400"},
		{"/%62ff/login", "400"},
		{"/bff", "400"},
		{"/orders?x=1", "303"},
		{"/orders%3Fx%3D1%26y%3D%2F%2Fz", "303"},
		{"/a/b%23part", "303"},
		{"/", "303"},
		{"", "303"},
		{"/bffalo", "303"},
	} {
		a := w.raw("GET /bff/login?return_to=" + row.raw + " HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if got := map[int]string{400: "400", 303: "303"}[a.status]; got != row.status {
			t.Errorf("%.60q: status %d, want %s", row.raw, a.status, row.status)
		}
		if a.status == 400 && (len(a.header.Values("Set-Cookie")) > 0 || !strings.Contains(a.body, `href="/bff/login"`)) {
			t.Errorf("%.60q: cookies %q; want none, and a way on in %s", row.raw, a.header.Values("Set-Cookie"), a.body)
		}
		if a.status == 400 && strings.Contains(a.body, "evil") {
			t.Errorf("%.60q: reflected in the page", row.raw)
		}
	}
	if n := w.store.calls(); n != 0 {
		t.Errorf("starting logins asked the store %d times", n)
	}
}

// shows PARAM-1, STEP-4 (forged acr_values)
func TestWhatAFrontendMayAskOfALogin(t *testing.T) {
	for _, row := range []struct {
		query  string
		status int
		want   url.Values // what reaches the provider of it
	}{
		{"scope=admin&redirect_uri=x&request_uri=x&response_mode=fragment&client_id=y&state=z&nonce=n&request=j", 303, nil},
		{"prompt=login", 303, url.Values{"prompt": {"login"}}},
		{"prompt=none", 303, url.Values{"prompt": {"none"}}},
		{"prompt=none%20login", 400, nil},
		{"prompt=consent", 400, nil},
		{"prompt=login&prompt=none", 400, nil},
		{"scope=a&scope=b", 400, nil},
		{"acr_values=gold%20silver", 303, url.Values{"acr_values": {"gold silver"}}},
		{"acr_values=platinum", 400, nil},
		{"max_age=60", 303, url.Values{"max_age": {"60ns"}}},
		{"max_age=-1", 400, nil},
		{"max_age=1e3", 400, nil},
		{"max_age=9999999999", 400, nil},
		{"login_hint=ann%40example.com", 303, url.Values{"login_hint": {"ann@example.com"}}},
		{"login_hint=a%0d%0ab", 400, nil},
		{"login_hint=" + strings.Repeat("a", 300), 400, nil},
		{"ui_locales=de-CH%20en", 303, url.Values{"ui_locales": {"de-CH en"}}},
		{"ui_locales=%3Cscript%3E", 400, nil},
		{"organization_id=org_12", 303, url.Values{"organization_id": {"org_12"}}},
		{"organization_id=org_12%26scope%3Dadmin", 400, nil},
		{"social_provider=google", 303, url.Values{"provider": {"google"}}},
		{"social_provider=evil", 400, nil},
		{"provider=evil&connection_id=c", 303, nil},
		{"a=%zz", 400, nil},
		{"a=1;b=2", 400, nil},
	} {
		w := newWorld(t)
		a := w.browser().send("GET", "/bff/login?"+row.query, typed()...)
		a.is(t, row.query, row.status)
		if row.status != 303 {
			continue
		}
		u, err := url.Parse(a.location())
		if err != nil {
			t.Fatal(err)
		}
		got := u.Query()
		for _, own := range []string{"state", "nonce", "redirect_uri", "response_type"} {
			if len(got[own]) != 1 {
				t.Errorf("%s: %s is %q", row.query, own, got[own])
			}
			got.Del(own)
		}
		if got.Encode() != row.want.Encode() {
			t.Errorf("%s: the provider was given %q, want %q", row.query, got.Encode(), row.want.Encode())
		}
	}
}

// shows PARAM-1: an app that lists nothing passes nothing.
func TestALoginOfAnAppThatAllowsNothing(t *testing.T) {
	w := newWorld(t, func(_ *bff.App, p *surface.LoginPolicy) { *p = surface.LoginPolicy{} })
	a := w.browser().send("GET", "/bff/login?max_age=1&login_hint=x&ui_locales=de&organization_id=org_1", typed()...)
	a.is(t, "unlisted parameters", 303)
	for _, name := range []string{"max_age", "login_hint", "ui_locales", "organization_id"} {
		if got := w.param(a.location(), name); got != "" {
			t.Errorf("%s=%s reached the provider", name, got)
		}
	}
	w.browser().send("GET", "/bff/login?prompt=none", typed()...).is(t, "a prompt that is not listed", 400)
}

// shows PREFETCH-1
func TestPrefetchAndHead(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	token := w.param(sessionOf(t, b).LogoutURL, "token")
	before, kept := w.store.calls(), b.value(sessionCookie)
	state := b.begin("")
	for _, path := range []string{
		"/bff/login", "/bff/callback?code=c&state=" + state, "/bff/landed", "/bff/logout?token=" + token,
		"/bff/logout/ticket", "/bff/logged-out",
	} {
		a := b.send("HEAD", path, typed()...)
		a.is(t, "HEAD "+path, http.StatusMethodNotAllowed)
		if a.header.Get("Allow") != "GET" || a.body != "" {
			t.Errorf("HEAD %s: Allow %q, body %q", path, a.header.Get("Allow"), a.body)
		}
		for _, purpose := range [][]string{{"Sec-Purpose", "prefetch"}, {"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}} {
			a := b.send("GET", path, append(typed(), purpose...)...)
			a.is(t, purpose[0]+" "+path, http.StatusForbidden)
			if len(a.header.Values("Set-Cookie")) > 0 {
				t.Errorf("a prefetch of %s sets %q", path, a.header.Values("Set-Cookie"))
			}
		}
	}
	b.send("HEAD", "/bff/session", fetched()...).is(t, "HEAD /bff/session", http.StatusMethodNotAllowed)
	if w.store.calls() != before || w.provider.asked() != 1 || b.value(sessionCookie) != kept {
		t.Error("something happened")
	}
}

// shows PREFETCH-1: the limiter's answer is passed on, and nothing is done.
func TestALimitedStart(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin("")
	w.limited = &bff.Error{Code: bff.CodeRateLimited, RetryAfter: 1500 * time.Millisecond}
	for _, path := range []string{"/bff/login", "/bff/callback?code=c&state=" + state} {
		a := b.send("GET", path, typed()...)
		a.is(t, path, http.StatusTooManyRequests)
		if a.header.Get("Retry-After") != "2" || len(a.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: Retry-After %q, cookies %q", path, a.header.Get("Retry-After"), a.header.Values("Set-Cookie"))
		}
	}
	if w.store.calls() != 0 {
		t.Error("the store was asked")
	}
}

// shows REDIR-1
func TestALoginUnderAnotherHost(t *testing.T) {
	w := newWorld(t)
	a := w.raw("GET /bff/login HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n")
	if got := w.param(a.location(), "redirect_uri"); got != redirectURI || strings.Contains(a.location(), "evil") {
		t.Errorf("the provider was given redirect_uri %q in %q", got, a.location())
	}
}

// shows TXN-2
func TestTwentyStartsInOneBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.cookies = append(b.cookies, cookie{name: flowPrefix + "!x", value: "x"})
	var states []string
	for range 20 {
		states = append(states, b.begin("?return_to=/"+strings.Repeat("a", 500)))
		w.advance(time.Second)
		if len(b.header(true)) > 8<<10 {
			t.Fatalf("Cookie header of %d bytes", len(b.header(true)))
		}
	}
	if b.flows() != 5 || b.value(flowPrefix+"!x") != "" {
		t.Fatalf("%d transaction cookies: %v", b.flows(), b.cookies)
	}
	for i, state := range states {
		a := b.come("code=c&state=" + state)
		if i < 15 {
			a.is(t, "an old start", 400)
			if !strings.Contains(a.body, "Start again") || !strings.Contains(a.body, `href="/bff/login"`) {
				t.Errorf("an old start has no way on: %s", a.body)
			}
		} else {
			a.is(t, "one of the newest five", 200)
		}
	}
	if b.flows() != 0 {
		t.Errorf("%d transaction cookies are left", b.flows())
	}
}

// shows TXN-2: the largest transactions, beside a session and cookies of the app's own.
func TestTheCookieHeaderStaysReadable(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	b.cookies = append(b.cookies, cookie{name: "theme", value: strings.Repeat("d", 900)})
	for range 6 {
		b.begin("?return_to=/" + strings.Repeat("a", 990))
		w.advance(time.Second)
		if n := len(b.header(false)); n >= 8<<10 {
			t.Fatalf("Cookie header of %d bytes", n)
		}
	}
	if b.flows() < 3 {
		t.Errorf("only %d logins may be in flight", b.flows())
	}
}

// shows TXN-2 (attributes)
func TestTheTransactionCookie(t *testing.T) {
	w := newWorld(t)
	a := w.browser().send("GET", "/bff/login", typed()...)
	line := a.header.Get("Set-Cookie")
	for _, part := range []string{flowPrefix, "; Path=/", "; Max-Age=600", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(line, part) {
			t.Errorf("%q lacks %q", line, part)
		}
	}
	if strings.Contains(line, w.param(a.location(), "state")) || strings.Contains(line, w.param(a.location(), "nonce")) {
		t.Error("the cookie shows what is sealed in it")
	}
}

func TestALoginWhileTheProviderIsDown(t *testing.T) {
	w := newWorld(t)
	w.provider.down = true
	b := w.browser()
	b.send("GET", "/bff/login", typed()...).is(t, "a login", http.StatusServiceUnavailable)
	// shows SILENT-1: whatever goes wrong with a silent login is told to the app.
	a := b.send("GET", "/bff/login?prompt=none&return_to=/here%3Fa%3D1", typed()...)
	if a.is(t, "a silent login", 303); a.location() != "/here?a=1&login_error=idp_unavailable#" {
		t.Errorf("a silent login goes to %q", a.location())
	}
}
