package proxy

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// trailerFields never pass as trailers, whatever they may do as header fields. RFC 9110 section 6.5.1: a sender must not
// generate as a trailer what frames, routes, modifies a request, authenticates, steers the response or says how its content is
// to be read, for who takes a trailer for a header field would obey it after all has been checked. A frontend's library may
// do just that.
var trailerFields = map[string]bool{
	// Framing, routing, and this connection's own.
	"Transfer-Encoding": true, "Te": true, "Host": true, "Connection": true, "Keep-Alive": true, "Proxy-Connection": true,
	"Http2-Settings": true,
	// Controls of requests.
	"Cache-Control": true, "Expect": true, "Max-Forwards": true, "Pragma": true, "Range": true,
	// Who somebody is.
	"Authorization": true, "Cookie": true, "Set-Cookie": true, "Dpop": true,
	// How the answer is to be taken.
	"Age": true, "Date": true, "Expires": true, "Location": true, "Link": true, "Retry-After": true, "Vary": true, "Warning": true,
	"Allow": true, "Referrer-Policy": true, "Permissions-Policy": true, "X-Frame-Options": true,
	// What is told by the gateway alone.
	"X-Request-Id": true, "Forwarded": true,
}

// trailerPrefixes are refused with everything behind them: Content-Length and its kin, conditions, proxies' own fields,
// what only a browser may say, and net/http's own mark of a trailer.
var trailerPrefixes = []string{"Content-", "If-", "Proxy-", "Sec-", "X-Forwarded-", "Trailer"}

// wantsTrailers reports whether the trailers of an answer are to pass: where the route says so, and the frontend that it
// keeps them (RFC 9110 section 6.5.1: nobody else is sent any, and an HTTP/1.0 frontend has no place for them).
func (x *exchange) wantsTrailers() bool {
	return x.route.Trailers && !x.handshake && x.in.ProtoAtLeast(1, 1) && listed(x.in.Header["Te"], "trailers")
}

// askForTrailers tells the API that trailers are kept (RFC 9110 section 10.1.4). rewrite has dropped the frontend's own word.
func (x *exchange) askForTrailers(h http.Header) {
	if !x.wantsTrailers() {
		return
	}
	h["Te"] = []string{"trailers"}
	if x.route.plainHTTP1 {
		// TE needs this option, and over HTTP/2 it must not be there (RFC 9113 section 8.2.2): which of the two is spoken where
		// ALPN decides is known only when the connection stands. Without the option a server may ignore the field.
		h["Connection"] = []string{"TE"}
	}
}

// carryTrailers keeps the answer's trailers apart from the ReverseProxy, which would pass them all: none of them passes, but for
// what the end of the body brings on a route that takes them.
func (x *exchange) carryTrailers(res *http.Response) {
	x.answer.Trailer = nil
	if res.StatusCode == http.StatusSwitchingProtocols || !x.wantsTrailers() {
		return
	}
	// RFC 9110 section 7.6.1: what Connection names is dropped from trailers too.
	x.trailing = &trailing{ReadCloser: res.Body, x: x, from: res, named: membersOf(res.Header["Connection"])}
	x.answer.Body = x.trailing
}

// announceTrailers tells the frontend which trailers will come, as far as the API has told (RFC 9110 section 6.6.2).
// Not where the name is a header field as well: net/http would send that one's value once more.
func (x *exchange) announceTrailers(res *http.Response) {
	if x.trailing == nil {
		return
	}
	x.trailing.own = slices.Collect(maps.Keys(x.ResponseWriter.Header()))
	if x.in.ProtoMajor == 1 && res.ContentLength >= 0 && res.Request.Method != http.MethodHead && bodyAllowed(res.StatusCode) {
		// HTTP/2 has trailers behind a body of known length, HTTP/1.1 only behind chunks (RFC 9112 section 7.1.2): the length
		// gives way, for the end of the chunks says as much.
		res.ContentLength = -1
		delete(res.Header, "Content-Length")
	}
	var names []string
	for name := range x.trailing.from.Trailer {
		if _, field := res.Header[name]; !field && !x.trailing.refuses(name) {
			names = append(names, name)
		}
	}
	if slices.Sort(names); len(names) > 0 && res.ContentLength < 0 {
		x.ResponseWriter.Header()["Trailer"] = []string{strings.Join(names, ", ")}
	}
}

// bodyAllowed reports whether an answer of this status may have a body (RFC 9110 sections 15.3.5 and 15.4.5).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// trailing is the body of an answer whose trailers pass. They are there once it was read to its end.
type trailing struct {
	io.ReadCloser
	x     *exchange
	from  *http.Response // the transport's own, which they arrive in
	named []string       // by Connection
	own   []string       // header fields that the gateway has set itself
}

// Close hands the trailers over: the ReverseProxy looks for them after this.
func (t *trailing) Close() error {
	err := t.ReadCloser.Close()
	for name, values := range t.from.Trailer {
		if len(values) == 0 || t.refuses(name) {
			continue
		}
		if t.x.answer.Trailer == nil {
			t.x.answer.Trailer = make(http.Header)
		}
		t.x.answer.Trailer[name] = values
	}
	return err
}

// refuses reports whether a trailer does not pass: it would not as a header field, it must not be a trailer, or the
// gateway has spoken under that name.
func (t *trailing) refuses(name string) bool {
	name = http.CanonicalHeaderKey(name)
	same := func(other string) bool { return strings.EqualFold(other, name) }
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	return trailerFields[name] || isDroppedFromAnswers(name) || slices.ContainsFunc(trailerPrefixes, begins) ||
		slices.ContainsFunc(t.named, same) || slices.ContainsFunc(t.own, same)
}
