package mobileapi_test

import (
	"encoding/base64"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows NAT-8.6, NAT-8.9, NAT-7.1 (303)
func TestTheWayBackToTheApp(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		app, redirect string
		asks          bool   // a person first
		leadsTo       string // what the page's policy must allow, for browsers hold the redirect after the form to it
	}{
		{"phone", claimed, false, ""},
		{"phone", scheme, true, "com.example.app:"},
		{"phone", "com.example.app:/with?own=query", true, "com.example.app:"},
		{"cli", listened, true, "http://127.0.0.1:51004"},
		{"cli", loopback, true, "http://127.0.0.1"},
		{"cli", "http://[::1]:51004/six", true, "http:"},
	} {
		b := w.browser()
		a := b.returned(row.app, row.redirect)
		if b.count(".tx.") != 0 {
			t.Errorf("%s: the transaction is left", row.redirect)
		}
		if row.asks {
			check := a.check(t)
			isConfirmPage(t, row.redirect, a, row.app, row.redirect, row.leadsTo)
			if b.count(".ok.") != 1 || strings.Contains(a.body, b.cookies[0].value) {
				t.Errorf("%s: cookies %v", row.redirect, b.cookies)
			}
			a = b.submit("/mobile/callback/"+row.app, url.Values{"confirm": {check}})
		}
		if a.is(t, row.redirect, 303); !strings.HasPrefix(a.location(), row.redirect) || a.param(t, "state") != appState ||
			a.param(t, "iss") != gateway+"/mobile" || a.param(t, "error") != "" || len(a.param(t, "code")) != 43 || a.body != "" {
			t.Errorf("%s: answered at %s", row.redirect, a.location())
		}
		if row.redirect != "com.example.app:/with?own=query" && strings.Count(a.location(), "?") != 1 || !strings.Contains(row.redirect, "own") == (a.param(t, "own") != "") {
			t.Errorf("%s: its own query is gone: %s", row.redirect, a.location())
		}
		if len(b.cookies) != 0 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v left, %v", row.redirect, b.cookies, a.header)
		}
		w.redeem(row.app, row.redirect, a.param(t, "code")).handles(t)
	}
}

// isConfirmPage checks the page on which a person decides.
func isConfirmPage(t *testing.T, what string, a *answer, app, redirect, leadsTo string) {
	t.Helper()
	csp := a.header.Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "form-action 'self' "+leadsTo) || !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("%s: policy %s", what, csp)
	}
	for _, part := range []string{"The " + app + " app", "Ann &lt;b&gt;Other&lt;/b&gt; (ann@example.com)", ">Continue</button>", `name="cancel" value="1">Cancel</button>`, `method="post" action="/mobile/callback/` + app + `"`} {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s: the page lacks %q: %s", what, part, a.body)
		}
	}
	if !strings.Contains(a.body, `<bdi class="detail">`+strings.ReplaceAll(redirect, "&", "&amp;")+"</bdi>") || strings.Contains(a.body, "code=") {
		t.Errorf("%s: the page: %s", what, a.body)
	}
	// Where no app opens there is a way on: the very same request again, for the app still waits for its answer.
	_, link, _ := strings.Cut(a.body, `<a href="`)
	link, label, _ := strings.Cut(link, `"`)
	again, err := url.Parse(html.UnescapeString(link))
	if err != nil || again.Path != "/mobile/authorize" || again.Query().Encode() != asked(app, redirect).Encode() || !strings.HasPrefix(label, ">Start again</a></template>") {
		t.Errorf("%s: a way on to %q (%v)", what, link, err)
	}
	// Under no-referrer its own POST would come with Origin: null.
	if a.header.Get("Referrer-Policy") != "strict-origin" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%s: %v", what, a.header)
	}
}

// shows NAT-8.6 (the click is protected)
func TestConfirmationsThatAreNoClick(t *testing.T) {
	w := newWorld(t)
	form := func(check string) string { return url.Values{"confirm": {check}}.Encode() }
	posted := []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
	for _, row := range []struct {
		with   string
		fields []string
		body   func(check string) string
		status int
	}{
		{"a form of another site", append(nav("cross-site"), "Origin", "https://evil.example"), form, 403},
		{"a form of a sibling host", append(nav("same-site"), "Origin", "https://sibling.gw.example"), form, 403},
		{"another origin from an old browser", []string{"Origin", "https://evil.example"}, form, 403},
		{"a hidden origin from an old browser", []string{"Origin", "null"}, form, 403},
		{"nothing that tells where it comes from", nil, form, 403},
		{"a fetch", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", gateway}, form, 403},
		{"another value", append(nav("same-origin"), "Origin", gateway), func(c string) string { return form(c[:11] + c[12:] + c[11:12]) }, 403},
		{"no value", append(nav("same-origin"), "Origin", gateway), func(string) string { return "" }, 403},
		{"the value twice", append(nav("same-origin"), "Origin", gateway), func(c string) string { return form(c) + "&" + form(c) }, 400},
		{"its exact origin from an old browser", []string{"Origin", gateway}, form, 303},
		{"its own page", append(nav("same-origin"), "Origin", gateway), form, 303},
	} {
		b := w.browser()
		check := b.returned("phone", scheme).check(t)
		a := b.do("POST", "/mobile/callback/phone", row.body(check), append(posted, row.fields...)...).is(t, "a confirmation with "+row.with, row.status)
		if (a.location() != "") != (row.status == 303) {
			t.Errorf("a confirmation with %s: %s", row.with, a.location())
		}
		if row.status != 303 { // and nothing was used up by it
			b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click after "+row.with, 303)
		}
	}
	// Another browser, or another app's address, has not the cookie.
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	w.browser().submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the form in another browser", 403)
	b.submit("/mobile/callback/cli", url.Values{"confirm": {check}}).is(t, "the form at another app", 403)
	b.submit("/mobile/callback/tablet", url.Values{"confirm": {check}}).is(t, "the form at no app", 404)
	kept := slices.Clone(b.cookies)
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click", 303)
	b.cookies = kept
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click again", 410)
}

// shows NAT-8.6 (the person says no)
func TestCancel(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	check := b.returned("phone", scheme).check(t)
	a := b.submit("/mobile/callback/phone", url.Values{"confirm": {check}, "cancel": {"1"}}).is(t, "cancelled", 303)
	toldApp(t, "cancelled", a, scheme, "access_denied")
	if len(b.cookies) != 0 {
		t.Errorf("cookies %v", b.cookies)
	}
	if got := within(t, "the revocation", w.provider.revoked); got.Refresh.Reveal() != refreshToken {
		t.Error("revoked something else")
	}
}

// Two apps, or one twice, may ask at the same time.
func TestTwoConfirmPages(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first, second := b.returned("cli", listened).check(t), b.returned("cli", "http://127.0.0.1:51005/callback").check(t)
	for check, to := range map[string]string{first: listened, second: "http://127.0.0.1:51005/callback"} {
		if a := b.submit("/mobile/callback/cli", url.Values{"confirm": {check}}).is(t, to, 303); !strings.HasPrefix(a.location(), to+"?code=") {
			t.Errorf("%s: answered at %s", to, a.location())
		}
	}
}

// shows NAT-SWAP
func TestTheAnswerInAnotherBrowser(t *testing.T) {
	w := newWorld(t)
	victim := w.browser()
	state := victim.begin(asked("phone", claimed))
	other := w.browser()
	a := other.come("phone", "code=c&state="+state).is(t, "the provider's answer in another browser", 400)
	if a.location() != "" || strings.Contains(a.body, state) || !w.noted("login: login_unknown") {
		t.Errorf("%s %s", a.location(), a.body)
	}
	other.begin(asked("phone", claimed)) // one of its own does not help
	other.come("phone", "code=c&state="+state).is(t, "with a sign-in of its own", 400)
	victim.come("cli", "code=c&state="+state).is(t, "at another app", 400)
	victim.come("tablet", "code=c&state="+state).is(t, "at no app", 404)
	victim.begin(asked("phone", claimed))
}

// shows NAT-8.9 (errors)
func TestFailuresThatTheAppIsToldOf(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ answer, code string }{
		{"error=access_denied", "access_denied"},
		{"error=login_required", "login_required"},
		{"error=interaction_required&error_description=evil", "interaction_required"},
		{"error=temporarily_unavailable", "temporarily_unavailable"},
		{"error=server_error", "server_error"},
		{"error=invalid_scope&error_description=evil", "server_error"},
		{"error=evil", "server_error"},
		{"code=c&iss=https%3A%2F%2Fevil.example", "server_error"},
		{"", "server_error"},
	} {
		b := w.browser()
		a := b.come("phone", row.answer+"&state="+b.begin(asked("phone", scheme))).is(t, row.answer, 303)
		toldApp(t, row.answer, a, scheme, row.code)
		if strings.Contains(a.location(), "evil") || b.count(".tx.") != 0 {
			t.Errorf("%s: %s, %v", row.answer, a.location(), b.cookies)
		}
	}
	if !w.noted("alarm: provider refuses the app's sign-in request") {
		t.Errorf("events %q", w.events)
	}
	b := w.browser()
	state := b.begin(asked("phone", claimed))
	w.advance(11 * 60e9)
	toldApp(t, "too late", b.come("phone", "code=c&state="+state), claimed, "server_error")
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin(asked("phone", claimed))
	a := b.come("phone", "code=a&code=b&state="+state).is(t, "two codes", 400)
	if a.location() != "" || b.count(".tx.") != 1 {
		t.Errorf("%s %v", a.location(), b.cookies)
	}
	w.limit("callback", &bff.Error{Code: bff.CodeRateLimited, RetryAfter: 3e9})
	if a := b.come("phone", "code=a&state="+state).is(t, "too often", 429); a.header.Get("Retry-After") != "3" {
		t.Error(a.header)
	}
}

func TestAnOutageAtTheCallback(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin(asked("phone", claimed))
	w.redis.SetError("LOADING")
	a := b.come("phone", "code=c&state="+state).is(t, "without a store", 303)
	toldApp(t, "without a store", a, claimed, "temporarily_unavailable")
	w.redis.SetError("")
	if b.count(".tx.") != 0 {
		t.Error("the app was told, and its answer may still come")
	}
	check := b.returned("phone", scheme).check(t)
	w.redis.SetError("LOADING")
	a = b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "a click without a store", 503)
	w.redis.SetError("")
	if a.location() != "" || a.header.Get("Retry-After") == "" {
		t.Error(a.header)
	}
	b.submit("/mobile/callback/phone", url.Values{"confirm": {check}}).is(t, "the click again", 303)
}

// A sign-out that overtakes a sign-in offers one click that starts the same one anew.
//
// shows RPL-PENDING (the native surface's part)
func TestASignOutOvertakesASignIn(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	b := w.browser()
	state := b.begin(asked("phone", claimed))
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	a := b.come("phone", "code=c&state="+state).is(t, "coming back", surface.Status(bff.CodeLoginSignedOut))
	_, link, _ := strings.Cut(a.body, `href="`)
	link, _, _ = strings.Cut(link, `"`)
	again, err := url.Parse(html.UnescapeString(link))
	if err != nil || again.Path != "/mobile/authorize" || again.Query().Encode() != asked("phone", claimed).Encode() {
		t.Fatalf("a way on to %q: %s", link, a.body)
	}
	w.advance(10e9) // the sign-out ends what began before it, with two seconds for clocks
	if a := b.open(again.String(), "same-origin").is(t, "the click", 303); !strings.HasPrefix(a.location(), issuer) {
		t.Error(a.location())
	}
	// On a confirm page it is the same.
	h = w.signedIn()
	check := b.returned("phone", scheme).check(t)
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	a = b.submit("/mobile/callback/phone", url.Values{"confirm": {check}})
	if a.status != 403 || !strings.Contains(a.body, `href="/mobile/authorize?`) {
		t.Errorf("%d %s %s", a.status, a.location(), a.body)
	}
}

// What an app cannot act on is not passed on, and neither is the word of somebody who is not the provider.
//
// shows NAT-8.9 (errors)
func TestWordsOfTheProvider(t *testing.T) {
	w := newWorld(t)
	mixedUp := "&iss=" + url.QueryEscape("https://evil.example")
	for _, row := range []struct{ answer, code string }{
		{"error=consent_required", "consent_required"},
		{"error=account_selection_required", "account_selection_required"},
		{"error=access_denied" + mixedUp, "server_error"},
		{"error=login_required" + mixedUp, "server_error"},
		{"error=invalid_client", "server_error"},
		{"error=unauthorized_client", "server_error"},
	} {
		b := w.browser()
		toldApp(t, row.answer, b.come("phone", row.answer+"&state="+b.begin(asked("phone", scheme))), scheme, row.code)
	}
}

// Nothing may be shown of a silent sign-in, not even that a sign-out overtook it.
//
// shows RPL-PENDING (the native surface's part)
func TestASignOutOvertakesASilentSignIn(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	b := w.browser()
	state := b.begin(asked("phone", claimed, "prompt", "none"))
	w.call("POST", "/mobile/logout", h.Access).is(t, "signing out", 200)
	toldApp(t, "coming back", b.come("phone", "code=c&state="+state).is(t, "coming back", 303), claimed, "login_required")
}

// A key that this instance does not know yet costs no sign-in its cookie: the next instance may know it.
func TestATransactionUnderAKeyToCome(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	state := b.begin(asked("phone", claimed))
	own := b.cookies[0].value
	raw, err := base64.RawURLEncoding.DecodeString(own)
	if err != nil || string(raw[1:3]) != "k1" {
		t.Fatalf("%v %q", err, own)
	}
	copy(raw[1:], "k9")
	b.cookies[0].value = base64.RawURLEncoding.EncodeToString(raw)
	a := b.come("phone", "code=c&state="+state).is(t, "the key to come", 503)
	if b.count(".tx.") != 1 || a.location() != "" {
		t.Fatalf("%v %v", b.cookies, a.header)
	}
	b.cookies[0].value = own
	if b.come("phone", "code=c&state="+state).is(t, "the key that came", 303); b.count(".tx.") != 0 {
		t.Errorf("left: %v", b.cookies)
	}
}

// The notice of a sign-out spares the sign-in of its own browser; of two, nobody knows which is ours.
func TestTwoNotices(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.submit(w.signOut(w.signedIn().Access), nil).is(t, "on to the provider", 200)
	own := b.cookies
	b.cookies = nil
	for _, c := range own {
		if strings.HasSuffix(c.name, ".so") {
			b.cookies = []cookie{c, {name: c.name, value: "tossed"}}
		}
	}
	if len(b.cookies) != 2 {
		t.Fatalf("cookies %v", own)
	}
	a := b.returned("phone", claimed)
	if a.status != 403 || a.location() != "" {
		t.Errorf("one of two was taken: %d %s", a.status, a.location())
	}
}

// An app that sends no state is given none, and not an empty one.
//
// shows NAT-8.9
func TestAnAppWithoutAState(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for what, a := range map[string]*answer{
		"a code":   b.come("phone", "code=c&state="+b.begin(asked("phone", claimed, "state", ""))),
		"an error": b.open("/mobile/authorize?"+asked("phone", claimed, "state", "", "response_type", "token").Encode(), "none"),
	} {
		if u, err := url.Parse(a.is(t, what, 303).location()); err != nil || u.Query().Has("state") || u.Query().Get("iss") != gateway+"/mobile" {
			t.Errorf("%s: %s", what, a.location())
		}
	}
}

// Who comes back to a browser without any cookie is told what may be wrong; with one of another sign-in it is something else.
func TestWhatAPersonIsToldOfALostSignIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, blocked := range []bool{true, false} {
		a := b.come("phone", "code=c&state=unknown").is(t, "an unknown state", 400)
		if strings.Contains(a.body, "blocking cookies") != blocked || !strings.Contains(a.body, "o back to the app and") {
			t.Errorf("blocked %v: %s", blocked, a.body)
		}
		b.begin(asked("phone", claimed))
	}
}
