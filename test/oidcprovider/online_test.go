//go:build integration

package oidcprovider_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"cloakroom/server"
	"cloakroom/test/oidcprovider"
)

// check --online tells at somebody else's provider what it tells at ours: the client and its secret by a code that cannot
// exist, the redirect URI by where the browser would be sent.
func TestCheckOnline(t *testing.T) {
	const origin = "https://app.example.com"
	op := oidcprovider.Start(t, oidcprovider.Config{
		Accounts: []oidcprovider.Account{{ID: "ada"}},
		Clients: []oidcprovider.Client{
			{ID: "web", Secret: "secret-of-web-at-the-provider", RedirectURIs: []string{origin + "/bff/callback"}},
			{ID: "slash", Secret: "secret-of-slash-at-the-provider", RedirectURIs: []string{origin + "/bff/callback/"}},
		},
	})
	for name, tt := range map[string]struct {
		id, secret string
		code       int
		want       []string
	}{
		"a good client": {"web", "secret-of-web-at-the-provider", 0, []string{
			"provider main: answers as " + op.Issuer, "app web: client: web and its secret are accepted",
			"app web: redirect URI: " + origin + "/bff/callback is registered",
			"note: provider main: sso_by is sid, and that all apps are given the same sid cannot be asked", // there each is given its own
		}},
		"a wrong secret": {"web", "secret-of-nobody-at-all", 1, []string{
			"app web: client web: answer with status 401 and error invalid_client; its secret was sent by client_secret_basic",
			"app web: redirect URI: " + origin + "/bff/callback is registered",
		}},
		"an unknown client": {"nobody", "secret-of-nobody-at-all", 1, []string{
			"app web: client nobody: answer with status 401 and error invalid_client",
			"note: app web: redirect URI: could not be tried, as the client is not accepted",
		}},
		"a redirect URI with a slash more": {"slash", "secret-of-slash-at-the-provider", 1, []string{
			"app web: client: slash and its secret are accepted",
			"app web: redirect URI: registered is " + origin + "/bff/callback/, and the app uses " + origin + "/bff/callback: they must be the same letter by letter",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := checkOnline(t, op.Issuer, origin, tt.id, tt.secret)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("not told: %s", want)
				}
			}
			if strings.Contains(out, tt.secret) {
				t.Error("the secret was printed")
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// checkOnline runs the command for one app.
func checkOnline(t *testing.T, issuer, origin, id, secret string) (code int, out string) {
	t.Helper()
	dir := t.TempDir()
	key := func() string {
		var text bytes.Buffer
		if code := server.Command(t.Context(), []string{"keygen"}, nil, &text, io.Discard); code != 0 {
			t.Fatalf("keygen exits with %d", code)
		}
		return text.String()
	}
	for name, text := range map[string]string{
		"k1": key(), "i1": key(), "web": secret,
		"cloakroom.yaml": fmt.Sprintf(`
redis: {addrs: [%q]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers:
  main: {preset: generic, issuer: %q}
apps:
  web: {kind: spa, origin: %q, provider: main, client_id: %q, client_secret_file: web}
`, miniredis.RunT(t).Addr(), issuer, origin, id),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	code = server.Command(t.Context(), []string{"check", "--online", "--config", filepath.Join(dir, "cloakroom.yaml")}, nil, &said, &said)
	return code, said.String()
}
