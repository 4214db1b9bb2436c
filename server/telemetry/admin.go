package telemetry

import (
	"context"
	"log/slog"

	"cloakroom/bff"
)

// adminActed tells what an administrator did: once at the end and, of what takes its time, also at the beginning.
func (t *Telemetry) adminActed(ctx context.Context, e bff.AdminEvent) {
	t.metrics.adminActs.WithLabelValues(e.Action, e.Result).Inc() // fixed texts
	level := slog.LevelInfo
	if e.Result == "failed" {
		level = slog.LevelWarn
	}
	attrs := append([]slog.Attr{
		slog.String("action", e.Action), slog.String("result", e.Result), slog.String("client_ip", e.From),
		slog.Int("found", e.Found), slog.Int("ended", e.Ended), tookAttr(e.Took),
	}, selected(e)...)
	t.event(ctx, level, "admin_acted", append(attrs, errorAttr(e.Err))...)
}

// adminRefused tells of a request at the admin listener that got no further: somebody tries, or a program is set up wrong.
func (t *Telemetry) adminRefused(ctx context.Context, e bff.AdminEvent) {
	t.metrics.refusals.WithLabelValues("admin").Inc()
	t.event(ctx, slog.LevelWarn, "admin_refused",
		slog.String("rule", e.Result), slog.String("code", string(e.Code)), slog.String("client_ip", e.From))
}

// selected are the attributes of what an act was about, as far as it was said. The user is hashed, and so is the session at
// the provider.
func selected(e bff.AdminEvent) (attrs []slog.Attr) {
	for _, a := range []slog.Attr{
		slog.String("app", e.App), slog.String("provider", e.Provider),
		slog.String("subject", HashSubject(e.Provider, e.Subject)), slog.String("sid", hashSID(e.Provider, e.SID)),
		slog.String("session", e.SessionID), slog.String("code", string(e.Code)),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if e.DryRun {
		attrs = append(attrs, slog.Bool("dry_run", true))
	}
	return attrs
}

// hashSID is how a session at the provider appears in logs; "" for none.
func hashSID(provider, sid string) string {
	if sid == "" {
		return ""
	}
	return HashSubject(provider, "sid\x00"+sid)
}
