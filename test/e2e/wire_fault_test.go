//go:build integration

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// fault is an answer that is none, or not the one that it says it is.
type fault struct {
	with   string
	raw    string                                      // over HTTP/1.1
	frames func(c *frames, stream uint32) (stays bool) // over HTTP/2
	// What the frontend sees: 502, a broken answer, or a whole one with this body.
	breaks bool
	body   string
}

const (
	fine    = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
	another = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nsmuggled-evil"
)

// faults1 are of HTTP/1.1.
var faults1 = []fault{
	{with: "two lengths", raw: fine + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
	{with: "two lengths in one field", raw: fine + "Content-Length: 2, 3\r\n\r\nok"},
	{with: "a length with a sign", raw: fine + "Content-Length: +2\r\n\r\nok"},
	{with: "a negative length", raw: fine + "Content-Length: -2\r\n\r\nok"},
	{with: "chunks and a length", raw: fine + "Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", body: "ok"},
	{with: "chunks in HTTP/1.0", raw: strings.Replace(fine, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", body: "2\r\nok\r\n0\r\n\r\n"},
	{with: "an unknown coding", raw: fine + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{with: "two codings", raw: fine + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{with: "neither length nor chunks", raw: fine + "\r\nok", body: "ok"},
	{with: "a body that is short", raw: fine + "Content-Length: 9\r\n\r\nok", breaks: true},
	{with: "chunks that are short", raw: fine + "Transfer-Encoding: chunked\r\n\r\n9\r\nok", breaks: true},
	{with: "chunks without an end", raw: fine + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", breaks: true},
	{with: "a chunk size that is none", raw: fine + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n\r\n", breaks: true},
	{with: "a chunk longer than its size", raw: fine + "Transfer-Encoding: chunked\r\n\r\n2\r\nokevil\r\n0\r\n\r\n", breaks: true},
	{with: "trailers", raw: fine + "Transfer-Encoding: chunked\r\nTrailer: X-Evil\r\n\r\n2\r\nok\r\n0\r\nX-Evil: evil\r\nSet-Cookie: evil=1\r\n\r\n", body: "ok"},
	{with: "another answer behind it", raw: "HTTP/1.1 200 OK\r\n" + "Content-Length: 2\r\n\r\nok" + another, body: "ok"},
	{with: "another answer behind one without a body", raw: "HTTP/1.1 204 No Content\r\n\r\n" + another},
	{with: "a body where there is none", raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"},
	{with: "an early hint", raw: "HTTP/1.1 103 Early Hints\r\nLink: </evil>; rel=preload\r\nSet-Cookie: evil=1\r\n\r\n" + fine + "Content-Length: 2\r\n\r\nok", body: "ok"},
	{with: "a flood of hints", raw: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </evil>\r\n\r\n", 2000) + fine + "Content-Length: 2\r\n\r\nok"},
	{with: "a switch that nobody asked for", raw: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nevil"},
	{with: "a switch to HTTP/2", raw: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nevil"},
	{with: "a header of 100 KiB", raw: fine + "X-A: " + strings.Repeat("a", 100<<10) + "\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a header that does not end", raw: fine + strings.Repeat("X-A: a\r\n", 20_000)},
	{with: "an empty name", raw: fine + ": evil\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a space in a name", raw: fine + "X A: evil\r\nContent-Length: 2\r\n\r\nok", body: "ok"},
	{with: "a space before a colon", raw: fine + "Content-Length : 2\r\nX-Evil : 1\r\n\r\nok", body: "ok"},
	{with: "a line without a colon", raw: fine + "evil\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a folded field", raw: fine + "X-A: a\r\n  Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok", body: "ok"},
	{with: "NUL in a field", raw: fine + "X-A: a\x00b\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a lone CR in a field", raw: fine + "X-A: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a status that is none", raw: "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"},
	{with: "a status below all", raw: "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"},
	{with: "another protocol", raw: "SSH-2.0-evil\r\n"},
	{with: "HTTP/2 of a sudden", raw: "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", body: "ok"},
	{with: "garbage", raw: "\x00\x01\x02\xff\xfe\r\n\r\n"},
	{with: "an empty line first", raw: "\r\n" + fine + "Content-Length: 2\r\n\r\nok"},
	{with: "half a head", raw: "HTTP/1.1 200 OK\r\nContent-Le"},
}

// answering writes a head, then DATA frames of which the last ends the stream.
func answering(head []string, data ...string) func(*frames, uint32) bool {
	return func(c *frames, stream uint32) bool {
		err := c.head(stream, len(data) == 0, spelledPairs(head)...)
		for i, d := range data {
			if err == nil {
				err = c.WriteData(stream, i == len(data)-1, []byte(d))
			}
		}
		return err == nil
	}
}

// faults2 are of HTTP/2.
var faults2 = []fault{
	{with: "no status", frames: answering([]string{"content-type: text/plain"}, "ok")},
	{with: "two statuses", frames: answering([]string{":status: 200", ":status: 404"}, "ok")},
	{with: "a status behind a field", frames: answering([]string{"x-a: b", ":status: 200"}, "ok")},
	{with: "a status in words", frames: answering([]string{":status: fine"}, "ok")},
	{with: "a status that is none", frames: answering([]string{":status: 2000"}, "ok")},
	{with: "a request's field", frames: answering([]string{":status: 200", ":path: /evil"}, "ok")},
	{with: "a name in upper case", frames: answering([]string{":status: 200", "X-Evil: 1"}, "ok")},
	{with: "a line break in a value", frames: answering([]string{":status: 200", "x-a: b\r\nSet-Cookie: evil=1"}, "ok")},
	{with: "NUL in a value", frames: answering([]string{":status: 200", "x-a: b\x00c"}, "ok")},
	{with: "an empty name", frames: answering([]string{":status: 200", " : evil"}, "ok")},
	{with: "a switch", frames: answering([]string{":status: 101", "upgrade: websocket"}, "evil")},
	{with: "a length below the body's", frames: answering([]string{":status: 200", "content-length: 2"}, "okevil"), breaks: true},
	{with: "a length beyond the body's", frames: answering([]string{":status: 200", "content-length: 9"}, "ok"), breaks: true},
	{with: "a body where there is none", frames: answering([]string{":status: 204"}, "evil")},
	{with: "a reset", frames: func(c *frames, s uint32) bool { return c.WriteRSTStream(s, http2.ErrCodeInternal) == nil }},
	{with: "a reset within the body", breaks: true, frames: func(c *frames, s uint32) bool {
		_ = c.head(s, false, pairs(":status: 200", "content-length: 9")...)
		_ = c.WriteData(s, false, []byte("ok"))
		return c.WriteRSTStream(s, http2.ErrCodeInternal) == nil
	}},
	{with: "a body before its head", frames: func(c *frames, s uint32) bool { return c.WriteData(s, true, []byte("evil")) == nil }},
	{with: "a promise", frames: func(c *frames, s uint32) bool {
		c.block.Reset()
		_ = c.enc.WriteField(hpack.HeaderField{Name: ":method", Value: "GET"})
		_ = c.WritePushPromise(http2.PushPromiseParam{StreamID: s, PromiseID: 2, BlockFragment: c.block.Bytes(), EndHeaders: true})
		return answering([]string{":status: 200"}, "evil")(c, s)
	}},
	{with: "an early hint", body: "ok", frames: func(c *frames, s uint32) bool {
		_ = c.head(s, false, pairs(":status: 103", "link: </evil>; rel=preload", "set-cookie: evil=1")...)
		return answering([]string{":status: 200"}, "ok")(c, s)
	}},
	{with: "a flood of hints", frames: func(c *frames, s uint32) bool {
		for range 2000 {
			if c.head(s, false, pairs(":status: 103", "link: </evil>")...) != nil {
				return false
			}
		}
		return answering([]string{":status: 200"}, "ok")(c, s)
	}},
	{with: "a header of 100 KiB", frames: answering([]string{":status: 200", "x-a: " + strings.Repeat("a", 100<<10)}, "ok")},
	{with: "trailers", body: "ok", frames: func(c *frames, s uint32) bool {
		_ = c.head(s, false, pairs(":status: 200")...)
		_ = c.WriteData(s, false, []byte("ok"))
		return c.head(s, true, pairs("x-evil: evil", "set-cookie: evil=1")...) == nil
	}},
	{with: "a status in trailers", breaks: true, frames: func(c *frames, s uint32) bool {
		_ = c.head(s, false, pairs(":status: 200")...)
		_ = c.WriteData(s, false, []byte("ok"))
		return c.head(s, true, pairs(":status: 404")...) == nil
	}},
	{with: "garbage", frames: func(c *frames, s uint32) bool { _, _ = c.conn.Write([]byte(another)); return false }},
	{with: "a connection's end", frames: func(c *frames, s uint32) bool { _ = c.WriteGoAway(s, http2.ErrCodeInternal, nil); return false }},
}

// An answer that is none is 502; one that is not what it says is seen broken, or whole as what it is; nothing of a second one
// hides in it, and the next is the next request's own.
//
// shows PRX-SMUG (answers), PRX-HOP, PRX-LIMIT (an API that floods)
func TestFaultyAnswersOnTheWire(t *testing.T) {
	t.Parallel()
	x := newWired(t)
	delete(x.ways, "HTTP/2") // it sees no more than frames show
	for in, w := range x.ways {
		for _, leg := range legs {
			faults := faults2
			if leg == "http1" {
				faults = faults1
			}
			for _, f := range faults {
				t.Run(fmt.Sprintf("%s, %s, an answer with %s", in, leg, f.with), func(t *testing.T) { x.faulty(t, f, w, leg) })
			}
		}
	}
	x.unharmed(t)
	for l := range strings.Lines(x.in.Log()) {
		if !strings.HasPrefix(l, "{") || strings.Contains(l, "smuggled") {
			t.Errorf("the log has %s", l)
		}
	}
}

// faulty has an API answer once with a fault, and then well.
func (x *wired) faulty(t *testing.T, f fault, w leadIn, leg string) {
	t.Helper()
	up, q := x.up[leg], x.script("cookie", sending{method: "POST", path: "/api-" + leg + "/x"}) // which nobody sends twice
	up.will(canned{raw: f.raw, frames: f.frames})
	got := w.ask(t, q)
	asked := up.take()
	broken := got.broken != "" && (got.status == 200 || got.status == 0)
	empty := got.status == 204 || got.status == 304
	switch {
	case len(asked) != 1:
		t.Errorf("the API got %v", asked)
	case f.breaks && broken, !f.breaks && f.body != "" && got.status == 200 && got.body == f.body && !broken:
	case !f.breaks && f.body == "" && (got.status == 502 && got.code() == "upstream_unavailable" || empty && got.body == ""):
	default:
		t.Errorf("%+v", got)
	}
	for _, l := range got.fields {
		if name, _, _ := strings.Cut(l, ": "); strings.Contains(l, "evil") && name != "x-a" || strings.ContainsAny(l, "\r\n\x00") {
			t.Errorf("the frontend got %q", l)
		}
	}
	up.will(plainly)
	for deadline := time.Now().Add(patience); ; { // the API has just closed its connection, perhaps: 502 then, for once
		next := w.ask(t, q)
		if strings.Contains(next.body, "evil") || time.Now().After(deadline) {
			t.Errorf("the next answer: %+v", next)
		}
		if next.status == 200 && next.body == "ok" {
			break
		}
	}
	up.take()
}
