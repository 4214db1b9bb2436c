package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cloakroom/server"
)

// TestMain makes this test binary the gateway where a script calls it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cloakroom": cloakroom})
}

// cloakroom is what cmd/cloakroom does.
func cloakroom() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := server.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The scripts in testdata run the command as an operator does. On top of testscript's own commands they have:
//
//	status N command …   runs a command, which must exit with exactly this code
//	keys FILE …          draws a key with keygen into each file
//	absent FILE …        fails if a line of one of the files stands in what the last command wrote
//
// In the environment are $BUSY, an address of this machine where a web server answers 200 at /healthz and 503 elsewhere,
// and $DEAD, one where nobody listens.
//
// shows KEY-SECRET, SCALEKIT-S2
func TestCommand(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               surroundings,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "keys": keys, "absent": absent,
		},
	})
}

// surroundings gives a script its two addresses, and spares each command the second that a process built with the race detector
// waits at its end.
func surroundings(env *testscript.Env) error {
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	env.Defer(busy.Close)
	env.Setenv("BUSY", busy.Listener.Addr().String())
	// A socket that is bound and does not listen: it refuses, and nobody else is given its port meanwhile.
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	env.Defer(func() { _ = syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		return err
	}
	at, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		return fmt.Errorf("socket has the name %T", name)
	}
	env.Setenv("DEAD", net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port)))
	return nil
}

func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command ...")
	}
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: keys FILE ...")
	}
	for _, name := range args {
		ts.Check(ts.Exec("cloakroom", "keygen"))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(ts.ReadFile("stdout")), 0o600))
	}
}

func absent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: absent FILE ...")
	}
	out := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if out == "" {
		ts.Fatalf("nothing was written, so nothing can be absent from it")
	}
	for _, name := range args {
		for line := range strings.Lines(ts.ReadFile(name)) {
			if line = strings.TrimSpace(line); line != "" && strings.Contains(out, line) {
				ts.Fatalf("the secret of %s was printed", name)
			}
		}
	}
}

// What is started serves until it is told to stop, without Redis and without a provider, and then exits with 0.
func TestServeGoesOnWithoutRedisAndStopsWhenTold(t *testing.T) {
	file := serveable(t)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second) // a start takes a fraction of a second
	defer stop()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- server.Command(ctx, []string{"serve", "--config", file}, nil, io.Discard, in)
		_ = in.Close()
	}()
	// Read ahead: whoever asks the server something keeps it from answering while its log line is not taken.
	lines := make(chan string, 1000)
	go func() {
		for log := bufio.NewScanner(out); log.Scan(); {
			lines <- log.Text()
		}
		close(lines)
	}()
	var seen []string
	for text := range lines {
		var line struct{ Msg, Listener, Addr string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Errorf("log line %q: %v", text, err)
		}
		if line.Listener != "" {
			alive(t, line.Addr)
			seen = append(seen, line.Listener)
		}
		if len(seen) == 2 {
			stop()
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	if !slices.Equal(seen, []string{"public", "ops"}) {
		t.Errorf("listeners %q, want public and ops", seen)
	}
}

// alive asks a listener for /healthz, which every one has.
func alive(t *testing.T, addr string) {
	t.Helper()
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s/healthz answers %s", addr, resp.Status)
	}
}

// serveable writes a configuration whose Redis and provider are not there, and returns its name.
func serveable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"k1", "i1"} {
		var key strings.Builder
		if code := server.Command(t.Context(), []string{"keygen"}, nil, &key, io.Discard); code != 0 {
			t.Fatalf("keygen exits with %d", code)
		}
		file(name, key.String())
	}
	file("web", "Rk2vTq9xWm4LzB7d")
	file("desk", "Yh6pJc3nSg8FwU5a")
	return file("cloakroom.yaml", `
public: {url: "http://127.0.0.1:8080", listen: "127.0.0.1:0"}
ops: {listen: "127.0.0.1:0"}
redis: {addrs: ["127.0.0.1:1"]}
sealing_keys: [{id: k1, file: k1}]
index_keys: [{id: i1, file: i1}]
providers: {main: {issuer: "http://127.0.0.1:1"}}
apps:
  web: {kind: spa, origin: "http://localhost:8080", provider: main, client_id: c, client_secret_file: web}
  desk:
    kind: desktop
    provider: main
    client_id: d
    client_secret_file: desk
    redirect_uris: ["http://127.0.0.1/callback"]
`)
}
