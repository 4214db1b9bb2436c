package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	outageAfter = 3           // failures in a row: a connection that was closed fails once, a restart a second time
	outageCalm  = time.Second // without a failure before an outage is over: what fails now and then is not well yet
)

// outage watches one neighbour of the gateway, and says once that it is away and once that it is back, however many
// requests find out.
type outage struct {
	kind, name string
	log        *slog.Logger
	gauge      prometheus.Gauge

	row   atomic.Int32 // failures since the last success
	mu    sync.Mutex
	since time.Time // when the outage began; zero: there is none
	last  time.Time // when something failed last
}

// outage makes the watch of a neighbour. kind is "redis", "provider" or "traces"; name tells providers apart.
func (t *Telemetry) outage(kind, name string) *outage {
	gauge := t.metrics.outages.WithLabelValues(kind, name)
	gauge.Set(0)
	return &outage{kind: kind, name: name, log: t.log, gauge: gauge}
}

// saw counts one answer, or the lack of one. Who gave up waiting says nothing about the neighbour.
func (o *outage) saw(err error) {
	switch {
	case err == nil:
		if o.row.Load() > 0 { // else nothing is wrong: the usual case costs one look
			o.well(time.Now())
		}
	case !errors.Is(err, context.Canceled):
		o.failed(time.Now(), err)
	}
}

func (o *outage) failed(now time.Time, err error) {
	row := o.row.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = now
	if row < outageAfter || !o.since.IsZero() {
		return
	}
	o.since = now
	o.gauge.Set(1)
	o.log.Error("outage begins", "kind", o.kind, "name", o.name, "error", err.Error())
}

func (o *outage) well(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.row.Store(0)
		return
	}
	if now.Sub(o.last) < outageCalm {
		return
	}
	o.log.Warn("outage ends", "kind", o.kind, "name", o.name, "lasted_s", int64(now.Sub(o.since).Seconds()))
	o.gauge.Set(0)
	o.since = time.Time{}
	o.row.Store(0)
}
