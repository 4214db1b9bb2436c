package surface_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

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
