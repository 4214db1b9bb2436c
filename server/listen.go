package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"cloakroom/server/ops"
)

// afterDrain is the time of work that outlives its request, where requests used up the drain's: with the drain's 25 s it
// stays below the 30 s after which Kubernetes kills.
const afterDrain = 3 * time.Second

// listenPublic opens the public listener, bounded in connections and with TLS where configured.
func (s *Server) listenPublic() (net.Listener, error) {
	l, err := net.Listen("tcp", s.cfg.Public.Listen)
	if err != nil {
		return nil, err
	}
	if n := s.cfg.Public.Limits.Connections; n > 0 {
		l = netutil.LimitListener(l, n)
	}
	l = impatient{l, cmp.Or(s.options.Stall, stall)}
	return s.encrypted(l, s.cfg.Public.TLS, "h2", "http/1.1")
}

// stall is how long a frontend may take nothing of what it is sent: longer than a phone is in a tunnel. An answer as a
// whole may take any time, so net/http's WriteTimeout is of no use here.
const stall = time.Minute

// impatient is a listener whose connections break when their peer stops reading (ASVS 13.1.3).
type impatient struct {
	net.Listener
	after time.Duration
}

// Accept waits for the next connection.
func (l impatient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &impatientConn{Conn: c, after: l.after}, nil
}

// impatientConn gives each write its own time, unless somebody gave it another: crypto/tls closes within seconds.
type impatientConn struct {
	net.Conn
	after time.Duration
	told  atomic.Bool // a deadline of somebody else's is set
}

// Write writes all of p in time, or breaks off.
func (c *impatientConn) Write(p []byte) (int, error) {
	if !c.told.Load() {
		if err := c.Conn.SetWriteDeadline(time.Now().Add(c.after)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline takes precedence over the time of each write; the zero time gives it back.
func (c *impatientConn) SetWriteDeadline(t time.Time) error {
	c.told.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *impatientConn) SetDeadline(t time.Time) error {
	c.told.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// serve runs all listeners until ctx ends or one of them fails, then drains. admin and beside may be nil.
func (s *Server) serve(ctx context.Context, public, opsListener, admin, beside net.Listener) error {
	front := &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: s.cfg.Public.Timeouts.ReadHeader,
		IdleTimeout:       s.cfg.Public.Timeouts.Idle,
		MaxHeaderBytes:    int(s.cfg.Public.Limits.HeaderBytes),
		// OPTIONS * is an answer like any other: seen, logged, and refused for its path.
		DisableGeneralOptionsHandler: true,

		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // handshakes of scanners
	}
	back := &http.Server{Handler: s.opsHandler(), ReadHeaderTimeout: 5 * time.Second} // probes are quick
	side, asked := s.adminServer(), s.externalServer()
	failed := make(chan error, 4) // one of each
	go func() { failed <- front.Serve(public) }()
	go func() { failed <- back.Serve(opsListener) }()
	if admin != nil {
		go func() { failed <- side.Serve(admin) }()
		s.announce("admin", admin.Addr())
	}
	if beside != nil {
		go func() { failed <- asked.Serve(beside) }()
		s.announce("external_auth", beside.Addr())
	}
	s.ready.Store(true)
	s.announce("public", public.Addr())
	s.announce("ops", opsListener.Addr())
	select {
	case err := <-failed: // one listener is gone: what the other is in the middle of is still finished
		return errors.Join(err, s.stop(front, back, side, asked))
	case <-ctx.Done():
		return s.stop(front, back, side, asked)
	}
}

func (s *Server) announce(name string, addr net.Addr) {
	s.log.Info("listening", "listener", name, "addr", addr.String())
	if s.options.OnListen != nil {
		s.options.OnListen(name, addr)
	}
}

// stop drains: no longer ready, streams closed, requests and running refreshes finished, then the listeners closed.
func (s *Server) stop(front, back, side, asked *http.Server) error {
	s.log.Info("draining", "at_most", s.cfg.Public.Timeouts.Drain.String())
	s.ready.Store(false)
	s.beginDrain()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Public.Timeouts.Drain)
	defer cancel()
	err := front.Shutdown(ctx)
	_ = asked.Shutdown(ctx) // what it answers is quick, and is asked for until the public listener is done
	_ = side.Shutdown(ctx)  // its acts have ended with the drain's beginning: a purge can be resumed elsewhere
	if err != nil {
		err = fmt.Errorf("requests were still running when the time to drain was over: %w", err)
		_ = front.Close() // whoever is still there has had its time; a rotated token that is being saved has not
		ctx, cancel = context.WithTimeout(context.Background(), afterDrain)
		defer cancel()
	}
	err = errors.Join(err, s.routes.Drain(ctx)) // after Shutdown, which waits for no WebSocket: none opens from here on
	err = errors.Join(err, s.engine.Drain(ctx))
	for _, p := range s.idps {
		err = errors.Join(err, p.issuer.Drain(ctx))
	}
	s.sendTraces()
	_, _ = side.Close(), asked.Close()
	_ = back.Close() // probes saw "not ready" until now
	s.log.Info("stopped")
	return err
}

// flushTime is how long the last spans may take to reach their collector: the drain and what follows it stay below 30 s.
const flushTime = time.Second

// sendTraces hands over the spans of the drain. Nothing waits for a collector that is not there.
func (s *Server) sendTraces() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	if err := s.options.Traces.Close(ctx); err != nil {
		s.log.Warn("the last traces were not sent", "error", err.Error())
	}
}

// opsHandler is the operator's listener.
func (s *Server) opsHandler() http.Handler {
	checks := []ops.Check{{Name: "redis", Ask: s.askRedis}, {Name: "upstreams", Ask: s.askUpstreams}}
	for _, p := range s.idps {
		checks = append(checks, ops.Check{Name: "provider " + p.name, Ask: func(ctx context.Context) (string, error) {
			return "", p.issuer.Ping(ctx)
		}})
	}
	return ops.Handler(ops.Options{Ready: s.ready.Load, Checks: checks, Metrics: s.mtr.Handler()})
}

// askRedis tells how Redis is, and what of its settings endangers sign-outs: an eviction policy can be changed at any time.
func (s *Server) askRedis(ctx context.Context) (string, error) {
	warnings, err := s.store.CheckServer(ctx)
	told := append([]string{fmt.Sprintf("clock %v ahead", s.store.Drift())}, warnings...)
	return strings.Join(told, "; "), err
}

// askUpstreams names the origins whose targets are all out.
func (s *Server) askUpstreams(context.Context) (string, error) {
	if down := s.routes.Down(); len(down) > 0 {
		return "", errors.New(strings.Join(down, ", "))
	}
	return "", nil
}

// sayWhatIsMissing tells once, at the start, what the gateway starts without.
func (s *Server) sayWhatIsMissing(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // a slow answer is one worth telling of
	defer cancel()
	warnings, err := s.store.CheckServer(ctx)
	if err != nil {
		s.log.Warn("Redis cannot be reached: until it can, requests that need a session get 503 and nobody is signed out",
			"error", err.Error())
	}
	for _, w := range warnings {
		s.log.Warn("Redis: " + w)
	}
	for _, n := range notes(s.cfg) {
		s.log.Warn(n)
	}
	for _, p := range s.idps {
		if err := p.issuer.Ping(ctx); err != nil {
			s.log.Warn("the provider cannot be reached: until it can, nobody can sign in and tokens are not renewed",
				"provider", p.name, "error", err.Error())
		}
	}
}
