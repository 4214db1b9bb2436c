//go:build integration

package faults_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

// withCookie is a browser that holds a session cookie of the right form, from before.
func withCookie(t *testing.T, w *world.World) *browser.Browser {
	t.Helper()
	b := w.Browser()
	var root [32]byte
	_, _ = rand.Read(root[:])
	value := base64.RawURLEncoding.EncodeToString(root[:])
	if !b.StoreCookie(world.Origin+"/", cookieName+"="+value+"; Path=/; Secure; HttpOnly; SameSite=Strict") {
		t.Fatal("the browser refused the cookie")
	}
	return b
}

// shows DISC-4.3, SESS-503
func TestStartWithoutRedisAndProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	w.Redis.Stop()
	w.Dev.Stop()
	in := w.Start(1)[0]
	in.AwaitLog(`"msg":"Redis cannot be reached`)
	in.AwaitLog(`"msg":"the provider cannot be reached`)
	if status, body := ask(t, in, "/healthz"); status != 200 {
		t.Errorf("/healthz: %d %s", status, body)
	}
	status, body := ask(t, in, "/readyz")
	var ready struct {
		Status string
		Checks map[string]string
	}
	if err := json.Unmarshal([]byte(body), &ready); err != nil || status != 200 || ready.Status != "ready" {
		t.Errorf("/readyz: %d %s (%v)", status, body, err)
	}
	for _, name := range []string{"redis", "provider main"} {
		if !strings.HasPrefix(ready.Checks[name], "down") {
			t.Errorf("/readyz does not name %s: %s", name, body)
		}
	}
	b := withCookie(t, w)
	unavailable(t, w.Fetch(b, "GET", "/bff/session", ""), `"code":"store_unavailable"`)
	unavailable(t, w.Fetch(b, "GET", "/api/orders", ""), `"code":"store_unavailable"`)
	unavailablePage(t, open(t, b, "/bff/login"))
	w.Redis.Restart()
	if err := w.Dev.Resume(); err != nil {
		t.Fatal(err)
	}
	await(t, "one can sign in", healTime, func() bool { return open(t, b, "/bff/login").Status == 200 })
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	await(t, "/readyz names nothing that is down", healTime, func() bool {
		_, body := ask(t, in, "/readyz")
		return !strings.Contains(body, "down")
	})
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
}

// shows KEY-TTL
func TestStartOnARedisThatEvicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Redis: redisproc.Options{Args: []string{"--maxmemory-policy", "allkeys-lru"}}})
	in := w.Start(1)[0]
	in.AwaitLog("maxmemory-policy is allkeys-lru")
	resp, err := http.Get("http://" + in.Ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || !strings.Contains(string(body), "allkeys-lru") {
		t.Errorf("readiness: %d %s", resp.StatusCode, body)
	}
}

// shows OPS-1
func TestPublicListenerTellsNothingOfOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{})
	in := w.Start(1)[0]
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/vars", "/readyz", "/admin/sessions", "/bff/", "/.git/config"} {
		for host, want := range map[string]int{"web.localhost": 404, in.Addr: 421} {
			resp, err := in.Client().Get("http://" + host + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || strings.Contains(string(body), "bff_") {
				t.Errorf("%s at %s: %d, want %d", path, host, resp.StatusCode, want)
			}
			if server := resp.Header.Get("Server") + resp.Header.Get("X-Powered-By"); server != "" {
				t.Errorf("%s tells what it is: %s", path, server)
			}
		}
	}
	if status, body := ask(t, in, "/metrics"); status != 200 || !strings.Contains(body, "bff_http_request_duration_seconds") {
		t.Errorf("the operator's listener: %d", status)
	}
}

// pair writes a self-signed certificate with its key over the files that the gateway reads, the certificate last.
func pair(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"web.localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	replace(t, filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}))
}

// replace puts a file in another's place at once.
func replace(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// serial makes a handshake and returns the serial number of the certificate that was shown.
func serial(t *testing.T, in *gateway.Instance, c *tls.Config) (int64, error) {
	t.Helper()
	c.InsecureSkipVerify = true // the certificate is looked at, not trusted
	conn, err := tls.Dial("tcp", in.Addr, c)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

// shows HDR-TLS
func TestPublicListenerWithTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{})
	pair(t, w.Setup.Dir, 1001)
	in := w.Start(1, "CLOAKROOM_PUBLIC__TLS__CERT_FILE="+filepath.Join(w.Setup.Dir, "tls.crt"),
		"CLOAKROOM_PUBLIC__TLS__KEY_FILE="+filepath.Join(w.Setup.Dir, "tls.key"))[0]
	if got, err := serial(t, in, &tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || got != 1001 {
		t.Errorf("TLS 1.2: certificate %d, %v", got, err)
	}
	if _, err := serial(t, in, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	overTLS(t, in)
	resp, err := in.Client().Get("http://web.localhost/bff/login")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 || len(resp.Cookies()) > 0 {
		t.Errorf("plain http at a TLS port: %d, cookies %v", resp.StatusCode, resp.Cookies())
	}
	renewed(t, w, in)
}

// overTLS asks for a login that tries to smuggle a header field in.
func overTLS(t *testing.T, in *gateway.Instance) {
	t.Helper()
	c := in.Client()
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // as in serial
	resp, err := c.Get("https://web.localhost/bff/login?return_to=/%0d%0aSet-Cookie:x=y")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 || len(resp.Header.Values("Set-Cookie")) > 0 {
		t.Errorf("a return target with a line end: %d %v", resp.StatusCode, resp.Header)
	}
}

// renewed replaces the certificate: by a broken one, which changes nothing, and by a good one, which is shown soon.
func renewed(t *testing.T, w *world.World, in *gateway.Instance) {
	t.Helper()
	const recheck = 25 * time.Second // the files are looked at every ten seconds, by a handshake
	replace(t, filepath.Join(w.Setup.Dir, "tls.crt"), []byte("no certificate"))
	await(t, "the broken certificate is told of", recheck, func() bool {
		if got, err := serial(t, in, &tls.Config{}); err != nil || got != 1001 {
			t.Fatalf("with a broken file on disk: certificate %d, %v", got, err)
		}
		return strings.Contains(in.Log(), "the certificate changed and cannot be read")
	})
	pair(t, w.Setup.Dir, 1002)
	await(t, "the new certificate is shown", recheck, func() bool {
		got, err := serial(t, in, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return got == 1002
	})
}

// shows LOG-2
func TestLogTellsWhatHappened(t *testing.T) {
	t.Parallel()
	w := newWorld(t, world.Options{Behave: longLived})
	in := w.Start(1)[0]
	b := w.Browser()
	w.SignIn(b, "/")
	served := w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	forged, err := b.Fetch(browser.At(world.Origin+"/"), browser.Request{URL: world.Origin + "/api/orders"})
	if err != nil {
		t.Fatal(err)
	}
	w.Want(forged, 403)
	w.Want(open(t, b, "/bff/callback?state=unknown&code=x"), 400)
	w.Want(w.Fetch(b, "GET", "/api/%1b%5b31mred", ""), 400)
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	if err := in.Stop(); err != nil {
		t.Fatal(err)
	}
	lines := logLines(t, in)
	for _, p := range []*browser.Page{served, forged} {
		l := lines.find(t, "request", "request_id", p.Header.Get("X-Request-Id"))
		if l["path"] != "/api/orders" || l["status"] != float64(p.Status) || l["app"] != "web" {
			t.Errorf("access log: %v", l)
		}
	}
	hashed := regexp.MustCompile(`^[0-9a-f]{16}$`)
	began := lines.find(t, "security event", "event", "session_began")
	if subject, _ := began["subject"].(string); !hashed.MatchString(subject) || began["provider"] != "main" || began["client_id"] != "webc_1" {
		t.Errorf("session_began: %v", began)
	}
	for event, want := range map[string]map[string]any{
		"guard_refused": {"app": "web", "request_id": forged.Header.Get("X-Request-Id")},
		"login_failed":  {"app": "web", "code": "login_unknown"},
		"session_ended": {"app": "web", "reason": "signed_out", "session": began["session"]},
	} {
		l := lines.find(t, "security event", "event", event)
		for name, value := range want {
			if l[name] != value {
				t.Errorf("%s: %s is %v, want %v", event, name, l[name], value)
			}
		}
	}
	if strings.ContainsFunc(in.Log(), func(r rune) bool { return r < 0x20 && r != '\n' }) {
		t.Error("the log holds control characters")
	}
}

// entries are the lines of a log, parsed.
type entries []map[string]any

func logLines(t *testing.T, in *gateway.Instance) (all entries) {
	t.Helper()
	for line := range strings.Lines(in.Log()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, l)
	}
	return all
}

// find returns the one line with a message and a value.
func (all entries) find(t *testing.T, msg, name string, value any) (found map[string]any) {
	t.Helper()
	n := 0
	for _, l := range all {
		if l["msg"] == msg && l[name] == value {
			found = l
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lines %q with %s %v, want one", n, msg, name, value)
	}
	return found
}
