package mobileapi

import (
	"net/http"

	"cloakroom/surface"
)

// devices lists the user's sessions over all apps, browser apps included. Asking is no activity.
func (s *Surface) devices(w http.ResponseWriter, r *http.Request) error {
	_, session, err := s.admitted(w, r)
	if err != nil {
		return err
	}
	all, err := s.engine.Devices(r.Context(), session)
	if err != nil {
		return err
	}
	return surface.WriteJSON(w, r, http.StatusOK, surface.ListDevices(all, s.allApps, session))
}

// endDevice ends one of the user's sessions, with its SSO session. Where that is the one that asks, it is a sign-out like
// any other, and answered as one.
func (s *Surface) endDevice(w http.ResponseWriter, r *http.Request) error {
	app, session, err := s.Admit(w, r)
	if err != nil {
		return err
	}
	left, err := s.engine.EndDevice(r.Context(), app, session, r.PathValue("id"))
	switch {
	case err != nil:
		return err
	case left == nil:
		surface.WriteNothing(w)
		return nil
	}
	return s.tellLeft(w, r, left)
}

// endOtherDevices ends all of the user's sessions but those of the SSO session that asks.
func (s *Surface) endOtherDevices(w http.ResponseWriter, r *http.Request) error {
	app, session, err := s.Admit(w, r)
	if err != nil {
		return err
	}
	if err := s.engine.EndOtherDevices(r.Context(), app, session); err != nil {
		return err
	}
	surface.WriteNothing(w)
	return nil
}
