package surface

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cloakroom/bff"
)

// The error codes of OAuth that this gateway answers with (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, RFC 9449
// sections 5 and 8).
const (
	OAuthInvalidRequest          = "invalid_request"
	OAuthInvalidClient           = "invalid_client"
	OAuthInvalidGrant            = "invalid_grant"
	OAuthUnsupportedGrantType    = "unsupported_grant_type"
	OAuthUnsupportedResponseType = "unsupported_response_type"
	OAuthAccessDenied            = "access_denied"
	OAuthServerError             = "server_error"
	OAuthTemporarilyUnavailable  = "temporarily_unavailable"
	OAuthInvalidToken            = "invalid_token"
	OAuthInvalidProof            = "invalid_dpop_proof"
	OAuthUseNonce                = "use_dpop_nonce"
	OAuthInsufficientAuth        = "insufficient_user_authentication"  // RFC 9470 section 3
	OAuthUnmetAuthentication     = "unmet_authentication_requirements" // OpenID Connect Core Unmet Authentication Requirements
)

// realm is what the challenges protect (RFC 9110 section 11.5).
const realm = `realm="cloakroom"`

// OAuthError is an error that WriteError tells as an OAuth client reads it: RFC 6749 section 5.2. Its texts are fixed:
// nothing that was sent stands in them.
type OAuthError struct {
	Code        string // of the constants above
	Description string // one sentence for a developer
	Basic       bool   // the client named itself by HTTP Basic, and so is answered with that challenge
	Err         error  // an *bff.Error: decides the status, and goes to the log
}

// Error returns the cause's text, for the log.
func (o *OAuthError) Error() string { return o.Err.Error() }

// Unwrap returns the cause.
func (o *OAuthError) Unwrap() error { return o.Err }

// RefuseOAuth makes the refusal of a request at an OAuth endpoint.
func RefuseOAuth(code, description string) *OAuthError {
	e := &bff.Error{Code: bff.CodeBadRequest, Message: description}
	switch code {
	case OAuthInvalidClient:
		e.Code = CodeClientRejected
	case OAuthInvalidGrant:
		e.Code = bff.CodeGrantRejected
	case OAuthInvalidProof:
		e.Code = bff.CodeProofRejected
	case OAuthUseNonce:
		e.Code = bff.CodeNonceRequired
	case OAuthTemporarilyUnavailable: // what was sent may open at another instance
		e.Code, e.RetryAfter = bff.CodeKeyUnknown, 5*time.Second // a rolling deploy reaches the other instances within seconds
	}
	return &OAuthError{Code: code, Description: description, Err: e}
}

// AsOAuth gives an error the shape that OAuth endpoints answer in; one of a guard keeps its own, for who meets it is no
// OAuth client. nil stays nil.
func AsOAuth(err error) error {
	if _, done := errors.AsType[*OAuthError](err); done || err == nil {
		return err
	}
	e, ok := errors.AsType[*bff.Error](err)
	if !ok {
		e = &bff.Error{Code: bff.CodeInternal, Err: err}
	}
	switch e.Code {
	case bff.CodeCSRFFailed, bff.CodeForbidden, bff.CodeNotFound, bff.CodeMethodNotAllowed, bff.CodeClientGone:
		return err
	}
	description := e.Message
	if e.Code == bff.CodeInternal {
		description = "Something went wrong here."
	}
	return &OAuthError{Code: OAuthCode(e.Code), Description: description, Err: err}
}

// OAuthCode maps a code of ours to the one that an OAuth client can act on.
func OAuthCode(code bff.Code) string {
	switch code {
	case bff.CodeGrantRejected:
		return OAuthInvalidGrant
	case CodeClientRejected:
		return OAuthInvalidClient
	case bff.CodeProofRejected:
		return OAuthInvalidProof
	case bff.CodeNonceRequired:
		return OAuthUseNonce
	case bff.CodeBadRequest, bff.CodeTooLarge:
		return OAuthInvalidRequest
	// RFC 6749 section 4.1.2.1 has it for "temporary overloading" too. slow_down is another thing: it tells a device that
	// polls to go on polling (RFC 8628 section 3.5).
	case bff.CodeStoreUnavailable, bff.CodeKeyUnknown, bff.CodeIDPUnavailable, bff.CodeDraining, bff.CodeRateLimited:
		return OAuthTemporarilyUnavailable
	default:
		return OAuthServerError
	}
}

// writeOAuth answers as RFC 6749 section 5.2 says.
func writeOAuth(w http.ResponseWriter, r *http.Request, o *OAuthError, info Info) {
	e, _ := told(o.Err, info)
	body, err := json.Marshal(struct {
		Code        string `json:"error"`
		Description string `json:"error_description,omitempty"`
		RequestID   string `json:"request_id,omitempty"`
	}{o.Code, o.Description, info.RequestID})
	if err != nil { // three texts: it cannot fail; fail closed nonetheless
		body = []byte(`{"error":"` + OAuthServerError + `"}`)
	}
	Private(w.Header())
	w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1, for what is older than Cache-Control
	setRetryAfter(w.Header(), seconds(e.RetryAfter))
	if o.Code == OAuthInvalidClient && o.Basic {
		w.Header().Set("WWW-Authenticate", "Basic "+realm)
	}
	status := Status(e.Code)
	if o.Code == OAuthInvalidProof || o.Code == OAuthUseNonce { // beside a handle they are 401; here RFC 9449 sections 5 and 8 say
		status = http.StatusBadRequest
	}
	write(w, r, status, "application/json; charset=utf-8", body)
}

// A Scheme is a way to present a handle in the Authorization header (RFC 9110 section 11.1).
type Scheme string

// The schemes.
const (
	SchemeBearer Scheme = "Bearer" // RFC 6750 section 2.1
	SchemeDPoP   Scheme = "DPoP"   // RFC 9449 section 7.1
)

// ChallengeError is the refusal of a handle, or of a request without one: its answer carries the challenges of RFC 6750
// section 3 and RFC 9449 section 7.1, and a problem as its body.
type ChallengeError struct {
	// Code is OAuthInvalidToken, OAuthInvalidRequest, OAuthInvalidProof, OAuthUseNonce or OAuthInsufficientAuth; "" when nothing
	// was presented.
	Code    string
	Schemes []Scheme // what is challenged for, a header field each; none: SchemeBearer
	Algs    []string // what proofs may be signed by; told with SchemeDPoP
	Err     error    // an *bff.Error: the body
}

// Error returns the cause's text, for the log.
func (c *ChallengeError) Error() string { return c.Err.Error() }

// Unwrap returns the cause.
func (c *ChallengeError) Unwrap() error { return c.Err }

// challenges are the values of WWW-Authenticate: a header field each, for many libraries read no list in one.
func (c *ChallengeError) challenges() (values []string) {
	schemes := c.Schemes
	if len(schemes) == 0 {
		schemes = []Scheme{SchemeBearer}
	}
	for _, scheme := range schemes {
		value := string(scheme) + " " + realm + c.why()
		if scheme == SchemeDPoP { // RFC 9449 section 7.1
			value += `, algs="` + strings.Join(c.Algs, " ") + `"`
		}
		values = append(values, value)
	}
	return values
}

// why is what a challenge says of the request: one of fixed texts.
func (c *ChallengeError) why() string {
	told := map[string]string{
		OAuthInvalidToken: "The handle is unknown, expired or revoked.",
		OAuthInvalidProof: "The proof of possession is not good for this handle and request.",
		OAuthUseNonce:     "The proof of possession needs the nonce in DPoP-Nonce.",

		OAuthInsufficientAuth: "A newer or stronger sign-in is required.",
	}
	code := c.Code
	if code == "" { // RFC 6750 section 3.1: who sent nothing is told no error code
		return ""
	}
	text, known := told[code]
	if !known {
		code, text = OAuthInvalidRequest, "One handle, in one Authorization header field, and no other credential."
	}
	return `, error="` + code + `", error_description="` + text + `"` + c.asked()
}

// asked is what the sign-in must be like (RFC 9470 section 3). bff.ReadStepUp and the configuration let no character through
// that a quoted string could not hold as it is.
func (c *ChallengeError) asked() (params string) {
	e, ok := errors.AsType[*bff.Error](c.Err)
	if !ok || e.StepUp == nil || c.Code != OAuthInsufficientAuth {
		return ""
	}
	if len(e.StepUp.ACRValues) > 0 {
		params += `, acr_values="` + strings.Join(e.StepUp.ACRValues, " ") + `"`
	}
	if e.StepUp.MaxAge != nil {
		params += `, max_age=` + strconv.Itoa(*e.StepUp.MaxAge)
	}
	return params
}
