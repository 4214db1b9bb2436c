package static_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/spa/static"
)

const (
	origin  = "http://localhost:8080"
	session = "__Host-Http-web"
)

func reserved(name string) bool { return name == session || strings.HasPrefix(name, session+".") }

// vite is a development server as browsers meet it: it takes hosts and origins of this machine alone, puts a script into its
// page, answers modules, and holds a socket over which it tells of changes.
type vite struct {
	*httptest.Server
	seen   chan *http.Request // every request, as it came
	resume chan struct{}      // lets the slow answer go on
}

func newVite(t *testing.T) *vite {
	t.Helper()
	v := &vite{seen: make(chan *http.Request, 64), resume: make(chan struct{})}
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	return v
}

func (v *vite) serve(w http.ResponseWriter, r *http.Request) {
	v.seen <- r
	for _, at := range []string{"http://" + r.Host, r.Header.Get("Origin")} {
		u, err := url.Parse(at)
		if name := u.Hostname(); err != nil || name != "" && name != "localhost" && !strings.HasSuffix(name, ".localhost") && net.ParseIP(name) == nil {
			http.Error(w, "Blocked request. "+at+" is not allowed.", http.StatusForbidden)
			return
		}
	}
	w.Header().Set("Clear-Site-Data", `"cookies"`)
	w.Header().Set("Strict-Transport-Security", "max-age=1")
	w.Header().Set("WWW-Authenticate", "Basic")
	w.Header().Set("Authorization", "Bearer x")
	for _, cookie := range []string{
		"theme=dark; Path=/", session + "=evil; Path=/", " " + session + " =evil", session + ".tx.1-a=evil", "=" + session + "=evil", session, "other=1",
	} {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Cache-Control", "max-age=31536000,immutable")
	switch {
	case r.Header.Get("Upgrade") == "websocket":
		v.socket(w, r)
	case r.URL.Path == "/early":
		w.Header().Set("Link", "</main.js>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	case strings.HasPrefix(r.URL.Path, "/moved/"):
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(http.StatusFound)
	case r.URL.Path == "/slow":
		w.Header().Set("Content-Length", "12") // a body whose length is known is what a proxy may hold back
		fmt.Fprint(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-v.resume
		fmt.Fprint(w, " second")
	case strings.HasSuffix(r.URL.Path, "main.js"):
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, "main()")
	default:
		w.Header().Set("Content-Type", "Text/HTML ; charset=utf-8")
		fmt.Fprint(w, `<script type="module">import "/@vite/client"</script>`+r.Method+" "+r.URL.RequestURI())
	}
}

// socket sends back, in capitals, whatever line it gets.
func (v *vite) socket(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: %s\r\nSet-Cookie: %s=evil\r\n\r\n",
		r.Header.Get("Sec-WebSocket-Protocol"), session)
	_ = rw.Flush()
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprint(rw, strings.ToUpper(line))
		_ = rw.Flush()
	}
}

func (v *vite) request(t *testing.T) *http.Request {
	t.Helper()
	select {
	case r := <-v.seen:
		return r
	case <-time.After(10 * time.Second): // far longer than anything here takes
		t.Fatal("nothing reached the development server")
		return nil
	}
}

func develop(t *testing.T, url string, protected bool) *host {
	t.Helper()
	return serve(t, static.Options{URL: url, Origin: origin, ReservedCookie: reserved, Protected: protected})
}

// shows PRX-COOKIE, PRX-SETCOOKIE, PRX-AUTHZ (development server)
func TestWhatPassesToADevelopmentServer(t *testing.T) {
	v := newVite(t)
	h := develop(t, v.URL, false)
	a := h.ask("GET", "/node_modules/.vite/deps/react.js?v=1;2&import&t=%zz",
		"Cookie", session+"=root; theme=dark; "+session+".tx.1-a=sealed;"+session+".so=x; "+session+"x=kept", "Cookie", session+"=again",
		"Authorization", "Bearer clk_x", "Proxy-Authorization", "Basic eA==", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil",
		"Upgrade", "h2c", "HTTP2-Settings", "x", "Accept-Encoding", "br")
	r := v.request(t)
	if a.status != 200 || !strings.HasSuffix(a.body, "GET /node_modules/.vite/deps/react.js?v=1;2&import&t=%zz") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := strings.Join(r.Header["Cookie"], "|"); got != "theme=dark; "+session+"x=kept" {
		t.Errorf("Cookie %q", got)
	}
	for name, want := range map[string]string{
		"Authorization": "", "Proxy-Authorization": "", "Upgrade": "", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost:8080",
		"X-Forwarded-Proto": "http", "Accept-Encoding": "br",
	} {
		if got := strings.Join(r.Header.Values(name), ", "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := strings.Join(a.header["Set-Cookie"], "|"); got != "theme=dark; Path=/|other=1" {
		t.Errorf("Set-Cookie %q", got)
	}
	for _, name := range []string{"Clear-Site-Data", "Strict-Transport-Security", "Www-Authenticate", "Authorization", "Content-Security-Policy", "Vary"} {
		if a.header.Get(name) != "" {
			t.Errorf("%s: %s", name, a.header.Get(name))
		}
	}
	if a := h.ask("POST", "/__open-in-editor", "Content-Length", "0"); a.status != 200 || !strings.HasSuffix(a.body, "POST /__open-in-editor") {
		t.Errorf("another method: %d %s", a.status, a.body)
	}
	if a := h.ask("GET", "/", "Cookie", session+"=root"); a.status != 200 {
		t.Errorf("only cookies of ours: %d", a.status)
	}
	v.request(t)
	if r := v.request(t); r.Header["Cookie"] != nil || r.Header["Accept-Encoding"] != nil { // none of ours: bodies pass as they are
		t.Errorf("Cookie %q, Accept-Encoding %q", r.Header["Cookie"], r.Header["Accept-Encoding"])
	}
	protected := develop(t, v.URL, true)
	for path, want := range map[string]string{"/": "no-store", "/src/main.js": "private, no-cache"} { // a page is not shown by the back button
		if a := protected.ask("GET", path); a.header.Get("Cache-Control") != want || a.header.Get("Vary") != "Cookie" {
			t.Errorf("protected %s: %v", path, a.header)
		}
	}
}

// What frameworks compare with each other, Host, forwarding fields and Origin, fits together under every name of an app.
func TestByWhatNameADevelopmentServerIsAsked(t *testing.T) {
	v := newVite(t)
	_, port, _ := net.SplitHostPort(v.Listener.Addr().String())
	for _, c := range []struct {
		app, at, from       string // the app's origin, where the server is, Origin as it comes
		host, proto, origin string // as the server gets them; proto "": it hears nothing of the app's name
	}{
		{"http://localhost:8080", "localhost", "http://localhost:8080", "localhost:8080", "http", "http://localhost:8080"},
		{"http://web.localhost:8080", "127.0.0.1", "http://web.localhost:8080", "web.localhost:8080", "http", "http://web.localhost:8080"},
		{"http://127.0.0.1:8080", "localhost", "", "127.0.0.1:8080", "http", ""},
		{"http://localhost:8080", "localhost", "http://127.0.0.1:1", "localhost:8080", "http", "http://127.0.0.1:1"},
		{"https://app.example.com", "localhost", "https://app.example.com", "localhost:" + port, "", "http://localhost:" + port},
		{"https://app.example.com", "localhost", "http://127.0.0.1:1", "localhost:" + port, "", "http://127.0.0.1:1"},
		{"https://app.example.com", "localhost", "", "localhost:" + port, "", ""},
		{"http://app.example.com", "localhost", "http://app.example.com", "localhost:" + port, "", "http://localhost:" + port},
		{"https://localhost", "localhost", "https://localhost", "localhost:" + port, "", "http://localhost:" + port},
		{"http://localhost:8080", "web.localhost", "http://localhost:8080", "web.localhost:" + port, "", "http://web.localhost:" + port},
	} {
		h := serve(t, static.Options{URL: "http://" + c.at + ":" + port, Origin: c.app, ReservedCookie: reserved})
		var fields []string
		if c.from != "" {
			fields = []string{"Origin", c.from}
		}
		app, _ := url.Parse(c.app)
		forwarded := ""
		if c.proto != "" {
			forwarded = app.Host
		}
		a, r := h.ask("POST", "/", append(fields, "Content-Length", "0", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "evil")...), v.request(t)
		got := []string{r.Host, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("Origin")}
		if want := []string{c.host, c.proto, forwarded, c.origin}; a.status != 200 || !slices.Equal(got, want) {
			t.Errorf("%+v: %d, the server gets %q, want %q", c, a.status, got, want)
		}
	}
	h := serve(t, static.Options{URL: v.URL, Origin: "https://app.example.com", ReservedCookie: reserved})
	if _, _, res := dial(t, h, "Origin", "https://app.example.com"); res.StatusCode != 101 { // it compares the Origin itself
		t.Errorf("the socket of an app with a name: %d", res.StatusCode)
	}
}

func TestRedirectsOfADevelopmentServer(t *testing.T) {
	v := newVite(t)
	_, port, _ := net.SplitHostPort(v.Listener.Addr().String())
	h := develop(t, v.URL, false)
	for to, want := range map[string]string{
		"/rack/8":                               "/rack/8",
		"rack/8?a=1#b":                          "rack/8?a=1#b",
		v.URL + "/rack/8?a=1#b":                 origin + "/rack/8?a=1#b", // a browser that followed it would lose the session
		"http://localhost:" + port:              origin,
		"https://localhost:" + port + "/x":      origin + "/x",
		"//[::1]:" + port + "/x":                origin + "/x",
		origin + "/x":                           origin + "/x",
		"http://localhost:1/x":                  "http://localhost:1/x",
		"https://id.example.com:" + port + "/x": "https://id.example.com:" + port + "/x",
		"http://localhost:" + port + "/%zz":     "http://localhost:" + port + "/%zz",
	} {
		if a := h.ask("GET", "/moved/?to="+url.QueryEscape(to)); a.status != 302 || a.header.Get("Location") != want {
			t.Errorf("to %s: %d %s, want %s", to, a.status, a.header.Get("Location"), want)
		}
	}
}

func TestInterimAnswersOfADevelopmentServerStayBehind(t *testing.T) {
	h := develop(t, newVite(t).URL, false)
	var interim []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		interim = append(interim, code)
		return nil
	}})
	r, err := http.NewRequestWithContext(ctx, "GET", h.url+"/early", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 404 || len(interim) != 0 {
		t.Errorf("%d, after %v", res.StatusCode, interim)
	}
}

// dial opens a socket through the gateway, and returns the answer to its handshake.
func dial(t *testing.T, h *host, fields ...string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	request := "GET /?token=x HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: vite-hmr\r\nCookie: " + session + "=root\r\n"
	for i := 0; i+1 < len(fields); i += 2 {
		request += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, reader, res
}

// shows WS-1 (development server: Origin), PRX-UPG (development server)
func TestTheSocketOfADevelopmentServer(t *testing.T) {
	v := newVite(t)
	h := develop(t, v.URL, false)
	conn, reader, res := dial(t, h, "Origin", origin)
	if res.StatusCode != 101 || res.Header.Get("Sec-Websocket-Protocol") != "vite-hmr" || res.Header["Set-Cookie"] != nil {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	for _, word := range []string{"connected", "update"} {
		if _, err := io.WriteString(conn, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := reader.ReadString('\n'); err != nil || line != strings.ToUpper(word)+"\n" {
			t.Fatalf("%q %v", line, err)
		}
	}
	if r := v.request(t); r.Header["Cookie"] != nil || r.Header.Get("Origin") != origin {
		t.Errorf("%v", r.Header)
	}
	for _, fields := range [][]string{
		nil,
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", "https://localhost:8080"},
		{"Origin", origin + "0"},
		{"Origin", "http://localhost"},
		{"Origin", "http://LOCALHOST:8080"},
		{"Origin", origin, "Origin", "https://evil.example"},
		{"Origin", ""},
	} {
		_, _, res := dial(t, h, fields...)
		if res.StatusCode != 403 {
			t.Errorf("with %v: %d", fields, res.StatusCode)
		}
	}
	if a := h.ask("GET", "/", "Upgrade", "WebSocket", "Origin", "https://evil.example"); a.status != 403 { // RFC 6455 section 4.2.1: in any case
		t.Errorf("in capitals: %d", a.status)
	}
	if len(v.seen) != 0 {
		t.Error("a refused socket reached the development server")
	}
}

func TestAnswersOfADevelopmentServerComeAtOnce(t *testing.T) {
	v := newVite(t)
	h := develop(t, v.URL, false)
	res, err := http.Get(h.url + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, len("first"))
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatalf("%q %v", first, err)
	}
	close(v.resume) // the rest comes only now
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != " second" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestADevelopmentServerThatIsNotThere(t *testing.T) {
	v := newVite(t)
	v.Close()
	h := develop(t, v.URL, false)
	for _, fields := range [][]string{navigation, script} {
		a := h.ask("GET", "/", fields...)
		if a.status != 502 || !strings.Contains(a.body, "Is the development server running at "+v.URL+"?") || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if _, _, res := dial(t, h, "Origin", origin); res.StatusCode != 502 {
		t.Errorf("a socket: %d", res.StatusCode)
	}
}

// "localhost" is one of two addresses, and servers listen on only one of them.
func TestADevelopmentServerOnTheOtherLoopback(t *testing.T) {
	for listen, named := range map[string]string{"[::1]:0": "127.0.0.1", "127.0.0.1:0": "[::1]"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatalf("this machine lacks one of the loopback addresses: %v", err)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}}
		s.Start()
		t.Cleanup(s.Close)
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if a := develop(t, "http://"+named+":"+port, false).ask("GET", "/"); a.body != "here" {
			t.Errorf("at %s, asked at %s: %d %s", listen, named, a.status, a.body)
		}
	}
}

// Frameworks make a certificate for their development server that nobody has signed.
func TestADevelopmentServerWithACertificateOfItsOwn(t *testing.T) {
	v := &vite{seen: make(chan *http.Request, 8)}
	v.Server = httptest.NewTLSServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	h := develop(t, v.URL, false)
	if a := h.ask("GET", "/rack/7", "Origin", origin); a.status != 200 || !strings.HasSuffix(a.body, "GET /rack/7") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if r := v.request(t); "https://"+r.Host != v.URL || r.Header.Get("Origin") != v.URL {
		t.Errorf("an app on http asks %s from %s", r.Host, r.Header.Get("Origin"))
	}
	if _, _, res := dial(t, h, "Origin", origin); res.StatusCode != 101 {
		t.Errorf("its socket: %d", res.StatusCode)
	}
}

func TestAClientThatHangsUp(t *testing.T) {
	hold, err := net.Listen("tcp", "127.0.0.1:0") // a server that takes requests, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hold.Close() })
	site, err := static.New(static.Options{URL: "http://" + hold.Addr().String(), Origin: origin, ReservedCookie: reserved})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ended <- site.Serve(w, r) }))
	t.Cleanup(s.Close)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	peer, err := hold.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn.Close()
	select {
	case err := <-ended:
		if bff.CodeOf(err) != bff.CodeClientGone {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second): // far longer than a hang-up takes to be seen
		t.Error("the request goes on without its client")
	}
}

func TestDevelopmentServersThatAreNone(t *testing.T) {
	for _, url := range []string{
		"https://dev.example:5173", "http://10.0.0.1:5173", "http://localhost.evil.example", "http://evillocalhost:5173", "http://0.0.0.0:5173", "http://169.254.169.254", "http://[::]:1",
		"127.0.0.1:5173", "ftp://127.0.0.1", "http://", "::", "file:///etc",
	} {
		if _, err := static.New(static.Options{URL: url, Origin: origin, ReservedCookie: reserved}); err == nil || !strings.Contains(err.Error(), url) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, o := range []static.Options{{ReservedCookie: reserved}, {Origin: origin}} {
		o.URL = "http://127.0.0.1:5173"
		if _, err := static.New(o); err == nil {
			t.Errorf("%+v makes a site", o)
		}
	}
	for _, url := range []string{"http://127.0.0.1:5173", "http://localhost:5173/", "http://web.localhost:5173", "http://[::1]:5173"} {
		if _, err := static.New(static.Options{URL: url, Origin: origin, ReservedCookie: reserved}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
