//go:build integration

package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// framingRow is what follows a request's line and its honest fields over HTTP/1.1, to the end of the body.
type framingRow struct {
	with, rest string
	status     int    // of the one answer; behind it comes none, or that of the honest request that follows
	body       string // that the API gets, with 200
	closes     bool   // the connection ends, and what follows is never a request
}

var framingRows = []framingRow{
	{"a length", "Content-Length: 5\r\n\r\nhello", 200, "hello", false},
	{"the same length twice", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
	{"chunks", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", true},
	{"chunks and a length", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", true},
	{"chunks in other case", "transfer-ENCODING: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, "hello", true},
	{"chunks with extensions", "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\";c\r\nhello\r\n0;d\r\n\r\n", 200, "hello", true},
	{"chunks with zeros before their size", "Transfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n", 200, "hello", true},
	{"trailers", "Transfer-Encoding: chunked\r\nTrailer: X-Evil\r\n\r\n5\r\nhello\r\n0\r\nX-Evil: evil\r\nX-Who: evil\r\nContent-Length: 9\r\n\r\n", 200, "hello", true},
	{"a chunk longer than its size", "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloevil\r\n0\r\n\r\n", 400, "", true},
	{"a chunk size that is none", "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", 400, "", true},
	{"a chunk size with a sign", "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 400, "", true},
	{"a chunk size as in C", "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400, "", true},
	{"a chunk size beyond all", "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n", 400, "", true},
	{"no size", "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", 400, "", true},
	{"an unknown coding", "Transfer-Encoding: identity\r\n\r\nhello", 501, "", true},
	{"a list of codings", "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 501, "", true},
	{"an empty coding", "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello", 501, "", true},
	{"two lengths", "Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello", 400, "", true},
	{"a list of lengths", "Content-Length: 5, 5\r\n\r\nhello", 400, "", true},
	{"a length as in C", "Content-Length: 0x5\r\n\r\nhello", 400, "", true},
	{"a space before a colon", "Content-Length : 5\r\n\r\nhello", 400, "", true},
	{"another host", "Host: evil.example\r\n\r\n", 400, "", true},
	{"an empty name", ": evil\r\n\r\n", 400, "", true},
	{"a name of odd signs", "X(A): evil\r\n\r\n", 400, "", true},
	{"a line without a colon", "evil\r\n\r\n", 400, "", true},
	{"NUL in a value", "X-A: a\x00b\r\n\r\n", 400, "", true},
	{"a lone CR in a value", "X-A: a\rX-Evil: b\r\n\r\n", 400, "", true},
}

// No framing of HTTP/1.1 that two servers could read differently gets through, by any way to the API: what comes behind it is
// never a request of its own making.
//
// shows PRX-SMUG, PRX-HOST
func TestFramingOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	for _, leg := range legs {
		up, head := x.up[leg], "POST /api-"+leg+"/x HTTP/1.1\r\nHost: "+appHost+"\r\nCookie: "+x.cookie+"\r\n"+strings.Join(fetched, "\r\n")+"\r\n"
		follows := "GET /api-" + leg + "/evil HTTP/1.1\r\nHost: " + appHost + "\r\nCookie: " + x.cookie + "\r\nConnection: close\r\n" + strings.Join(fetched, "\r\n") + "\r\n\r\n"
		for _, row := range framingRows {
			t.Run(fmt.Sprintf("a request by %s with %s", leg, row.with), func(t *testing.T) {
				answers := x.rawly(t, head+row.rest+follows)
				all := up.take()
				whole := 0
				for _, h := range all {
					if !h.cut {
						whole++
					}
					if raw := fmt.Sprint(h.raw, h.trailers); strings.Contains(strings.ToLower(raw), "x-evil") || strings.Contains(raw, "evil.example") || row.closes && strings.Contains(raw, "/evil") {
						t.Errorf("the API got %s", raw)
					}
				}
				want := map[bool]int{true: 1, false: 2}[row.closes]
				if len(answers) != want || answers[0] != row.status {
					t.Errorf("answers %v, want %d of %d", answers, row.status, want)
				}
				if row.status == 200 && (whole != want || len(all) != want || all[0].body != row.body || all[0].trailers != nil) || row.status != 200 && whole != 0 {
					t.Errorf("the API got %v", all)
				}
			})
		}
	}
	x.unharmed(t)
}

// rawly sends bytes over a connection of its own, and returns the statuses of all answers until it is closed.
func (x *wired) rawly(t *testing.T, text string) (statuses []int) {
	t.Helper()
	b := &lines1{x: x}
	got := b.send(t, text, http.MethodPost)
	for got.status != 0 {
		statuses = append(statuses, got.status)
		if b.conn == nil {
			return statuses
		}
		got = b.send(t, "", http.MethodGet)
	}
	return statuses
}
