package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/surface"
)

// The fields by which nginx learns what its auth_request module does not hand on: that module knows of a refusal nothing but
// 401 and 403, and reads no body.
const (
	fieldStatus   = "Cloakroom-Status"   // of the refusal, as it would be at the public listener
	fieldProblem  = "Cloakroom-Problem"  // its application/problem+json
	fieldLocation = "Cloakroom-Location" // where a navigation goes in place of it: a path of the app's own origin
)

// fieldRemove has Envoy take fields out of what it sends on: one that it is not given anew it would leave as it came.
const fieldRemove = "X-Envoy-Auth-Headers-To-Remove"

// pathSignedOut shows that one is signed out, on the browser surface.
const pathSignedOut = "/bff/logged-out"

// verdict is what becomes of a question.
type verdict struct {
	speaks dialect
	scheme string // of the original request
	fault  error  // what is wrong with the original request's address

	granted  http.Header // what the other proxy is to send on; nil: it is refused
	spoken   []string    // what of the frontend's it is not to send on, for a proxy that is told so
	problem  []byte      // why it was refused, as a problem
	location string      // where a navigation goes in place of that
}

// verdictKey finds the verdict in a request's context.
type verdictKey struct{}

// verdictOf returns the verdict that a request asks for; nil for a request that came by the public listener.
func verdictOf(ctx context.Context) *verdict {
	v, _ := ctx.Value(verdictKey{}).(*verdict)
	return v
}

// sheet is what the rooms write an answer on, before anybody is told.
type sheet struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the answer's fields.
func (s *sheet) Header() http.Header { return s.header }

// WriteHeader notes the status; the first one counts.
func (s *sheet) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

// Write keeps p.
func (s *sheet) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}

// judgeBy has the rooms judge the original request, and answers.
func (a *asked) judgeBy(rooms http.Handler, w http.ResponseWriter) {
	paper := &sheet{header: make(http.Header)}
	rooms.ServeHTTP(paper, a.request)
	switch v := a.verdict; {
	case v.granted != nil && paper.status == http.StatusOK:
		v.pass(w, paper)
	case v.speaks == dialectNginx:
		v.refuseNginx(w, paper)
	default:
		refuseWhole(w, paper)
	}
}

// pass answers what the other proxy is to send on. Beside it may stand that a dead cookie is to be cleared.
func (v *verdict) pass(w http.ResponseWriter, paper *sheet) {
	h := w.Header()
	gone := []string{fieldCredential, "X-Csrf", "Dpop"}
	for _, name := range slices.Sorted(maps.Keys(v.granted)) {
		if v.granted.Get(name) == "" {
			gone = append(gone, name)
			continue
		}
		h[name] = v.granted[name]
	}
	if v.speaks == dialectEnvoy {
		// What a frontend says of its user under other names too. The dialect knows names and no beginnings: of a name that is
		// not known, and was not sent along with the question, it is told nothing.
		for _, name := range v.spoken {
			if _, told := v.granted[name]; !told {
				gone = append(gone, name)
			}
		}
		h.Set(fieldRemove, strings.ToLower(strings.Join(gone, ",")))
	}
	copyFields(h, paper.header, "Set-Cookie", headerRequestID)
	w.WriteHeader(http.StatusOK)
}

// refuseWhole answers as the public listener would have: Traefik and Envoy hand status, fields and body on to the frontend. A
// page that was shown in place of what was asked for is a refusal too, whatever its status.
func refuseWhole(w http.ResponseWriter, paper *sheet) {
	maps.Copy(w.Header(), paper.header)
	status := paper.status
	if status < http.StatusMultipleChoices {
		status = http.StatusUnauthorized
	}
	w.WriteHeader(status)
	_, _ = w.Write(paper.body.Bytes()) // a proxy that has gone was told nothing
}

// refuseNginx answers with a status that auth_request knows, and tells the rest in fields. What is 5xx stays so: nginx makes
// 500 of all of them.
func (v *verdict) refuseNginx(w http.ResponseWriter, paper *sheet) {
	h := w.Header()
	copyFields(h, paper.header, "Set-Cookie", headerRequestID, "Retry-After", "Www-Authenticate", "Allow", "Dpop-Nonce",
		"Sec-Websocket-Version")
	told := paper.status
	if told < http.StatusMultipleChoices {
		told = http.StatusUnauthorized
	}
	h.Set(fieldStatus, strconv.Itoa(told))
	h.Set(fieldProblem, string(v.problem))
	if v.location != "" {
		h.Set(fieldLocation, v.location)
	}
	switch {
	case told >= http.StatusInternalServerError:
		w.WriteHeader(told)
	case told < http.StatusBadRequest, told == http.StatusUnauthorized:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

func copyFields(to, from http.Header, names ...string) {
	for _, name := range names {
		if values := from[name]; len(values) > 0 {
			to[name] = values
		}
	}
}

// refuseBeside is writeError for an original request, and keeps the problem besides, whatever that would have accepted.
func (s *Server) refuseBeside(err error, c echo.Context) {
	s.writeError(err, c)
	s.keepProblem(c.Request(), err)
	v := verdictOf(c.Request().Context())
	var told struct {
		LoginURL string `json:"login_url"`
	}
	if json.Unmarshal(v.problem, &told) == nil && surface.IsVisit(c.Request()) {
		v.location = told.LoginURL
	}
}

// refusePage keeps what a page in place of the answer means to nginx, which cannot show it: where to go from here.
func (s *Server) refusePage(c echo.Context, st *site) {
	r := c.Request()
	v := verdictOf(r.Context())
	s.keepProblem(r, &bff.Error{Code: bff.CodeSessionRequired, Message: "Sign in to continue."})
	switch to := c.Response().Header().Get("Location"); {
	case to != "":
		v.location = to
	case !surface.IsVisit(r) || st.app == nil:
	case surface.ReadJar(r).Has(surface.CookieName(st.app.ID, surface.PartNotice)): // it signed out a moment ago, and is to see that
		v.location = pathSignedOut
	default:
		v.location = st.ways(r).LoginURL
	}
}

// keepProblem writes an error as a problem.
func (s *Server) keepProblem(r *http.Request, err error) {
	paper := &sheet{header: make(http.Header)}
	surface.WriteError(paper, &http.Request{Method: http.MethodGet, Header: http.Header{}}, typed(err, paper.header), s.infoOf(r))
	verdictOf(r.Context()).problem = paper.body.Bytes()
}
