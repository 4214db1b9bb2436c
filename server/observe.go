package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/server/telemetry"
)

// headerRequestID carries the request's id in both directions: it ties an answer to its log lines.
const headerRequestID = "X-Request-Id"

// observe gives the request its id, writes its log line when it is over, and turns a panic into an error. It is the
// outermost room: every error that comes out of the others is written here.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		a := &telemetry.Access{
			ID: requestID(r), Began: s.options.Now(), Method: r.Method, Host: r.Host, ClientIP: c.RealIP(), Route: "none",
		}
		c.SetRequest(r.WithContext(telemetry.WithAccess(r.Context(), a)))
		c.Response().Header().Set(headerRequestID, a.ID)
		defer s.tell(c, a)
		defer s.rescue(c, a)
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

// tell writes the access log line.
func (s *Server) tell(c echo.Context, a *telemetry.Access) {
	a.Status, a.Bytes = c.Response().Status, c.Response().Size
	if a.Code == string(bff.CodeClientGone) {
		a.Status = 499 // nothing was sent: nobody was left to read it
	}
	a.Took = s.options.Now().Sub(a.Began)
	s.tel.Access(c.Request().Context(), a)
}

// rescue turns a panic into an internal error: nothing is proxied, the process lives. http.ErrAbortHandler is how a
// broken stream ends: it goes on to net/http, which cuts the connection.
func (s *Server) rescue(c echo.Context, a *telemetry.Access) {
	p := recover()
	switch {
	case p == nil:
		return
	case isAbort(p):
		a.Code = "aborted"
		panic(p)
	}
	s.log.Error("panic", "request_id", a.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if !c.Response().Committed {
		c.Error(&bff.Error{Code: bff.CodeInternal, Err: fmt.Errorf("panic: %v", p)})
	}
}

func isAbort(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// requestID takes over an id that a proxy in front gave, if it has the form of one, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get(headerRequestID)
	if len(id) < 8 || len(id) > 64 {
		return rand.Text()
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return rand.Text()
		}
	}
	return id
}
