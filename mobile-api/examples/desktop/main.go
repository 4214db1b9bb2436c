// Command desktop is a command-line program that signs its user in at a Cloakroom gateway and calls an API through it.
// It is meant to be copied: it needs golang.org/x/oauth2 and the standard library, and no package of ours.
//
// It knows the gateway's address and the id that its app has there. It has no client secret (one that ships in a program
// is none), it never sees a password, and it never sees a token of the provider or of the API: what it holds are two
// handles of the gateway, which open nothing anywhere else.
//
// The journey: login.go sends the system browser to the gateway and waits on a loopback port for the answer; handles.go
// keeps the two handles and renews them; api.go calls the API with one of them; events.go hears of a sign-out elsewhere;
// tour.go walks through it all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const usage = `A desktop app of a Cloakroom gateway.

  desktop [flags] [command]

  tour              everything below, one after the other (what happens without a command)
  login             sign in with the system browser
  orders            list orders
  order ITEM QTY    place one
  whoami            what the gateway says of this session
  devices           where else you are signed in
  watch             follow the session, and say when and why it ends
  rotate            trade both handles for their successors
  logout            sign out, here and at the provider

`

// app is this program, ready to run a command.
type app struct {
	gateway string // its address, without a slash at the end
	config  oauth2.Config
	handles *handles
	client  *http.Client
	browse  func(ctx context.Context, address string) error // shows an address to the person

	mu  sync.Mutex // what is said in the background is said in whole lines
	out io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(os.Stderr, "desktop: %v\nTry: desktop --help\n", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "desktop:", err)
		os.Exit(1)
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	flags := flag.NewFlagSet("desktop", flag.ContinueOnError)
	flags.SetOutput(problems)
	gateway := flags.String("gateway", "http://127.0.0.1:8080", "the gateway's `address` (public.url in its configuration)")
	id := flags.String("app", "cli", "this app's `id` at the gateway")
	noBrowser := flags.Bool("no-browser", false, "print addresses instead of opening the browser")
	flags.Usage = func() { fmt.Fprint(problems, usage); flags.PrintDefaults() }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &usageError{err}
	}
	a, err := newApp(strings.TrimSuffix(*gateway, "/"), *id, out)
	if err != nil {
		return err
	}
	if *noBrowser {
		a.browse = a.show
	}
	return a.command(ctx, flags.Args())
}

func newApp(gateway, id string, out io.Writer) (*app, error) {
	if err := trusted(gateway); err != nil {
		return nil, err
	}
	a := &app{gateway: gateway, out: out}
	a.browse = a.open
	a.config = oauth2.Config{
		ClientID: id, // the app's id at the gateway; a public client has no secret (RFC 8252 section 8.5)
		Endpoint: oauth2.Endpoint{
			AuthURL:   gateway + "/mobile/authorize",
			TokenURL:  gateway + "/mobile/token",
			AuthStyle: oauth2.AuthStyleInParams, // said rather than probed: a probe would spend a first request
		},
	}
	a.client = &http.Client{
		Timeout: 30 * time.Second, // the gateway may have to renew a token at the provider first
		// A handle is for the gateway alone: where a redirect leads it must not go along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	file, err := handleFile()
	if err != nil {
		return nil, err
	}
	a.handles = &handles{file: file, gateway: gateway, config: &a.config, client: a.client}
	return a, nil
}

// trusted refuses a gateway that others on the network could pose as: it takes https, or this very machine by its address,
// for the name localhost may lead elsewhere.
func trusted(gateway string) error {
	u, err := url.Parse(gateway)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil {
		return &usageError{fmt.Errorf("--gateway %q: write it as https://gw.example.com", gateway)}
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || ip == nil || !ip.IsLoopback()) {
		return &usageError{fmt.Errorf("--gateway %q: plain http is for 127.0.0.1 and [::1] alone", gateway)}
	}
	return nil
}

// command runs the command that the arguments name.
func (a *app) command(ctx context.Context, args []string) error {
	name, rest := "tour", args
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	}
	if name == "order" && len(rest) == 2 {
		quantity, err := strconv.Atoi(rest[1])
		if err != nil {
			return &usageError{fmt.Errorf("order: %q is no quantity", rest[1])}
		}
		return a.order(ctx, rest[0], quantity)
	}
	do, known := map[string]func(context.Context) error{
		"tour": a.tour, "login": a.login, "orders": a.orders, "whoami": a.whoami, "devices": a.devices, "watch": a.watch,
		"rotate": a.rotate, "logout": a.logout,
	}[name]
	if !known || len(rest) > 0 {
		return &usageError{fmt.Errorf("no such command: %s", strings.Join(args, " "))}
	}
	return do(ctx)
}

// say writes a line for the person.
func (a *app) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(a.out, format+"\n", args...)
}
