package store

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// PoolStats is how the connections to all servers are used, at this moment and since the start.
type PoolStats struct {
	Open, Idle uint32 // connections, now
	Waits      uint32 // how often a request had to wait for a free connection
	Timeouts   uint32 // how often it waited in vain, and was bff.ErrStore
}

// Pool returns the state of the connections. It asks nothing of Redis.
func (s *Store) Pool() PoolStats {
	all := s.rdb.PoolStats()
	sum := PoolStats{Open: all.TotalConns, Idle: all.IdleConns, Waits: all.WaitCount, Timeouts: all.Timeouts}
	if p := all.PipelineStats; p != nil { // pipelines have connections of their own
		sum.Open, sum.Idle = sum.Open+p.TotalConns, sum.Idle+p.IdleConns
		sum.Waits, sum.Timeouts = sum.Waits+p.WaitCount, sum.Timeouts+p.Timeouts
	}
	return sum
}

// observe has Done and Tracer told of what the client sends. Without them it adds nothing, so nothing is paid for. What
// they are told of is one command to one server: in a Cluster, a command that was sent on is seen at each node.
func (o Options) observe(client redis.UniversalClient) error {
	if o.Tracer != nil {
		err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(discreet{o.Tracer}),
			redisotel.WithDBStatement(false), redisotel.WithCallerEnabled(false))
		if err != nil {
			return err
		}
	}
	if o.Done == nil {
		return nil
	}
	switch c := client.(type) {
	case *redis.ClusterClient:
		c.OnNewNode(func(node *redis.Client) { node.AddHook(watcher{o.Done}) })
	default:
		c.AddHook(watcher{o.Done})
	}
	return nil
}

// watcher tells of commands, pipelines and connections by their names, never by what they carry.
type watcher struct {
	done func(operation string, took time.Duration, err error)
}

// DialHook tells of connections: redis.Hook.
func (w watcher) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		began := time.Now()
		conn, err := next(ctx, network, addr)
		w.done("dial", time.Since(began), err)
		return conn, err
	}
}

// ProcessHook tells of single commands: redis.Hook.
func (w watcher) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		w.done(cmd.Name(), time.Since(began), outcome(err))
		return err
	}
}

// ProcessPipelineHook tells of pipelines: redis.Hook.
func (w watcher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		w.done("pipeline", time.Since(began), outcome(err))
		return err
	}
}

// outcome is how a command ended. That something is not there, or not here, is an answer, and no fault of a server.
func outcome(err error) error {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	if moved || ask || errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return nil
	}
	if err != nil {
		return untold(err)
	}
	return nil
}

// discreet hands out tracers whose spans tell that a command failed and not in which words: Redis repeats the arguments
// of a command that it does not know, and these are names and sealed values of sessions (ASVS 16.2.5).
type discreet struct{ trace.TracerProvider }

// Tracer is trace.TracerProvider.
func (d discreet) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return discreetTracer{d.TracerProvider.Tracer(name, options...)}
}

type discreetTracer struct{ trace.Tracer }

// Start is trace.Tracer.
func (t discreetTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, span := t.Tracer.Start(ctx, name, options...)
	return ctx, discreetSpan{span}
}

type discreetSpan struct{ trace.Span }

// RecordError is trace.Span. The error stays untold: SetStatus says that there was one.
func (discreetSpan) RecordError(error, ...trace.EventOption) {}

// SetStatus is trace.Span, without the text.
func (s discreetSpan) SetStatus(code codes.Code, _ string) { s.Span.SetStatus(code, "") }
