package proxy_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom/bff/proxy"
	"cloakroom/test/websocket"
)

// whole reads frames the plain way, from all of the bytes at once, as far as they go: what Follow has to find out byte by
// byte. It knows no more of RFC 6455 section 5.2 than where a frame ends.
func whole(all []byte) (message, between, closed bool) {
	for r := bytes.NewReader(all); r.Len() > 0; {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return message, false, closed
		}
		length := uint64(head[1] & 0x7f)
		var wide [8]byte
		size := map[uint64]int{126: 2, 127: 8}[length]
		if _, err := io.ReadFull(r, wide[8-size:]); err != nil {
			return message, false, closed
		}
		if size > 0 {
			length = binary.BigEndian.Uint64(wide[:])
		}
		if masked := head[1]&0x80 != 0; masked {
			if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
				return message, false, closed
			}
		}
		message = message || head[0]&0x0f < 8
		if length > uint64(r.Len()) {
			return message, false, closed
		}
		_, _ = r.Seek(int64(length), io.SeekCurrent)
		closed = closed || head[0]&0x0f == 8
	}
	return message, !closed, closed
}

// Where one frame ends does not depend on how its bytes come, and no bytes stop the process.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		"", "\x81", "\x81\x00", "\x81\x85\x01\x02\x03\x04hello", "\x01\x02he\x89\x00\x80\x01y", "\x88\x00", "\x88\x02\x03\xe8",
		"\x88\x02\x03\xe8\x81\x02hi", "\x82\x7e\x00\x03abc", "\x82\x7e\x00\x00\x81\x01x", "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x01x\x8a\x00",
		"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffx", "\x88\x7f\x80\x00\x00\x00\x00\x00\x00\x00xyz", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\xf1\x01x", "\x08\x01x", "\x89\xfe\x01\x00\x00\x00\x00\x00", "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(1))
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, all []byte, size uint8) {
		var pieces [][]byte
		for rest := all; len(rest) > 0; {
			n := min(len(rest), int(size)+1)
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		message, between, closed := proxy.Follow(pieces...)
		if m, b, c := whole(all); message != m || between != b || closed != c {
			t.Errorf("%x in pieces of %d: message %v, between %v, closed %v; they are %v, %v, %v", all, int(size)+1, message, between, closed, m, b, c)
		}
	})
}

// What an end makes of its frames is between the ends: the gateway passes every byte, right or wrong, holds none of it, and
// puts its own last frame only where one can stand.
func TestStrangeFrames(t *testing.T) {
	// shows WS-1
	for _, row := range []struct {
		with, frame string // as the user sends it, and the API too
		ends        bool   // another frame may follow
	}{
		{"reserved bits", "\xf1\x02hi", true},
		{"a reserved opcode", "\x8f\x00", true},
		{"a ping in two parts", "\x09\x01a\x80\x01b", true},
		{"a ping of 300 bytes", "\x89\x7e\x01\x2c" + strings.Repeat("p", 300), true},
		{"a mask", "\x81\x82\x01\x02\x03\x04hi", true},
		{"a length that takes more bytes than it needs", "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02hi", true},
		{"2^63 bytes announced", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00some", false},
		{"2^64-1 bytes announced", "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffsome", false},
		{"a close frame without end", "\x88\x7f\x7f\xff\xff\xff\xff\xff\xff\xffsome", false},
		{"no frame at all, but HTTP", "GET /api/other HTTP/1.1\r\nHost: app.example.com\r\n\r\n", false},
	} {
		t.Run("a WebSocket with "+row.with, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			a := socketAPI(t, func(c *websocket.Conn, r *http.Request) {
				c.Switch(r)
				p := make([]byte, len(row.frame))
				_, _ = io.ReadFull(c.Reader, p)
				got <- string(p)
				c.Raw(row.frame)
				_, _ = io.Copy(io.Discard, c.Reader)
			})
			g := newEnds(t, setting{}, route(a, "/api/", opts))
			c := g.opened(t)
			c.Raw(row.frame)
			if up := await(t, "the API gets it", got); up != row.frame {
				t.Errorf("the API got %q", up)
			}
			down := make([]byte, len(row.frame))
			if _, err := io.ReadFull(c.Reader, down); err != nil || string(down) != row.frame {
				t.Fatalf("the frontend got %q, %v", down, err)
			}
			g.signOut()
			rest, err := io.ReadAll(c.Reader)
			if err != nil || (len(rest) > 0) != row.ends {
				t.Errorf("at the end came %q, %v", rest, err)
			}
			g.endedBy(t, proxy.EndSession)
			if n := len(a.requests()); n != 1 {
				t.Errorf("the API got %d requests", n)
			}
		})
	}
}

// Many small frames are passed as they come, and none is lost.
func TestTenThousandTinyFrames(t *testing.T) {
	g := newEnds(t, setting{}, route(socketAPI(t, echoes()), "/api/", opts))
	c := g.opened(t)
	const tiny = 10_000
	go c.Raw(strings.Repeat(websocket.Frame(websocket.Text, "", true)+websocket.Frame(websocket.Ping, "", true), tiny/2))
	for i := range tiny {
		if op, payload, err := c.Read(); err != nil || payload != "" || (op == websocket.Text) != (i%2 == 0) {
			t.Fatalf("frame %d: opcode %x, %q, %v", i, op, payload, err)
		}
	}
}

// What comes behind a handshake that is refused is the next request, judged like any other: nothing of it reaches an API by
// the handshake's connection.
func TestBytesBehindARefusedHandshake(t *testing.T) {
	// shows WS-1
	second := "GET /api/second HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer stolen\r\nConnection: close\r\n\r\n"
	for _, row := range []struct {
		with   string
		fields []string
		answer string // of the API; "": it is not asked
		want   int
	}{
		{"a wrong version", []string{"Sec-WebSocket-Version: 12"}, "", 400},
		{"an API that refuses it", nil, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403},
		{"an API that answers 200", nil, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200},
		{"an API that switches wrongly", nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", 502},
	} {
		t.Run("a handshake with "+row.with, func(t *testing.T) {
			raw := make(chan string, 1)
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/second" {
					_, _ = io.WriteString(w, "second")
					return
				}
				c := websocket.Take(w)
				defer c.Close()
				c.Raw(row.answer)
				rest, _ := io.ReadAll(c.Reader) // until the gateway lets go, or asks something else
				raw <- string(rest)
			})
			g := newGateway(t, setting{}, route(a, "/api/", opts))
			c, resp := g.socketWith(t, second, row.fields...)
			if resp.StatusCode != row.want {
				t.Fatalf("the handshake: %s", resp.Status)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			next, err := http.ReadResponse(c.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(next.Body)
			if row.answer != "" {
				g.table.CloseIdle()
				if got := await(t, "the API's connection is let go", raw); strings.Contains(got, "second") && strings.Contains(got, "stolen") {
					t.Errorf("by the handshake's connection came %q", got)
				}
			}
			if next.StatusCode == 200 && string(body) != "second" {
				t.Errorf("the next request: %d %q", next.StatusCode, body)
			}
			for _, s := range a.requests() {
				if strings.Contains(s.Header.Get("Authorization"), "stolen") {
					t.Errorf("the API was shown %v", s.Header)
				}
			}
		})
	}
}

// socketWith opens a WebSocket with bytes behind the handshake, in one write.
func (g *gateway) socketWith(t *testing.T, behind string, fields ...string) (*websocket.Conn, *http.Response) {
	t.Helper()
	return websocket.Open(t, g.Listener.Addr().String(), websocket.Handshake("app.example.com", "/api/live", fields...)+behind)
}
