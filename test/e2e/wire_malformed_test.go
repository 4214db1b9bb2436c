//go:build integration

package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// malformed is a request over HTTP/2 as no client of honour sends it.
type malformed struct {
	with     string
	head     []string // "name: value", in the case they are sent in; {cookie} is the session's
	body     string
	trailers []string
	passes   bool // the API gets one clean request
	cut      bool // the API may see one that is broken off, for it was on its way
	ended    bool // or one without a body, for what is wrong came behind its end
}

// honest are the pseudo-header fields and the guard's of a request to a path.
func honest(method, path string, more ...string) []string {
	return append([]string{":method: " + method, ":scheme: https", ":authority: " + appHost, ":path: " + path, "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: {cookie}"}, more...)
}

var malformedHeads = []malformed{
	{with: "nothing strange", head: honest("GET", "/api-http1/x"), passes: true},
	{with: "two paths", head: append([]string{":path: /open-http1/x"}, honest("GET", "/api-http1/x")...)},
	{with: "two methods", head: append([]string{":method: POST"}, honest("GET", "/api-http1/x")...)},
	{with: "two authorities", head: append([]string{":authority: evil.example"}, honest("GET", "/api-http1/x")...)},
	{with: "two schemes", head: append([]string{":scheme: http"}, honest("GET", "/api-http1/x")...)},
	{with: "a pseudo-header field behind others", head: honest("GET", "/api-http1/x", ":path: /open-http1/x")},
	{with: "an unknown pseudo-header field", head: append([]string{":x: y"}, honest("GET", "/api-http1/x")...)},
	{with: "a status", head: append([]string{":status: 200"}, honest("GET", "/api-http1/x")...)},
	{with: "a protocol", head: append([]string{":protocol: websocket"}, honest("CONNECT", "/api-http1/x")...)},
	{with: "a protocol on a GET", head: append([]string{":protocol: websocket"}, honest("GET", "/api-http1/x")...)},
	{with: "no path", head: []string{":method: GET", ":scheme: https", ":authority: " + appHost}},
	{with: "an empty path", head: honest("GET", "")},
	{with: "no method", head: []string{":scheme: https", ":authority: " + appHost, ":path: /api-http1/x"}},
	{with: "an empty method", head: honest("", "/api-http1/x")},
	{with: "no scheme", head: []string{":method: GET", ":authority: " + appHost, ":path: /api-http1/x", "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: {cookie}"}},
	{with: "no authority and no host", head: []string{":method: GET", ":scheme: https", ":path: /api-http1/x", "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: {cookie}"}},
	{with: "a host and no authority", head: []string{":method: GET", ":scheme: https", ":path: /api-http1/x", "host: " + appHost, "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: {cookie}"}, passes: true},
	{with: "two hosts and no authority", head: []string{":method: GET", ":scheme: https", ":path: /api-http1/x", "host: " + appHost, "host: evil.example", "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: {cookie}"}},
	{with: "a host beside the same authority", head: honest("GET", "/api-http1/x", "host: "+appHost), passes: true},
	{with: "another host than the authority", head: honest("GET", "/api-http1/x", "host: evil.example")},
	{with: "two hosts beside the authority", head: honest("GET", "/api-http1/x", "host: "+appHost, "host: evil.example")},
	{with: "an empty host beside the authority", head: honest("GET", "/api-http1/x", "host: ")},
	{with: "another host that is allowed beside the authority", head: honest("GET", "/api-http1/x", "host: gw.localhost")},
	{with: "an absolute address as path", head: honest("GET", "http://"+appHost+"/api-http1/x")},
	{with: "another's absolute address as path", head: honest("GET", "https://evil.example/api-http1/x")},
	{with: "a path without a slash", head: honest("GET", "api-http1/x")},
	{with: "a space in the path", head: honest("GET", "/api-http1/x HTTP/1.1")},
	{with: "a space in the query", head: honest("GET", "/api-http1/x?a HTTP/1.1")},
	{with: "a request line in the query", head: honest("GET", "/api-http1/x?a=b HTTP/1.0 c")},
	{with: "a tab in the query", head: honest("GET", "/api-http1/x?a\tb")},
	{with: "a line break in the query", head: honest("GET", "/api-http1/x?a\r\nX-A: b")},
	{with: "a line break in the path", head: honest("GET", "/api-http1/x HTTP/1.1\r\nHost: evil\r\n\r\nGET /api-http1/y")},
	{with: "NUL in the path", head: honest("GET", "/api-http1/x\x00")},
	{with: "a request line as method", head: honest("GET /open-http1/x HTTP/1.1\r\nX-A: b\r\n\r\nGET", "/api-http1/x")},
	{with: "a space in the method", head: honest("GET /open-http1/x", "/api-http1/x")},
	{with: "a line break in the authority", head: []string{":method: GET", ":scheme: https", ":authority: " + appHost + "\r\nX-A: b", ":path: /api-http1/x"}},
	{with: "a name in upper case", head: honest("GET", "/api-http1/x", "X-A: b")},
	{with: "an empty name", head: honest("GET", "/api-http1/x", " : b")},
	{with: "a space in a name", head: honest("GET", "/api-http1/x", "x a: b")},
	{with: "a line break in a name", head: honest("GET", "/api-http1/x", "x-a\r\nx-b: b")},
	{with: "a line break in a value", head: honest("GET", "/api-http1/x", "x-a: b\r\nX-User: root")},
	{with: "a lone CR in a value", head: honest("GET", "/api-http1/x", "x-a: b\rX-User: root")},
	{with: "a lone LF in a value", head: honest("GET", "/api-http1/x", "x-a: b\nX-User: root")},
	{with: "NUL in a value", head: honest("GET", "/api-http1/x", "x-a: b\x00c")},
	{with: "a line break in a cookie", head: honest("GET", "/api-http1/x", "cookie: a=b\r\nX-User: root")},
	{with: "Connection", head: honest("GET", "/api-http1/x", "connection: authorization")},
	{with: "Proxy-Connection", head: honest("GET", "/api-http1/x", "proxy-connection: keep-alive")},
	{with: "Keep-Alive", head: honest("GET", "/api-http1/x", "keep-alive: timeout=5")},
	{with: "Upgrade", head: honest("GET", "/api-http1/x", "upgrade: websocket")},
	{with: "Transfer-Encoding", head: honest("POST", "/api-http1/x", "transfer-encoding: chunked"), body: "0\r\n\r\nGET /api-http1/evil HTTP/1.1\r\nHost: x\r\n\r\n"},
	{with: "TE that is not trailers", head: honest("GET", "/api-http1/x", "te: gzip")},
	{with: "TE with more than trailers", head: honest("GET", "/api-http1/x", "te: trailers, gzip")},
	{with: "TE twice", head: honest("GET", "/api-http1/x", "te: trailers", "te: gzip")},
	{with: "a length that is none", head: honest("POST", "/api-http1/x", "content-length: +5"), body: "hello"},
	{with: "a length in words", head: honest("POST", "/api-http1/x", "content-length: 5, 5"), body: "hello"},
	{with: "an empty length", head: honest("POST", "/api-http1/x", "content-length: "), body: "hello"},
	{with: "a negative length", head: honest("POST", "/api-http1/x", "content-length: -1"), body: "hello"},
	{with: "two lengths", head: honest("POST", "/api-http1/x", "content-length: 5", "content-length: 6"), body: "hello"},
	{with: "a length and no body", head: honest("POST", "/api-http1/x", "content-length: 5")},
	{with: "a length below the body's", head: honest("POST", "/api-http1/x", "content-length: 4"), body: "hello", cut: true},
	{with: "a length of nothing", head: honest("POST", "/api-http1/x", "content-length: 0"), body: "GET /api-http1/evil HTTP/1.1\r\nHost: x\r\n\r\n", cut: true, ended: true},
	{with: "a length beyond the body's", head: honest("POST", "/api-http1/x", "content-length: 99"), body: "hello", cut: true},
	{with: "trailers", head: honest("POST", "/api-http1/x", "trailer: x-user"), body: "hello", trailers: []string{"x-user: root", "x-who: root", "cookie: {cookie}"}, passes: true},
	{with: "a length in trailers", head: honest("POST", "/api-http1/x"), body: "hello", trailers: []string{"content-length: 9", "transfer-encoding: chunked"}, passes: true},
	{with: "a length in trailers that were announced", head: honest("POST", "/api-http1/x", "trailer: x-b"), body: "hello", trailers: []string{"content-length: 9"}, cut: true},
	{with: "pseudo-header fields in trailers", head: honest("POST", "/api-http1/x"), body: "hello", trailers: []string{":path: /open-http1/x"}, cut: true},
	{with: "a line break in a trailer", head: honest("POST", "/api-http1/x"), body: "hello", trailers: []string{"x-a: b\r\nx-user: root"}, cut: true},
	{with: "the session's cookie in two crumbs", head: honest("GET", "/api-http1/x", "cookie: {cookie}")},
	{with: "cookies in crumbs", head: honest("GET", "/api-http1/x", "cookie: a=b", "cookie: c=d; e=f"), passes: true},
	{with: "an evil session in a crumb", head: honest("GET", "/api-http1/x", "cookie: a=b; "+sessionCookie+"=evil")},
	{with: "a session cut in two crumbs", head: []string{":method: GET", ":scheme: https", ":authority: " + appHost, ":path: /api-http1/x", "x-csrf: 1", "sec-fetch-site: same-origin", "cookie: " + sessionCookie, "cookie: =x"}},
}

// What HTTP/2 calls malformed is refused, and what could become something else in HTTP/1.1 too: by a status, or by a stream's or
// the connection's end. The API gets nothing, or one clean request.
//
// shows PRX-SMUG, PRX-HOP, PRX-HOST, PRX-COOKIE, PRX-UPG
func TestMalformedFramesOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	w := &framed{x: x}
	up := x.up["http1"]
	for _, row := range malformedHeads {
		t.Run("frames with "+row.with, func(t *testing.T) {
			var head []string
			for _, l := range row.head {
				head = append(head, strings.ReplaceAll(l, "{cookie}", x.cookie))
			}
			got := w.send(t, spelledPairs(head), row.body, spelledPairs(row.trailers)...)
			refused := got.status >= 400 && got.status < 500 || got.status == 0 && strings.Contains(got.broken, "PROTOCOL_ERROR")
			if passed := got.status == 200 && got.broken == ""; passed != row.passes || !passed && !refused {
				t.Errorf("%d %q %s", got.status, got.code(), got.broken)
			}
			all := up.take()
			// Nothing that was left behind is the beginning of the next request.
			if next := w.ask(t, x.script("cookie", sending{method: "GET", path: "/api-http1/next"})); next.status != 200 {
				t.Errorf("the next request: %+v", next)
			}
			h := up.take()
			// Of a request that was broken off, the API may hear when it has answered the next one, on another connection.
			h = slices.DeleteFunc(h, func(one heard) bool {
				late := row.cut && one.cut || row.ended && one.line != "GET /api-http1/next"
				if late {
					all = append(all, one)
				}
				return late
			})
			x.heardOnce(t, all, row)
			if len(h) != 1 || h[0].line != "GET /api-http1/next" || h[0].body != "" {
				t.Errorf("the next request came as %v", h)
			}
		})
	}
	x.unharmed(t)
}

// heardOnce fails unless the API heard of a row what it may.
func (x *wired) heardOnce(t *testing.T, all []heard, row malformed) {
	t.Helper()
	switch {
	case row.passes && len(all) == 1 && !all[0].cut && all[0].body == row.body && all[0].trailers == nil:
	case row.cut && (len(all) == 0 || len(all) == 1 && all[0].cut):
	case row.ended && len(all) == 1 && all[0].body == "" && all[0].trailers == nil:
	case !row.passes && !row.cut && len(all) == 0:
	default:
		t.Errorf("the API got %v", all)
	}
	for _, h := range all {
		for _, never := range []string{"evil", "root", "X-A", "x-a", "X-User", "open-http1"} {
			if strings.Contains(h.raw+fmt.Sprint(h.trailers), never) {
				t.Errorf("the API got %q: %s", never, h.raw)
			}
		}
	}
}
