// Package gateway runs the real cloakroom binary as child processes, for tests of the whole: it writes a configuration,
// starts any number of instances on it, keeps their logs, and kills, freezes or stops them as operators and machines do.
//
// It knows the command line, the configuration file and what an instance logs when it listens. It does not know what a
// test is about.
package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime bounds a start and a stop: a race-built binary on a busy machine takes a second or two.
const startTime = 30 * time.Second

// raced and plain compile the gateway, with and without the race detector, once for all tests of a process.
var (
	raced = sync.OnceValues(func() (string, error) { return build("cloakroom-race", "-race") })
	plain = sync.OnceValues(func() (string, error) { return build("cloakroom") })
)

// build compiles the gateway into the module's bin folder. What is up to date there is not linked again, which takes as long
// as a test; what is not is replaced in one step, for other test processes may be starting it.
func build(name string, flags ...string) (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, name)
	compile := exec.Command("go", append(append([]string{"build"}, flags...), "-o", bin, "cloakroom/cmd/cloakroom")...)
	compile.Env = append(os.Environ(), "GOTMPDIR="+dir) // where it is made, so that it is renamed and not copied
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return bin, nil
}

// Binary returns the name of the gateway's binary, built with the race detector.
func Binary(tb testing.TB) string { return built(tb, raced) }

// Plain returns the name of the gateway's binary as users run it, for measurements.
func Plain(tb testing.TB) string { return built(tb, plain) }

func built(tb testing.TB, build func() (string, error)) string {
	tb.Helper()
	bin, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return bin
}

// noWait spares a process built with the race detector the second that it waits at its end for reports.
const noWait = "GORACE=halt_on_error=1 atexit_sleep_ms=0"

// Setup is a configuration on disk.
type Setup struct {
	Bin  string
	Dir  string
	File string
	Keys map[string]string // every secret that was written: key files by name
}

// NewSetup writes key files (k1, k2, i1) and a configuration made of them and yaml, which holds everything but keys,
// listeners and log level. In yaml {{dir}} stands for the folder.
func NewSetup(tb testing.TB, yaml string) *Setup {
	tb.Helper()
	bin := Binary(tb)
	s := &Setup{Bin: bin, Dir: tb.TempDir(), Keys: make(map[string]string)}
	for _, name := range []string{"k1", "k2", "i1"} {
		keygen := exec.Command(bin, "keygen")
		keygen.Env = append(os.Environ(), noWait)
		out, err := keygen.Output()
		if err != nil {
			tb.Fatalf("keygen: %v", err)
		}
		s.Keys[name] = strings.TrimSpace(string(out))
		s.write(tb, name, string(out))
	}
	s.File = s.Write(tb, "cloakroom.yaml", strings.Join([]string{
		"public: {listen: \"127.0.0.1:0\"}",
		"ops: {listen: \"127.0.0.1:0\"}",
		"log: {level: debug}",
		"sealing_keys: [{id: k1, file: k1}]",
		"index_keys: [{id: i1, file: i1}]",
		strings.ReplaceAll(yaml, "{{dir}}", s.Dir),
	}, "\n"))
	return s
}

// Write writes one more file into the folder and returns its name.
func (s *Setup) Write(tb testing.TB, name, text string) string {
	tb.Helper()
	return s.write(tb, name, text)
}

func (s *Setup) write(tb testing.TB, name, text string) string {
	tb.Helper()
	file := filepath.Join(s.Dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// Instance is one running process.
type Instance struct {
	Addr  string // of the public listener
	Ops   string // of the operator's
	Admin string // of the administrator's; "" where none is configured
	// External is that of external authorization; "" where none is configured.
	External string
	tb       testing.TB
	cmd      *exec.Cmd
	log      logBuffer
	done     chan struct{}
	err      error

	listening chan [2]string // name and address of each listener
}

// logBuffer keeps what the process writes, and tells where it listens.
type logBuffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (l *logBuffer) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes.Write(line)
	l.bytes.WriteByte('\n')
}

// Start runs one instance on the configuration until the test ends, with env (KEY=VALUE) laid over it.
func (s *Setup) Start(tb testing.TB, env ...string) *Instance {
	tb.Helper()
	in := s.run(tb, env...)
	in.await()
	return in
}

// run starts the process.
func (s *Setup) run(tb testing.TB, env ...string) *Instance {
	tb.Helper()
	in := &Instance{tb: tb, done: make(chan struct{}), listening: make(chan [2]string, 4)}
	in.cmd = exec.Command(s.Bin, "serve", "--config", s.File)
	in.cmd.Env = append(append(os.Environ(), noWait), env...)
	stderr, err := in.cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := in.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	read := make(chan struct{})
	go func() { defer close(read); in.read(stderr) }()
	go func() { <-read; in.err = in.cmd.Wait(); close(in.done) }()
	tb.Cleanup(in.cleanup)
	return in
}

// StartQuiet is Start for an instance that logs so little that it does not say where it listens: it is told.
func (s *Setup) StartQuiet(tb testing.TB, level string, env ...string) *Instance {
	tb.Helper()
	public, ops := freeAddr(tb), freeAddr(tb)
	in := s.run(tb, append(env,
		"CLOAKROOM_LOG__LEVEL="+level, "CLOAKROOM_PUBLIC__LISTEN="+public, "CLOAKROOM_OPS__LISTEN="+ops)...)
	for deadline := time.Now().Add(startTime); ; {
		c, err := net.Dial("tcp", ops)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the gateway does not listen: %v\n%s", err, in.Log())
		}
		<-time.After(20 * time.Millisecond)
	}
	in.Addr, in.Ops = public, ops
	return in
}

// freeAddr is a loopback address that nobody listened at a moment ago.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// read keeps the log and picks the addresses out of it.
func (in *Instance) read(from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20) // a stack trace is long
	for lines.Scan() {
		in.log.add(lines.Bytes())
		var l struct{ Msg, Listener, Addr string }
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
			in.listening <- [2]string{l.Listener, l.Addr}
		}
	}
}

func (in *Instance) await() {
	in.tb.Helper()
	timeout := time.After(startTime)
	for in.Addr == "" || in.Ops == "" {
		select {
		case l := <-in.listening:
			switch l[0] {
			case "public":
				in.Addr = l[1]
			case "admin": // the first of all, where there is one
				in.Admin = l[1]
			case "external_auth": // before the two that there always are
				in.External = l[1]
			default:
				in.Ops = l[1]
			}
		case <-in.done:
			in.tb.Fatalf("the gateway did not start: %v\n%s", in.err, in.Log())
		case <-timeout:
			in.tb.Fatalf("the gateway does not listen\n%s", in.Log())
		}
	}
}

// CPU returns the processor time the process has used so far (Linux).
func (in *Instance) CPU() time.Duration { return CPU(in.tb, in.cmd.Process.Pid) }

// CPU returns the processor time a process has used so far, user and system, of all its threads (Linux).
func CPU(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] { // utime and stime, the 14th and 15th field of the line
		n, err := strconv.Atoi(f)
		if err != nil {
			tb.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
}

// Log returns everything the instance has written so far.
func (in *Instance) Log() string {
	in.log.mu.Lock()
	defer in.log.mu.Unlock()
	return in.log.bytes.String()
}

// Signal sends a signal.
func (in *Instance) Signal(sig os.Signal) { _ = in.cmd.Process.Signal(sig) }

// Kill ends the process at once, as a crash does.
func (in *Instance) Kill() { in.Signal(syscall.SIGKILL); <-in.done }

// Freeze stops the process where it stands. When it returns none of its threads runs any more: the kernel stops them one after
// the other, and on a busy machine one of them may have written an answer meanwhile.
func (in *Instance) Freeze() {
	in.tb.Helper()
	in.Signal(syscall.SIGSTOP)
	for until := time.Now().Add(startTime); !standsStill(in.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			in.tb.Error("the gateway does not freeze")
			return
		}
	}
}

// standsStill reports whether no thread of a process runs or could: each is stopped, or gone.
func standsStill(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is a good one
	for _, thread := range threads {
		stat, err := os.ReadFile(thread)
		_, after, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold anything but this
		if err == nil && !strings.HasPrefix(after, "T") && !strings.HasPrefix(after, "Z") {
			return false
		}
	}
	return true
}

// Thaw lets a frozen process go on.
func (in *Instance) Thaw() { in.Signal(syscall.SIGCONT) }

// Stop sends SIGTERM and returns how the process ended.
func (in *Instance) Stop() error {
	in.Signal(syscall.SIGTERM)
	select {
	case <-in.done:
	case <-time.After(startTime):
		in.Kill()
		return fmt.Errorf("the gateway did not stop")
	}
	return in.err
}

// cleanup ends the process with the test. A race or a panic in it fails the test.
func (in *Instance) cleanup() {
	in.Thaw()
	select {
	case <-in.done:
	default:
		_ = in.Stop()
	}
	if log := in.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, `"msg":"panic"`) {
		in.tb.Errorf("race or panic in the gateway:\n%s", log)
	}
	if in.tb.Failed() {
		in.tb.Logf("log of %s:\n%s", in.Addr, ending(in.Log()))
	}
}

// ending is the end of a log. Of requests there may be thousands, before which nobody would find what went wrong: few are kept.
func ending(log string) string {
	lines, requests := strings.Split(strings.TrimSpace(log), "\n"), 0
	slices.Reverse(lines)
	lines = slices.DeleteFunc(lines, func(line string) bool {
		if strings.Contains(line, `"msg":"request"`) {
			requests++
			return requests > 20
		}
		return false
	})
	lines = lines[:min(len(lines), 60)]
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// AwaitLog waits until the log holds a text.
func (in *Instance) AwaitLog(text string) {
	in.tb.Helper()
	for deadline := time.Now().Add(startTime); !strings.Contains(in.Log(), text); {
		if time.Now().After(deadline) {
			in.tb.Fatalf("the log never says %q", text)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Client is an http.Client that reaches this instance whatever the host name.
func (in *Instance) Client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, in.Addr)
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
