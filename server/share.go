package server

import (
	"errors"
	"net/http"
	"path"
	"slices"

	"github.com/labstack/echo/v4"

	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
)

// shared is what scripts of an app's other origins may call at one address.
type shared struct {
	name    string // of the endpoint or route, for log and metrics
	methods []string
}

// share has the surface tell scripts of the app's other origins what they may call and read at the address of a request,
// before anything else is asked: so a refusal can be read, too. What is not an API's or one of the endpoints made for scripts
// has no CORS: neither the app's files, nor a server-rendered site, nor where sign-ins begin and end, nor another proxy's
// routes, whose answers are not ours. It costs an app that lists no origin nothing.
func (s *Server) share(c echo.Context, st *site) (answered bool, err error) {
	if st.share == nil {
		return false, nil
	}
	r := c.Request()
	at, is := st.sharedOwn(r)
	if !st.isOwn(r.URL.Path) {
		at, is = s.sharedRoute(st, r)
	}
	if !is {
		return false, nil
	}
	if answered, err = st.share(c.Response(), r, at.methods); answered || err != nil {
		telemetry.AccessOf(r.Context()).Route = at.name
	}
	return answered, err
}

// sharedOwn finds the endpoint of the surface that a request asks for. A method that none takes is an endpoint's to refuse,
// so that a script can read that, too.
func (st *site) sharedOwn(r *http.Request) (shared, bool) {
	for at, methods := range st.scripts {
		if is, _ := path.Match(at, r.URL.Path); !is {
			continue
		}
		// At the path of the sign-out a page is opened, too: that is no script's.
		opened := slices.Contains(st.methods[at], r.Method) && !slices.Contains(methods, r.Method)
		return shared{at, methods}, !opened
	}
	return shared{}, false
}

// sharedRoute finds the route of an API that a request asks for, a preflight by the method that would follow. One that takes
// other methods alone refuses it, which a script may read.
func (s *Server) sharedRoute(st *site, r *http.Request) (shared, bool) {
	clean, err := proxy.CleanPath(r.URL.EscapedPath())
	if err != nil {
		return shared{}, false
	}
	asked := r.Method
	if then := r.Header.Get("Access-Control-Request-Method"); asked == http.MethodOptions && then != "" {
		asked = then
	}
	m, err := st.match(s.routes, asked, clean)
	if refused, is := errors.AsType[*proxy.MethodError](err); is {
		m, err = st.match(s.routes, refused.Allow[0], clean)
	}
	if err != nil || m.Route().Kind == proxy.KindSite || m.Route().External {
		return shared{}, false
	}
	return shared{m.Route().Name, m.Route().Methods}, true
}
