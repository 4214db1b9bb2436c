package spa_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// shows CSRF-1, CSRF-2, CSRF-3, EMBED-1 (destinations), WS-1 (Origin), CORS-1 (refusing)
func TestGuards(t *testing.T) {
	same, cross, sibling := []string{"Sec-Fetch-Site", "same-origin"}, []string{"Sec-Fetch-Site", "cross-site"}, []string{"Sec-Fetch-Site", "same-site"}
	header, ours := []string{"X-CSRF", "1"}, []string{"Origin", origin}
	with := func(parts ...[]string) []string { return slices.Concat(parts...) }
	for _, row := range []struct {
		method, path string
		with         string // a request with …
		fields       []string
		status       int
	}{
		{"GET", "/api", "header and same-origin", with(header, same), 200},
		{"POST", "/api", "header and same-origin", with(header, same), 200},
		{"GET", "/api", "the cookie alone", nil, 403},
		{"POST", "/api", "the cookie alone", nil, 403},
		{"GET", "/api", "no header", same, 403},
		{"GET", "/api?X-CSRF=1&x-csrf=1", "the header in the query", same, 403},
		{"GET", "/api", "the header with another value", with([]string{"X-CSRF", "true"}, same), 403},
		{"GET", "/api", "the header twice", with(header, header, same), 403},
		{"GET", "/api", "header, from a foreign site", with(header, cross), 403},
		{"GET", "/api", "header, from a sibling", with(header, sibling), 403},
		{"GET", "/api", "header, from no page", with(header, []string{"Sec-Fetch-Site", "none"}), 403},
		{"GET", "/api", "header, and metadata that stands twice", with(header, same, cross), 403},
		{"GET", "/api", "header, metadata that the Origin belies", with(header, cross, ours), 403},
		{"POST", "/api", "header and exact Origin", with(header, ours), 200},
		{"POST", "/api", "header and Origin null", with(header, []string{"Origin", "null"}), 403},
		{"POST", "/api", "header and a foreign Origin", with(header, []string{"Origin", "https://evil.example"}), 403},
		{"POST", "/api", "header and an Origin that begins like ours", with(header, []string{"Origin", origin + ".evil"}), 403},
		{"POST", "/api", "header and our Origin by http", with(header, []string{"Origin", "http://app.example"}), 403},
		{"POST", "/api", "header and our Origin at another port", with(header, []string{"Origin", origin + ":8443"}), 403},
		{"GET", "/api", "the header alone", header, 200},
		{"POST", "/api", "the header alone", header, 403},
		{"DELETE", "/api", "the header alone", header, 403},
		{"GET", "/api", "the destination of a script", with(header, same, []string{"Sec-Fetch-Dest", "script"}), 403},
		{"GET", "/api", "the destination of a frame", with(header, same, []string{"Sec-Fetch-Dest", "iframe"}), 403},
		{"GET", "/api", "a service worker's script", with(header, same, []string{"Service-Worker", "script"}), 403},
		{"GET", "/bff/session", "the cookie alone", nil, 403},
		{"GET", "/bff/session", "header, from a foreign site", with(header, cross), 403},
		{"POST", "/bff/session/extend", "no header", same, 403},

		{"GET", "/file", "same-origin", same, 200},
		{"HEAD", "/file", "same-origin", same, 200},
		{"POST", "/file", "header and same-origin", with(header, same), 403},
		{"GET", "/file", "a foreign site", cross, 403},
		{"GET", "/file", "a sibling", sibling, 403},
		{"GET", "/file", "exact Origin", ours, 200},
		{"GET", "/file", "exact Referer", []string{"Referer", origin + "/page"}, 200},
		{"GET", "/file", "a foreign Referer", []string{"Referer", origin + ".evil/page"}, 403},
		{"GET", "/file", "nothing", nil, 403},
		{"GET", "/file", "a service worker's script", with(same, []string{"Service-Worker", "script"}), 403},

		{"GET", "/site", "a link on a foreign site", nav("cross-site"), 200},
		{"GET", "/site", "a foreign image", with(cross, []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}), 403},
		{"GET", "/site", "a foreign frame", with(cross, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}), 403},
		{"GET", "/site", "an image of its own", with(same, []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}), 200},
		{"POST", "/site", "a form of its own", nav("same-origin"), 200},
		{"POST", "/site", "a foreign form", nav("cross-site"), 403},
		{"POST", "/site", "a sibling's form", nav("same-site"), 403},
		{"POST", "/site", "exact Origin", ours, 200},
		{"POST", "/site", "nothing", nil, 403},

		{"GET", "/socket", "exact Origin", ours, 200},
		{"GET", "/socket", "a foreign Origin", with(same, []string{"Origin", "https://evil.example"}), 403},
		{"GET", "/socket", "no Origin", same, 403},
		{"GET", "/socket", "exact Origin and metadata of another site", with(cross, ours), 403},
		{"GET", "/socket", "exact Origin and its metadata", with(same, ours), 200},
		{"GET", "/socket", "exact Origin and metadata of a sibling", with(sibling, ours), 403},
		{"GET", "/socket", "exact Origin and metadata of no page", with([]string{"Sec-Fetch-Site", "none"}, ours), 403},
		{"GET", "/socket", "exact Origin and metadata that stands twice", with(same, same, ours), 403},
		{"GET", "/socket", "exact Origin, twice", with(ours, ours), 403},
		{"GET", "/socket", "exact Origin, and a foreign one", with(ours, []string{"Origin", "https://evil.example"}), 403},
		{"GET", "/socket", "two origins in one field", []string{"Origin", origin + ", https://evil.example"}, 403},
		{"GET", "/socket", "two origins as a list of RFC 6454", []string{"Origin", origin + " https://evil.example"}, 403},
		{"GET", "/socket", "Origin null", with(same, []string{"Origin", "null"}), 403},
		{"GET", "/socket", "its Origin in upper case", with(same, []string{"Origin", strings.ToUpper(origin)}), 403},
		{"GET", "/socket", "its Origin with a dot behind", with(same, []string{"Origin", origin + "."}), 403},
		{"GET", "/socket", "its Origin with a slash behind", with(same, []string{"Origin", origin + "/"}), 403},
		{"GET", "/socket", "its Origin with the port spelt out", with(same, []string{"Origin", origin + ":443"}), 403},
		{"GET", "/socket", "its Origin at another port", with(same, []string{"Origin", origin + ":8443"}), 403},
		{"GET", "/socket", "its Origin as user information", with(same, []string{"Origin", origin + "@evil.example"}), 403},
		{"GET", "/socket", "its Origin behind user information", with(same, []string{"Origin", strings.Replace(origin, "//", "//x@", 1)}), 403},
		{"GET", "/socket", "its Origin by the scheme of a WebSocket", with(same, []string{"Origin", strings.Replace(origin, "https", "wss", 1)}), 403},
		{"GET", "/socket", "a host above its own", with(same, []string{"Origin", "https://example"}), 403},
		{"GET", "/socket", "a host below its own", with(same, []string{"Origin", strings.Replace(origin, "//", "//evil.", 1)}), 403},
		{"GET", "/socket", "no Origin, but a Referer", with(same, []string{"Referer", origin + "/"}), 403},
		{"GET", "/none", "everything, at a route that names no guard", with(header, same, ours), 403},
	} {
		w := newWorld(t, lax) // so that the cookie comes along whatever the site
		b := w.browser()
		b.signIn()
		a := b.send(row.method, row.path, row.fields...)
		what := row.method + " " + row.path + " with " + row.with
		a.is(t, what, row.status)
		if row.status == 403 && (len(w.events) != 1 || !strings.HasPrefix(w.events[0], "guard: ") || b.value(sessionCookie) == "") {
			t.Errorf("%s: events %q, cookie %q", what, w.events, b.value(sessionCookie))
		}
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s: %s", what, name, a.header.Get(name))
			}
		}
		if row.status == 403 && row.method != "HEAD" && !strings.Contains(a.body, "csrf_failed") {
			t.Errorf("%s: %s", what, a.body)
		}
	}
}

// shows CSRF-1: every endpoint of the surface refuses a bare cookie, or is on the list of those with another defence.
func TestEveryEndpointIsGuardedOrListed(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.signIn()
	guarded := 0
	for _, e := range w.surface.Endpoints() {
		if e.Defence != "" {
			continue
		}
		guarded++
		b.send(e.Method, e.Path).is(t, e.Method+" "+e.Path, http.StatusForbidden)
	}
	if guarded != 5 {
		t.Errorf("%d guarded endpoints: the list of the others is fixed, and was changed", guarded)
	}
}

// shows CSRF-4
func TestWhatAForeignPageCanSendWithoutAPreflight(t *testing.T) {
	for _, path := range []string{"/api", "/bff/session/extend", "/bff/logout"} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""} {
			for _, mode := range []string{"no-cors", "navigate", ""} {
				w := newWorld(t, lax)
				b := w.browser()
				b.signIn()
				fields := []string{"Origin", "https://evil.example", "X-HTTP-Method-Override", "DELETE"}
				if kind != "" {
					fields = append(fields, "Content-Type", kind)
				}
				if mode != "" {
					fields = append(fields, "Sec-Fetch-Mode", mode, "Sec-Fetch-Site", "cross-site")
				}
				b.send("POST", path+"?_method=DELETE", fields...).is(t, path+" "+kind+" "+mode, 403)
				if w.store.count() != 1 || b.value(sessionCookie) == "" {
					t.Errorf("%s %s %s: the session is gone", path, kind, mode)
				}
			}
		}
	}
}

// shows CORS-2 (refusing): a preflight is neither answered nor acted on here, and answers vary on Origin.
func TestPreflights(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, from := range []string{origin, "https://evil.example", "null"} {
		a := b.send("OPTIONS", "/bff/session", "Origin", from, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "x-csrf")
		a.is(t, "a preflight of "+from, http.StatusMethodNotAllowed)
		if !strings.Contains(a.header.Get("Vary"), "Origin") || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("a preflight of %s: %v", from, a.header)
		}
	}
	if w.store.calls() != 0 {
		t.Error("the store was asked")
	}
}

func TestRoutesThatAnybodyMayUse(t *testing.T) {
	w := newWorld(t, lax)
	b := w.browser()
	for _, row := range []struct {
		with   string
		before func()
		fields []string
		want   string
	}{
		{"no cookie", func() {}, fetched(), `"nobody"`},
		{"a session", b.signIn, fetched(), `"ann"`},
		{"a session and no header", func() {}, nav("same-origin"), `"nobody"`},
		{"a session, from a foreign site", func() {}, append(nav("cross-site"), "X-CSRF", "1"), `"nobody"`},
		{"a dead session", func() { w.advance(time13h) }, fetched(), `"nobody"`},
	} {
		row.before()
		if a := b.send("GET", "/optional", row.fields...); a.status != 200 || a.body != row.want {
			t.Errorf("with %s: %d %s, want %s", row.with, a.status, a.body, row.want)
		}
	}
	if b.value(sessionCookie) != "" {
		t.Error("the dead session's cookie is still there")
	}
}
