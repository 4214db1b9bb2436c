package telemetry

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"cloakroom/bff"
)

// serve begins the span of a request. What a frontend says of a trace is believed only where a trusted proxy says it, as
// its X-Request-Id is: anybody else would choose what is sampled and file spans under others' traces. It is linked instead
// (W3C Trace Context section 4.2, "restart the trace").
func (t *Traces) serve(ctx context.Context, a *Access, h http.Header, trusted bool) context.Context {
	if t == nil {
		return ctx
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	came := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.HeaderCarrier(h)))
	switch {
	case came.IsValid() && trusted:
		ctx = trace.ContextWithRemoteSpanContext(ctx, came)
	case came.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: came}))
	}
	ctx, a.span = t.tracer.Start(ctx, knownMethod(a.Method), options...) // its name is known at its end
	a.TraceID = a.span.SpanContext().TraceID().String()
	return ctx
}

// served ends the span of a request.
func (a *Access) served() {
	if a.span == nil {
		return
	}
	a.span.SetName(knownMethod(a.Method) + " " + a.Route)
	a.span.SetAttributes(attrMethod.String(knownMethod(a.Method)), attrRoute.String(a.Route), attrStatus.Int(a.Status))
	for key, text := range map[attribute.Key]string{attrApp: a.App, attrError: a.Code} {
		if text != "" {
			a.span.SetAttributes(key.String(text))
		}
	}
	if a.Status >= 500 {
		a.span.SetStatus(codes.Error, "")
	}
	a.span.End()
}

// call is the span of a call to somebody else; the zero value is none.
type call struct{ span trace.Span }

// callUpstream begins the span of a call to an API, and tells the API of it by traceparent. Without traces the request
// goes as it is.
func (t *Traces) callUpstream(out *http.Request, route string) (*http.Request, call) {
	if t == nil {
		return out, call{}
	}
	out, c := t.call(out, spanUpstream+route, attrRoute.String(route))
	out.Header = out.Header.Clone() // http.RoundTripper: the request is not ours to change
	out.Header.Del("Tracestate")    // of the frontend's trace, which ended here unless Inject says otherwise
	propagation.TraceContext{}.Inject(out.Context(), propagation.HeaderCarrier(out.Header))
	return out, c
}

// callProvider begins the span of a call to a provider, which is not told of it.
func (t *Traces) callProvider(out *http.Request, name, endpoint string) (*http.Request, call) {
	if t == nil {
		return out, call{}
	}
	return t.call(out, spanProvider+endpoint, attrProvider.String(name), attrEndpoint.String(endpoint))
}

func (t *Traces) call(out *http.Request, name string, attrs ...attribute.KeyValue) (*http.Request, call) {
	ctx, span := t.tracer.Start(out.Context(), name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(append(attrs, attrMethod.String(knownMethod(out.Method)))...))
	return out.WithContext(ctx), call{span}
}

// answered ends the span of a call.
func (c call) answered(resp *http.Response, word string) {
	switch {
	case c.span == nil:
		return
	case resp == nil:
		c.span.SetAttributes(attrError.String(word))
		c.span.SetStatus(codes.Error, "")
	default:
		c.span.SetAttributes(attrStatus.Int(resp.StatusCode))
		if resp.StatusCode >= 500 {
			c.span.SetStatus(codes.Error, "")
		}
	}
	c.span.End()
}

// refresh begins the span of a refresh. It belongs to the trace of the request that began it, and is linked to it as well,
// for it may go on long after it.
func (t *Traces) refresh(ctx, life context.Context, e bff.SessionEvent) (context.Context, func()) {
	if t == nil {
		return life, func() {}
	}
	by := trace.SpanContextFromContext(ctx)
	running, span := t.tracer.Start(trace.ContextWithSpanContext(life, by), spanRefresh,
		trace.WithLinks(trace.Link{SpanContext: by}),
		trace.WithAttributes(attrApp.String(e.App), attrProvider.String(e.Provider)))
	return running, func() { span.End() }
}

// refreshed notes in a refresh's span what became of it.
func (t *Traces) refreshed(ctx context.Context, e bff.RefreshEvent) {
	if t == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	span.SetAttributes(attrOutcome.String(string(e.Outcome)), attrLater.Bool(e.Later))
	if e.Outcome != bff.OutcomeRefreshed {
		span.SetStatus(codes.Error, "")
	}
}

// claimed notes in a refresh's span what came of its claim.
func (t *Traces) claimed(ctx context.Context, e bff.ClaimEvent) {
	if t != nil {
		trace.SpanFromContext(ctx).SetAttributes(attrClaim.String(string(e.Result)))
	}
}

// waited makes the span of a request's wait, when it is over.
func (t *Traces) waited(ctx context.Context, e bff.WaitEvent) {
	if t == nil {
		return
	}
	now := time.Now()
	_, span := t.tracer.Start(ctx, spanWait, trace.WithTimestamp(now.Add(-e.Took)),
		trace.WithAttributes(attrApp.String(e.App), attrProvider.String(e.Provider)))
	if e.Err != nil {
		span.SetAttributes(attrError.String(string(bff.CodeOf(e.Err))))
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(now))
}
