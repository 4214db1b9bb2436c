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
	"net"
	"net/http"
	"net/netip"
	"strings"
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

// Handler serves /healthz, /readyz and /metrics. No page reads the latter two: they are for probes, for what collects metrics,
// and for an operator's own look by the address bar.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", Healthz)
	mux.HandleFunc("GET /readyz", notForPages(func(w http.ResponseWriter, r *http.Request) { readyz(w, r, o) }))
	mux.HandleFunc("GET /metrics", notForPages(o.Metrics.ServeHTTP))
	return mux
}

// notForPages refuses what a web page has a browser ask: there is no credential here that it would lack.
func notForPages(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if foreign(r) || len(r.Header.Values("Referer")) > 0 || rebound(r) {
			answer(w, http.StatusForbidden, map[string]string{"status": "pages get no answer here"})
			return
		}
		h(w, r)
	}
}

// rebound reports a browser's request under a name. Whoever owns a name can have it lead to any address in the middle of a
// page's life, to this machine's own too (DNS rebinding), and then the request is of one origin with the page: over plain http a
// browser says nothing of its making, and a page can keep the Referer back. What it cannot keep back is Accept-Language (Fetch
// Standard section 4.6), which no probe sends. An address, and localhost (RFC 6761 section 6.3), lead nowhere else.
func rebound(r *http.Request) bool {
	if r.Header["Accept-Language"] == nil {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	_, err := netip.ParseAddr(host)
	return err != nil && host != "localhost" && !strings.HasSuffix(host, ".localhost")
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
