package mobileapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// The grants of the token endpoint (RFC 6749 sections 4.1.3 and 6).
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// tokens is the answer of the token endpoint: RFC 6749 section 5.1, with the session as every surface tells it. There is
// no token of the provider in it (ASVS 10.1.1).
type tokens struct {
	AccessToken  string                     `json:"access_token"`
	TokenType    string                     `json:"token_type"`
	ExpiresIn    int                        `json:"expires_in"`              // seconds
	RefreshToken string                     `json:"refresh_token,omitempty"` // of a bound session there is none
	Scope        string                     `json:"scope,omitempty"`         // what the provider granted
	Session      *surface.AnsweredSession   `json:"session"`
	User         map[string]json.RawMessage `json:"user"`
}

// token trades a code, or a refresh handle, for handles.
func (s *Surface) token(w http.ResponseWriter, r *http.Request) error {
	app, form, err := s.readClient(w, r)
	if err != nil {
		return err
	}
	// A proof is judged before the grant: one that is not good has used nothing up (RFC 9449 section 8).
	key, err := s.announced(w, r, app)
	if err != nil {
		return err
	}
	var session *bff.Session
	switch form.Get("grant_type") {
	case grantCode:
		session, err = s.redeem(r, app, form, key)
	case grantRefresh:
		session, err = s.rotate(r, app, form, key)
	case "":
		return surface.RefuseOAuth(surface.OAuthInvalidRequest, "grant_type is missing.")
	default:
		return surface.RefuseOAuth(surface.OAuthUnsupportedGrantType, "grant_type must be authorization_code or refresh_token.")
	}
	if err != nil {
		return err
	}
	return s.handOut(w, r, app, session)
}

// redeem trades a code. Verifier and redirect URI go to the engine as they are, absent ones too: a code that comes with
// the wrong ones, or none, has been caught by somebody, and is used up by the try (RFC 7636 section 4.6).
func (s *Surface) redeem(r *http.Request, app *bff.App, form url.Values, key string) (*bff.Session, error) {
	if form.Get("code") == "" {
		return nil, surface.RefuseOAuth(surface.OAuthInvalidRequest, "code is missing.")
	}
	if key == "" && app.Binding == bff.BindingRequired { // whoever forgot it may still send it
		return nil, surface.RefuseOAuth(surface.OAuthInvalidProof, "This app's handles are bound: send a DPoP proof.")
	}
	code, err := bff.ParseRoot(form.Get("code"))
	if err != nil {
		return nil, s.badGrant(r, app, "malformed code")
	}
	return s.engine.Redeem(r.Context(), app, bff.Redemption{
		Code: code, Verifier: form.Get("code_verifier"), RedirectURI: form.Get("redirect_uri"), Key: key,
		// Ours both; RFC 6749 section 3.2 lets older instances ignore them.
		Device: surface.DeviceName(r, form.Get("device_name")), Platform: surface.DevicePlatform(form.Get("device_platform")),
	})
}

// rotate trades a refresh handle for the next two. A scope is not looked at: there is nothing narrower to be had. Whoever sends
// a proof wants bound handles, and no refresh handle leads to those: a live session's key, and having none, never change
// (RFC 9449 section 5). The app signs in again.
func (s *Surface) rotate(r *http.Request, app *bff.App, form url.Values, key string) (*bff.Session, error) {
	if form.Get("refresh_token") == "" {
		return nil, surface.RefuseOAuth(surface.OAuthInvalidRequest, "refresh_token is missing.")
	}
	h, err := bff.ParseHandle(form.Get("refresh_token"))
	if err != nil {
		return nil, s.badGrant(r, app, "malformed handle")
	}
	if key != "" {
		return nil, s.badGrant(r, app, "proof with a refresh handle")
	}
	return s.engine.RotateHandles(r.Context(), app, h)
}

// badGrant is the refusal of what has not the form of a code or handle: told as one that opens nothing.
func (s *Surface) badGrant(r *http.Request, app *bff.App, rule string) error {
	surface.CredentialRefused(r.Context(), s.trace, app.ID, rule)
	return surface.RefuseOAuth(surface.OAuthInvalidGrant, "This code or handle is not good any more.")
}

// handOut answers with the handles of a session's current turn.
func (s *Surface) handOut(w http.ResponseWriter, r *http.Request, app *bff.App, session *bff.Session) error {
	h, err := s.engine.Handles(app, session)
	if err != nil {
		return err
	}
	surface.SeenOf(r.Context()).Note(app, session)
	kind := surface.SchemeBearer
	if session.Key != "" {
		kind = surface.SchemeDPoP // RFC 9449 section 5
	}
	told := surface.SessionAnswer(app, session, s.engine.Now(), "")
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1, for what is older than Cache-Control
	return surface.WriteJSON(w, r, http.StatusOK, tokens{
		AccessToken: h.Access.Reveal(), TokenType: string(kind), ExpiresIn: int(h.ExpiresIn / time.Second),
		RefreshToken: h.Refresh.Reveal(), Scope: session.Tokens.Scope, Session: told.Session, User: told.User,
	})
}

// revoke ends the session of a handle, of either kind (RFC 7009 section 2). What opens nothing is revoked already
// (section 2.2).
func (s *Surface) revoke(w http.ResponseWriter, r *http.Request) error {
	app, form, err := s.readClient(w, r)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return surface.RefuseOAuth(surface.OAuthInvalidRequest, "token is missing.")
	}
	if h, err := bff.ParseHandle(form.Get("token")); err == nil {
		if err := s.engine.RevokeHandle(r.Context(), app, h); err != nil {
			return err
		}
	}
	return surface.WriteJSON(w, r, http.StatusOK, struct{}{})
}
