package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"cloakroom/bff"
)

// CheckFraming refuses what net/http lets through although two servers in a row could read it differently. Call it
// before anything else is made of a request, together with CloseAfter. CR, LF and NUL in values net/http refuses itself, in
// HTTP/1 and HTTP/2. Errors are *bff.Error with CodeBadRequest.
func CheckFraming(r *http.Request) error {
	// RFC 9112 section 6.1: Transfer-Encoding belongs to HTTP/1.1 alone, and there net/http has taken it out of the
	// fields. It also takes it out of HTTP/1.0 requests, where nobody can see it any more: CloseAfter answers that.
	if r.Header["Transfer-Encoding"] != nil || !r.ProtoAtLeast(1, 1) && len(r.TransferEncoding) > 0 {
		return badRequest("transfer encoding out of place")
	}
	if r.ProtoMajor >= 2 {
		if err := checkFrames(r); err != nil {
			return err
		}
	}
	// RFC 9112 section 3.2: a target has neither spaces nor a fragment. Over HTTP/2 a space gets here, and would end the target
	// in the request line of an API that speaks HTTP/1.1; at a "#" one server cuts and another goes on.
	if strings.IndexFunc(r.RequestURI, outsideTarget) >= 0 {
		return badRequest("character that no target has")
	}
	// RFC 9110 section 10.1.1: an expectation nobody here knows cannot be met.
	if expect := r.Header["Expect"]; len(expect) > 1 || len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue") {
		return badRequest("unknown expectation")
	}
	return nil
}

func outsideTarget(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }

// checkFrames refuses what RFC 9113 calls malformed and net/http lets through.
func checkFrames(r *http.Request) error {
	// Section 8.2.2: connection-specific fields.
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Upgrade"} {
		if r.Header[name] != nil {
			return badRequest("connection-specific field in HTTP/2")
		}
	}
	// Section 8.3.1: :path is a path. net/http would take an address for one, and the host in it for nothing.
	if !strings.HasPrefix(r.RequestURI, "/") {
		return badRequest("a :path that is none")
	}
	// Section 8.3.1: a Host beside :authority, or in its place, names the same, once.
	if host := r.Header["Host"]; len(host) > 1 || len(host) == 1 && !strings.EqualFold(host[0], r.Host) {
		return badRequest("a Host that is not :authority")
	}
	// Section 8.1.1: the length is that of all DATA frames. net/http holds a body to the first one that it is told, and no body
	// to none.
	length := r.Header["Content-Length"]
	if len(length) > 1 || len(length) == 1 && !isLength(length[0], r.ContentLength) {
		return badRequest("a length that is not the body's")
	}
	return nil
}

// isLength reports whether a Content-Length is the number that net/http took: 0 where a request ended with its head.
func isLength(value string, taken int64) bool {
	n, err := strconv.ParseUint(value, 10, 63) // digits alone: no sign passes
	return err == nil && int64(n) == taken
}

// CloseAfter has the connection closed after the answer where its framing cannot be trusted, whatever becomes of the
// request: after every chunked HTTP/1.1 request, for net/http hides a Content-Length that came with it (RFC 9112
// section 6.1: such a connection is closed), and after every HTTP/1.0 request, where it hides a Transfer-Encoding
// (section 6.1: such framing is faulty). Call it before w is written to.
func CloseAfter(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
		w.Header().Set("Connection", "close")
	}
}

// checkVia stops a request that came through this gateway before (RFC 9110 section 7.6.3).
func checkVia(via []string, pseudonym string) error {
	for _, line := range via {
		for member := range strings.SplitSeq(line, ",") {
			// The protocol, the name, and perhaps a comment, with spaces or tabs between.
			if words := strings.Fields(member); len(words) > 1 && strings.EqualFold(words[1], pseudonym) {
				return &bff.Error{Code: bff.CodeLoopDetected, Message: "The request goes in circles."}
			}
		}
	}
	return nil
}

// lastHop carries out Max-Forwards of an OPTIONS request (RFC 9110 section 7.6.2): at zero the gateway is the one that
// was asked for, and answers with the methods of the path. Otherwise rewrite counts it down.
func (t *Table) lastHop(w http.ResponseWriter, r *http.Request, m *Match) (answered bool, err error) {
	n, err := maxForwards(r.Header)
	if err != nil || n > 0 {
		return false, err
	}
	w.Header().Set("Allow", strings.Join(m.allow, ", "))
	w.WriteHeader(http.StatusNoContent)
	return true, nil
}

// maxForwards reads the field of a request that has it.
func maxForwards(h http.Header) (int, error) {
	values := h["Max-Forwards"]
	if len(values) != 1 {
		return 0, badRequest("Max-Forwards twice")
	}
	n, err := strconv.ParseUint(values[0], 10, 31)
	if err != nil {
		return 0, badRequest("Max-Forwards is not a number")
	}
	return int(n), nil
}
