package server

import (
	"errors"
	"net/http"
	"time"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	mobileapi "cloakroom/mobile-api"
	"cloakroom/spa"
	"cloakroom/surface"
)

// site is one host and the surface that answers there.
type site struct {
	face
	app     *bff.App // the browser app that lives here; nil on the gateway's own origin, where native apps call
	origin  string
	host    string
	more    []surface.Endpoint  // of no surface: the public keys of whoever lives here, for providers; the description
	static  surface.Handler     // what is served where no route matches; nil: nothing
	devs    bool                // static is a development server
	methods map[string][]string // of the own paths, as path.Match takes them, for a 405
	scripts map[string][]string // the same, of what scripts of the app's other origins may call
	// share is spa.Surface's Share; nil: no app lives here, or one whose pages stand at no other origin.
	share func(w http.ResponseWriter, r *http.Request, methods []string) (answered bool, err error)
}

// face is a surface as requests on routes and errors need it. It is wider than an interface is here: whatever is asked of a
// host is asked of the one surface that answers there, there are two of those, and nobody asks for a part.
type face interface {
	Endpoints() []surface.Endpoint
	// match finds the route of a request, for whichever app may turn out to call.
	match(routes *proxy.Table, method, path string) (*proxy.Match, error)
	// admit passes the route's guard and tells who calls. The match may narrow to that app's own.
	admit(w http.ResponseWriter, r *http.Request, routes *proxy.Table, m *proxy.Match) (*proxy.Match, caller, error)
	// ended tells the end of a session that was still there when the request was admitted, and before anything of the
	// request was used. nil: it has been answered.
	ended(w http.ResponseWriter, r *http.Request, rt proxy.Route, err error) error
	// stepUp tells that the session's sign-in is too old or too weak for a request; ticket is what a sign-in needs that will
	// do. nil: it has been answered.
	stepUp(w http.ResponseWriter, r *http.Request, rt proxy.Route, ticket string, err error) error
	// ways tells where an error may lead.
	ways(r *http.Request) surface.Info
}

// caller is who a request on a route comes from.
type caller struct {
	app     *bff.App     // nil: the route takes no token, and nobody was looked at
	session *bff.Session // nil: nobody is signed in
	bare    bool         // as proxy.Call has it
	done    bool         // it has been answered: there is nothing to forward
}

// browser is the face of a browser app: the host says which app calls.
type browser struct {
	*spa.Surface
	app      *bff.App
	formTime time.Duration // how long a form may take to come that has to be kept
}

func (b browser) match(routes *proxy.Table, method, path string) (*proxy.Match, error) {
	return routes.Match(method, path, b.app.ID)
}

func (b browser) admit(w http.ResponseWriter, r *http.Request, _ *proxy.Table, m *proxy.Match) (*proxy.Match, caller, error) {
	rt := m.Route()
	if rt.WebSocket && proxy.AsksForWebSocket(r) {
		return b.admitSocket(w, r, m)
	}
	if rt.Kind == proxy.KindSite {
		return b.admitPage(w, r, m)
	}
	guard := spa.GuardHeader
	if rt.Guard == proxy.GuardOrigin {
		guard = spa.GuardOrigin
	}
	c := caller{app: b.app}
	var err error
	switch rt.Token {
	case proxy.TokenNone: // the cookie is not looked at
	case proxy.TokenUserOrNone:
		c.session, err = b.AdmitOptional(w, r, guard)
	default:
		c.session, err = b.Admit(w, r, guard)
	}
	return m, c, b.wayOn(rt, err)
}

// wayOn has a refusal lead to where a sign-in makes sense: it never comes back to a route whose guard a navigation cannot
// pass, only to the app.
func (b browser) wayOn(rt proxy.Route, err error) error {
	if err == nil || rt.Guard == proxy.GuardOrigin {
		return err
	}
	return &surface.Offer{Err: err, LoginURL: b.StartURL()}
}

// admitPage admits to a server-rendered app: whoever has no session is shown a way to one, and keeps the form they sent.
func (b browser) admitPage(w http.ResponseWriter, r *http.Request, m *proxy.Match) (_ *proxy.Match, c caller, err error) {
	c.app = b.app
	switch rt := m.Route(); {
	case rt.Token == proxy.TokenNone: // the cookie is not looked at
	case rt.Token == proxy.TokenUserOrNone:
		c.session, c.bare, err = b.AdmitGuest(w, r)
	case rt.External && r.Method != http.MethodGet: // its form is not here to be kept
		c.session, err = b.Admit(w, r, spa.GuardSite)
	default:
		lift := formInTime(w, r, b.formTime) // a form whose session has ended is read, to be kept
		c.session, err = b.AdmitPage(w, r)
		if c.done = err == nil && c.session == nil; c.session != nil {
			lift()
		}
	}
	return m, c, err
}

func (b browser) ended(w http.ResponseWriter, r *http.Request, rt proxy.Route, err error) error {
	switch {
	case rt.External && r.Method != http.MethodGet:
		return b.Ended(w, err)
	case rt.Kind == proxy.KindSite && rt.Token != proxy.TokenUserOrNone:
		formInTime(w, r, b.formTime)
		return b.PageEnded(w, r, err)
	default:
		return b.Ended(w, err)
	}
}

func (b browser) stepUp(w http.ResponseWriter, r *http.Request, rt proxy.Route, ticket string, err error) error {
	unread := errors.Is(err, proxy.ErrUnasked)
	switch {
	case rt.Kind == proxy.KindSite:
		if unread {
			formInTime(w, r, b.formTime)
		}
		return b.StepUpPage(w, r, ticket, unread, err)
	case rt.Guard == proxy.GuardOrigin:
		return b.StepUp(r, ticket, err)
	default:
		return b.StepUpCall(ticket, err)
	}
}

func (b browser) ways(r *http.Request) surface.Info {
	return surface.Info{LoginURL: b.LoginURL(r), HomeURL: b.app.DefaultReturn}
}

// native is the face of all native apps: the handle says which app calls.
type native struct {
	*mobileapi.Surface
	ids      []string
	formTime time.Duration
}

func (n native) match(routes *proxy.Table, method, path string) (*proxy.Match, error) {
	return routes.Match(method, path, n.ids...)
}

func (n native) admit(w http.ResponseWriter, r *http.Request, routes *proxy.Table, m *proxy.Match) (*proxy.Match, caller, error) {
	var c caller
	var err error
	if m.Route().Token == proxy.TokenNone { // no handle is looked at
		return m, c, nil
	}
	lift := formInTime(w, r, n.formTime) // a refusal reads the body: the handle may stand in it, where it must not
	switch m.Route().Token {
	case proxy.TokenUserOrNone:
		c.app, c.session, err = n.AdmitOptional(w, r)
	default:
		c.app, c.session, err = n.Admit(w, r)
	}
	if err != nil {
		return m, c, err // and what is left of the body is let go of
	}
	lift()
	if c.app == nil {
		return m, c, nil
	}
	own, err := routes.Match(r.Method, m.Path(), c.app.ID)
	if err != nil {
		return m, c, err
	}
	return own, c, nil
}

func (n native) ended(_ http.ResponseWriter, r *http.Request, _ proxy.Route, err error) error {
	return n.Ended(r, err)
}

func (n native) stepUp(_ http.ResponseWriter, r *http.Request, _ proxy.Route, ticket string, err error) error {
	return n.StepUp(r, ticket, err)
}

// ways are none: only the app can start a sign-in, for its verifier is its own, and it is no page to lead to.
func (n native) ways(*http.Request) surface.Info { return surface.Info{} }
