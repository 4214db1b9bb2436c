package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"cloakroom/dev/provider"
	"cloakroom/server"
	"cloakroom/server/config"
)

// tokenLife is how long the access tokens of a world live: short enough to see them renewed.
const tokenLife = time.Minute

// WorldConfig is what a world is made from.
type WorldConfig struct {
	Config string   // the user's own file; "" for the demo alone
	Env    []string // KEY=VALUE, laid over the configuration as the gateway does
	Ports  Ports    // all four, none zero
	Redis  string   // redis://… or host:port of a real one; "" for the one inside
	// TokenLife is how long access tokens live, in whole seconds. Default one minute.
	TokenLife time.Duration
	Log       *slog.Logger // default: none
	Out       io.Writer    // gets the text for whoever started it; default: nobody
	Started   func()       // is told once, when everything listens; may be nil
}

// world is a running one.
type world struct {
	WorldConfig
	cfg   *config.Config
	away  []string // what the user's file says and a world does not do
	redis *redisAt
	dir   string
	stops []func() // what to undo, the last first
}

// Run runs a world on this machine alone until ctx ends: Redis, provider, API, then the gateway, as `cloakroom serve` runs
// it. It leaves nothing behind. The error is a *BusyError, a *config.Problems, or what could not be started; the end of
// ctx is none.
func Run(ctx context.Context, c WorldConfig) error {
	c.TokenLife = cmp.Or(c.TokenLife, tokenLife)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if err := c.Ports.check(); err != nil {
		return err
	}
	w := &world{WorldConfig: c}
	defer w.stop()
	for _, start := range []func(context.Context) error{w.startRedis, w.furnish, w.startProvider, w.startAPI} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return w.serve(ctx)
}

// later notes what to undo.
func (w *world) later(undo func()) { w.stops = append(w.stops, undo) }

// stop undoes everything.
func (w *world) stop() {
	for i := len(w.stops) - 1; i >= 0; i-- {
		w.stops[i]()
	}
}

// issuer is the dev provider's. Its host is another site than localhost, so that cookies behave as in production.
func (w *world) issuer() string { return "http://" + at(w.Ports.Provider) }

func (w *world) startProvider(context.Context) error {
	p, err := provider.New(provider.Config{
		Forgetful: true, Clients: clientsOf(w.cfg, w.issuer()), Behaviour: provider.Behaviour{AccessLife: w.TokenLife},
	})
	if err != nil {
		return err
	}
	w.later(p.Close)
	return stillFree(p.Start(at(w.Ports.Provider)), BusyPort{w.Ports.Provider, "--provider-port"})
}

// startAPI starts what is behind the gateway: the demo API, and the site of the notes.
func (w *world) startAPI(context.Context) error {
	c := APIConfig{
		Issuer: w.issuer(), JWKSURL: w.issuer() + "/keys", Audiences: audiencesOf(clientsOf(w.cfg, w.issuer())), Samples: true,
	}
	api, errAPI := NewAPI(c)
	notes, errNotes := NewNotes(c)
	if err := errors.Join(errAPI, errNotes); err != nil {
		return err
	}
	all := http.NewServeMux() // one listener: they have no path in common
	all.Handle("/api/", api)
	all.Handle("/", notes)
	stop, err := listenAndServe(at(w.Ports.API), all)
	if err != nil {
		return stillFree(err, BusyPort{w.Ports.API, "--api-port"})
	}
	w.later(stop)
	return nil
}

// listenAndServe serves until stop, which breaks off what is still asked: nobody waits for a demo.
func listenAndServe(addr string, h http.Handler) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second} // neighbours are never that slow
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with ErrServerClosed
	}()
	return func() { _ = s.Close(); <-done }, nil
}

// stillFree tells of a port that was taken since it was looked at.
func stillFree(err error, port BusyPort) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &BusyError{Busy: []BusyPort{port}}
	}
	return err
}

// serve runs the gateway and, once it listens, greets.
func (w *world) serve(ctx context.Context) error {
	listeners := 0
	s, err := server.New(w.cfg, server.Options{Log: w.Log, OnListen: func(string, net.Addr) {
		if listeners++; listeners == 2 { // the public one and the operator's
			w.greet()
		}
	}})
	if err != nil {
		return err
	}
	defer s.Close()
	err = s.Run(ctx)
	if ctx.Err() != nil && err != nil {
		w.Log.Warn("some requests were cut off", "error", err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("the gateway: %w", err)
	}
	return nil
}

func (w *world) greet() {
	_, _ = io.WriteString(w.Out, w.greeting())
	if w.Started != nil {
		w.Started()
	}
}
