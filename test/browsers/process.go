//go:build browsers

package browsers

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run starts a program with env laid over ours, in a process group that ends with the test, and returns the name of the file
// that it writes its output to.
func run(t *testing.T, program string, env []string, args ...string) string {
	t.Helper()
	found, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is needed: run make browsers as root on Debian, or install it", program)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(found, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL} // also with a test run that is killed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // one that is gone already is as wanted
		_ = cmd.Wait()
	})
	return out.Name()
}

// written waits until a program has written a line, and returns it.
func written(t *testing.T, name string) (line string) {
	t.Helper()
	await(t, name, func() bool {
		text, err := os.ReadFile(name)
		found := false
		line, _, found = strings.Cut(string(text), "\n")
		return err == nil && found
	})
	return line
}

// screen starts an X server that shows nothing to anybody, and returns its name.
func screen(t *testing.T) string {
	t.Helper()
	return ":" + written(t, run(t, "Xvfb", nil, "-displayfd", "1", "-screen", "0", "1300x1000x24", "-nolisten", "tcp"))
}

// freeAddr is a loopback address that nobody listened at a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s", what)
		}
	}
}
