package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	libraries "log"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"cloakroom/server/config"
	"cloakroom/server/telemetry"
	"cloakroom/store"
)

// commandLine is the command's grammar.
type commandLine struct {
	Serve       serveCommand       `cmd:"" help:"Run the gateway until SIGTERM or Ctrl-C."`
	Check       checkCommand       `cmd:"" help:"Check a configuration and tell all that is wrong with it."`
	URLs        urlsCommand        `cmd:"" name:"urls" help:"Print what to register at the provider, app by app: URLs, and the APIs whose tokens are asked for."`
	Config      configCommand      `cmd:"" help:"Show the configuration."`
	Keygen      keygenCommand      `cmd:"" help:"Print a new key for sealing_keys or index_keys: 32 random bytes, base64url."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running gateway whether it is alive; for containers."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// file is the flag that all commands with a configuration share.
type file struct {
	Config string `required:"" placeholder:"FILE" env:"CLOAKROOM_CONFIG" help:"Configuration file (YAML). CLOAKROOM_* variables are laid over it."`
}

// world is what a command sees of the process.
type world struct {
	ctx    context.Context
	env    []string
	stdout io.Writer
	stderr io.Writer
}

// Command runs the command line and returns the process's exit code: 0, 1 for what went wrong, 2 for a command or a
// configuration that was refused.
func Command(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	var cl commandLine
	code := -1
	parser, err := kong.New(&cl, kong.Name("cloakroom"), kong.Writers(stdout, stderr),
		kong.Description("A backend-for-frontend gateway: OAuth tokens stay on the server's side."),
		kong.Exit(func(c int) { code = c }), kong.Bind(&world{ctx: ctx, env: env, stdout: stdout, stderr: stderr}))
	if err != nil {
		panic(err) // the grammar above is wrong
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help
	}
	if err == nil {
		err = parsed.Run()
	} else {
		err = &usageError{err}
	}
	return report(err, stderr)
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// loggedError is one that the log has told of already: what reads the log as JSON finds nothing else in it.
type loggedError struct{ error }

// report tells what went wrong and chooses the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*loggedError](err); ok {
		return 1
	}
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		fmt.Fprintln(stderr, problems.Error())
		fmt.Fprintf(stderr, "%d problem(s): nothing was started\n", len(problems.List))
		return 2
	}
	fmt.Fprintln(stderr, "cloakroom:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintln(stderr, "Try: cloakroom --help")
		return 2
	}
	return 1
}

type serveCommand struct{ file }

// Run serves until the context ends.
func (c *serveCommand) Run(w *world) error {
	cfg, err := config.Load(c.Config, w.env)
	if err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	tuneGC(w.env)
	log := slog.New(slog.NewJSONHandler(w.stderr, &slog.HandlerOptions{Level: level}))
	libraries.SetFlags(0)
	libraries.SetOutput(stray{log})
	store.LogClient(log)
	s, err := New(cfg, Options{Log: log, Traces: traces(w, log)})
	if err != nil {
		return err
	}
	defer s.Close()
	log.Info("cloakroom starts", "version", version(), "apps", len(cfg.Apps), "routes", len(cfg.Routes),
		"sealing_key", cfg.SealingKeys[0].ID)
	if err := s.Run(w.ctx); err != nil {
		log.Error("the gateway ends", "error", err.Error())
		return &loggedError{err}
	}
	return nil
}

// traces makes what the environment asks for; nil where it asks for none, or for what cannot be had: the gateway serves
// without, and says so.
func traces(w *world, log *slog.Logger) *telemetry.Traces {
	wanted, err := telemetry.Wanted(w.env)
	if err == nil && !wanted {
		return nil
	}
	var t *telemetry.Traces
	if err == nil {
		telemetry.LogTracing(log)
		t, err = telemetry.NewTraces(w.ctx, version())
	}
	if err != nil {
		log.Error("traces are off", "error", err.Error())
		return nil
	}
	return t
}

// tuneGC lets the heap grow to five times what lives before it is collected: the gateway keeps next to nothing between
// requests, so at Go's default it would collect a few megabytes many times a second (measured: about a tenth of the
// processor time per request). Whoever sets GOGC is obeyed.
func tuneGC(env []string) {
	if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "GOGC=") }) {
		debug.SetGCPercent(400)
	}
}

type checkCommand struct {
	file
	Online bool `help:"Also ask Redis, every provider, and each provider about its apps: client, secret, redirect URI. It signs nobody in."`
}

// Run checks what can be checked, and everything at once.
func (c *checkCommand) Run(w *world) error {
	cfg, err := config.Load(c.Config, w.env)
	if err != nil {
		return err
	}
	store.LogClient(slog.New(slog.DiscardHandler)) // what went wrong is told once, below
	s, err := New(cfg, Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintf(w.stdout, "%s is good: %d app(s), %d provider(s), %d route(s)\n",
		c.Config, len(cfg.Apps), len(cfg.Providers), len(cfg.Routes))
	tellKeys(w.stdout, cfg)
	tellClientKeys(w.stdout, cfg)
	for _, id := range sortedKeys(cfg.Apps) {
		if links := cfg.Apps[id].AppLinks; len(links.Apple)+len(links.Android) > 0 {
			fmt.Fprintf(w.stdout, "app %s has to be built with\n", id)
			tellAppLinks(w.stdout, cfg, id)
		}
	}
	tellAllAPIs(w.stdout, cfg)
	for _, n := range notes(cfg) {
		fmt.Fprintln(w.stdout, "note:", n)
	}
	if !c.Online {
		return nil
	}
	return s.checkOnline(w)
}

type urlsCommand struct{ file }

// Run prints, per app, what to register at the provider: exact strings, without query, and the APIs whose tokens it asks for.
func (c *urlsCommand) Run(w *world) error {
	cfg, err := config.Load(c.Config, w.env)
	if err != nil {
		return err
	}
	for _, id := range sortedKeys(cfg.Apps) {
		a := cfg.Apps[id]
		fmt.Fprintf(w.stdout, "%s (client %s at %s)\n", id, a.ClientID, a.Provider)
		to := cfg.Registration(id)
		fmt.Fprintf(w.stdout, "  redirect (post-login)    %s\n", to.RedirectURI)
		fmt.Fprintf(w.stdout, "  post-logout redirect     %s\n", to.PostLogoutURI)
		fmt.Fprintf(w.stdout, "  back-channel logout      %s\n", to.BackchannelLogoutURI)
		if to.FrontchannelLogoutURI != "" {
			fmt.Fprintf(w.stdout, "  front-channel logout     %s\n", to.FrontchannelLogoutURI)
		}
		if to.JWKSURI != "" {
			fmt.Fprintf(w.stdout, "  public keys (jwks_uri)   %s\n", to.JWKSURI)
		}
		if to.InitiateLoginURI != "" {
			fmt.Fprintf(w.stdout, "  initiate login           %s\n", to.InitiateLoginURI)
		}
		tellAPIs(w.stdout, cfg, id)
		tellAppLinks(w.stdout, cfg, id)
	}
	return nil
}

type configCommand struct {
	Print configPrintCommand `cmd:"" help:"Print the effective configuration: defaults, file and environment, each value with its origin, secrets masked."`
}

type configPrintCommand struct{ file }

// Run prints the effective configuration.
func (c *configPrintCommand) Run(w *world) error {
	cfg, err := config.Load(c.Config, w.env)
	if err != nil {
		return err
	}
	return cfg.Print(w.stdout)
}

type healthcheckCommand struct {
	URL string `default:"http://127.0.0.1:9090/healthz" help:"Where to ask."`
}

// Run succeeds if the gateway answers 200 in time.
func (c *healthcheckCommand) Run(w *world) error {
	ctx, cancel := context.WithTimeout(w.ctx, 3*time.Second) // a probe that waits longer is worth no more
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", c.URL, resp.Status)
	}
	return nil
}

type versionCommand struct{}

// Run prints the version.
func (*versionCommand) Run(w *world) error {
	_, err := fmt.Fprintln(w.stdout, "cloakroom", version())
	return err
}

// version is the module's version, or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value
		}
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
