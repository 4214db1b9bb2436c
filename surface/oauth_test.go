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
func TestChallenges(t *testing.T) {
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

// shows HDR-CSP, NAT-8.6 (the page's part)
func TestTheConfirmPage(t *testing.T) {
	app := &bff.App{ID: "phone", Name: "Field <i>Notes</i>"}
	for _, row := range []struct{ redirect, allows string }{
		{"com.example.app:/signed-in", "com.example.app:"},
		{"http://127.0.0.1:51004/callback", "http://127.0.0.1:51004"},
		{"http://[::1]:51004/callback", "http:"},
		{"https://links.example/signed-in?x=1", "https://links.example"},
	} {
		w := httptest.NewRecorder()
		who := "Ann\u202e\u0000\u200b nnA " + strings.Repeat("x", 500)
		if err := surface.WritePage(w, httptest.NewRequest("GET", "/?code=secret", nil), surface.ConfirmAppPage(app, who, row.redirect, "/at", "check")); err != nil {
			t.Fatal(err)
		}
		text, csp := w.Body.String(), w.Header().Get("Content-Security-Policy")
		if !strings.HasSuffix(csp, "; form-action 'self' "+row.allows) || strings.Contains(csp, "script-src") || strings.Contains(text, "<script") {
			t.Errorf("%s: %s", row.redirect, csp)
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
		if err := surface.WritePage(w, httptest.NewRequest("GET", "/", nil), surface.ConfirmAppPage(app, "ann", bad, "/at", "check")); err == nil || w.Body.Len() > 0 {
			t.Errorf("a page that leads to %q was written: %s", bad, w.Header().Get("Content-Security-Policy"))
		}
	}
	_, text := page(t, surface.ConfirmAppPage(&bff.App{ID: "phone"}, "ann", "a.b:/", "/at", "check"))
	if !strings.Contains(text, "<bdi>phone</bdi>") {
		t.Errorf("an app without a name: %s", text)
	}
}

// shows HDR-CSP, RPL-NATIVE (the pages' part)
func TestThePagesOfANativeSignOut(t *testing.T) {
	for what, p := range map[string]surface.Page{
		"back": surface.BackToAppPage(), "missed": surface.MissedLinkPage(), "move on": surface.MoveOnPage("/mobile/logged-out?state=x"),
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
	if !strings.Contains(text, `<form method="get" action="https://idp.example/end">`) || !strings.Contains(text, `name="state" value="s"`) || strings.Contains(text, `name="a"`) {
		t.Error(text)
	}
}
