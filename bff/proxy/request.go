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

// ownFields are set by the gateway alone. Whatever a frontend sends under these names is dropped.
var ownFields = []string{
	"Authorization", "Cookie", "Forwarded", "Max-Forwards", "Via", "X-Forwarded-For", "X-Forwarded-Host",
	"X-Forwarded-Proto", "X-Request-Id",
}

// inboundFields are dropped from every request besides ownFields.
var inboundFields = []string{
	// Credentials towards the gateway, and its own guard.
	"Dpop", "Dpop-Nonce", "X-Csrf",
	// RFC 9110 section 7.6.1, as far as ReverseProxy leaves or restores them.
	"Connection", "Upgrade", "Http2-Settings", "Te", "Trailer", "Transfer-Encoding", "Keep-Alive",
	// Who the client is, in the words of some load balancer: only Call says.
	"X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Fastly-Client-Ip",
	"X-Client-Ip", "X-Cluster-Client-Ip", "X-Envoy-External-Address", "X-Azure-Clientip", "X-Azure-Socketip",
	"X-Appengine-User-Ip", "Client-Ip", "X-Remote-Ip", "X-Remote-Addr", "X-Proxyuser-Ip",
	// Another address or method than the one that was matched.
	"X-Rewrite-Url", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Host", "X-Http-Host-Override",
	"Destination-Override", "X-Http-Path-Override",
	// Who the user is, in the words of some gateway.
	"X-User", "X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups", "X-User-Roles", "X-Userid", "X-Username",
	"X-Email", "X-Groups", "X-Roles", "X-Webauth-User", "X-Access-Token", "X-Id-Token", "X-Client-Cert", "Client-Cert",
	"Client-Cert-Chain",
}

// inboundPrefixes are dropped with everything behind them.
var inboundPrefixes = []string{
	"X-Forwarded-", "X-Original-", "X-Auth-Request-", "X-Authenticated-", "X-Remote-User", "X-Remote-Group",
	"Remote-User", "Remote-Group", "Remote-Email", "Remote-Name", "X-Amzn-Oidc-", "X-Goog-Iap-", "X-Goog-Authenticated-",
	"Cf-Access-", "X-Ms-Client-Principal", "X-Ms-Token-", "X-Pomerium-", "X-Ssl-Client-", "Ssl-Client-", "Proxy-",
}

// spelledOnce are fields whose right spelling passes and whose odd spellings do not: a CGI-like API reads Content_Length
// as Content-Length.
var spelledOnce = []string{"Content-Length", "Content-Type", "Content-Encoding", "Host", "Origin", "Referer", "Traceparent"}

// droppedFields says which fields of a request never reach an API.
type droppedFields struct {
	exact map[string]struct{} // canonical names
	odd   map[string]struct{} // what an odd spelling must not come out as
}

// droppedFieldsOf collects the fixed names and the identity fields of all routes: also on a route without them nobody may
// send them, for two routes may lead to one API.
func droppedFieldsOf(routes []Route) droppedFields {
	d := droppedFields{exact: make(map[string]struct{}), odd: make(map[string]struct{})}
	for _, name := range slices.Concat(ownFields, inboundFields) {
		d.exact[name] = struct{}{}
	}
	for _, r := range routes {
		for name := range r.IdentityHeaders {
			d.exact[canonical(name)] = struct{}{}
		}
	}
	for name := range d.exact {
		d.odd[name] = struct{}{}
	}
	for _, name := range spelledOnce {
		d.odd[name] = struct{}{}
	}
	return d
}

// has reports whether a field, named as net/http spells it, is to be dropped. CGI, WSGI and their like turn every sign
// of a name into an underscore, so that X_Forwarded_For and X-Forwarded-For become one: odd spellings are judged by what
// they come out as.
func (d droppedFields) has(name string) bool {
	set := d.exact
	if strings.IndexFunc(name, isOddSign) >= 0 {
		name, set = canonical(name), d.odd
	}
	if _, ok := set[name]; ok {
		return true
	}
	for _, p := range inboundPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return name == "Proxy" // CGI would read it as HTTP_PROXY and send its own calls there
}

func isOddSign(c rune) bool {
	return c >= 0x80 || c != '-' && !isAlnum(byte(c))
}

// canonical spells a name with dashes for every sign, as net/http spells those.
func canonical(name string) string {
	return http.CanonicalHeaderKey(strings.Map(func(c rune) rune {
		if isOddSign(c) {
			return '-'
		}
		return c
	}, name))
}

// isOwnField reports whether the gateway, or framing, owns a field, so that no claim can go by its name.
func isOwnField(name string) bool {
	name = canonical(name)
	return slices.Contains(ownFields, name) || slices.Contains(spelledOnce, name) ||
		slices.Contains([]string{"Connection", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Keep-Alive"}, name)
}

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
