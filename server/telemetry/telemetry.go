// Package telemetry turns what happens in the gateway into log lines, security events and metrics. It is told by the
// functions of bff.Trace, which carry values only, and by the access log's middleware. It knows neither Redis nor the
// provider, keeps no state but counters, and writes no secret: what it is given is public names, and subjects, which it
// hashes.
package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"time"

	"cloakroom/bff"
)

// Telemetry is where the gateway reports to.
type Telemetry struct {
	log     *slog.Logger
	metrics *Metrics
}

// New reports to log and metrics.
func New(log *slog.Logger, metrics *Metrics) *Telemetry {
	return &Telemetry{log: log, metrics: metrics}
}

// Trace returns the domain's hooks. Each security event is one line with event, app, client and request id; names of
// events are contract.
func (t *Telemetry) Trace() *bff.Trace {
	return &bff.Trace{
		LoginBegan: func(_ context.Context, _ bff.LoginEvent) { t.metrics.logins.WithLabelValues("began").Inc() },
		SessionBegan: func(ctx context.Context, e bff.SessionEvent) {
			t.metrics.logins.WithLabelValues("succeeded").Inc()
			t.event(ctx, slog.LevelInfo, "session_began", session(e)...)
		},
		LoginFailed:  t.loginFailed,
		SessionEnded: t.sessionEnded,
		RefreshDone:  t.refreshDone,
		RefreshWaiting: func(_ context.Context, _ bff.SessionEvent) {
			t.metrics.refreshWaits.Inc()
		},
		CredentialRefused: func(ctx context.Context, e bff.RefusalEvent) {
			t.metrics.refusals.WithLabelValues("credential").Inc()
			t.event(ctx, slog.LevelWarn, "credential_refused", slog.String("app", e.App), slog.String("rule", e.Rule))
		},
		GuardRefused: func(ctx context.Context, e bff.RefusalEvent) {
			t.metrics.refusals.WithLabelValues("guard").Inc()
			t.event(ctx, slog.LevelWarn, "guard_refused", slog.String("app", e.App), slog.String("rule", e.Rule))
		},
		Revoked: t.revoked,
		Alarm: func(ctx context.Context, e bff.AlarmEvent) {
			t.metrics.alarms.Inc()
			t.event(ctx, slog.LevelError, "alarm", slog.String("what", e.What), errorAttr(e.Err))
		},
	}
}

func (t *Telemetry) loginFailed(ctx context.Context, e bff.LoginEvent) {
	t.metrics.logins.WithLabelValues("failed").Inc()
	level := slog.LevelWarn
	if e.Code == string(bff.CodeInternal) {
		level = slog.LevelError
	}
	t.event(ctx, level, "login_failed",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("client_id", e.ClientID),
		slog.String("code", e.Code), errorAttr(e.Err))
}

func (t *Telemetry) sessionEnded(ctx context.Context, e bff.SessionEvent) {
	t.metrics.ended.WithLabelValues(string(e.Reason)).Inc()
	t.event(ctx, slog.LevelInfo, "session_ended", session(e)...)
}

func (t *Telemetry) refreshDone(ctx context.Context, e bff.RefreshEvent) {
	t.metrics.refreshes.WithLabelValues(string(e.Outcome)).Inc()
	t.metrics.refreshTook.Observe(e.Took.Seconds())
	level := slog.LevelInfo
	if e.Outcome != bff.OutcomeRefreshed {
		level = slog.LevelWarn
	}
	t.event(ctx, level, "refresh",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("session", e.SessionID),
		slog.String("outcome", string(e.Outcome)), slog.Int64("generation", e.Generation), slog.Bool("later", e.Later),
		tookAttr(e.Took), errorAttr(e.Err))
}

func (t *Telemetry) revoked(ctx context.Context, e bff.RevocationEvent) {
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelError
	}
	t.event(ctx, level, "tokens_revoked", slog.String("app", e.App), slog.String("session", e.SessionID), errorAttr(e.Err))
}

// event writes one security event.
func (t *Telemetry) event(ctx context.Context, level slog.Level, name string, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("event", name), slog.String("request_id", AccessOf(ctx).ID)}, attrs...)
	t.log.LogAttrs(ctx, level, "security event", attrs...)
}

// session are the attributes of a session event: the subject hashed, so that events of one person can be followed without
// naming the person.
func session(e bff.SessionEvent) []slog.Attr {
	attrs := []slog.Attr{slog.String("app", e.App), slog.String("session", e.SessionID)}
	for _, a := range []slog.Attr{
		slog.String("provider", e.Provider), slog.String("client_id", e.ClientID),
		slog.String("subject", HashSubject(e.Provider, e.Subject)), slog.String("reason", string(e.Reason)),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// HashSubject is how a user appears in logs: a short hash of provider and subject; "" for no subject.
func HashSubject(provider, subject string) string {
	if subject == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("cloakroom subject\x00" + provider + "\x00" + subject))
	return hex.EncodeToString(sum[:8]) // enough to tell users apart in a log
}

// errorAttr is the cause of a failure, or nothing. Errors of this gateway hold no secret: the packages that speak with
// Redis and the provider see to that.
func errorAttr(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.String("error", err.Error())
}

// tookAttr is a duration as people read it: milliseconds.
func tookAttr(d time.Duration) slog.Attr {
	return slog.Float64("took_ms", float64(d.Microseconds())/1000)
}
