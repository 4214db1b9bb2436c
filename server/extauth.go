package server

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"cloakroom/bff"
	"cloakroom/bff/proxy"
	"cloakroom/server/config"
	"cloakroom/server/telemetry"
	"cloakroom/surface"
)

// The listener at which another proxy asks what it may forward: nginx by auth_request, Traefik by ForwardAuth, Envoy by
// ext_authz over HTTP. Its answers hold users' tokens, so it is a server of its own, and a request passes four rooms before
// any of the public listener's is entered:
//
//	extauth.go    the credential of the asking proxy, before anything else is looked at
//	original.go   the request that it is about to forward, read from its dialect
//	extauth.go    host to site, scheme, path cleaned; then the very rooms of a request on a route (api.go)
//	verdict.go    what the asking proxy is told, in its dialect
//
// What passes is only ever what proxy.Table.Authorize returned: everything that was written on the way, a page with status 200
// too, is a refusal.

// fieldCredential carries the credential of the asking proxy. It is no Authorization, for that is the original request's.
const fieldCredential = "Cloakroom-Credential"

// externalHeaderMore is what the asking proxy adds to a header that the public listener would have taken: the address once more,
// whole, the credential and where the request comes from.
const externalHeaderMore = 16 << 10

// externalHeaderTime is for the header to arrive: programs send it in one piece.
const externalHeaderTime = 5 * time.Second

// listenExternal opens the listener; nil where none is configured.
func (s *Server) listenExternal() (net.Listener, error) {
	e := s.cfg.ExternalAuth
	if e.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", e.Listen)
	if err != nil {
		return nil, err
	}
	return s.encrypted(impatient{l, cmp.Or(s.options.Stall, stall)}, e.TLS, "h2", "http/1.1")
}

// externalServer serves the listener.
func (s *Server) externalServer() *http.Server {
	return &http.Server{
		Handler: s.ExternalHandler(), ReadHeaderTimeout: externalHeaderTime, IdleTimeout: s.cfg.Public.Timeouts.Idle,
		MaxHeaderBytes: int(s.cfg.Public.Limits.HeaderBytes) + externalHeaderMore, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// ExternalHandler is the handler of external authorization, for a test that brings its own listener.
func (s *Server) ExternalHandler() http.Handler {
	rooms := echo.New()
	rooms.HTTPErrorHandler = s.refuseBeside
	rooms.IPExtractor = echo.ExtractIPDirect() // the original request comes from the frontend itself
	rooms.Pre(s.observe)
	rooms.Any("/*", s.judge)
	rooms.RouteNotFound("/*", s.judge) // methods that Echo does not know
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		surface.Private(w.Header())
		if r.ContentLength != 0 {
			// Nothing here reads a body, and nobody is to hold a connection by one that never comes (ASVS 13.1.3).
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			w.Header().Set("Connection", "close")
		}
		if rule := s.refuseAsker(r); rule != "" {
			ctx := telemetry.WithAccess(r.Context(), &telemetry.Access{ID: rand.Text(), ClientIP: clientOf(r)})
			_ = surface.GuardRefused(ctx, s.trace, "", rule)
			w.WriteHeader(http.StatusUnauthorized) // and no word of why (ASVS 6.3.8)
			return
		}
		ask, err := s.originalOf(r)
		if err != nil {
			s.log.Warn("external authorization: the asking proxy is set up wrong", "error", err.Error())
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		ask.judgeBy(rooms, w)
	})
}

// refuseAsker returns the rule by which a request goes no further; "" for one of a proxy with the credential. It is compared
// over hashes and in constant time: neither content nor length shows in it.
func (s *Server) refuseAsker(r *http.Request) string {
	fields := r.Header.Values(fieldCredential)
	token := s.cfg.ExternalAuth.Token.Reveal()
	switch {
	case len(fields) == 0:
		return "external authorization without a credential"
	case len(fields) > 1 || token == "":
		return "external authorization by a wrong credential"
	}
	got, want := sha256.Sum256([]byte(fields[0])), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return "external authorization by a wrong credential"
	}
	return ""
}

// judge takes an original request through the rooms of a request on a route.
func (s *Server) judge(c echo.Context) error {
	r := c.Request()
	st, v := s.sites[r.Host], verdictOf(c.Request().Context())
	if st == nil {
		return &bff.Error{Code: bff.CodeMisdirected, Message: "No app is served under this host name."}
	}
	if st.app != nil {
		telemetry.AccessOf(r.Context()).App = st.app.ID
	}
	if v.fault != nil {
		return v.fault
	}
	if v.scheme != schemeOf(st.origin) { // an https app by plain http (ASVS 12.2.1), or a proxy set up wrong
		return &bff.Error{Code: bff.CodeBadRequest, Message: "This app is served over " + schemeOf(st.origin) + " only."}
	}
	if st.isOwn(r.URL.Path) {
		return notFound()
	}
	m, err := st.match(s.routes, r.Method, r.URL.EscapedPath())
	switch {
	case err != nil:
		return err
	case !m.Route().External: // what is forwarded here is nobody else's to forward
		return notFound()
	}
	if err = s.api(c, st, m); err == nil && v.granted == nil {
		s.refusePage(c, st)
	}
	return err
}

// send has a request on a route forwarded, or another proxy told what it may send on, if it is that which asks.
func (s *Server) send(w http.ResponseWriter, r *http.Request, m *proxy.Match, call proxy.Call) error {
	v := verdictOf(r.Context())
	if v == nil {
		return s.routes.Forward(w, r, m, call)
	}
	fields, err := s.routes.Authorize(r, m, call)
	if err == nil {
		v.granted = fields
		if v.speaks == dialectEnvoy {
			v.spoken = proxy.UserFields(r.Header)
		}
		w.WriteHeader(http.StatusOK)
	}
	return err
}

// frontendOf is the frontend's address: the last hop that the asking proxy names, which it has seen itself, and what trusted
// proxies in front of that say.
func (s *Server) frontendOf(hops string) (string, error) {
	before, last := "", hops
	if i := strings.LastIndexByte(hops, ','); i >= 0 {
		before, last = hops[:i], hops[i+1:]
	}
	at, ok := hopAddress(strings.TrimSpace(last))
	if !ok {
		return "", errors.New("X-Forwarded-For does not end in an address")
	}
	return net.JoinHostPort(s.behind(at, []string{before}).String(), "0"), nil
}

// externalNotes tells what of the listener endangers it.
func externalNotes(cfg *config.Config) []string {
	if !cfg.ExternalAuth.Exposed() {
		return nil
	}
	return []string{"external_auth.listen is not on loopback and speaks in the clear: whoever is on the way reads the credential " +
		"and every token that is handed out; use external_auth.tls, or 127.0.0.1"}
}
