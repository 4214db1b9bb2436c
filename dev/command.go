package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/alecthomas/kong"
	"github.com/redis/go-redis/v9"

	"cloakroom/server"
	"cloakroom/server/config"
)

// commandLine is the command's grammar.
type commandLine struct {
	World       worldCommand       `cmd:"" default:"withargs" help:"Run the whole world on this machine until Ctrl-C. The default."`
	Provider    providerCommand    `cmd:"" help:"Run the provider alone, for a compose file."`
	API         apiCommand         `cmd:"" name:"api" help:"Run the demo API alone, for a compose file."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask whether something answers 200; for containers."`
}

// process is what a command sees of the process that it runs in.
type process struct {
	ctx    context.Context
	env    []string
	stdout io.Writer
	stderr io.Writer
}

// Command runs the command line of cloakroom-dev until it is done or ctx ends, and returns the exit code: 0, 1 for what
// went wrong, 2 for a command or a configuration that was refused.
func Command(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	redis.SetLogger(silent{}) // the client's own lines; what matters of them is told as the error of a request
	var cl commandLine
	code := -1
	parser, err := kong.New(&cl, kong.Name("cloakroom-dev"), kong.Writers(stdout, stderr),
		kong.Description("The gateway with all that it needs around it, in one process and on this machine alone."),
		kong.Exit(func(c int) { code = c }), kong.Bind(&process{ctx: ctx, env: env, stdout: stdout, stderr: stderr}))
	if err != nil {
		panic(err) // the grammar above is wrong
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // --help
		if len(args) == 1 { // of the whole: with the flags of what is run by default
			fmt.Fprintln(stdout)
			_, _ = parser.Parse([]string{"world", "--help"})
		}
		return code
	}
	if err != nil {
		err = &usageError{err}
	} else {
		err = parsed.Run()
	}
	return tell(err, stderr)
}

// silent takes no notice of what the Redis client says.
type silent struct{}

// Printf drops a line.
func (silent) Printf(context.Context, string, ...any) {}

// usageError is a command line that makes no sense.
type usageError struct{ error }

// tell says what went wrong and chooses the exit code.
func tell(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		fmt.Fprintln(stderr, problems.Error())
		fmt.Fprintf(stderr, "%d problem(s): nothing was started\n", len(problems.List))
		return 2
	}
	if busy, ok := errors.AsType[*BusyError](err); ok {
		fmt.Fprintln(stderr, busy.Error())
		return 1
	}
	fmt.Fprintln(stderr, "cloakroom-dev:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintln(stderr, "Try: cloakroom-dev --help")
		return 2
	}
	return 1
}

type worldCommand struct {
	Config       string `placeholder:"FILE" help:"Your own apps, routes and providers, as the gateway's configuration says them; the rest stays as it is here."`
	Port         int    `default:"8080" help:"Where the gateway listens: the apps and the native surface."`
	ProviderPort int    `default:"8090" help:"Where the provider listens."`
	APIPort      int    `default:"8091" name:"api-port" help:"Where the demo API listens."`
	OpsPort      int    `default:"9090" help:"Where probes and metrics are."`
	Redis        string `placeholder:"URL" help:"A real Redis instead of the one inside: redis://… or host:port."`
	Verbose      bool   `short:"v" help:"Log requests and events too, not only what is wrong."`
}

// Run runs the world until the context ends.
func (c *worldCommand) Run(p *process) error {
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	return Run(p.ctx, WorldConfig{
		Config: c.Config, Env: p.env, Redis: c.Redis, Out: p.stdout,
		Ports: Ports{Gateway: c.Port, Provider: c.ProviderPort, API: c.APIPort, Ops: c.OpsPort},
		Log:   slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level})),
	})
}

type healthcheckCommand struct {
	URL string `arg:"" help:"Where to ask."`
}

// Run succeeds if the address answers 200 in time, as the gateway's own health check.
func (c *healthcheckCommand) Run(p *process) error {
	if server.Command(p.ctx, []string{"healthcheck", "--url", c.URL}, p.env, p.stdout, p.stderr) != 0 {
		return errors.New("not healthy")
	}
	return nil
}
