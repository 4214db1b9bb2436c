//go:build integration

package e2e_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// heard is one request as an API got it: nothing is merged, trimmed or left out but the order of fields.
type heard struct {
	line     string   // method and target
	host     string   // Host, or :authority
	fields   []string // all others, "name: value" with the name in lower case, sorted
	body     string
	trailers []string
	cut      bool   // it broke off
	raw      string // the head's bytes; over HTTP/2 its fields, a line each
	conn     int    // which connection it came by
}

// String is all of it in few words.
func (q heard) String() string {
	return fmt.Sprintf("%s at %s, %q, %q, %q, cut: %v", q.line, q.host, q.fields, q.body, q.trailers, q.cut)
}

// canned is what an API answers.
type canned struct {
	status int
	fields []string // "Name: value"
	body   string
	raw    string                                      // instead: bytes of HTTP/1.1, behind which the connection ends
	frames func(c *frames, stream uint32) (stays bool) // instead: over HTTP/2
}

var plainly = canned{status: 200, fields: []string{"Content-Type: text/plain"}, body: "ok"}

// echo is an API on a bare socket that speaks HTTP/1.1, or HTTP/2 frame by frame, and keeps what it got.
type echo struct {
	net.Listener
	leg   string
	at    string // its origin
	mu    sync.Mutex
	heard []heard
	next  canned
	conns int
}

// newEcho starts one, and returns its address and the file that holds its certificate.
func newEcho(t *testing.T, leg string) (e *echo, url, ca string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + l.Addr().String()
	if leg == "h2" {
		lender := httptest.NewTLSServer(nil) // of a certificate for 127.0.0.1
		defer lender.Close()
		ca = t.TempDir() + "/ca.pem"
		writePEM(t, ca, "CERTIFICATE", lender.Certificate().Raw)
		l = tls.NewListener(l, &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"h2"}})
		url = "https" + strings.TrimPrefix(url, "http")
	}
	e = &echo{Listener: l, leg: leg, at: url, next: plainly}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns++
			n := e.conns
			e.mu.Unlock()
			go e.serve(c, n)
		}
	}()
	return e, url, ca
}

func (e *echo) serve(c net.Conn, n int) {
	defer c.Close()
	if e.leg != "http1" {
		e.serveFrames(c, n)
		return
	}
	r := bufio.NewReader(c)
	for {
		q, err := hear(r)
		if q.conn, q.cut = n, err != nil; q.line != "" {
			e.keep(q)
		}
		if err != nil || !e.answer(c) {
			return
		}
	}
}

func (e *echo) keep(q heard) {
	slices.Sort(q.fields)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, q)
}

// will says what is answered from now on.
func (e *echo) will(c canned) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = c
}

func (e *echo) canned() canned { e.mu.Lock(); defer e.mu.Unlock(); return e.next }

// take returns what was heard since the last time.
func (e *echo) take() []heard {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := e.heard
	e.heard = nil
	return all
}

// hear reads one request of HTTP/1.1, taking nothing for another that is not the very same.
func hear(r *bufio.Reader) (q heard, err error) {
	first, lines, raw, err := readHead(r)
	if err != nil {
		return heard{line: first, raw: raw}, err
	}
	q = heard{raw: raw, line: strings.TrimSuffix(first, " HTTP/1.1")}
	length, chunked := 0, false
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		switch strings.ToLower(name) {
		case "host":
			q.host += value
			continue
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil {
				return q, err
			}
		case "transfer-encoding":
			chunked = true
			continue // it is this connection's: each way has its own
		}
		q.fields = append(q.fields, strings.ToLower(name)+": "+value)
	}
	var body []byte
	if chunked {
		if body, err = io.ReadAll(httputil.NewChunkedReader(r)); err == nil {
			q.trailers, err = readLines(r)
		}
	} else {
		body = make([]byte, length)
		_, err = io.ReadFull(r, body)
	}
	q.body = string(body)
	return q, err
}

// readHead reads a first line and the fields behind it, each ended by CR LF and by nothing else.
func readHead(r *bufio.Reader) (first string, lines []string, raw string, err error) {
	first, err = readLine(r)
	if err != nil {
		return first, nil, first, err
	}
	lines, err = readLines(r)
	return first, lines, first + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n", err
}

func readLines(r *bufio.Reader) (lines []string, err error) {
	for {
		l, err := readLine(r)
		if err != nil || l == "" {
			return lines, err
		}
		lines = append(lines, l)
	}
}

func readLine(r *bufio.Reader) (string, error) {
	l, err := r.ReadString('\n')
	if err != nil {
		return l, err
	}
	plain, ok := strings.CutSuffix(l, "\r\n")
	if !ok || strings.ContainsAny(plain, "\r\n") {
		return l, fmt.Errorf("line %q ends otherwise", l)
	}
	return plain, nil
}

// answer writes what is to be answered over HTTP/1.1, and tells whether the connection stays.
func (e *echo) answer(c net.Conn) (stays bool) {
	next := e.canned()
	if next.raw != "" {
		_, _ = io.WriteString(c, next.raw)
		return false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d Status\r\n", next.status)
	for _, f := range next.fields {
		b.WriteString(f + "\r\n")
	}
	if bodied := next.status >= 200 && next.status != 204 && next.status != 304; bodied {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(next.body))
	}
	_, err := io.WriteString(c, b.String()+"\r\n"+next.body)
	return err == nil
}

// serveFrames is serve over HTTP/2.
func (e *echo) serveFrames(c net.Conn, n int) {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	f := newFrames(c)
	if f.WriteSettings() != nil {
		return
	}
	open := map[uint32]*heard{}
	for {
		ev, err := f.read()
		if err != nil {
			return
		}
		q := open[ev.stream]
		switch {
		case q == nil && ev.fields != nil:
			q = hearFields(ev.fields, n)
			open[ev.stream] = q
		case q == nil:
			continue
		case ev.fields != nil:
			q.trailers = append(q.trailers, ev.fields...)
		}
		q.body += ev.data
		if q.cut = ev.broken != ""; !ev.end && !q.cut {
			continue
		}
		delete(open, ev.stream)
		e.keep(*q)
		if !q.cut && !e.answerFrames(f, ev.stream) {
			return
		}
	}
}

// hearFields sorts the fields of a request's head.
func hearFields(lines []string, conn int) *heard {
	q := &heard{raw: strings.Join(lines, "\n"), conn: conn}
	method, path, cookies := "", "", []string(nil)
	for _, l := range lines {
		name, value, _ := strings.Cut(l[1:], ": ")
		switch l[:1] + name {
		case ":method":
			method += value
		case ":path":
			path += value
		case ":authority":
			q.host += value
		case ":scheme":
		case "cookie": // in crumbs, which are one (RFC 9113 section 8.2.3)
			cookies = append(cookies, value)
		default:
			q.fields = append(q.fields, l)
		}
	}
	if cookies != nil {
		q.fields = append(q.fields, "cookie: "+strings.Join(cookies, "; "))
	}
	q.line = method + " " + path
	return q
}

// answerFrames is answer over HTTP/2.
func (e *echo) answerFrames(f *frames, stream uint32) (stays bool) {
	next := e.canned()
	if next.frames != nil {
		return next.frames(f, stream)
	}
	fields := append(pairs(":status: "+strconv.Itoa(next.status)), pairs(next.fields...)...)
	if f.head(stream, next.body == "", fields...) != nil {
		return false
	}
	return next.body == "" || f.WriteData(stream, true, []byte(next.body)) == nil
}
