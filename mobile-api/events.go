package mobileapi

import (
	"net/http"

	"cloakroom/surface"
)

// events tells an app what becomes of its session. It is no activity, and goes on when the handle it was opened with is
// past its life: the session's end is the stream's.
func (s *Surface) events(w http.ResponseWriter, r *http.Request) error {
	app, session, err := s.admitted(w, r)
	if err != nil {
		return err
	}
	return surface.EventStream{
		App: app, Session: session, Engine: s.engine, Trace: s.trace, Surface: "native",
	}.Serve(w, r)
}
