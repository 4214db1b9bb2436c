package proxy

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// A route of KindSite leads to a server-rendered app, whose pages are the app at this origin. What an answer says of
// itself passes; what it would say of the whole origin, of the gateway's cookies or of caches that others share does not.
// Both sides have the same paths: links and cookies of a page name the upstream's, and nobody rewrites pages here.

// siteFields are those of droppedFromAnswers that are about one answer alone, or one document: a site may say them.
var siteFields = map[string]bool{
	"Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true, "Cross-Origin-Opener-Policy": true,
	"Cross-Origin-Embedder-Policy": true, "Cross-Origin-Resource-Policy": true, "Reporting-Endpoints": true,
	"Sourcemap": true, "X-Sourcemap": true, "Supports-Loading-Mode": true, "Origin-Trial": true, "X-Permitted-Cross-Domain-Policies": true,
	"Cross-Origin-Opener-Policy-Report-Only": true, "Cross-Origin-Embedder-Policy-Report-Only": true,
}

// drops reports whether a field of an answer goes no further on this route. Clear-Site-Data is dropped whole: "cookies"
// would take the session's without a sign-out, and tell no other tab (ASVS 7.4.1).
func (x *exchange) drops(name string) bool {
	return isDroppedFromAnswers(name) && !(x.route.Kind == KindSite && siteFields[name])
}

// reservedPrefix begins every cookie of the gateway's, of whatever app. RFC 6265bis section 5.7 compares without case.
const reservedPrefix = "__host-http-"

// passes reports whether a cookie of this name is the site's own, in either direction. A name with signs that some
// servers trim or split at could come out as another name behind.
func (x *exchange) passes(name string) bool {
	odd := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`",;=\`, c) }
	return name != "" && !strings.ContainsFunc(name, odd) &&
		!strings.HasPrefix(strings.ToLower(name), reservedPrefix) && !x.table.reserved(name)
}

// siteCookies are the frontend's cookies that reach a site: all but the gateway's own. Two of one name may both be the
// site's, for different paths, and keep their order.
func (x *exchange) siteCookies() string {
	if x.call.Bare {
		return ""
	}
	var kept []string
	for _, line := range x.in.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = textproto.TrimString(pair)
			name, _, named := strings.Cut(pair, "=")
			if named && x.passes(textproto.TrimString(name)) {
				kept = append(kept, pair)
			}
		}
	}
	return strings.Join(kept, "; ")
}

// filterSiteCookies keeps the cookies that a site sets for itself. None has a Domain (RFC 6265bis section 8.6), and on an
// https origin all are Secure, whatever a site that is spoken to in plain http thinks (ASVS 3.3.1). One without a name is
// dropped: a browser would send its value as name and value, one of ours for example.
func (x *exchange) filterSiteCookies(h http.Header) {
	lines := h["Set-Cookie"]
	delete(h, "Set-Cookie")
	if x.call.Bare {
		return
	}
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, ";")
		name, _, named := strings.Cut(pair, "=")
		if !named || !x.passes(textproto.TrimString(name)) {
			continue
		}
		cookie := textproto.TrimString(pair) + withoutDomain(attributes)
		if x.call.Scheme == "https" && !hasAttribute(attributes, "Secure") {
			cookie += "; Secure"
		}
		h["Set-Cookie"] = append(h["Set-Cookie"], cookie)
	}
}

// hasAttribute looks for an attribute of a cookie, by name and without case.
func hasAttribute(attributes, want string) bool {
	for a := range strings.SplitSeq(attributes, ";") {
		if name, _, _ := strings.Cut(a, "="); strings.EqualFold(textproto.TrimString(name), want) {
			return true
		}
	}
	return false
}

// Values that protectSite sets. The slices are shared by all answers, and never written to.
var (
	framedHere     = []string{"frame-ancestors 'self'"}
	askAgain       = []string{"private, no-cache"}
	documentTypes  = []string{"text/html", "application/xhtml+xml", "image/svg+xml", "application/xml", "text/xml"}
	sharedWords    = []string{"public", "s-maxage", "proxy-revalidate", "private"}
	freshnessWords = []string{"no-store", "no-cache", "max-age", "private"}
)

// protectSite says what a site's answer leaves out: it is what it says it is (ASVS 3.4.4), no other site frames it
// (3.4.6), and what was made for a session is kept by no cache that others share.
func (x *exchange) protectSite(res *http.Response) {
	h := res.Header
	h["X-Content-Type-Options"] = noSniff
	bodiless := res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if h.Get("Content-Type") == "" && !bodiless {
		h["Content-Type"] = octetStream // as for an API: net/http would guess
	}
	policies := strings.ToLower(strings.Join(h["Content-Security-Policy"], ","))
	if len(h["X-Frame-Options"]) == 0 && !strings.Contains(policies, "frame-ancestors") {
		// One policy more, beside the site's own: a browser holds a page to all of them (CSP Level 3 section 8.1).
		h["Content-Security-Policy"] = append(slices.Clone(h["Content-Security-Policy"]), framedHere...)
	}
	if x.route.Token == TokenNone {
		return
	}
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	keepPrivate(h)
}

// keepPrivate takes a page made for a session out of shared caches (RFC 9111 section 5.2.2.7): the browser's leg carries
// a cookie and no Authorization, so that nothing else would (section 3.5). Also where nobody was signed in: what the
// next one gets may differ. What the site says of the browser's own cache stands.
//
//	the site says                      the frontend gets
//	nothing, of a document             no-store: the back button after a sign-out shows nothing (ASVS 14.3.2)
//	nothing, of anything else          private, no-cache
//	max-age, private, no-cache, …      private, and what of it is not for shared caches
//	what cannot be read                no-store
func keepPrivate(h http.Header) {
	h.Add("Vary", "Cookie")
	delete(h, "Pragma") // it says nothing in an answer (RFC 9111 section 5.4)
	words, ok := directives(strings.Join(h["Cache-Control"], ","))
	fresh := slices.ContainsFunc(words, func(w string) bool { return slices.Contains(freshnessWords, directiveName(w)) })
	switch {
	case !ok:
		h["Cache-Control"] = noStore
	case fresh, len(h["Expires"]) > 0:
		own := slices.DeleteFunc(words, func(w string) bool { return slices.Contains(sharedWords, directiveName(w)) })
		h["Cache-Control"] = []string{strings.Join(append([]string{"private"}, own...), ", ")}
	case isDocument(h):
		h["Cache-Control"] = noStore
	default:
		h["Cache-Control"] = askAgain
	}
}

// directives splits a Cache-Control at the commas that stand in no quotes (RFC 9110 section 5.6.4).
func directives(list string) (words []string, ok bool) {
	quoted, escaped, from := false, false, 0
	add := func(word string) {
		if word = textproto.TrimString(word); word != "" {
			words = append(words, word)
		}
	}
	for i := range len(list) {
		switch c := list[i]; {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			add(list[from:i])
			from = i + 1
		}
	}
	add(list[from:])
	return words, !quoted
}

func directiveName(word string) string {
	name, _, _ := strings.Cut(word, "=")
	return strings.ToLower(textproto.TrimString(name))
}

// isDocument reports an answer that a browser shows as a page.
func isDocument(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return slices.Contains(documentTypes, strings.ToLower(textproto.TrimString(media)))
}

// siteLocation turns where a site's answer points to into what the frontend is told, as a path where that is this origin,
// by whichever name: the upstream's own, or the one it was told in X-Forwarded-Host, http included, for a site that is
// spoken to in plain http knows no better. Another http origin passes as it is: a site that may write links may write
// redirects. Any other scheme is dropped.
func (x *exchange) siteLocation(reference string, asked *url.URL) (string, bool) {
	u, err := url.Parse(reference)
	if err != nil || strings.ContainsAny(reference, "\\\r\n\t") {
		return "", false
	}
	u = asked.ResolveReference(u)
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	own := strings.EqualFold(u.Host, x.call.Host) || u.Scheme == x.route.target.scheme && strings.EqualFold(u.Host, x.route.target.host)
	if !own {
		return u.String(), true
	}
	clean, err := CleanPath(u.EscapedPath())
	if err != nil {
		return "", false
	}
	return withRest(clean, u), true
}
