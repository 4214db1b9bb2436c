package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server/config"

	"github.com/google/go-cmp/cmp"
)

// worldBase is a base as a program that brings a world of its own has it.
func worldBase() config.Base {
	return config.Base{
		Name: "default of the world",
		Text: fmt.Appendf(nil, `
public: {url: http://127.0.0.1:8080, listen: "127.0.0.1:8080", timeouts: {drain: 5s}}
redis: {addrs: ["127.0.0.1:6379"]}
sealing_keys: [{id: k1, key: %s}]
index_keys: [{id: i1, key: %s}]
providers:
  dev: {preset: scalekit, issuer: http://127.0.0.1:8090}
  spare: {issuer: http://127.0.0.1:8099}
apps:
  demo: {kind: spa, origin: http://localhost:8080, provider: dev}
routes:
  - {path: /demo/, upstream: http://127.0.0.1:8091, methods: [GET], apps: [demo]}
`, keyText("k1"), keyText("i1")),
		Own: []string{"public.listen", "public.tls", "redis", "sealing_keys", "retired_keys", "admin", "apps.*.static"},
		App: func(id, issuer string) []byte {
			if issuer != "http://127.0.0.1:8090" {
				return nil
			}
			return fmt.Appendf(nil, "{client_id: %s, client_secret: secret-of-%s}", id, id)
		},
	}
}

// ownFile writes a user's file and the secret it may name.
func ownFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"own.yaml": text, "shop.secret": "kept-in-a-file\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "own.yaml")
}

func TestABaseStandsBelowTheFile(t *testing.T) {
	shop := "apps:\n  shop: {kind: spa, origin: http://localhost:8080, provider: dev}\n"
	tests := []struct {
		name    string
		file    string // "" for none
		env     []string
		apps    string
		routes  int
		origins map[string]string // {file} is the file
		away    []string
	}{
		{
			name: "no file", apps: "demo", routes: 1,
			origins: map[string]string{
				"apps.demo.origin": "default of the world", "apps.demo.client_id": "default of the world",
				"public.timeouts.drain": "default of the world", "public.timeouts.idle": "default",
				"providers.dev.token_auth": "preset scalekit", "providers.spare.issuer": "", "log.level": "default",
			},
		},
		{
			name: "a variable", env: []string{"CLOAKROOM_APPS__DEMO__SESSION__IDLE=5m"}, apps: "demo", routes: 1,
			origins: map[string]string{"apps.demo.session.idle": "env CLOAKROOM_APPS__DEMO__SESSION__IDLE"},
		},
		{
			name: "apps of its own", file: shop, apps: "shop", routes: 0,
			origins: map[string]string{
				"apps.shop.origin": "{file}:2", "apps.shop.client_secret": "default of the world",
				"providers.dev.issuer": "default of the world", "apps.demo": "",
			},
		},
		{
			name: "routes of its own", file: "routes:\n  - {path: /a, upstream: http://localhost:1, methods: [GET]}\n  - {path: /b, upstream: http://localhost:1, methods: [GET]}\n",
			apps: "demo", routes: 2,
			origins: map[string]string{"routes[1].path": "{file}:3"},
		},
		{
			name: "a secret in a file", file: strings.Replace(shop, "provider: dev", "provider: dev, client_secret_file: shop.secret", 1),
			apps: "shop", origins: map[string]string{"apps.shop.client_secret": "file {dir}/shop.secret", "apps.shop.client_id": "default of the world"},
		},
		{
			name: "a provider of its own", apps: "shop",
			file: "providers: {main: {issuer: https://id.example.com}}\napps:\n  shop: {kind: spa, origin: http://localhost:8080, provider: main, client_id: s, client_secret: of-its-own-kind}\n",
			origins: map[string]string{
				"providers.main.issuer": "{file}:1", "providers.dev.issuer": "", "apps.shop.client_id": "{file}:3",
			},
		},
		{
			name: "a provider of its own that has the same name", apps: "shop",
			file: "providers: {dev: {issuer: https://id.example.com}}\napps:\n  shop: {kind: spa, origin: http://localhost:8080, provider: dev, client_id: s, client_secret: of-its-own-kind}\n",
			origins: map[string]string{
				"providers.dev.issuer": "{file}:1", "providers.dev.preset": "default", "providers.dev.token_auth": "",
			},
		},
		{
			name: "the same provider, otherwise", apps: "shop",
			file: "providers: {dev: {clock_skew: 5s}}\n" + shop,
			origins: map[string]string{
				"providers.dev.issuer": "default of the world", "providers.dev.clock_skew": "{file}:1", "apps.shop.client_id": "default of the world",
			},
		},
		{
			name: "a port from the platform", env: []string{"PORT=1"}, apps: "demo", routes: 1,
			origins: map[string]string{"public.listen": "default of the world"},
		},
		{
			name: "what the base alone decides", apps: "shop",
			file: shop + "redis: {addrs: [redis.internal:6379], tls: {enabled: true}}\npublic: {listen: \":443\", timeouts: {drain: 9s}}\n" +
				"sealing_keys: [{id: k9, file: /nowhere/k9}]\nretired_keys: [k0]\n",
			env: []string{"CLOAKROOM_ADMIN__LISTEN=:9091", "CLOAKROOM_APPS__SHOP__STATIC__DIR=/nowhere"},
			origins: map[string]string{
				"redis.addrs": "default of the world", "redis.tls.enabled": "default", "public.listen": "default of the world",
				"public.timeouts.drain": "{file}:4", "sealing_keys[0].id": "default of the world", "retired_keys": "", "admin.listen": "",
				"apps.shop.static": "",
			},
			away: []string{
				"public.listen ({file}:4)", "redis ({file}:3)", "sealing_keys ({file}:5)", "retired_keys ({file}:6)",
				"admin (env CLOAKROOM_ADMIN__LISTEN)", "apps.shop.static (env CLOAKROOM_APPS__SHOP__STATIC__DIR)",
			},
		},
	}
	for _, tt := range tests {
		t.Run("a base with "+tt.name, func(t *testing.T) {
			file := ""
			if tt.file != "" {
				file = ownFile(t, tt.file)
			}
			name := strings.NewReplacer("{file}", file, "{dir}", filepath.Dir(file))
			c, away, err := config.LoadOver(worldBase(), file, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			if c.Apps[tt.apps] == nil || len(c.Apps) != 1 || len(c.Routes) != tt.routes {
				t.Errorf("apps %v, %d routes", c.Apps, len(c.Routes))
			}
			for path, want := range tt.origins {
				if got := c.Origin(path); got != name.Replace(want) {
					t.Errorf("%s comes from %q, want %q", path, got, name.Replace(want))
				}
			}
			var want []string
			for _, w := range tt.away {
				want = append(want, name.Replace(w))
			}
			if diff := cmp.Diff(want, away); diff != "" {
				t.Errorf("put away (-want +got):\n%s", diff)
			}
			var text bytes.Buffer
			if err := c.Print(&text); err != nil || !strings.Contains(text.String(), "# default of the world\n") {
				t.Errorf("%v\n%s", err, &text)
			}
			if strings.Contains(text.String(), "secret-of-") || strings.Contains(text.String(), keyText("k1")) {
				t.Errorf("a secret is printed:\n%s", &text)
			}
		})
	}
}

func TestProblemsOverABaseStandInTheUsersFile(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		want string
	}{
		"a slip":               {"apps:\n  shop:\n    kind: spa\n    orign: x\n    origin: http://localhost:1\n    provider: dev\n", "{file}:4: apps.shop.orign: unknown key; did you mean origin?"},
		"a provider missing":   {"apps:\n  shop:\n    kind: spa\n    origin: http://localhost:1\n    provider: elsewhere\n    client_id: a\n    client_secret: of-its-own-kind\nproviders: {main: {issuer: https://id.example.com}}\n", "{file}:5: apps.shop.provider: no such provider; name one of main"},
		"a client missing":     {"providers: {main: {issuer: https://id.example.com}}\napps:\n  shop: {kind: spa, origin: http://localhost:1, provider: main, client_secret: of-its-own-kind}\n", "{file}:3: apps.shop.client_id: missing; write the id that the provider gave this app"},
		"apps of a wrong form": {"apps: [shop]\n", "{file}:1: apps: not a group; write its keys under it"},
		"no YAML":              {"apps: {\n", "{file}:2: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := ownFile(t, tt.file)
			_, _, err := config.LoadOver(worldBase(), file, nil)
			problems, ok := errors.AsType[*config.Problems](err)
			want := strings.ReplaceAll(tt.want, "{file}", file)
			if !ok || !strings.HasPrefix(problems.List[0].String(), want) {
				t.Fatalf("got %v\nwant %s", err, want)
			}
			for _, p := range problems.List {
				if p.File != file {
					t.Errorf("told of %s", p)
				}
			}
		})
	}
}

func TestABaseThatIsWrongIsToldByItsName(t *testing.T) {
	b := worldBase()
	b.Text = []byte("apps: {demo: ~}\n")
	if _, _, err := config.LoadOver(b, "", nil); err == nil || !strings.HasPrefix(err.Error(), "default of the world:1: apps.demo: no value") {
		t.Errorf("got %v", err)
	}
	if _, _, err := config.LoadOver(worldBase(), "none.yaml", nil); err == nil || !strings.HasPrefix(err.Error(), "none.yaml: no such file") {
		t.Errorf("got %v", err)
	}
}
