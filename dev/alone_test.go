package dev_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/dev"
)

// run starts a part alone and returns the first line that it prints, and how it ends.
func run(t *testing.T, args ...string) (said string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, to := io.Pipe()
	var errs bytes.Buffer
	done := make(chan int, 1)
	go func() {
		code := dev.Command(ctx, args, nil, to, &errs)
		_ = to.Close()
		done <- code
	}()
	lines := bufio.NewReader(out)
	said, err := lines.ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("%v: code %d\n%s", args, <-done, &errs)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return said, func() int { cancel(); return <-done }
}

func TestAPartAloneIsRefusedWithout(t *testing.T) {
	for name, args := range map[string][]string{
		"the word, for the provider":                  {"provider", "--listen", "127.0.0.1:0"},
		"the word, for the API":                       {"api", "--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:1"},
		"an issuer, for the API":                      {"api", "--insecure-demo"},
		"a port, for the provider":                    {"provider", "--insecure-demo", "--listen", "127.0.0.1"},
		"a port that is known, for the provider":      {"provider", "--insecure-demo", "--listen", "127.0.0.1:0"},
		"an issuer that is an origin":                 {"provider", "--insecure-demo", "--issuer", "http://127.0.0.1:1/"},
		"a part: there is none of the name 'gateway'": {"gateway"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := dev.Command(t.Context(), args, nil, &out, &errs); code != 2 || out.Len() != 0 || errs.Len() == 0 {
				t.Errorf("code %d\n%s%s", code, &out, &errs)
			}
		})
	}
}

// A provider in a container listens on all addresses and keeps the name by which it is reached. The gateway's keys and
// Redis are not there, and need not be.
func TestAProviderAloneRegistersTheAppsOfAConfiguration(t *testing.T) {
	p := freePorts(t)
	issuer := fmt.Sprintf("http://127.0.0.1:%d", p.Provider)
	file := filepath.Join(t.TempDir(), "cloakroom.yaml")
	text := fmt.Sprintf(`
public: {url: http://127.0.0.1:8080}
redis: {addrs: [redis:6379]}
sealing_keys: [{id: k1, file: /nowhere/k1}]
index_keys: [{id: i1, file: /nowhere/i1}]
providers:
  main: {preset: scalekit, issuer: %q}
  other: {issuer: https://id.example.com}
apps:
  web: {kind: spa, origin: http://localhost:8080, provider: main, client_id: webc_1, client_secret: kept-somewhere-else, static: {dir: /nowhere}}
  cli: {kind: desktop, provider: main, client_id: webc_2, client_secret: kept-somewhere-too, redirect_uris: ["http://127.0.0.1/callback"]}
  far: {kind: spa, origin: https://far.example.com, provider: other, client_id: webc_3, client_secret: kept-elsewhere-yet}
external_auth: {listen: "127.0.0.1:9092", token_file: /nowhere/external}
upstreams:
  - {origin: "https://orders.internal", targets: ["10.0.0.1:8443"], ca_file: /nowhere/ca.pem}
routes:
  - {path: /api/, upstream: "https://orders.internal", methods: [GET]}
`, issuer)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	said, stop := run(t, "provider", "--insecure-demo", "--listen", fmt.Sprintf("0.0.0.0:%d", p.Provider), "--config", file)
	if want := fmt.Sprintf("provider %s listens on 0.0.0.0:%d with 2 client(s)\n", issuer, p.Provider); said != want {
		t.Errorf("said %q, want %q", said, want)
	}
	for query, want := range map[string]int{
		"client_id=webc_1&redirect_uri=http://localhost:8080/bff/callback":         303,
		"client_id=webc_2&redirect_uri=http://127.0.0.1:8080/mobile/callback/cli":  303,
		"client_id=webc_1&redirect_uri=http://localhost:8080/bff/callback/further": 400,
		"client_id=webc_3&redirect_uri=https://far.example.com/bff/callback":       400,
	} {
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := client.Get(issuer + "/oauth/authorize?response_type=code&prompt=none&" + query) // no challenge: an error to the client
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if redirected := res.StatusCode/100 == 3; redirected != (want == 303) {
			t.Errorf("%s: %d", query, res.StatusCode)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("code %d", code)
	}
	var out, errs bytes.Buffer
	args := []string{"provider", "--insecure-demo", "--listen", "127.0.0.1:1", "--config", file}
	if code := dev.Command(t.Context(), args, nil, &out, &errs); code != 1 || !strings.Contains(errs.String(), "no app in") {
		t.Errorf("an issuer that no app has: %d\n%s", code, &errs)
	}
}

func TestTheAPIAloneAnswers(t *testing.T) {
	p := freePorts(t)
	addr := fmt.Sprintf("127.0.0.1:%d", p.API)
	_, stop := run(t, "api", "--insecure-demo", "--listen", addr, "--issuer", "http://127.0.0.1:1")
	var out, errs bytes.Buffer
	for path, want := range map[string]int{"/api/public": 0, "/api/orders": 1} {
		if code := dev.Command(t.Context(), []string{"healthcheck", "http://" + addr + path}, nil, &out, &errs); code != want {
			t.Errorf("%s: code %d\n%s", path, code, &errs)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("code %d", code)
	}
}
