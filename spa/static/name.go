package static

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// nameOf turns a path into the name of a file below the folder: without the first slash, decoded once, and with a slash
// at its end if a folder is meant ("" is the folder itself). It reports false for a path that no file may go by. That the
// name stays inside is also os.Root's to hold, symbolic links included; what is refused here is never even asked for:
//
//   - dot segments and empty segments, which somebody in front may have read as another path (RFC 3986 section 5.2.4);
//   - slashes under an escape and backslashes, which split a segment for some and not for others;
//   - names that begin with a dot: .git, .env and their kin lie in many a folder, and nobody means to serve them
//     (ASVS 13.4.1); /.well-known is the gateway's own;
//   - control characters and bad UTF-8, colons (streams and drives of Windows), and a dot or space at the end, which
//     Windows drops: "index.html." would be a second name of a file, past every rule that goes by its extension.
func nameOf(u *url.URL) (name string, ok bool) {
	name, ok = strings.CutPrefix(u.Path, "/")
	if !ok || !utf8.ValidString(name) || strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return "", false
	}
	for rest := name; rest != ""; {
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if !isPlain(segment) {
			return "", false
		}
	}
	return name, true
}

// isPlain reports whether a segment may be part of a name.
func isPlain(segment string) bool {
	return segment != "" && segment[0] != '.' && !strings.HasSuffix(segment, ".") && !strings.HasSuffix(segment, " ") &&
		!strings.ContainsFunc(segment, func(c rune) bool { return c < ' ' || 0x7f <= c && c <= 0x9f || c == '\\' || c == ':' })
}
