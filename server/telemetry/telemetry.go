// Package telemetry turns what happens in the gateway into log lines, security events, metrics and traces. It is told by
// the functions of bff.Trace, which carry values only, by the access log's middleware, and by what stands around the calls
// to upstreams, providers and Redis. It knows neither Redis nor the provider, keeps no state but counters, and writes no
// secret: what it is given is public names, and subjects, which it hashes.
//
//	access.go      a request: its line, its count, its span
//	clienttoken.go an app's own token: its event and count
//	refresh.go     a refresh: its event, its counts, what each outcome means
//	logout.go      a provider's word that a session is over
//	admin.go       what administrators do
//	limits.go      requests that were too many
//	metrics.go     every metric, with its name, labels and meaning
//	calls.go       calls to upstreams and providers, measured
//	targets.go     the targets of upstreams: in or out
//	redis.go       commands to Redis, measured
//	events.go      the gateway's own event streams, and what watching sessions costs
//	outage.go      a neighbour that is away: one line when it goes, one when it is back
//	traces.go      whether there are traces, and where they go
//	spans.go       the spans that we make
//	censor.go      what of a span may leave the process
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
	traces  *Traces
}

// New reports to log, metrics and, where traces is not nil, to a collector.
func New(log *slog.Logger, metrics *Metrics, traces *Traces) *Telemetry {
	t := &Telemetry{log: log, metrics: metrics, traces: traces}
	if traces != nil {
		traces.censor.watch = t.outage("traces", "")
	}
	return t
}

// Trace returns the domain's hooks. Each security event is one line with event, app, client and request id; names of
// events are contract.
func (t *Telemetry) Trace() *bff.Trace {
	return &bff.Trace{
		LoginBegan: func(_ context.Context, e bff.LoginEvent) {
			t.metrics.logins.WithLabelValues(e.App, "began").Inc()
		},
		SessionBegan:  t.sessionBegan,
		LoginFailed:   t.loginFailed,
		SessionEnded:  t.sessionEnded,
		RefreshBegins: t.refreshBegins,
		RefreshDone:   t.refreshDone,
		RefreshWaiting: func(_ context.Context, _ bff.SessionEvent) {
			t.metrics.refreshWaits.Inc()
		},
		RefreshWaited:  t.refreshWaited,
		RefreshClaimed: t.refreshClaimed,
		CredentialRefused: func(ctx context.Context, e bff.RefusalEvent) {
			t.metrics.refusals.WithLabelValues("credential").Inc()
			t.event(ctx, slog.LevelWarn, "credential_refused", slog.String("app", e.App), slog.String("rule", e.Rule))
		},
		GuardRefused: func(ctx context.Context, e bff.RefusalEvent) {
			t.metrics.refusals.WithLabelValues("guard").Inc()
			t.event(ctx, slog.LevelWarn, "guard_refused", slog.String("app", e.App), slog.String("rule", e.Rule))
		},
		ProviderSessionEnded: t.providerSessionEnded,
		Revoked:              t.revoked,
		ClientToken:          t.clientToken,
		TokenExchanged:       t.tokenExchanged,
		LogoutToken:          t.logoutToken,
		AdminActed:           t.adminActed,
		WatchSwept:           t.watchSwept,
		EventStream:          t.eventStream,
		EventSent:            t.eventSent,
		AdminRefused:         t.adminRefused,
		Alarm: func(ctx context.Context, e bff.AlarmEvent) {
			t.metrics.alarms.WithLabelValues(e.What).Inc() // a fixed text
			t.event(ctx, slog.LevelError, "alarm", slog.String("what", e.What), errorAttr(e.Err))
		},
	}
}

func (t *Telemetry) sessionBegan(ctx context.Context, e bff.SessionEvent) {
	t.metrics.logins.WithLabelValues(e.App, "succeeded").Inc()
	t.metrics.began.WithLabelValues(e.App).Inc()
	t.event(ctx, slog.LevelInfo, "session_began", session(e)...)
}

func (t *Telemetry) loginFailed(ctx context.Context, e bff.LoginEvent) {
	t.metrics.logins.WithLabelValues(e.App, "failed").Inc()
	level := slog.LevelWarn
	if e.Code == string(bff.CodeInternal) {
		level = slog.LevelError
	}
	t.event(ctx, level, "login_failed",
		slog.String("app", e.App), slog.String("provider", e.Provider), slog.String("client_id", e.ClientID),
		slog.String("code", e.Code), errorAttr(e.Err))
}

func (t *Telemetry) sessionEnded(ctx context.Context, e bff.SessionEvent) {
	t.metrics.ended.WithLabelValues(e.App, string(e.Reason)).Inc()
	t.event(ctx, slog.LevelInfo, "session_ended", session(e)...)
}

func (t *Telemetry) revoked(ctx context.Context, e bff.RevocationEvent) {
	level, result := slog.LevelInfo, "done"
	if e.Err != nil {
		level, result = slog.LevelError, "failed"
	}
	t.metrics.revocations.WithLabelValues(e.Provider, result).Inc()
	t.event(ctx, level, "tokens_revoked", slog.String("app", e.App), slog.String("session", e.SessionID), errorAttr(e.Err))
}

func (t *Telemetry) providerSessionEnded(ctx context.Context, e bff.RevocationEvent) {
	level := slog.LevelInfo
	if e.Err != nil {
		level = slog.LevelError
	}
	t.event(ctx, level, "provider_session_ended", slog.String("app", e.App), slog.String("provider", e.Provider),
		slog.String("session", e.SessionID), errorAttr(e.Err))
}

// event writes one security event.
func (t *Telemetry) event(ctx context.Context, level slog.Level, name string, attrs ...slog.Attr) {
	a := AccessOf(ctx)
	attrs = append([]slog.Attr{slog.String("event", name), slog.String("request_id", a.ID), traceAttr(a.TraceID)}, attrs...)
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

// traceAttr names the trace of a line, where there is one.
func traceAttr(id string) slog.Attr {
	if id == "" {
		return slog.Attr{}
	}
	return slog.String("trace_id", id)
}

// tookAttr is a duration as people read it: milliseconds.
func tookAttr(d time.Duration) slog.Attr {
	return slog.Float64("took_ms", float64(d.Microseconds())/1000)
}
