// Package server is what is wired: it makes the engine, the store, the providers and the surfaces of a configuration,
// mounts them on Echo, and runs the listeners. It alone knows Echo; the surfaces export net/http handlers that return
// errors, and one function here writes them.
//
// The journey of a request on the public listener:
//
//	observe.go   request id, access log, panics
//	admit.go     framing, host to site, path cleaned once
//	share.go     whose scripts may read the answer; preflights end here
//	mount.go     the endpoint of a surface, or a route
//	api.go       a route's guard, session, tokens, proxy
//	errors.go    only on error: code to status, problem or page
//
// What an instance owes its streams when it stops is in streams.go, what a WebSocket's handshake shows in websocket.go. Two
// endpoints belong to no surface: the public keys by which apps prove themselves at their providers (jwks.go), and the
// description of all endpoints (openapi.go). Another proxy asks at a listener of its own what it may forward (extauth.go,
// original.go, verdict.go). The administrator's listener is a server of its own (admin.go), which has nothing of Echo and none
// of the above. The command line stands here too (command.go; online.go asks Redis and providers for check;
// keygen.go draws keys, keys.go tells of those that are configured).
//
// It does not know what a session is made of, how Redis is asked, or what a provider answers.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/config"
	"cloakroom/server/telemetry"
	"cloakroom/store"
)

// Options are what a server is made of besides its configuration. The zero value is right for production.
type Options struct {
	Log *slog.Logger // default: JSON to nowhere
	// Traces gets the spans. nil: there are none.
	Traces *telemetry.Traces
	// Now is the local clock. Default time.Now.
	Now func() time.Time
	// Limits shortens the engine's times, for tests that wait for them.
	Limits bff.Limits
	// Stall is how long a connection may take nothing of what it is sent before it is cut. Default one minute.
	Stall time.Duration
	// FormTime is how long a form may take to come. Default ten seconds.
	FormTime time.Duration
	// OnListen is told the address of each listener, by name, once it accepts connections.
	OnListen func(name string, addr net.Addr)
}

// Server is one instance of the gateway. Any number of them serve the same apps over one Redis.
type Server struct {
	cfg     *config.Config
	log     *slog.Logger
	options Options

	store       *store.Store
	engine      *bff.Engine
	tel         *telemetry.Telemetry
	mtr         *telemetry.Metrics
	trace       *bff.Trace
	idps        map[string]*provider // by configured name
	routes      *proxy.Table
	limits      map[string]*limit        // by rule; complete before the first request, as all that is here
	routeLimits [][]*limit               // by the route's place in the configuration
	apps        func(id string) *bff.App // any that is configured; nil if there is none
	sites       map[string]*site         // by host, lower case, without a default port
	echo        *echo.Echo

	ready      atomic.Bool
	serving    context.Context // ends when the drain begins: streams end with it
	beginDrain context.CancelFunc
}

// New wires a checked configuration. It connects to nothing: the gateway starts without Redis and provider.
func New(cfg *config.Config, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{cfg: cfg, log: o.Log, options: o, sites: make(map[string]*site)}
	s.serving, s.beginDrain = context.WithCancel(context.Background())
	s.mtr = telemetry.NewMetrics(s.asked())
	s.tel = telemetry.New(o.Log, s.mtr, o.Traces)
	s.trace = s.tel.Trace()
	for _, wire := range []func() error{s.wireStore, s.wireProviders, s.wireLimits, s.wireApps, s.wireRoutes} {
		if err := wire(); err != nil {
			return nil, err
		}
	}
	s.mount()
	return s, nil
}

// Run serves until ctx ends, then drains. It returns an error if a listener cannot be had or the drain ran out of time.
func (s *Server) Run(ctx context.Context) error {
	public, err := s.listenPublic()
	if err != nil {
		return fmt.Errorf("public listener (public.listen): %w", err)
	}
	ops, err := net.Listen("tcp", s.cfg.Ops.Listen)
	if err != nil {
		_ = public.Close()
		return fmt.Errorf("ops listener (ops.listen): %w", err)
	}
	admin, err := s.listenAdmin()
	if err != nil {
		_, _ = public.Close(), ops.Close()
		return fmt.Errorf("admin listener (admin.listen): %w", err)
	}
	beside, err := s.listenExternal()
	if err != nil {
		_, _ = public.Close(), ops.Close()
		if admin != nil {
			_ = admin.Close()
		}
		return fmt.Errorf("external authorization's listener (external_auth.listen): %w", err)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // events are needed until the drain is over
	defer stop()
	go s.store.Run(work)
	go s.engine.Run(work)
	go s.routes.Run(work)
	go s.sayWhatIsMissing(work)
	return s.serve(ctx, public, ops, admin, beside)
}

// Handler is the public listener's handler, for a test that brings its own listener.
func (s *Server) Handler() http.Handler { return s.echo }

// Close gives connections back.
func (s *Server) Close() error {
	s.routes.CloseIdle()
	return s.store.Close()
}
