package mobileapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cloakroom/bff"
	"cloakroom/dpop"
	"cloakroom/surface"
)

// b64token is what follows "Bearer " (RFC 6750 section 2.1).
var b64token = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// errNothing says that a request presents no handle.
var errNothing = errors.New("no handle presented")

// Admit returns app and live session of a request with an access handle, and notes that the user was active unless the
// request says X-Background: 1. Its refusals carry the challenge of RFC 6750 section 3: without an error code where
// nothing was presented, invalid_token where the handle opens nothing, invalid_request where it is not clear what was
// meant; of RFC 9449 section 7.1 where it is bound to a key. It needs no CSRF header: no page can make a browser send what it
// does not know.
func (s *Surface) Admit(w http.ResponseWriter, r *http.Request) (*bff.App, *bff.Session, error) {
	app, session, err := s.admitted(w, r)
	return s.touched(r, app, session, err)
}

// admitted is Admit without activity.
func (s *Surface) admitted(w http.ResponseWriter, r *http.Request) (*bff.App, *bff.Session, error) {
	app, session, err := s.admit(w, r)
	if errors.Is(err, errNothing) {
		return nil, nil, s.nothing(r)
	}
	return app, session, err
}

// AdmitOptional is Admit for routes that anybody may use: who presents nothing is nobody (nil). A handle that is not good
// is an error all the same: its app must refresh it, not go on as nobody.
func (s *Surface) AdmitOptional(w http.ResponseWriter, r *http.Request) (*bff.App, *bff.Session, error) {
	app, session, err := s.admit(w, r)
	if errors.Is(err, errNothing) {
		return nil, nil, nil
	}
	return s.touched(r, app, session, err)
}

// Ended gives an error that was met after Admit its challenge, if it says that the session is over.
func (s *Surface) Ended(r *http.Request, err error) error {
	_, done := errors.AsType[*surface.ChallengeError](err)
	code := bff.CodeOf(err)
	switch {
	case done:
		return err
	case surface.IsOver(err):
		return s.challenge(r, surface.OAuthInvalidToken, err)
	case code == bff.CodeProofRejected || code == bff.CodeNonceRequired:
		if !s.policy.binds() { // a gateway of bearer handles knows nothing of proofs; the handle's session may well live
			return s.challenge(r, surface.OAuthInvalidToken, &bff.Error{Code: bff.CodeSessionRequired, Message: signIn, Err: bff.ErrUnbound})
		}
		return s.challenge(r, surface.OAuthCode(code), err)
	default:
		return err
	}
}

// touched moves the idle end of an admitted request.
func (s *Surface) touched(r *http.Request, app *bff.App, session *bff.Session, err error) (*bff.App, *bff.Session, error) {
	if err != nil {
		return nil, nil, err
	}
	if !surface.IsBackground(r) {
		s.engine.Touch(session)
	}
	return app, session, nil
}

// admit is Admit without activity; errNothing where no handle is presented.
func (s *Surface) admit(w http.ResponseWriter, r *http.Request) (*bff.App, *bff.Session, error) {
	return s.judge(w, r, s.engine.HandleSession)
}

// opener is what of the engine judges a handle that has its form.
type opener func(context.Context, func(id string) *bff.App, bff.Handle, *bff.Possession) (*bff.App, *bff.Session, error)

// judge is admit with a rule of its own for which handles are good.
func (s *Surface) judge(w http.ResponseWriter, r *http.Request, open opener) (*bff.App, *bff.Session, error) {
	scheme, credential, err := s.presented(r)
	if err != nil {
		return nil, nil, err
	}
	h, err := bff.ParseHandle(credential)
	if err != nil {
		surface.CredentialRefused(r.Context(), s.trace, "", "malformed handle")
		return nil, nil, s.challenge(r, surface.OAuthInvalidToken, unknownHandle())
	}
	var held *bff.Possession
	if scheme == surface.SchemeDPoP {
		if held, err = s.possession(w, r, credential); err != nil {
			return nil, nil, s.Ended(r, err)
		}
	}
	// From here on the record decides, on every request anew (ASVS 7.4.1): kind, turn, app, key, idle and absolute end.
	app, session, err := open(r.Context(), s.app, h, held)
	if err != nil {
		return nil, nil, s.Ended(r, err)
	}
	if !app.Nonces {
		w.Header().Del(fieldNonce) // which was for the apps that want one
	}
	surface.SeenOf(r.Context()).Note(app, session)
	return app, session, nil
}

// presented returns the credential of the one Authorization header field, after everything that contradicts it was
// refused: RFC 6750 section 2 allows one way per request, and section 5.3 only this one is safe.
func (s *Surface) presented(r *http.Request) (surface.Scheme, string, error) {
	if query, err := url.ParseQuery(r.URL.RawQuery); query.Has("access_token") {
		// A handle in an address stands in logs and histories (RFC 9700 section 4.3.2).
		return "", "", s.invalidRequest(r, "handle in the query", err)
	}
	if len(r.Header.Values("Authorization")) > 1 { // RFC 9449 section 7.2: nor one of each scheme
		return "", "", s.invalidRequest(r, "two Authorization fields", nil)
	}
	scheme, credential := schemeOf(r)
	switch {
	case scheme == "": // any other scheme is none of ours (RFC 6750 section 3.1)
		return "", "", errNothing
	case !b64token.MatchString(credential):
		return "", "", s.invalidRequest(r, "malformed Authorization field", nil)
	}
	return scheme, credential, s.alone(r)
}

// schemeOf cuts the one Authorization field of a request; "" where there is none, or it is of no scheme of ours.
func schemeOf(r *http.Request) (surface.Scheme, string) {
	name, credential, _ := strings.Cut(strings.TrimLeft(surface.Field(r, "Authorization"), " \t"), " ")
	for _, scheme := range []surface.Scheme{surface.SchemeBearer, surface.SchemeDPoP} {
		if strings.EqualFold(name, string(scheme)) { // RFC 9110 section 11.1
			return scheme, strings.TrimLeft(credential, " ")
		}
	}
	return "", ""
}

// alone refuses what must not stand beside a handle: a page's origin, or a browser's session, for which of two sessions
// is meant nobody knows.
func (s *Surface) alone(r *http.Request) error {
	if err := s.notFromAPage(r); err != nil {
		return err
	}
	if slices.ContainsFunc(surface.ReadJar(r), func(c surface.Cookie) bool { return s.sessionCookie(c.Name) }) {
		return s.invalidRequest(r, "a cookie and a handle", nil)
	}
	return nil
}

// nothing is the answer to a request without a handle; one that has it in a form is told what is wrong with that. The
// request is refused anyway, so its body may be read.
func (s *Surface) nothing(r *http.Request) error {
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/x-www-form-urlencoded" {
		body, _ := io.ReadAll(io.LimitReader(r.Body, surface.MaxForm)) // what cannot be read holds nothing
		for part := range strings.SplitSeq(string(body), "&") {
			name, _, _ := strings.Cut(part, "=")
			if name, err := url.QueryUnescape(name); err == nil && name == "access_token" {
				return s.invalidRequest(r, "handle in a form", nil)
			}
		}
	}
	return &surface.ChallengeError{
		Schemes: s.policy.schemes, Algs: dpop.Algorithms(),
		Err: &bff.Error{Code: bff.CodeSessionRequired, Message: signIn},
	}
}

// challenge is the refusal of what a request presents, by the scheme that it came by; by the first that is taken here where
// it came by none, or by one that no app takes.
func (s *Surface) challenge(r *http.Request, code string, err error) error {
	scheme, _ := schemeOf(r)
	switch {
	case errors.Is(err, bff.ErrBound):
		scheme = surface.SchemeDPoP // by which it is to come (RFC 9449 section 7.2)
	case !slices.Contains(s.policy.schemes, scheme):
		scheme = s.policy.schemes[0]
	}
	return &surface.ChallengeError{Code: code, Schemes: []surface.Scheme{scheme}, Algs: dpop.Algorithms(), Err: err}
}

// signIn is what everybody is told who presents no handle, or one that is not taken.
const signIn = "Sign in to continue."

// unknownHandle is the one answer to every handle that opens nothing: it says nothing of why.
func unknownHandle() error {
	return &bff.Error{Code: bff.CodeSessionRequired, Message: signIn}
}

// invalidRequest is the answer where it is not clear what was presented.
func (s *Surface) invalidRequest(r *http.Request, rule string, err error) error {
	surface.CredentialRefused(r.Context(), s.trace, "", rule)
	return s.challenge(r, surface.OAuthInvalidRequest, &bff.Error{
		Code: bff.CodeBadRequest, Message: "A request carries one handle, in its Authorization header alone.", Err: err,
	})
}

// session tells who is signed in. It never moves the idle end, and an outage is never told as signed out.
func (s *Surface) session(w http.ResponseWriter, r *http.Request) error {
	app, session, err := s.admitted(w, r)
	if err != nil {
		return err
	}
	return surface.WriteJSON(w, r, http.StatusOK, surface.SessionAnswer(app, session, s.engine.Now(), ""))
}
