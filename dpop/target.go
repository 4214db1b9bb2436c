package dpop

import "strings"

// sameTarget reports whether two absolute addresses are the same place, both without query and fragment, and both after the
// normalisation of RFC 3986 sections 6.2.2 and 6.2.3, as RFC 9449 section 4.3 asks for: https://GW.example.com:443/%7eme is
// https://gw.example.com/~me. What is no such address is no place.
func sameTarget(claimed, real string) bool {
	a, ok := target(claimed)
	if !ok {
		return false
	}
	b, ok := target(real)
	return ok && a == b
}

// place is a normalised address.
type place struct{ scheme, host, port, path string }

// target reads an address.
func target(s string) (p place, ok bool) {
	s, _, _ = strings.Cut(s, "#")
	s, _, _ = strings.Cut(s, "?")
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return place{}, false
	}
	p.scheme = lower(scheme) // RFC 3986 section 6.2.2.1
	authority := rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, p.path = rest[:i], rest[i:]
	}
	if p.host, p.port, ok = hostPort(authority, p.scheme); !ok {
		return place{}, false
	}
	if p.path, ok = escaped(p.path); !ok {
		return place{}, false
	}
	p.path = withoutDots(p.path)
	return p, true
}

// hostPort reads an authority. One with a user or an escape in it is no other spelling of ours: it is another name.
func hostPort(authority, scheme string) (host, port string, ok bool) {
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	if port == "" { // RFC 3986 section 6.2.3: none, an empty one and the scheme's own are the same
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return lower(host), port, host != "" && port != ""
}

// lower makes capitals small, those of ASCII alone: the library's would make a k of the sign for kelvin, too.
func lower(name string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, name)
}

// escaped normalises the escapes of a path (RFC 3986 sections 2.1, 6.2.2.1 and 6.2.2.2): what needs none is written plainly,
// all others with upper-case digits, and so is what an address may not hold plainly: scripts send some of that as it is, and
// what stands between escapes it. An escaped slash stays escaped: it separates nothing.
func escaped(path string) (string, bool) {
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		c, was := path[i], path[i] == '%'
		if was {
			if i+2 >= len(path) {
				return "", false
			}
			high, ok1 := digit(path[i+1])
			low, ok2 := digit(path[i+2])
			if !ok1 || !ok2 {
				return "", false
			}
			c, i = high<<4|low, i+2
		}
		if unreserved(c) || !was && strings.IndexByte("!$&'()*+,;=:@/", c) >= 0 { // RFC 3986 section 3.3
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String(), true
}

// digit is the value of a hexadecimal digit.
func digit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	default:
		return 0, false
	}
}

// unreserved is RFC 3986 section 2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// withoutDots takes the dot segments out of a path that begins with a slash or is empty: RFC 3986 section 5.2.4.
func withoutDots(path string) string {
	if path == "" {
		return "/" // RFC 3986 section 6.2.3
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s != "." && s != "..":
			out = append(out, s)
			continue
		case s == ".." && len(out) > 0:
			out = out[:len(out)-1]
		}
		if last { // what ends in a dot segment names the folder
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}
