// Package redisproc runs real redis-servers for tests, alone (Start), as a primary with replicas behind Sentinels
// (StartSentinel) and as a Cluster (StartCluster), and does to them what happens to servers: they can be stopped, killed,
// frozen, thawed and started again on the same port, fail over, and have slots moved.
//
// It knows the processes and what is kept in them (Dump), not what the keys mean. A machine without redis-server fails the
// test: a green run always means that Redis was there.
//
// The journey: Start picks a free loopback port and a temporary folder, waits until the server answers PING, and hands
// out its address; cleanup ends the process with the test. Should the test binary itself be killed, the kernel ends
// the server with it (Linux).
package redisproc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	startPatience = 10 * time.Second      // a loaded machine; an idle one needs 20 ms
	pollEvery     = 10 * time.Millisecond // redis-server tells nobody that it listens
	portAttempts  = 5                     // another process may take the free port first

	commandPatience = 5 * time.Second // of an administrator's command; a frozen server never answers

	// The user of this package on a server that has users. The password protects nothing: the server is the test's.
	admin         = "redisproc"
	adminPassword = "redisproc-administrator"
)

// errEnded is a server that went away before it answered.
var errEnded = errors.New("redis-server ended before it answered")

// Options are the server's settings; the zero value keeps everything in memory and forgets it at a restart.
type Options struct {
	// AppendOnly makes every write survive a kill (appendonly yes, appendfsync always).
	AppendOnly bool
	// TLS, if set, makes the server take TLS connections and no others.
	TLS *TLS
	// Users are ACL rules as ACL SETUSER takes them, such as "cloakroom on >secret ~cr:* +get". With any, the default user
	// is off: who does not name one of them is refused.
	Users []string
	// Args are further command-line settings, such as "--maxmemory", "10mb".
	Args []string

	sentinel string // configuration file of a Sentinel, which is the same program
	peers    bool   // a member of a set or a Cluster
	cluster  bool   // a node of a Cluster
}

// Server is one redis-server process on a port that stays its own over restarts. Its methods fail the test instead of
// returning errors, and are for the test's goroutine.
type Server struct {
	tb      testing.TB
	options Options
	dir     string
	port    int
	busPort int // of a Cluster's members

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
}

// Start runs a server until the test ends.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Fatal("redis-server is not installed: this test needs Redis 7.0 or newer on the PATH (Debian: apt-get install redis-server; " +
			"make test does)")
	}
	s := &Server{tb: tb, options: o, dir: tb.TempDir()}
	tb.Cleanup(s.Kill)
	s.writeUsers()
	var err error
	for range portAttempts {
		s.port, s.busPort = freePort(tb), freePort(tb)
		if err = s.launch(); err == nil {
			return s
		}
	}
	tb.Fatalf("starting redis-server: %v\n%s", err, s.log())
	return nil
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("finding a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// launch starts the process and waits until it answers.
func (s *Server) launch() error {
	cmd := exec.Command("redis-server", s.arguments()...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = diesWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is the test's doing
	}()
	s.mu.Lock()
	s.process, s.exited = cmd, exited
	s.mu.Unlock()
	return s.awaitAnswer(exited)
}

func (s *Server) arguments() []string {
	listen := []string{"--port", strconv.Itoa(s.port)}
	if s.options.TLS != nil {
		listen = s.options.TLS.arguments(s.port)
	}
	args := append(listen, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no",
		"--logfile", filepath.Join(s.dir, "redis.log"))
	if s.options.sentinel != "" {
		return append([]string{s.options.sentinel, "--sentinel"}, args...)
	}
	args = append(args, "--save", "", "--dbfilename", "dump.rdb", "--enable-debug-command", "local")
	if s.options.AppendOnly {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	}
	if len(s.options.Users) > 0 {
		args = append(args, "--aclfile", s.usersFile())
	}
	if s.options.peers {
		args = append(args, s.peerArguments()...)
	}
	if s.options.cluster {
		args = append(args, s.clusterArguments()...)
	}
	return append(args, s.options.Args...)
}

// usersFile is where the ACL rules stand.
func (s *Server) usersFile() string { return filepath.Join(s.dir, "users.acl") }

// writeUsers writes the ACL file: the users asked for, one for this package, and no default user.
func (s *Server) writeUsers() {
	s.tb.Helper()
	if len(s.options.Users) == 0 {
		return
	}
	lines := []string{"user default off", "user " + admin + " on >" + adminPassword + " ~* &* +@all"}
	for _, rule := range s.options.Users {
		lines = append(lines, "user "+strings.Join(strings.Fields(rule), " "))
	}
	if err := os.WriteFile(s.usersFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.tb.Fatalf("writing ACL users: %v", err)
	}
}

// awaitAnswer polls with PING, which a server that is still loading refuses.
func (s *Server) awaitAnswer(exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	client := s.client()
	defer client.Close()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := client.Ping(ctx).Err()
		select {
		case <-exited:
			return errEnded // whoever answered the PING was another server
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("waiting for PONG: %w", err)
		case <-tick.C:
		}
	}
}

// client is the administrator's: one connection, nothing repeated.
func (s *Server) client() *redis.Client {
	o := &redis.Options{Addr: s.Addr(), MaxRetries: -1, DisableIdentity: true, Protocol: 2}
	if s.options.TLS != nil {
		o.TLSConfig = s.options.TLS.Client()
	}
	if len(s.options.Users) > 0 {
		o.Username, o.Password = admin, adminPassword
	}
	return redis.NewClient(o)
}

// Do carries out one command as administrator and returns its answer, nil if it is empty. An error fails the test.
func (s *Server) Do(args ...any) any {
	s.tb.Helper()
	got, err := s.try(args...)
	if err != nil {
		s.tb.Fatalf("%v at %s: %v\n%s", args, s.Addr(), err, s.log())
	}
	return got
}

// try is Do for what may be refused at the moment.
func (s *Server) try(args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	client := s.client()
	defer client.Close()
	got, err := client.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return got, err
}

// Info returns the fields of a section of INFO; none while the server cannot be asked.
func (s *Server) Info(section string) map[string]string { return s.fields("INFO", section) }

// fields carries out a command whose answer is a line "name:value" for each field.
func (s *Server) fields(args ...any) map[string]string {
	text, err := s.try(args...)
	fields := map[string]string{}
	if err != nil {
		return fields
	}
	for line := range strings.Lines(fmt.Sprint(text)) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			fields[name] = value
		}
	}
	return fields
}

// Calls returns how often each command was carried out since the start or the last ResetCalls, by lower-case name, those
// of scripts and of other servers included.
func (s *Server) Calls() map[string]int {
	calls := map[string]int{}
	for name, text := range s.Info("commandstats") {
		var n int
		if _, err := fmt.Sscanf(text, "calls=%d", &n); err == nil && n > 0 {
			calls[strings.TrimPrefix(name, "cmdstat_")] = n
		}
	}
	return calls
}

// ResetCalls sets the counts of Calls to zero.
func (s *Server) ResetCalls() {
	s.tb.Helper()
	s.Do("CONFIG", "RESETSTAT")
}

// Addr is host:port, the same over restarts.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// onPort is the server on a port, as others tell it; nil for none of these.
func onPort(servers []*Server, port string) *Server {
	for _, s := range servers {
		if strconv.Itoa(s.port) == port {
			return s
		}
	}
	return nil
}

// Stop ends the server with SIGTERM, as an orderly shutdown does, and waits until it has gone.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL, as a crash does, and waits until it has gone. A frozen one dies too.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	s.tb.Helper()
	s.signal(sig)
	s.mu.Lock()
	exited := s.exited
	s.mu.Unlock()
	if exited != nil {
		<-exited
	}
}

// Freeze stops the process where it stands (SIGSTOP): connections stay open and nobody answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on; what was sent meanwhile is answered now.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal sends to the process if it runs; one that has ended already is no fault.
func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.tb.Errorf("sending %v to redis-server: %v", sig, err)
	}
}

// Restart ends the server if it still runs (SIGTERM) and starts it again on its port. With AppendOnly it knows what it
// knew; without, it is empty.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Thaw() // a frozen process would not hear SIGTERM
	s.Stop()
	if !s.options.AppendOnly {
		if err := os.Remove(filepath.Join(s.dir, "dump.rdb")); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.tb.Fatalf("forgetting what was saved: %v", err)
		}
	}
	if err := s.launch(); err != nil {
		s.tb.Fatalf("restarting redis-server: %v\n%s", err, s.log())
	}
}

// log is the end of what the server wrote, for failure messages.
func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return "no log: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
