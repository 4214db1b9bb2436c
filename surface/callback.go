package surface

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"cloakroom/bff"
)

// The longest values of an authorization answer that are looked at. Ours to choose: state is our own (43 characters);
// codes that hold a sealed grant reach some 2 KiB; the others are short by nature.
const (
	maxState  = 128
	maxCode   = 4096
	maxIssuer = 1024
	maxError  = 128
	maxDetail = 512 // error_description, for the log: cut, not refused
)

// ReadCallback reads the provider's answer from the query of a callback. A parameter that stands twice (RFC 6749
// section 3.1), a value that is too long or of other characters than it can have, or a query that cannot be read are
// CodeBadRequest, before anything else is done. What the answer does not define is ignored: the callback believes only its
// transaction.
func ReadCallback(rawQuery string) (bff.Callback, error) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return bff.Callback{}, badAnswer(errors.New("query of the callback does not parse")) // the error would quote it
	}
	for name, longest := range map[string]int{"state": maxState, "code": maxCode, "iss": maxIssuer, "error": maxError} {
		switch values := query[name]; {
		case len(values) > 1:
			return bff.Callback{}, badAnswer(fmt.Errorf("%s stands %d times", name, len(values)))
		case len(values) == 1 && len(values[0]) > longest:
			return bff.Callback{}, badAnswer(fmt.Errorf("%s of %d bytes", name, len(values[0])))
		case len(values) == 1 && strings.ContainsFunc(values[0], isInvisible):
			return bff.Callback{}, badAnswer(fmt.Errorf("%s with characters that it cannot have", name))
		}
	}
	detail := query.Get("error_description")
	return bff.Callback{
		State: query.Get("state"), Code: bff.NewSecret(query.Get("code")), Issuer: query.Get("iss"),
		Error: query.Get("error"), Detail: detail[:min(len(detail), maxDetail)],
	}, nil
}

// isInvisible reports characters that state, code, error (RFC 6749 appendices A.5, A.7 and A.11) and a URL cannot have.
// Some token endpoints answer such a code by 500, which would let anybody make a provider look broken.
func isInvisible(r rune) bool { return r < 0x20 || r > 0x7e }

func badAnswer(err error) error {
	return &bff.Error{Code: bff.CodeBadRequest, Message: "The answer of the sign-in service cannot be read.", Err: err}
}

// shapeOfCode is what an error code of a provider may look like to be shown: nothing that needs escaping anywhere.
var shapeOfCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// ProviderCode returns the error code with which the provider refused a login, if it may be shown; "" otherwise. The
// provider's other words are never shown.
func ProviderCode(err error) string {
	le, ok := errors.AsType[*bff.LoginError](err)
	if !ok || !shapeOfCode.MatchString(le.ProviderCode) {
		return ""
	}
	switch bff.CodeOf(err) { // an answer that failed its own checks is not the provider's word
	case bff.CodeLoginRefused, CodeLoginMisconfigured, CodeLoginProviderFailed:
		return le.ProviderCode
	default:
		return ""
	}
}

// ActionableCode returns the provider's error code of a refused login, if it is one that an app can act on: that the user
// declined (RFC 6749 section 4.1.2.1), that a silent sign-in needs the user (OpenID Connect Core section 3.1.2.6), or that the
// user cannot sign in as is asked for (OpenID Connect Core Unmet Authentication Requirements section 2). "" for all others: they
// are the operator's business.
func ActionableCode(err error) string {
	le, ok := errors.AsType[*bff.LoginError](err)
	if !ok || bff.CodeOf(err) != bff.CodeLoginRefused {
		return ""
	}
	switch le.ProviderCode {
	case "access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required",
		OAuthUnmetAuthentication:
		return le.ProviderCode
	default:
		return ""
	}
}

// LoginFailure says what a failed login is told to the app as, and whether to the app at all or, with "", to the user.
// To the app goes what it can act on (ActionableCode), and that a sign-in was not what it was asked to be: the app knows
// what for, and the session before lives on. Of a silent login everything goes to the app, under our own code
// where the provider's is not one of these.
func LoginFailure(err error) (code string) {
	if code = ActionableCode(err); code != "" {
		return code
	}
	le, ok := errors.AsType[*bff.LoginError](err)
	if code := bff.CodeOf(err); ok && (le.Silent || code == bff.CodeStepUpUnmet) {
		return string(code)
	}
	return ""
}

// ExplainRefusal gives a provider's refusal the code that says whose fault it is: the app's registration, the
// provider's own failure, or (all other codes) a refusal as such. Other errors pass unchanged.
func ExplainRefusal(err error) error {
	le, ok := errors.AsType[*bff.LoginError](err)
	if !ok || bff.CodeOf(err) != bff.CodeLoginRefused {
		return err
	}
	explained := *le
	switch le.ProviderCode {
	// RFC 6749 section 4.1.2.1 and OpenID Connect Core section 3.1.2.6: what only the operator can put right.
	case "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_request_uri",
		"invalid_request_object", "request_not_supported", "request_uri_not_supported", "invalid_target":
		explained.Err = &bff.Error{Code: CodeLoginMisconfigured, Message: "The provider does not accept this app's request.", Err: le.Err}
	case "server_error", "temporarily_unavailable":
		explained.Err = &bff.Error{Code: CodeLoginProviderFailed, Message: "The provider failed. Try again.", Err: le.Err}
	}
	return &explained
}
