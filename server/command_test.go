package server_test

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"

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

// The scripts in testdata run the command as an operator does. On top of testscript's own they know:
//
//	status N command …    runs a command that must exit with exactly this code
//	distinct A B …        fails if two files have the same content
//	absent FILE …         fails if one of the files' content stands in what the last command wrote
//
// and of the environment $DEAD, an address of this machine where nobody listens, and $BUSY, one where somebody else does.
//
// shows CFG-1, CFG-2, CFG-3, CFG-4
func TestCommand(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               addresses,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "distinct": distinct, "absent": absent,
		},
	})
}

// addresses gives a script the two addresses.
func addresses(env *testscript.Env) error {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// The second one is bound, and answers nothing on its behalf: a port that was closed might be given to somebody else.
	dead, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	env.Defer(func() { _ = busy.Close(); _ = syscall.Close(dead) })
	if err := syscall.Bind(dead, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	name, err := syscall.Getsockname(dead)
	if err != nil {
		return err
	}
	env.Setenv("BUSY", busy.Addr().String())
	env.Setenv("DEAD", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String())
	return nil
}
