package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom/bff/proxy/upstream"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return &authority{cert, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// pair is a certificate for a name.
func (a *authority) pair(t *testing.T, name string, usage x509.ExtKeyUsage) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// secured starts a target over TLS.
func secured(pair *tls.Certificate, change func(*tls.Config), http2 bool) func(*httptest.Server) {
	return func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}}
		if change != nil {
			change(s.TLS)
		}
		s.EnableHTTP2 = http2
		s.StartTLS()
	}
}

// overTLS has a request ask for the https origin.
func overTLS(r *http.Request) { r.URL.Scheme = "https" }

const secureName = "https://api.internal"

func TestCertificates(t *testing.T) {
	// shows PRX-AUD
	ours, theirs := newAuthority(t), newAuthority(t)
	client := ours.pair(t, "gateway", x509.ExtKeyUsageClientAuth)
	asking := func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, ours.pool() }
	give := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	for _, c := range []struct {
		with   string
		signer *authority
		name   string
		server func(*tls.Config)
		set    upstream.Settings
		good   bool
	}{
		{"a private authority", ours, "api.internal", nil, upstream.Settings{RootCAs: ours.pool()}, true},
		{"an authority that nobody knows", ours, "api.internal", nil, upstream.Settings{}, false},
		{"another authority", theirs, "api.internal", nil, upstream.Settings{RootCAs: ours.pool()}, false},
		{"another name", ours, "other.internal", nil, upstream.Settings{RootCAs: ours.pool()}, false},
		{"another name that is expected", ours, "other.internal", nil, upstream.Settings{RootCAs: ours.pool(), ServerName: "other.internal"}, true},
		{"the origin's name where another is expected", ours, "api.internal", nil, upstream.Settings{RootCAs: ours.pool(), ServerName: "other.internal"}, false},
		{"a wish for a certificate that is given", ours, "api.internal", asking, upstream.Settings{RootCAs: ours.pool(), Certificate: give}, true},
		{"a wish for a certificate that is not there", ours, "api.internal", asking, upstream.Settings{RootCAs: ours.pool()}, false},
		{"TLS 1.1 at most", ours, "api.internal", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, upstream.Settings{RootCAs: ours.pool()}, false},
	} {
		t.Run("a target with "+c.with, func(t *testing.T) {
			m := newMachine(t, well, secured(c.signer.pair(t, c.name, x509.ExtKeyUsageServerAuth), c.server, false))
			c.set.Origin = secureName
			got := ask(t, newUpstream(t, c.set, m.addr()).Within(hangs), "GET", "", "", overTLS)
			if (got.status == 200) != c.good || m.hits() > 0 != c.good {
				t.Errorf("got %+v, the target %d requests", got, m.hits())
			}
			if late(got.err) {
				t.Error("too late, where it cannot be had")
			}
		})
	}
}

func TestProtocols(t *testing.T) {
	ca := newAuthority(t)
	pair := ca.pair(t, "api.internal", x509.ExtKeyUsageServerAuth)
	both := secured(pair, nil, true)
	old := secured(pair, nil, false)
	deaf := func(s *httptest.Server) { // to ALPN
		s.Listener = tls.NewListener(s.Listener, &tls.Config{Certificates: []tls.Certificate{*pair}})
		s.Start()
	}
	clear := func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetHTTP1(true)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	for _, c := range []struct {
		with     string
		protocol upstream.Protocol
		origin   string
		server   func(*httptest.Server)
		want     string // "": it cannot be had
	}{
		{"auto at a target with HTTP/2", upstream.Auto, secureName, both, "HTTP/2.0"},
		{"auto at a target without HTTP/2", upstream.Auto, secureName, old, "HTTP/1.1"},
		{"auto in the clear", upstream.Auto, name, clear, "HTTP/1.1"},
		{"http1 at a target with HTTP/2", upstream.HTTP1, secureName, both, "HTTP/1.1"},
		{"http2 at a target with HTTP/2", upstream.HTTP2, secureName, both, "HTTP/2.0"},
		{"http2 at a target without HTTP/2", upstream.HTTP2, secureName, old, ""},
		{"auto at a target that knows nothing of ALPN", upstream.Auto, secureName, deaf, "HTTP/1.1"},
		{"http2 at a target that knows nothing of ALPN", upstream.HTTP2, secureName, deaf, ""},
		{"h2c", upstream.H2C, name, clear, "HTTP/2.0"},
	} {
		t.Run(c.with, func(t *testing.T) {
			m := newMachine(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "" {
					w.Header().Set("Connection", "Upgrade")
					w.Header().Set("Upgrade", "websocket")
					w.WriteHeader(http.StatusSwitchingProtocols)
					return
				}
				if r.Host != "api.internal" {
					t.Errorf("asked as %s", r.Host)
				}
				well(w, r)
			}, c.server)
			u := newUpstream(t, upstream.Settings{Origin: c.origin, Protocol: c.protocol, RootCAs: ca.pool()}, m.addr())
			way := u.Within(hangs)
			scheme := func(r *http.Request) { r.URL.Scheme, _, _ = strings.Cut(c.origin, ":") }
			for _, method := range []string{"GET", "POST"} {
				body := map[string]string{"POST": "a body"}[method]
				got := ask(t, way, method, "", body, scheme)
				if (got.status == 200) != (c.want != "") {
					t.Fatalf("%s: got %+v", method, got)
				}
			}
			if c.want == "" {
				return
			}
			if n := m.spoke(c.want); n != 2 || m.hits() != 2 {
				t.Errorf("%d of %d requests by %s", n, m.hits(), c.want)
			}
			before := m.spoke("HTTP/1.1")
			res, err := way.RoundTrip(handshake(t, c.origin))
			if err != nil || res.StatusCode != 101 || m.spoke("HTTP/1.1") != before+1 {
				t.Fatalf("a WebSocket: %v %v, %d by HTTP/1.1", res, err, m.spoke("HTTP/1.1"))
			}
			_ = res.Body.Close()
		})
	}
}

func handshake(t *testing.T, origin string) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), "GET", origin+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	return r
}

// full is the address of a port that takes no more connections: its backlog is used up, so that further ones wait.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	local, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", itoa(local.(*syscall.SockaddrInet4).Port))
	for range 8 { // how many a backlog of none takes is the kernel's to say
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the backlog has no end")
	return ""
}

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	return l.Addr().String()
}

// Each phase has its time, and what it ends in is "too late".
func TestTimeouts(t *testing.T) {
	// shows PRX-LIMIT
	const short, long = 50 * time.Millisecond, time.Hour
	all := upstream.Timeouts{Connect: long, TLS: long, Stall: long}
	with := func(change func(*upstream.Timeouts)) upstream.Timeouts { set := all; change(&set); return set }
	stalling := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "200000") // longer than what is read whole
		_, _ = io.WriteString(w, r.Header.Get("X-Id"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	for _, c := range []struct {
		with   string
		target func(*testing.T) string
		origin string
		times  upstream.Timeouts
		head   time.Duration
		method string
		broken bool
	}{
		{"a connection that does not come about", full, name, with(func(s *upstream.Timeouts) { s.Connect = short }), hangs, "GET", false},
		{"a handshake that does not go on", silent, secureName, with(func(s *upstream.Timeouts) { s.TLS = short }), hangs, "GET", false},
		{"an answer that does not come", silent, name, all, short, "GET", false},
		{"an answer to a body that does not come", silent, name, all, short, "POST", false},
		{"an answer that stalls", func(t *testing.T) string { return newMachine(t, stalling).addr() }, name, with(func(s *upstream.Timeouts) { s.Stall = short }), hangs, "GET", true},
		{"an answer that stalls behind its head", func(t *testing.T) string { return newMachine(t, stalling).addr() }, name, with(func(s *upstream.Timeouts) { s.Stall = short }), hangs, "GET", true},
		{"an answer to a body that stalls", func(t *testing.T) string { return newMachine(t, stalling).addr() }, name, with(func(s *upstream.Timeouts) { s.Stall = short }), hangs, "POST", true},
	} {
		for _, targets := range []int{1, 2} {
			t.Run(c.with+" at "+itoa(targets), func(t *testing.T) {
				list := []string{c.target(t)}
				if targets == 2 {
					list = append(list, c.target(t))
				}
				u := newUpstream(t, upstream.Settings{Origin: c.origin, Timeouts: c.times, Failures: never}, list...)
				body := map[string]string{"POST": "a body"}[c.method]
				id := "half of it"
				if strings.Contains(c.with, "behind its head") {
					id = ""
				}
				got := ask(t, u.Within(c.head), c.method, id, body, func(r *http.Request) { r.URL.Scheme, _, _ = strings.Cut(c.origin, ":") })
				if !late(got.err) || got.broken != c.broken || got.took >= hangs {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

// A target that takes nothing of a body is let go, and a frontend that sends slowly is not the target's fault.
func TestUploadsThatStall(t *testing.T) {
	// shows PRX-LIMIT
	u := newUpstream(t, upstream.Settings{Timeouts: upstream.Timeouts{Stall: 50 * time.Millisecond}, Failures: never}, silent(t))
	endless := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(zeros{}), -1 }
	if got := ask(t, u.Within(hangs), "POST", "", "", endless); !late(got.err) || got.took >= hangs {
		t.Errorf("a target that reads nothing: %+v", got)
	}
	m := newMachine(t, well)
	u = newUpstream(t, upstream.Settings{Timeouts: upstream.Timeouts{Stall: 20 * time.Millisecond}}, m.addr())
	from, to := io.Pipe()
	go func() {
		for range 4 {
			_, _ = io.WriteString(to, "a")
			<-time.After(40 * time.Millisecond) // a pause that is longer than both times
		}
		_ = to.Close()
	}()
	slow := func(r *http.Request) { r.Body, r.ContentLength = from, -1 }
	if got := ask(t, u.Within(30*time.Millisecond), "POST", "", "", slow); got.body != "ok aaaa" {
		t.Errorf("a frontend that sends slowly: %+v", got)
	}
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// An answer of unknown length passes as it comes, and may pause.
func TestStreamsPass(t *testing.T) {
	gate := make(chan struct{})
	m := newMachine(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-gate
		_, _ = io.WriteString(w, "second")
	})
	for _, targets := range [][]string{{m.addr()}, {m.addr(), closed(t)}} {
		u := newUpstream(t, upstream.Settings{Timeouts: upstream.Timeouts{Stall: 10 * time.Millisecond}, Failures: never}, targets...)
		r, _ := http.NewRequestWithContext(t.Context(), "GET", name+"/", nil)
		res, err := u.Within(hangs).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		<-time.After(30 * time.Millisecond) // three times as long as an answer of known length may pause
		gate <- struct{}{}
		rest, err := io.ReadAll(res.Body)
		if _ = res.Body.Close(); err != nil || string(first)+string(rest) != "first second" {
			t.Errorf("got %q %q, %v", first, rest, err)
		}
	}
}

// No more connections than are allowed are made, over routes of different times too, and who waits for one waits no longer than
// for an answer.
func TestConnections(t *testing.T) {
	gate := make(chan struct{})
	m := newMachine(t, func(w http.ResponseWriter, r *http.Request) { <-gate; well(w, r) })
	u := newUpstream(t, upstream.Settings{Connections: 1, Failures: never}, m.addr())
	first := make(chan reply, 1)
	long, short := u.Within(hangs), u.Within(50*time.Millisecond)
	go func() { first <- ask(t, long, "GET", "", "") }()
	until(t, "it has come", func() bool { return m.hits() == 1 })
	for _, method := range []string{"GET", "POST"} {
		if got := ask(t, short, method, "", ""); !late(got.err) || m.hits() != 1 {
			t.Errorf("%s: got %+v with %d at the target", method, got, m.hits())
		}
	}
	close(gate)
	if got := <-first; got.status != 200 {
		t.Errorf("the first: %+v", got)
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct {
		with string
		set  upstream.Settings
	}{
		{"no origin", upstream.Settings{}},
		{"a path in its origin", upstream.Settings{Origin: "https://a/b"}},
		{"another scheme", upstream.Settings{Origin: "ftp://a"}},
		{"a target without a port", upstream.Settings{Origin: name, Targets: []string{"a"}}},
		{"a target twice", upstream.Settings{Origin: name, Targets: []string{"a:1", "a:1"}}},
		{"too many targets", upstream.Settings{Origin: name, Targets: make([]string, upstream.MaxTargets+1)}},
		{"an unknown protocol", upstream.Settings{Origin: name, Protocol: "h3"}},
		{"HTTP/2 over TLS in the clear", upstream.Settings{Origin: name, Protocol: upstream.HTTP2}},
		{"HTTP/2 in the clear over TLS", upstream.Settings{Origin: secureName, Protocol: upstream.H2C}},
		{"a number below zero", upstream.Settings{Origin: name, Attempts: -1}},
		{"a time below zero", upstream.Settings{Origin: name, Open: -1}},
		{"a path of health without a slash", upstream.Settings{Origin: name, Health: upstream.Health{Path: "healthz"}}},
	} {
		if _, err := upstream.New(c.set); err == nil {
			t.Errorf("an upstream with %s was made", c.with)
		}
	}
}
