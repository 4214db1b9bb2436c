package config

import (
	"maps"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

func (r *report) validateRoutes(c *Config) {
	for i, route := range c.Routes {
		path := at("routes", i)
		r.validateRoute(path, route, c)
		for j, other := range c.Routes[:i] {
			if overlap(route, other) {
				r.add(join(path, "path"), "the path of routes[%d] too, for the same app and method; join the two or split them", j)
			}
			if crossing(route, other) {
				r.add(join(path, "path"), "crosses the path of routes[%d]: both match some paths, and neither is the more literal; make one of "+
					"them so", j)
			}
		}
	}
}

// overlap reports whether one request could take both routes.
func overlap(a, b *Route) bool {
	common := func(x, y []string) bool {
		return slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) })
	}
	sameApp := len(a.Apps) == 0 || len(b.Apps) == 0 || common(a.Apps, b.Apps)
	return shape(a) == shape(b) && sameApp && common(a.Methods, b.Methods)
}

func (r *report) validateRoute(path string, route *Route, c *Config) {
	if r.need(join(path, "path"), route.Path, "write what is matched, as /api/orders/") {
		r.routePath(join(path, "path"), literal(route))
	}
	if route.External {
		r.external(path, route, c)
	} else if r.need(join(path, "upstream"), route.Upstream, "write where it is forwarded, as https://orders.internal") {
		r.upstream(join(path, "upstream"), route)
	}
	r.methods(join(path, "methods"), route)
	r.routeWords(path, route)
	r.routeApps(join(path, "apps"), route.Apps, c)
	r.within(join(path, "timeout"), route.Timeout, 10*time.Millisecond, time.Hour)
	r.within(join(path, "stream_timeout"), route.StreamTimeout, 0, longSpan)
	r.cookieNames(join(path, "cookies"), route.Cookies)
	r.cookieNames(join(path, "set_cookies"), route.SetCookies)
	r.require(join(path, "require"), route)
	r.identity(join(path, "identity_headers"), route)
	r.clientRoute(path, route)
	r.resource(join(path, "resource"), route)
	r.exchange(join(path, "exchange"), route)
	r.webSocket(join(path, "websocket"), route)
	r.routeBounds(path, route, c)
	r.routeRates(join(path, "limits"), route)
	r.site(path, route, c)
}

// routePath refuses what another server might read as another path: the path of
// a request is cleaned once, and what matches has to be in that form.
func (r *report) routePath(path, text string) {
	low := strings.ToLower(text)
	plain, err := url.PathUnescape(text)
	switch {
	case !strings.HasPrefix(text, "/"):
		r.add(path, "does not start with a slash; write it as /api/orders/")
	case strings.ContainsAny(text, "?#\\*{} ") || err != nil:
		r.add(path, "more than a path; remove queries, patterns and backslashes (a slash at the end matches all below)")
	case strings.Contains(low, "%2f") || strings.Contains(low, "%5c") || strings.ContainsFunc(plain, control):
		r.add(path, "an encoded slash, backslash or control character; such requests are refused, so nothing would match")
	case strings.Contains(text, "//") || dotSegment(plain):
		r.add(path, "empty or dot segments; write the path they lead to")
	case ours(plain):
		r.add(path, "belongs to the gateway; /bff, /mobile, /healthz and /.well-known cannot be forwarded")
	}
}

func control(c rune) bool { return c < ' ' || c == 0x7f }

func dotSegment(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// ours reports whether a path is the gateway's own, whatever its case.
func ours(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(path), "/"), "/")
	return slices.Contains([]string{"bff", "mobile", "healthz", ".well-known"}, first)
}

func (r *report) upstream(path string, route *Route) {
	u, wrong := webURL(route.Upstream, route.InsecureHTTP)
	switch {
	case wrong == "" && (u.RawQuery != "" || u.ForceQuery):
		wrong = "has a query; an upstream is a base to which path and query are added"
	case wrong == "" && strings.ContainsAny(u.Host, "{}"):
		wrong = "a placeholder in the host; they stand in the path alone"
	case wrong == "" && dotSegment(u.Path):
		wrong = "dot segments; write the path they lead to"
	case wrong == "":
		wrong = placeholders(u.Path, route)
	}
	if wrong != "" {
		r.add(path, "%s", orInsecure(wrong))
	}
}

// placeholderPattern is {sub}, {org} or {claim:name} filling a whole segment, as
// its value is escaped like one.
const placeholderPattern = `^\{(sub|org|claim:[^{}/]+)\}$`

func placeholders(path string, route *Route) string {
	pattern := regexp.MustCompile(placeholderPattern)
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case !strings.ContainsAny(segment, "{}"), pathWord(segment, route):
		case !pattern.MatchString(segment):
			return "an unknown placeholder; a whole segment may be {sub}, {org} or {claim:name}"
		case route.Token == "none":
			return "a placeholder, yet token: none knows no user; write token: user"
		case strings.Count(segment, ".") >= claimDepth:
			return "a claim deeper inside objects than is looked; write eight names at most"
		}
	}
	return ""
}

func (r *report) methods(path string, route *Route) {
	if len(route.Methods) == 0 {
		r.add(path, "missing; list what is let through, as [GET, POST]")
	}
	for i, method := range route.Methods {
		here := at(path, i)
		switch strings.ToUpper(method) {
		case "TRACE", "CONNECT":
			// RFC 9110 sections 9.3.6 and 9.3.8: one tunnels, the other echoes the
			// header, credentials included.
			r.add(here, "is never forwarded; delete it")
		default:
			r.oneOf(here, method, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
		}
		if route.Guard == "origin" && method != "GET" && method != "HEAD" {
			r.add(here, "guard: origin is for GET and HEAD, which change nothing; write guard: header")
		}
	}
	r.unique(path, route.Methods)
}

func (r *report) routeWords(path string, route *Route) {
	r.oneOf(join(path, "token"), route.Token, "none", "user", "user-or-none", "client", "exchange")
	r.oneOf(join(path, "kind"), route.Kind, "api", "site")
	r.oneOf(join(path, "guard"), route.Guard, "header", "origin")
}

func (r *report) routeApps(path string, apps []string, c *Config) {
	for i, id := range apps {
		if c.Apps[id] == nil {
			r.add(at(path, i), "no such app; name some of %s", strings.Join(slices.Sorted(maps.Keys(c.Apps)), ", "))
		}
	}
	r.unique(path, apps)
}

// cookieNames keeps the gateway's own cookies out of both directions: forwarded,
// one would hand the session to the upstream; set, an upstream could replace it.
func (r *report) cookieNames(path string, names []string) {
	for i, name := range names {
		switch {
		case !headerToken(name):
			r.add(at(path, i), "no cookie name; list each by itself, without its value")
		case strings.HasPrefix(strings.ToLower(name), "__host-http-"):
			r.add(at(path, i), "a name of the gateway's own cookies, which never pass; delete it")
		}
	}
	r.unique(path, names)
}

func (r *report) require(path string, route *Route) {
	if !route.Require.Empty() && route.Token != "user" && route.Token != "client" && route.Token != "exchange" {
		r.add(path, "asks something of a user who need not be there; write token: user")
	}
	for _, claim := range slices.Sorted(maps.Keys(route.Require.Claims)) {
		if len(route.Require.Claims[claim]) == 0 {
			r.add(join(join(path, "claims"), claim), "no values, so nobody could pass; list those that may")
		}
		if wrong := claimName(claim); wrong != "" {
			r.add(join(join(path, "claims"), claim), "%s", wrong)
		}
	}
	r.acr(join(path, "acr"), route.Require.ACR)
	// Below a second it would be no demand, and above a year none that anybody meets otherwise.
	if route.Require.MaxAge != 0 {
		r.within(join(path, "max_age"), route.Require.MaxAge, time.Second, 365*24*time.Hour)
	}
}

// acr looks at values that go to the provider as one list, and into challenges as a quoted string.
func (r *report) acr(path string, values []string) {
	for i, v := range values {
		if v == "" || strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			r.add(at(path, i), "no value of acr; write each by itself, as the provider's documentation names it")
		}
	}
	r.unique(path, values)
	// Eight values of 256 bytes are what a step-up carries to the sign-in.
	if len(values) > 8 || len(strings.Join(values, " ")) > 255 {
		r.add(path, "more than a sign-in is asked for; list 8 at most, 255 bytes together")
	}
}

// claimDepth is how many names a path to a claim may have: the gateway follows no longer one.
const claimDepth = 8

// claimName returns what is wrong with the name of a claim, or the path to it.
func claimName(name string) string {
	switch {
	case name == "":
		return "no claim; name the one to send, as sub"
	case strings.Count(name, ".") >= claimDepth:
		return "deeper inside objects than is looked; write eight names at most, or have the provider send it as a claim of its own"
	}
	return ""
}

func (r *report) identity(path string, route *Route) {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(route.IdentityHeaders)) {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		wrong := ""
		switch {
		case route.Token == "none":
			wrong = "there is no user to tell of with token: none; delete it or write token: user"
		case !headerToken(name):
			wrong = "no header name"
		case reserved(canonical):
			wrong = "a header that the gateway or the protocol sets; choose another, as X-Forwarded-User"
		case seen[canonical]:
			wrong = "written twice in different case; delete one of them"
		default:
			wrong = claimName(route.IdentityHeaders[name])
		}
		if seen[canonical] = true; wrong != "" {
			r.add(join(path, name), "%s", wrong)
		}
	}
}

// reserved are fields whose meaning a claim must not change: credentials,
// framing, hop-by-hop (RFC 9110 section 7.6.1) and forwarding.
func reserved(name string) bool {
	return slices.Contains([]string{
		"Authorization", "Proxy-Authorization", "Proxy-Authenticate", "Cookie", "Set-Cookie",
		"Dpop", "Host", "Content-Length", "Content-Type", "Content-Encoding", "Transfer-Encoding", "Connection",
		"Keep-Alive", "Te", "Trailer", "Upgrade", "Proxy-Connection", "Forwarded", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "Traceparent", "X-Csrf", "Origin",
		"Expect",
	}, name)
}

// headerToken is RFC 9110 section 5.6.2's token, for header and cookie names.
func headerToken(name string) bool {
	return name != "" && strings.IndexFunc(name, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}) < 0
}
