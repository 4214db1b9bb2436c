package bff

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxReturnTo keeps a transaction cookie below 1.5 KiB, so that five of them fit any server's header limit.
const maxReturnTo = 1024

// ErrReturnTo says that a return target is none.
var ErrReturnTo = errors.New("return target refused")

// ReturnTarget checks where a login or logout may return to (RFC 9700 section 4.11.1, no open redirect): one slash, then
// a path of this very origin without backslash, control characters, empty and dot segments or their encodings, and any query
// or fragment without control characters. It returns the target ready for a Location header, or an error that is
// ErrReturnTo.
//
// A page of one of the origins may be named too, by its whole address: the origin to the letter, then what is said above.
func ReturnTarget(raw string, origins ...string) (string, error) {
	for _, origin := range origins {
		if at, is := PathAt(origin, raw); is {
			path, err := returnPath(at, maxReturnTo-len(origin))
			if err != nil {
				return "", err
			}
			return origin + path, nil
		}
	}
	return returnPath(raw, maxReturnTo)
}

// PathAt returns the path that an address names below an origin, and whether it is below it at all. The origin ends at a slash,
// or with the text: of a longer one, https://www.example.com.evil or …@evil, it would only be the beginning.
func PathAt(origin, address string) (path string, is bool) {
	rest, is := strings.CutPrefix(address, origin)
	if !is || origin == "" || rest != "" && rest[0] != '/' {
		return "", false
	}
	return cmp.Or(rest, "/"), true
}

// returnPath checks a path with what follows it, of at most so many bytes.
func returnPath(raw string, most int) (string, error) {
	target := escapeUnprintable(raw)
	if len(target) > most {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrReturnTo, maxReturnTo)
	}
	if !utf8.ValidString(raw) || strings.ContainsFunc(raw, isControl) {
		return "", fmt.Errorf("%w: control characters or bad UTF-8", ErrReturnTo)
	}
	path := target
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		path = target[:i]
	}
	if err := checkReturnPath(path); err != nil {
		return "", err
	}
	return target, nil
}

// checkReturnPath looks at the path as it stands and as every further decoding by somebody behind us would see it.
func checkReturnPath(path string) error {
	for range 4 { // nobody decodes four times, and a path that still changes then is hiding something
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
			return fmt.Errorf("%w: want one slash and a path of this app", ErrReturnTo)
		}
		if strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || isControl(r) }) {
			return fmt.Errorf("%w: backslash or control character in the path", ErrReturnTo)
		}
		if isFolded(path) {
			return fmt.Errorf("%w: an empty or dot segment in the path", ErrReturnTo)
		}
		plain, err := url.PathUnescape(path)
		if err != nil {
			return fmt.Errorf("%w: bad escape", ErrReturnTo)
		}
		if plain == path {
			return nil
		}
		path = plain
	}
	return fmt.Errorf("%w: escaped too often", ErrReturnTo)
}

// isFolded reports a path that a browser goes to by another spelling (RFC 3986 section 5.2.4, URL Standard section 4.4): of
// /..//evil.example it makes //evil.example, which is another host to whoever resolves it once more.
func isFolded(path string) bool {
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if s == "." || s == ".." || s == "" && i < len(segments)-1 {
			return true
		}
	}
	return false
}

// isControl also refuses what browsers strip or treat as line ends.
func isControl(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff
}

// escapeUnprintable percent-encodes what may not stand in a Location header or an attribute as it is.
func escapeUnprintable(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= 0x20 || c >= 0x7f || strings.IndexByte(`"<>^`+"`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
