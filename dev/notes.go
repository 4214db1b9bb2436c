package dev

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	_ "embed" // the notes' page and its style
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

var (
	//go:embed notes/notes.html
	notesPage string
	//go:embed notes/notes.css
	notesStyle string

	notesTemplate = template.Must(template.New("notes").Parse(notesPage))
)

// notesSession is the cookie of the notes' own: it passes the gateway in both directions, as every site's own do.
const notesSession = "notes_session"

// notesPolicy has no form-action: the form that signs out is redirected on to the provider, and Chromium holds
// form-action against every redirect after a submission.
const notesPolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// Fields of a request in which the gateway tells the notes who asks: what identity_headers of their route have to say.
const (
	NotesName  = "X-Forwarded-Name"  // claim name
	NotesEmail = "X-Forwarded-Email" // claim email
)

// Notes is a server-rendered app: pages, a form, a session cookie of its own, and no script. Who asks it reads from the
// access token, and how to call them from the fields above. It is served at the root of its app's origin, by a route of
// kind site.
type Notes struct {
	mux    *http.ServeMux
	bearer *bearer
	book   noteBook
	visits visits
	now    func() time.Time
}

// NewNotes makes the notes: the configuration is the demo API's, of which Samples and EchoTokens mean nothing here. The
// error is ErrNoIssuer.
func NewNotes(cfg APIConfig) (*Notes, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Notes{
		mux: http.NewServeMux(), bearer: newBearer(cfg), now: cfg.Now,
		book: noteBook{of: map[string][]note{}}, visits: visits{of: map[string]visit{}},
	}
	n.mux.HandleFunc("GET /{$}", n.guarded(n.list))
	n.mux.HandleFunc("GET /new", n.guarded(n.compose))
	n.mux.HandleFunc("POST /notes", n.guarded(n.save))
	n.mux.HandleFunc("GET /notes.css", n.style)
	n.mux.HandleFunc("/", n.guarded(func(w http.ResponseWriter, r *http.Request, v visit) {
		n.show(w, http.StatusNotFound, notesView{Title: "Not found", Name: v.name, Wrong: "There is no such page."})
	}))
	return n, nil
}

// ServeHTTP answers a request.
func (n *Notes) ServeHTTP(w http.ResponseWriter, r *http.Request) { n.mux.ServeHTTP(w, r) }

// notesView is what a page shows.
type notesView struct {
	Title, Name, Token, Said, Wrong string
	List, Form                      bool
	Notes                           []note
	Draft                           note
}

// guarded lets whoever has a good token pass, with a session of the notes' own. The gateway renews a token that is
// refused with this challenge (RFC 6750 section 3.1), and asks once more.
func (n *Notes) guarded(do func(http.ResponseWriter, *http.Request, visit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := n.bearer.verify(r)
		switch {
		case errors.Is(err, errKeysUnreachable):
			n.show(w, http.StatusServiceUnavailable, notesView{
				Title: "Not available", Wrong: "The keys of the provider cannot be read. Try again in a moment.",
			})
			return
		case err != nil:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			n.show(w, http.StatusUnauthorized, notesView{Title: "Nobody is signed in", Wrong: "This page is for whoever is signed in."})
			return
		}
		v := n.visits.find(cookieValue(r), c.Sub)
		if v.fresh {
			http.SetCookie(w, &http.Cookie{Name: notesSession, Value: v.id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
		v.name = cmp.Or(toldIn(r, NotesName), toldIn(r, NotesEmail), c.Sub)
		do(w, r, v)
	}
}

// cookieValue is the notes' own session; "" for none.
func cookieValue(r *http.Request) string {
	c, err := r.Cookie(notesSession)
	if err != nil {
		return ""
	}
	return c.Value
}

// toldIn reads a field that the gateway sets: what is no printable ASCII comes as percent escapes.
func toldIn(r *http.Request, name string) string {
	text, err := url.PathUnescape(r.Header.Get(name))
	if err != nil {
		return ""
	}
	return text
}

func (n *Notes) list(w http.ResponseWriter, r *http.Request, v visit) {
	said := ""
	if r.URL.Query().Has("saved") {
		said = "The note is saved."
	}
	n.show(w, http.StatusOK, notesView{Title: "Your notes", Name: v.name, List: true, Notes: n.book.list(v.sub), Said: said})
}

func (n *Notes) compose(w http.ResponseWriter, _ *http.Request, v visit) {
	n.show(w, http.StatusOK, notesView{Title: "A new note", Name: v.name, Form: true, Token: v.token})
}

// save takes a note from the notes' own form: the token in it is of this session of theirs, so of this user. Who signs in
// as somebody else before sending a form again is not taken for who wrote it.
func (n *Notes) save(w http.ResponseWriter, r *http.Request, v visit) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10) // ten thousand characters, each an escape of six
	if err := r.ParseForm(); err != nil {
		n.show(w, http.StatusBadRequest, notesView{Title: "Not saved", Name: v.name, Wrong: "The form could not be read."})
		return
	}
	draft := note{Title: strings.TrimSpace(r.PostForm.Get("title")), Text: r.PostForm.Get("text"), At: n.now()}
	view := notesView{Title: "A new note", Name: v.name, Form: true, Token: v.token, Draft: draft}
	switch {
	case subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf_token")), []byte(v.token)) != 1:
		view.Wrong = "The form was made for another sign-in. Look it over and save it again."
		n.show(w, http.StatusForbidden, view)
	case draft.Title == "" || len(draft.Title) > 400 || len(draft.Text) > 40_000: // bytes of 100 and 10,000 characters
		view.Wrong = "A note has a title of 100 characters at most, and 10,000 of text."
		n.show(w, http.StatusUnprocessableEntity, view)
	default:
		n.book.add(v.sub, draft)
		http.Redirect(w, r, "/?saved", http.StatusSeeOther)
	}
}

func (n *Notes) style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300") // which the gateway makes private
	_, _ = w.Write([]byte(notesStyle))                     // a client that has gone is no concern of the notes
}

func (n *Notes) show(w http.ResponseWriter, status int, view notesView) {
	var page bytes.Buffer
	if err := notesTemplate.Execute(&page, view); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", notesPolicy)
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // as above
}

// newToken names a session of the notes', or a form of it.
func newToken() string { return rand.Text() }
