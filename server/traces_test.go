package server_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/server"
	"cloakroom/server/telemetry"
	"cloakroom/test/collector"
)

// parrot is an upstream that answers with the fields of a trace it got.
func parrot(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Traceparent")+"|"+r.Header.Get("Tracestate")+"|"+r.Header.Get("Baggage"))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// ofATrace are the fields of somebody's trace, as a frontend or a proxy sends them.
const ofATrace = "\nTraceparent: " + traceparent + "\nTracestate: vendor=opaque\nBaggage: user=ada"

// Who may say which trace a request belongs to: a proxy that is trusted, nobody else (ASVS 16.4.1). The provider is told of none.
//
// shows LOG-2
func TestWhoseTraceItIs(t *testing.T) {
	for _, row := range []struct {
		name    string
		peer    string // what the gateway takes the peer for
		trusted bool
	}{
		{"a trusted proxy", "127.0.0.1:4711", true},
		{"a frontend", "192.0.2.7:4711", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := collector.Start(t)
			traces, err := telemetry.NewTraces(t.Context(), "v1")
			if err != nil {
				t.Fatal(err)
			}
			s, log := wired(t, "/open/", parrot(t), server.Options{Traces: traces})
			r := httptest.NewRequest("GET", "http://app.example.com/open/x", nil)
			r.RemoteAddr = row.peer
			r.Header.Set("Traceparent", traceparent)
			r.Header.Set("Tracestate", "vendor=opaque")
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if err := traces.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			request, call := c.Named("GET /open/"), c.Named("upstream /open/")
			if len(request) != 1 || len(call) != 1 {
				t.Fatalf("%d requests and %d calls: %v", len(request), len(call), c.Spans())
			}
			id := hex.EncodeToString(request[0].TraceId)
			theirs := strings.Split(traceparent, "-")
			linked := len(request[0].Links) == 1 && hex.EncodeToString(request[0].Links[0].SpanId) == theirs[2]
			if (id == theirs[1]) != row.trusted || linked == row.trusted || (hex.EncodeToString(request[0].ParentSpanId) == theirs[2]) != row.trusted {
				t.Errorf("trace %s, parent %x, links %v", id, request[0].ParentSpanId, request[0].Links)
			}
			state := ""
			if row.trusted {
				state = "vendor=opaque"
			}
			want := "00-" + id + "-" + hex.EncodeToString(call[0].SpanId) + "-01|" + state + "|"
			if got := w.Body.String(); got != want {
				t.Errorf("the upstream got %q, want %q", got, want)
			}
			if !strings.Contains(log.String(), `"trace_id":"`+id+`"`) {
				t.Errorf("the line of the request does not name its trace: %s", log)
			}
		})
	}
}

// Without traces a gateway takes no part in them: what came goes on as it came.
func TestWithoutTracesAFrontendsGoesOn(t *testing.T) {
	f := newFront(t, "/open/", parrot(t))
	_, body := f.ask("GET /open/x HTTP/1.1\nHost: app.example.com" + ofATrace)
	if body != traceparent+"|vendor=opaque|user=ada" {
		t.Errorf("the upstream got %q", body)
	}
	if strings.Contains(f.log.String(), "trace_id") {
		t.Errorf("the log names a trace: %s", f.log)
	}
}

// serving runs the command with traces as the environment says, stops it once it listens, and returns its log and what the
// stop took.
func serving(t *testing.T, env ...string) (log []string, stopped time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- server.Command(ctx, []string{"serve", "--config", serveable(t)}, env, io.Discard, in)
		_ = in.Close()
	}()
	var began time.Time
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log = append(log, lines.Text())
		var line struct{ Listener, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Errorf("log line %q: %v", lines.Text(), err)
		}
		if line.Listener == "public" {
			go func() {
				alive(t, line.Addr) // one request, whose span waits to be sent
				began = time.Now()
				stop()
			}()
		}
	}
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0", got)
	}
	return log, time.Since(began)
}

func TestAStopSendsTheLastSpans(t *testing.T) {
	c := collector.Start(t)
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.Environ()[0][1]}
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // only the stop sends
	serving(t, env...)
	if got := c.Named("GET /healthz"); len(got) != 1 || got[0].About["service.name"] != "cloakroom" {
		t.Errorf("%d spans of the one request: %v", len(got), got)
	}
}

func TestAStopDoesNotWaitForACollector(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); srv.Close() })
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	log, took := serving(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+srv.URL)
	if took > 10*time.Second { // the exporter by itself tries for a minute
		t.Errorf("the stop took %v", took)
	}
	if !slices.ContainsFunc(log, func(line string) bool { return strings.Contains(line, "the last traces were not sent") }) {
		t.Errorf("nobody says that spans were lost: %q", log)
	}
}

// Traces that are asked for in a way that is not spoken here are off, and the log says so.
func TestTracesThatCannotBeHad(t *testing.T) {
	log, _ := serving(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	if !slices.ContainsFunc(log, func(line string) bool {
		return strings.Contains(line, "traces are off") && strings.Contains(line, "grpc")
	}) {
		t.Errorf("%q", log)
	}
}
