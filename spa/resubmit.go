package spa

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"cloakroom/bff"
	"cloakroom/surface"
)

// AdmitPage is Admit for a route to a server-rendered app. A visit without a live session is sent to the sign-in and comes
// back to the very page, as by Protect; a form that comes without one is kept in a page from which it can be sent again.
// Then both results are nil: it has answered. All else that has no session (subresources, fetches, frames, HEAD) is an
// error, and so is an outage to everybody.
func (s *Surface) AdmitPage(w http.ResponseWriter, r *http.Request) (*bff.Session, error) {
	session, err := s.visitor(w, r)
	if err != nil {
		return nil, s.withoutSession(w, r, err)
	}
	return session, nil
}

// AdmitGuest is AdmitPage for pages that anybody may see: whoever has no session is nobody (nil). bare says that the
// request did not even show that it comes from the app's own pages: then it is as one without any cookie.
func (s *Surface) AdmitGuest(w http.ResponseWriter, r *http.Request) (session *bff.Session, bare bool, err error) {
	if s.check(r, GuardSite) != "" {
		return nil, true, nil
	}
	session, err = s.admit(w, r, GuardSite)
	switch {
	case err == nil && !surface.IsBackground(r):
		s.engine.Touch(session)
	case surface.IsOver(err):
		err = nil
	}
	return session, false, err
}

// PageEnded is Ended for a page or form that AdmitPage had admitted, and whose session ended before anything of the
// request was used: it answers as AdmitPage would have, and returns nil then.
func (s *Surface) PageEnded(w http.ResponseWriter, r *http.Request, err error) error {
	return s.withoutSession(w, r, s.Ended(w, err))
}

func (s *Surface) withoutSession(w http.ResponseWriter, r *http.Request, err error) error {
	switch {
	case !surface.IsOver(err):
		return err
	case surface.IsVisit(r):
		return s.askToSignIn(w, r, visitedAt(r), err)
	case isSubmission(r):
		return s.keepForm(w, r, surface.Resubmission{SignInURL: loginURL(pathSignedIn)})
	default:
		return err
	}
}

// isSubmission reports whether a person has sent a form and is about to see the answer.
func isSubmission(r *http.Request) bool {
	return r.Method == http.MethodPost && surface.WantsPage(r) && surface.IsTopLevel(r)
}

// keepForm answers a form that came without a session, or with one whose sign-in does not do, by a page that keeps it.
func (s *Surface) keepForm(w http.ResponseWriter, r *http.Request, page surface.Resubmission) error {
	// Not a byte of it is read before it is known to be the app's own: a form of another site's making must not come back as
	// a page of this origin, whose button would send it as the user's (ASVS 3.5.1). Without a cookie nobody has asked yet.
	if rule := s.check(r, GuardSite); rule != "" {
		return s.guardRefused(r.Context(), rule)
	}
	var lost *lostForm
	var err error
	page.Fields, page.Multipart, err = readForm(r)
	if errors.As(err, &lost) {
		page.Fields, page.Lost = nil, lost.because
	} else if err != nil {
		// It broke off: nobody is there to read a page, and half a form must not pass for the whole.
		return &bff.Error{Code: bff.CodeBadRequest, Message: "The request is malformed.", Err: err}
	}
	return surface.WriteResubmission(w, r, page)
}

// Bounds of a form that is kept. The page that keeps it is made in memory, and escapes make it several times as long.
const (
	maxKeptForm   = 256 << 10 // bytes: more than anybody types
	maxKeptFields = 1000      // what PHP takes by default
)

// lostForm says why a form cannot be kept; nothing of the form itself is in it.
type lostForm struct{ because string }

// Error is the reason.
func (l *lostForm) Error() string { return "form not kept: " + l.because }

// Why forms are not kept.
var (
	formTooLong   = &lostForm{"it is too long"}
	formHasFile   = &lostForm{"it holds a file"}
	formIsForeign = &lostForm{"it is of a kind that cannot be kept"}
)

// readForm reads the fields of a form in their order, so that what is sent again is byte for byte what came. An error is
// a *lostForm, or what went wrong in reading. Names and values go nowhere but into the page: they are never logged.
func readForm(r *http.Request) (fields []surface.KeptField, isMultipart bool, err error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isMultipart = media == "multipart/form-data"
	if err != nil || !isMultipart && media != "application/x-www-form-urlencoded" {
		return nil, false, formIsForeign
	}
	if r.ContentLength > maxKeptForm {
		return nil, isMultipart, formTooLong
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxKeptForm+1))
	switch {
	case err != nil:
		return nil, isMultipart, err
	case len(body) > maxKeptForm:
		return nil, isMultipart, formTooLong
	case isMultipart:
		fields, err = readParts(string(body), params["boundary"])
	default:
		fields, err = readPairs(string(body))
	}
	for _, f := range fields {
		if !isKeepable(f.Name) || !isKeepable(f.Value) || f.Name == "" {
			return nil, isMultipart, formIsForeign
		}
	}
	return fields, isMultipart, err
}

// readPairs reads application/x-www-form-urlencoded (URL standard section 5.1).
func readPairs(body string) (fields []surface.KeptField, err error) {
	if body == "" {
		return nil, nil
	}
	for pair := range strings.SplitSeq(body, "&") {
		if len(fields) == maxKeptFields {
			return nil, formTooLong
		}
		name, value, named := strings.Cut(pair, "=")
		n, errName := url.QueryUnescape(name)
		v, errValue := url.QueryUnescape(value)
		if !named || errName != nil || errValue != nil { // no browser's form comes so
			return nil, formIsForeign
		}
		fields = append(fields, surface.KeptField{Name: n, Value: v})
	}
	return fields, nil
}

// readParts reads multipart/form-data (RFC 7578). A file cannot be put into a page's form again; the place of one that
// was not chosen can.
func readParts(body, boundary string) (fields []surface.KeptField, err error) {
	parts := multipart.NewReader(strings.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
		}
		if err != nil {
			return nil, formIsForeign
		}
		if len(fields) == maxKeptFields {
			return nil, formTooLong
		}
		_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		value, errRead := io.ReadAll(part)
		if err != nil || errRead != nil {
			return nil, formIsForeign
		}
		file, isFile := params["filename"]
		if isFile && (file != "" || len(value) > 0) {
			return nil, formHasFile
		}
		fields = append(fields, surface.KeptField{Name: params["name"], Value: string(value), NoFile: isFile})
	}
}

// isKeepable reports whether a text comes out of a page's attribute as it went in: HTML has no NUL, and a page is UTF-8.
func isKeepable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// signedIn is where the tab ends in which somebody signed in to send a form again.
func (s *Surface) signedIn(w http.ResponseWriter, r *http.Request) error {
	again := loginURL(pathSignedIn)
	if visitedAt(r).refused {
		return &surface.Offer{Err: &bff.Error{Code: bff.CodeLoginRefused, Message: "The sign-in did not take place."}, LoginURL: again}
	}
	if _, err := s.current(w, r, surface.ReadJar(r)); err != nil {
		return &surface.Offer{Err: err, LoginURL: again}
	}
	return surface.WritePage(w, r, surface.SignedInPage(s.app.DefaultReturn))
}
