package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// code is a metric's label for how a call ended: the status, or what kept an answer from coming.
func code(resp *http.Response, err error) string {
	var network net.Error
	switch {
	case err == nil && (resp.StatusCode < 100 || resp.StatusCode > 599):
		return "other" // there are a thousand codes, of which nobody means most
	case err == nil:
		return strconv.Itoa(resp.StatusCode)
	case errors.Is(err, context.Canceled):
		return "gone" // nobody waits for it any more
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "timeout"
	default:
		return "error"
	}
}

// upstream is the transport of one route's calls, measured.
type upstream struct {
	next  http.RoundTripper
	tel   *Telemetry
	route string
	took  prometheus.ObserverVec
	open  prometheus.Gauge
}

// Upstream puts a measure around the transport of a route, and a span where traces are on.
func (t *Telemetry) Upstream(route string, next http.RoundTripper) http.RoundTripper {
	return &upstream{
		next: next, tel: t, route: route,
		took: t.metrics.upstream.MustCurryWith(prometheus.Labels{"route": route}),
		open: t.metrics.streams.WithLabelValues(route),
	}
}

// RoundTrip asks the API and measures to the head of its answer: the rest is as fast as the frontend reads.
func (u *upstream) RoundTrip(out *http.Request) (*http.Response, error) {
	began := time.Now()
	out, span := u.tel.traces.callUpstream(out, u.route)
	resp, err := u.next.RoundTrip(out)
	word := code(resp, err)
	u.took.WithLabelValues(word).Observe(time.Since(began).Seconds())
	span.answered(resp, word)
	if err == nil && isEventStream(resp) {
		u.open.Inc()
		resp.Body = &stream{ReadCloser: resp.Body, over: u.open.Dec}
	}
	return resp, err
}

func isEventStream(resp *http.Response) bool {
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// stream is the body of an open stream: it is counted until it is closed.
type stream struct {
	io.ReadCloser
	once sync.Once
	over func()
}

// Close counts the stream out.
func (s *stream) Close() error {
	s.once.Do(s.over)
	return s.ReadCloser.Close()
}

// WebSocket counts one that opens on a route, and out again by what ended it.
func (t *Telemetry) WebSocket(route string) (closed func(by string)) {
	open := t.metrics.sockets.WithLabelValues(route)
	open.Inc()
	return func(by string) {
		open.Dec()
		t.metrics.closed.WithLabelValues(route, by).Inc()
	}
}

// provider is the transport of calls to one provider, measured.
type provider struct {
	next     http.RoundTripper
	tel      *Telemetry
	name     string
	endpoint func(context.Context) string
	took     prometheus.ObserverVec
	watch    *outage
}

// Provider returns what stands around the transports of the calls to a provider: a measure, a watch for outages, and a
// span where traces are on. endpoint names what a call asks by its context. No trace is passed on: who asks is nothing the
// provider needs to tell its own users' requests apart by.
func (t *Telemetry) Provider(name string, endpoint func(context.Context) string) func(http.RoundTripper) http.RoundTripper {
	t.metrics.refresh(name)
	took, watch := t.metrics.provider.MustCurryWith(prometheus.Labels{"provider": name}), t.outage("provider", name)
	return func(next http.RoundTripper) http.RoundTripper {
		return &provider{next: next, tel: t, name: name, endpoint: endpoint, took: took, watch: watch}
	}
}

// RoundTrip asks the provider.
func (p *provider) RoundTrip(out *http.Request) (*http.Response, error) {
	began, endpoint := time.Now(), p.endpoint(out.Context())
	out, span := p.tel.traces.callProvider(out, p.name, endpoint)
	resp, err := p.next.RoundTrip(out)
	word := code(resp, err)
	p.took.WithLabelValues(endpoint, word).Observe(time.Since(began).Seconds())
	span.answered(resp, word)
	p.watch.saw(fault(resp, err))
	return resp, err
}

// fault is what is wrong with a provider that gave this answer: one that refuses is well.
func fault(resp *http.Response, err error) error {
	if err == nil && resp.StatusCode >= 500 {
		return fmt.Errorf("answer with status %d", resp.StatusCode)
	}
	return err
}
