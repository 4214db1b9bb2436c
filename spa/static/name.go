package static

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// pathOf decodes a path once, without the first slash. It reports false for one that neither a file nor a page of an app may
// go by:
//
//   - dot segments and empty segments, which somebody in front may have read as another path (RFC 3986 section 5.2.4);
//   - slashes under an escape and backslashes, which split a segment for some and not for others;
//   - segments that begin with a dot: .git, .env and their kin lie in many a folder, and nobody means to serve them
//     (ASVS 13.4.1). But /.well-known is where others look for what a site says of itself (RFC 8615 section 3);
//   - control characters and bad UTF-8.
func pathOf(u *url.URL) (decoded string, ok bool) {
	decoded, ok = strings.CutPrefix(u.Path, "/")
	if !ok || !utf8.ValidString(decoded) || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return "", false
	}
	return decoded, eachSegment(strings.TrimPrefix(decoded, wellKnown), isPlain)
}

// wellKnown begins the paths that have a meaning for others than the app: no page of the app stands for one that is not there.
const wellKnown = ".well-known/"

// nameOf turns a path into the name of a file below the folder, with a slash at its end if a folder is meant ("" is the
// folder itself). It reports false for a path that no file may go by. That the name stays inside is also os.Root's to hold,
// symbolic links included; what is refused here is never even asked for: beside what pathOf refuses, colons (streams and
// drives of Windows), and a dot or space at the end, which Windows drops: "index.html." would be a second name of a file,
// past every rule that goes by its extension.
func nameOf(u *url.URL) (name string, ok bool) {
	name, ok = pathOf(u)
	return name, ok && isName(name)
}

// isName reports whether a decoded path may be the name of a file. What is none may still be a page of an app that routes in
// the browser: /books/urn:isbn:0451450523.
func isName(decoded string) bool {
	return eachSegment(decoded, func(segment string) bool {
		return !strings.HasSuffix(segment, ".") && !strings.HasSuffix(segment, " ") && !strings.Contains(segment, ":")
	})
}

// isPlain reports whether a segment may be part of any path.
func isPlain(segment string) bool {
	return segment != "" && segment[0] != '.' &&
		!strings.ContainsFunc(segment, func(c rune) bool { return c < ' ' || 0x7f <= c && c <= 0x9f || c == '\\' })
}

// eachSegment reports whether something holds of every segment. The last one is none where the path ends in a slash.
func eachSegment(decoded string, holds func(segment string) bool) bool {
	for rest := decoded; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if !holds(segment) {
			return false
		}
	}
	return true
}
