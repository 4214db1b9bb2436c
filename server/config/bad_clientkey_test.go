package config_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keyPEM writes a private key as PKCS #8.
func keyPEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// clientKeyFiles are keys of every kind, good and bad.
func clientKeyFiles(t testing.TB) map[string]string {
	t.Helper()
	good := ecKey(t, elliptic.P256())
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(good)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(good.Public())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"c1": keyPEM(t, good), "c2": keyPEM(t, ed), "c3": keyPEM(t, large), "rsa1024": keyPEM(t, small),
		"p384": keyPEM(t, ecKey(t, elliptic.P384())), "sec1": block("EC PRIVATE KEY", sec1),
		"pkcs1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(large)), "public": block("PUBLIC KEY", public),
		"locked": block("ENCRYPTED PRIVATE KEY", []byte("x")), "garbage": block("PRIVATE KEY", []byte("x")),
		"two": keyPEM(t, good) + keyPEM(t, ed), "text": "correct horse battery staple",
	}
}

// Keys that are too small, of another form or shared stop the start, with their line.
//
// shows KEY-JWKS, CA-2.5
func TestBadClientKeys(t *testing.T) {
	const hint = "; it has to be one PEM block PRIVATE KEY, P-256, Ed25519 or RSA of 2048 bits or more, as `cloakroom keygen --signing` prints"
	dir := folder(t, clientKeyFiles(t))
	for _, tc := range []struct {
		with string
		keys string
		want []string
	}{
		{"an RSA key of 1024 bits", "[{id: c1, file: rsa1024}]", []string{"[0].file: an RSA key of a size that is not accepted (2048 to 8192 bits)" + hint}},
		{"a key on another curve", "[{id: c1, file: p384}]", []string{"[0].file: a kind of key that is not used here" + hint}},
		{"an EC key in its own form", "[{id: c1, file: sec1}]", []string{"[0].file: a key in the form of its own kind, not PKCS #8" + hint}},
		{"an RSA key in its own form", "[{id: c1, file: pkcs1}]", []string{"[0].file: a key in the form of its own kind, not PKCS #8" + hint}},
		{"the public half", "[{id: c1, file: public}]", []string{"[0].file: the public half" + hint}},
		{"a key under a passphrase", "[{id: c1, file: locked}]", []string{"[0].file: a key under a passphrase" + hint}},
		{"garbage in PEM", "[{id: c1, file: garbage}]", []string{"[0].file: no private key in PKCS #8" + hint}},
		{"two keys in a file", "[{id: c1, file: two}]", []string{"[0].file: more than one PEM block" + hint}},
		{"no PEM", "[{id: c1, file: text}]", []string{"[0].file: no PEM text" + hint}},
		{"no file", "[{id: c1}]", []string{"[0].file: missing; name a file that `cloakroom keygen --signing` made"}},
		{"a file that is not there", "[{id: c1, file: nope}]", []string{"[0].file: reading nope: no such file or directory; name a file that this process may read"}},
		{"a key in the file itself", "[{id: c1, key: abc}]", []string{"[0].key: a key in the configuration file itself; put it into a file of its own and name that in file"}},
		{"no id", "[{file: c1}]", []string{"[0].id: missing; an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit"}},
		{"an id in capitals", "[{id: C1, file: c1}]", []string{"[0].id: no key id; an id is up to 16 of a-z, 0-9, dot, underscore and hyphen, the first a letter or digit"}},
		{"one id for two keys", "[{id: c1, file: c1}, {id: c1, file: c2}]", []string{"[1].id: the id of another key; the provider could not tell which one signed"}},
		{"one key under two ids", "[{id: c1, file: c1}, {id: c2, file: c1}]", []string{"[1].file: the same key as one of apps.web; draw each with `cloakroom keygen --signing`"}},
	} {
		t.Run("keys with "+tc.with, func(t *testing.T) {
			got := problems(t, dir, edit(t, base, "client_secret_file: web\n", "client_keys: "+tc.keys+"\n"))
			var want []string
			for _, w := range tc.want {
				want = append(want, "cloakroom.yaml:"+lineOf(t, "client_secret_file: web\n")+": apps.web.client_keys"+w)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// lineOf is the line of base that a text stands in.
func lineOf(t testing.TB, text string) string {
	t.Helper()
	before, _, found := strings.Cut(base, text)
	if !found {
		t.Fatalf("%q does not stand in the configuration", text)
	}
	return fmt.Sprint(strings.Count(before, "\n") + 1)
}

// shows CA-2.5, CA-2.3.1
func TestOneWayToProveOneself(t *testing.T) {
	dir := folder(t, clientKeyFiles(t))
	phone, web := "client_secret_file: phone\n", "client_secret_file: web\n"
	for _, tc := range []struct {
		with, text, want string
	}{
		{
			"a secret and a key", edit(t, base, web, "client_secret_file: web\n    client_keys: [{id: c1, file: c1}]\n"),
			lineOf(t, web) + ": apps.web.client_secret_file: beside client_keys; an app proves itself in one way, so delete one of the two",
		},
		{
			"the key of another app", edit(t, edit(t, base, web, "client_keys: [{id: c1, file: c1}]\n"), phone, "client_keys: [{id: c9, file: c1}]\n"),
			lineOf(t, web) + ": apps.web.client_keys[0].file: the same key as one of apps.phone; draw each with `cloakroom keygen --signing`",
		},
	} {
		t.Run("an app with "+tc.with, func(t *testing.T) {
			if diff := cmp.Diff([]string{"cloakroom.yaml:" + tc.want}, problems(t, dir, tc.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	strict := edit(t, base, "preset: scalekit", "preset: scalekit\n    token_auth: private_key_jwt")
	if got := problems(t, dir, strict); len(got) != 2 || !strings.Contains(got[0], "client_keys: missing, but provider main says token_auth: private_key_jwt") {
		t.Errorf("apps with secrets where keys are asked for: %q", got)
	}
}

func TestGoodClientKeys(t *testing.T) {
	files := clientKeyFiles(t)
	dir := folder(t, files)
	web := "client_secret_file: web\n"
	c := good(t, dir, edit(t, base, web, "client_keys: [{id: c1, file: c1}, {id: c2, file: c2}, {id: c3, file: c3}]\n"))
	for _, k := range c.Apps["web"].ClientKeys {
		if k.Signer() == nil {
			t.Errorf("key %s cannot sign", k.ID)
		}
	}
	if got := c.Registration("web").JWKSURI; got != "https://app.example.com/.well-known/jwks.json" {
		t.Errorf("published at %q", got)
	}
	var told strings.Builder
	if err := c.Print(&told); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&told, "%v %+v %#v", *c.Apps["web"], c.Apps["web"].ClientKeys[0], *c.Apps["web"].ClientKeys[0])
	for _, name := range []string{"c1", "c2", "c3"} {
		for line := range strings.SplitSeq(strings.TrimSpace(files[name]), "\n") {
			if strings.Contains(told.String(), line) {
				t.Errorf("a line of key %s is printed", name)
			}
		}
	}
	if !strings.Contains(told.String(), "key: ********") {
		t.Errorf("no key is masked:\n%s", told.String())
	}
	native := edit(t, base, "client_secret_file: phone\n", "client_keys: [{id: c1, file: c1}]\n")
	if got := good(t, dir, native).Registration("phone").JWKSURI; got != "https://gw.example.com/mobile/jwks/phone" {
		t.Errorf("a native app's keys are published at %q", got)
	}
}
