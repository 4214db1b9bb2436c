package server

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
	"cloakroom/spa"
	"cloakroom/surface"
)

// api takes one request through the rooms of a route: match, guard and session, tokens, proxy.
func (s *Server) api(c echo.Context, st *site) error {
	r := c.Request()
	a := telemetry.AccessOf(r.Context())
	path, err := proxy.CleanPath(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	m, err := s.routes.Match(st.app.ID, r.Method, path)
	if err != nil {
		return err
	}
	rt := m.Route()
	a.Route, a.Path = rt.Name, path
	session, err := admitted(c, st, rt)
	if err != nil {
		return wayOn(st, rt, err)
	}
	call := proxy.Call{
		App: st.app, Session: session, ClientIP: a.ClientIP,
		Scheme: schemeOf(st.app.Origin), Host: r.Host, RequestID: a.ID,
	}
	if session == nil {
		ctx, drained := s.untilDrain(r.Context(), c)
		defer drained()
		return s.routes.Forward(c.Response(), r.WithContext(ctx), m, call)
	}
	a.Session = session.ID()
	if call.Tokens, err = s.engine.FreshTokens(r.Context(), st.app, session); err != nil {
		return st.surface.Ended(c.Response(), err)
	}
	call.Renew = func(ctx context.Context) (bff.TokenSet, error) { return s.engine.RenewTokens(ctx, st.app, session) }
	return s.stream(c, st, session, m, call)
}

// admitted passes the route's guard and returns its session; nil where the route does without.
func admitted(c echo.Context, st *site, rt proxy.Route) (*bff.Session, error) {
	guard := spa.GuardHeader
	if rt.Guard == proxy.GuardOrigin {
		guard = spa.GuardOrigin
	}
	switch rt.Token {
	case proxy.TokenNone:
		return nil, nil // the cookie is not looked at
	case proxy.TokenUserOrNone:
		return st.surface.AdmitOptional(c.Response(), c.Request(), guard)
	default:
		return st.surface.Admit(c.Response(), c.Request(), guard)
	}
}

// wayOn has a refusal lead to where a sign-in makes sense: it never comes back to a route whose guard a navigation cannot
// pass, only to the app.
func wayOn(st *site, rt proxy.Route, err error) error {
	if rt.Guard == proxy.GuardOrigin {
		return err
	}
	return &surface.Offer{Err: err, LoginURL: st.surface.StartURL()}
}

// stream forwards on a context that ends with the session, and, once an answer is on its way, with this instance.
func (s *Server) stream(c echo.Context, st *site, session *bff.Session, m *proxy.Match, call proxy.Call) error {
	r := c.Request()
	ctx, stop := s.engine.Watch(r.Context(), st.app, session)
	defer stop()
	ctx, drained := s.untilDrain(ctx, c)
	defer drained()
	return s.routes.Forward(c.Response(), r.WithContext(ctx), m, call)
}

// untilDrain returns a context that ends when the instance drains while an answer is being streamed: its frontend comes
// back to another instance. A request whose answer has not begun goes on.
func (s *Server) untilDrain(ctx context.Context, c echo.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var answering atomic.Bool
	c.Response().Before(func() { answering.Store(true) })
	unhook := context.AfterFunc(s.serving, func() {
		if answering.Load() {
			cancel(errDraining)
		}
	})
	return ctx, func() { unhook(); cancel(context.Canceled) }
}

// errDraining is why a stream ended that its session did not end.
var errDraining = &bff.Error{Code: bff.CodeDraining, Message: "This instance is shutting down. Try again."}

func schemeOf(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return scheme
}
