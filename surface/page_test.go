package surface_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloakroom/bff"
	"cloakroom/surface"
)

func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// page writes a page and returns the answer and its text.
func page(t *testing.T, p surface.Page) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := surface.WritePage(w, httptest.NewRequest("GET", "/", nil), p); err != nil {
		t.Fatal(err)
	}
	res := w.Result()
	return res, readAll(t, res)
}

var (
	inline = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)
	loads  = regexp.MustCompile(`(?i)\b(src|href|action)="(https?:)?//|<(link|img|iframe|object|script )|\bon[a-z]+=|style="`)
)

// wellFormed checks what holds for every page. shows HDR-CSP, CB-REDIR-1 (no foreign content)
func wellFormed(t *testing.T, what string, res *http.Response, text string) {
	t.Helper()
	private(t, what, res.Header)
	csp := res.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'; ", "base-uri 'none'; ", "frame-ancestors 'none'; ", "form-action 'self'"} {
		if !strings.Contains(csp, part) {
			t.Errorf("%s: policy %q lacks %q", what, csp, part)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
		t.Errorf("%s: policy %q", what, csp)
	}
	inlineAllowed(t, what, csp, text)
	for _, part := range []string{`<html lang="`, "<main>", "<h1>", "<title>", `name="viewport"`} {
		if !strings.Contains(text, part) {
			t.Errorf("%s: no %s", what, part)
		}
	}
	if res.Header.Get("Content-Type") != "text/html; charset=utf-8" || res.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("%s: %v", what, res.Header)
	}
	if len(text) > 6000 { // a page of a few sentences
		t.Errorf("%s: %d bytes", what, len(text))
	}
}

// inlineAllowed checks that a policy names every style and script of its page, by its hash.
func inlineAllowed(t *testing.T, what, csp, text string) {
	t.Helper()
	for _, m := range inline.FindAllStringSubmatch(text, -1) {
		sum := sha256.Sum256([]byte(m[2]))
		if want := m[1] + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(csp, want) {
			t.Errorf("%s: the policy %q does not allow the page's own %s: %s", what, csp, m[1], want)
		}
	}
}

func TestEveryCodeAsAPage(t *testing.T) {
	for code, status := range codes {
		res := write("GET", &bff.Error{Code: code, Message: "m"}, surface.Info{RequestID: "r1", LoginURL: "/bff/login", HomeURL: "/home"}, "Sec-Fetch-Mode", "navigate")
		text := readAll(t, res)
		wellFormed(t, string(code), res, text)
		if res.StatusCode != status || !strings.Contains(text, "Code: "+string(code)) || !strings.Contains(text, "Request: r1") {
			t.Errorf("%s: %d %s", code, res.StatusCode, text)
		}
		if m := loads.FindString(text); m != "" {
			t.Errorf("%s: foreign or inline content %q", code, m)
		}
		if !strings.Contains(text, `<a href="/`) || strings.Contains(text, "code=secret") {
			t.Errorf("%s: no way on, or the address in the page: %s", code, text)
		}
		if signIn := strings.Contains(text, `href="/bff/login"`); status == 401 && !signIn && !toldToApps[code] {
			t.Errorf("%s: no way to sign in", code)
		}
	}
}

// shows HDR-CSP, CB-STRICT-1 (the page's part)
func TestThePagesOfSignInAndSignOut(t *testing.T) {
	for what, p := range map[string]surface.Page{
		"bounce": surface.BouncePage("/bff/landed?return_to=%2Fa%3Fb%3D1%26c%3D%22"), "confirm": surface.ConfirmLoginPage("/bff/login?prompt=login&return_to=%2Fa", "/"),
		"signed out": surface.SignedOutPage("/bff/login", "/"), "leave": surface.ConfirmLogoutPage("/"), "unreachable": surface.ProviderUnreachablePage("/bff/login", "/"),
	} {
		res, text := page(t, p)
		wellFormed(t, what, res, text)
		if res.StatusCode != 200 || strings.Contains(text, "<script") || loads.MatchString(text) {
			t.Errorf("%s: %d %s", what, res.StatusCode, text)
		}
	}
	_, text := page(t, surface.BouncePage("/bff/landed?return_to=%2Fa%3Fb%3D1%26c%3D%22"))
	if !strings.Contains(text, `content="0;url=/bff/landed?return_to=%2Fa%3Fb%3D1%26c%3D%22"`) {
		t.Errorf("the target changed on its way into the page: %s", text)
	}
}

// shows RPL-HINT (the page's part)
func TestTheLogoutPage(t *testing.T) {
	res, text := page(t, surface.LogoutPage(&bff.EndSessionRequest{
		URL: "https://idp.example:8443/end?a=1&b=2", Post: true, Values: url.Values{"state": {`"><b>`}, "id_token_hint": {"x.y"}},
	}, ""))
	wellFormed(t, "logout", res, text)
	csp := res.Header.Get("Content-Security-Policy")
	if !strings.HasSuffix(csp, "form-action 'self' https://idp.example:8443") || !strings.Contains(csp, "script-src 'sha256-") {
		t.Errorf("policy %s", csp)
	}
	if !strings.Contains(text, "form.submit()") || !strings.Contains(text, "<button") || strings.Contains(text, "<b>") || strings.Contains(text, `id="after"`) {
		t.Errorf("the page: %s", text)
	}
	for _, bad := range []string{"/end", "javascript:alert(1)", "https://", "https://idp.example;script-src", "//idp.example/end", "data:text/html,x"} {
		w := httptest.NewRecorder()
		if err := surface.WritePage(w, httptest.NewRequest("GET", "/", nil), surface.LogoutPage(&bff.EndSessionRequest{URL: bad, Post: true}, "")); err == nil || w.Body.Len() > 0 {
			t.Errorf("a form to %q was written", bad)
		}
	}
}

// shows CB-ERR-1 (the page's part): a provider's code is shown if it is one, its words never.
//
// shows SCALEKIT-E4
func TestWhatIsShownOfAProvidersError(t *testing.T) {
	for code, shown := range map[string]bool{
		"org_not_found": true, "<script>": false, "Server_Error": false, strings.Repeat("a", 65): false, "": false, "a\nb": false,
	} {
		err := &bff.LoginError{Err: &bff.Error{Code: bff.CodeLoginRefused}, ProviderCode: code}
		text := readAll(t, write("GET", surface.ExplainRefusal(err), surface.Info{}, "Accept", "text/html"))
		if got := strings.Contains(text, "Answer of the sign-in service: "+code); got != shown {
			t.Errorf("%q is shown: %v", code, got)
		}
	}
	mixed := &bff.LoginError{Err: &bff.Error{Code: bff.CodeLoginMixedUp}, ProviderCode: "access_denied"}
	if got := surface.ProviderCode(mixed); got != "" || surface.LoginFailure(mixed) != "" {
		t.Errorf("the word of another issuer is told: %q", got)
	}
}

func TestAnOffer(t *testing.T) {
	offer := &surface.Offer{
		Err: &bff.Error{Code: bff.CodeStoreUnavailable}, Text: "One more <sentence>.", LoginURL: "/elsewhere",
		Actions: []surface.Action{{Label: "Go on", URL: "/on"}, {Label: "Home", URL: "/"}, {Label: "Bad", URL: "javascript:alert(1)"}},
	}
	text := readAll(t, write("GET", offer, surface.Info{LoginURL: "/bff/login", HomeURL: "/"}, "Accept", "text/html"))
	if !strings.Contains(text, "One more &lt;sentence&gt;.") || !strings.Contains(text, `href="/on">Go on`) || strings.Count(text, `href="/"`) != 1 || strings.Contains(text, "javascript:") {
		t.Error(text)
	}
	if !strings.Contains(text, `<a href="">Try again</a>`) {
		t.Errorf("no way to try again: %s", text)
	}
	if text := readAll(t, write("POST", offer, surface.Info{}, "Accept", "text/html")); strings.Contains(text, "Try again</a>") {
		t.Error("a form cannot be tried again by a link")
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
