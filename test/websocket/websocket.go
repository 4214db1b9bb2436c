// Package websocket is a WebSocket client and server of tests, which says exactly what it is told to: right and wrong
// handshakes, whole and half frames. It knows the bytes of RFC 6455, and judges none of them but what it could not read.
package websocket

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Opcodes of frames (RFC 6455 section 5.2).
const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

// Key and Accept are those of the example in RFC 6455 section 1.3.
const (
	Key    = "dGhlIHNhbXBsZSBub25jZQ=="
	Accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// patience bounds every wait: far longer than anything takes on a busy machine.
const patience = 20 * time.Second

// Handshake is a good handshake's text. A field ("Name: value") replaces that of its name, and "Name:" leaves it out.
func Handshake(host, path string, fields ...string) string {
	lines := []string{
		"Host: " + host, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + Key,
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ":")
		kept := lines[:0:0]
		for _, l := range lines {
			if has, _, _ := strings.Cut(l, ":"); !strings.EqualFold(has, name) {
				kept = append(kept, l)
			}
		}
		if lines = kept; strings.TrimSpace(value) != "" {
			lines = append(lines, f)
		}
	}
	return "GET " + path + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// AcceptOf is the right answer to a key.
func AcceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Conn is one end of a connection, of which every read and write is bounded.
type Conn struct {
	net.Conn
	Reader *bufio.Reader
	server bool // what it sends is not masked
}

// Open sends text to an address and reads the head of what is answered.
func Open(tb testing.TB, addr, text string) (*Conn, *http.Response) {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return On(tb, conn, text)
}

// On is Open over a connection that stands.
func On(tb testing.TB, conn net.Conn, text string) (*Conn, *http.Response) {
	tb.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		tb.Fatal(err)
	}
	c := &Conn{Conn: conn, Reader: bufio.NewReader(conn)}
	resp, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		tb.Fatalf("reading the answer to a handshake: %v", err)
	}
	return c, resp
}

// Take takes the connection of a request over, as a server that is about to answer it by hand.
func Take(w http.ResponseWriter) *Conn {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &Conn{Conn: conn, Reader: rw.Reader, server: true}
}

// Switch answers a handshake with a good 101, with further fields ("Name: value").
func (c *Conn) Switch(r *http.Request, fields ...string) {
	c.Raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		AcceptOf(r.Header.Get("Sec-WebSocket-Key")) + "\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n")
}

// Raw writes text as it is. What cannot be written shows at the next read.
func (c *Conn) Raw(text string) { _, _ = io.WriteString(c.Conn, text) }

// Send writes one whole frame.
func (c *Conn) Send(op byte, payload string) { c.Raw(Frame(op, payload, !c.server)) }

// Frame is a whole frame, final, masked or not.
func Frame(op byte, payload string, masked bool) string {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	body := []byte(payload)
	if masked {
		mask := [4]byte{0x12, 0x34, 0x56, 0x78}
		b[1] |= 0x80
		b = append(b, mask[:]...)
		for i := range body {
			body[i] ^= mask[i%4]
		}
	}
	return string(b) + string(body)
}

// ClosePayload is that of a close frame.
func ClosePayload(code uint16, text string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + text
}

// Read reads one whole frame, and takes its mask off.
func (c *Conn) Read() (op byte, payload string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.Reader, head[:]); err != nil {
		return 0, "", err
	}
	length := uint64(head[1] & 0x7f)
	if wide := map[uint64]int{126: 2, 127: 8}[length]; wide > 0 {
		var b [8]byte
		if _, err := io.ReadFull(c.Reader, b[8-wide:]); err != nil {
			return 0, "", err
		}
		length = binary.BigEndian.Uint64(b[:])
	}
	if length > 1<<30 {
		return 0, "", errors.New("a frame of more than any test sends")
	}
	var mask [4]byte
	if masked := head[1]&0x80 != 0; masked == !c.server {
		return 0, "", errors.New("a frame that is masked and must not be, or the other way round")
	} else if masked {
		if _, err := io.ReadFull(c.Reader, mask[:]); err != nil {
			return 0, "", err
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.Reader, body); err != nil {
		return 0, "", err
	}
	for i := range body {
		body[i] ^= mask[i%4]
	}
	return head[0] & 0x0f, string(body), nil
}

// Message reads the next text or binary frame; pings, pongs and the rest it passes over.
func (c *Conn) Message(tb testing.TB) string {
	tb.Helper()
	for {
		op, payload, err := c.Read()
		if err != nil || op == Close {
			tb.Fatalf("instead of a message: opcode %x, %q, %v", op, payload, err)
		}
		if op == Text || op == Binary {
			return payload
		}
	}
}

// Ended is how a connection ended.
type Ended struct {
	Code uint16 // of the close frame; 0: there was none
	Text string
}

// End reads until the connection ends, with an answer to the first close frame if there is one, and returns how it did.
func (c *Conn) End() (e Ended, err error) {
	for {
		op, payload, readErr := c.Read()
		if readErr != nil {
			var network net.Error
			if errors.As(readErr, &network) && network.Timeout() {
				return e, readErr
			}
			return e, nil
		}
		if op == Close && len(payload) >= 2 && e.Code == 0 {
			e = Ended{Code: binary.BigEndian.Uint16([]byte(payload)), Text: payload[2:]}
			c.Send(Close, payload[:2])
		}
	}
}
