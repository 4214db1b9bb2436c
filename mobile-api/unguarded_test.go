package mobileapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"cloakroom/bff"
)

// What is opened is not fetched, framed or looked at in advance: each page and each form on its own.
//
// shows NAT-8.12 (nothing a page embeds)
func TestWhatMayOpenEachPage(t *testing.T) {
	w := newWorld(t)
	for _, e := range w.surface.Endpoints() {
		if e.Defence == "" || e.Path == "/mobile/par" || strings.HasPrefix(e.Path, "/mobile/token") || strings.HasPrefix(e.Path, "/mobile/revoke") || e.Path == "/mobile/logout" || strings.HasPrefix(e.Path, "/mobile/sessions") || strings.HasSuffix(e.Path, "channel-logout") {
			continue // called by apps, or by a provider: no browser opens these
		}
		path := strings.NewReplacer("{app}", "phone", "{ticket}", bff.NewRoot().Reveal()).Replace(e.Path)
		for what, fields := range map[string][]string{
			"a frame":    {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			"an image":   {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
			"a fetch":    {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
			"a prefetch": append(nav("same-origin"), "Sec-Purpose", "prefetch;prerender"),
		} {
			a := w.send(e.Method, path, "", append([]string{"Origin", gateway}, fields...)...).is(t, e.Method+" "+e.Path+" by "+what, 403)
			if a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s %s by %s: %v", e.Method, e.Path, what, a.header)
			}
		}
	}
}

// Whoever routes, an endpoint answers its one method.
func TestMethodsOfEndpoints(t *testing.T) {
	w := newWorld(t)
	for _, e := range w.surface.Endpoints() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			if method == e.Method {
				continue
			}
			rec := httptest.NewRecorder()
			if err := e.Handle(rec, httptest.NewRequest(method, "/", nil)); bff.CodeOf(err) != bff.CodeMethodNotAllowed || rec.Header().Get("Allow") != e.Method {
				t.Errorf("%s %s by %s: %v", e.Method, e.Path, method, err)
			}
		}
	}
}

// A limit stands before everything else, so that nobody asks round it, and at each endpoint.
func TestLimitsComeFirst(t *testing.T) {
	for _, row := range []struct{ rule, method, path string }{
		{"login", "GET", "/mobile/authorize"},
		{"login", "GET", "/mobile/authorize?x=%zz"},
		{"callback", "GET", "/mobile/callback/tablet"},
		{"callback", "GET", "/mobile/callback/phone?code=a&code=b"},
		{"callback", "POST", "/mobile/callback/tablet"},
		{"token", "POST", "/mobile/token?x=y"},
		{"token", "POST", "/mobile/revoke?x=y"},
	} {
		w := newWorld(t)
		w.limit(row.rule, &bff.Error{Code: bff.CodeRateLimited, Message: "Too many.", RetryAfter: 2e9})
		a := w.send(row.method, row.path, "", append(nav("same-origin"), "Origin", gateway)...).is(t, row.method+" "+row.path, 429)
		if a.header.Get("Retry-After") != "2" {
			t.Errorf("%s %s: %v", row.method, row.path, a.header)
		}
	}
}

// A state that is empty, or that two cookies claim, is the state of no sign-out: a link cannot lead on to an app.
//
// shows RPL-NATIVE (the way back)
func TestWaysBackThatAreNobodys(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.apps["phone"].PostLogoutReturn, w.apps["cli"].PostLogoutReturn = "com.example.app:/signed-out", "http://127.0.0.1/signed-out"
	})
	const out = "__Host-Http-phone.out="
	for _, row := range []struct{ with, query, cookies string }{
		{"an empty state, and no cookie", "?state=", ""},
		{"an empty state, and an empty cookie", "?state=", out},
		{"no state, and an empty cookie", "", out},
		{"no cookie", "?state=s", "a=b"},
		{"the state in two cookies", "?state=s", out + "s; " + out + "s"},
		{"a tossed cookie behind the own", "?state=s", out + "s; " + out + "t"},
		{"a tossed cookie before the own", "?state=s", out + "t; " + out + "s"},
		{"the state of a cookie of another name", "?state=s", "__Host-Http-tablet.out=s"},
	} {
		a := w.send("GET", "/mobile/logged-out"+row.query, "", append(nav("cross-site"), "Cookie", row.cookies)...).is(t, row.with, 200)
		if a.location() != "" || len(a.header.Values("Set-Cookie")) > 0 || !strings.Contains(a.body, "You are signed out") {
			t.Errorf("a way back with %s: %v", row.with, a.header)
		}
	}
	if a := w.send("GET", "/mobile/logged-out?state=s", "", append(nav("cross-site"), "Cookie", out+"s")...); a.location() != "com.example.app:/signed-out" {
		t.Errorf("the own way back: %d %s", a.status, a.location())
	}
}

// A browser that says nothing of where it comes from is one that the app opened: it needs no click.
//
// shows RPL-NATIVE (the one-time address)
func TestTheOneTimeAddressInAnOldBrowser(t *testing.T) {
	w := newWorld(t)
	a := w.send("GET", w.signOut(w.signedIn().Access), "", "Accept", "text/html").is(t, "an old browser", 200)
	if !strings.Contains(a.body, "<script>") {
		t.Errorf("it waits: %s", a.body)
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

// A fault within is told in words of ours alone.
func TestFaultsWithin(t *testing.T) {
	w := newWorld(t)
	for _, err := range []error{
		errors.New("dial tcp 10.0.0.7:443"), &bff.Error{Code: bff.CodeInternal, Err: errors.New("10.0.0.7")},
		&bff.Error{Code: bff.CodeInternal, Message: "10.0.0.7 is unbound"},
	} {
		w.provider.set(func(p *provider) { p.fault = err })
		a := w.browser().open("/mobile/authorize?"+asked("phone", scheme).Encode(), "none").is(t, err.Error(), 303)
		if toldApp(t, err.Error(), a, scheme, "server_error"); a.param(t, "error_description") != "Something went wrong here." {
			t.Errorf("%v: %s", err, a.location())
		}
	}
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

// shows NAT-7.1 (a port that wraps round)
func TestPortsOfManyDigits(t *testing.T) {
	w := newWorld(t)
	for _, port := range []string{"18446744073709551696", "4294967376", "100000", "000080", "65536"} { // 80 beyond 64, and 32, bits
		w.browser().open("/mobile/authorize?"+asked("cli", "http://127.0.0.1:"+port+"/callback").Encode(), "none").is(t, port, 400)
	}
}

// shows NAT-8.6 (a silent sign-in), NAT-8.9
func TestSilentSignInsByLoopback(t *testing.T) {
	w := newWorld(t, func(w *world) { w.policies["cli"] = w.policies["phone"] })
	for _, to := range []string{listened, loopback, "http://[::1]:51004/six"} {
		a := w.browser().open("/mobile/authorize?"+asked("cli", to, "prompt", "none").Encode(), "none").is(t, to, 303)
		toldApp(t, to, a, to, "interaction_required")
	}
	if w.browser().begin(asked("cli", listened, "response_mode", "query")); len(w.provider.asked) != 1 {
		t.Errorf("asked %d times", len(w.provider.asked))
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

// What claims to prove a client is refused, each part of it alone.
//
// shows NAT-8.12 (a secret shipped in an app proves nothing)
func TestProofsOfAClient(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/mobile/token", "/mobile/revoke"} {
		for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
			form := redemption("phone", claimed, "x")
			form.Set("token", "x")
			form.Set(name, "a.b.c")
			w.post(path, form).refused(t, path+" with "+name, 401, "invalid_client")
		}
	}
}

// A body that breaks off is nobody's request, whatever it says so far: the code is as good as before.
func TestBodiesThatBreakOff(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	form := redemption("phone", claimed, code).Encode()
	r := httptest.NewRequest("POST", "/mobile/token", io.MultiReader(strings.NewReader(form), iotest.ErrReader(io.ErrUnexpectedEOF)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code == http.StatusOK || strings.Contains(rec.Body.String(), "access_token") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.redeem("phone", claimed, code).handles(t)
}

// What cannot be read as one thing is not read as another.
func TestFieldsOfTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	form := redemption("phone", claimed, w.code()).Encode()
	const kind = "application/x-www-form-urlencoded"
	for what, fields := range map[string][]string{
		"a media type that does not parse": {"Content-Type", kind + "; charset"},
		"an empty DPoP proof":              {"Content-Type", kind, "DPoP", ""},
	} {
		w.send("POST", "/mobile/token", form, fields...).refused(t, what, 400, "invalid_request")
	}
	w.send("POST", "/mobile/token", form, "Content-Type", kind).handles(t) // and nothing was used up by it
}

// Who sends no handle is refused anyway: no more of the body is read than a form has.
func TestBodiesWithoutAHandle(t *testing.T) {
	w := newWorld(t)
	body := strings.NewReader("a=" + strings.Repeat("a", 64<<10) + "&access_token=x")
	r := httptest.NewRequest("POST", "/api", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if rec.Code != http.StatusUnauthorized || rec.Header().Get("WWW-Authenticate") != bare || body.Len() < 40<<10 {
		t.Errorf("%d %v, %d bytes are left", rec.Code, rec.Header(), body.Len())
	}
}

// What is refused is told to whoever watches, by its rule.
func TestRefusalsAreTold(t *testing.T) {
	w := newWorld(t)
	h := w.signedIn()
	w.call("GET", "/api?access_token="+h.Access, h.Access).is(t, "a handle in the query", 400)
	w.send("GET", "/api", "", "Authorization", "Bearer x").is(t, "no handle", 401)
	w.send("GET", "/api", "", "Authorization", "Bearer "+h.Access, "Cookie", "__Host-Http-web=x").is(t, "a cookie too", 400)
	w.send("GET", "/api", "", "Authorization", "Bearer "+h.Access, "Origin", "null").is(t, "a page", 403)
	if !w.noted("credential: malformed handle") {
		t.Errorf("a call with what is no handle was not told: %q", w.events)
	}
	w.redeem("phone", claimed, "x").refused(t, "no code", 400, "invalid_grant")
	for _, event := range []string{
		"credential: handle in the query", "credential: malformed handle", "credential: a cookie and a handle", "guard: origin", "credential: malformed code",
	} {
		if !w.noted(event) {
			t.Errorf("%q was not told: %q", event, w.events)
		}
	}
	if all := strings.Join(w.events, "\n"); strings.Contains(all, h.Access) || strings.Contains(all, "https://evil.example") {
		t.Errorf("an event holds what was sent: %s", all)
	}
}

// A confirm page's cookie that is there twice, or that holds no ticket, confirms nothing, though the form fits it.
//
// shows NAT-8.6 (the click is protected)
func TestTossedConfirmCookies(t *testing.T) {
	w := newWorld(t)
	check := func(ticket string) string { // as the gateway derives it: no secret is in it
		sum := sha256.Sum256([]byte("cloakroom confirm v1" + ticket))
		return base64.RawURLEncoding.EncodeToString(sum[:])
	}
	click := func(check, cookies string) *answer {
		return w.send("POST", "/mobile/callback/phone", url.Values{"confirm": {check}}.Encode(),
			append(nav("same-origin"), "Origin", gateway, "Content-Type", "application/x-www-form-urlencoded", "Cookie", cookies)...)
	}
	b := w.browser()
	b.returned("phone", scheme).check(t)
	name, ticket := b.cookies[0].name, b.cookies[0].value
	good := check(ticket)
	click(good, name+"="+ticket+"; "+name+"="+ticket).is(t, "its cookie twice", 403)
	click(good, name+"="+ticket+"; "+name+"=tossed").is(t, "a tossed cookie behind", 403)
	for _, none := range []string{"x", "", ticket[:42], ticket + "A"} {
		click(check(none), "__Host-Http-phone.ok."+check(none)[:11]+"="+none).is(t, "a cookie that is no ticket: "+none, 403)
	}
	if !w.noted("guard: confirmation with a malformed cookie") || !w.noted("guard: confirmation without its cookie") {
		t.Errorf("events %q", w.events)
	}
	if a := click(good, name+"="+ticket).is(t, "the click", 303); !strings.HasPrefix(a.location(), scheme+"?code=") {
		t.Error(a.location())
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
