package server

import (
	"errors"
	"net/http"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
)

// raised turns what an API or a route asks of a session's sign-in into what its frontend can act on; every other error, and
// none, stays as it is. nil: it has been answered.
func (s *Server) raised(w http.ResponseWriter, r *http.Request, st *site, rt proxy.Route, call proxy.Call, err error) error {
	e, ok := errors.AsType[*bff.Error](err)
	if !ok || e.StepUp == nil || call.Session == nil {
		return err
	}
	return st.stepUp(w, r, rt, s.engine.StepUpTicket(call.App, call.Session, *e.StepUp), err)
}
