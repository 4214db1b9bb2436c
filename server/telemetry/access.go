package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// accessKey is the context key of the request's Access.
type accessKey struct{}

// Access is one request on the public listener, filled in as it passes from room to room. Nothing in it can hold a
// secret: Path is empty where the path itself is one (one-time URLs), and queries are never logged.
type Access struct {
	ID                 string
	TraceID            string // "" while traces are off
	Began              time.Time
	Method, Host, Path string
	Route              string // the pattern or route name: a metric's label
	App                string
	Session            string // public name; "" without one
	Status             int
	Bytes              int64
	Took               time.Duration
	ClientIP           string
	Code               string // our own error code, if we refused
	Err                error  // for the log only

	span trace.Span // nil while traces are off
}

// WithAccess returns a context that carries a to everything done and logged on the request's behalf.
func WithAccess(ctx context.Context, a *Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

// AccessOf returns the request that ctx belongs to; outside of one, an empty Access.
func AccessOf(ctx context.Context) *Access {
	if a, ok := ctx.Value(accessKey{}).(*Access); ok {
		return a
	}
	return &Access{}
}

// Begin counts a request in, and returns the context of everything done on its behalf. Access must follow. trusted says
// that the fields h were sent by a proxy whose word on the request is believed.
func (t *Telemetry) Begin(ctx context.Context, a *Access, h http.Header, trusted bool) context.Context {
	t.metrics.inFlight.Inc()
	return WithAccess(t.traces.serve(ctx, a, h, trusted), a)
}

// Access writes the request's line, counts it and ends its span. Server errors are told at error level, with their cause.
func (t *Telemetry) Access(ctx context.Context, a *Access) {
	t.metrics.inFlight.Dec()
	a.served()
	t.metrics.requests.WithLabelValues(a.Route, knownMethod(a.Method), strconv.Itoa(a.Status)).Observe(a.Took.Seconds())
	level := slog.LevelInfo
	if a.Status >= 500 {
		level = slog.LevelError
	}
	if !t.log.Enabled(ctx, level) {
		return
	}
	t.log.LogAttrs(ctx, level, "request",
		slog.String("request_id", a.ID), traceAttr(a.TraceID), slog.String("method", a.Method), slog.String("host", a.Host),
		slog.String("path", a.Path), slog.String("route", a.Route), slog.String("app", a.App), slog.String("session", a.Session),
		slog.Int("status", a.Status), slog.Int64("bytes", a.Bytes), tookAttr(a.Took),
		slog.String("client_ip", a.ClientIP), slog.String("code", a.Code), errorAttr(a.Err))
}

// knownMethod keeps a client from making up metric labels.
func knownMethod(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return m
	}
	return "other"
}
