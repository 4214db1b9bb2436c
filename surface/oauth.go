package surface

import (
	"encoding/json"
	"errors"
	"net/http"

	"cloakroom/bff"
)

// The error codes of OAuth that this gateway answers with (RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1).
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
	write(w, r, Status(e.Code), "application/json; charset=utf-8", body)
}

// ChallengeError is the refusal of a handle, or of a request without one: its answer carries the challenge of RFC 6750
// section 3, and a problem as its body.
type ChallengeError struct {
	Code string // OAuthInvalidToken or OAuthInvalidRequest; "" when nothing was presented
	Err  error  // an *bff.Error: the body
}

// Error returns the cause's text, for the log.
func (c *ChallengeError) Error() string { return c.Err.Error() }

// Unwrap returns the cause.
func (c *ChallengeError) Unwrap() error { return c.Err }

// challenge is the value of WWW-Authenticate.
func (c *ChallengeError) challenge() string {
	value := "Bearer " + realm
	switch c.Code {
	case "": // RFC 6750 section 3.1: who sent nothing is told no error code
		return value
	case OAuthInvalidToken:
		return value + `, error="invalid_token", error_description="The handle is unknown, expired or revoked."`
	default:
		return value + `, error="invalid_request", error_description="One handle, in one Authorization header field, and no other credential."`
	}
}
