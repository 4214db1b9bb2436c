package static

import (
	"net/http"
	"strings"
)

// maxRanges is how many pieces of a file one answer may have: players and readers of PDF ask for one or a few, while a
// thousand small ones are a long answer to a short request (RFC 9110 section 17.15).
const maxRanges = 16

// heard returns a request with the Range that is listened to, or without: ignored, as RFC 9110 section 14.2 allows, is one
// of too many pieces or that stands twice, and as it commands, one of another unit than bytes and one that does not come with
// a GET.
func heard(r *http.Request) *http.Request {
	switch asked := r.Header["Range"]; {
	case len(asked) == 0:
		return r
	case len(asked) == 1 && r.Method == http.MethodGet && strings.HasPrefix(asked[0], "bytes=") && strings.Count(asked[0], ",") < maxRanges:
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// wantsPieceOfFile reports whether pieces are cut from the file itself, whatever codings the browser reads. Pieces of a form
// that a build has compressed can be read by nobody but who has what comes before them, which is who names its tag: others,
// a video player or a script that reads a table of contents, would be given what no decoder takes. And several pieces come in
// an envelope, which a browser would take for compressed as well.
func wantsPieceOfFile(h http.Header) bool {
	return h.Get("Range") != "" && (h.Get("If-Range") == "" || strings.Contains(h.Get("Range"), ","))
}
