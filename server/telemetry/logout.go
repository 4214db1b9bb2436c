package telemetry

import (
	"context"
	"log/slog"

	"cloakroom/bff"
)

// logoutToken tells what came of a provider's word that a session is over. Nothing of the token stands in it but the name
// of the rule that it broke.
func (t *Telemetry) logoutToken(ctx context.Context, e bff.LogoutEvent) {
	t.metrics.logouts.WithLabelValues(e.Provider, string(e.Channel), string(e.Result)).Inc()
	if e.Ended > 0 {
		t.metrics.loggedOut.WithLabelValues(e.Provider, string(e.Channel)).Add(float64(e.Ended))
	}
	level := slog.LevelWarn
	switch e.Result {
	case bff.LogoutAccepted:
		level = slog.LevelInfo
	case bff.LogoutFailed:
		level = slog.LevelError // who signed out is still signed in
	}
	t.event(ctx, level, "provider_logout",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("channel", string(e.Channel)),
		slog.String("result", string(e.Result)), slog.String("rule", e.Rule), slog.Int("ended", e.Ended), errorAttr(e.Err))
}
