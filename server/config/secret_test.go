package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server/config"

	"go.yaml.in/yaml/v4"
)

// Whatever a configuration is printed with, no secret of it is in the text.
//
// shows KEY-SECRET
func TestSecretsAreMaskedByEveryPrinter(t *testing.T) {
	c := good(t, folder(t, nil), base)
	secret := c.Apps["web"].ClientSecret
	if secret.Reveal() != webSecret || !secret.IsSet() {
		t.Fatal("the secret is not there to be leaked")
	}
	var texts []string
	for _, verb := range strings.Split("%v %+v %#v %s %q %x %X %d %p %t %b", " ") {
		for _, thing := range []any{secret, &secret, *c.Apps["web"], c.Apps["web"], *c.SealingKeys[0], []config.Secret{secret}} {
			texts = append(texts, fmt.Sprintf(verb, thing))
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "app", c.Apps["web"], "key", *c.SealingKeys[0])
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "app", *c.Apps["web"], "key", *c.SealingKeys[0])
	texts = append(texts, log.String())
	for _, text := range texts {
		for _, leak := range []string{webSecret, fmt.Sprintf("%x", webSecret), fmt.Sprintf("%X", webSecret), keyText("k1")} {
			if strings.Contains(text, leak) {
				t.Errorf("a secret in %q", text)
			}
		}
	}
}

func TestSecretsCannotBeEncoded(t *testing.T) {
	c := good(t, folder(t, nil), base)
	if text, err := json.Marshal(c.Apps["web"]); err == nil {
		t.Errorf("JSON = %s, want a refusal", text)
	}
	if text, err := yaml.Dump(c.Apps["web"]); err == nil {
		t.Errorf("YAML = %s, want a refusal", text)
	}
	if text, err := c.Apps["web"].ClientSecret.MarshalText(); err == nil {
		t.Errorf("text = %s, want a refusal", text)
	}
}

func TestProblemsNeverRepeatASecret(t *testing.T) {
	const pasted = "hunter2-hunter2"
	text := edit(t, base, "client_secret_file: web", "client_secret: [hunter2-hunter2]")
	text = edit(t, text, "{id: k1, file: k1}", "{id: k1, key: hunter2-hunter2}")
	text = edit(t, text, "https://orders.internal", "http://me:hunter2-hunter2@orders.internal:x/")
	text = edit(t, text, "https://acme.scalekit.com", "https://me:hunter2-hunter2@acme.scalekit.com/%zz")
	for _, line := range problems(t, folder(t, nil), text, "CLOAKROOM_PASSWORD="+pasted) {
		if strings.Contains(line, pasted) {
			t.Errorf("a secret in %q", line)
		}
	}
}

func TestSecretEquality(t *testing.T) {
	a, b := config.NewSecret("one"), config.NewSecret("one")
	if !a.Equal(b) || a.Equal(config.NewSecret("two")) || a.Equal(config.Secret{}) || !(config.Secret{}).Equal(config.NewSecret("")) {
		t.Error("Equal does not compare the texts")
	}
	if (config.Secret{}).IsSet() || (config.Secret{}).Reveal() != "" {
		t.Error("the zero Secret is set")
	}
}

func TestParseKeyReadsWhatKeygenPrints(t *testing.T) {
	want := keyText("any")
	for _, text := range []string{want, want + "=", want + "\n", " " + want + "\r\n"} {
		key, err := config.ParseKey(text)
		if err != nil || base64.RawURLEncoding.EncodeToString(key) != want {
			t.Errorf("ParseKey(%q) = %x, %v", text, key, err)
		}
	}
	if got := (&config.Key{}).Bytes(); got != nil {
		t.Errorf("the bytes of no key = %x, want nil", got)
	}
}

// No text may make the loader panic, and what it accepts it must be able to
// print.
func FuzzParse(f *testing.F) {
	dir := folder(f, nil)
	f.Add(base, "CLOAKROOM_REDIS__ADDRS", "a:1")
	f.Add(strings.Replace(base, "kind: spa", "kind: mobile", 1), "CLOAKROOM_APPS__WEB__CLIENT_SECRET_FILE", "web")
	f.Add("a: &x [*x, {<<: *x}]", "CLOAKROOM_ROUTES__0__PATH", "/")
	f.Add("redis: [1]\napps: 7\nroutes: {0: 1}\nproviders: [x]\nsealing_keys: x", "CLOAKROOM_SEALING_KEYS__0__ID", "k")
	f.Add("apps: {a: {kind: spa, login: 1, session: []}}\nproviders: {p: {issuer: {}}}", "PORT", "\x00")
	f.Add("? [a]\n: b\n", "CLOAKROOM_APPS__", "x")
	name := filepath.Join(dir, "cloakroom.yaml")
	f.Fuzz(func(t *testing.T, text, variable, value string) {
		c, err := config.Parse(name, []byte(text), []string{variable + "=" + value})
		if err != nil {
			var found *config.Problems
			if !errors.As(err, &found) || len(found.List) == 0 {
				t.Errorf("Parse = %v, want *config.Problems with a problem", err)
			}
			return
		}
		var out bytes.Buffer
		if err := c.Print(&out); err != nil || strings.Contains(out.String(), webSecret) {
			t.Errorf("Print = %v, or with a secret", err)
		}
	})
}
