package proxy

import (
	"bytes"
	"io"
	"net/http"
)

// retry asks the API, and once again if it refuses the token and the request can be repeated.
type retry struct{ next http.RoundTripper }

// renewError is what Call.Renew returned, on its way to Forward's caller.
type renewError struct{ err error }

// Error is the text of what Renew returned.
func (e renewError) Error() string { return e.err.Error() }

// RoundTrip returns the answer apart from the transport's own: trailers arrive in that one, and are not forwarded but where
// the route takes them (RFC 9110 section 6.5.1: a recipient may drop them, and a browser does not show them to anybody).
func (t retry) RoundTrip(out *http.Request) (*http.Response, error) {
	x := exchangeOf(out)
	res, err := t.send(x, out)
	if err == nil && x.mayRepeat(res) {
		res, err = t.again(x, out, res)
	}
	if err != nil {
		return nil, err
	}
	x.answer = *res
	x.carryTrailers(res)
	return &x.answer, nil
}

// mayRepeat reports whether one more attempt is worth it, and safe: the API refused the token before it did anything
// (RFC 6750 section 3.1), and the request's body, if any, was short enough to be kept whole.
func (x *exchange) mayRepeat(res *http.Response) bool {
	return x.refusedToken(res) && x.call.Renew != nil && x.repeatable()
}

// repeatable reports whether nothing of the request is lost by now: it has no body, or one that was kept whole.
func (x *exchange) repeatable() bool { return x.body == nil || x.body.kept() != nil }

// repeat returns the request once more, with the token as it is now.
func (x *exchange) repeat(out *http.Request) *http.Request {
	second := out.WithContext(out.Context())
	second.Header = out.Header.Clone() // the first attempt's write may still read the other one
	second.Header["Authorization"] = []string{authorization(x.tokenTyp, x.token.Reveal())}
	delete(second.Header, "Dpop") // a proof is for one request: RFC 9449 section 4.2
	if x.body != nil {
		second.Body = io.NopCloser(bytes.NewReader(x.body.kept()))
	}
	return second
}

// again renews the token and repeats the request, once. Without a new token the first answer stands.
func (t retry) again(x *exchange, out *http.Request, first *http.Response) (*http.Response, error) {
	tokens, err := x.call.Renew(out.Context())
	if err != nil {
		discard(first.Body)
		return nil, renewError{err}
	}
	if tokens.Access.IsZero() || tokens.Access.Equal(x.token) {
		return first, nil
	}
	discard(first.Body)
	x.present(&tokens)
	return t.send(x, x.repeat(out))
}
