package server

import (
	"net/http"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/spa"
	"cloakroom/surface"
)

// admitSocket admits a WebSocket handshake at a browser app's origin. It comes from the app itself on every route, signed
// in or not: what another site's page asks for by fetch it cannot read, what a WebSocket tells it, it can.
func (b browser) admitSocket(w http.ResponseWriter, r *http.Request, m *proxy.Match) (*proxy.Match, caller, error) {
	c := caller{app: b.app}
	err := b.CheckWebSocket(r)
	switch token := m.Route().Token; {
	case err != nil || token == proxy.TokenNone: // the cookie is not looked at
	case token == proxy.TokenUserOrNone:
		c.session, err = b.AdmitOptional(w, r, spa.GuardWebSocket)
	default:
		c.session, err = b.Admit(w, r, spa.GuardWebSocket)
	}
	return m, c, err
}

// activity returns what moves the idle end of a session while its user sends something over a WebSocket, at most every
// twentieth of the idle time, as requests do: nobody is signed out while typing. Messages of the upstream are none of the
// user's. A handshake that says that it is made in the background speaks for all that follows it. nil: r is no handshake.
func (s *Server) activity(r *http.Request, session *bff.Session) func() {
	if !proxy.AsksForWebSocket(r) || surface.IsBackground(r) {
		return nil
	}
	last := s.engine.Now() // of the handshake, which was activity
	return func() {
		if now := s.engine.Now(); now.Sub(last) >= session.Idle/20 {
			last = now
			s.engine.Touch(session)
		}
	}
}
