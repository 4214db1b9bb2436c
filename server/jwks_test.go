package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
)

// keyedPhones runs a gateway whose native app proves itself by keys, at a provider that fetches them from the gateway. It
// can be run again with other keys, at the same place and over the same Redis.
type keyedPhones struct {
	t      *testing.T
	issuer *provider.Provider
	face   *httptest.Server
	redis  string
	dir    string
}

func newKeyedPhones(t *testing.T) *keyedPhones {
	k := &keyedPhones{t: t, redis: miniredis.RunT(t).Addr(), dir: keyed(t)}
	k.face = httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(k.face.Close)
	issuer, err := provider.New(provider.Config{
		Clients: []provider.Client{{
			ID: "phone", Auth: provider.PrivateKey, JWKSURI: "http://gw.example.com/mobile/jwks/phone",
			RedirectURIs: []string{"https://gw.example.com/mobile/callback/phone"},
		}},
		HTTP: &http.Client{Transport: &http.Transport{ // every name is the gateway
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, k.face.Listener.Addr().String())
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := issuer.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Close)
	k.issuer = issuer
	for i, alg := range []string{"es256", "ps256"} {
		var key bytes.Buffer
		if code := server.Command(t.Context(), []string{"keygen", "--signing", alg}, nil, &key, io.Discard); code != 0 {
			t.Fatalf("keygen exits with %d", code)
		}
		if err := os.WriteFile(filepath.Join(k.dir, fmt.Sprint("c", i+1)), key.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keyedPhones) serve(keys ...string) *phones {
	k.t.Helper()
	var list []string
	for _, id := range keys {
		list = append(list, fmt.Sprintf("{id: %s, file: %s}", id, id))
	}
	cfg, err := config.Parse(filepath.Join(k.dir, "cloakroom.yaml"), fmt.Appendf(nil, `
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: [%q], timeouts: {dial: 10s, read: 10s, write: 10s}}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: scalekit, issuer: %q}
apps:
  phone: {kind: mobile, provider: main, client_id: phone, client_keys: [%s], redirect_uris: [%q]}
`, k.redis, k.issuer.Issuer(), strings.Join(list, ", "), signedIn), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	log := new(lines)
	s, err := server.New(cfg, server.Options{Log: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = s.Close() })
	k.face.Config.Handler = s.Handler()
	return &phones{&front{t: k.t, addr: k.face.Listener.Addr().String(), log: log}, nil}
}

// A provider that takes nothing but what RFC 7523 says takes what the gateway sends it, by the keys that it fetched there:
// with a code, and at a revocation. A new key is published before it signs, so that no sign-in fails while it comes.
//
// shows CA-7523, KEY-JWKS
func TestNativeAppsProveThemselvesByKeys(t *testing.T) {
	k := newKeyedPhones(t)
	for _, step := range [][]string{{"c1"}, {"c1", "c2"}, {"c2", "c1"}, {"c2"}} {
		p := k.serve(step...)
		h := p.signIn("phone", "usr_1001")
		answer, body := p.call("POST", "/mobile/logout", "", h.bearer()...)
		if answer.StatusCode != http.StatusOK {
			t.Errorf("signing out with %v: %d %s", step, answer.StatusCode, body)
		}
	}
	if n := k.issuer.GrantCount("authorization_code"); n != 4 {
		t.Errorf("%d codes were sent for 4 sign-ins", n)
	}
	// The first fetch found c1 alone, so c2's first use made it look again; nothing else did.
	if n := k.issuer.KeyFetches("phone"); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
	seen := map[string]bool{}
	for _, s := range k.issuer.Issued() {
		if s.Kind == provider.KindAssertion {
			if seen[s.Value] {
				t.Error("an assertion was sent twice")
			}
			seen[s.Value] = true
		}
	}
	for end := time.Now().Add(10 * time.Second); k.issuer.Count(provider.Revoke) < 8 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := k.issuer.Count(provider.Revoke); n != 8 {
		t.Errorf("%d revocations, want two of each session", n)
	}
}

// shows KEY-JWKS
func TestPublishedKeys(t *testing.T) {
	k := newKeyedPhones(t)
	p := k.serve("c2", "c1")
	answer, body := p.call("GET", "/mobile/jwks/phone", "", "Cookie", "x=y", "Authorization", "Bearer nothing")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil || answer.StatusCode != http.StatusOK || len(set.Keys) != 2 {
		t.Fatalf("%d %s", answer.StatusCode, body)
	}
	if set.Keys[0]["kid"] != "c2" || set.Keys[0]["alg"] != "PS256" || set.Keys[1]["kid"] != "c1" || set.Keys[1]["alg"] != "ES256" {
		t.Errorf("published %v", set.Keys)
	}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("member %s of key %s is published", private, key["kid"])
			}
		}
	}
	if cache := answer.Header.Get("Cache-Control"); cache != "public, max-age=300" || len(answer.Cookies()) != 0 {
		t.Errorf("Cache-Control %q, cookies %v", cache, answer.Cookies())
	}
	if answer, body := p.call("GET", "/mobile/jwks", ""); answer.StatusCode != http.StatusOK || body != `{"keys":[]}` {
		t.Errorf("the native surface's own set: %d %s", answer.StatusCode, body)
	}
	for path, want := range map[string]int{"/mobile/jwks/nobody": 404, "/mobile/jwks/": 404, "/mobile/jwks/phone/x": 404} {
		if answer, _ := p.call("GET", path, ""); answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	if answer, _ := p.call("POST", "/mobile/jwks/phone", ""); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", answer.StatusCode)
	}
}
