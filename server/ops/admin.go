package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"cloakroom/bff"
)

// AdminOptions are what the admin listener works with. All of it is required.
type AdminOptions struct {
	Token     bff.Secret // the one credential: whoever has it may do everything here
	Engine    *bff.Engine
	Apps      map[string]*bff.App // by id
	Providers []string            // configured names
	// Failed counts a refused credential against the client's address. An error, of bff.CodeRateLimited, is the answer then.
	Failed func(*http.Request) error
	// Fail answers with an error, as application/problem+json: never a page.
	Fail  func(http.ResponseWriter, *http.Request, error)
	Trace *bff.Trace
}

// admin is the admin listener's handler: every act and every refusal is told to the trace.
type admin struct {
	AdminOptions
	mux *http.ServeMux
}

// Admin serves the sessions of all users to whoever has the credential (ASVS 7.4.5), and profiles of the process. It is for
// programs: a browser's request is refused, whatever it carries.
func Admin(o AdminOptions) http.Handler {
	a := &admin{AdminOptions: o, mux: http.NewServeMux()}
	a.mux.HandleFunc("GET /admin/sessions", a.act("find", a.findMany))
	a.mux.HandleFunc("GET /admin/sessions/{id}", a.act("find", a.findOne))
	a.mux.HandleFunc("DELETE /admin/sessions", a.act("end", a.endMany))
	a.mux.HandleFunc("DELETE /admin/sessions/{id}", a.act("end", a.endOne))
	a.mux.HandleFunc("GET /debug/pprof", a.act("profile", profiles))
	a.mux.HandleFunc("GET /debug/pprof/{name}", a.act("profile", profile))
	a.mux.HandleFunc("/admin/sessions", a.act("other", methods("GET, DELETE")))
	a.mux.HandleFunc("/admin/sessions/{id}", a.act("other", methods("GET, DELETE")))
	a.mux.HandleFunc("/debug/pprof", a.act("other", methods("GET")))
	a.mux.HandleFunc("/debug/pprof/{name}", a.act("other", methods("GET")))
	a.mux.HandleFunc("/", a.act("other", nowhere))
	return a
}

// ServeHTTP lets nothing pass that is a browser's or lacks the credential: what is asked for makes no difference before.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.ContentLength != 0 {
		// Nothing here reads a body, and nobody is to hold a connection by one that never comes (ASVS 13.1.3).
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		h.Set("Connection", "close")
	}
	if rule, err := a.refuse(r); err != nil {
		if a.Trace.AdminRefused != nil {
			a.Trace.AdminRefused(r.Context(), bff.AdminEvent{From: from(r), Result: rule, Code: bff.CodeOf(err)})
		}
		a.Fail(w, r, err)
		return
	}
	if path.Clean(r.URL.Path) != r.URL.Path { // the mux would answer with a redirect
		a.act("other", nowhere)(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// refuse returns why a request goes no further, and the rule by which.
func (a *admin) refuse(r *http.Request) (rule string, err error) {
	if foreign(r) {
		return "browser", &bff.Error{Code: bff.CodeForbidden, Message: "Pages get no answer here."}
	}
	switch fields := r.Header.Values("Authorization"); {
	case len(fields) == 0:
		rule = "no credential"
	case len(fields) > 1 || !a.isToken(fields[0]):
		rule = "wrong credential"
	case r.ContentLength != 0:
		return "body", &bff.Error{Code: bff.CodeBadRequest, Message: "Nothing here takes a body."}
	default:
		return "", nil
	}
	if err := a.Failed(r); err != nil {
		return "too many", err
	}
	// One answer for whatever is wrong with it (ASVS 6.3.8): who guesses learns nothing from it.
	return rule, &bff.Error{Code: bff.CodeAdminRequired, Message: "The credential is missing or wrong."}
}

// foreign tells a browser's request: a page's by Origin (Fetch Standard section 3.2), any other by Fetch Metadata. A browser
// has no business here: its page would probe the network, or have got hold of the credential.
func foreign(r *http.Request) bool {
	site := r.Header.Values("Sec-Fetch-Site")
	return len(r.Header.Values("Origin")) > 0 || len(site) > 1 || len(site) == 1 && site[0] != "none"
}

// isToken compares over hashes and in constant time: neither content nor length shows in it. The field is that of RFC 6750
// section 2.1, whose scheme is of any case.
func (a *admin) isToken(field string) bool {
	scheme, token, _ := strings.Cut(field, " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(a.Token.Reveal()))
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
	return same && strings.EqualFold(scheme, "Bearer") && !a.Token.IsZero()
}

// from is the client's address, without its port. No proxy is believed: there is none in front of this listener.
func from(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// job is one act on its way.
type job struct {
	w      http.ResponseWriter
	r      *http.Request
	event  bff.AdminEvent
	began  time.Time
	opened bool // the answer has begun: what goes wrong from here on is told in it
}

// act carries out one thing, answers if that failed, and tells what became of it.
func (a *admin) act(action string, do func(*job) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		j := &job{w: w, r: r, began: time.Now(), event: bff.AdminEvent{From: from(r), Action: action, Result: "done"}}
		if err := do(j); err != nil {
			j.event.Result, j.event.Code, j.event.Err = "failed", bff.CodeOf(err), err
			if r.Context().Err() != nil {
				j.event.Result = "left" // by the client, or because the process ends
			}
			if !j.opened {
				a.Fail(w, r, err)
			}
		}
		a.tell(j)
	}
}

// tell tells the trace what became of an act so far.
func (a *admin) tell(j *job) {
	if j.event.Took = time.Since(j.began); a.Trace.AdminActed != nil {
		a.Trace.AdminActed(j.r.Context(), j.event)
	}
}

func nowhere(*job) error {
	return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing at this address."}
}

// methods refuses a method where others are taken (RFC 9110 section 15.5.6).
func methods(allow string) func(*job) error {
	return func(j *job) error {
		j.w.Header().Set("Allow", allow)
		return &bff.Error{Code: bff.CodeMethodNotAllowed, Message: "This address takes " + allow + "."}
	}
}
