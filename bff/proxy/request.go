package proxy

import (
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rewrite makes the request that the API gets of the one that came. ReverseProxy has dropped what Connection names and
// the hop-by-hop fields by now (RFC 9110 section 7.6.1), so that nothing set here can be named away.
func rewrite(pr *httputil.ProxyRequest) {
	x, out := exchangeOf(pr.In), pr.Out
	via := pr.In.Header["Via"]
	for name := range out.Header {
		if x.table.dropped.has(name) {
			delete(out.Header, name)
		}
	}
	// RFC 9110 section 6.5.1: a trailer is no header, and what it may be an API cannot know.
	out.Trailer = nil
	x.aim(out)
	x.upgrade(out.Header)
	x.askForTrailers(out.Header)
	x.setOwn(out.Header, via)
	if out.Method == http.MethodOptions {
		countDown(pr.In.Header, out.Header)
	}
	x.identify(out.Header)
}

// setOwn sets what only the gateway may say. One array holds all values: this runs for every request.
func (x *exchange) setOwn(h http.Header, via []string) {
	values := make([]string, 0, 7) // as many as there are calls of set: it must not grow, the header holds parts of it
	set := func(name, value string) {
		if value != "" {
			values = append(values, value)
			h[name] = values[len(values)-1 : len(values) : len(values)]
		}
	}
	set("Via", x.via(via))
	set("X-Forwarded-For", x.call.ClientIP)
	set("X-Forwarded-Host", x.call.Host)
	set("X-Forwarded-Proto", x.call.Scheme)
	set("X-Request-Id", x.call.RequestID)
	set("Cookie", x.cookie)
	set("Authorization", authorization(x.tokenTyp, x.token.Reveal()))
}

// authorization writes the field of RFC 6750 section 2.1, or of RFC 9449 section 7.1; "" without a token. The scheme is as the
// provider spelled it, but that these two get the capitals some APIs insist on, and that Bearer is what goes without saying.
func authorization(scheme, token string) string {
	switch {
	case token == "":
		return ""
	case scheme == "", strings.EqualFold(scheme, "Bearer"):
		scheme = "Bearer"
	case strings.EqualFold(scheme, "DPoP"):
		scheme = "DPoP"
	}
	return scheme + " " + token
}

// via adds this gateway to the hops (RFC 9110 section 7.6.3).
func (x *exchange) via(hops []string) string {
	own := x.table.hop
	if x.in.ProtoMajor != 1 || x.in.ProtoMinor != 1 {
		own = strconv.Itoa(x.in.ProtoMajor) + "." + strconv.Itoa(x.in.ProtoMinor) + " " + x.table.pseudonym
	}
	if len(hops) == 0 {
		return own
	}
	return strings.Join(append(slices.Clone(hops), own), ", ")
}

// countDown passes Max-Forwards on, one less (RFC 9110 section 7.6.2). lastHop has seen that it is above zero.
func countDown(in, out http.Header) {
	if in["Max-Forwards"] == nil {
		return
	}
	if n, err := maxForwards(in); err == nil {
		out.Set("Max-Forwards", strconv.Itoa(n-1))
	}
}

// checkQuery refuses parameters that would speak past the gateway: a token of the frontend's (RFC 6750 section 2.3), and
// another method than the one that was matched. Names are compared as an API would decode them, without case.
func checkQuery(raw string) error {
	for raw != "" {
		var pair string
		if i := strings.IndexAny(raw, "&;"); i >= 0 { // some APIs split at semicolons too
			pair, raw = raw[:i], raw[i+1:]
		} else {
			pair, raw = raw, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if strings.ContainsAny(name, "%+") {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		switch {
		case strings.EqualFold(name, "access_token"):
			return badRequest("access_token in the query")
		case strings.EqualFold(name, "_method"):
			return badRequest("method override in the query")
		}
	}
	return nil
}

// pickCookies collects those of the frontend's cookies that the route lists. The rest never leaves: above all the
// gateway's own. Two of one name are refused, for nobody knows which of them the API would believe.
func (x *exchange) pickCookies() error {
	var kept, names []string
	for _, line := range x.in.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = textproto.TrimString(pair)
			name, _, ok := strings.Cut(pair, "=")
			if !ok || !slices.Contains(x.route.RequestCookies, name) || x.table.reserved(name) {
				continue
			}
			if slices.Contains(names, name) {
				return badRequest("cookie " + name + " twice")
			}
			kept, names = append(kept, pair), append(names, name)
		}
	}
	x.cookie = strings.Join(kept, "; ")
	return nil
}

// reservedByPrefix takes every cookie with a prefix for the gateway's own: those it sets all have one.
func reservedByPrefix(name string) bool {
	name = strings.ToLower(name) // RFC 6265bis section 5.7 compares prefixes without case
	return strings.HasPrefix(name, "__host-") || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")
}
