package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloakroom/bff"
)

// ErrMetadata says that the provider's metadata may not be used: it is somebody else's, or lacks what is needed.
var ErrMetadata = errors.New("metadata of the provider may not be used")

// metadata is what is read of the provider's discovery document (OpenID Connect Discovery section 3, RFC 8414
// section 2), with the settings' endpoints already put over it.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	UserInfo      string   `json:"userinfo_endpoint"`
	Revocation    string   `json:"revocation_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	TokenAuth     []string `json:"token_endpoint_auth_methods_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	DPoPAlgs      []string `json:"dpop_signing_alg_values_supported"`
	IssAnnounced  bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover returns the provider's metadata. Errors are *bff.Error with bff.CodeIDPUnavailable.
func (is *Issuer) discover(ctx context.Context) (*metadata, error) {
	m, wait, err := is.metadata.get(ctx, is.now(), is.fetchMetadata)
	if err != nil {
		return nil, unavailable(wait, fmt.Errorf("provider metadata: %w", err))
	}
	return m, nil
}

func (is *Issuer) fetchMetadata(ctx context.Context) (*metadata, error) {
	m, err := is.loadMetadata(ctx)
	switch {
	case errors.Is(err, ErrMetadata), errors.Is(err, ErrEndpoint), errors.Is(err, ErrTooLarge):
		is.alarm(ctx, "provider metadata refused", err)
	case err != nil:
		is.log.WarnContext(ctx, "provider metadata not fetched", "error", err)
	}
	return m, err
}

func (is *Issuer) loadMetadata(ctx context.Context) (*metadata, error) {
	if err := is.checkEndpoint("issuer", is.set.Issuer); err != nil {
		return nil, err
	}
	// OpenID Connect Discovery section 4.1: a terminating slash is taken off before the well-known path is put on; the
	// issuer itself stays as it is.
	body, err := is.get(asking(ctx, "metadata"), strings.TrimSuffix(is.set.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	m := new(metadata)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: not the JSON it should be", ErrMetadata)
	}
	// OpenID Connect Discovery section 4.3, RFC 8414 section 3.3: exactly equal, or nothing of it may be used.
	if m.Issuer != is.set.Issuer {
		return nil, fmt.Errorf("%w: its issuer is %.200q, configured is %.200q: write it exactly as the provider does",
			ErrMetadata, m.Issuer, is.set.Issuer)
	}
	m.override(is.set.Endpoints)
	return m, is.checkMetadata(m)
}

func (m *metadata) override(e Endpoints) {
	for _, o := range []struct {
		at *string
		by string
	}{
		{&m.Authorization, e.Authorization},
		{&m.Token, e.Token},
		{&m.JWKS, e.JWKS},
		{&m.UserInfo, e.UserInfo},
		{&m.Revocation, e.Revocation},
		{&m.EndSession, e.EndSession},
	} {
		if o.by != "" {
			*o.at = o.by
		}
	}
}

// checkMetadata refuses the whole document for one endpoint that may not be used: it is wrong or tampered with.
func (is *Issuer) checkMetadata(m *metadata) error {
	for _, e := range []struct {
		name, url string
		needed    bool
	}{
		{"authorization_endpoint", m.Authorization, true},
		{"token_endpoint", m.Token, true},
		{"jwks_uri", m.JWKS, true},
		{"userinfo_endpoint", m.UserInfo, is.set.UserInfo},
		{"revocation_endpoint", m.Revocation, false},
		{"end_session_endpoint", m.EndSession, false},
	} {
		switch {
		case e.url == "" && e.needed:
			return fmt.Errorf("%w: no %s", ErrMetadata, e.name)
		case e.url == "":
		default:
			if err := is.checkEndpoint(e.name, e.url); err != nil {
				return err
			}
		}
	}
	return nil
}

// authMethod returns how clients with a secret authenticate at the token endpoint. What the metadata said first holds
// for the life of the process.
func (is *Issuer) authMethod(m *metadata) string {
	if is.set.TokenAuth != "" {
		return is.set.TokenAuth
	}
	is.authMu.Lock()
	defer is.authMu.Unlock()
	if is.auth == "" {
		is.auth = chooseAuth(m.TokenAuth)
	}
	return is.auth
}

func chooseAuth(supported []string) string {
	for _, method := range []string{authBasic, authPost} {
		if slices.Contains(supported, method) {
			return method
		}
	}
	return authBasic // RFC 8414 section 2: the default when nothing is said
}

// CheckIssuer compares the iss of an authorization answer, "" when there was none, with the issuer (RFC 9207
// section 2.4). Errors are *bff.Error: bff.CodeBadRequest with a RuleError, or bff.CodeIDPUnavailable.
func (c *Client) CheckIssuer(ctx context.Context, iss string) error {
	m, err := c.is.discover(ctx)
	if err != nil {
		return err
	}
	switch {
	// RFC 9207 section 2.4: compared by simple string comparison whenever it is there, announced or not. A further configured
	// name is this provider's too, and no other's: the configuration sees to that.
	case iss != "" && !c.is.named(iss):
		return wrongIssuer("another issuer")
	// RFC 9207 section 2.4: an answer without iss is refused where the metadata announces one.
	case iss == "" && m.IssAnnounced:
		return wrongIssuer("missing although announced")
	case iss != "" && !m.IssAnnounced && c.is.set.IssUnannounced == IssRefuse:
		return wrongIssuer("present although not announced")
	default:
		return nil
	}
}

func wrongIssuer(detail string) error {
	return &bff.Error{
		Code: bff.CodeBadRequest, Message: "This sign-in answer did not come from where the sign-in began.",
		Err: &RuleError{Rule: RuleAnswerIssuer, Detail: detail},
	}
}
