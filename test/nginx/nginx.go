// Package nginx runs a real nginx on the configuration that deploy/nginx documents, so that what people copy is what was
// tested: names and addresses are exchanged, and nothing else.
//
// It knows the process and the files. It does not know what a test is about. A machine without nginx fails the test: a
// green run always means that it was there.
package nginx

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startPatience = 20 * time.Second      // a loaded machine; an idle one needs 20 ms
	pollEvery     = 10 * time.Millisecond // nginx tells nobody that it listens
)

// Site is what differs from the documented configuration.
type Site struct {
	Gateways   []string          // public listeners, host:port
	Authorizer []string          // listeners of external authorization
	API        string            // host:port
	Credential string            // of the asking proxy
	Hosts      map[string]string // origins served, by host name
	More       string            // further directives of each server, such as locations
}

// Server is one nginx process.
type Server struct {
	Addr string // host:port it listens at, in plain http
	tb   testing.TB
	dir  string
	cmd  *exec.Cmd
	log  output
	done chan struct{}
}

// output is what the process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write keeps p.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start runs nginx until the test ends. docs is the folder with the documented files.
func Start(tb testing.TB, docs string, site Site) *Server {
	tb.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		bin = "/usr/sbin/nginx" // where Debian has it, out of the way of a user's PATH
	}
	if _, err := os.Stat(bin); err != nil {
		tb.Fatal("nginx is not there: install it (package nginx-light)")
	}
	s := &Server{tb: tb, dir: tb.TempDir(), Addr: freeAddr(tb), done: make(chan struct{})}
	s.configure(docs, site)
	s.cmd = exec.Command(bin, "-e", "stderr", "-p", s.dir, "-c", filepath.Join(s.dir, "nginx.conf"))
	s.cmd.Stderr = &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	tb.Cleanup(s.stop)
	s.await()
	return s
}

// Log returns what nginx has written so far: its error log, and a line for each request.
func (s *Server) Log() string {
	access, _ := os.ReadFile(filepath.Join(s.dir, "access.log"))
	return s.log.text() + string(access)
}

func (s *Server) await() {
	s.tb.Helper()
	for deadline := time.Now().Add(startPatience); ; {
		c, err := net.Dial("tcp", s.Addr)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-s.done:
			s.tb.Fatalf("nginx did not start:\n%s", s.log.text())
		case <-time.After(pollEvery):
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("nginx does not listen: %v\n%s", err, s.log.text())
		}
	}
}

func (s *Server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(startPatience):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	if s.tb.Failed() {
		lines := strings.Split(s.Log(), "\n")
		s.tb.Logf("log of nginx:\n%s", strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
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

// around is what the documented files stand in. One process without a master: nothing is left over.
const around = `daemon off;
master_process off;
error_log stderr info;
pid nginx.pid;
events { worker_connections 512; }
http {
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	include app.conf;
}
`

// configure writes the documented files with this site's names.
func (s *Server) configure(docs string, site Site) {
	s.tb.Helper()
	s.write("nginx.conf", around)
	s.write("cloakroom/credential.conf", fmt.Sprintf("proxy_set_header Cloakroom-Credential %q;\n", site.Credential))
	for _, name := range []string{"ask.conf", "guard.conf", "forward.conf"} {
		s.write("cloakroom/"+name, s.read(docs, name))
	}
	app := s.read(docs, "app.conf")
	app = s.swap(app, "server 127.0.0.1:8080; # public.listen of each instance", servers(site.Gateways))
	app = s.swap(app, "server 127.0.0.1:9092; # external_auth.listen of each instance", servers(site.Authorizer))
	app = s.swap(app, "server 127.0.0.1:8091; # the API", servers([]string{site.API}))
	app = s.swap(app, "/var/log/nginx/access.log", "access.log")
	app = strings.ReplaceAll(app, "\tssl_certificate     /etc/nginx/tls/app.pem;\n\tssl_certificate_key /etc/nginx/tls/app.key;\n", "")
	app = strings.ReplaceAll(app, "listen 443 ssl", "listen "+s.Addr)
	head, rest, found := strings.Cut(app, "server {\n")
	one, last, there := strings.Cut(rest, "# Any other name.\n")
	if !found || !there {
		s.tb.Fatal("app.conf has not its two servers")
	}
	all := head
	for host, origin := range site.Hosts {
		this := s.swap(one, "server_name app.example.com;", "server_name "+host+";\n"+site.More)
		all += "server {\n" + s.swap(this, `"https://app.example.com"`, fmt.Sprintf("%q", origin))
	}
	s.write("app.conf", all+last)
}

// swap exchanges a text of the documented files, which must be there.
func (s *Server) swap(text, old, with string) string {
	s.tb.Helper()
	if strings.Count(text, old) != 1 {
		s.tb.Fatalf("app.conf has %q %d times, want once", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, with, 1)
}

func servers(addrs []string) string {
	var b strings.Builder
	for _, a := range addrs {
		b.WriteString("server " + a + "; ")
	}
	return b.String()
}

func (s *Server) read(dir, name string) string {
	s.tb.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		s.tb.Fatal(err)
	}
	return string(text)
}

func (s *Server) write(name, text string) {
	s.tb.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.tb.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.tb.Fatal(err)
	}
}
