package proxy

import (
	"net/http"
	"net/url"
	"strings"
)

// moveLocations rewrites where an answer points to. Redirects are never followed here (RFC 9110 section 15.4 leaves it
// to the user agent): one to the API's own place under this route becomes the gateway's path for it, and any other is
// dropped with the status kept, so that a script sees a redirect that leads nowhere instead of one that leads out.
func (x *exchange) moveLocations(res *http.Response) {
	for _, name := range []string{"Location", "Content-Location"} {
		values := res.Header[name]
		if values == nil {
			continue
		}
		delete(res.Header, name)
		if len(values) != 1 {
			continue // two places: whichever a browser takes, it is not to be relied on
		}
		find := x.here
		if x.route.Kind == KindSite {
			find = x.siteLocation
		}
		if there, ok := find(values[0], res.Request.URL); ok {
			res.Header[name] = []string{there}
		}
	}
}

// here turns a reference, relative to what was asked of the API, into the gateway's path for the same thing.
func (x *exchange) here(reference string, asked *url.URL) (string, bool) {
	if x.route.own() {
		return "", false // its upstream is one address, and no place that the gateway has paths for
	}
	u, err := url.Parse(reference)
	if err != nil || strings.ContainsAny(reference, "\\\r\n\t") {
		return "", false
	}
	u = asked.ResolveReference(u)
	if u.Scheme != x.route.target.scheme || !strings.EqualFold(u.Host, x.route.target.host) || u.User != nil || u.Opaque != "" {
		return "", false
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), x.base)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	if x.route.Strip {
		rest = x.route.stem + rest
	}
	if rest == "" {
		rest = "/"
	}
	clean, err := CleanPath(rest)
	if err != nil || !x.leadsBack(clean) {
		return "", false
	}
	return withRest(clean, u), true
}

// withRest adds the query and the fragment of u to its cleaned path.
func withRest(clean string, u *url.URL) string {
	if u.RawQuery != "" {
		clean += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		clean += "#" + u.EscapedFragment()
	}
	return clean
}

// leadsBack reports whether the gateway would forward a path to the same place: by this route, or by another with the
// same upstream. Anything else, the gateway's own pages above all, is not the API's to send a browser to.
func (x *exchange) leadsBack(clean string) bool {
	plain, err := decode(clean)
	if err != nil {
		return false
	}
	found, err := x.table.find(plain)
	if err != nil {
		return false
	}
	for _, c := range found {
		if c == x.route || c.Upstream == x.route.Upstream && !c.Strip && !x.route.Strip {
			return true
		}
	}
	return false
}
