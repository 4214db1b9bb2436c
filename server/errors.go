package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
	"cloakroom/surface"
)

// writeError is the one place where an error becomes an answer: problem+json for a script, a page for a navigation.
func (s *Server) writeError(err error, c echo.Context) {
	r, w := c.Request(), c.Response()
	if w.Committed {
		return // too late: what was sent stands
	}
	err = typed(err, w.Header())
	a := telemetry.AccessOf(r.Context())
	a.Code, a.Err = string(bff.CodeOf(err)), err
	if a.Code == string(bff.CodeClientGone) {
		return // nobody is left to read it: observe cuts the connection
	}
	surface.WriteError(w, r, err, s.infoOf(r))
}

// infoOf is what the writer of an error knows of the request beside the error.
func (s *Server) infoOf(r *http.Request) (info surface.Info) {
	if st := s.sites[r.Host]; st != nil {
		info = st.ways(r)
	}
	info.RequestID = telemetry.AccessOf(r.Context()).ID
	return info
}

// typed turns the errors of Echo's router and of package proxy into the domain's.
func typed(err error, h http.Header) error {
	if m, ok := errors.AsType[*proxy.MethodError](err); ok {
		h.Set("Allow", strings.Join(m.Allow, ", "))
		return err
	}
	if _, ok := errors.AsType[*bff.Error](err); ok {
		return err
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return notFound()
		case http.StatusMethodNotAllowed:
			return &bff.Error{Code: bff.CodeMethodNotAllowed, Message: "This address does not take this method."}
		}
	}
	return &bff.Error{Code: bff.CodeInternal, Err: err}
}
