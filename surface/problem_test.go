package surface_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// codes is every code with its status: the contract that docs list.
var codes = map[bff.Code]int{
	bff.CodeSessionRequired: 401, bff.CodeSessionExpired: 401, bff.CodeSessionEnded: 401, bff.CodeUpstreamRefused: 401,
	bff.CodeCSRFFailed: 403, bff.CodeAppNotAllowed: 403, bff.CodeClaimRequired: 403, bff.CodeForbidden: 403,
	bff.CodeBadRequest: 400, bff.CodeNotFound: 404, bff.CodeMethodNotAllowed: 405, bff.CodeGone: 410, bff.CodeTooLarge: 413,
	bff.CodeMisdirected: 421, bff.CodeRateLimited: 429, bff.CodeStoreUnavailable: 503, bff.CodeKeyUnknown: 503,
	bff.CodeIDPUnavailable: 503, bff.CodeUpstreamUnavailable: 502, bff.CodeUpstreamTimeout: 504, bff.CodeLoopDetected: 508,
	bff.CodeDraining: 503, bff.CodeClientGone: 499, bff.CodeInternal: 500,
	bff.CodeLoginUnknown: 400, bff.CodeLoginExpired: 400, bff.CodeLoginReplayed: 400, bff.CodeLoginMixedUp: 400,
	bff.CodeLoginRefused: 403, bff.CodeLoginNoCode: 400, bff.CodeLoginSignedOut: 403, bff.CodeLoginNoSID: 502,
	bff.CodeLoginCodeRejected: 400, bff.CodeLoginTokenRejected: 400, bff.CodeIDPMisconfigured: 502,
	bff.CodeGrantRejected: 400, surface.CodeClientRejected: 401, bff.CodeProofRejected: 401, bff.CodeNonceRequired: 401,
	surface.CodeCookiesBlocked: 400, surface.CodeLoginMisconfigured: 400, surface.CodeLoginProviderFailed: 502,
}

// toldToApps are the codes of what no sign-in in a browser mends.
var toldToApps = map[bff.Code]bool{surface.CodeClientRejected: true, bff.CodeProofRejected: true, bff.CodeNonceRequired: true}

// write answers one error to a request with these header fields, in pairs.
func write(method string, err error, info surface.Info, fields ...string) *http.Response {
	r := httptest.NewRequest(method, "/api/x?code=secret", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	surface.WriteError(w, r, err, info)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	return readAll(t, res)
}

// shows ERR-9457, HDR-CACHE (errors)
func TestEveryCodeAsAProblem(t *testing.T) {
	for code, status := range codes {
		if got := surface.Status(code); got != status {
			t.Errorf("%s is %d, want %d", code, got, status)
		}
		err := fmt.Errorf("forwarding: %w", &bff.Error{
			Code: code, Message: "One sentence.", Err: errors.New("redis at 10.0.0.7 said MOVED"), RetryAfter: 1200 * time.Millisecond,
		})
		res := write("GET", err, surface.Info{RequestID: "r1", LoginURL: "/bff/login"}, "Sec-Fetch-Mode", "cors")
		var p map[string]any
		text := body(t, res)
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if p["title"] == "" || p["title"] == nil {
			t.Errorf("%s has no title", code)
		}
		delete(p, "title")
		want := map[string]any{
			"type": "urn:cloakroom:problem:" + string(code), "status": float64(status), "detail": "One sentence.",
			"instance": "urn:cloakroom:request:r1", "code": string(code), "request_id": "r1", "retry_after": 2.0,
		}
		if status == 401 && !toldToApps[code] { // no sign-in makes an app known
			want["login_url"] = "/bff/login"
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s: %s", code, diff)
		}
		if res.StatusCode != status || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d %v", code, res.StatusCode, res.Header)
		}
		if strings.Contains(text, "10.0.0.7") || res.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s tells too much: %s", code, text)
		}
		private(t, string(code), res.Header)
	}
}

// private checks the header fields of every own answer. shows HDR-CACHE, HDR-SEC
func private(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
	vary := strings.Split(h.Get("Vary"), ", ")
	for _, name := range []string{"Cookie", "Origin", "Authorization", "Sec-Fetch-Mode"} {
		if !slices.Contains(vary, name) {
			t.Errorf("%s: Vary %q lacks %s", what, vary, name)
		}
	}
}

// shows ERR-CLOSED (telling): what nobody gave a code is internal, and says nothing.
func TestUntypedErrors(t *testing.T) {
	for _, err := range []error{
		errors.New("dial tcp 10.0.0.7:6379"), &bff.Error{Code: "forgotten", Message: "10.0.0.7"},
		&surface.Offer{Err: errors.New("10.0.0.7")}, bff.ErrStore,
	} {
		for _, mode := range []string{"cors", "navigate"} {
			res := write("GET", err, surface.Info{RequestID: "r1"}, "Sec-Fetch-Mode", mode)
			text := body(t, res)
			if res.StatusCode != 500 || strings.Contains(text, "10.0.0.7") || strings.Contains(text, "forgotten") || !strings.Contains(text, "internal") {
				t.Errorf("%v: %d %s", err, res.StatusCode, text)
			}
		}
	}
}

func TestTheReasonOfAnEnd(t *testing.T) {
	res := write("GET", &bff.Error{Code: bff.CodeSessionEnded, Reason: string(bff.ReasonSignedOut)}, surface.Info{})
	if text := body(t, res); !strings.Contains(text, `"reason":"signed_out"`) || strings.Contains(text, "instance") || strings.Contains(text, "login_url") {
		t.Error(text)
	}
}

// shows ERR-NAV
func TestWhoGetsAPage(t *testing.T) {
	html := "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, row := range []struct {
		method string
		fields []string
		page   bool
	}{
		{"GET", []string{"Sec-Fetch-Mode", "navigate"}, true},
		{"POST", []string{"Sec-Fetch-Mode", "navigate"}, true},
		{"GET", []string{"Sec-Fetch-Mode", "cors", "Accept", html}, false},
		{"GET", []string{"Sec-Fetch-Mode", "no-cors", "Accept", html}, false},
		{"GET", []string{"Sec-Fetch-Mode", "websocket"}, false},
		{"GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Mode", "cors"}, false},
		{"GET", []string{"Accept", html}, true},
		{"HEAD", []string{"Accept", "TEXT/HTML"}, true},
		{"POST", []string{"Accept", html}, true},
		{"DELETE", []string{"Accept", html}, false},
		{"GET", []string{"Accept", "application/json"}, false},
		{"GET", []string{"Accept", "*/*"}, false},
		{"GET", nil, false},
	} {
		res := write(row.method, &bff.Error{Code: bff.CodeSessionRequired}, surface.Info{LoginURL: "/bff/login"}, row.fields...)
		if page := strings.HasPrefix(res.Header.Get("Content-Type"), "text/html"); page != row.page || res.StatusCode != 401 || res.Header.Get("Location") != "" {
			t.Errorf("%s %q: page %v, want %v; %d", row.method, row.fields, page, row.page, res.StatusCode)
		}
		if text := body(t, res); (text == "") != (row.method == "HEAD") || res.Header.Get("Content-Length") == "0" {
			t.Errorf("%s %q: body %q", row.method, row.fields, text)
		}
	}
}

func TestOnlyOneMethod(t *testing.T) {
	called := 0
	h := surface.Only("GET", func(http.ResponseWriter, *http.Request) error { called++; return nil })
	for method, ok := range map[string]bool{"GET": true, "HEAD": false, "POST": false, "<script>": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = method
		w := httptest.NewRecorder()
		err := h(w, r)
		if (err == nil) != ok || !ok && (bff.CodeOf(err) != bff.CodeMethodNotAllowed || w.Header().Get("Allow") != "GET") {
			t.Errorf("%s: %v", method, err)
		}
		if e, is := errors.AsType[*bff.Error](err); is && strings.Contains(e.Message, "<") {
			t.Errorf("%s is reflected: %s", method, e.Message)
		}
	}
	if called != 1 {
		t.Errorf("called %d times", called)
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
