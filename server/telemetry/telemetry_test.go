package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"cloakroom/server/telemetry"
	"cloakroom/test/collector"
)

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// messages are what the lines say, in order.
func (l *lines) messages() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var e struct{ Msg string }
		_ = json.Unmarshal([]byte(line), &e)
		all = append(all, e.Msg)
	}
	return all
}

// still is a gateway at rest.
func still() telemetry.Asked {
	return telemetry.Asked{
		Drift:   func() time.Duration { return 0 },
		Pool:    func() telemetry.Pool { return telemetry.Pool{} },
		Unsaved: func() int { return 0 },
		Held:    func() map[string]bool { return nil },
	}
}

// quiet is telemetry with a log, and traces if the environment wants them.
func quiet(t *testing.T, traces *telemetry.Traces) (*telemetry.Telemetry, *lines) {
	t.Helper()
	log := new(lines)
	return telemetry.New(slog.New(slog.NewJSONHandler(log, nil)), telemetry.NewMetrics(still()), traces), log
}

func TestWhoWantsTraces(t *testing.T) {
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
	for _, row := range []struct {
		name   string
		env    []string
		wanted bool
		wrong  string
	}{
		{"an environment that says nothing", nil, false, ""},
		{"one that names an endpoint", []string{endpoint}, true, ""},
		{"one that names an endpoint for traces", []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces"}, true, ""},
		{"one with an empty endpoint", []string{"OTEL_EXPORTER_OTLP_ENDPOINT= "}, false, ""},
		{"one with an endpoint for metrics only", []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://collector:4318"}, false, ""},
		{"one that disables all of it", []string{endpoint, "OTEL_SDK_DISABLED=TRUE"}, false, ""},
		{"one that disables nothing", []string{endpoint, "OTEL_SDK_DISABLED=yes"}, true, ""},
		{"one without an exporter", []string{endpoint, "OTEL_TRACES_EXPORTER=none"}, false, ""},
		{"one with our exporter", []string{endpoint, "OTEL_TRACES_EXPORTER=otlp"}, true, ""},
		{"one with an exporter that is not here", []string{endpoint, "OTEL_TRACES_EXPORTER=zipkin"}, false, "zipkin"},
		{"one that wants gRPC", []string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, false, "grpc"},
		{"one that wants gRPC for other things", []string{endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"}, true, ""},
	} {
		wanted, err := telemetry.Wanted(row.env)
		if wanted != row.wanted || (err == nil) != (row.wrong == "") || err != nil && !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v %v, want %v %q", row.name, wanted, err, row.wanted, row.wrong)
		}
	}
}

// What a library tells of a command, today or after an update, does not leave the process unless it is listed.
//
// shows LOG-1
func TestWhatALibraryTellsOfACommandStays(t *testing.T) {
	c := collector.Start(t)
	traces, err := telemetry.NewTraces(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	tel, _ := quiet(t, traces)
	a := &telemetry.Access{Method: "GET", Route: "/api/"}
	h := http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"vendor=secret-of-a-proxy"}}
	ctx := tel.Begin(t.Context(), a, h, true)
	for scope, name := range map[string]string{
		"github.com/redis/go-redis/extra/redisotel": "hmget secret-in-a-name", "example.com/unheard-of": "hmget",
	} {
		_, span := traces.Redis().Tracer(scope).Start(ctx, name, trace.WithAttributes(
			attribute.String("db.system", "redis"), attribute.String("db.statement", "hmget secret-in-a-statement"),
			attribute.String("http.route", "secret-in-a-key-of-ours"), attribute.String("new.key", "secret-in-a-new-key"),
		), trace.WithLinks(trace.Link{SpanContext: trace.SpanContextFromContext(ctx), Attributes: []attribute.KeyValue{attribute.String("a", "secret-of-a-link")}}))
		span.AddEvent("secret-in-an-event")
		span.RecordError(errors.New("secret-in-an-error"))
		span.SetStatus(codes.Error, "secret-in-a-status")
		span.End()
	}
	_, unknown := traces.Redis().Tracer("github.com/redis/go-redis/extra/redisotel").Start(ctx, "secret-command")
	unknown.End()
	_, orphan := traces.Redis().Tracer("github.com/redis/go-redis/extra/redisotel").Start(t.Context(), "ping")
	orphan.End()
	tel.Access(ctx, a)
	if err := traces.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.Spans() {
		for key, text := range s.Attrs {
			got = append(got, s.Name+" "+key+"="+text)
		}
		if len(s.Attrs) == 0 {
			got = append(got, s.Name)
		}
	}
	want := map[string]bool{
		"redis hmget db.system=redis": true, "redis other": true,
		"GET /api/ http.route=/api/": true, "GET /api/ http.request.method=GET": true, "GET /api/ http.response.status_code=0": true,
	}
	have := make(map[string]bool)
	for _, s := range got {
		have[s] = true
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("what left the process (-want +got):\n%s", diff)
	}
	for _, raw := range c.Raw() {
		if bytes.Contains(raw, []byte("secret")) {
			t.Errorf("a secret left the process: %q", raw)
		}
	}
}

// Every hook of the domain is listened to: one that nobody hears is a security event that is not there.
//
// shows LOG-2
func TestEveryHookIsHeard(t *testing.T) {
	tel, _ := quiet(t, nil)
	hooks := reflect.ValueOf(tel.Trace()).Elem()
	for i := range hooks.NumField() {
		if hooks.Field(i).IsNil() {
			t.Errorf("nobody hears %s", hooks.Type().Field(i).Name)
		}
	}
}

// An outage is two lines, however many commands fail in it, and neither a command that fails now and then nor one that
// nobody waits for any more is one.
func TestAnOutageIsToldTwice(t *testing.T) {
	refused := errors.New("connection refused")
	for _, row := range []struct {
		name string
		fail func(saw func(error))
		want []string
	}{
		{"commands that fail", func(saw func(error)) {
			for range 1000 {
				saw(refused)
			}
		}, []string{"outage begins"}},
		{"commands that are given up", func(saw func(error)) {
			for range 1000 {
				saw(context.Canceled)
			}
		}, nil},
		{"commands of which every third works", func(saw func(error)) {
			for range 1000 {
				saw(refused)
				saw(refused)
				saw(nil)
			}
		}, nil},
		{"commands that fail, then work", func(saw func(error)) {
			for range 1000 {
				saw(refused)
			}
			saw(nil) // who knows
			time.Sleep(2 * time.Second)
			for range 1000 {
				saw(nil)
			}
		}, []string{"outage begins", "outage ends"}},
		{"an outage in which some commands work", func(saw func(error)) {
			for range 100 {
				saw(refused)
				saw(refused)
				saw(refused)
				saw(nil)
				time.Sleep(100 * time.Millisecond)
			}
		}, []string{"outage begins"}},
		{"commands that work", func(saw func(error)) { saw(nil) }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tel, log := quiet(t, nil)
				done := tel.Redis()
				row.fail(func(err error) { done("get", time.Millisecond, err) })
				if diff := cmp.Diff(row.want, log.messages()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A server that hangs is dialled all the same: the kernel answers for it.
func TestADialEndsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, log := quiet(t, nil)
		done := tel.Redis()
		for range 3 {
			done("get", time.Second, context.DeadlineExceeded)
		}
		time.Sleep(time.Minute)
		done("dial", time.Millisecond, nil)
		if diff := cmp.Diff([]string{"outage begins"}, log.messages()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// What is asked for at a scrape is told as it is.
func TestWhatIsAskedForAtAScrape(t *testing.T) {
	m := telemetry.NewMetrics(telemetry.Asked{
		Drift:   func() time.Duration { return -1500 * time.Millisecond },
		Pool:    func() telemetry.Pool { return telemetry.Pool{Open: 5, Idle: 2, Waits: 7, Timeouts: 3} },
		Unsaved: func() int { return 4 },
		Held:    func() map[string]bool { return map[string]bool{"main": true, "other": false} },
		Version: "v1",
	})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"bff_clock_drift_seconds -1.5", `bff_redis_connections{state="used"} 3`, `bff_redis_connections{state="idle"} 2`,
		"bff_redis_pool_waits_total 7", "bff_redis_pool_timeouts_total 3", "bff_unsaved_sessions 4",
		`bff_provider_breaker_open{provider="main"} 1`, `bff_provider_breaker_open{provider="other"} 0`, `version="v1"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// Nothing that Redis, a provider or an API says becomes a new label.
func TestLabelsAreBounded(t *testing.T) {
	metrics := telemetry.NewMetrics(still())
	tel := telemetry.New(slog.New(slog.DiscardHandler), metrics, nil)
	done := tel.Redis()
	for _, name := range []string{"get", "debug", "cr:s:{x}", ""} {
		done(name, time.Millisecond, nil)
	}
	answer := func(status int, err error) http.RoundTripper {
		return tripper(func(*http.Request) (*http.Response, error) {
			if err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})
	}
	for status, err := range map[int]error{200: nil, 999: nil, 777: nil, 1: context.Canceled, 2: context.DeadlineExceeded, 3: errors.New("x")} {
		resp, _ := tel.Upstream("/api/", answer(status, err)).RoundTrip(httptest.NewRequest("GET", "/", nil))
		if resp != nil {
			_ = resp.Body.Close()
		}
	}
	a := &telemetry.Access{Method: "BREW", Route: "/api/", Status: 405}
	tel.Access(tel.Begin(t.Context(), a, nil, false), a)
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`bff_redis_operation_duration_seconds_count{operation="get",result="ok"} 1`,
		`bff_redis_operation_duration_seconds_count{operation="other",result="ok"} 3`,
		`bff_upstream_request_duration_seconds_count{code="200",route="/api/"} 1`,
		`bff_upstream_request_duration_seconds_count{code="other",route="/api/"} 2`,
		`bff_upstream_request_duration_seconds_count{code="gone",route="/api/"} 1`,
		`bff_upstream_request_duration_seconds_count{code="timeout",route="/api/"} 1`,
		`bff_upstream_request_duration_seconds_count{code="error",route="/api/"} 1`,
		`bff_http_request_duration_seconds_count{code="405",method="other",route="/api/"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

type tripper func(*http.Request) (*http.Response, error)

// RoundTrip is http.RoundTripper.
func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
