package proxy_test

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// wire is an upstream that keeps the very bytes it gets.
type wire struct {
	net.Listener
	mu   sync.Mutex
	all  bytes.Buffer
	hits int
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &wire{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { u.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return u
}

func (u *wire) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(io.TeeReader(c, u))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		u.mu.Lock()
		u.hits++
		u.mu.Unlock()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// Write keeps bytes.
func (u *wire) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all.Write(p)
}

func (u *wire) got() (string, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all.String(), u.hits
}

const hidden = "GET /api/evil HTTP/1.1\r\nHost: x\r\n\r\n"

func TestFraming(t *testing.T) {
	// shows PRX-SMUG, PRX-HOST
	for _, c := range []struct {
		with, bytes string
		status      []string // of the answers, in order; the connection is closed behind them
		hits        int
		holds       string // in what the API got
	}{
		{
			with:   "chunks and a length",
			bytes:  "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden,
			status: []string{"200"}, hits: 1, holds: "\r\nTransfer-Encoding: chunked\r\n",
		},
		{
			with:   "chunks, a length and a request in the body",
			bytes:  "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
			status: []string{"200"}, hits: 1,
		},
		{
			with:   "chunks alone, then another request",
			bytes:  "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden,
			status: []string{"200"}, hits: 1,
		},
		{
			with:   "chunks that are refused, then another request",
			bytes:  "POST /none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden,
			status: []string{"404"}, hits: 0,
		},
		{
			with:   "chunks in HTTP/1.0",
			bytes:  "POST /api/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
			status: []string{"200"}, hits: 1,
		},
		{
			with:   "chunks and a length in HTTP/1.0",
			bytes:  "POST /api/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello" + hidden,
			status: []string{"200"}, hits: 1, holds: "\r\nContent-Length: 5\r\n",
		},
		{
			with:   "a folded field",
			bytes:  "GET /api/x HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n  Host: evil\r\nConnection: close\r\n\r\n",
			status: []string{"200"}, hits: 1, holds: "\r\nX-A: 1 Host: evil\r\n",
		},
		{
			with:   "a folded transfer encoding and a length",
			bytes:  "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + hidden,
			status: []string{"200"}, hits: 1,
		},
		{
			with:   "a trailer",
			bytes:  "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n5\r\nhello\r\n0\r\nX-User: root\r\nX-Sneaked: root\r\n\r\n",
			status: []string{"200"}, hits: 1, holds: "hello\r\n0\r\n\r\n",
		},
		{
			with:   "an absolute address",
			bytes:  "GET http://evil.example/api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
			status: []string{"200"}, hits: 1, holds: "GET /api/x HTTP/1.1\r\n",
		},
		{with: "two lengths", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", status: []string{"400"}},
		{with: "a length with a sign", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", status: []string{"400"}},
		{with: "an unknown transfer encoding", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", status: []string{"501"}},
		{with: "two transfer encodings", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", status: []string{"501"}},
		{with: "chunks that are not last", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", status: []string{"501"}},
		{with: "a space before a colon", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", status: []string{"400"}},
		{with: "NUL in a field", bytes: "GET /api/x HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n", status: []string{"400"}},
		{with: "a lone CR in a field", bytes: "GET /api/x HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n", status: []string{"400"}},
		{with: "an unknown expectation", bytes: "POST /api/x HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 0\r\n\r\n", status: []string{"417"}},
		{with: "two Hosts", bytes: "GET /api/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", status: []string{"400"}},
		{with: "no Host", bytes: "GET /api/x HTTP/1.1\r\n\r\n", status: []string{"400"}},
	} {
		t.Run("bytes with "+c.with, func(t *testing.T) {
			up := newWire(t)
			g := newGateway(t, setting{}, proxy.Route{Path: "/api/", Methods: []string{"GET", "POST"}, Upstream: "http://" + up.Addr().String()})
			out := g.raw(t, c.bytes)
			var status []string
			for i, part := range strings.Split("\n"+out, "\nHTTP/1.") {
				if i > 0 {
					status = append(status, part[2:5])
				}
			}
			if strings.Join(status, " ") != strings.Join(c.status, " ") {
				t.Errorf("got answers %v, want %v:\n%s", status, c.status, out)
			}
			got, hits := up.got()
			if hits != c.hits || !strings.Contains(got, c.holds) {
				t.Errorf("the API got %d requests, want %d holding %q:\n%s", hits, c.hits, c.holds, got)
			}
			for _, never := range []string{"/api/evil", "X-User", "X-Sneaked", "Trailer", "evil.example"} {
				if strings.Contains(got, never) {
					t.Errorf("the API got %q:\n%s", never, got)
				}
			}
			if strings.Contains(got, "Content-Length:") && strings.Contains(got, "Transfer-Encoding:") {
				t.Errorf("the API got two framings:\n%s", got)
			}
		})
	}
}

func TestKeptConnection(t *testing.T) {
	// shows PRX-SMUG
	a := newAPI(t, nil)
	g := newGateway(t, setting{}, route(a, "/api/"))
	out := g.raw(t, "POST /api/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"+
		"GET /api/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if n := strings.Count(out, "HTTP/1.1 200 OK"); n != 2 || len(a.requests()) != 2 {
		t.Errorf("two honest requests on one connection got %d answers:\n%s", n, out)
	}
}

func TestCheckFraming(t *testing.T) {
	// shows PRX-SMUG
	for _, c := range []struct {
		with   string
		major  int
		minor  int
		te     []string
		header http.Header
		target string // "/" if it is empty
		length int64
		want   bff.Code
	}{
		{with: "nothing special", major: 1, minor: 1},
		{with: "chunks", major: 1, minor: 1, te: []string{"chunked"}},
		{with: "an expectation that can be met", major: 1, minor: 1, header: http.Header{"Expect": {"100-Continue"}}},
		{with: "Connection in HTTP/1.1", major: 1, minor: 1, header: http.Header{"Connection": {"close"}}},
		{with: "an address as target in HTTP/1.1", major: 1, minor: 1, target: "http://x/y"},
		{with: "a query of odd bytes", major: 1, minor: 1, target: "/x?a=\"<>\\^`{|}\xff;/?%zz"},
		{with: "chunks in HTTP/1.0", major: 1, minor: 0, te: []string{"chunked"}, want: bff.CodeBadRequest},
		{with: "a transfer encoding left over", major: 1, minor: 1, header: http.Header{"Transfer-Encoding": {"x"}}, want: bff.CodeBadRequest},
		{with: "an unknown expectation", major: 1, minor: 1, header: http.Header{"Expect": {"x"}}, want: bff.CodeBadRequest},
		{with: "two expectations", major: 1, minor: 1, header: http.Header{"Expect": {"100-continue", "x"}}, want: bff.CodeBadRequest},
		{with: "a fragment", major: 1, minor: 1, target: "/x#y", want: bff.CodeBadRequest},
		{with: "a fragment behind the query", major: 1, minor: 1, target: "/x?y#z", want: bff.CodeBadRequest},
		{with: "nothing special in HTTP/2", major: 2, header: http.Header{"Host": {"X"}, "Content-Length": {"5"}}, length: 5},
		{with: "no body in HTTP/2", major: 2, header: http.Header{"Content-Length": {"0"}}},
		{with: "Connection in HTTP/2", major: 2, header: http.Header{"Connection": {"close"}}, want: bff.CodeBadRequest},
		{with: "Keep-Alive in HTTP/2", major: 2, header: http.Header{"Keep-Alive": {"1"}}, want: bff.CodeBadRequest},
		{with: "Upgrade in HTTP/2", major: 2, header: http.Header{"Upgrade": {"h2c"}}, want: bff.CodeBadRequest},
		{with: "Proxy-Connection in HTTP/2", major: 2, header: http.Header{"Proxy-Connection": {"x"}}, want: bff.CodeBadRequest},
		{with: "DEL in the query", major: 2, target: "/x?\x7f", want: bff.CodeBadRequest},
		{with: "a transfer encoding in HTTP/2", major: 2, header: http.Header{"Transfer-Encoding": {"chunked"}}, want: bff.CodeBadRequest},
		{with: "a space in the query", major: 2, target: "/x?a HTTP/1.0", want: bff.CodeBadRequest},
		{with: "a tab in the path", major: 2, target: "/x\ty", want: bff.CodeBadRequest},
		{with: "an address as target in HTTP/2", major: 2, target: "http://x/y", want: bff.CodeBadRequest},
		{with: "another Host than its authority", major: 2, header: http.Header{"Host": {"y"}}, want: bff.CodeBadRequest},
		{with: "two Hosts in HTTP/2", major: 2, header: http.Header{"Host": {"x", "x"}}, want: bff.CodeBadRequest},
		{with: "two lengths in HTTP/2", major: 2, header: http.Header{"Content-Length": {"5", "6"}}, length: 5, want: bff.CodeBadRequest},
		{with: "a length with a sign in HTTP/2", major: 2, header: http.Header{"Content-Length": {"+0"}}, want: bff.CodeBadRequest},
		{with: "a length and no body in HTTP/2", major: 2, header: http.Header{"Content-Length": {"5"}}, want: bff.CodeBadRequest},
	} {
		t.Run("a request with "+c.with, func(t *testing.T) {
			r := &http.Request{
				ProtoMajor: c.major, ProtoMinor: c.minor, TransferEncoding: c.te, Header: c.header, Host: "x",
				RequestURI: cmp.Or(c.target, "/"), ContentLength: c.length,
			}
			if err := proxy.CheckFraming(r); bff.CodeOf(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestVia(t *testing.T) {
	// shows PRX-VIA
	for _, c := range []struct {
		with, via string
		want      int
	}{
		{"another hop", "1.1 fred", 200},
		{"a hop whose name begins alike", "1.1 gate-2", 200},
		{"this gateway", "1.1 gate", 508},
		{"this gateway among others", "1.0 fred, 1.1  GATE (x) , 2.0 p", 508},
		{"this gateway behind a tab", "1.0 fred,1.1\tgate\t(x)", 508},
	} {
		t.Run("a request through "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{options: proxy.Options{Pseudonym: "gate"}}, route(a, "/api/"))
			if got := g.do(t, "GET", "/api/x", http.Header{"Via": {c.via}}, nil); got.Status != c.want {
				t.Errorf("got %d, want %d", got.Status, c.want)
			}
			if c.want != 200 && len(a.requests()) != 0 {
				t.Error("the API was asked")
			}
		})
	}
	a := newAPI(t, nil)
	g := newGateway(t, setting{http2: true}, route(a, "/api/"))
	g.do(t, "GET", "/api/x", nil, nil)
	if got := a.only(t).Header.Get("Via"); got != "2.0 cloakroom" {
		t.Errorf("over HTTP/2 the API got Via %q", got)
	}
}

func TestMaxForwards(t *testing.T) {
	// shows PRX-VIA
	for _, c := range []struct {
		with, value string
		want        int
		passes      string
	}{
		{"none left", "0", 204, ""},
		{"five left", "5", 200, "4"},
		{"one left", "1", 200, "0"},
		{"less than none left", "-1", 400, ""},
		{"no number", "many", 400, ""},
	} {
		t.Run("an OPTIONS request with "+c.with, func(t *testing.T) {
			a := newAPI(t, nil)
			g := newGateway(t, setting{}, route(a, "/api/", func(r *proxy.Route) { r.Methods = []string{"OPTIONS", "GET"} }))
			got := g.do(t, "OPTIONS", "/api/x", http.Header{"Max-Forwards": {c.value}}, nil)
			if got.Status != c.want || c.want == 204 && got.Header.Get("Allow") != "GET, HEAD, OPTIONS" {
				t.Fatalf("got %d %v, want %d", got.Status, got.Header, c.want)
			}
			if c.passes == "" {
				if len(a.requests()) != 0 {
					t.Error("the API was asked")
				}
				return
			}
			if got := a.only(t).Header.Get("Max-Forwards"); got != c.passes {
				t.Errorf("the API got %q, want %q", got, c.passes)
			}
		})
	}
}
