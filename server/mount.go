package server

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/ops"
	"cloakroom/server/telemetry"
	"cloakroom/surface"
)

// mount registers everything on Echo: the surfaces' endpoints on their own host, routes behind them, /healthz on any.
func (s *Server) mount() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.writeError
	e.IPExtractor = s.clientAddress
	e.Pre(s.observe, s.admit)
	health := echo.WrapHandler(http.HandlerFunc(ops.Healthz))
	e.GET("/healthz", route("/healthz", health))
	e.Any("/*", nowhere)
	for _, st := range s.sites {
		g := e.Host(st.host)
		g.GET("/healthz", route("/healthz", health))
		st.methods, st.scripts = map[string][]string{"/healthz": {http.MethodGet}}, map[string][]string{}
		for _, ep := range append(st.Endpoints(), st.more...) {
			at := segment.ReplaceAllString(ep.Path, "?*")
			st.methods[at] = append(st.methods[at], ep.Method)
			if ep.Shared {
				st.scripts[at] = append(st.scripts[at], ep.Method)
			}
			g.Add(ep.Method, echoPath(ep.Path), s.own(ep))
		}
		g.Any("/*", s.forward(st))
		g.RouteNotFound("/*", s.forward(st)) // methods that Echo does not know: the 405 is ours to write
	}
	s.echo = e
}

// segment is a variable segment of a path.
var segment = regexp.MustCompile(`\{[a-z]+\}`)

// nowhere answers under a host that is no app's.
func nowhere(c echo.Context) error {
	if c.Request().URL.Path == "/healthz" { // which answers under any
		return methodNotAllowed([]string{http.MethodGet})
	}
	return &bff.Error{Code: bff.CodeMisdirected, Message: "No app is served under this host name."}
}

// route names the request in log and metrics by its pattern.
func route(name string, h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		telemetry.AccessOf(c.Request().Context()).Route = name
		return h(c)
	}
}

// own adapts an endpoint of a surface.
func (s *Server) own(ep surface.Endpoint) echo.HandlerFunc {
	handle := seen(ep.Handle)
	return route(ep.Path, func(c echo.Context) error {
		r := c.Request()
		c.Response().Before(func() { letGoOfBody(c) }) // what was not read by then is not read at all
		formInTime(c.Response(), r, s.formTime())
		for i, name := range c.ParamNames() {
			value := c.ParamValues()[i]
			if value == "" || strings.Contains(value, "/") { // Echo's last parameter takes all that follows; a segment is meant
				return notFound()
			}
			r.SetPathValue(name, value)
		}
		if ep.Stream {
			ctx, drained := s.untilDrain(r.Context(), c)
			defer drained()
			return handle(c.Response(), r.WithContext(ctx))
		}
		return handle(c.Response(), r)
	})
}

// seen has the access log tell what a surface learned of a request.
func seen(h surface.Handler) surface.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, saw := surface.WithSeen(r.Context())
		defer func() {
			a := telemetry.AccessOf(ctx)
			a.App, a.Session = cmp.Or(saw.App, a.App), cmp.Or(saw.Session, a.Session)
		}()
		return h(w, r.WithContext(ctx))
	}
}

// echoPath writes a path of net/http's patterns ("/bff/logout/{ticket}") as Echo's.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// forward is the handler of everything on a site that is no endpoint of its surface.
func (s *Server) forward(st *site) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if st.isOwn(r.URL.Path) {
			return st.refuse(r)
		}
		clean, err := proxy.CleanPath(r.URL.EscapedPath())
		if err != nil && s.namesModule(st, r) {
			return files(c, st)
		}
		if err != nil {
			return err
		}
		m, err := st.match(s.routes, r.Method, clean)
		switch {
		case err == nil && m.Route().External: // another proxy's: no route and no file takes its place here
			return notFound()
		case err == nil:
			return s.api(c, st, m)
		case st.static != nil && bff.CodeOf(err) == bff.CodeNotFound:
			return files(c, st)
		default:
			return err
		}
	}
}

// files answers with what the site has beside its routes.
func files(c echo.Context, st *site) error {
	r := c.Request()
	telemetry.AccessOf(r.Context()).Route = "static"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		c.Response().Before(func() { letGoOfBody(c) }) // such a body means nothing (RFC 9110 section 9.3.1)
	}
	return seen(st.static)(c.Response(), r)
}

// namesModule reports whether a path that is malformed is one for the site's development server: there are but slashes under its
// escapes. Nuxt names modules so, "/@id/virtual:%2Fhome%2F…". No rule of such a server goes by path, and nothing of the gateway's
// goes there. What without the escapes is the gateway's own, a route's, or malformed still, stays refused.
func (s *Server) namesModule(st *site, r *http.Request) bool {
	if !st.devs || st.isOwn(r.URL.Path) {
		return false
	}
	clean, err := proxy.CleanPath((&url.URL{Path: r.URL.Path}).EscapedPath())
	if err != nil {
		return false
	}
	_, err = st.match(s.routes, r.Method, clean)
	return bff.CodeOf(err) == bff.CodeNotFound
}

// refuse answers at one of the gateway's own paths what no endpoint took: there is none, or it does not take the method.
func (st *site) refuse(r *http.Request) error {
	for at, allow := range st.methods {
		if is, _ := path.Match(at, r.URL.Path); is && !slices.Contains(allow, r.Method) {
			return methodNotAllowed(allow)
		}
	}
	return notFound()
}

// methodNotAllowed tells which methods are (RFC 9110 section 15.5.6).
func methodNotAllowed(allow []string) error {
	return &proxy.MethodError{Allow: slices.Sorted(slices.Values(allow)), Err: &bff.Error{
		Code: bff.CodeMethodNotAllowed, Message: "This address does not take this method.",
	}}
}

// isOwn reports whether a path is one of the gateway's own, however it is spelled: no route, not even one for everything,
// takes it. Who decodes, folds case or cuts parameters would take an API's answer there for the gateway's.
func (st *site) isOwn(plain string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(plain, "/"), "/")
	first, _, _ = strings.Cut(first, ";")
	switch strings.ToLower(first) {
	case "bff", "mobile", "healthz":
		return true
	case ".well-known":
		return st.isWellKnown(plain)
	case strings.TrimPrefix(pathDescription, "/"): // an app may have an API of its own that is described there
		return st.app == nil
	default:
		return false
	}
}

// isWellKnown reports whether a path below /.well-known (RFC 8615 section 3) is one that is answered here, however it is
// spelled. All others are the app's: its security.txt, its change-password.
func (st *site) isWellKnown(plain string) bool {
	segments := strings.Split(strings.ToLower(strings.TrimSuffix(plain, "/")), "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	spelled := strings.Join(segments, "/")
	for at := range st.methods {
		if strings.EqualFold(at, spelled) {
			return true
		}
	}
	return false
}

func notFound() error {
	return &bff.Error{Code: bff.CodeNotFound, Message: "There is nothing at this address."}
}

// netipOf returns the address of a peer.
func netipOf(remote string) (netip.Addr, error) {
	ap, err := netip.ParseAddrPort(remote)
	return ap.Addr().Unmap(), err
}
