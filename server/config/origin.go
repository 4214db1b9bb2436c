package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// loopback reports whether a host names this machine: localhost and names under
// it (RFC 6761 section 6.3) or the two loopback addresses.
func loopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// plainHTTP is the one finding that a setting can lift.
const plainHTTP = "plain http is for loopback names only; use https"

// orInsecure adds that setting to the finding, where there is one.
func orInsecure(wrong string) string {
	if wrong == plainHTTP {
		return wrong + ", or insecure_http: true where the network itself is protected"
	}
	return wrong
}

// webURL checks an absolute http or https URL and says what is wrong with it, in
// words that never repeat it: somebody may have written a password into it.
func webURL(text string, insecure bool) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsAny(text, " \\"):
		return nil, "no URL; write it in full, as https://host/path"
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, "no absolute http or https URL; write it in full, as https://host/path"
	case !goodPort(u):
		return nil, "a port that does not exist; ports go from 1 to 65535"
	case u.User != nil:
		return nil, "holds a user name or password; remove them"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, "has a fragment; remove it"
	case u.Scheme == "http" && !insecure && !loopback(u.Hostname()):
		return nil, plainHTTP
	}
	return u, ""
}

func goodPort(u *url.URL) bool {
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	return u.Port() == "" || portNumber(u.Port())
}

// origin checks scheme://host[:port] (RFC 6454 section 6.1), lower case and
// without anything after it, because it is compared with what browsers send.
func origin(text string) (*url.URL, string) {
	u, wrong := webURL(text, false)
	switch {
	case wrong != "":
		return nil, wrong
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery:
		return nil, "more than an origin; write scheme, host and port alone, without a slash after them"
	case strings.Contains(u.Host, "*"):
		return nil, "a wildcard is no origin; list each one"
	case strings.ContainsFunc(text, func(c rune) bool { return c > '~' }):
		return nil, "letters beyond ASCII; write the host as browsers send it, with xn--"
	case text != strings.ToLower(text):
		return nil, "capitals; browsers send an origin in lower case, so write it so"
	case u.Port() == "443" && u.Scheme == "https" || u.Port() == "80" && u.Scheme == "http":
		return nil, "the default port; browsers leave it out of an origin, so leave it out"
	}
	return u, ""
}

// registrable is the part of a host that names its site (RFC 6265bis section 5.2) as far as it can be told without the list
// of public suffixes: the last two labels; of an address, or a name of one label, the whole. Two hosts where it differs are
// of two sites. Where it is the same, they may be of two as well: see DoubtfulOrigins.
func registrable(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// DoubtfulOrigins returns the allowed origins of which it cannot be told here whether they are of the app's site, and the
// domain on which that hangs: where it is a public suffix (publicsuffix.org), as co.uk or github.io is, every name under it
// is a site of its own.
func (a *App) DoubtfulOrigins() (origins []string, domain string) {
	own, err := url.Parse(a.Origin)
	if err != nil {
		return nil, ""
	}
	domain = registrable(own.Hostname())
	for _, text := range a.AllowedOrigins {
		u, err := url.Parse(text)
		if err == nil && !loopback(u.Hostname()) && hangOn(domain, u.Hostname(), own.Hostname()) {
			origins = append(origins, text)
		}
	}
	return origins, domain
}

// hangOn reports whether two hosts have no more in common than the domain.
func hangOn(domain, a, b string) bool {
	a, underA := strings.CutSuffix(a, "."+domain)
	b, underB := strings.CutSuffix(b, "."+domain)
	return underA && underB && a[strings.LastIndexByte(a, '.')+1:] != b[strings.LastIndexByte(b, '.')+1:]
}

// hostKey is what a Host header field holds for the URL: lower case, without a
// default port. Two surfaces with the same one cannot be told apart.
func hostKey(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	usual := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if port := u.Port(); port != "" && port != usual {
		return net.JoinHostPort(host, port)
	}
	return host
}

// listenAddr says what is wrong with a host:port to listen on. Port 0, any that
// is free, is for tests and so for loopback alone.
func listenAddr(text string) string {
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil:
		return "no host:port; write it as 127.0.0.1:9090 or :8080"
	case !portNumber(port) && !(port == "0" && loopback(host)):
		return "a port that does not exist; ports go from 1 to 65535"
	}
	return ""
}

// sameListener reports whether two addresses cannot both be listened on.
func sameListener(a, b string) bool { return a == b && !strings.HasSuffix(a, ":0") }

// dialAddr says what is wrong with a host:port to connect to.
func dialAddr(text string) string {
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil || host == "":
		return "no host:port; write it as redis:6379"
	case !portNumber(port):
		return "a port that does not exist; ports go from 1 to 65535"
	}
	return ""
}

// portNumber accepts decimal digits only, where strconv would take a sign too.
func portNumber(port string) bool {
	n := 0
	for _, c := range port {
		if c < '0' || c > '9' || n > 65535 {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n >= 1 && n <= 65535
}
