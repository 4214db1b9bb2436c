// Package collector takes traces by OTLP over HTTP, as a collector of OpenTelemetry does, for tests that look at what a
// gateway exports.
//
// It knows the protocol's protobuf form. It does not know what a gateway's spans mean.
package collector

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"

	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it arrived.
type Span struct {
	*traces.Span
	Scope string            // who made it
	Attrs map[string]string // its attributes, as text
	About map[string]string // those of the resource
}

// Collector is a collector on a socket of its own.
type Collector struct {
	server *httptest.Server
	mu     sync.Mutex
	spans  []Span
	raw    [][]byte
	down   bool
}

// Start listens until the test ends, and has the environment of this process send its traces here, soon.
func Start(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	for _, kv := range c.Environ() {
		t.Setenv(kv[0], kv[1])
	}
	return c
}

// Environ is what a process needs in its environment to send its traces here: names and values.
func (c *Collector) Environ() [][2]string {
	return [][2]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", c.server.URL},
		{"OTEL_BSP_SCHEDULE_DELAY", "50"}, // milliseconds; the default of five seconds is for production
	}
}

// Refuse has every export answered with 500 from now on, or no longer.
func (c *Collector) Refuse(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = is
}

// ServeHTTP takes an export.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	var export collected.ExportTraceServiceRequest
	switch {
	case c.down:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.raw = append(c.raw, body)
	for _, rs := range export.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, Span{s, ss.Scope.Name, texts(s.Attributes), texts(rs.Resource.Attributes)})
			}
		}
	}
}

// texts writes attributes as text.
func texts(attrs []*common.KeyValue) map[string]string {
	all := make(map[string]string)
	for _, kv := range attrs {
		switch v := kv.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			all[kv.Key] = strconv.FormatInt(v.IntValue, 10)
		case *common.AnyValue_BoolValue:
			all[kv.Key] = strconv.FormatBool(v.BoolValue)
		default:
			all[kv.Key] = kv.Value.String()
		}
	}
	return all
}

// Spans returns what has arrived so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Named returns the spans of a name.
func (c *Collector) Named(name string) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return s.Name != name })
}

// Raw returns the bodies of all exports.
func (c *Collector) Raw() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw)
}
