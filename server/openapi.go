package server

import (
	"net/http"
	"time"

	"cloakroom/docs"
	"cloakroom/surface"
)

// pathDescription is where programs read what this gateway answers. It is on the gateway's own origin alone: an app's may have
// an API that is described there.
const pathDescription = "/openapi.json"

// descriptionLife is how long a program may keep it: it changes with a deployment, as the metadata does.
const descriptionLife = 5 * time.Minute

// describe is the endpoint of the description of all endpoints (OpenAPI 3.1). There is nothing in it that the documentation
// does not say, and no credential is looked at.
func (s *Server) describe() (surface.Endpoint, error) {
	text, err := docs.OpenAPI(s.publicURL())
	return surface.Endpoint{
		Method: http.MethodGet, Path: pathDescription,
		Handle: surface.Only(http.MethodGet, func(w http.ResponseWriter, r *http.Request) error {
			surface.WritePublicText(w, r, descriptionLife, text)
			return nil
		}),
	}, err
}
