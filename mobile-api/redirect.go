package mobileapi

import (
	"net/url"
	"slices"
	"strings"

	"cloakroom/bff"
)

// isRegistered reports whether an app may be answered at uri: byte for byte one of its own (RFC 9700 section 2.1), and on
// loopback with any port, for a desktop app takes whichever is free (RFC 8252 section 7.3). "localhost" is no loopback
// here: it may resolve to another host, and other users' programs may listen on it (section 8.3).
func isRegistered(app *bff.App, uri string) bool {
	host, rest, loopback := cutLoopback(uri)
	return slices.ContainsFunc(app.RedirectURIs, func(registered string) bool {
		if !loopback {
			// No other http, even if it were registered: whoever is on the way could read the code (section 8.4).
			return uri == registered && !strings.HasPrefix(strings.ToLower(uri), "http:")
		}
		h, r, ok := cutLoopback(registered)
		return ok && h == host && r == rest
	})
}

// cutLoopback splits a loopback redirect URI around its port, which may be absent.
func cutLoopback(uri string) (host, rest string, ok bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, found := strings.CutPrefix(uri, host)
		if !found {
			continue
		}
		if rest, found = cutPort(rest); !found {
			return "", "", false
		}
		// What follows an authority; "@" would make all before it a user's name (RFC 3986 section 3.2).
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}

// cutPort takes ":1" to ":65535" off the front of what follows a host; without a colon there is no port.
func cutPort(s string) (rest string, ok bool) {
	digits, found := strings.CutPrefix(s, ":")
	if !found {
		return s, true
	}
	port := 0
	rest = strings.TrimLeftFunc(digits, func(r rune) bool { return r >= '0' && r <= '9' })
	digits = digits[:len(digits)-len(rest)]
	if len(digits) == 0 || len(digits) > 5 || digits[0] == '0' {
		return "", false
	}
	for _, d := range digits {
		port = port*10 + int(d-'0')
	}
	return rest, port <= 65535
}

// answerURL is the app's redirect URI with our answer in its query, beside what the URI's own query holds (RFC 6749
// section 3.1.2), the app's state and our issuer (RFC 9207 section 2).
func (s *Surface) answerURL(to bff.NativeRequest, answer url.Values) string {
	if to.State != "" {
		answer.Set("state", to.State)
	}
	answer.Set("iss", s.issuer)
	sep := "?"
	if strings.Contains(to.RedirectURI, "?") {
		sep = "&"
	}
	// "%20", not "+": what reads custom schemes on phones decodes the one and not the other, and state must come back as it
	// was given.
	return to.RedirectURI + sep + strings.ReplaceAll(answer.Encode(), "+", "%20")
}
