package telemetry

// RateLimited counts a request that was refused because there were too many: by is the limit, shared whether all instances
// together counted them, or this one alone.
func (t *Telemetry) RateLimited(by string, shared bool) {
	count := "local"
	if shared {
		count = "shared"
	}
	t.metrics.limited.WithLabelValues(by, count).Inc()
}
