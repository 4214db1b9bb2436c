package mobileapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloakroom/surface"
)

// metadataLife is how long a library may keep the metadata: it changes with a deployment.
const metadataLife = 5 * time.Minute

// metadata is RFC 8414 section 2: what this face of an authorization server can do, and nothing that it cannot.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	RevokeAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Issues        bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
}

// discovery is OpenID Connect Discovery 1.0 section 3 as far as AppAuth insists on it: it reads no other document, and
// none without the last three. There is no ID token here, so nothing is signed, and the set of keys is empty.
type discovery struct {
	metadata
	Keys     string   `json:"jwks_uri"`
	Subjects []string `json:"subject_types_supported"`
	Signing  []string `json:"id_token_signing_alg_values_supported"`
}

func (s *Surface) describe() metadata {
	public := []string{"none"} // RFC 8252 section 8.5: a secret that ships in an app is none
	return metadata{
		Issuer: s.issuer, Authorization: s.origin + pathAuthorize, Token: s.origin + pathToken, Revocation: s.origin + pathRevoke,
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: []string{grantCode, grantRefresh},
		TokenAuth: public, RevokeAuth: public, Challenges: []string{"S256"}, Issues: true,
	}
}

func (s *Surface) metadata(w http.ResponseWriter, r *http.Request) error {
	return surface.WritePublicJSON(w, r, metadataLife, s.describe())
}

func (s *Surface) discovery(w http.ResponseWriter, r *http.Request) error {
	return surface.WritePublicJSON(w, r, metadataLife, discovery{
		metadata: s.describe(), Keys: s.origin + pathKeys, Subjects: []string{"public"}, Signing: []string{"RS256"},
	})
}

func (s *Surface) keys(w http.ResponseWriter, r *http.Request) error {
	return surface.WritePublicJSON(w, r, metadataLife, map[string][]string{"keys": {}})
}

// missedLinks are the addresses on this origin that apps have claimed for themselves: whoever sees one in a browser does
// not have the app. The page says so, and neither shows nor loads anything (RFC 8252 section 7.2, RFC 9700 section 4.2.4).
func (s *Surface) missedLinks() (endpoints []surface.Endpoint) {
	known := map[string]bool{}
	for _, app := range s.apps {
		for _, uri := range app.RedirectURIs {
			at, ok := s.ownPath(uri)
			if !ok || known[at] {
				continue
			}
			known[at] = true
			endpoints = append(endpoints, s.page(at, s.missedLink, "changes nothing, and reads nothing of its address"))
		}
	}
	return endpoints
}

func (s *Surface) missedLink(w http.ResponseWriter, r *http.Request) error {
	return surface.WritePage(w, r, surface.MissedLinkPage())
}

// ownPath returns the path of a redirect URI on this very origin, if it may be an endpoint: not below what is answered
// here already, and nothing that a router would take for a pattern.
func (s *Surface) ownPath(uri string) (at string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || "https://"+u.Host != s.origin || u.RawPath != "" || strings.ContainsAny(u.Path, "{}:*") {
		return "", false
	}
	for _, ours := range []string{"/mobile/", "/bff/", "/.well-known/", "/healthz/"} {
		if strings.HasPrefix(u.Path+"/", ours) {
			return "", false
		}
	}
	return u.Path, u.Path != "" && u.Path != "/"
}
