package proxy

import (
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"cloakroom/bff"
)

// Limits of a path, in bytes as sent.
const (
	maxPath    = 8 << 10 // RFC 9112 section 3 recommends to take 8000 bytes
	maxSegment = 2 << 10 // cursors and signed ids fit; a name in a file system has 255
)

// CleanPath checks the escaped path of a request (url.URL.EscapedPath) and returns it as it is to be matched and
// forwarded: unchanged, but that the empty path becomes "/" (RFC 9112 section 3.2.1). It decodes once, and refuses
// whatever somebody behind could read as another path: dot segments, also escaped or with parameters ("..;"), empty
// segments, slashes and backslashes under an escape, NUL and other control characters, what is still escaped after
// decoding, bad UTF-8, and lengths beyond reason. Errors are *bff.Error with CodeBadRequest.
func CleanPath(escapedPath string) (string, error) {
	if escapedPath == "" {
		return "/", nil
	}
	if why := pathFault(escapedPath); why != "" {
		return "", &bff.Error{Code: bff.CodeBadRequest, Message: "The address is malformed.", Err: errors.New(why)}
	}
	return escapedPath, nil
}

// pathFault names what is wrong with a path; "" for a good one.
func pathFault(p string) string {
	if p[0] != '/' {
		return "path without a slash at its start"
	}
	if len(p) > maxPath {
		return "overlong path"
	}
	for rest, more := p[1:], true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" && more {
			return "empty segment in path"
		}
		if why := segmentFault(segment); why != "" {
			return why
		}
	}
	return ""
}

func segmentFault(escaped string) string {
	if len(escaped) > maxSegment {
		return "overlong segment in path"
	}
	escapes := false
	for i := range len(escaped) {
		switch c := escaped[i]; {
		case c == '%':
			escapes = true
		case !isAlnum(c) && strings.IndexByte("-._~!$&'()*+,;=:@[]", c) < 0: // RFC 3986 section 3.3; browsers send brackets
			return "character in path that needs an escape"
		}
	}
	plain := escaped
	if escapes {
		var err error
		if plain, err = url.PathUnescape(escaped); err != nil {
			return "bad escape in path"
		}
		if why := decodedFault(plain); why != "" {
			return why
		}
	}
	// RFC 3986 section 5.2.4 resolves dot segments; some servers do so after cutting parameters.
	if name, _, _ := strings.Cut(plain, ";"); name == "." || name == ".." {
		return "dot segment in path"
	}
	return ""
}

// decodedFault names what must not have hidden under an escape.
func decodedFault(plain string) string {
	if !utf8.ValidString(plain) {
		return "path is not UTF-8"
	}
	for i, c := range plain {
		switch {
		case c == '/', c == '\\':
			return "escaped slash in path"
		case c < ' ', 0x7f <= c && c <= 0x9f: // C0, DEL, C1
			return "control character in path"
		case c == '%' && isEscape(plain[i:]):
			return "doubly escaped path"
		}
	}
	return ""
}

// isEscape reports whether s starts with a percent escape.
func isEscape(s string) bool { return len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
