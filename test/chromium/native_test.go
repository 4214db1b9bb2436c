//go:build integration

package chromium_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/test/chromium"
	"cloakroom/test/world"
)

// phones is the gateway's own origin where apps claim addresses of it: with https, and with a domain name.
const phones = "https://gw.example.test"

// nativeApp is an app whose pages a person sees.
type nativeApp struct {
	id, kind, name string
	redirect       string // as the app asks for it
	registered     string // "" = the same
	more           string // further lines of its settings
}

// The pages that people who use native apps see, in a real browser over TLS: what they say where no app is there to take the
// answer, and that they are no strain to read.
//
// shows NAT-7.2, NAT-8.6
func TestPagesOfNativeApps(t *testing.T) {
	t.Parallel()
	apps := []nativeApp{
		{id: "notes", kind: "mobile", name: "Field Notes", redirect: "com.example.notes:/signed-in"},
		{id: "long", kind: "mobile", name: "The order desk of the northern warehouses-and-returns-department of Example", redirect: "com.example.orders.warehouses.northern:/signed-in/and/back/again/to/the/very/page"},
		{id: "yawmiyyat", kind: "mobile", name: "يوميات 2 (الحقل)", redirect: "com.example.yawmiyyat:/signed-in"},
		{id: "links", kind: "mobile", name: "Trail Map", redirect: phones + "/open/map", more: "    app_links: {apple: [ABCDE12345.com.example.map]}\n"},
		{id: "desk", kind: "desktop", name: "Order desk", redirect: "http://" + goneAway(t) + "/callback", registered: "http://127.0.0.1/callback"},
	}
	w := world.New(t, world.DevProvider, world.Options{Apps: settings(apps)})
	starts := map[string]string{}
	for _, a := range apps {
		starts[a.id] = a.start()
		w.Dev.Register(provider.Client{ID: "webc_" + a.id, Secret: a.secret(), RedirectURIs: []string{phones + "/mobile/callback/" + a.id}})
	}
	cert, key := certificate(t, "gw.example.test")
	w.Start(1, "CLOAKROOM_PUBLIC__URL="+phones, "CLOAKROOM_PUBLIC__TLS__CERT_FILE="+cert, "CLOAKROOM_PUBLIC__TLS__KEY_FILE="+key)
	pictures(t, chromium.Journey{
		Name: "native",
		Given: map[string]any{
			"apps": starts,
			"args": []string{"--host-resolver-rules=MAP gw.example.test:443 " + w.All[0].Addr, "--ignore-certificate-errors"},
		},
		Asked: func(what string) (string, error) {
			code, ok := strings.CutPrefix(what, "unlogged ")
			if !ok || code == "" || strings.Contains(w.All[0].Log(), code) {
				return "", fmt.Errorf("%q: nobody does that, or it stands in the log", what)
			}
			return "", nil
		},
	}, "confirm", "confirm-phone", "back-to-app", "missed-link")
}

func (a nativeApp) secret() string { return "the-secret-of-" + a.id + "-at-the-provider" }

// start is where the app has the system's browser begin.
func (a nativeApp) start() string {
	sum := sha256.Sum256([]byte(verifier))
	return phones + "/mobile/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirect}, "state": {"mine"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
}

// settings are the apps as the configuration has them.
func settings(apps []nativeApp) (text string) {
	for _, a := range apps {
		if a.registered == "" {
			a.registered = a.redirect
		}
		text += fmt.Sprintf("  %s:\n    kind: %s\n    name: %q\n    provider: main\n    client_id: webc_%s\n    client_secret: %s\n    redirect_uris: [%q]\n%s",
			a.id, a.kind, a.name, a.id, a.secret(), a.registered, a.more)
	}
	return text
}

// goneAway is an address of this machine where nobody listens any more.
func goneAway(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate makes one that signs itself, and returns the names of its files.
func certificate(t *testing.T, host string) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	public, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		at := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(at, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	return file("cert.pem", "CERTIFICATE", public), file("key.pem", "PRIVATE KEY", private)
}
