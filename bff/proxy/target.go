package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"cloakroom/bff"
)

// target is a parsed upstream: a fixed scheme and host, and a base path that may ask for words of the session.
type target struct {
	scheme, host string
	base         string   // escaped, without a slash at its end; with placeholders left out, see segments
	segments     []string // nil without placeholders; otherwise each is an escaped literal or a {placeholder}
}

// parseTarget checks a route's upstream. Nothing but the session's own words will ever be put into it.
func parseTarget(r Route) (target, error) {
	if r.External {
		return target{}, checkExternal(r)
	}
	u, err := url.Parse(r.Upstream)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("upstream: %w", err)
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Opaque != "":
		return target{}, fmt.Errorf("upstream %q is not an http address", r.Upstream)
	case u.User != nil, u.RawQuery != "", u.Fragment != "", u.ForceQuery:
		return target{}, errors.New("an upstream has no user, query or fragment")
	case strings.ContainsAny(u.Host, "{}"):
		return target{}, errors.New("the host of an upstream is fixed")
	case u.Scheme == "http" && !r.InsecureHTTP && !isLoopback(u.Hostname()):
		return target{}, fmt.Errorf("upstream %q would get tokens in the clear", r.Upstream)
	}
	t := target{scheme: u.Scheme, host: u.Host}
	t.base, t.segments, err = parseBase(strings.TrimSuffix(u.Path, "/"), r.isPathWord)
	return t, err
}

// parseBase splits a base path. segments is nil when it has no placeholders. own knows those that the route's path fills.
func parseBase(path string, own func(name string) bool) (base string, segments []string, err error) {
	placeholders := false
	for _, s := range strings.Split(path, "/") {
		switch name, ok := placeholder(s); {
		case ok:
			if !own(name) && name != "sub" && name != "org" && (!strings.HasPrefix(name, "claim:") || name == "claim:") {
				return "", nil, fmt.Errorf("placeholder %s is unknown", s)
			}
			placeholders = true
			segments = append(segments, s)
		case strings.ContainsAny(s, "{}"):
			return "", nil, fmt.Errorf("segment %q: a placeholder fills a whole segment", s)
		default:
			segments = append(segments, url.PathEscape(s))
		}
	}
	if placeholders {
		return "", segments, nil
	}
	base = strings.Join(segments, "/")
	if _, err := CleanPath(base); err != nil {
		return "", nil, errors.New("the base path of an upstream is not a plain path")
	}
	return base, nil, nil
}

// placeholder returns what stands between the braces of a segment that is one.
func placeholder(segment string) (string, bool) {
	inner, ok := strings.CutPrefix(segment, "{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, "}")
}

// expandBase fills the session's words into the base path, each as one segment.
func (x *exchange) expandBase() error {
	if x.base = x.route.target.base; x.route.target.segments == nil {
		return nil
	}
	var b strings.Builder
	for i, s := range x.route.target.segments {
		if i > 0 {
			b.WriteByte('/')
		}
		name, ok := placeholder(s)
		if !ok {
			b.WriteString(s)
			continue
		}
		word, fromPath := strings.CutPrefix(name, "path:")
		if fromPath {
			word = x.words[word] // which words has judged
		} else {
			name = strings.TrimPrefix(name, "claim:")
			word = x.claim(name)
		}
		if !fitsSegment(word) || !fromPath && !x.route.claimFits(name, word) {
			return claimRequired("no usable word for {" + name + "}")
		}
		b.WriteString(url.PathEscape(word))
	}
	x.base = b.String()
	return nil
}

// fitsSegment reports whether a word, escaped, stays one segment for whoever decodes it: not empty, no dot segment, not
// even between slashes that an API may decode (RFC 3986 section 5.2.4), no control character.
func fitsSegment(word string) bool {
	if word == "" || !utf8.ValidString(word) || strings.ContainsFunc(word, unicode.IsControl) {
		return false
	}
	for part := range strings.FieldsFuncSeq(word, func(c rune) bool { return c == '/' || c == '\\' }) {
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return false
		}
	}
	return true
}

// aim points out at the upstream: fixed scheme and host, base path, and the path that was matched, escaped as it came.
func (x *exchange) aim(out *http.Request) {
	rest := x.path
	if x.route.Strip {
		rest = afterSegments(rest, x.route.segments)
	}
	if x.route.own() {
		rest = "" // the upstream is the whole address
	}
	escaped := x.base + rest
	if escaped == "" {
		escaped = "/"
	}
	u := out.URL
	u.Scheme, u.Host, u.User, u.Opaque, u.Fragment, u.RawFragment = x.route.target.scheme, x.route.target.host, nil, "", "", ""
	// As it came: without RawPath package url would escape what needs no escape, as "!", "(" and "[".
	u.Path, u.RawPath = escaped, escaped
	if strings.IndexByte(escaped, '%') >= 0 {
		u.Path, _ = url.PathUnescape(escaped) // checked: CleanPath and PathEscape made it
	}
	// RFC 9110 section 7.2: the API is asked under its own name, not the gateway's.
	out.Host = x.route.target.host
	// Byte for byte: ReverseProxy has dropped pairs that url.ParseQuery does not take.
	u.RawQuery, u.ForceQuery = x.in.URL.RawQuery, x.in.URL.ForceQuery
	if x.route.own() {
		u.RawQuery, u.ForceQuery = x.query, false
	}
}

// afterSegments cuts the first n segments off an escaped path.
func afterSegments(p string, n int) string {
	for ; n > 0; n-- {
		i := strings.IndexByte(p[1:], '/')
		if i < 0 {
			return ""
		}
		p = p[1+i:]
	}
	return p
}

// isLoopback reports whether a host name cannot leave this machine (RFC 6761 section 6.3).
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func claimRequired(why string) error {
	return &bff.Error{Code: bff.CodeClaimRequired, Message: "Your account lacks what this address needs.", Err: errors.New(why)}
}
