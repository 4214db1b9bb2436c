//go:build integration

package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// soak reports whether the full counts are asked for.
func soak() bool { return os.Getenv("SOAK") == "1" }

// legs are the ways to an API: what its routes are called here is what is spoken there.
var legs = []string{"http1", "h2", "h2c"}

// speaking starts an API that speaks one of them and nothing else, and returns its address and what its route or upstream
// needs besides.
func speaking(t *testing.T, leg string, h http.Handler) (url, ca, upstream string) {
	t.Helper()
	api := httptest.NewUnstartedServer(h)
	api.Config.Protocols = new(http.Protocols)
	t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
	switch leg {
	case "http1":
		api.Config.Protocols.SetHTTP1(true)
		api.Start()
	case "h2c":
		api.Config.Protocols.SetUnencryptedHTTP2(true)
		api.Start()
		return api.URL, "", fmt.Sprintf("  - {origin: %q, protocol: h2c}\n", api.URL)
	default:
		api.Config.Protocols.SetHTTP2(true)
		api.EnableHTTP2 = true
		api.StartTLS()
		file := t.TempDir() + "/ca.pem"
		writePEM(t, file, "CERTIFICATE", api.Certificate().Raw)
		return api.URL, file, ""
	}
	return api.URL, "", ""
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// junction is a world whose instances speak TLS, with HTTP/2 by ALPN, in front of one API over all legs. One more instance on
// plain HTTP is there to sign in at.
type junction struct {
	*world.World
	user   *browser.Browser
	secure []*gateway.Instance
	trust  *x509.CertPool
}

// newJunction starts a world of n instances with the API h behind /http1/, /h2/ and /h2c/, and the same without trailers behind
// /plain-http1/ and so on. lines go to each route.
func newJunction(t *testing.T, n int, h http.Handler, lines string) *junction {
	t.Helper()
	return newJunctionOf(t, n, h, lines, gateway.Binary(t))
}

func newJunctionOf(t *testing.T, n int, h http.Handler, lines, binary string) *junction {
	t.Helper()
	var routes, upstreams strings.Builder
	for _, leg := range legs {
		url, ca, upstream := speaking(t, leg, h)
		if ca != "" {
			ca = fmt.Sprintf("ca_file: %q, ", ca)
		}
		for prefix, trailers := range map[string]bool{"/": true, "/plain-": false} {
			fmt.Fprintf(&routes, "  - {path: %s%s/, upstream: %q, strip_prefix: true, methods: [GET, HEAD, POST, PUT], trailers: %v, %s%s}\n",
				prefix, leg, url, trailers, ca, lines)
		}
		upstreams.WriteString(upstream)
	}
	w := &junction{World: world.New(t, world.DevProvider, world.Options{
		Routes: routes.String(), More: "upstreams:\n" + upstreams.String(),
		Behave: func(b *provider.Behaviour) { b.AccessLife = time.Hour },
	})}
	w.Setup.Bin = binary
	w.Start(1)
	w.user = w.Browser()
	w.SignIn(w.user, "/")
	cert, key := w.certificate()
	for range n {
		w.secure = append(w.secure, w.Setup.Start(t, "CLOAKROOM_PUBLIC__TLS__CERT_FILE="+cert, "CLOAKROOM_PUBLIC__TLS__KEY_FILE="+key))
	}
	return w
}

// certificate makes the gateway's.
func (w *junction) certificate() (cert, key string) {
	w.T.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.T.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"web.localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	if err != nil {
		w.T.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		w.T.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		w.T.Fatal(err)
	}
	w.trust = x509.NewCertPool()
	w.trust.AddCert(parsed)
	cert, key = w.Setup.Dir+"/public.crt", w.Setup.Dir+"/public.key"
	writePEM(w.T, cert, "CERTIFICATE", der)
	writePEM(w.T, key, "PRIVATE KEY", private)
	return cert, key
}

// client speaks HTTP/1.1 or HTTP/2 to an instance, and nothing else.
func (w *junction) client(in *gateway.Instance, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: w.trust}, DisableCompression: true,
		ExpectContinueTimeout: time.Hour, // whoever is not told to go on never sends
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, in.Addr)
		},
	}
	w.T.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// dial opens a TLS connection to an instance for HTTP/1.1, of which every read and write is bounded.
func (w *junction) dial(in *gateway.Instance) *tls.Conn {
	w.T.Helper()
	c, err := tls.Dial("tcp", in.Addr, &tls.Config{RootCAs: w.trust, ServerName: "web.localhost", NextProtos: []string{"http/1.1"}})
	if err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// request is what the app's own page sends, with fields (name, value, …) of its own.
func (w *junction) request(method, path string, body io.Reader, fields ...string) *http.Request {
	w.T.Helper()
	h, err := w.user.RequestHeader(browser.At(world.Origin+"/"), browser.Request{
		Method: method, URL: world.Origin + path, Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil {
		w.T.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.T.Context(), method, "https://web.localhost"+path, body)
	if err != nil {
		w.T.Fatal(err)
	}
	r.Header = h
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

// head is a request's head as it goes over HTTP/1.1, the empty line included.
func head(r *http.Request, lines ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: web.localhost\r\n", r.Method, r.URL.RequestURI())
	_ = r.Header.Write(&b)
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	return b.String() + "\r\n"
}

// got is an answer, read to its end.
type got struct {
	*http.Response
	Text string
}

// send asks and reads all.
func (w *junction) send(c *http.Client, r *http.Request) got {
	w.T.Helper()
	res, err := c.Do(r)
	if err != nil {
		w.T.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.T.Fatalf("%s %s: reading the answer: %v", r.Method, r.URL, err)
	}
	return got{res, string(text)}
}
