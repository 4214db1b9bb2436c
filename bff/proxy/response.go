package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"cloakroom/bff"
)

// droppedFromAnswers act on the gateway's origin, on caches and servers in front of it, or tell about what is behind: none
// of that is an API's to say. What acts on one document alone is not among them (Permissions-Policy, Document-Policy,
// Referrer-Policy, X-Frame-Options, X-XSS-Protection): what an API answers is a document without rights, see protect.
var droppedFromAnswers = map[string]bool{
	// The origin's security and storage.
	"Clear-Site-Data": true, "Strict-Transport-Security": true, "Public-Key-Pins": true, "Expect-Ct": true,
	"Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true, "X-Content-Type-Options": true,
	"Cross-Origin-Resource-Policy": true, "Cross-Origin-Opener-Policy": true, "Cross-Origin-Embedder-Policy": true,
	"Origin-Agent-Cluster": true, "Service-Worker-Allowed": true, "Set-Login": true, "Activate-Storage-Access": true,
	"Sec-Session-Registration": true, "Secure-Session-Registration": true, "Sec-Session-Challenge": true,
	"Secure-Session-Challenge": true, "Accept-Ch": true, "Critical-Ch": true, "Speculation-Rules": true,
	"Use-As-Dictionary": true, "Alt-Svc": true, "Idp-Signin-Status": true, "Public-Key-Pins-Report-Only": true, "Origin-Trial": true,
	"Cross-Origin-Opener-Policy-Report-Only": true, "Cross-Origin-Embedder-Policy-Report-Only": true,
	// What other origins learn, or may do, of what is here.
	"Timing-Allow-Origin": true, "X-Permitted-Cross-Domain-Policies": true, "Supports-Loading-Mode": true,
	"Allow-Cross-Origin-Event-Reporting": true,
	// What the browser keeps of its user for advertisers, in this origin's name; and the families below.
	"Observe-Browsing-Topics": true, "X-Allow-Fledge": true,
	// Where the browser goes or reports to.
	"Refresh": true, "Report-To": true, "Nel": true, "Reporting-Endpoints": true, "Sourcemap": true, "X-Sourcemap": true,
	// RFC 9110 section 11.6: challenges are between the API and the gateway; Basic would open the browser's own dialog.
	"Www-Authenticate": true, "Proxy-Authenticate": true, "Authentication-Info": true, "Proxy-Authentication-Info": true,
	"Dpop-Nonce": true,
	// Caches and servers in front.
	"Surrogate-Control": true, "Surrogate-Key": true, "Cdn-Cache-Control": true, "Cache-Tag": true, "Edge-Control": true,
	"Edge-Cache-Tag": true, "X-Litespeed-Cache-Control": true, "X-Sendfile": true, "X-Lighttpd-Send-File": true,
	"X-Reproxy-Url": true,
	// What is behind (ASVS 13.4.6).
	"Server": true, "X-Powered-By": true, "X-Aspnet-Version": true, "X-Aspnetmvc-Version": true, "X-Generator": true,
	"Via": true,
	// Hop by hop, as far as ReverseProxy leaves it; obsolete cookies.
	"Upgrade": true, "Trailer": true, "Set-Cookie2": true,
}

// isDroppedFromAnswers reports whether a field of an answer is dropped.
func isDroppedFromAnswers(name string) bool {
	switch {
	case droppedFromAnswers[name]:
		return true
	case strings.HasPrefix(name, "Access-Control-"): // CORS is answered by the gateway
		return true
	case strings.HasPrefix(name, "Attribution-Reporting-"), strings.HasPrefix(name, "Ad-Auction-"), strings.HasPrefix(name, "Shared-Storage-"):
		return true
	case strings.HasPrefix(name, "X-Accel-"): // nginx in front would serve its own files by it; buffering is harmless
		return name != "X-Accel-Buffering"
	default:
		return strings.HasSuffix(name, "-Cdn-Cache-Control")
	}
}

// cleanResponse is the ReverseProxy's ModifyResponse: it judges the answer and cleans its fields. An error goes to fail,
// and nothing is written.
func cleanResponse(res *http.Response) error {
	x := exchangeOf(res.Request)
	if res.StatusCode == http.StatusSwitchingProtocols {
		if err := x.checkSwitch(res); err != nil {
			return err
		}
	}
	if err := x.unusable(res.StatusCode); err != nil {
		return err
	}
	switch {
	case x.refusedOwn(res) != nil:
		return x.refusedOwn(res)
	case x.asksForSignIn(res):
		return x.stepUp(res)
	case x.refusedToken(res), x.refusedProof(res):
		return &bff.Error{Code: bff.CodeUpstreamRefused, Message: "The service did not accept this session."}
	}
	if !bodyAllowed(res.StatusCode) && res.StatusCode != http.StatusSwitchingProtocols {
		_ = res.Body.Close() // HTTP/2 can carry one all the same, and writing it would end the frontend's connection
		res.Body = http.NoBody
	}
	h := res.Header
	x.moveLocations(res)
	for name := range h {
		if x.drops(name) {
			delete(h, name)
		}
	}
	if x.route.Kind == KindSite {
		x.filterSiteCookies(h)
		x.protectSite(res)
	} else {
		x.filterCookies(h)
		filterLinks(h)
		x.protect(res)
	}
	x.answered = true
	x.announceTrailers(res)
	x.yieldTo(h)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return x.switchTo(res)
	}
	if x.body != nil && x.in.ProtoMajor == 1 && !x.body.complete() {
		// An early answer: the rest of the request must not be read as the next one (RFC 9112 section 9.6). Nor does
		// net/http swallow that rest before the answer when the connection closes, so that both directions stream.
		x.ResponseWriter.Header().Set("Connection", "close")
	}
	if x.body != nil && x.trailing != nil && x.in.ProtoMajor >= 2 {
		x.body.converse()
	}
	if res.ContentLength > 0 && x.in.Method != http.MethodHead {
		res.Body = x.passOn(res.Body, res.ContentLength)
	}
	return nil
}

// unusable says why an answer cannot be passed on, whatever else it says; nil: it can.
func (x *exchange) unusable(status int) error {
	switch {
	case x.interims > maxInterims:
		return errors.New("upstream floods with interim answers")
	case status == http.StatusSwitchingProtocols: // judged elsewhere
	case status < 200, status > 599: // RFC 9110 section 15: it is none; net/http would panic at some
		return fmt.Errorf("upstream answered with status %d", status)
	case status == http.StatusProxyAuthRequired: // it is ours to authenticate, not the browser's
		return errors.New("upstream asked for proxy authentication")
	}
	return nil
}

// Values that protect sets. The slices are shared by all answers, and never written to.
var (
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
	inert       = []string{"default-src 'none'; sandbox; frame-ancestors 'none'"}
	sameOrigin  = []string{"same-origin"}
	octetStream = []string{"application/octet-stream"}
)

// protect keeps what an API answers out of caches and from running in the app's origin.
func (x *exchange) protect(res *http.Response) {
	h := res.Header
	if x.route.Token != TokenNone {
		// RFC 9111 section 3.5 protects answers to Authorization from shared caches. Towards the frontend there is a
		// cookie instead, which does not: so nothing is stored, whatever the API says.
		h["Cache-Control"] = noStore
		delete(h, "Expires")
		delete(h, "Pragma")
		delete(h, "Age")
		delete(h, "No-Vary-Search") // which addresses one stored answer is good for: none
	}
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = inert
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	bodiless := res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if h.Get("Content-Type") == "" && !bodiless {
		h["Content-Type"] = octetStream // ASVS 4.1.1: or net/http would guess from what the API sent
	}
}

// yieldTo makes room for the answer's fields in the frontend's header, which ReverseProxy only adds to: what protect set
// replaces what is there, otherwise what the gateway has already said stays, and lists are joined.
func (x *exchange) yieldTo(h http.Header) {
	own := x.ResponseWriter.Header()
	for name := range own {
		switch name {
		case "Vary", "Set-Cookie":
		case "Cache-Control":
			if x.route.Token == TokenNone {
				delete(h, name)
			} else {
				delete(own, name)
			}
		case "X-Content-Type-Options", "Content-Security-Policy", "Cross-Origin-Resource-Policy":
			delete(own, name)
		default:
			delete(h, name)
		}
	}
}

// filterCookies keeps the cookies that the route lets its API set, without Domain: a cookie for the parent domain would
// reach, and shadow, every sibling (RFC 6265bis section 8.6).
func (x *exchange) filterCookies(h http.Header) {
	lines := h["Set-Cookie"]
	if lines == nil {
		return
	}
	var kept []string
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, ";")
		name, _, ok := strings.Cut(pair, "=")
		name = textproto.TrimString(name)
		if ok && slices.Contains(x.route.ResponseCookies, name) && !x.table.reserved(name) {
			kept = append(kept, pair+withoutDomain(attributes))
		}
	}
	if h["Set-Cookie"] = kept; kept == nil {
		delete(h, "Set-Cookie")
	}
}

// withoutDomain writes the attributes of a cookie again, each behind its semicolon, but for every Domain.
func withoutDomain(attributes string) string {
	var b strings.Builder
	for a := range strings.SplitSeq(attributes, ";") {
		a = textproto.TrimString(a)
		if name, _, _ := strings.Cut(a, "="); a != "" && !strings.EqualFold(textproto.TrimString(name), "Domain") {
			b.WriteString("; ")
			b.WriteString(a)
		}
	}
	return b.String()
}

// refusedToken reports whether an answer says that the token is no good: 401 to a request that carried one, with a
// challenge of RFC 6750 section 3.1 that says invalid_token or gives no reason, or with no challenge at all. Any other
// 401, as any 403, is the API's word to the frontend, and passes.
func (x *exchange) refusedToken(res *http.Response) bool {
	if res.StatusCode != http.StatusUnauthorized || x.token.IsZero() {
		return false
	}
	if strings.Join(res.Header["Www-Authenticate"], "") == "" {
		return x.route.Kind != KindSite // a site's own sign-in form may say 401 without a challenge
	}
	c, why := x.challenged(res)
	return c != nil && (why == "" || strings.EqualFold(why, "invalid_token"))
}
