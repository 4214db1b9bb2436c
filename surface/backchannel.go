package surface

import (
	"net/http"

	"cloakroom/bff"
)

// Backchannel is where providers post logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.5). No cookie is
// looked at and no guard stands before it: who calls is a server, and its token's signature is all that counts.
type Backchannel struct {
	Engine *bff.Engine
	Apps   []*bff.App // whose address this is: the token's aud names one of them
	Limit  Limit      // asked for refused tokens alone
}

// Take carries out a logout token and answers 200 without a body when all that it names has ended. Everything else is 400
// in the form of RFC 6749, by which a provider knows that it may send the token again (sections 2.7 and 2.8).
func (b Backchannel) Take(w http.ResponseWriter, r *http.Request) error {
	err := b.take(w, r)
	if err != nil {
		return b.refusal(r, err)
	}
	Private(w.Header())
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
	return nil
}

func (b Backchannel) take(w http.ResponseWriter, r *http.Request) error {
	form, err := ReadForm(w, r)
	if err != nil {
		return err
	}
	token := form.Get("logout_token")
	if token == "" {
		return badForm("The body has no logout_token.")
	}
	return b.Engine.BackchannelLogout(r.Context(), b.Apps, bff.NewSecret(token))
}

// refusal is the answer to a token that was not carried out. Only one that is wrong counts against its sender, so that a
// provider which signs thousands out at once is never told to wait; an outage here is none of its doing.
func (b Backchannel) refusal(r *http.Request, err error) error {
	switch bff.CodeOf(err) {
	case bff.CodeClientGone:
		return err
	case bff.CodeBadRequest:
		if limited := b.Limit.Ask(r, RuleBackchannel); limited != nil {
			return AsOAuth(limited)
		}
		return AsOAuth(err)
	}
	// Section 2.8: 400 also where the logout failed. Its text is the same for every cause.
	const description = "The sign-out could not be carried out now. Send the token again."
	return &OAuthError{
		Code: OAuthInvalidRequest, Description: description,
		Err: &bff.Error{Code: bff.CodeBadRequest, Message: description, Err: err},
	}
}
