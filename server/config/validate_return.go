package config

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Where a sign-in or sign-out comes to is judged here by the rule that judges what a request asks for (RFC 9700 section
// 4.11.1), so that nobody finds out at the end of a sign-in. The rule itself is applied at the start once more; a test holds
// the two together.

// maxReturn is as long as a target may be, with its escapes: it travels in cookies.
const maxReturn = 1024

// returnTarget takes a page of the app: a path, or an address of one of its origins.
func (r *report) returnTarget(key, text string, a *App) {
	length := len(text)
	for _, origin := range a.AllowedOrigins {
		if rest, is := strings.CutPrefix(text, origin); is && origin != "" && (rest == "" || rest[0] == '/') {
			text = cmp.Or(rest, "/")
			break
		}
	}
	at := text
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		at = text[:i]
	}
	switch {
	case strings.Contains(at, "://"):
		r.add(key, "no page of the app; write a path, as /welcome, or an address of an origin that allowed_origins lists")
	case length > maxReturn, !utf8.ValidString(text), strings.ContainsFunc(text, isControl), !isPlainPath(at):
		r.add(key, "no path within the app; write one that starts with a single slash, as /welcome")
	case !isPage(at):
		r.add(key, "a path of the gateway's own, where sign-ins and sign-outs go in circles; write one of the app, as /welcome")
	}
}

// isPlainPath refuses what a browser, or whoever decodes behind it, could take for another path or another site's address:
// two slashes at the start, empty and dot segments, backslashes, control characters, and the encodings of all that.
func isPlainPath(at string) bool {
	for range 4 { // nobody decodes four times
		if !strings.HasPrefix(at, "/") || strings.ContainsRune(at, '\\') || strings.ContainsFunc(at, isControl) {
			return false
		}
		segments := strings.Split(at[1:], "/")
		dots := func(s string) bool { return s == "." || s == ".." }
		if slices.ContainsFunc(segments, dots) || slices.Contains(segments[:len(segments)-1], "") {
			return false
		}
		plain, err := url.PathUnescape(at)
		if err != nil || plain == at {
			return err == nil
		}
		at = plain
	}
	return false
}

// isPage refuses the gateway's own paths but the one that shows that one is signed in.
func isPage(at string) bool {
	plain, err := url.PathUnescape(at)
	return err == nil && (at == "/bff/signed-in" || !strings.HasPrefix(path.Clean(plain)+"/", "/bff/"))
}

// isControl also takes what browsers strip, or take for the end of a line.
func isControl(c rune) bool {
	return c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff
}
