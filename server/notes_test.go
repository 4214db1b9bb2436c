package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom/server"
)

// Whoever never runs check is told the same: each of its notes stands in the log of a start.
func TestAStartTellsWhatCheckTells(t *testing.T) {
	file := doubtful(t)
	var out strings.Builder
	if code := server.Command(t.Context(), []string{"check", "--config", file}, nil, &out, &out); code != 0 {
		t.Fatalf("exit %d\n%s", code, &out)
	}
	missing := make(map[string]bool)
	for line := range strings.Lines(out.String()) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), "note: "); is {
			missing[text] = true
		}
	}
	for _, about := range []string{
		"share no session", "apps.phone.redirect_uris", "apps.web.allowed_origins", "apps.web.static",
	} {
		if !strings.Contains(out.String(), about) {
			t.Errorf("check tells nothing of %s\n%s", about, &out)
		}
	}
	told(t, file, missing)
	for text := range missing {
		t.Errorf("a start does not tell: %s", text)
	}
}

// told starts a gateway, and takes from missing what it warns of, until nothing is missing or the test's patience ends.
func told(t *testing.T, file string, missing map[string]bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	log, end := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- server.Command(ctx, []string{"serve", "--config", file}, nil, io.Discard, end)
		_ = end.Close()
	}()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Level, Msg string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("log line %q: %v", lines.Text(), err)
		}
		if line.Level == "WARN" {
			delete(missing, line.Msg)
		}
		if len(missing) == 0 {
			stop() // and the rest is read, so that nobody waits to write it
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d", got)
	}
}

// doubtful writes a configuration that is accepted, and gives rise to a note of every kind but those on listeners,
// which would have to be on an address of the network; it returns its name.
func doubtful(t *testing.T) string {
	t.Helper()
	dir := keyed(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("index.html", "<!doctype html><script>start()</script>")
	const secret = "a-secret-of-some-length-for-the-app"
	return write("cloakroom.yaml", fmt.Sprintf(`
public: {url: "https://gw.example.com", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: "http://127.0.0.1:1"}, other: {issuer: "http://127.0.0.1:2"}}
apps:
  web:
    {kind: spa, origin: "https://app.example.com", provider: main, client_id: c, client_secret: %[1]s-web, allowed_origins: ["https://www.example.com"],
    static: {dir: %[2]q}}
  phone:
    {kind: mobile, provider: other, client_id: d, client_secret: %[1]s-phone, redirect_uris: ["https://gw.example.com/open/phone"]}
`, secret, dir))
}
