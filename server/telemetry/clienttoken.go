package telemetry

import (
	"context"
	"log/slog"

	"cloakroom/bff"
)

// clientToken tells what came of an app's wanting a token of its own: who asked, and never the token.
func (t *Telemetry) clientToken(ctx context.Context, e bff.ClientTokenEvent) {
	t.metrics.clientTokens.WithLabelValues(e.App, string(e.Result)).Inc()
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelWarn
	}
	t.event(ctx, level, "client_token",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("client_id", e.ClientID),
		slog.String("result", string(e.Result)), tookAttr(e.Took), errorAttr(e.Err))
}
