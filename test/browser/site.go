package browser

import (
	"net"
	"net/url"
	"strings"
)

// originOf is the origin of a URL as the Origin field writes it: scheme, host, and port unless it is the scheme's own.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		host += ":" + port
	}
	return u.Scheme + "://" + host
}

// siteOf is the schemeful site (RFC 6265bis section 5.2): scheme and registrable domain. Ports do not count.
func siteOf(u *url.URL) string {
	return u.Scheme + "://" + registrable(u.Hostname())
}

// registrable is the part of a host that one party registers: the last two labels, which is what the public suffix
// list's default rule gives for example.test, docs.localhost and example.com. An IP address and a single label
// (localhost) stand for themselves.
func registrable(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(host) != nil {
		return host
	}
	labels := strings.Split(host, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// trustworthy tells whether a browser treats the URL as secure (Secure Contexts section 3.1): TLS, or loopback.
func trustworthy(u *url.URL) bool {
	if u.Scheme == "https" || u.Scheme == "wss" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return localhostName(u.Hostname()) || ip != nil && ip.IsLoopback()
}

func localhostName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// fetchSite is the value of Sec-Fetch-Site (Fetch Metadata section 2.1.2): the worst relation between the
// initiator and any URL of the chain; "none" when a person started it outside any page.
func fetchSite(initiator *url.URL, chain []*url.URL) string {
	if initiator == nil {
		return "none"
	}
	value := "same-origin"
	for _, u := range chain {
		if originOf(u) == originOf(initiator) {
			continue
		}
		if siteOf(u) != siteOf(initiator) {
			return "cross-site"
		}
		value = "same-site"
	}
	return value
}

// referrer is the Referer value for a request to u from a page at from, under a policy (Referrer Policy section 8.3).
func referrer(policy string, from, u *url.URL) string {
	if from == nil {
		return ""
	}
	same := originOf(from) == originOf(u)
	downgrade := trustworthy(from) && !trustworthy(u)
	origin := originOf(from) + "/"
	switch {
	case policy == "no-referrer",
		policy == "same-origin" && !same,
		downgrade && strings.Contains(policy, "strict-origin"),
		downgrade && policy == "no-referrer-when-downgrade":
		return ""
	case policy == "origin", policy == "strict-origin",
		!same && strings.HasSuffix(policy, "origin-when-cross-origin"):
		return origin
	}
	bare := *from
	bare.User = nil
	return withoutFragment(&bare)
}

// policyOf reads a Referrer-Policy field: the last word that is a policy counts; none keeps the fallback.
func policyOf(fields []string, fallback string) string {
	policy := fallback
	for word := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		switch word {
		case "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
			"origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url":
			policy = word
		}
	}
	return policy
}
