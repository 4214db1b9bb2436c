package spa

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

// Admit returns the live session of a request that passes the guard, and notes that the user was active unless the
// request says X-Background: 1 or the browser fetches ahead. A request without a session cookie is bff.CodeSessionRequired,
// guarded or not: it can do nothing. Where the cookie is dead for good, w is told to clear it; an outage or a failed guard
// never clears it.
func (s *Surface) Admit(w http.ResponseWriter, r *http.Request, guard Guard) (*bff.Session, error) {
	session, err := s.admit(w, r, guard)
	if err == nil && !surface.IsBackground(r) {
		s.engine.Touch(session)
	}
	return session, err
}

// AdmitOptional is Admit for routes that anybody may use: whoever has no session, or does not pass the guard, is nobody
// (nil). That the session could not be asked for is still an error: a user must not turn into nobody by an outage.
func (s *Surface) AdmitOptional(w http.ResponseWriter, r *http.Request, guard Guard) (*bff.Session, error) {
	if s.check(r, guard) != "" {
		return nil, nil
	}
	session, err := s.Admit(w, r, guard)
	if surface.IsOver(err) {
		return nil, nil
	}
	return session, err
}

// admit is Admit without activity.
func (s *Surface) admit(w http.ResponseWriter, r *http.Request, guard Guard) (*bff.Session, error) {
	j := surface.ReadJar(r)
	// A stranger's bare request is told to sign in, not that it is forged: there is nothing a forger could gain by it.
	if !j.Has(s.cookieName("")) {
		return nil, sessionRequired()
	}
	// The guard stands before the cookie is even read (draft-ietf-oauth-browser-based-apps section 6.1.3.3): a forged
	// request must not move an idle end, ask the store, or learn whether the cookie is any good.
	if rule := s.check(r, guard); rule != "" {
		return nil, s.guardRefused(r.Context(), rule)
	}
	if err := s.oneCredential(r, j); err != nil {
		return nil, err
	}
	return s.current(w, r, j)
}

// oneCredential refuses a request that presents a native app's handle beside the cookie: which of two sessions is meant
// nobody knows, so neither is taken (RFC 6750 section 2: one way per request).
func (s *Surface) oneCredential(r *http.Request, j surface.Jar) error {
	if !j.Has(s.cookieName("")) || !carriesHandle(r) {
		return nil
	}
	s.credentialRefused(r.Context(), "a cookie and a handle")
	return &bff.Error{Code: bff.CodeBadRequest, Message: "A request carries a cookie or a handle, not both."}
}

// carriesHandle reports whether a request presents a native app's handle. Any other Authorization is no credential here.
func carriesHandle(r *http.Request) bool {
	for _, value := range r.Header.Values("Authorization") {
		scheme, credential, _ := strings.Cut(strings.TrimLeft(value, " \t"), " ")
		if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
			continue
		}
		if bff.IsHandle(strings.TrimLeft(credential, " \t")) {
			return true
		}
	}
	return false
}

// current returns the live session of the cookie, and has the cookie cleared if that is dead.
func (s *Surface) current(w http.ResponseWriter, r *http.Request, j surface.Jar) (*bff.Session, error) {
	root, err := s.root(r.Context(), j)
	if err != nil {
		if len(j.Values(s.cookieName(""))) == 1 {
			s.clearSession(w) // of two, one may be good: the browser keeps both, and neither is taken
		}
		return nil, err
	}
	// From here on the record decides, on every request anew (ASVS 7.4.1): app, idle and absolute end stand in it, and
	// nothing of it is remembered in this process.
	session, err := s.engine.Session(r.Context(), s.app, root)
	if err != nil {
		s.clearDead(w, err)
		return nil, err
	}
	surface.SeenOf(r.Context()).Note(s.app, session)
	return session, nil
}

// root reads the session cookie. One of a bad form is refused here, before anything is asked of the store; so are two
// of the name: one of them was tossed in from elsewhere, and none is to be trusted (RFC 6265bis section 8.6). The value
// is taken from nowhere but the cookie.
func (s *Surface) root(ctx context.Context, j surface.Jar) (bff.Root, error) {
	found := j.Values(s.cookieName(""))
	switch len(found) {
	case 0:
		return bff.Root{}, sessionRequired()
	case 1:
		// 43 characters of base64url and no more: quotes, padding or another alphabet are no root (ASVS 7.2.3).
		root, err := bff.ParseRoot(found[0])
		if err != nil {
			s.credentialRefused(ctx, "malformed session cookie")
			return bff.Root{}, sessionRequired()
		}
		return root, nil
	default:
		s.credentialRefused(ctx, "two session cookies")
		return bff.Root{}, sessionRequired()
	}
}

// clearDead clears the cookie of a session that is over. Of one that was replaced it does not: the browser holds the
// new session's cookie by now, and a late answer to a request of the old one would take that.
func (s *Surface) clearDead(w http.ResponseWriter, err error) {
	if !surface.IsOver(err) {
		return
	}
	if e, ok := errors.AsType[*bff.Error](err); ok && e.Reason == string(bff.ReasonReplaced) {
		return
	}
	s.clearSession(w)
}

// sessionRequired is the one answer to no, a doubled, a malformed and an unknown cookie: it says nothing of which.
func sessionRequired() error {
	return &bff.Error{Code: bff.CodeSessionRequired, Message: "Sign in to continue."}
}

// credentialRefused reports a cookie that is none.
func (s *Surface) credentialRefused(ctx context.Context, rule string) {
	surface.CredentialRefused(ctx, s.trace, s.app.ID, rule)
}

// session tells who is signed in. It is guarded also where there is no cookie, so that a page that forgets the header
// learns so before its first user signs in. It never moves the idle end, and "signed out" is said only when it is known.
func (s *Surface) session(w http.ResponseWriter, r *http.Request) error {
	if rule := s.check(r, GuardHeader); rule != "" {
		return s.guardRefused(r.Context(), rule)
	}
	// admit, not Admit: asking who is signed in is no activity (ASVS 7.3.1), however often a page polls.
	session, err := s.admit(w, r, GuardHeader)
	// Dead is an answer here, and one fixed shape; an outage is not, for a page would take it for a sign-out.
	if err != nil && !surface.IsOver(err) {
		return err
	}
	return s.tell(w, r, session)
}

// extend moves the idle end because the user asks for it, and refreshes if that is due.
func (s *Surface) extend(w http.ResponseWriter, r *http.Request) error {
	session, err := s.admit(w, r, GuardHeader)
	if err != nil {
		return err
	}
	// The engine moves the idle end first: that the provider is down is no reason to let a user's session lapse.
	session, err = s.engine.Extend(r.Context(), s.app, session)
	if err != nil {
		s.clearDead(w, err)
		return err
	}
	return s.tell(w, r, session)
}

// tell answers with the session; nil is signed out.
func (s *Surface) tell(w http.ResponseWriter, r *http.Request, session *bff.Session) error {
	// The token in it is derived from the root and opens nothing but the sign-out: that a page can read it is its purpose.
	logoutURL := ""
	if session != nil {
		logoutURL = pathLogout + "?token=" + session.Root.LogoutToken()
	}
	return surface.WriteJSON(w, r, http.StatusOK, surface.SessionAnswer(s.app, session, s.engine.Now(), logoutURL))
}

// Ended has the cookie cleared if err, met after Admit, says that the session is over, and returns err.
func (s *Surface) Ended(w http.ResponseWriter, err error) error {
	s.clearDead(w, err)
	return err
}
