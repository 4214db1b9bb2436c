package config_test

import (
	"bytes"
	"strings"
	"testing"

	"cloakroom/server/config"

	"github.com/google/go-cmp/cmp"
)

func TestTheEnvironmentIsLaidOverTheFile(t *testing.T) {
	text := func(of func(*config.Config) string) func(*config.Config) []string {
		return func(c *config.Config) []string { return []string{of(c)} }
	}
	tests := []struct {
		name   string
		env    []string
		of     func(*config.Config) []string
		want   []string
		path   string
		origin string
	}{
		{
			"a list by comma",
			[]string{"CLOAKROOM_REDIS__ADDRS=a:1, b:2", "CLOAKROOM_REDIS__CLUSTER=true"},
			func(c *config.Config) []string { return c.Redis.Addrs },
			[]string{"a:1", "b:2"},
			"redis.addrs", "env CLOAKROOM_REDIS__ADDRS",
		},
		{
			"a list of networks",
			[]string{"CLOAKROOM_PUBLIC__TRUSTED_PROXIES=10.0.0.0/8,192.168.0.0/16"},
			func(c *config.Config) []string {
				return []string{c.Public.TrustedProxies[0].String(), c.Public.TrustedProxies[1].String()}
			},
			[]string{"10.0.0.0/8", "192.168.0.0/16"},
			"public.trusted_proxies[1]", "env CLOAKROOM_PUBLIC__TRUSTED_PROXIES",
		},
		{
			"an app's client id",
			[]string{"CLOAKROOM_APPS__WEB__CLIENT_ID=other"},
			text(func(c *config.Config) string { return c.Apps["web"].ClientID }),
			[]string{"other"},
			"apps.web.client_id", "env CLOAKROOM_APPS__WEB__CLIENT_ID",
		},
		{
			"a value that contains an equals sign",
			[]string{"CLOAKROOM_APPS__WEB__CLIENT_ID=a=b"},
			text(func(c *config.Config) string { return c.Apps["web"].ClientID }),
			[]string{"a=b"},
			"apps.web.client_id", "env CLOAKROOM_APPS__WEB__CLIENT_ID",
		},
		{
			"a secret in place of the file's file",
			[]string{"CLOAKROOM_APPS__WEB__CLIENT_SECRET=from-the-env"},
			text(func(c *config.Config) string { return c.Apps["web"].ClientSecret.Reveal() }),
			[]string{"from-the-env"},
			"apps.web.client_secret", "env CLOAKROOM_APPS__WEB__CLIENT_SECRET",
		},
		{
			"a secret's file",
			[]string{"CLOAKROOM_APPS__WEB__CLIENT_SECRET_FILE=third"},
			text(func(c *config.Config) string { return c.Apps["web"].ClientSecret.Reveal() }),
			[]string{"a-third-secret"},
			"apps.web.client_secret", "file DIR/third",
		},
		{
			"a sealing key itself",
			[]string{"CLOAKROOM_SEALING_KEYS__0__KEY=" + keyText("k9")},
			text(func(c *config.Config) string { return c.SealingKeys[0].Key.Reveal() }),
			[]string{keyText("k9")},
			"sealing_keys[0].key", "env CLOAKROOM_SEALING_KEYS__0__KEY",
		},
		{
			"a second sealing key",
			[]string{"CLOAKROOM_SEALING_KEYS__1__ID=k2", "CLOAKROOM_SEALING_KEYS__1__FILE=k2"},
			text(func(c *config.Config) string { return c.SealingKeys[1].Key.Reveal() }),
			[]string{keyText("k2") + "="},
			"sealing_keys[1].id", "env CLOAKROOM_SEALING_KEYS__1__ID",
		},
		{
			"an entry that the file does not have",
			[]string{"CLOAKROOM_PROVIDERS__SECOND_ONE__ISSUER=https://id.example.com"},
			text(func(c *config.Config) string { return c.Providers["second-one"].Issuer }),
			[]string{"https://id.example.com"},
			"providers.second-one.issuer", "env CLOAKROOM_PROVIDERS__SECOND_ONE__ISSUER",
		},
		{
			"a group that the file does not have",
			[]string{"CLOAKROOM_LOG__LEVEL=debug"},
			text(func(c *config.Config) string { return c.Log.Level }),
			[]string{"debug"},
			"log.level", "env CLOAKROOM_LOG__LEVEL",
		},
		{
			"a list at the top",
			[]string{"CLOAKROOM_RETIRED_KEYS=k0,k00"},
			func(c *config.Config) []string { return c.RetiredKeys },
			[]string{"k0", "k00"},
			"retired_keys", "env CLOAKROOM_RETIRED_KEYS",
		},
		{
			"a variable set twice",
			[]string{"CLOAKROOM_LOG__LEVEL=debug", "CLOAKROOM_LOG__LEVEL=warn"},
			text(func(c *config.Config) string { return c.Log.Level }),
			[]string{"warn"},
			"log.level", "env CLOAKROOM_LOG__LEVEL",
		},
		{
			"an empty variable",
			[]string{"CLOAKROOM_LOG__LEVEL="},
			text(func(c *config.Config) string { return c.Log.Level }),
			[]string{"info"},
			"log.level", "default",
		},
		{
			"a platform's port",
			[]string{"PORT=3000"},
			text(func(c *config.Config) string { return c.Public.Listen }),
			[]string{":3000"},
			"public.listen", "env PORT",
		},
		{
			"a platform's port and a listener",
			[]string{"PORT=3000", "CLOAKROOM_PUBLIC__LISTEN=:4000"},
			text(func(c *config.Config) string { return c.Public.Listen }),
			[]string{":4000"},
			"public.listen", "env CLOAKROOM_PUBLIC__LISTEN",
		},
		{
			"what is not ours",
			[]string{
				"HOME=/root", "CLOAKROOM_CONFIG=x.yaml", "CLOAKROOM_SERVICE_HOST=10.0.0.1",
				"CLOAKROOM_PORT=tcp://10.0.0.1:80", "CLOAKROOM_PORT_8080_TCP_ADDR=10.0.0.1", "CLOAKROOM_SERVICE_PORT_HTTP=80",
			},
			text(func(c *config.Config) string { return c.Public.Listen }),
			[]string{":8080"},
			"public.listen", "default",
		},
	}
	dir := folder(t, map[string]string{"third": "a-third-secret\n"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good(t, dir, base, tt.env...)
			if diff := cmp.Diff(tt.want, tt.of(c)); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if got := strings.ReplaceAll(c.Origin(tt.path), dir, "DIR"); got != tt.origin {
				t.Errorf("Origin(%s) = %q, want %q", tt.path, got, tt.origin)
			}
		})
	}
}

func TestALongListCanComeFromTheEnvironmentAlone(t *testing.T) {
	text := base[:strings.Index(base, "routes:")]
	var env []string
	for _, n := range strings.Fields("10 9 8 7 6 5 4 3 2 1 0") {
		env = append(env, "CLOAKROOM_ROUTES__"+n+"__PATH=/api/"+n, "CLOAKROOM_ROUTES__"+n+"__UPSTREAM=https://u.internal",
			"CLOAKROOM_ROUTES__"+n+"__METHODS=GET")
	}
	c := good(t, folder(t, nil), text, env...)
	if len(c.Routes) != 11 || c.Routes[10].Path != "/api/10" || c.Routes[10].Token != "user" {
		t.Errorf("%d routes, want 11 in their order and with defaults", len(c.Routes))
	}
}

func TestBadVariablesAreNamed(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want []string
	}{
		{
			"a misspelt key",
			[]string{"CLOAKROOM_REDIS__ADRS=a:1"},
			[]string{"env CLOAKROOM_REDIS__ADRS: no such setting; write the key's path in capitals with two underscores between its parts"},
		},
		{
			"one underscore",
			[]string{"CLOAKROOM_REDIS_ADDRS=a:1"},
			[]string{"env CLOAKROOM_REDIS_ADDRS: no such setting; write the key's path in capitals with two underscores between its parts"},
		},
		{
			"a misspelt key, empty",
			[]string{"CLOAKROOM_REDIS__ADRS="},
			[]string{"env CLOAKROOM_REDIS__ADRS: no such setting; write the key's path in capitals with two underscores between its parts"},
		},
		{
			"a part too many",
			[]string{"CLOAKROOM_LOG__LEVEL__X=a"},
			[]string{"env CLOAKROOM_LOG__LEVEL__X: no such setting; write the key's path in capitals with two underscores between its parts"},
		},
		{
			"a position beyond the list",
			[]string{"CLOAKROOM_ROUTES__7__PATH=/a"},
			[]string{"env CLOAKROOM_ROUTES__7__PATH: no such setting; write the key's path in capitals with two underscores between its parts"},
		},
		{
			"a group",
			[]string{"CLOAKROOM_REDIS=a:1", "CLOAKROOM_ROUTES=/a"},
			[]string{
				"env CLOAKROOM_REDIS: names a group of settings; name one of them",
				"env CLOAKROOM_ROUTES: names a group of settings; name one of them",
			},
		},
		{
			"a value of the wrong type",
			[]string{"CLOAKROOM_APPS__WEB__SESSION__IDLE=soon"},
			[]string{"env CLOAKROOM_APPS__WEB__SESSION__IDLE: apps.web.session.idle: no duration; write a number with its unit, as 30s, 15m or 12h"},
		},
		{
			"a value that is refused",
			[]string{"CLOAKROOM_LOG__LEVEL=trace"},
			[]string{"env CLOAKROOM_LOG__LEVEL: log.level: not one of the values known here; write one of debug, info, warn, error"},
		},
		{
			"a secret given twice",
			[]string{"CLOAKROOM_APPS__WEB__CLIENT_SECRET=from-the-env", "CLOAKROOM_APPS__WEB__CLIENT_SECRET_FILE=web"},
			[]string{"env CLOAKROOM_APPS__WEB__CLIENT_SECRET_FILE: apps.web.client_secret_file: given twice, also as client_secret; delete one of them"},
		},
		{"an app that lacks the rest", []string{"CLOAKROOM_APPS__DOCS__KIND=spa"}, []string{
			"env CLOAKROOM_APPS__DOCS__KIND: apps.docs.client_id: missing; write the id that the provider gave this app",
			"env CLOAKROOM_APPS__DOCS__KIND: apps.docs.client_secret: missing; every app is a confidential client, so name its client_secret_file or list client_keys",
			"env CLOAKROOM_APPS__DOCS__KIND: apps.docs.origin: missing; write where the app lives, as https://app.example.com",
			"env CLOAKROOM_APPS__DOCS__KIND: apps.docs.provider: missing; name one of providers",
		}},
		{
			"a platform's port that is none",
			[]string{"PORT=http"},
			[]string{"env PORT: public.listen: a port that does not exist; ports go from 1 to 65535"},
		},
	}
	dir := folder(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problems(t, dir, base, tt.env...)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllProblemsComeAtOnceAndInOrder(t *testing.T) {
	text := edit(t, base, "kind: spa", "kind: pwa\n    colour: red")
	text = edit(t, text, "redis: {", "redis: {db: one, ")
	text = edit(t, text, "methods: [GET, POST]", "methods: [TRACE]")
	got := problems(t, folder(t, nil), text, "CLOAKROOM_LOG__LEVEL=trace", "CLOAKROOM_A=b")
	want := []string{
		"cloakroom.yaml:2: redis.db: no whole number",
		"cloakroom.yaml:13: apps.web.kind: not one of the values known here; write one of spa, web, mobile, desktop",
		"cloakroom.yaml:14: apps.web.colour: unknown key; known here are kind, origin, name, provider, client_id, client_secret, client_secret_file, client_keys, scopes, authorize, client_scopes, claims, session, login, post_logout, allowed_origins, redirect_uris, app_links, handle, static",
		"cloakroom.yaml:28: routes[0].methods[0]: is never forwarded; delete it",
		"env CLOAKROOM_A: no such setting; write the key's path in capitals with two underscores between its parts",
		"env CLOAKROOM_LOG__LEVEL: log.level: not one of the values known here; write one of debug, info, warn, error",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestAMissingFileIsAProblem(t *testing.T) {
	_, err := config.Load(t.TempDir()+"/none.yaml", nil)
	if err == nil || !strings.HasSuffix(err.Error(), "none.yaml: no such file or directory") {
		t.Errorf("Load = %v, want the file's name and the reason", err)
	}
}

func TestHostsThatCannotBeToldApart(t *testing.T) {
	tests := []struct {
		name, url, first, second string
		want                     string
	}{
		{"two ports", "https://gw.example.com", "https://a.example.com:8443", "https://a.example.com", ""},
		{"loopback names", "http://127.0.0.1:8080", "http://localhost:8080", "http://docs.localhost:8080", ""},
		{"loopback addresses", "http://localhost:8080", "http://[::1]:8080", "http://127.0.0.1:8080", ""},
		{"one Host field by two schemes", "https://gw.example.com", "http://localhost", "https://localhost", "the host of apps.web too; give each its own"},
		{"the gateway's host", "http://localhost:8080", "https://a.example.com", "http://localhost:8080", "the host of public.url too; give each its own"},
	}
	dir := folder(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := edit(t, edit(t, base, "https://app.example.com", tt.first), "https://gw.example.com", tt.url)
			text = edit(t, text, "routes:", "  xtra: {kind: web, provider: main, client_id: c3, client_secret: a-third-secret, origin: '"+tt.second+"'}\nroutes:")
			if tt.want == "" {
				good(t, dir, text)
				return
			}
			want := []string{"cloakroom.yaml:24: apps.xtra.origin: " + tt.want}
			if diff := cmp.Diff(want, problems(t, dir, text)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrintTellsValuesAndOrigins(t *testing.T) {
	dir := folder(t, nil)
	text := edit(t, base, "redis: {", "redis: {password: hunter2-hunter2, ")
	c := good(t, dir, text, "CLOAKROOM_REDIS__ADDRS=a:1", "CLOAKROOM_APPS__WEB__SESSION__IDLE=1h30m")
	var out bytes.Buffer
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(out.String(), dir, "DIR")
	for _, want := range []string{
		"apps:\n  phone:\n    claims: [sub, name, email, picture]",
		"    client_id: webc_1                             # DIR/cloakroom.yaml:16\n",
		"    client_secret: ********                       # file DIR/web\n",
		"  addrs: [a:1]                                    # env CLOAKROOM_REDIS__ADDRS\n",
		"  password: ********                              # DIR/cloakroom.yaml:2\n",
		"      idle: 1h30m                                 # env CLOAKROOM_APPS__WEB__SESSION__IDLE\n",
		"      absolute: 12h                               # default\n",
		"    grace: 30s                                    # preset scalekit\n",
		"    header_bytes: 32KiB                           # default\n",
		"sealing_keys:\n  - id: k1                                        # DIR/cloakroom.yaml:4\n",
		"    key: ********                                 # file DIR/k1\n",
		"  - body_bytes: 10MiB                             # default\n",
		"    scopes: [openid, profile, email, offline_access]  # preset scalekit\n",
		"  listen: \":8080\"                                 # default\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, secret := range []string{webSecret, phoneSecret, "hunter2", keyText("k1"), keyText("i1")} {
		if strings.Contains(got, secret) {
			t.Errorf("a secret in:\n%s", got)
		}
	}
	if strings.Index(got, "apps:") > strings.Index(got, "log:") || strings.Index(got, "log:") > strings.Index(got, "routes:") {
		t.Error("the keys are not in their order")
	}
}
