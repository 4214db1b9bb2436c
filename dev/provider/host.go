package provider

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// named answers only under names that lead here for everybody: an address, localhost, or the issuer's own. Under any other a
// page of somebody else's has had its name point at this machine (DNS rebinding), is of the same origin as this provider to
// the browser, and could read who is signed in.
func (p *Provider) named(h http.Handler) http.Handler {
	issuer, _ := url.Parse(p.Issuer()) // of Start, which made it
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostname(r.Host); !isHere(host) && !strings.EqualFold(host, issuer.Hostname()) {
			newReply(http.StatusMisdirectedRequest, "text/plain; charset=utf-8", []byte("This provider is not known under that name.\n")).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// hostname is a Host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// isHere reports whether a name needs no resolver that others could answer for (RFC 6761 section 6.3).
func isHere(host string) bool {
	_, err := netip.ParseAddr(host)
	host = strings.ToLower(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
