package server

import (
	"encoding/json"
	"net/http"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// keysLife is how long a provider may keep an app's public keys. A new key is published at least so long before it signs.
const keysLife = 5 * time.Minute

// pathKeys and pathNativeKeys are where providers fetch an app's public keys (OpenID Connect Core section 10.1.1): on the
// app's own origin, and for native apps on the gateway's, beside and never in the key set of the native surface, where the
// gateway is the provider.
const (
	pathKeys       = "/.well-known/jwks.json"
	pathNativeKeys = "/mobile/jwks/{app}"
)

// keySet is RFC 7517 section 5.
type keySet struct {
	Keys []json.RawMessage `json:"keys"`
}

// publish answers with the public keys of the app that id names. It looks at no cookie and no handle: there is nothing
// secret in it, and the provider has neither. An app without keys has an empty set.
func (s *Server) publish(path string, id func(*http.Request) string) surface.Endpoint {
	return surface.Endpoint{
		Method: http.MethodGet, Path: path,
		Handle: surface.Only(http.MethodGet, func(w http.ResponseWriter, r *http.Request) error {
			app := id(r)
			a := s.cfg.Apps[app]
			if a == nil {
				return notFound()
			}
			return surface.WritePublicJSON(w, r, keysLife, keySet{s.idps[a.Provider].clients[app].PublicKeys()})
		}),
	}
}

// publishOf is the endpoint of a browser app's own origin.
func (s *Server) publishOf(app *bff.App) surface.Endpoint {
	return s.publish(pathKeys, func(*http.Request) string { return app.ID })
}

// publishNative is the endpoint of all native apps.
func (s *Server) publishNative() surface.Endpoint {
	return s.publish(pathNativeKeys, func(r *http.Request) string {
		id := r.PathValue("app")
		if a := s.cfg.Apps[id]; a == nil || !a.Native() {
			return ""
		}
		return id
	})
}
