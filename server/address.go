package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is the frontend's address: the peer's, or what trusted proxies say of it in X-Forwarded-For. Forwarded
// (RFC 7239) and every other field is never looked at: a proxy that sets one of them lets a frontend's other pass.
func (s *Server) clientAddress(r *http.Request) string {
	peer, err := netipOf(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return s.behind(peer, r.Header["X-Forwarded-For"]).String()
}

// behind reads a chain of X-Forwarded-For from its end: each trusted proxy is believed about who spoke to it, and the first
// that is not trusted is the frontend, whatever it wrote itself. Of an entry that is no address nothing is believed, nor of
// what stands before it: then the frontend is the last proxy that was.
func (s *Server) behind(at netip.Addr, fields []string) netip.Addr {
	chain := strings.Split(strings.Join(fields, ","), ",") // several fields are one list (RFC 9110 section 5.3)
	for i := len(chain) - 1; i >= 0 && s.isTrusted(at); i-- {
		entry := strings.TrimSpace(chain[i])
		if entry == "" { // RFC 9110 section 5.6.1.2: it counts as not there
			continue
		}
		next, ok := hopAddress(entry)
		if !ok {
			break
		}
		at = next
	}
	return at.WithZone("")
}

// hopAddress reads an entry of X-Forwarded-For: an address, as some proxies write it with a port, or in brackets.
func hopAddress(entry string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(entry); err == nil {
		return ap.Addr().Unmap(), true
	}
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		if entry, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
	}
	at, err := netip.ParseAddr(entry)
	return at.Unmap(), err == nil
}

// isTrusted reports whether an address is a proxy's whose X-Forwarded-* fields are believed.
func (s *Server) isTrusted(at netip.Addr) bool {
	for _, p := range s.cfg.Public.TrustedProxies {
		if p.Contains(at.WithZone("")) {
			return true
		}
	}
	return false
}

// translated is where networks without IPv4 inside show the IPv4 addresses of the world (RFC 6052 section 2.1).
const translated = "64:ff9b::/96"

// addressBlock is whom an address stands for: an IPv6 subscriber has at least a /64 (RFC 6177 section 2), and would
// otherwise have as many limits as addresses. An IPv4 address that is written as one of IPv6 is itself: else all of IPv4
// would be one.
func addressBlock(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	if netip.MustParsePrefix(translated).Contains(addr) {
		all := addr.As16()
		return netip.AddrFrom4([4]byte(all[12:])).String()
	}
	block, err := addr.Prefix(64)
	if err != nil {
		return ip
	}
	return block.String()
}
