package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// AddressBlock is what a rate limit counts an address as.
var AddressBlock = addressBlock

// Impatient is a listener whose connections break when their peer stops reading.
func Impatient(l net.Listener, after time.Duration) net.Listener { return impatient{l, after} }

// Observed is the outermost room with a handler of the test's behind it.
func (s *Server) Observed(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.writeError
	e.IPExtractor = s.clientAddress
	e.Pre(s.observe)
	e.Any("/*", func(c echo.Context) error { return h(c.Response(), c.Request()) })
	return e
}

// Serve runs on listeners of the test's.
func (s *Server) Serve(ctx context.Context, public, ops net.Listener) error {
	return s.serve(ctx, public, ops, nil, nil)
}

// Serving ends when the drain begins.
func (s *Server) Serving() <-chan struct{} { return s.serving.Done() }

// FormInTime is the limit on a form's time.
var FormInTime = formInTime

// ClientAddress is the frontend's address of a request, by the proxies that are trusted.
func (s *Server) ClientAddress(r *http.Request) string { return s.clientAddress(r) }

// RouteOf and UpstreamOf take what is configured over.
var (
	RouteOf    = routeOf
	UpstreamOf = upstreamOf
)

// Drift is how far Redis is ahead of this server's own clock, as it was measured last.
func (s *Server) Drift() time.Duration { return s.store.Drift() }

// Measure has the server look at Redis's clock, as it does every 30 s, until ctx ends.
func (s *Server) Measure(ctx context.Context) { s.store.Run(ctx) }
