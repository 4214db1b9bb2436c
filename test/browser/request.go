package browser

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// defaultPolicy is every browser's Referrer-Policy when a page states none.
const defaultPolicy = "strict-origin-when-cross-origin"

// request is one link of a chain, with all that a browser remembers about why it is made.
type request struct {
	method      string
	url         *url.URL
	header      http.Header // what the page itself set
	body        []byte
	initiator   *url.URL // the page that caused it; nil: typed by a person
	policy      string   // referrer policy in force
	chain       []*url.URL
	mode, dest  string // Sec-Fetch-Mode, Sec-Fetch-Dest
	user        bool   // a person clicked
	credentials string // same-origin, include, omit; navigations include
	fromForm    []string
}

// navigation is a top-level GET, as by a link.
func navigation(u *url.URL, from *Page, user bool) *request {
	r := &request{
		method: http.MethodGet, url: u, header: http.Header{}, policy: defaultPolicy, chain: []*url.URL{u},
		mode: "navigate", dest: "document", user: user, credentials: "include",
	}
	if from != nil {
		r.initiator, r.policy = from.at, from.policy
	}
	return r
}

func (r *request) topLevel() bool { return r.mode == "navigate" }

func (r *request) safe() bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, r.method)
}

// sameSite tells whether Strict cookies may travel. RFC 6265bis section 5.2: the initiator and every URL of
// the redirect chain have the site of the URL now asked for; one foreign link taints all that follow it.
func (r *request) sameSite() bool {
	here := siteOf(r.url)
	if r.initiator != nil && siteOf(r.initiator) != here {
		return false
	}
	return !slices.ContainsFunc(r.chain, func(u *url.URL) bool { return siteOf(u) != here })
}

// crossOrigin tells whether any link of a fetch has left the page's origin.
func (r *request) crossOrigin() bool {
	return r.initiator != nil && slices.ContainsFunc(r.chain, func(u *url.URL) bool { return originOf(u) != originOf(r.initiator) })
}

// withCookies is the credentials mode: may cookies be sent and kept at all.
func (r *request) withCookies() bool {
	return r.credentials == "include" || r.credentials == "same-origin" && !r.crossOrigin()
}

// fields are the header fields a browser sends, but for Cookie.
func (r *request) fields(userAgent string) http.Header {
	h := r.header.Clone()
	h.Set("User-Agent", userAgent)
	setDefault(h, "Accept-Language", "en")
	if r.topLevel() {
		h.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
		h.Set("Upgrade-Insecure-Requests", "1")
	}
	setDefault(h, "Accept", "*/*")
	if ref := referrer(r.policy, r.initiator, r.url); ref != "" {
		h.Set("Referer", ref)
	}
	if origin := r.origin(); origin != "" {
		h.Set("Origin", origin)
	}
	r.metadata(h)
	return h
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h.Set(name, value)
	}
}

// metadata sets Sec-Fetch-*, which travels to trustworthy URLs only (Fetch Metadata section 2).
func (r *request) metadata(h http.Header) {
	if !trustworthy(r.url) {
		return
	}
	h.Set("Sec-Fetch-Site", fetchSite(r.initiator, r.chain))
	h.Set("Sec-Fetch-Mode", r.mode)
	h.Set("Sec-Fetch-Dest", r.dest)
	if r.user && r.topLevel() {
		h.Set("Sec-Fetch-User", "?1")
	}
}

// origin is the Origin field (Fetch section 3.2): on unsafe methods, and on every cross-origin CORS request.
func (r *request) origin() string {
	if r.initiator == nil {
		if !r.safe() {
			return "null"
		}
		return ""
	}
	scripted := r.mode == "cors" || r.mode == "websocket"
	always := r.mode == "websocket" || scripted && r.crossOrigin()
	switch {
	case !always && r.safe():
		return ""
	case r.tainted():
		return "null"
	case scripted:
		return originOf(r.initiator)
	}
	return r.formOrigin()
}

// formOrigin is the Origin of a request that is not CORS: the referrer policy may hide it.
func (r *request) formOrigin() string {
	same := originOf(r.initiator) == originOf(r.url)
	downgrade := trustworthy(r.initiator) && !trustworthy(r.url)
	hidden := r.policy == "no-referrer" || r.policy == "same-origin" && !same ||
		downgrade && (strings.Contains(r.policy, "strict-origin") || r.policy == "no-referrer-when-downgrade")
	if hidden {
		return "null"
	}
	return originOf(r.initiator)
}

// tainted: a foreign origin redirected to another origin, so nobody can vouch for the initiator any more.
func (r *request) tainted() bool {
	for i := 1; i < len(r.chain); i++ {
		before, after := originOf(r.chain[i-1]), originOf(r.chain[i])
		if before != after && before != originOf(r.initiator) {
			return true
		}
	}
	return false
}

// follow returns the next link of the chain if the answer redirects, or nil.
func (r *request) follow(hop Hop) (*request, error) {
	location := hop.Header.Get("Location")
	if location == "" || !slices.Contains([]int{301, 302, 303, 307, 308}, hop.Status) {
		return nil, nil
	}
	to, err := r.url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("reading Location of %s: %w", hop.URL, err)
	}
	if to.Fragment == "" && !strings.Contains(location, "#") {
		to.Fragment, to.RawFragment = r.url.Fragment, r.url.RawFragment // Fetch section 4.4: a redirect inherits the fragment
	}
	next := *r
	next.url, next.header = to, r.header.Clone()
	next.chain = append(slices.Clone(r.chain), to)
	next.policy = policyOf(hop.Header.Values("Referrer-Policy"), r.policy)
	next.rewrite(hop.Status)
	if originOf(to) != originOf(r.url) {
		next.header.Del("Authorization") // Fetch section 4.4: credentials of the page's making stay at their origin
	}
	return &next, nil
}

// rewrite turns POST into GET where browsers do: 301 and 302 for POST, 303 for all but HEAD.
func (r *request) rewrite(status int) {
	post := r.method == http.MethodPost && (status == 301 || status == 302)
	other := status == 303 && r.method != http.MethodGet && r.method != http.MethodHead
	if !post && !other {
		return
	}
	r.method, r.body = http.MethodGet, nil
	r.header.Del("Content-Type")
}
