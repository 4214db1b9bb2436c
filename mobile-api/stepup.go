package mobileapi

import (
	"net/http"

	"cloakroom/surface"
)

// StepUp tells an app that the session's sign-in is too old or too weak for what it asked: err says for what it is, in the
// problem and, as an API of its own would say it, in the challenge (RFC 9470 section 3). With the ticket as step_up the app's
// next sign-in will do; what comes of that takes the place of the handle it has.
func (s *Surface) StepUp(r *http.Request, ticket string, err error) error {
	return s.challenge(r, surface.OAuthInsufficientAuth, &surface.Offer{Err: err, Ticket: ticket})
}
