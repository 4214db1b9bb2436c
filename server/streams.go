package server

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"cloakroom/surface"
)

// untilStopped has an endpoint's stream end when the instance drains: its frontend comes back to another one. An answer that
// only begins then is one too, and ends with what is said first; until it begins nothing is broken off.
func (s *Server) untilStopped(c echo.Context, stream surface.Handler) surface.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(context.Canceled)
		unhook := func() bool { return true }
		c.Response().Before(func() {
			if ctx.Err() == nil { // an error that is written afterwards is no stream
				unhook = context.AfterFunc(s.serving, func() { cancel(errDraining) })
			}
		})
		defer func() { unhook() }()
		return stream(w, r.WithContext(ctx))
	}
}
