package server

import (
	"context"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
)

// api takes one request through the rooms of a route: match, guard and session, tokens, proxy.
func (s *Server) api(c echo.Context, st *site, m *proxy.Match) error {
	r, w := c.Request(), c.Response()
	a := telemetry.AccessOf(r.Context())
	forwarding := false
	w.Before(func() {
		if !forwarding { // it was answered here: what was not read of a form by then is not read at all
			letGoOfBody(c)
		}
	})
	m, who, err := st.admit(w, r, s.routes, m)
	a.Route, a.Path = m.Route().Name, m.Path()
	if err != nil || who.done {
		return err
	}
	call := proxy.Call{
		App: who.app, Session: who.session, Bare: who.bare, ClientIP: a.ClientIP,
		Scheme: schemeOf(st.origin), Host: r.Host, RequestID: a.ID,
	}
	if who.session == nil {
		forwarding = true
		ctx, drained := s.untilDrain(r.Context(), c)
		defer drained()
		return s.routes.Forward(w, r.WithContext(ctx), m, call)
	}
	a.App, a.Session = who.app.ID, who.session.ID()
	if m.Route().Token == proxy.TokenClient {
		call.Own, forwarding = s.ownToken(who.app), true
		return s.stream(c, m, call)
	}
	if call.Tokens, err = s.engine.FreshTokens(r.Context(), who.app, who.session); err != nil {
		return st.ended(w, r, m.Route(), err)
	}
	call.Renew = func(ctx context.Context) (bff.TokenSet, error) {
		return s.engine.RenewTokens(ctx, who.app, who.session)
	}
	call.Active = s.activity(r, who.session)
	forwarding = true
	return s.stream(c, m, call)
}

// stream forwards on a context that ends with the session, and, once an answer is on its way, with this instance.
func (s *Server) stream(c echo.Context, m *proxy.Match, call proxy.Call) error {
	r := c.Request()
	ctx, stop := s.engine.Watch(r.Context(), call.App, call.Session)
	defer stop()
	ctx, drained := s.untilDrain(ctx, c)
	defer drained()
	return s.routes.Forward(c.Response(), r.WithContext(ctx), m, call)
}

// untilDrain returns a context that ends when the instance drains while an answer is being streamed: its frontend comes
// back to another instance. A request whose answer has not begun goes on, but for one that turns out to be answered by an
// event stream, which would never be over.
func (s *Server) untilDrain(ctx context.Context, c echo.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var answering atomic.Bool
	c.Response().Before(func() {
		answering.Store(true)
		if s.serving.Err() != nil && isEventStream(c.Response().Header()) {
			cancel(errDraining)
		}
	})
	unhook := context.AfterFunc(s.serving, func() {
		if answering.Load() {
			cancel(errDraining)
		}
	})
	return ctx, func() { unhook(); cancel(context.Canceled) }
}

// isEventStream reports whether an answer is one that goes on until somebody ends it (HTML standard, server-sent events).
func isEventStream(h http.Header) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media == "text/event-stream"
}

// errDraining is why a stream ended that its session did not end.
var errDraining = &bff.Error{Code: bff.CodeDraining, Message: "This instance is shutting down. Try again."}

func schemeOf(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return scheme
}
