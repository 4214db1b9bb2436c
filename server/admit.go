package server

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
	"cloakroom/surface"
)

// transportSecurity is what an https app promises: to be found by https alone, for a year (RFC 6797 section 6.1, ASVS
// 3.4.1). Its subdomains are not the app's to promise for.
const transportSecurity = "max-age=31536000"

// admit looks at what the request is before anybody asks what it wants: its framing, its host, its path. What is
// refused here reaches no room behind.
func (s *Server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, w := c.Request(), c.Response()
		proxy.CloseAfter(w, r)
		st := s.sites[r.Host]
		plain := st != nil && s.isPlain(r, st)
		if st != nil && isHTTPS(st) && !plain { // RFC 6797 section 7.2: never said over plain http
			w.Header().Set("Strict-Transport-Security", transportSecurity)
		}
		if err := proxy.CheckFraming(r); err != nil {
			return err
		}
		switch {
		case r.Host == "":
			return &bff.Error{Code: bff.CodeBadRequest, Message: "The request names no host."}
		case st == nil:
			return next(c) // the router without a host knows /healthz only
		}
		if st.app != nil { // else the handle will say
			telemetry.AccessOf(r.Context()).App = st.app.ID
		}
		fillPath(r.URL)
		if err := s.checkTarget(st, r); err != nil {
			return err
		}
		if plain {
			return refusePlain(c, st)
		}
		if answered, err := s.share(c, st); answered || err != nil {
			return err
		}
		return next(c)
	}
}

// fillPath writes the empty path as "/": they are the same (RFC 9110 section 4.2.3), for files as for routes.
func fillPath(target *url.URL) {
	if target.Path == "" && target.Opaque == "" { // an opaque one has no path, and is refused
		target.Path = "/"
	}
}

// checkTarget refuses a target that is not one clean path: also "x:host/path", which net/http takes for an opaque URL and
// whose text, put behind an origin, would name another host. What names a module of a development server passes.
func (s *Server) checkTarget(st *site, r *http.Request) error {
	if r.URL.Opaque != "" {
		return &bff.Error{Code: bff.CodeBadRequest, Message: "The address is malformed."}
	}
	_, err := proxy.CleanPath(r.URL.EscapedPath())
	if err != nil && s.namesModule(st, r) {
		return nil
	}
	return err
}

// canonicalHost is a Host as sites are named: lower case, without the port that its scheme implies anyway; "" if it is
// none. RFC 9112 section 3.2: an absolute-form target has already replaced the field.
func canonicalHost(host string) string {
	host = strings.ToLower(host)
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host // without a port
	}
	if port == "80" || port == "443" {
		return strings.TrimSuffix(host, ":"+port)
	}
	if name == "" {
		return ""
	}
	return host
}

// isPlain reports whether an https app was asked by plain http, as a trusted proxy says.
func (s *Server) isPlain(r *http.Request, st *site) bool {
	return isHTTPS(st) && s.fromTrustedProxy(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http")
}

func isHTTPS(st *site) bool { return strings.HasPrefix(st.origin, "https://") }

// refusePlain keeps an https app off plain http: a navigation is sent on to https, everything else is refused, and no
// cookie is set (ASVS 12.2.1).
func refusePlain(c echo.Context, st *site) error {
	r := c.Request()
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		surface.Private(c.Response().Header()) // a redirect for good would be stored: it is not, nor is any answer of ours
		return c.Redirect(http.StatusPermanentRedirect, st.origin+r.URL.RequestURI())
	}
	return &bff.Error{Code: bff.CodeBadRequest, Message: "This app is served over https only."}
}

// fromTrustedProxy reports whether the peer is one whose X-Forwarded-* fields are believed.
func (s *Server) fromTrustedProxy(r *http.Request) bool {
	peer, err := netipOf(r.RemoteAddr)
	if err != nil {
		return false
	}
	return s.isTrusted(peer)
}
