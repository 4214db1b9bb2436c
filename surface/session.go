package surface

import (
	"encoding/json"
	"time"

	"cloakroom/bff"
)

// Answer is the answer to "who is signed in here?". Its fields are all there is: no token has a place in it
// (draft-ietf-oauth-browser-based-apps section 6.1.2.1).
type Answer struct {
	Authenticated bool                       `json:"authenticated"`
	User          map[string]json.RawMessage `json:"user,omitzero"` // the app's claims, as the provider wrote them
	Session       *AnsweredSession           `json:"session,omitempty"`
	LogoutURL     string                     `json:"logout_url,omitempty"`
}

// AnsweredSession is what a frontend may know of its session.
type AnsweredSession struct {
	ID            string    `json:"id"` // the public name: worth nothing as a credential
	CreatedAt     time.Time `json:"created_at"`
	ExpiresIn     int       `json:"expires_in"`      // seconds to the latest end there can be
	IdleExpiresIn int       `json:"idle_expires_in"` // seconds to the end unless it is used before
	ACR           string    `json:"acr,omitempty"`
	AuthTime      int64     `json:"auth_time,omitempty"` // seconds since 1970, as the claim of that name
}

// SessionAnswer tells a session, or with nil that there is none: then the answer has one fixed shape, whatever the
// cause. logoutURL is where this session is signed out from; "" if the surface has no such address.
func SessionAnswer(app *bff.App, s *bff.Session, now time.Time, logoutURL string) Answer {
	if s == nil {
		return Answer{}
	}
	info := &AnsweredSession{
		ID: s.ID(), CreatedAt: s.CreatedAt.UTC().Truncate(time.Second), ACR: s.ACR,
		ExpiresIn: secondsLeft(now, s.LastEnd()), IdleExpiresIn: idleLeft(now, bff.Ends{Idle: s.IdleEnd(), Last: s.LastEnd()}),
	}
	if !s.AuthTime.IsZero() {
		info.AuthTime = s.AuthTime.Unix()
	}
	return Answer{Authenticated: true, User: shownClaims(app, s), Session: info, LogoutURL: logoutURL}
}

// shownClaims picks the app's claims out of those that are kept, each under its name as configured: of an object only what a
// path leads to, for a route may need more than the frontend may see.
func shownClaims(app *bff.App, s *bff.Session) map[string]json.RawMessage {
	var kept map[string]json.RawMessage
	if err := json.Unmarshal(s.Claims, &kept); err != nil {
		kept = nil // nothing kept, or not an object: nothing is shown
	}
	shown := make(map[string]json.RawMessage, len(app.Claims))
	for _, name := range app.Claims {
		if value, ok := bff.ClaimAt(kept, name); ok {
			shown[name] = value
		}
	}
	return shown
}

// secondsLeft rounds down and never below zero: a frontend must not count on a second that may not be there.
func secondsLeft(now, end time.Time) int { return max(0, int(end.Sub(now)/time.Second)) }

// idleLeft is what is left unless the session is used before: never more than is left in any case.
func idleLeft(now time.Time, ends bff.Ends) int {
	return min(secondsLeft(now, ends.Idle), secondsLeft(now, ends.Last))
}
