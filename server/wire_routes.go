package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"cloakroom/bff/proxy"
	"cloakroom/bff/proxy/upstream"
	"cloakroom/server/config"
)

// wireRoutes makes the table of routes.
func (s *Server) wireRoutes() error {
	upstreams, err := s.upstreams()
	if err != nil {
		return err
	}
	var routes []proxy.Route
	pools := make(map[string]*x509.CertPool) // by file: routes that share one share their upstream's connections
	for i, rt := range s.cfg.Routes {
		if pools[rt.CAFile] == nil {
			if pools[rt.CAFile], err = certPool(rt.CAFile); err != nil {
				return err
			}
		}
		routes = append(routes, routeOf(i, rt, pools[rt.CAFile]))
	}
	s.routes, err = proxy.NewTable(routes, proxy.Options{
		ReservedCookies: s.reservedCookie, OrgClaims: orgClaims[:], Now: s.store.Now, Prove: s.engine.Prove, Log: s.log,
		Upstreams: upstreams, UpstreamTold: upstream.Told{Moved: s.tel.TargetMoved, Retried: s.tel.Retried},
		Through: s.tel.Upstream, Opened: s.tel.WebSocket,
	})
	return err
}

// routeOf takes the settings of a route over; roots are what its ca_file holds. What of them says which token it takes, and how
// often, is read elsewhere by the route's place.
func routeOf(place int, rt *config.Route, roots *x509.CertPool) proxy.Route {
	return proxy.Route{
		Place: place, Path: rt.Path, Methods: rt.Methods, Upstream: rt.Upstream, Strip: rt.StripPrefix,
		Token: proxy.Token(rt.Token), Query: rt.Query, Apps: rt.Apps, Guard: proxy.Guard(rt.Guard),
		Kind: proxy.Kind(rt.Kind), WebSocket: rt.WebSocket, External: rt.External,
		RequireClaims: rt.Require.Claims, RequireScopes: rt.Require.Scopes, IdentityHeaders: rt.IdentityHeaders,
		RequireACR: rt.Require.ACR, RequireMaxAge: rt.Require.MaxAge,
		RequestCookies: rt.Cookies, ResponseCookies: rt.SetCookies,
		Timeout: rt.Timeout, StreamTimeout: rt.StreamTimeout, BodyBytes: int64(rt.BodyBytes),
		HeaderBytes: int64(rt.HeaderBytes), Concurrent: rt.Concurrent, Trailers: rt.Trailers,
		RootCAs: roots, InsecureHTTP: rt.InsecureHTTP,
	}
}

// upstreams makes the settings of the upstreams.
func (s *Server) upstreams() (all []upstream.Settings, err error) {
	for _, u := range s.cfg.Upstreams {
		set := upstreamOf(u)
		if set.RootCAs, err = certPool(u.CAFile); err != nil {
			return nil, err
		}
		if set.Certificate, err = s.clientCertificate(u); err != nil {
			return nil, fmt.Errorf("upstreams %s: %w", u.Origin, err)
		}
		all = append(all, set)
	}
	return all, nil
}

// upstreamOf takes the settings of an upstream over, but for what stands in files.
func upstreamOf(u *config.Upstream) upstream.Settings {
	return upstream.Settings{
		Origin: u.Origin, Targets: u.Targets, Protocol: upstream.Protocol(u.Protocol),
		Health:   upstream.Health{Path: u.Health.Path, Every: u.Health.Every, Timeout: u.Health.Timeout},
		Attempts: u.Attempts, Connections: u.Connections, IdleConnections: u.IdleConnections,
		Timeouts:   upstream.Timeouts{Connect: u.Timeouts.Connect, TLS: u.Timeouts.TLS, Stall: u.Timeouts.Stall, Idle: u.Timeouts.Idle},
		ServerName: u.ServerName, Failures: u.Breaker.Failures, Open: u.Breaker.Open,
	}
}

// clientCertificate is what the gateway shows targets that ask for it, read again when it changes; nil: it has none.
func (s *Server) clientCertificate(u *config.Upstream) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if u.CertFile == "" {
		return nil, nil
	}
	cert := &certificate{certFile: u.CertFile, keyFile: u.KeyFile, log: s.log}
	if err := cert.load(); err != nil {
		return nil, err
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert.get(nil) }, nil
}
