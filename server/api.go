package server

import (
	"context"
	"strings"

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
	ctx, stop := s.engine.Watch(r.Context(), call.Session)
	defer stop()
	ctx, drained := s.untilDrain(ctx, c)
	defer drained()
	return s.routes.Forward(c.Response(), r.WithContext(ctx), m, call)
}

// ownToken is how a route with the app's own token gets it. The user's token is neither sent nor renewed for such a route:
// the session has only to be there.
func (s *Server) ownToken(app *bff.App) func(context.Context, bff.Secret) (bff.TokenSet, error) {
	return func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error) {
		return s.engine.ClientToken(ctx, app, refused)
	}
}

func schemeOf(origin string) string {
	scheme, _, _ := strings.Cut(origin, "://")
	return scheme
}
