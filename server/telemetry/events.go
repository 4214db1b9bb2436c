package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom/bff"
)

// makeEvents makes and registers what tells of the gateway's own event streams, and of the looks that they cost.
func (m *Metrics) makeEvents() {
	m.events = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bff_event_streams", Help: "Event streams of the gateway's own that are open, by surface.",
	}, []string{"surface"})
	m.eventsSent = counters("bff_events_sent_total", "Events written to those streams, by event.", "event")
	m.watchLooks = counters("bff_watch_looks_total",
		"Records of sessions that streams hang on that were looked at, by what was found.", "result")
	m.watchTook = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "bff_watch_look_duration_seconds", Help: "Looks at some such records, 256 at most, in one pipeline.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .05, .1, .5, 1, 3}, // a look is given up after 3 s
	})
	m.registry.MustRegister(m.events, m.eventsSent, m.watchLooks, m.watchTook)
}

func (t *Telemetry) watchSwept(_ context.Context, e bff.SweepEvent) {
	t.metrics.watchLooks.WithLabelValues("alive").Add(float64(e.Looked - e.Ended - e.Unknown))
	t.metrics.watchLooks.WithLabelValues("ended").Add(float64(e.Ended))
	t.metrics.watchLooks.WithLabelValues("unknown").Add(float64(e.Unknown))
	t.metrics.watchTook.Observe(e.Took.Seconds())
}

func (t *Telemetry) eventStream(_ context.Context, e bff.StreamEvent) {
	open := t.metrics.events.WithLabelValues(e.Surface)
	if e.Open {
		open.Inc()
		return
	}
	open.Dec()
}

func (t *Telemetry) eventSent(_ context.Context, e bff.SentEvent) {
	t.metrics.eventsSent.WithLabelValues(e.Event).Inc()
}
