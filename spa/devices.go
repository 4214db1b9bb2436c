package spa

import (
	"net/http"

	"cloakroom/bff"
	"cloakroom/surface"
)

// devices lists the user's sessions over all apps. Asking is no activity: a page that shows the list may poll.
func (s *Surface) devices(w http.ResponseWriter, r *http.Request) error {
	session, err := s.admit(w, r, GuardHeader)
	if err != nil {
		return err
	}
	all, err := s.engine.Devices(r.Context(), session)
	if err != nil {
		return err
	}
	return surface.WriteJSON(w, r, http.StatusOK, surface.ListDevices(all, s.apps, session))
}

// endDevice ends one of the user's sessions, with its SSO session. Where that is the one that asks, it is a sign-out like
// any other, and answered as one.
func (s *Surface) endDevice(w http.ResponseWriter, r *http.Request) error {
	session, err := s.Admit(w, r, GuardHeader)
	if err != nil {
		return err
	}
	left, err := s.engine.EndDevice(r.Context(), s.app, session, r.PathValue("id"))
	switch {
	case err != nil:
		return surface.OfferRecentSignIn(err, pathLogin, s.policy)
	case left == nil:
		surface.WriteNothing(w)
		return nil
	}
	return s.tellLeft(w, r, s.leaveNow(w, surface.ReadJar(r), left))
}

// endOtherDevices ends all of the user's sessions but those of the SSO session that asks.
func (s *Surface) endOtherDevices(w http.ResponseWriter, r *http.Request) error {
	session, err := s.Admit(w, r, GuardHeader)
	if err != nil {
		return err
	}
	if err := s.engine.EndOtherDevices(r.Context(), s.app, session); err != nil {
		return surface.OfferRecentSignIn(err, pathLogin, s.policy)
	}
	surface.WriteNothing(w)
	return nil
}

// knownApp is the app itself, where nobody said which others there are.
func knownApp(app *bff.App) func(string) *bff.App {
	return func(id string) *bff.App {
		if id == app.ID {
			return app
		}
		return nil
	}
}
