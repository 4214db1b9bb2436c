package telemetry

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The names of our spans; those of requests are method and route. They are contract.
const (
	spanRefresh  = "refresh"
	spanWait     = "refresh wait"
	spanUpstream = "upstream "
	spanProvider = "provider "
	spanRedis    = "redis "
)

// The attributes of our spans. They are contract.
const (
	attrMethod   = attribute.Key("http.request.method")
	attrRoute    = attribute.Key("http.route")
	attrStatus   = attribute.Key("http.response.status_code")
	attrError    = attribute.Key("error.type")
	attrApp      = attribute.Key("cloakroom.app")
	attrProvider = attribute.Key("cloakroom.provider")
	attrEndpoint = attribute.Key("cloakroom.provider.endpoint")
	attrOutcome  = attribute.Key("cloakroom.refresh.outcome")
	attrLater    = attribute.Key("cloakroom.refresh.later")
	attrClaim    = attribute.Key("cloakroom.refresh.claim")
)

// allowed says which attributes a scope's spans may carry out of the process; spans of a scope that is not listed do not
// leave it at all. What a library adds in a later version is dropped until somebody has looked at it (ASVS 16.2.5: nothing
// secret or identifying is recorded).
func allowed(scopeName string) []attribute.Key {
	switch scopeName {
	case scope:
		return []attribute.Key{
			attrMethod, attrRoute, attrStatus, attrError, attrApp, attrProvider, attrEndpoint, attrOutcome, attrLater, attrClaim,
		}
	case "github.com/redis/go-redis/extra/redisotel":
		return []attribute.Key{"db.system", "server.address", "server.port"} // no statement, no connection string
	default:
		return nil
	}
}

// censor stands before the exporter and lets through what is listed, nothing else. It also keeps the exporter's failures
// from everybody: they are told as an outage, once.
type censor struct {
	next  sdk.SpanExporter
	watch *outage // nil: not told of
}

// ExportSpans is sdk.SpanExporter. It never fails: there is nobody who could do anything about it.
func (c *censor) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	var out []sdk.ReadOnlySpan
	for _, s := range spans {
		if keys := allowed(s.InstrumentationScope().Name); keys != nil {
			out = append(out, censored{s, keys})
		}
	}
	err := c.next.ExportSpans(ctx, out)
	if c.watch != nil {
		c.watch.saw(err)
	}
	return nil
}

// Shutdown is sdk.SpanExporter.
func (c *censor) Shutdown(ctx context.Context) error { return c.next.Shutdown(ctx) }

// censored is a span as it leaves: its own text is left out of it, and so are the words of errors, which stand in events
// and status.
type censored struct {
	sdk.ReadOnlySpan
	keys []attribute.Key
}

// Name is the span's name. A library's is made anew, from a list.
func (c censored) Name() string {
	if c.InstrumentationScope().Name == scope {
		return c.ReadOnlySpan.Name()
	}
	return redisSpan(c.ReadOnlySpan.Name())
}

// redisSpan names a command as metrics do; the client writes "redis.dial", "redis.pipeline get hmget" and "hmget".
func redisSpan(name string) string {
	name, _, _ = strings.Cut(strings.TrimPrefix(name, "redis."), " ")
	if !slices.Contains(redisOperations(), name) {
		name = "other"
	}
	return spanRedis + name
}

// Attributes are the listed ones.
func (c censored) Attributes() (kept []attribute.KeyValue) {
	for _, kv := range c.ReadOnlySpan.Attributes() {
		if slices.Contains(c.keys, kv.Key) {
			kept = append(kept, kv)
		}
	}
	return kept
}

// Events are none: they hold the words of errors.
func (censored) Events() []sdk.Event { return nil }

// Links are bare.
func (c censored) Links() (bare []sdk.Link) {
	for _, l := range c.ReadOnlySpan.Links() {
		bare = append(bare, sdk.Link{SpanContext: stateless(l.SpanContext)})
	}
	return bare
}

// Status has no text.
func (c censored) Status() sdk.Status { return sdk.Status{Code: c.ReadOnlySpan.Status().Code} }

// SpanContext is without the state that others passed along.
func (c censored) SpanContext() trace.SpanContext { return stateless(c.ReadOnlySpan.SpanContext()) }

// Parent is without it, too.
func (c censored) Parent() trace.SpanContext { return stateless(c.ReadOnlySpan.Parent()) }

func stateless(s trace.SpanContext) trace.SpanContext { return s.WithTraceState(trace.TraceState{}) }
