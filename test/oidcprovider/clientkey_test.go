//go:build integration

package oidcprovider_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/server"
	"cloakroom/server/config"
	"cloakroom/test/browser"
	"cloakroom/test/oidcprovider"
)

// keyed is a gateway of one app that proves itself by keys, at a provider that fetches them from where the gateway publishes
// them.
type keyed struct {
	t      *testing.T
	origin string
	face   *httptest.Server
	op     *oidcprovider.Provider
	dir    string
	log    bytes.Buffer
}

func newKeyed(t *testing.T, algs ...string) *keyed {
	k := &keyed{t: t, face: httptest.NewUnstartedServer(nil), dir: t.TempDir()}
	_, port, _ := strings.Cut(k.face.Listener.Addr().String(), ":")
	k.origin = "http://localhost:" + port
	t.Cleanup(k.face.Close)
	k.op = oidcprovider.Start(t, oidcprovider.Config{
		AccessTokenSeconds: 2,
		Accounts:           []oidcprovider.Account{{ID: "ada"}},
		Clients: []oidcprovider.Client{{
			ID: "web", AuthMethod: "private_key_jwt", JWKSURI: k.origin + "/.well-known/jwks.json",
			RedirectURIs: []string{k.origin + "/bff/callback"}, PostLogoutRedirectURIs: []string{k.origin + "/bff/logged-out"},
		}},
	})
	for i, alg := range algs {
		k.write(fmt.Sprint("c", i+1), "keygen", "--signing", alg)
	}
	k.write("k1", "keygen")
	k.write("i1", "keygen")
	return k
}

// write keeps what the command prints.
func (k *keyed) write(name string, args ...string) {
	k.t.Helper()
	var text bytes.Buffer
	if code := server.Command(k.t.Context(), args, nil, &text, io.Discard); code != 0 {
		k.t.Fatalf("%v exits with %d", args, code)
	}
	if err := os.WriteFile(filepath.Join(k.dir, name), text.Bytes(), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// serve runs the gateway with these keys, the first of which signs.
func (k *keyed) serve(redis string, keys ...string) {
	k.t.Helper()
	var list []string
	for _, id := range keys {
		list = append(list, fmt.Sprintf("{id: %s, file: %s}", id, id))
	}
	cfg, err := config.Parse(filepath.Join(k.dir, "cloakroom.yaml"), fmt.Appendf(nil, `
public: {url: "http://127.0.0.1:1", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: [%q]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: oidc-provider, issuer: %q, token_auth: private_key_jwt}
apps:
  web: {kind: spa, origin: %q, provider: main, client_id: web, client_keys: [%s]}
`, redis, k.op.Issuer, k.origin, strings.Join(list, ", ")), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{Log: slog.New(slog.NewJSONHandler(&k.log, nil))})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = s.Close() })
	k.face.Config.Handler = s.Handler()
	if k.face.URL == "" {
		k.face.Start()
	}
}

// signIn goes through the provider's form.
func (k *keyed) signIn() *browser.Browser {
	k.t.Helper()
	b := browser.New(browser.Options{})
	k.t.Cleanup(b.Close)
	page, err := b.Click(browser.At(k.origin+"/"), k.origin+"/bff/login?return_to=/")
	if err != nil {
		k.t.Fatal(err)
	}
	form, err := page.Form("Sign in")
	if err != nil {
		k.t.Fatalf("%v: %s %s", err, page.URL, page.Text())
	}
	if page, err = b.SubmitForm(page, form, url.Values{"login": {"ada"}}); err != nil {
		k.t.Fatal(err)
	}
	if form, err = page.Form("Allow"); err != nil {
		k.t.Fatalf("%v: %s %s", err, page.URL, page.Text())
	}
	if page, err = b.SubmitForm(page, form, nil); err != nil {
		k.t.Fatal(err)
	}
	if _, ok := b.Cookie(k.origin, "__Host-Http-web"); !ok {
		k.t.Fatalf("not signed in but at %s (%s): %+v, log:\n%s", page.URL, page.Text(), k.op.Grants(), k.log.String())
	}
	return b
}

func (k *keyed) fetch(b *browser.Browser, method, path string) *browser.Page {
	k.t.Helper()
	p, err := b.Fetch(browser.At(k.origin+"/"), browser.Request{Method: method, URL: k.origin + path, Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil || p.Status != http.StatusOK {
		k.t.Fatalf("%s %s: %v %+v", method, path, err, p)
	}
	return p
}

// await waits until the provider has answered so many requests of a kind well, and fails at one that it refused.
func (k *keyed) await(kind string, n int) {
	k.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		good := 0
		for _, g := range k.op.Grants() {
			if g.Error != "" {
				k.t.Fatalf("refused: %+v\n%s", g, k.log.String())
			}
			if g.Type == kind {
				good++
			}
		}
		if good >= n {
			return
		}
		if time.Now().After(end) {
			k.t.Fatalf("%d requests of kind %s, want %d: %+v", good, kind, n, k.op.Grants())
		}
	}
}

// A provider that we did not write takes our assertions at its token and revocation endpoint, by keys that it fetched from
// the gateway, and goes on taking them when they change.
//
// shows CA-7523, KEY-JWKS
func TestAppsProveThemselvesByKeys(t *testing.T) {
	for _, alg := range []string{"es256", "ps256", "eddsa"} {
		t.Run("an app with a key for "+alg, func(t *testing.T) {
			k := newKeyed(t, alg)
			k.serve(miniredis.RunT(t).Addr(), "c1")
			b := k.signIn()
			k.await("authorization_code", 1)
			for end := time.Now().Add(15 * time.Second); !slices.ContainsFunc(k.op.Grants(), func(g oidcprovider.Grant) bool { return g.Type == "refresh_token" }); {
				if time.Now().After(end) {
					t.Fatal("nothing was renewed")
				}
				k.fetch(b, "POST", "/bff/session/extend") // renews once the token is due
				time.Sleep(100 * time.Millisecond)
			}
			k.fetch(b, "POST", "/bff/logout")
			k.await("revocation", 1)
			if faults := k.op.Errors(); len(faults) > 0 {
				t.Errorf("the provider stumbled: %v", faults)
			}
		})
	}
}

// shows KEY-JWKS
func TestAKeyIsReplaced(t *testing.T) {
	redis := miniredis.RunT(t).Addr()
	k := newKeyed(t, "es256", "eddsa")
	var fetched struct {
		Keys []map[string]any `json:"keys"`
	}
	for i, keys := range [][]string{{"c1"}, {"c1", "c2"}} {
		k.serve(redis, keys...)
		resp, err := http.Get(k.face.URL + "/.well-known/jwks.json")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("under another host: %d", resp.StatusCode)
		}
		if i == 1 { // only now does the provider look: it finds the key that will sign next
			k.signIn()
		}
		page, err := browser.New(browser.Options{}).Navigate(k.origin + "/.well-known/jwks.json")
		if err != nil || json.Unmarshal(page.Body, &fetched) != nil || len(fetched.Keys) != i+1 {
			t.Fatalf("published %v, %v", fetched, err)
		}
	}
	// The provider keeps what it fetched: it takes the new key, and the old one, without asking again.
	k.serve(redis, "c2", "c1")
	k.signIn()
	k.serve(redis, "c2")
	k.signIn()
	k.await("authorization_code", 3)
}
