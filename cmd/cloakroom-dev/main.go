// Command cloakroom-dev is the whole world of the gateway in one process, for trying and developing: the gateway itself, a
// provider, an API behind it and two web apps before it, on this machine alone.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cloakroom/dev"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first Ctrl-C stops cleanly; the second finds nobody listening, and kills
	os.Exit(dev.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
