package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloakroom/server"
)

// A host name has no case, and the port of its scheme goes without saying (RFC 9110 sections 4.2.3 and 7.2).
//
// shows PRX-HOST
func TestSpellingsOfAHost(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	for host, want := range map[string]int{
		"app.example.com": 200, "APP.Example.com": 200, "app.example.com:443": 200,
		"app.example.com.": 421, "app.example.com:8443": 421, "app.example.com@evil.example": 421, "[::1]": 421, "[::1]:443": 421,
		"evil.example": 421, "xapp.example.com": 421,
	} {
		res, body := f.ask("GET /api/x HTTP/1.1\nHost: " + host)
		if res.StatusCode != want && (want != 421 || res.StatusCode != 400) {
			t.Errorf("a request with host %s: %d %s, want %d", host, res.StatusCode, body, want)
		}
		if res.StatusCode != 200 && strings.Contains(body, "upstream") {
			t.Errorf("a request with host %s reached the API", host)
		}
	}
}

// Every answer of an https app says so: its own, errors, pages, and what comes from an API, whose own word is not asked.
//
// shows HDR-SEC
func TestHSTS(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	for what, head := range map[string]string{
		"an API's answer":      "GET /api/x HTTP/1.1\nHost: app.example.com",
		"an error":             "GET /nothing HTTP/1.1\nHost: app.example.com",
		"a page":               "GET /bff/logged-out HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate",
		"a redirect":           "GET /bff/logout HTTP/1.1\nHost: app.example.com",
		"a malformed path":     "GET /a/../b HTTP/1.1\nHost: app.example.com",
		"faulty framing":       "GET /api/x HTTP/1.0\nHost: app.example.com\nTransfer-Encoding: chunked",
		"a foreign app's path": "GET /bff/nothing HTTP/1.1\nHost: app.example.com",
	} {
		res, _ := f.ask(head)
		if got := res.Header.Values("Strict-Transport-Security"); len(got) != 1 || got[0] != "max-age=31536000" {
			t.Errorf("%s: %d %q", what, res.StatusCode, got)
		}
	}
	// RFC 6797 section 7.2: not over plain http, and not for a name that is not the app's.
	for what, head := range map[string]string{
		"plain http":   "GET /api/x HTTP/1.1\nHost: app.example.com\nX-Forwarded-Proto: http",
		"another host": "GET /api/x HTTP/1.1\nHost: evil.example",
	} {
		if res, _ := f.ask(head); res.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d %v", what, res.StatusCode, res.Header)
		}
	}
}

// What a route for everything takes is everything but the gateway's own: an API that answered under /bff would speak in
// the gateway's name, and be told its one-time addresses.
//
// shows PRX-PATH
func TestARouteForEverything(t *testing.T) {
	f := newFront(t, "/", echoing(t))
	for _, path := range []string{
		"/bff", "/bff/", "/bff/events/", "/bff/session/", "/bff/logout/ticket/x", "/%62ff/session", "/%62ff/logout/a-ticket", "/BFF/session",
		"/bff;x/session", "/mobile/token", "/.well-known/jwks.json/", "/.well-known/JWKS.json", "/%2ewell-known/jwks.json", "/.well-known;x/jwks.json;y", "/healthz/", "/healthz;x",
	} {
		res, body := f.ask("GET " + path + " HTTP/1.1\nHost: app.example.com")
		if res.StatusCode != 404 || strings.Contains(body, "upstream") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, path := range []string{"/", "/bffx", "/b%66", "/orders/1;v=2", "/healthzz", "/.well-known/security.txt", "/.well-known", "/.well-known/jwks.jsonx"} {
		if res, body := f.ask("GET " + path + " HTTP/1.1\nHost: app.example.com"); res.StatusCode != 200 || body != "upstream "+path {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, method := range []string{"PURGE", "TRACE", "PROPFIND", "CONNECT"} {
		for path, allow := range map[string]string{"/orders": "GET, HEAD, OPTIONS, POST", "/bff/logout": "GET, POST", "/bff/session": "GET"} {
			if res, body := f.ask(method + " " + path + " HTTP/1.1\nHost: app.example.com"); res.StatusCode != 405 || res.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, allowed %q: %s", method, path, res.StatusCode, res.Header.Get("Allow"), body)
			}
		}
	}
	if res, _ := f.ask("HEAD /bff/session HTTP/1.1\nHost: app.example.com"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET" {
		t.Errorf("HEAD: %d, allowed %s", res.StatusCode, res.Header.Get("Allow"))
	}
	if strings.Contains(f.log.String(), "a-ticket") {
		t.Error("a one-time address is in the log")
	}
}

// RFC 3986 allows "x:host/path" as a target, whose path is none: joined to an origin it names another host.
//
// shows PRX-PATH, RET-1
func TestATargetThatIsNoPath(t *testing.T) {
	f := newFront(t, "/", echoing(t))
	for _, target := range []string{"x:.evil.example/", "https:.evil.example/", "x:@evil.example/", "*"} {
		for _, more := range []string{"", "\nX-Forwarded-Proto: http\nSec-Fetch-Mode: navigate"} {
			res, body := f.ask("GET " + target + " HTTP/1.1\nHost: app.example.com" + more)
			if res.StatusCode != 400 || res.Header.Get("Location") != "" || strings.Contains(body, "upstream") {
				t.Errorf("%s: %d to %q %s", target, res.StatusCode, res.Header.Get("Location"), body)
			}
		}
	}
	res, _ := f.ask("GET /a?b=c HTTP/1.1\nHost: app.example.com\nX-Forwarded-Proto: http\nSec-Fetch-Mode: navigate")
	if res.StatusCode != 308 || res.Header.Get("Location") != "https://app.example.com/a?b=c" || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("a navigation by http: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if got := res.Header.Get("Cache-Control"); got != "no-store" { // or browsers keep the redirect, and its query, for good
		t.Errorf("a navigation by http: Cache-Control %q", got)
	}
}

// An error page leads home.
func TestAnErrorPageLeadsHome(t *testing.T) {
	f := newFront(t, "/api/", echoing(t))
	if _, body := f.ask("GET /nothing HTTP/1.1\nHost: app.example.com\nSec-Fetch-Mode: navigate"); !strings.Contains(body, `href="/home"`) {
		t.Errorf("no way on: %s", body)
	}
}

// An answer that net/http gives by itself is in no log and has none of our header fields.
//
// shows HDR-SEC
func TestOptionsOfTheWholeServer(t *testing.T) {
	f := running(t, echoing(t), 0)
	if res, body := f.ask("OPTIONS * HTTP/1.1\nHost: app.example.com"); res.StatusCode != 400 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
}

// Only a proxy that is trusted names requests: nobody else files one under another's id.
//
// shows LOG-2
func TestWhoNamesARequest(t *testing.T) {
	s, _ := wired(t, "/api/", "http://127.0.0.1:1", server.Options{})
	for peer, taken := range map[string]bool{"127.0.0.1:4711": true, "192.0.2.1:4711": false} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Request-Id", "id-of-another")
		s.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("X-Request-Id"); (got == "id-of-another") != taken || got == "" {
			t.Errorf("a request of %s is named %q", peer, got)
		}
	}
}

// The log tells whose request it was, where only the surface knows.
//
// shows LOG-2
func TestTheLogTellsWhoCame(t *testing.T) {
	f := newMannedFront(t, nowhereURL, server.Options{})
	form := "grant_type=refresh_token&refresh_token=x&client_id=phone"
	if res, body := f.ask(fmt.Sprintf("POST /mobile/token HTTP/1.1\nHost: gw.example.com\nContent-Type: application/x-www-form-urlencoded\nContent-Length: %d\n\n%s",
		len(form), form)); res.StatusCode != 400 || !strings.Contains(body, "invalid_grant") {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(f.log.String(), `"route":"/mobile/token","app":"phone"`); {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not tell: %s", f.log)
		}
		<-time.After(5 * time.Millisecond)
	}
}
