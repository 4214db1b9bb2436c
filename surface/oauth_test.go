package surface_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// Every code of ours as an OAuth client reads it: the status stays, the words are those of RFC 6749 section 5.2.
func TestErrorsOfOAuthEndpoints(t *testing.T) {
	for code, status := range codes {
		err := surface.AsOAuth(fmt.Errorf("redeeming: %w", &bff.Error{
			Code: code, Message: "One sentence.", Err: errors.New("redis at 10.0.0.7"), RetryAfter: 1200 * time.Millisecond,
		}))
		if bff.CodeOf(err) != code {
			t.Errorf("%s became %s", code, bff.CodeOf(err))
		}
		if _, ok := err.(*surface.OAuthError); !ok {
			continue // a guard's, seen below
		}
		if code == bff.CodeProofRejected || code == bff.CodeNonceRequired {
			status = 400 // RFC 9449 sections 5 and 8
		}
		res := write("POST", err, surface.Info{RequestID: "r1"}, "Sec-Fetch-Mode", "navigate") // not even then a page
		var got map[string]string
		text := body(t, res)
		if err := json.Unmarshal([]byte(text), &got); err != nil || res.StatusCode != status || got["error"] != surface.OAuthCode(code) || got["request_id"] != "r1" || len(got) != 3 {
			t.Errorf("%s: %v %d %s", code, err, res.StatusCode, text)
		}
		if strings.Contains(text, "10.0.0.7") || res.Header.Get("Pragma") != "no-cache" || res.Header.Get("WWW-Authenticate") != "" || res.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %v %s", code, res.Header, text)
		}
		private(t, string(code), res.Header)
	}
}

func TestHowCodesAreToldToOAuthClients(t *testing.T) {
	for code, want := range map[bff.Code]string{
		bff.CodeGrantRejected: "invalid_grant", surface.CodeClientRejected: "invalid_client", bff.CodeBadRequest: "invalid_request",
		bff.CodeStoreUnavailable: "temporarily_unavailable", bff.CodeKeyUnknown: "temporarily_unavailable", bff.CodeRateLimited: "temporarily_unavailable",
		bff.CodeIDPUnavailable: "temporarily_unavailable", bff.CodeDraining: "temporarily_unavailable", bff.CodeInternal: "server_error",
		bff.CodeLoginMixedUp: "server_error", "forgotten": "server_error",
		bff.CodeProofRejected: "invalid_dpop_proof", bff.CodeNonceRequired: "use_dpop_nonce",
	} {
		if got := surface.OAuthCode(code); got != want {
			t.Errorf("%s is told as %s, want %s", code, got, want)
		}
	}
	// What a guard refuses is no OAuth client's request.
	for _, code := range []bff.Code{bff.CodeCSRFFailed, bff.CodeForbidden, bff.CodeNotFound, bff.CodeMethodNotAllowed, bff.CodeClientGone} {
		if err := surface.AsOAuth(&bff.Error{Code: code}); surface.AsOAuth(nil) != nil || err.Error() != string(code) {
			t.Errorf("%s: %v", code, err)
		} else if _, ok := err.(*bff.Error); !ok {
			t.Errorf("%s became %T", code, err)
		}
	}
	res := write("POST", surface.AsOAuth(errors.New("redis at 10.0.0.7")), surface.Info{})
	if text := body(t, res); res.StatusCode != 500 || text != `{"error":"server_error","error_description":"Something went wrong here."}` {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestClientsThatAreRefused(t *testing.T) {
	for _, basic := range []bool{true, false} {
		err := surface.RefuseOAuth(surface.OAuthInvalidClient, "No.")
		err.Basic = basic
		res := write("POST", surface.AsOAuth(fmt.Errorf("x: %w", err)), surface.Info{})
		if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || (got == `Basic realm="cloakroom"`) != basic || !basic && got != "" {
			t.Errorf("Basic %v: %d %q", basic, res.StatusCode, got)
		}
	}
}

// shows NAT-6750 (the challenges' part)
func TestAChallengeSaysWhatIsWrong(t *testing.T) {
	for code, want := range map[string]string{
		"":                          `Bearer realm="cloakroom"`,
		surface.OAuthInvalidToken:   `Bearer realm="cloakroom", error="invalid_token", error_description="The handle is unknown, expired or revoked."`,
		surface.OAuthInvalidRequest: `Bearer realm="cloakroom", error="invalid_request", error_description="One handle, in one Authorization header field, and no other credential."`,
		surface.OAuthAccessDenied:   `Bearer realm="cloakroom", error="invalid_request", error_description="One handle, in one Authorization header field, and no other credential."`,
	} {
		err := &surface.ChallengeError{Code: code, Err: &bff.Error{Code: bff.CodeSessionRequired, Message: "Sign in."}}
		for _, wrapped := range []error{err, &surface.Offer{Err: err}} {
			res := write("GET", wrapped, surface.Info{})
			if got := res.Header.Get("WWW-Authenticate"); got != want || res.StatusCode != 401 || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%q: %d %s", code, res.StatusCode, got)
			}
		}
	}
}

// A challenge for each scheme, in a field of its own.
//
// shows DPOP-7.1 (the challenges' part)
func TestChallengesForProofs(t *testing.T) {
	const key = `DPoP realm="cloakroom"`
	both := []surface.Scheme{surface.SchemeBearer, surface.SchemeDPoP}
	for _, row := range []struct {
		code    string
		schemes []surface.Scheme
		want    []string
	}{
		{"", both, []string{`Bearer realm="cloakroom"`, key + `, algs="ES256 EdDSA"`}},
		{"", both[1:], []string{key + `, algs="ES256 EdDSA"`}},
		{"", both[:1], []string{`Bearer realm="cloakroom"`}},
		{surface.OAuthInvalidToken, both[1:], []string{key + `, error="invalid_token", error_description="The handle is unknown, expired or revoked.", algs="ES256 EdDSA"`}},
		{surface.OAuthInvalidProof, both[1:], []string{key + `, error="invalid_dpop_proof", error_description="The proof of possession is not good for this handle and request.", algs="ES256 EdDSA"`}},
		{surface.OAuthUseNonce, both[1:], []string{key + `, error="use_dpop_nonce", error_description="The proof of possession needs the nonce in DPoP-Nonce.", algs="ES256 EdDSA"`}},
	} {
		err := &surface.ChallengeError{Code: row.code, Schemes: row.schemes, Algs: []string{"ES256", "EdDSA"}, Err: &bff.Error{Code: bff.CodeProofRejected, Message: "No."}}
		res := write("GET", err, surface.Info{}, "Sec-Fetch-Mode", "cors")
		if diff := cmp.Diff(row.want, res.Header.Values("WWW-Authenticate")); diff != "" || res.StatusCode != 401 {
			t.Errorf("%q: %d %s", row.code, res.StatusCode, diff)
		}
	}
}

// shows HDR-CSP, NAT-8.6 (the page's part)
func TestTheConfirmPage(t *testing.T) {
	app := &bff.App{ID: "phone", Name: "Field <i>Notes</i>"}
	const program = "A program on this computer"
	for _, row := range []struct{ redirect, allows, receiver string }{
		{"com.example.app:/signed-in", "com.example.app:", "An app on this device"},
		{"http://127.0.0.1:51004/callback", "http://127.0.0.1:51004", program},
		{"http://[::1]:51004/callback", "http:", program},
		{"https://links.example/signed-in?x=1", "https://links.example", "The app that owns this address"},
	} {
		w := httptest.NewRecorder()
		who := "Ann\u202e\u0000\u200b nnA " + strings.Repeat("x", 500)
		if err := surface.WritePage(w, httptest.NewRequest("GET", "/?code=secret", nil), surface.ConfirmAppPage(app, surface.AppQuestion{Who: who, RedirectURI: row.redirect, At: "/at", Check: "check", Again: "/again?a=1&b=2"})); err != nil {
			t.Fatal(err)
		}
		text, csp := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if !strings.HasSuffix(csp, "; form-action 'self' "+row.allows) {
			t.Errorf("%s: %s", row.redirect, csp)
		}
		if inlineAllowed(t, row.redirect, csp, text); strings.Count(text, "<script>") != 1 || !strings.Contains(csp, "; script-src 'sha256-") {
			t.Errorf("%s: nothing tells where no app opens: %s %s", row.redirect, csp, text)
		}
		if !strings.Contains(text, "<dd><bdi>"+row.receiver+`</bdi><br><bdi class="detail">`+row.redirect+"</bdi></dd>") {
			t.Errorf("%s: where the answer goes: %s", row.redirect, text)
		}
		if !strings.Contains(text, "<bdi>Ann nnA xxx") || strings.Contains(text, strings.Repeat("x", 120)) || strings.Contains(text, "<i>") || strings.Contains(text, "secret") {
			t.Errorf("%s: %s", row.redirect, text)
		}
		if !strings.Contains(text, `<input type="hidden" name="confirm" value="check">`) || strings.Count(text, "<button") != 2 || w.Header().Get("Referrer-Policy") != "strict-origin" {
			t.Errorf("%s: %s", row.redirect, text)
		}
	}
	for _, bad := range []string{"no-scheme", "https://a b/", "https://a;script-src 'unsafe-inline'/", "Com.Example:/x", "a b:/x", "https://"} {
		w := httptest.NewRecorder()
		if err := surface.WritePage(w, httptest.NewRequest("GET", "/", nil), surface.ConfirmAppPage(app, surface.AppQuestion{Who: "ann", RedirectURI: bad, At: "/at", Check: "check", Again: "/again?a=1&b=2"})); err == nil || w.Body.Len() > 0 {
			t.Errorf("a page that leads to %q was written: %s", bad, w.Header().Get("Content-Security-Policy"))
		}
	}
	// What is said where no app opens waits in the page, and is no link before.
	_, text := page(t, surface.ConfirmAppPage(app, surface.AppQuestion{RedirectURI: "a.b:/", Again: "/again?a=1&b=2"}))
	_, after, _ := strings.Cut(text, `<div id="after" role="status" tabindex="-1"></div>`)
	if !strings.Contains(after, `<template id="said"><p>You can go back to the app and close this page.</p>`) || !strings.Contains(after, `<a href="/again?a=1&amp;b=2">Start again</a></template>`) || strings.Count(after, "<noscript>") != 1 {
		t.Errorf("after the click: %s", text)
	}
	_, text = page(t, surface.ConfirmAppPage(&bff.App{ID: "phone"}, surface.AppQuestion{Who: "ann", RedirectURI: "a.b:/", At: "/at", Check: "check", Again: "/again?a=1&b=2"}))
	if !strings.Contains(text, "<h1>Sign in to \u2068phone\u2069?</h1>") {
		t.Errorf("an app without a name: %s", text)
	}
}

// A name may be long, written from right to left, or nothing but signs: what stands around it stays where it is.
//
// shows NAT-8.6 (the page's part)
func TestNamesOfAppsInTitles(t *testing.T) {
	for name, want := range map[string][2]string{
		"order desk": {"order desk", "O"}, "يوميات": {"يوميات", "ي"}, "\u202eevil": {"evil", "E"}, "«1st» app": {"«1st» app", "1"},
		"***": {"***", ""}, "écrans": {"écrans", "É"}, strings.Repeat("x", 130): {strings.Repeat("x", 120) + "…", "X"},
	} {
		p := surface.ConfirmAppPage(&bff.App{ID: "phone", Name: name}, surface.AppQuestion{RedirectURI: "a.b:/"})
		if p.Title != "Sign in to \u2068"+want[0]+"\u2069?" || p.Mark != want[1] {
			t.Errorf("%q: %q %q", name, p.Title, p.Mark)
		}
		_, text := page(t, p)
		if mark := `<div class="mark" aria-hidden="true">` + want[1] + "</div>"; strings.Contains(text, mark) != (want[1] != "") {
			t.Errorf("%q: %s", name, text)
		}
	}
	if p := surface.MissedLinkPage("order desk"); p.Title != "Open this in \u2068order desk\u2069" || p.Mark != "O" {
		t.Errorf("%q %q", p.Title, p.Mark)
	}
	if p := surface.MissedLinkPage("\u202eevil\u200b"); p.Title != "Open this in \u2068evil\u2069" || p.Mark != "E" {
		t.Errorf("%q %q", p.Title, p.Mark)
	}
	if p := surface.MissedLinkPage(""); p.Title != "Open this in the app" || p.Mark != "" {
		t.Errorf("%q %q", p.Title, p.Mark)
	}
}

// shows HDR-CSP, RPL-NATIVE (the pages' part)
func TestThePagesOfANativeSignOut(t *testing.T) {
	for what, p := range map[string]surface.Page{
		"back": surface.BackToAppPage(), "missed": surface.MissedLinkPage("Field Notes"), "move on": surface.MoveOnPage("/mobile/logged-out?state=x"),
	} {
		res, text := page(t, p)
		wellFormed(t, what, res, text)
		if strings.Contains(text, "<script") || strings.Contains(text, "<form") {
			t.Errorf("%s: %s", what, text)
		}
	}
	for _, waits := range []bool{true, false} {
		res, text := page(t, surface.LeavePage(waits))
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.HasSuffix(csp, "form-action 'self'") || strings.Contains(text, "action=") || strings.Contains(csp, "script-src") == waits || strings.Contains(text, "<script>") == waits || !strings.Contains(text, "<button") {
			t.Errorf("waits %v: %s %s", waits, csp, text)
		}
	}
	_, text := page(t, surface.LogoutPage(&bff.EndSessionRequest{URL: "https://idp.example/end?a=1&b=%zz", Values: map[string][]string{"state": {"s"}}}, "a.b:/x"))
	if !strings.Contains(text, `<template id="said"><p>If nothing else opens,`) {
		t.Errorf("a way back that no app takes is a dead end: %s", text)
	}
	if !strings.Contains(text, `<form method="get" action="https://idp.example/end">`) || !strings.Contains(text, `name="state" value="s"`) || strings.Contains(text, `name="a"`) {
		t.Error(text)
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
