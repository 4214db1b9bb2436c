package mobileapi_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

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
