package spa_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

func lax(a *bff.App, _ *surface.LoginPolicy) { a.LaxCookie = true }

// shows CB-STRICT-1, CB-REDIR-1, COOKIE-2
func TestAStrictLogin(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.come("code=c1&state=" + b.begin("?return_to=/orders%3Fx%3D1%23part"))
	a.is(t, "the callback", 200)
	landed := "/bff/landed?return_to=%2Forders%3Fx%3D1%23part"
	if !strings.Contains(a.body, `<meta http-equiv="refresh" content="0;url=`+landed+`">`) || !strings.Contains(a.body, `href="`+landed+`"`) {
		t.Fatalf("the page does not move on: %s", a.body)
	}
	if strings.Contains(a.body, "c1") || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page may give the code away: %v %s", a.header, a.body)
	}
	if line := strings.Join(a.header.Values("Set-Cookie"), "\n"); !strings.Contains(line, "SameSite=Strict") || !strings.Contains(line, "Max-Age=43200") {
		t.Errorf("cookies: %s", line)
	}
	if b.flows() != 0 {
		t.Error("the transaction cookie is still there")
	}
	if strings.Contains(b.header(true), sessionCookie+"=") {
		t.Fatal("this browser sends a Strict cookie across sites: the test shows nothing")
	}
	a = b.open(landed, "same-origin")
	if a.is(t, "landed", 303); a.location() != "/orders?x=1#part" {
		t.Errorf("landed goes to %q", a.location())
	}
	b.fetch("GET", "/api").is(t, "the next fetch", 200)
}

// shows CB-REDIR-1: a redirect with a fragment of its own.
func TestALaxLogin(t *testing.T) {
	w := newWorld(t, lax)
	b := w.browser()
	a := b.come("code=c1&state=" + b.begin("?return_to=/orders"))
	a.is(t, "the callback", http.StatusSeeOther)
	if a.location() != "/orders#" || a.body != "" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("goes to %q: %v", a.location(), a.header)
	}
	if line := strings.Join(a.header.Values("Set-Cookie"), "\n"); !strings.Contains(line, sessionCookie+"=") || strings.Contains(line, "Strict") {
		t.Errorf("cookies: %s", line)
	}
}

// Who declined once and signs in then comes back to the page as it was before.
func TestASignInTakesAnEarlierErrorOutOfTheAddress(t *testing.T) {
	w, relaxed := newWorld(t), newWorld(t, lax)
	for _, row := range []struct{ from, to string }{
		{"/x?login_error=access_denied#", "/x"},
		{"/x?a=%zz&login_error=old&b=1#part", "/x?a=%zz&b=1#part"},
		{"/x?login_error", "/x"},
		{"/x?login_errors=2&a=login_error#", "/x?login_errors=2&a=login_error#"},
		{"/login_error?a=1", "/login_error?a=1"},
	} {
		query := "?return_to=" + url.QueryEscape(row.from)
		b := w.browser()
		a := b.come("code=c1&state=" + b.begin(query))
		if a.is(t, row.from, 200); !strings.Contains(a.body, `href="/bff/landed?return_to=`+html.EscapeString(url.QueryEscape(row.to))+`"`) {
			t.Errorf("%s: does not lead to %s: %s", row.from, row.to, a.body)
		}
		b = relaxed.browser()
		to := row.to
		if !strings.Contains(to, "#") {
			to += "#"
		}
		a = b.come("code=c1&state=" + b.begin(query))
		if a.is(t, row.from, 303); a.location() != to {
			t.Errorf("%s, with a Lax cookie: to %q, want %q", row.from, a.location(), to)
		}
	}
}

// shows CB-STRICT-1: no second sign-in by itself, and no landing for links from elsewhere.
func TestLandings(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.open("/bff/landed?return_to=/orders", "same-origin")
	a.is(t, "a landing without the cookie", 400)
	if !strings.Contains(a.body, "Cookies are blocked") || !strings.Contains(a.body, `href="/bff/login?return_to=%2Forders"`) || strings.Contains(a.body, "refresh") {
		t.Errorf("the page: %s", a.body)
	}
	b.signIn()
	for _, row := range []struct{ path, site, to string }{
		{"/bff/landed?return_to=//evil", "same-origin", "/"},
		{"/bff/landed?return_to=/bff/login", "same-origin", "/"},
		{"/bff/landed", "none", "/"},
		{"/bff/landed?return_to=/orders", "none", "/orders"},
	} {
		if a := b.open(row.path, row.site); a.status != 303 || a.location() != row.to {
			t.Errorf("%s: %d to %q, want %q", row.path, a.status, a.location(), row.to)
		}
	}
	b.open("/bff/landed?return_to=/orders", "cross-site").is(t, "a landing from a foreign site", 403)
	w.store.setDown(true)
	b.open("/bff/landed?return_to=/orders", "same-origin").is(t, "a landing while the store is down", 503)
}

// shows STATE-1
func TestAnAnswerInAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	state := w.browser().begin("")
	stranger, other := w.browser(), w.browser()
	other.begin("")
	for what, b := range map[string]*browser{"without a login of its own": stranger, "with a login of its own": other} {
		a := b.come("code=c&state=" + state)
		a.is(t, "a browser "+what, 400)
		if b.value(sessionCookie) != "" {
			t.Errorf("a browser %s was signed in", what)
		}
		if blocked := strings.Contains(a.body, "blocking cookies"); blocked != (b == stranger) {
			t.Errorf("a browser %s is told about cookies: %v", what, blocked)
		}
	}
	if w.provider.asked() != 0 || w.store.count() != 0 {
		t.Errorf("%d token requests, %d sessions", w.provider.asked(), w.store.count())
	}
	for home, told := range map[string]bool{origin: false, "http://localhost:8080": true} { // where Safari keeps no Secure cookie
		w := newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.Origin = home })
		if a := w.browser().come("code=c&state=" + state); strings.Contains(a.body, "Safari") != told {
			t.Errorf("an app at %s tells of Safari: %v", home, !told)
		}
	}
}

// shows STATE-1: a transaction under the cookie name of another's state.
func TestATransactionOfAnotherState(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	state := attacker.begin("")
	victim.begin("")
	victim.cookies[0].name = attacker.cookies[0].name
	victim.come("code=c&state="+state).is(t, "the answer", 400)
	if w.provider.asked() != 0 {
		t.Error("the code was redeemed")
	}
}

// shows COOKIE-5 (for transactions): two cookies of one flow are none.
func TestATossedTransaction(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin("")
	b.cookies = append(b.cookies, cookie{name: b.cookies[0].name, value: "tossed"})
	b.come("code=c&state="+state).is(t, "the answer", 400)
	if w.provider.asked() != 0 {
		t.Error("the code was redeemed")
	}
}

// shows TXN-1
func TestWhatACallbackClaims(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.come("app=other&return_to=/evil&redirect_uri=x&max_age=1&nonce=n&code=c&state=" + b.begin("?return_to=/orders&max_age=60"))
	a.is(t, "the callback", 200)
	if !strings.Contains(a.body, "return_to=%2Forders") || strings.Contains(a.body, "evil") {
		t.Errorf("the page: %s", a.body)
	}
	if got := w.provider.exchanges[0]; got.MaxAge == nil || *got.MaxAge != 60 {
		t.Errorf("max_age %v", got.MaxAge)
	}
}

// shows CB-STATE-1 (one node)
func TestACallbackTwice(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	query := "code=c&state=" + b.begin("?return_to=/orders")
	twins := []*browser{{w: w, cookies: b.cookies}, {w: w, cookies: b.cookies}}
	answers := make([]*answer, 2)
	var wg sync.WaitGroup
	for i, twin := range twins {
		cookies := twin.header(true)
		wg.Go(func() {
			answers[i] = w.raw("GET /bff/callback?" + query + " HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nCookie: " + cookies + "\r\nConnection: close\r\n\r\n")
		})
	}
	wg.Wait()
	if answers[0].status+answers[1].status != 200+400 || w.provider.asked() != 1 {
		t.Fatalf("%d and %d, %d token requests", answers[0].status, answers[1].status, w.provider.asked())
	}
	for _, a := range answers {
		if a.status == 400 && !strings.Contains(a.body, `href="/bff/landed?return_to=%2Forders">Continue`) {
			t.Errorf("the second has no way on: %s", a.body)
		}
	}
}

// shows CB-STATE-1: a replay leaves the live session alone, and offers to go on.
func TestAReplayAfterSuccess(t *testing.T) {
	w := newWorld(t, lax)
	b := w.browser()
	query := "code=c&state=" + b.begin("")
	b.come(query).is(t, "the first", 303)
	root := b.value(sessionCookie)
	a := b.come(query)
	a.is(t, "the second", 400)
	if !strings.Contains(a.body, ">Continue</a>") || b.value(sessionCookie) != root {
		t.Errorf("the second: %s", a.body)
	}
	b.fetch("GET", "/api").is(t, "the session", 200)
	for _, state := range []string{"", "x", strings.Repeat("A", 43)} {
		b.come("code=c&state="+state).is(t, "state "+state, 400)
	}
	if w.provider.asked() != 1 {
		t.Errorf("%d token requests", w.provider.asked())
	}
}

// shows CB-PARAM-1
func TestMalformedAnswers(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin("")
	for _, query := range []string{
		"code=a&code=b&state=" + state, "code=a&state=" + state + "&state=" + state, "code=a&state=x&state=" + state,
		"code=a&iss=" + issuer + "&iss=" + issuer + "&state=" + state, "error=a&error=b&state=" + state,
		"code=a&state=" + strings.Repeat("s", 10<<10), "state=" + state + "&code=" + strings.Repeat("c", 5<<10),
		"code=a;state=" + state, "code=%zz&state=" + state,
	} {
		a := b.come(query)
		a.is(t, query[:min(40, len(query))], 400)
		if !strings.Contains(a.body, `href="/bff/login"`) {
			t.Errorf("no way on: %s", a.body)
		}
	}
	if w.store.calls() != 0 || w.provider.asked() != 0 || b.flows() != 1 {
		t.Errorf("%d calls of the store, %d token requests, %d transactions", w.store.calls(), w.provider.asked(), b.flows())
	}
	b.send("POST", "/bff/callback?code=a&state="+state, nav("cross-site")...).is(t, "POST", 405)
	b.send("HEAD", "/bff/callback?code=a&state="+state, nav("cross-site")...).is(t, "HEAD", 405)
	b.send("GET", "/bff/callback?code=a&state="+state, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe").is(t, "a frame", 403)
	b.come("code=a&state="+state).is(t, "the good answer after all that", 200)
}

// shows CB-ERR-1, SILENT-1, SCALEKIT-E1, SCALEKIT-E2, SCALEKIT-E3, SCALEKIT-E4, SCALEKIT-E5
func TestErrorsOfTheProvider(t *testing.T) {
	const script = "<script>alert(1)</script>"
	for _, row := range []struct {
		start, answer string
		status        int
		to            string // where it goes, or
		page          string // what the page says
		event         string
	}{
		{"?return_to=/a%23b", "error=access_denied&error_description=" + script, 303, "/a?login_error=access_denied#b", "", "login: login_refused"},
		{"?return_to=/a%3Flogin_error%3Dold%26x%3D1", "error=access_denied", 303, "/a?x=1&login_error=access_denied#", "", ""},
		{"?prompt=none&return_to=/a%3Fx%3D1", "error=login_required", 303, "/a?x=1&login_error=login_required#", "", ""},
		{"?prompt=none", "error=interaction_required", 303, "/?login_error=interaction_required#", "", ""},
		{"?prompt=none", "error=consent_required", 303, "/?login_error=consent_required#", "", ""},
		{"?prompt=none", "error=account_selection_required", 303, "/?login_error=account_selection_required#", "", ""},
		{"?prompt=none", "error=" + script, 303, "/?login_error=login_refused#", "", ""},
		{"?prompt=none", "error=login_required&iss=https://evil", 303, "/?login_error=login_mixed_up#", "", ""},
		{"?return_to=/a", "error=invalid_request&error_description=" + script, 400, "", "Sign-in not possible", "alarm: provider refuses the app's sign-in request"},
		{"?return_to=/a", "error=server_error", 502, "", "Sign-in service failed", ""},
		{"?return_to=/a", "error=temporarily_unavailable", 502, "", "temporarily_unavailable", ""},
		{"?return_to=/a", "error=org_not_found", 403, "", "org_not_found", ""},
		{"?return_to=/a", "error=" + script, 403, "", "Sign-in refused", ""},
		{"?return_to=/a", "error=access_denied&iss=https://evil", 400, "", "Answer from elsewhere", "login: login_mixed_up"},
		{"?return_to=/a", "error=server_error&code=c", 502, "", "Sign-in service failed", ""}, // error wins over code
		{"?return_to=/a", "", 400, "", "Incomplete answer", "login: login_no_code"},
	} {
		w := newWorld(t)
		b := w.browser()
		a := b.come(strings.ReplaceAll(row.answer, "<", "%3C") + "&state=" + b.begin(row.start))
		a.is(t, row.answer, row.status)
		if a.location() != row.to || !strings.Contains(a.body, row.page) {
			t.Errorf("%s: goes to %q, want %q; %s", row.answer, a.location(), row.to, a.body)
		}
		if strings.Contains(a.body, "alert(1)") || row.page != "" && !strings.Contains(a.body, `href="/bff/login?return_to=%2Fa"`) {
			t.Errorf("%s: provider's text, or no way to try again: %s", row.answer, a.body)
		}
		if row.event != "" && !w.noted(row.event) {
			t.Errorf("%s: events %q, want %q", row.answer, w.events, row.event)
		}
		if w.provider.asked() != 0 || b.value(sessionCookie) != "" || b.flows() != 0 {
			t.Errorf("%s: %d token requests, %d transactions left", row.answer, w.provider.asked(), b.flows())
		}
	}
}

// shows CB-ERR-1: an error without a transaction is told to nobody but the user.
func TestAnErrorWithBadState(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.begin("?return_to=/a")
	a := b.come("error=access_denied&state=forged")
	if a.is(t, "bad state", 400); a.location() != "" || strings.Contains(a.body, "access_denied") || b.flows() != 1 {
		t.Errorf("bad state: %q, %d transactions, %s", a.location(), b.flows(), a.body)
	}
}

// shows CB-FIX-1, SESS-KILL (one node)
func TestACookieThatWasThereBefore(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	planted := bff.NewRoot().Reveal()
	b.cookies = []cookie{{name: sessionCookie, value: planted, strict: true}}
	b.signIn()
	first := b.value(sessionCookie)
	if first == planted {
		t.Fatal("the planted value was adopted")
	}
	b.signIn()
	for what, value := range map[string]string{"the planted": planted, "the replaced": first} {
		old := w.browser()
		old.cookies = []cookie{{name: sessionCookie, value: value, strict: true}}
		old.fetch("GET", "/api").is(t, what, 401)
	}
	b.fetch("GET", "/api").is(t, "the new", 200)
	if w.store.count() != 1 {
		t.Errorf("%d sessions", w.store.count())
	}
}

// shows CB-SWAP-1 (another user's session; step-up is shown elsewhere)
func TestAnotherUserInTheSameBrowser(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	old := b.value(sessionCookie)
	w.provider.signsIn("bob", "sid-2")
	b.signIn()
	if a := b.fetch("GET", "/bff/session"); !strings.Contains(a.body, `"bob"`) || strings.Contains(a.body, "ann") {
		t.Errorf("the session of: %s", a.body)
	}
	stale := w.browser()
	stale.cookies = []cookie{{name: sessionCookie, value: old}}
	a := stale.fetch("GET", "/api")
	if a.is(t, "the old session", 401); !strings.Contains(a.body, `"reason":"replaced"`) {
		t.Errorf("the old session: %s", a.body)
	}
	// A late answer to a request of the replaced session must not take the new session's cookie.
	if len(a.header.Values("Set-Cookie")) > 0 {
		t.Errorf("the old session clears the new one's cookie: %q", a.header.Values("Set-Cookie"))
	}
	if gone := within(t, "a revocation", w.provider.revoked); gone.Access.Reveal() != accessToken {
		t.Error("the first user's tokens were not revoked")
	}
}

// A callback that the store could not answer keeps its transaction: a reload may succeed.
func TestACallbackWhileTheStoreIsDown(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	query := "code=c&state=" + b.begin("")
	w.store.setDown(true)
	a := b.come(query)
	a.is(t, "the callback", 503)
	if b.flows() != 1 || w.provider.asked() != 0 || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "code=c") {
		t.Errorf("%d transactions, %d token requests: %s", b.flows(), w.provider.asked(), a.body)
	}
	w.store.setDown(false)
	b.come(query).is(t, "the reload", 200)
}

func TestALoginThatTookTooLong(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	query := "code=c&state=" + b.begin("?return_to=/a")
	w.advance(11 * time.Minute)
	a := b.come(query)
	if a.is(t, "the callback", 400); !strings.Contains(a.body, `href="/bff/login?return_to=%2Fa"`) || w.provider.asked() != 0 {
		t.Errorf("the page: %s", a.body)
	}
}
