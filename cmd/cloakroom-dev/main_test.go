package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asCommand has the test's own binary be the command.
const asCommand = "TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// free takes a port below those that systems give to connections.
func free() net.Listener {
	for {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))); err == nil {
			return l
		}
	}
}

// start runs the command until it says that it runs, and returns where the gateway is.
func start(t *testing.T) (cmd *exec.Cmd, dir, gateway string, done chan error) {
	t.Helper()
	dir = t.TempDir()
	var args []string
	var held []net.Listener // until all are chosen, so that none is chosen twice
	for _, flag := range []string{"--port", "--provider-port", "--api-port", "--ops-port"} {
		l := free()
		held = append(held, l)
		port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
		if args = append(args, flag, port); flag == "--port" {
			gateway = "127.0.0.1:" + port
		}
	}
	for _, l := range held {
		_ = l.Close()
	}
	cmd = exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "TMPDIR="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewReader(out)
	for said := ""; !strings.Contains(said, "Cloakroom is running"); {
		if said, err = lines.ReadString('\n'); err != nil {
			t.Fatalf("it does not run: %v", err)
		}
	}
	done = make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		done <- cmd.Wait()
	}()
	return cmd, dir, gateway, done
}

func TestOneCtrlCStopsCleanly(t *testing.T) {
	cmd, dir, _, done := start(t)
	for range 2 { // once by the terminal, and once passed on by whatever started it
		_ = cmd.Process.Signal(os.Interrupt)
	}
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// A request that does not come to its end holds the drain, for which somebody may not want to wait.
func TestAnotherCtrlCKills(t *testing.T) {
	cmd, _, gateway, done := start(t)
	held, err := net.Dial("tcp", gateway)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := io.WriteString(held, "GET /healthz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get("http://" + gateway + "/healthz") // connections are taken in order: the one before is inside now
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		_ = cmd.Process.Signal(os.Interrupt) // the first begins the drain
		select {
		case err := <-done:
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
				t.Errorf("ended with %v", err)
			}
			return
		case <-again.C:
		}
	}
}
