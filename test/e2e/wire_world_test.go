//go:build integration

package e2e_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"cloakroom/dev/provider"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// wired is a world whose every byte is seen: an instance that speaks TLS, an API on a bare socket for each leg, a user with a
// cookie and one with a handle. Each leg has four routes, named by what they are: /api-h2/, /open-h2/, /site-h2/, /jar-h2/.
type wired struct {
	*junction
	up     map[string]*echo
	in     *gateway.Instance
	cookie string // the session's, name and value
	handle string
	tokens map[string]string // what the APIs get, by who asks
	ways   map[string]leadIn
}

// wireRoutes are the routes of one leg; %[1]s is the leg, %[2]q its address, %[3]s what it needs besides.
const wireRoutes = `
  - {path: "/api-%[1]s/", upstream: %[2]q, methods: [GET, HEAD, POST, OPTIONS], token: user, identity_headers: {X-Who: sub}%[3]s}
  - {path: "/open-%[1]s/", upstream: %[2]q, methods: [GET, POST], token: none%[3]s}
  - {path: "/site-%[1]s/", upstream: %[2]q, methods: [GET, POST], token: user, kind: site, apps: [web]%[3]s}
  - {path: "/jar-%[1]s/", upstream: %[2]q, methods: [GET, POST], token: user, cookies: [theme], set_cookies: [theme]%[3]s}
`

// newWired starts everything and signs both users in.
func newWired(t *testing.T) *wired {
	t.Helper()
	const secret = "the-native-secret-at-the-provider"
	x := &wired{up: map[string]*echo{}, tokens: map[string]string{}}
	var routes, upstreams strings.Builder
	for _, leg := range legs {
		up, url, ca := newEcho(t, leg)
		x.up[leg] = up
		if ca != "" {
			ca = fmt.Sprintf(", ca_file: %q", ca)
		}
		fmt.Fprintf(&routes, wireRoutes, leg, url, ca)
		if leg == "h2c" {
			fmt.Fprintf(&upstreams, "upstreams:\n  - {origin: %q, protocol: h2c}\n", url)
		}
	}
	x.junction = &junction{World: world.New(t, world.DevProvider, world.Options{
		Routes: routes.String(), More: upstreams.String(), Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
		Apps: `
  cli:
    kind: desktop
    provider: main
    client_id: nativec_1
    client_secret: ` + secret + `
    redirect_uris: ["http://127.0.0.1/callback"]
`,
	})}
	x.Dev.Register(provider.Client{
		ID: "nativec_1", Secret: secret,
		RedirectURIs: []string{publicOrigin + "/mobile/callback/cli"}, PostLogoutRedirectURIs: []string{publicOrigin + "/mobile/logged-out"},
	})
	const public = "CLOAKROOM_PUBLIC__URL=" + publicOrigin
	x.Start(2, public)
	x.user = x.Browser()
	x.SignIn(x.user, "/")
	c, _ := x.user.Cookie(world.Origin, sessionCookie)
	x.cookie = sessionCookie + "=" + c.Value
	x.tokens["cookie"] = (&probe{World: x.World}).issued(provider.KindAccess)
	x.handle, _ = (&devices{x.World, t}).native()
	x.tokens["handle"] = (&probe{World: x.World}).issued(provider.KindAccess)
	cert, key := x.certificate()
	x.in = x.Setup.Start(t, public, "CLOAKROOM_PUBLIC__TLS__CERT_FILE="+cert, "CLOAKROOM_PUBLIC__TLS__KEY_FILE="+key)
	x.ways = map[string]leadIn{"HTTP/1.1": &lines1{x: x}, "HTTP/2 frames": &framed{x: x}, "HTTP/2": &clean{x.client(x.in, true)}}
	return x
}

// sending is a request as it is to be sent. Lines are "Name: value".
type sending struct {
	method, path string
	host         string // web.localhost if it is empty
	lines        []string
	body         string
}

// told is an answer as it came.
type told struct {
	status int
	fields []string // "name: value", the name in lower case, sorted
	body   string
	broken string // how it ended before its end, or why there is none
}

// code is the stable name of the error in it.
func (a told) code() string {
	return reply{Header: http.Header{"Content-Type": a.values("content-type")}, Body: a.body}.code()
}

// values are those of a field.
func (a told) values(name string) (all []string) {
	for _, f := range a.fields {
		if v, ok := strings.CutPrefix(f, name+": "); ok {
			all = append(all, v)
		}
	}
	return all
}

// leadIn is one way to ask the gateway.
type leadIn interface {
	ask(t *testing.T, q sending) told
}

// script is what the app's own page sends beside a request of somebody signed in: "", a cookie's user or a handle's.
func (x *wired) script(who string, q sending) sending {
	switch who {
	case "cookie":
		q.lines = with(fetched, append([]string{"Cookie: " + x.cookie}, q.lines...)...)
	case "handle":
		q.host = "gw.localhost"
		q.lines = append([]string{"Authorization: Bearer " + x.handle}, q.lines...)
	default:
		q.lines = with(fetched, q.lines...)
	}
	return q
}

// lines1 is HTTP/1.1 over a connection that is kept for as long as the gateway keeps it.
type lines1 struct {
	x    *wired
	conn *tls.Conn
	r    *bufio.Reader
}

func (b *lines1) ask(t *testing.T, q sending) told {
	t.Helper()
	if q.host == "" {
		q.host = appHost
	}
	text := q.method + " " + q.path + " HTTP/1.1\r\nHost: " + q.host + "\r\n"
	for _, l := range q.lines {
		text += l + "\r\n"
	}
	if q.body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(q.body))
	}
	return b.send(t, text+"\r\n"+q.body, q.method)
}

// send sends bytes and reads one answer.
func (b *lines1) send(t *testing.T, text, method string) told {
	t.Helper()
	if b.conn == nil {
		b.conn = b.x.dial(b.x.in)
		b.r = bufio.NewReader(b.conn)
	}
	_ = b.conn.SetDeadline(time.Now().Add(patience))
	_, sent := io.WriteString(b.conn, text)
	got, err := b.read(method)
	if err != nil {
		got.broken = errors.Join(err, sent).Error()
	}
	if got.broken != "" || slices.Contains(got.values("connection"), "close") {
		_ = b.conn.Close()
		b.conn = nil
	}
	return got
}

func (b *lines1) read(method string) (got told, err error) {
	first, lines, _, err := readHead(b.r)
	if err != nil {
		return got, fmt.Errorf("reading a head at %q: %w", first, err)
	}
	if got.status, err = strconv.Atoi(first[len("HTTP/1.1 "):][:3]); err != nil {
		return got, err
	}
	length, chunked := -1, false
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		name = strings.ToLower(name)
		got.fields = append(got.fields, name+": "+value)
		switch name {
		case "content-length":
			length, _ = strconv.Atoi(value)
		case "transfer-encoding":
			chunked = true
		}
	}
	slices.Sort(got.fields)
	var body []byte
	switch {
	case method == "HEAD", got.status == 204, got.status == 304:
	case chunked:
		if body, err = io.ReadAll(httputil.NewChunkedReader(b.r)); err == nil {
			_, err = readLines(b.r)
		}
	case length >= 0:
		body = make([]byte, length)
		var n int
		n, err = io.ReadFull(b.r, body)
		body = body[:n]
	default:
		body, err = io.ReadAll(b.r)
	}
	got.body = string(body)
	return got, err
}

// framed is HTTP/2 frame by frame, over a connection that is kept until something breaks.
type framed struct {
	x      *wired
	f      *frames
	stream uint32
}

func (c *framed) ask(t *testing.T, q sending) told {
	t.Helper()
	if q.host == "" {
		q.host = appHost
	}
	fields := append(pairs(":method: "+q.method, ":scheme: https", ":authority: "+q.host, ":path: "+q.path), pairs(q.lines...)...)
	if q.body != "" {
		fields = append(fields, pairs(fmt.Sprintf("content-length: %d", len(q.body)))...)
	}
	return c.send(t, fields, q.body)
}

// send sends a head, a body if there is one, and fields behind it, on a stream of its own, and reads what comes back on it.
func (c *framed) send(t *testing.T, head []hpack.HeaderField, body string, trailers ...hpack.HeaderField) (got told) {
	t.Helper()
	c.open(t)
	_ = c.f.conn.SetDeadline(time.Now().Add(patience))
	c.stream += 2
	err := c.f.head(c.stream, body == "" && trailers == nil, head...)
	if err == nil && body != "" {
		err = c.f.WriteData(c.stream, trailers == nil, []byte(body))
	}
	if err == nil && trailers != nil {
		err = c.f.head(c.stream, true, trailers...)
	}
	if err == nil {
		got, err = c.answer()
	}
	if err != nil {
		got.broken = err.Error()
	}
	if got.broken != "" {
		_ = c.f.conn.Close()
		c.f = nil
	}
	slices.Sort(got.fields)
	return got
}

func (c *framed) open(t *testing.T) {
	t.Helper()
	if c.f != nil {
		return
	}
	conn, err := tls.Dial("tcp", c.x.in.Addr, &tls.Config{RootCAs: c.x.trust, ServerName: appHost, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	c.x.T.Cleanup(func() { _ = conn.Close() }) // it serves more than one test
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c.f, c.stream = newFrames(conn), ^uint32(0) // the next one is 1
	if err := c.f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}); err != nil {
		t.Fatal(err)
	}
}

func (c *framed) answer() (got told, err error) {
	for {
		ev, err := c.f.read()
		if err != nil {
			return got, err
		}
		if ev.stream != 0 && ev.stream != c.stream { // of an earlier one, such as a reset behind an answer that came before its body's end
			continue
		}
		for _, l := range ev.fields {
			if v, ok := strings.CutPrefix(l, ":status: "); ok {
				got.status, _ = strconv.Atoi(v)
				continue
			}
			got.fields = append(got.fields, l)
		}
		got.body += ev.data
		if got.broken = ev.broken; ev.end {
			return got, nil
		}
	}
}

// clean is HTTP/2 as Go's client speaks it, which refuses itself what no client should send.
type clean struct{ *http.Client }

func (c *clean) ask(t *testing.T, q sending) (got told) {
	t.Helper()
	r, err := http.NewRequest(q.method, "https://"+appHost+"/", strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque, r.Host = q.path, q.host
	for _, l := range q.lines {
		name, value, _ := strings.Cut(l, ":")
		r.Header[strings.ToLower(name)] = append(r.Header[strings.ToLower(name)], strings.TrimPrefix(value, " "))
	}
	res, err := c.Do(r)
	if err != nil {
		return told{broken: err.Error()}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if got = (told{status: res.StatusCode, body: string(body)}); err != nil {
		got.broken = err.Error()
	}
	for name, values := range res.Header {
		for _, v := range values {
			got.fields = append(got.fields, strings.ToLower(name)+": "+v)
		}
	}
	slices.Sort(got.fields)
	return got
}

// unharmed fails unless the user is still signed in, by the cookie of the beginning.
func (x *wired) unharmed(t *testing.T) {
	t.Helper()
	if got := x.Fetch(x.user, "GET", "/api/orders", ""); got.Status != 200 {
		t.Errorf("the user's session afterwards: %d %s", got.Status, got.Body)
	}
	if c, _ := x.user.Cookie(world.Origin, sessionCookie); sessionCookie+"="+c.Value != x.cookie {
		t.Error("the user's cookie changed")
	}
}
