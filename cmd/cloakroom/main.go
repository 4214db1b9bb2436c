// Command cloakroom is the gateway: a backend-for-frontend that keeps OAuth tokens on the server's side.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"cloakroom/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(server.Command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
