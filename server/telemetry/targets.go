package telemetry

import "log/slog"

// TargetMoved is told that a target of an upstream came in or went out, why, and what it met with last. It writes a line, for it
// belongs to no request; that a target is in when the gateway starts is nothing to tell.
func (t *Telemetry) TargetMoved(origin, target string, in bool, why string, cause error) {
	t.metrics.targetUp.WithLabelValues(origin, target).Set(oneIf(in))
	attrs := []any{slog.String("upstream", origin), slog.String("target", target), slog.String("why", why)}
	switch {
	case why == "start":
	case in:
		t.log.Info("a target of an upstream is in again", attrs...)
	default:
		t.metrics.targetOut.WithLabelValues(origin, target, why).Inc()
		if cause != nil {
			attrs = append(attrs, slog.String("error", cause.Error()))
		}
		t.log.Warn("a target of an upstream is out", attrs...)
	}
}

// Retried is told that a request is sent to an upstream once more.
func (t *Telemetry) Retried(origin, why string) {
	t.metrics.retries.WithLabelValues(origin, why).Inc()
}
