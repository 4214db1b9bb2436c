package server

import (
	"errors"
	"strings"

	"github.com/labstack/echo/v4"

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
	m, who, err := s.admitWithin(w, r, st, m)
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
		return s.send(w, r.WithContext(ctx), m, call)
	}
	if err := s.tokens(r.Context(), m.Route(), &call); err != nil {
		return st.ended(w, r, m.Route(), err)
	}
	call.Active = s.activity(r, who.session)
	forwarding = true
	err = s.stream(c, m, call)
	forwarding = !errors.Is(err, proxy.ErrUnasked) // then a form may be read after all, to be kept
	return s.raised(w, r, st, m.Route(), call, err)
}

// stream forwards on a context that ends with the session, and, once an answer is on its way, with this instance.
func (s *Server) stream(c echo.Context, m *proxy.Match, call proxy.Call) error {
	r := c.Request()
	ctx, stop := s.engine.Watch(r.Context(), call.Session)
	defer stop()
	ctx, drained := s.untilDrain(ctx, c)
	defer drained()
	return s.send(c.Response(), r.WithContext(ctx), m, call)
}

func schemeOf(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return scheme
}
