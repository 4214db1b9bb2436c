package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"cloakroom/bff"
	"cloakroom/server/config"
	"cloakroom/server/ops"
	"cloakroom/server/telemetry"
	"cloakroom/surface"
)

const (
	ruleAdmin       = "admin"         // the limit on refused credentials
	adminHeaderTime = 5 * time.Second // programs send their header in one piece
	adminHeaderMax  = 16 << 10        // a cursor takes less than a tenth
)

// adminRate is for refused credentials: a program that is set up wrong gets through to whoever reads the log, a flood does
// not. Nobody guesses 128 random bits, at whatever rate.
var adminRate = config.Rate{Count: 1, Per: time.Second, Burst: 20}

// listenAdmin opens the admin listener; nil where none is configured.
func (s *Server) listenAdmin() (net.Listener, error) {
	a := s.cfg.Admin
	if a.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", a.Listen)
	if err != nil {
		return nil, err
	}
	// Whoever stops reading a purge's progress stops the purge, and holds nothing.
	l = impatient{l, cmp.Or(s.options.Stall, stall)}
	return s.encrypted(l, a.TLS, "http/1.1")
}

// adminServer serves the admin listener. It has no time for a whole answer: a purge takes minutes.
func (s *Server) adminServer() *http.Server {
	return &http.Server{
		Handler: s.adminHandler(), ReadHeaderTimeout: adminHeaderTime, IdleTimeout: s.cfg.Public.Timeouts.Idle,
		MaxHeaderBytes: adminHeaderMax, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// adminHandler is the admin listener: each request gets an id, and ends when the drain begins.
func (s *Server) adminHandler() http.Handler {
	o := ops.AdminOptions{
		Token: bff.NewSecret(s.cfg.Admin.Token.Reveal()), Engine: s.engine, Apps: make(map[string]*bff.App, len(s.cfg.Apps)),
		Providers: sortedKeys(s.cfg.Providers), Failed: s.adminFailed, Fail: s.failAdmin, Trace: s.trace,
	}
	for id := range s.cfg.Apps {
		o.Apps[id] = s.apps(id)
	}
	next := ops.Admin(o)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		defer context.AfterFunc(s.serving, func() { cancel(errDraining) })()
		a := &telemetry.Access{ID: rand.Text(), Began: s.options.Now(), Method: r.Method, ClientIP: clientOf(r)}
		w.Header().Set(headerRequestID, a.ID)
		defer s.rescueAdmin()
		next.ServeHTTP(w, r.WithContext(telemetry.WithAccess(ctx, a)))
	})
}

// rescueAdmin turns a panic into a broken connection: the process lives, and nobody takes half an answer for one.
func (s *Server) rescueAdmin() {
	p := recover()
	if p == nil {
		return
	}
	if !isAbort(p) {
		s.log.Error("panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}

// clientOf is the address that the connection comes from: no proxy stands before this listener, so none is believed.
func clientOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return at.Addr().Unmap().String()
}

// adminFailed counts a refused credential. With the store down it counts nothing, and the credential is refused all the same.
func (s *Server) adminFailed(r *http.Request) error { return s.limit(r.Context(), ruleAdmin, r) }

// failAdmin answers with an error: a problem, whatever the request says that it accepts.
func (s *Server) failAdmin(w http.ResponseWriter, r *http.Request, err error) {
	a := telemetry.AccessOf(r.Context())
	if bff.CodeOf(err) == bff.CodeAdminRequired {
		err = &surface.ChallengeError{Err: err}
	}
	if _, typed := errors.AsType[*bff.Error](err); !typed {
		s.log.Error("the admin listener", "request_id", a.ID, "error", err.Error())
	}
	surface.WriteError(w, &http.Request{Method: r.Method, Header: http.Header{}}, err, surface.Info{RequestID: a.ID})
}

// adminNotes tells what of the admin listener endangers it.
func adminNotes(cfg *config.Config) []string {
	if !cfg.Admin.Exposed() {
		return nil
	}
	return []string{"admin.listen is not on loopback and speaks in the clear: whoever is on the way reads the credential, " +
		"and with it every user's sessions; use admin.tls, or 127.0.0.1"}
}
