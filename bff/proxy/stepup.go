package proxy

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"cloakroom/bff"
)

// insufficient is what RFC 9470 section 3 calls a sign-in that is too old or too weak.
const insufficient = "insufficient_user_authentication"

// ErrUnasked says, of an error of Forward, that nothing of the request was used yet: its body can still be read.
var ErrUnasked = errors.New("the route itself asks for another sign-in")

var errAskedAgain = errors.New("the API asks for a sign-in that the session has")

// checkSignIn judges the session's sign-in by what the route requires of it, before the upstream is asked.
func (x *exchange) checkSignIn() error {
	rt := x.route
	if len(rt.RequireACR) == 0 && rt.RequireMaxAge == 0 {
		return nil
	}
	ask := bff.StepUp{ACRValues: rt.RequireACR}
	if rt.RequireMaxAge > 0 {
		age := int(rt.RequireMaxAge / time.Second)
		ask.MaxAge = &age
	}
	if x.call.Session.Meets(ask, x.table.now()) {
		return nil
	}
	return bff.InsufficientAuth(ask, ErrUnasked)
}

// asksForSignIn reports whether an answer to a user's token says that the user's sign-in is too old or too weak.
func (x *exchange) asksForSignIn(res *http.Response) bool {
	if res.StatusCode != http.StatusUnauthorized || x.token.IsZero() || x.route.own() {
		return false
	}
	_, why := x.challenged(res)
	return strings.EqualFold(why, insufficient)
}

// stepUp is what the caller is told of such an answer: what to sign in with, or that no sign-in will do. Where the session
// has all that is asked for already, another one would end here again (RFC 9470 section 5).
func (x *exchange) stepUp(res *http.Response) error {
	c, _ := x.challenged(res)
	ask := bff.ReadStepUp(c.params["acr_values"], c.params["max_age"])
	if x.call.Session.Exhausts(ask, x.table.now()) {
		return &bff.Error{
			Code: bff.CodeStepUpFinal, Message: "The service asks for a sign-in that you have already made.", Err: errAskedAgain,
		}
	}
	return bff.InsufficientAuth(ask, nil)
}

// challenged returns the challenge that counts, and the error it gives, "" for none: of those for the scheme in which the
// token was sent, else for the other one (RFC 6750 section 3, RFC 9449 section 7.1), the first that gives an error, or the
// first. nil: there is none.
func (x *exchange) challenged(res *http.Response) (found *challenge, why string) {
	sent := strings.ToLower(x.tokenTyp)
	rank := 0
	for _, c := range challenges(res.Header["Www-Authenticate"]) {
		if c.scheme != "bearer" && c.scheme != "dpop" {
			continue
		}
		r := 1
		if c.params["error"] != "" {
			r += 2
			if c.scheme == sent || sent == "" && c.scheme == "bearer" {
				r++
			}
		}
		if r > rank {
			found, why, rank = &c, c.params["error"], r
		}
	}
	return found, why
}
