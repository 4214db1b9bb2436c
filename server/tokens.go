package server

import (
	"context"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/config"
)

// tokens puts into a call with a session the tokens that its route takes, and how others are had in the place of those that
// the API refuses. A kind of token never stands in for another: where a route's own cannot be had, the call is refused.
func (s *Server) tokens(ctx context.Context, rt proxy.Route, call *proxy.Call) error {
	switch resource := s.cfg.Routes[rt.Place].Resource; {
	case rt.Token == proxy.TokenClient:
		call.Own = s.ownToken(call.App)
		return nil
	case rt.Token == proxy.TokenExchange:
		return s.exchangedTokens(ctx, s.cfg.Routes[rt.Place].Exchange, call)
	case resource != "":
		return s.resourceTokens(ctx, resource, call)
	default:
		return s.sessionTokens(ctx, call)
	}
}

// sessionTokens are the session's own.
func (s *Server) sessionTokens(ctx context.Context, call *proxy.Call) (err error) {
	app, session := call.App, call.Session
	call.Renew = func(ctx context.Context) (bff.TokenSet, error) {
		return s.engine.RenewTokens(ctx, app, session)
	}
	call.Tokens, err = s.engine.FreshTokens(ctx, app, session)
	return err
}

// resourceTokens are the session's for one resource (RFC 8707). The session's own token never goes there: RFC 9700 section
// 2.3 has each API get a token that is good nowhere else.
func (s *Server) resourceTokens(ctx context.Context, resource string, call *proxy.Call) (err error) {
	app, session := call.App, call.Session
	call.Tokens, err = s.engine.ResourceToken(ctx, app, session, resource)
	refused := call.Tokens
	call.Renew = func(ctx context.Context) (bff.TokenSet, error) {
		return s.engine.RenewResourceToken(ctx, app, session, resource, refused)
	}
	return err
}

// exchangedTokens are what the session's own are exchanged for (RFC 8693), once the route has found nothing to refuse. The
// session's own never go there: without an exchanged token the API is not asked.
func (s *Server) exchangedTokens(ctx context.Context, x config.Exchange, call *proxy.Call) error {
	if err := s.sessionTokens(ctx, call); err != nil {
		return err
	}
	app, fresh := call.App, *call.Session
	fresh.Tokens = call.Tokens
	spec := bff.ExchangeSpec{Audience: x.Audience, Resource: x.Resource, Scopes: x.Scopes}
	call.Exchange = func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error) {
		return s.engine.ExchangedToken(ctx, app, &fresh, spec, refused)
	}
	return nil
}

// ownToken is how a route with the app's own token gets it. The user's token is neither sent nor renewed for such a route:
// the session has only to be there.
func (s *Server) ownToken(app *bff.App) func(context.Context, bff.Secret) (bff.TokenSet, error) {
	return func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error) {
		return s.engine.ClientToken(ctx, app, refused)
	}
}
