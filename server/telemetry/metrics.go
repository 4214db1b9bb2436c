package telemetry

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the gateway's counters, with a registry of their own. Names and labels are contract; no label holds a user,
// a session or a raw path, and every label's values are bounded by the configuration or by a list in the code.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.HistogramVec
	inFlight prometheus.Gauge
	upstream *prometheus.HistogramVec
	streams  *prometheus.GaugeVec

	targetUp  *prometheus.GaugeVec
	targetOut *prometheus.CounterVec
	retries   *prometheus.CounterVec

	events     *prometheus.GaugeVec
	eventsSent *prometheus.CounterVec
	watchLooks *prometheus.CounterVec
	watchTook  prometheus.Histogram
	sockets    *prometheus.GaugeVec
	closed     *prometheus.CounterVec

	logins      *prometheus.CounterVec
	began       *prometheus.CounterVec
	ended       *prometheus.CounterVec
	revocations *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	limited     *prometheus.CounterVec
	alarms      *prometheus.CounterVec

	clientTokens *prometheus.CounterVec
	exchanges    *prometheus.CounterVec
	adminActs    *prometheus.CounterVec
	logouts      *prometheus.CounterVec
	loggedOut    *prometheus.CounterVec

	refreshes    *prometheus.CounterVec
	refreshTook  *prometheus.HistogramVec
	refreshWaits prometheus.Counter
	waitTook     *prometheus.HistogramVec
	claimTook    *prometheus.HistogramVec

	provider *prometheus.HistogramVec
	redis    *prometheus.HistogramVec
	outages  *prometheus.GaugeVec
}

// Pool is how the connections to Redis are used, now and since the start.
type Pool struct {
	Open, Idle uint32 // connections, now
	Waits      uint32 // how often a request had to wait for a free connection
	Timeouts   uint32 // how often it waited in vain
}

// Asked is what metrics are asked for at each scrape: none of it may wait for anything. Every function must be set.
type Asked struct {
	Drift   func() time.Duration   // Redis's clock less the local one
	Pool    func() Pool            // of the connections to Redis
	Unsaved func() int             // sessions whose newest tokens this process alone holds
	Held    func() map[string]bool // providers, and whether the breaker keeps calls from them
	Version string                 // of the gateway
}

// NewMetrics makes and registers all of them.
func NewMetrics(asked Asked) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.makeRequests()
	m.makeTargets()
	m.makeSessions()
	m.makeEvents()
	m.makeRefreshes()
	m.makeNeighbours()
	m.registry.MustRegister(
		m.targetUp, m.targetOut, m.retries,
		m.requests, m.inFlight, m.upstream, m.streams, m.sockets, m.closed,
		m.logins, m.began, m.ended, m.revocations, m.refusals, m.limited, m.alarms, m.adminActs, m.logouts, m.loggedOut,
		m.refreshes, m.refreshTook, m.refreshWaits, m.waitTook, m.claimTook,
		m.clientTokens, m.exchanges, m.provider, m.redis, m.outages,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		asked,
	)
	return m
}

// Handler serves the metrics in Prometheus's text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) makeRequests() {
	// From a millisecond, which is a request that Redis and a near API answer, to the longest that people wait.
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}
	m.requests = histograms("bff_http_request_duration_seconds",
		"Requests on the public listener, by route, method and status.", buckets, "route", "method", "code")
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bff_http_requests_in_flight", Help: "Requests on the public listener that have not ended, streams among them.",
	})
	m.upstream = histograms("bff_upstream_request_duration_seconds",
		"Calls to upstreams, to the head of the answer, by route and status, or by what kept an answer from coming.",
		buckets, "route", "code")
	m.streams = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bff_open_streams", Help: "Event streams of upstreams that are open, by route.",
	}, []string{"route"})
	m.sockets = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bff_open_websockets", Help: "WebSockets to upstreams that are open, by route.",
	}, []string{"route"})
	m.closed = counters("bff_websockets_closed_total", "WebSockets that were closed, by route and by what ended them.", "route", "by")
}

func (m *Metrics) makeSessions() {
	m.logins = counters("bff_logins_total", "Logins that began, succeeded or failed.", "app", "result")
	m.began = counters("bff_sessions_began_total", "Sessions that began, by app.", "app")
	m.ended = counters("bff_sessions_ended_total", "Sessions that ended, by app and reason.", "app", "reason")
	m.revocations = counters("bff_revocations_total", "Revocations at the provider that were made or given up.", "provider", "result")
	m.refusals = counters("bff_refusals_total", "Requests refused by a guard, for a credential that opens nothing, or at the admin "+
		"listener.", "kind")
	m.limited = counters("bff_rate_limited_total",
		"Requests refused because there were too many, by limit, and by whose count: this instance's own (local) or that of all "+
			"(shared).", "by", "count")
	m.logouts = counters("bff_provider_logouts_total",
		"Providers' words that a session is over, by channel (back: logout tokens; front: unsigned, by a browser) and by what came of them.",
		"provider", "channel", "result")
	m.loggedOut = counters("bff_provider_logout_sessions_total", "Sessions that ended by a provider's word.", "provider", "channel")
	m.adminActs = counters("bff_admin_actions_total", "What was done at the admin listener, and what became of it.", "action", "result")
	m.alarms = counters("bff_alarms_total", "Conditions an operator should look at, by the alarm's text.", "what")
}

func (m *Metrics) makeTargets() {
	m.targetUp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bff_upstream_target_up", Help: "1 while requests are sent to a target of an upstream, 0 while it is left alone.",
	}, []string{"upstream", "target"})
	m.targetOut = counters("bff_upstream_target_out_total",
		"How often a target was left alone, for failures in a row or by its own word about its health.", "upstream", "target", "why")
	m.retries = counters("bff_upstream_retries_total",
		"Requests that were sent to an upstream once more, by why.", "upstream", "why")
}

func (m *Metrics) makeRefreshes() {
	// To half a minute, which is the longest a call may take; a wait or a claim takes a little more.
	buckets := []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	m.refreshes = counters("bff_refresh_total",
		"Refreshes by outcome; later says that it was the later attempt after a doubtful one.", "provider", "result", "later")
	m.refreshTook = histograms("bff_refresh_duration_seconds",
		"Time from sending a refresh to its saved answer, or to its failure.", buckets, "provider")
	m.refreshWaits = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "bff_refresh_waits_total", Help: "Requests that had to wait for a refresh.",
	})
	m.waitTook = histograms("bff_refresh_wait_duration_seconds",
		"What requests waited for a refresh, by what came of it.", buckets, "provider", "result")
	m.claimTook = histograms("bff_refresh_claim_duration_seconds",
		"Time to a refresh's lease, or to another instance's tokens.", buckets, "provider", "result")
}

func (m *Metrics) makeNeighbours() {
	m.clientTokens = counters("bff_client_tokens_total", "Apps' own tokens that were wanted, by what came of it.", "app", "result")
	m.exchanges = counters("bff_token_exchanges_total", "Sessions' tokens sent to be exchanged for another API, by what came of it.",
		"app", "provider", "result")
	m.provider = histograms("bff_provider_request_duration_seconds",
		"Calls to providers, to the head of the answer, by endpoint and status, or by what kept an answer from coming.",
		[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}, "provider", "endpoint", "code") // the longest may take 20 s
	m.redis = histograms("bff_redis_operation_duration_seconds",
		"Commands to Redis, by command and result.",
		[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, .5}, "operation", "result") // an answer takes 0.5 s at most
	m.outages = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "bff_outage", Help: "1 while this instance finds Redis, a provider or the collector of traces out of order.",
	}, []string{"kind", "name"})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// gauge is a metric whose value is asked for at a scrape.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func askedGauge(name, help string, labels ...string) gauge {
	return gauge{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// askedMetrics are those that are asked for, in the order of Collect.
func askedMetrics() (all struct{ drift, connections, waits, timeouts, unsaved, breaker, build gauge }) {
	all.drift = askedGauge("bff_clock_drift_seconds", "Redis's clock less the local one, as last sampled.")
	all.connections = askedGauge("bff_redis_connections", "Connections to Redis, used or idle.", "state")
	all.waits = gauge{prometheus.NewDesc("bff_redis_pool_waits_total",
		"How often a connection to Redis had to be waited for.", nil, nil), prometheus.CounterValue}
	all.timeouts = gauge{prometheus.NewDesc("bff_redis_pool_timeouts_total",
		"How often a connection to Redis was waited for in vain.", nil, nil), prometheus.CounterValue}
	all.unsaved = askedGauge("bff_unsaved_sessions", "Sessions whose newest tokens are in this process's memory only.")
	all.breaker = askedGauge("bff_provider_breaker_open", "1 while the breaker keeps calls from a provider's token endpoint.", "provider")
	all.build = askedGauge("bff_build_info", "1, with the version of the gateway and of Go.", "version", "go")
	return all
}

// Describe is prometheus.Collector.
func (a Asked) Describe(to chan<- *prometheus.Desc) {
	all := askedMetrics()
	for _, g := range []gauge{all.drift, all.connections, all.waits, all.timeouts, all.unsaved, all.breaker, all.build} {
		to <- g.desc
	}
}

// Collect is prometheus.Collector.
func (a Asked) Collect(to chan<- prometheus.Metric) {
	tell := func(g gauge, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(g.desc, g.kind, value, labels...)
	}
	all, pool := askedMetrics(), a.Pool()
	tell(all.drift, a.Drift().Seconds())
	tell(all.connections, float64(pool.Open)-float64(pool.Idle), "used")
	tell(all.connections, float64(pool.Idle), "idle")
	tell(all.waits, float64(pool.Waits))
	tell(all.timeouts, float64(pool.Timeouts))
	tell(all.unsaved, float64(a.Unsaved()))
	for provider, held := range a.Held() {
		tell(all.breaker, oneIf(held), provider)
	}
	tell(all.build, 1, a.Version, runtime.Version())
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
