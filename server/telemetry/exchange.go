package telemetry

import (
	"context"
	"log/slog"

	"cloakroom/bff"
)

// tokenExchanged tells what came of exchanging a session's token for one for another API: for which one, and never a token.
func (t *Telemetry) tokenExchanged(ctx context.Context, e bff.ExchangeEvent) {
	t.metrics.exchanges.WithLabelValues(e.App, e.Provider, string(e.Result)).Inc()
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelWarn
	}
	t.event(ctx, level, "token_exchange",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("session", e.SessionID),
		slog.String("audience", e.Audience), slog.String("resource", e.Resource),
		slog.String("result", string(e.Result)), tookAttr(e.Took), errorAttr(e.Err))
}
