package server

import (
	"context"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
)

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

// errDraining is why a stream ended, or an administrator's act, that its session or client did not end: it is taken up at
// another instance.
var errDraining = &bff.Error{Code: bff.CodeDraining, Message: "This instance is shutting down. Try again.", RetryAfter: time.Second}
