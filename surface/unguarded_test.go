package surface_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// with makes a request with these header fields, in pairs; a name may stand twice.
func with(fields ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// shows NAT-8.12 (nothing a page embeds; nothing that a browser does on its own)
func TestWhatOpensAPage(t *testing.T) {
	refuse := func(ctx context.Context, rule string) error {
		return surface.GuardRefused(ctx, &bff.Trace{}, "", rule) // nobody listens
	}
	nav := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	for _, row := range []struct {
		with   string
		fields []string
		code   bff.Code // "" = it passes
	}{
		{"a navigation", nav, ""},
		{"an old browser's navigation", nil, ""},
		{"a mode alone", nav[:2], ""},
		{"a destination alone", nav[2:], ""},
		{"another purpose", append(nav, "Sec-Purpose", "x", "Purpose", "y"), ""},
		{"a frame", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, bff.CodeCSRFFailed},
		{"an embedded object", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "object"}, bff.CodeCSRFFailed},
		{"a frame without a mode", []string{"Sec-Fetch-Dest", "frame"}, bff.CodeCSRFFailed},
		{"a fetch of a document", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "document"}, bff.CodeCSRFFailed},
		{"a fetch without a destination", []string{"Sec-Fetch-Mode", "no-cors"}, bff.CodeCSRFFailed},
		{"a mode that stands twice", append(nav, "Sec-Fetch-Mode", "navigate"), bff.CodeCSRFFailed},
		{"a destination that stands twice", append(nav, "Sec-Fetch-Dest", "document"), bff.CodeCSRFFailed},
		{"a prefetch", append(nav, "Sec-Purpose", "prefetch"), bff.CodeForbidden},
		{"a page made ahead", append(nav, "Sec-Purpose", "prefetch;prerender"), bff.CodeForbidden},
		{"an older prefetch", append(nav, "Purpose", "prefetch"), bff.CodeForbidden},
		{"a prefetch of old Firefox", append(nav, "X-Moz", "prefetch"), bff.CodeForbidden},
		{"a preview of Safari", append(nav, "X-Purpose", "preview"), bff.CodeForbidden},
		{"a prefetch in the second field", append(nav, "Sec-Purpose", "x", "Sec-Purpose", "prefetch"), bff.CodeForbidden},
		{"a prefetch of a frame", []string{"Sec-Fetch-Dest", "iframe", "Sec-Purpose", "prefetch"}, bff.CodeForbidden},
	} {
		called := false
		err := surface.TopLevel(refuse, func(http.ResponseWriter, *http.Request) error { called = true; return nil })(httptest.NewRecorder(), with(row.fields...))
		if called != (row.code == "") || bff.CodeOf(err) != row.code {
			t.Errorf("%s: called %v, %v", row.with, called, err)
		}
	}
}

// shows NAT-8.6 (the click is protected): where a form comes from.
func TestWhereAFormComesFrom(t *testing.T) {
	const origin = "https://gw.example"
	for _, row := range []struct {
		with   string
		fields []string
		ours   bool
	}{
		{"metadata and origin", []string{"Sec-Fetch-Site", "same-origin", "Origin", origin}, true},
		{"metadata alone", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"its origin alone", []string{"Origin", origin}, true},
		{"nothing", nil, false},
		{"an empty origin", []string{"Origin", ""}, false},
		{"a hidden origin", []string{"Origin", "null"}, false},
		{"another origin", []string{"Origin", "https://evil.example"}, false},
		{"an origin that begins alike", []string{"Origin", origin + ".evil.example"}, false},
		{"another port", []string{"Origin", origin + ":444"}, false},
		{"its origin twice", []string{"Origin", origin, "Origin", origin}, false},
		{"its origin and another", []string{"Origin", origin, "Origin", "https://evil.example"}, false},
		{"a sibling's metadata and its origin", []string{"Sec-Fetch-Site", "same-site", "Origin", origin}, false},
		{"foreign metadata and its origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", origin}, false},
		{"metadata of no page and its origin", []string{"Sec-Fetch-Site", "none", "Origin", origin}, false},
		{"metadata twice", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin", "Origin", origin}, false},
		{"metadata and foreign metadata", []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, false},
	} {
		if surface.FromOrigin(with(row.fields...), origin) != row.ours {
			t.Errorf("a form with %s: ours %v", row.with, !row.ours)
		}
	}
	if surface.IsServiceWorker(with()) || !surface.IsServiceWorker(with("Service-Worker", "")) {
		t.Error("a service worker's script is told by the field, whatever it says")
	}
}

func TestRefusalsAreTold(t *testing.T) {
	var told []bff.RefusalEvent
	note := func(_ context.Context, e bff.RefusalEvent) { told = append(told, e) }
	trace := &bff.Trace{GuardRefused: note, CredentialRefused: note}
	err := surface.GuardRefused(t.Context(), trace, "web", "origin")
	surface.CredentialRefused(t.Context(), trace, "phone", "malformed handle")
	surface.CredentialRefused(t.Context(), &bff.Trace{}, "", "nobody listens")
	if diff := cmp.Diff([]bff.RefusalEvent{{App: "web", Rule: "origin"}, {App: "phone", Rule: "malformed handle"}}, told); diff != "" {
		t.Error(diff)
	}
	if e, ok := errors.AsType[*bff.Error](err); !ok || e.Code != bff.CodeCSRFFailed || strings.Contains(e.Message, "origin") {
		t.Errorf("the answer tells the rule: %v", err)
	}
}

// Only an error that says so ends a session, and only one of the moment leaves a transaction as it is.
func TestWhatAnErrorSays(t *testing.T) {
	for code := range codes {
		over := code == bff.CodeSessionRequired || code == bff.CodeSessionEnded || code == bff.CodeSessionExpired
		repeat := code == bff.CodeStoreUnavailable || code == bff.CodeKeyUnknown
		err := fmt.Errorf("reading: %w", &bff.Error{Code: code})
		if surface.IsOver(err) != over || surface.MayRepeat(err) != repeat {
			t.Errorf("%s: over %v, may repeat %v", code, surface.IsOver(err), surface.MayRepeat(err))
		}
	}
	if surface.IsOver(nil) || surface.MayRepeat(nil) {
		t.Error("nothing is no end, and no outage")
	}
}

// flow is a transaction cookie as SetFlow names it.
func flow(began, state string) surface.Cookie {
	return surface.Cookie{Name: "__Host-Http-.tx." + began + "-" + bff.Flow(state), Value: "sealed"}
}

// started lists the cookies that a new login clears, and the one that it sets, the last.
func started(j surface.Jar) (cleared []string, set *http.Cookie) {
	w := httptest.NewRecorder()
	j.SetFlow(w, "", &bff.LoginStart{Flow: bff.Flow("new"), Sealed: "sealed"}, time.Unix(100, 0))
	all := w.Result().Cookies()
	for _, c := range all[:len(all)-1] {
		if c.MaxAge < 0 {
			cleared = append(cleared, c.Name)
		}
	}
	return cleared, all[len(all)-1]
}

// The Cookie header stays below 8 KiB less what a sign-out needs, to the byte: the oldest make room, as many as it takes.
func TestRoomForANewFlow(t *testing.T) {
	const bound = 8<<10 - 512
	size := func(c surface.Cookie) int { return len(c.Name) + len(c.Value) + 3 }
	old, older, fresh := flow("2", "old"), flow("1", "older"), flow("2s", "new")
	for _, row := range []struct {
		with    string
		pending surface.Jar
		others  int // bytes of what is not ours, so that all would be …
		cleared []string
	}{
		{"one byte less than the bound", surface.Jar{old}, bound - 1 - size(old) - size(fresh), nil},
		{"the bound, and one flow", surface.Jar{old}, bound - size(old) - size(fresh), []string{old.Name}},
		{"the bound, and two flows", surface.Jar{old, older}, bound - size(old) - size(older) - size(fresh), []string{older.Name}},
		{"twice the bound", surface.Jar{old, older}, 2 * bound, []string{older.Name, old.Name}},
		{"twice the bound, and no flow", nil, 2 * bound, nil},
	} {
		other := surface.Cookie{Name: "a", Value: strings.Repeat("x", row.others-4)}
		cleared, set := started(append(row.pending, other))
		if diff := cmp.Diff(row.cleared, cleared); diff != "" {
			t.Errorf("with %s: %s", row.with, diff)
		}
		if set.Name != fresh.Name || set.MaxAge != 600 || set.SameSite != http.SameSiteLaxMode {
			t.Errorf("with %s: %v", row.with, set)
		}
	}
}

// Five are in flight at most. The oldest goes: of one second the one that the browser sends first, and before all what
// has not the form of ours, which is no state's either.
func TestTheOldestFlowGoes(t *testing.T) {
	bad := surface.Cookie{Name: "__Host-Http-.tx.!-" + bff.Flow("tossed"), Value: "sealed"}
	a, b, c, d, e := flow("2", "a"), flow("2", "b"), flow("1", "c"), flow("3", "d"), flow("zz", "e")
	for _, row := range []struct {
		with    string
		pending surface.Jar
		cleared []string
	}{
		{"four", surface.Jar{a, b, c, d}, nil},
		{"five", surface.Jar{a, b, c, d, e}, []string{c.Name}},
		{"five of one second", surface.Jar{flow("2", "z"), a, b, flow("2", "y"), flow("2", "x")}, []string{flow("2", "z").Name}},
		{"five of one second, the other way round", surface.Jar{flow("2", "x"), flow("2", "y"), b, a, flow("2", "z")}, []string{flow("2", "x").Name}},
		{"one that is none of ours", surface.Jar{a, b, c, d, bad}, []string{bad.Name}},
		{"six", surface.Jar{a, b, c, d, e, bad}, []string{bad.Name, c.Name}},
	} {
		if cleared, _ := started(row.pending); !cmp.Equal(cleared, row.cleared) {
			t.Errorf("with %s: cleared %q, want %q", row.with, cleared, row.cleared)
		}
	}
	if f, ok := (surface.Jar{bad}).Flows("").Of("tossed"); ok {
		t.Errorf("%q was taken", f.Name)
	}
}

// shows COOKIE-1 (what is set, and what clears it)
func TestAttributesOfCookies(t *testing.T) {
	for _, row := range []struct {
		set  func(http.ResponseWriter)
		want string
	}{
		{func(w http.ResponseWriter) { surface.SetCookie(w, "n", "v", http.SameSiteLaxMode, time.Minute) }, "n=v; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"},
		// Without an end it would live as long as the browser, which may be for ever.
		{func(w http.ResponseWriter) {
			surface.SetCookie(w, "n", "v", http.SameSiteStrictMode, time.Millisecond)
		}, "n=v; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Strict"},
		{func(w http.ResponseWriter) { surface.ClearCookie(w, "n", http.SameSiteStrictMode) }, "n=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"},
	} {
		w := httptest.NewRecorder()
		if row.set(w); w.Header().Get("Set-Cookie") != row.want {
			t.Errorf("%s, want %s", w.Header().Get("Set-Cookie"), row.want)
		}
	}
	j := surface.Jar{{"a", "1"}, {"A", "2"}}
	if j.Only("a") != "1" || j.Only("A") != "2" || len(j.Values("a")) != 1 {
		t.Errorf("names of other letters are one: %v", j.Values("a"))
	}
}

// No parameter twice, nothing that does not parse, and nothing of either in the error but the start of a name.
func TestReadingOnce(t *testing.T) {
	long := strings.Repeat("n", 200)
	for raw, want := range map[string]string{
		"": "", "a=1&b=2": "", "a=": "", "a": "",
		"a=1&a=1": "twice", "a=1&%61=2": "twice", "a&a": "twice", long + "=secret&" + long + "=secret": "twice",
		"a=1;b=2": "parse", "a=%zz": "parse", "secret=1&%zz": "parse", "a=1&secret;x=1": "parse",
	} {
		values, err := surface.ReadOnce(raw)
		if (err == nil) != (want == "") || err != nil && values != nil {
			t.Errorf("%.40q: %v %v", raw, values, err)
			continue
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "zz") || len(err.Error()) > 80) {
			t.Errorf("%.40q: the error quotes it: %v", raw, err)
		}
	}
}

// What may be asked of a login, at its bounds: what is not listed is dropped, what is not allowed is refused.
func TestBoundsOfLoginParameters(t *testing.T) {
	all := surface.LoginPolicy{
		Prompts: []string{"none", "login"}, ACRValues: []string{"gold"}, MaxAge: true, LoginHint: true, UILocales: true,
		Extra: map[string]surface.Param{
			"org": {Name: "organization", Values: []string{"acme"}}, "nothing": {}, "pattern": {Pattern: regexp.MustCompile(`^[a-z]+$`)},
		},
	}
	for _, row := range []struct {
		name, value string
		ok          bool
	}{
		{"login_hint", strings.Repeat("h", 256), true},
		{"login_hint", strings.Repeat("h", 257), false},
		{"login_hint", "änn@example.com", true},
		{"login_hint", "a\x00b", false},
		{"login_hint", "a\r\nb", false},
		{"login_hint", "a\x1fb", false},
		{"login_hint", "a\x7fb", false},
		{"login_hint", "a\xffb", false},
		{"max_age", "0", true},
		{"max_age", "999999999", true},
		{"max_age", "1000000000", false},
		{"max_age", "-1", false},
		{"max_age", "+1", false},
		{"max_age", "1e3", false},
		{"max_age", "1 ", false},
		{"ui_locales", "de-AT en", true},
		{"ui_locales", "de,en", false},
		{"ui_locales", "de  en", false},
		{"ui_locales", "<b>", false},
		{"ui_locales", strings.Repeat("a", 36), false},
		{"ui_locales", "a b c d e f g h i j", true},
		{"ui_locales", "a b c d e f g h i j k", false},
		{"prompt", "none", true},
		{"prompt", "none login", false},
		{"prompt", "consent", false},
		{"prompt", "login consent", false},
		{"acr_values", "gold", true},
		{"acr_values", "silver", false},
		{"acr_values", "gold silver", false},
		{"org", "acme", true},
		{"org", "evil", false},
		{"nothing", "x", false},
		{"pattern", "abc", true},
		{"pattern", "ABC", false},
	} {
		var req bff.LoginRequest
		shown, err := all.Read(url.Values{row.name: {row.value}}, &req)
		if (err == nil) != row.ok || err != nil && bff.CodeOf(err) != bff.CodeBadRequest || row.ok && shown.Get(row.name) != row.value {
			t.Errorf("%s=%.40q: %v %v", row.name, row.value, shown, err)
		}
		if e, _ := errors.AsType[*bff.Error](err); e != nil && strings.Contains(e.Message, row.value) {
			t.Errorf("%s=%.40q: the answer quotes it: %s", row.name, row.value, e.Message)
		}
		req = bff.LoginRequest{}
		if shown, err := (surface.LoginPolicy{}).Read(url.Values{row.name: {row.value}}, &req); row.name != "prompt" && row.name != "acr_values" &&
			(err != nil || len(shown)+len(req.Extra) != 0 || req.MaxAge != nil) {
			t.Errorf("%s=%.40q without a policy: %v %v %v", row.name, row.value, shown, req, err)
		}
	}
}

// shows HDR-CACHE, HDR-SEC, CB-REDIR-1 (a redirect is an answer like any other)
func TestHeadersOfRedirectsAndAnswers(t *testing.T) {
	w := httptest.NewRecorder()
	surface.Redirect(w, "com.example.app:/x?code=secret")
	private(t, "a redirect", w.Header())
	if w.Code != http.StatusSeeOther || w.Body.Len() != 0 || w.Header().Get("Location") != "com.example.app:/x?code=secret" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	if err := surface.WriteJSON(w, with(), 200, "x"); err != nil {
		t.Fatal(err)
	}
	private(t, "JSON", w.Header())
	// All that may select an answer: who asks, from where, and for what.
	if vary := w.Header().Get("Vary"); vary != "Cookie, Authorization, Origin, Accept, Sec-Fetch-Dest, Sec-Fetch-Mode, Sec-Fetch-Site" {
		t.Errorf("Vary %q", vary)
	}
}

// What is the same for everybody may be stored for a while, and is guarded all the same.
func TestPublicAnswers(t *testing.T) {
	w := httptest.NewRecorder()
	if err := surface.WritePublicJSON(w, with(), 90*time.Second, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Cache-Control": "public, max-age=90", "Vary": "", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin", "Content-Type": "application/json; charset=utf-8", "Set-Cookie": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	w = httptest.NewRecorder()
	if err := surface.WritePublicJSON(w, with(), time.Second, func() {}); err == nil || w.Body.Len() != 0 || len(w.Header()) != 0 {
		t.Errorf("what has no JSON form was written: %v %v", err, w.Header())
	}
}

// shows HDR-CSP (what may stand in a policy)
func TestTargetsThatNoPolicyMayName(t *testing.T) {
	for _, c := range " ;,'\"*\\\t\r\n" {
		for _, target := range []string{"https://a" + string(c) + "b/", "https://a:1" + string(c) + "/"} {
			w := httptest.NewRecorder()
			err := surface.WritePage(w, with(), surface.ConfirmAppPage(&bff.App{ID: "phone"}, surface.AppQuestion{Who: "ann", RedirectURI: target, At: "/at", Check: "check", Again: "/again?a=1&b=2"}))
			if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
				t.Errorf("%q was named: %s", target, w.Header().Get("Content-Security-Policy"))
			}
		}
	}
	// Only a form that comes back to this origin shows its origin's name.
	for what, row := range map[string]struct {
		page   surface.Page
		policy string
	}{
		"no form":        {surface.BackToAppPage(), "no-referrer"},
		"a foreign form": {surface.LogoutPage(&bff.EndSessionRequest{URL: "https://idp.example/end", Post: true}, ""), "no-referrer"},
		"its own form":   {surface.LeavePage(true), "strict-origin"},
	} {
		res, text := page(t, row.page)
		if res.Header.Get("Referrer-Policy") != row.policy || res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(text, `<meta name="robots" content="noindex">`) {
			t.Errorf("%s: %v %s", what, res.Header, text)
		}
	}
}

// What a person decides by is cut at 120 characters, not bytes, and shows nothing that turns other text round.
//
// shows NAT-8.6 (the page's part)
func TestFactsAsShown(t *testing.T) {
	for value, want := range map[string]string{
		strings.Repeat("é", 120): strings.Repeat("é", 120), strings.Repeat("é", 121): strings.Repeat("é", 120) + "…",
		"a\u202eb\u2066c\u200bd\u00ade\tf\x00g\u00a0h": "abcdefgh", "Ann Other": "Ann Other",
	} {
		if got := (surface.Fact{Value: value}).Shown(); got != want {
			t.Errorf("%q is shown as %q", value, got)
		}
	}
}

// shows NAT-6750 (no echo), NAT-8.12
func TestWhatOAuthErrorsSay(t *testing.T) {
	for code, status := range map[string]int{
		surface.OAuthInvalidRequest: 400, surface.OAuthInvalidClient: 401, surface.OAuthInvalidGrant: 400, surface.OAuthUnsupportedGrantType: 400,
	} {
		for _, basic := range []bool{true, false} {
			err := surface.RefuseOAuth(code, "One sentence.")
			err.Basic = basic
			if (bff.CodeOf(err) == bff.CodeGrantRejected) != (code == surface.OAuthInvalidGrant) { // for the log
				t.Errorf("%s is %s", code, bff.CodeOf(err))
			}
			res := write("POST", err, surface.Info{}, "Accept", "text/html")
			if text := body(t, res); res.StatusCode != status || text != `{"error":"`+code+`","error_description":"One sentence."}` {
				t.Errorf("%s: %d %s", code, res.StatusCode, text)
			}
			// RFC 6749 section 5.2: the challenge belongs to invalid_client, and to who named itself by Basic.
			if got := res.Header.Get("WWW-Authenticate"); (got == `Basic realm="cloakroom"`) != (basic && code == surface.OAuthInvalidClient) || got != "" && !basic {
				t.Errorf("%s, Basic %v: challenge %q", code, basic, got)
			}
		}
	}
	res := write("POST", surface.AsOAuth(&bff.Error{Code: bff.CodeInternal, Message: "10.0.0.7 is unbound"}), surface.Info{})
	if text := body(t, res); res.StatusCode != 500 || strings.Contains(text, "10.0.0.7") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}
