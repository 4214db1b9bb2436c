package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name our own spans are made under.
const scope = "cloakroom"

// Traces makes the spans of requests and hands them to a collector. A nil one is off: its methods do nothing.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	censor   *censor
}

// Wanted reports whether the standard environment asks for traces (OpenTelemetry specification, "OpenTelemetry Environment
// Variable Specification"): an endpoint is named, and neither OTEL_SDK_DISABLED nor OTEL_TRACES_EXPORTER says no. An error
// says that they are asked for in a way that is not spoken here; they stay off.
func Wanted(env []string) (bool, error) {
	get := func(name string) string { return strings.TrimSpace(lookup(env, name)) }
	if get("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return false, nil
	}
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporters := strings.Split(get("OTEL_TRACES_EXPORTER"), ","); {
	case exporters[0] == "" || slices.Contains(exporters, "otlp"):
	case slices.Contains(exporters, "none"):
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is unknown; otlp and none are known", exporters[0])
	}
	protocol := get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol != "" && !strings.HasPrefix(protocol, "http/") {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not spoken; http/protobuf is", protocol)
	}
	return true, nil
}

// lookup finds a variable; the last one wins, as for a process that is started with env.
func lookup(env []string, name string) (value string) {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// NewTraces makes what sends spans to the collector that the process's environment names, by OTLP over HTTP. It connects
// to nothing: a collector that is not there costs a line in the log now and then, and no request anything. Endpoint,
// fields, certificates, sampler, resource and batches are read from OTEL_* variables by the library.
func NewTraces(ctx context.Context, version string) (*Traces, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("exporter of traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "cloakroom"), attribute.String("service.version", version)),
		resource.WithFromEnv()) // last: the operator's words win
	if err != nil {
		return nil, fmt.Errorf("resource of traces: %w", err)
	}
	c := &censor{next: exporter}
	p := sdk.NewTracerProvider(sdk.WithBatcher(c), sdk.WithResource(about))
	return &Traces{provider: p, tracer: p.Tracer(scope), censor: c}, nil
}

// LogTracing has what the tracing library complains of, settings that it cannot read above all, written to log. The
// library knows one place for the whole process, and by default writes plain text to standard error, in the middle of a
// log that is JSON. So this is called once, by the command that owns the process. Its own diagnostics are dropped: they
// may repeat OTEL_EXPORTER_OTLP_HEADERS, which hold credentials.
func LogTracing(log *slog.Logger) {
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", err.Error()) }))
}

// Close sends what spans there are, for as long as ctx lasts, and stops.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Redis returns what the store makes spans of its commands with: those that belong to a request or a refresh, and none of
// those that the store sends by itself. nil while traces are off.
func (t *Traces) Redis() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return children{t.provider}
}

// children hands out tracers that make a span only within another.
type children struct{ trace.TracerProvider }

// Tracer is trace.TracerProvider.
func (c children) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return childTracer{c.TracerProvider.Tracer(name, options...)}
}

type childTracer struct{ trace.Tracer }

// Start is trace.Tracer.
func (t childTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if within := trace.SpanFromContext(ctx); !within.SpanContext().IsValid() {
		return ctx, within // which does nothing
	}
	return t.Tracer.Start(ctx, name, options...)
}
