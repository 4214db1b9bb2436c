//go:build integration

package compose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloakroom/test/browser"
)

// patience is for a program to end on a loaded machine.
const patience = 30 * time.Second

// engine runs the services by hand: each command as the file has it, on this machine instead of in a container. Paths of
// the images become files of this machine, ports become free ones, Valkey becomes the Redis that is installed.
type engine struct {
	t      *testing.T
	file   *composeFile
	stages map[string]*stage
	dir    string            // volumes, and the configuration with this machine's addresses
	ports  map[string]string // those of the file → free ones
}

func newEngine(t *testing.T) *engine {
	f, err := parse([]byte(read(t, "docker-compose.yml")))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, file: f, stages: dockerfile(read(t, "deploy/Dockerfile")), dir: t.TempDir(), ports: map[string]string{}}
	for _, port := range []string{"6379", "8080", "8090", "8091", "9090"} {
		e.ports[port] = freePort(t)
	}
	if err := os.MkdirAll(filepath.Join(e.dir, "etc", "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := e.local(strings.ReplaceAll(read(t, "deploy/compose/cloakroom.yaml"), "redis:6379", "127.0.0.1:6379"), e.file.Services["gateway"])
	if err := os.WriteFile(filepath.Join(e.dir, "etc", "cloakroom.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return e
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// host is where a mount's source is on this machine.
func (e *engine) host(m mount) string {
	switch m.source {
	case "keys":
		return filepath.Join(e.dir, "etc", "keys")
	case "./deploy/compose/cloakroom.yaml":
		return filepath.Join(e.dir, "etc", "cloakroom.yaml")
	}
	path, err := filepath.Abs(filepath.Join(root, m.source))
	if err != nil {
		e.t.Fatal(err)
	}
	return path
}

// local turns what a text says of the container into this machine's.
func (e *engine) local(text string, s *service) string {
	for _, v := range s.Volumes {
		m := mountOf(v)
		text = strings.ReplaceAll(text, m.target, e.host(m))
	}
	text = strings.ReplaceAll(text, "0.0.0.0", "127.0.0.1")
	text = strings.ReplaceAll(text, `":8080"`, `"127.0.0.1:8080"`)
	for port, free := range e.ports {
		text = strings.ReplaceAll(text, ":"+port, ":"+free)
	}
	return strings.ReplaceAll(text, "$$", "$")
}

// command is a command line of a service, ready to run. What the image names by its path is the binary made of the same package.
func (e *engine) command(name string, words []string) *exec.Cmd {
	e.t.Helper()
	s := e.file.Services[name]
	at := e.stages["cloakroom-dev"]
	for _, other := range e.file.Services {
		if other.Image == s.Image && other.Build != nil {
			at = e.stages[other.Build.Target]
		}
	}
	var line []string
	for _, word := range words {
		word = e.local(word, s)
		for path, pkg := range programs(e.t, e.stages, at) {
			if word == path {
				word = program(e.t, pkg)
			}
			word = strings.ReplaceAll(word, path+" keygen", program(e.t, pkg)+" keygen")
		}
		line = append(line, word)
	}
	switch line[0] {
	case "/busybox/sh":
		line[0] = "sh"
	case "valkey-server":
		line = append(line, "--port", e.ports["6379"], "--bind", "127.0.0.1", "--dir", e.dir)
		line[0] = "redis-server"
	case "valkey-cli":
		line = append([]string{"redis-cli", "-p", e.ports["6379"]}, line[1:]...)
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // a container has no environment of ours
	return cmd
}

// whole is the command that a service's container runs.
func (e *engine) whole(name string) []string {
	s := e.file.Services[name]
	for _, other := range e.file.Services {
		if other.Image == s.Image && other.Build != nil {
			return slices.Concat(e.stages[other.Build.Target].list(e.t, "ENTRYPOINT"), s.Command)
		}
	}
	return s.Command
}

// output is what a process writes while it runs.
type output struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

// Write keeps it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.Write(p)
}

// String is all of it so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes.String()
}

// process is a running service.
type process struct {
	name string
	cmd  *exec.Cmd
	out  *output
	done chan error
}

// up runs a service and waits for what those who depend on it wait for.
func (e *engine) up(name string) *process {
	e.t.Helper()
	p := &process{name: name, cmd: e.command(name, e.whole(name)), out: new(output), done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		e.t.Fatalf("%s: %v", name, err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	e.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended already, unless the test failed
		if e.t.Failed() {
			e.t.Logf("%s:\n%s", name, p.out)
		}
	})
	if e.file.Services[name].Restart == "no" {
		if err := p.wait(); err != nil {
			e.t.Fatalf("%s did not complete: %v\n%s", name, err, p.out)
		}
		return p
	}
	e.awaitHealth(p)
	return p
}

// awaitHealth asks as often and as long as the health check says.
func (e *engine) awaitHealth(p *process) {
	e.t.Helper()
	h := e.file.Services[p.name].Healthcheck
	interval, err := time.ParseDuration(h.Interval)
	if err != nil {
		e.t.Fatal(err)
	}
	var out []byte
	for range h.Retries {
		if out, err = e.command(p.name, h.Test[1:]).CombinedOutput(); err == nil {
			return
		}
		select {
		case err := <-p.done:
			e.t.Fatalf("%s ended: %v\n%s", p.name, err, p.out)
		case <-time.After(interval):
		}
	}
	e.t.Fatalf("%s is not healthy: %v\n%s%s", p.name, err, out, p.out)
}

func (p *process) wait() error {
	select {
	case err := <-p.done:
		return err
	case <-time.After(patience):
		return errors.New("still running")
	}
}

// down stops a service as compose does.
func (e *engine) down(p *process) {
	e.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Errorf("stopping %s: %v", p.name, err)
		return
	}
	if err := p.wait(); err != nil {
		e.t.Errorf("%s ended: %v\n%s", p.name, err, p.out)
	}
}

// Every service in compose's order, each once those it waits for are healthy; then a person signs in, at the first app by
// hand and at the second without a question, and lists orders. All stop cleanly.
func TestStart(t *testing.T) {
	for _, tool := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: this test needs Redis 7.0 or newer (make test installs it)", tool)
		}
	}
	e := newEngine(t)
	order, _ := e.file.order()
	var running []*process
	for _, name := range order {
		if p := e.up(name); e.file.Services[name].Restart != "no" {
			running = append(running, p)
		}
	}
	e.keys()
	e.signIn()
	slices.Reverse(running)
	for _, p := range running {
		e.down(p)
	}
}

// keys judges what the first service drew: files for one reader, each another one, and the same after a second start.
func (e *engine) keys() {
	e.t.Helper()
	before := e.drawn()
	if len(before) != 5 || len(slices.Compact(slices.Sorted(maps.Values(before)))) != 5 {
		e.t.Errorf("%d keys and secrets are drawn, want five, each its own", len(before))
	}
	e.up("keys")
	if !maps.Equal(before, e.drawn()) {
		e.t.Error("a second start draws other keys")
	}
}

func (e *engine) drawn() map[string]string {
	e.t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(e.dir, "etc", "keys"))
	if err != nil {
		e.t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			e.t.Errorf("%s: %v %v", entry.Name(), info.Mode(), err)
		}
		text, err := os.ReadFile(filepath.Join(e.dir, "etc", "keys", entry.Name()))
		if err != nil {
			e.t.Fatal(err)
		}
		found[entry.Name()] = string(text)
	}
	return found
}

func (e *engine) signIn() {
	e.t.Helper()
	demo, docs := "http://localhost:"+e.ports["8080"], "http://docs.localhost:"+e.ports["8080"]
	b := browser.New(browser.Options{})
	defer b.Close()
	page, err := b.Navigate(demo + "/")
	if err != nil || page.Status != 200 || !strings.Contains(page.Header.Get("Content-Type"), "text/html") {
		e.t.Fatalf("the demo: %v %+v", err, page)
	}
	if page, err = b.Click(page, "/bff/login"); err != nil {
		e.t.Fatal(err)
	}
	form, err := page.Form("ada@example.com")
	if err != nil {
		e.t.Fatalf("the provider's page: %v: %s %s", err, page.URL, page.Text())
	}
	if page, err = b.SubmitForm(page, form, url.Values{"user": {"usr_1001"}}); err != nil {
		e.t.Fatal(err)
	}
	if page.URL != demo+"/" || page.Status != 200 {
		e.t.Errorf("signed in and at %s: %d %s", page.URL, page.Status, page.Text())
	}
	e.orders(b, demo)
	if page, err = b.Navigate(docs + "/"); err != nil || page.URL != docs+"/" || page.Status != 200 {
		e.t.Errorf("the second app: %v, at %s: %d %s", err, page.URL, page.Status, page.Text())
	}
	e.orders(b, docs)
}

// orders lists them as an app's own script does.
func (e *engine) orders(b *browser.Browser, app string) {
	e.t.Helper()
	page, err := b.Fetch(browser.At(app+"/"), browser.Request{URL: "/api/orders", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil {
		e.t.Fatal(err)
	}
	var list struct{ Orders []struct{ Item string } }
	if err := json.Unmarshal(page.Body, &list); err != nil || page.Status != 200 || len(list.Orders) == 0 {
		e.t.Errorf("orders at %s: %d %s", app, page.Status, page.Body)
	}
}
