package spa

import (
	"net/http"
	"slices"
	"strings"

	"cloakroom/bff"
	"cloakroom/surface"
)

// stepParam tells, in the query of a protected page, what this surface has done already about a visitor without a
// session, so that nothing is done twice: that is all that keeps these ways from going in circles, whatever a browser
// makes of cookies, reloads and its own metadata. It never reaches the page: who has a session is sent to the address
// without it. In a link of somebody else it can only have a step left out.
const (
	stepParam  = "bff_step"
	stepAgain  = "again"  // one of our pages has asked anew, from this origin
	stepLanded = "landed" // a sign-in was to come back here
	stepMeant  = "meant"  // the person said, on a page of ours, that it is meant
)

// Protect puts pages behind a sign-in: h answers only those who have a live session, as GuardSite guards it. The visit of
// a page without one starts a sign-in that comes back to this very page; everything else (assets, fetches, frames) is
// told by the error that Admit would give. An outage is an error to all, and never a sign-in.
//
//	visit without a live session            answer
//	from this site or from none             303 to the sign-in
//	from another, the cookie may be held    a page that moves on to the same address, once
//	back (a Strict cookie is, RFC 6265bis
//	section 5.6.7.1)
//	from another, no cookie or a dead one   a page that moves on to the sign-in
//	right after a sign-out of this browser  a page that says so, with a way to sign in
//	back from a sign-in that was refused    a page that says so: a provider that refuses without asking would go round
//	back from one that left no session      a page that says so: its cookie was not kept
//
// The pages in between come from this origin, so that the sign-in they lead to needs no click: a link to a page of the
// app asks for that page, and nothing in it chooses who is signed in.
func (s *Surface) Protect(h surface.Handler) surface.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		session, err := s.visitor(w, r)
		switch {
		case surface.IsOver(err) && surface.IsVisit(r):
			return s.askToSignIn(w, r, visitedAt(r), err)
		case session == nil:
			return err
		default:
			return s.show(w, r, session, h)
		}
	}
}

// visitor returns the live session of a request for a page. Both results are nil where it has answered: a visit that came
// by our own steps is sent on to the page's own address.
func (s *Surface) visitor(w http.ResponseWriter, r *http.Request) (*bff.Session, error) {
	session, err := s.admit(w, r, GuardSite)
	if err != nil {
		return nil, err
	}
	if at := visitedAt(r); at.step != "" && surface.IsVisit(r) {
		s.stepDone(w, at)
		return nil, nil
	}
	if !surface.IsBackground(r) {
		s.engine.Touch(session)
	}
	return session, nil
}

// show answers for as long as the session lives: a long download, an event stream or a WebSocket of a development server
// ends with it (ASVS 7.4.1). A download is broken off, not ended, so that a part does not pass for the whole.
func (s *Surface) show(w http.ResponseWriter, r *http.Request, session *bff.Session, h surface.Handler) error {
	ctx, stop := s.engine.Watch(r.Context(), session)
	defer stop()
	shown := &shown{ResponseWriter: w, over: ctx.Err}
	err := h(shown, r.WithContext(ctx))
	if shown.cut {
		panic(http.ErrAbortHandler)
	}
	return err
}

// shown is an answer that breaks off.
type shown struct {
	http.ResponseWriter
	over func() error
	cut  bool
}

// Write writes unless it is over.
func (s *shown) Write(p []byte) (int, error) {
	if err := s.over(); err != nil {
		s.cut = true
		return 0, err
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the writer of the server.
func (s *shown) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// stepDone sends on to the page's own address: reloads and bookmarks are of the page, not of how it was come to.
func (s *Surface) stepDone(w http.ResponseWriter, at visit) {
	target, err := returnTarget(at.whole) // it goes into a Location (RFC 9700 section 4.11.1)
	if err != nil {
		target = s.app.DefaultReturn
	}
	surface.Redirect(w, target)
}

// askToSignIn answers the visit of a page without a live session; dead says why there is none.
func (s *Surface) askToSignIn(w http.ResponseWriter, r *http.Request, at visit, dead error) error {
	j := surface.ReadJar(r)
	held := j.Has(s.cookieName(""))
	login := s.loginFor(at)
	switch {
	case surface.Field(r, "Sec-Fetch-Site") == "cross-site" && !s.app.LaxCookie && at.step != stepAgain && at.mayReturn(stepAgain):
		return surface.WritePage(w, r, passingPage(withStep(at.whole, stepAgain)))
	case j.Has(s.cookieName(surface.PartNotice)):
		// Where the provider kept its own session, a sign-in would undo the sign-out before anybody saw it.
		// There is no way back to the app: it would end here again.
		return surface.WritePage(w, r, surface.SignedOutPage(login, ""))
	case at.refused:
		return &surface.Offer{Err: &bff.Error{Code: bff.CodeLoginRefused, Message: "The sign-in did not take place."}, LoginURL: login}
	case at.step == stepLanded && held:
		return &surface.Offer{Err: dead, LoginURL: login}
	case at.step == stepLanded:
		return &surface.Offer{
			Err:      &bff.Error{Code: surface.CodeCookiesBlocked, Message: "The browser did not keep the session cookie."},
			LoginURL: login,
		}
	case !fromHere(r):
		return surface.WritePage(w, r, passingPage(login))
	default:
		surface.Redirect(w, login)
		return nil
	}
}

// loginFor is the start of a sign-in that comes back to the page. With a Strict cookie it comes through /bff/landed, which
// knows whether the cookie was kept; a Lax one goes straight to the page, which has to know itself.
func (s *Surface) loginFor(at visit) string {
	switch {
	case s.app.LaxCookie && at.mayReturn(stepLanded):
		return loginURL(withStep(at.page, stepLanded))
	case !s.app.LaxCookie && at.mayReturn(""):
		return loginURL(at.page)
	default: // too long, or no address of a page: then to where logins go that name none
		return pathLogin
	}
}

// passingPage moves on by itself at once. It is not there to be read.
func passingPage(to string) surface.Page {
	return surface.Page{
		Title: "One moment", Text: []string{"The page opens in a moment."},
		MoveOnTo: to, Actions: []surface.Action{{Label: "Continue", URL: to}},
	}
}

// visit is a page's address, and what its query tells of an earlier step.
type visit struct {
	whole   string // without the step
	page    string // without what a sign-in that was refused has added, too
	step    string
	refused bool
}

// visitedAt reads the address of a request, and leaves every byte that is not ours as it is.
func visitedAt(r *http.Request) visit {
	v := visit{}
	var whole, page []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case stepParam:
			v.step = value
		case errorParam:
			v.refused = true
			whole = append(whole, part)
		default:
			whole, page = append(whole, part), append(page, part)
		}
	}
	v.whole, v.page = join(r.URL.EscapedPath(), whole), join(r.URL.EscapedPath(), page)
	return v
}

// mayReturn reports whether the address, with a step, may be come back to (RFC 9700 section 4.11.1).
func (v visit) mayReturn(step string) bool {
	_, err := returnTarget(withStep(v.whole, step))
	return err == nil
}

// withStep adds the step to an address; "" adds nothing.
func withStep(address, step string) string {
	if step == "" {
		return address
	}
	path, query, _ := strings.Cut(address, "?")
	return join(path, []string{query, stepParam + "=" + step})
}

// join puts path and query together, and leaves out what is empty.
func join(path string, query []string) string {
	query = slices.DeleteFunc(slices.Clone(query), func(part string) bool { return part == "" })
	if len(query) == 0 {
		return path
	}
	return path + "?" + strings.Join(query, "&")
}
