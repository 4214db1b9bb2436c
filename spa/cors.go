package spa

import (
	"net/http"
	"slices"
	"strings"

	"cloakroom/surface"
)

const (
	// preflightLife is how many seconds a browser may go without asking again. Ten minutes: an origin that is taken off the
	// list calls for no longer, and could read nothing meanwhile.
	preflightLife = "600"
	// maxAsked is how many fields a preflight may ask for: a browser's own limit is its header's, and no API wants so many.
	maxAsked = 64
	// exposed are the fields of an answer that scripts of another origin may read, beside those that every one may (Fetch
	// standard section 2.2.6). "*" would mean a field of that name where cookies come along.
	exposed = "Accept-Ranges, Allow, Content-Disposition, Content-Range, Date, Deprecation, ETag, Link, Location, " +
		"RateLimit, RateLimit-Policy, Retry-After, Sunset, X-Request-Id, X-Total-Count"
)

// unaskable are fields that a preflight asks leave for in vain: no script can set them (Fetch standard section 2.2.2), and
// those that override a method do not pass the gateway (see package proxy). A page's own Authorization is no way to be
// somebody here: the session is.
var unaskable = [...]string{
	"*", "accept-charset", "accept-encoding", "access-control-request-headers", "access-control-request-method", "authorization",
	"connection", "content-length", "cookie", "cookie2", "date", "dnt", "expect", "forwarded", "host", "keep-alive", "origin",
	"referer", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "via",
	"x-http-method", "x-http-method-override", "x-method-override",
}

// Share lets scripts of the app's listed origins call one address and read what it answers (Fetch standard section 3.3),
// and nobody else's: methods are those that the address takes from them. It says so before anything is asked of the
// address, so that a refusal can be read as well, and only to who has shown where the request comes from; what the request
// may do is for the address's guard to say. An app that lists no origin has none of this.
//
// A preflight is answered here, with neither session nor API asked: a browser sends no cookie with it. Of any other origin it
// is bff.CodeCSRFFailed. answered: there is nothing left to do.
func (s *Surface) Share(w http.ResponseWriter, r *http.Request, methods []string) (answered bool, err error) {
	// On every answer of such an address, also where no origin is said: a cache must not hand the answer for one to another
	// (Fetch standard section 3.3.5).
	w.Header().Add("Vary", "Origin")
	from := surface.Field(r, "Origin")
	allowed := s.fromListed(r)
	if allowed {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", from) // never a pattern: from equals one of the list
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	switch {
	case !isPreflight(r):
		if allowed {
			w.Header().Set("Access-Control-Expose-Headers", exposed)
		}
		return false, nil
	case !allowed:
		return false, s.guardRefused(r.Context(), "preflight of an origin that is not listed")
	default:
		answerPreflight(w, r, methods)
		return true, nil
	}
}

// answerPreflight tells what an address takes. A method or field that is not in the answer the browser does not send.
func answerPreflight(w http.ResponseWriter, r *http.Request, methods []string) {
	surface.Private(w.Header())
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if names := askedFields(r); len(names) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(names, ", "))
	}
	h.Set("Access-Control-Max-Age", preflightLife)
	w.WriteHeader(http.StatusNoContent)
}

// askedFields are the names that a preflight asks for and may have: tokens (RFC 9110 section 5.6.2) that a script can set.
func askedFields(r *http.Request) (names []string) {
	list := surface.Field(r, "Access-Control-Request-Headers")
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.Trim(name, " \t"))
		if isToken(name) && !isUnaskable(name) && len(names) < maxAsked {
			names = append(names, name)
		}
	}
	return names
}

func isUnaskable(name string) bool {
	return slices.Contains(unaskable[:], name) || strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "proxy-")
}

// isToken reports whether a text without capitals is a token (RFC 9110 section 5.6.2): nothing in it can end or begin anything.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool {
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// isPreflight reports whether a browser asks for leave (Fetch standard section 4.8). What else OPTIONS asks is the address's.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// fromListed reports whether a request comes from a page of a listed origin, by CORS or as a WebSocket: such a one says its
// Origin. Metadata must not belie it: what is listed is of this site.
func (s *Surface) fromListed(r *http.Request) bool {
	if len(s.app.AllowedOrigins) == 0 {
		return false
	}
	site := surface.Field(r, "Sec-Fetch-Site")
	return (site == "" || site == "same-site") && s.lists(surface.Field(r, "Origin"))
}

// lists compares as a text (RFC 6454 section 5): "null", the http twin, another port or a host that only ends alike is
// another origin, and a field that stands twice is none.
func (s *Surface) lists(origin string) bool { return slices.Contains(s.app.AllowedOrigins, origin) }

// fromApp reports whether a page of the app sends the browser here: one of this origin (fromHere) or a listed one. A GET
// navigation has no Origin: the page's Referer tells, unless it hides that.
func (s *Surface) fromApp(r *http.Request) bool {
	return fromHere(r) || surface.Field(r, "Sec-Fetch-Site") == "same-site" && isOneOf(r, s.app.AllowedOrigins)
}
