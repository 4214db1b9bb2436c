package telemetry

import (
	"context"
	"log/slog"
	"strconv"

	"cloakroom/bff"
)

// refreshOutcomes are all there are, each with what it means to whoever reads the log: what it costs, and whose turn it is.
func refreshOutcomes() map[bff.Outcome]string {
	return map[bff.Outcome]string{
		bff.OutcomeRefreshed: "",
		bff.OutcomeSpent: "signed out at the provider or in another app, or its time is over: this session ends and its user signs in " +
			"again; many at once: look at the provider",
		bff.OutcomeClient:    "sessions live while their tokens last; compare client id, secret and token_auth with what is registered",
		bff.OutcomeTransient: "sessions live and it is tried again; if it goes on, look at the provider and the way to it",
		bff.OutcomeUnknown:   "sent without an answer, one later attempt follows; if it goes on, look at the way to the provider",
		bff.OutcomeStore:     "nothing was sent; look at Redis",
	}
}

// refresh has a provider's counters stand at zero, so that their first move is seen as one.
func (m *Metrics) refresh(provider string) {
	for outcome := range refreshOutcomes() {
		m.refreshes.WithLabelValues(provider, string(outcome), "false")
	}
}

// refreshBegins gives a refresh its span, and the id of the request that began it.
func (t *Telemetry) refreshBegins(ctx, life context.Context, e bff.SessionEvent) (context.Context, func()) {
	by := AccessOf(ctx)
	running, end := t.traces.refresh(ctx, life, e)
	return WithAccess(running, &Access{ID: by.ID, TraceID: by.TraceID}), end
}

func (t *Telemetry) refreshDone(ctx context.Context, e bff.RefreshEvent) {
	t.metrics.refreshes.WithLabelValues(e.Provider, string(e.Outcome), strconv.FormatBool(e.Later)).Inc()
	if e.Outcome != bff.OutcomeStore { // which was no call
		t.metrics.refreshTook.WithLabelValues(e.Provider).Observe(e.Took.Seconds())
	}
	t.traces.refreshed(ctx, e)
	attrs := []slog.Attr{
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("session", e.SessionID),
		slog.String("outcome", string(e.Outcome)), slog.Int64("generation", e.Generation), slog.Bool("later", e.Later),
		tookAttr(e.Took), errorAttr(e.Err),
	}
	level := slog.LevelInfo
	if e.Outcome != bff.OutcomeRefreshed {
		level, attrs = slog.LevelWarn, append(attrs, slog.String("means", refreshOutcomes()[e.Outcome]))
	}
	t.event(ctx, level, "refresh", attrs...)
}

func (t *Telemetry) refreshWaited(ctx context.Context, e bff.WaitEvent) {
	t.metrics.waitTook.WithLabelValues(e.Provider, waited(e.Err)).Observe(e.Took.Seconds())
	t.traces.waited(ctx, e)
}

// waited says what came of a wait: tokens, a frontend that left, the end of the session, or none of them in time.
func waited(err error) string {
	switch code := bff.CodeOf(err); {
	case err == nil:
		return "tokens"
	case code == bff.CodeClientGone:
		return "left"
	case code == bff.CodeSessionEnded || code == bff.CodeSessionExpired || code == bff.CodeSessionRequired:
		return "ended"
	default:
		return "unavailable"
	}
}

func (t *Telemetry) refreshClaimed(ctx context.Context, e bff.ClaimEvent) {
	t.metrics.claimTook.WithLabelValues(e.Provider, string(e.Result)).Observe(e.Took.Seconds())
	t.traces.claimed(ctx, e)
}
