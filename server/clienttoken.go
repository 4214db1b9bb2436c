package server

import (
	"context"

	"cloakroom/bff"
)

// ownToken is how a route with the app's own token gets it. The user's token is neither sent nor renewed for such a route:
// the session has only to be there.
func (s *Server) ownToken(app *bff.App) func(context.Context, bff.Secret) (bff.TokenSet, error) {
	return func(ctx context.Context, refused bff.Secret) (bff.TokenSet, error) {
		return s.engine.ClientToken(ctx, app, refused)
	}
}
