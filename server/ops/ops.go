// Package ops is what those see who run the gateway, on two listeners that are never the public one.
//
// The operator's (ops.go): is the process alive, may it get traffic, and what do its counters say. It has no credential, and
// stays on loopback or an internal address.
//
// The administrator's, absent unless configured: Admin stands before all of it, and lets a program with the one credential
// pass (admin.go). What a request is about is read from its parameters, and must be certain (selection.go); then the engine
// is asked to find or end sessions (sessions.go). Profiles of the process are there for the same credential (profile.go). It
// knows package bff and HTTP, and neither how a session is kept nor what one holds: no token, subject or claim is shown.
package ops

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Check is one thing the gateway depends on. A failing check does not make the instance unready: with Redis or the
// provider down every instance would be, and what still works would stop.
type Check struct {
	Name string
	Ask  func(ctx context.Context) (detail string, err error)
}

// Options are what the listener reports.
type Options struct {
	Ready   func() bool // false while starting or draining
	Checks  []Check
	Metrics http.Handler
}

// checkTime bounds all checks of one answer: a probe waits no longer.
const checkTime = 2 * time.Second

// Handler serves /healthz, /readyz and /metrics.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", Healthz)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readyz(w, r, o) })
	mux.Handle("GET /metrics", o.Metrics)
	return mux
}

// Healthz says that the process runs.
func Healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz answers 503 while starting or draining only; what else is wrong stands in the body.
func readyz(w http.ResponseWriter, r *http.Request, o Options) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	checks := make(map[string]string, len(o.Checks))
	for _, c := range o.Checks {
		detail, err := c.Ask(ctx)
		switch {
		case err != nil:
			checks[c.Name] = "down: " + err.Error()
		case detail != "":
			checks[c.Name] = "ok: " + detail
		default:
			checks[c.Name] = "ok"
		}
	}
	status, word := http.StatusOK, "ready"
	if !o.Ready() {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	answer(w, status, map[string]any{"status": word, "checks": checks})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the probe has gone, if this fails
}
