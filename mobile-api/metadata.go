package mobileapi

import (
	"net/http"
	"time"

	"cloakroom/dpop"
	"cloakroom/surface"
)

// metadataLife is how long a library may keep the metadata: it changes with a deployment.
const metadataLife = 5 * time.Minute

// metadata is RFC 8414 section 2: what this face of an authorization server can do, and nothing that it cannot.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Push          string   `json:"pushed_authorization_request_endpoint"` // RFC 9126 section 5
	Token         string   `json:"token_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	RevokeAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	Issues        bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207 section 3
	Proofs        []string `json:"dpop_signing_alg_values_supported,omitempty"`    // RFC 9449 section 5.1; none: no app binds
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
	m := metadata{
		Issuer: s.issuer, Authorization: s.origin + pathAuthorize, Push: s.origin + pathPush,
		Token: s.origin + pathToken, Revocation: s.origin + pathRevoke,
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: []string{grantCode, grantRefresh},
		TokenAuth: public, RevokeAuth: public, Challenges: []string{"S256"}, Issues: true,
	}
	if s.policy.binds() {
		m.Proofs = dpop.Algorithms()
	}
	return m
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
