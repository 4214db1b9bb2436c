package server

import (
	"net"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/telemetry"
)

// admit looks at what the request is before anybody asks what it wants: its framing, its host, its path. What is
// refused here reaches no room behind.
func (s *Server) admit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, w := c.Request(), c.Response()
		if err := proxy.CheckFraming(r); err != nil {
			return err
		}
		proxy.CloseAfter(w, r)
		host := canonicalHost(r.Host)
		if host == "" {
			return &bff.Error{Code: bff.CodeBadRequest, Message: "The request names no host."}
		}
		r.Host = host // Echo picks the site's router by it
		st := s.sites[host]
		if st == nil {
			return next(c) // the router without a host knows /healthz only
		}
		telemetry.AccessOf(r.Context()).App = st.app.ID
		if err := s.refusePlain(c, st); err != nil || w.Committed {
			return err
		}
		if _, err := proxy.CleanPath(r.URL.EscapedPath()); err != nil {
			return err
		}
		return next(c)
	}
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

// refusePlain keeps an https app off plain http, where a trusted proxy says that the frontend used it: a navigation is
// sent on to https, everything else is refused, and no cookie is set (ASVS 12.2.1).
func (s *Server) refusePlain(c echo.Context, st *site) error {
	r := c.Request()
	if !strings.HasPrefix(st.app.Origin, "https://") || !s.fromTrustedProxy(r) {
		return nil
	}
	if !strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "http") {
		return nil
	}
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return c.Redirect(http.StatusPermanentRedirect, st.app.Origin+r.URL.RequestURI())
	}
	return &bff.Error{Code: bff.CodeBadRequest, Message: "This app is served over https only."}
}

// fromTrustedProxy reports whether the peer is one whose X-Forwarded-* fields are believed.
func (s *Server) fromTrustedProxy(r *http.Request) bool {
	peer, err := netipOf(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, p := range s.cfg.Public.TrustedProxies {
		if p.Contains(peer) {
			return true
		}
	}
	return false
}
