//go:build integration

package e2e_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// plainPaths are what stands behind a route's path and passes as it is, byte for byte.
var plainPaths = []string{
	"x", "a%20b", "%C3%A9", "%c3%a9", "a:b@c", "~._-", "!$&'()*+,;=", "[x]", "a;b=c", "...", "a%25b", "%41", "a%2Bb%26c%3F%23", "x/", strings.Repeat("a", 2000),
}

// strangePaths are what somebody could read as another path. The API gets none of them.
var strangePaths = []string{
	"..%2fadmin", "..%2Fadmin", "../admin", "./x", ".", "..", "%2e%2e/admin", "%2E%2E/admin", ".%2e/admin", "%2e", "..;/admin", "..;x=1/admin",
	"%2e%2e;/admin", ".;/x", "%252e%252e/admin", "%252fadmin", "..%255cadmin", "%25%32%65", `..\admin`, "..%5cadmin", `a\b`, "%00", "x%00.css", "/x",
	"x//", "x//y", "%ff", "%c0%ae%c0%ae/admin", "%ed%a0%80", "\xff\xfe", "%0d%0aX:y", "%7f", "%c2%85", "%zz", "%", "%4", "a%u002fb", strings.Repeat("a", 3<<10),
	strings.Repeat("a/", 5<<10),
	// What is cut off by one server and escaped by another (RFC 9112 section 3.2: a target has no fragment).
	"x#y", "x?a=b#c", "#",
}

// escapedPaths have bytes that a path must not have and a browser may send all the same: they pass with an escape (RFC 3986
// section 2.1), which is what they were matched by.
var escapedPaths = map[string]string{
	"a\"b": "a%22b", "a<b>": "a%3Cb%3E", "a{b}": "a%7Bb%7D", "a|b": "a%7Cb", "a^b": "a%5Eb", "a`b": "a%60b", "\xc3\xa9": "%C3%A9",
}

// A path is what it looks like or it is refused, by every way in, and so is a target that is none.
//
// shows PRX-PATH, PRX-ALLOW, PRX-HOST
func TestPathsOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	delete(x.ways, "HTTP/2") // Go's client would escape them
	for in, w := range x.ways {
		for _, route := range []string{"/api-http1/", "/site-h2/", "/open-h2c/"} {
			up := x.up[strings.Split(strings.Trim(route, "/"), "-")[1]]
			passes := maps.Clone(escapedPaths)
			for _, path := range plainPaths {
				passes[path] = path
			}
			for path, as := range passes {
				t.Run(fmt.Sprintf("%s with %s%.40q", in, route, path), func(t *testing.T) {
					got := w.ask(t, x.script("cookie", sending{method: "GET", path: route + path}))
					if h := up.take(); got.status != 200 || len(h) != 1 || h[0].line != "GET "+route+as {
						t.Errorf("%+v; the API got %v", got, h)
					}
				})
			}
			for _, path := range strangePaths {
				t.Run(fmt.Sprintf("%s with %s%.40q", in, route, path), func(t *testing.T) {
					x.refusedPath(t, w, up, sending{method: "GET", path: route + path})
				})
			}
		}
		for _, row := range []sending{
			{path: "//evil.example/api-http1/x"},
			{path: "/api-http1x/"},
			{path: "/API-http1/x"},
			{path: "/open-http1/../api-http1/x"},
			{path: "/open-http1/%2e%2e/api-http1/x"},
			{path: "/bff/../api-http1/x"},
			{path: "*"},
			{path: "http://evil.example/api-http1/x"},
			{path: "web:web.localhost/api-http1/x"},
			{path: "/api-http1/x", host: "evil.example"},
			{path: "/api-http1/x", host: "web.localhost:81"},
			{path: "/api-http1/x", host: "web.localhost."},
			{path: "/api-http1/x", host: "a@web.localhost"},
			{path: "/api-http1/x", host: "web.localhost/x"},
			{path: "/api-http1/x", host: "web.localhost, evil.example"},
			{path: "/api-http1/x", host: "web.localhost evil"},
			{path: "/api-http1/x", method: "TRACE"},
			{path: "/api-http1/x", method: "PUT"},
			{path: "/api-http1/x", method: "get"},
			{path: "/api-http1/x", method: "GE T"},
			{path: "web.localhost:443", method: "CONNECT"},
		} {
			t.Run(fmt.Sprintf("%s with %q %q at %q", in, row.method, row.path, row.host), func(t *testing.T) {
				if row.method == "" {
					row.method = "GET"
				}
				x.refusedPath(t, w, x.up["http1"], row)
			})
		}
	}
	x.unharmed(t)
}

// refusedPath fails unless a request is refused and the API gets nothing.
func (x *wired) refusedPath(t *testing.T, w leadIn, up *echo, q sending) {
	t.Helper()
	got := w.ask(t, x.script("cookie", q))
	if h := up.take(); len(h) != 0 || (got.status < 400 || got.status >= 500) && !strings.Contains(got.broken, "PROTOCOL_ERROR") {
		t.Errorf("%d %s %s; the API got %v", got.status, got.body, got.broken, h)
	}
	if got.values("set-cookie") != nil {
		t.Errorf("it says of cookies: %q", got.values("set-cookie"))
	}
}
