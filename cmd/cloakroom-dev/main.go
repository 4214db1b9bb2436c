// Command cloakroom-dev is the whole world of the gateway in one process, for trying and developing: the gateway itself, a
// provider, an API behind it and two web apps before it, on this machine alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"cloakroom/dev"
)

// echo is how close two signals are of which one is meant: a wrapper passes on what the terminal has sent to both.
const echo = 300 * time.Millisecond

func main() {
	// SIGHUP is a terminal that was closed.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// The first Ctrl-C stops cleanly. The second finds nobody listening, and kills.
	context.AfterFunc(ctx, func() { time.AfterFunc(echo, stop) })
	os.Exit(dev.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
