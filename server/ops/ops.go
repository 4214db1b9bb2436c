// Package ops is the operator's listener: is the process alive, may it get traffic, and what do its counters say. It is
// bound to loopback or an internal address, never to the public one.
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
