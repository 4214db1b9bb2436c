package spa

import (
	"net/http"

	"cloakroom/surface"
)

// events tells the app's pages what becomes of their session. It is no activity, however long it is open.
func (s *Surface) events(w http.ResponseWriter, r *http.Request) error {
	session, err := s.admit(w, r, eventGuard(r))
	if err != nil {
		return err
	}
	return surface.EventStream{
		App: s.app, Session: session, Engine: s.engine, Trace: s.trace, Surface: "browser",
	}.Serve(w, r)
}

// eventGuard is the guard of an event stream: an EventSource can send no header, and what it reads tells nothing but the
// app's own session, so the origin alone is asked for. Who fetches it with the header is guarded by that.
func eventGuard(r *http.Request) Guard {
	if surface.Field(r, csrfHeader) != "" {
		return GuardHeader
	}
	return GuardOrigin
}
