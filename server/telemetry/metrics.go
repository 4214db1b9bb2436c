package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the gateway's counters, with a registry of their own. Names and labels are contract; no label holds a user,
// a session or a raw path.
type Metrics struct {
	registry *prometheus.Registry

	requests     *prometheus.HistogramVec
	logins       *prometheus.CounterVec
	ended        *prometheus.CounterVec
	refreshes    *prometheus.CounterVec
	refreshTook  prometheus.Histogram
	refreshWaits prometheus.Counter
	refusals     *prometheus.CounterVec
	alarms       prometheus.Counter
}

// NewMetrics makes and registers all of them. drift, Redis's clock less the local one, is asked for at each scrape.
func NewMetrics(drift func() time.Duration) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bff_http_request_duration_seconds", Help: "Requests on the public listener, by route, method and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
		}, []string{"route", "method", "code"}),
		logins:    counters("bff_logins_total", "Logins that began, succeeded or failed.", "result"),
		ended:     counters("bff_sessions_ended_total", "Sessions that ended, by reason.", "reason"),
		refreshes: counters("bff_refresh_total", "Calls for a refresh, by outcome.", "result"),
		refreshTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "bff_refresh_duration_seconds", Help: "Time from sending a refresh to its saved answer.",
			Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		refreshWaits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bff_refresh_waits_total", Help: "Requests that had to wait for a refresh.",
		}),
		refusals: counters("bff_refusals_total", "Requests refused by a guard, or for a credential that opens nothing.", "kind"),
		alarms: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "bff_alarms_total", Help: "Conditions an operator should look at; the log says which.",
		}),
	}
	m.registry.MustRegister(
		m.requests, m.logins, m.ended, m.refreshes, m.refreshTook, m.refreshWaits, m.refusals, m.alarms,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "bff_clock_drift_seconds", Help: "Redis's clock less the local one, as last sampled.",
		}, func() float64 { return drift().Seconds() }),
	)
	return m
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func counters(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
}
