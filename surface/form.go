package surface

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"

	"cloakroom/bff"
)

// MaxForm is the longest form that is read, in bytes: a code with verifier and redirect URI takes some 300, a logout token
// a few thousand.
const MaxForm = 16 << 10

// ReadForm reads a form in which each parameter stands once (RFC 6749 section 3.2). Nothing of the query is taken: what
// stands there stands in logs too. What is no such form is CodeBadRequest.
func ReadForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || len(r.Header.Values("Content-Type")) > 1 {
		return nil, badForm("The body must be application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxForm))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, badForm("The body is too long.")
	}
	if err != nil {
		return nil, &bff.Error{Code: bff.CodeClientGone, Err: err}
	}
	form, err := ReadOnce(string(body))
	if err != nil {
		return nil, badForm("The body cannot be read, or a parameter stands twice.")
	}
	return form, nil
}

func badForm(why string) error { return &bff.Error{Code: bff.CodeBadRequest, Message: why} }
